// The VFS of a sandbox, and the file system of anonymous files.
#include <string.h>
#include <sys/param.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/fs/devtmpfs/devtmpfs.h"
#include "sentry/kernel/kernel.h"
#include "sentry/tty/tty.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(vfs_type, vfs);
KMEM_TYPE(anon_root_type, inode);

const struct file_ops path_file_ops = {.stream = false};

static void anon_root_destroy(struct inode *inode)
{
	kmem_free(&anon_root_type, inode);
}

static const struct inode_ops anon_root_ops = {.destroy = anon_root_destroy};

const struct fs_type anon_type = {.name = "anon_inodefs", .magic = 0x09041934, .nodev = true};

static int mount_anon(struct vfs *vfs)
{
	struct super_block *sb = sb_create(&anon_type);
	struct inode *root = sb ? kmem_alloc(&anon_root_type) : NULL;

	if (!root)
		return -ENOMEM;
	inode_init(root, sb, &anon_root_ops, S_IFDIR | 0700);
	if (sb_set_root(sb, root) < 0)
		return -ENOMEM;
	vfs->anon_mnt = mount_create(sb, sb->root, 0);
	sb_put(sb);
	return vfs->anon_mnt ? 0 : -ENOMEM;
}

int vfs_init(void)
{
	struct vfs *vfs = kmem_alloc(&vfs_type);

	if (!vfs)
		return -ENOMEM;
	kernel()->vfs = vfs;
	mutex_init(&vfs->dcache_mu);
	mutex_init(&vfs->mount_mu);
	mutex_init(&vfs->notify_mu);
	mutex_init(&vfs->loans_mu);
	mutex_init(&vfs->locks_mu);
	TAILQ_INIT(&vfs->lru);
	devtmpfs_register_devices();
	tty_register_devices();
	return mount_anon(vfs);
}
