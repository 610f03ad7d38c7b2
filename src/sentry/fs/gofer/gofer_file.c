// Open files of the gofer file system: reads, writes and mappings go to the host's descriptor, without a message.
//
// An inode keeps the descriptors that it was given (at most GOFER_IDLE_FILES_MAX inodes of a tree do, the longest unopened give theirs
// up first), so that opening a file again needs no message either.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/falloc.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/mm/mm.h"

enum { WRITE_AT_ONCE = 64 << 10 }; // more than this may take the host long

static void unlist_locked(struct gofer_sb *gsb, struct gofer_inode *gi)
{
	if (!gi->in_files)
		return;
	TAILQ_REMOVE(&gsb->with_files, gi, files_link);
	gi->in_files = false;
	gsb->nwith_files--;
}

static void list_locked(struct gofer_sb *gsb, struct gofer_inode *gi)
{
	unlist_locked(gsb, gi);
	TAILQ_INSERT_TAIL(&gsb->with_files, gi, files_link);
	gi->in_files = true;
	gsb->nwith_files++;
}

void gofer_files_keep(struct gofer_inode *gi, struct hostfd *h, bool writable)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	struct hostfd **slot = writable ? &gi->writable : &gi->readonly, *old[2] = {NULL, NULL}, *replaced;

	mutex_lock(&gsb->table_mu);
	replaced = *slot;
	*slot = h;
	list_locked(gsb, gi);
	if (gsb->nwith_files > GOFER_IDLE_FILES_MAX) {
		struct gofer_inode *oldest = TAILQ_FIRST(&gsb->with_files);

		old[0] = oldest->readonly;
		old[1] = oldest->writable;
		oldest->readonly = oldest->writable = NULL;
		unlist_locked(gsb, oldest);
	}
	mutex_unlock(&gsb->table_mu);
	hostfd_put(replaced);
	hostfd_put(old[0]);
	hostfd_put(old[1]);
}

void gofer_files_drop(struct gofer_inode *gi)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);

	mutex_lock(&gsb->table_mu);
	unlist_locked(gsb, gi);
	mutex_unlock(&gsb->table_mu);
	hostfd_put(gi->readonly);
	hostfd_put(gi->writable);
	gi->readonly = gi->writable = NULL;
}

struct hostfd *gofer_files_get(struct gofer_inode *gi, bool writable)
{
	struct gofer_sb *gsb = gofer_sb(&gi->inode);
	struct hostfd *h;

	mutex_lock(&gsb->table_mu);
	h = writable ? gi->writable : gi->readonly;
	if (h) {
		hostfd_get(h);
		list_locked(gsb, gi);
	}
	mutex_unlock(&gsb->table_mu);
	return h;
}

// A counted descriptor of the inode's file, from the gofer if none is kept.
static int host_file(struct gofer_inode *gi, bool writable, struct hostfd **out)
{
	uint64_t node;
	int fd, err;

	*out = gofer_files_get(gi, writable);
	if (*out)
		return 0;
	err = gofer_inode_node_open(gi, &node, writable ? NULL : &fd);
	if (!err && (writable || fd < 0))
		err = AWAY(gofer_open(gofer_client(&gi->inode), node, writable ? O_RDWR : O_RDONLY, &fd));
	if (err)
		return err;
	*out = hostfd_create(fd);
	if (!*out)
		return -ENOMEM;
	gofer_files_keep(gi, hostfd_get(*out), writable);
	return 0;
}

int gofer_file_open(struct inode *inode, struct task *t, struct file *f)
{
	bool writable = (f->flags & O_ACCMODE) != O_RDONLY;
	struct gofer_inode *gi = gofer_inode(inode);
	struct hostfd *h;
	int err;

	(void)t;
	if (!S_ISREG(inode->attr.mode))
		return 0;
	h = writable ? NULL : gofer_files_get(gi, true); // reading works through it as well
	f->priv_readonly = !writable && !h;
	err = h ? 0 : host_file(gi, writable, &h);
	if (err)
		return err;
	f->priv = h;
	return 0;
}

static void file_release(struct file *f)
{
	hostfd_put(f->priv);
}

static int host_fd(const struct file *f)
{
	return ((struct hostfd *)f->priv)->fd;
}

// What is known to be there, of a file that can't change behind our back, the application's process may read by itself.
static bool leave_read(struct file *f, struct uio *u, int64_t pos)
{
	const uint64_t size = f->inode->attr.size;

	return f->priv_readonly && !gofer_sb(f->inode)->shared && (uint64_t)pos < size && u->resid <= size - (uint64_t)pos &&
	       uio_leave(u, f->priv, pos, u->resid, false);
}

// What isn't there, the host doesn't have either. Reads leave the attributes alone.
static bool file_lend(struct file *f, struct task *t, bool wrote, struct platform_loan *loan)
{
	(void)t;
	if (wrote || !f->priv_readonly || gofer_sb(f->inode)->shared)
		return false;
	loan->file = f->priv;
	loan->kinds = PLATFORM_LEND_PREAD | PLATFORM_LEND_POS | PLATFORM_LEND_END | PLATFORM_LEND_MAP;
	return true;
}

