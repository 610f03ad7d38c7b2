// How tasks and groups end: what is given back when, who hears of it, and who adopts the children.
//
// A thread gives its own things back first (futexes, memory, files), then leaves its group; the last one out turns the group into a
// zombie, or releases it at once where nobody waits. Groups are ended by telling each member, which ends itself on its way to the
// application, so that a thread is only ever taken apart by the worker that handles it.
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/ipc/sem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/task_wait.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum { HANDLER_IGN = 1 };

// A stub that its application has broken may never come back to be told that it must die: after this long its process is killed.
enum { KILL_GRACE_NS = 1000 * NSEC_PER_MSEC };

void group_kill_late(struct ktimer *timer)
{
	struct thread_group *tg = container_of(timer, struct thread_group, kill_timer);
	struct task *t;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		if (atomic_load(&t->in_user) && t->ctx)
			platform->as_kill(t->ctx);
	mutex_unlock(&kernel()->tasks_mu);
}

void group_exit_locked(struct thread_group *tg, int wait_status)
{
	bool waits = false;
	struct task *t;

	mutex_assert_held(&kernel()->tasks_mu);
	if (tg->group_exit)
		return;
	tg->group_exit = true;
	tg->group_exit_code = wait_status;
	tg->group_stop = false;
	tg->nstopped = 0;
	TAILQ_FOREACH(t, &tg->tasks, tg_link) {
		t->stopped = false;
		t->exiting = true;
		atomic_store(&t->signal_wake, true);
		task_kick(t);
		waits |= atomic_load(&t->in_user);
	}
	if (waits)
		ktimer_arm(&tg->kill_timer, ktime_now(CLOCK_MONOTONIC) + KILL_GRACE_NS);
}

// As if the host had killed the process, for which it was: no memory was left, or an operator wanted it so.
void kernel_ctx_died(struct platform_ctx *ctx)
{
	struct thread_group *tg;
	struct task *t;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		TAILQ_FOREACH(t, &tg->tasks, tg_link)
			if (t->ctx == ctx) {
				log_info("%s[%d]: its stub died", t->comm, t->tid);
				group_exit_locked(tg, SIGKILL);
			}
	mutex_unlock(&kernel()->tasks_mu);
}

void task_exit_group(struct task *t, int wait_status)
{
	int status;

	mutex_lock(&kernel()->tasks_mu);
	group_exit_locked(t->tg, wait_status);
	status = t->tg->group_exit_code;
	mutex_unlock(&kernel()->tasks_mu);
	task_exit(t, status);
}

void task_vfork_done(struct task *t)
{
	struct task *parent;

	mutex_lock(&kernel()->tasks_mu);
	parent = t->vfork_parent;
	t->vfork_parent = NULL;
	if (parent)
		parent->vfork_done = 1;
	mutex_unlock(&kernel()->tasks_mu);
	if (!parent)
		return;
	task_wake(parent);
	task_put(parent);
}

// --- telling the parent

static void child_info(struct thread_group *tg, int code, siginfo_t *out)
{
	memset(out, 0, sizeof(*out));
	out->si_signo = SIGCHLD;
	out->si_code = code;
	out->si_pid = tg->tgid;
	out->si_uid = tg->leader->cred->uid;
	out->si_utime = (clock_t)(group_cpu_ns_locked(tg) / (NSEC_PER_SEC / 100));
	switch (code) {
	case CLD_EXITED:
		out->si_status = tg->wait_status >> 8;
		break;
	case CLD_KILLED:
	case CLD_DUMPED:
		out->si_status = tg->wait_status & 0x7f;
		break;
	case CLD_CONTINUED:
		out->si_status = SIGCONT;
		break;
	default:
		out->si_status = tg->group_stop_signal;
	}
}

// NULL where the parent is told of nothing: clone(2) takes any number below 256 as the exit signal.
static const struct ksigaction *parents_action(struct thread_group *parent, int sig)
{
	struct task *any = TAILQ_FIRST(&parent->tasks);

	return any && sig > 0 && sig <= NSIG_MAX ? signal_action_locked(any->sighand, sig) : NULL;
}

void group_notify_parent_locked(struct thread_group *tg, int code)
{
	struct thread_group *parent = tg->parent;
	const struct ksigaction *ka;
	siginfo_t info;

	if (!parent)
		return;
	ka = parents_action(parent, SIGCHLD);
	child_info(tg, code, &info);
	if (ka && ka->handler != HANDLER_IGN && !(ka->flags & SA_NOCLDSTOP))
		signal_send_locked(parent, NULL, SIGCHLD, &info, false);
	group_children_changed_locked(parent);
	waitq_wake(&parent->child_waitq, 0);
}

