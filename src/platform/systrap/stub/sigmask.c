// rt_sigprocmask, while the sentry lends the thread's mask. Why no signal is lost by that, sentry/kernel/signal_mask.c says.
//
// Only what succeeds is answered here. An error, or what can't be read or written, is the sentry's to find again.
#include "platform/systrap/stub/stub.h"

#include <signal.h>
#include <stdbool.h>

enum { SIGSET_BYTES = 8 };

#define BIT(sig) (1ull << ((sig) - 1))

static bool in_reach(uint64_t addr)
{
	return addr <= STUB_TEXT - SIGSET_BYTES;
}

bool sigmask_lent(const struct slot *s)
{
	return __atomic_load_n(&s->sigmask.lent, __ATOMIC_SEQ_CST);
}

void sigmask_set(struct slot *s, uint64_t mask)
{
	mask &= ~(BIT(SIGKILL) | BIT(SIGSTOP));
	if (mask == s->sigmask.mask)
		return;
	__atomic_exchange_n(&s->sigmask.mask, mask, __ATOMIC_SEQ_CST);
	if (!sigmask_lent(s))
		s->interrupt = 1;
}

// The new mask, by what lies at addr.
static bool changed(uint64_t old, int how, uint64_t addr, uint64_t *out)
{
	uint64_t set;

	if (!in_reach(addr) || stub_copy8(&set, (const void *)addr) < 0)
		return false;
	if (how == SIG_BLOCK)
		set |= old;
	else if (how == SIG_UNBLOCK)
		set = old & ~set;
	else if (how != SIG_SETMASK)
		return false;
	*out = set;
	return true;
}

bool own_sigprocmask(struct slot *s)
{
	const uint64_t set = s->call.args[1], oldset = s->call.args[2], old = s->sigmask.mask;
	uint64_t mask = old;

	if (!sigmask_lent(s) || s->call.args[3] != SIGSET_BYTES)
		return false;
	if (set && !changed(old, (int)s->call.args[0], set, &mask))
		return false;
	// Linux changes the mask first. To the thread that is the same: nobody can find its signals in between.
	if (oldset && (!in_reach(oldset) || stub_copy8((void *)oldset, &old) < 0))
		return false;
	sigmask_set(s, mask);
	s->regs.rax = 0;
	return true;
}
