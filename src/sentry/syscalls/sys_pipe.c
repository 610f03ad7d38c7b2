// pipe, pipe2. man 2 pipe.
#include <fcntl.h>

#include "abi/errno.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

static long pipe_install(struct task *t, uaddr_t out, int flags)
{
	struct file *r, *w;
	int fds[2], err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
		return -EINVAL;
	err = pipe_create_files(t, flags, &r, &w);
	if (err)
		return err;
	fds[0] = fd_install(t, r, flags & O_CLOEXEC, 0);
	if (fds[0] < 0) {
		file_put(w);
		return fds[0];
	}
	fds[1] = fd_install(t, w, flags & O_CLOEXEC, 0);
	if (fds[1] < 0) {
		fd_close(t, fds[0]);
		return fds[1];
	}
	err = copy_out(t, out, fds, sizeof(fds));
	if (err) {
		fd_close(t, fds[0]);
		fd_close(t, fds[1]);
	}
	return err;
}

long sys_pipe(struct task *t, const struct sysargs *args)
{
	return pipe_install(t, args->a[0], 0);
}

long sys_pipe2(struct task *t, const struct sysargs *args)
{
	return pipe_install(t, args->a[0], (int)args->a[1]);
}
