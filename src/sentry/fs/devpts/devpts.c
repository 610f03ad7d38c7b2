// devpts: a directory of terminals, and ptmx (the kernel's Documentation/filesystems/devpts).
//
// Options as Linux has them: uid=, gid= (else the opener's), mode= (0600), ptmxmode= (0), max=; newinstance is what every mount is.
#include "sentry/fs/devpts/devpts.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

enum { TERMINALS_MAX = 4096, INO_ROOT = 1, INO_PTMX = 2, INO_FIRST = 3, POS_PTMX = 2, POS_FIRST = 3 };

struct devpts_node {
	struct inode inode;
	LIST_ENTRY(devpts_node) link;
	struct tty *tty; // counted; NULL: the root, ptmx
};

struct devpts {
	struct mutex mu;
	// Guarded by mu.
	LIST_HEAD(devpts_list, devpts_node) nodes; // by number
	int count;
	int max;
	bool set_uid, set_gid;
	uint32_t uid, gid, mode, ptmx_mode;
	struct devpts_node *ptmx; // counted
};

KMEM_TYPE(devpts_type_mem, devpts);
KMEM_TYPE(node_type, devpts_node);

static struct devpts_node *node(struct inode *inode)
{
	return container_of(inode, struct devpts_node, inode);
}

static void node_destroy(struct inode *inode)
{
	tty_put(node(inode)->tty);
	inode_fini(inode);
	kmem_free(&node_type, node(inode));
}

static int node_setattr(struct inode *inode, const struct setattr *set)
{
	if (set->valid & ATTR_SIZE)
		return -EINVAL;
	inode_set_attr(inode, set);
	return 0;
}

static const struct inode_ops node_ops = {.setattr = node_setattr, .destroy = node_destroy};

static struct devpts_node *node_create(struct super_block *sb, const struct inode_ops *ops, uint32_t mode, uint64_t ino, uint64_t rdev)
{
	struct devpts_node *n = kmem_alloc(&node_type);
	int64_t ns = ktime_now(CLOCK_REALTIME);

	if (!n)
		return NULL;
	inode_init(&n->inode, sb, ops, mode);
	n->inode.attr.ino = ino;
	n->inode.attr.rdev = rdev;
	n->inode.attr.blksize = 1024;
	n->inode.attr.atime = n->inode.attr.mtime = n->inode.attr.ctime = n->inode.attr.btime =
		(struct timespec){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
	return n;
}

// --- terminals

int devpts_add(struct super_block *sb, const struct cred *cred, struct tty *tty)
{
	struct devpts *d = sb->priv;
	struct devpts_node *n = node_create(sb, &node_ops, S_IFCHR | d->mode, 0, 0), *after = NULL, *other;
	int index = 0;

	if (!n)
		return -ENOMEM;
	n->inode.attr.uid = d->set_uid || !cred ? d->uid : cred->fsuid;
	n->inode.attr.gid = d->set_gid || !cred ? d->gid : cred->fsgid;
	n->tty = tty_get(tty);
	mutex_lock(&d->mu);
	LIST_FOREACH(other, &d->nodes, link) {
		if (other->tty->index != index)
			break;
		after = other;
		index++;
	}
	if (d->count >= d->max) {
		mutex_unlock(&d->mu);
		inode_put(&n->inode);
		return -ENOSPC;
	}
	d->count++;
	tty->index = index;
	n->inode.attr.ino = INO_FIRST + index;
	n->inode.attr.rdev = makedev(TTY_MAJOR_PTS, index);
	if (after)
		LIST_INSERT_AFTER(after, n, link);
	else
		LIST_INSERT_HEAD(&d->nodes, n, link);
	mutex_unlock(&d->mu);
	return 0;
}

void devpts_remove(struct super_block *sb, struct tty *tty)
{
	struct devpts *d = sb->priv;
	struct devpts_node *n;
	char name[16];

	mutex_lock(&d->mu);
	LIST_FOREACH(n, &d->nodes, link)
		if (n->tty == tty)
			break;
	if (n) {
		LIST_REMOVE(n, link);
		d->count--;
		n->inode.attr.nlink = 0;
	}
	mutex_unlock(&d->mu);
	if (!n)
		return;
	dentry_drop(sb->root, name, (size_t)snprintf(name, sizeof(name), "%d", tty->index));
	inode_put(&n->inode);
}

struct tty *devpts_tty(struct inode *inode)
{
	return inode->ops == &node_ops ? node(inode)->tty : NULL;
}

int devpts_open(struct task *t, struct mount *mnt, struct tty *tty, unsigned flags, struct file **out)
{
	char name[16];
	size_t len = (size_t)snprintf(name, sizeof(name), "%d", tty->index);
	struct path p = {.mnt = mnt};
	struct file *f;
	int err = dentry_lookup(mnt->sb->root, name, len, &p.dentry);

	if (err)
		return err;
	f = dentry_inode(p.dentry) ? file_alloc(path_get(&p), flags, t->cred) : NULL;
	dentry_put(p.dentry);
	if (!f)
		return -EIO;
	err = tty_open(t, f, tty);
	f->flags &= ~O_NOCTTY;
	if (err)
		file_put(f);
	else
		*out = f;
	return err;
}

struct super_block *devpts_of(struct file *ptmx)
{
	struct super_block *sb = ptmx->inode->sb;

