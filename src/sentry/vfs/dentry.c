// The dentry cache: names and what they stand for, also those that stand for nothing.
//
// A hashed dentry is held by the cache itself; when the cache grows too large, those that only the cache holds go, oldest first (with a
// second chance for those used since they were last looked at). A dentry holds its parent, so leaves go before branches.
#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(dentry_type, dentry);

static uint32_t hash_name(const struct dentry *dir, const char *name, size_t len)
{
	const uint64_t mix = 0x9e3779b97f4a7c15ull;
	uint64_t h = (uintptr_t)dir >> 4, eight;

	for (; len > sizeof(eight); name += sizeof(eight), len -= sizeof(eight)) {
		memcpy(&eight, name, sizeof(eight));
		h = (h ^ eight) * mix;
		h ^= h >> 32;
	}
	eight = 0;
	for (size_t i = 0; i < len; i++)
		eight = eight << 8 | (unsigned char)name[i];
	h = (h ^ eight) * mix;
	return (uint32_t)(h >> 32 ^ h >> 16);
}

struct dentry *dentry_get(struct dentry *d)
{
	ref_get(&d->ref);
	return d;
}

void dentry_put(struct dentry *d)
{
	while (d && ref_put(&d->ref)) { // up the branch, as long as each was the last holder
		struct dentry *parent = dentry_is_root(d) ? NULL : d->parent;

		inode_put(d->inode);
		if (d->name != d->inline_name)
			kmem_bytes_free(d->name);
		kmem_free(&dentry_type, d);
		d = parent;
	}
}

static bool set_name(struct dentry *d, const char *name, size_t len)
{
	char *copy = d->inline_name;

	if (len >= sizeof(d->inline_name)) {
		copy = kmem_bytes(len + 1);
		if (!copy)
			return false;
	}
	if (d->name && d->name != d->inline_name)
		kmem_bytes_free(d->name);
	memcpy(copy, name, len);
	copy[len] = 0;
	d->name = copy;
	d->len = (uint32_t)len;
	return true;
}

static struct dentry *alloc(struct super_block *sb, struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
	struct dentry *d = kmem_alloc(&dentry_type);

	if (!d || !set_name(d, name, len)) {
		kmem_free(&dentry_type, d);
		inode_put(inode);
		return NULL;
	}
	ref_init(&d->ref);
	d->sb = sb;
	d->inode = inode;
	d->parent = parent ? dentry_get(parent) : d;
	return d;
}

struct dentry *dentry_create_root(struct super_block *sb, struct inode *root)
{
	return alloc(sb, NULL, "/", 1, root);
}

struct dentry *dentry_create_unhashed(struct dentry *parent, const char *name, size_t len, struct inode *inode)
{
	return alloc(parent->sb, parent, name, len, inode);
}

struct inode *dentry_inode(const struct dentry *d)
{
	return d->inode;
}

struct dentry *dentry_parent(const struct dentry *d)
{
	return d->parent;
}

static void unhash_locked(struct dentry *d)
{
	struct vfs *vfs = kernel()->vfs;

	remember_name_changed_locked(d);
	LIST_REMOVE(d, hash_link);
	TAILQ_REMOVE(&vfs->lru, d, lru_link);
	d->hashed = false;
	vfs->ncached--;
}

static void hash_locked(struct dentry *d)
{
	struct vfs *vfs = kernel()->vfs;

	d->hash = hash_name(d->parent, d->name, d->len);
	LIST_INSERT_HEAD(&vfs->buckets[d->hash % DCACHE_BUCKETS], d, hash_link);
	TAILQ_INSERT_TAIL(&vfs->lru, d, lru_link);
	d->hashed = true;
	vfs->ncached++;
}

struct dentry *dentry_find_locked(struct dentry *dir, const char *name, size_t len)
{
	uint32_t hash = hash_name(dir, name, len);
	struct dentry *d;

	LIST_FOREACH(d, &kernel()->vfs->buckets[hash % DCACHE_BUCKETS], hash_link)
		if (d->hash == hash && d->parent == dir && d->len == len && memcmp(d->name, name, len) == 0) {
			if (!d->recently_used)
				d->recently_used = true;
			return d;
		}
	return NULL;
}

// Makes room: takes a few unused ones off the old end. Answers one to be put without the lock, or NULL.
static struct dentry *evict_locked(unsigned keep)
{
	struct vfs *vfs = kernel()->vfs;

