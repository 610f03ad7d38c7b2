/*
 * Signal masks: what rt_sigprocmask answers, who inherits and who restores a mask, and races of masks with signals from elsewhere: a
 * signal is never handled while it is blocked, never lost, and what is sent to a process goes to a thread that takes it.
 *
 * Loops run often enough for a system call to be answered in every way that there may be for one that is made again and again.
 */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <ucontext.h>

enum { OFTEN = 200 };

static long procmask(long how, const void *set, void *old, size_t size)
{
	return syscall(SYS_rt_sigprocmask, how, set, old, size);
}

static uint64_t mask_now(void)
{
	uint64_t now = ~0ull;

	OK(procmask(0, NULL, &now, 8));
	return now;
}

static uint64_t bit(int sig)
{
	return 1ull << (sig - 1);
}

/* --- what it answers */

CASE(every_way_to_change_it)
{
	const uint64_t all = ~0ull, unblockable = bit(SIGKILL) | bit(SIGSTOP);
	uint64_t old, set;

	for (int i = 0; i < OFTEN; i++) {
		set = bit(SIGUSR1);
		OK(procmask(SIG_SETMASK, &set, NULL, 8));
		set = bit(SIGUSR2);
		OK(procmask(SIG_BLOCK, &set, &old, 8));
		EQ(old, bit(SIGUSR1));
		EQ(mask_now(), bit(SIGUSR1) | bit(SIGUSR2));
		set = bit(SIGUSR1) | bit(SIGHUP);
		OK(procmask(SIG_UNBLOCK, &set, &old, 8));
		EQ(old, bit(SIGUSR1) | bit(SIGUSR2));
		EQ(mask_now(), bit(SIGUSR2));
		OK(procmask(SIG_SETMASK, &all, &old, 8));
		EQ(old, bit(SIGUSR2));
		EQ(mask_now(), all & ~unblockable);
		/* The same place for both; and only the low half of how counts. */
		set = 0;
		OK(procmask(SIG_SETMASK | 1l << 32, &set, &set, 8));
		EQ(set, all & ~unblockable);
		OK(procmask(SIG_BLOCK, &unblockable, NULL, 8));
		EQ(mask_now(), 0);
		OK(procmask(77, NULL, NULL, 8));
	}
}

CASE(errors)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t set = bit(SIGUSR1), old;

	OK(mprotect(page + 4096, 4096, PROT_READ));
	for (int i = 0; i < OFTEN; i++) {
		OK(procmask(SIG_SETMASK, &set, NULL, 8));
		ERR(procmask(77, &set, &old, 8), EINVAL);
		ERR(procmask(SIG_BLOCK, &set, &old, 4), EINVAL);
		ERR(procmask(SIG_BLOCK, &set, &old, 128), EINVAL);
		ERR(procmask(SIG_BLOCK, (void *)8, &old, 8), EFAULT);
		ERR(procmask(SIG_BLOCK, (void *)(1ul << 63), &old, 8), EFAULT);
		ERR(procmask(SIG_BLOCK, NULL, (void *)8, 8), EFAULT);
		ERR(procmask(SIG_BLOCK, NULL, (void *)-8, 8), EFAULT);
		EQ(mask_now(), bit(SIGUSR1));
		/* The mask is changed before the old one is told. */
		memset(page + 4092, 0, 4);
		memcpy(page, &(uint64_t){ bit(SIGUSR2) }, 8);
		ERR(procmask(SIG_SETMASK, page, page + 4096, 8), EFAULT);
		EQ(mask_now(), bit(SIGUSR2));
		ERR(procmask(SIG_SETMASK, page + 4092, page + 4092, 8), EFAULT);
		EQ(mask_now(), 0);
	}
}

static volatile int count;
static volatile uint64_t mask_seen, mask_to_be;

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	count++;
	mask_seen = mask_now();
	mask_to_be = ((uint64_t *)&((ucontext_t *)uc)->uc_sigmask)[0];
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	OK(sigaction(sig, &sa, NULL));
}

