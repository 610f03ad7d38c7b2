// The file systems that are built in, for mount(2), /proc/filesystems and the container's mounts.
#include "sentry/vfs/vfs.h"

const struct fs_type *const fs_types[] = {
	&tmpfs_type,
	&devtmpfs_type,
	&devpts_type,
	&gofer_type,
	&overlay_type,
	&proc_type,
	&sysfs_type,
	NULL,
};
