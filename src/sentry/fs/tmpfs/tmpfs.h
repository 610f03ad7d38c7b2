// tmpfs for the kernel's own mounts: the upper layer of an overlay, devtmpfs, memfd.
#pragma once

#include "sentry/vfs/vfs.h"

// A super block of tmpfs with another type's name and magic (devtmpfs); data as in mount(2). 0 or -errno.
int tmpfs_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb);
void tmpfs_umount(struct super_block *sb);
int tmpfs_statfs(struct super_block *sb, struct statfs *out);
int tmpfs_show_options(struct super_block *sb, char *dst, size_t cap);

// F_ADD_SEALS and F_GET_SEALS: -EINVAL for a file that isn't tmpfs's.
int tmpfs_add_seals(struct file *f, uint32_t seals); // 0, -EPERM (sealed), -EBUSY (mapped for writing), -EINVAL
int tmpfs_get_seals(struct file *f);
// A file without a name, shown as "/memfd:NAME (deleted)", open for reading and writing.
int memfd_create_file(struct task *t, const char *name, uint32_t mode, uint32_t seals, struct file **out_file);
