// Interval timers: one of real time, two of CPU time. man 2 setitimer.
//
// CPU time can't tell us when it will have passed: a timer looks as soon as it may have, and again (clock_cpu_wait_ns). The host
// counts no user time by itself, so VIRTUAL and PROF run alike; what the sentry does for a process is in neither.
#include <string.h>
#include <sys/time.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task_int.h"

enum { NTIMERS = 3 };

#define IGNORED_PERIOD_NS (4 * NSEC_PER_MSEC) // at most that often for a signal that nobody gets

struct itimer {
	struct ktimer timer;
	struct thread_group *tg;
	int which;
	// Guarded by tasks_mu.
	int64_t next_ns, interval_ns; // next: CLOCK_MONOTONIC, or the group's CPU time; 0: off
	int64_t seen_ns; // CPU time when it was last looked at
	unsigned idle;
	bool waits; // for its signal to be taken
};

struct itimers {
	struct itimer timer[NTIMERS];
};

KMEM_TYPE(itimers_type, itimers);

static int64_t now_locked(struct itimer *it)
{
	return it->which == ITIMER_REAL ? ktime_now(CLOCK_MONOTONIC) : (int64_t)group_cpu_ns_locked(it->tg);
}

static void arm_locked(struct itimer *it, int64_t now)
{
	int64_t at = it->next_ns;

	if (it->next_ns == 0)
		at = KTIME_NEVER;
	else if (it->which != ITIMER_REAL)
		at = ktime_now(CLOCK_MONOTONIC) + MIN(clock_cpu_wait_ns(CLOCK_PROCESS_CPUTIME_ID, it->next_ns - now, it->idle), KTIME_NEVER / 2);
	ktimer_arm(&it->timer, at);
}

static void fire_locked(struct itimer *it, int64_t now)
{
	static const int signals[NTIMERS] = {SIGALRM, SIGVTALRM, SIGPROF};
	siginfo_t info;

	siginfo_kernel(&info, signals[it->which]);
	signal_send_locked(it->tg, NULL, info.si_signo, &info, false);
	if (it->interval_ns == 0) {
		it->next_ns = 0;
		return;
	}
	if (it->which == ITIMER_REAL && it->tg->pending.set & SIGBIT(SIGALRM)) {
		it->waits = true;
		return;
	}
	ktime_forward(&it->next_ns, it->interval_ns, now);
	it->next_ns = MAX(it->next_ns, now + IGNORED_PERIOD_NS);
	arm_locked(it, now);
}

static void came(struct ktimer *k)
{
	struct itimer *it = container_of(k, struct itimer, timer);
	int64_t now;

	mutex_lock(&kernel()->tasks_mu);
	now = now_locked(it);
	if (it->next_ns && !it->waits && !it->tg->zombie) {
		it->idle = it->which != ITIMER_REAL && now - it->seen_ns < NSEC_PER_MSEC ? it->idle + 1 : 0;
		it->seen_ns = now;
		if (now >= it->next_ns)
			fire_locked(it, now);
		else
			arm_locked(it, now);
	}
	mutex_unlock(&kernel()->tasks_mu);
}

void itimer_signal_taken_locked(struct thread_group *tg)
{
	struct itimer *it = tg->itimers ? &tg->itimers->timer[ITIMER_REAL] : NULL;
	int64_t now;

	if (!it || !it->waits)
		return;
	it->waits = false;
	now = now_locked(it);
	if (now >= it->next_ns)
		ktime_forward(&it->next_ns, it->interval_ns, now);
	arm_locked(it, now);
}

static struct itimers *itimers_create(struct thread_group *tg)
{
	struct itimers *its = kmem_alloc(&itimers_type);

	if (!its)
		return NULL;
	for (int i = 0; i < NTIMERS; i++) {
		its->timer[i].tg = tg;
		its->timer[i].which = i;
		ktimer_init(&its->timer[i].timer, CLOCK_MONOTONIC, came);
	}
	return its;
}

static void get_locked(struct itimer *it, int64_t now, struct timer_setting *out)
{
	int64_t next = it->next_ns;

	*out = (struct timer_setting){.interval_ns = it->interval_ns};
	if (!next)
		return;
	if (it->waits && now >= next)
		ktime_forward(&next, it->interval_ns, now);
	out->value_ns = next > now ? next - now : NSEC_PER_USEC; // about to come
}

int itimer_set(struct task *t, int which, const struct timer_setting *set, struct timer_setting *out_old)
{
	struct thread_group *tg = t->tg;
	struct itimer *it;
	int64_t now;
	int err = 0;

	*out_old = (struct timer_setting){0};
	mutex_lock(&kernel()->tasks_mu);
	if (!tg->itimers && set && set->value_ns)
		err = (tg->itimers = itimers_create(tg)) ? 0 : -ENOMEM;
	if (!tg->itimers) {
		mutex_unlock(&kernel()->tasks_mu);
		return err;
	}
	it = &tg->itimers->timer[which];
	now = now_locked(it);
	get_locked(it, now, out_old);
	if (set) {
		it->waits = false;
		it->interval_ns = set->interval_ns;
		if (!set->value_ns)
			it->next_ns = 0;
		else if (__builtin_add_overflow(now, set->value_ns, &it->next_ns))
			it->next_ns = KTIME_NEVER;
		it->seen_ns = now;
		it->idle = 0;
		arm_locked(it, now);
	}
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

void itimers_destroy(struct thread_group *tg)
{
	struct itimers *its;

	mutex_lock(&kernel()->tasks_mu);
	its = tg->itimers;
	tg->itimers = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	if (!its)
		return;
	for (int i = 0; i < NTIMERS; i++)
		ktimer_cancel(&its->timer[i].timer);
	kmem_free(&itimers_type, its);
}