CASE(what_waits_comes_at_once)
{
	sigset_t set = set_of(SIGUSR1, 0);

	handle(SIGUSR1);
	for (int i = 0; i < OFTEN; i++) {
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		EQ(count, i);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		EQ(count, i + 1);
		EQ(mask_seen, bit(SIGUSR1));
		EQ(mask_to_be, 0);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
}

CASE(handlers_and_waits_restore_it)
{
	sigset_t one = set_of(SIGUSR1, 0), two = set_of(SIGUSR1, SIGUSR2), none;

	handle(SIGUSR2);
	sigemptyset(&none);
	for (int i = 0; i < OFTEN; i++) {
		sigprocmask(SIG_SETMASK, &one, NULL);
		raise(SIGUSR2);
		EQ(count, 3 * i + 1);
		EQ(mask_seen, bit(SIGUSR1) | bit(SIGUSR2));
		EQ(mask_to_be, bit(SIGUSR1));
		EQ(mask_now(), bit(SIGUSR1));
		sigprocmask(SIG_SETMASK, &two, NULL);
		raise(SIGUSR2);
		ERR(sigsuspend(&none), EINTR);
		EQ(mask_to_be, bit(SIGUSR1) | bit(SIGUSR2));
		EQ(mask_now(), bit(SIGUSR1) | bit(SIGUSR2));
		sigprocmask(SIG_SETMASK, &two, NULL);
		raise(SIGUSR2);
		ERR(ppoll(NULL, 0, NULL, &none), EINTR);
		EQ(count, 3 * i + 3);
		EQ(mask_now(), bit(SIGUSR1) | bit(SIGUSR2));
	}
}

static void *see_mask(void *arg)
{
	*(uint64_t *)arg = mask_now();
	return NULL;
}

CASE(children_inherit_it)
{
	uint64_t seen;
	pthread_t t;
	sigset_t set;

	for (int sig = 34; sig < 60; sig++) {
		uint64_t mask = bit(sig);

		OK(procmask(SIG_SETMASK, &mask, NULL, 8));
		pid_t p = CHILD({
			EQ(mask_now(), mask);
			OK(procmask(SIG_SETMASK, &(uint64_t){ 0 }, NULL, 8));
		});
		EXITED(p, 0);
		CHECK(pthread_create(&t, NULL, see_mask, &seen) == 0);
		pthread_join(t, NULL);
		EQ(seen, mask);
		sigfillset(&set);
		if ((p = vfork()) == 0) {
			sigprocmask(SIG_SETMASK, &set, NULL);
			sigprocmask(SIG_SETMASK, &set, NULL);
			_exit(0);
		}
		EXITED(p, 0);
		EQ(mask_now(), mask);
	}
}

static uint64_t status_mask(pid_t p)
{
	char path[64], line[256];
	unsigned long mask = 0;
	FILE *f;

	sprintf(path, "/proc/%d/status", p);
	f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof line, f))
		sscanf(line, "SigBlk: %lx", &mask);
	fclose(f);
	return mask;
}

CASE(others_see_it)
{
	volatile uint64_t *wanted = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *set = wanted + 1;
	pid_t p = CHILD({
		for (;;) {
			uint64_t mask = *wanted;

			OK(procmask(SIG_SETMASK, &mask, NULL, 8));
			*set = mask;
		}
	});

	for (int sig = 34; sig < 64; sig++) {
		*wanted = bit(sig);
		while (*set != bit(sig))
			sched_yield();
		EQ(status_mask(p), bit(sig));
	}
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
}

/* --- races */

static struct shared {
	volatile int ready, taken, round, stop;
} *shared;

static void share(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static __thread volatile bool blocked;

static void take(int sig)
{
	if (blocked)
		FAIL("handled while it is blocked");
	__atomic_add_fetch(&shared->taken, 1, __ATOMIC_SEQ_CST);
}

static void take_here(int sig)
{
	struct sigaction sa = { .sa_handler = take, .sa_flags = SA_RESTART };

	OK(sigaction(sig, &sa, NULL));
}

static void block(const sigset_t *set)
{
	pthread_sigmask(SIG_BLOCK, set, NULL);
	blocked = true;
}

static void unblock(const sigset_t *set)
{
	blocked = false;
	pthread_sigmask(SIG_UNBLOCK, set, NULL);
}

static void *toggle(void *arg)
{
	sigset_t set = set_of(SIGUSR1, 0);

	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!shared->stop) {
		block(&set);
		unblock(&set);
	}
	return NULL;
}

static void until(volatile int *what, int value)
{
	while (*what < value)
		sched_yield();
}

enum { ROUNDS = 150 };

/* Signals for a child that toggles, each after the last was taken. */
static void take_turns_with(pid_t p)
{
	for (int i = 1; i <= ROUNDS; i++) {
		OK(kill(p, SIGUSR1));
		until(&shared->taken, i);
	}
	shared->stop = 1;
	EXITED(p, 0);
	EQ(shared->taken, ROUNDS);
}

CASE(process_against_toggling)
{
	share();
	pid_t p = CHILD({
		take_here(SIGUSR1);
		toggle(NULL);
	});

	until(&shared->ready, 1);
	take_turns_with(p);
}

CASE(thread_against_toggling)
{
	pthread_t t;

	share();
	take_here(SIGUSR1);
	CHECK(pthread_create(&t, NULL, toggle, NULL) == 0);
	until(&shared->ready, 1);
	for (int i = 1; i <= ROUNDS; i++) {
		EQ(pthread_kill(t, SIGUSR1), 0);
		until(&shared->taken, i);
	}
	shared->stop = 1;
	pthread_join(t, NULL);
	EQ(shared->taken, ROUNDS);
}

