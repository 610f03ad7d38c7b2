// tmpfs's directories: two trees of the same entries, by name and by readdir's position.
#include <dirent.h>
#include <string.h>
#include <linux/fs.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/late.h"

enum { POS_FIRST = 2, ENTRY_SIZE_SHOWN = 20 }; // "." and ".." are positions 0 and 1

static int compare_names(const struct tmpfs_entry *a, const struct tmpfs_entry *b)
{
	int c = memcmp(a->name, b->name, MIN(a->len, b->len));

	return c ? c : (a->len > b->len) - (a->len < b->len);
}

static int compare_positions(const struct tmpfs_entry *a, const struct tmpfs_entry *b)
{
	return (a->pos > b->pos) - (a->pos < b->pos);
}

RB_PROTOTYPE(tmpfs_names, tmpfs_entry, by_name, compare_names)
RB_PROTOTYPE(tmpfs_positions, tmpfs_entry, by_pos, compare_positions)
RB_GENERATE(tmpfs_names, tmpfs_entry, by_name, compare_names)
RB_GENERATE(tmpfs_positions, tmpfs_entry, by_pos, compare_positions)

void tmpfs_dir_init(struct tmpfs_node *n)
{
	RB_INIT(&n->dir.names);
	RB_INIT(&n->dir.positions);
	n->dir.next_pos = POS_FIRST;
	n->dir.parent = n;
	n->inode.attr.nlink = 2;
	n->inode.attr.size = 2 * ENTRY_SIZE_SHOWN;
	n->inode.file_ops = &tmpfs_dir_file_ops;
}

static struct tmpfs_entry *find(struct tmpfs_node *dir, const char *name, size_t len)
{
	struct tmpfs_entry *e = RB_ROOT(&dir->dir.names);

	while (e) {
		int c = memcmp(name, e->name, MIN(len, (size_t)e->len));

		if (c == 0)
			c = (len > e->len) - (len < e->len);
		if (c == 0)
			return e;
		e = c < 0 ? RB_LEFT(e, by_name) : RB_RIGHT(e, by_name);
	}
	return NULL;
}

static void changed(struct tmpfs_node *dir)
{
	tmpfs_touch(&dir->inode, ATTR_MTIME | ATTR_CTIME);
}

// Enters node (whose reference becomes the entry's) under a free name. 0 or -ENOMEM.
static int enter(struct tmpfs_node *dir, const char *name, size_t len, struct tmpfs_node *node)
{
	struct tmpfs_entry *e = kmem_bytes(sizeof(*e) + len + 1);

	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, len);
	e->len = (uint32_t)len;
	e->node = node;
	e->pos = dir->dir.next_pos++;
	RB_INSERT(tmpfs_names, &dir->dir.names, e);
	RB_INSERT(tmpfs_positions, &dir->dir.positions, e);
	dir->inode.attr.size += ENTRY_SIZE_SHOWN;
	if (S_ISDIR(node->inode.attr.mode)) {
		dir->inode.attr.nlink++;
		node->dir.parent = dir;
	}
	changed(dir);
	return 0;
}

// Takes the entry out; its reference to the node becomes the caller's.
static struct tmpfs_node *leave(struct tmpfs_node *dir, struct tmpfs_entry *e)
{
	struct tmpfs_node *node = e->node;

	RB_REMOVE(tmpfs_names, &dir->dir.names, e);
	RB_REMOVE(tmpfs_positions, &dir->dir.positions, e);
	dir->inode.attr.size -= ENTRY_SIZE_SHOWN;
	if (S_ISDIR(node->inode.attr.mode))
		dir->inode.attr.nlink--;
	changed(dir);
	kmem_bytes_free(e);
	return node;
}

static int dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	struct tmpfs_entry *e = find(tmpfs_node(dir), name, len);

	if (!e)
		return -ENOENT;
	*out_inode = inode_get(&e->node->inode);
	return 0;
}

// Owner, group and set-group-ID by the directory (man 7 inode).
static int new_node(struct inode *dir, uint32_t mode, uint64_t rdev, const struct cred *cred, struct tmpfs_node **out)
{
	uint32_t gid = cred ? cred->fsgid : 0;

	if (dir->attr.mode & S_ISGID) {
		gid = dir->attr.gid;
		if (S_ISDIR(mode))
			mode |= S_ISGID;
	}
	return tmpfs_node_create(dir->sb, mode, rdev, cred ? cred->fsuid : 0, gid, out);
}

static int enter_new(struct inode *dir, const char *name, size_t len, struct tmpfs_node *n, struct inode **out_inode)
{
	int err = dir->attr.nlink == 0 ? -ENOENT : enter(tmpfs_node(dir), name, len, n);

	if (err) {
		inode_put(&n->inode);
		return err;
	}
	*out_inode = inode_get(&n->inode);
	return 0;
}

static int dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		      struct inode **out_inode)
{
	struct tmpfs_node *n;
	int err = new_node(dir, mode, rdev, cred, &n);

	return err ?: enter_new(dir, name, len, n, out_inode);
}

static int dir_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		       struct inode **out_inode)
{
	struct tmpfs_node *n;
	int err = new_node(dir, S_IFLNK | 0777, 0, cred, &n);

	if (err)
		return err;
	n->inode.link = kmem_strdup(target);
	n->inode.attr.size = strlen(target);
	if (!n->inode.link) {
		inode_put(&n->inode);
		return -ENOMEM;
	}
	return enter_new(dir, name, len, n, out_inode);
}

