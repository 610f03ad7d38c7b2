/*
 * Signal actions: what rt_sigaction answers, who shares, inherits and resets them, and races of actions with signals from elsewhere: a signal
 * does what was last asked for, and what comes to be ignored is dropped.
 *
 * Loops run often enough for a system call to be answered in every way that there may be for one that is made again and again.
 */
#include "abi.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>

enum { OFTEN = 200, SIGNALS = 64 };

/* As the system call has it. */
struct action {
	uint64_t handler, flags, restorer, mask;
};

static long raw(long sig, const void *act, void *old)
{
	return syscall(SYS_rt_sigaction, sig, act, old, 8);
}

static uint64_t bit(int sig)
{
	return 1ull << (sig - 1);
}

static struct action now(int sig)
{
	struct action a;

	memset(&a, 0x55, sizeof a);
	OK(raw(sig, NULL, &a));
	return a;
}

static void same(struct action a, struct action b)
{
	EQ(a.handler, b.handler);
	EQ(a.flags, b.flags);
	EQ(a.restorer, b.restorer);
	EQ(a.mask, b.mask);
}

/* Neither the harness's nor the C library's, and can be changed. */
static bool mine(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP && sig != SIGALRM && sig != 32 && sig != 33;
}

/* The C library's. */
static uint64_t restorer(void)
{
	static uint64_t known;

	if (!known)
		known = now(SIGALRM).restorer;
	return known;
}

/* Often enough, and all are as they were. */
static void warm_up(void)
{
	for (int i = 0; i < 4; i++)
		for (int sig = 1; sig <= SIGNALS; sig++)
			if (mine(sig)) {
				struct action a = now(sig);

				OK(raw(sig, &a, NULL));
			}
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	OK(sigaction(sig, &sa, NULL));
}

static volatile int ran[4];

static void one(int sig) { ran[1]++; }
static void two(int sig) { ran[2]++; }

/* --- what it answers */

CASE(what_is_set_is_there)
{
	const uint64_t known = 0xdc000807, unblockable = bit(SIGKILL) | bit(SIGSTOP);
	const struct action some[] = {
		{ 0x1234, SA_RESTART, 0, 0 },
		{ 0x5678, SA_NODEFER | SA_SIGINFO, restorer(), bit(SIGUSR1) },
		{ 0x7ffffffff000, ~0ull, restorer(), ~0ull },
		{ 0, 0, 0, 0 },
		{ 1, known, restorer(), bit(64) | bit(1) },
		{ 0x800000000000, 0, restorer(), 0 },
		{ 0x9999, SA_ONSTACK, 0x777008, bit(SIGHUP) },
		{ ~0ull, ~0ull, ~0ull, ~0ull },
		{ 0x9999, ~known, 0, unblockable },
		{ 0, SA_NOCLDSTOP | SA_NOCLDWAIT, restorer(), 1ull << 33 },
		{ 0x8888, 0x800, restorer(), 0 },
	};
	enum { N = sizeof some / sizeof *some };
	struct action last[SIGNALS + 1], old;

	for (int sig = 1; sig <= SIGNALS; sig++)
		last[sig] = now(sig);
	for (int i = 0; i < OFTEN; i++)
		for (int sig = 1; sig <= SIGNALS; sig++) {
			struct action a = some[(i * 7 + sig * (i / N + 1)) % N];

			if (!mine(sig))
				continue;
			OK(raw(sig, &a, i % 3 ? &old : NULL));
			if (i % 3)
				same(old, last[sig]);
			a.flags &= known;
			a.mask &= ~unblockable;
			if (i % 5)
				same(now(sig), a);
			last[sig] = a;
		}
	same(now(SIGKILL), (struct action){ 0 });
	same(now(SIGSTOP), (struct action){ 0 });
}

CASE(one_place_for_old_and_new)
{
	struct action a = now(SIGUSR1), before = a;

	for (int i = 1; i < OFTEN; i++) {
		struct action wanted = { 0x1000 + i, SA_RESTART, restorer(), bit(1 + i % 8) };

		a = wanted;
		OK(raw(SIGUSR1, &a, &a));
		same(a, before);
		before = wanted;
	}
}

