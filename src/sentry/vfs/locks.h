// Advisory locks: POSIX (of a process), OFD and flock (of an open file).
#pragma once

#include <fcntl.h>

#include "sentry/vfs/vfs.h"

struct fdtable;

// F_SETLK, F_SETLKW and their F_OFD_ kin, with an flock whose start is absolute already. What task_block() answers, when it waits.
long posix_lock_set(struct task *t, struct file *f, const struct flock *fl, bool ofd, bool wait);
// F_GETLK: l_type becomes F_UNLCK, or all fields the conflicting lock's.
void posix_lock_get(struct task *t, struct file *f, struct flock *fl, bool ofd);
long flock_set(struct task *t, struct file *f, int operation); // LOCK_*
void file_locks_fd_closed(struct file *f, struct fdtable *owner); // a descriptor was closed: the POSIX locks of that table go
void file_locks_file_closed(struct file *f); // the file's end: its OFD and flock locks go
void file_locks_free(struct inode *inode);
