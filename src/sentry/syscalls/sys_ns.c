// unshare and setns: leaving what is shared with other tasks.
//
// Namespaces inside the sandbox: UTS and mount are real. The others (PID, network, IPC, user, cgroup, time) are the container's own only:
// without the right to make one the answer is EPERM, with it EINVAL, as on a Linux that was built without them. setns knows UTS alone.
#include <sched.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/task_clone.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/uts.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/mount_ns.h"
#include "sentry/vfs/vfs.h"

#define UNSHARE_KNOWN \
	(CLONE_THREAD | CLONE_FS | CLONE_SIGHAND | CLONE_VM | CLONE_FILES | CLONE_SYSVSEM | CLONE_NAMESPACES)

static bool has_other_threads(struct task *t)
{
	bool others;

	mutex_lock(&kernel()->tasks_mu);
	others = t->tg->ntasks > 1;
	mutex_unlock(&kernel()->tasks_mu);
	return others;
}

static int unshare_fs(struct task *t, bool mounts)
{
	struct fs_context *copy = fs_context_dup(t->fs), *old = t->fs;
	int err = copy && mounts ? fs_context_unshare_mounts(copy) : 0;

	if (!copy)
		return -ENOMEM;
	if (err) {
		fs_context_put(copy);
		return err;
	}
	mutex_lock(&kernel()->tasks_mu);
	t->fs = copy; // what it sees stays as it was
	mutex_unlock(&kernel()->tasks_mu);
	fs_context_put(old);
	return 0;
}

static int unshare_files(struct task *t)
{
	struct fdtable *copy = fdtable_dup(t->files), *old = t->files;

	if (!copy)
		return -ENOMEM;
	fdtable_leave(t);
	mutex_lock(&kernel()->tasks_mu);
	t->files = copy;
	mutex_unlock(&kernel()->tasks_mu);
	fdtable_put(old, t);
	return 0;
}

long sys_unshare(struct task *t, const struct sysargs *args)
{
	uint64_t flags = args->a[0];
	int err;

	if (flags & ~(uint64_t)UNSHARE_KNOWN)
		return -EINVAL;
	// Memory and handlers can't be parted while running; for a single thread they are its own already.
	if (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) && has_other_threads(t))
		return -EINVAL;
	err = clone_check_namespaces(t, flags);
	if (!err && flags & (CLONE_FS | CLONE_NEWNS))
		err = unshare_fs(t, flags & CLONE_NEWNS);
	if (!err && flags & CLONE_FILES)
		err = unshare_files(t);
	if (!err && flags & CLONE_NEWUTS)
		err = uts_unshare(t);
	return err;
}

// By a descriptor of a process only: files of /proc/PID/ns can't be opened.
long sys_setns(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	struct thread_group *tg = f ? pidfd_group(f) : NULL;
	struct task *other = NULL;
	int flags = (int)args->a[1], err = 0;

	if (!f)
		return -EBADF;
	if (!tg || !flags || flags & ~CLONE_NAMESPACES) {
		err = -EINVAL;
	} else {
		mutex_lock(&kernel()->tasks_mu);
		other = tg->zombie || !tg->leader ? NULL : task_get(tg->leader);
		mutex_unlock(&kernel()->tasks_mu);
		err = !other ? -ESRCH : flags != CLONE_NEWUTS ? -EINVAL : cred_has_cap(t->cred, CAP_SYS_ADMIN) ? 0 : -EPERM;
	}
	if (!err)
		uts_join(t, other);
	task_put(other);
	file_put(f);
	return err;
}
