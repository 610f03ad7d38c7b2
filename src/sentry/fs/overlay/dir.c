// The overlay's directories: look-up through the layers, changes in the upper one, and the merged listing.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/overlay/overlay_int.h"

enum { TREE_ENTRIES_MAX = 1 << 16, TREE_DEPTH_MAX = 64 };

static int bring_up_tree(struct overlay_node *n, int *budget, int depth);

// For the layer below; names that the upper one hides are rare.
static void dir_ahead(struct dentry *dir, const char *path, bool opens)
{
	struct overlay_node *d = overlay_node(dentry_inode(dir));

	if (d->lower)
		dentry_ahead(d->lower, path, opens);
}

static int dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	struct overlay_node *d = overlay_node(dir), *n;
	struct inode *upper = d->upper ? overlay_upper_lookup(d->upper, name, len) : NULL;
	struct dentry *lower = NULL;
	int err = 0;

	if (upper && overlay_is_whiteout(upper)) {
		inode_put(upper);
		return -ENOENT;
	}
	if (d->lower && (!upper || S_ISDIR(upper->attr.mode)) && !(d->upper && overlay_is_opaque(d->upper)) &&
	    !(upper && overlay_is_opaque(upper)))
		err = dentry_lookup(d->lower, name, len, &lower);
	if (err) {
		inode_put(upper);
		return err;
	}
	if (lower && (!dentry_inode(lower) || (upper && !S_ISDIR(dentry_inode(lower)->attr.mode)))) {
		dentry_put(lower);
		lower = NULL;
	}
	if (!upper && !lower)
		return -ENOENT;
	n = overlay_node_get(dir->sb, upper, lower, d, name, len);
	if (!n)
		return -ENOMEM;
	*out_inode = &n->inode;
	return 0;
}

// The upper directory, ready for a new entry of that name: copied up, and without a whiteout. *out_hidden: something below is hidden.
static int prepare(struct overlay_node *d, const char *name, size_t len, struct inode **out_upper, bool *out_hidden)
{
	int err = overlay_copy_up(d, true);

	if (err)
		return err;
	*out_upper = d->upper;
	err = overlay_remove_whiteout(d->upper, name, len);
	*out_hidden = err == 1 || (err == 0 && overlay_lower_has(d, name, len));
	return err < 0 ? err : 0;
}

// What was hidden stays so, also when the change failed.
static void hide_again(struct inode *upper, const char *name, size_t len, bool hidden, int err)
{
	if (err && hidden)
		overlay_whiteout(upper, name, len);
}

static int made(struct overlay_node *d, const char *name, size_t len, struct inode *upper, struct inode **out_inode)
{
	struct overlay_node *n = overlay_node_get(d->inode.sb, upper, NULL, d, name, len);

	overlay_mirror(d);
	if (!n)
		return -ENOMEM;
	*out_inode = &n->inode;
	return 0;
}

static int dir_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		      struct inode **out_inode)
{
	struct overlay_node *d = overlay_node(dir);
	struct inode *upper, *child = NULL;
	bool hidden;
	int err;

	if (S_ISCHR(mode) && rdev == 0)
		return -EPERM; // it would be a whiteout
	err = prepare(d, name, len, &upper, &hidden);
	if (err)
		return err;
	mutex_lock(&upper->mu);
	err = upper->ops->create(upper, name, len, mode, rdev, cred, &child);
	mutex_unlock(&upper->mu);
	if (!err && S_ISDIR(mode) && hidden)
		err = overlay_set_opaque(child);
	hide_again(upper, name, len, hidden, err);
	return err ?: made(d, name, len, child, out_inode);
}

static int dir_symlink(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		       struct inode **out_inode)
{
	struct overlay_node *d = overlay_node(dir);
	struct inode *upper, *child = NULL;
	bool hidden;
	int err = prepare(d, name, len, &upper, &hidden);

	if (err)
		return err;
	mutex_lock(&upper->mu);
	err = upper->ops->symlink(upper, name, len, target, cred, &child);
	mutex_unlock(&upper->mu);
	hide_again(upper, name, len, hidden, err);
	return err ?: made(d, name, len, child, out_inode);
}

static int dir_link(struct inode *dir, const char *name, size_t len, struct inode *target)
{
	struct overlay_node *d = overlay_node(dir), *n = overlay_node(target);
	struct inode *upper, *upper_target;
	bool hidden;
	int err = overlay_copy_up(n, true) ?: prepare(d, name, len, &upper, &hidden);

	if (err)
		return err;
	upper_target = n->upper;
	mutex_lock(&upper->mu);
	mutex_lock(&upper_target->mu);
	err = upper->ops->link(upper, name, len, upper_target);
	mutex_unlock(&upper_target->mu);
	mutex_unlock(&upper->mu);
	hide_again(upper, name, len, hidden, err);
	overlay_mirror(n);
	overlay_mirror(d);
	return err;
}

