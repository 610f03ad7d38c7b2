// linux.maskedPaths and linux.readonlyPaths of a bundle.
#pragma once

struct mount_ns;

// Both lists NULL-terminated, or NULL. 0 or -errno.
int protect_paths(struct mount_ns *ns, char *const *masked, char *const *readonly);
