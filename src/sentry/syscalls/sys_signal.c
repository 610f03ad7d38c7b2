// Signals: actions, masks, sending, waiting. man 7 signal.
#include <signal.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

#define SIGS_IGNORED_BY_DEFAULT (SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))

static bool valid(int sig)
{
	return sig >= 1 && sig <= NSIG_MAX;
}

// What waits of a signal that is ignored from now on is dropped, in the group and in all its threads.
static void drop_ignored_locked(struct task *t, int sig)
{
	const struct ksigaction *ka = signal_action_locked(t->sighand, sig);
	struct task *other;

	if (ka->handler != (uint64_t)SIG_IGN && !(ka->handler == (uint64_t)SIG_DFL && (SIGS_IGNORED_BY_DEFAULT & SIGBIT(sig))))
		return;
	sigpending_flush_locked(t->tg, &t->tg->pending, SIGBIT(sig));
	TAILQ_FOREACH(other, &t->tg->tasks, tg_link)
		sigpending_flush_locked(t->tg, &other->pending, SIGBIT(sig));
}

long sys_rt_sigaction(struct task *t, const struct sysargs *args)
{
	int sig = (int)args->a[0];
	struct ksigaction new, old;

	if (args->a[3] != sizeof(ksigset_t) || !valid(sig))
		return -EINVAL;
	if (args->a[1]) {
		if (copy_in_obj(t, &new, args->a[1]) < 0)
			return -EFAULT;
		if (SIG_UNBLOCKABLE & SIGBIT(sig))
			return -EINVAL;
		new.flags &= KSA_KNOWN;
		new.mask &= ~SIG_UNBLOCKABLE;
	}
	mutex_lock(&kernel()->tasks_mu);
	if (args->a[1]) {
		struct ksigaction *ka = signal_action_back_locked(t->sighand, sig);

		old = *ka;
		*ka = new;
		drop_ignored_locked(t, sig);
	} else {
		old = *signal_action_locked(t->sighand, sig);
	}
	signal_action_lend_locked(t, sig);
	mutex_unlock(&kernel()->tasks_mu);
	return args->a[2] ? copy_out_obj(t, args->a[2], &old) : 0;
}

