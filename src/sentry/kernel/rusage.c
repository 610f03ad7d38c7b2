// What processes have used: getrusage(2), times(2), and the usage that wait4(2) tells.
//
// CPU time is the host's count for the stubs' threads, read only when somebody asks and once when a thread ends. The largest resident set
// is the host's, too, for a living process; not kept beyond its end. Not counted: page faults and block I/O (0).
#include <string.h>
#include <sys/resource.h>
#include <sys/times.h>

#include "abi/errno.h"
#include "host/cputime.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

enum { CLK_TCK = 100 };

void rusage_add(struct rusage_sum *to, const struct rusage_sum *from)
{
	to->utime_ns += from->utime_ns;
	to->stime_ns += from->stime_ns;
	to->nvcsw += from->nvcsw;
	to->nivcsw += from->nivcsw;
}

static struct timeval timeval_of(uint64_t ns)
{
	return (struct timeval){(time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC / 1000)};
}

int rusage_copy_out(struct task *t, uaddr_t dst, const struct rusage_sum *u)
{
	struct rusage r;

	memset(&r, 0, sizeof(r));
	r.ru_utime = timeval_of(u->utime_ns);
	r.ru_stime = timeval_of(u->stime_ns);
	r.ru_nvcsw = (long)u->nvcsw;
	r.ru_nivcsw = (long)u->nivcsw;
	r.ru_maxrss = (long)u->maxrss_kb;
	return copy_out_obj(t, dst, &r);
}

static void self_usage_locked(struct thread_group *tg, struct rusage_sum *out)
{
	struct task *t;

	*out = tg->dead_threads;
	out->utime_ns = group_cpu_ns_locked(tg);
	TAILQ_FOREACH(t, &tg->tasks, tg_link) {
		out->nvcsw += t->nvcsw;
		out->nivcsw += t->nivcsw;
	}
}

long sys_getrusage(struct task *t, const struct sysargs *args)
{
	struct rusage_sum sum = {0};
	int who = (int)args->a[0];

	mutex_lock(&kernel()->tasks_mu);
	if (who == RUSAGE_SELF)
		self_usage_locked(t->tg, &sum);
	else if (who == RUSAGE_CHILDREN)
		sum = t->tg->dead_children;
	else if (who == RUSAGE_THREAD)
		sum = (struct rusage_sum){.utime_ns = task_cpu_ns(t), .nvcsw = t->nvcsw, .nivcsw = t->nivcsw};
	mutex_unlock(&kernel()->tasks_mu);
	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return -EINVAL;
	if (who != RUSAGE_CHILDREN)
		sum.maxrss_kb = host_process_peak_kb(platform->host_pid(t->ctx));
	return rusage_copy_out(t, args->a[1], &sum);
}

static clock_t ticks(uint64_t ns)
{
	return (clock_t)(ns / (NSEC_PER_SEC / CLK_TCK));
}

long sys_times(struct task *t, const struct sysargs *args)
{
	struct tms tms;

	if (args->a[0]) {
		mutex_lock(&kernel()->tasks_mu);
		tms.tms_utime = ticks(group_cpu_ns_locked(t->tg));
		tms.tms_stime = 0;
		tms.tms_cutime = ticks(t->tg->dead_children.utime_ns);
		tms.tms_cstime = ticks(t->tg->dead_children.stime_ns);
		mutex_unlock(&kernel()->tasks_mu);
		if (copy_out_obj(t, args->a[0], &tms) < 0)
			return -EFAULT;
	}
	return ticks((uint64_t)ktime_now(CLOCK_MONOTONIC));
}
