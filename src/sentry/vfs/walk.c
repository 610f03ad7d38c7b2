// The path walk: names to paths, through mounts, symbolic links and "..", within the bounds that the flags set.
#include <fcntl.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_int.h"

static bool may_search(struct walk *w, int *out_err)
{
	struct inode *dir = dentry_inode(w->at.dentry);

	*out_err = 0;
	if (!S_ISDIR(dir->attr.mode))
		*out_err = -ENOTDIR;
	else if (w->cred)
		*out_err = inode_permission(dir, w->cred, MAY_EXEC);
	return *out_err == 0;
}

// Looked up when it is needed: few walks go up or through an absolute link.
static const struct path *walk_root(struct walk *w)
{
	if (!w->root.mnt) {
		mutex_lock(&w->t->fs->mu);
		w->root = path_get(&w->t->fs->root);
		mutex_unlock(&w->t->fs->mu);
	}
	return &w->root;
}

static void to_root(struct walk *w)
{
	struct path r = path_get(walk_root(w));

	path_set(&w->at, r.mnt, r.dentry);
}

static int begin_bound(struct walk *w, const struct path *dir, const char *path, unsigned flags)
{
	if (dir) {
		w->at = path_get(dir);
	} else {
		mutex_lock(&w->t->fs->mu);
		w->at = path_get(&w->t->fs->cwd);
		mutex_unlock(&w->t->fs->mu);
	}
	if (flags & LOOKUP_IN_ROOT)
		w->root = path_get(&w->at);
	if (flags & LOOKUP_BENEATH)
		w->start = path_get(&w->at);
	return path[0] == '/' && (flags & LOOKUP_BENEATH) ? -EXDEV : 1;
}

