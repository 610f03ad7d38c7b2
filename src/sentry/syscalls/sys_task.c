// A task's numbers: getpid(2), gettid(2), getppid(2). Who asks once is given them all, so that the platform can answer the next time;
// so is who is made by one that did, and the program that either becomes.
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

void task_ids_publish(struct task *t)
{
	struct kernel *k = kernel();
	const struct cred *c = t->cred;
	struct platform_ids ids = {.tid = t->tid, .uid = c->uid, .euid = c->euid, .gid = c->gid, .egid = c->egid};

	if (!platform->set_ids || k->strace)
		return;
	t->asks_ids = true;
	mutex_lock(&k->tasks_mu); // against task_ids_withdraw_locked
	ids.tgid = t->tg->tgid;
	ids.ppid = t->tg->parent ? t->tg->parent->tgid : 0;
	ids.rlimits = t->tg->rlimits;
	platform->set_ids(t->ctx, &ids);
	mutex_unlock(&k->tasks_mu);
}

void task_ids_withdraw_locked(struct task *t)
{
	mutex_assert_held(&kernel()->tasks_mu);
	if (platform->set_ids && t->ctx)
		platform->set_ids(t->ctx, NULL);
}

void group_ids_withdraw_locked(struct thread_group *tg)
{
	struct task *t;

	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		task_ids_withdraw_locked(t);
}

long sys_getpid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->tg->tgid;
}

long sys_gettid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->tid;
}

long sys_getppid(struct task *t, const struct sysargs *args)
{
	int pid;

	task_ids_publish(t);
	mutex_lock(&kernel()->tasks_mu);
	pid = t->tg->parent ? t->tg->parent->tgid : 0;
	mutex_unlock(&kernel()->tasks_mu);
	return pid;
}