long sys_rt_sigprocmask(struct task *t, const struct sysargs *args)
{
	ksigset_t set, old = t->blocked;

	if (args->a[3] != sizeof(ksigset_t))
		return -EINVAL;
	if (args->a[1]) {
		if (copy_in_obj(t, &set, args->a[1]) < 0)
			return -EFAULT;
		switch ((int)args->a[0]) {
		case SIG_BLOCK:
			set |= old;
			break;
		case SIG_UNBLOCK:
			set = old & ~set;
			break;
		case SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_blocked(t, set);
	}
	signal_mask_lend(t);
	return args->a[2] ? copy_out_obj(t, args->a[2], &old) : 0;
}

long sys_rt_sigreturn(struct task *t, const struct sysargs *args)
{
	const long ret = signal_frame_pop(t);

	signal_mask_lend(t);
	return ret;
}

long sys_rt_sigpending(struct task *t, const struct sysargs *args)
{
	ksigset_t set;

	if (args->a[1] > sizeof(set))
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	set = (t->pending.set | t->tg->pending.set) & t->blocked;
	mutex_unlock(&kernel()->tasks_mu);
	return copy_out(t, args->a[0], &set, args->a[1]);
}

long sys_rt_sigsuspend(struct task *t, const struct sysargs *args)
{
	ksigset_t set;
	long ret;

	if (args->a[1] != sizeof(set))
		return -EINVAL;
	if (t->call.entries == 1) {
		if (copy_in_obj(t, &set, args->a[0]) < 0)
			return -EFAULT;
		signal_mask_during_call(t, set);
	}
	ret = task_block(t);
	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

long sys_pause(struct task *t, const struct sysargs *args)
{
	long ret = task_block(t);

	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

// The awaited signals, blocked as a rule, are let through for the wait, so that their arrival ends it; then they are taken.
long sys_rt_sigtimedwait(struct task *t, const struct sysargs *args)
{
	struct timespec ts;
	siginfo_t info;
	ksigset_t set;
	long ret;
	int sig;

	if (args->a[3] != sizeof(set))
		return -EINVAL;
	if (copy_in_obj(t, &set, args->a[0]) < 0 || (args->a[2] && copy_in_obj(t, &ts, args->a[2]) < 0))
		return -EFAULT;
	if (args->a[2] && (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NSEC_PER_SEC))
		return -EINVAL;
	set &= ~SIG_UNBLOCKABLE;
	mutex_lock(&kernel()->tasks_mu);
	if (t->call.word[0]) { // back from the wait
		t->blocked = t->call.word[1];
		t->call.word[0] = 0;
	}
	sig = signal_dequeue_locked(t, set, &info);
	signal_recalc_locked(t);
	if (!sig) {
		t->call.word[0] = 1;
		t->call.word[1] = t->blocked;
		t->blocked &= ~set;
	}
	mutex_unlock(&kernel()->tasks_mu);
	if (sig)
		return args->a[1] && copy_out_obj(t, args->a[1], &info) < 0 ? -EFAULT : sig;
	task_deadline_in(t, !args->a[2] ? -1 : ts.tv_sec > INT64_MAX / NSEC_PER_SEC - 1 ? -1 : ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec);
	ret = task_block(t);
	if (ret == -EBLOCKED)
		return ret;
	mutex_lock(&kernel()->tasks_mu);
	t->blocked = t->call.word[1];
	t->call.word[0] = 0;
	sig = signal_dequeue_locked(t, set, &info);
	signal_recalc_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	if (sig)
		return args->a[1] && copy_out_obj(t, args->a[1], &info) < 0 ? -EFAULT : sig;
	return ret == -ETIMEDOUT ? -EAGAIN : -EINTR;
}

long sys_sigaltstack(struct task *t, const struct sysargs *args)
{
	struct user_regs_struct regs;
	stack_t new, old;
	int err = 0;

	platform->get_regs(t->ctx, &regs);
	old = sigaltstack_get(t, regs.rsp);
	if (args->a[0]) {
		if (copy_in_obj(t, &new, args->a[0]) < 0)
			return -EFAULT;
		err = sigaltstack_set(t, &new, regs.rsp);
	}
	if (!err && args->a[1] && copy_out_obj(t, args->a[1], &old) < 0)
		return -EFAULT;
	return err;
}

// --- sending

static siginfo_t sent_by(struct task *t, int sig, int code)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_pid = t->tg->tgid;
	info.si_uid = t->cred->uid;
	return info;
}

static int send_checked_locked(struct task *t, struct thread_group *tg, struct task *only, int sig, const siginfo_t *info)
{
	if (!signal_may_send(t, tg, sig))
		return -EPERM;
	return sig ? signal_send_locked(tg, only, sig, info, false) : 0;
}

static int kill_pgrp_locked(struct task *t, struct pgrp *pg, int sig, const siginfo_t *info)
{
	struct thread_group *tg;
	int err = -ESRCH;

	if (pg)
		TAILQ_FOREACH(tg, &pg->members, pgrp_link) {
			int one = send_checked_locked(t, tg, NULL, sig, info);

			if (err != 0)
				err = one; // one success is success
		}
	return err;
}

// kill(-1): everything but the container's first process and the sender.
static int kill_all_locked(struct task *t, int sig, const siginfo_t *info)
{
	struct thread_group *tg;
	int err = -ESRCH;

	TAILQ_FOREACH(tg, &kernel()->groups, all_link) {
		if (tg == t->tg || tg->unkillable || tg->container != t->tg->container)
			continue;
		if (send_checked_locked(t, tg, NULL, sig, info) != -EPERM)
			err = 0;
		else if (err)
			err = -EPERM;
	}
	return err;
}

long sys_kill(struct task *t, const struct sysargs *args)
{
	int pid = (int)args->a[0], sig = (int)args->a[1], err;
	siginfo_t info = sent_by(t, sig, SI_USER);
	struct thread_group *tg;

	if (sig < 0 || sig > NSIG_MAX)
		return -EINVAL;
	if (pid == INT32_MIN)
		return -ESRCH;
	mutex_lock(&kernel()->tasks_mu);
	if (pid > 0) {
		tg = group_find_locked(pid);
		err = tg ? send_checked_locked(t, tg, NULL, sig, &info) : -ESRCH;
	} else if (pid == -1) {
		err = kill_all_locked(t, sig, &info);
	} else {
		err = kill_pgrp_locked(t, pid ? pgrp_find_locked(-pid) : t->tg->pgrp, sig, &info);
	}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

// tgid 0: any.
static long send_to_thread(struct task *t, int tgid, int tid, int sig, const siginfo_t *info)
{
	struct task *other;
	int err = -ESRCH;

	if (tid <= 0 || sig < 0 || sig > NSIG_MAX)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	other = task_find_locked(tid);
	if (other && (!tgid || other->tg->tgid == tgid))
		err = send_checked_locked(t, other->tg, other, sig, info);
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

long sys_tkill(struct task *t, const struct sysargs *args)
{
	siginfo_t info = sent_by(t, (int)args->a[1], SI_TKILL);

	return send_to_thread(t, 0, (int)args->a[0], (int)args->a[1], &info);
}

long sys_tgkill(struct task *t, const struct sysargs *args)
{
	siginfo_t info = sent_by(t, (int)args->a[2], SI_TKILL);

	if ((int)args->a[0] <= 0)
		return -EINVAL;
	return send_to_thread(t, (int)args->a[0], (int)args->a[1], (int)args->a[2], &info);
}

// What an application may say of itself: not that the kernel or kill() sent it, unless it sends it to itself.
static long copy_info(struct task *t, int to, int sig, uaddr_t uinfo, siginfo_t *out)
{
	if (copy_in_obj(t, out, uinfo) < 0)
		return -EFAULT;
	out->si_signo = sig;
	if ((out->si_code >= 0 || out->si_code == SI_TKILL) && to != t->tg->tgid)
		return -EPERM;
	return 0;
}

long sys_rt_sigqueueinfo(struct task *t, const struct sysargs *args)
{
	int tgid = (int)args->a[0], sig = (int)args->a[1];
	struct thread_group *tg;
	siginfo_t info;
	long err = copy_info(t, tgid, sig, args->a[2], &info);

	if (err)
		return err;
	if (sig < 0 || sig > NSIG_MAX)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	tg = group_find_locked(tgid);
	err = tg ? send_checked_locked(t, tg, NULL, sig, &info) : -ESRCH;
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

long sys_pidfd_send_signal(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	struct thread_group *tg = f && f->ops->process ? f->ops->process(f) : NULL;
	int sig = (int)args->a[1];
	siginfo_t info = sent_by(t, sig, SI_USER);
	long err = args->a[3] || sig < 0 || sig > NSIG_MAX ? -EINVAL : tg ? 0 : -EBADF;

	if (!err && args->a[2]) {
		if (copy_in_obj(t, &info, args->a[2]) < 0)
			err = -EFAULT;
		else if (info.si_signo != sig)
			err = -EINVAL;
		else if ((info.si_code >= 0 || info.si_code == SI_TKILL) && tg != t->tg)
			err = -EPERM;
	}
	if (!err) {
		mutex_lock(&kernel()->tasks_mu);
		err = tg->leader ? send_checked_locked(t, tg, NULL, sig, &info) : -ESRCH;
		mutex_unlock(&kernel()->tasks_mu);
	}
	if (f)
		file_put(f);
	return err;
}

long sys_rt_tgsigqueueinfo(struct task *t, const struct sysargs *args)
{
	siginfo_t info;
	long err = copy_info(t, (int)args->a[0], (int)args->a[2], args->a[3], &info);

	if (err)
		return err;
	if ((int)args->a[0] <= 0)
		return -EINVAL;
	return send_to_thread(t, (int)args->a[0], (int)args->a[1], (int)args->a[2], &info);
}
