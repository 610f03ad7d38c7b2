// read, write and their kin, and lseek. A call that waits keeps what it has done in t->call.io.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/uio.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/sock.h"
#include "sentry/syscalls/iovec.h"
#include "sentry/syscalls/sys_rw.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/vfs.h"

enum {
	POS_OF_FILE = -1, // offset: the file's own position
	LEAVE_AFTER = 32 << 10, // bytes of a file, after which its descriptor is worth passing
	FEW = 8, // bytes
};

#define RW_MAX 0x7ffff000ull // bytes a call moves at most

struct transfer {
	bool write, nowait, plain; // nowait: RWF_NOWAIT; plain: read or write
	int64_t offset; // or POS_OF_FILE
};

static int64_t once(struct task *t, struct file *f, struct uio *u, const struct transfer *x)
{
	int64_t (*op)(struct file *, struct uio *, int64_t *) = x->write ? file_write : file_read;
	int64_t pos = x->offset, n;

	if (f->ops->stream) {
		pos = 0;
		return op(f, u, &pos);
	}
	if (t->call.left.fixed)
		pos = t->call.left.at;
	if (pos >= 0)
		return op(f, u, &pos);
	t->call.left.own_pos = true;
	mutex_lock(&f->pos_mu);
	n = op(f, u, &f->pos);
	mutex_unlock(&f->pos_mu);
	return n;
}

long rw_settle(struct task *t, uint64_t moved)
{
	struct file *f = fd_file(t, (int)t->call.args[0]);
	const int64_t at = t->call.left.at, end = at + (int64_t)t->call.left.len;

	moved = MIN(moved, t->call.left.len);
	t->call.left.len = 0;
	if (f && t->call.left.own_pos) {
		mutex_lock(&f->pos_mu);
		if (f->pos == end)
			f->pos = at + (int64_t)moved;
		else
			t->call.left.fixed = true; // somebody has gone on from there
		mutex_unlock(&f->pos_mu);
	}
	if (f && f->ops->left_undone)
		f->ops->left_undone(f);
	file_put(f);
	t->call.left.again = true;
	t->call.io.done_bytes = 0;
	return (long)moved;
}

// Whether the application's process may do it by itself. With --strace the bytes are to be seen here.
static void choose_where(struct task *t, struct file *f, struct uio *u)
{
	if (platform->file_move && !f->ops->stream && !t->call.left.again && !kernel()->strace)
		u->where = f->moved >= LEAVE_AFTER ? UIO_THERE : UIO_IF_KEPT;
}

static long run(struct task *t, struct file *f, struct uio *u, const struct transfer *x)
{
	uint64_t *done = &t->call.io.done_bytes;
	int64_t n;
	long ret;

	if (u->resid > RW_MAX)
		u->resid = RW_MAX;
	uio_skip(u, *done);
	choose_where(t, f, u);
	for (;;) {
		n = once(t, f, u, x);
		if (n > 0)
			*done += n;
		if (n > 0 && f->moved < LEAVE_AFTER)
			f->moved += (uint32_t)MIN(n, LEAVE_AFTER);
		// A write to a stream goes on until all is written; everything else may be short.
		if (n > 0 && x->write && f->ops->stream && u->resid && !(f->flags & O_NONBLOCK))
			continue;
		if (n != -EAGAIN)
			return *done ? (long)*done : n;
		if ((f->flags & O_NONBLOCK) || x->nowait)
			return *done ? (long)*done : -EAGAIN;
		if (f->ops->wait)
			ret = f->ops->wait(t, f, x->write, u->resid);
		else
			ret = file_sock(f) ? sock_block(t, f, x->write, NULL)
					   : task_block_file(t, f, x->write ? POLLOUT | POLLWRNORM : POLLIN | POLLRDNORM);
		if (ret == -EBLOCKED || ret == -EAGAINNOW)
			return ret;
		return *done ? (long)*done : ret;
	}
}

static bool worth_lending(const struct task *t, const struct file *f, const struct transfer *x, long moved)
{
	if (S_ISCHR(f->inode->attr.mode))
		return f->moved > moved; // not the first time
	if (x->write)
		return x->offset >= 0 && t->call.left.len;
	return f->moved >= LEAVE_AFTER || t->call.left.len;
}

