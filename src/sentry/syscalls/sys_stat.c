// What a file is: stat and its kin, access, readlink.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/stat.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

static long put_stat(struct task *t, const struct path *p, uaddr_t dst, struct stat *st)
{
	return vfs_stat(p, st) ?: copy_out(t, dst, st, sizeof(*st));
}

static long stat_at(struct task *t, int dirfd, uaddr_t upath, unsigned flags, uaddr_t dst)
{
	char path[PATH_MAX];
	struct stat st;
	struct path p;
	long ret = copy_in_path(t, path, upath);

	if (ret < 0)
		return ret;
	remember_begin(t, path);
	ret = vfs_lookup_from(t, dirfd, path, flags, &p);
	if (ret < 0)
		return remember_end(t, ret, NULL, 0);
	remember_attr(t, dentry_inode(p.dentry));
	ret = put_stat(t, &p, dst, &st);
	path_put(&p);
	return remember_end(t, ret, &st, sizeof(st));
}

long sys_stat(struct task *t, const struct sysargs *args)
{
	return stat_at(t, AT_FDCWD, args->a[0], LOOKUP_FOLLOW, args->a[1]);
}

long sys_lstat(struct task *t, const struct sysargs *args)
{
	return stat_at(t, AT_FDCWD, args->a[0], 0, args->a[1]);
}

long sys_fstat(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file_any(t, (int)args->a[0]);
	struct stat st;
	long ret;

	if (!f)
		return -EBADF;
	ret = put_stat(t, &f->path, args->a[1], &st);
	file_put(f);
	return ret;
}

static unsigned lookup_flags(int at_flags)
{
	return (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) | (at_flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0);
}

long sys_newfstatat(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[3];

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
		return -EINVAL;
	return stat_at(t, (int)args->a[0], args->a[1], lookup_flags(flags), args->a[2]);
}

static struct statx_timestamp stamp(struct timespec ts)
{
	return (struct statx_timestamp){.tv_sec = ts.tv_sec, .tv_nsec = (uint32_t)ts.tv_nsec};
}

long sys_statx(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[2];
	struct statx x = {0};
	struct inode_attr a;
	struct path p;
	int err;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
		return -EINVAL;
	if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (args->a[3] & STATX__RESERVED))
		return -EINVAL;
	err = vfs_lookup_at(t, (int)args->a[0], args->a[1], lookup_flags(flags), &p);
	if (err)
		return err;
	err = vfs_getattr(&p, &a);
	if (!err) {
		x.stx_mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
		x.stx_blksize = a.blksize;
		x.stx_nlink = a.nlink;
		x.stx_uid = a.uid;
		x.stx_gid = a.gid;
		x.stx_mode = (uint16_t)a.mode;
		x.stx_ino = a.ino;
		x.stx_size = a.size;
		x.stx_blocks = a.blocks;
		x.stx_atime = stamp(a.atime);
		x.stx_btime = stamp(a.btime);
		x.stx_ctime = stamp(a.ctime);
		x.stx_mtime = stamp(a.mtime);
		x.stx_rdev_major = major(a.rdev);
		x.stx_rdev_minor = minor(a.rdev);
		x.stx_dev_major = major(p.dentry->sb->dev);
		x.stx_dev_minor = minor(p.dentry->sb->dev);
		x.stx_mnt_id = p.mnt->id;
		x.stx_attributes_mask = STATX_ATTR_MOUNT_ROOT;
		if (p.dentry == p.mnt->root)
			x.stx_attributes |= STATX_ATTR_MOUNT_ROOT;
		err = copy_out_obj(t, args->a[4], &x);
	}
	path_put(&p);
	return err;
}

// With the real IDs, as access(2) has it, unless AT_EACCESS.
static struct cred *access_cred(struct task *t, int flags)
{
	struct cred *c;

