// eventfd, eventfd2. man 2 eventfd.
#include <sys/eventfd.h>

#include "abi/errno.h"
#include "sentry/fs/eventfd/eventfd.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

static long eventfd_install(struct task *t, uint32_t initial, int flags)
{
	struct file *f;

	if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK))
		return -EINVAL;
	f = eventfd_create(initial, flags);
	return f ? fd_install(t, f, flags & EFD_CLOEXEC, 0) : -ENOMEM;
}

long sys_eventfd(struct task *t, const struct sysargs *args)
{
	return eventfd_install(t, (uint32_t)args->a[0], 0);
}

long sys_eventfd2(struct task *t, const struct sysargs *args)
{
	return eventfd_install(t, (uint32_t)args->a[0], (int)args->a[1]);
}
