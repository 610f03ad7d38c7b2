// POSIX timers: made with a clock, they send a signal. man 2 timer_create.
#include "sentry/kernel/posix_timer.h"

#include <limits.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"

enum { TIMERS_MAX = 65536 /* of a process, whatever RLIMIT_SIGPENDING says */ };

#define IGNORED_PERIOD_NS (4 * NSEC_PER_MSEC) // at most that often for a signal that nobody gets

struct posix_timer {
	LIST_ENTRY(posix_timer) link;
	struct ktimer timer;
	struct thread_group *tg;
	struct task *target; // SIGEV_THREAD_ID; borrowed: posix_timers_thread_gone clears it
	int id, notify;
	bool target_gone;
	clockid_t clock; // as it was asked for; CPU clocks by number
	clockid_t base; // what next_ns counts: CLOCK_MONOTONIC, CLOCK_REALTIME or the CPU clock
	int64_t next_ns, interval_ns; // next: 0 off
	int64_t seen_ns; // of a CPU clock, when it was last looked at
	unsigned idle;
	int overrun; // of the signal taken last
	struct sigqueue_entry entry;
};

struct posix_timers { // Guarded by tasks_mu, and the timers.
	LIST_HEAD(, posix_timer) list;
	int next_id, count;
};

KMEM_TYPE(posix_timers_type, posix_timers);
KMEM_TYPE(posix_timer_type, posix_timer);

static int64_t now_locked(struct posix_timer *pt)
{
	int64_t now;

	if (!clock_is_cpu(pt->base))
		return ktime_now(pt->base);
	return clock_read_cpu_locked(pt->tg, NULL, pt->base, &now) ? pt->seen_ns : now; // a thread that is gone: its clock stands
}

static void arm_locked(struct posix_timer *pt, int64_t now)
{
	if (pt->next_ns == 0 || pt->notify == SIGEV_NONE || pt->target_gone)
		ktimer_arm(&pt->timer, KTIME_NEVER);
	else if (!clock_is_cpu(pt->base))
		ktimer_arm_on(&pt->timer, pt->base, pt->next_ns);
	else
		ktimer_arm_on(&pt->timer, CLOCK_MONOTONIC, ktime_now(CLOCK_MONOTONIC) +
			      MIN(clock_cpu_wait_ns(pt->base, pt->next_ns - now, pt->idle), KTIME_NEVER / 2));
}

static void fire_locked(struct posix_timer *pt, int64_t now)
{
	signal_send_timer_locked(pt->tg, pt->target, &pt->entry);
	if (pt->entry.queued)
		return; // goes on when it is taken
	if (pt->interval_ns) {
		ktime_forward(&pt->next_ns, pt->interval_ns, now);
		pt->next_ns = MAX(pt->next_ns, now + IGNORED_PERIOD_NS);
	} else {
		pt->next_ns = 0;
	}
	arm_locked(pt, now);
}

static void came(struct ktimer *k)
{
	struct posix_timer *pt = container_of(k, struct posix_timer, timer);
	int64_t now;

	mutex_lock(&kernel()->tasks_mu);
	now = now_locked(pt);
	if (pt->next_ns && !pt->entry.queued && !pt->target_gone) {
		pt->idle = clock_is_cpu(pt->base) && now - pt->seen_ns < NSEC_PER_MSEC ? pt->idle + 1 : 0;
		pt->seen_ns = now;
		if (now >= pt->next_ns)
			fire_locked(pt, now);
		else
			arm_locked(pt, now);
	}
	mutex_unlock(&kernel()->tasks_mu);
}

void posix_timer_taken_locked(struct posix_timer *pt, siginfo_t *info)
{
	int64_t now = now_locked(pt), passed = 0;

	if (!pt->interval_ns)
		pt->next_ns = 0;
	else if (pt->next_ns && now >= pt->next_ns)
		passed = ktime_forward(&pt->next_ns, pt->interval_ns, now);
	if (info)
		info->si_overrun = pt->overrun = (int)MIN(passed, INT_MAX);
	arm_locked(pt, now);
}

static struct posix_timer *find_locked(struct thread_group *tg, int id)
{
	struct posix_timer *pt;

