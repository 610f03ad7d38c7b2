// pidfd: a descriptor that stands for a process, whatever becomes of its number. man 2 pidfd_open.
//
// It is readable once the process has ended. It keeps the thread group's object, which is little; a group without a leader has been
// waited for.
#include "sentry/kernel/pidfd.h"

#include <fcntl.h>
#include <stdio.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/vfs.h"

static uint32_t pidfd_poll(struct file *f, struct poll_table *pt)
{
	struct thread_group *tg = f->priv;
	bool ended;

	poll_wait(pt, &tg->thread_waitq);
	mutex_lock(&kernel()->tasks_mu);
	ended = tg->zombie;
	mutex_unlock(&kernel()->tasks_mu);
	return ended ? POLLIN_ALL : 0;
}

static int pidfd_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct thread_group *tg = f->priv;
	int pid;

	mutex_lock(&kernel()->tasks_mu);
	pid = tg->leader ? tg->tgid : -1;
	mutex_unlock(&kernel()->tasks_mu);
	return snprintf(dst, cap, "Pid:\t%d\nNSpid:\t%d\n", pid, pid);
}

static void pidfd_release(struct file *f)
{
	group_put(f->priv);
}

static struct thread_group *pidfd_process(struct file *f)
{
	return f->priv;
}

static const struct file_ops pidfd_ops = {
	.poll = pidfd_poll,
	.show_fdinfo = pidfd_fdinfo,
	.release = pidfd_release,
	.process = pidfd_process,
	.stream = true,
};

int pidfd_install(struct task *t, struct thread_group *tg, unsigned flags)
{
	struct file *f = file_create_anon(&pidfd_ops, group_get(tg), O_RDWR | (flags & O_NONBLOCK), 0, "pidfd");

	if (!f) {
		group_put(tg);
		return -ENOMEM;
	}
	return fd_install(t, f, true, 0);
}

struct thread_group *pidfd_group(struct file *f)
{
	return f->ops == &pidfd_ops ? f->priv : NULL;
}
