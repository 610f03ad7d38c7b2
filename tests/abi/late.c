/*
 * Calls that change a process's own memory, in long runs with nothing else between: whoever stands in for a kernel may carry these out at once and
 * enter them in its books only later. Nobody may see that: neither the process itself, by whatever call or fault comes next, nor those it shares its memory
 * with from then on, nor those who look at it from outside while it just computes.
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "late.h"

enum { NOBODY = 65534 };

static volatile int flag; /* each process's own */

CASE(split_and_joined)
{
	setup();
	STREQ(window(), "");
	map_at(0, 8, RW);
	STREQ(window(), "|wwwwwwww");
	OK(protect_at(2, 2, R));
	OK(unmap_at(5, 1));
	STREQ(window(), "|ww|rr|w.|ww");
	OK(protect_at(2, 2, RW));
	map_at(5, 1, RW);
	STREQ(window(), "|wwwwwwww");
	OK(protect_at(0, 4, NONE));
	OK(protect_at(0, 4, R));
	OK(protect_at(1, 1, RW));
	OK(protect_at(1, 1, R));
	STREQ(window(), "|rrrr|wwww");
	OK(unmap_at(0, 4)); /* half of it */
	map_at(10, 4, R);
	map_at(14, 2, R);
	map_at(20, 2, NONE);
	STREQ(window(), "....|wwww..|rrrrrr....|--");
	map_at(6, 6, R); /* over what was there */
	STREQ(window(), "....|ww|rrrrrrrrrr....|--");
	OK(unmap_at(0, PAGES));
	OK(unmap_at(0, PAGES)); /* nothing is there */
	STREQ(window(), "");
}

CASE(holes)
{
	setup();
	map_at(0, 8, RW);
	OK(unmap_at(3, 1));
	ERR(protect_at(1, 5, R), ENOMEM); /* what is before the hole was changed */
	STREQ(window(), "|w|rr.|wwww");
	ERR(protect_at(3, 2, NONE), ENOMEM);
	STREQ(window(), "|w|rr.|wwww");
	OK(protect_at(0, 3, RW));
	ERR(protect_at(6, 4, R), ENOMEM);
	STREQ(window(), "|www.|ww|rr");
	OK(unmap_at(2, 4)); /* holes don't matter */
	STREQ(window(), "|ww....|rr");
}

