// What the sentry and the gofer say to each other: one request, one answer (none to FORGET), a message each of a SOCK_SEQPACKET socket.
//
// A request is a gofer_request, the op's own struct if it has one, then strings, each a 32-bit length and its bytes without a NUL.
// An answer is a gofer_answer, then the op's; a descriptor comes along as SCM_RIGHTS only where the op says so. Both ends run on the
// same machine and are built together, so integers are the machine's own; the version is checked all the same, at ATTACH.
//
// Neither side trusts the other: every length is checked against the message, every node against the table, and names are single
// components, never "." or "..".
#pragma once

#include <stdint.h>

enum {
	GOFER_VERSION = 1,
	GOFER_MSG_MAX = 72 << 10, // holds the largest xattr, and some 400 entries of a directory with attributes, 2,000 without
	GOFER_WALK_MAX = 64, // components of one WALK
	GOFER_FORGET_MAX = 256,
	GOFER_BELOW_MAX = 256, // names of one LIST_BELOW
	GOFER_NAME_MAX = 255,
	GOFER_PATH_MAX = 4095,
	GOFER_XATTR_MAX = 64 << 10,
};

enum gofer_op {
	GOFER_ATTACH = 1, // node unused; gofer_attach -> gofer_entry of the root, gofer_attached
	GOFER_WALK,       // node: where from; string per component -> gofer_walked, gofer_entry for each one found, string: where the last leads
	GOFER_GETATTR,    // -> gofer_attr
	GOFER_OPEN,       // gofer_open -> the descriptor; regular files only
	GOFER_READLINK,   // -> string
	GOFER_LIST,       // gofer_list -> gofer_listed, gofer_list_entry…
	GOFER_STATFS,     // -> gofer_statfs
	GOFER_GETXATTR,   // string -> string
	GOFER_LISTXATTR,  // -> string (names, each with its NUL)
	GOFER_FORGET,     // uint64_t nodes; no answer
	// Of writable trees (-EROFS in others):
	GOFER_CREATE,      // gofer_create, string -> gofer_entry; a regular file's descriptor (O_RDWR) comes along
	GOFER_TMPFILE,     // gofer_create -> gofer_entry and descriptor
	GOFER_SYMLINK,     // gofer_create, string name, string target -> gofer_entry
	GOFER_LINK,        // gofer_link, string -> gofer_attr
	GOFER_UNLINK,      // gofer_unlink, string
	GOFER_RENAME,      // gofer_rename, string old, string new
	GOFER_SETATTR,     // gofer_setattr -> gofer_attr
	GOFER_SETXATTR,    // gofer_setxattr, string name, string value
	GOFER_REMOVEXATTR, // string
	GOFER_FSYNC,       // of a directory; files are synced through their descriptors
	// Of all again:
	GOFER_WALK_OPEN, // gofer_open, string per component -> as WALK; the descriptor of the last one comes along if that is a regular file
	GOFER_LIST_BELOW, // gofer_list_many, string per directory in node -> gofer_list_below, gofer_list_entry… for each that came
	GOFER_OPS
};

struct gofer_request {
	uint32_t size; // of the whole message
	uint16_t op;
	uint16_t reserved; // 0
	uint64_t node;
};

struct gofer_answer {
	uint32_t size;
	uint16_t op; // the request's
	uint16_t has_fd;
	int32_t error; // 0, or a negative errno and nothing behind this head
	uint32_t reserved;
};

struct gofer_time {
	int64_t sec;
	uint32_t nsec;
	uint32_t reserved;
};

struct gofer_attr {
	uint64_t ino, dev, rdev, size, blocks;
	uint32_t mode, nlink, uid, gid, blksize;
	uint32_t flags; // of a LIST that asks for it: GOFER_ATTR_*
	struct gofer_time atime, mtime, ctime, btime;
};
enum { GOFER_ATTR_NO_XATTRS = 1 };

struct gofer_entry {
	uint64_t node; // the client forgets it when done
	struct gofer_attr attr;
};

struct gofer_attach {
	uint32_t version;
	uint32_t tree; // index into gofer_config.trees
};
enum { GOFER_TREE_READONLY = 1 };
struct gofer_attached {
	uint32_t flags; // GOFER_TREE_*
	uint32_t max_nodes; // how many the gofer has descriptors for, in all its trees
};

struct gofer_walked {
	uint32_t found; // components; entries behind it
	int32_t stopped; // why no further: 0 (all found, or the last one found is no directory), -ENOENT, …
};
// The string is the target of the last entry if that is a symbolic link, else empty; empty too where it couldn't be read.

struct gofer_open {
	uint32_t flags; // O_RDONLY or O_RDWR or O_WRONLY, O_NOATIME, O_SYNC, O_DSYNC
	uint32_t reserved;
};

struct gofer_list {
	uint64_t position; // 0, then gofer_listed.next
	uint32_t flags; // GOFER_LIST_*
	uint32_t reserved;
};
enum {
	GOFER_LIST_XATTRS = 1, // tell which entries have no extended attributes: a host call each
	GOFER_LIST_THIN = 2, // LIST_BELOW: attributes of directories alone
};
struct gofer_listed {
	uint64_t next;
	uint32_t count;
	uint32_t at_end;
};
// "." and ".." are left out. Behind it: gofer_attr if ENTRY_ATTR, the name, and where a link leads if ENTRY_LINK.
struct gofer_list_entry {
	uint64_t ino;
	uint32_t type; // DT_*
	uint32_t known; // GOFER_ENTRY_*
};
enum {
	GOFER_ENTRY_ATTR = 1, // missing where nobody wanted it, and where the file was gone meanwhile or is not to be looked at
	GOFER_ENTRY_LINK = 2,
	GOFER_ENTRY_APART = 4, // a file system of its own begins there, or would be mounted: nobody goes in unasked
};
// Directories in node by their names, and all that is below them, the first one first, each followed by what is in it: as many as fit into the
// answer, but no further ones once so many entries have come. One that can't be opened is left out, so is what is apart.
struct gofer_list_many {
	uint32_t flags; // GOFER_LIST_*
	uint32_t entries;
};
// A directory that comes whole: it is the given entry of directory number dir of this answer, counted from 1; 0: of the names asked for.
struct gofer_list_below {
	uint32_t dir, entry;
	uint32_t count;
	uint32_t reserved;
};

struct gofer_statfs {
	uint64_t type, bsize, blocks, bfree, bavail, files, ffree, namelen, frsize, flags;
};

struct gofer_create {
	uint32_t mode; // type and permissions: regular, directory, FIFO or socket
	uint32_t uid, gid;
	uint32_t reserved;
};

struct gofer_link {
	uint64_t target;
};

struct gofer_unlink {
	uint32_t flags; // AT_REMOVEDIR
	uint32_t reserved;
};

struct gofer_rename {
	uint64_t new_dir;
	uint32_t flags; // RENAME_NOREPLACE, RENAME_EXCHANGE
	uint32_t reserved;
};

enum { GOFER_SET_MODE = 1, GOFER_SET_UID = 2, GOFER_SET_GID = 4, GOFER_SET_SIZE = 8, GOFER_SET_ATIME = 16, GOFER_SET_MTIME = 32 };
struct gofer_setattr {
	uint32_t valid; // GOFER_SET_*
	uint32_t mode, uid, gid;
	uint64_t size;
	struct gofer_time atime, mtime;
};

struct gofer_setxattr {
	uint32_t flags; // XATTR_CREATE, XATTR_REPLACE
	uint32_t reserved;
};
