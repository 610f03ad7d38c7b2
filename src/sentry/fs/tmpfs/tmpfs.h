// tmpfs for the kernel's own mounts: the upper layer of an overlay, devtmpfs, memfd.
#pragma once

#include "sentry/vfs/vfs.h"

// A super block of tmpfs with another type's name and magic (devtmpfs); data as in mount(2). 0 or -errno.
int tmpfs_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb);
void tmpfs_umount(struct super_block *sb);
int tmpfs_statfs(struct super_block *sb, struct statfs *out);
