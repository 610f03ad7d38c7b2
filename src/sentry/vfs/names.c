// Making, moving and removing names.
#include "sentry/vfs/names.h"

#include <string.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <linux/capability.h>
#include <linux/fs.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

static void notify(struct inode *inode, struct dentry *d, uint32_t mask, const char *name)
{
	if (inode->marks)
		vfs_inotify(inode, d, mask, name);
}

// The directory (w->at) and name of what is to be made. w is to be ended by the caller in any case.
static int find_place(struct walk *w, struct task *t, const struct path *dir, const char *path, bool slash_ok)
{
	int err = walk_begin(w, t, dir, path, 0) ?: walk_to_parent(w);

	if (err)
		return err;
	if (w->last_kind != LAST_NAME)
		return -EEXIST;
	if (!S_ISDIR(dentry_inode(w->at.dentry)->attr.mode))
		return -ENOTDIR;
	return w->last_slash && !slash_ok ? -ENOENT : 0;
}

// With the directory locked: the name must be free.
static int check_free_locked(struct walk *w)
{
	struct dentry *d;
	int err = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);

	if (err)
		return err;
	err = dentry_inode(d) ? -EEXIST : 0;
	dentry_put(d);
	return err;
}

static int appear(struct walk *w, struct inode *inode, uint32_t event)
{
	struct dentry *d = dentry_instantiate(w->at.dentry, w->last, w->last_len, inode);

	if (!d)
		return -ENOMEM;
	dentry_put(d);
	notify(dentry_inode(w->at.dentry), w->at.dentry, event, w->last);
	return 0;
}

int vfs_mknod(struct task *t, const struct path *dir, const char *path, uint32_t mode, uint64_t rdev)
{
	struct inode *parent, *inode = NULL;
	struct walk w;
	int err = find_place(&w, t, dir, path, S_ISDIR(mode));

	if (!err) {
		parent = dentry_inode(w.at.dentry);
		mutex_lock(&parent->mu);
		err = check_free_locked(&w) ?: vfs_may_change_dir(t, &w.at);
		if (!err && (S_ISCHR(mode) || S_ISBLK(mode)) && t && !cred_has_cap(t->cred, CAP_MKNOD))
			err = -EPERM;
		if (!err && !parent->ops->create)
			err = -EROFS;
		if (!err)
			err = parent->ops->create(parent, w.last, w.last_len, t ? mode & ~t->fs->umask : mode, rdev,
						  t ? t->cred : NULL, &inode);
		if (!err)
			err = appear(&w, inode, IN_CREATE | (S_ISDIR(mode) ? IN_ISDIR : 0));
		mutex_unlock(&parent->mu);
	}
	walk_end(&w);
	return err;
}

int vfs_symlink(struct task *t, const struct path *dir, const char *path, const char *target)
{
	struct inode *parent, *inode = NULL;
	struct walk w;
	int err = find_place(&w, t, dir, path, false);

	if (!err) {
		parent = dentry_inode(w.at.dentry);
		mutex_lock(&parent->mu);
		err = check_free_locked(&w) ?: vfs_may_change_dir(t, &w.at);
		if (!err && !parent->ops->symlink)
			err = -EPERM;
		if (!err)
			err = parent->ops->symlink(parent, w.last, w.last_len, target, t ? t->cred : NULL, &inode);
		if (!err)
			err = appear(&w, inode, IN_CREATE);
		mutex_unlock(&parent->mu);
	}
	walk_end(&w);
	return err;
}

int vfs_link(struct task *t, const struct path *from, const struct path *dir, const char *path)
{
	struct inode *parent, *target = dentry_inode(from->dentry);
	struct walk w;
	int err = find_place(&w, t, dir, path, false);

	if (!err) {
		parent = dentry_inode(w.at.dentry);
		mutex_lock(&parent->mu);
		err = check_free_locked(&w);
		if (!err && w.at.mnt != from->mnt)
			err = -EXDEV;
		err = err ?: vfs_may_change_dir(t, &w.at);
		if (!err && (S_ISDIR(target->attr.mode) || !parent->ops->link))
			err = -EPERM;
		if (!err) {
			mutex_lock(&target->mu);
			err = target->attr.nlink == 0 && !target->linkable ? -ENOENT
									     : parent->ops->link(parent, w.last, w.last_len, target);
			if (!err)
				target->linkable = false;
			mutex_unlock(&target->mu);
		}
		if (!err)
			err = appear(&w, inode_get(target), IN_CREATE);
		mutex_unlock(&parent->mu);
	}
	walk_end(&w);
	return err;
}

