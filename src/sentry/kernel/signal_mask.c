// Who blocks what, and who is to take a signal that is sent to a group.
//
// A task's mask is t->blocked while the sentry has the task, and the platform's copy while it is with the application (in_user): there
// the application may change it without our hearing of it, as long as the mask is lent. It is lent by the task's own rt_sigprocmask or rt_sigreturn, to who is made by one
// that has called these, and again after a signal was taken; and only while no signal waits for it. In no order can the sender of a signal and the application miss each other:
//
//	the sender (tasks_mu): queues the signal; takes the loan back; looks at the masks; wakes who doesn't block it
//	the application: sees that the mask is lent; changes it; looks again, and if the loan is gone interrupts itself before it goes on
//
// with a full barrier between each one's second and third step: the sender sees the new mask, or the application comes to us. Who comes brings
// the mask along (signal_mask_came), who goes has left it there before it is in_user (signal_mask_goes): in between both places say the same. If
// the sender found the task still here, the loan was gone before the task went.
//
// Who was chosen for a group's signal may block it before it takes it. That is why signal_wake, which a choice sets, is cleared by
// signal_recalc_locked() alone: it hands on what the task blocks by then.
//
// A hostile application can write anything over the platform's copy: then its signals come as if it had made such calls.
#include "sentry/kernel/signal.h"

#include "platform/platform.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"

static ksigset_t platforms_copy(struct task *t)
{
	return platform->get_sigmask(t->ctx) & ~SIG_UNBLOCKABLE;
}

ksigset_t signal_blocked_locked(struct task *t)
{
	mutex_assert_held(&kernel()->tasks_mu);
	return platform->get_sigmask && t->ctx && atomic_load(&t->in_user) ? platforms_copy(t) : t->blocked;
}

// --- lending

void signal_mask_lend_locked(struct task *t)
{
	mutex_assert_held(&kernel()->tasks_mu);
	if (t->changes_mask && !(t->pending.set | t->tg->pending.set))
		platform->lend_sigmask(t->ctx, true);
}

void signal_mask_lend(struct task *t)
{
	if (!platform->lend_sigmask || kernel()->strace)
		return;
	mutex_lock(&kernel()->tasks_mu);
	t->changes_mask = true;
	signal_mask_lend_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
}

static void take_back(struct task *t)
{
	if (platform->lend_sigmask && t->ctx)
		platform->lend_sigmask(t->ctx, false);
}

void signal_masks_back_locked(struct thread_group *tg, struct task *only)
{
	struct task *t;

	mutex_assert_held(&kernel()->tasks_mu);
	if (only)
		take_back(only);
	else
		TAILQ_FOREACH(t, &tg->tasks, tg_link)
			take_back(t);
}

void signal_mask_came(struct task *t)
{
	if (platform->get_sigmask && platforms_copy(t) != t->blocked) {
		mutex_lock(&kernel()->tasks_mu);
		t->blocked = platforms_copy(t);
		atomic_store_explicit(&t->in_user, false, memory_order_relaxed);
		signal_recalc_locked(t);
		mutex_unlock(&kernel()->tasks_mu);
	}
	atomic_store_explicit(&t->in_user, false, memory_order_relaxed);
}

void signal_mask_goes(struct task *t)
{
	if (platform->set_sigmask)
		platform->set_sigmask(t->ctx, t->blocked);
	atomic_store(&t->in_user, true);
}

// --- who takes it

ksigset_t signal_wake_if_wants_locked(struct task *t, ksigset_t which)
{
	if (t->exiting || t->stopped)
		return 0;
	which &= ~signal_blocked_locked(t);
	if (which) {
		atomic_store(&t->signal_wake, true);
		task_kick(t);
	}
	return which;
}

void signal_wake_one_locked(struct thread_group *tg, ksigset_t which)
{
	struct task *t;

	for (t = TAILQ_FIRST(&tg->tasks); t && which; t = TAILQ_NEXT(t, tg_link))
		which &= ~signal_wake_if_wants_locked(t, which);
}

static bool something_to_do(struct task *t)
{
	return t->exiting || t->tg->container->paused || t->tg->group_stop || t->restore_blocked || ((t->pending.set | t->tg->pending.set) & ~t->blocked);
}

void signal_recalc_locked(struct task *t)
{
	const bool woken = atomic_exchange(&t->signal_wake, something_to_do(t));

	if (woken)
		signal_wake_one_locked(t->tg, t->tg->pending.set & t->blocked);
}

bool signal_pending(struct task *t)
{
	bool pending;

	if (!atomic_load(&t->signal_wake))
		return false;
	mutex_lock(&kernel()->tasks_mu);
	signal_recalc_locked(t);
	pending = t->exiting || t->tg->group_stop || ((t->pending.set | t->tg->pending.set) & ~t->blocked);
	mutex_unlock(&kernel()->tasks_mu);
	return pending;
}

void signal_set_blocked(struct task *t, ksigset_t mask)
{
	mutex_lock(&kernel()->tasks_mu);
	t->blocked = mask & ~SIG_UNBLOCKABLE;
	signal_recalc_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
}

void signal_mask_during_call(struct task *t, ksigset_t mask)
{
	mutex_lock(&kernel()->tasks_mu);
	t->saved_blocked = t->blocked;
	t->restore_blocked = true;
	t->blocked = mask & ~SIG_UNBLOCKABLE;
	signal_recalc_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
}
