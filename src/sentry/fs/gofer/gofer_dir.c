// Directories of the gofer file system: names that are known without asking.
//
// A listing comes whole, with attributes, and is kept: in a tree that nobody else changes it then answers look-ups, also of names that
// aren't there, and is kept up to date by our own changes. A removed name leaves a gap, a new one goes to the end, so that
// readdir's positions stay what they were.
#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "abi/errno.h"
#include "gofer/message.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/vfs/vfs_int.h"

enum { POS_FIRST = 2, NO_ENTRY = UINT32_MAX, ENTRIES_FIRST = 16, GAPS_WORTH_IT = 256, ROOM_AT_ONCE = 64, ROOM_TRIES = 64, AHEAD_MAX = 16 };

struct entry {
	struct gofer_attr attr; // mode 0: to be asked for (gone with the first look-up: the inode knows better from then on)
	uint64_t ino;
	uint32_t next; // in its bucket
	uint32_t name; // where it begins in names
	uint16_t len;
	uint8_t type; // DT_*
	bool gone;
};

struct gofer_listing {
	struct entry *entries; // kmem_bytes
	uint32_t count, cap, gaps;
	char *names; // kmem_bytes
	uint32_t names_len, names_cap;
	uint32_t *buckets; // nbuckets (a power of two) indices; kmem_bytes
	uint32_t nbuckets;
};

KMEM_TYPE(listing_type, gofer_listing);

void gofer_listing_free(struct gofer_listing *l)
{
	if (!l)
		return;
	kmem_bytes_free(l->entries);
	kmem_bytes_free(l->names);
	kmem_bytes_free(l->buckets);
	kmem_free(&listing_type, l);
}

static uint32_t hash(const char *name, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 16777619u;
	return h ^ h >> 15;
}

static bool reserve(void **p, uint32_t *cap, uint32_t need, size_t each)
{
	uint32_t want = *cap ? *cap : ENTRIES_FIRST;
	void *q;

	if (need <= *cap)
		return true;
	while (want < need)
		want *= 2;
	q = kmem_bytes_resize(*p, (size_t)want * each);
	if (!q)
		return false;
	*p = q;
	*cap = want;
	return true;
}

static void chain(struct gofer_listing *l, uint32_t index)
{
	struct entry *e = &l->entries[index];
	uint32_t *head = &l->buckets[hash(l->names + e->name, e->len) & (l->nbuckets - 1)];

	e->next = *head;
	*head = index;
}

static bool rehash(struct gofer_listing *l, uint32_t nbuckets)
{
	uint32_t *buckets = kmem_bytes(nbuckets * sizeof(*buckets));

	if (!buckets)
		return false;
	kmem_bytes_free(l->buckets);
	memset(buckets, 0xff, nbuckets * sizeof(*buckets));
	l->buckets = buckets;
	l->nbuckets = nbuckets;
	for (uint32_t i = 0; i < l->count; i++)
		if (!l->entries[i].gone)
			chain(l, i);
	return true;
}

static struct entry *find(struct gofer_listing *l, const char *name, size_t len)
{
	uint32_t i = l->nbuckets ? l->buckets[hash(name, len) & (l->nbuckets - 1)] : NO_ENTRY;

	for (; i != NO_ENTRY; i = l->entries[i].next)
		if (l->entries[i].len == len && memcmp(l->names + l->entries[i].name, name, len) == 0)
			return &l->entries[i];
	return NULL;
}

static int append(struct gofer_listing *l, const char *name, size_t len, const struct gofer_attr *attr, uint64_t ino, uint8_t type)
{
	if (!reserve((void **)&l->entries, &l->cap, l->count + 1, sizeof(*l->entries)) ||
	    !reserve((void **)&l->names, &l->names_cap, l->names_len + (uint32_t)len, 1))
		return -ENOMEM;
	l->entries[l->count] = (struct entry){.attr = *attr, .ino = ino, .name = l->names_len, .len = (uint16_t)len, .type = type};
	memcpy(l->names + l->names_len, name, len);
	l->names_len += (uint32_t)len;
	l->count++;
	if (l->count > l->nbuckets)
		return rehash(l, l->nbuckets ? l->nbuckets * 2 : ENTRIES_FIRST) ? 0 : -ENOMEM;
	chain(l, l->count - 1);
	return 0;
}

struct fetch {
	struct gofer_listing *listing;
	uint64_t root_dev;
};

static int fetched(void *arg, const char *name, size_t len, const struct gofer_attr *attr)
{
	struct fetch *fetch = arg;
	uint64_t ino = attr->dev == fetch->root_dev || !attr->mode ? attr->ino : attr->ino ^ attr->dev << 40;

	return append(fetch->listing, name, len, attr, ino, IFTODT(attr->mode));
}

