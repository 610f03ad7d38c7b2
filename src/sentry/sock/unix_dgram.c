// Messages over Unix datagram and sequenced-packet sockets.
//
// A receiver takes a bounded number of messages, whoever sends. A sender that finds it full waits on the receiver's own queue, with
// a reference; a poll of a connected sender is relayed: the sender stands on the receiver's list and is woken through its own queue.
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/unix.h"
#include "sentry/vfs/uio.h"

static bool full_locked(const struct unix_sock *to)
{
	return to->qlen > UNIX_DGRAM_QLEN;
}

static struct unix_sock *peer_get(struct unix_sock *u)
{
	struct unix_sock *peer;

	mutex_lock(&u->sk.mu);
	peer = u->peer;
	if (peer)
		sock_get(&peer->sk);
	mutex_unlock(&u->sk.mu);
	return peer;
}

bool unix_dgram_writable(struct unix_sock *u, bool watch)
{
	struct unix_sock *to = peer_get(u);
	bool ok = true;

	if (!to)
		return true;
	mutex_lock(&to->sk.mu);
	if (to->state != UNIX_CLOSED && full_locked(to)) {
		ok = false;
		if (watch && __sync_bool_compare_and_swap(&u->full_on, NULL, to)) {
			sock_get(&u->sk);
			LIST_INSERT_HEAD(&to->full_watchers, u, full_link);
		}
	}
	mutex_unlock(&to->sk.mu);
	sock_put(&to->sk);
	return ok;
}

void unix_full_unlink(struct unix_sock *u)
{
	struct unix_sock *to = peer_get(u);
	bool was = false;

	if (!to)
		return;
	mutex_lock(&to->sk.mu);
	if (u->full_on == to) {
		LIST_REMOVE(u, full_link);
		__atomic_store_n(&u->full_on, NULL, __ATOMIC_RELEASE);
		was = true;
	}
	mutex_unlock(&to->sk.mu);
	sock_put(&to->sk);
	if (was)
		sock_put(&u->sk);
}

void unix_full_wake(struct unix_sock *u)
{
	struct unix_sock *w;

	do {
		mutex_lock(&u->sk.mu);
		w = LIST_FIRST(&u->full_watchers);
		if (w) {
			LIST_REMOVE(w, full_link);
			__atomic_store_n(&w->full_on, NULL, __ATOMIC_RELEASE);
		}
		mutex_unlock(&u->sk.mu);
		if (w) {
			waitq_wake(&w->sk.waitq, POLLOUT_ALL);
			sock_put(&w->sk);
		}
	} while (w);
}

// Where m goes: counted.
static int destination(struct unix_sock *u, struct sock_msg *m, struct unix_sock **out)
{
	if (u->sk.type == SOCK_SEQPACKET) {
		if (u->state != UNIX_CONNECTED)
			return -ENOTCONN;
		*out = peer_get(u);
		return 0;
	}
	if (m->named)
		return unix_find(m->task, &m->addr, m->addrlen, u->sk.type, out);
	*out = peer_get(u);
	return *out ? 0 : -ENOTCONN;
}

static int enqueue_locked(struct unix_sock *u, struct unix_sock *to, struct unix_msg *msg)
{
	if (to->state == UNIX_CLOSED)
		return u->sk.type == SOCK_SEQPACKET ? -EPIPE : -ECONNREFUSED;
	if (to->sk.shutdown & SHUT_RECV_BIT)
		return -EPIPE;
	if (u->sk.type == SOCK_DGRAM && to->peer && to->peer != u)
		return -EPERM;
	if (to != u && full_locked(to))
		return -EAGAIN;
	TAILQ_INSERT_TAIL(&to->queue, msg, link);
	to->qlen++;
	to->queued += msg->len + UNIX_MSG_OVERHEAD;
	return 0;
}

// The message's bytes, taken once; -EAGAIN leaves m as it was.
static int64_t send_to(struct unix_sock *u, struct unix_sock *to, struct sock_msg *m)
{
	struct uio before = *m->uio;
	struct scm_files *files = m->scm.files;
	struct unix_msg *msg = unix_msg_alloc(m->uio->resid);
	int64_t len = m->uio->resid;
	int err;

	if (!msg)
		return -ENOMEM;
	msg->len = len;
	err = uio_take(m->uio, msg->data, len);
	if (!err)
		err = unix_launch(m->task, files);
	if (err) {
		unix_msg_free(msg);
		return err;
	}
	msg->from = unix_addr_get(__atomic_load_n(&u->addr, __ATOMIC_ACQUIRE));
	unix_msg_take_scm(msg, m);
	mutex_lock(&to->sk.mu);
	err = enqueue_locked(u, to, msg);
	mutex_unlock(&to->sk.mu);
	if (err) { // the caller still owns what was to go along
		*m->uio = before;
		unix_land(files);
		msg->files = NULL;
		m->scm.files = files;
		unix_msg_free(msg);
		return err;
	}
	waitq_wake(&to->sk.waitq, POLLIN_ALL);
	return len;
}