// 0: at is what path leads to, if whole; 1: the walk goes on from at.
static int begin(struct walk *w, struct task *t, const struct path *dir, const char *path, unsigned flags, bool whole)
{
	w->t = t;
	w->cred = t ? t->cred : NULL;
	w->at = w->root = w->start = (struct path){0};
	w->flags = flags;
	w->links = 0;
	w->buf = NULL;
	w->rest = path;
	if (flags & LOOKUP_CACHED)
		return -EAGAIN; // never promised: the caller tries again without
	if (!path[0] && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	if (!t) {
		w->root = path_get(dir);
		w->at = path_get(dir);
		return 1;
	}
	if (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
		return begin_bound(w, dir, path, flags);
	return walk_cached(w, dir, whole);
}

int walk_begin(struct walk *w, struct task *t, const struct path *dir, const char *path, unsigned flags)
{
	int err = begin(w, t, dir, path, flags, false);

	return err < 0 ? err : 0;
}

void walk_end(struct walk *w)
{
	path_put(&w->at);
	path_put(&w->root);
	path_put(&w->start);
	kmem_bytes_free(w->buf);
	w->buf = NULL;
}

static int go_up(struct walk *w)
{
	struct mount *before = w->at.mnt;

	if ((w->flags & LOOKUP_BENEATH) && path_equal(&w->at, &w->start))
		return -EXDEV;
	path_up(&w->at, walk_root(w));
	if ((w->flags & LOOKUP_NO_XDEV) && w->at.mnt != before)
		return -EXDEV;
	return 0;
}

// The child of at: counted, maybe negative, with what is mounted on it. Its mount is counted only if it isn't at's own (*out_crossed): few are.
static int child(struct walk *w, const char *name, size_t len, struct path *out, bool *out_crossed)
{
	struct dentry *d;
	int err;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	err = dentry_lookup_ahead(w->at.dentry, name, len, w->flags & LOOKUP_OPEN, &d);
	if (err)
		return err;
	*out = (struct path){w->at.mnt, d};
	*out_crossed = false;
	if (d->mounted) {
		mount_get(out->mnt);
		*out_crossed = true;
		path_follow_mounts(out);
		if ((w->flags & LOOKUP_NO_XDEV) && out->mnt != w->at.mnt) {
			path_put(out);
			return -EXDEV;
		}
	}
	return 0;
}

static void child_put(struct path *p, bool crossed)
{
	if (crossed)
		path_put(p);
	else
		dentry_put(p->dentry);
}

// A link is followed: its target stands before what is left of the path. link is the caller's still.
static int follow(struct walk *w, const struct path *link, const char *rest)
{
	struct inode *inode = dentry_inode(link->dentry);
	size_t rest_len = strlen(rest);
	struct path target;
	char *buf;
	int n;

	if (++w->links > SYMLINKS_MAX || (w->flags & LOOKUP_NO_SYMLINKS))
		return -ELOOP;
	if (inode->ops->magic_link && w->t) {
		int err;

		if (w->flags & LOOKUP_NO_MAGICLINKS)
			return -ELOOP;
		if (w->flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT))
			return -EXDEV;
		err = inode->ops->magic_link(inode, w->t, &target);
		if (err != -EINVAL) { // EINVAL: an ordinary link after all
			if (err)
				return err;
			path_set(&w->at, target.mnt, target.dentry);
			buf = kmem_strdup(rest);
			if (!buf)
				return -ENOMEM;
			kmem_bytes_free(w->buf);
			w->rest = w->buf = buf;
			return 0;
		}
	}
	buf = kmem_bytes(PATH_MAX + rest_len + 2);
	if (!buf)
		return -ENOMEM;
	n = inode_readlink(inode, buf, PATH_MAX - 1);
	if (n <= 0) {
		kmem_bytes_free(buf);
		return n ? n : -ENOENT;
	}
	buf[n] = 0;
	if (buf[0] == '/') {
		if (w->flags & LOOKUP_BENEATH) {
			kmem_bytes_free(buf);
			return -EXDEV;
		}
		to_root(w);
	}
	if (rest_len) {
		buf[n] = '/';
		memcpy(buf + n + 1, rest, rest_len + 1);
	}
	kmem_bytes_free(w->buf);
	w->rest = w->buf = buf;
	return 0;
}

int walk_to_parent(struct walk *w)
{
	int err;

	for (;;) {
		const char *name, *end, *after;
		struct path next;
		bool crossed;

		while (*w->rest == '/')
			w->rest++;
		name = w->rest;
		end = strchrnul(name, '/');
		for (after = end; *after == '/'; after++)
			;
		if (name == end) {
			w->last_kind = LAST_ROOT; // nothing is left: at is it
			w->last_slash = false;
			return 0;
		}
		if (!may_search(w, &err))
			return err;
		if (!*after) { // the last one
			w->last_len = end - name;
			if (w->last_len > NAME_MAX)
				return -ENAMETOOLONG;
			memcpy(w->last, name, w->last_len);
			w->last[w->last_len] = 0;
			w->last_slash = *end == '/';
			w->last_kind = strcmp(w->last, ".") == 0 ? LAST_DOT : strcmp(w->last, "..") == 0 ? LAST_DOTDOT : LAST_NAME;
			return 0;
		}
		if (end - name == 1 && name[0] == '.') {
			w->rest = after;
			continue;
		}
		if (end - name == 2 && name[0] == '.' && name[1] == '.') {
			err = go_up(w);
			if (err)
				return err;
			w->rest = after;
			continue;
		}
		err = child(w, name, end - name, &next, &crossed);
		if (err)
			return err;
		if (!dentry_inode(next.dentry)) {
			child_put(&next, crossed);
			return -ENOENT;
		}
		if (S_ISLNK(dentry_inode(next.dentry)->attr.mode)) {
			if (!crossed)
				mount_get(next.mnt); // at may leave it
			err = follow(w, &next, after);
			path_put(&next);
			if (err)
				return err;
			continue;
		}
		if (crossed) {
			path_set(&w->at, next.mnt, next.dentry);
		} else {
			dentry_put(w->at.dentry); // next holds its parent
			w->at.dentry = next.dentry;
		}
		w->rest = after;
	}
}

int walk_last(struct walk *w, bool follow_link, struct path *out)
{
	struct inode *inode;
	bool crossed;
	int err = 0;

	switch (w->last_kind) {
	case LAST_DOTDOT:
		err = go_up(w);
		/* fallthrough */
	case LAST_ROOT:
	case LAST_DOT:
		if (!err)
			*out = path_get(&w->at);
		return err;
	case LAST_NAME:
		break;
	}
	err = child(w, w->last, w->last_len, out, &crossed);
	if (err)
		return err;
	if (!crossed)
		mount_get(out->mnt);
	inode = dentry_inode(out->dentry);
	if (inode && S_ISLNK(inode->attr.mode) && (follow_link || w->last_slash)) {
		err = follow(w, out, w->last_slash ? "/" : "");
		path_put(out);
		return err ?: 1;
	}
	if (inode && w->last_slash && !S_ISDIR(inode->attr.mode)) {
		path_put(out);
		return -ENOTDIR;
	}
	return 0;
}

int vfs_lookup(struct task *t, const struct path *dir, const char *path, unsigned flags, struct path *out_path)
{
	struct walk w;
	int err = begin(&w, t, dir, path, flags, true);

	if (err == 0) {
		*out_path = w.at;
	} else {
		while (err == 1)
			err = walk_to_parent(&w) ?: walk_last(&w, flags & LOOKUP_FOLLOW, out_path);
		walk_end(&w);
	}
	if (err)
		return err;
	if (!dentry_inode(out_path->dentry))
		err = -ENOENT;
	else if ((flags & LOOKUP_DIRECTORY) && !S_ISDIR(dentry_inode(out_path->dentry)->attr.mode))
		err = -ENOTDIR;
	if (err)
		path_put(out_path);
	return err;
}

int vfs_lookup_parent(struct task *t, const struct path *dir, const char *path, unsigned flags, struct path *out_dir,
		      const char **out_name, size_t *out_len)
{
	struct walk w;
	int err = walk_begin(&w, t, dir, path, flags) ?: walk_to_parent(&w);

	if (!err) {
		// The last component is never a link that was followed, so it stands at the end of path itself.
		const char *end = path + strlen(path);

		while (end > path && end[-1] == '/')
			end--;
		*out_len = w.last_kind == LAST_ROOT ? 0 : w.last_len;
		*out_name = end - *out_len;
		*out_dir = path_get(&w.at);
	}
	walk_end(&w);
	return err;
}

int vfs_lookup_at(struct task *t, int dirfd, uaddr_t upath, unsigned flags, struct path *out_path)
{
	char path[PATH_MAX];
	long len = copy_in_path(t, path, upath);

	if (len < 0)
		return (int)len;
	return vfs_lookup_from(t, dirfd, path, flags, out_path);
}

int vfs_lookup_from(struct task *t, int dirfd, const char *path, unsigned flags, struct path *out_path)
{
	struct file *f;
	int err;

	if (path[0] == '/' || dirfd == AT_FDCWD)
		return vfs_lookup(t, NULL, path, flags, out_path);
	f = fd_file_any(t, dirfd);
	if (!f)
		return -EBADF;
	err = 0;
	if (!path[0] && (flags & LOOKUP_EMPTY))
		*out_path = path_get(&f->path);
	else
		err = vfs_lookup(t, &f->path, path, flags, out_path);
	file_put(f);
	return err;
}

int vfs_dirfd(struct task *t, int dirfd, const char *path, struct path *out_dir)
{
	struct file *f;

	*out_dir = (struct path){0};
	if (path[0] == '/' || dirfd == AT_FDCWD)
		return 0;
	f = fd_file_any(t, dirfd);
	if (!f)
		return -EBADF;
	*out_dir = path_get(&f->path);
	file_put(f);
	return 0;
}