CASE(errors)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct action a = { 0x1000, 0, restorer(), 0 }, old;

	OK(mprotect(page + 4096, 4096, PROT_NONE));
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		a.handler = 0x1000 + i;
		OK(raw(SIGUSR1, &a, NULL));
		ERR(raw(SIGKILL, &a, NULL), EINVAL);
		ERR(raw(SIGSTOP, &a, &old), EINVAL);
		ERR(raw(0, NULL, &old), EINVAL);
		ERR(raw(65, &a, &old), EINVAL);
		ERR(raw(-1, NULL, NULL), EINVAL);
		OK(raw(SIGUSR1 | 1l << 32, NULL, &old));
		same(old, a);
		ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
		ERR(syscall(SYS_rt_sigaction, SIGUSR1, &a, &old, 16), EINVAL);
		ERR(raw(SIGUSR1, (void *)8, &old), EFAULT);
		ERR(raw(SIGUSR1, (void *)(1ul << 63), NULL), EFAULT);
		ERR(raw(SIGUSR1, page + 4080, &old), EFAULT);
		ERR(raw(SIGUSR1, NULL, (void *)8), EFAULT);
		ERR(raw(SIGUSR1, NULL, (void *)-8), EFAULT);
		ERR(raw(SIGUSR1, NULL, page + 4080), EFAULT);
		OK(raw(SIGUSR1, NULL, NULL));
		same(now(SIGUSR1), a);
		/* It is changed before the old one is told. */
		a.handler++;
		ERR(raw(SIGUSR1, &a, page + 4080), EFAULT);
		same(now(SIGUSR1), a);
		a.handler++;
		ERR(raw(SIGUSR1, &a, (void *)-8), EFAULT);
		same(now(SIGUSR1), a);
	}
}

/* --- threads */

enum { EXCHANGES = 20000 };

static uint64_t first_of[2];

/* Exchanges what is there for one number after the other; the sum of what was there. */
static void *exchange(void *arg)
{
	const uint64_t first = *(uint64_t *)arg;
	uint64_t sum = 0;

	for (uint64_t i = first; i < first + EXCHANGES; i++) {
		struct action a = { i, SA_RESTART, restorer(), i << 20 }, old;

		OK(raw(SIGUSR1, &a, &old));
		EQ(old.mask, old.handler << 20);
		sum += old.handler;
	}
	return (void *)sum;
}

CASE(threads_exchange_it)
{
	struct action none = { 0 };
	uint64_t sum = 0, set = 0;
	pthread_t t;
	void *of;

	warm_up();
	OK(raw(SIGUSR1, &none, NULL));
	for (int k = 0; k < 2; k++) {
		first_of[k] = 2 + k * EXCHANGES;
		for (uint64_t i = 0; i < EXCHANGES; i++)
			set += first_of[k] + i;
	}
	CHECK(pthread_create(&t, NULL, exchange, &first_of[0]) == 0);
	sum = (uint64_t)exchange(&first_of[1]);
	pthread_join(t, &of);
	EQ(sum + (uint64_t)of + now(SIGUSR1).handler, set);
}

static void *without_leader(void *arg)
{
	static volatile int runs;
	struct action a = { 0x1000, SA_RESTART, 0, 0 }, old;

	while (thread_state(getpid()) != 'Z')
		usleep(1000);
	for (int i = 1; i < OFTEN; i++) {
		a.handler = 0x1000 + i;
		OK(raw(SIGUSR1, &a, &old));
		EQ(old.handler, i == 1 ? 0x7777 : 0x1000 + i - 1);
		same(now(SIGUSR1), a);
		runs++;
	}
	_exit(runs == OFTEN - 1 ? 0 : 1);
	return arg;
}

CASE(the_leader_ends)
{
	pid_t p = CHILD({
		struct action a = { 0x7777, 0, 0, 0 };
		pthread_t t;

		warm_up();
		OK(raw(SIGUSR1, &a, NULL));
		CHECK(pthread_create(&t, NULL, without_leader, NULL) == 0);
		syscall(SYS_exit, 0);
	});

	EXITED(p, 0);
}

/* --- who has which */