// The group has ended. True: nobody will wait for it.
static bool notify_of_exit_locked(struct thread_group *tg)
{
	struct thread_group *parent = tg->parent;
	const struct ksigaction *ka;
	bool reap = false;
	siginfo_t info;

	if (!parent || parent->zombie)
		return true;
	child_info(tg, tg->wait_status & 0x7f ? tg->wait_status & 0x80 ? CLD_DUMPED : CLD_KILLED : CLD_EXITED, &info);
	info.si_signo = tg->exit_signal;
	ka = parents_action(parent, tg->exit_signal);
	if (tg->exit_signal == SIGCHLD && ka)
		reap = ka->handler == HANDLER_IGN || ka->flags & SA_NOCLDWAIT;
	if (ka && !(tg->exit_signal == SIGCHLD && ka->handler == HANDLER_IGN))
		signal_send_locked(parent, NULL, tg->exit_signal, &info, false);
	group_children_changed_locked(parent);
	waitq_wake(&parent->child_waitq, 0);
	return reap;
}

// --- the family

// A process group that no member's parent outside of it, but in the session, looks after.
bool pgrp_orphaned_locked(struct pgrp *pg, struct thread_group *leaving)
{
	struct thread_group *tg;

	TAILQ_FOREACH(tg, &pg->members, pgrp_link) {
		if (tg == leaving || tg->zombie || !tg->parent)
			continue;
		if (tg->parent->pgrp != pg && tg->parent->session == pg->session)
			return false;
	}
	return true;
}

static bool has_stopped_member(struct pgrp *pg)
{
	struct thread_group *tg;

	TAILQ_FOREACH(tg, &pg->members, pgrp_link)
		if (tg->group_stop && !tg->zombie)
			return true;
	return false;
}

// Stopped jobs that lose their shell by leaving's exit are hung up and continued (POSIX).
static void check_orphaned(struct pgrp *pg, struct thread_group *leaving)
{
	struct thread_group *tg, *next;
	siginfo_t hup, cont;

	if (!pg || !pgrp_orphaned_locked(pg, leaving) || !has_stopped_member(pg))
		return;
	siginfo_kernel(&hup, SIGHUP);
	siginfo_kernel(&cont, SIGCONT);
	TAILQ_FOREACH_SAFE(tg, &pg->members, pgrp_link, next) {
		signal_send_locked(tg, NULL, SIGHUP, &hup, false);
		signal_send_locked(tg, NULL, SIGCONT, &cont, false);
	}
}

static struct thread_group *reaper_of(struct thread_group *tg)
{
	struct thread_group *p, *init = tg->container->init;

	for (p = tg->parent; p; p = p->parent)
		if (p->is_subreaper && !p->zombie && !p->group_exit)
			return p;
	return init && init != tg && !init->zombie ? init : NULL;
}

static void adopt(struct thread_group *child, struct thread_group *old, struct thread_group *reaper)
{
	struct task *any = TAILQ_FIRST(&child->tasks);
	siginfo_t info;

	TAILQ_REMOVE(&old->children, child, sibling);
	child->parent = reaper;
	group_ids_withdraw_locked(child);
	if (any && any->pdeath_signal) {
		siginfo_kernel(&info, any->pdeath_signal);
		info.si_code = SI_USER;
		info.si_pid = old->tgid;
		signal_send_locked(child, NULL, any->pdeath_signal, &info, false);
	}
	if (!reaper)
		return;
	group_adopt_locked(reaper, child);
	child->exit_signal = SIGCHLD;
}

TAILQ_HEAD(group_list, thread_group);

// Gives tg's children away. Zombies that nobody will wait for go to unwanted (by their sibling links).
static void give_children_away(struct thread_group *tg, struct group_list *unwanted)
{
	struct thread_group *child, *next, *reaper = reaper_of(tg);

	TAILQ_FOREACH_SAFE(child, &tg->children, sibling, next) {
		struct pgrp *pg = child->pgrp;
		bool outside = pg != tg->pgrp && child->session == tg->session;

		adopt(child, tg, reaper);
		if (child->zombie && notify_of_exit_locked(child)) {
			group_release_locked(child);
			TAILQ_INSERT_TAIL(unwanted, child, sibling);
			continue;
		}
		if (outside)
			check_orphaned(pg, tg);
	}
}

// The init of a container takes all its processes along.
static void end_container(struct thread_group *init)
{
	struct thread_group *tg, *next;

	TAILQ_FOREACH_SAFE(tg, &kernel()->groups, all_link, next)
		if (tg->container == init->container && tg != init && !tg->zombie)
			group_exit_locked(tg, SIGKILL);
}

void group_release_locked(struct thread_group *tg)
{
	struct task *leader = tg->leader;

	group_unlink_locked(tg);
	tg->leader = NULL;
	task_unhash_locked(leader);
	task_put(leader);
}

