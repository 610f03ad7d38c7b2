// Transfers that never leave the stub: those on descriptors that the sentry lent to the process (channel.h), as long as all that is asked for can
// be moved, or all that there is where the host knows that. Everything else, memory that isn't there, goes to the sentry, as if nothing had been tried.
//
// It counts only if the descriptor was on loan until the bytes were there, so there is a look at its entry before and after; what came from
// another file, as the sentry had changed the descriptor meanwhile, is read anew by way of the sentry. With a position the second look is
// the one instruction that moves it on: several readers then get different bytes without a lock, which a thread that is killed could leave locked.
// What is written can't be taken back, so who writes says so in its slot before it looks: the descriptor stays what it is until it is done.
//
// An eventfd's count and the few bytes in a pipe lie in the entry itself, where such a position is.
#include "platform/systrap/stub/stub.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	TRIES = 4, // while others move the position; then the sentry takes it back
	ZEROS_MAX = 64 << 10, // a call that is long looks for signals, and that is the sentry's business
	MOVE_MAX = 0x7ffff000, // as many bytes as Linux moves at once
};

#define SEEK_FAR (1ll << 40) // from there on the file system may have something to say

static bool still(const struct chan_lent *e, uint64_t what)
{
	return __atomic_load_n(&e->what, __ATOMIC_ACQUIRE) == what && !PARAM->watched;
}

// If the entry says what and *pos, its position becomes to; else *pos is what it says, and false if it is another loan.
static bool move_on(struct chan_lent *e, uint64_t what, uint64_t *pos, uint64_t to, bool *out_lent)
{
	uint64_t said = what;
	bool done;

	asm volatile("lock cmpxchg16b %1" : "=@ccz"(done), "+m"(*e), "+a"(said), "+d"(*pos) : "b"(what), "c"(to) : "memory");
	*out_lent = said == what;
	return done;
}

static bool good_range(const struct slot *s)
{
	const uint64_t addr = s->call.args[1], len = s->call.args[2];

	return len && len <= MOVE_MAX && addr <= STUB_TEXT - len;
}

// How much was got, all that was asked for or all that there is; -1 if that isn't known.
static long get(const struct slot *s, uint64_t what, uint64_t pos)
{
	const long len = s->call.args[2];
	long n;

	if ((int64_t)pos < 0)
		return -1;
	n = stub_call(SYS_pread64, STUB_FD_CACHE + (what & LENT_PLACE), s->call.args[1], len, pos, 0, 0);
	return n == len || (what & LENT_END && n >= 0) ? n : -1;
}

static bool __attribute__((noinline)) read_at(struct slot *s, const struct chan_lent *e, uint64_t what)
{
	const long n = good_range(s) ? get(s, what, s->call.args[3]) : -1;

	if (n < 0 || !still(e, what))
		return false;
	s->regs.rax = n;
	return true;
}

static bool __attribute__((noinline)) read_on(struct slot *s, struct chan_lent *e, uint64_t what)
{
	uint64_t pos = *(volatile uint64_t *)&e->pos;
	bool lent = good_range(s);

	for (int i = 0; i < TRIES && lent; i++) {
		const long n = get(s, what, pos);

		if (n < 0 || PARAM->watched)
			return false;
		if (move_on(e, what, &pos, pos + n, &lent)) {
			s->regs.rax = n;
			return true;
		}
	}
	return false;
}

static bool __attribute__((noinline)) seek(struct slot *s, struct chan_lent *e, uint64_t what)
{
	const uint32_t whence = s->call.args[2];
	uint64_t pos = *(volatile uint64_t *)&e->pos;
	bool lent = whence == SEEK_SET || whence == SEEK_CUR;

	for (int i = 0; i < TRIES && lent; i++) {
		int64_t to = s->call.args[1];

		if ((whence == SEEK_CUR && __builtin_add_overflow(to, (int64_t)pos, &to)) || to < 0 || to > SEEK_FAR)
			return false;
		if (move_on(e, what, &pos, to, &lent)) {
			s->regs.rax = to;
			return true;
		}
	}
	return false;
}

static bool __attribute__((noinline)) zeros(struct slot *s, const struct chan_lent *e, uint64_t what)
{
	if (!good_range(s) || s->call.args[2] > ZEROS_MAX || stub_zero((void *)s->call.args[1], s->call.args[2]) < 0 || !still(e, what))
		return false;
	s->regs.rax = s->call.args[2];
	return true;
}

static bool __attribute__((noinline)) write_at(struct slot *s, struct chan_lent *e, uint64_t what)
{
	const uint64_t limit = *(volatile uint64_t *)&e->limit, at = s->call.args[3], len = s->call.args[2];
	long n = -1;

	if (!good_range(s) || at > limit || len > limit - at)
		return false;
	*(volatile uint64_t *)&e->written = spin_clock(); // first, like Linux: who finds the bytes finds the time
	__atomic_store_n(&s->writes, (what & LENT_PLACE) + 1, __ATOMIC_SEQ_CST);
	if (still(e, what) && !PARAM->limited)
		n = stub_call(SYS_pwrite64, STUB_FD_CACHE + (what & LENT_PLACE), s->call.args[1], len, at, 0, 0);
	__atomic_store_n(&s->writes, 0, __ATOMIC_RELEASE);
	if (n != (long)len)
		return false;
	s->regs.rax = len;
	return true;
}

