// overlay: mounts, nodes, and what files do in it. Opening hands the real file out: reads and maps cost nothing extra.
#include "sentry/fs/overlay/overlay.h"

#include <fcntl.h>
#include <string.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/fs/overlay/overlay_int.h"

KMEM_TYPE(node_type, overlay_node);
KMEM_TYPE(sb_type, overlay_sb);

enum { BUCKETS_FIRST = 256 };

static const char origin_xattr[] = "trusted.overlay.origin", private_prefix[] = "trusted.overlay.";

// --- nodes

static int real_attr(struct inode *real, struct inode_attr *out)
{
	int err = 0;

	mutex_lock(&real->mu);
	if (real->ops->getattr)
		err = real->ops->getattr(real, out);
	else
		*out = real->attr;
	mutex_unlock(&real->mu);
	return err;
}

void overlay_mirror(struct overlay_node *n)
{
	struct inode_attr *to = &n->inode.attr, a;

	if (real_attr(overlay_real(n), &a) < 0)
		return;
	if (S_ISDIR(a.mode) && n->lower && n->upper && a.nlink)
		a.nlink = 1; // not counted, as Linux's overlayfs says it: either layer has subdirectories
	if (to->mode != a.mode || to->uid != a.uid || to->gid != a.gid) { // walks look at these, without the lock
		to->mode = a.mode;
		to->uid = a.uid;
		to->gid = a.gid;
	}
	to->nlink = a.nlink;
	memcpy(&to->rdev, &a.rdev, sizeof(a) - offsetof(struct inode_attr, rdev));
}

// Numbers stay over a copy-up: what came from below bears the lower one, what was made here one of its own.
uint64_t overlay_number(struct inode *upper, struct dentry *lower)
{
	uint64_t origin = 0;

	if (lower)
		return dentry_inode(lower)->attr.ino;
	mutex_lock(&upper->mu);
	if (upper->ops->getxattr && upper->ops->getxattr(upper, origin_xattr, &origin, sizeof(origin)) != sizeof(origin))
		origin = 0;
	mutex_unlock(&upper->mu);
	return origin ? origin : upper->attr.ino | 1ull << 48;
}

static struct overlay_bucket *bucket(const struct overlay_sb *o, const struct inode *key)
{
	return &o->buckets[((uintptr_t)key >> 4) * 0x9e3779b97f4a7c15ull >> 32 & (o->nbuckets - 1)];
}