// The last thread is gone. Answers true if tg was released here: the caller puts it.
static bool group_finish_locked(struct thread_group *tg, struct group_list *unwanted)
{
	tg->wait_status = tg->group_exit ? tg->group_exit_code : tg->leader->exit_code;
	sigpending_flush_locked(tg, &tg->pending, ~0ull);
	if (tg == tg->container->init)
		end_container(tg);
	give_children_away(tg, unwanted);
	if (tg->parent && tg->pgrp != tg->parent->pgrp && tg->session == tg->parent->session)
		check_orphaned(tg->pgrp, tg);
	tg->zombie = true;
	waitq_wake(&tg->thread_waitq, 0);
	if (tg->session->leader == tg)
		container_session_ended_locked(tg);
	if (!notify_of_exit_locked(tg))
		return false;
	group_release_locked(tg);
	return true;
}

// --- one thread's end

static void leave_memory(struct task *t)
{
	struct platform_ctx *ctx = t->ctx;
	struct mm *mm = t->mm;

	// Others who live in this memory count on what was queued for it, and the next descriptor that is sent must be the next one that is fetched.
	if (mm && ctx && t->came && atomic_load(&mm->users) > 1)
		platform->flush(ctx);
	if (mm)
		futex_task_exit(t);
	fdtable_leave(t);
	mutex_lock(&kernel()->tasks_mu); // nobody interrupts it or looks through it from now on
	t->utime_ns = task_cpu_ns(t);
	signal_actions_leave_locked(t);
	t->ctx = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	if (mm)
		mm_ctx_gone(mm, ctx);
	if (ctx)
		platform->ctx_destroy(ctx);
	task_set_mm(t, NULL);
	task_vfork_done(t);
}

static void leave_files(struct task *t)
{
	struct fdtable *files = t->files;
	struct fs_context *fs = t->fs;

	mutex_lock(&kernel()->tasks_mu);
	t->files = NULL;
	t->fs = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	if (files)
		fdtable_put(files, t);
	if (fs)
		fs_context_put(fs);
}

// Takes t out of its group. True: it was the last.
static bool leave_group_locked(struct task *t)
{
	struct thread_group *tg = t->tg;

	TAILQ_REMOVE(&tg->tasks, t, tg_link);
	kernel()->ntasks_alive--;
	posix_timers_thread_gone_locked(t);
	sigpending_flush_locked(tg, &t->pending, ~0ull);
	tg->dead_threads.utime_ns += t->utime_ns;
	tg->dead_threads.nvcsw += t->nvcsw;
	tg->dead_threads.nivcsw += t->nivcsw;
	mutex_lock(&kernel()->run_mu);
	t->state = TASK_DEAD;
	mutex_unlock(&kernel()->run_mu);
	if (t->stopped)
		tg->nstopped--;
	if (--tg->ntasks == 0)
		return true;
	if (tg->group_stop && tg->nstopped == tg->ntasks) {
		tg->stop_unreported = true;
		group_notify_parent_locked(tg, CLD_STOPPED);
	}
	signal_wake_one_locked(tg, tg->pending.set); // it may have been to take them
	waitq_wake(&tg->thread_waitq, 0);
	return false;
}

void task_exit(struct task *t, int wait_status)
{
	struct group_list unwanted = TAILQ_HEAD_INITIALIZER(unwanted);
	struct thread_group *tg = group_get(t->tg), *child;
	bool last, released = false;
	struct file *exe = NULL;

	task_get(t);
	t->exit_code = wait_status;
	task_waits_clear(t);
	leave_memory(t); // before the files: a reader of a pipe may wait for their end, and must find the memory's changes done
	leave_files(t);
	if (tg->ntasks == 1)
		sem_undo_exit(tg); // who waits for it finds it done

	mutex_lock(&kernel()->tasks_mu);
	last = leave_group_locked(t);
	if (t != tg->leader) { // the leader's number stays until the group is released
		task_unhash_locked(t);
		task_put(t); // the tables' reference
	}
	if (last) {
		exe = tg->exe;
		tg->exe = NULL;
		released = group_finish_locked(tg, &unwanted);
	}
	mutex_unlock(&kernel()->tasks_mu);

	if (last) {
		ktimer_cancel(&tg->kill_timer);
		posix_timers_destroy(tg);
		cpu_limit_end(tg);
		sem_undo_exit(tg); // two threads ended at once
		if (exe)
			file_put(exe);
		container_process_gone(tg);
	}
	while ((child = TAILQ_FIRST(&unwanted))) {
		TAILQ_REMOVE(&unwanted, child, sibling);
		group_put(child);
	}
	if (released)
		group_put(tg);
	group_put(tg);
	sched_put_later(t);
}
