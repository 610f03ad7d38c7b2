// RLIMIT_CPU: SIGXCPU when a process has used its soft limit of CPU time, and each second after that; SIGKILL at the hard one.
//
// Nothing tells when CPU time will have passed: the timer looks as soon as it may have, and again (clock_cpu_wait_ns). A process without a
// limit has no timer.
#include "sentry/kernel/cpu_limit.h"

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"

static uint64_t seconds_to_ns(uint64_t s)
{
	uint64_t ns;

	if (s == RLIM64_INFINITY || __builtin_mul_overflow(s, (uint64_t)NSEC_PER_SEC, &ns))
		return UINT64_MAX;
	return ns;
}

static uint64_t next_ns(const struct rlimit64 *l)
{
	return seconds_to_ns(MIN(MAX(l->rlim_cur, (uint64_t)1), l->rlim_max)); // 0 counts as 1
}

static void arm_locked(struct thread_group *tg, uint64_t now)
{
	uint64_t next = next_ns(&tg->rlimits[RLIMIT_CPU]);
	int64_t left = next > now ? (int64_t)MIN(next - now, (uint64_t)KTIME_NEVER / 4) : 1;

	ktimer_arm(&tg->cpu_limit, ktime_now(CLOCK_MONOTONIC) + clock_cpu_wait_ns(CLOCK_PROCESS_CPUTIME_ID, left, tg->cpu_limit_idle));
}

static void look(struct ktimer *timer)
{
	struct thread_group *tg = container_of(timer, struct thread_group, cpu_limit);
	struct rlimit64 *l = &tg->rlimits[RLIMIT_CPU];
	siginfo_t info;
	uint64_t now;

	mutex_lock(&kernel()->tasks_mu);
	if (tg->zombie || next_ns(l) == UINT64_MAX) {
		mutex_unlock(&kernel()->tasks_mu);
		return;
	}
	now = group_cpu_ns_locked(tg);
	tg->cpu_limit_idle = now - tg->cpu_limit_seen_ns < NSEC_PER_MSEC ? tg->cpu_limit_idle + 1 : 0;
	tg->cpu_limit_seen_ns = now;
	if (now >= seconds_to_ns(l->rlim_max)) {
		group_exit_locked(tg, SIGKILL);
	} else {
		if (now >= next_ns(l)) {
			siginfo_kernel(&info, SIGXCPU);
			signal_send_locked(tg, NULL, SIGXCPU, &info, false);
			l->rlim_cur = MAX(l->rlim_cur, (uint64_t)1) + 1; // as Linux does, visibly
			group_ids_withdraw_locked(tg);
		}
		arm_locked(tg, now);
	}
	mutex_unlock(&kernel()->tasks_mu);
}

void cpu_limit_watch_locked(struct thread_group *tg)
{
	if (tg->zombie || next_ns(&tg->rlimits[RLIMIT_CPU]) == UINT64_MAX)
		return; // a timer that runs finds out by itself
	if (!tg->cpu_limited)
		ktimer_init(&tg->cpu_limit, CLOCK_MONOTONIC, look);
	tg->cpu_limited = true;
	tg->cpu_limit_idle = 0;
	arm_locked(tg, group_cpu_ns_locked(tg));
}

void cpu_limit_end(struct thread_group *tg)
{
	if (tg->cpu_limited)
		ktimer_cancel(&tg->cpu_limit);
}
