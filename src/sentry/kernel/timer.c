// Kernel timers: one tree a clock, ordered by deadline; the workers' loop asks for the earliest and runs what is due.
//
// One worker runs timers at a time, so that "after cancel the function isn't running" needs to look at one name only. Wall-clock
// deadlines are kept as such and turned into monotonic ones each time the earliest is told to the scheduler.
#include "sentry/kernel/timer.h"

#include <errno.h>
#include <pthread.h>

#include "abi/types.h"
#include "lib/kmem.h"
#include "lib/mutex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/sched.h"

static int timer_cmp(const struct ktimer *a, const struct ktimer *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns ? -1 : 1;
	return a < b ? -1 : a > b;
}

RB_HEAD(timer_tree, ktimer);
RB_PROTOTYPE(timer_tree, ktimer, node, timer_cmp)
RB_GENERATE(timer_tree, ktimer, node, timer_cmp)

struct timers {
	struct mutex mu;
	struct mutex_cond idle; // with mu: running changed
	// Guarded by mu.
	struct timer_tree monotonic, realtime;
	struct ktimer *running;
	pthread_t runner;
	bool busy; // a worker is in timers_run
	int64_t told_ns; // what the scheduler knows
};
KMEM_TYPE(timers_type, timers);

int timers_create(void)
{
	struct timers *ts = kmem_alloc(&timers_type);

	if (!ts)
		return -ENOMEM;
	mutex_init(&ts->mu);
	mutex_cond_init(&ts->idle);
	RB_INIT(&ts->monotonic);
	RB_INIT(&ts->realtime);
	ts->told_ns = KTIME_NEVER;
	kernel()->timers = ts;
	return 0;
}

int64_t ktime_now(clockid_t clock)
{
	struct timespec now = {0};

	// The alarm clocks tell the same time; the host refuses to read them where it has no battery-backed clock.
	if (clock == CLOCK_REALTIME_ALARM)
		clock = CLOCK_REALTIME;
	else if (clock == CLOCK_BOOTTIME_ALARM)
		clock = CLOCK_BOOTTIME;
	clock_gettime(clock, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static struct timer_tree *tree_of(struct timers *ts, const struct ktimer *t)
{
	return t->clock == CLOCK_REALTIME ? &ts->realtime : &ts->monotonic;
}

static int64_t next_deadline_locked(struct timers *ts)
{
	struct ktimer *mono = RB_MIN(timer_tree, &ts->monotonic), *real = RB_MIN(timer_tree, &ts->realtime);
	int64_t next = mono ? mono->deadline_ns : KTIME_NEVER;

	if (real && real->deadline_ns != KTIME_NEVER) {
		int64_t left = real->deadline_ns - ktime_now(CLOCK_REALTIME), at;

		if (!__builtin_add_overflow(ktime_now(CLOCK_MONOTONIC), left, &at))
			next = at < next ? at : next;
	}
	return next;
}

static void tell_locked(struct timers *ts)
{
	int64_t next = next_deadline_locked(ts);

	if (next == ts->told_ns)
		return;
	ts->told_ns = next;
	sched_timer_changed(next);
}

void ktimer_init(struct ktimer *t, clockid_t clock, ktimer_fn fn)
{
	*t = (struct ktimer){.clock = clock, .fn = fn};
}

void ktimer_arm_on(struct ktimer *t, clockid_t clock, int64_t deadline_ns)
{
	struct timers *ts = kernel()->timers;

	mutex_lock(&ts->mu);
	if (t->armed)
		RB_REMOVE(timer_tree, tree_of(ts, t), t);
	t->clock = clock;
	t->deadline_ns = deadline_ns;
	t->armed = true;
	RB_INSERT(timer_tree, tree_of(ts, t), t);
	tell_locked(ts);
	mutex_unlock(&ts->mu);
}

void ktimer_arm(struct ktimer *t, int64_t deadline_ns)
{
	ktimer_arm_on(t, t->clock, deadline_ns);
}

bool ktimer_cancel(struct ktimer *t)
{
	struct timers *ts = kernel()->timers;
	bool was;

	mutex_lock(&ts->mu);
	was = t->armed;
	if (was) {
		RB_REMOVE(timer_tree, tree_of(ts, t), t);
		t->armed = false;
		// The scheduler isn't told: waking up once for nothing is cheaper than setting the host's timer twice a call.
	}
	while (ts->running == t && !pthread_equal(ts->runner, pthread_self()))
		mutex_cond_wait(&ts->mu, &ts->idle);
	mutex_unlock(&ts->mu);
	return was;
}

static struct ktimer *due_locked(struct timers *ts)
{
	struct ktimer *t = RB_MIN(timer_tree, &ts->monotonic);

	if (t && t->deadline_ns <= ktime_now(CLOCK_MONOTONIC))
		return t;
	t = RB_MIN(timer_tree, &ts->realtime);
	return t && t->deadline_ns <= ktime_now(CLOCK_REALTIME) ? t : NULL;
}

void timers_run(void)
{
	struct timers *ts = kernel()->timers;
	struct ktimer *t;
	int64_t next;

	mutex_lock(&ts->mu);
	if (ts->busy) {
		mutex_unlock(&ts->mu);
		return;
	}
	ts->busy = true;
	while ((t = due_locked(ts))) {
		RB_REMOVE(timer_tree, tree_of(ts, t), t);
		t->armed = false;
		ts->running = t;
		ts->runner = pthread_self();
		mutex_unlock(&ts->mu);
		t->fn(t); // t may be gone afterwards
		mutex_lock(&ts->mu);
		ts->running = NULL;
		mutex_cond_broadcast(&ts->idle);
	}
	ts->busy = false;
	next = next_deadline_locked(ts);
	if (next != KTIME_NEVER || ts->told_ns != KTIME_NEVER)
		sched_timer_changed(next);
	ts->told_ns = next;
	mutex_unlock(&ts->mu);
}

int64_t timers_next_deadline(void)
{
	struct timers *ts = kernel()->timers;
	int64_t next;

	mutex_lock(&ts->mu);
	next = next_deadline_locked(ts);
	mutex_unlock(&ts->mu);
	return next;
}
