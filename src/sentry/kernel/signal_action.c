// What a process does with each signal, and the loan of that to its platform, which then answers most of its rt_sigaction calls.
//
// Each signal's action is in one place. It is in sighand->action, where it changes under tasks_mu alone; or it is lent, and lies in the platform's
// table, where the application may change it without our hearing of it: until it is taken back, which is one step to the application.
// A signal that waits for anybody in the process has its action here: whoever sends one takes that back before he judges whether it is ignored, and it
// isn't lent again before nothing of it is queued. So what Linux drops when a signal comes to be ignored is dropped in the sentry.
//
// The table belongs to the context of the process's leader, and the loan ends with that: in a group whose leader has ended, every call comes to us.
// Processes that share their actions (CLONE_SIGHAND) have none, since what is dropped is only the caller's.
//
// All that can be is lent at once, when a process calls rt_sigaction, or is forked by one that has a loan. A hostile application can write anything
// into the table, and gets what such calls would have given it: the platform's entries have no room for more.
#include <string.h>

#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"

#define LENDABLE (~SIG_UNBLOCKABLE)

KMEM_TYPE(sighand_type, sighand);

static void look_locked(struct sighand *sh, int sig)
{
	struct ksigaction *ka = &sh->action[sig - 1];

	platform->get_action(sh->home->ctx, sig, ka);
	ka->mask &= ~SIG_UNBLOCKABLE;
}

// What the application may have changed since it was lent.
static ksigset_t changed_locked(const struct sighand *sh)
{
	return sh->lent ? sh->lent & platform->actions_changed(sh->home->ctx) : 0;
}

static void look_at_all_locked(struct sighand *sh)
{
	ksigset_t changed;

	for (changed = changed_locked(sh); changed; changed &= changed - 1)
		look_locked(sh, __builtin_ctzll(changed) + 1);
}

const struct ksigaction *signal_action_locked(struct sighand *sh, int sig)
{
	mutex_assert_held(&kernel()->tasks_mu);
	if (changed_locked(sh) & SIGBIT(sig))
		look_locked(sh, sig);
	return &sh->action[sig - 1];
}

struct ksigaction *signal_action_back_locked(struct sighand *sh, int sig)
{
	struct ksigaction *ka = &sh->action[sig - 1];

	mutex_assert_held(&kernel()->tasks_mu);
	if (sh->lent & SIGBIT(sig)) {
		platform->take_action(sh->home->ctx, sig, ka);
		ka->mask &= ~SIG_UNBLOCKABLE;
		sh->lent &= ~SIGBIT(sig);
	}
	return ka;
}

static void all_back_locked(struct sighand *sh)
{
	while (sh->lent)
		signal_action_back_locked(sh, __builtin_ctzll(sh->lent) + 1);
}

// --- lending

static bool may_lend(const struct sighand *sh)
{
	return platform->lend_actions && !kernel()->strace && !sh->shared;
}

static ksigset_t waiting_locked(const struct thread_group *tg)
{
	ksigset_t set = tg->pending.set;
	const struct task *t;

	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		set |= t->pending.set;
	return set;
}

static void lend_locked(struct sighand *sh, struct task *home, ksigset_t which)
{
	sh->lent |= platform->lend_actions(home->ctx, sh->action, which, !sh->home);
	sh->home = home;
}

void signal_action_lend_locked(struct task *t, int sig)
{
	struct task *home = t->tg->leader;
	struct sighand *sh = t->sighand;

	mutex_assert_held(&kernel()->tasks_mu);
	if (!may_lend(sh) || !home->ctx)
		return;
	lend_locked(sh, home, (sh->home ? SIGBIT(sig) : LENDABLE) & LENDABLE & ~sh->lent & ~waiting_locked(t->tg));
	platform->use_actions(t->ctx, home->ctx);
}

void signal_actions_inherit(struct task *t, struct task *child)
{
	struct sighand *sh = child->sighand;

	mutex_lock(&kernel()->tasks_mu);
	if (t->sighand->home && may_lend(sh)) {
		if (!sh->home)
			lend_locked(sh, child, LENDABLE & ~waiting_locked(child->tg));
		platform->use_actions(child->ctx, sh->home->ctx);
	}
	mutex_unlock(&kernel()->tasks_mu);
}

void signal_actions_leave_locked(struct task *t)
{
	struct sighand *sh = t->sighand;

	mutex_assert_held(&kernel()->tasks_mu);
	if (!sh || sh->home != t)
		return;
	if (t->tg->ntasks > 1)
		all_back_locked(sh);
	else
		look_at_all_locked(sh); // nobody changes them any more
	platform->use_actions(t->ctx, NULL);
	sh->lent = 0;
	sh->home = NULL;
}

// --- whose they are

struct sighand *sighand_create(void)
{
	struct sighand *sh = kmem_alloc(&sighand_type);

	if (sh)
		ref_init(&sh->ref);
	return sh;
}

struct sighand *sighand_dup(struct sighand *sh)
{
	struct sighand *copy = kmem_alloc(&sighand_type);

	if (!copy)
		return NULL;
	ref_init(&copy->ref);
	mutex_lock(&kernel()->tasks_mu);
	look_at_all_locked(sh);
	memcpy(copy->action, sh->action, sizeof(copy->action));
	mutex_unlock(&kernel()->tasks_mu);
	return copy;
}

struct sighand *sighand_share(struct sighand *sh, bool between_processes)
{
	ref_get(&sh->ref);
	if (between_processes) {
		mutex_lock(&kernel()->tasks_mu);
		sh->shared = true;
		all_back_locked(sh);
		mutex_unlock(&kernel()->tasks_mu);
	}
	return sh;
}

void sighand_put(struct sighand *sh)
{
	if (ref_put(&sh->ref))
		kmem_free(&sighand_type, sh);
}