CASE(what_is_wrong)
{
	setup();
	map_at(0, 4, RW);
	ERR(munmap(base + 1, PAGE), EINVAL);
	ERR(munmap(base, 0), EINVAL);
	ERR(munmap(base, -PAGE), EINVAL);
	ERR(mprotect(base + 1, PAGE, R), EINVAL);
	OK(mprotect(base, 0, R));
	ERR(mprotect(base, -PAGE, R), ENOMEM);
	ERR(mmap(NULL, 0, R, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	ERR(mmap(NULL, PAGE, R, MAP_ANONYMOUS, -1, 0), EINVAL);
	ERR(mmap(base + 1, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	ERR(mmap(NULL, 1ul << 47, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), ENOMEM);
	ERR(mmap((void *)((1ul << 47) - PAGE), 2 * PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ENOMEM);
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, -1, 0), EBADF);
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, 999, 0), EBADF);
	STREQ(window(), "|wwww");
	OK(munmap(base, PAGE + 1)); /* parts count as wholes */
	OK(mprotect(base + 2 * PAGE, 1, R));
	STREQ(window(), "..|r|w");
}

CASE(many_in_a_row)
{
	setup();
	map_at(0, PAGES, RW);
	for (int i = 0; i < 10 * LATE + 3; i++)
		OK(protect_at(i % PAGES, 1, i / PAGES % 2 ? RW : R));
	STREQ(window(), "|rrr|wwwwwwwwwwwwwwwwwwwwwwwwwwwww");
	for (int i = 0; i < PAGES; i += 2)
		OK(unmap_at(i, 1));
	for (int i = 1; i < PAGES; i += 2)
		OK(unmap_at(i, 1));
	for (int i = 0; i < 3 * LATE + 1; i++)
		map_at(i % PAGES, 1, R);
	STREQ(window(), "|rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr");
	for (int i = 0; i < LATE - 1; i++)
		OK(protect_at(i, 1, i % 2 ? R : NONE));
	STREQ(window(), "|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r|-|r");
}

static long pages_in_all(void)
{
	long n = 0;
	char buf[200];
	int fd = OK(open("/proc/self/statm", O_RDONLY));

	buf[OK(read(fd, buf, sizeof buf - 1))] = 0;
	close(fd);
	n = atol(buf);
	CHECK(n > 0);
	return n;
}

CASE(pairs_leave_nothing)
{
	long before;
	char *first, *p;

	setup();
	before = pages_in_all();
	first = map_anywhere(5);
	OK(munmap(first, 5 * PAGE));
	for (int i = 0; i < 1000; i++) {
		p = map_anywhere(1 + i % 9);
		*p = 1;
		if (i % 3 == 0)
			OK(mprotect(p, PAGE, R));
		OK(munmap(p, (1 + i % 9) * PAGE));
	}
	for (int i = 0; i < 100; i++) { /* one within the other */
		char *q = map_anywhere(3), *r = map_anywhere(2);

		CHECK(q != r);
		OK(munmap(i % 2 ? q : r, (i % 2 ? 3 : 2) * PAGE));
		OK(munmap(i % 2 ? r : q, (i % 2 ? 2 : 3) * PAGE));
	}
	for (int i = 0; i < 100; i++) { /* not as long as it was mapped */
		p = mmap(NULL, PAGE + 1, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		OK(munmap(p, i % 2 ? 2 * PAGE : PAGE));
		if (i % 2 == 0)
			OK(munmap(p + PAGE, 1));
	}
	EQ(pages_in_all(), before);
}

/* --- random calls against what should be there */

static struct page {
	int prot; /* -1: nothing is there */
	char byte; /* the first */
} model[PAGES];

static unsigned seed;

static int random_below(int n)
{
	return rand_r(&seed) / 7 % n;
}

static void random_call(void)
{
	static const int prots[] = { NONE, R, RW, RW, RW };
	const int at = random_below(PAGES), n = 1 + random_below(PAGES - at < 6 ? PAGES - at : 6), prot = prots[random_below(5)];
	int i = at;

	switch (random_below(6)) {
	case 0:
	case 1:
		map_at(at, n, prot);
		for (; i < at + n; i++)
			model[i] = (struct page){ prot, 0 };
		break;
	case 2:
		OK(unmap_at(at, n));
		for (; i < at + n; i++)
			model[i] = (struct page){ -1, 0 };
		break;
	case 3:
		for (; i < at + n && model[i].prot >= 0; i++)
			model[i].prot = prot;
		if (i < at + n)
			ERR(protect_at(at, n, prot), ENOMEM);
		else
			OK(protect_at(at, n, prot));
		break;
	case 4:
		for (; i < at + n; i++)
			if (model[i].prot == RW)
				model[i].byte = base[i * PAGE] = 1 + random_below(100);
		break;
	default: /* somewhere else */
		OK(munmap(map_anywhere(n), n * PAGE));
	}
}

static void compare(pid_t pid)
{
	const char *is = range_of(pid, base, PAGES);

	for (int i = 0; i < PAGES; i++) {
		const int prot = model[i].prot;
		const char should = prot < 0 ? '.' : prot == RW ? 'w' : prot == R ? 'r' : '-';

		while (*is == '|')
			is++;
		if ((*is ?: '.') != should)
			FAIL("seed %u, page %d is '%c', not '%c': %s", seed, i, *is, should, range_of(pid, base, PAGES));
		if (*is)
			is++;
		if (prot > 0 && pid == getpid() && base[i * PAGE] != model[i].byte)
			FAIL("seed %u, page %d has %d, not %d", seed, i, base[i * PAGE], model[i].byte);
	}
}

static void random_run(unsigned from, int rounds)
{
	for (int i = 0; i < PAGES; i++)
		model[i].prot = -1;
	OK(unmap_at(0, PAGES));
	seed = from;
	for (int i = 0; i < rounds; i++) {
		for (int n = random_below(i % 4 ? 12 : 90); n >= 0; n--)
			random_call();
		compare(getpid());
	}
}

CASE(random_calls)
{
	setup();
	for (unsigned i = 1; i <= 10; i++)
		random_run(i * 31, 40);
	setup_among_others();
	for (unsigned i = 1; i <= 10; i++)
		random_run(i * 4711, 40);
}

static volatile int alarms;

static void map_in_handler(int sig)
{
	char *p = map_anywhere(2);

	(void)sig;
	*p = 1;
	OK(mprotect(p, PAGE, R));
	OK(munmap(p, 2 * PAGE));
	alarms++;
}

CASE(signals_between)
{
	const struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { 0 };
	struct sigaction sa = { .sa_handler = map_in_handler, .sa_flags = SA_RESTART };
	long before;

	setup();
	before = pages_in_all();
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &often, NULL));
	for (unsigned i = 1; i <= 4 || !alarms; i++)
		random_run(i * 815, 40);
	OK(setitimer(ITIMER_REAL, &never, NULL));
	OK(unmap_at(0, PAGES));
	EQ(pages_in_all(), before);
}

