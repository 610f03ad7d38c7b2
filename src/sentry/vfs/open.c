// open(2)'s rules.
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <linux/capability.h>
#include <linux/openat2.h>

#include "abi/errno.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

enum { STALE_TRIES = 16 };

// Flags that only matter while opening.
#define OPEN_ONLY (O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC | VFS_O_EXEC)

void chrdev_register(struct chrdev *dev)
{
	LIST_INSERT_HEAD(&kernel()->vfs->chrdevs, dev, link);
}

static int open_device(struct task *t, struct file *f)
{
	unsigned maj = major(f->inode->attr.rdev), min = minor(f->inode->attr.rdev);
	struct chrdev *dev;

	if (mount_flags(f->path.mnt) & ST_NODEV)
		return -EACCES;
	if (S_ISCHR(f->inode->attr.mode))
		LIST_FOREACH(dev, &kernel()->vfs->chrdevs, link)
			if (dev->major == maj && min >= dev->minor_first && min - dev->minor_first < dev->minor_count)
				return dev->open(t, f, min);
	return -ENXIO;
}

static int wanted_access(int flags)
{
	int acc = flags & O_ACCMODE;

	if (flags & VFS_O_EXEC)
		return MAY_EXEC;
	return (acc != O_WRONLY ? MAY_READ : 0) | (acc != O_RDONLY ? MAY_WRITE : 0) | (flags & O_TRUNC ? MAY_WRITE : 0);
}

// What the file's kind and the caller's rights say, before it is opened. fresh: just created by this call.
static int check_open(struct task *t, const struct path *p, int flags, bool fresh)
{
	struct inode *inode = dentry_inode(p->dentry);
	uint32_t mode = inode->attr.mode;
	int want = wanted_access(flags);

	if (S_ISLNK(mode))
		return -ELOOP;
	if (S_ISDIR(mode) && ((want & MAY_WRITE) || (flags & O_CREAT)))
		return -EISDIR;
	if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
		return -ENOTDIR;
	if (S_ISSOCK(mode))
		return -ENXIO;
	if (flags & VFS_O_EXEC) {
		if (!S_ISREG(mode) || (mount_flags(p->mnt) & ST_NOEXEC))
			return -EACCES;
	}
	if ((want & MAY_WRITE) && (S_ISREG(mode) || S_ISDIR(mode)) && (mount_flags(p->mnt) & ST_RDONLY))
		return -EROFS;
	if ((flags & O_NOATIME) && t && t->cred->fsuid != inode->attr.uid && !cred_has_cap(t->cred, CAP_FOWNER))
		return -EPERM;
	return fresh || !t ? 0 : inode_permission(inode, t->cred, want);
}

static int truncate_open(struct file *f)
{
	const struct setattr set = {.valid = ATTR_SIZE};
	int err = -EINVAL;

	mutex_lock(&f->inode->mu);
	if (f->inode->ops->setattr)
		err = f->inode->ops->setattr(f->inode, &set);
	mutex_unlock(&f->inode->mu);
	return err;
}

static int check_open_path(const struct path *p, int flags)
{
	struct inode *inode = dentry_inode(p->dentry);

	if ((flags & O_DIRECTORY) && !S_ISDIR(inode->attr.mode))
		return -ENOTDIR;
	return S_ISLNK(inode->attr.mode) && !(flags & O_NOFOLLOW) ? -ELOOP : 0;
}

// What the path led to was no longer there when it was to be opened: another file has taken its place, or is just about to. Waits until that is done.
static void await_replacement(const struct path *p)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *parent;

	mutex_lock(&vfs->dcache_mu);
	parent = dentry_get(dentry_parent(p->dentry));
	mutex_unlock(&vfs->dcache_mu);
	mutex_lock(&dentry_inode(parent)->mu); // who changes names there holds it
	mutex_unlock(&dentry_inode(parent)->mu);
	dentry_put(parent);
}

