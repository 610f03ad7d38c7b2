// fork, vfork, clone: the child's task, group, memory and first registers.
//
// The host's part (a thread or a process of the platform) is only queued on the caller's context; if it fails later, everything
// made here is undone (task_clone_failed) and the call answers EAGAIN.
#include "sentry/kernel/task_clone.h"

#include <sched.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/task_run.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/mount_ns.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ull
#endif

#define CLONE_KNOWN \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PIDFD | CLONE_PTRACE | CLONE_VFORK | CLONE_PARENT | CLONE_THREAD | \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_UNTRACED | \
	 CLONE_CHILD_SETTID | CLONE_IO | CLONE_CLEAR_SIGHAND)

int clone_check_namespaces(struct task *t, uint64_t flags)
{
	flags &= CLONE_NAMESPACES;
	if (!flags)
		return 0;
	// A user namespace could be made by anybody; there are none but the container's own.
	if (!(flags & CLONE_NEWUSER) && !cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EPERM;
	return flags & ~(uint64_t)(CLONE_NEWUTS | CLONE_NEWNS) ? -EINVAL : 0;
}

static int check_flags(struct task *t, const struct clone_spec *s)
{
	uint64_t f = s->flags;

	if ((f & CLONE_SIGHAND && !(f & CLONE_VM)) || (f & CLONE_THREAD && !(f & CLONE_SIGHAND)))
		return -EINVAL;
	if (f & CLONE_SIGHAND && f & CLONE_CLEAR_SIGHAND)
		return -EINVAL;
	if (f & CLONE_PIDFD && f & (CLONE_THREAD | CLONE_DETACHED))
		return -EINVAL;
	if (f & CLONE_PARENT && t->tg == t->tg->container->init)
		return -EINVAL;
	if (f & (CLONE_NEWNS | CLONE_NEWUSER) && f & CLONE_FS)
		return -EINVAL;
	if (f & ~(uint64_t)(CLONE_KNOWN | CLONE_NAMESPACES))
		return -EINVAL;
	return clone_check_namespaces(t, f);
}

static int check_limit_locked(struct task *t)
{
	uint64_t limit = task_rlimit(t, RLIMIT_NPROC), count = 0;
	struct thread_group *tg;

	if (limit == RLIM64_INFINITY || t->cred->uid == 0 || cred_has_cap(t->cred, CAP_SYS_RESOURCE) ||
	    cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return 0;
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		if (tg->leader && tg->leader->cred->uid == t->cred->uid)
			count += tg->ntasks;
	return count < limit ? 0 : -EAGAIN;
}

// What the child has of its own or in common with t. On an error what is there already is given back by child_undo.
static int share_or_copy(struct task *t, struct task *child, const struct clone_spec *s)
{
	uint64_t f = s->flags;
	struct mm *mm;

	mm = f & CLONE_VM ? mm_get(t->mm) : mm_fork(t);
	if (!mm)
		return -ENOMEM;
	task_set_mm(child, mm);
	mm_ctx_attach(mm, child->ctx);
	child->files = f & CLONE_FILES ? fdtable_get(t->files) : fdtable_dup(t->files);
	child->fs = f & CLONE_FS ? fs_context_get(t->fs) : fs_context_dup(t->fs);
	if (child->files && !(f & (CLONE_VM | CLONE_FILES)))
		fdtable_inherit_loans(t, child);
	child->sighand = f & CLONE_SIGHAND ? sighand_share(t->sighand, !(f & CLONE_THREAD)) : sighand_dup(t->sighand);
	child->cred = cred_get(t->cred);
	if (!child->files || !child->fs || !child->sighand || (f & CLONE_NEWNS && fs_context_unshare_mounts(child->fs) < 0))
		return -ENOMEM;
	if (f & CLONE_CLEAR_SIGHAND)
		for (int i = 0; i < NSIG_MAX; i++)
			if (child->sighand->action[i].handler != 1)
				child->sighand->action[i] = (struct ksigaction){0};
	return 0;
}

static void inherit(struct task *t, struct task *child, const struct clone_spec *s)
{
	memcpy(child->comm, t->comm, sizeof(child->comm));
	child->blocked = t->restore_blocked ? t->saved_blocked : t->blocked;
	if (!(s->flags & CLONE_VM) || s->flags & CLONE_VFORK)
		child->altstack = t->altstack;
	child->nice = t->sched_reset_on_fork && t->nice < 0 ? 0 : t->nice;
	if (!t->sched_reset_on_fork) {
		child->sched_policy = t->sched_policy;
		child->sched_priority = t->sched_priority;
	}
	child->ioprio = t->ioprio;
	child->cpus_allowed = t->cpus_allowed;
	child->timer_slack_ns = t->timer_slack_ns;
	child->persona = t->persona;
	child->maker_tid = t->tid;
	child->uts_ns = uts_ns_get(t->uts_ns);
	if (s->flags & CLONE_CHILD_CLEARTID)
		futex_set_at_end(child, PLATFORM_CLEAR_TID, s->child_tid);
}

static void child_undo(struct task *child)
{
	struct platform_ctx *ctx = child->ctx;

	if (child->mm)
		mm_ctx_gone(child->mm, ctx);
	mutex_lock(&kernel()->tasks_mu);
	signal_actions_leave_locked(child);
	child->ctx = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	platform->ctx_destroy(ctx);
	task_set_mm(child, NULL);
	if (child->files)
		fdtable_put(child->files, child);
	if (child->fs)
		fs_context_put(child->fs);
	child->files = NULL;
	child->fs = NULL;
}

static void first_regs(struct task *child, const struct clone_spec *s)
{
	struct user_regs_struct r;

	platform->get_regs(child->ctx, &r);
	r.rax = 0;
	if (s->stack)
		r.rsp = s->stack;
	if (s->flags & CLONE_SETTLS)
		r.fs_base = s->tls;
	platform->set_regs(child->ctx, &r);
}

static struct thread_group *child_group(struct task *t, const struct clone_spec *s)
{
	struct thread_group *tg = group_create();

	if (!tg)
		return NULL;
	tg->container = t->tg->container;
	tg->exit_signal = s->flags & CLONE_PARENT ? t->tg->exit_signal : s->exit_signal;
	tg->dumpable = t->tg->dumpable;
	tg->thp_disabled = t->tg->thp_disabled;
	tg->oom_score_adj = t->tg->oom_score_adj;
	memcpy(tg->rlimits, t->tg->rlimits, sizeof(tg->rlimits));
	tg->exe = t->tg->exe ? file_get(t->tg->exe) : NULL;
	return tg;
}

// The child's number. It is written where CLONE_PARENT_SETTID says before the host is asked for the child: a thread of the C library
// looks there for its own. Nobody else is given it, as numbers come in turn; publish makes sure of that.
static int choose_number(struct task *t, const struct clone_spec *s)
{
	int tid;

	// Signals that are there already are handled before, as by Linux: who is to die or stop now would leave the host's part undone.
	if (signal_pending(t))
		return -ERESTARTNOINTR;
	mutex_lock(&kernel()->tasks_mu);
	tid = check_limit_locked(t);
	if (!tid && s->set_tid)
		tid = pid_claim_locked(s->set_tid) ?: s->set_tid;
	else if (!tid)
		tid = pid_alloc_locked();
	mutex_unlock(&kernel()->tasks_mu);
	if (tid > 0 && s->flags & CLONE_PARENT_SETTID)
		(void)copy_out_obj(t, s->parent_tid, &tid); // as Linux: a bad address is nobody's error
	return tid;
}

// Enters the child into all tables. From here on signals reach it.
static int publish(struct task *t, struct task *child, const struct clone_spec *s)
{
	struct kernel *k = kernel();
	struct thread_group *tg = child->tg;
	int err;

	mutex_lock(&k->tasks_mu);
	err = t->exiting ? -ERESTARTNOINTR : pid_claim_locked(child->tid);
	if (err) {
		mutex_unlock(&k->tasks_mu);
		return err == -EEXIST && !s->set_tid ? -EAGAIN : err;
	}
	if (tg != t->tg) {
		tg->tgid = child->tid;
		tg->leader = child;
		group_link_locked(tg, s->flags & CLONE_PARENT ? t->tg->parent : t->tg);
		cpu_limit_watch_locked(tg);
		task_tell_children_locked(t);
	}
	TAILQ_INSERT_TAIL(&tg->tasks, child, tg_link);
	tg->ntasks++;
	k->ntasks_alive++;
	task_hash_locked(child);
	if (tg->group_stop || tg->container->paused)
		atomic_store(&child->signal_wake, true);
	mutex_unlock(&k->tasks_mu);
	return 0;
}

// Takes a child that never ran out of all tables again.
static void unpublish(struct task *child)
{
	struct thread_group *tg = child->tg;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_REMOVE(&tg->tasks, child, tg_link);
	tg->ntasks--;
	kernel()->ntasks_alive--;
	sigpending_flush_locked(tg, &child->pending, ~0ull);
	task_unhash_locked(child);
	if (tg->leader == child) {
		sigpending_flush_locked(tg, &tg->pending, ~0ull);
		tg->leader = NULL;
		group_unlink_locked(tg);
	}
	child->state = TASK_DEAD;
	mutex_unlock(&kernel()->tasks_mu);
}

static void child_free(struct task *child, bool own_group)
{
	struct thread_group *tg = child->tg;

	if (own_group && tg) {
		cpu_limit_end(tg);
		ktimer_cancel(&tg->kill_timer); // it may have been killed
	}
	if (own_group && tg && tg->exe) {
		file_put(tg->exe);
		tg->exe = NULL;
	}
	child_undo(child);
	if (own_group && tg)
		group_put(tg); // the tables' reference
	task_put(child);
}

static int set_tids(struct task *t, struct task *child, const struct clone_spec *s)
{
	int pidfd;

	if (s->flags & CLONE_PIDFD) {
		pidfd = pidfd_install(t, child->tg, 0);
		if (pidfd < 0)
			return pidfd;
		if (copy_out_obj(t, s->pidfd, &pidfd) < 0) {
			fd_close(t, pidfd);
			return -EFAULT;
		}
	}
	if (s->flags & CLONE_CHILD_SETTID)
		(void)copy_out_obj(child, s->child_tid, &child->tid);
	return 0;
}

static int make_ctx(struct task *t, const struct clone_spec *s, struct platform_ctx **out)
{
	// The caller's own number says whose child failed, and it is the youngest.
	uint32_t tag = TASK_OP_CLONE | (uint32_t)t->tid;

	return s->flags & CLONE_VM ? platform->spawn(t->ctx, tag, out) : platform->fork(t->ctx, tag, out);
}

long task_clone(struct task *t, const struct clone_spec *s)
{
	bool thread = s->flags & CLONE_THREAD;
	struct platform_ctx *ctx;
	struct task *child;
	int err, tid;

	if (t->call.entries > 1 && t->call.word[0]) { // a vfork whose child lives
		if (!t->vfork_done) {
			long ret = task_block_killable(t);

			if (ret == -EBLOCKED)
				return ret;
		}
		return (long)t->call.word[0];
	}
	err = check_flags(t, s) ?: mm_ops_begin(t);
	if (err)
		return err;
	if (s->flags & (CLONE_VM | CLONE_FILES))
		late_end(t);
	tid = choose_number(t, s);
	if (tid < 0)
		return tid;
	err = make_ctx(t, s, &ctx);
	if (err)
		return err == -ENOMEM ? err : -EAGAIN;
	child = task_create(ctx);
	if (!child) {
		platform->ctx_destroy(ctx);
		return -ENOMEM;
	}
	child->tid = tid;
	child->tg = thread ? group_get(t->tg) : child_group(t, s);
	if (child->tg && !thread)
		group_get(child->tg);
	err = child->tg ? share_or_copy(t, child, s) : -ENOMEM;
	if (!err) {
		inherit(t, child, s);
		err = s->flags & CLONE_NEWUTS ? uts_unshare(child) : 0;
	}
	if (!err) {
		first_regs(child, s);
		err = publish(t, child, s);
	}
	if (err) {
		child_free(child, !thread);
		return err;
	}
	err = set_tids(t, child, s);
	if (err) {
		unpublish(child);
		child_free(child, !thread);
		return err;
	}
	if (s->flags & CLONE_VFORK) {
		t->vfork_done = 0;
		child->vfork_parent = task_get(t);
	}
	// The host must make the child now: t isn't going back until a vfork's has gone on. Or it has tried to already.
	if (s->flags & CLONE_VFORK || platform->single_worker) {
		err = platform->flush(t->ctx);
		if (err) {
			task_put(child->vfork_parent);
			child->vfork_parent = NULL;
			unpublish(child);
			child_free(child, !thread);
			return -EAGAIN;
		}
	}
	signal_actions_inherit(t, child);
	if (t->changes_mask)
		signal_mask_lend(child);
	if (t->asks_ids)
		task_ids_publish(child);
	t->call.word[1] = tid;
	t->call.clones = !(s->flags & CLONE_VFORK);
	task_start(child); // it may be gone now
	if (!(s->flags & CLONE_VFORK))
		return tid;
	t->call.word[0] = tid;
	if (t->vfork_done)
		return tid;
	return task_block_killable(t);
}

// It never came, and nobody knows of it but the tables and who was told its number.
static bool can_be_undone_locked(struct task *child)
{
	return !child->came && child->state == TASK_RUNNING && atomic_load(&child->in_user);
}

// A child that doesn't run and never will, but is stopped, say: it ends as others do.
static void end_locked(struct task *t, struct task *child)
{
	if (child->tg != t->tg) {
		group_exit_locked(child->tg, SIGKILL);
		return;
	}
	child->exiting = true;
	atomic_store(&child->signal_wake, true);
	task_kick(child);
}

// A hostile stub may say so of a child that runs or waits somewhere: then it is left alone.
long task_clone_failed(struct task *t, int err)
{
	struct task *child;
	bool undo = false;

	log_info("%s[%d]: the host made no child: %s", t->comm, t->tid, strerror(err));
	mutex_lock(&kernel()->tasks_mu);
	child = task_find_locked((int)t->call.word[1]);
	if (child && child->maker_tid == t->tid && !child->came) {
		undo = can_be_undone_locked(child);
		if (undo)
			task_get(child);
		else
			end_locked(t, child);
	}
	mutex_unlock(&kernel()->tasks_mu);
	if (undo) { // no other worker looks for events meanwhile
		bool own_group = child->tg != t->tg;

		unpublish(child);
		child_free(child, own_group);
		task_put(child);
	}
	return -EAGAIN;
}

long task_clone_settle(struct task *t, long ret)
{
	int err = platform->flush(t->ctx);

	t->call.clones = false;
	return err ? task_clone_failed(t, -err) : ret;
}
