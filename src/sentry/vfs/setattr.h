// Changes of attributes beyond vfs_setattr.
#pragma once

#include "sentry/vfs/vfs.h"

struct timespec vfs_now(void); // the wall clock, for time stamps
// Sets a file's size. Write permission is the caller's business. 0, -EISDIR, -EINVAL, -EFBIG (with SIGXFSZ) …
int vfs_truncate(struct task *t, const struct path *p, int64_t len);
void vfs_drop_setid(struct task *t, struct inode *inode); // after a write by t
