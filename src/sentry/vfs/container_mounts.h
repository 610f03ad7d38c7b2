// A container's mounts, from its container_spec.
#pragma once

#include <stdbool.h>

struct container_spec;
struct gofer_conn;
struct mount_ns;

// Builds the namespace. 0 or -errno with a sentence in *err_text (kmem_bytes; NULL if memory ran out). Takes spec->gofer_fd over in any case.
int vfs_build_container(const struct container_spec *spec, struct mount_ns **out_ns, char **err_text);

// What gofer_type's mount finds in fs_mount_args.internal: one for all mounts of a container, with tree set for each.
struct gofer_mount {
	int fd; // the connection's socket: the first mount takes it over and leaves -1
	struct gofer_conn *conn; // made by the first mount, which keeps it alive; later mounts take references
	bool shared; // --file-access=shared
	int tree;
};