	for (int tries = 0; vfs->ncached > keep && tries < 16; tries++) {
		struct dentry *d = TAILQ_FIRST(&vfs->lru);

		if (!d->recently_used && atomic_load(&d->ref.count) == 1) {
			unhash_locked(d);
			return d;
		}
		d->recently_used = false;
		TAILQ_REMOVE(&vfs->lru, d, lru_link);
		TAILQ_INSERT_TAIL(&vfs->lru, d, lru_link);
	}
	return NULL;
}

void dcache_evict(int n)
{
	struct dentry *d;

	for (; n > 0; n--) {
		mutex_lock(&kernel()->vfs->dcache_mu);
		d = evict_locked(0);
		mutex_unlock(&kernel()->vfs->dcache_mu);
		dentry_put(d);
	}
}

// Enters d (whose creation reference becomes the cache's) unless the name is there already. Answers the one that is in, counted.
static struct dentry *insert(struct dentry *d)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *there, *evicted = NULL, *loser = NULL;

	mutex_lock(&vfs->dcache_mu);
	there = dentry_find_locked(d->parent, d->name, d->len);
	if (there) {
		loser = d;
		d = there;
	} else {
		hash_locked(d);
		evicted = evict_locked(DCACHE_MAX);
	}
	dentry_get(d);
	mutex_unlock(&vfs->dcache_mu);
	dentry_put(loser);
	dentry_put(evicted);
	return d;
}

struct dentry *dentry_cached(struct dentry *dir, const char *name, size_t len)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *d;

	mutex_lock(&vfs->dcache_mu);
	d = dentry_find_locked(dir, name, len);
	if (d)
		dentry_get(d);
	mutex_unlock(&vfs->dcache_mu);
	return d;
}

static struct dentry *cached_valid(struct dentry *dir, const char *name, size_t len)
{
	struct dentry *d = dentry_cached(dir, name, len);
	struct inode *dir_inode = dir->inode;

	if (d && dir_inode->ops->revalidate && !dir_inode->ops->revalidate(d)) {
		dentry_unhash(d);
		dentry_put(d);
		return NULL;
	}
	return d;
}

int dentry_lookup_locked(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *dir_inode = dir->inode, *inode = NULL;
	struct dentry *d = cached_valid(dir, name, len);
	int err;

	if (d) {
		*out = d;
		return 0;
	}
	if (!dir_inode->ops->lookup)
		return -ENOTDIR;
	err = dir_inode->ops->lookup(dir_inode, name, len, &inode);
	if (err && err != -ENOENT)
		return err;
	d = alloc(dir->sb, dir, name, len, err ? NULL : inode);
	if (!d)
		return -ENOMEM;
	*out = (err ? dir_inode->ops->no_negative : inode->uncached) ? d : insert(d);
	return 0;
}

int dentry_lookup(struct dentry *dir, const char *name, size_t len, struct dentry **out)
{
	struct inode *dir_inode = dir->inode;
	int err;

	*out = cached_valid(dir, name, len);
	if (*out)
		return 0;
	mutex_lock(&dir_inode->mu);
	err = dentry_lookup_locked(dir, name, len, out);
	mutex_unlock(&dir_inode->mu);
	return err;
}

void dentry_ahead(struct dentry *dir, const char *path, bool opens)
{
	struct dentry *d;

	if (!dir->inode->ops->ahead)
		return;
	d = dentry_cached(dir, path, (size_t)(strchrnul(path, '/') - path));
	if (d)
		dentry_put(d);
	else
		dir->inode->ops->ahead(dir, path, opens);
}

int dentry_lookup_ahead(struct dentry *dir, const char *path, size_t len, bool opens, struct dentry **out)
{
	*out = cached_valid(dir, path, len);
	if (*out)
		return 0;
	if (dir->inode->ops->ahead && (opens || path[len] == '/'))
		dir->inode->ops->ahead(dir, path, opens);
	return dentry_lookup(dir, path, len, out);
}

struct dentry *dentry_enter(struct dentry *dir, const char *name, size_t len, struct inode *inode)
{
	struct dentry *d = alloc(dir->sb, dir, name, len, inode);

	if (d)
		d = insert(d);
	dentry_put(dir);
	return d;
}

void dentry_prime(struct dentry *dir, const char *name, size_t len, struct inode *inode)
{
	struct dentry *d = alloc(dir->sb, dir, name, len, inode);

	if (d)
		dentry_put(insert(d));
}

void dentry_unhash(struct dentry *d)
{
	struct vfs *vfs = kernel()->vfs;
	bool was;

	mutex_lock(&vfs->dcache_mu);
	was = d->hashed;
	if (was)
		unhash_locked(d);
	mutex_unlock(&vfs->dcache_mu);
	if (was)
		dentry_put(d);
}

