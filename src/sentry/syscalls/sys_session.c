// Process groups and sessions: setpgid(2), setsid(2) and what asks for them.
#include "abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

// The process of the thread pid; 0: t's own. NULL: there is none.
static struct thread_group *group_of_locked(struct task *t, int pid)
{
	struct task *other = pid ? task_find_locked(pid) : t;

	return other ? other->tg : NULL;
}

static int may_move_locked(struct task *t, struct task *leader)
{
	struct thread_group *tg = leader->tg;

	if (tg->leader != leader)
		return -EINVAL;
	if (tg->parent == t->tg) {
		if (tg->session != t->tg->session)
			return -EPERM;
		if (tg->has_execed)
			return -EACCES;
	} else if (tg != t->tg) {
		return -ESRCH;
	}
	return tg->session->leader == tg ? -EPERM : 0;
}

static int move_locked(struct task *t, int pid, int pgid)
{
	struct task *leader = task_find_locked(pid);
	struct pgrp *pg;
	int err = leader ? may_move_locked(t, leader) : -ESRCH;

	if (err)
		return err;
	pg = pgrp_find_locked(pgid);
	if (pgid != pid && (!pg || pg->session != t->tg->session))
		return -EPERM;
	if (pg && pg == leader->tg->pgrp)
		return 0;
	return pgrp_enter_locked(leader->tg, pgid);
}

long sys_setpgid(struct task *t, const struct sysargs *args)
{
	int pid = (int)args->a[0] ?: t->tg->tgid, pgid = (int)args->a[1] ?: pid, err;

	if (pgid < 0)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	err = move_locked(t, pid, pgid);
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

static int pgid_of(struct task *t, int pid)
{
	struct thread_group *tg;
	int ret;

	mutex_lock(&kernel()->tasks_mu);
	tg = group_of_locked(t, pid);
	ret = tg ? tg->pgrp->pgid : -ESRCH;
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}

long sys_getpgid(struct task *t, const struct sysargs *args)
{
	return pgid_of(t, (int)args->a[0]);
}

long sys_getpgrp(struct task *t, const struct sysargs *args)
{
	return pgid_of(t, 0);
}

long sys_setsid(struct task *t, const struct sysargs *args)
{
	struct thread_group *tg = t->tg;
	int err = -EPERM;

	mutex_lock(&kernel()->tasks_mu);
	if (tg->session->leader != tg && !pgrp_find_locked(tg->tgid))
		err = session_create_locked(tg);
	mutex_unlock(&kernel()->tasks_mu);
	return err ?: tg->tgid;
}

long sys_getsid(struct task *t, const struct sysargs *args)
{
	struct thread_group *tg;
	int ret;

	mutex_lock(&kernel()->tasks_mu);
	tg = group_of_locked(t, (int)args->a[0]);
	ret = tg ? tg->session->sid : -ESRCH;
	mutex_unlock(&kernel()->tasks_mu);
	return ret;
}