// Takes p's references in any case.
static int open_existing(struct task *t, struct path p, int flags, bool fresh, struct file **out_file)
{
	struct inode *inode = dentry_inode(p.dentry);
	struct file *f;
	int err = flags & O_PATH ? check_open_path(&p, flags) : check_open(t, &p, flags, fresh);

	if (err) {
		path_put(&p);
		return err;
	}
	if (flags & O_PATH) {
		*out_file = file_alloc(p, O_PATH | (flags & (O_DIRECTORY | O_NOFOLLOW)), t ? t->cred : NULL);
		if (*out_file)
			(*out_file)->ops = &path_file_ops;
		return *out_file ? 0 : -ENFILE;
	}
	f = file_alloc(p, flags & ~(OPEN_ONLY & ~O_NOCTTY), t ? t->cred : NULL);
	if (!f)
		return -ENFILE;
	if (S_ISREG(inode->attr.mode) && (wanted_access(flags) & MAY_WRITE))
		err = file_count_writer(f);
	if (!err && S_ISFIFO(inode->attr.mode))
		err = fifo_open(f);
	else if (!err && (S_ISCHR(inode->attr.mode) || S_ISBLK(inode->attr.mode)))
		err = open_device(t, f);
	else if (!err && inode->ops->open)
		err = inode->ops->open(inode, t, f);
	if (!err && !f->ops)
		err = -ENXIO;
	if (!err && (flags & O_TRUNC) && S_ISREG(inode->attr.mode) && !fresh)
		err = truncate_open(f);
	if (err == -ESTALE)
		await_replacement(&f->path);
	if (err) {
		file_put(f);
		return err;
	}
	f->opened = true;
	f->flags &= ~O_NOCTTY; // which a terminal wanted to know
	if (kernel()->vfs->nwatches)
		vfs_notify_path(&f->path, IN_OPEN);
	*out_file = f;
	return 0;
}

int vfs_open_path(struct task *t, const struct path *p, int flags, struct file **out_file)
{
	return open_existing(t, path_get(p), flags, false, out_file);
}

// May entries be made in or taken out of dir?
int vfs_may_change_dir(struct task *t, const struct path *dir)
{
	if (mount_flags(dir->mnt) & ST_RDONLY)
		return -EROFS;
	return t ? inode_permission(dentry_inode(dir->dentry), t->cred, MAY_WRITE | MAY_EXEC) : 0;
}

// The last component doesn't exist: make it. The directory is w->at.
static int create(struct walk *w, uint32_t mode, struct path *out)
{
	struct task *t = w->t;
	struct inode *dir = dentry_inode(w->at.dentry), *inode = NULL;
	struct dentry *d;
	int err = vfs_may_change_dir(t, &w->at);

	if (err)
		return err;
	if (!dir->ops->create)
		return -EROFS;
	mode = S_IFREG | (mode & 07777 & ~t->fs->umask);
	mutex_lock(&dir->mu);
	err = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);
	if (!err && dentry_inode(d)) {
		dentry_put(d);
		err = -EEXIST; // somebody was quicker
	} else if (!err) {
		dentry_put(d);
		err = dir->ops->create(dir, w->last, w->last_len, mode, 0, t->cred, &inode);
		if (!err) {
			d = dentry_instantiate(w->at.dentry, w->last, w->last_len, inode);
			err = d ? 0 : -ENOMEM;
		}
	}
	mutex_unlock(&dir->mu);
	if (!err) {
		*out = (struct path){mount_get(w->at.mnt), d};
		if (dir->marks)
			vfs_inotify(dir, w->at.dentry, IN_CREATE, w->last);
	}
	return err;
}

