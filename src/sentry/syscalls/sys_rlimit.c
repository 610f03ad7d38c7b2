// Resource limits: getrlimit(2), setrlimit(2), prlimit(2). Each limit is enforced where its resource is given out.
#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/cpu_limit.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

enum { NR_OPEN = 1048576 }; // /proc/sys/fs/nr_open

static bool may_limit_locked(struct task *t, struct task *other)
{
	const struct cred *c = t->cred, *oc = other->cred;

	return t == other || cred_has_cap(c, CAP_SYS_RESOURCE) ||
	       (c->uid == oc->euid && c->uid == oc->suid && c->uid == oc->uid && c->gid == oc->egid && c->gid == oc->sgid &&
		c->gid == oc->gid);
}

static int change_locked(struct task *t, struct thread_group *tg, unsigned resource, const struct rlimit64 *l)
{
	if (l->rlim_cur > l->rlim_max)
		return -EINVAL;
	if (resource == RLIMIT_NOFILE && l->rlim_max > NR_OPEN)
		return -EPERM;
	if (l->rlim_max > tg->rlimits[resource].rlim_max && !cred_has_cap(t->cred, CAP_SYS_RESOURCE))
		return -EPERM;
	tg->rlimits[resource] = *l;
	group_ids_withdraw_locked(tg);
	if (resource == RLIMIT_FSIZE && l->rlim_cur != RLIM64_INFINITY && platform->lent_limit)
		platform->lent_limit();
	if (resource == RLIMIT_AS || resource == RLIMIT_DATA)
		late_recall_locked(tg);
	if (resource == RLIMIT_CPU)
		cpu_limit_watch_locked(tg);
	return 0;
}

// wanted, out_old: may be NULL. pid 0: t's own.
static int limit(struct task *t, int pid, unsigned resource, const struct rlimit64 *wanted, struct rlimit64 *out_old)
{
	struct task *other;
	int err = 0;

	mutex_lock(&kernel()->tasks_mu);
	other = pid ? task_find_locked(pid) : t;
	if (!other || !other->cred)
		err = -ESRCH;
	else if (!may_limit_locked(t, other))
		err = -EPERM;
	else if (resource >= RLIM_NLIMITS)
		err = -EINVAL;
	if (!err && out_old)
		*out_old = other->tg->rlimits[resource];
	if (!err && wanted)
		err = change_locked(t, other->tg, resource, wanted);
	mutex_unlock(&kernel()->tasks_mu);
	if (!pid)
		task_ids_publish(t);
	return err;
}

long sys_prlimit64(struct task *t, const struct sysargs *args)
{
	uaddr_t new_at = args->a[2], old_at = args->a[3];
	struct rlimit64 wanted, old;
	int err;

	if (new_at && copy_in_obj(t, &wanted, new_at) < 0)
		return -EFAULT;
	err = limit(t, (int)args->a[0], (unsigned)args->a[1], new_at ? &wanted : NULL, &old);
	if (!err && old_at)
		err = copy_out_obj(t, old_at, &old);
	return err;
}

long sys_getrlimit(struct task *t, const struct sysargs *args)
{
	struct rlimit64 old;

	return limit(t, 0, (unsigned)args->a[0], NULL, &old) ?: copy_out_obj(t, args->a[1], &old);
}

long sys_setrlimit(struct task *t, const struct sysargs *args)
{
	struct rlimit64 wanted;

	if (copy_in_obj(t, &wanted, args->a[1]) < 0)
		return -EFAULT;
	return limit(t, 0, (unsigned)args->a[0], &wanted, NULL);
}
