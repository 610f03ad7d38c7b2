// The way up: a file of the lower layer is copied to the upper one before its first change, its directories before it. And the
// marks that the upper layer keeps: whiteouts (a name of the lower layer that is gone) and opaque directories (nothing shows through).
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/overlay/overlay_int.h"

enum { COPY_BYTES = 128 << 10, LIST_BYTES = 65536, VALUE_BYTES = 65536 };

static const char opaque_xattr[] = "trusted.overlay.opaque", origin_xattr[] = "trusted.overlay.origin";

bool overlay_is_whiteout(const struct inode *upper)
{
	return S_ISCHR(upper->attr.mode) && upper->attr.rdev == 0;
}

struct inode *overlay_upper_lookup(struct inode *upper_dir, const char *name, size_t len)
{
	struct inode *found = NULL;

	mutex_lock(&upper_dir->mu);
	if (upper_dir->ops->lookup(upper_dir, name, len, &found) < 0)
		found = NULL;
	mutex_unlock(&upper_dir->mu);
	return found;
}

bool overlay_is_opaque(struct inode *upper_dir)
{
	char y = 0;

	mutex_lock(&upper_dir->mu);
	if (upper_dir->ops->getxattr && upper_dir->ops->getxattr(upper_dir, opaque_xattr, &y, 1) != 1)
		y = 0;
	mutex_unlock(&upper_dir->mu);
	return y == 'y';
}

int overlay_set_opaque(struct inode *upper_dir)
{
	int err;

	mutex_lock(&upper_dir->mu);
	err = upper_dir->ops->setxattr(upper_dir, opaque_xattr, "y", 1, 0);
	mutex_unlock(&upper_dir->mu);
	return err;
}

bool overlay_lower_has(struct overlay_node *dir, const char *name, size_t len)
{
	struct dentry *d;
	bool has;

	if (!dir->lower || (dir->upper && overlay_is_opaque(dir->upper)) || dentry_lookup(dir->lower, name, len, &d) < 0)
		return false;
	has = dentry_inode(d) != NULL;
	dentry_put(d);
	return has;
}

int overlay_whiteout(struct inode *upper_dir, const char *name, size_t len)
{
	struct inode *made = NULL;
	int err;

	mutex_lock(&upper_dir->mu);
	err = upper_dir->ops->create(upper_dir, name, len, S_IFCHR, 0, NULL, &made);
	mutex_unlock(&upper_dir->mu);
	inode_put(made);
	return err;
}

int overlay_remove_whiteout(struct inode *upper_dir, const char *name, size_t len)
{
	struct inode *there = overlay_upper_lookup(upper_dir, name, len);
	int ret = 0;

	if (there && overlay_is_whiteout(there)) {
		mutex_lock(&upper_dir->mu);
		ret = upper_dir->ops->unlink(upper_dir, name, len, there) ?: 1;
		mutex_unlock(&upper_dir->mu);
	}
	inode_put(there);
	return ret;
}

// --- copying

static int copy_xattrs(struct inode *from, struct inode *to)
{
	char *names, *value;
	int64_t n = 0, len;

	if (!from->ops->listxattr || !to->ops->setxattr)
		return 0;
	mutex_lock(&from->mu);
	n = from->ops->listxattr(from, NULL, 0);
	mutex_unlock(&from->mu);
	if (n <= 0)
		return 0; // as a rule
	names = kmem_bytes(LIST_BYTES + VALUE_BYTES);
	if (!names)
		return -ENOMEM;
	value = names + LIST_BYTES;
	mutex_lock(&from->mu);
	n = from->ops->listxattr(from, names, LIST_BYTES);
	mutex_unlock(&from->mu);
	for (int64_t at = 0; at < n; at += (int64_t)strlen(names + at) + 1) {
		mutex_lock(&from->mu);
		len = from->ops->getxattr(from, names + at, value, VALUE_BYTES);
		mutex_unlock(&from->mu);
		if (len < 0)
			continue;
		mutex_lock(&to->mu);
		to->ops->setxattr(to, names + at, value, len, 0); // one that the upper layer can't keep is left behind, as Linux does
		mutex_unlock(&to->mu);
	}
	kmem_bytes_free(names);
	return 0;
}

// A file on an inode of the upper layer, without a path: enough for its own operations.
static int write_all(struct inode *to, const char *buf, size_t len, int64_t *pos)
{
	struct file f = {.ops = to->file_ops, .inode = to, .flags = O_RDWR};
	struct uio_seg seg;
	struct uio u;
	int64_t n;

	while (len) {
		uio_init_kernel(&u, &seg, (void *)buf, len);
		n = f.ops->write(&f, &u, pos);
		if (n <= 0)
			return n ? (int)n : -EIO;
		buf += n;
		len -= n;
	}
	return 0;
}

// Where the next data of from begins and ends, at or behind pos; false: there is none. A file that can't tell is all data.
static bool next_data(struct file *from, int64_t pos, int64_t size, int64_t *out_start, int64_t *out_end)
{
	int64_t at = from->ops->llseek ? from->ops->llseek(from, pos, SEEK_DATA) : -EINVAL;

	if (at == -ENXIO || pos >= size)
		return false;
	*out_start = at < 0 ? pos : at;
	at = at < 0 ? at : from->ops->llseek(from, *out_start, SEEK_HOLE);
	*out_end = at > *out_start ? MIN(at, size) : size;
	return true;
}