// Without memory the chains grow instead.
static void grow_locked(struct overlay_sb *o)
{
	struct overlay_bucket *old = o->buckets, *buckets = kmem_bytes(2 * o->nbuckets * sizeof(*buckets));
	const uint32_t nold = o->nbuckets;
	struct overlay_node *n;

	if (!buckets)
		return;
	o->buckets = buckets;
	o->nbuckets = 2 * nold;
	for (uint32_t i = 0; i < nold; i++)
		while ((n = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(n, hash_link);
			LIST_INSERT_HEAD(bucket(o, n->key), n, hash_link);
		}
	kmem_bytes_free(old);
}

void overlay_node_hash(struct overlay_sb *o, struct overlay_node *n, struct inode *key)
{
	if (o->nnodes++ >= o->nbuckets)
		grow_locked(o);
	n->key = key;
	LIST_INSERT_HEAD(bucket(o, key), n, hash_link);
}

static const struct inode_ops *ops_for(uint32_t mode)
{
	return S_ISDIR(mode) ? &overlay_dir_ops : &overlay_file_ops_inode;
}

struct overlay_node *overlay_node_get(struct super_block *sb, struct inode *upper, struct dentry *lower, struct overlay_node *parent,
				      const char *name, size_t len)
{
	struct overlay_sb *o = sb->priv;
	struct inode *key = upper ? upper : dentry_inode(lower);
	struct overlay_node *n;

	mutex_lock(&o->mu);
	LIST_FOREACH(n, bucket(o, key), hash_link)
		if (n->key == key && ref_get_unless_zero(&n->inode.ref)) {
			mutex_unlock(&o->mu);
			inode_put(upper);
			dentry_put(lower);
			return n;
		}
	n = kmem_alloc(&node_type);
	if (n)
		n->name = kmem_strndup(name, len);
	if (!n || !n->name) {
		mutex_unlock(&o->mu);
		kmem_free(&node_type, n);
		inode_put(upper);
		dentry_put(lower);
		return NULL;
	}
	inode_init(&n->inode, sb, ops_for(key->attr.mode), key->attr.mode);
	n->upper = upper;
	n->lower = lower;
	if (parent) {
		inode_get(&parent->inode);
		n->parent = parent;
	}
	n->inode.file_ops = S_ISDIR(key->attr.mode) ? &overlay_dir_file_ops : NULL;
	n->inode.attr.ino = overlay_number(upper, lower);
	overlay_mirror(n);
	overlay_node_hash(o, n, key);
	mutex_unlock(&o->mu);
	return n;
}

void overlay_node_destroy(struct inode *inode)
{
	struct overlay_node *n = overlay_node(inode);
	struct overlay_sb *o = overlay_sb(n);

	mutex_lock(&o->mu);
	LIST_REMOVE(n, hash_link);
	o->nnodes--;
	mutex_unlock(&o->mu);
	inode_put(n->upper);
	dentry_put(n->lower);
	if (n->parent)
		inode_put(&n->parent->inode);
	kmem_bytes_free(n->name);
	inode_fini(inode);
	kmem_free(&node_type, n);
}

void overlay_place(struct overlay_node *n, struct overlay_node *parent, const char *name, size_t len)
{
	struct overlay_sb *o = overlay_sb(n);
	char *copy = kmem_strndup(name, len), *old_name = NULL;
	struct overlay_node *old_parent = NULL;

	inode_get(&parent->inode);
	mutex_lock(&o->mu);
	if (copy) {
		old_name = n->name;
		n->name = copy;
	}
	old_parent = n->parent;
	n->parent = parent;
	mutex_unlock(&o->mu);
	kmem_bytes_free(old_name);
	if (old_parent)
		inode_put(&old_parent->inode);
}

// --- attributes

int overlay_getattr(struct inode *inode, struct inode_attr *out)
{
	overlay_mirror(overlay_node(inode));
	*out = inode->attr;
	return 0;
}

// The count is told of changes of the real inode, and of a copy-up.
bool overlay_remember(struct inode *inode, uint16_t index)
{
	struct inode *real;
	bool keep;

	inode->remembered = index; // before it is said which one is real
	real = overlay_real(overlay_node(inode));
	mutex_lock(&real->mu);
	keep = real->ops->remember && real->ops->remember(real, index);
	mutex_unlock(&real->mu);
	return keep;
}

int overlay_setattr(struct inode *inode, const struct setattr *set)
{
	struct overlay_node *n = overlay_node(inode);
	// A file that is cut to nothing needn't be copied first.
	int err = overlay_copy_up(n, !((set->valid & ATTR_SIZE) && set->size == 0));
	struct inode *upper = n->upper;

	if (err)
		return err;
	mutex_lock(&upper->mu);
	err = upper->ops->setattr ? upper->ops->setattr(upper, set) : -EPERM;
	mutex_unlock(&upper->mu);
	overlay_mirror(n);
	return err;
}

static int file_readlink(struct inode *inode, char *dst, size_t cap)
{
	const int n = inode_readlink(overlay_real(overlay_node(inode)), dst, cap);

	if (n > 0 && (size_t)n < cap)
		inode_keep_link(inode, kmem_strndup(dst, (size_t)n));
	return n;
}

// --- opening

int overlay_open(struct inode *inode, struct task *t, struct file *f)
{
	struct overlay_node *n = overlay_node(inode);
	struct inode *real;
	int err;

	if (S_ISDIR(inode->attr.mode))
		return 0;
	if ((f->flags & O_ACCMODE) != O_RDONLY) {
		err = overlay_copy_up(n, true);
		if (err)
			return err;
	}
	// The file works on the real inode; its path stays the overlay's, which holds the real one.
	real = overlay_real(n);
	f->inode = real;
	f->ops = real->file_ops;
	return real->ops->open ? real->ops->open(real, t, f) : 0;
}

// --- extended attributes: the real inode's, but for the overlay's own

static bool is_private(const char *name)
{
	return strncmp(name, private_prefix, sizeof(private_prefix) - 1) == 0;
}

int64_t overlay_getxattr(struct inode *inode, const char *name, void *dst, size_t cap)
{
	struct inode *real = overlay_real(overlay_node(inode));
	int64_t n;

	if (is_private(name))
		return -ENODATA;
	if (!real->ops->getxattr)
		return -EOPNOTSUPP;
	mutex_lock(&real->mu);
	n = real->ops->getxattr(real, name, dst, cap);
	mutex_unlock(&real->mu);
	return n;
}

int overlay_setxattr(struct inode *inode, const char *name, const void *value, size_t len, int flags)
{
	struct overlay_node *n = overlay_node(inode);
	struct inode *upper;
	int err;

	if (is_private(name))
		return -EPERM;
	err = overlay_copy_up(n, true);
	if (err)
		return err;
	upper = n->upper;
	mutex_lock(&upper->mu);
	err = upper->ops->setxattr ? upper->ops->setxattr(upper, name, value, len, flags) : -EOPNOTSUPP;
	mutex_unlock(&upper->mu);
	return err;
}

int64_t overlay_listxattr(struct inode *inode, char *dst, size_t cap)
{
	struct inode *real = overlay_real(overlay_node(inode));
	enum { LIST_MAX = 65536 };
	size_t kept = 0;
	char *all;
	int64_t n;

	if (!real->ops->listxattr)
		return -EOPNOTSUPP;
	all = kmem_bytes(LIST_MAX);
	if (!all)
		return -ENOMEM;
	mutex_lock(&real->mu);
	n = real->ops->listxattr(real, all, LIST_MAX);
	mutex_unlock(&real->mu);
	for (int64_t at = 0; at < n;) {
		size_t len = strlen(all + at) + 1;

		if (!is_private(all + at)) {
			memmove(all + kept, all + at, len);
			kept += len;
		}
		at += (int64_t)len;
	}
	if (n >= 0) {
		n = (int64_t)kept;
		if (cap && kept > cap)
			n = -ERANGE;
		else if (cap)
			memcpy(dst, all, kept);
	}
	kmem_bytes_free(all);
	return n;
}

int overlay_removexattr(struct inode *inode, const char *name)
{
	struct overlay_node *n = overlay_node(inode);
	struct inode *upper;
	int err;

	if (is_private(name))
		return -ENODATA;
	if (overlay_getxattr(inode, name, NULL, 0) < 0)
		return -ENODATA;
	err = overlay_copy_up(n, true);
	if (err)
		return err;
	upper = n->upper;
	mutex_lock(&upper->mu);
	err = upper->ops->removexattr ? upper->ops->removexattr(upper, name) : -EOPNOTSUPP;
	mutex_unlock(&upper->mu);
	return err;
}

const struct inode_ops overlay_file_ops_inode = {
	.readlink = file_readlink,
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

// --- the mount

static int mount_overlay(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct overlay_layers *layers = args->internal;
	struct super_block *sb = layers ? sb_create(type) : NULL;
	struct overlay_sb *o = sb ? kmem_alloc(&sb_type) : NULL;
	struct inode *upper_root;
	struct overlay_node *root;
	struct inode_attr a;
	int err = -ENOMEM;

	if (!layers)
		return -EINVAL; // only the kernel makes overlays
	if (!o)
		goto fail;
	mutex_init(&o->mu);
	o->upper = layers->upper;
	o->lower_mnt = mount_create(layers->lower, layers->lower->root, 0);
	sb->priv = o;
	o->nbuckets = BUCKETS_FIRST;
	o->buckets = kmem_bytes(BUCKETS_FIRST * sizeof(*o->buckets));
	if (!o->lower_mnt || !o->buckets)
		goto fail;
	upper_root = dentry_inode(o->upper->root);
	if (real_attr(dentry_inode(layers->lower->root), &a) == 0) {
		const struct setattr like = {.valid = ATTR_MODE | ATTR_UID | ATTR_GID, .mode = a.mode, .uid = a.uid, .gid = a.gid};

		mutex_lock(&upper_root->mu);
		upper_root->ops->setattr(upper_root, &like);
		mutex_unlock(&upper_root->mu);
	}
	root = overlay_node_get(sb, inode_get(upper_root), dentry_get(layers->lower->root), NULL, "", 0);
	if (!root || (err = sb_set_root(sb, &root->inode)))
		goto fail;
	sb_put(layers->lower); // the mount holds it
	*out_sb = sb;
	return 0;

fail:
	sb_put(layers->lower);
	sb_put(layers->upper);
	return err;
}

static void umount_overlay(struct super_block *sb)
{
	struct overlay_sb *o = sb->priv;

	mount_put(o->lower_mnt);
	sb_put(o->upper);
	kmem_bytes_free(o->buckets);
	kmem_free(&sb_type, o);
}

static int overlay_statfs(struct super_block *sb, struct statfs *out)
{
	struct overlay_sb *o = sb->priv;
	int err = o->upper->type->statfs ? o->upper->type->statfs(o->upper, out) : -ENOSYS;

	out->f_type = sb->type->magic;
	return err;
}

const struct fs_type overlay_type = {
	.name = "overlay", .magic = OVERLAYFS_SUPER_MAGIC, .nodev = true, .mount = mount_overlay, .umount = umount_overlay,
	.statfs = overlay_statfs};
