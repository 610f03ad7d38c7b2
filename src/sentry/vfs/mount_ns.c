// Mount namespaces of tasks: copying one.
#include "sentry/vfs/mount_ns.h"

#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

// The old mounts and their copies, by number: the same, counted.
struct copy {
	struct mount *old[MOUNTS_MAX], *new[MOUNTS_MAX];
	int n;
};

static struct mount *copy_of(const struct copy *c, const struct mount *old)
{
	for (int i = 0; i < c->n; i++)
		if (c->old[i] == old)
			return c->new[i];
	return NULL;
}

static struct mount *copy_mount(const struct mount *old)
{
	struct mount *m = mount_create(old->sb, old->root, old->flags);

	if (!m || !old->source)
		return m;
	m->source = kmem_bytes(strlen(old->source) + 1);
	if (!m->source) {
		mount_put(m);
		return NULL;
	}
	strcpy(m->source, old->source);
	return m;
}

static int copy_mounts_locked(struct copy *c, struct mount_ns *from)
{
	struct mount *m;

	TAILQ_FOREACH(m, &from->mounts, ns_link) {
		if (c->n == MOUNTS_MAX)
			return -ENOSPC;
		c->new[c->n] = copy_mount(m);
		if (!c->new[c->n])
			return -ENOMEM;
		c->old[c->n++] = mount_get(m);
	}
	return 0;
}

// Hangs the copies up in ns as the old ones hang: it takes a reference of each.
static void hang_up_locked(const struct copy *c, struct mount_ns *from, struct mount_ns *ns)
{
	for (int i = 0; i < c->n; i++) {
		struct path where = {copy_of(c, c->old[i]->parent), c->old[i]->mountpoint};
		struct mount *m = mount_get(c->new[i]);

		m->ns = ns;
		TAILQ_INSERT_TAIL(&ns->mounts, m, ns_link);
		if (where.mnt)
			mount_hang_locked(m, &where);
	}
	ns->root = copy_of(c, from->root);
}

// What lies in no mount of the old namespace (a detached one) stays where it is.
static void follow(const struct copy *c, struct path *p)
{
	struct mount *to = copy_of(c, p->mnt);

	if (to)
		path_set(p, mount_get(to), dentry_get(p->dentry));
}

int fs_context_unshare_mounts(struct fs_context *fs)
{
	struct vfs *vfs = kernel()->vfs;
	struct mount_ns *from = fs->mnt_ns, *ns = mount_ns_create_empty();
	struct copy *c = kmem_bytes(sizeof(*c));
	int err = ns && c ? 0 : -ENOMEM;

	remember_apart();
	if (c)
		c->n = 0;
	if (!err) {
		mutex_lock(&vfs->mount_mu);
		err = copy_mounts_locked(c, from);
		mutex_lock(&vfs->dcache_mu);
		if (!err)
			hang_up_locked(c, from, ns);
		mutex_unlock(&vfs->dcache_mu);
		mutex_unlock(&vfs->mount_mu);
	}
	if (!err) {
		follow(c, &fs->root);
		follow(c, &fs->cwd);
		fs->mnt_ns = ns;
		ns = from;
	}
	for (int i = 0; c && i < c->n; i++) {
		mount_put(c->old[i]);
		mount_put(c->new[i]);
	}
	kmem_bytes_free(c);
	mount_ns_put(ns);
	return err;
}
