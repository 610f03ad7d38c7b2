// mount(2) and its kin: new mounts, bound and moved ones, their end, and another root.
//
// A mount hangs on its parent's dentry (mount.c). All changes of the tree happen between mounts_change_begin() and _end(); what they release is put after that.
#include "sentry/vfs/mount_change.h"

#include <string.h>
#include <sys/statvfs.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

#define MOUNT_FLAGS_CHANGED (ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NOATIME | ST_NODIRATIME | ST_RELATIME)

static bool same_kind(const struct dentry *a, const struct dentry *b)
{
	return !S_ISDIR(dentry_inode(a)->attr.mode) == !S_ISDIR(dentry_inode(b)->attr.mode);
}

bool vfs_is_mount_root(const struct path *p)
{
	return p->dentry == p->mnt->root;
}

static bool in_our_tree(struct task *t, const struct mount *m)
{
	return m->ns && m->ns == t->fs->mnt_ns;
}

static int attach(struct task *t, const struct path *where, struct mount *m)
{
	int err = mount_attach(t->fs->mnt_ns, where, m);

	if (err)
		mount_put(m);
	return err;
}

int vfs_mount_new(struct task *t, const struct path *where, const char *type_name, const char *source, const char *data, unsigned flags)
{
	const struct fs_type *type = fs_type_find(type_name);
	const struct fs_mount_args args = {.source = source, .data = data, .cred = t->cred};
	struct super_block *sb;
	struct mount *m;
	int err;

	if (!type || !type->user_mountable)
		return -ENODEV;
	if (!S_ISDIR(dentry_inode(where->dentry)->attr.mode))
		return -ENOTDIR;
	if (!in_our_tree(t, where->mnt))
		return -EINVAL;
	err = type->mount(type, &args, &sb);
	if (err)
		return err;
	sb->flags |= flags & ST_RDONLY;
	m = mount_create(sb, sb->root, flags);
	sb_put(sb);
	if (!m)
		return -ENOMEM;
	m->source = kmem_strdup(source && *source ? source : "none");
	return attach(t, where, m);
}

static struct mount *copy_mount(const struct mount *from, struct dentry *root)
{
	struct mount *m = mount_create(from->sb, root, from->flags);

	if (m && from->source)
		m->source = kmem_strdup(from->source);
	return m;
}

// The mounts below from, which stand on from's dentries under root, appear below to as well. In the order of the namespace's list a
// parent comes before its children, so each one's copy is there when it is needed.
static int copy_children(struct task *t, struct mount *from, struct dentry *root, struct mount *to)
{
	struct vfs *vfs = kernel()->vfs;
	struct {
		struct mount *old, *new;
	} *pairs = kmem_bytes(MOUNTS_MAX * sizeof(*pairs));
	struct mount *m;
	int n = 0, err = 0;

	if (!pairs)
		return -ENOMEM;
	mutex_lock(&vfs->mount_mu);
	TAILQ_FOREACH(m, &t->fs->mnt_ns->mounts, ns_link)
		if (n < MOUNTS_MAX && m != from && m != to)
			pairs[n++].old = mount_get(m);
	mutex_unlock(&vfs->mount_mu);
	for (int i = 0; i < n; i++) {
		struct path at = {NULL, pairs[i].old->mountpoint};

		pairs[i].new = NULL;
		if (err || !at.dentry)
			continue;
		if (pairs[i].old->parent == from && dentry_is_ancestor(root, at.dentry))
			at.mnt = to;
		for (int j = 0; j < i && !at.mnt; j++)
			if (pairs[i].old->parent == pairs[j].old)
				at.mnt = pairs[j].new;
		if (!at.mnt)
			continue;
		m = copy_mount(pairs[i].old, pairs[i].old->root);
		err = m ? attach(t, &at, m) : -ENOMEM;
		if (!err)
			pairs[i].new = m;
	}
	for (int i = 0; i < n; i++)
		mount_put(pairs[i].old);
	kmem_bytes_free(pairs);
	return err;
}

int vfs_mount_bind(struct task *t, const struct path *from, const struct path *where, bool recursive)
{
	struct mount *m;
	int err;

	if (!same_kind(from->dentry, where->dentry))
		return -ENOTDIR;
	if (!in_our_tree(t, from->mnt) || !in_our_tree(t, where->mnt))
		return -EINVAL;
	m = copy_mount(from->mnt, from->dentry);
	if (!m)
		return -ENOMEM;
	mount_get(m);
	err = attach(t, where, m);
	if (!err && recursive)
		err = copy_children(t, from->mnt, from->dentry, m);
	mount_put(m);
	return err;
}

static bool is_below(const struct mount *m, const struct mount *top)
{
	for (; m; m = m->parent)
		if (m == top)
			return true;
	return false;
}

int vfs_mount_move(struct task *t, const struct path *from, const struct path *where)
{
	struct mount *m = from->mnt, *parent = NULL;
	struct dentry *at = NULL;
	int err = 0;

	if (!vfs_is_mount_root(from))
		return -EINVAL;
	if (!same_kind(from->dentry, where->dentry))
		return -ENOTDIR;
	mounts_change_begin();
	if (!in_our_tree(t, m) || !in_our_tree(t, where->mnt) || !m->parent)
		err = -EINVAL;
	else if (is_below(where->mnt, m))
		err = -ELOOP;
	if (!err) {
		parent = m->parent;
		at = m->mountpoint;
		at->mounted--;
		mount_hang_locked(m, where);
	}
	mounts_change_end();
	dentry_put(at);
	mount_put(parent);
	return err;
}