static int dir_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	int err;

	if (dir->attr.nlink == 0)
		return -ENOENT;
	err = enter(tmpfs_node(dir), name, len, tmpfs_node(target));
	if (err)
		return err;
	inode_get(target);
	target->attr.nlink++;
	tmpfs_touch(target, ATTR_CTIME);
	return 0;
}

// Its memory goes with its last name and descriptor: who has closed that, and hasn't told yet, is to come by.
static void let_close(const struct inode *gone)
{
	if (gone->attr.nlink == 0 && gone->nloans)
		late_ask_all();
}

static int dir_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	struct tmpfs_entry *e = find(tmpfs_node(dir), name, len);

	if (!e || &e->node->inode != victim)
		return -ENOENT;
	victim->attr.nlink--;
	let_close(victim);
	tmpfs_touch(victim, ATTR_CTIME);
	inode_put(&leave(tmpfs_node(dir), e)->inode);
	return 0;
}

static int dir_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	struct tmpfs_entry *e = find(tmpfs_node(dir), name, len);

	if (!e || &e->node->inode != victim)
		return -ENOENT;
	if (!RB_EMPTY(&tmpfs_node(victim)->dir.names))
		return -ENOTEMPTY;
	victim->attr.nlink = 0;
	tmpfs_touch(victim, ATTR_CTIME);
	inode_put(&leave(tmpfs_node(dir), e)->inode);
	return 0;
}

static int dir_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir, const char *new_name,
		      size_t new_len, struct inode *victim, struct inode *target, unsigned flags)
{
	struct tmpfs_node *from = tmpfs_node(old_dir), *to = tmpfs_node(new_dir), *moved, *whiteout = NULL;
	struct tmpfs_entry *e = find(from, old_name, old_len), *there = find(to, new_name, new_len);
	int err;

	if (!e || &e->node->inode != victim || (there ? &there->node->inode : NULL) != target)
		return -ENOENT;
	if (new_dir->attr.nlink == 0)
		return -ENOENT;
	if (flags & RENAME_EXCHANGE) {
		struct tmpfs_node *other = there->node;
		int dirs = !!S_ISDIR(victim->attr.mode) - !!S_ISDIR(target->attr.mode);

		there->node = e->node;
		e->node = other;
		old_dir->attr.nlink -= dirs;
		new_dir->attr.nlink += dirs;
		if (S_ISDIR(victim->attr.mode))
			tmpfs_node(victim)->dir.parent = to;
		if (S_ISDIR(target->attr.mode))
			tmpfs_node(target)->dir.parent = from;
		changed(from);
		changed(to);
		tmpfs_touch(target, ATTR_CTIME);
		tmpfs_touch(victim, ATTR_CTIME);
		return 0;
	}
	if (target && S_ISDIR(target->attr.mode) && !RB_EMPTY(&tmpfs_node(target)->dir.names))
		return -ENOTEMPTY;
	if (flags & RENAME_WHITEOUT) {
		err = tmpfs_node_create(old_dir->sb, S_IFCHR, 0, 0, 0, &whiteout);
		if (err)
			return err;
	}
	err = 0;
	if (there) {
		target->attr.nlink -= S_ISDIR(target->attr.mode) ? target->attr.nlink : 1;
		let_close(target);
		tmpfs_touch(target, ATTR_CTIME);
		inode_put(&leave(to, there)->inode);
	}
	moved = leave(from, e);
	if (whiteout)
		err = enter(from, old_name, old_len, whiteout);
	err = enter(to, new_name, new_len, moved) ?: err;
	tmpfs_touch(victim, ATTR_CTIME);
	return err;
}

static int dir_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out_inode)
{
	struct tmpfs_node *n;
	int err = new_node(dir, mode, 0, cred, &n);

	if (err)
		return err;
	n->inode.attr.nlink = 0;
	*out_inode = &n->inode;
	return 0;
}

const struct inode_ops tmpfs_dir_ops = {
	.lookup = dir_lookup,
	.create = dir_create,
	.symlink = dir_symlink,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
	.tmpfile = dir_tmpfile,
	.setattr = tmpfs_node_setattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.remember = tmpfs_remember,
	.destroy = tmpfs_node_destroy,
};

static int dir_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct tmpfs_node *dir = tmpfs_node(f->inode);
	struct tmpfs_entry key = {.pos = 0}, *e;

	mutex_lock(&f->inode->mu);
	if (*pos == 0 && d->emit(d, ".", 1, f->inode->attr.ino, DT_DIR, 1))
		*pos = 1;
	if (*pos == 1 && d->emit(d, "..", 2, dir->dir.parent->inode.attr.ino, DT_DIR, POS_FIRST))
		*pos = POS_FIRST;
	if (*pos >= POS_FIRST) {
		key.pos = *pos;
		for (e = RB_NFIND(tmpfs_positions, &dir->dir.positions, &key); e; e = RB_NEXT(tmpfs_positions, NULL, e)) {
			if (!d->emit(d, e->name, e->len, e->node->inode.attr.ino, IFTODT(e->node->inode.attr.mode), e->pos + 1))
				break;
			*pos = e->pos + 1;
		}
	}
	tmpfs_touch(f->inode, ATTR_ATIME);
	mutex_unlock(&f->inode->mu);
	return 0;
}

const struct file_ops tmpfs_dir_file_ops = {.readdir = dir_readdir, .closes_late = true};