static long run_fd(struct task *t, int fd, struct uio *u, const struct transfer *x)
{
	struct file *f = x->offset >= 0 ? fd_file_at(t, fd) : fd_file(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	if (x->offset >= 0 && f->ops->stream)
		ret = -ESPIPE;
	else
		ret = run(t, f, u, x);
	if (ret > 0 && f->ops->lend && worth_lending(t, f, x, ret))
		loan_after_transfer(t, fd, f, x->write);
	if (ret >= 0 && x->offset < 0)
		loan_pos(t, fd, f, false);
	if (ret > 0 && ret <= FEW && x->plain && f->ops->used)
		f->ops->used(f, t, fd, x->write);
	file_put(f);
	return ret;
}

static long plain(struct task *t, const struct sysargs *args, bool write, int64_t offset)
{
	struct uio_seg seg;
	struct uio u;

	if ((int64_t)args->a[2] < 0)
		return -EINVAL;
	uio_init_user(&u, t, &seg, args->a[1], args->a[2]);
	return run_fd(t, (int)args->a[0], &u, &(struct transfer){.write = write, .plain = true, .offset = offset});
}

long sys_read(struct task *t, const struct sysargs *args)
{
	return plain(t, args, false, POS_OF_FILE);
}

long sys_write(struct task *t, const struct sysargs *args)
{
	return plain(t, args, true, POS_OF_FILE);
}

long sys_pread64(struct task *t, const struct sysargs *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : plain(t, args, false, (int64_t)args->a[3]);
}

long sys_pwrite64(struct task *t, const struct sysargs *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : plain(t, args, true, (int64_t)args->a[3]);
}

long iovec_copy_in(struct task *t, uaddr_t uiov, uint64_t count, struct uio_seg *inline_segs, struct uio *out)
{
	struct uio_seg *segs = inline_segs;
	uint64_t sum = 0;

	if (count > IOV_MAX)
		return -EINVAL;
	if (count > IOVEC_INLINE) {
		segs = kmem_bytes(count * sizeof(*segs));
		if (!segs)
			return -ENOMEM;
	}
	// struct iovec and struct uio_seg are laid out alike.
	_Static_assert(sizeof(struct iovec) == sizeof(struct uio_seg), "an iovec is a segment");
	if (copy_in(t, segs, uiov, count * sizeof(*segs)) < 0) {
		iovec_free(segs, inline_segs);
		return -EFAULT;
	}
	for (uint64_t i = 0; i < count; i++) {
		if ((int64_t)segs[i].len < 0 || __builtin_add_overflow(sum, segs[i].len, &sum) || (int64_t)sum < 0) {
			iovec_free(segs, inline_segs);
			return -EINVAL;
		}
	}
	*out = (struct uio){.task = t, .segs = segs, .nsegs = (int)count, .resid = sum};
	return 0;
}

void iovec_free(const struct uio_seg *segs, const struct uio_seg *inline_segs)
{
	if (segs != inline_segs)
		kmem_bytes_free((void *)segs);
}

static long vector(struct task *t, const struct sysargs *args, const struct transfer *x)
{
	struct uio_seg inline_segs[IOVEC_INLINE];
	struct uio u;
	long ret = iovec_copy_in(t, args->a[1], (uint32_t)args->a[2], inline_segs, &u);

	if (ret < 0)
		return ret;
	ret = run_fd(t, (int)args->a[0], &u, x);
	iovec_free(u.segs, inline_segs);
	return ret;
}

long sys_readv(struct task *t, const struct sysargs *args)
{
	return vector(t, args, &(struct transfer){.offset = POS_OF_FILE});
}

long sys_writev(struct task *t, const struct sysargs *args)
{
	return vector(t, args, &(struct transfer){.write = true, .offset = POS_OF_FILE});
}

long sys_preadv(struct task *t, const struct sysargs *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : vector(t, args, &(struct transfer){.offset = (int64_t)args->a[3]});
}

long sys_pwritev(struct task *t, const struct sysargs *args)
{
	return (int64_t)args->a[3] < 0 ? -EINVAL : vector(t, args, &(struct transfer){.write = true, .offset = (int64_t)args->a[3]});
}

static long vector2(struct task *t, const struct sysargs *args, bool write)
{
	int64_t offset = (int64_t)args->a[3];
	uint64_t flags = args->a[5];

	if (offset < -1)
		return -EINVAL;
	// HIPRI, DSYNC and SYNC change nothing here; APPEND would need the file's help.
	if (flags & ~(uint64_t)(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT))
		return -EOPNOTSUPP;
	return vector(t, args, &(struct transfer){.write = write, .offset = offset, .nowait = flags & RWF_NOWAIT});
}

long sys_preadv2(struct task *t, const struct sysargs *args)
{
	return vector2(t, args, false);
}

long sys_pwritev2(struct task *t, const struct sysargs *args)
{
	return vector2(t, args, true);
}

// For files whose size is their inode's.
static int64_t generic_llseek(struct file *f, int64_t offset, int whence)
{
	int64_t size = (int64_t)f->inode->attr.size, at;

	switch (whence) {
	case SEEK_SET:
		at = offset;
		break;
	case SEEK_CUR:
		if (__builtin_add_overflow(f->pos, offset, &at))
			return -EOVERFLOW;
		break;
	case SEEK_END:
		if (__builtin_add_overflow(size, offset, &at))
			return -EOVERFLOW;
		break;
	case SEEK_DATA:
		at = offset < 0 || offset >= size ? -ENXIO : offset;
		break;
	case SEEK_HOLE:
		at = offset < 0 || offset >= size ? -ENXIO : size;
		break;
	default:
		return -EINVAL;
	}
	if (at < 0)
		return whence == SEEK_DATA || whence == SEEK_HOLE ? at : -EINVAL;
	f->pos = at;
	return at;
}

long sys_lseek(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	int whence = (int)args->a[2];
	int64_t ret;

	if (!f)
		return -EBADF;
	if (f->ops->stream) {
		ret = -ESPIPE;
	} else {
		mutex_lock(&f->pos_mu);
		ret = (f->ops->llseek ? f->ops->llseek : generic_llseek)(f, (int64_t)args->a[1], whence);
		mutex_unlock(&f->pos_mu);
	}
	if (ret >= 0)
		loan_pos(t, (int)args->a[0], f, true);
	file_put(f);
	return ret;
}
