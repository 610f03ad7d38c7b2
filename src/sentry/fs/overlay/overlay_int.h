// The overlay's own: a node stands for what is above, what is below, or both.
//
// Lock: overlay_sb.mu (below an overlay inode's mu, above the locks of the layers' inodes) guards the table of nodes, each node's place
// in the tree and its way up. A copy of a file's data happens under it: changes of other files in the same overlay wait meanwhile.
#pragma once

#include "sentry/vfs/vfs_int.h"

struct overlay_node {
	struct inode inode; // attr mirrors the real inode's; ino is the overlay's own and stays
	LIST_ENTRY(overlay_node) hash_link;
	struct inode *key; // the real inode that the table knows it by
	// Guarded by mu. Both stay once they are set: files that are open below go on there.
	_Atomic(struct inode *) upper; // counted; NULL: not copied up
	struct dentry *lower; // counted; NULL: nothing below
	struct overlay_node *parent; // counted; where it is to be copied up to
	char *name; // kmem_bytes
};

struct overlay_sb {
	struct mutex mu;
	// Guarded by mu.
	LIST_HEAD(overlay_bucket, overlay_node) *buckets; // nbuckets, a power of two; kmem_bytes
	uint32_t nbuckets, nnodes;
	struct mount *lower_mnt; // for opening what is below
	struct super_block *upper;
	uint64_t next_ino;
};

static inline struct overlay_node *overlay_node(struct inode *inode)
{
	return (struct overlay_node *)inode; // inode is first
}

static inline struct overlay_sb *overlay_sb(const struct overlay_node *n)
{
	return n->inode.sb->priv;
}

static inline struct inode *overlay_real(struct overlay_node *n)
{
	struct inode *upper = n->upper;

	return upper ? upper : dentry_inode(n->lower);
}

// The node for what was found; takes over upper and lower. Counted; NULL: no memory.
struct overlay_node *overlay_node_get(struct super_block *sb, struct inode *upper, struct dentry *lower, struct overlay_node *parent,
				      const char *name, size_t len);
void overlay_node_destroy(struct inode *inode);
void overlay_node_hash(struct overlay_sb *o, struct overlay_node *n, struct inode *key); // enters n; o->mu is held
uint64_t overlay_number(struct inode *upper, struct dentry *lower); // st_ino of what is above, below (NULL: nothing), or both
void overlay_mirror(struct overlay_node *n); // brings inode.attr up to date
void overlay_place(struct overlay_node *n, struct overlay_node *parent, const char *name, size_t len); // after a rename
// Brings n and the directories above it into the upper layer. data: a file's contents, too.
int overlay_copy_up(struct overlay_node *n, bool data);
// copy_up.c's helpers that the directory operations share; the upper directory's lock is taken inside.
bool overlay_is_whiteout(const struct inode *upper);
struct inode *overlay_upper_lookup(struct inode *upper_dir, const char *name, size_t len); // counted, whiteouts too; NULL
bool overlay_lower_has(struct overlay_node *dir, const char *name, size_t len);
bool overlay_is_opaque(struct inode *upper_dir);
int overlay_set_opaque(struct inode *upper_dir);
int overlay_whiteout(struct inode *upper_dir, const char *name, size_t len);
int overlay_remove_whiteout(struct inode *upper_dir, const char *name, size_t len); // 1: there was one; 0; -errno

// dir.c
extern const struct inode_ops overlay_dir_ops;
extern const struct file_ops overlay_dir_file_ops;
bool overlay_dir_empty(struct overlay_node *n, int *out_err);
int overlay_clear_whiteouts(struct inode *upper_dir); // of an empty directory that is to go
// overlay.c
extern const struct inode_ops overlay_file_ops_inode;
bool overlay_remember(struct inode *inode, uint16_t index);
int overlay_setattr(struct inode *inode, const struct setattr *set);
int overlay_getattr(struct inode *inode, struct inode_attr *out);
int overlay_open(struct inode *inode, struct task *t, struct file *f);
int64_t overlay_getxattr(struct inode *inode, const char *name, void *dst, size_t cap);
int overlay_setxattr(struct inode *inode, const char *name, const void *value, size_t len, int flags);
int64_t overlay_listxattr(struct inode *inode, char *dst, size_t cap);
int overlay_removexattr(struct inode *inode, const char *name);
