// mount, umount2 and pivot_root: their arguments, and who may.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/mount_change.h"
#include "sentry/vfs/vfs_int.h"

#define MS_MGC 0xc0ed0000ul
#define MS_PROPAGATION (MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE)

static unsigned mount_flags_of(unsigned long ms)
{
	static const struct {
		unsigned long ms;
		unsigned st;
	} map[] = {{MS_RDONLY, ST_RDONLY}, {MS_NOSUID, ST_NOSUID},   {MS_NODEV, ST_NODEV},
		   {MS_NOEXEC, ST_NOEXEC}, {MS_NOATIME, ST_NOATIME}, {MS_NODIRATIME, ST_NODIRATIME}};
	unsigned st = ms & (MS_NOATIME | MS_STRICTATIME) ? 0 : ST_RELATIME;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (ms & map[i].ms)
			st |= map[i].st;
	return st;
}

// The place that a path argument leads to, with all that is mounted on it.
static int find(struct task *t, uaddr_t upath, unsigned lookup, struct path *out)
{
	int err = vfs_lookup_at(t, AT_FDCWD, upath, lookup, out);

	if (!err)
		path_follow_mounts(out);
	return err;
}

// A string argument that may be missing; at most a page, as Linux takes it.
static int optional_string(struct task *t, uaddr_t src, char buf[PAGE_SIZE], const char **out)
{
	long len;

	*out = NULL;
	if (!src)
		return 0;
	len = copy_in_str(t, buf, src, PAGE_SIZE);
	if (len == -ENAMETOOLONG) {
		buf[PAGE_SIZE - 1] = 0;
		return -EINVAL;
	}
	*out = buf;
	return len < 0 ? (int)len : 0;
}

static int mount_new(struct task *t, const struct sysargs *args, const struct path *where, unsigned flags)
{
	char type[NAME_MAX + 1], *bufs = kmem_bytes(2 * PAGE_SIZE);
	const char *source, *data;
	long ret = bufs ? 0 : -ENOMEM;

	if (!ret)
		ret = args->a[2] ? copy_in_str(t, type, args->a[2], sizeof(type)) : -EINVAL;
	if (ret >= 0)
		ret = optional_string(t, args->a[0], bufs, &source) ?: optional_string(t, args->a[4], bufs + PAGE_SIZE, &data);
	if (ret == 0)
		ret = vfs_mount_new(t, where, type, source, data, flags);
	kmem_bytes_free(bufs);
	return (int)ret;
}

static int from_elsewhere(struct task *t, const struct sysargs *args, const struct path *where, unsigned long flags)
{
	struct path from;
	int err = args->a[0] ? find(t, args->a[0], LOOKUP_FOLLOW, &from) : -EINVAL;

	if (err)
		return err;
	if (flags & MS_BIND)
		err = vfs_mount_bind(t, &from, where, flags & MS_REC);
	else
		err = vfs_mount_move(t, &from, where);
	path_put(&from);
	return err;
}

long sys_mount(struct task *t, const struct sysargs *args)
{
	unsigned long flags = args->a[3];
	struct path where;
	int err;

	if ((flags & 0xffff0000ul) == MS_MGC)
		flags &= 0xffff;
	err = find(t, args->a[1], LOOKUP_FOLLOW, &where);
	if (err)
		return err;
	if (!cred_has_cap(t->cred, CAP_SYS_ADMIN))
		err = -EPERM;
	else if (flags & MS_REMOUNT)
		err = vfs_mount_flags(t, &where, mount_flags_of(flags), !(flags & MS_BIND));
	else if (flags & (MS_BIND | MS_MOVE))
		err = from_elsewhere(t, args, &where, flags);
	else if (flags & MS_PROPAGATION) // every mount is private, and alone in knowing it
		err = vfs_is_mount_root(&where) && !((flags & MS_PROPAGATION) & ((flags & MS_PROPAGATION) - 1)) ? 0 : -EINVAL;
	else
		err = mount_new(t, args, &where, mount_flags_of(flags));
	path_put(&where);
	return err;
}

long sys_umount2(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[1], err;
	struct path where;

	if (flags & ~(MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW))
		return -EINVAL;
	if ((flags & MNT_EXPIRE) && (flags & (MNT_FORCE | MNT_DETACH)))
		return -EINVAL;
	err = find(t, args->a[0], flags & UMOUNT_NOFOLLOW ? 0 : LOOKUP_FOLLOW, &where);
	if (err)
		return err;
	err = cred_has_cap(t->cred, CAP_SYS_ADMIN) ? vfs_umount(t, &where, flags & MNT_DETACH, flags & MNT_EXPIRE) : -EPERM;
	path_put(&where);
	return err;
}

long sys_pivot_root(struct task *t, const struct sysargs *args)
{
	struct path new_root, put_old;
	int err;

	if (!cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EPERM;
	err = find(t, args->a[0], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &new_root);
	if (err)
		return err;
	err = find(t, args->a[1], LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &put_old);
	if (!err) {
		err = vfs_pivot_root(t, &new_root, &put_old);
		path_put(&put_old);
	}
	path_put(&new_root);
	return err;
}
