// tmpfs's own: nodes, directory entries, file contents.
#pragma once

#include <bsd/sys/tree.h>

#include "sentry/fs/tmpfs/tmpfs.h"

enum { TMPFS_SMALL_MAX = 32 << 10 }; // contents up to this stay in kernel memory

#define TMPFS_HOST_SEALS (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | F_SEAL_GROW) // that the host is told of

struct tmpfs_entry {
	RB_ENTRY(tmpfs_entry) by_name, by_pos;
	struct tmpfs_node *node; // counted by its inode
	int64_t pos; // readdir's position: in order of creation, never used again
	uint32_t len;
	char name[];
};

struct tmpfs_xattr {
	LIST_ENTRY(tmpfs_xattr) link;
	char *name; // kmem_bytes, as value
	void *value;
	size_t len;
};

struct tmpfs_node {
	struct inode inode; // its mu guards all
	union {
		struct { // directory
			RB_HEAD(tmpfs_names, tmpfs_entry) names;
			RB_HEAD(tmpfs_positions, tmpfs_entry) positions;
			int64_t next_pos;
			struct tmpfs_node *parent; // not counted: for ".."
		} dir;
		struct { // regular file: small, or in a memfd once it grew or was mapped
			char *small; // kmem_bytes
			size_t small_cap;
			struct hostfd *host, *readonly; // readonly: a descriptor for readers, once there was one
			bool lent_writes; // to some process, of late
			// Such a write was under way when that was stopped; and then the file was cut: it may grow to where it was, unseen.
			bool lent_late, late;
			bool blocks_stale, mapped; // only the host knows the blocks in use; shared mappings change them unseen
			uint32_t seals; // F_SEAL_*
			// A task's own process is to write up to here, beyond the host's end of the file; end 0: all is as attr says.
			struct {
				uint64_t end;
				int tid;
				uint64_t start_ns; // of the task
				pid_t host_pid;
			} growth;
		} file;
	};
	LIST_HEAD(, tmpfs_xattr) xattrs;
};

struct tmpfs_sb {
	_Atomic uint64_t next_ino;
	_Atomic int64_t bytes, inodes; // in use
	int64_t max_bytes, max_inodes; // 0: no limit
	uint32_t mode, uid, gid; // as mounted
};

static inline struct tmpfs_node *tmpfs_node(struct inode *inode)
{
	return (struct tmpfs_node *)inode; // inode is first
}

static inline struct tmpfs_sb *tmpfs_sb(struct super_block *sb)
{
	return sb->priv;
}

// A node without a name, nlink 1 (directories 2). Counted. 0, -ENOSPC, -ENOMEM.
int tmpfs_node_create(struct super_block *sb, uint32_t mode, uint64_t rdev, uint32_t uid, uint32_t gid, struct tmpfs_node **out);
void tmpfs_touch(struct inode *inode, uint32_t which); // ATTR_ATIME | ATTR_MTIME | ATTR_CTIME become now
void tmpfs_note_written(struct inode *inode); // the times of writes that processes made by what they were lent (vfs/loans.h)
void tmpfs_loans_stop(struct inode *inode);   // they make no more
bool tmpfs_atime_due(const struct file *f); // whether reading f changes its inode's atime, as its mount wants it (relatime: man 8 mount)
void tmpfs_node_destroy(struct inode *inode);
bool tmpfs_remember(struct inode *inode, uint16_t index);
int tmpfs_node_setattr(struct inode *inode, const struct setattr *set);
// tmpfs_file.c
extern const struct file_ops tmpfs_file_ops;
int tmpfs_file_resize(struct tmpfs_node *n, uint64_t size); // inode.mu held: 0, -ENOSPC, -EFBIG, -EPERM (seals)
int tmpfs_getattr(struct inode *inode, struct inode_attr *out);
void tmpfs_file_free(struct tmpfs_node *n);
int tmpfs_charge(struct super_block *sb, uint64_t old_size, uint64_t new_size); // against the size limit, in whole pages. 0 or -ENOSPC
// tmpfs_leave.c. inode.mu is held
struct hostfd *tmpfs_readonly_locked(struct tmpfs_node *n); // borrowed; the memfd, but only for reading. NULL: the host has none
bool tmpfs_leave_read_locked(struct tmpfs_node *n, struct uio *u, int64_t pos, uint64_t len); // see uio_leave
bool tmpfs_lend(struct file *f, struct task *t, bool wrote, struct platform_loan *loan);
bool tmpfs_leave_write_locked(struct file *f, struct uio *u, int64_t pos, uint64_t end);
void tmpfs_settle_locked(struct tmpfs_node *n); // from here on attr.size is the host's
bool tmpfs_grown_by(const struct tmpfs_node *n, const struct task *t);
void tmpfs_left_undone(struct file *f); // (takes it)
// tmpfs_dir.c
extern const struct file_ops tmpfs_dir_file_ops;
extern const struct inode_ops tmpfs_dir_ops;
void tmpfs_dir_init(struct tmpfs_node *n);
// tmpfs_xattr.c
int64_t tmpfs_getxattr(struct inode *inode, const char *name, void *dst, size_t cap);
int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t len, int flags);
int64_t tmpfs_listxattr(struct inode *inode, char *dst, size_t cap);
int tmpfs_removexattr(struct inode *inode, const char *name);
void tmpfs_xattr_free(struct tmpfs_node *n);
