// wait4 and waitid: news of children, and the end of zombies.
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { WAIT_CLONE = (int)0x80000000, WAIT_ALL = 0x40000000, WAIT_NOTHREAD = 0x20000000 };

struct wait_for {
	idtype_t type;
	int id;
	int options;
	struct thread_group *group; // P_PIDFD's
};

struct news {
	int pid, code, status; // code: CLD_*; status: an exit code or a signal
	int wait_status;
	uid_t uid;
	struct rusage_sum usage;
};

static bool matches(struct task *t, const struct wait_for *w, struct thread_group *child)
{
	bool clone_child = child->exit_signal != SIGCHLD;

	if (!(w->options & WAIT_ALL) && clone_child != !!(w->options & WAIT_CLONE))
		return false;
	switch (w->type) {
	case P_PID:
		return child->tgid == w->id;
	case P_PGID:
		return child->pgrp->pgid == (w->id ? w->id : t->tg->pgrp->pgid);
	case P_PIDFD:
		return child == w->group;
	default:
		return true;
	}
}

static void note(struct thread_group *child, struct news *n, int code, int status, int wait_status)
{
	*n = (struct news){.pid = child->tgid, .code = code, .status = status, .wait_status = wait_status};
	n->uid = child->leader->cred->uid;
	n->usage = child->dead_threads; // wait4 tells a zombie's, with its children's
	n->usage.utime_ns = group_cpu_ns_locked(child);
	rusage_add(&n->usage, &child->dead_children);
}

// News of one child, taken unless WNOWAIT. *out_gone: a zombie released, to be put without the lock.
static bool take_news(struct task *t, const struct wait_for *w, struct thread_group *child, struct news *n, struct thread_group **out_gone)
{
	bool keep = w->options & WNOWAIT;

	if (child->zombie && (w->options & WEXITED)) {
		int s = child->wait_status;

		note(child, n, WIFEXITED(s) ? CLD_EXITED : WCOREDUMP(s) ? CLD_DUMPED : CLD_KILLED, WIFEXITED(s) ? WEXITSTATUS(s) : WTERMSIG(s), s);
		if (!keep) {
			rusage_add(&t->tg->dead_children, &child->dead_threads);
			rusage_add(&t->tg->dead_children, &child->dead_children);
			group_release_locked(child);
			*out_gone = child;
		}
		return true;
	}
	if (child->stop_unreported && (w->options & WSTOPPED) && !child->zombie) {
		note(child, n, CLD_STOPPED, child->group_stop_signal, W_STOPCODE(child->group_stop_signal));
		child->stop_unreported = keep;
		return true;
	}
	if (child->continued && (w->options & WCONTINUED) && !child->zombie) {
		note(child, n, CLD_CONTINUED, SIGCONT, 0xffff);
		child->continued = keep;
		return true;
	}
	return false;
}

// 1: news; 0: none yet (-ECHILD: there never will be).
static int look(struct task *t, const struct wait_for *w, struct news *n)
{
	struct thread_group *child, *gone = NULL;
	int found = -ECHILD;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(child, &t->tg->children, sibling) {
		if (!matches(t, w, child))
			continue;
		found = 0;
		if (take_news(t, w, child, n, &gone)) {
			found = 1;
			break;
		}
	}
	task_tell_children_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	if (gone)
		group_put(gone);
	return found;
}

static long wait_for_news(struct task *t, const struct wait_for *w, struct news *n)
{
	int found = look(t, w, n);

	if (found)
		return found;
	if (w->options & WNOHANG)
		return 0;
	found = task_wait_on(t, &t->tg->child_waitq, 0);
	if (found)
		return found;
	found = look(t, w, n);
	return found ? found : task_block(t);
}

static int put_usage(struct task *t, uaddr_t dst, const struct rusage_sum *u)
{
	return dst ? rusage_copy_out(t, dst, u) : 0;
}

long sys_wait4(struct task *t, const struct sysargs *args)
{
	int pid = (int)args->a[0], options = (int)args->a[2];
	struct wait_for w = {.options = options | WEXITED};
	struct news n;
	long ret;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | WAIT_CLONE | WAIT_ALL | WAIT_NOTHREAD))
		return -EINVAL;
	if (pid == (int)0x80000000)
		return -ESRCH;
	w.type = pid == -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
	w.id = pid < 0 ? -pid : pid;
	ret = wait_for_news(t, &w, &n);
	if (ret <= 0)
		return ret;
	if (args->a[1] && copy_out_obj(t, args->a[1], &n.wait_status) < 0)
		return -EFAULT;
	return put_usage(t, args->a[3], &n.usage) ?: n.pid;
}

// again: through a descriptor that doesn't block, nothing new is EAGAIN.
static long wait_and_tell(struct task *t, struct wait_for *w, bool again, const struct sysargs *args)
{
	siginfo_t info = {0};
	struct news n;
	long ret;

	if (again)
		w->options |= WNOHANG;
	ret = wait_for_news(t, w, &n);
	if (ret < 0 || (again && !ret))
		return ret ?: -EAGAIN;
	if (ret) {
		info.si_signo = SIGCHLD;
		info.si_code = n.code;
		info.si_pid = n.pid;
		info.si_uid = n.uid;
		info.si_status = n.status;
	}
	if (args->a[2] && copy_out(t, args->a[2], &info, sizeof(info)) < 0)
		return -EFAULT;
	return ret ? put_usage(t, args->a[4], &n.usage) : 0;
}

long sys_waitid(struct task *t, const struct sysargs *args)
{
	struct wait_for w = {.type = (idtype_t)args->a[0], .id = (int)args->a[1], .options = (int)args->a[3]};
	struct file *f = NULL;
	long ret;

	if ((w.options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | WAIT_CLONE | WAIT_ALL | WAIT_NOTHREAD)) ||
	    !(w.options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	if (w.type > P_PIDFD || (w.type == P_PID && w.id <= 0) || (w.type != P_ALL && w.id < 0))
		return -EINVAL;
	if (w.type == P_PIDFD) {
		f = fd_file(t, w.id);
		w.group = f ? pidfd_group(f) : NULL;
		if (f)
			task_keep_file(t, f);
	}
	if (w.type == P_PIDFD && !w.group)
		ret = -EBADF;
	else
		ret = wait_and_tell(t, &w, f && f->flags & O_NONBLOCK && !(w.options & WNOHANG), args);
	if (f)
		file_put(f);
	return ret;
}
