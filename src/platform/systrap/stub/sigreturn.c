// rt_sigreturn, while the sentry lends the thread's mask: registers, extended state and mask are the frame's, by the rules of sentry/kernel/signal_frame.c.
//
// Only a frame as the sentry writes it is taken here, whatever the handler made of those three. One that is bad, that has less extended state or another
// alternate stack than there is, the sentry is to look at, which then finds that nothing was changed.
#include "platform/systrap/stub/stub.h"

#include <stdbool.h>

#include "abi/sigframe.h"

static bool in_reach(uint64_t addr, uint64_t len)
{
	return addr <= STUB_TEXT - len;
}

// The processor would go on with it, and the alternate stack stays what it is.
static bool plain(const struct slot *s, const struct abi_ucontext *uc)
{
	const struct slot_altstack *now = &s->altstack;
	const stack_t *then = &uc->uc_stack;
	const uint64_t csgsfs = uc->uc_mcontext.gregs[REG_CSGSFS];

	return (csgsfs & 0xffff) == USER_CS && csgsfs >> 48 == USER_SS && in_reach(uc->uc_mcontext.gregs[REG_RIP], 1) &&
	       (uint64_t)then->ss_sp == now->sp && then->ss_size == now->size && (uint32_t)then->ss_flags == now->flags;
}

// The extended state at fp, if all of it is there: that is what the marks say.
static bool load(struct slot *s, uint64_t fp)
{
	const uint32_t size = PARAM->xstate_bytes;
	struct abi_fp_sw sw;
	uint32_t magic2;

	if (fp % 64 || !in_reach(fp, size + sizeof(magic2)) || stub_copy(&sw, (const void *)(fp + ABI_FP_SW_AT), sizeof(sw)) < 0 ||
	    stub_copy(&magic2, (const void *)(fp + size), sizeof(magic2)) < 0)
		return false;
	return sw.magic1 == ABI_FP_MAGIC1 && sw.xstate_size == size && magic2 == ABI_FP_MAGIC2 && load_xstate(s, (const void *)fp, sw.xfeatures) == 0;
}

bool own_sigreturn(struct slot *s)
{
	const uint64_t at = s->regs.rsp;
	struct abi_ucontext uc;

	if (!sigmask_lent(s) || !in_reach(at, sizeof(uc)) || stub_copy(&uc, (const void *)at, sizeof(uc)) < 0 || !plain(s, &uc) ||
	    !load(s, (uint64_t)uc.uc_mcontext.fpregs))
		return false;
	slot_take_regs(s, uc.uc_mcontext.gregs);
	s->regs.eflags = (s->regs.eflags & EFLAGS_USER) | EFLAGS_FIXED;
	sigmask_set(s, uc.uc_sigmask);
	stub_resume_full(s);
}
