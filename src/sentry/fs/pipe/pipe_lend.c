// What is in a pipe, if it is no more than a few bytes, lent to a process that writes and reads it by itself: the pipes by which event loops wake
// themselves. Both ends are descriptors of its table; who else has them doesn't matter, since it all comes back when anybody comes by the pipe here.
#include <fcntl.h>

#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/fs/eventpoll/eventpoll.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

enum { COUNT_BITS = 8 };

static size_t lent_count(uint64_t bytes)
{
	return MIN(bytes & ((1 << COUNT_BITS) - 1), (uint64_t)PLATFORM_BYTES_MAX);
}

static char *byte_at(const struct pipe *p, uint64_t pos)
{
	return p->buf + (pos & (p->buf_bytes - 1));
}

void pipe_lock(struct pipe *p)
{
	uint64_t bytes;

	mutex_lock(&p->mu);
	if (!p->loan.lent)
		return;
	bytes = content_take_back(&p->loan);
	for (size_t n = lent_count(bytes); n > 0; n--)
		*byte_at(p, p->tail++) = (char)(bytes >>= COUNT_BITS);
}

size_t pipe_used_locked(const struct pipe *p)
{
	return p->loan.lent ? lent_count(content_peek(&p->loan)) : p->tail - p->head;
}

static bool lends_locked(struct pipe *p, const struct file *in, const struct file *out)
{
	return !p->loan.lent && in->priv == p && out->priv == p && (in->flags & O_ACCMODE) == O_RDONLY && (out->flags & O_ACCMODE) == O_WRONLY &&
	       !(out->flags & O_DIRECT) && !p->packet_count && p->buf && p->tail - p->head <= PLATFORM_BYTES_MAX &&
	       eventpoll_lets_rest(&p->rd_waitq) && eventpoll_lets_rest(&p->wr_waitq);
}

static void lend(struct pipe *p, struct task *t, struct content_end in, struct content_end out)
{
	struct platform_loan spec = {.kinds = PLATFORM_LEND_BYTES};
	uint64_t bytes = 0;

	mutex_lock(&p->mu);
	if (lends_locked(p, in.f, out.f)) {
		for (uint64_t pos = p->tail; pos > p->head; pos--)
			bytes = (bytes | (uint8_t)*byte_at(p, pos - 1)) << COUNT_BITS;
		spec.pos = (int64_t)(bytes | (p->tail - p->head));
		content_lend(&p->loan, t, in, out, &spec);
		if (p->loan.lent)
			p->head = p->tail;
	}
	mutex_unlock(&p->mu);
}

void pipe_file_used(struct file *f, struct task *t, int fd, bool wrote)
{
	struct pipe *p = f->priv;
	struct content_end this = {fd, f}, other;

	atomic_store_explicit(&p->used[wrote].table, t->files, memory_order_relaxed);
	atomic_store_explicit(&p->used[wrote].fd, fd, memory_order_relaxed);
	if (!content_used(&p->loan) || atomic_load_explicit(&p->used[!wrote].table, memory_order_relaxed) != t->files)
		return;
	other.fd = atomic_load_explicit(&p->used[!wrote].fd, memory_order_relaxed);
	other.f = fd_file(t, other.fd);
	if (!other.f)
		return;
	if (other.f->ops == f->ops)
		lend(p, t, wrote ? other : this, wrote ? this : other);
	file_put(other.f);
}
