// Bytes to and from application or kernel memory.
#include "sentry/vfs/uio.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/strace/strace.h"

enum {
	BOUNCE_BYTES = 64 << 10,
	LEAVE_MIN = 512, // less is copied sooner than a process asks its host for it
	LEAVE_AT_ONCE = 32 << 10, // so much pays for passing a descriptor
};

void uio_init_user(struct uio *u, struct task *t, struct uio_seg *seg, uaddr_t base, uint64_t len)
{
	*seg = (struct uio_seg){base, len};
	*u = (struct uio){.task = t, .segs = seg, .nsegs = 1, .resid = len};
}

void uio_init_kernel(struct uio *u, struct uio_seg *seg, void *base, uint64_t len)
{
	*seg = (struct uio_seg){(uint64_t)base, len};
	*u = (struct uio){.segs = seg, .nsegs = 1, .resid = len};
}

// The current contiguous piece; 0 bytes only when resid is 0.
static uint64_t piece(struct uio *u, uint64_t *out_base)
{
	while (u->seg < u->nsegs && u->seg_done == u->segs[u->seg].len) {
		u->seg++;
		u->seg_done = 0;
	}
	if (u->seg == u->nsegs)
		return 0;
	*out_base = u->segs[u->seg].base + u->seg_done;
	return MIN(u->segs[u->seg].len - u->seg_done, u->resid);
}

static void advance(struct uio *u, uint64_t n)
{
	u->seg_done += n;
	u->resid -= n;
}

int uio_put(struct uio *u, const void *src, uint64_t len)
{
	const char *p = src;

	while (len) {
		uint64_t base, n = MIN(piece(u, &base), len);

		if (!n)
			return -EFAULT;
		if (!u->task)
			memcpy((void *)base, p, n);
		else if (copy_out(u->task, base, p, n) < 0)
			return -EFAULT;
		advance(u, n);
		p += n;
		len -= n;
	}
	return 0;
}

int uio_take(struct uio *u, void *dst, uint64_t len)
{
	char *p = dst;

	while (len) {
		uint64_t base, n = MIN(piece(u, &base), len);

		if (!n)
			return -EFAULT;
		if (!u->task)
			memcpy(p, (void *)base, n);
		else if (copy_in(u->task, p, base, n) < 0)
			return -EFAULT;
		advance(u, n);
		p += n;
		len -= n;
	}
	return 0;
}

int uio_zero(struct uio *u, uint64_t len)
{
	static const char zeros[PAGE_SIZE];
	int err = 0;

	while (len && !err) {
		uint64_t base, n = MIN(piece(u, &base), MIN(len, sizeof(zeros)));

		if (u->task)
			n = mm_range_len(u->task->mm, base, n, PROT_WRITE); // what there is
		if (n == 0)
			return -EFAULT;
		err = uio_put(u, zeros, n);
		len -= n;
	}
	return err;
}

static ssize_t host_read(int fd, void *dst, size_t len, int64_t offset, int flags)
{
	struct iovec iov = {dst, len};
	ssize_t n;

	if (flags)
		n = preadv2(fd, &iov, 1, offset, flags);
	else
		n = offset < 0 ? read(fd, dst, len) : pread(fd, dst, len, offset);
	return n < 0 ? -errno : n;
}

static ssize_t host_write(int fd, const void *src, size_t len, int64_t offset, int flags)
{
	(void)flags;
	ssize_t n = offset < 0 ? write(fd, src, len) : pwrite(fd, src, len, offset);

	return n < 0 ? -errno : n;
}

