// Calls that never leave the stub: those whose answer is a constant of the task, which the sentry keeps in the slot; those that only say something,
// which is kept there for the sentry, or to the processor; and sched_yield.
//
// Of futex calls only those that need no waiter: a wake of nobody, a wait that has come too late. A waiter in the stub would be one that the
// sentry doesn't know: it couldn't requeue it, wake it for a robust list or the end of a thread, or count it in FUTEX_WAKE's answer, and a
// word may have waiters of both kinds. But the sentry counts its waiters where the stub can see it (channel.h); and a wait may begin a little later
// than it was asked for, so that threads that take turns meet here awake.
#include "platform/systrap/stub/stub.h"

#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <errno.h>
#include <linux/futex.h> // struct robust_list_head, too
#include <linux/wait.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/syscall.h>

enum {
	FUTEX_SPIN = 40000, // in cycles of the time-stamp counter
	FUTEX_YIELD = 1500,
	NSEC_PER_SEC = 1000000000,
};

static uint64_t constant(const volatile struct slot_ids *ids, uint64_t nr)
{
	switch (nr) {
	case SYS_getpid:
		return ids->tgid;
	case SYS_gettid:
		return ids->tid;
	case SYS_getppid:
		return ids->ppid;
	case SYS_getuid:
		return ids->uid;
	case SYS_geteuid:
		return ids->euid;
	case SYS_getgid:
		return ids->gid;
	default:
		return ids->egid;
	}
}

// True if the call wakes a private futex that nobody waits for.
static bool wakes_nobody(const struct slot *s)
{
	const uint64_t addr = s->call.args[0];
	const uint32_t op = s->call.args[1];
	struct chan_futex *f = chan_futex((void *)CHAN_BASE, addr);

	if (!(op == FUTEX_WAKE_PRIVATE || (op == FUTEX_WAKE_BITSET_PRIVATE && (uint32_t)s->call.args[5])))
		return false;
	if (!PARAM->answers || addr % 4 || addr >= STUB_TEXT)
		return false;
	__atomic_fetch_add(&f->wakes, 1, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&f->waiters, __ATOMIC_SEQ_CST);
}

// Linux looks at the timeout before it looks at the word.
static bool timeout_good(uint64_t addr)
{
	struct {
		int64_t sec, nsec;
	} ts;

	if (!addr)
		return true;
	return stub_copy(&ts, (const void *)addr, sizeof(ts)) == 0 && ts.sec >= 0 && (uint64_t)ts.nsec < NSEC_PER_SEC;
}

// Does the word at addr come to differ from val soon? Waiting awake for it pays where threads take turns; to everybody else it is as if the call had
// been made a little later. Who is to change it may need this processor.
static bool differs_soon(struct slot *s, uint64_t addr, uint32_t val)
{
	uint32_t word = val;
	uint64_t start = spin_clock(), now = start, yield = start + FUTEX_YIELD;

	while (now - start < FUTEX_SPIN && word == val && !*(volatile uint32_t *)&s->interrupt) {
		__builtin_ia32_pause();
		if (now > yield) {
			stub_call1(SYS_sched_yield, 0);
			yield = spin_clock() + FUTEX_YIELD;
		}
		if (stub_copy(&word, (const void *)addr, sizeof(word)) < 0)
			return false;
		now = spin_clock();
	}
	if (now - start < FUTEX_SPIN && word != val)
		s->futex_spin = 0;
	else
		spin_in_vain(&s->futex_spin);
	return word != val;
}

// True if the call waits for a private futex whose word isn't what it was to be, or soon isn't any more.
static bool waits_for_past(struct slot *s)
{
	const uint64_t addr = s->call.args[0];
	const uint32_t op = s->call.args[1] & ~FUTEX_CLOCK_REALTIME;
	uint32_t word;

	if (!((uint32_t)s->call.args[1] == FUTEX_WAIT_PRIVATE || (op == FUTEX_WAIT_BITSET_PRIVATE && (uint32_t)s->call.args[5])))
		return false;
	if (!PARAM->answers || addr % 4 || addr >= STUB_TEXT || !timeout_good(s->call.args[3]))
		return false;
	if (stub_copy(&word, (const void *)addr, sizeof(word)) < 0)
		return false;
	if (word != (uint32_t)s->call.args[2])
		return true;
	if (PARAM->spinning && !(s->futex_spin & 0xffff))
		return differs_soon(s, addr, word);
	spin_in_vain(&s->futex_spin);
	return false;
}

static bool own_futex(struct slot *s)
{
	if (wakes_nobody(s))
		s->regs.rax = 0;
	else if (waits_for_past(s))
		s->regs.rax = (uint64_t)-EAGAIN;
	else
		return false;
	return true;
}

