// Bytes over a Unix stream: the sender puts pieces into the receiver's queue.
//
// A write goes into the last piece while it has room and carries nothing beside its bytes; one piece is kept for reuse when it has
// been read, so that a request and its answer allocate nothing.
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/sock/unix.h"
#include "sentry/vfs/uio.h"

// Linux's rule: a quarter of the buffer may be in use.
bool unix_stream_writable(struct unix_sock *u)
{
	return !u->peer || u->peer->queued * 4 <= (uint64_t)u->sk.sndbuf;
}

static bool same_creds(const struct ucred *a, const struct ucred *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->gid == b->gid;
}

static uint64_t cost(const struct unix_msg *msg)
{
	return msg->cap + UNIX_MSG_OVERHEAD;
}

static struct unix_msg *piece_get_locked(struct unix_sock *to, size_t want)
{
	struct unix_msg *msg = to->spare;

	if (msg && (msg->cap >= want || msg->cap == UNIX_MSG_MAX)) {
		to->spare = NULL;
		return msg;
	}
	return unix_msg_alloc(MIN(MAX(want, UNIX_MSG_MIN), UNIX_MSG_MAX));
}

static void piece_put_locked(struct unix_sock *u, struct unix_msg *msg)
{
	if (u->spare) {
		unix_msg_free(msg); // it carries nothing any more
		return;
	}
	msg->len = msg->off = 0;
	u->spare = msg;
}

// Puts one piece of m into to's queue: bytes, or -errno.
static int64_t send_piece_locked(struct unix_sock *to, struct sock_msg *m)
{
	struct unix_msg *tail = TAILQ_LAST(&to->queue, unix_queue), *msg;
	size_t n;
	int err;

	if (tail && tail->len < tail->cap && !tail->files && !m->scm.files && same_creds(&tail->creds, &m->scm.creds)) {
		n = MIN(m->uio->resid, tail->cap - tail->len);
		err = uio_take(m->uio, tail->data + tail->len, n);
		if (err)
			return err;
		tail->len += n;
		return n;
	}
	msg = piece_get_locked(to, m->uio->resid);
	if (!msg)
		return -ENOMEM;
	n = MIN(m->uio->resid, msg->cap);
	err = uio_take(m->uio, msg->data, n);
	if (err) {
		piece_put_locked(to, msg);
		return err;
	}
	msg->len = n;
	unix_msg_take_scm(msg, m);
	TAILQ_INSERT_TAIL(&to->queue, msg, link);
	to->qlen++;
	to->queued += cost(msg);
	return n;
}

int64_t unix_stream_send(struct sock *s, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *to = u->peer;
	int64_t n = 0, done = 0;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (m->named)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EOPNOTSUPP;
	if (!to)
		return -ENOTCONN;
	if (!m->scm.has_creds && m->task)
		m->scm.creds = unix_creds(m->task);
	n = unix_launch(m->task, m->scm.files);
	if (n)
		return n;
	mutex_lock(&to->sk.mu);
	while (m->uio->resid || done == 0) {
		if (s->shutdown & SHUT_SEND_BIT || to->state == UNIX_CLOSED || to->sk.shutdown & SHUT_RECV_BIT)
			n = -EPIPE;
		else if (m->uio->resid == 0)
			break; // no bytes: nothing is sent, not even descriptors
		else if (to->queued >= (uint64_t)s->sndbuf)
			n = -EAGAIN;
		else
			n = send_piece_locked(to, m);
		if (n < 0)
			break;
		done += n;
	}
	mutex_unlock(&to->sk.mu);
	unix_land(m->scm.files); // they are still here: nothing was sent
	if (done)
		waitq_wake(&to->sk.waitq, POLLIN_ALL);
	return done ? done : n;
}

// What a read finds when the queue is empty.
static int64_t empty_locked(struct unix_sock *u)
{
	int err = u->sk.err;

	u->sk.err = 0;
	if (err)
		return -err;
	return u->sk.shutdown & SHUT_RECV_BIT ? 0 : -EAGAIN;
}

// Takes what one message gives. Sets *out_stop when the read must not go on behind it.
static int64_t recv_piece_locked(struct unix_sock *u, struct unix_msg *msg, struct sock_msg *m, bool peek, size_t skip,
				 struct scm_files **out_landed, bool *out_stop)
{
	size_t n = MIN(m->uio->resid, msg->len - msg->off - skip);
	bool had_files = msg->files;
	int err = uio_put(m->uio, msg->data + msg->off + skip, n);

	if (err)
		return err;
	unix_msg_show_scm(u, msg, m, peek);
	*out_stop = had_files;
	if (had_files && !peek)
		*out_landed = m->scm.files;
	if (!peek)
		msg->off += n;
	return n;
}

static void consume_locked(struct unix_sock *u, struct unix_msg *msg)
{
	TAILQ_REMOVE(&u->queue, msg, link);
	u->qlen--;
	u->queued -= cost(msg);
	piece_put_locked(u, msg);
}

static int64_t recv_locked(struct unix_sock *u, struct sock_msg *m, struct scm_files **out_landed)
{
	bool peek = m->flags & MSG_PEEK, stop = false, passcred = sock_option(&u->sk, SO_PASSCRED);
	struct unix_msg *msg = TAILQ_FIRST(&u->queue), *next;
	size_t skip = peek && u->sk.peek_off > 0 ? u->sk.peek_off : 0;
	int64_t n = 0, done = 0;
	bool first = true;

	if (u->state != UNIX_CONNECTED)
		return -EINVAL;
	for (; msg && !stop; msg = next) {
		next = TAILQ_NEXT(msg, link);
		if (skip >= msg->len - msg->off && peek) {
			skip -= msg->len - msg->off;
			continue;
		}
		if (!first && passcred && !same_creds(&msg->creds, &m->scm.creds))
			break;
		if (m->uio->resid == 0)
			break;
		n = recv_piece_locked(u, msg, m, peek, skip, out_landed, &stop);
		if (n < 0)
			break;
		first = false;
		skip = 0;
		done += n;
		if (!peek && msg->off == msg->len)
			consume_locked(u, msg);
	}
	if (done && u->sk.peek_off >= 0)
		u->sk.peek_off = peek ? u->sk.peek_off + done : MAX(0, u->sk.peek_off - done);
	if (done || n < 0 || m->uio->resid == 0)
		return done ? done : n;
	return empty_locked(u);
}

int64_t unix_stream_recv(struct sock *s, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s);
	struct scm_files *landed = NULL;
	int64_t n;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&s->mu);
	n = recv_locked(u, m, &landed);
	mutex_unlock(&s->mu);
	if (landed)
		unix_land(landed);
	if (n > 0 && !(m->flags & MSG_PEEK) && u->peer && unix_stream_writable(u->peer))
		waitq_wake(&u->peer->sk.waitq, POLLOUT_ALL);
	return n;
}
