// Clocks: numbers and their meaning. man 2 clock_gettime.
//
// A negative number names a process's or a thread's CPU clock: the complement of its pid, shifted by three; bit 2 says that it is a
// thread's, the low bits which time (0 all, 1 of the user's code, 2 as the scheduler counts; here they are one).
#include "sentry/kernel/clock.h"

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"

enum { CPU_CLOCK_THREAD = 4, CPU_CLOCK_KIND = 3, CPU_CLOCK_SCHED = 2, CPU_CLOCK_BITS = 3 };

#define TICK_NS (4 * NSEC_PER_MSEC)

bool clock_is_cpu(clockid_t clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

bool clock_is_wall(clockid_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM || clock == CLOCK_TAI || clock == CLOCK_REALTIME_COARSE;
}

static clockid_t named(int pid, int bits)
{
	return (clockid_t)(~(unsigned)pid << CPU_CLOCK_BITS | (unsigned)bits);
}

clockid_t clock_of_caller(struct task *t, clockid_t clock)
{
	if (clock == CLOCK_PROCESS_CPUTIME_ID)
		return named(t->tg->tgid, CPU_CLOCK_SCHED);
	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return named(t->tid, CPU_CLOCK_SCHED | CPU_CLOCK_THREAD);
	if (clock < 0 && ~(clock >> CPU_CLOCK_BITS) == 0) // number 0: the caller's own
		return named(clock & CPU_CLOCK_THREAD ? t->tid : t->tg->tgid, clock & (CPU_CLOCK_THREAD | CPU_CLOCK_KIND));
	return clock;
}

int clock_read_cpu_locked(struct thread_group *tg, struct task *caller, clockid_t clock, int64_t *out_ns)
{
	int pid = (int)~(clock >> CPU_CLOCK_BITS);
	struct thread_group *whose = tg;
	struct task *t = caller;

	if ((clock & CPU_CLOCK_KIND) == CPU_CLOCK_KIND || pid < 0)
		return -EINVAL;
	if (clock & CPU_CLOCK_THREAD) {
		if (pid)
			t = task_find_locked(pid);
		if (!t || t->tg != tg)
			return -EINVAL;
		*out_ns = (int64_t)task_cpu_ns(t);
		return 0;
	}
	if (pid)
		whose = group_find_locked(pid);
	if (!whose)
		return -EINVAL;
	*out_ns = (int64_t)group_cpu_ns_locked(whose);
	return 0;
}

int clock_read(struct task *t, clockid_t clock, int64_t *out_ns)
{
	int err;

	if (clock_is_cpu(clock)) {
		mutex_lock(&kernel()->tasks_mu);
		err = clock_read_cpu_locked(t->tg, t, clock_of_caller(t, clock), out_ns);
		mutex_unlock(&kernel()->tasks_mu);
		return err;
	}
	if (clock > CLOCK_TAI || clock == 10 /* SGI_CYCLE, gone */)
		return -EINVAL;
	*out_ns = ktime_now(clock);
	return 0;
}

int64_t clock_cpu_wait_ns(clockid_t clock, int64_t left_ns, unsigned idle)
{
	int64_t at_least = TICK_NS << MIN(idle, 4u);

	// All CPUs may work for a process at once.
	if (!(clock & CPU_CLOCK_THREAD))
		left_ns /= kernel()->nworkers_max;
	return MAX(left_ns, at_least);
}

bool timespec_valid(const struct timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < NSEC_PER_SEC;
}

int64_t timespec_to_ns(const struct timespec *ts)
{
	int64_t ns;

	if (__builtin_mul_overflow(ts->tv_sec, NSEC_PER_SEC, &ns) || __builtin_add_overflow(ns, ts->tv_nsec, &ns))
		return KTIME_NEVER;
	return ns;
}

struct timespec ns_to_timespec(int64_t ns)
{
	return (struct timespec){.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};
}
