// signalfd, signalfd4. man 2 signalfd.
#include <sys/signalfd.h>

#include "abi/errno.h"
#include "sentry/fs/signalfd/signalfd.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

static long signalfd_any(struct task *t, int fd, uaddr_t umask, uint64_t mask_size, int flags)
{
	ksigset_t mask;
	struct file *f;
	int err;

	if (mask_size != sizeof(mask))
		return -EINVAL;
	if (copy_in_obj(t, &mask, umask) < 0)
		return -EFAULT;
	if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK))
		return -EINVAL;
	if (fd == -1) {
		f = signalfd_create_file(mask, flags);
		return f ? fd_install(t, f, flags & SFD_CLOEXEC, 0) : -ENOMEM;
	}
	f = fd_file(t, fd);
	if (!f)
		return -EBADF;
	err = signalfd_set_mask(f, t, mask);
	file_put(f);
	return err ?: fd;
}

long sys_signalfd(struct task *t, const struct sysargs *args)
{
	return signalfd_any(t, (int)args->a[0], args->a[1], args->a[2], 0);
}

long sys_signalfd4(struct task *t, const struct sysargs *args)
{
	return signalfd_any(t, (int)args->a[0], args->a[1], args->a[2], (int)args->a[3]);
}