/* What is mapped without an address lies on nothing else, wherever that was put in the meantime. */
CASE(anywhere_is_nowhere_else)
{
	enum { LIVE = 40 };
	struct {
		char *at;
		int n;
	} live[LIVE] = { 0 };
	char *last;

	seed = 99;
	last = map_anywhere(1);
	for (int i = 0; i < 3000; i++) {
		const int k = random_below(LIVE), n = 1 + random_below(8);
		char *p = NULL;
		bool good = true;

		if (live[k].at) {
			for (int j = 0; j < live[k].n; j++)
				EQ(live[k].at[j * PAGE], k + 1);
			OK(munmap(live[k].at, live[k].n * PAGE));
			live[k].at = NULL;
			if (i % 3)
				continue;
		}
		if (random_below(4) == 0) { /* into the gap below the last one, or a hole above it */
			p = last + (random_below(24) - 16) * PAGE;
			for (int j = 0; j < LIVE; j++)
				good &= !live[j].at || p + n * PAGE <= live[j].at || p >= live[j].at + live[j].n * PAGE;
			good &= p + n * PAGE <= last || p > last;
			if (!good || mmap(p, n * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | (p > last ? MAP_FIXED_NOREPLACE : MAP_FIXED), -1, 0) != p) {
				if (good)
					EQ(errno, EEXIST);
				continue;
			}
		} else {
			p = map_anywhere(n);
			CHECK(last < p || last >= p + n * PAGE);
			for (int j = 0; j < LIVE; j++)
				if (live[j].at && p < live[j].at + live[j].n * PAGE && p + n * PAGE > live[j].at)
					FAIL("step %d: %p+%d lies on %p+%d", i, p, n, live[j].at, live[j].n);
		}
		for (int j = 0; j < n; j++) {
			EQ(p[j * PAGE], 0);
			p[j * PAGE] = k + 1;
		}
		live[k].at = p;
		live[k].n = n;
	}
}

/* --- the heap's end */

static char *brk_to(char *to)
{
	return (char *)syscall(SYS_brk, to);
}

/* At a page's beginning, beyond what the C library has taken. */
static char *begin_heap(void)
{
	char *at = brk_to(NULL);

	at += -(uintptr_t)at % PAGE;
	CHECK(brk_to(at) == at);
	return at;
}

/* What of it lies from there on, whether or not what is before is another mapping. */
static const char *heap(const char *at, int pages)
{
	const char *is = range_of(getpid(), at, pages);

	return is + (*is == '|');
}

