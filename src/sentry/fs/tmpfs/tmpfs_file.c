// tmpfs's regular files: small contents in kernel memory; from TMPFS_SMALL_MAX on, or once they are mapped, in a memfd of their own.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/falloc.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "host/processors.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"
#include "sentry/mm/mm.h"

enum { VISIT_MIN = 512 << 10 }; // bytes of a file for whose pages a way to another processor and back pays

int tmpfs_charge(struct super_block *sb, uint64_t old_size, uint64_t new_size)
{
	struct tmpfs_sb *tsb = tmpfs_sb(sb);
	int64_t delta = (int64_t)PAGE_ALIGN(new_size) - (int64_t)PAGE_ALIGN(old_size);

	if ((tsb->bytes += delta) > tsb->max_bytes && tsb->max_bytes && delta > 0) {
		tsb->bytes -= delta;
		return -ENOSPC;
	}
	return 0;
}

// Moves the contents into a memfd. 0 or -errno.
static int to_host(struct tmpfs_node *n)
{
	size_t size = MIN(n->inode.attr.size, n->file.small_cap);
	int fd, seals;

	if (n->file.host)
		return 0;
	fd = memfd_create("tmpfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -ENOSPC;
	if (ftruncate(fd, n->inode.attr.size) < 0 || (size && pwrite(fd, n->file.small, size, 0) != (ssize_t)size)) {
		close(fd);
		return -ENOSPC;
	}
	// Of what the host keeps from those who have it open, nothing is in our way: it is looked at here first.
	seals = (int)(n->file.seals & TMPFS_HOST_SEALS);
	if (seals && fcntl(fd, F_ADD_SEALS, seals) < 0) {
		close(fd);
		return -ENOSPC;
	}
	n->file.host = hostfd_create(fd);
	if (!n->file.host)
		return -ENOMEM;
	kmem_bytes_free(n->file.small);
	n->file.small = NULL;
	n->file.small_cap = 0;
	inode_changed(&n->inode); // or will, unseen
	return 0;
}

// Kernel memory for len bytes; what is beyond the file's size is zero.
static int grow_small(struct tmpfs_node *n, size_t len)
{
	size_t cap = n->file.small_cap ? n->file.small_cap : 256;
	char *p;

	while (cap < len)
		cap *= 2;
	if (cap == n->file.small_cap)
		return 0;
	p = kmem_bytes_resize(n->file.small, cap);
	if (!p)
		return -ENOMEM;
	n->file.small = p;
	n->file.small_cap = cap;
	return 0;
}

// The host takes free pages first from those that the same processor gave back last. So much memory goes back where the application runs that
// is about to write the next file: there they are in the caches, and natively it would have been there, too.
static void visit_writer(struct host_visit *v, uint64_t bytes)
{
	host_visit_begin(v, bytes >= VISIT_MIN && platform->last_cpu ? platform->last_cpu() : -1);
}

static int cut(struct tmpfs_node *n, uint64_t old, uint64_t size)
{
	struct host_visit v;
	int err;

	visit_writer(&v, size < old ? old - size : 0);
	err = ftruncate(n->file.host->fd, size) < 0 ? -errno : 0;
	host_visit_end(&v);
	return err;
}

int tmpfs_file_resize(struct tmpfs_node *n, uint64_t size)
{
	uint64_t old;
	int err;

	tmpfs_loans_stop(&n->inode);
	tmpfs_settle_locked(n);
	old = n->inode.attr.size;
	if (size > INT64_MAX)
		return -EFBIG;
	if ((size < old && (n->file.seals & F_SEAL_SHRINK)) || (size > old && (n->file.seals & F_SEAL_GROW)))
		return -EPERM;
	err = tmpfs_charge(n->inode.sb, old, size);
	if (err)
		return err;
	n->file.late |= size < old && n->file.lent_late;
	if (!n->file.host && size > TMPFS_SMALL_MAX)
		err = to_host(n);
	if (!err && n->file.host)
		err = cut(n, old, size);
	else if (!err && size > old)
		err = grow_small(n, size);
	else if (!err && n->file.small)
		memset(n->file.small + size, 0, MIN(old, n->file.small_cap) - MIN(size, n->file.small_cap));
	if (err) {
		tmpfs_charge(n->inode.sb, size, old);
		return err;
	}
	n->inode.attr.size = size;
	n->inode.attr.blocks = PAGE_ALIGN(size) / 512;
	n->file.blocks_stale = n->file.host;
	inode_changed(&n->inode);
	return 0;
}

int tmpfs_getattr(struct inode *inode, struct inode_attr *out)
{
	struct tmpfs_node *n = tmpfs_node(inode);
	struct stat st;

	tmpfs_note_written(inode);
	if (S_ISREG(inode->attr.mode))
		tmpfs_settle_locked(n);
	if (S_ISREG(inode->attr.mode) && n->file.host && (n->file.blocks_stale || n->file.mapped) &&
	    fstat(n->file.host->fd, &st) == 0) {
		inode->attr.blocks = (uint64_t)st.st_blocks;
		n->file.blocks_stale = false;
	}
	*out = inode->attr;
	return 0;
}

void tmpfs_file_free(struct tmpfs_node *n)
{
	struct host_visit v;

	tmpfs_charge(n->inode.sb, n->inode.attr.size, 0);
	kmem_bytes_free(n->file.small);
	visit_writer(&v, n->file.host ? n->inode.attr.size : 0);
	// A stub may keep a descriptor: the memory goes all the same.
	if (n->file.host && (hostfd_is_shared(n->file.host) || (n->file.readonly && hostfd_is_shared(n->file.readonly))) &&
	    ftruncate(n->file.host->fd, 0) < 0)
		log_warning("tmpfs: a file's memory stays until who had it open ends: %m");
	hostfd_put(n->file.host);
	hostfd_put(n->file.readonly);
	host_visit_end(&v);
}

static int64_t file_read_at(struct file *f, struct uio *u, int64_t *pos)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	int64_t done = 0;

	mutex_lock(&n->inode.mu);
	tmpfs_note_written(&n->inode);
	if (n->file.late)
		tmpfs_settle_locked(n);
	if (*pos >= 0 && (uint64_t)*pos < n->inode.attr.size && u->resid) {
		uint64_t len = MIN(u->resid, n->inode.attr.size - (uint64_t)*pos);

		if (n->file.host) {
			uint64_t rest = u->resid - len;

			u->resid = len;
			if (u->where != UIO_HERE && tmpfs_leave_read_locked(n, u, *pos, len))
				done = (int64_t)len;
			else
				done = uio_host_read(u, n->file.host->fd, *pos);
			u->resid += rest;
		} else {
			done = uio_put(u, n->file.small + *pos, len) ? -EFAULT : (int64_t)len;
		}
	}
	if (done > 0)
		*pos += done;
	if (tmpfs_atime_due(f))
		tmpfs_touch(&n->inode, ATTR_ATIME);
	mutex_unlock(&n->inode.mu);
	return done;
}

