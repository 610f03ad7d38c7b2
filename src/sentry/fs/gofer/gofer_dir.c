// Directories of the gofer file system: names that are known without asking.
//
// A listing is kept: in a tree that nobody else changes it answers look-ups, also of names that aren't there, and is kept up to date by our
// own changes.
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "abi/errno.h"
#include "gofer/message.h"
#include "host/hostfd.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/fs/gofer/gofer_listing.h"
#include "sentry/vfs/vfs_int.h"

enum { POS_FIRST = 2, GAPS_WORTH_IT = 256, ROOM_AT_ONCE = 64, ROOM_TRIES = 64, AHEAD_MAX = 16 };

// Neither others (shared) nor we (read-only, as under an overlay) do: what comes at any time holds.
static bool nobody_changes(struct inode *inode)
{
	return !gofer_sb(inode)->shared && (inode->sb->flags & ST_RDONLY);
}

void gofer_listing_add(struct gofer_inode *dir, const char *name, size_t len, struct gofer_inode *child)
{
	const struct gofer_listed_entry e = {.name = name, .len = len, .ino = child->inode.attr.ino, .type = IFTODT(child->inode.attr.mode)};

	if (!dir->listing || gofer_listing_append(dir->listing, &e) == 0)
		return;
	gofer_listing_free(dir->listing);
	dir->listing = NULL;
}

void gofer_listing_remove(struct gofer_inode *dir, const char *name, size_t len)
{
	if (dir->listing)
		gofer_listing_drop(dir->listing, name, len);
}

// What came along for the inode of a listed name.
static void give_along(struct gofer_inode *dir, struct listed *e, struct inode *inode)
{
	struct gofer_inode *gi = gofer_inode(inode);

	if (e->link != LISTING_NONE)
		inode_keep_link(inode, kmem_strndup(dir->listing->text + e->link, e->link_len)); // without memory it is asked for
	if (!e->below)
		return;
	mutex_lock(&inode->mu);
	if (!gi->listing) {
		gi->listing = e->below;
		e->below = NULL;
	}
	mutex_unlock(&inode->mu);
}

// What the listing knows: 1 (an inode), 0 (nothing), or -errno.
static int lookup_listed(struct gofer_inode *dir, const char *name, size_t len, struct inode **out)
{
	struct gofer_sb *gsb = gofer_sb(&dir->inode);
	struct gofer_listing *l = dir->listing;
	struct gofer_attr attr;
	struct listed *e;
	int err;

	if (!l || gsb->shared)
		return 0;
	err = gofer_listing_find(l, name, len, &e);
	if (err || !e)
		return err ?: -ENOENT;
	if (e->type != DT_DIR)
		gofer_fetch_wants_attrs(gsb);
	if (e->attr == LISTING_NONE && l->thin) {
		err = gofer_fetch_attrs(dir);
		if (err)
			return err;
	}
	if (e->attr == LISTING_NONE)
		return 0;
	attr = l->attrs[e->attr];
	if (!S_ISDIR(attr.mode) && attr.nlink > 1) // another name may have changed it
		return 0;
	err = gofer_inode_listed(dir, name, len, &attr, out);
	if (err)
		return err;
	give_along(dir, e, *out);
	if (!nobody_changes(&dir->inode))
		e->attr = LISTING_NONE; // the inode knows better from now on
	return 1;
}

void gofer_dir_list_root(struct inode *root)
{
	if (!S_ISDIR(root->attr.mode) || !nobody_changes(root))
		return;
	mutex_lock(&root->mu);
	gofer_fetch(gofer_inode(root), 1);
	mutex_unlock(&root->mu);
}

// Lets go of inodes that nobody uses, so that the gofer has descriptors again. Not under an overlay's own lock: their ends take it.
static void make_room(struct gofer_conn *conn)
{
	for (int tries = 0; conn->nnodes > conn->nodes_limit && tries < ROOM_TRIES; tries++)
		dcache_evict(ROOM_AT_ONCE);
}