CASE(heap_up_and_down)
{
	char *at = begin_heap();

	CHECK(brk_to(at + 4 * PAGE) == at + 4 * PAGE);
	STREQ(heap(at, 5), "wwww");
	for (int i = 0; i < 4; i++)
		at[i * PAGE] = 1;
	CHECK(brk_to(at + PAGE + 1) == at + PAGE + 1);
	CHECK(brk_to(at + 4 * PAGE) == at + 4 * PAGE);
	for (int i = 0; i < 4; i++)
		EQ(at[i * PAGE], i < 2);
	CHECK(brk_to(at + 1) == at + 1);
	STREQ(heap(at, 5), "w");
	CHECK(brk_to(at) == at);
	STREQ(heap(at, 5), "");
	CHECK(brk_to(NULL) == at);
	CHECK(brk_to((char *)1) == at);
	CHECK(brk_to((char *)-1ul) == at);
	CHECK(brk_to((char *)(1ul << 47)) == at);
	for (int i = 0; i < 3 * LATE; i++)
		CHECK(brk_to(at + i % 7 * 1000) == at + i % 7 * 1000);
	CHECK(brk_to(NULL) == at + (3 * LATE - 1) % 7 * 1000);
	CHECK(brk_to(at) == at);
	STREQ(heap(at, 5), "");
}

CASE(heap_is_new_each_time)
{
	char *at = begin_heap();

	CHECK(brk_to(at + 8 * PAGE) == at + 8 * PAGE);
	at[7 * PAGE] = at[2 * PAGE] = 1;
	OK(mprotect(at + 4 * PAGE, 4 * PAGE, R));
	STREQ(heap(at, 9), "wwww|rrrr");
	CHECK(brk_to(at + 6 * PAGE) == at + 6 * PAGE);
	CHECK(brk_to(at + 8 * PAGE) == at + 8 * PAGE); /* of which nobody has heard but of where it ends */
	at[7 * PAGE] = 1;
	STREQ(heap(at, 9), "wwww|rr|ww");
	OK(munmap(at + 2 * PAGE, 2 * PAGE));
	CHECK(brk_to(at + 5 * PAGE) == at + 5 * PAGE);
	CHECK(brk_to(at + 6 * PAGE) == at + 6 * PAGE);
	STREQ(heap(at, 9), "ww..|r|w");
	CHECK(brk_to(at + PAGE) == at + PAGE);
	CHECK(brk_to(at + 9 * PAGE) == at + 9 * PAGE);
	STREQ(heap(at, 9), "wwwwwwwww");
	EQ(at[2 * PAGE] | at[7 * PAGE], 0);
}