	return sb->type == &devpts_type ? sb : NULL;
}

// --- the directory

static int root_lookup(struct inode *dir, const char *name, size_t len, struct inode **out)
{
	struct devpts *d = dir->sb->priv;
	struct devpts_node *n;
	char number[16];

	if (len == 4 && memcmp(name, "ptmx", 4) == 0) {
		*out = inode_get(&d->ptmx->inode);
		return 0;
	}
	mutex_lock(&d->mu);
	LIST_FOREACH(n, &d->nodes, link)
		if ((size_t)snprintf(number, sizeof(number), "%d", n->tty->index) == len && memcmp(number, name, len) == 0)
			break;
	if (n)
		*out = inode_get(&n->inode);
	mutex_unlock(&d->mu);
	return n ? 0 : -ENOENT;
}

static int root_readdir(struct file *f, struct dir_emit *e, int64_t *pos)
{
	struct devpts *d = f->inode->sb->priv;
	uint64_t up = dentry_inode(dentry_parent(f->path.dentry))->attr.ino;
	struct devpts_node *n;
	char name[16];

	if (*pos == 0 && !e->emit(e, ".", 1, INO_ROOT, DT_DIR, 1))
		return 0;
	*pos = MAX(*pos, 1);
	if (*pos == 1 && !e->emit(e, "..", 2, up, DT_DIR, POS_PTMX))
		return 0;
	*pos = MAX(*pos, POS_PTMX);
	if (*pos == POS_PTMX && !e->emit(e, "ptmx", 4, INO_PTMX, DT_CHR, POS_FIRST))
		return 0;
	*pos = MAX(*pos, POS_FIRST);
	mutex_lock(&d->mu);
	LIST_FOREACH(n, &d->nodes, link) {
		int64_t at = POS_FIRST + n->tty->index;

		if (at < *pos)
			continue;
		if (!e->emit(e, name, (size_t)snprintf(name, sizeof(name), "%d", n->tty->index), n->inode.attr.ino, DT_CHR, at + 1))
			break;
		*pos = at + 1;
	}
	mutex_unlock(&d->mu);
	return 0;
}

static const struct inode_ops root_ops = {
	.lookup = root_lookup, .setattr = node_setattr, .destroy = node_destroy, .no_negative = true};
static const struct file_ops root_file_ops = {.readdir = root_readdir};

// --- the mount

static int parse_options(struct devpts *d, const char *data)
{
	for (const char *p = data; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		const char *value = memchr(p, '=', strcspn(p, ","));
		size_t len = value ? (size_t)(value - p) : strcspn(p, ",");

		if (value && len == 3 && strncmp(p, "uid", 3) == 0) {
			d->uid = (uint32_t)strtoul(value + 1, NULL, 10);
			d->set_uid = true;
		} else if (value && len == 3 && strncmp(p, "gid", 3) == 0) {
			d->gid = (uint32_t)strtoul(value + 1, NULL, 10);
			d->set_gid = true;
		} else if (value && len == 4 && strncmp(p, "mode", 4) == 0) {
			d->mode = (uint32_t)strtoul(value + 1, NULL, 8) & 0777;
		} else if (value && len == 8 && strncmp(p, "ptmxmode", 8) == 0) {
			d->ptmx_mode = (uint32_t)strtoul(value + 1, NULL, 8) & 0777;
		} else if (value && len == 3 && strncmp(p, "max", 3) == 0) {
			unsigned long max = strtoul(value + 1, NULL, 10);

			d->max = (int)MIN(max, (unsigned long)TERMINALS_MAX);
		} else if (len != 0 && !(len == 11 && strncmp(p, "newinstance", 11) == 0)) {
			return -EINVAL;
		}
	}
	return 0;
}

static int devpts_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct devpts *d = kmem_alloc(&devpts_type_mem);
	struct super_block *sb;
	struct devpts_node *root;
	int err;

