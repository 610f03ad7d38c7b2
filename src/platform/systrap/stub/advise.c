// MADV_DONTNEED and MADV_FREE that never leave the stub: the pages are the host's, so what there is to decide is what the host decides, too. Only of
// locked memory it knows nothing: where there is any, the sentry takes the leave back (channel.h). All that the host doesn't just do goes to
// the sentry, as if nothing had been tried: giving the same pages up twice does no harm, as the call hasn't ended yet.
//
// Another thread's changes of memory aren't waited for. They are the host's calls, too, of which one comes after the other. But while call
// sites are being patched no page may go, since half of a jump would be written to the next one.
#include "platform/systrap/stub/sites.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static uint32_t leave(const struct slot *s)
{
	return __atomic_load_n(&s->advice, __ATOMIC_SEQ_CST);
}

static bool give_up(uint64_t addr, uint64_t end, int advice)
{
	return !sites_straddle(addr, end) && stub_call3(SYS_madvise, addr, end - addr, advice) == 0;
}

bool own_advice(struct slot *s)
{
	const uint64_t addr = s->call.args[0];
	const int advice = (int)s->call.args[2];
	const uint32_t leave_at_first = leave(s);
	uint64_t end;
	bool done;

	if (!leave_at_first || (advice != MADV_DONTNEED && advice != MADV_FREE) || !range_good(addr, s->call.args[1], &end))
		return false;
	if (leave_at_first == ADVICE_ALONE) {
		done = give_up(addr, end, advice);
	} else {
		done = sites_hold() && leave(s) && give_up(addr, end, advice);
		sites_let_go();
	}
	if (done)
		s->regs.rax = 0;
	return done;
}
