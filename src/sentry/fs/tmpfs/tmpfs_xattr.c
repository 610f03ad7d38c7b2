// tmpfs's extended attributes: a short list on each node. The names' rules and permissions are the calls' business.
#include <string.h>
#include <sys/xattr.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"

KMEM_TYPE(xattr_type, tmpfs_xattr);

static struct tmpfs_xattr *find(struct inode *inode, const char *name)
{
	struct tmpfs_xattr *x;

	LIST_FOREACH(x, &tmpfs_node(inode)->xattrs, link)
		if (strcmp(x->name, name) == 0)
			return x;
	return NULL;
}

static void drop(struct tmpfs_xattr *x)
{
	LIST_REMOVE(x, link);
	kmem_bytes_free(x->name);
	kmem_bytes_free(x->value);
	kmem_free(&xattr_type, x);
}

int64_t tmpfs_getxattr(struct inode *inode, const char *name, void *dst, size_t cap)
{
	struct tmpfs_xattr *x = find(inode, name);

	if (!x)
		return -ENODATA;
	if (cap && cap < x->len)
		return -ERANGE;
	if (cap)
		memcpy(dst, x->value, x->len);
	return (int64_t)x->len;
}

int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t len, int flags)
{
	struct tmpfs_xattr *x = find(inode, name);
	void *copy;

	if (x && (flags & XATTR_CREATE))
		return -EEXIST;
	if (!x && (flags & XATTR_REPLACE))
		return -ENODATA;
	copy = kmem_bytes(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, value, len);
	if (!x) {
		x = kmem_alloc(&xattr_type);
		if (!x || !(x->name = kmem_strdup(name))) {
			kmem_bytes_free(copy);
			kmem_free(&xattr_type, x);
			return -ENOMEM;
		}
		LIST_INSERT_HEAD(&tmpfs_node(inode)->xattrs, x, link);
	}
	kmem_bytes_free(x->value);
	x->value = copy;
	x->len = len;
	tmpfs_touch(inode, ATTR_CTIME);
	return 0;
}

int64_t tmpfs_listxattr(struct inode *inode, char *dst, size_t cap)
{
	struct tmpfs_xattr *x;
	size_t done = 0;

	LIST_FOREACH(x, &tmpfs_node(inode)->xattrs, link) {
		size_t len = strlen(x->name) + 1;

		if (cap && done + len > cap)
			return -ERANGE;
		if (cap)
			memcpy(dst + done, x->name, len);
		done += len;
	}
	return (int64_t)done;
}

int tmpfs_removexattr(struct inode *inode, const char *name)
{
	struct tmpfs_xattr *x = find(inode, name);

	if (!x)
		return -ENODATA;
	drop(x);
	tmpfs_touch(inode, ATTR_CTIME);
	return 0;
}

void tmpfs_xattr_free(struct tmpfs_node *n)
{
	struct tmpfs_xattr *x;

	while ((x = LIST_FIRST(&n->xattrs)))
		drop(x);
}
