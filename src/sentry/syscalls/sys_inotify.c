// inotify_init, inotify_init1, inotify_add_watch, inotify_rm_watch. man 7 inotify.
#include <fcntl.h>
#include <sys/inotify.h>

#include "abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/notify.h"

#define MASK_KNOWN \
	(IN_ALL_EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_MASK_CREATE | IN_MASK_ADD | IN_ONESHOT | IN_ISDIR | \
	 IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED)

static long install(struct task *t, int flags)
{
	struct file *f;

	if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
		return -EINVAL;
	f = inotify_create(t, flags);
	return f ? fd_install(t, f, flags & IN_CLOEXEC, 0) : -ENOMEM;
}

long sys_inotify_init(struct task *t, const struct sysargs *args)
{
	return install(t, 0);
}

long sys_inotify_init1(struct task *t, const struct sysargs *args)
{
	return install(t, (int)args->a[0]);
}

long sys_inotify_add_watch(struct task *t, const struct sysargs *args)
{
	uint32_t mask = (uint32_t)args->a[2];
	struct file *f;
	struct path p;
	long ret;

	if (!(mask & MASK_KNOWN) || ((mask & IN_MASK_ADD) && (mask & IN_MASK_CREATE)))
		return -EINVAL;
	f = fd_file(t, (int)args->a[0]);
	if (!f)
		return -EBADF;
	ret = file_is_inotify(f) ? 0 : -EINVAL;
	if (!ret)
		ret = vfs_lookup_at(t, AT_FDCWD, args->a[1],
				    (mask & IN_DONT_FOLLOW ? 0 : LOOKUP_FOLLOW) | (mask & IN_ONLYDIR ? LOOKUP_DIRECTORY : 0), &p);
	if (!ret) {
		ret = inode_permission(dentry_inode(p.dentry), t->cred, MAY_READ);
		if (!ret)
			ret = inotify_add(f, &p, mask);
		path_put(&p);
	}
	file_put(f);
	return ret;
}

long sys_inotify_rm_watch(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	long ret = -EINVAL;

	if (!f)
		return -EBADF;
	if (file_is_inotify(f))
		ret = inotify_remove(f, (int)args->a[1]);
	file_put(f);
	return ret;
}
