// Mounts and namespaces of them, and steps between mounts.
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(mount_type, mount);
KMEM_TYPE(mount_ns_type, mount_ns);

struct mount *mount_create(struct super_block *sb, struct dentry *root, unsigned flags)
{
	struct mount *m = kmem_alloc(&mount_type);

	if (!m)
		return NULL;
	ref_init(&m->ref);
	m->sb = sb_get(sb);
	m->root = dentry_get(root);
	m->flags = flags;
	m->id = ++kernel()->vfs->next_mount_id;
	return m;
}

struct mount *mount_get(struct mount *m)
{
	ref_get(&m->ref);
	return m;
}

void mount_put(struct mount *m)
{
	if (!m || !ref_put(&m->ref))
		return;
	dentry_put(m->root);
	sb_put(m->sb);
	kmem_bytes_free(m->source);
	kmem_free(&mount_type, m);
}

unsigned mount_flags(const struct mount *m)
{
	return m->flags | m->sb->flags;
}

struct path path_get(const struct path *p)
{
	return (struct path){mount_get(p->mnt), dentry_get(p->dentry)};
}

void path_put(struct path *p)
{
	dentry_put(p->dentry); // before the mount, whose super block it belongs to
	mount_put(p->mnt);
	*p = (struct path){0};
}

void path_set(struct path *dst, struct mount *m, struct dentry *d)
{
	struct path old = *dst;

	*dst = (struct path){m, d};
	path_put(&old);
}

void mounts_change_begin(void)
{
	mutex_lock(&kernel()->vfs->mount_mu);
	mutex_lock(&kernel()->vfs->dcache_mu);
}

void mounts_change_end(void)
{
	remember_all_anew();
	mutex_unlock(&kernel()->vfs->dcache_mu);
	mutex_unlock(&kernel()->vfs->mount_mu);
}

struct mount *mount_on_locked(const struct path *p)
{
	struct mount *m;

	if (p->mnt->ns)
		TAILQ_FOREACH(m, &p->mnt->ns->mounts, ns_link)
			if (m->parent == p->mnt && m->mountpoint == p->dentry)
				return m;
	return NULL;
}

struct mount *mount_on(const struct path *p)
{
	struct vfs *vfs = kernel()->vfs;
	struct mount *m;

	if (!p->dentry->mounted)
		return NULL;
	mutex_lock(&vfs->mount_mu);
	m = mount_on_locked(p);
	if (m)
		mount_get(m);
	mutex_unlock(&vfs->mount_mu);
	return m;
}

void path_follow_mounts(struct path *p)
{
	struct mount *m;

	while ((m = mount_on(p)))
		path_set(p, m, dentry_get(m->root));
}

void path_up(struct path *p, const struct path *root)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *parent;

	while (!path_equal(p, root) && p->dentry == p->mnt->root) {
		struct mount *up = NULL;
		struct dentry *at = NULL;

		mutex_lock(&vfs->mount_mu);
		if (p->mnt->parent) {
			up = mount_get(p->mnt->parent);
			at = dentry_get(p->mnt->mountpoint);
		}
		mutex_unlock(&vfs->mount_mu);
		if (!up)
			return; // the top
		path_set(p, up, at);
	}
	if (path_equal(p, root))
		return;
	mutex_lock(&vfs->dcache_mu);
	parent = dentry_get(p->dentry->parent);
	mutex_unlock(&vfs->dcache_mu);
	path_set(p, mount_get(p->mnt), parent);
	path_follow_mounts(p);
}

struct mount_ns *mount_ns_create_empty(void)
{
	struct mount_ns *ns = kmem_alloc(&mount_ns_type);

	if (!ns)
		return NULL;
	ref_init(&ns->ref);
	TAILQ_INIT(&ns->mounts);
	return ns;
}

struct mount_ns *mount_ns_create(struct super_block *root_sb, unsigned mnt_flags)
{
	struct mount_ns *ns = mount_ns_create_empty();
	struct mount *m = ns ? mount_create(root_sb, root_sb->root, mnt_flags) : NULL;

	sb_put(root_sb);
	if (!m) {
		kmem_free(&mount_ns_type, ns);
		return NULL;
	}
	ns->root = m;
	m->ns = ns;
	TAILQ_INSERT_TAIL(&ns->mounts, m, ns_link);
	return ns;
}

struct mount_ns *mount_ns_get(struct mount_ns *ns)
{
	ref_get(&ns->ref);
	return ns;
}

static void unlink_locked(struct mount *m, struct mount **out_parent, struct dentry **out_mountpoint)
{
	TAILQ_REMOVE(&m->ns->mounts, m, ns_link);
	m->ns = NULL;
	*out_parent = m->parent;
	*out_mountpoint = m->mountpoint;
	if (m->mountpoint)
		m->mountpoint->mounted--;
	m->parent = NULL;
	m->mountpoint = NULL;
}

void mount_ns_put(struct mount_ns *ns)
{
	struct mount *m, *parent;
	struct dentry *at;

	if (!ns || !ref_put(&ns->ref))
		return;
	for (;;) {
		mounts_change_begin();
		m = TAILQ_LAST(&ns->mounts, mount_list);
		if (m)
			unlink_locked(m, &parent, &at);
		mounts_change_end();
		if (!m)
			break;
		dentry_put(at);
		mount_put(parent);
		mount_put(m);
	}
	kmem_free(&mount_ns_type, ns);
}

void mount_hang_locked(struct mount *m, const struct path *where)
{
	m->parent = mount_get(where->mnt);
	m->mountpoint = dentry_get(where->dentry);
	m->mountpoint->mounted++;
}

