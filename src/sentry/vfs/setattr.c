// Changing attributes: who may, and what changes along (man 2 chmod, chown, utimensat, truncate).
#include "sentry/vfs/setattr.h"

#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

struct timespec vfs_now(void)
{
	int64_t ns = ktime_now(CLOCK_REALTIME);

	return (struct timespec){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
}

static bool owns(const struct cred *c, const struct inode *inode)
{
	return c->fsuid == inode->attr.uid || cred_has_cap(c, CAP_FOWNER);
}

static int check_owner_change(const struct cred *c, const struct inode *inode, const struct setattr *set)
{
	if (cred_has_cap(c, CAP_CHOWN))
		return 0;
	if ((set->valid & ATTR_UID) && (c->fsuid != inode->attr.uid || set->uid != inode->attr.uid))
		return -EPERM;
	if ((set->valid & ATTR_GID) &&
	    (c->fsuid != inode->attr.uid || (set->gid != inode->attr.gid && !cred_in_group(c, set->gid))))
		return -EPERM;
	return 0;
}

static int check_times(const struct cred *c, struct inode *inode, const struct setattr *set)
{
	if (owns(c, inode))
		return 0;
	if (set->valid & ATTR_TIMES_NOW)
		return inode_permission(inode, c, MAY_WRITE);
	return -EPERM;
}

static int check(struct task *t, struct inode *inode, const struct setattr *set)
{
	const struct cred *c = t->cred;
	int err;

	if ((set->valid & ATTR_MODE) && !owns(c, inode))
		return -EPERM;
	if (set->valid & (ATTR_UID | ATTR_GID)) {
		err = check_owner_change(c, inode, set);
		if (err)
			return err;
	}
	return set->valid & (ATTR_ATIME | ATTR_MTIME | ATTR_TIMES_NOW) ? check_times(c, inode, set) : 0;
}

// What Linux changes along: set-id bits go with the owner, set-group-ID needs the group.
static void adjust(struct task *t, struct inode *inode, struct setattr *set)
{
	uint32_t mode = inode->attr.mode;

	if ((set->valid & ATTR_MODE) && (set->mode & S_ISGID) && !S_ISDIR(mode)) {
		uint32_t gid = set->valid & ATTR_GID ? set->gid : inode->attr.gid;

		if (!cred_in_group(t->cred, gid) && !cred_has_cap(t->cred, CAP_FSETID))
			set->mode &= ~S_ISGID;
	}
	if ((set->valid & (ATTR_UID | ATTR_GID)) && !(set->valid & ATTR_MODE) && !S_ISDIR(mode)) {
		uint32_t less = mode & ~S_ISUID;

		if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			less &= ~S_ISGID;
		if (less != mode) {
			set->valid |= ATTR_MODE;
			set->mode = less & 07777;
		}
	}
}

static int apply(struct inode *inode, const struct setattr *set)
{
	int err;

	if (!inode->ops->setattr)
		return -EPERM;
	mutex_lock(&inode->mu);
	err = inode->ops->setattr(inode, set);
	if (S_ISDIR(inode->attr.mode) && (set->valid & (ATTR_MODE | ATTR_UID | ATTR_GID)))
		remember_all_anew();
	mutex_unlock(&inode->mu);
	return err;
}

int vfs_setattr(struct task *t, const struct path *p, const struct setattr *set)
{
	struct inode *inode = dentry_inode(p->dentry);
	struct setattr change = *set;
	int err;

	if (mount_flags(p->mnt) & ST_RDONLY)
		return -EROFS;
	if (t) {
		err = check(t, inode, &change);
		if (err)
			return err;
		adjust(t, inode, &change);
	}
	err = apply(inode, &change);
	if (!err) {
		uint32_t event = IN_ATTRIB;

		if (!(change.valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_TIMES_NOW)))
			event = change.valid & ATTR_ATIME && change.valid & ATTR_MTIME ? IN_ATTRIB :
				change.valid & ATTR_ATIME			       ? IN_ACCESS :
				change.valid & ATTR_MTIME			       ? IN_MODIFY : IN_ATTRIB;
		vfs_notify_path(p, event);
	}
	return err;
}

int vfs_truncate(struct task *t, const struct path *p, int64_t len)
{
	struct inode *inode = dentry_inode(p->dentry);
	struct setattr set = {.valid = ATTR_SIZE, .size = (uint64_t)len};
	uint32_t mode = inode->attr.mode;
	int err;

	if (len < 0)
		return -EINVAL;
	if (S_ISDIR(mode))
		return -EISDIR;
	if (!S_ISREG(mode))
		return -EINVAL;
	if ((uint64_t)len > task_rlimit(t, RLIMIT_FSIZE))
		return file_beyond_limit(t);
	if ((mode & (S_ISUID | S_ISGID)) && !cred_has_cap(t->cred, CAP_FSETID)) {
		uint32_t less = mode & ~S_ISUID & ~((mode & S_IXGRP) ? S_ISGID : 0);

		if (less != mode) {
			set.valid |= ATTR_MODE;
			set.mode = less & 07777;
		}
	}
	err = apply(inode, &set);
	if (!err)
		vfs_notify_path(p, IN_MODIFY);
	return err;
}

void vfs_drop_setid(struct task *t, struct inode *inode)
{
	uint32_t mode = inode->attr.mode, less;
	struct setattr set = {.valid = ATTR_MODE};

	if (!(mode & (S_ISUID | S_ISGID)) || !S_ISREG(mode) || cred_has_cap(t->cred, CAP_FSETID))
		return;
	less = mode & ~S_ISUID & ~((mode & S_IXGRP) ? S_ISGID : 0);
	if (less == mode)
		return;
	set.mode = less & 07777;
	apply(inode, &set);
}
