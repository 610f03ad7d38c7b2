// The VFS's own: dentries, mounts, and the walk. For this folder (and the overlay and mount calls).
#pragma once

#include <limits.h>

#include "sentry/vfs/vfs.h"

enum { DCACHE_BUCKETS = 16384, DCACHE_MAX = 131072, MOUNTS_MAX = 1024 };

struct dentry { // what a search looks at comes first, in one line of the cache: it meets others, which aren't there yet
	struct ref ref; // one of them is the cache's while hashed
	// Guarded by vfs->dcache_mu.
	uint32_t hash;
	LIST_ENTRY(dentry) hash_link;
	struct dentry *parent; // counted; itself for a root
	char *name; // inline_name or kmem_bytes
	uint32_t len;
	bool hashed, recently_used, remembered; // remembered: see remember.h
	_Atomic int mounted; // how many mounts lie on it
	_Atomic(struct inode *) inode; // counted; NULL: negative. As the following, not guarded:
	struct super_block *sb;
	TAILQ_ENTRY(dentry) lru_link; // guarded, as above
	char inline_name[40];
};

struct mount {
	struct ref ref;
	struct super_block *sb; // counted
	struct dentry *root; // counted
	unsigned flags; // ST_*
	int id;
	char *source; // as mount(2) was told; kmem_bytes, NULL: the type's name
	bool expire_marked; // umount2(MNT_EXPIRE) was here; unlike on Linux use leaves the mark
	// Guarded by vfs->mount_mu; see mounts_change_begin().
	struct mount *parent; // counted; NULL: the root of its namespace, or detached
	struct dentry *mountpoint; // counted
	struct mount_ns *ns; // NULL: detached
	TAILQ_ENTRY(mount) ns_link;
};

struct mount_ns {
	struct ref ref;
	struct mount *root; // one of mounts
	TAILQ_HEAD(mount_list, mount) mounts; // each counted
};

struct vfs {
	struct mutex dcache_mu;
	// Guarded by dcache_mu.
	LIST_HEAD(, dentry) buckets[DCACHE_BUCKETS];
	TAILQ_HEAD(, dentry) lru; // hashed ones, oldest first
	unsigned ncached;
	struct mutex mount_mu; // guards every namespace's tree
	LIST_HEAD(, chrdev) chrdevs; // written at start only
	_Atomic int next_mount_id;
	_Atomic unsigned next_dev;
	struct mount *anon_mnt; // of anonymous files
	struct mount *memfd_mnt; // made with the first memfd
	_Atomic uint64_t next_anon_ino;
	struct cred *_Atomic first_rights; // a reference; of remember_rights: those of the first program
	_Atomic bool rooted; // a container's tree is there
	struct mutex loans_mu; // guards the list of every inode's loans
	struct mutex notify_mu; // guards all inotify watches
	_Atomic unsigned nwatches;
	_Atomic uint32_t next_cookie;
	struct mutex locks_mu; // guards every file's locks and who waits for them (locks.c)
	LIST_HEAD(, lock_waiter) lock_waiters;
};

static inline bool dentry_is_root(const struct dentry *d)
{
	return d->parent == d;
}

