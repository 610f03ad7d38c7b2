// Names made, moved and removed: the calls over vfs/names.h.
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/names.h"

// A path argument with the directory it starts from.
struct place {
	char path[PATH_MAX];
	struct path dir; // empty: the working directory, or path is absolute
};

static int place_get(struct task *t, int dirfd, uaddr_t upath, struct place *out)
{
	long len = copy_in_path(t, out->path, upath);

	return len < 0 ? (int)len : vfs_dirfd(t, dirfd, out->path, &out->dir);
}

static const struct path *place_dir(const struct place *p)
{
	return p->dir.mnt ? &p->dir : NULL;
}

static long make(struct task *t, int dirfd, uaddr_t upath, uint32_t mode, uint64_t rdev)
{
	struct place p;
	int err = place_get(t, dirfd, upath, &p);

	if (err)
		return err;
	err = vfs_mknod(t, place_dir(&p), p.path, mode, rdev);
	path_put(&p.dir);
	return err;
}

long sys_mkdir(struct task *t, const struct sysargs *args)
{
	return make(t, AT_FDCWD, args->a[0], S_IFDIR | (args->a[1] & 01777), 0);
}

long sys_mkdirat(struct task *t, const struct sysargs *args)
{
	return make(t, (int)args->a[0], args->a[1], S_IFDIR | (args->a[2] & 01777), 0);
}

static long make_node(struct task *t, int dirfd, uaddr_t upath, uint32_t mode, uint32_t dev)
{
	if ((mode & S_IFMT) == 0)
		mode |= S_IFREG;
	if (S_ISDIR(mode))
		return -EPERM;
	if (!S_ISREG(mode) && !S_ISFIFO(mode) && !S_ISSOCK(mode) && !S_ISCHR(mode) && !S_ISBLK(mode))
		return -EINVAL;
	return make(t, dirfd, upath, mode & (S_IFMT | 07777), S_ISCHR(mode) || S_ISBLK(mode) ? dev : 0);
}

long sys_mknod(struct task *t, const struct sysargs *args)
{
	return make_node(t, AT_FDCWD, args->a[0], (uint32_t)args->a[1], (uint32_t)args->a[2]);
}

long sys_mknodat(struct task *t, const struct sysargs *args)
{
	return make_node(t, (int)args->a[0], args->a[1], (uint32_t)args->a[2], (uint32_t)args->a[3]);
}

static long remove_at(struct task *t, int dirfd, uaddr_t upath, bool directory)
{
	struct place p;
	int err = place_get(t, dirfd, upath, &p);

	if (err)
		return err;
	err = directory ? vfs_rmdir(t, place_dir(&p), p.path) : vfs_unlink(t, place_dir(&p), p.path);
	path_put(&p.dir);
	return err;
}

long sys_rmdir(struct task *t, const struct sysargs *args)
{
	return remove_at(t, AT_FDCWD, args->a[0], true);
}

long sys_unlink(struct task *t, const struct sysargs *args)
{
	return remove_at(t, AT_FDCWD, args->a[0], false);
}

long sys_unlinkat(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[2];

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	return remove_at(t, (int)args->a[0], args->a[1], flags & AT_REMOVEDIR);
}

static long symlink_at(struct task *t, uaddr_t utarget, int dirfd, uaddr_t upath)
{
	char target[PATH_MAX];
	struct place p;
	long err = copy_in_path(t, target, utarget);

	if (err < 0)
		return err;
	if (err == 0)
		return -ENOENT;
	err = place_get(t, dirfd, upath, &p);
	if (err)
		return err;
	err = vfs_symlink(t, place_dir(&p), p.path, target);
	path_put(&p.dir);
	return err;
}

long sys_symlink(struct task *t, const struct sysargs *args)
{
	return symlink_at(t, args->a[0], AT_FDCWD, args->a[1]);
}

long sys_symlinkat(struct task *t, const struct sysargs *args)
{
	return symlink_at(t, args->a[0], (int)args->a[1], args->a[2]);
}

static long link_at(struct task *t, int old_dirfd, uaddr_t old, int new_dirfd, uaddr_t new, int flags)
{
	struct path from;
	struct place p;
	int err;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if ((flags & AT_EMPTY_PATH) && !cred_has_cap(t->cred, CAP_DAC_READ_SEARCH))
		return -ENOENT;
	err = vfs_lookup_at(t, old_dirfd, old,
			    (flags & AT_SYMLINK_FOLLOW ? LOOKUP_FOLLOW : 0) | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &from);
	if (err)
		return err;
	err = place_get(t, new_dirfd, new, &p);
	if (!err) {
		err = vfs_link(t, &from, place_dir(&p), p.path);
		path_put(&p.dir);
	}
	path_put(&from);
	return err;
}

long sys_link(struct task *t, const struct sysargs *args)
{
	return link_at(t, AT_FDCWD, args->a[0], AT_FDCWD, args->a[1], 0);
}

long sys_linkat(struct task *t, const struct sysargs *args)
{
	return link_at(t, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3], (int)args->a[4]);
}

static long rename_at(struct task *t, int old_dirfd, uaddr_t old, int new_dirfd, uaddr_t new, unsigned flags)
{
	struct place from, to;
	int err = place_get(t, old_dirfd, old, &from);

	if (err)
		return err;
	err = place_get(t, new_dirfd, new, &to);
	if (!err) {
		err = vfs_rename(t, place_dir(&from), from.path, place_dir(&to), to.path, flags);
		path_put(&to.dir);
	}
	path_put(&from.dir);
	return err;
}

long sys_rename(struct task *t, const struct sysargs *args)
{
	return rename_at(t, AT_FDCWD, args->a[0], AT_FDCWD, args->a[1], 0);
}

long sys_renameat(struct task *t, const struct sysargs *args)
{
	return rename_at(t, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3], 0);
}

long sys_renameat2(struct task *t, const struct sysargs *args)
{
	return rename_at(t, (int)args->a[0], args->a[1], (int)args->a[2], args->a[3], (unsigned)args->a[4]);
}
