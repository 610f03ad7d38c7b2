// On the way back to the application: dying, stopping, default actions, handlers, and what becomes of a call that was broken off.
#include <string.h>

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_int.h"

#include <sys/syscall.h>

enum { HANDLER_DFL = 0, HANDLER_IGN = 1, SYSCALL_INSN_LEN = 2, WCORE = 0x80 };

#define SIGS_IGNORED (SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))
#define SIGS_STOP (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define SIGS_CORE \
	(SIGBIT(SIGQUIT) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGABRT) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGSEGV) | \
	 SIGBIT(SIGXCPU) | SIGBIT(SIGXFSZ) | SIGBIT(SIGSYS))

static bool is_restart(long ret)
{
	return ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || ret == -ERESTARTNOHAND || ret == -ERESTART_RESTARTBLOCK;
}

// Makes the application execute the call's instruction again, as the call nr.
static void restart_call(struct task *t, uint64_t nr)
{
	struct user_regs_struct r;

	platform->get_regs(t->ctx, &r);
	r.rax = nr;
	r.rip -= SYSCALL_INSN_LEN;
	platform->set_regs(t->ctx, &r);
}

// A handler is about to run (ka), or none will (NULL): what the broken-off call answers.
static void settle_call(struct task *t, const struct ksigaction *ka)
{
	long how = t->pending_restart;
	bool again;

	t->pending_restart = 0;
	if (!how)
		return;
	again = how == ERESTARTNOINTR || (ka ? how == ERESTARTSYS && ka->flags & SA_RESTART : how != ERESTART_RESTARTBLOCK);
	if (again)
		restart_call(t, t->call.nr);
	else if (!ka)
		restart_call(t, SYS_restart_syscall);
	else
		platform->set_ret(t->ctx, (uint64_t)-EINTR);
}

// All members stop. The last one to do so tells the parent.
static void start_group_stop_locked(struct task *t, int sig)
{
	struct thread_group *tg = t->tg;
	struct task *other;

	tg->group_stop = true;
	tg->group_stop_signal = sig;
	tg->continued = false;
	TAILQ_FOREACH(other, &tg->tasks, tg_link) {
		if (other == t)
			continue;
		atomic_store(&other->signal_wake, true);
		task_kick(other);
	}
}

static void stop_locked(struct task *t)
{
	struct thread_group *tg = t->tg;

	if (t->stopped)
		return;
	t->stopped = true;
	if (++tg->nstopped < tg->ntasks)
		return;
	tg->stop_unreported = true;
	group_notify_parent_locked(tg, CLD_STOPPED);
}

// A default action that is neither a handler's nor nothing: stops the group or ends it. The lock is held.
static void act_by_default_locked(struct task *t, int sig)
{
	struct thread_group *tg = t->tg;

	if (SIGS_STOP & SIGBIT(sig)) {
		// A terminal's stop means nothing to a group that no shell looks after any more.
		if (sig == SIGSTOP || !pgrp_orphaned_locked(tg->pgrp, NULL))
			start_group_stop_locked(t, sig);
		return;
	}
	group_exit_locked(tg, SIGS_CORE & SIGBIT(sig) && tg->rlimits[RLIMIT_CORE].rlim_cur > 0 ? sig | WCORE : sig);
}

// Takes the next signal that does something. 0: none is left; else its number, with *out_ka its action: a handler's.
// Sets t->exiting or the group's stop for default actions and answers 0 then, too. The lock is held.
static int next_handler_locked(struct task *t, struct ksigaction *out_ka, siginfo_t *out_info)
{
	int sig;

	while (!t->exiting && !t->tg->group_stop && (sig = signal_dequeue_locked(t, ~t->blocked, out_info))) {
		struct ksigaction *ka = signal_action_back_locked(t->sighand, sig);

		if (ka->handler == HANDLER_IGN)
			continue;
		if (ka->handler != HANDLER_DFL) {
			*out_ka = *ka;
			if (ka->flags & SA_RESETHAND)
				ka->handler = HANDLER_DFL;
			return sig;
		}
		if (SIGS_IGNORED & SIGBIT(sig) || t->tg->unkillable)
			continue;
		act_by_default_locked(t, sig);
	}
	return 0;
}

static void run_handler(struct task *t, int sig, const siginfo_t *info, const struct ksigaction *ka)
{
	ksigset_t after = t->restore_blocked ? t->saved_blocked : t->blocked;
	siginfo_t fault;

	settle_call(t, ka);
	if (signal_frame_push(t, sig, info, ka, after) < 0) {
		// Without a stack for it a handler of SIGSEGV can't run either.
		siginfo_kernel(&fault, SIGSEGV);
		if (sig == SIGSEGV) {
			mutex_lock(&kernel()->tasks_mu);
			signal_action_back_locked(t->sighand, SIGSEGV)->handler = HANDLER_DFL;
			mutex_unlock(&kernel()->tasks_mu);
		}
		signal_force(t, SIGSEGV, &fault);
		return;
	}
	t->restore_blocked = false;
	signal_set_blocked(t, t->blocked | ka->mask | (ka->flags & SA_NODEFER ? 0 : SIGBIT(sig)));
}

// With the lock held: parks the task until it is kicked, and the lock is free (true), or comes back with the lock (false).
static bool park_stopped(struct task *t)
{
	t->in_group_stop = true;
	mutex_unlock(&kernel()->tasks_mu);
	// What its call changed of the memory is done now: afterwards others, who don't stop just yet, may have changed the same places.
	if (platform->settle && t->came)
		platform->settle(t->ctx);
	if (sched_park(t))
		return true;
	mutex_lock(&kernel()->tasks_mu);
	t->in_group_stop = false;
	return false;
}

bool signal_deliver(struct task *t, long ret, bool in_call)
{
	struct kernel *k = kernel();
	struct ksigaction ka;
	siginfo_t info;
	int sig, code;

	if (in_call && is_restart(ret))
		t->pending_restart = -ret;
	mutex_lock(&k->tasks_mu);
	t->in_group_stop = false;
	if (in_call && t->restore_blocked && !is_restart(ret) && ret != -EINTR) {
		// The call succeeded: signals that only its own mask let through stay blocked.
		t->blocked = t->saved_blocked;
		t->restore_blocked = false;
	}
	for (;;) {
		if (t->tg->container->paused && !t->exiting) {
			if (park_stopped(t))
				return false;
			continue;
		}
		sig = next_handler_locked(t, &ka, &info);
		if (sig) {
			mutex_unlock(&k->tasks_mu);
			run_handler(t, sig, &info, &ka);
			mutex_lock(&k->tasks_mu);
			continue;
		}
		if (t->exiting) {
			code = t->tg->group_exit ? t->tg->group_exit_code : 0;
			mutex_unlock(&k->tasks_mu);
			task_exit(t, code);
			return false;
		}
		if (!t->tg->group_stop)
			break;
		stop_locked(t);
		if (park_stopped(t))
			return false;
	}
	if (t->restore_blocked) {
		t->blocked = t->saved_blocked;
		t->restore_blocked = false;
	}
	signal_recalc_locked(t);
	signal_mask_lend_locked(t);
	mutex_unlock(&k->tasks_mu);
	settle_call(t, NULL);
	return true;
}