// fs.protected_regular isn't enforced; sticky directories matter for removal only.
static int open_or_create(struct task *t, struct walk *w, int flags, uint32_t mode, struct file **out_file)
{
	bool follow = !(flags & O_NOFOLLOW) && !(flags & O_EXCL), fresh = false;
	struct path p;
	int err;

	for (;;) {
		err = walk_to_parent(w);
		if (err)
			return err;
		if (w->last_kind == LAST_NAME && w->last_slash)
			return -EISDIR;
		err = walk_last(w, follow, &p); // the root, "." or where a link of /proc led to: always there
		if (err == 1)
			continue;
		if (err)
			return err;
		if (dentry_inode(p.dentry)) {
			if (!(flags & O_EXCL))
				break;
			path_put(&p);
			return -EEXIST;
		}
		path_put(&p);
		err = create(w, mode, &p);
		fresh = err == 0;
		if (err == -EEXIST && !(flags & O_EXCL)) {
			w->rest = w->last; // it is there by now: look again
			continue;
		}
		if (err)
			return err;
		break;
	}
	return open_existing(t, p, flags, fresh, out_file);
}

static int open_tmpfile(struct task *t, const struct path *p, int flags, uint32_t mode, struct file **out_file)
{
	struct inode *dir = dentry_inode(p->dentry), *inode;
	struct dentry *d;
	int err;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	err = vfs_may_change_dir(t, p);
	if (err)
		return err;
	if (!dir->ops->tmpfile)
		return -EOPNOTSUPP;
	mutex_lock(&dir->mu);
	err = dir->ops->tmpfile(dir, S_IFREG | (mode & 07777 & ~t->fs->umask), t->cred, &inode);
	mutex_unlock(&dir->mu);
	if (err)
		return err;
	inode->linkable = !(flags & O_EXCL);
	d = dentry_create_unhashed(p->dentry, "#tmpfile", 8, inode);
	if (!d)
		return -ENOMEM;
	return open_existing(t, (struct path){mount_get(p->mnt), d}, flags & ~(O_TMPFILE | O_CREAT | O_EXCL), true, out_file);
}

static unsigned resolve_flags(uint64_t resolve)
{
	return (resolve & RESOLVE_NO_SYMLINKS ? LOOKUP_NO_SYMLINKS : 0) | (resolve & RESOLVE_BENEATH ? LOOKUP_BENEATH : 0) |
	       (resolve & RESOLVE_IN_ROOT ? LOOKUP_IN_ROOT : 0) | (resolve & RESOLVE_NO_XDEV ? LOOKUP_NO_XDEV : 0) |
	       (resolve & RESOLVE_NO_MAGICLINKS ? LOOKUP_NO_MAGICLINKS : 0) | (resolve & RESOLVE_CACHED ? LOOKUP_CACHED : 0);
}

static int open_once(struct task *t, const struct path *dir, const char *path, int flags, uint32_t mode, uint64_t resolve, struct file **out_file)
{
	unsigned how = resolve_flags(resolve);
	struct walk w;
	struct path p;
	int err;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		err = vfs_lookup(t, dir, path, how | LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);
		if (err)
			return err;
		err = open_tmpfile(t, &p, flags, mode, out_file);
		path_put(&p);
		return err;
	}
	if (flags & O_CREAT) {
		if (flags & O_DIRECTORY)
			return -EINVAL;
		err = walk_begin(&w, t, dir, path, how) ?: open_or_create(t, &w, flags, mode, out_file);
		walk_end(&w);
		return err;
	}
	if (!(flags & O_NOFOLLOW))
		how |= LOOKUP_FOLLOW;
	if (!(flags & (O_PATH | O_ACCMODE | O_DIRECTORY)))
		how |= LOOKUP_OPEN;
	return vfs_lookup(t, dir, path, how, &p) ?: open_existing(t, p, flags, false, out_file);
}

// A name that always stands for some file can always be opened, whoever replaces that file meanwhile.
int vfs_open(struct task *t, const struct path *dir, const char *path, int flags, uint32_t mode, uint64_t resolve,
	     struct file **out_file)
{
	int err = -ESTALE;

	for (int tries = 0; tries < STALE_TRIES && err == -ESTALE; tries++)
		err = open_once(t, dir, path, flags, mode, resolve, out_file);
	return err;
}
