// Kernel timers: a function called at a time, on a worker, without locks held.
//
// Deadlines are absolute, in ns, on the host's CLOCK_MONOTONIC or (for wall-clock timers, which follow settings of the clock)
// CLOCK_REALTIME. A timer is embedded in its owner.
#pragma once

#include <bsd/sys/tree.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define KTIME_NEVER INT64_MAX

struct ktimer;
typedef void (*ktimer_fn)(struct ktimer *t);

struct ktimer {
	RB_ENTRY(ktimer) node;
	int64_t deadline_ns;
	ktimer_fn fn;
	clockid_t clock; // CLOCK_MONOTONIC or CLOCK_REALTIME
	bool armed;
};

void ktimer_init(struct ktimer *t, clockid_t clock, ktimer_fn fn);
void ktimer_arm(struct ktimer *t, int64_t deadline_ns); // re-arms an armed one
void ktimer_arm_on(struct ktimer *t, clockid_t clock, int64_t deadline_ns); // on the other clock from now on; KTIME_NEVER: never
bool ktimer_cancel(struct ktimer *t); // true if it was armed; after it returns fn isn't running (don't call it from fn)

int64_t ktime_now(clockid_t clock); // any clock that the host's vDSO answers, ns, with no host call

// Moves a deadline that has come on by whole periods until it lies after now. Answers how many it passed over beyond the first.
static inline int64_t ktime_forward(int64_t *deadline_ns, int64_t interval_ns, int64_t now)
{
	int64_t passed = (now - *deadline_ns) / interval_ns, step;

	if (__builtin_mul_overflow(passed + 1, interval_ns, &step) || __builtin_add_overflow(*deadline_ns, step, deadline_ns))
		*deadline_ns = KTIME_NEVER;
	return passed;
}