static int dir_tmpfile(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out_inode)
{
	struct overlay_node *d = overlay_node(dir);
	struct inode *upper, *child = NULL;
	int err = overlay_copy_up(d, true);

	if (err)
		return err;
	upper = d->upper;
	mutex_lock(&upper->mu);
	err = upper->ops->tmpfile ? upper->ops->tmpfile(upper, mode, cred, &child) : -EOPNOTSUPP;
	mutex_unlock(&upper->mu);
	return err ?: made(d, "", 0, child, out_inode);
}

// Takes victim's entry out of the upper directory if it is there, and hides what lies below.
static int remove_entry(struct overlay_node *d, const char *name, size_t len, struct overlay_node *victim, bool directory)
{
	bool below = overlay_lower_has(d, name, len);
	struct inode *upper, *upper_victim = victim->upper;
	int err = overlay_copy_up(d, true);

	if (err)
		return err;
	upper = d->upper;
	if (upper_victim) {
		if (directory)
			err = overlay_clear_whiteouts(upper_victim);
		mutex_lock(&upper->mu);
		mutex_lock(&upper_victim->mu);
		if (!err)
			err = directory ? upper->ops->rmdir(upper, name, len, upper_victim)
					: upper->ops->unlink(upper, name, len, upper_victim);
		mutex_unlock(&upper_victim->mu);
		mutex_unlock(&upper->mu);
	}
	if (!err && below)
		err = overlay_whiteout(upper, name, len);
	overlay_mirror(d);
	if (upper_victim)
		overlay_mirror(victim);
	else if (!err)
		victim->inode.attr.nlink = 0;
	return err;
}

static int dir_unlink(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	return remove_entry(overlay_node(dir), name, len, overlay_node(victim), false);
}

static int dir_rmdir(struct inode *dir, const char *name, size_t len, struct inode *victim)
{
	int err;

	if (!overlay_dir_empty(overlay_node(victim), &err))
		return err ? err : -ENOTEMPTY;
	return remove_entry(overlay_node(dir), name, len, overlay_node(victim), true);
}

// In the upper layer alone; both directories and the entry are there.
static int rename_upper(struct overlay_node *from, const char *old_name, size_t old_len, struct overlay_node *to, const char *new_name,
			size_t new_len, struct overlay_node *victim, struct overlay_node *target, unsigned flags)
{
	struct inode *a = from->upper, *b = to->upper;
	int err;

	// Ancestors first would need their places; the overlay's own locks already keep every other rename out.
	mutex_lock(a < b ? &a->mu : &b->mu);
	if (a != b)
		mutex_lock(a < b ? &b->mu : &a->mu);
	err = a->ops->rename(a, old_name, old_len, b, new_name, new_len, victim->upper, target ? (struct inode *)target->upper : NULL,
			     flags);
	mutex_unlock(&a->mu);
	if (a != b)
		mutex_unlock(&b->mu);
	return err;
}

// What moves comes up whole: a directory with something below it could not take that along. One that is too large or too deep stays
// (-EXDEV, as Linux's overlayfs answers for every such directory), and mv copies it.
static int bring_up(struct overlay_node *n)
{
	int budget = TREE_ENTRIES_MAX;

	return S_ISDIR(n->inode.attr.mode) && n->lower ? bring_up_tree(n, &budget, 0) : overlay_copy_up(n, true);
}

