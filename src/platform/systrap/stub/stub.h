// The stub's own pieces. It runs on the slot's stack with the application's extended state live: general registers only.
#pragma once

#include <stdbool.h>
#include <ucontext.h>

#include "platform/systrap/channel.h"

#define SITES ((struct sites *)STUB_SITES)
#define LENT ((struct chan_lent *)(CHAN_BASE + SLOT_LENT))
#define PARAM ((const volatile struct stub_param *)STUB_PARAM)

// entry.S: may fault at the application's addresses; 0, or -1 if it did.
long stub_copy(void *dst, const void *src, uint64_t len);
long stub_copy8(void *dst, const void *src); // 8 bytes; nothing is written if it fails
long stub_zero(void *dst, uint64_t len);
long stub_copy_str(void *dst, const void *src, uint64_t cap); // the length with its NUL; -1 also if there is none in cap bytes
long stub_cmpxchg(uint32_t *at, uint32_t *inout_expected, uint32_t desired);
long stub_xsave(void *at, uint64_t features);
long stub_xrstor(const void *at, uint64_t features);

// entry.S: to the application with all registers of the slot, or to stub_interrupted if the sentry asks for it meanwhile.
void stub_resume_full(struct slot *s) __attribute__((noreturn));
// A copy of the process; the child takes over chan_fd and sock_fd and goes to stub_process_born. 0 or -errno.
long stub_clone_process(long chan_fd, long sock_fd);
// A thread, which goes to stub_thread_born with s. 0 or -errno.
long stub_clone_thread(struct slot *s);

// The call is a wait for children of whom there is no news: the sentry need not hear of it before there is.
bool waits_for_news(const struct slot *s);

void stub_process_born(long chan_fd, long sock_fd) __attribute__((noreturn));
void stub_thread_born(struct slot *s) __attribute__((noreturn));
void stub_interrupted(struct slot *s) __attribute__((noreturn));

enum { SITE_JUMP_BYTES = 7 };

static inline bool site_in_page(uint64_t addr, unsigned len)
{
	return (addr & 4095) <= 4096 - len;
}

// site_shapes.c
// What the site with its syscall or cpuid instruction before `after` is, in *out. False: none that fits.
bool site_classify(uint64_t after, struct site *out);
unsigned site_starts(const struct site *s); // a bit for each of the jump's bytes where an instruction began, but the first

// sites.c
bool site_wanted(uint64_t after);
void site_patch(uint64_t after, int prot, bool alone, uint64_t start, uint64_t len); // start, len: the mapping
void sites_patch(uint64_t start, uint64_t len, int prot, const uint32_t *offsets, uint64_t n); // nobody runs there
bool site_give_back(struct site *s); // false: somebody is about it
void sites_restore(uint64_t start, uint64_t end, int prot);
void sites_part(uint64_t start, uint64_t end);
long sites_advise(uint64_t start, uint64_t len, int advice); // sites_part and madvise, while nobody changes sites
bool sites_straddle(uint64_t start, uint64_t end); // one lies there and in another page, too
// True: until sites_let_go() nobody changes sites. To be followed by that in any case.
bool sites_hold(void);
void sites_let_go(void);
void sites_await_held(void); // those that hold them now

// site_traps.c
struct site *site_of_illegal(uint64_t rip, bool *out_has_nr);
struct site *site_of_compare(uint64_t rip);
struct site *site_of_middle(uint64_t rip);
bool site_is_back(uint64_t rip);
void site_lea(const struct site *s, struct stub_regs *r);
void site_cpuid(struct site *s, struct stub_regs *r); // a cpuid, and what is behind it
void site_finish(struct site *s, struct stub_regs *r); // what the site did behind its call
// At r->rip in a SITE_BEHIND's middle, by a trap there. False: it is the application's.
bool site_arrived(struct site *s, struct stub_regs *r, bool illegal);

