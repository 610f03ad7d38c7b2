// getpriority, setpriority, ioprio_get, ioprio_set: numbers that are kept, shown and inherited. The host schedules the stubs as it likes.
#include <linux/ioprio.h>
#include <sys/resource.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

enum { NICE_LOWEST = 19, NICE_HIGHEST = -20 };

// Calls fn for each thread that (which, who) names; who 0: t's own. -ESRCH if there is none, else what fn made of *result.
static int each_locked(struct task *t, int which, int who, void (*fn)(struct task *t, struct task *other, int value, int *result), int value,
		       int none)
{
	uid_t uid = who ? (uid_t)who : t->cred->uid;
	int result = none;
	struct pgrp *pg;
	struct thread_group *tg;
	struct task *other;

	switch (which) {
	case PRIO_PROCESS:
		other = who ? task_find_locked(who) : t;
		if (other && other->cred)
			fn(t, other, value, &result);
		break;
	case PRIO_PGRP:
		pg = who ? pgrp_find_locked(who) : t->tg->pgrp;
		if (pg)
			TAILQ_FOREACH(tg, &pg->members, pgrp_link)
				TAILQ_FOREACH(other, &tg->tasks, tg_link)
					fn(t, other, value, &result);
		break;
	case PRIO_USER:
		TAILQ_FOREACH(tg, &kernel()->groups, all_link)
			TAILQ_FOREACH(other, &tg->tasks, tg_link)
				if (other->cred->uid == uid)
					fn(t, other, value, &result);
		break;
	}
	return result;
}

static bool same_owner(struct task *t, struct task *other)
{
	const struct cred *c = t->cred, *o = other->cred;

	return o->uid == c->euid || o->euid == c->euid || cred_has_cap(c, CAP_SYS_NICE);
}

static bool may_raise(struct task *t, struct task *other, int nice)
{
	return cred_has_cap(t->cred, CAP_SYS_NICE) || (uint64_t)(NICE_LOWEST + 1 - nice) <= task_rlimit(other, RLIMIT_NICE);
}

static void set_nice(struct task *t, struct task *other, int nice, int *result)
{
	if (!same_owner(t, other)) {
		*result = -EPERM;
		return;
	}
	if (nice < other->nice && !may_raise(t, other, nice)) {
		*result = -EACCES;
		return;
	}
	if (*result == -ESRCH)
		*result = 0;
	other->nice = nice;
}

static void get_nice(struct task *t, struct task *other, int value, int *result)
{
	int shown = NICE_LOWEST + 1 - other->nice; // as the call answers it: never negative

	if (shown > *result)
		*result = shown;
}

long sys_setpriority(struct task *t, const struct sysargs *args)
{
	int which = (int)args->a[0], who = (int)args->a[1], nice = (int)args->a[2], ret;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	nice = nice > NICE_LOWEST ? NICE_LOWEST : nice < NICE_HIGHEST ? NICE_HIGHEST : nice;
	mutex_lock(&kernel()->tasks_mu);
	ret = each_locked(t, which, who, set_nice, nice, -ESRCH);
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}

long sys_getpriority(struct task *t, const struct sysargs *args)
{
	int which = (int)args->a[0], ret;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	ret = each_locked(t, which, (int)args->a[1], get_nice, 0, -ESRCH);
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}

// --- I/O priorities: PRIO_* and IOPRIO_WHO_* differ by one

static int check_ioprio(struct task *t, int ioprio)
{
	int level = IOPRIO_PRIO_DATA(ioprio);

	switch (IOPRIO_PRIO_CLASS(ioprio)) {
	case IOPRIO_CLASS_RT:
		if (!cred_has_cap(t->cred, CAP_SYS_ADMIN) && !cred_has_cap(t->cred, CAP_SYS_NICE))
			return -EPERM;
		return level < IOPRIO_NR_LEVELS ? 0 : -EINVAL;
	case IOPRIO_CLASS_BE:
		return level < IOPRIO_NR_LEVELS ? 0 : -EINVAL;
	case IOPRIO_CLASS_IDLE:
		return 0;
	case IOPRIO_CLASS_NONE:
		return level ? -EINVAL : 0;
	}
	return -EINVAL;
}

static void set_ioprio(struct task *t, struct task *other, int ioprio, int *result)
{
	const struct cred *c = t->cred, *o = other->cred;

	if (o->uid != c->euid && o->uid != c->uid && !cred_has_cap(c, CAP_SYS_NICE)) {
		*result = -EPERM;
		return;
	}
	if (*result == -ESRCH)
		*result = 0;
	other->ioprio = ioprio;
}

static void get_ioprio(struct task *t, struct task *other, int value, int *result)
{
	// The best of several: the lower number, but no class is worse than any.
	if (*result < 0 || (other->ioprio && (!*result || other->ioprio < *result)))
		*result = other->ioprio;
}

long sys_ioprio_set(struct task *t, const struct sysargs *args)
{
	int which = (int)args->a[0], ioprio = (int)args->a[2], ret = check_ioprio(t, ioprio);

	if (ret)
		return ret;
	if (which < IOPRIO_WHO_PROCESS || which > IOPRIO_WHO_USER)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	ret = each_locked(t, which - 1, (int)args->a[1], set_ioprio, ioprio, -ESRCH);
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}

long sys_ioprio_get(struct task *t, const struct sysargs *args)
{
	int which = (int)args->a[0], ret;

	if (which < IOPRIO_WHO_PROCESS || which > IOPRIO_WHO_USER)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	ret = each_locked(t, which - 1, (int)args->a[1], get_ioprio, 0, -ESRCH);
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}
