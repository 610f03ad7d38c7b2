// Signal actions that are lent to a process (stub/sigaction.c): a table in the slot of the context that they lie with.
//
// Of the other contexts those can use it that live where the table is in the first slot: no other context ever gets that one (systrap_ctx_free), while any
// other's table may be a stranger's when a thread that is slow looks at it.
#include "platform/systrap/systrap_int.h"

#include "lib/container_of.h"

static struct chan_actions *table(struct platform_ctx *home)
{
	return (struct chan_actions *)((uint8_t *)home->slot + SLOT_ACTIONS);
}

uint64_t systrap_lend_actions(struct platform_ctx *home, const struct ksigaction actions[NSIG_MAX], uint64_t which, bool first)
{
	struct chan_actions *all = table(home);
	uint64_t what, lent = 0;

	if (first)
		all->restorer = all->changed = 0;
	for (unsigned i = 0; i < NSIG_MAX; i++) {
		const bool fits = which >> i & 1 && action_pack(&actions[i], &what) && action_restorer(all, actions[i].restorer);

		if (fits) {
			__atomic_store_n(&all->of[i].mask, actions[i].mask, __ATOMIC_RELAXED);
			__atomic_store_n(&all->of[i].what, what, __ATOMIC_RELEASE);
			lent |= 1ull << i;
		} else if (first) {
			all->of[i].what = 0;
		}
	}
	return lent;
}

void systrap_use_actions(struct platform_ctx *ctx, struct platform_ctx *home)
{
	const uint32_t actions = home && (home == ctx || home->index == 0) ? home->index + 1 : 0;

	if (__atomic_load_n(&ctx->slot->actions, __ATOMIC_RELAXED) != actions)
		__atomic_store_n(&ctx->slot->actions, actions, __ATOMIC_RELEASE);
}

uint64_t systrap_actions_changed(struct platform_ctx *home)
{
	return __atomic_load_n(&table(home)->changed, __ATOMIC_SEQ_CST);
}

static void unpack(struct chan_actions *all, const struct chan_action *a, struct ksigaction *out)
{
	action_unpack(a, __atomic_load_n(&all->restorer, __ATOMIC_SEQ_CST), out);
}

void systrap_get_action(struct platform_ctx *home, int sig, struct ksigaction *out)
{
	struct chan_actions *all = table(home);
	struct chan_action a = {0, 0};

	action_exchange(&all->of[sig - 1], &a, a); // both words as of one moment
	unpack(all, &a, out);
}

// A stub exchanges both words at once, and only what is lent: so the mask is the action's that was there last.
void systrap_take_action(struct platform_ctx *home, int sig, struct ksigaction *out)
{
	struct chan_actions *all = table(home);
	struct chan_action a;

	a.what = __atomic_exchange_n(&all->of[sig - 1].what, 0, __ATOMIC_SEQ_CST);
	a.mask = __atomic_load_n(&all->of[sig - 1].mask, __ATOMIC_SEQ_CST);
	unpack(all, &a, out);
}