	if (tg->posix_timers)
		LIST_FOREACH(pt, &tg->posix_timers->list, link)
			if (pt->id == id)
				return pt;
	return NULL;
}

static int check_clock(struct task *t, clockid_t clock)
{
	int64_t now;
	int err = clock_read(t, clock, &now);

	if (err)
		return err;
	if (clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	if ((clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) && !cred_has_cap(t->cred, CAP_WAKE_ALARM))
		return -EPERM;
	return 0;
}

// Who gets which signal. The lock is held.
static int set_event_locked(struct task *t, struct posix_timer *pt, const struct sigevent *ev)
{
	siginfo_t *info = &pt->entry.info;

	info->si_code = SI_TIMER;
	info->si_timerid = pt->id;
	if (!ev) {
		info->si_signo = SIGALRM;
		info->si_value.sival_int = pt->id;
		return 0;
	}
	pt->notify = ev->sigev_notify;
	info->si_signo = ev->sigev_signo;
	info->si_value = ev->sigev_value;
	switch (pt->notify) {
	case SIGEV_NONE:
		return 0;
	case SIGEV_THREAD_ID:
		pt->target = task_find_locked(ev->_sigev_un._tid);
		if (!pt->target || pt->target->tg != t->tg)
			return -EINVAL;
		if (pt->target->state == TASK_DEAD) { // a leader that has ended: its number stays
			pt->target = NULL;
			pt->target_gone = true;
		}
		break;
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		break;
	default:
		return -EINVAL;
	}
	return ev->sigev_signo >= 1 && ev->sigev_signo <= NSIG_MAX ? 0 : -EINVAL;
}

static int add_locked(struct task *t, struct posix_timer *pt, const struct sigevent *ev)
{
	struct thread_group *tg = t->tg;
	struct posix_timers *pts = tg->posix_timers;
	int err;

	if (!pts)
		pts = tg->posix_timers = kmem_alloc(&posix_timers_type);
	if (!pts)
		return -ENOMEM;
	if (pts->count >= TIMERS_MAX || (uint64_t)pts->count >= task_rlimit(t, RLIMIT_SIGPENDING))
		return -EAGAIN;
	do {
		pt->id = pts->next_id;
		pts->next_id = (pts->next_id + 1) & INT_MAX;
	} while (find_locked(tg, pt->id));
	err = set_event_locked(t, pt, ev);
	if (err)
		return err;
	pts->count++;
	LIST_INSERT_HEAD(&pts->list, pt, link);
	return pt->id;
}

int posix_timer_create(struct task *t, clockid_t clock, const struct sigevent *ev)
{
	int id = check_clock(t, clock);
	struct posix_timer *pt;

	if (id)
		return id;
	pt = kmem_alloc(&posix_timer_type);
	if (!pt)
		return -ENOMEM;
	pt->tg = t->tg;
	pt->clock = pt->base = clock_of_caller(t, clock);
	if (!clock_is_cpu(clock))
		pt->base = CLOCK_MONOTONIC;
	pt->entry.timer = pt;
	ktimer_init(&pt->timer, CLOCK_MONOTONIC, came);
	mutex_lock(&kernel()->tasks_mu);
	id = add_locked(t, pt, ev);
	mutex_unlock(&kernel()->tasks_mu);
	if (id < 0)
		kmem_free(&posix_timer_type, pt);
	return id;
}

static void get_locked(struct posix_timer *pt, struct timer_setting *out)
{
	int64_t now = now_locked(pt), next = pt->next_ns;

	*out = (struct timer_setting){.interval_ns = pt->interval_ns};
	if (!next)
		return;
	if (now >= next && pt->interval_ns && (pt->entry.queued || pt->notify == SIGEV_NONE))
		ktime_forward(&next, pt->interval_ns, now);
	if (next > now)
		out->value_ns = next - now;
	else if (pt->notify != SIGEV_NONE && !pt->entry.queued)
		out->value_ns = 1; // about to come
}

// An absolute time of the timer's clock, in terms of the clocks that kernel timers know: their difference is constant as a rule.
static void set_absolute(struct posix_timer *pt, int64_t at_ns)
{
	if (clock_is_cpu(pt->base))
		pt->next_ns = at_ns;
	else {
		pt->base = clock_is_wall(pt->clock) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
		pt->next_ns = at_ns;
		if (pt->base != pt->clock && at_ns != KTIME_NEVER)
			pt->next_ns -= ktime_now(pt->clock) - ktime_now(pt->base);
		pt->next_ns = MAX(pt->next_ns, 1);
	}
}

static void set_relative_locked(struct posix_timer *pt, int64_t ns)
{
	if (!clock_is_cpu(pt->base))
		pt->base = CLOCK_MONOTONIC; // lengths don't change when the wall clock is set
	if (__builtin_add_overflow(now_locked(pt), ns, &pt->next_ns))
		pt->next_ns = KTIME_NEVER;
}

int posix_timer_set(struct task *t, int id, bool absolute, const struct timer_setting *set, struct timer_setting *out_old)
{
	struct posix_timer *pt;
	int64_t now;

	mutex_lock(&kernel()->tasks_mu);
	pt = find_locked(t->tg, id);
	if (!pt) {
		mutex_unlock(&kernel()->tasks_mu);
		return -EINVAL;
	}
	get_locked(pt, out_old);
	signal_cancel_timer_locked(t->tg, pt->target, &pt->entry);
	pt->overrun = 0;
	pt->idle = 0;
	pt->next_ns = 0;
	pt->interval_ns = set->value_ns ? set->interval_ns : 0;
	if (set->value_ns && absolute)
		set_absolute(pt, set->value_ns);
	else if (set->value_ns)
		set_relative_locked(pt, set->value_ns);
	now = now_locked(pt);
	pt->seen_ns = now;
	arm_locked(pt, now);
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

int posix_timer_get(struct task *t, int id, struct timer_setting *out)
{
	struct posix_timer *pt;

	mutex_lock(&kernel()->tasks_mu);
	pt = find_locked(t->tg, id);
	if (pt)
		get_locked(pt, out);
	mutex_unlock(&kernel()->tasks_mu);
	return pt ? 0 : -EINVAL;
}

int posix_timer_overrun(struct task *t, int id)
{
	struct posix_timer *pt;
	int n;

	mutex_lock(&kernel()->tasks_mu);
	pt = find_locked(t->tg, id);
	n = pt ? pt->overrun : -EINVAL;
	mutex_unlock(&kernel()->tasks_mu);
	return n;
}

static void remove_locked(struct posix_timer *pt)
{
	signal_cancel_timer_locked(pt->tg, pt->target, &pt->entry);
	pt->next_ns = 0;
	LIST_REMOVE(pt, link);
	pt->tg->posix_timers->count--;
}

// Nobody finds it any more. No lock is held: its function may be running.
static void destroy(struct posix_timer *pt)
{
	ktimer_cancel(&pt->timer);
	kmem_free(&posix_timer_type, pt);
}

int posix_timer_delete(struct task *t, int id)
{
	struct posix_timer *pt;

	mutex_lock(&kernel()->tasks_mu);
	pt = find_locked(t->tg, id);
	if (pt)
		remove_locked(pt);
	mutex_unlock(&kernel()->tasks_mu);
	if (!pt)
		return -EINVAL;
	destroy(pt);
	return 0;
}

void posix_timers_exec(struct thread_group *tg)
{
	struct posix_timer *pt;

	while (tg->posix_timers) {
		mutex_lock(&kernel()->tasks_mu);
		pt = LIST_FIRST(&tg->posix_timers->list);
		if (pt)
			remove_locked(pt);
		mutex_unlock(&kernel()->tasks_mu);
		if (!pt)
			break;
		destroy(pt);
	}
}

void posix_timers_destroy(struct thread_group *tg)
{
	posix_timers_exec(tg);
	kmem_free(&posix_timers_type, tg->posix_timers);
	tg->posix_timers = NULL;
	itimers_destroy(tg);
}

void posix_timers_thread_gone_locked(struct task *t)
{
	struct posix_timer *pt;

	if (!t->tg->posix_timers)
		return;
	LIST_FOREACH(pt, &t->tg->posix_timers->list, link) {
		if (pt->target != t)
			continue;
		signal_cancel_timer_locked(t->tg, t, &pt->entry);
		pt->target = NULL;
		pt->target_gone = true;
	}
}
