// The byte queue behind pipes and FIFOs.
//
// A ring that grows by doubling as bytes arrive, up to the capacity: a pipe that carries one byte costs one small block. Linux
// counts capacity in pages, each with its own bytes; here it is bytes, so that a full pipe with a few bytes read has room for
// exactly as many (a write of up to PIPE_BUF is still all or nothing).
//
// Packets (O_DIRECT) are ranges of the stream, kept in a second ring beside it.
#include "sentry/fs/pipe/pipe.h"

#include <limits.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/vfs/uio.h"

enum { BUF_FIRST = 512 };

static size_t used_locked(const struct pipe *p)
{
	return p->tail - p->head;
}

static size_t room_locked(const struct pipe *p)
{
	size_t used = used_locked(p);

	if (p->packet_count >= p->size / PIPE_BUF)
		return 0;
	return used < p->size ? p->size - used : 0;
}

// Makes the ring hold at least bytes; what is in it keeps its positions.
static int reserve_locked(struct pipe *p, size_t bytes)
{
	size_t n = p->buf_bytes ? p->buf_bytes : BUF_FIRST, used = used_locked(p);
	char *buf;

	if (bytes <= p->buf_bytes)
		return 0;
	while (n < bytes)
		n *= 2;
	buf = kmem_bytes(n);
	if (!buf)
		return -ENOMEM;
	for (size_t done = 0; done < used;) {
		uint64_t pos = p->head + done;
		size_t from = pos & (p->buf_bytes - 1), to = pos & (n - 1);
		size_t len = MIN(MIN(p->buf_bytes - from, n - to), used - done);

		memcpy(buf + to, p->buf + from, len);
		done += len;
	}
	kmem_bytes_free(p->buf);
	p->buf = buf;
	p->buf_bytes = n;
	return 0;
}

// The contiguous place of up to len bytes at pos.
static char *place_locked(struct pipe *p, uint64_t pos, size_t *len)
{
	size_t at = pos & (p->buf_bytes - 1);

	*len = MIN(*len, p->buf_bytes - at);
	return p->buf + at;
}

static struct pipe_packet *packet_locked(struct pipe *p, uint32_t i)
{
	return &p->packets[(p->packet_first + i) % (p->size / PIPE_BUF)];
}

static void packet_drop_locked(struct pipe *p)
{
	p->packet_first = (p->packet_first + 1) % (p->size / PIPE_BUF);
	p->packet_count--;
}

// How many bytes one read may take now, and whether they come from a packet, whose rest is dropped with them.
static size_t readable_locked(struct pipe *p, size_t want, bool *out_packet)
{
	struct pipe_packet *first;

	*out_packet = false;
	if (p->packet_count == 0)
		return MIN(want, used_locked(p));
	first = packet_locked(p, 0);
	if (first->start > p->head)
		return MIN(want, first->start - p->head);
	*out_packet = true;
	return MIN(want, first->end - first->start);
}

int64_t pipe_read(struct pipe *p, struct uio *u)
{
	int64_t ret = -EAGAIN;
	size_t n, done = 0;
	bool packet;

	if (u->resid == 0)
		return 0;
	pipe_lock(p);
	if (p->head == p->tail) {
		if (p->writers == 0)
			ret = 0;
		mutex_unlock(&p->mu);
		return ret;
	}
	n = readable_locked(p, u->resid, &packet);
	while (done < n) {
		size_t len = n - done;
		const char *src = place_locked(p, p->head + done, &len);

		if (uio_put(u, src, len)) {
			ret = -EFAULT;
			break;
		}
		done += len;
	}
	if (done) {
		ret = done;
		p->head = packet ? packet_locked(p, 0)->end : p->head + done;
		if (packet)
			packet_drop_locked(p);
	}
	mutex_unlock(&p->mu);
	if (done)
		waitq_wake(&p->wr_waitq, POLLOUT_ALL);
	return ret;
}

static int packet_add_locked(struct pipe *p, uint64_t start, uint64_t end)
{
	if (!p->packets)
		p->packets = kmem_bytes(p->size / PIPE_BUF * sizeof(*p->packets));
	if (!p->packets)
		return -ENOMEM;
	p->packet_count++;
	*packet_locked(p, p->packet_count - 1) = (struct pipe_packet){start, end};
	return 0;
}

// Takes n bytes of u behind the tail, in as many pieces as the ring has.
static int64_t take_locked(struct pipe *p, struct uio *u, size_t n)
{
	size_t done = 0;
	int err = reserve_locked(p, used_locked(p) + n);

	while (!err && done < n) {
		size_t len = n - done;
		char *dst = place_locked(p, p->tail + done, &len);

		err = uio_take(u, dst, len);
		if (!err)
			done += len;
	}
	return done ? (int64_t)done : err;
}