// Linux doesn't look at the bytes either.
static bool away(struct slot *s)
{
	if (!good_range(s))
		return false;
	s->regs.rax = s->call.args[2];
	return true;
}

// Can so many bytes, 8 at most, be written there? A word is exchanged for itself, since what the call would move isn't known yet.
static bool writable(uint64_t addr, uint64_t len)
{
	const uint64_t first = addr & ~3ull, last = (addr + len - 1) & ~3ull;
	uint32_t zero = 0;

	return stub_cmpxchg((uint32_t *)first, &zero, 0) == 0 &&
	       ((first ^ last) >> 12 == 0 || (zero = 0, stub_cmpxchg((uint32_t *)last, &zero, 0) == 0));
}

static bool __attribute__((noinline)) count_read(struct slot *s, struct chan_lent *e, uint64_t what)
{
	const uint64_t addr = s->call.args[1];
	uint64_t count = *(volatile uint64_t *)&e->pos;
	bool lent = good_range(s) && s->call.args[2] >= sizeof(count) && count && writable(addr, sizeof(count));

	for (int i = 0; i < TRIES && lent && count; i++) {
		const uint64_t n = what & LENT_PLACE ? 1 : count;

		if (move_on(e, what, &count, count - n, &lent)) {
			s->regs.rax = stub_copy8((void *)addr, &n) == 0 ? sizeof(n) : (uint64_t)-EFAULT;
			return true;
		}
	}
	return false;
}

static bool __attribute__((noinline)) count_write(struct slot *s, struct chan_lent *e, uint64_t what)
{
	uint64_t count = *(volatile uint64_t *)&e->pos, n;
	bool lent = good_range(s) && s->call.args[2] == sizeof(n) && stub_copy8(&n, (const void *)s->call.args[1]) == 0;

	for (int i = 0; i < TRIES && lent; i++) {
		if (n == UINT64_MAX || n > UINT64_MAX - 1 - count)
			return false;
		if (move_on(e, what, &count, count + n, &lent)) {
			s->regs.rax = sizeof(n);
			return true;
		}
	}
	return false;
}

static bool __attribute__((noinline)) bytes_read(struct slot *s, struct chan_lent *e, uint64_t what)
{
	const uint64_t addr = s->call.args[1], len = s->call.args[2];
	uint64_t bytes = *(volatile uint64_t *)&e->pos;
	bool lent = good_range(s) && bytes & LENT_BYTES_MAX && writable(addr, len < LENT_BYTES_MAX ? len : LENT_BYTES_MAX);

	for (int i = 0; i < TRIES && lent && bytes & LENT_BYTES_MAX; i++) {
		const uint64_t there = bytes & LENT_BYTES_MAX, n = len < there ? len : there, first = bytes >> 8;

		if (move_on(e, what, &bytes, (bytes >> 8 * n & ~0xffull) | (there - n), &lent)) {
			s->regs.rax = stub_copy((void *)addr, &first, n) == 0 ? n : (uint64_t)-EFAULT;
			return true;
		}
	}
	return false;
}

// The reader's entry counts if it was there while ours was: it is given first and taken back first.
static bool __attribute__((noinline)) bytes_write(struct slot *s, const struct chan_lent *mine, uint64_t what)
{
	struct chan_lent *e = LENT + what % CHAN_LENT;
	const uint64_t len = s->call.args[2], to = __atomic_load_n(&e->what, __ATOMIC_ACQUIRE);
	uint64_t bytes = *(volatile uint64_t *)&e->pos, new = 0;
	bool lent = to & LENT_BYTES && still(mine, what) && len <= LENT_BYTES_MAX && good_range(s) &&
		    stub_copy(&new, (const void *)s->call.args[1], len) == 0;

	for (int i = 0; i < TRIES && lent; i++) {
		const uint64_t there = bytes & LENT_BYTES_MAX;

		if (there + len > LENT_BYTES_MAX)
			return false;
		if (move_on(e, to, &bytes, (bytes + len) | new << 8 * (there + 1), &lent)) {
			s->regs.rax = len;
			return true;
		}
	}
	return false;
}

bool own_transfer(struct slot *s)
{
	const uint32_t fd = s->call.args[0];
	struct chan_lent *e = LENT + fd;
	uint64_t what;

	if (fd >= CHAN_LENT || PARAM->watched)
		return false;
	what = __atomic_load_n(&e->what, __ATOMIC_ACQUIRE);
	switch (s->call.nr) {
	case SYS_read:
		return what & LENT_ZEROS ? zeros(s, e, what)
		       : (what & (LENT_POS | LENT_PREAD)) == (LENT_POS | LENT_PREAD) ? read_on(s, e, what)
		       : what & LENT_COUNT ? count_read(s, e, what)
		       : what & LENT_BYTES ? bytes_read(s, e, what)
					   : false;
	case SYS_pread64:
		return what & LENT_PREAD && read_at(s, e, what);
	case SYS_pwrite64:
		return what & LENT_PWRITE && write_at(s, e, what);
	case SYS_lseek:
		return what & LENT_POS && seek(s, e, what);
	case SYS_write:
		return what & LENT_AWAY ? away(s)
		       : what & LENT_COUNT ? count_write(s, e, what)
		       : what & LENT_FEEDS ? bytes_write(s, e, what)
					   : false;
	}
	return false;
}
