// nanosleep, clock_nanosleep, and restart_syscall, through which a sleep goes on that a signal without a handler broke off.
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

struct sleep {
	clockid_t clock;
	bool absolute;
	uaddr_t request, rest;
};

// Sleeps until a moment of the clock: t->call.deadline_ns, which is monotonic, is set anew while the clock isn't there yet.
static long sleep_until(struct task *t, const struct sleep *s, int64_t until_ns)
{
	int64_t now;
	int err;

	if (t->call.timed_out || !t->call.deadline_ns) {
		err = clock_read(t, s->clock, &now);
		if (err)
			return err;
		if (now >= until_ns)
			return 0;
		t->call.timed_out = false;
		t->call.deadline_ns = 0;
		task_deadline_in(t, clock_is_cpu(s->clock) ? clock_cpu_wait_ns(s->clock, until_ns - now, t->call.entries) : until_ns - now);
	}
	return task_block(t);
}

// A sleep of a length, measured by a clock that nobody sets.
static long sleep_for(struct task *t, int64_t ns)
{
	task_deadline_in(t, ns);
	return task_block(t);
}

static long give_rest(struct task *t, const struct sysargs *args, const struct sleep *s)
{
	int64_t left = t->call.deadline_ns - ktime_now(CLOCK_MONOTONIC);
	struct timespec ts = ns_to_timespec(left > 0 ? left : 0);

	if (s->rest && copy_out_obj(t, s->rest, &ts) < 0)
		return -EFAULT;
	t->restart_nr = t->call.nr == SYS_restart_syscall ? t->restart_nr : t->call.nr;
	memcpy(t->restart_args, args->a, sizeof(t->restart_args));
	t->restart_deadline_ns = t->call.deadline_ns;
	return -ERESTART_RESTARTBLOCK;
}

static long nap(struct task *t, const struct sysargs *args, const struct sleep *s)
{
	bool by_clock = s->absolute || clock_is_cpu(s->clock);
	int64_t *until_ns = (int64_t *)&t->call.word[0];
	struct timespec ts;
	int64_t now;
	long ret;

	if (t->call.entries == 1 && !t->call.deadline_ns) {
		if (copy_in_obj(t, &ts, s->request) < 0)
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		*until_ns = timespec_to_ns(&ts);
		if (by_clock && !s->absolute) {
			ret = clock_read(t, s->clock, &now);
			if (ret)
				return ret;
			if (__builtin_add_overflow(now, *until_ns, until_ns))
				*until_ns = KTIME_NEVER;
		}
	}
	ret = by_clock ? sleep_until(t, s, *until_ns) : sleep_for(t, *until_ns);
	if (ret == -ETIMEDOUT) {
		if (!by_clock)
			return 0;
		t->call.timed_out = true;
		return -EAGAINNOW;
	}
	if (ret != -ERESTARTSYS)
		return ret;
	if (s->absolute)
		return -ERESTARTNOHAND;
	if (by_clock)
		return -EINTR; // what is left of CPU time isn't told
	return give_rest(t, args, s);
}

long sys_nanosleep(struct task *t, const struct sysargs *args)
{
	return nap(t, args, &(struct sleep){.clock = CLOCK_MONOTONIC, .request = args->a[0], .rest = args->a[1]});
}

long sys_clock_nanosleep(struct task *t, const struct sysargs *args)
{
	struct sleep s = {(clockid_t)args->a[0], args->a[1] & TIMER_ABSTIME, args->a[2], args->a[3]};
	int64_t now;
	int err = clock_read(t, s.clock, &now);

	if (err)
		return err;
	if (s.clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	// Clocks that have no timers.
	if (s.clock == CLOCK_MONOTONIC_RAW || s.clock == CLOCK_REALTIME_COARSE || s.clock == CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	return nap(t, args, &s);
}

// The call that was broken off left its arguments and its deadline in the task. man 2 restart_syscall.
long sys_restart_syscall(struct task *t, const struct sysargs *args)
{
	uint64_t nr = t->restart_nr;
	struct sysargs before;
	long ret;

	if (!nr)
		return -EINTR;
	if (t->call.entries == 1)
		t->call.deadline_ns = t->restart_deadline_ns;
	memcpy(before.a, t->restart_args, sizeof(before.a));
	ret = sys_table[nr].handler(t, &before);
	if (ret == -ERESTART_RESTARTBLOCK || IS_INTERNAL_ERR(ret))
		t->restart_nr = nr;
	else
		t->restart_nr = 0;
	return ret;
}
