// pidfd_open, pidfd_getfd. (pidfd_send_signal is among the signals.)
#include <fcntl.h>

#include "abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs.h"

long sys_pidfd_open(struct task *t, const struct sysargs *args)
{
	int pid = (int)args->a[0];
	unsigned flags = (unsigned)args->a[1];
	struct thread_group *tg;
	bool is_thread;
	long fd;

	if (flags & ~O_NONBLOCK || pid <= 0)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	tg = group_find_locked(pid);
	is_thread = task_find_locked(pid);
	if (tg)
		group_get(tg);
	mutex_unlock(&kernel()->tasks_mu);
	if (!tg)
		return is_thread ? -EINVAL : -ESRCH;
	fd = pidfd_install(t, tg, flags);
	group_put(tg);
	return fd;
}

struct wanted {
	int fd;
	struct file *file; // counted
};

static bool take_file(void *arg, int fd, struct file *f, bool cloexec)
{
	struct wanted *w = arg;

	(void)cloexec;
	if (fd == w->fd)
		w->file = file_get(f);
	return !w->file;
}

long sys_pidfd_getfd(struct task *t, const struct sysargs *args)
{
	struct file *pidfd = fd_file(t, (int)args->a[0]);
	struct thread_group *tg = pidfd ? pidfd_group(pidfd) : NULL;
	struct wanted w = {.fd = (int)args->a[1]};
	struct fdtable *files = NULL;
	struct task *member = NULL;
	long ret = 0;

	if (!tg || args->a[2])
		ret = args->a[2] ? -EINVAL : -EBADF;
	if (!ret) {
		mutex_lock(&kernel()->tasks_mu);
		member = TAILQ_FIRST(&tg->tasks);
		if (!member || !member->files)
			ret = -ESRCH;
		else if (tg != t->tg && !ptrace_may_access_locked(t->cred, member, false))
			ret = -EPERM;
		else
			files = fdtable_get(member->files);
		if (files)
			task_get(member);
		mutex_unlock(&kernel()->tasks_mu);
	}
	if (files) {
		late_await(member);
		task_put(member);
		fdtable_each(files, take_file, &w);
		fdtable_put(files, NULL);
		if (w.file)
			remember_all_anew(); // its flags may change now without a call of the task that opened it
		ret = w.file ? fd_install(t, w.file, true, 0) : -EBADF;
	}
	if (pidfd)
		file_put(pidfd);
	return ret;
}
