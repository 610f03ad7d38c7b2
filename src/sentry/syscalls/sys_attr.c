// chmod, chown, the time stamps' calls, truncate: everything that changes an inode's attributes.
#include <fcntl.h>
#include <limits.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <utime.h>

#include "abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/setattr.h"
#include "sentry/vfs/vfs.h"

static long change_at(struct task *t, int dirfd, uaddr_t upath, unsigned lookup, const struct setattr *set)
{
	struct path p;
	int err = vfs_lookup_at(t, dirfd, upath, lookup, &p);

	if (err)
		return err;
	err = vfs_setattr(t, &p, set);
	path_put(&p);
	return err;
}

static long change_fd(struct task *t, int fd, const struct setattr *set)
{
	struct file *f = fd_file(t, fd);
	int err;

	if (!f)
		return -EBADF;
	err = vfs_setattr(t, &f->path, set);
	file_put(f);
	return err;
}

// --- mode
static struct setattr mode_set(uint64_t mode)
{
	return (struct setattr){.valid = ATTR_MODE, .mode = (uint32_t)mode & 07777};
}

long sys_chmod(struct task *t, const struct sysargs *args)
{
	struct setattr set = mode_set(args->a[1]);

	return change_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &set);
}

long sys_fchmod(struct task *t, const struct sysargs *args)
{
	struct setattr set = mode_set(args->a[1]);

	return change_fd(t, (int)args->a[0], &set);
}

long sys_fchmodat(struct task *t, const struct sysargs *args)
{
	struct setattr set = mode_set(args->a[2]);

	return change_at(t, (int)args->a[0], args->a[1], LOOKUP_FOLLOW, &set);
}

long sys_fchmodat2(struct task *t, const struct sysargs *args)
{
	struct setattr set = mode_set(args->a[2]);
	int flags = (int)args->a[3];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(t, (int)args->a[0], args->a[1],
			 (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &set);
}

// --- owner
static struct setattr owner_set(uint64_t uid, uint64_t gid)
{
	return (struct setattr){
		.valid = ((uint32_t)uid != UINT32_MAX ? ATTR_UID : 0) | ((uint32_t)gid != UINT32_MAX ? ATTR_GID : 0),
		.uid = (uint32_t)uid,
		.gid = (uint32_t)gid,
	};
}

long sys_chown(struct task *t, const struct sysargs *args)
{
	struct setattr set = owner_set(args->a[1], args->a[2]);

	return change_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &set);
}

long sys_lchown(struct task *t, const struct sysargs *args)
{
	struct setattr set = owner_set(args->a[1], args->a[2]);

	return change_at(t, AT_FDCWD, args->a[0], 0, &set);
}

long sys_fchown(struct task *t, const struct sysargs *args)
{
	struct setattr set = owner_set(args->a[1], args->a[2]);

	return change_fd(t, (int)args->a[0], &set);
}