int gofer_dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	struct gofer_name component = {name, len};
	struct gofer_entry entry;
	uint32_t found;
	uint64_t node;
	char *link = NULL;
	int err;

	if (!S_ISDIR(dir->attr.mode))
		return -ENOTDIR;
	make_room(gofer_sb(dir)->conn);
	err = lookup_listed(gofer_inode(dir), name, len, out_inode);
	if (err)
		return err > 0 ? 0 : err;
	err = gofer_inode_node(gofer_inode(dir), &node);
	err = err ?: AWAY(gofer_walk(gofer_client(dir), node, &component, 1, &entry, &found, &link, NULL));
	if (!err && found != 1)
		err = -EIO;
	err = err ?: gofer_inode_of(dir->sb, &entry, out_inode);
	if (err)
		kmem_bytes_free(link);
	else
		inode_keep_link(*out_inode, link);
	return err;
}

// The components at the start of path that one WALK may take: neither "." nor "..".
static uint32_t split(const char *path, struct gofer_name *out, uint32_t max)
{
	uint32_t n = 0;

	for (; n < max; n++) {
		const char *end;

		path += strspn(path, "/");
		end = strchrnul(path, '/');
		if (!msg_name_ok(path, (size_t)(end - path)))
			break;
		out[n] = (struct gofer_name){path, (size_t)(end - path)};
		path = end;
	}
	return n;
}

// Gives dir back; the child, counted, or NULL. link: what *link is goes to it.
static struct dentry *enter(struct dentry *dir, const struct gofer_name *name, const struct gofer_entry *entry, char **link)
{
	struct inode *inode;

	if (!dentry_inode(dir) || gofer_inode_of(dentry_inode(dir)->sb, entry, &inode) < 0) {
		dentry_put(dir);
		return NULL;
	}
	if (link) {
		inode_keep_link(inode, *link);
		*link = NULL;
	}
	return dentry_enter(dir, name->s, name->len, inode);
}

static bool is_listed(struct gofer_inode *dir)
{
	bool listed;

	mutex_lock(&dir->inode.mu);
	listed = dir->listing;
	mutex_unlock(&dir->inode.mu);
	return listed;
}

// The descriptor of the file that was walked to last (NULL: it couldn't be entered), so that opening it takes no message. -1: none.
static void keep(struct dentry *d, int fd)
{
	struct inode *inode = d ? dentry_inode(d) : NULL;
	struct hostfd *h;

	if (fd < 0)
		return;
	if (!inode || !S_ISREG(inode->attr.mode)) {
		close(fd);
		return;
	}
	h = hostfd_create(fd);
	if (h)
		gofer_files_keep(gofer_inode(inode), h, false);
}

// In trees that nobody changes alone, so that what comes may be entered at any time.
void gofer_dir_ahead(struct dentry *dir, const char *rest, bool opens)
{
	struct inode *root = dentry_inode(dir);
	struct gofer_name names[AHEAD_MAX];
	struct gofer_entry entries[AHEAD_MAX];
	struct dentry *at = dentry_get(dir);
	uint32_t count, found, i;
	char *link;
	uint64_t node;
	int err, fd = -1;

	if (!nobody_changes(root) || (count = split(rest, names, AHEAD_MAX)) < (opens ? 1 : 2) || (count == 1 && is_listed(gofer_inode(root))) ||
	    gofer_inode_node(gofer_inode(root), &node)) {
		dentry_put(at);
		return;
	}
	make_room(gofer_sb(root)->conn);
	err = AWAY(gofer_walk(gofer_client(root), node, names, count, entries, &found, &link, opens ? &fd : NULL));
	for (i = 0; i < found; i++) {
		if (!at)
			gofer_forget(gofer_client(root), entries[i].node);
		else
			at = enter(at, &names[i], &entries[i], i + 1 == found ? &link : NULL);
	}
	keep(at, fd);
	kmem_bytes_free(link);
	if (at && err == -ENOENT && found < count)
		at = dentry_enter(at, names[found].s, names[found].len, NULL);
	dentry_put(at);
}

// In a shared tree a name holds for as long as the host agrees.
bool gofer_dir_revalidate(struct dentry *d)
{
	struct inode *known = dentry_inode(d), *now = NULL;
	struct inode *dir = dentry_inode(dentry_parent(d));
	bool same;

	if (!known || !dir)
		return false;
	if (gofer_dir_lookup(dir, d->name, d->len, &now) < 0)
		return false;
	same = now == known;
	inode_put(now);
	return same;
}