	if ((flags & AT_EACCESS) || (t->cred->uid == t->cred->fsuid && t->cred->gid == t->cred->fsgid))
		return cred_get(t->cred);
	c = cred_dup(t->cred);
	if (!c)
		return NULL;
	c->fsuid = c->uid;
	c->fsgid = c->gid;
	if (!(c->securebits & 1)) // SECBIT_NOROOT
		c->cap_effective = c->uid == 0 ? c->cap_permitted : 0;
	return c;
}

static long access_at(struct task *t, int dirfd, uaddr_t upath, int mode, int flags)
{
	struct cred *c, *own = t->cred;
	char path[PATH_MAX];
	struct path p;
	long ret;

	if ((mode & ~(R_OK | W_OK | X_OK)) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	ret = copy_in_path(t, path, upath);
	if (ret < 0)
		return ret;
	c = access_cred(t, flags);
	if (!c)
		return -ENOMEM;
	remember_begin(t, path);
	t->cred = c; // for the walk; nobody else handles t now
	ret = vfs_lookup_from(t, dirfd, path, lookup_flags(flags), &p);
	t->cred = own;
	if (ret == 0) {
		struct inode *inode = dentry_inode(p.dentry);

		if (inode->ops->permission)
			remember_none(t);
		remember_attr(t, inode);
		if (mode)
			ret = inode_permission(inode, c, mode); // R_OK, W_OK, X_OK are MAY_READ, MAY_WRITE, MAY_EXEC
		if (ret == 0 && (mode & W_OK) && (mount_flags(p.mnt) & 1 /* ST_RDONLY */) &&
		    (S_ISREG(inode->attr.mode) || S_ISDIR(inode->attr.mode) || S_ISLNK(inode->attr.mode)))
			ret = -EROFS;
		if (ret == 0 && (mode & X_OK) && S_ISREG(inode->attr.mode) && (mount_flags(p.mnt) & 8 /* ST_NOEXEC */))
			ret = -EACCES;
		path_put(&p);
	}
	cred_put(c);
	return remember_end(t, ret, NULL, 0);
}

long sys_access(struct task *t, const struct sysargs *args)
{
	return access_at(t, AT_FDCWD, args->a[0], (int)args->a[1], 0);
}

long sys_faccessat(struct task *t, const struct sysargs *args)
{
	return access_at(t, (int)args->a[0], args->a[1], (int)args->a[2], 0);
}

long sys_faccessat2(struct task *t, const struct sysargs *args)
{
	return access_at(t, (int)args->a[0], args->a[1], (int)args->a[2], (int)args->a[3]);
}

static long readlink_at(struct task *t, int dirfd, uaddr_t upath, uaddr_t dst, int cap)
{
	char text[PATH_MAX]; // the path, and the target
	struct inode *inode;
	struct path p;
	bool empty;
	long ret;

	if (cap <= 0)
		return -EINVAL;
	ret = copy_in_path(t, text, upath);
	if (ret < 0)
		return ret;
	empty = !text[0];
	remember_begin(t, text);
	ret = vfs_lookup_from(t, dirfd, text, LOOKUP_EMPTY, &p);
	if (ret < 0)
		return remember_end(t, ret, NULL, 0);
	inode = dentry_inode(p.dentry);
	remember_link(t, inode);
	ret = inode_readlink(inode, text, sizeof(text));
	if (ret == -EINVAL && empty)
		ret = -ENOENT;
	path_put(&p);
	if (ret >= 0) {
		ret = MIN(ret, cap);
		ret = copy_out(t, dst, text, ret) ?: ret;
	}
	return remember_end(t, ret, text, ret > 0 ? (size_t)ret : 0);
}

long sys_readlink(struct task *t, const struct sysargs *args)
{
	return readlink_at(t, AT_FDCWD, args->a[0], args->a[1], (int)args->a[2]);
}

long sys_readlinkat(struct task *t, const struct sysargs *args)
{
	return readlink_at(t, (int)args->a[0], args->a[1], args->a[2], (int)args->a[3]);
}
