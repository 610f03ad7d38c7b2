// Moving data without the application seeing it: sendfile, splice, tee, vmsplice, copy_file_range.
//
// Pipes move bytes between themselves; everything else goes by way of one buffer, a piece at a time, as a read and a write
// without the two copies to and from the application. What has been done by a call that waits is in t->call.io.
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/sock.h"
#include "sentry/syscalls/iovec.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/setattr.h"
#include "sentry/vfs/vfs.h"

enum { CHUNK_BYTES = 64 << 10, TURN_BYTES = 4 << 20 };

#define RW_MAX 0x7ffff000ull // bytes a call moves at most
#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

struct side { // one end of a transfer
	struct file *f;
	uaddr_t upos; // where the application keeps the position; 0: the file does
	int64_t pos; // from there, moved on by what was done
};

struct move {
	struct side in, out;
	uint64_t len;
	bool nonblock; // whatever the files' own flags
	bool to_the_end; // goes on until len or the end of in; else what is at hand does
	char *buf; // CHUNK_BYTES
};

static bool may_read(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_WRONLY;
}

static bool may_write(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_RDONLY;
}

static void sides_put(struct move *m)
{
	if (m->in.f)
		file_put(m->in.f);
	if (m->out.f)
		file_put(m->out.f);
	kmem_bytes_free(m->buf);
}

// The files of both descriptors, counted; 0 or -EBADF.
static int sides_get(struct task *t, struct move *m, int fd_in, int fd_out)
{
	m->in.f = fd_file(t, fd_in);
	m->out.f = fd_file(t, fd_out);
	return m->in.f && m->out.f && may_read(m->in.f) && may_write(m->out.f) ? 0 : -EBADF;
}

static int side_pos_in(struct task *t, struct side *s, uaddr_t upos)
{
	s->upos = upos;
	if (upos && copy_in_obj(t, &s->pos, upos) < 0)
		return -EFAULT;
	return upos && s->pos < 0 ? -EINVAL : 0;
}

static int side_pos_out(struct task *t, const struct side *s)
{
	return s->upos ? copy_out_obj(t, s->upos, &s->pos) : 0;
}

// --- one piece

// The position of a file is asked for and set by seeking: a host file's is kept by the host, who else uses it sees it there.
static int64_t seek(struct file *f, int64_t offset, int whence)
{
	return f->ops->llseek ? f->ops->llseek(f, offset, whence) : whence == SEEK_SET ? (f->pos = offset) : f->pos;
}

static int64_t side_pos(struct side *s)
{
	int64_t pos;

	if (s->upos || s->f->ops->stream)
		return s->pos;
	mutex_lock(&s->f->pos_mu);
	pos = seek(s->f, 0, SEEK_CUR);
	mutex_unlock(&s->f->pos_mu);
	return pos < 0 ? 0 : pos; // what can't be sought through has none
}

static void side_advance(struct side *s, int64_t n)
{
	if (s->f->ops->stream)
		return;
	if (s->upos) {
		s->pos += n;
		return;
	}
	mutex_lock(&s->f->pos_mu);
	seek(s->f, s->f->pos + n, SEEK_SET);
	mutex_unlock(&s->f->pos_mu);
}

// RLIMIT_FSIZE, which file_write knows only of the application's own memory. How much may be written, or -EFBIG.
static int64_t limit_size(struct task *t, struct file *f, int64_t pos, int64_t len)
{
	uint64_t limit = task_rlimit(t, RLIMIT_FSIZE);

	if (!S_ISREG(f->inode->attr.mode) || limit == RLIM64_INFINITY || (uint64_t)pos + len <= limit)
		return len;
	if ((uint64_t)pos < limit)
		return limit - pos;
	return file_beyond_limit(t);
}

// Writes buf to the side, once; may be short.
static int64_t put(struct task *t, struct side *out, void *buf, int64_t len)
{
	int64_t pos = side_pos(out), n = limit_size(t, out->f, pos, len);
	struct uio_seg seg;
	struct uio u;

	if (n < 0)
		return n;
	uio_init_kernel(&u, &seg, buf, n);
	n = file_write(out->f, &u, &pos);
	if (n > 0) {
		side_advance(out, n);
		if (out->f->inode->attr.mode & (S_ISUID | S_ISGID))
			vfs_drop_setid(t, out->f->inode);
	}
	if (n == -EPIPE)
		pipe_broken(t);
	return n;
}

static int64_t get(struct side *in, void *buf, int64_t len)
{
	int64_t pos = side_pos(in);
	struct uio_seg seg;
	struct uio u;

	uio_init_kernel(&u, &seg, buf, len);
	return file_read(in->f, &u, &pos);
}

static long side_wait(struct task *t, struct file *f, bool write)
{
	return file_sock(f) ? sock_block(t, f, write, NULL) : task_block_file(t, f, write ? POLLOUT_ALL : POLLIN_ALL);
}