enum { EVENT_BYTES = 12 };

// True for a wait at an epoll instance where nothing has become ready since the last one.
static bool epoll_is_quiet(const struct slot *s)
{
	enum { EVENTS_MAX = INT32_MAX / EVENT_BYTES };
	const int max = (int)s->call.args[2];

	return s->quiet.fd_plus_1 && s->quiet.fd_plus_1 == (uint32_t)s->call.args[0] + 1 && max > 0 && max <= EVENTS_MAX &&
	       (s->call.nr == SYS_epoll_wait || !s->call.args[4]) && PARAM->counts[s->quiet.index] == s->quiet.count;
}

// But what is lent to this process. -1: it isn't any more.
static int epoll_lent(const struct slot *s)
{
	const struct chan_lent *e = LENT + s->quiet.lent % CHAN_LENT;
	uint64_t pos;

	if (!s->quiet.what)
		return 0;
	if (__atomic_load_n(&e->what, __ATOMIC_ACQUIRE) != s->quiet.what)
		return -1;
	pos = __atomic_load_n(&e->pos, __ATOMIC_ACQUIRE);
	if (__atomic_load_n(&e->what, __ATOMIC_ACQUIRE) != s->quiet.what || !epoll_is_quiet(s))
		return -1;
	return s->quiet.what & LENT_COUNT ? pos != 0 : (pos & LENT_BYTES_MAX) != 0;
}

static bool own_epoll_wait(struct slot *s)
{
	const struct {
		uint32_t events;
		uint64_t data;
	} __attribute__((packed)) event = {EPOLLIN, s->quiet.data};
	const int n = epoll_is_quiet(s) ? epoll_lent(s) : -1, timeout = (int)s->call.args[3];

	if (n < 0 || (n == 0 && timeout != 0))
		return false;
	if (n && (s->call.args[1] > STUB_TEXT - EVENT_BYTES || stub_copy((void *)s->call.args[1], &event, EVENT_BYTES) < 0))
		return false;
	s->regs.rax = n;
	return true;
}

// True for a question about a limit of the process's own.
static bool own_limit(struct slot *s)
{
	const bool get = s->call.nr == SYS_getrlimit; // else prlimit64
	const uint32_t resource = s->call.args[get ? 0 : 1];
	const uint64_t to = s->call.args[get ? 1 : 3];
	const uint32_t set = s->ids.limits_1 - 1;
	struct rlimit64 limit;

	if (!s->ids.valid || set >= PARAM_LIMITS || resource >= RLIM_NLIMITS || to > STUB_TEXT - sizeof(limit))
		return false;
	if (!get && ((uint32_t)s->call.args[0] || s->call.args[2]))
		return false;
	limit.rlim_cur = PARAM->limits[set][resource].rlim_cur;
	limit.rlim_max = PARAM->limits[set][resource].rlim_max;
	if (stub_copy((void *)to, &limit, sizeof(limit)) < 0)
		return false;
	s->regs.rax = 0;
	return true;
}

// fs_base is live meanwhile, as the stub doesn't use it: the short way back doesn't load it.
static bool own_fs_base(struct slot *s)
{
	const uint64_t addr = s->call.args[1];

	switch ((int)s->call.args[0]) {
	case ARCH_SET_FS:
		if (addr >= STUB_TEXT)
			return false;
		asm volatile("wrfsbase %0" : : "r"(addr));
		s->regs.fs_base = addr;
		break;
	case ARCH_GET_FS:
		if (addr > STUB_TEXT - sizeof(s->regs.fs_base) || stub_copy8((void *)addr, &s->regs.fs_base) < 0)
			return false;
		break;
	default:
		return false;
	}
	s->regs.rax = 0;
	return true;
}

// Whoever opens a file for the C library or an interpreter is asked whether it is a terminal; and a shell asks each time that a child has ended.
static bool own_ioctl(struct slot *s)
{
	const uint32_t cmd = s->call.args[1];

	if (!(cmd == TCGETS || cmd == TIOCGPGRP || cmd == TIOCGWINSZ) || !s->lent || !(lent_of(s->call.args[0]) & (LENT_CLOSE | LENT_NO_TTY)))
		return false;
	s->regs.rax = (uint64_t)-ENOTTY;
	return true;
}

// What wait4 finds is what the sentry said.
static bool children_known(const struct slot *s)
{
	const uint32_t index = s->children.index_1 - 1, pid = s->call.args[0], options = s->call.args[2];

	return index < PARAM_COUNTS && __atomic_load_n(&PARAM->counts[index], __ATOMIC_ACQUIRE) == s->children.count &&
	       !(options & ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED)) &&
	       (s->children.pid ? pid == UINT32_MAX || pid == s->children.pid : pid != 1u << 31);
}