// May t take the entry for inode out of dir? (directory rights and the sticky bit)
static int may_remove(struct task *t, const struct path *dir, struct inode *inode)
{
	struct inode *parent = dentry_inode(dir->dentry);
	int err = vfs_may_change_dir(t, dir);

	if (err || !t)
		return err;
	if ((parent->attr.mode & S_ISVTX) && t->cred->fsuid != inode->attr.uid && t->cred->fsuid != parent->attr.uid &&
	    !cred_has_cap(t->cred, CAP_FOWNER))
		return -EPERM;
	return 0;
}

static int remove_locked(struct task *t, struct walk *w, bool directory)
{
	struct inode *parent = dentry_inode(w->at.dentry), *inode;
	struct dentry *d;
	int err = dentry_lookup_locked(w->at.dentry, w->last, w->last_len, &d);

	if (err)
		return err;
	inode = dentry_inode(d);
	if (!inode)
		err = -ENOENT;
	else if (!directory && w->last_slash && !S_ISDIR(inode->attr.mode))
		err = -ENOTDIR;
	else
		err = may_remove(t, &w->at, inode);
	if (!err && directory && !S_ISDIR(inode->attr.mode))
		err = -ENOTDIR;
	if (!err && !directory && S_ISDIR(inode->attr.mode))
		err = -EISDIR;
	if (!err && d->mounted)
		err = -EBUSY;
	if (!err) {
		int (*op)(struct inode *, const char *, size_t, struct inode *) = directory ? parent->ops->rmdir : parent->ops->unlink;

		mutex_lock(&inode->mu);
		err = op ? op(parent, w->last, w->last_len, inode) : -EPERM;
		mutex_unlock(&inode->mu);
	}
	if (!err) {
		dentry_unhash(d);
		if (!directory)
			notify(inode, d, IN_ATTRIB, NULL);
		if (directory || inode->attr.nlink == 0)
			notify(inode, d, IN_DELETE_SELF, NULL);
		notify(parent, w->at.dentry, IN_DELETE | (directory ? IN_ISDIR : 0), w->last);
	}
	dentry_put(d);
	return err;
}

static int remove_name(struct task *t, const struct path *dir, const char *path, bool directory)
{
	struct walk w;
	int err = walk_begin(&w, t, dir, path, 0) ?: walk_to_parent(&w);

	if (!err) {
		struct inode *parent = dentry_inode(w.at.dentry);

		switch (w.last_kind) {
		case LAST_NAME:
			if (!S_ISDIR(parent->attr.mode)) {
				err = -ENOTDIR;
				break;
			}
			mutex_lock(&parent->mu);
			err = remove_locked(t, &w, directory);
			mutex_unlock(&parent->mu);
			break;
		case LAST_DOT:
			err = directory ? -EINVAL : -EISDIR;
			break;
		case LAST_DOTDOT:
			err = directory ? -ENOTEMPTY : -EISDIR;
			break;
		case LAST_ROOT:
			err = directory ? -EBUSY : -EISDIR;
			break;
		}
	}
	walk_end(&w);
	return err;
}

int vfs_unlink(struct task *t, const struct path *dir, const char *path)
{
	return remove_name(t, dir, path, false);
}

int vfs_rmdir(struct task *t, const struct path *dir, const char *path)
{
	return remove_name(t, dir, path, true);
}

// Two directories' locks, ancestors first; the super block's rename_mu keeps the order from changing meanwhile.
static void lock_two(struct dentry *a, struct dentry *b)
{
	struct inode *ia = dentry_inode(a), *ib = dentry_inode(b);

	if (ia == ib) {
		mutex_lock(&ia->mu);
		return;
	}
	mutex_lock(&ia->sb->rename_mu);
	if (dentry_is_ancestor(b, a) || (!dentry_is_ancestor(a, b) && ib < ia)) {
		mutex_lock(&ib->mu);
		mutex_lock(&ia->mu);
	} else {
		mutex_lock(&ia->mu);
		mutex_lock(&ib->mu);
	}
}

static void unlock_two(struct dentry *a, struct dentry *b)
{
	struct inode *ia = dentry_inode(a), *ib = dentry_inode(b);

	mutex_unlock(&ia->mu);
	if (ia == ib)
		return;
	mutex_unlock(&ib->mu);
	mutex_unlock(&ia->sb->rename_mu);
}