// Moves up to len bytes. *out_wait: the side that has to change after -EAGAIN.
static int64_t move_piece(struct task *t, struct move *m, int64_t len, struct side **out_wait)
{
	struct pipe *in = file_pipe(m->in.f), *out = file_pipe(m->out.f);
	int64_t n, done = 0, w = 0;

	*out_wait = &m->out;
	if (out) { // no more than fits: what was read can't be given back to a socket
		if (file_poll(m->out.f, NULL) & POLLERR) {
			pipe_broken(t);
			return -EPIPE;
		}
		len = MIN(len, (int64_t)pipe_room(out));
		if (len == 0)
			return -EAGAIN;
	}
	n = get(&m->in, m->buf, len);
	if (n == -EAGAIN)
		*out_wait = &m->in;
	if (n <= 0)
		return n;
	if (out) {
		w = pipe_append(out, m->buf, n);
		if (w == -EPIPE)
			pipe_broken(t);
		done = w ? 0 : n;
	} else {
		while (done < n && (w = put(t, &m->out, m->buf + done, n - done)) > 0)
			done += w;
		if (in && done < n && pipe_unread(in, m->buf + done, n - done) < 0)
			return -ENOMEM;
	}
	side_advance(&m->in, done);
	return done ? done : w;
}

// Moves until there is a reason to stop. The result, or what the handler is to return at once.
static long move_all(struct task *t, struct move *m)
{
	uint64_t *done = &t->call.io.done_bytes, before = *done;
	struct side *wait;
	int64_t n;
	long ret;

	m->buf = kmem_bytes(CHUNK_BYTES);
	if (!m->buf)
		return -ENOMEM;
	m->len = MIN(m->len, RW_MAX);
	m->in.pos += *done; // the application's words are read again at each entry
	m->out.pos += *done;
	while (*done < m->len) {
		n = move_piece(t, m, MIN(m->len - *done, (uint64_t)CHUNK_BYTES), &wait);
		if (n > 0) {
			*done += n;
			if (signal_pending(t))
				break;
			if (*done - before >= TURN_BYTES && *done < m->len) {
				task_keep_file(t, m->in.f);
				task_keep_file(t, m->out.f);
				return task_give_turn(t);
			}
			continue;
		}
		if (n != -EAGAIN || m->nonblock || wait->f->flags & O_NONBLOCK || (*done && !m->to_the_end)) {
			if (n < 0 && !*done)
				return n;
			break;
		}
		ret = side_wait(t, wait->f, wait == &m->out);
		if (ret == -EBLOCKED || ret == -EAGAINNOW)
			return ret;
		if (!*done)
			return ret;
		break;
	}
	if (side_pos_out(t, &m->in) < 0 || side_pos_out(t, &m->out) < 0)
		return -EFAULT;
	return (long)*done;
}

// --- sendfile and copy_file_range

static long sendfile_checked(struct task *t, struct move *m, const struct sysargs *args)
{
	int err = sides_get(t, m, (int)args->a[1], (int)args->a[0]);

	if (err)
		return err;
	err = side_pos_in(t, &m->in, args->a[2]);
	if (err)
		return err;
	if (args->a[2] && m->in.f->ops->stream)
		return -ESPIPE;
	if (m->in.f->ops->stream || (int64_t)m->len < 0 || m->out.f->flags & O_APPEND)
		return -EINVAL; // what was read must not get lost
	m->to_the_end = !file_pipe(m->out.f); // a pipe gets what fits, as by splice
	return move_all(t, m);
}

long sys_sendfile(struct task *t, const struct sysargs *args)
{
	struct move m = {.len = args->a[3]};
	long ret = sendfile_checked(t, &m, args);

	sides_put(&m);
	return ret;
}

static bool overlap(struct move *m)
{
	int64_t in = side_pos(&m->in), out = side_pos(&m->out), len = (int64_t)MIN(m->len, RW_MAX);

	return m->in.f->inode == m->out.f->inode && in < out + len && out < in + len;
}

static long copy_checked(struct task *t, struct move *m, const struct sysargs *args)
{
	int err = sides_get(t, m, (int)args->a[0], (int)args->a[2]);
	mode_t in_mode, out_mode;
	int64_t end;

	if (args->a[5])
		return -EINVAL;
	if (err)
		return err;
	err = side_pos_in(t, &m->in, args->a[1]) ?: side_pos_in(t, &m->out, args->a[3]);
	if (err)
		return err;
	in_mode = m->in.f->inode->attr.mode;
	out_mode = m->out.f->inode->attr.mode;
	if (S_ISDIR(in_mode) || S_ISDIR(out_mode))
		return -EISDIR;
	if (!S_ISREG(in_mode) || !S_ISREG(out_mode))
		return -EINVAL;
	if (m->out.f->flags & O_APPEND)
		return -EBADF;
	if ((int64_t)m->len < 0 || __builtin_add_overflow(side_pos(&m->in), m->len, &end) ||
	    __builtin_add_overflow(side_pos(&m->out), m->len, &end))
		return -EOVERFLOW;
	if (overlap(m))
		return -EINVAL;
	return move_all(t, m);
}

