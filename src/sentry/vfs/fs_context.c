// What a process sees of the tree: root, working directory, umask.
#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(fs_context_type, fs_context);

struct fs_context *fs_context_create(struct mount_ns *ns)
{
	struct fs_context *fs = kmem_alloc(&fs_context_type);
	struct path root = {ns->root, ns->root->root};

	if (!fs)
		return NULL;
	if (atomic_exchange(&kernel()->vfs->rooted, true)) // another container
		remember_apart();
	ref_init(&fs->ref);
	mutex_init(&fs->mu);
	fs->root = path_get(&root);
	path_follow_mounts(&fs->root);
	fs->cwd = path_get(&fs->root);
	fs->umask = 022;
	fs->mnt_ns = mount_ns_get(ns);
	return fs;
}

struct fs_context *fs_context_dup(struct fs_context *fs)
{
	struct fs_context *copy = kmem_alloc(&fs_context_type);

	if (!copy)
		return NULL;
	ref_init(&copy->ref);
	mutex_init(&copy->mu);
	mutex_lock(&fs->mu);
	copy->root = path_get(&fs->root);
	copy->cwd = path_get(&fs->cwd);
	copy->umask = fs->umask;
	copy->mnt_ns = mount_ns_get(fs->mnt_ns);
	mutex_unlock(&fs->mu);
	return copy;
}

struct fs_context *fs_context_get(struct fs_context *fs)
{
	ref_get(&fs->ref);
	return fs;
}

void fs_context_put(struct fs_context *fs)
{
	if (!fs || !ref_put(&fs->ref))
		return;
	path_put(&fs->cwd);
	path_put(&fs->root);
	mount_ns_put(fs->mnt_ns);
	kmem_free(&fs_context_type, fs);
}

void fs_context_move(struct fs_context *fs, struct path *place, const struct path *to)
{
	struct path old, new = path_get(to);

	if (place == &fs->root)
		remember_apart();
	mutex_lock(&fs->mu);
	mutex_lock(&kernel()->vfs->dcache_mu);
	old = *place;
	*place = new;
	remember_all_anew();
	mutex_unlock(&kernel()->vfs->dcache_mu);
	mutex_unlock(&fs->mu);
	path_put(&old);
}