CASE(heap_meets_a_mapping)
{
	char *at = begin_heap(), *p = at + 10 * PAGE, *far = at + 200 * PAGE;

	CHECK(mmap(p, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	CHECK(brk_to(at + 4 * PAGE) == at + 4 * PAGE);
	CHECK(brk_to(at + 11 * PAGE) == at + 4 * PAGE);
	CHECK(brk_to(at + 10 * PAGE) == at + 4 * PAGE); /* a page must stay free */
	CHECK(brk_to(at + 9 * PAGE) == at + 9 * PAGE);
	OK(munmap(p, PAGE));
	CHECK(brk_to(at + 11 * PAGE) == at + 11 * PAGE);
	STREQ(heap(at, 14), "wwwwwwwwwww");
	CHECK(mmap(far, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == far);
	CHECK(brk_to(far + PAGE) == at + 11 * PAGE);
	CHECK(mmap(at + PAGE, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + PAGE);
	STREQ(heap(at, 14), "w|r|wwwwwwwww");
	CHECK(brk_to(at + 12 * PAGE) == at + 12 * PAGE);
	CHECK(brk_to(at) == at);
	STREQ(heap(at, 14), "");
}

/* --- limits */

CASE(data_limited)
{
	char *at = begin_heap();

	CHECK(brk_to(at + 100 * PAGE) == at + 100 * PAGE);
	CHECK(brk_to(at + 4 * PAGE) == at + 4 * PAGE);
	limit(RLIMIT_DATA, PAGE);
	CHECK(brk_to(at + 100 * PAGE) == at + 4 * PAGE);
	ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	OK(mmap(NULL, PAGE, R, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	limit(RLIMIT_DATA, RLIM_INFINITY);
	OK(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(brk_to(at + 100 * PAGE) == at + 100 * PAGE);
	CHECK(brk_to(at) == at);
}

CASE(size_limited)
{
	char *p = NULL;

	setup();
	for (int i = 0; i < 3; i++) {
		map_at(i, 1, i ? RW : R);
		p = map_anywhere(16);
		OK(munmap(p, 8 * PAGE));
	}
	limit(RLIMIT_AS, (pages_in_all() + 4) * PAGE);
	ERR(mmap(NULL, 5 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	p = map_anywhere(4);
	ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	OK(munmap(p, 2 * PAGE));
	map_anywhere(2);
	ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	limit(RLIMIT_AS, RLIM_INFINITY);
	map_anywhere(1000);
}

/* By its parent, while it computes after calls of which nobody has heard. */
CASE(size_limited_by_another)
{
	const struct rlimit64 small = { 100 * PAGE, RLIM64_INFINITY };
	int one = 1;
	const struct iovec here = { &one, sizeof one }, there = { (void *)&flag, sizeof flag };
	pid_t pid;

	setup();
	pid = CHILD({
		for (int i = 0; i < LATE / 2; i++)
			map_at(i, 1, i % 2 ? R : RW);
		while (!flag)
			__builtin_ia32_pause();
		ERR(mmap(NULL, 200 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
		CHECK(brk_to((char *)brk_to(NULL) + 200 * PAGE) == brk_to(NULL));
		STREQ(window(), "|w|r|w|r|w|r|w|r|w|r|w|r|w|r|w|r");
	});
	EVENTUALLY(!strcmp(range_of(pid, base, PAGES), "|w|r|w|r|w|r|w|r|w|r|w|r|w|r|w|r"));
	OK(prlimit64(pid, RLIMIT_AS, &small, NULL));
	EQ(process_vm_writev(pid, &here, 1, &there, 1, 0), sizeof one);
	EXITED(pid, 0);
}

CASE(locked_from_then_on)
{
	char *p;

	setup();
	OK(munmap(map_anywhere(3), 2 * PAGE));
	map_at(0, 4, RW);
	OK(munlockall());
	limit(RLIMIT_MEMLOCK, 8 * PAGE);
	OK(setresuid(NOBODY, NOBODY, NOBODY));
	OK(mlock(base, 4 * PAGE));
	ERR(mlock(map_anywhere(5), 5 * PAGE), ENOMEM);
	OK(unmap_at(0, 3)); /* what is gone isn't locked any more */
	map_at(0, 3, RW);
	OK(mlock(map_anywhere(7), 7 * PAGE));
	ERR(mlock(base, PAGE), ENOMEM);
	OK(munlockall());
	OK(unmap_at(0, 4));
	OK(mlockall(MCL_FUTURE));
	limit(RLIMIT_MEMLOCK, 8 * PAGE);
	ERR(mmap(NULL, 9 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EAGAIN);
	p = map_anywhere(7);
	map_at(0, 1, R);
	ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EAGAIN);
	OK(munmap(p, 3 * PAGE));
	OK(munmap(map_anywhere(2), PAGE));
	ERR(mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EAGAIN);
	OK(munlockall());
	map_anywhere(9);
}

/* --- faults */

static sigjmp_buf back;
static volatile uintptr_t fault_at;
static volatile int fault_code, fault_sig;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_at = (uintptr_t)info->si_addr;
	fault_code = info->si_code;
	fault_sig = sig;
	siglongjmp(back, 1);
}

static void handle_faults(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER };

	OK(sigaction(SIGSEGV, &sa, NULL));
	OK(sigaction(SIGBUS, &sa, NULL));
}

#define FAULTS(expr, at, sig, code) \
	do { \
		fault_sig = 0; \
		if (!sigsetjmp(back, 1)) { \
			(void)(expr); \
			FAIL("no fault: %s", #expr); \
		} \
		EQ(fault_sig, sig); \
		EQ(fault_at, (uintptr_t)(at)); \
		EQ(fault_code, code); \
	} while (0)

CASE(faults_right_after)
{
	volatile char *b;
	int fd = OK(open(quiet_file(), O_RDONLY));

	setup();
	b = base;
	handle_faults(on_fault);
	for (int i = 0; i < 20; i++) {
		map_at(0, 4, RW);
		b[PAGE] = 5;
		OK(protect_at(1, 1, R));
		FAULTS(b[PAGE] = 6, b + PAGE, SIGSEGV, SEGV_ACCERR);
		EQ(b[PAGE], 5);
		OK(protect_at(1, 2, NONE));
		FAULTS(b[PAGE + 7], b + PAGE + 7, SIGSEGV, SEGV_ACCERR);
		OK(protect_at(1, 1, RW));
		b[PAGE] = 7;
		OK(unmap_at(1, 1));
		FAULTS(b[PAGE], b + PAGE, SIGSEGV, SEGV_MAPERR);
		OK(unmap_at(0, 4));
		FAULTS(b[0] = 1, b, SIGSEGV, SEGV_MAPERR);
		CHECK(mmap(base, 3 * PAGE, R, MAP_PRIVATE | MAP_FIXED, fd, 0) == base);
		CHECK(b[0] != 0);
		FAULTS(b[0] = 1, b, SIGSEGV, SEGV_ACCERR);
		FAULTS(b[2 * PAGE], b + 2 * PAGE, SIGBUS, BUS_ADRERR);
		OK(protect_at(0, 1, RW));
		b[0] = 1;
		EQ(b[0], 1);
	}
}

static volatile int written_to;

/* As a collector of garbage does who wants to know what is written to. */
static void let_write(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	CHECK(info->si_code == SEGV_ACCERR);
	OK(mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, RW));
	written_to++;
}

CASE(a_handler_lets_write)
{
	setup();
	handle_faults(let_write);
	map_at(0, PAGES, RW);
	for (int i = 0; i < 20; i++) {
		OK(protect_at(0, PAGES, R));
		for (int at = i % 3; at < PAGES; at += 3)
			base[at * PAGE + i] = i;
	}
	EQ(written_to, 20 * 11 - 6);
}

/* --- others that come to be */

CASE(a_fork_has_the_same)
{
	setup();
	for (int i = 0; i < 50; i++) {
		int p[2];
		pid_t pid;

		map_at(0, 8, RW);
		OK(protect_at(1, 2, R));
		OK(unmap_at(4, 1));
		base[5 * PAGE] = i;
		OK(pipe(p));
		pid = CHILD({
			close(p[1]);
			EQ(base[5 * PAGE], i);
			OK(protect_at(5, 1, NONE));
			OK(unmap_at(0, 1));
			map_at(4, 1, R);
			STREQ(window(), ".|rr|w|r|-|ww");
			hear(p[0]);
			map_at(0, 1, R);
			STREQ(window(), "|rrr|w|r|-|ww");
		});
		close(p[0]);
		STREQ(window(), "|w|rr|w.|www");
		OK(unmap_at(6, 2));
		map_at(2, 1, NONE);
		tell(p[1]);
		close(p[1]);
		STREQ(window(), "|w|r|-|w.|w");
		EXITED(pid, 0);
		OK(unmap_at(0, PAGES));
	}
}

CASE(a_vfork_shares_it)
{
	setup();
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		map_at(0, 8, RW);
		OK(protect_at(1, 2, R));
		pid = vfork();
		if (!pid) {
			protect_at(4, 1, R);
			unmap_at(5, 1);
			mmap(base + 9 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			base[9 * PAGE] = 5;
			_exit(0);
		}
		OK(pid);
		EQ(base[9 * PAGE], 5);
		EXITED(pid, 0);
		STREQ(window(), "|w|rr|w|r.|ww.|w");
		OK(protect_at(0, 5, RW));
		OK(unmap_at(6, 1));
		STREQ(window(), "|wwwww..|w.|w");
		OK(unmap_at(0, PAGES));
	}
}

static int changes_it(void *arg)
{
	(void)arg;
	for (int i = 0; i < LATE + 4; i++)
		OK(protect_at(i % 4, 1, i % 8 < 4 ? R : RW));
	map_at(10, 2, RW);
	base[10 * PAGE] = 3;
	OK(unmap_at(4, 1));
	return 0;
}

/* A process that lives in the same memory, and goes. */
CASE(another_process_in_it)
{
	setup();
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		map_at(0, 8, RW);
		OK(protect_at(6, 1, R));
		pid = OK(clone(changes_it, stack_ + sizeof stack_, CLONE_VM | SIGCHLD, NULL));
		OK(protect_at(7, 1, R));
		EXITED(pid, 0);
		EQ(base[10 * PAGE], 3);
		STREQ(window(), "|rrrr.|w|rr..|ww");
		OK(protect_at(0, 4, RW));
		OK(unmap_at(10, 1));
		STREQ(window(), "|wwww.|w|rr...|w");
		OK(unmap_at(0, PAGES));
	}
}

/* Without where mappings begin: what two threads made needn't be joined. */
static const char *plain_window(void)
{
	char *to = (char *)window(), *from = to, *is = to;

	for (; *from; from++)
		if (*from != '|')
			*to++ = *from;
	*to = 0;
	return is;
}

static void *changes_too(void *arg)
{
	EQ(base[3 * PAGE], *(int *)arg);
	changes_it(NULL);
	return NULL;
}

CASE(threads_come_and_go)
{
	setup();
	for (int i = 0; i < 20; i++) {
		pthread_t t;

		map_at(0, 8, RW);
		OK(protect_at(6, 2, R));
		base[3 * PAGE] = i;
		CHECK(!pthread_create(&t, NULL, changes_too, &i));
		if (i % 2)
			OK(protect_at(5, 1, R));
		CHECK(!pthread_join(t, NULL));
		EQ(base[10 * PAGE], 3);
		STREQ(plain_window(), i % 2 ? "rrrr.rrr..ww" : "rrrr.wrr..ww");
		for (int j = 0; j < 20; j++) {
			OK(protect_at(0, 4, RW));
			OK(protect_at(0, 1, R));
			OK(munmap(map_anywhere(2), PAGE));
		}
		OK(unmap_at(10, 2));
		STREQ(plain_window(), i % 2 ? "rwww.rrr" : "rwww.wrr");
		OK(unmap_at(0, PAGES));
	}
}

/* --- another program */

/* In each round one call that opens, and each of the others, some more than once. */
static void churn(int n)
{
	const char *file = big_file();
	volatile char *p;

	setup();
	map_at(0, PAGES, RW);
	for (int i = 0; i < n; i++) {
		int fd = OK(open(file, O_RDONLY));
		char *end_ = brk_to(NULL), *q;

		q = mmap(NULL, 2 * PAGE, R, MAP_PRIVATE, fd, 0);
		CHECK(q != MAP_FAILED);
		OK(close(fd));
		EQ(q[1], 'E');
		p = map_anywhere(3);
		*p = 1;
		OK(mprotect((char *)p, PAGE, R));
		OK(mprotect(q, PAGE, RW));
		for (int j = 0; j < 5; j++)
			OK(protect_at((i + j) % PAGES, 1, i & 1 << j ? R : RW));
		CHECK(brk_to(end_ + 5 * PAGE) == end_ + 5 * PAGE);
		end_[4 * PAGE] = 1;
		CHECK(brk_to(end_) == end_);
		OK(munmap((char *)p, 3 * PAGE));
		OK(munmap(q, 2 * PAGE));
	}
}

/* PROGRAM --look FD ADDRESS: neither of both is there. PROGRAM --churn N: for tests/suites/cli.py. */
void abi_helper(int argc, char **argv)
{
	unsigned char in;

	if (argc == 4 && !strcmp(argv[1], "--look")) {
		ERR(fcntl(atoi(argv[2]), F_GETFD), EBADF);
		ERR(mincore((void *)strtoul(argv[3], NULL, 16), PAGE, &in), ENOMEM);
		_exit(23);
	}
	if (argc == 3 && !strcmp(argv[1], "--churn")) {
		churn(atoi(argv[2]));
		_exit(0);
	}
}

CASE(another_program)
{
	char fds[20], where[40];

	setup();
	for (int cloexec = 0; cloexec < 2; cloexec++) {
		pid_t pid = CHILD({
			int fd = OK(open(quiet_file(), O_RDONLY | (cloexec ? O_CLOEXEC : 0)));

			map_at(0, 4, RW);
			OK(protect_at(1, 1, R));
			if (!cloexec)
				OK(close(fd));
			snprintf(fds, sizeof fds, "%d", fd);
			snprintf(where, sizeof where, "%lx", (unsigned long)base);
			OK(execl(big_file(), "late", "--look", fds, where, NULL));
		});
		EXITED(pid, 23);
	}
}

CASE(another_program_that_fails)
{
	char *const args[] = { "x", NULL };

	setup();
	for (int i = 0; i < 20; i++) {
		int fd = OK(open(quiet_file(), O_RDONLY));

		map_at(0, 4, RW);
		OK(protect_at(1, 1, R));
		OK(close(fd));
		ERR(execve("/nonexistent", args, args), ENOENT);
		CHECK(!is_open(fd));
		OK(protect_at(2, 1, R));
		OK(unmap_at(0, 1));
		ERR(execve(quiet_file(), args, args), EACCES);
		STREQ(window(), ".|rr|w");
		OK(protect_at(2, 1, RW));
		STREQ(window(), ".|r|ww");
		OK(unmap_at(0, PAGES));
	}
}

/* --- who looks from outside */

CASE(seen_mapped)
{
	const char *const should = "|ww|rr..|-..|www";
	pid_t pid;
	int p[2];

	setup();
	for (int i = 0; i < 4; i++) {
		OK(pipe(p));
		pid = CHILD({
			map_at(0, 4, RW);
			tell(p[1]);
			for (int n = 0; n < i * 20; n++)
				OK(munmap(map_anywhere(3), PAGE));
			map_at(6, 1, NONE);
			OK(protect_at(2, 2, R));
			map_at(9, 5, RW);
			OK(unmap_at(12, 2));
			compute();
		});
		hear(p[0]);
		EVENTUALLY(!strcmp(range_of(pid, base, PAGES), should));
		end(pid);
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

/* By calls that read and write there. */
CASE(reached_when_mapped)
{
	pid_t pid;
	int p[2], n = 0;
	struct iovec here = { &n, sizeof n }, there;

	setup();
	for (int i = 0; i < 4; i++) {
		OK(pipe(p));
		pid = CHILD({
			tell(p[1]);
			map_at(2, 2, RW);
			*(int *)(base + 2 * PAGE) = 4711;
			flag = 1;
			while (*(volatile int *)(base + 3 * PAGE) != 815)
				__builtin_ia32_pause();
			OK(protect_at(3, 1, R));
			*(int *)(base + 2 * PAGE) = 1;
			compute();
		});
		hear(p[0]);
		there = (struct iovec){ base + 2 * PAGE, sizeof n };
		EVENTUALLY(process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof n && n == 4711);
		n = 815;
		there.iov_base = base + 3 * PAGE;
		EQ(process_vm_writev(pid, &here, 1, &there, 1, 0), sizeof n);
		there.iov_base = base + 2 * PAGE;
		EVENTUALLY(process_vm_readv(pid, &here, 1, &there, 1, 0) == sizeof n && n == 1);
		there.iov_base = base + 3 * PAGE;
		ERR(process_vm_writev(pid, &here, 1, &there, 1, 0), EFAULT);
		end(pid);
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

/* There is an end to how many mappings there may be, and nobody dies of it. */
CASE(as_many_as_there_may_be)
{
	enum { MOST = 70000 };
	char *p = mmap(NULL, 2 * (long)MOST * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int n = 0;

	CHECK(p != MAP_FAILED);
	while (n < MOST && mprotect(p + 2 * (long)n * PAGE, PAGE, PROT_READ) == 0)
		n++;
	EQ(errno, ENOMEM);
	CHECK(n > 30000 && n < 33000); /* two for each, of 65530 */
	ERR(mprotect(p + 2 * (long)n * PAGE, PAGE, PROT_READ), ENOMEM);
	OK(munmap(p, 2 * (long)MOST * PAGE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	OK(munmap(p, PAGE));
}
