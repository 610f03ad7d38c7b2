// Descriptors come and go: open and its kin, close, dup.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <linux/close_range.h>
#include <linux/openat2.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs.h"

#define OPEN_FLAGS_KNOWN \
	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT | \
	 O_LARGEFILE_BIT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define O_LARGEFILE_BIT 0100000

static void drop_waiting_file(struct task *t, void *state)
{
	file_put(state);
}

// A FIFO's open waits for the other side with the file already open: it is kept in the call's state meanwhile.
static long finish_open(struct task *t, struct file *f, int flags)
{
	long ret = 0;

	if (S_ISFIFO(f->inode->attr.mode) && !(flags & O_PATH))
		ret = fifo_open_wait(t, f);
	if (ret == -EBLOCKED || ret == -EAGAINNOW) {
		t->call.state = f;
		t->call.state_free = drop_waiting_file;
		return ret;
	}
	if (ret < 0) {
		file_put(f);
		return ret;
	}
	ret = fd_install(t, f, flags & O_CLOEXEC, 0);
	if (ret >= 0) {
		remember_opened(t, f, flags & O_CLOEXEC);
		loan_at_open(t, (int)ret, f);
	}
	return ret;
}

static long do_open(struct task *t, int dirfd, uaddr_t upath, int flags, uint32_t mode, uint64_t resolve)
{
	char path[PATH_MAX];
	struct path dir;
	struct file *f = t->call.state;
	long ret;

	if (f) {
		t->call.state = NULL;
		return finish_open(t, f, flags);
	}
	ret = copy_in_path(t, path, upath);
	if (ret < 0)
		return ret;
	ret = vfs_dirfd(t, dirfd, resolve & RESOLVE_IN_ROOT ? "" : path, &dir); // in its own root a path is never absolute
	if (ret < 0)
		return ret;
	remember_begin(t, path);
	ret = vfs_open(t, dir.mnt ? &dir : NULL, path, flags, mode, resolve, &f);
	if (ret == -ENOENT)
		remember_end(t, ret, NULL, 0);
	remember_none(t);
	path_put(&dir);
	return ret < 0 ? ret : finish_open(t, f, flags);
}

long sys_open(struct task *t, const struct sysargs *args)
{
	return do_open(t, AT_FDCWD, args->a[0], (int)args->a[1] & OPEN_FLAGS_KNOWN, (uint32_t)args->a[2], 0);
}

long sys_openat(struct task *t, const struct sysargs *args)
{
	return do_open(t, (int)args->a[0], args->a[1], (int)args->a[2] & OPEN_FLAGS_KNOWN, (uint32_t)args->a[3], 0);
}

long sys_creat(struct task *t, const struct sysargs *args)
{
	return do_open(t, AT_FDCWD, args->a[0], O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)args->a[1], 0);
}

// Bytes beyond what is known must be zero: E2BIG otherwise, as for every extensible struct.
static int check_tail_zero(struct task *t, uaddr_t addr, uint64_t len)
{
	char b[64];

	while (len) {
		size_t n = MIN(len, sizeof(b));

		if (copy_in(t, b, addr, n) < 0)
			return -EFAULT;
		for (size_t i = 0; i < n; i++)
			if (b[i])
				return -E2BIG;
		addr += n;
		len -= n;
	}
	return 0;
}

long sys_openat2(struct task *t, const struct sysargs *args)
{
	uint64_t size = args->a[3];
	struct open_how how = {0};
	int err;

	if (size < sizeof(how))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (copy_in_obj(t, &how, args->a[2]) < 0)
		return -EFAULT;
	err = check_tail_zero(t, args->a[2] + sizeof(how), size - sizeof(how));
	if (err)
		return err;
	if ((how.flags & ~(uint64_t)OPEN_FLAGS_KNOWN) || (how.resolve & ~0x3full) || (how.mode & ~07777ull) ||
	    (how.mode && !(how.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))) ||
	    ((how.resolve & RESOLVE_BENEATH) && (how.resolve & RESOLVE_IN_ROOT)) ||
	    ((how.flags & O_PATH) && (how.flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))))
		return -EINVAL;
	return do_open(t, (int)args->a[0], args->a[1], (int)how.flags, (uint32_t)how.mode, how.resolve);
}

long sys_close(struct task *t, const struct sysargs *args)
{
	return fd_close(t, (int)args->a[0]);
}

long sys_close_range(struct task *t, const struct sysargs *args)
{
	unsigned first = (unsigned)args->a[0], last = (unsigned)args->a[1], flags = (unsigned)args->a[2];

	if ((flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE) {
		struct fdtable *own = fdtable_dup(t->files);

		if (!own)
			return -ENOMEM;
		fdtable_leave(t);
		fdtable_put(t->files, t);
		t->files = own;
	}
	return fd_close_range(t, first, last, flags & CLOSE_RANGE_CLOEXEC);
}

long sys_dup(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file_any(t, (int)args->a[0]);

	return f ? fd_install(t, f, false, 0) : -EBADF;
}

static long dup_to(struct task *t, int old, int new, bool cloexec)
{
	struct file *f = fd_file_any(t, old);

	return f ? fd_install_at(t, f, cloexec, new) : -EBADF;
}

long sys_dup2(struct task *t, const struct sysargs *args)
{
	int old = (int)args->a[0], new = (int)args->a[1];

	if (old == new)
		return fd_cloexec(t, old, -1) < 0 ? -EBADF : new;
	return dup_to(t, old, new, false);
}

long sys_dup3(struct task *t, const struct sysargs *args)
{
	int old = (int)args->a[0], new = (int)args->a[1], flags = (int)args->a[2];

	if ((flags & ~O_CLOEXEC) || old == new)
		return -EINVAL;
	return dup_to(t, old, new, flags & O_CLOEXEC);
}
