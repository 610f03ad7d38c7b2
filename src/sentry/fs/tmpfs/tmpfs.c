// tmpfs: mounts, nodes and their attributes.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/timer.h"
#include "sentry/vfs/loans.h"

KMEM_TYPE(node_type, tmpfs_node);
KMEM_TYPE(sb_type, tmpfs_sb);

void tmpfs_touch(struct inode *inode, uint32_t which)
{
	int64_t ns = ktime_now(CLOCK_REALTIME);
	struct timespec now = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};

	if (which & (ATTR_MTIME | ATTR_CTIME))
		tmpfs_loans_stop(inode); // the next read makes a new atime
	if (which & ATTR_ATIME)
		inode->attr.atime = now;
	if (which & ATTR_MTIME)
		inode->attr.mtime = now;
	if (which & ATTR_CTIME)
		inode->attr.ctime = now;
	inode_changed(inode);
}

void tmpfs_note_written(struct inode *inode)
{
	int64_t ns = loans_written(inode);

	if (!ns)
		return;
	inode->attr.mtime = inode->attr.ctime = (struct timespec){ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
	if (S_ISREG(inode->attr.mode))
		tmpfs_node(inode)->file.blocks_stale = true;
}

void tmpfs_loans_stop(struct inode *inode)
{
	bool busy = loans_stop(inode);

	if (busy && S_ISREG(inode->attr.mode))
		tmpfs_node(inode)->file.lent_late = true;
	tmpfs_note_written(inode);
}

static bool later(struct timespec a, struct timespec b)
{
	return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

bool tmpfs_atime_due(const struct file *f)
{
	enum { DAY_S = 24 * 60 * 60 };
	const struct inode_attr *attr = &f->inode->attr;
	const unsigned flags = mount_flags(f->path.mnt);

	if ((f->flags & O_NOATIME) || (flags & ST_NOATIME))
		return false;
	return !(flags & ST_RELATIME) || !later(attr->atime, attr->mtime) || !later(attr->atime, attr->ctime) ||
	       ktime_now(CLOCK_REALTIME) / NSEC_PER_SEC - attr->atime.tv_sec >= DAY_S;
}

void tmpfs_node_destroy(struct inode *inode)
{
	struct tmpfs_node *n = tmpfs_node(inode);

	if (S_ISREG(inode->attr.mode))
		tmpfs_file_free(n);
	tmpfs_xattr_free(n);
	tmpfs_sb(inode->sb)->inodes--;
	inode_fini(inode);
	kmem_free(&node_type, n);
}

int tmpfs_node_setattr(struct inode *inode, const struct setattr *set)
{
	tmpfs_loans_stop(inode); // its writes were before
	if (set->valid & ATTR_SIZE) {
		int err = S_ISREG(inode->attr.mode) ? tmpfs_file_resize(tmpfs_node(inode), set->size) : -EINVAL;

		if (err)
			return err;
		tmpfs_touch(inode, ATTR_MTIME);
	}
	inode_set_attr(inode, set);
	tmpfs_touch(inode, ATTR_CTIME);
	return 0;
}

// What is in a memfd the host or a process may change unseen.
bool tmpfs_remember(struct inode *inode, uint16_t index)
{
	const uint32_t mode = inode->attr.mode;

	if (!S_ISDIR(mode) && !S_ISLNK(mode) && (!S_ISREG(mode) || tmpfs_node(inode)->file.host))
		return false;
	inode->remembered = index;
	return true;
}

static const struct inode_ops node_ops = { // all but directories
	.getattr = tmpfs_getattr,
	.setattr = tmpfs_node_setattr,
	.getxattr = tmpfs_getxattr,
	.setxattr = tmpfs_setxattr,
	.listxattr = tmpfs_listxattr,
	.removexattr = tmpfs_removexattr,
	.remember = tmpfs_remember,
	.destroy = tmpfs_node_destroy,
};

static const struct inode_ops *ops_for(uint32_t mode)
{
	return S_ISDIR(mode) ? &tmpfs_dir_ops : &node_ops;
}

int tmpfs_node_create(struct super_block *sb, uint32_t mode, uint64_t rdev, uint32_t uid, uint32_t gid, struct tmpfs_node **out)
{
	struct tmpfs_sb *tsb = tmpfs_sb(sb);
	struct tmpfs_node *n;

	if (++tsb->inodes > tsb->max_inodes && tsb->max_inodes) {
		tsb->inodes--;
		return -ENOSPC;
	}
	n = kmem_alloc(&node_type);
	if (!n) {
		tsb->inodes--;
		return -ENOMEM;
	}
	inode_init(&n->inode, sb, ops_for(mode), mode);
	n->inode.attr.ino = ++tsb->next_ino;
	n->inode.attr.uid = uid;
	n->inode.attr.gid = gid;
	n->inode.attr.rdev = rdev;
	LIST_INIT(&n->xattrs);
	tmpfs_touch(&n->inode, ATTR_ATIME | ATTR_MTIME | ATTR_CTIME);
	n->inode.attr.btime = n->inode.attr.ctime;
	if (S_ISDIR(mode)) {
		tmpfs_dir_init(n);
	} else if (S_ISREG(mode)) {
		n->inode.file_ops = &tmpfs_file_ops;
		n->file.seals = F_SEAL_SEAL; // only memfds may be sealed further
	}
	*out = n;
	return 0;
}

// "64k", "1g", "50%" (of memory). 0 or -EINVAL.
static int parse_size(const char *s, int64_t *out)
{
	char *end;
	unsigned long long v = strtoull(s, &end, 10);
	int shift = 0;

	switch (*end | 0x20) {
	case 'g': shift = 30; break;
	case 'm': shift = 20; break;
	case 'k': shift = 10; break;
	case '%' | 0x20: {
		uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_SIZE;

		*out = (int64_t)(all / 100 * v);
		return end[1] && end[1] != ',' ? -EINVAL : 0;
	}
	}
	if (end == s || (shift && end[1] && end[1] != ',') || (!shift && *end && *end != ',') || v > (INT64_MAX >> shift))
		return -EINVAL;
	*out = (int64_t)(v << shift);
	return 0;
}

struct options {
	int64_t size, inodes;
	uint32_t mode, uid, gid;
};

static int parse_options(const char *data, struct options *o)
{
	const char *p = data;
	int err = 0;

	while (p && *p && !err) {
		const char *next = strchr(p, ',');

		if (strncmp(p, "size=", 5) == 0)
			err = parse_size(p + 5, &o->size);
		else if (strncmp(p, "nr_inodes=", 10) == 0)
			err = parse_size(p + 10, &o->inodes);
		else if (strncmp(p, "nr_blocks=", 10) == 0 && (err = parse_size(p + 10, &o->size)) == 0)
			o->size *= PAGE_SIZE;
		else if (strncmp(p, "mode=", 5) == 0)
			o->mode = (uint32_t)strtoul(p + 5, NULL, 8) & 07777;
		else if (strncmp(p, "uid=", 4) == 0)
			o->uid = (uint32_t)strtoul(p + 4, NULL, 10);
		else if (strncmp(p, "gid=", 4) == 0)
			o->gid = (uint32_t)strtoul(p + 4, NULL, 10);
		else if (strncmp(p, "huge=", 5) != 0 && strncmp(p, "mpol=", 5) != 0 && strncmp(p, "inode", 5) != 0)
			err = -EINVAL;
		p = next ? next + 1 : NULL;
	}
	return err;
}

int tmpfs_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct options o = {.mode = 01777};
	struct super_block *sb;
	struct tmpfs_sb *tsb;
	struct tmpfs_node *root;
	int err;

	err = parse_options(args->data, &o);
	if (err)
		return err;
	sb = sb_create(type);
	tsb = sb ? kmem_alloc(&sb_type) : NULL;
	if (!tsb)
		return -ENOMEM;
	sb->priv = tsb;
	tsb->max_bytes = o.size;
	tsb->max_inodes = o.inodes;
	tsb->mode = o.mode;
	tsb->uid = o.uid;
	tsb->gid = o.gid;
	err = tmpfs_node_create(sb, S_IFDIR | o.mode, 0, o.uid, o.gid, &root);
	if (!err)
		err = sb_set_root(sb, &root->inode);
	if (err)
		return err;
	*out_sb = sb;
	return 0;
}

void tmpfs_umount(struct super_block *sb)
{
	kmem_free(&sb_type, sb->priv);
}

int tmpfs_statfs(struct super_block *sb, struct statfs *out)
{
	struct tmpfs_sb *tsb = tmpfs_sb(sb);
	uint64_t total = tsb->max_bytes ? (uint64_t)tsb->max_bytes : (uint64_t)sysconf(_SC_PHYS_PAGES) * PAGE_SIZE / 2;
	uint64_t used = (uint64_t)tsb->bytes;

	memset(out, 0, sizeof(*out));
	out->f_type = sb->type->magic;
	out->f_bsize = out->f_frsize = PAGE_SIZE;
	out->f_blocks = total / PAGE_SIZE;
	out->f_bfree = out->f_bavail = used < total ? (total - used) / PAGE_SIZE : 0;
	out->f_files = tsb->max_inodes ? (uint64_t)tsb->max_inodes : total / PAGE_SIZE;
	out->f_ffree = out->f_files - MIN(out->f_files, (uint64_t)tsb->inodes);
	out->f_namelen = 255;
	return 0;
}

// What Linux leaves out when it is the default, too: see shmem_show_options' output.
int tmpfs_show_options(struct super_block *sb, char *dst, size_t cap)
{
	const struct tmpfs_sb *tsb = tmpfs_sb(sb);
	char size[32] = "", inodes[40] = "", mode[16] = "", uid[24] = "", gid[24] = "";

	if (tsb->max_bytes)
		snprintf(size, sizeof(size), ",size=%ldk", (long)(tsb->max_bytes + 1023) / 1024);
	if (tsb->max_inodes)
		snprintf(inodes, sizeof(inodes), ",nr_inodes=%ld", (long)tsb->max_inodes);
	if (tsb->mode != 01777)
		snprintf(mode, sizeof(mode), ",mode=%03o", tsb->mode);
	if (tsb->uid)
		snprintf(uid, sizeof(uid), ",uid=%u", tsb->uid);
	if (tsb->gid)
		snprintf(gid, sizeof(gid), ",gid=%u", tsb->gid);
	return snprintf(dst, cap, "%s%s%s%s%s,inode64", size, inodes, mode, uid, gid);
}

const struct fs_type tmpfs_type = {
	.name = "tmpfs",
	.magic = TMPFS_MAGIC,
	.user_mountable = true,
	.nodev = true,
	.mount = tmpfs_mount,
	.umount = tmpfs_umount,
	.statfs = tmpfs_statfs,
	.show_options = tmpfs_show_options,
};
