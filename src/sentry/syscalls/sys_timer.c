// Interval timers, alarm, and POSIX timers.
#include <limits.h>
#include <sys/time.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

static int timeval_ns(const struct timeval *tv, int64_t *out_ns)
{
	struct timespec ts = {tv->tv_sec, tv->tv_usec};

	if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
		return -EINVAL;
	ts.tv_nsec *= NSEC_PER_USEC;
	*out_ns = timespec_to_ns(&ts);
	return 0;
}

static struct timeval ns_timeval(int64_t ns)
{
	return (struct timeval){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
}

static int setting_out(struct task *t, uaddr_t dst, const struct timer_setting *s)
{
	struct itimerval it = {.it_interval = ns_timeval(s->interval_ns), .it_value = ns_timeval(s->value_ns)};

	return copy_out_obj(t, dst, &it);
}

long sys_getitimer(struct task *t, const struct sysargs *args)
{
	struct timer_setting now;
	int which = (int)args->a[0];

	if (which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	return itimer_set(t, which, NULL, &now) ?: setting_out(t, args->a[1], &now);
}

long sys_setitimer(struct task *t, const struct sysargs *args)
{
	struct timer_setting set = {0}, old;
	int which = (int)args->a[0], err = 0;
	struct itimerval it;

	if (args->a[1]) { // without it the timer is turned off
		if (copy_in_obj(t, &it, args->a[1]) < 0)
			return -EFAULT;
		err = timeval_ns(&it.it_value, &set.value_ns) ?: timeval_ns(&it.it_interval, &set.interval_ns);
	}
	if (err || which < ITIMER_REAL || which > ITIMER_PROF)
		return -EINVAL;
	err = itimer_set(t, which, &set, &old);
	return err || !args->a[2] ? err : setting_out(t, args->a[2], &old);
}

long sys_alarm(struct task *t, const struct sysargs *args)
{
	struct timer_setting set = {MIN((uint32_t)args->a[0], INT_MAX) * NSEC_PER_SEC, 0}, old;
	int64_t seconds, rest;

	if (itimer_set(t, ITIMER_REAL, &set, &old) < 0)
		return 0; // alarm has no errors
	seconds = old.value_ns / NSEC_PER_SEC;
	rest = old.value_ns % NSEC_PER_SEC;
	return seconds + (rest >= NSEC_PER_SEC / 2 || (seconds == 0 && rest > 0)); // rounded, but never 0 while it runs
}

long sys_timer_create(struct task *t, const struct sysargs *args)
{
	struct sigevent ev;
	int id;

	if (args->a[1] && copy_in_obj(t, &ev, args->a[1]) < 0)
		return -EFAULT;
	id = posix_timer_create(t, (clockid_t)args->a[0], args->a[1] ? &ev : NULL);
	if (id < 0)
		return id;
	if (copy_out_obj(t, args->a[2], &id) < 0) {
		posix_timer_delete(t, id);
		return -EFAULT;
	}
	return 0;
}

static int spec_out(struct task *t, uaddr_t dst, const struct timer_setting *s)
{
	struct itimerspec it = {.it_interval = ns_to_timespec(s->interval_ns), .it_value = ns_to_timespec(s->value_ns)};

	return copy_out_obj(t, dst, &it);
}

long sys_timer_settime(struct task *t, const struct sysargs *args)
{
	struct timer_setting set, old;
	struct itimerspec it;
	int err;

	if (!args->a[2])
		return -EINVAL;
	if (copy_in_obj(t, &it, args->a[2]) < 0)
		return -EFAULT;
	if (!timespec_valid(&it.it_value) || !timespec_valid(&it.it_interval))
		return -EINVAL;
	set = (struct timer_setting){timespec_to_ns(&it.it_value), timespec_to_ns(&it.it_interval)};
	err = posix_timer_set(t, (int)args->a[0], args->a[1] & TIMER_ABSTIME, &set, &old);
	return err || !args->a[3] ? err : spec_out(t, args->a[3], &old);
}

long sys_timer_gettime(struct task *t, const struct sysargs *args)
{
	struct timer_setting now;

	return posix_timer_get(t, (int)args->a[0], &now) ?: spec_out(t, args->a[1], &now);
}

long sys_timer_getoverrun(struct task *t, const struct sysargs *args)
{
	return posix_timer_overrun(t, (int)args->a[0]);
}

long sys_timer_delete(struct task *t, const struct sysargs *args)
{
	return posix_timer_delete(t, (int)args->a[0]);
}
