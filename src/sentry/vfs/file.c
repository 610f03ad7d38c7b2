// Open files: life, and the checks that every read and write goes through.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/eventpoll/eventpoll.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/locks.h"
#include "sentry/vfs/notify.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/setattr.h"
#include "sentry/vfs/vfs_int.h"

KMEM_TYPE(file_type, file);

// The inode of the name that was opened: it may differ from the one that the file works on (overlay).
static struct inode *file_named_inode(const struct file *f)
{
	return f->path.dentry ? dentry_inode(f->path.dentry) : f->inode;
}
KMEM_TYPE(anon_inode_type, inode);

struct file *file_get(struct file *f)
{
	ref_get(&f->ref);
	return f;
}

void file_put(struct file *f)
{
	if (!f || !ref_put(&f->ref))
		return;
	if (f->epolls)
		eventpoll_forget(f);
	if (f->inode->locks)
		file_locks_file_closed(f);
	if (f->opened && kernel()->vfs->nwatches)
		vfs_notify_path(&f->path, (f->flags & O_ACCMODE) == O_RDONLY ? IN_CLOSE_NOWRITE : IN_CLOSE_WRITE);
	if (f->ops && f->ops->release)
		f->ops->release(f);
	if (f->counts_as_writer)
		file_named_inode(f)->writers--;
	if (f->denies_write)
		file_named_inode(f)->writers++;
	path_put(&f->path);
	cred_put(f->cred);
	kmem_free(&file_type, f);
}

struct file *file_alloc(struct path p, unsigned flags, struct cred *cred)
{
	struct file *f = kmem_alloc(&file_type);

	if (!f) {
		path_put(&p);
		return NULL;
	}
	ref_init(&f->ref);
	mutex_init(&f->pos_mu);
	f->path = p;
	f->inode = dentry_inode(p.dentry);
	f->ops = f->inode->file_ops;
	f->flags = flags;
	f->cred = cred ? cred_get(cred) : NULL;
	return f;
}

static void anon_destroy(struct inode *inode)
{
	inode_fini(inode);
	kmem_free(&anon_inode_type, inode);
}

// By a name in /proc/PID/fd; pipes don't come here.
static int anon_open(struct inode *inode, struct task *t, struct file *f)
{
	(void)inode;
	(void)t;
	f->ops = NULL; // nothing to release
	return -ENXIO;
}

static const struct inode_ops anon_inode_ops = {.destroy = anon_destroy, .open = anon_open};

struct file *file_create_anon(const struct file_ops *ops, void *priv, unsigned flags, uint32_t mode, const char *name)
{
	struct mount *mnt = kernel()->vfs->anon_mnt;
	struct inode *inode = kmem_alloc(&anon_inode_type);
	struct dentry *d;
	struct file *f;
	char shown[64];
	int len;

	if (!inode)
		return NULL;
	inode_init(inode, mnt->sb, &anon_inode_ops, mode | 0600);
	inode->attr.ino = ++kernel()->vfs->next_anon_ino;
	inode->file_ops = ops;
	if (S_ISFIFO(mode) || S_ISSOCK(mode))
		len = snprintf(shown, sizeof(shown), "%s:[%lu]", name, (unsigned long)inode->attr.ino);
	else
		len = snprintf(shown, sizeof(shown), "anon_inode:[%s]", name);
	d = dentry_create_unhashed(mnt->root, shown, MIN((size_t)len, sizeof(shown) - 1), inode);
	if (!d)
		return NULL;
	f = file_alloc((struct path){mount_get(mnt), d}, flags, NULL);
	if (f)
		f->priv = priv;
	return f;
}

uint32_t file_flags(const struct file *f)
{
	enum { LARGEFILE = 0100000 }; // shown for every file of a 64-bit program that was opened by path

	return (f->flags & ~O_CLOEXEC) | (f->opened ? LARGEFILE : 0);
}

int64_t file_read(struct file *f, struct uio *u, int64_t *pos)
{
	int64_t n;

	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (S_ISDIR(f->inode->attr.mode))
		return -EISDIR;
	if (!f->ops->read)
		return -EINVAL;
	n = f->ops->read(f, u, pos);
	if (n > 0 && kernel()->vfs->nwatches)
		vfs_notify_path(&f->path, IN_ACCESS);
	return n;
}

int file_beyond_limit(struct task *t)
{
	siginfo_t info;

	siginfo_kernel(&info, SIGXFSZ);
	signal_send_task(t, SIGXFSZ, &info);
	return -EFBIG;
}

// RLIMIT_FSIZE: how much of the write is allowed. 0 or -EFBIG, with SIGXFSZ sent.
static int limit_size(struct file *f, struct uio *u, int64_t pos, uint64_t *out_cut)
{
	uint64_t limit = task_rlimit(u->task, RLIMIT_FSIZE);

	*out_cut = 0;
	if (limit == RLIM64_INFINITY)
		return 0;
	if (f->flags & O_APPEND)
		pos = f->inode->attr.size;
	if ((uint64_t)pos >= limit && u->resid)
		return file_beyond_limit(u->task);
	if (u->resid > limit - pos)
		*out_cut = u->resid - (limit - pos);
	return 0;
}

int64_t file_write(struct file *f, struct uio *u, int64_t *pos)
{
	uint64_t cut = 0;
	int64_t n;

	if ((f->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	if (u->task && S_ISREG(f->inode->attr.mode)) {
		int err = limit_size(f, u, *pos, &cut);

		if (err)
			return err;
	}
	u->resid -= cut;
	n = f->ops->write(f, u, pos);
	u->resid += cut;
	if (n > 0) {
		if (u->task && (f->inode->attr.mode & (S_ISUID | S_ISGID)))
			vfs_drop_setid(u->task, f->inode);
		if (kernel()->vfs->nwatches)
			vfs_notify_path(&f->path, IN_MODIFY);
	}
	return n;
}

uint32_t file_poll(struct file *f, struct poll_table *pt)
{
	return f->ops->poll ? f->ops->poll(f, pt) : POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

int64_t file_read_kernel(struct file *f, void *dst, size_t len, int64_t pos)
{
	struct uio_seg seg;
	struct uio u;
	int64_t done = 0;

	if (!f->ops->read)
		return -EINVAL;
	while ((size_t)done < len) {
		int64_t n;

		uio_init_kernel(&u, &seg, (char *)dst + done, len - done);
		n = f->ops->read(f, &u, &pos);
		if (n <= 0)
			return done ? done : n;
		done += n;
	}
	return done;
}

int file_deny_write(struct file *f)
{
	int w = file_named_inode(f)->writers;

	if (f->denies_write)
		return 0;
	do {
		if (w > 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&file_named_inode(f)->writers, &w, w - 1));
	f->denies_write = true;
	return 0;
}

void file_allow_write(struct file *f)
{
	if (f->denies_write)
		file_named_inode(f)->writers++;
	f->denies_write = false;
}

int file_count_writer(struct file *f)
{
	int w = file_named_inode(f)->writers;

	do {
		if (w < 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&file_named_inode(f)->writers, &w, w + 1));
	f->counts_as_writer = true;
	return 0;
}
