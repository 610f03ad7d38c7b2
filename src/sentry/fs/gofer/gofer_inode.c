// Inodes of host files: finding them again, their nodes, their attributes.
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/fs/gofer/gofer_listing.h"

KMEM_TYPE(inode_type, gofer_inode);

static struct timespec time_of(const struct gofer_time *t)
{
	return (struct timespec){.tv_sec = t->sec, .tv_nsec = t->nsec < NSEC_PER_SEC ? t->nsec : 0};
}

// The type never changes, whatever the gofer says later.
void gofer_attr_set(struct gofer_inode *gi, const struct gofer_attr *attr)
{
	struct inode *inode = &gi->inode;

	inode->attr = (struct inode_attr){
		// A tree may span host file systems; it shows as one.
		.ino = gi->dev == gofer_sb(inode)->root_dev ? gi->ino : gi->ino ^ gi->dev << 40,
		.mode = (inode->attr.mode & S_IFMT) | (attr->mode & 07777),
		.nlink = attr->nlink,
		.uid = attr->uid,
		.gid = attr->gid,
		.rdev = attr->rdev,
		.size = attr->size <= INT64_MAX ? attr->size : 0,
		.blocks = attr->blocks,
		.blksize = attr->blksize ? attr->blksize : PAGE_SIZE,
		.atime = time_of(&attr->atime),
		.mtime = time_of(&attr->mtime),
		.ctime = time_of(&attr->ctime),
		.btime = time_of(&attr->btime),
	};
	gi->attr_stale = false;
}

static bool attr_type_ok(const struct gofer_attr *attr)
{
	uint32_t type = attr->mode & S_IFMT;

	return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFIFO || type == S_IFSOCK || type == S_IFCHR ||
	       type == S_IFBLK;
}

static struct gofer_bucket *bucket(const struct gofer_sb *gsb, uint64_t dev, uint64_t ino)
{
	return &gsb->buckets[(ino ^ dev * 31) * 0x9e3779b97f4a7c15ull >> 32 & (gsb->nbuckets - 1)];
}

// Without memory the chains grow instead.
static void table_grow_locked(struct gofer_sb *gsb)
{
	struct gofer_bucket *old = gsb->buckets, *buckets = kmem_bytes(2 * gsb->nbuckets * sizeof(*buckets));
	const uint32_t nold = gsb->nbuckets;
	struct gofer_inode *gi;

	if (!buckets)
		return;
	gsb->buckets = buckets;
	gsb->nbuckets = 2 * nold;
	for (uint32_t i = 0; i < nold; i++)
		while ((gi = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(gi, table_link);
			LIST_INSERT_HEAD(bucket(gsb, gi->dev, gi->ino), gi, table_link);
		}
	kmem_bytes_free(old);
}

static void table_add_locked(struct gofer_sb *gsb, struct gofer_inode *gi)
{
	if (gsb->ninodes++ >= gsb->nbuckets)
		table_grow_locked(gsb);
	LIST_INSERT_HEAD(bucket(gsb, gi->dev, gi->ino), gi, table_link);
	gi->in_table = true;
}

static void table_remove_locked(struct gofer_sb *gsb, struct gofer_inode *gi)
{
	if (!gi->in_table)
		return;
	LIST_REMOVE(gi, table_link);
	gi->in_table = false;
	gsb->ninodes--;
}

// A known inode of that number, counted. One whose type or birth differs is another file: the number came again.
static struct gofer_inode *table_find_locked(struct gofer_sb *gsb, const struct gofer_attr *attr)
{
	struct gofer_inode *gi, *next;

	for (gi = LIST_FIRST(bucket(gsb, attr->dev, attr->ino)); gi; gi = next) {
		next = LIST_NEXT(gi, table_link);
		if (gi->dev != attr->dev || gi->ino != attr->ino)
			continue;
		if ((gi->inode.attr.mode & S_IFMT) == (attr->mode & S_IFMT) && gi->inode.attr.btime.tv_sec == attr->btime.sec &&
		    gi->inode.attr.btime.tv_nsec == (long)attr->btime.nsec) {
			if (ref_get_unless_zero(&gi->inode.ref))
				return gi;
		} else {
			table_remove_locked(gsb, gi);
		}
	}
	return NULL;
}

// The inode for attr, counted, and whether it is new. NULL: no memory.
static struct gofer_inode *find_or_make(struct super_block *sb, const struct gofer_attr *attr, bool *out_new)
{
	struct gofer_sb *gsb = sb->priv;
	struct gofer_inode *gi, *fresh = kmem_alloc(&inode_type);

	if (!fresh)
		return NULL;
	mutex_lock(&gsb->table_mu);
	gi = table_find_locked(gsb, attr);
	*out_new = !gi;
	if (!gi) {
		gi = fresh;
		fresh = NULL;
		inode_init(&gi->inode, sb, gsb->shared ? &gofer_inode_ops_shared : &gofer_inode_ops, attr->mode & S_IFMT);
		gi->dev = attr->dev;
		gi->ino = attr->ino;
		gofer_attr_set(gi, attr);
		if (S_ISREG(attr->mode))
			gi->inode.file_ops = &gofer_file_ops;
		else if (S_ISDIR(attr->mode))
			gi->inode.file_ops = &gofer_dir_ops;
		table_add_locked(gsb, gi);
	}
	mutex_unlock(&gsb->table_mu);
	kmem_free(&inode_type, fresh);
	return gi;
}

static void drop_from(struct gofer_inode *gi)
{
	if (gi->from)
		inode_put(&gi->from->inode);
	kmem_bytes_free(gi->from_name);
	gi->from = NULL;
	gi->from_name = NULL;
}

// gi gets the node, or what it has stays and the new one is forgotten.
static void give_node(struct gofer_inode *gi, uint64_t node)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);

	mutex_lock(&gsb->table_mu);
	if (gi->node) {
		mutex_unlock(&gsb->table_mu);
		if (node != gi->node)
			gofer_forget(&gsb->conn->client, node);
		return;
	}
	__atomic_store_n(&gi->node, node, __ATOMIC_RELEASE);
	gsb->conn->nnodes++;
	mutex_unlock(&gsb->table_mu);
}