CASE(fork_copies_them)
{
	int p[2];

	OK(pipe(p));
	warm_up();
	for (int i = 1; i < OFTEN; i++) {
		struct action a = { 0x1000 + i, SA_RESTART, restorer(), bit(34) }, b = { 0x2000, 0, 0, 0 };

		OK(raw(SIGUSR1, &a, NULL));
		pid_t child = CHILD({
			same(now(SIGUSR1), a);
			for (int k = 0; k < 4; k++) {
				b.handler = 0x2000 + k;
				OK(raw(SIGUSR1, &b, NULL));
				same(now(SIGUSR1), b);
			}
			hear(p[0]);
			same(now(SIGUSR1), b);
			EXITED(CHILD({ same(now(SIGUSR1), b); }), 0);
		});
		same(now(SIGUSR1), a);
		a.handler = 0x3000;
		OK(raw(SIGUSR1, &a, NULL));
		tell(p[1]);
		EXITED(child, 0);
		same(now(SIGUSR1), a);
	}
}

static char stack[1 << 16] __attribute__((aligned(16)));

/* What a child that lives in this memory sees and does. */
static int with_our_memory(void *arg)
{
	const struct action *there = arg;
	struct action a = { 0x9000, SA_NODEFER, restorer(), 0 };

	for (int i = 0; i < 8; i++) {
		same(now(SIGUSR2), *there);
		same(now(SIGUSR1), i ? a : *there);
		a.handler = 0x9000 + i;
		OK(raw(SIGUSR1, &a, NULL));
		same(now(SIGUSR1), a);
	}
	_exit(0);
}

static void live_with(int flags, bool shares)
{
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		struct action a = { 0x1000 + i, SA_RESTART, restorer(), bit(40) };

		OK(raw(SIGUSR1, &a, NULL));
		OK(raw(SIGUSR2, &a, NULL));
		EXITED(OK(clone(with_our_memory, stack + sizeof stack, flags | SIGCHLD, &a)), 0);
		EQ(now(SIGUSR1).handler, shares ? 0x9007 : a.handler);
		same(now(SIGUSR2), a);
	}
}

CASE(vfork_copies_them)
{
	live_with(CLONE_VM | CLONE_VFORK, false);
}

CASE(memory_alone_is_shared)
{
	live_with(CLONE_VM, false);
}

CASE(processes_share_them)
{
	live_with(CLONE_VM | CLONE_SIGHAND, true);
}

static int ends[2][2];

/* Takes turns with the parent. */
static int turn_about(void *arg)
{
	struct action a = { 0 }, old;

	for (int i = 0; i < OFTEN; i++) {
		hear(ends[0][0]);
		a.handler = 0x20000 + i;
		OK(raw(SIGUSR1, &a, &old));
		EQ(old.handler, (uintptr_t)arg ? 0x10000 + i : i ? 0x20000 + i - 1 : 0x7777);
		tell(ends[1][1]);
	}
	_exit(0);
}

static void take_turns(int flags)
{
	const bool shares = flags & CLONE_SIGHAND;
	struct action a = { 0x7777, 0, 0, 0 }, old;

	OK(pipe(ends[0]));
	OK(pipe(ends[1]));
	warm_up();
	OK(raw(SIGUSR1, &a, NULL));
	pid_t p = OK(clone(turn_about, stack + sizeof stack, flags | SIGCHLD, (void *)(uintptr_t)shares));

	for (int i = 0; i < OFTEN; i++) {
		a.handler = 0x10000 + i;
		OK(raw(SIGUSR1, &a, &old));
		EQ(old.handler, !i ? 0x7777 : shares ? 0x20000 + i - 1 : 0x10000 + i - 1);
		tell(ends[0][1]);
		hear(ends[1][0]);
	}
	EXITED(p, 0);
}

CASE(turns_that_share)
{
	take_turns(CLONE_VM | CLONE_SIGHAND);
}

CASE(turns_with_memory)
{
	take_turns(CLONE_VM);
}

CASE(turns_apart)
{
	take_turns(0);
}

static int ignore_it(void *arg)
{
	for (int i = 0; i < 8; i++)
		OK(raw(SIGUSR1, &(struct action){ 1 }, NULL));
	_exit(0);
}

