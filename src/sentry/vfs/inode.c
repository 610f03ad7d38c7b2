// Inodes and super blocks: life, and who may do what.
#include <sys/statvfs.h>
#include <string.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/locks.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(super_block_type, super_block);

void inode_init(struct inode *inode, struct super_block *sb, const struct inode_ops *ops, uint32_t mode)
{
	ref_init(&inode->ref);
	mutex_init(&inode->mu);
	LIST_INIT(&inode->loans);
	inode->sb = sb;
	inode->ops = ops;
	inode->attr.mode = mode;
	inode->attr.nlink = 1;
	inode->attr.blksize = PAGE_SIZE;
}

void inode_fini(struct inode *inode)
{
	if (inode->locks)
		file_locks_free(inode);
	if (inode->marks)
		inotify_inode_gone(inode);
	kmem_bytes_free(inode->link);
}

void inode_set_attr(struct inode *inode, const struct setattr *set)
{
	if (set->valid & ATTR_MODE)
		inode->attr.mode = (inode->attr.mode & S_IFMT) | (set->mode & 07777);
	if (set->valid & ATTR_UID)
		inode->attr.uid = set->uid;
	if (set->valid & ATTR_GID)
		inode->attr.gid = set->gid;
	if (set->valid & ATTR_ATIME)
		inode->attr.atime = set->atime;
	if (set->valid & ATTR_MTIME)
		inode->attr.mtime = set->mtime;
}

void inode_keep_link(struct inode *inode, char *target)
{
	char *none = NULL;

	if (!S_ISLNK(inode->attr.mode) || !atomic_compare_exchange_strong(&inode->link, &none, target))
		kmem_bytes_free(target);
}

int inode_readlink(struct inode *inode, char *dst, size_t cap)
{
	const char *link = inode->link;
	int n;

	if (link) {
		n = (int)strnlen(link, cap);
		memcpy(dst, link, (size_t)n);
		return n;
	}
	if (!S_ISLNK(inode->attr.mode) || !inode->ops->readlink)
		return -EINVAL;
	mutex_lock(&inode->mu);
	n = inode->ops->readlink(inode, dst, cap);
	mutex_unlock(&inode->mu);
	return n;
}

struct inode *inode_get(struct inode *inode)
{
	ref_get(&inode->ref);
	return inode;
}

void inode_put(struct inode *inode)
{
	if (inode && ref_put(&inode->ref))
		inode->ops->destroy(inode);
}

struct super_block *sb_create(const struct fs_type *type)
{
	struct super_block *sb = kmem_alloc(&super_block_type);

	if (!sb)
		return NULL;
	ref_init(&sb->ref);
	mutex_init(&sb->rename_mu);
	sb->type = type;
	sb->dev = ++kernel()->vfs->next_dev; // minor of the anonymous major 0
	return sb;
}

int sb_set_root(struct super_block *sb, struct inode *root)
{
	sb->root = dentry_create_root(sb, root);
	return sb->root ? 0 : -ENOMEM;
}

struct super_block *sb_get(struct super_block *sb)
{
	ref_get(&sb->ref);
	return sb;
}

void sb_put(struct super_block *sb)
{
	if (!sb || !ref_put(&sb->ref))
		return;
	dcache_forget_sb(sb);
	dentry_put(sb->root);
	if (sb->type->umount)
		sb->type->umount(sb);
	kmem_free(&super_block_type, sb);
}

int inode_permission(struct inode *inode, const struct cred *cred, int mask)
{
	uint32_t mode = inode->attr.mode;

	if ((mask & MAY_WRITE) && (inode->sb->flags & ST_RDONLY) && (S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
		return -EROFS;
	if (inode->ops->permission)
		return inode->ops->permission(inode, cred, mask);
	return inode_permission_mode(inode, cred, mask);
}

int inode_permission_mode(const struct inode *inode, const struct cred *cred, int mask)
{
	uint32_t mode = inode->attr.mode, bits;

	if (cred->fsuid == inode->attr.uid)
		bits = mode >> 6;
	else if (cred_in_group(cred, inode->attr.gid))
		bits = mode >> 3;
	else
		bits = mode;
	if ((bits & mask) == (uint32_t)mask)
		return 0;
	// man 7 capabilities: DAC_OVERRIDE for all but executing a file that nobody may execute; DAC_READ_SEARCH for reading.
	if (cred_has_cap(cred, CAP_DAC_OVERRIDE) && (!(mask & MAY_EXEC) || S_ISDIR(mode) || (mode & 0111)))
		return 0;
	if (cred_has_cap(cred, CAP_DAC_READ_SEARCH) &&
	    (mask == MAY_READ || (S_ISDIR(mode) && !(mask & MAY_WRITE))))
		return 0;
	return -EACCES;
}

int vfs_getattr(const struct path *p, struct inode_attr *out)
{
	struct inode *inode = dentry_inode(p->dentry);
	int err = 0;

	mutex_lock(&inode->mu);
	if (inode->ops->getattr)
		err = inode->ops->getattr(inode, out);
	else
		*out = inode->attr;
	mutex_unlock(&inode->mu);
	return err;
}

int vfs_stat(const struct path *p, struct stat *out)
{
	struct inode_attr a;
	int err = vfs_getattr(p, &a);

	if (err)
		return err;
	*out = (struct stat){
		.st_dev = p->dentry->sb->dev,
		.st_ino = a.ino,
		.st_mode = a.mode,
		.st_nlink = a.nlink,
		.st_uid = a.uid,
		.st_gid = a.gid,
		.st_rdev = a.rdev,
		.st_size = (off_t)a.size,
		.st_blksize = a.blksize,
		.st_blocks = (blkcnt_t)a.blocks,
		.st_atim = a.atime,
		.st_mtim = a.mtime,
		.st_ctim = a.ctime,
	};
	return 0;
}

const struct fs_type *fs_type_find(const char *name)
{
	for (int i = 0; fs_types[i]; i++)
		if (strcmp(fs_types[i]->name, name) == 0)
			return fs_types[i];
	return NULL;
}