// One piece, by the shortest way: into kernel memory, into memory shared with the stub, or through a buffer.
static int64_t read_piece(struct uio *u, int fd, int64_t offset, int flags, uint64_t *out_asked)
{
	char bounce[BOUNCE_BYTES];
	uint64_t base, len = piece(u, &base);
	ssize_t n;
	void *shared;

	*out_asked = len;
	if (!u->task) {
		n = host_read(fd, (void *)base, len, offset, flags);
		if (n > 0)
			advance(u, n);
		return n;
	}
	len = mm_range_len(u->task->mm, base, len, PROT_WRITE); // before anything is taken from a pipe
	if (len == 0)
		return -EFAULT;
	shared = platform->copy_out_reserve(u->task->ctx, base, len);
	if (shared) {
		n = host_read(fd, shared, len, offset, flags);
		if (n > 0 && kernel()->strace)
			strace_note_out(u->task, base, shared, n);
		platform->copy_out_commit(u->task->ctx, n > 0 ? n : 0);
		if (n > 0)
			advance(u, n);
		return n;
	}
	if (len > sizeof(bounce))
		*out_asked = len = sizeof(bounce);
	n = host_read(fd, bounce, len, offset, flags);
	if (n > 0 && uio_put(u, bounce, n) < 0)
		return -EFAULT;
	return n;
}

static int64_t write_piece(struct uio *u, int fd, int64_t offset, int flags, uint64_t *out_asked)
{
	char bounce[BOUNCE_BYTES];
	uint64_t base, len = piece(u, &base);
	const void *src = (const void *)base;
	ssize_t n;

	*out_asked = len;
	if (u->task) {
		src = platform->peek_in(u->task->ctx, base, len);
		if (!src) {
			len = *out_asked = MIN(len, sizeof(bounce));
			if (copy_in(u->task, bounce, base, len) < 0) {
				len = mm_range_len(u->task->mm, base, len, PROT_READ); // what there is
				if (len == *out_asked || len == 0 || copy_in(u->task, bounce, base, len) < 0)
					return -EFAULT;
			}
			src = bounce;
		}
	}
	n = host_write(fd, src, len, offset, flags);
	if (n > 0)
		advance(u, n);
	return n;
}

static int64_t transfer(struct uio *u, int fd, int64_t offset, int flags,
			int64_t (*one)(struct uio *u, int fd, int64_t offset, int flags, uint64_t *out_asked))
{
	int64_t done = 0;

	while (u->resid) {
		uint64_t asked = 0;
		int64_t n = one(u, fd, offset < 0 ? offset : offset + done, flags, &asked);

		if (n <= 0)
			return done ? done : n;
		done += n;
		if ((uint64_t)n < asked)
			break; // short: the end, or all there is
	}
	return done;
}

int64_t uio_host_read(struct uio *u, int fd, int64_t offset)
{
	return transfer(u, fd, offset, 0, read_piece);
}

int64_t uio_host_write(struct uio *u, int fd, int64_t offset)
{
	return transfer(u, fd, offset, 0, write_piece);
}

int64_t uio_host_read_nowait(struct uio *u, int fd, int64_t offset)
{
	return transfer(u, fd, offset, RWF_NOWAIT, read_piece);
}

bool uio_leaves(const struct uio *u, uint64_t len)
{
	return u->where == UIO_THERE || (u->where == UIO_IF_KEPT && len >= LEAVE_AT_ONCE);
}

bool uio_leave(struct uio *u, struct hostfd *file, int64_t offset, uint64_t len, bool write)
{
	struct task *t = u->task;
	uint64_t base, end;

	if (u->where == UIO_HERE || len < LEAVE_MIN || piece(u, &base) < len)
		return false;
	if (__builtin_add_overflow(base, len, &end) || end > APP_MAX)
		return false;
	if (!platform->file_move(t->ctx, file, base, len, offset, write)) {
		if (!uio_leaves(u, len) || !mm_ops_try(t) || platform->file_keep(t->ctx, file) < 0 ||
		    !platform->file_move(t->ctx, file, base, len, offset, write))
			return false;
	}
	u->where = UIO_HERE; // one a call
	t->call.left.at = offset;
	t->call.left.len = len;
	advance(u, len);
	return true;
}

void uio_skip(struct uio *u, uint64_t n)
{
	while (n) {
		uint64_t step = MIN(n, u->segs[u->seg].len - u->seg_done);

		u->seg_done += step;
		u->resid -= step;
		n -= step;
		if (u->seg_done == u->segs[u->seg].len && u->seg + 1 < u->nsegs) {
			u->seg++;
			u->seg_done = 0;
		}
	}
}