/* Who ignores a signal for others, too, drops what waits for himself. */
CASE(shared_but_for_what_waits)
{
	sigset_t set = set_of(SIGUSR1, 0), waiting;
	struct action a = { 0x1234, 0, restorer(), 0 };

	sigprocmask(SIG_BLOCK, &set, NULL);
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		handle(SIGUSR2, i % 2 ? two : one, 0);
		OK(raw(SIGUSR1, &a, NULL));
		OK(kill(getpid(), SIGUSR1));
		EXITED(OK(clone(ignore_it, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL)), 0);
		EQ(now(SIGUSR1).handler, 1);
		OK(sigpending(&waiting));
		CHECK(sigismember(&waiting, SIGUSR1));
		OK(raw(SIGUSR1, &(struct action){ 1 }, NULL));
		OK(sigpending(&waiting));
		CHECK(!sigismember(&waiting, SIGUSR1));
		raise(SIGUSR2);
		EQ(ran[1], i / 2 + 1);
		EQ(ran[2], (i + 1) / 2);
	}
}

static char more_stacks[2][1 << 16] __attribute__((aligned(16)));
static volatile int phase;

static int outlive(void *arg)
{
	struct action a = { 0x4444, 0, restorer(), 0 };

	while (phase != 1)
		sched_yield();
	EQ(now(SIGUSR1).handler, 0x3333);
	for (int i = 0; i < 4; i++) {
		OK(raw(SIGUSR1, &a, NULL));
		same(now(SIGUSR1), a);
	}
	phase = 2;
	_exit(0);
}

static int leave_a_thread(void *arg)
{
	struct action a = { 0x3333, 0, restorer(), 0 };

	for (int i = 0; i < 4; i++)
		OK(raw(SIGUSR1, &a, NULL));
	OK(clone(outlive, more_stacks[0] + sizeof more_stacks[0], CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL));
	return syscall(SYS_exit, 0);
}

static int come_after(void *arg)
{
	struct action a = { 0x5555, 0, restorer(), 0 };

	for (int i = 0; i < 4; i++)
		OK(raw(SIGUSR1, &a, NULL));
	phase = 1;
	while (phase != 2)
		sched_yield();
	same(now(SIGUSR1), a);
	_exit(0);
}

/* A thread that outlives its leader, and another process in the same memory that comes after that. */
CASE(a_thread_left_behind)
{
	warm_up();
	for (int i = 0; i < 50; i++) {
		phase = 0;
		pid_t p = OK(clone(leave_a_thread, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));

		while (proc_state(p) != 'Z')
			sched_yield();
		EXITED(OK(clone(come_after, more_stacks[1] + sizeof more_stacks[1], CLONE_VM | SIGCHLD, NULL)), 0);
		EXITED(p, 0);
	}
}

CASE(clear_sighand_resets_handlers)
{
	struct action a = { 0x1234, SA_RESTART, restorer(), bit(3) }, ignored = { 1, SA_RESTART, restorer(), bit(4) };
	struct clone_args args = { .flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };

	warm_up();
	for (int i = 0; i < 20; i++) {
		OK(raw(SIGUSR1, &a, NULL));
		OK(raw(SIGUSR2, &ignored, NULL));
		pid_t p = OK(syscall(SYS_clone3, &args, sizeof args));

		if (p == 0) {
			for (int k = 0; k < 4; k++) {
				same(now(SIGUSR1), (struct action){ 0 });
				EQ(now(SIGUSR2).handler, 1);
			}
			_exit(0);
		}
		EXITED(p, 0);
		same(now(SIGUSR1), a);
	}
}

static int after_exec(void)
{
	for (int i = 0; i < 4; i++)
		for (int sig = 1; sig <= SIGNALS; sig++) {
			struct action a = now(sig);

			if (!mine(sig) || sig == SIGPIPE)
				continue;
			if (a.handler != (sig % 3 == 0) || a.flags || a.mask || a.restorer)
				return sig;
		}
	return 0;
}

void abi_helper(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--after-exec"))
		_exit(after_exec());
}

static void before_exec(void)
{
	for (int sig = 1; sig <= SIGNALS; sig++) {
		struct action a = { sig % 3 == 0 ? 1 : sig % 3 == 1 ? 0 : 0x1234, SA_RESTART, restorer(), bit(40) };

		if (mine(sig) && sig != SIGCHLD)
			OK(raw(sig, &a, NULL));
	}
}

static void *exec_here(void *arg)
{
	execl("/proc/self/exe", "after", "--after-exec", NULL);
	_exit(99);
	return arg;
}

