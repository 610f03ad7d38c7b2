// Kernel timers: one tree a clock, ordered by deadline; the workers' loop asks for the earliest and runs what is due.
//
// One worker runs timers at a time, so that "after cancel the function isn't running" needs to look at one name only. Wall-clock
// deadlines are kept as such and turned into monotonic ones each time the earliest is told to the scheduler.
#include "sentry/kernel/timer.h"

#include <pthread.h>

#include "abi/types.h"
#include "lib/mutex.h"
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

static struct {
	struct mutex mu;
	pthread_cond_t idle; // with mu: running changed
	// Guarded by mu.
	struct timer_tree monotonic, realtime;
	struct ktimer *running;
	pthread_t runner;
	bool busy; // a worker is in timers_run
	int64_t told_ns; // what the scheduler knows
} timers = {
	.mu = MUTEX_INIT,
	.idle = PTHREAD_COND_INITIALIZER,
	.told_ns = KTIME_NEVER,
};

int64_t ktime_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static struct timer_tree *tree_of(const struct ktimer *t)
{
	return t->clock == CLOCK_REALTIME ? &timers.realtime : &timers.monotonic;
}

static int64_t next_deadline_locked(void)
{
	struct ktimer *mono = RB_MIN(timer_tree, &timers.monotonic), *real = RB_MIN(timer_tree, &timers.realtime);
	int64_t next = mono ? mono->deadline_ns : KTIME_NEVER;

	if (real && real->deadline_ns != KTIME_NEVER) {
		int64_t left = real->deadline_ns - ktime_now(CLOCK_REALTIME), at;

		if (!__builtin_add_overflow(ktime_now(CLOCK_MONOTONIC), left, &at))
			next = at < next ? at : next;
	}
	return next;
}

static void tell_locked(void)
{
	int64_t next = next_deadline_locked();

	if (next == timers.told_ns)
		return;
	timers.told_ns = next;
	sched_timer_changed(next);
}

void ktimer_init(struct ktimer *t, clockid_t clock, ktimer_fn fn)
{
	*t = (struct ktimer){.clock = clock, .fn = fn};
}

void ktimer_arm(struct ktimer *t, int64_t deadline_ns)
{
	struct timer_tree *tree = tree_of(t);

	mutex_lock(&timers.mu);
	if (t->armed)
		RB_REMOVE(timer_tree, tree, t);
	t->deadline_ns = deadline_ns;
	t->armed = true;
	RB_INSERT(timer_tree, tree, t);
	tell_locked();
	mutex_unlock(&timers.mu);
}

bool ktimer_cancel(struct ktimer *t)
{
	bool was;

	mutex_lock(&timers.mu);
	was = t->armed;
	if (was) {
		RB_REMOVE(timer_tree, tree_of(t), t);
		t->armed = false;
		// The scheduler isn't told: waking up once for nothing is cheaper than setting the host's timer twice a call.
	}
	while (timers.running == t && !pthread_equal(timers.runner, pthread_self()))
		pthread_cond_wait(&timers.idle, &timers.mu.m);
	mutex_unlock(&timers.mu);
	return was;
}

static struct ktimer *due_locked(void)
{
	struct ktimer *t = RB_MIN(timer_tree, &timers.monotonic);

	if (t && t->deadline_ns <= ktime_now(CLOCK_MONOTONIC))
		return t;
	t = RB_MIN(timer_tree, &timers.realtime);
	return t && t->deadline_ns <= ktime_now(CLOCK_REALTIME) ? t : NULL;
}

void timers_run(void)
{
	struct ktimer *t;

	mutex_lock(&timers.mu);
	if (timers.busy) {
		mutex_unlock(&timers.mu);
		return;
	}
	timers.busy = true;
	while ((t = due_locked())) {
		RB_REMOVE(timer_tree, tree_of(t), t);
		t->armed = false;
		timers.running = t;
		timers.runner = pthread_self();
		mutex_unlock(&timers.mu);
		t->fn(t); // t may be gone afterwards
		mutex_lock(&timers.mu);
		timers.running = NULL;
		pthread_cond_broadcast(&timers.idle);
	}
	timers.busy = false;
	timers.told_ns = next_deadline_locked();
	sched_timer_changed(timers.told_ns);
	mutex_unlock(&timers.mu);
}

int64_t timers_next_deadline(void)
{
	int64_t next;

	mutex_lock(&timers.mu);
	next = next_deadline_locked();
	mutex_unlock(&timers.mu);
	return next;
}