int vfs_mount_flags(struct task *t, const struct path *where, unsigned flags, bool file_system)
{
	struct mount *m = where->mnt;

	if (!vfs_is_mount_root(where) || !in_our_tree(t, m))
		return -EINVAL;
	mutex_lock(&kernel()->vfs->mount_mu);
	m->flags = (m->flags & ~(unsigned)MOUNT_FLAGS_CHANGED) | (flags & MOUNT_FLAGS_CHANGED);
	// What a read-only gofer's tree is stays so.
	if (file_system && m->sb->type->user_mountable)
		m->sb->flags = (m->sb->flags & ~(uint32_t)ST_RDONLY) | (flags & ST_RDONLY);
	remember_all_anew();
	mutex_unlock(&kernel()->vfs->mount_mu);
	return 0;
}

int vfs_umount(struct task *t, const struct path *where, bool lazy, bool expire)
{
	struct mount *m = where->mnt;

	if (!vfs_is_mount_root(where) || !in_our_tree(t, m))
		return -EINVAL;
	if (expire && !m->expire_marked) {
		m->expire_marked = true;
		return -EAGAIN;
	}
	return mount_detach(m, lazy);
}

// Processes that stand at the old root stand at the new one from now on (man 2 pivot_root).
static void move_processes(const struct path *old_root, const struct path *new_root)
{
	struct fs_context **all;
	struct thread_group *tg;
	struct task *t;
	int n = 0, cap;

	remember_apart();
	mutex_lock(&kernel()->tasks_mu);
	cap = kernel()->ntasks_alive + 1;
	all = kmem_bytes((size_t)cap * sizeof(*all));
	if (all)
		TAILQ_FOREACH(tg, &kernel()->groups, all_link)
			TAILQ_FOREACH(t, &tg->tasks, tg_link)
				if (t->fs && n < cap)
					all[n++] = fs_context_get(t->fs);
	mutex_unlock(&kernel()->tasks_mu);
	for (int i = 0; i < n; i++) {
		struct path *places[2] = {&all[i]->root, &all[i]->cwd};

		for (int k = 0; k < 2; k++) {
			struct path old = {0};

			mutex_lock(&all[i]->mu);
			mutex_lock(&kernel()->vfs->dcache_mu);
			if (path_equal(places[k], old_root)) {
				old = *places[k];
				*places[k] = path_get(new_root);
				remember_all_anew();
			}
			mutex_unlock(&kernel()->vfs->dcache_mu);
			mutex_unlock(&all[i]->mu);
			path_put(&old);
		}
		fs_context_put(all[i]);
	}
	kmem_bytes_free(all);
}

static int pivot_locked(struct task *t, const struct path *root, const struct path *new_root, const struct path *put_old,
			struct mount **out_parent, struct dentry **out_at)
{
	struct mount_ns *ns = t->fs->mnt_ns;
	struct mount *new = new_root->mnt, *old = root->mnt;
	const struct mount *m = put_old->mnt;
	const struct dentry *d = put_old->dentry;

	if (!in_our_tree(t, new) || !in_our_tree(t, put_old->mnt) || !in_our_tree(t, old))
		return -EINVAL;
	if (new == old || put_old->mnt == old)
		return -EBUSY;
	if (!vfs_is_mount_root(new_root) || !vfs_is_mount_root(root) || !new->parent)
		return -EINVAL;
	while (m && m != new) { // put_old lies below the new root
		d = m->mountpoint;
		m = m->parent;
	}
	if (!m || !dentry_is_ancestor(new_root->dentry, d) || !is_below(new, old))
		return -EINVAL;
	*out_parent = new->parent;
	*out_at = new->mountpoint;
	new->mountpoint->mounted--;
	new->parent = old->parent; // the references of the old root's place go over
	new->mountpoint = old->mountpoint;
	if (ns->root == old)
		ns->root = new; // the namespace's list holds both
	mount_hang_locked(old, put_old);
	// Parents before children in the list.
	TAILQ_REMOVE(&ns->mounts, new, ns_link);
	TAILQ_INSERT_HEAD(&ns->mounts, new, ns_link);
	return 0;
}

int vfs_pivot_root(struct task *t, const struct path *new_root, const struct path *put_old)
{
	struct mount *parent = NULL;
	struct dentry *at = NULL;
	struct path root;
	int err;

	if (!S_ISDIR(dentry_inode(new_root->dentry)->attr.mode) || !S_ISDIR(dentry_inode(put_old->dentry)->attr.mode))
		return -ENOTDIR;
	mutex_lock(&t->fs->mu);
	root = path_get(&t->fs->root);
	mutex_unlock(&t->fs->mu);
	mounts_change_begin();
	err = pivot_locked(t, &root, new_root, put_old, &parent, &at);
	mounts_change_end();
	dentry_put(at);
	mount_put(parent);
	if (!err)
		move_processes(&root, new_root);
	path_put(&root);
	return err;
}
