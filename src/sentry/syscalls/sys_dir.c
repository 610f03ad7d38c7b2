// Directories: reading them, and where a process stands.
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs_int.h"

enum { GETDENTS_MAX = (32 << 10) - 16 }; // bytes one call brings at most: the largest piece that comes from the arena

// Entries in Linux's packed format, old or 64-bit.
struct packer {
	struct dir_emit emit;
	char *buf;
	size_t cap, len;
	bool old; // getdents: the type stands in the last byte
	size_t last; // offset of the last entry, whose d_off is known by the next one's caller
	bool full;
};

struct linux_dirent64_head {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
} __attribute__((packed));

static bool pack(struct dir_emit *emit, const char *name, size_t len, uint64_t ino, unsigned char d_type, int64_t next_pos)
{
	struct packer *p = container_of(emit, struct packer, emit);
	size_t head = p->old ? 18 : sizeof(struct linux_dirent64_head), want = head + len + 1 + (p->old ? 1 : 0);
	struct linux_dirent64_head h = {.ino = ino, .off = next_pos, .type = d_type};
	char *at = p->buf + p->len;

	want = (want + 7) & ~7ul;
	if (want > p->cap - p->len) {
		p->full = true;
		return false;
	}
	h.reclen = (uint16_t)want;
	memset(at, 0, want);
	memcpy(at, &h, head);
	memcpy(at + head, name, len);
	if (p->old)
		at[want - 1] = (char)d_type;
	p->len += want;
	return true;
}

static long read_entries(struct task *t, const struct sysargs *args, bool old)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	struct packer p = {.emit = {pack}, .cap = MIN((uint64_t)(uint32_t)args->a[2], (uint64_t)GETDENTS_MAX), .old = old};
	long ret = 0;

	if (!f)
		return -EBADF;
	if (!f->ops->readdir) {
		file_put(f);
		return -ENOTDIR;
	}
	p.buf = kmem_bytes_unset(p.cap);
	if (!p.buf)
		ret = -ENOMEM;
	if (ret == 0) {
		int64_t pos;

		mutex_lock(&f->pos_mu);
		pos = f->pos;
		ret = f->ops->readdir(f, &p.emit, &pos);
		if (p.len || ret == 0)
			ret = p.len == 0 && p.full ? -EINVAL : copy_out(t, args->a[1], p.buf, p.len);
		if (ret == 0) {
			f->pos = pos;
			ret = (long)p.len;
			if (!p.full && !old && platform->keep_end && !kernel()->strace)
				platform->keep_end(t->ctx);
		}
		mutex_unlock(&f->pos_mu);
	}
	kmem_bytes_free(p.buf);
	file_put(f);
	return ret;
}

long sys_getdents(struct task *t, const struct sysargs *args)
{
	return read_entries(t, args, true);
}

long sys_getdents64(struct task *t, const struct sysargs *args)
{
	return read_entries(t, args, false);
}

long sys_getcwd(struct task *t, const struct sysargs *args)
{
	char buf[PATH_MAX + 32];
	struct path cwd, root;
	int64_t len;

	mutex_lock(&t->fs->mu);
	cwd = path_get(&t->fs->cwd);
	root = path_get(&t->fs->root);
	mutex_unlock(&t->fs->mu);
	len = vfs_path_string(&cwd, &root, true, buf, sizeof(buf));
	if (len >= 0 && path_is_gone(&cwd))
		len = -ENOENT;
	path_put(&cwd);
	path_put(&root);
	if (len < 0)
		return len;
	if ((uint64_t)len + 1 > args->a[1])
		return -ERANGE;
	return copy_out(t, args->a[0], buf, len + 1) ?: len + 1;
}

static int set_dir(struct task *t, const struct path *p, bool root)
{
	struct inode *inode = dentry_inode(p->dentry);
	int err;

	if (!S_ISDIR(inode->attr.mode))
		return -ENOTDIR;
	err = inode_permission(inode, t->cred, MAY_EXEC);
	if (!err && root && !cred_has_cap(t->cred, CAP_SYS_CHROOT))
		err = -EPERM;
	if (err)
		return err;
	fs_context_move(t->fs, root ? &t->fs->root : &t->fs->cwd, p);
	return 0;
}

static long set_dir_by_name(struct task *t, uaddr_t upath, bool root)
{
	struct path p;
	int err = vfs_lookup_at(t, AT_FDCWD, upath, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &p);

	if (err)
		return err;
	err = set_dir(t, &p, root);
	path_put(&p);
	return err;
}

long sys_chdir(struct task *t, const struct sysargs *args)
{
	return set_dir_by_name(t, args->a[0], false);
}

long sys_chroot(struct task *t, const struct sysargs *args)
{
	return set_dir_by_name(t, args->a[0], true);
}

long sys_fchdir(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file_any(t, (int)args->a[0]);
	int err;

	if (!f)
		return -EBADF;
	err = set_dir(t, &f->path, false);
	file_put(f);
	return err;
}

long sys_umask(struct task *t, const struct sysargs *args)
{
	uint32_t old;

	mutex_lock(&t->fs->mu);
	old = t->fs->umask;
	t->fs->umask = (uint32_t)args->a[0] & 0777;
	mutex_unlock(&t->fs->mu);
	return old;
}
