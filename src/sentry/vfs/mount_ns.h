// Mount namespaces of tasks.
#pragma once

struct fs_context;

// fs, which nobody else uses yet, gets a namespace of its own: a copy of all mounts of its old one, with root and working directory at the
// same places in it (mount_namespaces(7); nothing is shared, so no mount propagates). 0 or -ENOMEM.
int fs_context_unshare_mounts(struct fs_context *fs);
