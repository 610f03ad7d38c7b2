// A task's numbers: getpid(2), gettid(2), getppid(2).
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

long sys_getpid(struct task *t, const struct sysargs *args)
{
	return t->tg->tgid;
}

long sys_gettid(struct task *t, const struct sysargs *args)
{
	return t->tid;
}

long sys_getppid(struct task *t, const struct sysargs *args)
{
	int pid;

	mutex_lock(&kernel()->tasks_mu);
	pid = t->tg->parent ? t->tg->parent->tgid : 0;
	mutex_unlock(&kernel()->tasks_mu);
	return pid;
}