CASE(execve_resets_handlers)
{
	for (int i = 0; i < 20; i++) {
		pid_t p = CHILD({
			pthread_t t;

			if (i % 2)
				warm_up();
			before_exec();
			if (i % 4 < 2)
				exec_here(NULL);
			pthread_create(&t, NULL, exec_here, NULL);
			pause();
		});

		EXITED(p, 0);
		if ((p = vfork()) == 0) {
			before_exec();
			exec_here(NULL);
		}
		EXITED(p, 0);
	}
}

CASE(spawned_programs)
{
	char *argv[] = { "after", "--after-exec", NULL };
	posix_spawnattr_t attr;
	sigset_t set;
	pid_t p;

	warm_up();
	before_exec();
	sigfillset(&set);
	for (int sig = 1; sig <= SIGNALS; sig++)
		if (sig % 3 == 0)
			sigdelset(&set, sig);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	for (int i = 0; i < 20; i++) {
		EQ(posix_spawn(&p, "/proc/self/exe", NULL, &attr, argv, environ), 0);
		EXITED(p, 0);
		EQ(now(SIGUSR2).handler, 1);
		EQ(now(5).handler, 0x1234);
	}
}

static void status_of(pid_t p, uint64_t *ignored, uint64_t *caught)
{
	char path[64], line[256];
	FILE *f;

	sprintf(path, "/proc/%d/status", p);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof line, f)) {
		sscanf(line, "SigIgn: %lx", ignored);
		sscanf(line, "SigCgt: %lx", caught);
	}
	fclose(f);
}

static volatile int *shared;

static void share(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

CASE(others_see_them)
{
	share();
	pid_t p = CHILD({
		warm_up();
		for (;;) {
			const int wanted = shared[0];
			struct action a = { wanted % 3 == 2 ? 0x1234 : wanted % 3, 0, 0, 0 };

			OK(raw(34 + wanted % 20, &a, NULL));
			shared[1] = wanted;
		}
	});

	for (int i = 1; i < OFTEN; i++) {
		uint64_t ignored = 0, caught = 0;
		const int sig = 34 + i % 20;

		shared[0] = i;
		while (shared[1] != i)
			sched_yield();
		status_of(p, &ignored, &caught);
		EQ(!!(ignored & bit(sig)), i % 3 == 1);
		EQ(!!(caught & bit(sig)), i % 3 == 2);
	}
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
}

/* --- what signals do */

static volatile int depth, deepest, nest_left;

static void nest(int sig)
{
	if (++depth > deepest)
		deepest = depth;
	if (nest_left-- > 0)
		raise(sig);
	depth--;
}

CASE(once_only_handlers)
{
	warm_up();
	for (int i = 1; i < OFTEN; i++) {
		handle(SIGURG, one, SA_RESETHAND);
		raise(SIGURG);
		EQ(ran[1], 2 * i - 1);
		EQ(now(SIGURG).handler, 0);
		CHECK(now(SIGURG).flags & SA_RESETHAND);
		raise(SIGURG);
		EQ(ran[1], 2 * i - 1);
		/* From elsewhere, just after it was set. */
		handle(SIGURG, one, SA_RESETHAND | SA_RESTART);
		EXITED(CHILD({ OK(kill(getppid(), SIGURG)); OK(kill(getppid(), SIGURG)); }), 0);
		EQ(ran[1], 2 * i);
		EQ(now(SIGURG).handler, 0);
	}
}

CASE(nested_handlers)
{
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		deepest = 0;
		nest_left = 2;
		handle(SIGUSR1, nest, i % 2 ? SA_NODEFER : 0);
		raise(SIGUSR1);
		EQ(deepest, i % 2 ? 3 : 1);
		EQ(nest_left, -1);
	}
}

static bool waits(int sig)
{
	sigset_t set;

	OK(sigpending(&set));
	return sigismember(&set, sig);
}

static void send(int sig, bool to_thread)
{
	if (to_thread)
		OK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), sig));
	else
		OK(kill(getpid(), sig));
}