bool own_call(struct slot *s);     // calls.c: answers the call in the slot, if that takes no sentry
bool own_sigprocmask(struct slot *s); // sigmask.c: likewise, rt_sigprocmask
bool sigmask_lent(const struct slot *s); // likewise: the stub may change it
void sigmask_set(struct slot *s, uint64_t mask); // likewise, it was lent
bool own_sigreturn(struct slot *s); // sigreturn.c: likewise, rt_sigreturn: then it doesn't come back
bool own_sigaction(struct slot *s); // sigaction.c: likewise, rt_sigaction
bool own_name(struct slot *s); // names.c: likewise, a question about a path. If not, the path may lie in the data area already (prefetch)
void name_keep(struct slot *s); // likewise: the answer, with STATE_KEEP, to the call under way
bool own_fstat(struct slot *s); // opened.c: likewise, fstat and what means the same
bool own_fcntl(struct slot *s); // likewise, fcntl
bool own_getdents(struct slot *s); // likewise, getdents64 at a directory's end
uint32_t opened_asks(struct slot *s); // likewise: KIND_STAT, if the open in the slot is likely to be followed by one; or 0
void opened_keep(struct slot *s); // likewise: what the answer to it, with STATE_KEEP, brought along
void opened_at_end(struct slot *s); // likewise, to a getdents64
void opened_after(struct slot *s); // likewise: the call in the slot is the sentry's
bool own_transfer(struct slot *s); // lent.c: likewise, a read, write or lseek
bool own_advice(struct slot *s);   // advise.c: likewise, an madvise
bool own_late(struct slot *s);     // late.c: likewise, an mmap, munmap, mprotect, brk or close, of which the sentry is told with the next event
uint32_t prefetch(struct slot *s); // shapes.c: copies what the call's arguments point to; what the event's kind says of it
bool ops_run(struct slot *s);      // ops.c: false if one failed (fail_err, fail_tag)
bool op_run(struct slot *s);       // likewise, the one of line 0
long load_xstate(struct slot *s, const void *src, uint64_t features); // likewise, of OP_XLOAD. 0 or -errno
bool move_run(struct slot *s);     // likewise: what STATE_MOVE says. Short is failed, since the answer says that all was moved

void slot_take_regs(struct slot *s, const greg_t *g); // signal.c: the application's, out of a signal's frame; and the bases of fs and gs, which are live
void slot_take_args(struct slot *s); // of a call, from the registers
void slot_post(struct slot *s, uint32_t kind); // an event for the sentry
uint32_t slot_turn(struct slot *s);            // waits and serves until the application may go on; the answer's state
// After spinning in vain, or leaving it out. *spin is how many times not to (or not for long), and above 16 bits how many were last; 0 if it paid.
void spin_in_vain(uint32_t *spin);
void slot_ring(void);                          // wakes the sentry, if it sleeps

enum { PAGE_BYTES = 4096, LOW_END = 0x70000, FAR_END = SITE_FAR + SITE_FAR_BYTES }; // as mm_map.c has them

static inline uint64_t page_up(uint64_t addr)
{
	return (addr + PAGE_BYTES - 1) & -(uint64_t)PAGE_BYTES;
}

// All of it the application's, with none of the platform's tables between; *out_end is its end.
static inline bool range_good(uint64_t addr, uint64_t len, uint64_t *out_end)
{
	if (addr % PAGE_BYTES || addr < LOW_END || addr >= STUB_TEXT || !len || len > STUB_TEXT - addr)
		return false;
	*out_end = addr + page_up(len);
	return *out_end <= SITE_FAR || addr >= FAR_END;
}

// What the process was lent of the descriptor: LENT_*, or 0.
static inline uint64_t lent_of(uint32_t fd)
{
	return fd < CHAN_LENT ? __atomic_load_n(&LENT[fd].what, __ATOMIC_ACQUIRE) : 0;
}

static inline uint64_t spin_clock(void)
{
	return __builtin_ia32_rdtsc();
}

static inline long stub_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}
#define stub_call1(nr, a) stub_call(nr, (long)(a), 0, 0, 0, 0, 0)
#define stub_call2(nr, a, b) stub_call(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define stub_call3(nr, a, b, c) stub_call(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