int mount_attach(struct mount_ns *ns, const struct path *where, struct mount *m)
{
	struct mount *other;
	int n = 0;

	mounts_change_begin();
	TAILQ_FOREACH(other, &ns->mounts, ns_link)
		n++;
	if (n < MOUNTS_MAX) {
		m->ns = ns;
		mount_hang_locked(m, where);
		TAILQ_INSERT_TAIL(&ns->mounts, m, ns_link);
	}
	mounts_change_end();
	return n < MOUNTS_MAX ? 0 : -ENOSPC;
}

// The deepest mount below m, or m itself.
static struct mount *deepest_locked(struct mount *m)
{
	struct mount *child;

	TAILQ_FOREACH(child, &m->ns->mounts, ns_link)
		if (child->parent == m)
			return deepest_locked(child);
	return m;
}

int mount_detach(struct mount *m, bool lazy)
{
	struct mount *gone, *parent;
	struct dentry *at;
	int err;

	if (!lazy)
		late_await_all(); // somebody may have closed what is open there
	do {
		mounts_change_begin();
		err = !m->ns || !m->parent ? -EINVAL : 0;
		gone = err ? m : deepest_locked(m);
		if (!err && !lazy && (gone != m || atomic_load(&m->ref.count) > 2)) // the namespace's and the caller's
			err = -EBUSY;
		if (!err)
			unlink_locked(gone, &parent, &at);
		mounts_change_end();
		if (err)
			return err;
		dentry_put(at);
		mount_put(parent);
		mount_put(gone);
	} while (gone != m);
	return 0;
}

int vfs_mount_at(struct mount_ns *ns, const struct path *where, struct super_block *sb, unsigned mnt_flags)
{
	struct mount *m = mount_create(sb, sb->root, mnt_flags);
	int err;

	sb_put(sb);
	if (!m)
		return -ENOMEM;
	err = mount_attach(ns, where, m);
	if (err)
		mount_put(m);
	return err;
}

// Writes the path backwards from the buffer's end. Answers where it begins, or NULL if it doesn't fit.
static char *path_backwards(const struct path *p, const struct path *root, char *buf, size_t cap, bool *out_reachable)
{
	struct vfs *vfs = kernel()->vfs;
	const struct dentry *d = p->dentry;
	const struct mount *m = p->mnt;
	char *at = buf + cap;

	*out_reachable = true;
	*--at = 0;
	mutex_lock(&vfs->mount_mu);
	mutex_lock(&vfs->dcache_mu);
	for (;;) {
		if (root && m == root->mnt && d == root->dentry)
			break;
		if (d == m->root) {
			if (!m->parent) {
				*out_reachable = !root || (m->ns && m == root->mnt);
				break;
			}
			d = m->mountpoint;
			m = m->parent;
			continue;
		}
		if (dentry_is_root(d)) {
			*out_reachable = false;
			break;
		}
		if ((size_t)(at - buf) < d->len + 1u) {
			at = NULL;
			break;
		}
		at -= d->len;
		memcpy(at, d->name, d->len);
		*--at = '/';
		d = d->parent;
	}
	mutex_unlock(&vfs->dcache_mu);
	mutex_unlock(&vfs->mount_mu);
	if (at && !*at && at > buf)
		*--at = '/';
	return at;
}

bool path_is_gone(const struct path *p)
{
	const struct dentry *d = p->dentry;

	return !d->hashed && !dentry_is_root(d) && d != p->mnt->root && !(d->inode && d->inode->uncached);
}

int64_t vfs_path_string(const struct path *p, const struct path *root, bool tells, char *dst, size_t cap)
{
	static const char unreachable[] = "(unreachable)", deleted[] = " (deleted)";
	char buf[PATH_MAX + 16];
	bool reachable, gone;
	char *at;
	int n;

	if (p->mnt == kernel()->vfs->anon_mnt) {
		n = snprintf(dst, cap, "%s", p->dentry->name);
		return n < (int)cap ? n : -ERANGE;
	}
	at = path_backwards(p, root, buf, sizeof(buf), &reachable);
	if (!at)
		return -ENAMETOOLONG;
	if (p->mnt == kernel()->vfs->memfd_mnt)
		reachable = true; // nobody's place, but shown like one
	gone = path_is_gone(p);
	n = snprintf(dst, cap, "%s%s%s", reachable || !tells ? "" : unreachable, at, gone ? deleted : "");
	return n < (int)cap ? n : -ERANGE;
}

void vfs_each_mount(struct fs_context *fs, void (*fn)(void *arg, struct mount *m, const char *mount_point), void *arg)
{
	struct vfs *vfs = kernel()->vfs;
	struct mount *all[MOUNTS_MAX], *m;
	char where[PATH_MAX];
	struct path root;
	int n = 0;

	mutex_lock(&fs->mu);
	root = path_get(&fs->root);
	mutex_unlock(&fs->mu);
	mutex_lock(&vfs->mount_mu);
	TAILQ_FOREACH(m, &fs->mnt_ns->mounts, ns_link)
		if (n < MOUNTS_MAX)
			all[n++] = mount_get(m);
	mutex_unlock(&vfs->mount_mu);
	for (int i = 0; i < n; i++) {
		struct path p = {all[i], all[i]->root};

		if (vfs_path_string(&p, &root, true, where, sizeof(where)) >= 0 && where[0] == '/')
			fn(arg, all[i], where);
		mount_put(all[i]);
	}
	path_put(&root);
}
