// What the descriptor calls need of the table beyond vfs.h.
#pragma once

#include <stdbool.h>

struct fdtable;
struct file;
struct task;

int fd_cloexec(struct task *t, int fd, int set); // the flag as it was, or -EBADF; set < 0 leaves it
int fd_close_range(struct task *t, unsigned first, unsigned last, bool cloexec_only); // both ends included
// A descriptor of a file with locks was closed: POSIX locks of that table's owner go (locks.c).
void file_locks_fd_closed(struct file *f, struct fdtable *owner);
