// sched_*: policies, priorities and CPU masks, checked by Linux's rules, kept, shown and inherited (sched(7)). The host schedules the stubs
// as it likes; SCHED_DEADLINE, which promises something, is refused.
#include <sched.h>
#include <string.h>

#include "abi/errno.h"
#include "host/processors.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

enum {
	RT_PRIO_MIN = 1, RT_PRIO_MAX = 99, POLICY_IDLE = 5, POLICY_DEADLINE = 6, ATTR_SIZE_FIRST = 48, MASK_BYTES = 8,
	ATTR_RESET_ON_FORK = 1, ATTR_RECLAIM = 2, ATTR_DL_OVERRUN = 4, ATTR_KEEP_POLICY = 8, ATTR_KEEP_PARAMS = 16,
	NORMAL_SLICE_NS = 4000000, RR_SLICE_NS = 100000000,
};

struct sched_attr_arg { // Linux's struct sched_attr
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static bool is_rt(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_normal(int policy)
{
	return policy == SCHED_OTHER || policy == SCHED_BATCH || policy == POLICY_IDLE;
}

// The thread pid with a reference; 0: t. NULL: there is none, with *out_err.
static struct task *find(struct task *t, int pid, int *out_err)
{
	struct task *other;

	*out_err = pid < 0 ? -EINVAL : -ESRCH;
	if (pid < 0)
		return NULL;
	mutex_lock(&kernel()->tasks_mu);
	other = pid ? task_find_locked(pid) : t;
	if (other && other->cred)
		task_get(other);
	else
		other = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	return other;
}

static bool same_owner_locked(struct task *t, struct task *other)
{
	return t->cred->euid == other->cred->euid || t->cred->euid == other->cred->uid;
}

static bool may_nice(struct task *other, int nice)
{
	return (uint64_t)(20 - nice) <= task_rlimit(other, RLIMIT_NICE);
}

static int check_right_locked(struct task *t, struct task *other, const struct sched_attr_arg *a)
{
	uint64_t rt_max = task_rlimit(other, RLIMIT_RTPRIO);

	if (cred_has_cap(t->cred, CAP_SYS_NICE))
		return 0;
	if (is_normal(a->policy) && a->nice < other->nice && !may_nice(other, a->nice))
		return -EPERM;
	if (is_rt(a->policy)) {
		if (a->policy != other->sched_policy && !rt_max)
			return -EPERM;
		if ((int)a->priority > other->sched_priority && a->priority > rt_max)
			return -EPERM;
	}
	if (other->sched_policy == POLICY_IDLE && a->policy != POLICY_IDLE && !may_nice(other, other->nice))
		return -EPERM;
	if (!same_owner_locked(t, other) || (other->sched_reset_on_fork && !(a->flags & ATTR_RESET_ON_FORK)))
		return -EPERM;
	return 0;
}

static int check_attr(const struct sched_attr_arg *a)
{
	if (!is_rt(a->policy) && !is_normal(a->policy))
		return -EINVAL;
	if (is_rt(a->policy) ? a->priority < RT_PRIO_MIN || a->priority > RT_PRIO_MAX : a->priority != 0)
		return -EINVAL;
	return 0;
}

static long set_attr(struct task *t, int pid, struct sched_attr_arg *a)
{
	int err;
	struct task *other = find(t, pid, &err);

	if (!other)
		return err;
	mutex_lock(&kernel()->tasks_mu);
	if (a->flags & ATTR_KEEP_POLICY)
		a->policy = other->sched_policy;
	if (a->flags & ATTR_KEEP_PARAMS) {
		a->priority = other->sched_priority;
		a->nice = other->nice;
	}
	err = check_attr(a);
	if (!err)
		err = check_right_locked(t, other, a);
	if (!err) {
		other->sched_policy = (int)a->policy;
		other->sched_priority = (int)a->priority;
		other->sched_reset_on_fork = a->flags & ATTR_RESET_ON_FORK;
		if (is_normal(a->policy))
			other->nice = a->nice;
	}
	mutex_unlock(&kernel()->tasks_mu);
	task_put(other);
	return err;
}

// As the two older calls say it: the nice value stays. policy < 0: the policy, too.
static long set_param(struct task *t, int pid, int policy, uaddr_t param_at)
{
	struct sched_attr_arg a = {.policy = policy < 0 ? 0 : policy & ~SCHED_RESET_ON_FORK};
	struct task *other;
	int priority, err;

	if (!param_at || pid < 0)
		return -EINVAL;
	if (copy_in_obj(t, &priority, param_at) < 0)
		return -EFAULT;
	other = find(t, pid, &err);
	if (!other)
		return err;
	a.nice = other->nice;
	if (policy < 0)
		a.flags = ATTR_KEEP_POLICY | (other->sched_reset_on_fork ? ATTR_RESET_ON_FORK : 0);
	else if (policy & SCHED_RESET_ON_FORK)
		a.flags = ATTR_RESET_ON_FORK;
	task_put(other);
	a.priority = (uint32_t)priority;
	return set_attr(t, pid, &a);
}

long sys_sched_setparam(struct task *t, const struct sysargs *args)
{
	return set_param(t, (int)args->a[0], -1, args->a[1]);
}

long sys_sched_setscheduler(struct task *t, const struct sysargs *args)
{
	int policy = (int)args->a[1];

	return policy < 0 ? -EINVAL : set_param(t, (int)args->a[0], policy, args->a[2]);
}

long sys_sched_getscheduler(struct task *t, const struct sysargs *args)
{
	int err;
	struct task *other = find(t, (int)args->a[0], &err);

	if (!other)
		return err;
	err = other->sched_policy | (other->sched_reset_on_fork ? SCHED_RESET_ON_FORK : 0);
	task_put(other);
	return err;
}

long sys_sched_getparam(struct task *t, const struct sysargs *args)
{
	int err, priority;
	struct task *other;

	if (!args->a[1])
		return -EINVAL;
	other = find(t, (int)args->a[0], &err);
	if (!other)
		return err;
	priority = other->sched_priority;
	task_put(other);
	return copy_out_obj(t, args->a[1], &priority);
}

// As sched_setattr(2): the struct may be older or newer than ours; what we don't know of it must be zero.
static int copy_in_attr(struct task *t, uaddr_t at, struct sched_attr_arg *a)
{
	const uint32_t ours = sizeof(*a);
	uint32_t size;
	uint8_t byte;

	memset(a, 0, sizeof(*a));
	if (copy_in_obj(t, &size, at) < 0)
		return -EFAULT;
	if (!size)
		size = ATTR_SIZE_FIRST;
	if (size < ATTR_SIZE_FIRST || size > PAGE_SIZE)
		return copy_out_obj(t, at, &ours) ?: -E2BIG;
	if (copy_in(t, a, at, MIN(size, ours)) < 0)
		return -EFAULT;
	for (uint32_t i = ours; i < size; i++) {
		if (copy_in_obj(t, &byte, at + i) < 0)
			return -EFAULT;
		if (byte)
			return copy_out_obj(t, at, &ours) ?: -E2BIG;
	}
	a->nice = a->nice > 19 ? 19 : a->nice < -20 ? -20 : a->nice;
	return 0;
}

long sys_sched_setattr(struct task *t, const struct sysargs *args)
{
	struct sched_attr_arg a;
	int pid = (int)args->a[0], err;

	if (!args->a[1] || pid < 0 || (unsigned)args->a[2])
		return -EINVAL;
	err = copy_in_attr(t, args->a[1], &a);
	if (err)
		return err;
	if ((int)a.policy < 0 || a.flags & ~(uint64_t)(ATTR_RESET_ON_FORK | ATTR_RECLAIM | ATTR_DL_OVERRUN | ATTR_KEEP_POLICY | ATTR_KEEP_PARAMS))
		return -EINVAL;
	return set_attr(t, pid, &a);
}

long sys_sched_getattr(struct task *t, const struct sysargs *args)
{
	uint32_t size = (uint32_t)args->a[2];
	struct sched_attr_arg a = {0};
	struct task *other;
	int err;

	if (!args->a[1] || size < ATTR_SIZE_FIRST || size > PAGE_SIZE || (unsigned)args->a[3])
		return -EINVAL;
	other = find(t, (int)args->a[0], &err);
	if (!other)
		return err;
	a.size = MIN(size, (uint32_t)sizeof(a));
	a.policy = other->sched_policy;
	a.flags = other->sched_reset_on_fork ? ATTR_RESET_ON_FORK : 0;
	if (is_rt(other->sched_policy))
		a.priority = other->sched_priority;
	else
		a.nice = other->nice;
	task_put(other);
	return copy_out(t, args->a[1], &a, a.size);
}

long sys_sched_get_priority_max(struct task *t, const struct sysargs *args)
{
	int policy = (int)args->a[0];

	return is_rt(policy) ? RT_PRIO_MAX : is_normal(policy) || policy == POLICY_DEADLINE ? 0 : -EINVAL;
}

long sys_sched_get_priority_min(struct task *t, const struct sysargs *args)
{
	int policy = (int)args->a[0];

	return is_rt(policy) ? RT_PRIO_MIN : is_normal(policy) || policy == POLICY_DEADLINE ? 0 : -EINVAL;
}

long sys_sched_rr_get_interval(struct task *t, const struct sysargs *args)
{
	int err;
	struct task *other = find(t, (int)args->a[0], &err);
	struct timespec ts = {0};

	if (!other)
		return err;
	if (other->sched_policy != SCHED_FIFO)
		ts.tv_nsec = other->sched_policy == SCHED_RR ? RR_SLICE_NS : NORMAL_SLICE_NS;
	task_put(other);
	return copy_out_obj(t, args->a[1], &ts);
}

long sys_sched_yield(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return 0;
}

// --- CPU masks

static uint64_t all_cpus(void)
{
	int n = kernel()->ncpus;

	return n >= 64 ? ~0ull : (1ull << n) - 1;
}

long sys_sched_getaffinity(struct task *t, const struct sysargs *args)
{
	uint64_t size = (uint32_t)args->a[1], mask;
	struct task *other;
	int err;

	if (size < MASK_BYTES || size % MASK_BYTES)
		return -EINVAL;
	other = find(t, (int)args->a[0], &err);
	if (!other)
		return -ESRCH; // of a negative number, too
	mask = other->cpus_allowed ?: all_cpus();
	task_put(other);
	return copy_out_obj(t, args->a[2], &mask) ?: MASK_BYTES;
}

long sys_sched_setaffinity(struct task *t, const struct sysargs *args)
{
	uint64_t mask = 0, size = (uint32_t)args->a[1];
	struct task *other;
	int err;

	if (copy_in(t, &mask, args->a[2], MIN(size, (uint64_t)MASK_BYTES)) < 0)
		return -EFAULT;
	other = find(t, (int)args->a[0], &err);
	if (!other)
		return -ESRCH; // of a negative number, too
	mask &= all_cpus();
	mutex_lock(&kernel()->tasks_mu);
	err = !same_owner_locked(t, other) && !cred_has_cap(t->cred, CAP_SYS_NICE) ? -EPERM : mask ? 0 : -EINVAL;
	if (!err)
		other->cpus_allowed = mask;
	mutex_unlock(&kernel()->tasks_mu);
	task_put(other);
	return err;
}

// Where the thread runs is the host's secret; this is the CPU that serves it, which may be another.
long sys_getcpu(struct task *t, const struct sysargs *args)
{
	unsigned cpu = host_processor(), node = 0;

	if (cpu >= (unsigned)kernel()->ncpus)
		cpu = 0;
	if (args->a[0] && copy_out_obj(t, args->a[0], &cpu) < 0)
		return -EFAULT;
	return args->a[1] ? copy_out_obj(t, args->a[1], &node) : 0;
}
