// timerfd. man 2 timerfd_create.
//
// What has expired is worked out when somebody asks. The kernel timer is there to wake those who wait; it fires once and is armed again by
// the next read, so that a short period costs nothing while nobody reads. The clock is the host's and its settings aren't told to
// us: TFD_TIMER_CANCEL_ON_SET never cancels anything, but a wall-clock timer follows the clock.
#include "sentry/fs/timerfd/timerfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/timerfd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/timer.h"
#include "sentry/vfs/vfs.h"

struct timerfd {
	struct ktimer timer;
	struct waitq waitq;
	clockid_t clock;
	struct mutex mu;
	// Guarded by mu.
	clockid_t base; // what next_ns counts: CLOCK_MONOTONIC or CLOCK_REALTIME
	int64_t next_ns, interval_ns; // next: 0 off
	uint64_t ticks; // expired and not read
	int flags; // as set last, for /proc
};

KMEM_TYPE(timerfd_type, timerfd);

static void count_locked(struct timerfd *tf)
{
	int64_t now;

	if (!tf->next_ns)
		return;
	now = ktime_now(tf->base);
	if (now < tf->next_ns)
		return;
	if (tf->interval_ns) {
		tf->ticks += 1 + ktime_forward(&tf->next_ns, tf->interval_ns, now);
	} else {
		tf->ticks++;
		tf->next_ns = 0;
	}
}

static void arm_locked(struct timerfd *tf)
{
	ktimer_arm_on(&tf->timer, tf->base, tf->next_ns ? tf->next_ns : KTIME_NEVER);
}

static void came(struct ktimer *k)
{
	struct timerfd *tf = container_of(k, struct timerfd, timer);
	bool ready;

	mutex_lock(&tf->mu);
	count_locked(tf);
	ready = tf->ticks > 0;
	if (!ready)
		arm_locked(tf); // it was set anew, or the wall clock was set back
	mutex_unlock(&tf->mu);
	if (ready)
		waitq_wake(&tf->waitq, POLLIN);
}

static int64_t timerfd_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct timerfd *tf = f->priv;
	uint64_t n;
	int err;

	if (u->resid < sizeof(n))
		return -EINVAL;
	mutex_lock(&tf->mu);
	count_locked(tf);
	n = tf->ticks;
	tf->ticks = 0;
	if (n && tf->next_ns)
		arm_locked(tf);
	mutex_unlock(&tf->mu);
	if (n == 0)
		return -EAGAIN;
	err = uio_put(u, &n, sizeof(n));
	return err ? err : (int64_t)sizeof(n);
}

static uint32_t timerfd_poll(struct file *f, struct poll_table *pt)
{
	struct timerfd *tf = f->priv;
	bool ready;

	poll_wait(pt, &tf->waitq);
	mutex_lock(&tf->mu);
	count_locked(tf);
	ready = tf->ticks > 0;
	mutex_unlock(&tf->mu);
	return ready ? POLLIN : 0;
}

static void get_locked(struct timerfd *tf, struct timer_setting *out)
{
	*out = (struct timer_setting){.interval_ns = tf->interval_ns};
	count_locked(tf);
	if (tf->next_ns)
		out->value_ns = MAX(tf->next_ns - ktime_now(tf->base), 1);
}

static int timerfd_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct timerfd *tf = f->priv;
	struct timespec value, interval;
	struct timer_setting s;
	uint64_t ticks;
	int flags;

	mutex_lock(&tf->mu);
	get_locked(tf, &s);
	ticks = tf->ticks;
	flags = tf->flags;
	mutex_unlock(&tf->mu);
	value = ns_to_timespec(s.value_ns);
	interval = ns_to_timespec(s.interval_ns);
	return snprintf(dst, cap, "clockid: %d\nticks: %lu\nsettime flags: 0%o\nit_value: (%ld, %ld)\nit_interval: (%ld, %ld)\n", tf->clock,
			(unsigned long)ticks, (unsigned)flags, value.tv_sec, value.tv_nsec, interval.tv_sec, interval.tv_nsec);
}

static void timerfd_release(struct file *f)
{
	struct timerfd *tf = f->priv;

	ktimer_cancel(&tf->timer);
	waitq_fini(&tf->waitq);
	kmem_free(&timerfd_type, tf);
}

static const struct file_ops timerfd_ops = {
	.read = timerfd_read,
	.poll = timerfd_poll,
	.show_fdinfo = timerfd_fdinfo,
	.release = timerfd_release,
	.stream = true,
};

struct file *timer_file_create(clockid_t clock, int flags)
{
	struct timerfd *tf = kmem_alloc(&timerfd_type);
	struct file *f;

	if (!tf)
		return NULL;
	mutex_init(&tf->mu);
	waitq_init(&tf->waitq);
	ktimer_init(&tf->timer, CLOCK_MONOTONIC, came);
	tf->clock = clock;
	tf->base = CLOCK_MONOTONIC;
	f = file_create_anon(&timerfd_ops, tf, O_RDWR | (flags & O_NONBLOCK), 0, "timerfd");
	if (!f)
		kmem_free(&timerfd_type, tf);
	return f;
}

bool file_is_timer(struct file *f)
{
	return f->ops == &timerfd_ops;
}

// When it expires first, on the base that suits: lengths don't change when the wall clock is set.
static int64_t first_expiry_locked(struct timerfd *tf, bool absolute, int64_t value_ns)
{
	int64_t at = value_ns;

	tf->base = absolute && clock_is_wall(tf->clock) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
	if (absolute && at != KTIME_NEVER)
		at -= tf->base == tf->clock ? 0 : ktime_now(tf->clock) - ktime_now(tf->base);
	else if (!absolute && __builtin_add_overflow(ktime_now(tf->base), value_ns, &at))
		at = KTIME_NEVER;
	return MAX(at, 1);
}

void timer_file_set(struct file *f, int flags, const struct timer_setting *set, struct timer_setting *out_old)
{
	struct timerfd *tf = f->priv;

	mutex_lock(&tf->mu);
	get_locked(tf, out_old);
	tf->ticks = 0;
	tf->flags = flags;
	tf->interval_ns = set->interval_ns;
	tf->next_ns = set->value_ns ? first_expiry_locked(tf, flags & TFD_TIMER_ABSTIME, set->value_ns) : 0;
	arm_locked(tf);
	mutex_unlock(&tf->mu);
}

void timer_file_get(struct file *f, struct timer_setting *out)
{
	struct timerfd *tf = f->priv;

	mutex_lock(&tf->mu);
	get_locked(tf, out);
	mutex_unlock(&tf->mu);
}