// Holes stay holes: the file is made as long as it is, and only data is written.
static int copy_extents(struct file *from, struct inode *to, char *buf, int64_t size)
{
	const struct setattr whole = {.valid = ATTR_SIZE, .size = (uint64_t)size};
	int64_t pos, end = 0, n;
	int err = 0;

	if (size) {
		mutex_lock(&to->mu);
		err = to->ops->setattr(to, &whole);
		mutex_unlock(&to->mu);
	}
	while (!err && next_data(from, end, size, &pos, &end))
		while (!err && pos < end) {
			n = file_read_kernel(from, buf, (size_t)MIN(end - pos, (int64_t)COPY_BYTES), pos);
			if (n == 0)
				return 0; // it became shorter
			err = n < 0 ? (int)n : write_all(to, buf, (size_t)n, &pos);
		}
	return err;
}

static int copy_data(struct overlay_sb *o, struct dentry *lower, struct inode *to, int64_t size)
{
	struct path p = {o->lower_mnt, lower};
	struct file *from;
	char *buf;
	int err = vfs_open_path(NULL, &p, O_RDONLY, &from);

	if (err)
		return err;
	buf = kmem_bytes((size_t)MIN(size + 1, (int64_t)COPY_BYTES));
	err = buf ? copy_extents(from, to, buf, size) : -ENOMEM;
	kmem_bytes_free(buf);
	file_put(from);
	return err;
}

static int make_upper(struct inode *dir, const char *name, struct inode *from, const struct inode_attr *a, struct inode **out)
{
	char target[PATH_MAX];
	int err, n;

	if (S_ISLNK(a->mode)) {
		n = inode_readlink(from, target, sizeof(target) - 1);
		if (n < 0)
			return n;
		target[n] = 0;
		mutex_lock(&dir->mu);
		err = dir->ops->symlink(dir, name, strlen(name), target, NULL, out);
	} else {
		mutex_lock(&dir->mu);
		err = dir->ops->create(dir, name, strlen(name), a->mode, a->rdev, NULL, out);
	}
	mutex_unlock(&dir->mu);
	return err;
}

static void take_back(struct inode *dir, const char *name, struct inode *made)
{
	mutex_lock(&dir->mu);
	if (S_ISDIR(made->attr.mode))
		dir->ops->rmdir(dir, name, strlen(name), made);
	else
		dir->ops->unlink(dir, name, strlen(name), made);
	mutex_unlock(&dir->mu);
	inode_put(made);
}

// A copy-up is no change of the directory that it lands in.
static void restore_times(struct inode *dir, const struct inode_attr *before)
{
	const struct setattr times = {.valid = ATTR_ATIME | ATTR_MTIME, .atime = before->atime, .mtime = before->mtime};

	mutex_lock(&dir->mu);
	dir->ops->setattr(dir, &times);
	mutex_unlock(&dir->mu);
}

static int copy_one_locked(struct overlay_node *n, bool data)
{
	struct overlay_sb *o = overlay_sb(n);
	struct inode *from = dentry_inode(n->lower), *dir = n->parent->upper, *made = NULL;
	struct inode_attr a = n->inode.attr;
	const struct inode_attr dir_before = dir->attr;
	const uint64_t origin = a.ino;
	int err = make_upper(dir, n->name, from, &a, &made);

	if (err)
		return err;
	restore_times(dir, &dir_before);
	if (S_ISREG(a.mode) && data)
		err = copy_data(o, n->lower, made, (int64_t)MIN(a.size, (uint64_t)INT64_MAX));
	err = err ?: copy_xattrs(from, made);
	if (!err) {
		const struct setattr like = {.valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME,
					     .mode = a.mode, .uid = a.uid, .gid = a.gid, .atime = a.atime, .mtime = a.mtime};

		mutex_lock(&made->mu);
		err = made->ops->setattr(made, &like);
		if (!err && made->ops->setxattr)
			made->ops->setxattr(made, origin_xattr, &origin, sizeof(origin), 0);
		mutex_unlock(&made->mu);
	}
	if (err) {
		take_back(dir, n->name, made);
		return err;
	}
	LIST_REMOVE(n, hash_link);
	o->nnodes--;
	overlay_node_hash(o, n, made);
	n->upper = made;
	inode_changed(&n->inode);
	return 0;
}

static int copy_up_locked(struct overlay_node *n, bool data)
{
	int err = 0;

	if (n->upper)
		return 0;
	if (!n->parent)
		return -ENOENT; // a file without a name
	if (!n->parent->upper)
		err = copy_up_locked(n->parent, true);
	return err ?: copy_one_locked(n, data);
}

int overlay_copy_up(struct overlay_node *n, bool data)
{
	struct overlay_sb *o = overlay_sb(n);
	int err;

	if (n->upper)
		return 0;
	mutex_lock(&o->mu);
	err = copy_up_locked(n, data);
	mutex_unlock(&o->mu);
	return err;
}
