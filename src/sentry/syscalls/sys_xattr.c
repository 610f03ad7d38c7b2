// Extended attributes. man 7 xattr: which names exist, and who may read and write them.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <linux/capability.h>
#include <linux/limits.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { BY_PATH, BY_LINK, BY_FD };

static int find(struct task *t, int how, uint64_t which, struct path *out)
{
	struct file *f;

	if (how != BY_FD)
		return vfs_lookup_at(t, AT_FDCWD, which, how == BY_PATH ? LOOKUP_FOLLOW : 0, out);
	f = fd_file(t, (int)which);
	if (!f)
		return -EBADF;
	*out = path_get(&f->path);
	file_put(f);
	return 0;
}

static bool begins(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0 && s[strlen(prefix)];
}

// What the name's space demands. 0 or -errno.
static int check_name(struct task *t, struct inode *inode, const char *name, bool write)
{
	if (begins(name, "trusted."))
		return cred_has_cap(t->cred, CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -ENODATA;
	if (begins(name, "user.")) {
		uint32_t mode = inode->attr.mode;

		if (!S_ISREG(mode) && !S_ISDIR(mode))
			return write ? -EPERM : -ENODATA;
		if (write && S_ISDIR(mode) && (mode & S_ISVTX) && t->cred->fsuid != inode->attr.uid &&
		    !cred_has_cap(t->cred, CAP_FOWNER))
			return -EPERM;
		return inode_permission(inode, t->cred, write ? MAY_WRITE : MAY_READ);
	}
	if (begins(name, "security."))
		return !write || cred_has_cap(t->cred, CAP_SYS_ADMIN) ||
			       (strcmp(name, "security.capability") == 0 && cred_has_cap(t->cred, CAP_SETFCAP)) ? 0 : -EPERM;
	if (strcmp(name, "user.") == 0 || strcmp(name, "trusted.") == 0 || strcmp(name, "security.") == 0)
		return -EINVAL; // nothing behind the prefix
	return -EOPNOTSUPP; // ACLs (system.) aren't built
}

static int name_in(struct task *t, uaddr_t uname, char name[XATTR_NAME_MAX + 1])
{
	long len = copy_in_str(t, name, uname, XATTR_NAME_MAX + 1);

	return len > 0 ? 0 : len == 0 || len == -ENAMETOOLONG ? -ERANGE : (int)len;
}

static long set(struct task *t, int how, const struct sysargs *args)
{
	uint64_t size = args->a[3];
	int flags = (int)args->a[4];
	char name[XATTR_NAME_MAX + 1];
	struct inode *inode;
	struct path p;
	void *value;
	long ret;

	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	ret = name_in(t, args->a[1], name);
	if (ret)
		return ret;
	if (size > XATTR_SIZE_MAX)
		return -E2BIG;
	value = kmem_bytes(MAX(size, 1ull));
	if (!value)
		return -ENOMEM;
	ret = copy_in(t, value, args->a[2], size);
	if (!ret)
		ret = find(t, how, args->a[0], &p);
	if (!ret) {
		inode = dentry_inode(p.dentry);
		ret = mount_flags(p.mnt) & ST_RDONLY ? -EROFS : check_name(t, inode, name, true);
		if (!ret && !inode->ops->setxattr)
			ret = -EOPNOTSUPP;
		if (!ret) {
			mutex_lock(&inode->mu);
			ret = inode->ops->setxattr(inode, name, value, size, flags);
			mutex_unlock(&inode->mu);
		}
		path_put(&p);
	}
	kmem_bytes_free(value);
	return ret;
}

static long get(struct task *t, int how, const struct sysargs *args)
{
	uint64_t size = MIN(args->a[3], (uint64_t)XATTR_SIZE_MAX);
	char name[XATTR_NAME_MAX + 1];
	struct inode *inode;
	struct path p;
	void *value;
	long ret = name_in(t, args->a[1], name) ?: find(t, how, args->a[0], &p);

	if (ret)
		return ret;
	value = kmem_bytes(MAX(size, 1ull));
	inode = dentry_inode(p.dentry);
	ret = value ? check_name(t, inode, name, false) : -ENOMEM;
	if (!ret && !inode->ops->getxattr)
		ret = -EOPNOTSUPP;
	if (!ret) {
		mutex_lock(&inode->mu);
		ret = inode->ops->getxattr(inode, name, value, size);
		mutex_unlock(&inode->mu);
	}
	if (ret > 0 && size && copy_out(t, args->a[2], value, ret) < 0)
		ret = -EFAULT;
	kmem_bytes_free(value);
	path_put(&p);
	return ret;
}

// trusted. names are hidden from those who may not read them. The new length.
static size_t hide_trusted(char *list, size_t len)
{
	size_t kept = 0;

	for (size_t at = 0, n; at < len; at += n) {
		n = strlen(list + at) + 1;
		if (begins(list + at, "trusted."))
			continue;
		memmove(list + kept, list + at, n);
		kept += n;
	}
	return kept;
}

static long list(struct task *t, int how, const struct sysargs *args)
{
	uint64_t size = args->a[2];
	struct inode *inode;
	struct path p;
	char *names;
	long ret = find(t, how, args->a[0], &p);

	if (ret)
		return ret;
	names = kmem_bytes(XATTR_LIST_MAX);
	inode = dentry_inode(p.dentry);
	if (!names) {
		ret = -ENOMEM;
	} else if (inode->ops->listxattr) {
		mutex_lock(&inode->mu);
		ret = inode->ops->listxattr(inode, names, XATTR_LIST_MAX);
		mutex_unlock(&inode->mu);
	}
	if (ret > 0 && !cred_has_cap(t->cred, CAP_SYS_ADMIN))
		ret = (long)hide_trusted(names, ret);
	if (ret > 0 && size) {
		if ((uint64_t)ret > size)
			ret = -ERANGE;
		else if (copy_out(t, args->a[1], names, ret) < 0)
			ret = -EFAULT;
	}
	kmem_bytes_free(names);
	path_put(&p);
	return ret;
}

static long take_away(struct task *t, int how, const struct sysargs *args)
{
	char name[XATTR_NAME_MAX + 1];
	struct inode *inode;
	struct path p;
	long ret = name_in(t, args->a[1], name) ?: find(t, how, args->a[0], &p);

	if (ret)
		return ret;
	inode = dentry_inode(p.dentry);
	ret = mount_flags(p.mnt) & ST_RDONLY ? -EROFS : check_name(t, inode, name, true);
	if (!ret && !inode->ops->removexattr)
		ret = -EOPNOTSUPP;
	if (!ret) {
		mutex_lock(&inode->mu);
		ret = inode->ops->removexattr(inode, name);
		mutex_unlock(&inode->mu);
	}
	path_put(&p);
	return ret;
}

#define THREE(verb, how_fn)                                                  \
	long sys_##verb(struct task *t, const struct sysargs *args)          \
	{                                                                    \
		return how_fn(t, BY_PATH, args);                             \
	}                                                                    \
	long sys_l##verb(struct task *t, const struct sysargs *args)         \
	{                                                                    \
		return how_fn(t, BY_LINK, args);                             \
	}                                                                    \
	long sys_f##verb(struct task *t, const struct sysargs *args)         \
	{                                                                    \
		return how_fn(t, BY_FD, args);                               \
	}

THREE(setxattr, set)
THREE(getxattr, get)
THREE(listxattr, list)
THREE(removexattr, take_away)
