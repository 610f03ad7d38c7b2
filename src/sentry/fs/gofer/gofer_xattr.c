// Extended attributes: most files have none, and one message finds that out for good. Who asks for those of one file often goes on to the
// next directory (ls -l does), so listings tell from then on.
#include <string.h>

#include "abi/errno.h"
#include "sentry/fs/gofer/gofer_int.h"

static bool has_none(struct gofer_inode *gi, uint64_t node)
{
	int64_t n;

	if (gofer_sb(&gi->inode)->shared)
		return false;
	if (gi->xattrs == XATTR_UNKNOWN) {
		gofer_sb(&gi->inode)->xattrs_wanted = true;
		n = AWAY(gofer_listxattr(gofer_client(&gi->inode), node, NULL, 0));
		if (n == 0 || n == -EOPNOTSUPP)
			gi->xattrs = XATTR_NONE;
		else if (n > 0)
			gi->xattrs = XATTR_SOME;
	}
	return gi->xattrs == XATTR_NONE;
}

int64_t gofer_getxattr_locked(struct inode *inode, const char *name, void *dst, size_t cap)
{
	uint64_t node;
	int err;

	if (gofer_inode(inode)->xattrs == XATTR_NONE && !gofer_sb(inode)->shared)
		return -ENODATA;
	err = gofer_inode_node(gofer_inode(inode), &node);
	if (err)
		return err;
	if (has_none(gofer_inode(inode), node))
		return -ENODATA;
	return AWAY(gofer_getxattr(gofer_client(inode), node, name, dst, cap));
}

int64_t gofer_listxattr_locked(struct inode *inode, char *dst, size_t cap)
{
	uint64_t node;
	int err;

	if (gofer_inode(inode)->xattrs == XATTR_NONE && !gofer_sb(inode)->shared)
		return 0;
	err = gofer_inode_node(gofer_inode(inode), &node);
	if (err)
		return err;
	return has_none(gofer_inode(inode), node) ? 0 : AWAY(gofer_listxattr(gofer_client(inode), node, dst, cap));
}

int gofer_setxattr_locked(struct inode *inode, const char *name, const void *value, size_t len, int flags)
{
	uint64_t node;
	int err = gofer_inode_node(gofer_inode(inode), &node);

	err = err ?: AWAY(gofer_setxattr(gofer_client(inode), node, name, value, len, (uint32_t)flags));
	if (!err) {
		gofer_inode(inode)->xattrs = XATTR_SOME;
		gofer_attr_stale(gofer_inode(inode));
	}
	return err;
}

int gofer_removexattr_locked(struct inode *inode, const char *name)
{
	uint64_t node;
	int err = gofer_inode_node(gofer_inode(inode), &node);

	err = err ?: AWAY(gofer_removexattr(gofer_client(inode), node, name));
	if (!err) {
		gofer_inode(inode)->xattrs = XATTR_UNKNOWN;
		gofer_attr_stale(gofer_inode(inode));
	}
	return err;
}