// --- readdir

// Does who reads this directory go down the tree, having read the one above? What came along with that one's listing becomes this one's.
static bool goes_down(struct gofer_inode *dir, const struct dentry *d)
{
	struct inode *above = dentry_inode(dentry_parent(d));
	struct gofer_listing *l, *below = NULL;
	bool down;

	if (dentry_is_root(d) || !above)
		return false;
	mutex_lock(&above->mu);
	l = gofer_inode(above)->listing;
	down = l && l->read;
	if (down) {
		struct listed *e;

		gofer_listing_find(l, d->name, d->len, &e);
		if (e && !e->tried)
			gofer_fetch_below(gofer_inode(above), e);
		if (e) {
			below = e->below;
			e->below = NULL;
		}
	}
	mutex_unlock(&above->mu);
	if (!below)
		return down;
	mutex_lock(&dir->inode.mu);
	if (!dir->listing) {
		dir->listing = below;
		below = NULL;
	}
	mutex_unlock(&dir->inode.mu);
	gofer_listing_free(below);
	return down;
}

// Is this the first time that a tree's directory is read, by who goes down the tree?
static bool reads_down(struct file *f)
{
	struct gofer_inode *dir = gofer_inode(f->inode);
	bool unread;

	if (!nobody_changes(f->inode))
		return false;
	mutex_lock(&dir->inode.mu);
	unread = !dir->listing || !dir->listing->read;
	mutex_unlock(&dir->inode.mu);
	return unread && goes_down(dir, f->path.dentry);
}

static bool too_many_gaps(const struct gofer_listing *l)
{
	return l->gaps > GAPS_WORTH_IT && l->gaps > l->count / 2;
}

// The listing to read from pos on. dir's mu is held.
static int listing_for(struct gofer_inode *dir, int64_t pos, bool down)
{
	struct gofer_sb *gsb = gofer_sb(&dir->inode);
	int err = 0;

	if (!dir->listing || (pos == 0 && (gsb->shared || too_many_gaps(dir->listing))))
		err = gofer_fetch(dir, UINT_MAX);
	if (err)
		return err;
	if (down && !dir->listing->read)
		gofer_fetch_pays(gsb, dir->listing->count);
	dir->listing->read = true;
	return 0;
}

static int dir_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct gofer_inode *dir = gofer_inode(f->inode);
	bool down = *pos == 0 && reads_down(f);
	struct gofer_listing *l;
	int err;

	mutex_lock(&dir->inode.mu);
	err = listing_for(dir, *pos, down);
	if (err)
		goto unlock;
	l = dir->listing;
	if (*pos == 0) {
		if (!d->emit(d, ".", 1, dir->inode.attr.ino, DT_DIR, 1))
			goto unlock;
		*pos = 1;
	}
	if (*pos == 1) {
		struct inode *parent = dentry_inode(dentry_parent(f->path.dentry));

		if (!d->emit(d, "..", 2, parent->attr.ino, DT_DIR, POS_FIRST))
			goto unlock;
		*pos = POS_FIRST;
	}
	for (; *pos >= POS_FIRST && *pos - POS_FIRST < l->count; ++*pos) {
		struct listed *e = &l->entries[*pos - POS_FIRST];

		if (!e->gone && !d->emit(d, l->text + e->name, e->len, e->ino, e->type, *pos + 1))
			break;
	}
unlock:
	mutex_unlock(&dir->inode.mu);
	return err;
}

static int dir_fsync(struct file *f, bool data_only)
{
	uint64_t node;
	int err = f->inode->sb->flags & ST_RDONLY ? 0 : gofer_inode_node(gofer_inode(f->inode), &node);

	(void)data_only;
	if (err || f->inode->sb->flags & ST_RDONLY)
		return err;
	return AWAY(gofer_fsync(gofer_client(f->inode), node));
}

const struct file_ops gofer_dir_ops = {.readdir = dir_readdir, .fsync = dir_fsync, .closes_late = true};
