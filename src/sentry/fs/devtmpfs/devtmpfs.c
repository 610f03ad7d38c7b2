// devtmpfs: a tmpfs that begins with the OCI specification's default devices and links, and the places that others are mounted on.
// Unlike Linux's, each mount is a tree of its own: what one container makes there no other sees.
#include "sentry/fs/devtmpfs/devtmpfs.h"

#include <string.h>
#include <sys/sysmacros.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "sentry/fs/tmpfs/tmpfs.h"

static const struct {
	const char *name;
	uint32_t mode;
	unsigned major, minor;
} nodes[] = {
	{"null", S_IFCHR | 0666, 1, 3},   {"zero", S_IFCHR | 0666, 1, 5},    {"full", S_IFCHR | 0666, 1, 7},
	{"random", S_IFCHR | 0666, 1, 8}, {"urandom", S_IFCHR | 0666, 1, 9}, {"tty", S_IFCHR | 0666, 5, 0},
	{"shm", S_IFDIR | 01777, 0, 0},   {"pts", S_IFDIR | 0755, 0, 0},     {"mqueue", S_IFDIR | 01777, 0, 0},
};

static const struct {
	const char *name, *target;
} links[] = {
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
	{"ptmx", "pts/ptmx"},
};

static int populate(struct inode *root)
{
	struct inode *made;
	int err = 0;

	mutex_lock(&root->mu);
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]) && !err; i++) {
		err = root->ops->create(root, nodes[i].name, strlen(nodes[i].name), nodes[i].mode,
					makedev(nodes[i].major, nodes[i].minor), NULL, &made);
		if (!err)
			inode_put(made);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]) && !err; i++) {
		err = root->ops->symlink(root, links[i].name, strlen(links[i].name), links[i].target, NULL, &made);
		if (!err)
			inode_put(made);
	}
	mutex_unlock(&root->mu);
	return err;
}

static int devtmpfs_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct fs_mount_args with_mode = *args;
	int err;

	if (!with_mode.data || !*with_mode.data)
		with_mode.data = "mode=755";
	err = tmpfs_mount(type, &with_mode, out_sb);
	if (err)
		return err;
	err = populate(dentry_inode((*out_sb)->root));
	if (err)
		sb_put(*out_sb);
	return err;
}

const struct fs_type devtmpfs_type = {
	.name = "devtmpfs",
	.magic = TMPFS_MAGIC,
	.nodev = true,
	.mount = devtmpfs_mount,
	.umount = tmpfs_umount,
	.statfs = tmpfs_statfs,
	.show_options = tmpfs_show_options,
};