// What rename(2) demands of the two names; 1: nothing is to be done (they are links to one file).
static int check_rename(struct task *t, struct walk *from, struct walk *to, struct dentry *d, struct dentry *there, unsigned flags)
{
	struct inode *inode = dentry_inode(d), *target = dentry_inode(there);
	int err;

	if (!inode)
		return -ENOENT;
	if (target && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!target && (flags & RENAME_EXCHANGE))
		return -ENOENT;
	if (!S_ISDIR(inode->attr.mode) && (from->last_slash || (to->last_slash && !(flags & RENAME_EXCHANGE))))
		return -ENOTDIR;
	if (dentry_is_ancestor(d, to->at.dentry))
		return -EINVAL;
	if (dentry_is_ancestor(there, from->at.dentry))
		return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
	if (target == inode)
		return 1;
	err = may_remove(t, &from->at, inode) ?: target ? may_remove(t, &to->at, target) : vfs_may_change_dir(t, &to->at);
	if (err)
		return err;
	if (target && !(flags & RENAME_EXCHANGE)) {
		if (S_ISDIR(inode->attr.mode) && !S_ISDIR(target->attr.mode))
			return -ENOTDIR;
		if (!S_ISDIR(inode->attr.mode) && S_ISDIR(target->attr.mode))
			return -EISDIR;
	}
	// A directory that goes elsewhere gets a new "..": that is a change of its own.
	if (S_ISDIR(inode->attr.mode) && from->at.dentry != to->at.dentry && t) {
		err = inode_permission(inode, t->cred, MAY_WRITE);
		if (err)
			return err;
	}
	return d->mounted || there->mounted ? -EBUSY : 0;
}

static void notify_rename(struct walk *from, struct walk *to, struct dentry *d, struct inode *replaced)
{
	uint32_t dir = S_ISDIR(dentry_inode(d)->attr.mode) ? IN_ISDIR : 0, cookie = vfs_notify_cookie();

	vfs_inotify_cookie(dentry_inode(from->at.dentry), IN_MOVED_FROM | dir, cookie, from->last);
	vfs_inotify_cookie(dentry_inode(to->at.dentry), IN_MOVED_TO | dir, cookie, to->last);
	notify(dentry_inode(d), d, IN_MOVE_SELF, NULL);
	if (replaced && (S_ISDIR(replaced->attr.mode) || replaced->attr.nlink == 0))
		notify(replaced, NULL, IN_DELETE_SELF, NULL);
}

static int rename_locked(struct task *t, struct walk *from, struct walk *to, unsigned flags)
{
	struct inode *old_dir = dentry_inode(from->at.dentry), *new_dir = dentry_inode(to->at.dentry);
	struct dentry *d, *there;
	int err = dentry_lookup_locked(from->at.dentry, from->last, from->last_len, &d);

	if (err)
		return err;
	err = dentry_lookup_locked(to->at.dentry, to->last, to->last_len, &there);
	if (err) {
		dentry_put(d);
		return err;
	}
	err = check_rename(t, from, to, d, there, flags);
	if (!err && !old_dir->ops->rename)
		err = -EPERM;
	if (!err)
		err = old_dir->ops->rename(old_dir, from->last, from->last_len, new_dir, to->last, to->last_len, dentry_inode(d),
					   dentry_inode(there), flags);
	if (!err) {
		if (flags & RENAME_EXCHANGE)
			dentry_exchange(d, there);
		else
			dentry_move(d, to->at.dentry, to->last, to->last_len);
		inode_changed(dentry_inode(d)); // by other names, too: their locks aren't held
		if (dentry_inode(there))
			inode_changed(dentry_inode(there));
		notify_rename(from, to, d, flags & RENAME_EXCHANGE ? NULL : dentry_inode(there));
	}
	dentry_put(there);
	dentry_put(d);
	return err == 1 ? 0 : err;
}

int vfs_rename(struct task *t, const struct path *old_dir, const char *old_path, const struct path *new_dir, const char *new_path,
	       unsigned flags)
{
	struct walk from, to = {0};
	int err;

	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) ||
	    ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT))))
		return -EINVAL;
	err = walk_begin(&from, t, old_dir, old_path, 0) ?: walk_to_parent(&from);
	if (!err)
		err = walk_begin(&to, t, new_dir, new_path, 0) ?: walk_to_parent(&to);
	if (!err && from.at.mnt != to.at.mnt)
		err = -EXDEV;
	if (!err && from.last_kind != LAST_NAME)
		err = -EBUSY;
	if (!err && to.last_kind != LAST_NAME)
		err = flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	if (!err && (!S_ISDIR(dentry_inode(from.at.dentry)->attr.mode) || !S_ISDIR(dentry_inode(to.at.dentry)->attr.mode)))
		err = -ENOTDIR;
	if (!err) {
		lock_two(from.at.dentry, to.at.dentry);
		err = rename_locked(t, &from, &to, flags);
		unlock_two(from.at.dentry, to.at.dentry);
	}
	walk_end(&from);
	walk_end(&to);
	return err;
}