long sys_fchownat(struct task *t, const struct sysargs *args)
{
	struct setattr set = owner_set(args->a[2], args->a[3]);
	int flags = (int)args->a[4];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return change_at(t, (int)args->a[0], args->a[1],
			 (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &set);
}

// --- time stamps
static struct setattr times_now(void)
{
	struct timespec now = vfs_now();

	return (struct setattr){.valid = ATTR_ATIME | ATTR_MTIME | ATTR_TIMES_NOW, .atime = now, .mtime = now};
}

// UTIME_NOW and UTIME_OMIT are turned into what they mean. False: both are omitted, nothing is to be done.
static bool times_set(const struct timespec ts[2], struct setattr *set)
{
	struct timespec now = vfs_now();

	*set = (struct setattr){0};
	if (ts[0].tv_nsec != UTIME_OMIT) {
		set->valid |= ATTR_ATIME;
		set->atime = ts[0].tv_nsec == UTIME_NOW ? now : ts[0];
	}
	if (ts[1].tv_nsec != UTIME_OMIT) {
		set->valid |= ATTR_MTIME;
		set->mtime = ts[1].tv_nsec == UTIME_NOW ? now : ts[1];
	}
	if (ts[0].tv_nsec == UTIME_NOW && ts[1].tv_nsec == UTIME_NOW)
		set->valid |= ATTR_TIMES_NOW;
	return set->valid != 0;
}

static bool nsec_bad(int64_t nsec)
{
	return nsec != UTIME_NOW && nsec != UTIME_OMIT && (nsec < 0 || nsec >= NSEC_PER_SEC);
}

long sys_utimensat(struct task *t, const struct sysargs *args)
{
	int dirfd = (int)args->a[0], flags = (int)args->a[3];
	struct setattr set = times_now();
	struct timespec ts[2];

	if (args->a[2]) {
		if (copy_in(t, ts, args->a[2], sizeof(ts)) < 0)
			return -EFAULT;
		if (nsec_bad(ts[0].tv_nsec) || nsec_bad(ts[1].tv_nsec))
			return -EINVAL;
		if (!times_set(ts, &set))
			return 0;
	}
	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (!args->a[1] && dirfd != AT_FDCWD) // futimens
		return flags ? -EINVAL : change_fd(t, dirfd, &set);
	return change_at(t, dirfd, args->a[1],
			 (flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &set);
}

static long by_timevals(struct task *t, int dirfd, uaddr_t upath, uaddr_t utimes)
{
	struct setattr set = times_now();
	struct timeval tv[2];
	struct timespec ts[2];

	if (utimes) {
		if (copy_in(t, tv, utimes, sizeof(tv)) < 0)
			return -EFAULT;
		for (int i = 0; i < 2; i++) {
			if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
				return -EINVAL;
			ts[i] = (struct timespec){tv[i].tv_sec, tv[i].tv_usec * NSEC_PER_USEC};
		}
		times_set(ts, &set);
	}
	if (!upath && dirfd != AT_FDCWD)
		return change_fd(t, dirfd, &set);
	return change_at(t, dirfd, upath, LOOKUP_FOLLOW, &set);
}

long sys_utimes(struct task *t, const struct sysargs *args)
{
	return by_timevals(t, AT_FDCWD, args->a[0], args->a[1]);
}

long sys_futimesat(struct task *t, const struct sysargs *args)
{
	return by_timevals(t, (int)args->a[0], args->a[1], args->a[2]);
}

long sys_utime(struct task *t, const struct sysargs *args)
{
	struct setattr set = times_now();
	struct utimbuf ut;

	if (args->a[1]) {
		if (copy_in_obj(t, &ut, args->a[1]))
			return -EFAULT;
		times_set((struct timespec[]){{ut.actime, 0}, {ut.modtime, 0}}, &set);
	}
	return change_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &set);
}

// --- size
long sys_truncate(struct task *t, const struct sysargs *args)
{
	struct path p;
	struct inode *inode;
	int err;

	if ((int64_t)args->a[1] < 0)
		return -EINVAL;
	err = vfs_lookup_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, &p);
	if (err)
		return err;
	inode = dentry_inode(p.dentry);
	if (S_ISDIR(inode->attr.mode))
		err = -EISDIR;
	else if (!S_ISREG(inode->attr.mode))
		err = -EINVAL;
	else if (mount_flags(p.mnt) & ST_RDONLY)
		err = -EROFS;
	else
		err = inode_permission(inode, t->cred, MAY_WRITE);
	if (!err && inode->writers < 0)
		err = -ETXTBSY;
	if (!err)
		err = vfs_truncate(t, &p, (int64_t)args->a[1]);
	path_put(&p);
	return err;
}

long sys_ftruncate(struct task *t, const struct sysargs *args)
{
	struct file *f;
	int err = -EINVAL;

	if ((int64_t)args->a[1] < 0)
		return -EINVAL;
	f = fd_file(t, (int)args->a[0]);
	if (!f)
		return -EBADF;
	if (S_ISREG(f->inode->attr.mode) && (f->flags & O_ACCMODE) != O_RDONLY)
		err = vfs_truncate(t, &f->path, (int64_t)args->a[1]);
	file_put(f);
	return err;
}
