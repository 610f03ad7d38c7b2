// What a bundle wants hidden or read-only within the container's tree of mounts (runtime-spec, "Masked Paths", "Readonly Paths").
//
// A masked folder gets an empty read-only tmpfs over it, a masked file /dev/null; a read-only path is bound over itself. Most bundles
// list files of Linux's /proc and /sys that Hull doesn't have at all: what isn't there is passed over.
#include "sentry/vfs/protected_paths.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/vfs/vfs_int.h"

static int mount_over(struct mount_ns *ns, const struct path *where, struct super_block *sb, struct dentry *root, unsigned flags)
{
	struct mount *m = mount_create(sb, root, flags);

	return m ? mount_attach(ns, where, m) : -ENOMEM;
}

static int mask_folder(struct mount_ns *ns, const struct path *where)
{
	struct super_block *sb;
	int err = tmpfs_type.mount(&tmpfs_type, &(struct fs_mount_args){.data = "mode=755"}, &sb);

	return err ?: vfs_mount_at(ns, where, sb, ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_RELATIME);
}

static int mask_file(struct mount_ns *ns, const struct path *root, const struct path *where)
{
	struct path null;
	int err = vfs_lookup(NULL, root, "/dev/null", LOOKUP_FOLLOW, &null);

	if (err)
		return err;
	err = mount_over(ns, where, null.mnt->sb, null.dentry, null.mnt->flags);
	path_put(&null);
	return err;
}

static int mask(struct mount_ns *ns, const struct path *root, const struct path *where)
{
	return S_ISDIR(dentry_inode(where->dentry)->attr.mode) ? mask_folder(ns, where) : mask_file(ns, root, where);
}

static int make_readonly(struct mount_ns *ns, const struct path *root, const struct path *where)
{
	if (where->dentry == where->mnt->root) {
		where->mnt->flags |= ST_RDONLY; // what is mounted below it stays in sight
		return 0;
	}
	return mount_over(ns, where, where->mnt->sb, where->dentry, where->mnt->flags | ST_RDONLY);
}

static int each(struct mount_ns *ns, char *const *paths, int (*fn)(struct mount_ns *, const struct path *, const struct path *))
{
	struct path root = {ns->root, ns->root->root}, where;
	int err = 0;

	for (; paths && *paths && !err; paths++) {
		err = vfs_lookup(NULL, &root, *paths, LOOKUP_FOLLOW, &where);
		if (!err) {
			err = fn(ns, &root, &where);
			path_put(&where);
		} else if (err == -ENOENT || err == -ENOTDIR) {
			err = 0;
		}
	}
	return err;
}

int protect_paths(struct mount_ns *ns, char *const *masked, char *const *readonly)
{
	return each(ns, readonly, make_readonly) ?: each(ns, masked, mask);
}
