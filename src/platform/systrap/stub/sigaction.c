// rt_sigaction of signals whose actions the sentry lends to the process. Why nothing is missed by that, sentry/kernel/signal_action.c says.
//
// The sentry looks at those alone that are said to have changed; so that is said first. It stays: who finds another thread's action knows that the
// sentry does, too. Only what succeeds is answered here, but for one error: Linux changes the action before it tells the old one.
#include "platform/systrap/stub/stub.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>

enum {
	SIGSET_BYTES = 8,
	TRIES = 4, // while other threads change it
};

#define BIT(sig) (1ull << ((sig) - 1))

static bool in_reach(uint64_t addr)
{
	return addr <= STUB_TEXT - sizeof(struct ksigaction);
}

static void note_change(struct chan_actions *all, uint64_t bit)
{
	if (!(__atomic_load_n(&all->changed, __ATOMIC_SEQ_CST) & bit))
		__atomic_fetch_or(&all->changed, bit, __ATOMIC_SEQ_CST);
}

// The new action, by what lies at addr.
static bool asked_for(struct chan_actions *all, uint64_t addr, struct chan_action *out)
{
	struct ksigaction ka;

	if (!in_reach(addr) || stub_copy(&ka, (const void *)addr, sizeof(ka)) < 0 || !action_pack(&ka, &out->what) || !action_restorer(all, ka.restorer))
		return false;
	out->mask = ka.mask & ~(BIT(SIGKILL) | BIT(SIGSTOP));
	return true;
}

bool own_sigaction(struct slot *s)
{
	const uint64_t act = s->call.args[1], oact = s->call.args[2];
	const uint32_t sig = s->call.args[0], at = s->actions;
	struct chan_action old, new;
	struct chan_actions *all;
	struct ksigaction told;
	bool done = false;

	if (!at || at > SLOTS_MAX || sig < 1 || sig > NSIG_MAX || s->call.args[3] != SIGSET_BYTES)
		return false;
	all = (struct chan_actions *)(CHAN_BASE + (uint64_t)(at - 1) * SLOT_BYTES + SLOT_ACTIONS);
	if ((act && !asked_for(all, act, &new)) || (oact && !in_reach(oact)))
		return false;
	if (act)
		note_change(all, BIT(sig));
	old.what = *(volatile uint64_t *)&all->of[sig - 1].what;
	old.mask = *(volatile uint64_t *)&all->of[sig - 1].mask;
	for (int i = 0; i < TRIES && !done; i++) {
		if (!(old.what & ACTION_LENT))
			return false;
		done = action_exchange(&all->of[sig - 1], &old, act ? new : old);
	}
	if (!done)
		return false;
	action_unpack(&old, *(volatile uint64_t *)&all->restorer, &told);
	s->regs.rax = oact && stub_copy((void *)oact, &told, sizeof(told)) < 0 ? (uint64_t)-EFAULT : 0;
	return true;
}