// Asks for the whole listing, or gives up when that takes more than max_messages. dir's mu is held.
static int fetch_listing(struct gofer_inode *dir, unsigned max_messages)
{
	struct fetch fetch = {.listing = kmem_alloc(&listing_type), .root_dev = gofer_sb(&dir->inode)->root_dev};
	const uint32_t flags = gofer_sb(&dir->inode)->xattrs_wanted ? GOFER_LIST_XATTRS : 0;
	uint64_t node, position = 0;
	bool at_end = false;
	int err = fetch.listing ? gofer_inode_node(dir, &node) : -ENOMEM;

	for (unsigned n = 0; !err && !at_end; n++)
		err = n == max_messages ? -E2BIG : AWAY(gofer_list(gofer_client(&dir->inode), node, flags, &position, &at_end, fetched, &fetch));
	if (err) {
		gofer_listing_free(fetch.listing);
		return err;
	}
	gofer_listing_free(dir->listing);
	dir->listing = fetch.listing;
	return 0;
}

void gofer_listing_add(struct gofer_inode *dir, const char *name, size_t len, struct gofer_inode *child)
{
	static const struct gofer_attr unknown;

	if (!dir->listing)
		return;
	if (append(dir->listing, name, len, &unknown, child->inode.attr.ino, IFTODT(child->inode.attr.mode)) == 0)
		return;
	gofer_listing_free(dir->listing);
	dir->listing = NULL;
}

void gofer_listing_remove(struct gofer_inode *dir, const char *name, size_t len)
{
	struct gofer_listing *l = dir->listing;
	struct entry *e = l ? find(l, name, len) : NULL;
	uint32_t *link;

	if (!e)
		return;
	link = &l->buckets[hash(name, len) & (l->nbuckets - 1)];
	while (&l->entries[*link] != e)
		link = &l->entries[*link].next;
	*link = e->next;
	e->gone = true;
	l->gaps++;
}

// What the listing knows: 1 (an inode), 0 (nothing), or -errno.
static int lookup_listed(struct gofer_inode *dir, const char *name, size_t len, struct inode **out)
{
	struct entry *e;
	struct gofer_attr attr;
	int err;

	if (!dir->listing || gofer_sb(&dir->inode)->shared)
		return 0;
	e = find(dir->listing, name, len);
	if (!e)
		return -ENOENT;
	attr = e->attr;
	if (!attr.mode || (!S_ISDIR(attr.mode) && attr.nlink > 1)) // another name may have changed it
		return 0;
	err = gofer_inode_listed(dir, name, len, &attr, out);
	if (err)
		return err;
	e->attr.mode = 0;
	return 1;
}

void gofer_dir_list_root(struct inode *root)
{
	if (!S_ISDIR(root->attr.mode) || gofer_sb(root)->shared || !(root->sb->flags & ST_RDONLY))
		return;
	mutex_lock(&root->mu);
	fetch_listing(gofer_inode(root), 1);
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
	err = err ?: AWAY(gofer_walk(gofer_client(dir), node, &component, 1, &entry, &found, &link));
	if (!err && found != 1)
		err = -EIO;
	err = err ?: gofer_inode_of(dir->sb, &entry, out_inode);
	if (err)
		kmem_bytes_free(link);
	else
		gofer_inode_link(*out_inode, link);
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
		gofer_inode_link(inode, *link);
		*link = NULL;
	}
	return dentry_enter(dir, name->s, name->len, inode);
}

// In trees that nobody changes: neither others (shared) nor we (read-only, as under an overlay). So what comes may be entered at any time.
void gofer_dir_ahead(struct dentry *dir, const char *rest)
{
	struct inode *root = dentry_inode(dir);
	struct gofer_name names[AHEAD_MAX];
	struct gofer_entry entries[AHEAD_MAX];
	struct dentry *at = dentry_get(dir);
	uint32_t count, found, i;
	char *link;
	uint64_t node;
	int err;

	if (gofer_sb(root)->shared || !(root->sb->flags & ST_RDONLY) || (count = split(rest, names, AHEAD_MAX)) < 2 ||
	    gofer_inode_node(gofer_inode(root), &node)) {
		dentry_put(at);
		return;
	}
	make_room(gofer_sb(root)->conn);
	err = AWAY(gofer_walk(gofer_client(root), node, names, count, entries, &found, &link));
	for (i = 0; i < found; i++) {
		if (!at)
			gofer_forget(gofer_client(root), entries[i].node);
		else
			at = enter(at, &names[i], &entries[i], i + 1 == found ? &link : NULL);
	}
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

static int dir_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct gofer_inode *dir = gofer_inode(f->inode);
	struct gofer_listing *l;
	int err = 0;

	mutex_lock(&dir->inode.mu);
	l = dir->listing;
	if (!l || (*pos == 0 && (gofer_sb(f->inode)->shared || (l->gaps > GAPS_WORTH_IT && l->gaps > l->count / 2))))
		err = fetch_listing(dir, UINT_MAX);
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
		struct entry *e = &l->entries[*pos - POS_FIRST];

		if (!e->gone && !d->emit(d, l->names + e->name, e->len, e->ino, e->type, *pos + 1))
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

const struct file_ops gofer_dir_ops = {.readdir = dir_readdir, .fsync = dir_fsync};
