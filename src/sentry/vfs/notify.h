// inotify: watches on inodes, events in instances.
#pragma once

#include "sentry/vfs/vfs.h"

struct file *inotify_create(struct task *t, unsigned flags); // O_NONBLOCK; NULL: no memory
bool file_is_inotify(const struct file *f);
int inotify_add(struct file *f, const struct path *p, uint32_t mask); // the watch descriptor, or -errno
int inotify_remove(struct file *f, int wd); // 0 or -EINVAL
// Something happened to what p names: told to its own watches and, with its name, to those of its directory.
void vfs_notify_path(const struct path *p, uint32_t mask);
uint32_t vfs_notify_cookie(void); // ties the two halves of a move together
void vfs_inotify_cookie(struct inode *inode, uint32_t mask, uint32_t cookie, const char *name);
void inotify_inode_gone(struct inode *inode); // its last reference is going