CASE(what_comes_to_be_ignored_is_dropped)
{
	static const int by_default[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGALRM);
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		const bool dfl = i % 3 == 0;
		const int sig = dfl ? by_default[i / 3 % 4] : i % 3 == 1 ? SIGUSR1 : 40;

		OK(sigprocmask(SIG_SETMASK, &set, NULL));
		handle(sig, one, 0);
		CHECK(!waits(sig));
		send(sig, i % 2);
		send(sig, i % 5);
		CHECK(waits(sig));
		handle(sig, two, 0);
		CHECK(waits(sig));
		if (i % 7 == 0) { /* it isn't, with what this signal does by default */
			handle(SIGTERM, SIG_IGN, 0);
			CHECK(waits(sig));
		}
		handle(sig, dfl ? SIG_DFL : SIG_IGN, 0);
		CHECK(!waits(sig));
		/* It waits though it is ignored, while it is blocked. */
		send(sig, i % 2);
		CHECK(waits(sig));
		handle(sig, dfl ? SIG_DFL : SIG_IGN, 0);
		CHECK(!waits(sig));
		handle(sig, two, 0);
		CHECK(!waits(sig));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		EQ(ran[1] + ran[2], i);
		send(sig, i % 2);
		EQ(ran[2], i + 1);
		EQ(ran[1], 0);
	}
}

static void *wait_blocked(void *arg)
{
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	CHECK(!waits(SIGUSR1));
	return arg;
}

/* Also what waits for another thread. */
CASE(dropped_for_other_threads)
{
	sigset_t set = set_of(SIGUSR1, 0);
	pthread_barrier_t both;
	pthread_t t;

	pthread_barrier_init(&both, NULL, 2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	warm_up();
	for (int i = 0; i < 50; i++) {
		handle(SIGUSR1, one, 0);
		CHECK(pthread_create(&t, NULL, wait_blocked, &both) == 0);
		pthread_barrier_wait(&both);
		EQ(pthread_kill(t, SIGUSR1), 0);
		handle(SIGUSR1, SIG_IGN, 0);
		handle(SIGUSR1, one, 0);
		pthread_barrier_wait(&both);
		pthread_join(t, NULL);
	}
	EQ(ran[1], 0);
}

CASE(ends_of_children)
{
	warm_up();
	for (int i = 0; i < OFTEN; i++) {
		struct sigaction sa = { .sa_handler = i % 4 == 1 ? SIG_IGN : one, .sa_flags = i % 4 == 2 ? SA_NOCLDWAIT : 0 };
		const bool reaped = i % 4 == 1 || i % 4 == 2;
		const int before = ran[1];
		int st;

		OK(sigaction(SIGCHLD, &sa, NULL));
		pid_t p = CHILD({});

		if (reaped)
			ERR(waitpid(p, &st, 0), ECHILD);
		else
			EXITED(p, 0);
		EQ(ran[1], before + (i % 4 != 1));
		if (i % 4 == 3) { /* what is there already stays */
			p = CHILD({});
			while (proc_state(p) != 'Z')
				sched_yield();
			handle(SIGCHLD, SIG_IGN, 0);
			EXITED(p, 0);
		}
	}
}

CASE(stopped_children)
{
	int st;

	warm_up();
	for (int i = 0; i < 50; i++) {
		const int before = ran[1];

		handle(SIGCHLD, one, i % 2 ? SA_NOCLDSTOP | SA_RESTART : SA_RESTART);
		pid_t p = CHILD({ raise(SIGSTOP); });

		CHECK(waitpid(p, &st, WUNTRACED) == p && WIFSTOPPED(st));
		EQ(ran[1], before + !(i % 2));
		handle(SIGCHLD, SIG_DFL, 0);
		OK(kill(p, SIGCONT));
		EXITED(p, 0);
		EQ(ran[1], before + !(i % 2));
	}
}

/* Another process sends a signal as soon as the action is set: it does that, and nothing else. */
CASE(a_signal_just_after)
{
	int go[2], done[2];

	OK(pipe(go));
	OK(pipe(done));
	pid_t p = CHILD({
		close(go[1]);
		for (char c; read(go[0], &c, 1) == 1;) {
			OK(kill(getppid(), SIGWINCH));
			tell(done[1]);
		}
	});

	close(go[0]);
	warm_up();
	for (int i = 0; i < 5 * OFTEN; i++) {
		int wanted[4];

		for (int k = 0; k < 4; k++)
			wanted[k] = ran[k];
		handle(SIGWINCH, i % 3 ? SIG_IGN : two, SA_RESTART);
		handle(SIGWINCH, i % 5 == 0 ? SIG_IGN : i % 5 == 1 ? SIG_DFL : i % 5 == 2 ? one : two, SA_RESTART);
		wanted[i % 5 == 2 ? 1 : 2] += i % 5 > 1;
		tell(go[1]);
		hear(done[0]);
		for (int k = 0; k < 4; k++)
			EQ(ran[k], wanted[k]);
	}
	close(go[1]);
	EXITED(p, 0);
}

static void look(int sig, siginfo_t *si, void *uc)
{
	sigset_t set;

	CHECK(si && si->si_signo == sig && uc);
	pthread_sigmask(0, NULL, &set);
	CHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGINT) && sigismember(&set, sig));
	__atomic_fetch_add(&ran[1], 1, __ATOMIC_SEQ_CST);
}