static int64_t file_write_at(struct file *f, struct uio *u, int64_t *pos)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	uint64_t end, old;
	int64_t done;
	bool left = false;
	int err = 0;

	mutex_lock(&n->inode.mu);
	if (!tmpfs_grown_by(n, u->task))
		tmpfs_settle_locked(n);
	if (f->flags & O_APPEND)
		*pos = n->inode.attr.size;
	old = n->inode.attr.size;
	if (u->resid == 0) {
		mutex_unlock(&n->inode.mu);
		return 0;
	}
	if (n->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		err = -EPERM;
	else if (*pos < 0 || __builtin_add_overflow((uint64_t)*pos, u->resid, &end) || end > INT64_MAX)
		err = -EFBIG;
	else if (u->where != UIO_HERE && tmpfs_leave_write_locked(f, u, *pos, end))
		left = true;
	else if (end > old)
		err = tmpfs_file_resize(n, end);
	if (err) {
		mutex_unlock(&n->inode.mu);
		return err;
	}
	if (left) {
		done = (int64_t)(end - (uint64_t)*pos);
	} else if (n->file.host) {
		done = uio_host_write(u, n->file.host->fd, *pos);
		n->file.blocks_stale = true;
	} else {
		uint64_t len = u->resid;

		done = uio_take(u, n->file.small + *pos, len) ? -EFAULT : (int64_t)len;
	}
	if (done < (int64_t)(end - *pos) && end > old) // less came than was made room for
		tmpfs_file_resize(n, MAX(old, (uint64_t)*pos + (done > 0 ? done : 0)));
	if (done > 0) {
		*pos += done;
		tmpfs_touch(&n->inode, ATTR_MTIME | ATTR_CTIME);
	}
	mutex_unlock(&n->inode.mu);
	return done;
}