static bool must_wait(const struct slot *s)
{
	return s->children.pid && !(s->call.args[2] & WNOHANG);
}

// A shell waits until no child is left, and asks for news of those that are.
static bool own_wait(struct slot *s)
{
	if (!children_known(s) || must_wait(s))
		return false;
	s->regs.rax = s->children.pid ? 0 : (uint64_t)-ECHILD;
	return true;
}

// Not what own_wait() would have answered, had the call not come to have its site patched.
bool waits_for_news(const struct slot *s)
{
	return s->call.nr == SYS_wait4 && children_known(s) && must_wait(s);
}

// From those that the sentry gave the program when it began, each once.
static bool own_random(struct slot *s)
{
	const uint64_t addr = s->call.args[0], len = s->call.args[1];
	uint8_t *from = s->random.bytes;

	if (s->random.left > sizeof(s->random.bytes) || !len || len > s->random.left || s->call.args[2] & ~(uint64_t)GRND_NONBLOCK ||
	    addr > STUB_TEXT - len)
		return false;
	from += s->random.left - len;
	if (stub_copy((void *)addr, from, len) < 0)
		return false;
	for (uint64_t i = 0; i < len; i++)
		from[i] = 0;
	s->random.left -= len;
	s->regs.rax = len;
	return true;
}

// By itself, so that a transfer's way is short: it takes no more than two registers to the stack.
static bool __attribute__((noinline)) own_rare(struct slot *s)
{
	switch (s->call.nr) {
	case SYS_futex:
		return own_futex(s);
	case SYS_rt_sigprocmask:
		return own_sigprocmask(s);
	case SYS_rt_sigreturn:
		return own_sigreturn(s);
	case SYS_rt_sigaction:
		return own_sigaction(s);
	case SYS_madvise:
		return own_advice(s);
	case SYS_ioctl:
		return own_ioctl(s);
	case SYS_getrandom:
		return own_random(s);
	case SYS_wait4:
		return own_wait(s);
	case SYS_close:
	case SYS_mmap:
	case SYS_mprotect:
	case SYS_munmap:
	case SYS_brk:
		return own_late(s);
	case SYS_open:
	case SYS_stat:
	case SYS_lstat:
	case SYS_access:
	case SYS_openat:
	case SYS_faccessat:
	case SYS_faccessat2:
	case SYS_readlink:
	case SYS_readlinkat:
	case SYS_execve:
		return own_name(s);
	case SYS_newfstatat:
		return own_fstat(s) || own_name(s);
	case SYS_fstat:
		return own_fstat(s);
	case SYS_fcntl:
		return own_fcntl(s);
	case SYS_getdents64:
		return own_getdents(s);
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
		return own_epoll_wait(s);
	case SYS_set_robust_list:
		if (!PARAM->answers || s->call.args[1] != sizeof(struct robust_list_head))
			return false;
		s->robust_list = s->call.args[0];
		s->regs.rax = 0;
		return true;
	case SYS_arch_prctl:
		return PARAM->answers && own_fs_base(s);
	case SYS_set_tid_address:
		if (!s->ids.valid)
			return false;
		s->clear_tid = s->call.args[0];
		s->regs.rax = s->ids.tid;
		return true;
	case SYS_getrlimit:
	case SYS_prlimit64:
		return own_limit(s);
	case SYS_rseq:
		if (!PARAM->no_rseq)
			return false;
		s->regs.rax = (uint64_t)-ENOSYS;
		return true;
	case SYS_sched_yield:
		if (!s->ids.valid)
			return false;
		stub_call1(SYS_sched_yield, 0);
		s->regs.rax = 0;
		return true;
	case SYS_getpid:
	case SYS_gettid:
	case SYS_getppid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
		if (!s->ids.valid)
			return false;
		s->regs.rax = constant(&s->ids, s->call.nr);
		return true;
	}
	return false;
}

bool own_call(struct slot *s)
{
	enum {
		NO_TRANSFERS = 1 << SYS_open | 1 << SYS_close | 1 << SYS_stat | 1 << SYS_fstat | 1 << SYS_lstat | 1 << SYS_mmap |
			       1 << SYS_mprotect | 1 << SYS_munmap | 1 << SYS_brk | 1 << SYS_rt_sigaction | 1 << SYS_rt_sigprocmask |
			       1 << SYS_rt_sigreturn | 1 << SYS_ioctl
	};

	return s->lent && s->call.nr <= SYS_pwrite64 && !(NO_TRANSFERS >> s->call.nr & 1) ? own_transfer(s) : own_rare(s);
}