int64_t pipe_write(struct pipe *p, struct uio *u, bool packet)
{
	int64_t n, done = 0;

	if (u->resid == 0)
		return 0;
	pipe_lock(p);
	do {
		size_t room = room_locked(p), want = packet ? MIN(u->resid, PIPE_BUF) : u->resid;

		if (p->readers == 0)
			n = -EPIPE;
		else if (room == 0 || (room < want && (packet || (done == 0 && want <= PIPE_BUF))))
			n = -EAGAIN;
		else
			n = take_locked(p, u, MIN(room, want));
		if (n > 0 && packet && packet_add_locked(p, p->tail, p->tail + n))
			n = -ENOMEM;
		if (n > 0) {
			p->tail += n;
			done += n;
		}
	} while (n > 0 && packet && u->resid);
	mutex_unlock(&p->mu);
	if (done)
		waitq_wake(&p->rd_waitq, POLLIN_ALL);
	return done ? done : n;
}

// Two pipes at once, in the order of their addresses.
static void lock_pair(struct pipe *a, struct pipe *b)
{
	pipe_lock(a < b ? a : b);
	pipe_lock(a < b ? b : a);
}

static int64_t splice_locked(struct pipe *in, struct pipe *out, size_t len, bool keep, bool *out_wait_in)
{
	size_t n, done = 0;
	bool packet;

	*out_wait_in = true;
	if (in->head == in->tail)
		return in->writers ? -EAGAIN : 0;
	if (out->readers == 0)
		return -EPIPE;
	*out_wait_in = false;
	n = readable_locked(in, len, &packet);
	n = MIN(n, room_locked(out));
	if (n == 0)
		return -EAGAIN;
	if (reserve_locked(out, used_locked(out) + n))
		return -ENOMEM;
	while (done < n) {
		size_t from_len = n - done, to_len;
		const char *from = place_locked(in, in->head + done, &from_len);
		char *to;

		to_len = from_len;
		to = place_locked(out, out->tail + done, &to_len);
		memcpy(to, from, to_len);
		done += to_len;
	}
	if (packet && packet_add_locked(out, out->tail, out->tail + n))
		return -ENOMEM;
	out->tail += n;
	if (!keep) {
		in->head += n;
		if (packet) {
			packet_locked(in, 0)->start = in->head;
			if (packet_locked(in, 0)->end == in->head)
				packet_drop_locked(in);
		}
	}
	return n;
}

int64_t pipe_splice(struct pipe *in, struct pipe *out, size_t len, bool keep, bool *out_wait_in)
{
	int64_t n;

	if (in == out)
		return -EINVAL;
	lock_pair(in, out);
	n = splice_locked(in, out, len, keep, out_wait_in);
	mutex_unlock(&in->mu);
	mutex_unlock(&out->mu);
	if (n > 0) {
		waitq_wake(&out->rd_waitq, POLLIN_ALL);
		if (!keep)
			waitq_wake(&in->wr_waitq, POLLOUT_ALL);
	}
	return n;
}

size_t pipe_room(struct pipe *p)
{
	size_t room;

	pipe_lock(p);
	room = room_locked(p);
	mutex_unlock(&p->mu);
	return room;
}

int pipe_unread(struct pipe *p, const void *src, size_t len)
{
	int err;

	pipe_lock(p);
	err = reserve_locked(p, used_locked(p) + len);
	for (size_t done = 0; !err && done < len;) {
		size_t n = len - done;
		char *dst = place_locked(p, p->head - len + done, &n);

		memcpy(dst, (const char *)src + done, n);
		done += n;
	}
	if (!err)
		p->head -= len;
	mutex_unlock(&p->mu);
	if (!err)
		waitq_wake(&p->rd_waitq, POLLIN_ALL);
	return err;
}

int pipe_append(struct pipe *p, const void *src, size_t len)
{
	int err;

	pipe_lock(p);
	err = p->readers ? reserve_locked(p, used_locked(p) + len) : -EPIPE;
	for (size_t done = 0; !err && done < len;) {
		size_t n = len - done;
		char *dst = place_locked(p, p->tail + done, &n);

		memcpy(dst, (const char *)src + done, n);
		done += n;
	}
	if (!err)
		p->tail += len;
	mutex_unlock(&p->mu);
	if (!err)
		waitq_wake(&p->rd_waitq, POLLIN_ALL);
	return err;
}