void dentry_drop(struct dentry *dir, const char *name, size_t len)
{
	struct dentry *d = dentry_cached(dir, name, len);

	if (!d)
		return;
	dentry_unhash(d);
	dentry_put(d);
}

struct dentry *dentry_instantiate(struct dentry *dir, const char *name, size_t len, struct inode *inode)
{
	struct vfs *vfs = kernel()->vfs;
	struct inode *none = NULL;
	struct dentry *d;
	bool done;

	mutex_lock(&vfs->dcache_mu);
	d = dentry_find_locked(dir, name, len);
	done = d && atomic_compare_exchange_strong(&d->inode, &none, inode);
	if (d)
		dentry_get(d);
	if (done)
		remember_name_changed_locked(d);
	mutex_unlock(&vfs->dcache_mu);
	if (done)
		return d;
	if (d) {
		dentry_unhash(d);
		dentry_put(d);
	}
	d = alloc(dir->sb, dir, name, len, inode);
	return d ? insert(d) : NULL;
}

// Renames d in place. The new name's place is free.
static void rename_locked(struct dentry *d, struct dentry *new_dir, const char *name, size_t len)
{
	struct vfs *vfs = kernel()->vfs;

	remember_name_changed_locked(d);
	LIST_REMOVE(d, hash_link);
	if (!set_name(d, name, len))
		set_name(d, "?", 1); // no memory: the name is looked up anew, this one is only shown
	d->parent = new_dir;
	d->hash = hash_name(new_dir, d->name, d->len);
	LIST_INSERT_HEAD(&vfs->buckets[d->hash % DCACHE_BUCKETS], d, hash_link);
	remember_name_changed_locked(d);
}

void dentry_move(struct dentry *d, struct dentry *new_dir, const char *name, size_t len)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *there, *old_parent = d->parent;

	dentry_drop(new_dir, name, len);
	dentry_get(new_dir);
	mutex_lock(&vfs->dcache_mu);
	there = dentry_find_locked(new_dir, name, len);
	if (d->hashed && !there)
		rename_locked(d, new_dir, name, len);
	else
		old_parent = new_dir; // it isn't cached: nothing to move
	mutex_unlock(&vfs->dcache_mu);
	dentry_put(old_parent);
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
	struct vfs *vfs = kernel()->vfs;
	char name_a[NAME_MAX + 1], name_b[NAME_MAX + 1];
	struct dentry *parent_a, *parent_b;

	mutex_lock(&vfs->dcache_mu);
	if (a->hashed && b->hashed) {
		parent_a = a->parent;
		parent_b = b->parent;
		memcpy(name_a, a->name, a->len + 1);
		memcpy(name_b, b->name, b->len + 1);
		rename_locked(a, parent_b, name_b, strlen(name_b));
		rename_locked(b, parent_a, name_a, strlen(name_a));
	}
	mutex_unlock(&vfs->dcache_mu);
}

int64_t vfs_dentry_string(struct dentry *d, char *dst, size_t cap)
{
	struct vfs *vfs = kernel()->vfs;
	size_t at = cap;

	if (cap < 2)
		return -ERANGE;
	dst[--at] = 0;
	mutex_lock(&vfs->dcache_mu);
	for (; !dentry_is_root(d) && at > d->len; d = d->parent) {
		at -= d->len;
		memcpy(dst + at, d->name, d->len);
		dst[--at] = '/';
	}
	mutex_unlock(&vfs->dcache_mu);
	if (!dentry_is_root(d))
		return -ERANGE;
	if (at == cap - 1)
		dst[--at] = '/';
	memmove(dst, dst + at, cap - at);
	return (int64_t)(cap - at - 1);
}

bool dentry_is_ancestor(const struct dentry *ancestor, const struct dentry *d)
{
	for (;; d = d->parent) {
		if (d == ancestor)
			return true;
		if (dentry_is_root(d))
			return false;
	}
}

void dcache_forget_sb(struct super_block *sb)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *d, *next, *found;

	do { // leaves first: dropping one may free its parent for the next round
		found = NULL;
		mutex_lock(&vfs->dcache_mu);
		for (d = TAILQ_FIRST(&vfs->lru); d && !found; d = next) {
			next = TAILQ_NEXT(d, lru_link);
			if (d->sb == sb && atomic_load(&d->ref.count) == 1) {
				unhash_locked(d);
				found = d;
			}
		}
		mutex_unlock(&vfs->dcache_mu);
		dentry_put(found);
	} while (found);
}