static int dir_rename(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir, const char *new_name,
		      size_t new_len, struct inode *victim_inode, struct inode *target_inode, unsigned flags)
{
	struct overlay_node *from = overlay_node(old_dir), *to = overlay_node(new_dir), *victim = overlay_node(victim_inode);
	struct overlay_node *target = target_inode ? overlay_node(target_inode) : NULL;
	bool dir = S_ISDIR(victim_inode->attr.mode), exchange = flags & RENAME_EXCHANGE;
	bool below_old = overlay_lower_has(from, old_name, old_len), below_new = overlay_lower_has(to, new_name, new_len);
	int err;

	if (flags & RENAME_WHITEOUT)
		return -EINVAL;
	if (target && !exchange && S_ISDIR(target_inode->attr.mode) && !overlay_dir_empty(target, &err))
		return err ? err : -ENOTEMPTY;
	err = bring_up(victim) ?: overlay_copy_up(from, true) ?: overlay_copy_up(to, true);
	if (!err && exchange)
		err = bring_up(target);
	if (!err && target && !exchange && target->upper && S_ISDIR(target_inode->attr.mode))
		err = overlay_clear_whiteouts(target->upper);
	if (!err && !(target && target->upper))
		err = overlay_remove_whiteout(to->upper, new_name, new_len);
	if (err < 0)
		return err;
	err = rename_upper(from, old_name, old_len, to, new_name, new_len, victim, target && target->upper ? target : NULL, flags);
	if (err)
		return err;
	if (dir && below_new)
		err = overlay_set_opaque(victim->upper);
	if (exchange) {
		if (S_ISDIR(target_inode->attr.mode) && below_old)
			err = overlay_set_opaque(target->upper);
		overlay_place(target, from, old_name, old_len);
	} else if (below_old) {
		err = overlay_whiteout(from->upper, old_name, old_len);
	}
	overlay_place(victim, to, new_name, new_len);
	overlay_mirror(from);
	overlay_mirror(to);
	overlay_mirror(victim);
	if (target && target->upper)
		overlay_mirror(target);
	else if (target)
		target->inode.attr.nlink = 0;
	return err;
}

const struct inode_ops overlay_dir_ops = {
	.ahead = dir_ahead, .lookup = dir_lookup,
	.create = dir_create,
	.symlink = dir_symlink,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
	.tmpfile = dir_tmpfile,
	.getattr = overlay_getattr,
	.setattr = overlay_setattr,
	.open = overlay_open,
	.getxattr = overlay_getxattr,
	.setxattr = overlay_setxattr,
	.listxattr = overlay_listxattr,
	.removexattr = overlay_removexattr,
	.remember = overlay_remember,
	.destroy = overlay_node_destroy,
};

// --- listing: the layers' entries are merged once, when reading starts, and served from that; those of a directory that is below alone, as
// most are, come from there directly

struct entry {
	char *name; // kmem_bytes
	uint32_t len;
	unsigned char type;
	bool whiteout;
	uint64_t ino;
};

struct listing {
	struct dir_emit emit;
	struct entry *v;
	size_t n, cap, nupper; // nupper: the upper layer's, sorted, come first
	bool from_upper, failed;
	struct file *below; // counted; what is read is its listing, the above is empty
};

KMEM_TYPE(listing_type, listing);

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool collect(struct dir_emit *d, const char *name, size_t len, uint64_t ino, unsigned char d_type, int64_t next_pos)
{
	struct listing *l = container_of(d, struct listing, emit);
	struct entry e = {.len = (uint32_t)len, .type = d_type, .ino = ino};

	(void)next_pos;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return true;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct entry *v = kmem_bytes_resize(l->v, cap * sizeof(*v));

		if (!v)
			goto fail;
		l->v = v;
		l->cap = cap;
	}
	e.name = kmem_strndup(name, len);
	if (!e.name)
		goto fail;
	if (!l->from_upper && l->nupper && bsearch(&e, l->v, l->nupper, sizeof(e), by_name)) {
		kmem_bytes_free(e.name); // the upper one stands before it
		return true;
	}
	l->v[l->n++] = e;
	return true;

fail:
	l->failed = true;
	return false;
}

static int read_all(struct file *f, struct listing *l)
{
	int64_t pos = 0, before;
	int err;

	do {
		before = pos;
		err = f->ops->readdir ? f->ops->readdir(f, &l->emit, &pos) : -ENOTDIR;
	} while (!err && !l->failed && pos != before);
	return l->failed ? -ENOMEM : err;
}

static void listing_fini(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		kmem_bytes_free(l->v[i].name);
	kmem_bytes_free(l->v);
	l->v = NULL;
	l->n = l->cap = l->nupper = 0;
	l->failed = false;
	file_put(l->below);
	l->below = NULL;
}

static int open_below(struct overlay_node *n, struct file **out)
{
	struct path p = {overlay_sb(n)->lower_mnt, n->lower};

	return vfs_open_path(NULL, &p, O_RDONLY | O_DIRECTORY, out);
}

