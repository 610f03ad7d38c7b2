// overlay: a writable layer above a tree that stays as it is.
#pragma once

struct super_block;

struct overlay_layers { // fs_mount_args.internal; the mount takes both references over, also when it fails
	struct super_block *lower; // any file system; never changed
	struct super_block *upper; // a tmpfs of the overlay's own, empty
};