static void look_again(int sig)
{
	sigset_t set;

	pthread_sigmask(0, NULL, &set);
	CHECK(!sigismember(&set, SIGHUP) && sigismember(&set, SIGINT) && !sigismember(&set, sig));
	__atomic_fetch_add(&ran[2], 1, __ATOMIC_SEQ_CST);
}

static volatile int stop;

static void *change_about(void *arg)
{
	struct sigaction a = { .sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART, .sa_mask = set_of(SIGHUP, 0) },
			 b = { .sa_handler = look_again, .sa_flags = SA_NODEFER | SA_RESTART, .sa_mask = set_of(SIGINT, 0) };

	for (unsigned i = 0; !stop; i++)
		OK(sigaction(SIGUSR1, i % 2 ? &a : &b, NULL));
	return arg;
}

/* Whichever of the two it is: it is that one altogether. */
static void race(bool from_elsewhere)
{
	enum { SIGNALS_SENT = 2000 };
	pthread_t t[2];

	warm_up();
	stop = 1;
	change_about(NULL);
	OK(raw(SIGUSR1, &(struct action){ 1 }, NULL));
	stop = 0;
	struct sigaction sa = { .sa_handler = look_again, .sa_flags = SA_NODEFER | SA_RESTART, .sa_mask = set_of(SIGINT, 0) };

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, change_about, NULL) == 0);
	if (from_elsewhere) {
		share();
		pid_t p = CHILD({
			for (int i = 0; i < SIGNALS_SENT / 4; i++) {
				OK(kill(getppid(), SIGUSR1));
				while (*shared <= i)
					sched_yield();
			}
		});

		for (int i = 1; i <= SIGNALS_SENT / 4; i++) {
			while (ran[1] + ran[2] < i)
				sched_yield();
			*shared = i;
		}
		EXITED(p, 0);
		EQ(ran[1] + ran[2], SIGNALS_SENT / 4);
	} else {
		for (int i = 1; i <= SIGNALS_SENT; i++) {
			OK(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
			EQ(ran[1] + ran[2], i);
		}
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

CASE(threads_change_it_meanwhile)
{
	race(false);
}

CASE(threads_change_it_while_another_sends)
{
	race(true);
}

static void *ignore_and_not(void *arg)
{
	for (unsigned i = 0; !stop; i++)
		handle(SIGUSR1, i % 2 ? SIG_IGN : one, SA_RESTART);
	handle(SIGUSR1, SIG_IGN, 0);
	return arg;
}

/* Once it is ignored for good nothing of it is left. */
CASE(nothing_is_left_of_what_is_ignored)
{
	sigset_t set = set_of(SIGUSR1, 0);
	pthread_t t;

	warm_up();
	handle(SIGUSR1, SIG_IGN, 0);
	for (int round = 0; round < 20; round++) {
		sigprocmask(SIG_BLOCK, &set, NULL);
		stop = 0;
		CHECK(pthread_create(&t, NULL, ignore_and_not, NULL) == 0);
		for (int i = 0; i < 100; i++)
			send(SIGUSR1, i % 2);
		stop = 1;
		pthread_join(t, NULL);
		CHECK(!waits(SIGUSR1));
		handle(SIGUSR1, two, 0);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		EQ(ran[2], 0);
		handle(SIGUSR1, SIG_IGN, 0);
	}
}