int gofer_inode_of(struct super_block *sb, const struct gofer_entry *entry, struct inode **out)
{
	struct gofer_sb *gsb = sb->priv;
	struct gofer_inode *gi;
	bool fresh;

	gi = attr_type_ok(&entry->attr) ? find_or_make(sb, &entry->attr, &fresh) : NULL;
	if (!gi) {
		gofer_forget(&gsb->conn->client, entry->node);
		return attr_type_ok(&entry->attr) ? -ENOMEM : -EIO;
	}
	if (!fresh && gsb->shared)
		gofer_attr_set(gi, &entry->attr);
	give_node(gi, entry->node);
	*out = &gi->inode;
	return 0;
}

int gofer_inode_listed(struct gofer_inode *dir, const char *name, size_t len, const struct gofer_attr *attr, struct inode **out)
{
	char *copy = kmem_strndup(name, len);
	struct gofer_inode *gi;
	bool fresh;

	gi = copy && attr_type_ok(attr) ? find_or_make(dir->inode.sb, attr, &fresh) : NULL;
	if (!gi) {
		kmem_bytes_free(copy);
		return -ENOMEM;
	}
	if (fresh) {
		inode_get(&dir->inode);
		gi->from = dir;
		gi->from_name = copy;
		// By another name they may have come since.
		if ((attr->flags & GOFER_ATTR_NO_XATTRS) && (attr->nlink == 1 || S_ISDIR(attr->mode)))
			gi->xattrs = XATTR_NONE;
	} else {
		kmem_bytes_free(copy);
	}
	*out = &gi->inode;
	return 0;
}

// The directory that gi was listed in last, counted; NULL: none. Another worker may be renaming it.
static struct gofer_inode *listed_in(struct gofer_inode *gi)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	struct gofer_inode *from;

	mutex_lock(&gsb->table_mu);
	from = gi->from;
	if (from)
		inode_get(&from->inode);
	mutex_unlock(&gsb->table_mu);
	return from;
}

// Walks from that directory, whose node is dir. 1: it is another one by now.
static int walk_listed(struct gofer_inode *gi, struct gofer_inode *from, uint64_t dir, struct gofer_entry *out, int *out_fd)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	char text[GOFER_NAME_MAX + 1];
	struct gofer_name name = {text};
	uint32_t found;
	bool same;

	mutex_lock(&gsb->table_mu);
	same = gi->from == from;
	if (same) {
		name.len = strlen(gi->from_name);
		memcpy(text, gi->from_name, name.len);
	}
	mutex_unlock(&gsb->table_mu);
	return same ? AWAY(gofer_walk(&gsb->conn->client, dir, &name, 1, out, &found, NULL, out_fd)) : 1;
}

int gofer_inode_node_open(struct gofer_inode *gi, uint64_t *out_node, int *out_fd)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	struct gofer_inode *from;
	struct gofer_entry entry;
	uint64_t dir;
	int err;

	if (out_fd)
		*out_fd = -1;
	*out_node = __atomic_load_n(&gi->node, __ATOMIC_ACQUIRE);
	if (*out_node)
		return 0;
	do {
		from = listed_in(gi);
		if (!from)
			return -ESTALE;
		err = gofer_inode_node(from, &dir);
		err = err ?: walk_listed(gi, from, dir, &entry, out_fd);
		inode_put(&from->inode);
	} while (err > 0);
	if (err)
		return err;
	if (entry.attr.dev != gi->dev || entry.attr.ino != gi->ino) {
		gofer_forget(&gsb->conn->client, entry.node);
		if (out_fd && *out_fd >= 0)
			close(*out_fd);
		return -ESTALE;
	}
	give_node(gi, entry.node);
	*out_node = gi->node;
	return 0;
}

int gofer_inode_node(struct gofer_inode *gi, uint64_t *out_node)
{
	return gofer_inode_node_open(gi, out_node, NULL);
}

