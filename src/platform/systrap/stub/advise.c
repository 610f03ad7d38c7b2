// MADV_DONTNEED and MADV_FREE that never leave the stub: the pages are the host's, so what there is to decide is what the host decides, too. Only of
// locked memory it knows nothing: where there is any, the sentry takes the leave back (channel.h). All that the host doesn't just do goes to
// the sentry, as if nothing had been tried: giving the same pages up twice does no harm, as the call hasn't ended yet.
//
// Another thread's changes of memory aren't waited for. They are the host's calls, too, of which one comes after the other. But while call
// sites are being patched no page may go, since half of a jump would be written to the next one.
#include "platform/systrap/stub/sites.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGE_BYTES = 4096, LOW_END = 0x70000, FAR_END = SITE_FAR + 0x10000 }; // as mm_map.c has them

static bool allowed(void)
{
	return __atomic_load_n((const uint32_t *)(CHAN_BASE + SLOT_ADVICE), __ATOMIC_SEQ_CST);
}

// All of it the application's, with none of the platform's tables between; *out_end is its end.
static bool good_range(uint64_t addr, uint64_t len, uint64_t *out_end)
{
	if (addr % PAGE_BYTES || addr < LOW_END || addr >= STUB_TEXT || !len || len > STUB_TEXT - addr)
		return false;
	*out_end = addr + ((len + PAGE_BYTES - 1) & -PAGE_BYTES);
	return *out_end <= SITE_FAR || addr >= FAR_END;
}

bool own_advice(struct slot *s)
{
	const uint64_t addr = s->call.args[0], len = s->call.args[1];
	const int advice = (int)s->call.args[2];
	uint64_t end;
	bool done;

	if ((advice != MADV_DONTNEED && advice != MADV_FREE) || !allowed() || !good_range(addr, len, &end))
		return false;
	done = sites_hold(addr, end) && allowed() && stub_call3(SYS_madvise, addr, len, advice) == 0;
	sites_let_go();
	if (done)
		s->regs.rax = 0;
	return done;
}
