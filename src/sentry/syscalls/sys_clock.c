// Reading the clocks, and being refused to set them: the time is the host's.
#include <sys/time.h>
#include <sys/timex.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

long sys_clock_gettime(struct task *t, const struct sysargs *args)
{
	struct timespec ts;
	int64_t ns;
	int err = clock_read(t, (clockid_t)args->a[0], &ns);

	if (err)
		return err;
	ts = ns_to_timespec(ns);
	return copy_out_obj(t, args->a[1], &ts);
}

long sys_clock_getres(struct task *t, const struct sysargs *args)
{
	clockid_t clock = (clockid_t)args->a[0];
	struct timespec ts = {.tv_nsec = 1};
	int64_t ns;
	int err = clock_read(t, clock, &ns);

	if (err)
		return err;
	if (clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		clock_getres(clock, &ts);
	return args->a[1] ? copy_out_obj(t, args->a[1], &ts) : 0;
}

long sys_clock_settime(struct task *t, const struct sysargs *args)
{
	clockid_t clock = (clockid_t)args->a[0];
	struct timespec ts;
	int64_t ns;

	if (clock != CLOCK_REALTIME) {
		// CPU clocks that there are may not be set, others can't.
		return clock_is_cpu(clock) && clock_read(t, clock, &ns) == 0 ? -EPERM : -EINVAL;
	}
	if (copy_in_obj(t, &ts, args->a[1]) < 0)
		return -EFAULT;
	return timespec_valid(&ts) ? -EPERM : -EINVAL;
}

long sys_gettimeofday(struct task *t, const struct sysargs *args)
{
	int64_t ns = ktime_now(CLOCK_REALTIME);
	struct timeval tv = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
	struct timezone tz = {0};

	if (args->a[0] && copy_out_obj(t, args->a[0], &tv) < 0)
		return -EFAULT;
	return args->a[1] ? copy_out_obj(t, args->a[1], &tz) : 0;
}

long sys_settimeofday(struct task *t, const struct sysargs *args)
{
	struct timezone tz;
	struct timeval tv;

	if (args->a[0]) {
		if (copy_in_obj(t, &tv, args->a[0]) < 0)
			return -EFAULT;
		if (tv.tv_sec < 0 || tv.tv_usec < 0 || tv.tv_usec >= 1000000)
			return -EINVAL;
	}
	if (args->a[1] && copy_in_obj(t, &tz, args->a[1]) < 0)
		return -EFAULT;
	return -EPERM;
}

long sys_time(struct task *t, const struct sysargs *args)
{
	// The coarse clock, as on Linux: what the vDSO answers too.
	int64_t now = ktime_now(CLOCK_REALTIME_COARSE) / NSEC_PER_SEC;

	if (args->a[0] && copy_out_obj(t, args->a[0], &now) < 0)
		return -EFAULT;
	return now;
}

// man 2 adjtimex: without a mode it only asks. The answer is that of a clock that nobody here disciplines.
static long adjust(struct task *t, uaddr_t utx)
{
	struct timex tx, answer = {
		.maxerror = 16000000, .esterror = 16000000, .status = STA_UNSYNC, .constant = 2, .precision = 1,
		.tolerance = 32768000, .tick = 10000,
	};
	int64_t ns = ktime_now(CLOCK_REALTIME);

	if (copy_in_obj(t, &tx, utx) < 0)
		return -EFAULT;
	if (tx.modes && tx.modes != ADJ_OFFSET_SS_READ)
		return tx.modes & ADJ_OFFSET_SINGLESHOT && tx.modes & ~(unsigned)ADJ_OFFSET_SINGLESHOT ? -EINVAL : -EPERM;
	answer.modes = tx.modes;
	answer.time = (struct timeval){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
	return copy_out_obj(t, utx, &answer) ?: TIME_ERROR;
}

long sys_adjtimex(struct task *t, const struct sysargs *args)
{
	return adjust(t, args->a[0]);
}

long sys_clock_adjtime(struct task *t, const struct sysargs *args)
{
	clockid_t clock = (clockid_t)args->a[0];
	struct timex tx;
	int64_t ns;

	if (clock == CLOCK_REALTIME)
		return adjust(t, args->a[1]);
	if (copy_in_obj(t, &tx, args->a[1]) < 0)
		return -EFAULT;
	return clock_read(t, clock, &ns) ?: -EOPNOTSUPP;
}
