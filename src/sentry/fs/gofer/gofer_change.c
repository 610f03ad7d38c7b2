// Changes of a writable tree: each is one message, then what is known is brought up to date.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <linux/fs.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/kernel/cred.h"

// Owner, group and set-group-ID by the directory (man 7 inode).
static struct gofer_create how_for(struct inode *dir, uint32_t mode, const struct cred *cred)
{
	struct gofer_create how = {.mode = mode, .uid = cred ? cred->fsuid : 0, .gid = cred ? cred->fsgid : 0};

	if (dir->attr.mode & S_ISGID) {
		how.gid = dir->attr.gid;
		if (S_ISDIR(mode))
			how.mode |= S_ISGID;
	}
	return how;
}

// A new file: its inode, entered into the directory's listing. fd: its descriptor, or -1; taken over.
static int made(struct inode *dir, const char *name, size_t len, const struct gofer_entry *entry, int fd, struct inode **out_inode)
{
	struct hostfd *h = fd >= 0 ? hostfd_create(fd) : NULL;
	int err = gofer_inode_of(dir->sb, entry, out_inode);

	if (err) {
		hostfd_put(h);
		return err;
	}
	if (h)
		gofer_files_keep(gofer_inode(*out_inode), h, true);
	gofer_inode(*out_inode)->xattrs = XATTR_UNKNOWN;
	if (name) {
		gofer_listing_add(gofer_inode(dir), name, len, gofer_inode(*out_inode));
		gofer_attr_stale(gofer_inode(dir));
	}
	return 0;
}

int gofer_dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		     struct inode **out_inode)
{
	struct gofer_create how = how_for(dir, mode, cred);
	struct gofer_entry entry;
	uint64_t node;
	int fd = -1, err = gofer_inode_node(gofer_inode(dir), &node);

	(void)rdev; // the gofer makes no devices
	err = err ?: AWAY(gofer_create(gofer_client(dir), node, (struct gofer_name){name, len}, &how, &entry, &fd));
	return err ?: made(dir, name, len, &entry, fd, out_inode);
}

int gofer_dir_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out_inode)
{
	struct gofer_create how = how_for(dir, mode, cred);
	struct gofer_entry entry;
	uint64_t node;
	int fd = -1, err = gofer_inode_node(gofer_inode(dir), &node);

	err = err ?: AWAY(gofer_tmpfile(gofer_client(dir), node, &how, &entry, &fd));
	return err ?: made(dir, NULL, 0, &entry, fd, out_inode);
}

int gofer_dir_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		      struct inode **out_inode)
{
	struct gofer_create how = how_for(dir, S_IFLNK | 0777, cred);
	struct gofer_entry entry;
	uint64_t node;
	int err = gofer_inode_node(gofer_inode(dir), &node);

	err = err ?: AWAY(gofer_symlink(gofer_client(dir), node, (struct gofer_name){name, len},
					(struct gofer_name){target, strlen(target)}, &how, &entry));
	return err ?: made(dir, name, len, &entry, -1, out_inode);
}

int gofer_dir_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	struct gofer_attr attr;
	uint64_t node, target_node;
	int err = gofer_inode_node(gofer_inode(dir), &node);

	err = err ?: gofer_inode_node(gofer_inode(target), &target_node);
	err = err ?: AWAY(gofer_link(gofer_client(dir), node, (struct gofer_name){name, len}, target_node, &attr));
	if (err)
		return err;
	gofer_attr_set(gofer_inode(target), &attr);
	inode_changed(target);
	gofer_listing_add(gofer_inode(dir), name, len, gofer_inode(target));
	gofer_attr_stale(gofer_inode(dir));
	return 0;
}

// One name less of victim.
static void lost_name(struct inode *victim)
{
	struct gofer_inode *gi = gofer_inode(victim);

	if (S_ISDIR(victim->attr.mode) || victim->attr.nlink <= 1) {
		victim->attr.nlink = 0;
		inode_changed(victim);
		gofer_inode_forget(gi);
	} else {
		victim->attr.nlink--;
		gofer_attr_stale(gi);
	}
}