int64_t unix_dgram_send(struct sock *s, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *to;
	int64_t n;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	n = destination(u, m, &to);
	if (n)
		return n;
	if (!m->scm.has_creds && m->task)
		m->scm.creds = unix_creds(m->task);
	if (sock_option(s, SO_PASSCRED) && s->type == SOCK_DGRAM)
		n = unix_autobind(u);
	if (!n && m->uio->resid > (uint64_t)s->sndbuf - 32)
		n = -EMSGSIZE;
	if (!n && s->shutdown & SHUT_SEND_BIT)
		n = -EPIPE;
	if (!n)
		n = send_to(u, to, m);
	if (n == -ECONNREFUSED && !m->named && s->type == SOCK_DGRAM)
		unix_disconnect_dgram(u);
	sock_put(&to->sk);
	return n;
}

static void put_state(struct task *t, void *state)
{
	sock_put(state);
}

long unix_dgram_wait_send(struct task *t, struct sock *s, struct file *f, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s), *to;
	bool wait;
	int err = destination(u, m, &to);

	if (err)
		return -EAGAINNOW; // sending again answers what is wrong
	err = task_wait_on(t, &to->sk.waitq, POLLOUT);
	if (t->call.state)
		sock_put(t->call.state);
	t->call.state = &to->sk; // kept until the wait is over
	t->call.state_free = put_state;
	if (err)
		return err;
	mutex_lock(&to->sk.mu);
	wait = to->state != UNIX_CLOSED && !(to->sk.shutdown & SHUT_RECV_BIT) && full_locked(to);
	mutex_unlock(&to->sk.mu);
	return wait ? task_block(t) : -EAGAINNOW;
}

static int64_t empty_locked(struct unix_sock *u, int flags)
{
	int err = u->sk.err;

	u->sk.err = 0;
	if (err)
		return -err;
	// A datagram socket that doesn't wait answers EAGAIN even when it is shut down.
	if (u->sk.shutdown & SHUT_RECV_BIT && (u->sk.type == SOCK_SEQPACKET || !(flags & MSG_DONTWAIT)))
		return 0;
	return -EAGAIN;
}

static int64_t recv_locked(struct unix_sock *u, struct sock_msg *m, struct unix_msg **out_done, struct scm_files **out_landed)
{
	struct unix_msg *msg = TAILQ_FIRST(&u->queue);
	bool peek = m->flags & MSG_PEEK;
	size_t skip = peek && u->sk.peek_off > 0 ? u->sk.peek_off : 0, left, n;
	int err;

	if (u->sk.type == SOCK_SEQPACKET && u->state != UNIX_CONNECTED)
		return -ENOTCONN;
	while (msg && skip && skip >= msg->len) {
		skip -= msg->len;
		msg = TAILQ_NEXT(msg, link);
	}
	if (!msg)
		return empty_locked(u, m->flags);
	left = msg->len - skip;
	n = MIN(m->uio->resid, left);
	err = uio_put(m->uio, msg->data + skip, n);
	if (err)
		return err;
	if (n < left)
		m->out_flags |= MSG_TRUNC;
	if (msg->from) {
		memcpy(&m->addr, &msg->from->name, msg->from->len);
		m->addrlen = msg->from->len;
	}
	if (msg->files && !peek)
		*out_landed = msg->files;
	unix_msg_show_scm(u, msg, m, peek);
	if (!peek) {
		TAILQ_REMOVE(&u->queue, msg, link);
		u->qlen--;
		u->queued -= msg->len + UNIX_MSG_OVERHEAD;
		*out_done = msg;
	}
	if (u->sk.peek_off >= 0)
		u->sk.peek_off = peek ? u->sk.peek_off + (int)n : MAX(0, u->sk.peek_off - (int)msg->len);
	return m->flags & MSG_TRUNC ? left : n;
}

int64_t unix_dgram_recv(struct sock *s, struct sock_msg *m)
{
	struct unix_sock *u = unix_of(s);
	struct scm_files *landed = NULL;
	struct unix_msg *done = NULL;
	bool wake = false;
	int64_t n;

	if (m->flags & MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&s->mu);
	n = recv_locked(u, m, &done, &landed);
	wake = done && !full_locked(u);
	mutex_unlock(&s->mu);
	if (landed)
		unix_land(landed);
	if (done)
		unix_msg_free(done);
	if (wake) {
		waitq_wake(&s->waitq, POLLOUT); // those who wait to send to it
		if (!LIST_EMPTY(&u->full_watchers))
			unix_full_wake(u);
	}
	return n;
}