	if (!d)
		return -ENOMEM;
	mutex_init(&d->mu);
	LIST_INIT(&d->nodes);
	d->mode = 0600;
	d->max = TERMINALS_MAX;
	err = parse_options(d, args->data);
	sb = err ? NULL : sb_create(type);
	if (!sb) {
		kmem_free(&devpts_type_mem, d);
		return err ?: -ENOMEM;
	}
	sb->priv = d;
	root = node_create(sb, &root_ops, S_IFDIR | 0755, INO_ROOT, 0);
	d->ptmx = node_create(sb, &node_ops, S_IFCHR | d->ptmx_mode, INO_PTMX, makedev(TTY_MAJOR_AUX, 2));
	if (!root || !d->ptmx)
		return -ENOMEM;
	root->inode.attr.nlink = 2;
	root->inode.file_ops = &root_file_ops;
	err = sb_set_root(sb, &root->inode);
	if (err)
		return err;
	*out_sb = sb;
	return 0;
}

// Terminals are gone by then: their masters' files hold the mount.
static void devpts_umount(struct super_block *sb)
{
	struct devpts *d = sb->priv;

	inode_put(&d->ptmx->inode);
	kmem_free(&devpts_type_mem, d);
}

static int devpts_statfs(struct super_block *sb, struct statfs *out)
{
	*out = (struct statfs){.f_type = sb->type->magic, .f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = 255};
	return 0;
}

static int devpts_show_options(struct super_block *sb, char *dst, size_t cap)
{
	const struct devpts *d = sb->priv;
	char uid[24] = "", gid[24] = "", max[24] = "";

	if (d->set_uid)
		snprintf(uid, sizeof(uid), ",uid=%u", d->uid);
	if (d->set_gid)
		snprintf(gid, sizeof(gid), ",gid=%u", d->gid);
	if (d->max != TERMINALS_MAX)
		snprintf(max, sizeof(max), ",max=%d", d->max);
	return snprintf(dst, cap, "%s%s,mode=%03o,ptmxmode=%03o%s", uid, gid, d->mode, d->ptmx_mode, max);
}

const struct fs_type devpts_type = {
	.name = "devpts",
	.magic = DEVPTS_SUPER_MAGIC,
	.user_mountable = true,
	.nodev = true,
	.mount = devpts_mount,
	.umount = devpts_umount,
	.statfs = devpts_statfs,
	.show_options = devpts_show_options,
};