static int listing_build(struct overlay_node *n, struct listing *l)
{
	struct inode *upper = n->upper;
	int err = 0;

	listing_fini(l);
	l->emit.emit = collect;
	if (upper) {
		struct file f = {.ops = upper->file_ops, .inode = upper, .flags = O_RDONLY};

		l->from_upper = true;
		err = read_all(&f, l);
		if (l->n)
			qsort(l->v, l->n, sizeof(*l->v), by_name);
		l->nupper = l->n;
		for (size_t i = 0; i < l->n && !err; i++) {
			struct inode *real = overlay_upper_lookup(upper, l->v[i].name, l->v[i].len);

			l->v[i].whiteout = real && overlay_is_whiteout(real);
			if (real)
				l->v[i].ino = overlay_number(real, NULL);
			inode_put(real);
		}
	}
	if (!err && n->lower && !(upper && overlay_is_opaque(upper))) {
		struct file *f;

		l->from_upper = false;
		err = open_below(n, &f);
		if (!err) {
			err = read_all(f, l);
			file_put(f);
		}
	}
	return err;
}

bool overlay_dir_empty(struct overlay_node *n, int *out_err)
{
	struct listing l = {0};
	bool empty = true;

	*out_err = listing_build(n, &l);
	for (size_t i = 0; i < l.n; i++)
		empty &= l.v[i].whiteout;
	listing_fini(&l);
	return empty && !*out_err;
}

int overlay_clear_whiteouts(struct inode *upper_dir)
{
	struct file f = {.ops = upper_dir->file_ops, .inode = upper_dir, .flags = O_RDONLY};
	struct listing l = {.emit = {collect}, .from_upper = true};
	int err = read_all(&f, &l);

	for (size_t i = 0; i < l.n && err >= 0; i++)
		err = overlay_remove_whiteout(upper_dir, l.v[i].name, l.v[i].len);
	listing_fini(&l);
	return err < 0 ? err : 0;
}

// The file's listing, made anew when reading starts. n's mu is held.
static int listing_for(struct overlay_node *n, struct file *f, int64_t pos, struct listing **out)
{
	struct listing *l = f->priv;

	if (!l)
		l = f->priv = kmem_alloc(&listing_type);
	*out = l;
	if (!l)
		return -ENOMEM;
	if (pos)
		return 0;
	if (n->upper)
		return listing_build(n, l);
	listing_fini(l);
	return open_below(n, &l->below);
}

// A directory that is below alone bears the same numbers there, its parent's too, which is there as well.
static int dir_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct overlay_node *n = overlay_node(f->inode);
	struct listing *l;
	int err;

	mutex_lock(&f->inode->mu);
	err = listing_for(n, f, *pos, &l);
	if (!err && l->below) {
		err = l->below->ops->readdir ? l->below->ops->readdir(l->below, d, pos) : -ENOTDIR;
		mutex_unlock(&f->inode->mu);
		return err;
	}
	if (!err && *pos == 0 && d->emit(d, ".", 1, n->inode.attr.ino, DT_DIR, 1))
		*pos = 1;
	if (!err && *pos == 1 && d->emit(d, "..", 2, n->parent ? n->parent->inode.attr.ino : n->inode.attr.ino, DT_DIR, 2))
		*pos = 2;
	for (; !err && *pos >= 2 && (uint64_t)*pos - 2 < l->n; ++*pos) {
		const struct entry *e = &l->v[*pos - 2];

		if (!e->whiteout && !d->emit(d, e->name, e->len, e->ino, e->type, *pos + 1))
			break;
	}
	mutex_unlock(&f->inode->mu);
	return err;
}

static void dir_release(struct file *f)
{
	struct listing *l = f->priv;

	if (!l)
		return;
	listing_fini(l);
	kmem_free(&listing_type, l);
}

static int bring_up_tree(struct overlay_node *n, int *budget, int depth)
{
	struct listing l = {0};
	int err = overlay_copy_up(n, true);

	if (err || !S_ISDIR(n->inode.attr.mode) || !n->lower || overlay_is_opaque(n->upper))
		return err;
	if (depth == TREE_DEPTH_MAX)
		return -EXDEV;
	err = listing_build(n, &l);
	for (size_t i = 0; i < l.n && !err; i++) {
		struct inode *child = NULL;

		if (l.v[i].whiteout)
			continue;
		if (--*budget < 0) {
			err = -EXDEV;
			break;
		}
		mutex_lock(&n->inode.mu);
		err = dir_lookup(&n->inode, l.v[i].name, l.v[i].len, &child);
		mutex_unlock(&n->inode.mu);
		if (!err)
			err = bring_up_tree(overlay_node(child), budget, depth + 1);
		else if (err == -ENOENT)
			err = 0; // gone meanwhile
		inode_put(child);
	}
	listing_fini(&l);
	return err ?: overlay_set_opaque(n->upper);
}

const struct file_ops overlay_dir_file_ops = {.readdir = dir_readdir, .release = dir_release, .closes_late = true};