static int remove_name(struct inode *dir, const char *name, size_t len, struct inode *victim, uint32_t flags)
{
	uint64_t node, victim_node;
	int err = gofer_inode_node(gofer_inode(dir), &node);

	if (!err && !S_ISDIR(victim->attr.mode) && victim->attr.nlink > 1)
		err = gofer_inode_node(gofer_inode(victim), &victim_node); // it lives on under another name
	err = err ?: AWAY(gofer_unlink(gofer_client(dir), node, (struct gofer_name){name, len}, flags));
	if (err)
		return err;
	lost_name(victim);
	gofer_listing_remove(gofer_inode(dir), name, len);
	gofer_attr_stale(gofer_inode(dir));
	return 0;
}

int gofer_dir_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	return remove_name(dir, name, len, victim, 0);
}

int gofer_dir_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	return remove_name(dir, name, len, victim, AT_REMOVEDIR);
}

int gofer_dir_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir, const char *new_name,
		     size_t new_len, struct inode *victim, struct inode *target, unsigned flags)
{
	struct gofer_inode *from = gofer_inode(old_dir), *to = gofer_inode(new_dir);
	uint64_t old_node, new_node;
	int err;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	err = gofer_inode_node(from, &old_node) ?: gofer_inode_node(to, &new_node);
	err = err ?: AWAY(gofer_rename(gofer_client(old_dir), old_node, (struct gofer_name){old_name, old_len}, new_node,
				       (struct gofer_name){new_name, new_len}, flags));
	if (err)
		return err;
	if (victim == target)
		return 0; // two names of one file: rename(2) does nothing
	gofer_listing_remove(from, old_name, old_len);
	if (target)
		gofer_listing_remove(to, new_name, new_len);
	gofer_listing_add(to, new_name, new_len, gofer_inode(victim));
	gofer_inode_moved(gofer_inode(victim), to, new_name, new_len);
	if (flags & RENAME_EXCHANGE) {
		gofer_listing_add(from, old_name, old_len, gofer_inode(target));
		gofer_inode_moved(gofer_inode(target), from, old_name, old_len);
	} else if (target) {
		lost_name(target);
	}
	gofer_attr_stale(from);
	gofer_attr_stale(to);
	gofer_attr_stale(gofer_inode(victim));
	return 0;
}

static struct gofer_time time_for(const struct timespec *t)
{
	return (struct gofer_time){.sec = t->tv_sec, .nsec = (uint32_t)t->tv_nsec};
}

// A file that is open for writing is cut without a message.
static int resize_open(struct gofer_inode *gi, uint64_t size)
{
	struct hostfd *h = gofer_files_get(gi, true);
	int err;

	if (!h)
		return -ENOENT;
	err = ftruncate(h->fd, (off_t)size) < 0 ? -errno : 0;
	hostfd_put(h);
	if (err)
		return err;
	gi->inode.attr.size = size;
	gofer_attr_stale(gi);
	return 0;
}

int gofer_setattr_locked(struct inode *inode, const struct setattr *set)
{
	struct gofer_inode *gi = gofer_inode(inode);
	struct gofer_setattr rq = {.mode = set->mode, .uid = set->uid, .gid = set->gid, .size = set->size,
				   .atime = time_for(&set->atime), .mtime = time_for(&set->mtime)};
	static const struct {
		uint32_t vfs, wire;
	} map[] = {{ATTR_MODE, GOFER_SET_MODE}, {ATTR_UID, GOFER_SET_UID}, {ATTR_GID, GOFER_SET_GID},
		   {ATTR_SIZE, GOFER_SET_SIZE}, {ATTR_ATIME, GOFER_SET_ATIME}, {ATTR_MTIME, GOFER_SET_MTIME}};
	struct gofer_attr attr;
	uint64_t node;
	int err;

	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		if (set->valid & map[i].vfs)
			rq.valid |= map[i].wire;
	if (rq.valid & GOFER_SET_SIZE && S_ISREG(inode->attr.mode)) {
		err = resize_open(gi, set->size);
		if (err && err != -ENOENT)
			return err;
		if (!err)
			rq.valid &= ~(uint32_t)GOFER_SET_SIZE;
	}
	if (!rq.valid)
		return 0;
	err = gofer_inode_node(gi, &node);
	err = err ?: AWAY(gofer_setattr(gofer_client(inode), node, &rq, &attr));
	if (!err)
		gofer_attr_set(gi, &attr);
	inode_changed(inode);
	return err;
}
