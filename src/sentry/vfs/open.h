// Opening, for this folder and the calls that make entries.
#pragma once

#include "sentry/vfs/vfs.h"

// A file for p, whose references it takes in any case, without any check; ops are the inode's. NULL: no memory.
struct file *file_alloc(struct path p, unsigned flags, struct cred *cred);
int file_count_writer(struct file *f); // 0 or -ETXTBSY
extern const struct file_ops path_file_ops; // O_PATH: no operation
int vfs_may_change_dir(struct task *t, const struct path *dir); // entries made or removed: 0, -EROFS, -EACCES