void dcache_evict(int n); // lets go of up to n dentries that nobody uses, the oldest first
void dcache_forget_sb(struct super_block *sb); // drops every cached dentry of it that nobody else holds
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d); // NULL is allowed
struct dentry *dentry_create_root(struct super_block *sb, struct inode *root); // takes the inode
bool path_is_gone(const struct path *p); // its name was removed
struct dentry *dentry_create_unhashed(struct dentry *parent, const char *name, size_t len, struct inode *inode); // takes the inode
struct dentry *dentry_find_locked(struct dentry *dir, const char *name, size_t len); // dcache_mu is held; borrowed
// The cached child, counted (maybe negative); NULL: not cached.
struct dentry *dentry_cached(struct dentry *dir, const char *name, size_t len);
// The child, from the cache or the file system; a negative one is an answer, too. 0 or -errno.
int dentry_lookup(struct dentry *dir, const char *name, size_t len, struct dentry **out);
// The same for the first component of path, on the way to the others.
int dentry_lookup_ahead(struct dentry *dir, const char *path, size_t len, bool opens, struct dentry **out);
void dentry_ahead(struct dentry *dir, const char *path, bool opens); // inode_ops.ahead, if the first component isn't cached
// Enters an inode (taken over; NULL: there is none) under a name that may be cached already: what is there stays. Gives dir back, answers the
// child, counted. NULL: no memory.
struct dentry *dentry_enter(struct dentry *dir, const char *name, size_t len, struct inode *inode);
int dentry_lookup_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out); // dir's inode->mu is held
// A just made inode (taken over) appears under the name: the cached negative becomes it. Counted; NULL: no memory.
struct dentry *dentry_instantiate(struct dentry *dir, const char *name, size_t len, struct inode *inode);
void dentry_unhash(struct dentry *d); // its name is gone
void dentry_move(struct dentry *d, struct dentry *new_dir, const char *name, size_t len); // what was there is unhashed
void dentry_exchange(struct dentry *a, struct dentry *b);
int64_t vfs_dentry_string(struct dentry *d, char *dst, size_t cap); // its path in its own file system; length or -ERANGE
bool dentry_is_ancestor(const struct dentry *ancestor, const struct dentry *d); // or the same

struct mount *mount_create(struct super_block *sb, struct dentry *root, unsigned flags); // gets both; detached
struct mount_ns *mount_ns_create_empty(void); // without a root yet
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m);
// What is mounted on p, counted; NULL: nothing.
struct mount *mount_on(const struct path *p);
struct mount *mount_on_locked(const struct path *p); // mount_mu or dcache_mu is held; borrowed
// Trees of mounts change with both mount_mu and dcache_mu held, so that either keeps them as they are.
void mounts_change_begin(void);
void mounts_change_end(void);
int mount_attach(struct mount_ns *ns, const struct path *where, struct mount *m); // takes m unless it fails (-ENOSPC: too many)
// Out of its namespace, with what is mounted below it if lazy: 0, -EBUSY, -EINVAL for a root.
int mount_detach(struct mount *m, bool lazy);
// For a change of mounts; m's old place was taken care of.
void mount_hang_locked(struct mount *m, const struct path *where);
// Goes up into what is mounted on *p, as often as there is something.
void path_follow_mounts(struct path *p);
// One step up, not beyond root.
void path_up(struct path *p, const struct path *root);
void path_set(struct path *dst, struct mount *m, struct dentry *d); // takes both references, drops the old ones

// --- the walk
enum { SYMLINKS_MAX = 40 }; // that one follows

struct walk {
	struct task *t; // NULL: the kernel itself, which may everything
	const struct cred *cred;
	struct path at, root, start; // counted; root: empty until walk_root() was asked for it
	unsigned flags; // LOOKUP_*
	int links;
	char *buf; // of the symlink under way; kmem_bytes
	const char *rest; // what is left of the path
	size_t last_len;
	enum { LAST_NAME, LAST_DOT, LAST_DOTDOT, LAST_ROOT } last_kind;
	bool last_slash; // a slash follows it
	char last[NAME_MAX + 1];
};

int walk_begin(struct walk *w, struct task *t, const struct path *dir, const char *path, unsigned flags);
int walk_to_parent(struct walk *w); // at: the last component's directory
// The last component: 0 and a path that may be negative; 1: it was a link that is followed, call walk_to_parent and this again.
int walk_last(struct walk *w, bool follow, struct path *out);
void walk_end(struct walk *w);
// Goes along w->rest as far as names are cached and nothing else is needed: 0: w->at is where all of it leads; 1: w->at is where the walk goes on, with
// what is left in w->rest. Counted. -errno. Unless whole the last component is left. w is fresh but for t, cred, flags, rest.
int walk_cached(struct walk *w, const struct path *dir, bool whole);