void gofer_inode_moved(struct gofer_inode *gi, struct gofer_inode *dir, const char *name, size_t len)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	struct gofer_inode *old;
	char *copy, *old_name;

	if (gi->node)
		return;
	copy = kmem_strndup(name, len);
	if (!copy)
		return; // its node can't be found again: -ESTALE
	inode_get(&dir->inode);
	mutex_lock(&gsb->table_mu);
	old = gi->from;
	old_name = gi->from_name;
	gi->from = dir;
	gi->from_name = copy;
	mutex_unlock(&gsb->table_mu);
	if (old)
		inode_put(&old->inode);
	kmem_bytes_free(old_name);
}

void gofer_inode_forget(struct gofer_inode *gi)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);

	mutex_lock(&gsb->table_mu);
	table_remove_locked(gsb, gi);
	mutex_unlock(&gsb->table_mu);
}

static void inode_destroy(struct inode *inode)
{
	struct gofer_inode *gi = gofer_inode(inode);

	gofer_inode_forget(gi);
	gofer_files_drop(gi);
	if (gi->node) {
		gofer_sb(inode)->conn->nnodes--;
		gofer_forget(gofer_client(inode), gi->node);
	}
	drop_from(gi);
	gofer_listing_free(gi->listing);
	inode_fini(inode);
	kmem_free(&inode_type, gi);
}

// A descriptor that is open anyway tells without a message; all but the owner, whose number may have no meaning in the sentry's user
// namespace, and who changes by our own messages only.
static int attr_by_file(struct gofer_inode *gi)
{
	struct hostfd *h = gofer_files_get(gi, true) ?: gofer_files_get(gi, false);
	struct inode_attr *a = &gi->inode.attr;
	struct stat st;
	int err;

	if (!h)
		return -ENOENT;
	err = fstat(h->fd, &st) < 0 ? -errno : 0;
	hostfd_put(h);
	if (err)
		return err;
	a->mode = (a->mode & S_IFMT) | (st.st_mode & 07777);
	a->nlink = (uint32_t)st.st_nlink;
	a->size = (uint64_t)st.st_size;
	a->blocks = (uint64_t)st.st_blocks;
	a->atime = st.st_atim;
	a->mtime = st.st_mtim;
	a->ctime = st.st_ctim;
	gi->attr_stale = false;
	return 0;
}

static int refresh(struct gofer_inode *gi)
{
	struct gofer_attr attr;
	uint64_t node;
	int err;

	if (!gofer_sb(&gi->inode)->shared && attr_by_file(gi) == 0)
		return 0;
	err = gofer_inode_node(gi, &node);
	err = err ?: AWAY(gofer_getattr(gofer_client(&gi->inode), node, &attr));
	if (!err)
		gofer_attr_set(gi, &attr);
	return err;
}

int gofer_getattr_locked(struct inode *inode, struct inode_attr *out)
{
	struct gofer_inode *gi = gofer_inode(inode);
	int err = gi->attr_stale || gofer_sb(inode)->shared ? refresh(gi) : 0;

	*out = inode->attr;
	return err;
}

// Not in a shared tree; where nobody changes anything it makes no difference. A mapping that is written through changes nothing that is seen here.
static bool inode_remember(struct inode *inode, uint16_t index)
{
	const uint32_t mode = inode->attr.mode;

	if (gofer_sb(inode)->shared || !(S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode)))
		return false;
	inode->remembered = index;
	return true;
}

// A link never changes, in shared trees neither.
static int read_link(struct inode *inode, char *dst, size_t cap)
{
	char target[GOFER_PATH_MAX];
	uint64_t node;
	int64_t n;
	int err;

	err = gofer_inode_node(gofer_inode(inode), &node);
	if (err)
		return err;
	n = AWAY(gofer_readlink(gofer_client(inode), node, target, sizeof(target)));
	if (n < 0)
		return (int)n;
	inode_keep_link(inode, kmem_strndup(target, (size_t)n));
	n = MIN(n, (int64_t)cap);
	memcpy(dst, target, (size_t)n);
	return (int)n;
}

#define GOFER_OPS_SLOTS \
	.ahead = gofer_dir_ahead, .lookup = gofer_dir_lookup, .create = gofer_dir_create, .symlink = gofer_dir_symlink, .link = gofer_dir_link, \
	.unlink = gofer_dir_unlink, .rmdir = gofer_dir_rmdir, .rename = gofer_dir_rename, .tmpfile = gofer_dir_tmpfile, \
	.readlink = read_link, .getattr = gofer_getattr_locked, .setattr = gofer_setattr_locked, .open = gofer_file_open, \
	.getxattr = gofer_getxattr_locked, .setxattr = gofer_setxattr_locked, .listxattr = gofer_listxattr_locked, \
	.removexattr = gofer_removexattr_locked, .remember = inode_remember, .destroy = inode_destroy

const struct inode_ops gofer_inode_ops = {GOFER_OPS_SLOTS};
const struct inode_ops gofer_inode_ops_shared = {GOFER_OPS_SLOTS, .revalidate = gofer_dir_revalidate};
