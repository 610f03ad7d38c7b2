// The vDSO that programs see: clocks without a call. A freestanding image, mapped read-only into every program; it
// calls the host's vDSO behind it and adds the sandbox's offsets.
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "sentry/loader/vdso/params.h"

#define PUBLIC __attribute__((visibility("default")))
#define NSEC_PER_SEC 1000000000ll

// volatile: the compiler must not take the zeros for constants.
static const volatile struct vdso_params params = {.magic = {VDSO_MAGIC_0, VDSO_MAGIC_1}};

static long call2(long nr, long a, long b)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

static void add_offset(struct timespec *ts, int64_t offset_ns)
{
	int64_t ns = ts->tv_nsec + offset_ns % NSEC_PER_SEC;

	ts->tv_sec += offset_ns / NSEC_PER_SEC;
	if (ns < 0) {
		ns += NSEC_PER_SEC;
		ts->tv_sec--;
	} else if (ns >= NSEC_PER_SEC) {
		ns -= NSEC_PER_SEC;
		ts->tv_sec++;
	}
	ts->tv_nsec = ns;
}

PUBLIC int __vdso_clock_gettime(clockid_t clock, struct timespec *ts);
PUBLIC int __vdso_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int (*host)(clockid_t, struct timespec *) = (void *)params.clock_gettime;
	int ret;

	// The CPU-time clocks are the kernel's own: only it knows which threads are the caller's.
	if (!host || clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return (int)call2(SYS_clock_gettime, clock, (long)ts);
	ret = host(clock, ts);
	if (ret == 0) {
		if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC_COARSE)
			add_offset(ts, params.monotonic_offset_ns);
		else if (clock == CLOCK_BOOTTIME)
			add_offset(ts, params.boottime_offset_ns);
	}
	return ret;
}

PUBLIC int __vdso_gettimeofday(struct timeval *tv, void *tz);
PUBLIC int __vdso_gettimeofday(struct timeval *tv, void *tz)
{
	int (*host)(struct timeval *, void *) = (void *)params.gettimeofday;

	return host ? host(tv, tz) : (int)call2(SYS_gettimeofday, (long)tv, (long)tz);
}

PUBLIC time_t __vdso_time(time_t *t);
PUBLIC time_t __vdso_time(time_t *t)
{
	time_t (*host)(time_t *) = (void *)params.time;

	return host ? host(t) : call2(SYS_time, (long)t, 0);
}

PUBLIC int __vdso_clock_getres(clockid_t clock, struct timespec *ts);
PUBLIC int __vdso_clock_getres(clockid_t clock, struct timespec *ts)
{
	int (*host)(clockid_t, struct timespec *) = (void *)params.clock_getres;

	if (!host || clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return (int)call2(SYS_clock_getres, clock, (long)ts);
	return host(clock, ts);
}

PUBLIC int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused);
PUBLIC int __vdso_getcpu(unsigned *cpu, unsigned *node, void *unused)
{
	int (*host)(unsigned *, unsigned *, void *) = (void *)params.getcpu;

	return host ? host(cpu, node, unused) : (int)call2(SYS_getcpu, (long)cpu, (long)node);
}
