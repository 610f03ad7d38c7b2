// The part of a path walk that leads over cached names only, most often all of it: one lock, and a reference to where it ends.
//
// Under vfs->dcache_mu nothing that is looked at here can go away. A hashed dentry has the cache's reference, which is given back after it was
// unhashed under the lock, and holds its parent and its inode, which it keeps for life. A mount in a namespace's list has the
// list's reference, and the root and working directory are the fs_context's; both are changed under this lock, too, and
// what they held is put after it. So borrowed pointers do until the lock is given up. A symbolic link whose target is known is followed, while what
// is behind it waits. What needs the file system (an unknown name, a cached one that is to be checked, a link's target) is left to the walk in
// walk.c, which goes on from there; or, if that is within a target, from the link in the path itself, since that walk knows one string only.
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs_int.h"

enum { STOPPED = 1, AT_LINK = 2 };
enum { WAITING_MAX = 8 };

struct steps {
	const struct walk *w;
	const struct path *root;
	bool whole;
	struct dentry *in; // the directory that the last name was looked up in
	struct place {
		struct path at;
		const char *rest; // what is left of the path, or of a link's target
		int links; // that were followed so far
	} now, link; // link: in the path itself, while a target is under way
	unsigned nwaiting;
	const char *waiting[WAITING_MAX]; // what is behind the links whose targets are under way; nothing is at most behind the first
};

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

// From at to its child. AT_LINK: it is a link that is to be followed.
static int child_locked(struct path *at, const char *name, size_t len, bool last, unsigned flags)
{
	const bool slash = name[len];
	struct path next = {at->mnt, dentry_find_locked(at->dentry, name, len)};
	struct inode *inode;

	if (!next.dentry)
		return STOPPED;
	into_mounts_locked(&next);
	if ((flags & LOOKUP_NO_XDEV) && next.mnt != at->mnt)
		return STOPPED;
	inode = dentry_inode(next.dentry);
	if (!inode)
		return -ENOENT;
	if (last && slash && !S_ISDIR(inode->attr.mode))
		return S_ISLNK(inode->attr.mode) ? STOPPED : -ENOTDIR;
	*at = next;
	return S_ISLNK(inode->attr.mode) && (!last || (flags & LOOKUP_FOLLOW)) ? AT_LINK : 0;
}

static int follow_locked(struct steps *s, struct dentry *link, const char *after)
{
	const char *target = dentry_inode(link)->link;

	if (!target || !*target || s->now.links == SYMLINKS_MAX || s->nwaiting == WAITING_MAX || (s->w->flags & (LOOKUP_NO_SYMLINKS | LOOKUP_NO_XDEV)))
		return STOPPED;
	if (!s->nwaiting)
		s->link = s->now;
	if (!s->nwaiting || *after)
		s->waiting[s->nwaiting++] = after;
	remember_crossed_locked(s->w->t, link);
	if (*target == '/')
		s->now.at = *s->root;
	s->now.rest = target;
	s->now.links++;
	return 0;
}

// The step to the name that now.rest begins with, before what is after it. 0: now is behind it.
static int step_locked(struct steps *s, size_t len, const char *after, bool last)
{
	const char *name = s->now.rest;
	struct path at = s->now.at;
	int err = 0;

	if (len == 2 && name[0] == '.' && name[1] == '.')
		err = up_locked(&at, s->root) ? 0 : STOPPED;
	else if (len != 1 || name[0] != '.')
		err = child_locked(&at, name, len, last, s->w->flags);
	if (err == AT_LINK)
		return follow_locked(s, at.dentry, after);
	if (err)
		return err;
	s->now.at = at;
	s->now.rest = after;
	return 0;
}

static const char *skip_slashes(const char *p)
{
	while (*p == '/')
		p++;
	return p;
}

static int steps_locked(struct steps *s)
{
	int err;

	for (;;) {
		const struct inode *dir = dentry_inode(s->now.at.dentry);
		const char *name = skip_slashes(s->now.rest), *end = strchrnul(name, '/'), *after = skip_slashes(end);
		const bool last = !*after && (!s->nwaiting || !*s->waiting[s->nwaiting - 1]);

		s->now.rest = name;
		if (name == end && s->nwaiting) {
			s->now.rest = s->waiting[--s->nwaiting];
			continue;
		}
		if (name == end)
			return s->whole ? 0 : STOPPED;
		if ((last && !s->whole) || dir->ops->revalidate || dir->ops->permission)
			return STOPPED;
		s->in = s->now.at.dentry;
		err = may_search(dir, s->w->cred) ?: step_locked(s, (size_t)(end - name), after, last);
		if (err)
			return err;
	}
}

int walk_cached(struct walk *w, const struct path *dir, bool whole)
{
	const struct fs_context *fs = w->t->fs;
	struct vfs *vfs = kernel()->vfs;
	struct steps s; // to clear it all would take as long as some of the steps
	int err;

	s.w = w;
	s.root = &fs->root;
	s.whole = whole;
	s.in = NULL;
	s.nwaiting = 0;
	mutex_lock(&vfs->dcache_mu);
	s.now = (struct place){*w->rest == '/' ? fs->root : dir ? *dir : fs->cwd, w->rest, 0};
	err = steps_locked(&s);
	if (w->t->remember.state)
		remember_walk_locked(w->t, s.in, whole, err);
	if (err == STOPPED && s.nwaiting)
		s.now = s.link;
	w->rest = s.now.rest;
	w->links = s.now.links;
	if (err >= 0)
		w->at = path_get(&s.now.at);
	mutex_unlock(&vfs->dcache_mu);
	return err;
}
