// Making, moving and removing names, with all of the calls' rules. dir: where a relative path starts; NULL: the working directory.
#pragma once

#include "sentry/vfs/vfs.h"

int vfs_mknod(struct task *t, const struct path *dir, const char *path, uint32_t mode, uint64_t rdev); // also directories
int vfs_symlink(struct task *t, const struct path *dir, const char *path, const char *target);
int vfs_link(struct task *t, const struct path *from, const struct path *dir, const char *path);
int vfs_unlink(struct task *t, const struct path *dir, const char *path);
int vfs_rmdir(struct task *t, const struct path *dir, const char *path);
int vfs_rename(struct task *t, const struct path *old_dir, const char *old_path, const struct path *new_dir, const char *new_path,
	       unsigned flags);