CASE(process_of_toggling_threads)
{
	share();
	pid_t p = CHILD({
		pthread_t t[2];

		take_here(SIGUSR1);
		for (int i = 0; i < 2; i++)
			CHECK(pthread_create(&t[i], NULL, toggle, NULL) == 0);
		toggle(NULL);
		for (int i = 0; i < 2; i++)
			pthread_join(t[i], NULL);
	});

	until(&shared->ready, 3);
	take_turns_with(p);
}

static void *rest(void *arg)
{
	char c;

	while (read(*(int *)arg, &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

/* A thread that was to take it may have blocked it by then, for good: another one has it. */
CASE(who_blocks_it_hands_it_on)
{
	sigset_t set = set_of(SIGUSR1, 0);
	int fds[2];

	share();
	OK(pipe(fds));
	pid_t p = CHILD({
		pthread_t t;

		take_here(SIGUSR1);
		CHECK(pthread_create(&t, NULL, rest, fds) == 0);
		for (int i = 1; i <= ROUNDS; i++) {
			shared->round = i;
			for (int k = 0; k < i % 64; k++) {
				block(&set);
				unblock(&set);
			}
			block(&set);
			until(&shared->taken, i);
			unblock(&set);
		}
		tell(fds[1]);
		pthread_join(t, NULL);
	});
	for (int i = 1; i <= ROUNDS; i++) {
		until(&shared->round, i);
		OK(kill(p, SIGUSR1));
		until(&shared->taken, i);
	}
	EXITED(p, 0);
	EQ(shared->taken, ROUNDS);
}

static void *wait_for_second(void *arg)
{
	sigset_t set = set_of(SIGUSR2, 0);
	int sig;

	for (int i = 0; i < OFTEN; i++) {
		EQ(sigwait(&set, &sig), 0);
		__atomic_add_fetch(&shared->taken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Two signals at once, and the first thread could take either: it takes one, and the second thread gets the other, if it can. */
CASE(two_waiters_two_signals)
{
	sigset_t both = set_of(SIGUSR1, SIGUSR2), first = set_of(SIGUSR1, 0);
	int sig;

	share();
	sigprocmask(SIG_BLOCK, &both, NULL);
	pid_t p = CHILD({
		pthread_t t;

		CHECK(pthread_create(&t, NULL, wait_for_second, NULL) == 0);
		for (int i = 1; i <= OFTEN; i++) {
			shared->round = i;
			EQ(sigwait(i % 2 ? &both : &first, &sig), 0);
			EQ(sig, SIGUSR1);
			until(&shared->taken, i);
		}
		pthread_join(t, NULL);
	});
	for (int i = 1; i <= OFTEN; i++) {
		until(&shared->round, i);
		OK(kill(p, SIGUSR1));
		OK(kill(p, SIGUSR2));
		until(&shared->taken, i);
	}
	EXITED(p, 0);
}

/* Queued signals, sent without a pause, keep their number and order. */
static volatile int expected;

static void in_order(int sig, siginfo_t *si, void *uc)
{
	if (blocked)
		FAIL("handled while it is blocked");
	EQ(si->si_value.sival_int, expected);
	expected++;
}

CASE(queued_ones_against_toggling)
{
	struct sigaction sa = { .sa_sigaction = in_order, .sa_flags = SA_SIGINFO };
	sigset_t set = set_of(SIGRTMIN, 0);

	share();
	OK(sigaction(SIGRTMIN, &sa, NULL));
	pid_t me = getpid(), p = CHILD({
		for (int i = 0; i < ROUNDS; i++) {
			while (sigqueue(me, SIGRTMIN, (union sigval){ .sival_int = i }) < 0)
				EQ(errno, EAGAIN);
		}
	});
	while (expected < ROUNDS) {
		block(&set);
		unblock(&set);
	}
	EXITED(p, 0);
	EQ(expected, ROUNDS);
}

/* One that is ignored while it isn't blocked, but waits while it is. */
CASE(ignored_against_toggling)
{
	sigset_t set = set_of(SIGCHLD, 0), waiting;

	for (int i = 0; i < OFTEN; i++) {
		sigprocmask(SIG_BLOCK, &set, NULL);
		pid_t p = CHILD({});
		EXITED(p, 0);
		sigpending(&waiting);
		CHECK(sigismember(&waiting, SIGCHLD));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		sigprocmask(SIG_BLOCK, &set, NULL);
		sigpending(&waiting);
		CHECK(!sigismember(&waiting, SIGCHLD));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		raise(SIGCHLD);
	}
}