// What was opened for reading only is mapped from a descriptor that can do no more.
static int file_mmap(struct file *f, uint64_t offset, uint64_t len, int prot, bool shared, struct vm_backing *out)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	const bool readonly = (f->flags & O_ACCMODE) == O_RDONLY;
	int err;

	mutex_lock(&n->inode.mu);
	err = to_host(n);
	if (!err && readonly && !tmpfs_readonly_locked(n))
		err = -ENFILE;
	if (!err && shared && (n->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))) {
		if (prot & PROT_WRITE)
			err = -EPERM;
		out->deny_shared_write = true;
	}
	if (!err) {
		out->hostfd = hostfd_get(readonly ? n->file.readonly : n->file.host);
		n->file.blocks_stale = true;
		n->file.mapped |= shared;
		out->offset = offset;
	}
	mutex_unlock(&n->inode.mu);
	return err;
}

static int64_t file_seek(struct file *f, int64_t offset, int whence)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	int64_t size, at;

	mutex_lock(&n->inode.mu);
	tmpfs_settle_locked(n);
	size = n->inode.attr.size;
	if (offset < 0 || offset >= size)
		at = -ENXIO;
	else if (n->file.host)
		at = (at = lseek(n->file.host->fd, offset, whence)) < 0 ? -errno : at;
	else
		at = whence == SEEK_DATA ? offset : size;
	mutex_unlock(&n->inode.mu);
	return at;
}

static int64_t size_now(struct file *f)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	int64_t size;

	mutex_lock(&n->inode.mu);
	tmpfs_settle_locked(n);
	size = (int64_t)n->inode.attr.size;
	mutex_unlock(&n->inode.mu);
	return size;
}

static int64_t file_llseek(struct file *f, int64_t offset, int whence)
{
	int64_t base = whence == SEEK_CUR ? f->pos : whence == SEEK_END ? size_now(f) : 0, at;

	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		at = file_seek(f, offset, whence);
	else if (whence != SEEK_SET && whence != SEEK_CUR && whence != SEEK_END)
		return -EINVAL;
	else if (__builtin_add_overflow(base, offset, &at))
		return -EOVERFLOW;
	else if (at < 0)
		return -EINVAL;
	if (at >= 0)
		f->pos = at;
	return at;
}

static int file_fallocate(struct file *f, int mode, int64_t offset, int64_t len)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	uint64_t end = (uint64_t)offset + (uint64_t)len, size;
	int err = 0;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	mutex_lock(&n->inode.mu);
	tmpfs_settle_locked(n);
	size = n->inode.attr.size;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
		if (n->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
			err = -EPERM;
		else if (n->file.host)
			err = fallocate(n->file.host->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len) < 0 ? -errno : 0;
		else if ((uint64_t)offset < size)
			memset(n->file.small + offset, 0, MIN(end, size) - offset);
	}
	if (!err && end > size && !(mode & FALLOC_FL_KEEP_SIZE))
		err = tmpfs_file_resize(n, end);
	if (!err)
		tmpfs_touch(&n->inode, ATTR_MTIME | ATTR_CTIME);
	n->file.blocks_stale = n->file.host;
	mutex_unlock(&n->inode.mu);
	return err;
}

const struct file_ops tmpfs_file_ops = {
	.read = file_read_at,
	.write = file_write_at,
	.llseek = file_llseek,
	.mmap = file_mmap,
	.fallocate = file_fallocate,
	.left_undone = tmpfs_left_undone,
	.lend = tmpfs_lend,
	.closes_late = true,
	.plain_seek = true,
};
