// statfs, fstatfs, and the calls that push data to stable storage or tell how it will be used.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statfs.h>

#include "abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"
#include "sentry/vfs/vfs_int.h"

static long fill(struct task *t, const struct path *p, uaddr_t out)
{
	struct super_block *sb = p->mnt->sb;
	struct statfs st = {.f_type = sb->type->magic, .f_bsize = PAGE_SIZE, .f_namelen = NAME_MAX, .f_frsize = PAGE_SIZE};
	int err = sb->type->statfs ? sb->type->statfs(sb, &st) : 0;

	if (err)
		return err;
	st.f_flags = mount_flags(p->mnt) | 0x20; // ST_VALID: the flags mean something
	st.f_fsid.__val[0] = (int)sb->dev;
	return copy_out_obj(t, out, &st);
}

long sys_statfs(struct task *t, const struct sysargs *args)
{
	struct path p;
	long ret = vfs_lookup_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &p);

	if (ret)
		return ret;
	ret = fill(t, &p, args->a[1]);
	path_put(&p);
	return ret;
}

long sys_fstatfs(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file_any(t, (int)args->a[0]);
	long ret;

	if (!f)
		return -EBADF;
	ret = fill(t, &f->path, args->a[1]);
	file_put(f);
	return ret;
}

static long sync_fd(struct task *t, int fd, bool data_only)
{
	struct file *f = fd_file(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	if (f->ops->fsync)
		ret = f->ops->fsync(f, data_only);
	else
		ret = S_ISREG(f->inode->attr.mode) || S_ISDIR(f->inode->attr.mode) ? 0 : -EINVAL;
	file_put(f);
	return ret;
}

long sys_fsync(struct task *t, const struct sysargs *args)
{
	return sync_fd(t, (int)args->a[0], false);
}

long sys_fdatasync(struct task *t, const struct sysargs *args)
{
	return sync_fd(t, (int)args->a[0], true);
}

// What this kernel has written to a host file is the host's already: there is nothing of ours to push.
long sys_sync(struct task *t, const struct sysargs *args)
{
	return 0;
}

long sys_syncfs(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);

	if (!f)
		return -EBADF;
	file_put(f);
	return 0;
}

// Checks the descriptor of calls that are advice.
static long advice(struct task *t, int fd, bool needs_read)
{
	struct file *f = fd_file(t, fd);
	long ret = 0;

	if (!f)
		return -EBADF;
	if (f->ops->stream)
		ret = -ESPIPE;
	else if (needs_read && (f->flags & O_ACCMODE) == O_WRONLY)
		ret = -EBADF;
	file_put(f);
	return ret;
}

long sys_sync_file_range(struct task *t, const struct sysargs *args)
{
	int64_t offset = (int64_t)args->a[1], n = (int64_t)args->a[2];

	if (offset < 0 || n < 0 || (args->a[3] & ~7ull)) // SYNC_FILE_RANGE_WAIT_BEFORE | WRITE | WAIT_AFTER
		return -EINVAL;
	return advice(t, (int)args->a[0], false) ?: sync_fd(t, (int)args->a[0], true);
}

long sys_readahead(struct task *t, const struct sysargs *args)
{
	long ret = advice(t, (int)args->a[0], true);

	return ret == -ESPIPE ? -EINVAL : ret;
}

long sys_fadvise64(struct task *t, const struct sysargs *args)
{
	if ((int64_t)args->a[2] < 0 || (uint32_t)args->a[3] > POSIX_FADV_NOREUSE)
		return -EINVAL;
	return advice(t, (int)args->a[0], false);
}

#define FALLOC_MODES \
	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE | \
	 FALLOC_FL_UNSHARE_RANGE)

// The limit on sizes says nothing against what is in a file already.
static bool beyond_limit(struct task *t, struct file *f, int mode, int64_t end)
{
	return !(mode & FALLOC_FL_PUNCH_HOLE) && (uint64_t)end > f->inode->attr.size && (uint64_t)end > task_rlimit(t, RLIMIT_FSIZE);
}

long sys_fallocate(struct task *t, const struct sysargs *args)
{
	int64_t offset = (int64_t)args->a[2], len = (int64_t)args->a[3], end;
	int mode = (int)args->a[1];
	struct file *f;
	long ret;

	if (offset < 0 || len <= 0)
		return -EINVAL;
	f = fd_file(t, (int)args->a[0]);
	if (!f)
		return -EBADF;
	if (mode & ~FALLOC_MODES)
		ret = -EOPNOTSUPP;
	else if ((f->flags & O_ACCMODE) == O_RDONLY)
		ret = -EBADF;
	else if (f->ops->stream)
		ret = -ESPIPE;
	else if (S_ISDIR(f->inode->attr.mode))
		ret = -EISDIR;
	else if (!S_ISREG(f->inode->attr.mode))
		ret = -ENODEV;
	else if (__builtin_add_overflow(offset, len, &end))
		ret = -EFBIG;
	else if (!f->ops->fallocate)
		ret = -EOPNOTSUPP;
	else
		ret = beyond_limit(t, f, mode, end) ? file_beyond_limit(t) : f->ops->fallocate(f, mode, offset, len);
	file_put(f);
	return ret;
}