// First what the host has in its page cache; only for the rest does the worker count as away.
static int64_t file_read_at(struct file *f, struct uio *u, int64_t *pos)
{
	int64_t n = (int64_t)u->resid, more;

	if (u->resid == 0)
		return 0;
	if (u->where != UIO_HERE && leave_read(f, u, *pos)) {
		*pos += n;
		return n;
	}
	n = uio_host_read_nowait(u, host_fd(f), *pos);
	if (n == 0)
		return 0;
	if (n < 0 && n != -EAGAIN && n != -EOPNOTSUPP)
		return n;
	if (n < 0)
		n = 0;
	if (u->resid > 0 && (n == 0 || (uint64_t)(*pos + n) < f->inode->attr.size)) {
		more = AWAY(uio_host_read(u, host_fd(f), *pos + n));
		if (more < 0 && n == 0)
			return more;
		n += more > 0 ? more : 0;
	}
	*pos += n;
	return n;
}

static int64_t file_write_at(struct file *f, struct uio *u, int64_t *pos)
{
	struct gofer_inode *gi = gofer_inode(f->inode);
	int64_t n, at = *pos;

	if (u->resid == 0)
		return 0;
	mutex_lock(&gi->inode.mu);
	if (f->flags & O_APPEND) {
		if (gofer_sb(f->inode)->shared)
			at = lseek(host_fd(f), 0, SEEK_END); // somebody else may have appended
		else
			at = (int64_t)gi->inode.attr.size;
	}
	n = u->resid > WRITE_AT_ONCE ? AWAY(uio_host_write(u, host_fd(f), at)) : uio_host_write(u, host_fd(f), at);
	if (n > 0) {
		*pos = at + n;
		if ((uint64_t)*pos > gi->inode.attr.size)
			gi->inode.attr.size = (uint64_t)*pos;
		gofer_attr_stale(gi);
	}
	mutex_unlock(&gi->inode.mu);
	if (n > 0 && f->flags & O_DSYNC && AWAY(fdatasync(host_fd(f))) < 0) // O_SYNC has that bit, too
		return -errno;
	return n;
}

static int64_t file_llseek(struct file *f, int64_t offset, int whence)
{
	int64_t base = 0, at;

	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END: {
		struct inode_attr attr;
		int err;

		mutex_lock(&f->inode->mu);
		err = gofer_sb(f->inode)->shared ? gofer_getattr_locked(f->inode, &attr) : 0;
		base = (int64_t)f->inode->attr.size;
		mutex_unlock(&f->inode->mu);
		if (err)
			return err;
		break;
	}
	case SEEK_DATA:
	case SEEK_HOLE:
		at = lseek(host_fd(f), offset, whence); // the descriptor's own position is nobody's
		if (at < 0)
			return -errno;
		return f->pos = at;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, offset, &at))
		return -EOVERFLOW;
	if (at < 0)
		return -EINVAL;
	return f->pos = at;
}

// What was opened for reading only is mapped from a descriptor that can do no more.
static int file_mmap(struct file *f, uint64_t offset, uint64_t len, int prot, bool shared, struct vm_backing *out)
{
	bool readonly = (f->flags & O_ACCMODE) == O_RDONLY;
	int err;

	if (readonly) {
		err = host_file(gofer_inode(f->inode), false, &out->hostfd);
		if (err)
			return err;
	} else {
		out->hostfd = hostfd_get(f->priv);
		mutex_lock(&f->inode->mu);
		if (shared && prot & PROT_WRITE)
			gofer_attr_stale(gofer_inode(f->inode));
		mutex_unlock(&f->inode->mu);
	}
	out->offset = offset;
	out->deny_shared_write = out->host_denies = readonly;
	return 0;
}

static int file_fsync(struct file *f, bool data_only)
{
	return AWAY(data_only ? fdatasync(host_fd(f)) : fsync(host_fd(f))) < 0 ? -errno : 0;
}

static int file_fallocate(struct file *f, int mode, int64_t offset, int64_t len)
{
	struct gofer_inode *gi = gofer_inode(f->inode);
	struct inode_attr attr;
	int err;

	mutex_lock(&gi->inode.mu);
	err = AWAY(fallocate(host_fd(f), mode, offset, len)) < 0 ? -errno : 0;
	gofer_attr_stale(gi);
	if (!err)
		err = gofer_getattr_locked(&gi->inode, &attr);
	mutex_unlock(&gi->inode.mu);
	return err;
}

const struct file_ops gofer_file_ops = {
	.read = file_read_at,
	.write = file_write_at,
	.llseek = file_llseek,
	.mmap = file_mmap,
	.fsync = file_fsync,
	.fallocate = file_fallocate,
	.release = file_release,
	.lend = file_lend,
	.closes_late = true,
	.plain_seek = true,
	.host_backed = true,
};
