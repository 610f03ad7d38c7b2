// timerfd_create, timerfd_settime, timerfd_gettime.
#include <sys/timerfd.h>

#include "abi/errno.h"
#include "sentry/fs/timerfd/timerfd.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

long sys_timerfd_create(struct task *t, const struct sysargs *args)
{
	clockid_t clock = (clockid_t)args->a[0];
	int flags = (int)args->a[1];
	struct file *f;

	if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
		return -EINVAL;
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
		break;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		if (!cred_has_cap(t->cred, CAP_WAKE_ALARM))
			return -EPERM;
		break;
	default:
		return -EINVAL;
	}
	f = timer_file_create(clock, flags);
	return f ? fd_install(t, f, flags & TFD_CLOEXEC, 0) : -ENOMEM;
}

// The file that fd names, counted. 0, -EBADF, or -EINVAL: it is no timer.
static int timerfd_of(struct task *t, int fd, struct file **out_f)
{
	*out_f = fd_file(t, fd);
	if (!*out_f)
		return -EBADF;
	if (file_is_timer(*out_f))
		return 0;
	file_put(*out_f);
	return -EINVAL;
}

static int setting_out(struct task *t, uaddr_t dst, const struct timer_setting *s)
{
	struct itimerspec it = {.it_interval = ns_to_timespec(s->interval_ns), .it_value = ns_to_timespec(s->value_ns)};

	return copy_out_obj(t, dst, &it);
}

long sys_timerfd_settime(struct task *t, const struct sysargs *args)
{
	struct timer_setting set, old;
	int flags = (int)args->a[1];
	struct itimerspec it;
	struct file *f;
	int err;

	if (copy_in_obj(t, &it, args->a[2]) < 0)
		return -EFAULT;
	if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) || !timespec_valid(&it.it_value) || !timespec_valid(&it.it_interval))
		return -EINVAL;
	err = timerfd_of(t, (int)args->a[0], &f);
	if (err)
		return err;
	set = (struct timer_setting){timespec_to_ns(&it.it_value), timespec_to_ns(&it.it_interval)};
	timer_file_set(f, flags, &set, &old);
	file_put(f);
	return args->a[3] ? setting_out(t, args->a[3], &old) : 0;
}

long sys_timerfd_gettime(struct task *t, const struct sysargs *args)
{
	struct timer_setting now;
	struct file *f;
	int err = timerfd_of(t, (int)args->a[0], &f);

	if (err)
		return err;
	timer_file_get(f, &now);
	file_put(f);
	return setting_out(t, args->a[1], &now);
}
