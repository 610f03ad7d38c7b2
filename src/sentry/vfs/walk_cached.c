// The part of a path walk that leads over cached names only, most often all of it: one lock, and a reference to where it ends.
//
// Under vfs->dcache_mu nothing that is looked at here can go away. A hashed dentry has the cache's reference, which is given back after it was
// unhashed under the lock, and holds its parent and its inode, which it keeps for life. A mount in a namespace's list has the
// list's reference, and the root and working directory are the fs_context's; both are changed under this lock, too, and
// what they held is put after it. So borrowed pointers do until the lock is given up. What needs the file system (an unknown name, a cached one
// that is to be checked) or more than the cache (a symbolic link) is left to the walk in walk.c, which goes on from there.
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

enum { STOPPED = 1 };

// Into what is mounted on it.
static void into_mounts_locked(struct path *p)
{
	struct mount *m;

	while (p->dentry->mounted && (m = mount_on_locked(p)))
		*p = (struct path){m, m->root};
}

static bool up_locked(struct path *at, const struct path *root)
{
	struct dentry *parent = at->dentry->parent;

	if (path_equal(at, root) || at->dentry == at->mnt->root || parent->mounted)
		return false;
	at->dentry = parent;
	return true;
}

static int may_search(const struct inode *dir, const struct cred *cred)
{
	return S_ISDIR(dir->attr.mode) ? inode_permission_mode(dir, cred, MAY_EXEC) : -ENOTDIR;
}

// The step to name, behind which slash stands or not. 0: at is there.
static int step_locked(struct path *at, const struct path *root, const char *name, size_t len, bool slash, bool last, unsigned flags)
{
	struct path next = {at->mnt};
	struct inode *inode;

	if (len == 1 && name[0] == '.')
		return 0;
	if (len == 2 && name[0] == '.' && name[1] == '.')
		return up_locked(at, root) ? 0 : STOPPED;
	next.dentry = dentry_find_locked(at->dentry, name, len);
	if (!next.dentry)
		return STOPPED;
	into_mounts_locked(&next);
	if ((flags & LOOKUP_NO_XDEV) && next.mnt != at->mnt)
		return STOPPED;
	inode = dentry_inode(next.dentry);
	if (!inode)
		return -ENOENT;
	if (S_ISLNK(inode->attr.mode) && (!last || slash || (flags & LOOKUP_FOLLOW)))
		return STOPPED;
	if (last && slash && !S_ISDIR(inode->attr.mode))
		return -ENOTDIR;
	*at = next;
	return 0;
}

static const char *skip_slashes(const char *p)
{
	while (*p == '/')
		p++;
	return p;
}

// *in: the directory that the last name was looked up in.
static int steps_locked(const struct cred *cred, struct path *at, const struct path *root, const char **path, unsigned flags, bool whole, struct dentry **in)
{
	int err;

	for (;;) {
		const struct inode *dir = dentry_inode(at->dentry);
		const char *name = skip_slashes(*path), *end = strchrnul(name, '/'), *after = skip_slashes(end);

		*path = name;
		if (name == end)
			return whole ? 0 : STOPPED;
		if ((!*after && !whole) || dir->ops->revalidate || dir->ops->permission)
			return STOPPED;
		*in = at->dentry;
		err = may_search(dir, cred) ?: step_locked(at, root, name, end - name, *end, !*after, flags);
		if (err)
			return err;
		*path = after;
	}
}

int walk_cached(struct task *t, const struct path *dir, const char **path, unsigned flags, bool whole, struct path *out)
{
	struct vfs *vfs = kernel()->vfs;
	const struct path *root = &t->fs->root;
	struct dentry *in = NULL;
	struct path at;
	int err;

	mutex_lock(&vfs->dcache_mu);
	at = **path == '/' ? *root : dir ? *dir : t->fs->cwd;
	err = steps_locked(t->cred, &at, root, path, flags, whole, &in);
	if (t->remember.state)
		remember_walk_locked(t, in, whole, err);
	if (err >= 0)
		*out = path_get(&at);
	mutex_unlock(&vfs->dcache_mu);
	return err;
}
