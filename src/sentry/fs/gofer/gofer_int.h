// The gofer file system's own: inodes and listings.
//
// An inode stands for one host file, found again by device and number, so that hard links share one. Its node (the gofer's handle)
// may be missing: a listing brings attributes only, and the node is walked to when something needs it.
// Locks: inode->mu guards an inode's fields; gsb->table_mu (a leaf) the table and the cached descriptors' list.
#pragma once

#include "gofer/client.h"
#include "lib/container_of.h"
#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/vfs.h"

struct dentry;

enum { GOFER_BUCKETS_FIRST = 256, GOFER_IDLE_FILES_MAX = 1024, GOFER_AHEAD_FIRST = 256 };

struct gofer_conn {
	struct ref ref;
	struct gofer_client client;
	// The gofer keeps a descriptor for each node: when it gets short of them, inodes that nobody uses go.
	_Atomic uint32_t nnodes;
	uint32_t nodes_limit; // of our choice, below what it has
};

struct gofer_sb {
	struct gofer_conn *conn; // counted
	// Others change the tree meanwhile (--file-access=shared): names and attributes are asked for each time. Else what is known is known
	// for good, and costs no message.
	bool shared;
	_Atomic bool xattrs_wanted; // somebody asked for extended attributes: listings tell who has none
	// Listings of a tree that nobody changes bring along what is below: so many entries are welcome, and this many more times with the
	// attributes of files. Several threads may count wrong: it only steers.
	_Atomic int ahead_credit, attrs_wanted;
	uint64_t root_node, root_dev;
	struct mutex table_mu;
	// Guarded by table_mu.
	LIST_HEAD(gofer_bucket, gofer_inode) *buckets; // nbuckets, a power of two; kmem_bytes
	uint32_t nbuckets, ninodes;
	TAILQ_HEAD(, gofer_inode) with_files; // those that keep descriptors, oldest first
	int nwith_files;
};

struct gofer_inode {
	struct inode inode;
	uint64_t dev, ino; // on the host
	LIST_ENTRY(gofer_inode) table_link;
	bool in_table; // Guarded by table_mu, as the two below.
	TAILQ_ENTRY(gofer_inode) files_link;
	bool in_files;
	// Guarded by inode.mu.
	uint64_t node; // 0: not walked to yet, see from
	struct gofer_inode *from; // counted; the directory whose listing it came from, while node is 0. Guarded by table_mu, as the next.
	char *from_name; // kmem_bytes
	struct hostfd *readonly, *writable; // kept open, so that opening again needs no message. Guarded by table_mu.
	struct gofer_listing *listing; // of a directory; NULL: not listed yet
	bool attr_stale; // attr is to be asked for again
	enum { XATTR_UNKNOWN, XATTR_NONE, XATTR_SOME } xattrs;
};

static inline struct gofer_inode *gofer_inode(struct inode *inode)
{
	return container_of(inode, struct gofer_inode, inode);
}

// Its attributes have changed: they are asked for when somebody wants to know.
static inline void gofer_attr_stale(struct gofer_inode *gi)
{
	gi->attr_stale = true;
	inode_changed(&gi->inode);
}

static inline struct gofer_sb *gofer_sb(struct inode *inode)
{
	return inode->sb->priv;
}

static inline struct gofer_client *gofer_client(struct inode *inode)
{
	return &gofer_sb(inode)->conn->client;
}

// A message: the worker is away meanwhile.
#define AWAY(call) ({ kernel_away_briefly(); __auto_type result_ = (call); kernel_away_end(); result_; })

// gofer_inode.c
extern const struct inode_ops gofer_inode_ops, gofer_inode_ops_shared;
// The inode of a walked entry, counted. Takes entry->node over in any case. 0 or -ENOMEM.
int gofer_inode_of(struct super_block *sb, const struct gofer_entry *entry, struct inode **out);
// The inode of a listed name of dir, whose node is walked to later.
int gofer_inode_listed(struct gofer_inode *dir, const char *name, size_t len, const struct gofer_attr *attr, struct inode **out);
// The node, walked to if need be; inode.mu isn't needed, the answer stays valid while the inode is held. 0 or -errno.
int gofer_inode_node(struct gofer_inode *gi, uint64_t *out_node);
int gofer_inode_node_open(struct gofer_inode *gi, uint64_t *out_node, int *out_fd); // *out_fd: open for reading if it was walked to now; -1
void gofer_inode_moved(struct gofer_inode *gi, struct gofer_inode *dir, const char *name, size_t len); // renamed
void gofer_inode_forget(struct gofer_inode *gi); // its last name is gone: its number may come again
void gofer_attr_set(struct gofer_inode *gi, const struct gofer_attr *attr); // inode.mu is held, or nobody else has it
int gofer_getattr_locked(struct inode *inode, struct inode_attr *out);

// gofer_dir.c
extern const struct file_ops gofer_dir_ops;
int gofer_dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode);
bool gofer_dir_revalidate(struct dentry *d);
// Of a tree that nobody changes: what is mounted in it, and most paths, begin with names that are here. A long one isn't worth it.
void gofer_dir_list_root(struct inode *root);
void gofer_dir_ahead(struct dentry *dir, const char *rest, bool opens);
// gofer_fetch.c: asking for listings; the directory's mu is held
struct listed;
int gofer_fetch(struct gofer_inode *dir, unsigned max_messages); // dir->listing anew, or -E2BIG
int gofer_fetch_attrs(struct gofer_inode *dir); // of all that dir->listing has the names of
void gofer_fetch_below(struct gofer_inode *dir, const struct listed *first); // what this entry of dir->listing lists, and what else is worth it
void gofer_fetch_pays(struct gofer_sb *gsb, uint32_t entries); // so many were read by who goes down the tree
void gofer_fetch_wants_attrs(struct gofer_sb *gsb); // somebody asked for a listed file's
// gofer_change.c
int gofer_dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		     struct inode **out_inode);
int gofer_dir_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		      struct inode **out_inode);
int gofer_dir_link(struct inode *dir, const char *name, size_t len, struct inode *target);
int gofer_dir_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim);
int gofer_dir_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim);
int gofer_dir_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir, const char *new_name,
		     size_t new_len, struct inode *victim, struct inode *target, unsigned flags);
int gofer_dir_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out_inode);
int gofer_setattr_locked(struct inode *inode, const struct setattr *set);
// What a change does to the listing, if there is one; the directory's mu is held.
void gofer_listing_add(struct gofer_inode *dir, const char *name, size_t len, struct gofer_inode *child);
void gofer_listing_remove(struct gofer_inode *dir, const char *name, size_t len);

// gofer_file.c
extern const struct file_ops gofer_file_ops;
int gofer_file_open(struct inode *inode, struct task *t, struct file *f);
// Keeps a descriptor with the inode (taken over).
void gofer_files_keep(struct gofer_inode *gi, struct hostfd *h, bool writable);
void gofer_files_drop(struct gofer_inode *gi);
struct hostfd *gofer_files_get(struct gofer_inode *gi, bool writable); // counted; NULL: none is kept

// gofer_xattr.c
int64_t gofer_getxattr_locked(struct inode *inode, const char *name, void *dst, size_t cap);
int gofer_setxattr_locked(struct inode *inode, const char *name, const void *value, size_t len, int flags);
int64_t gofer_listxattr_locked(struct inode *inode, char *dst, size_t cap);
int gofer_removexattr_locked(struct inode *inode, const char *name);
