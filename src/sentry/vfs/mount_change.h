// Changes of a process's tree of mounts: what mount, umount2 and pivot_root do once their arguments are here. The caller has checked
// CAP_SYS_ADMIN. Every mount is private: propagation is accepted and means nothing, as there is one namespace per container.
#pragma once

#include "sentry/vfs/vfs.h"

// flags: ST_*. data, source: the strings of mount(2), or NULL.
int vfs_mount_new(struct task *t, const struct path *where, const char *type, const char *source, const char *data, unsigned flags);
int vfs_mount_bind(struct task *t, const struct path *from, const struct path *where, bool recursive);
int vfs_mount_move(struct task *t, const struct path *from, const struct path *where);
// Sets the flags of the mount, and with file_system those of what is mounted.
int vfs_mount_flags(struct task *t, const struct path *where, unsigned flags, bool file_system);
bool vfs_is_mount_root(const struct path *p);
int vfs_umount(struct task *t, const struct path *where, bool lazy, bool expire);
int vfs_pivot_root(struct task *t, const struct path *new_root, const struct path *put_old);