long sys_copy_file_range(struct task *t, const struct sysargs *args)
{
	struct move m = {.len = args->a[4], .to_the_end = true};
	long ret = copy_checked(t, &m, args);

	sides_put(&m);
	return ret;
}

// --- splice, tee, vmsplice

// Between two pipes: splice, or with keep tee.
static long pipes(struct task *t, struct move *m, bool keep)
{
	bool nonblock = m->nonblock || (m->in.f->flags | m->out.f->flags) & O_NONBLOCK, wait_in;
	int64_t n = pipe_splice(file_pipe(m->in.f), file_pipe(m->out.f), MIN(m->len, RW_MAX), keep, &wait_in);

	if (n == -EPIPE)
		pipe_broken(t);
	if (n != -EAGAIN || nonblock)
		return n;
	return wait_in ? side_wait(t, m->in.f, false) : side_wait(t, m->out.f, true);
}

static long splice_checked(struct task *t, struct move *m, const struct sysargs *args)
{
	struct pipe *in, *out;
	int err;

	if (m->len == 0)
		return 0;
	if (args->a[5] & ~(uint64_t)SPLICE_FLAGS)
		return -EINVAL;
	err = sides_get(t, m, (int)args->a[0], (int)args->a[2]);
	if (err)
		return err;
	in = file_pipe(m->in.f);
	out = file_pipe(m->out.f);
	if ((in && args->a[1]) || (out && args->a[3]))
		return -ESPIPE;
	if ((!in && !out) || in == out || (args->a[1] && m->in.f->ops->stream) || (args->a[3] && m->out.f->ops->stream) ||
	    m->out.f->flags & O_APPEND)
		return -EINVAL;
	err = side_pos_in(t, &m->in, args->a[1]) ?: side_pos_in(t, &m->out, args->a[3]);
	if (err)
		return err;
	return in && out ? pipes(t, m, false) : move_all(t, m);
}

long sys_splice(struct task *t, const struct sysargs *args)
{
	struct move m = {.len = args->a[4], .nonblock = args->a[5] & SPLICE_F_NONBLOCK};
	long ret = splice_checked(t, &m, args);

	sides_put(&m);
	return ret;
}

long sys_tee(struct task *t, const struct sysargs *args)
{
	struct move m = {.len = args->a[2], .nonblock = args->a[3] & SPLICE_F_NONBLOCK};
	long ret;

	if (args->a[3] & ~(uint64_t)SPLICE_FLAGS)
		return -EINVAL;
	if (m.len == 0)
		return 0;
	ret = sides_get(t, &m, (int)args->a[0], (int)args->a[1]);
	if (!ret)
		ret = file_pipe(m.in.f) && file_pipe(m.out.f) ? pipes(t, &m, true) : -EINVAL;
	sides_put(&m);
	return ret;
}

// The application's pages are copied, not lent: gifts are declined.
static long vmsplice_run(struct task *t, struct file *f, struct uio *u, bool nonblock)
{
	struct pipe *p = file_pipe(f);
	bool write = may_write(f);
	uint64_t *done = &t->call.io.done_bytes;
	int64_t n;
	long ret;

	uio_skip(u, MIN(*done, u->resid));
	for (;;) {
		n = write ? pipe_write(p, u, false) : pipe_read(p, u);
		if (n > 0)
			*done += n;
		if (n > 0 && write && u->resid)
			continue;
		if (n == -EPIPE)
			pipe_broken(t);
		if (n != -EAGAIN || nonblock || f->flags & O_NONBLOCK)
			return *done ? (long)*done : n;
		ret = side_wait(t, f, write);
		if (ret == -EBLOCKED || ret == -EAGAINNOW)
			return ret;
		return *done ? (long)*done : ret;
	}
}

static long vmsplice_checked(struct task *t, struct file *f, const struct sysargs *args)
{
	struct uio_seg inline_segs[IOVEC_INLINE];
	struct uio u;
	long ret = iovec_copy_in(t, args->a[1], args->a[2], inline_segs, &u);

	if (ret < 0)
		return ret;
	if (u.resid && !file_pipe(f))
		ret = -EBADF;
	else if (u.resid)
		ret = vmsplice_run(t, f, &u, args->a[3] & SPLICE_F_NONBLOCK);
	iovec_free(u.segs, inline_segs);
	return ret;
}

long sys_vmsplice(struct task *t, const struct sysargs *args)
{
	struct file *f;
	long ret;

	if (args->a[3] & ~(uint64_t)SPLICE_FLAGS)
		return -EINVAL;
	f = fd_file(t, (int)args->a[0]);
	if (!f)
		return -EBADF;
	ret = vmsplice_checked(t, f, args);
	file_put(f);
	return ret;
}
