// The vDSO that programs see: clocks without a call. A freestanding image, mapped read-only into every program, that
// goes on in the host's vDSO behind it.
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "sentry/loader/vdso/params.h"

#define PUBLIC __attribute__((visibility("default")))

// volatile: the compiler must not take the zeros for constants.
static const volatile struct vdso_params params = {.magic = {VDSO_MAGIC_0, VDSO_MAGIC_1}};

static long call2(long nr, long a, long b)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

PUBLIC int __vdso_clock_gettime(clockid_t clock, struct timespec *ts);
PUBLIC int __vdso_clock_gettime(clockid_t clock, struct timespec *ts)
{
	int (*host)(clockid_t, struct timespec *) = (void *)params.clock_gettime;

	// The CPU-time clocks are the kernel's own: only it knows which threads are the caller's.
	if (!host || clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
		return (int)call2(SYS_clock_gettime, clock, (long)ts);
	return host(clock, ts); // a jump: nothing is to be done after it
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
