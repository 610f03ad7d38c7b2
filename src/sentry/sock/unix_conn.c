// Unix connections: listen, connect, accept; and a datagram socket's default peer.
//
// connect makes the server's end at once and queues it at the listener: both ends are connected from then on, accepted or not.
#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/unix.h"

int unix_listen(struct task *t, struct sock *s, int backlog)
{
	struct unix_sock *u = unix_of(s);
	int err = 0;

	if (!unix_is_connected_type(u))
		return -EOPNOTSUPP;
	if (!u->addr)
		return -EINVAL;
	mutex_lock(&s->mu);
	if (u->state != UNIX_NEW && u->state != UNIX_LISTENING) {
		err = -EINVAL;
	} else {
		u->backlog = (unsigned)backlog > UNIX_BACKLOG_MAX ? UNIX_BACKLOG_MAX : backlog;
		u->state = UNIX_LISTENING;
		s->listening = true;
		u->peercred = unix_creds(t); // what those who connect will see
	}
	mutex_unlock(&s->mu);
	if (!err)
		waitq_wake(&s->waitq, 0); // a larger backlog
	return err;
}

void unix_disconnect_dgram(struct unix_sock *u)
{
	struct unix_sock *old;

	unix_full_unlink(u);
	mutex_lock(&u->sk.mu);
	old = u->peer;
	u->peer = NULL;
	mutex_unlock(&u->sk.mu);
	if (old) {
		waitq_wake(&u->sk.waitq, POLLOUT_ALL);
		sock_put(&old->sk);
	}
}

// Will o take datagrams from u? Only if it isn't connected to somebody else.
static bool may_send(struct unix_sock *u, struct unix_sock *o)
{
	return !o->peer || o->peer == u;
}

static long connect_dgram(struct task *t, struct unix_sock *u, const struct sockaddr_storage *addr, socklen_t len)
{
	struct unix_sock *other, *old = NULL;
	int err;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	if (addr->ss_family == AF_UNSPEC) {
		unix_disconnect_dgram(u);
		return 0;
	}
	if (sock_option(&u->sk, SO_PASSCRED)) {
		err = unix_autobind(u);
		if (err)
			return err;
	}
	err = unix_find(t, addr, len, u->sk.type, &other);
	if (err)
		return err;
	unix_full_unlink(u);
	unix_lock_pair(u, other);
	err = !may_send(u, other) ? -EPERM : other->state == UNIX_CLOSED ? -ECONNREFUSED : 0;
	if (!err) {
		old = u->peer;
		u->peer = other;
	}
	unix_unlock_pair(u, other);
	if (err)
		old = other;
	else
		waitq_wake(&u->sk.waitq, POLLOUT_ALL);
	sock_put(old ? &old->sk : NULL);
	return err;
}

// Joins u and a new end and queues that at the listener. Both are locked.
static int join_locked(struct task *t, struct unix_sock *u, struct unix_sock *listener, struct unix_sock *end)
{
	if (listener->state != UNIX_LISTENING || listener->sk.shutdown & SHUT_RECV_BIT)
		return -ECONNREFUSED;
	if (u->state != UNIX_NEW)
		return u->state == UNIX_CONNECTED ? -EISCONN : -EINVAL;
	if (listener->npending > listener->backlog)
		return -EAGAIN;
	end->addr = unix_addr_get(listener->addr);
	end->path = listener->path.dentry ? path_get(&listener->path) : (struct path){0};
	end->state = UNIX_CONNECTED;
	end->peercred = unix_creds(t);
	end->peer = (struct unix_sock *)sock_get(&u->sk);
	end->sk.options |= listener->sk.options & 1u << SO_PASSCRED;
	u->peercred = listener->peercred;
	u->peer = (struct unix_sock *)sock_get(&end->sk);
	u->state = UNIX_CONNECTED;
	TAILQ_INSERT_TAIL(&listener->pending, end, pending_link);
	listener->npending++;
	return 0;
}

static void put_state(struct task *t, void *state)
{
	sock_put(state);
}

// The listener's queue is full: sleeps until it has room. The reference to it is the call's while it sleeps.
static long wait_backlog(struct task *t, struct unix_sock *u, struct unix_sock *listener)
{
	bool room;
	long ret;
	int err;

	task_deadline_in(t, u->sk.sndtimeo_ns ? u->sk.sndtimeo_ns : -1);
	err = task_wait_on(t, &listener->sk.waitq, 0);
	if (t->call.state)
		sock_put(t->call.state);
	t->call.state = listener;
	t->call.state_free = put_state;
	if (err)
		return err;
	mutex_lock(&listener->sk.mu);
	room = listener->state != UNIX_LISTENING || listener->npending <= listener->backlog;
	mutex_unlock(&listener->sk.mu);
	ret = room ? -EAGAINNOW : task_block(t);
	return ret == -ETIMEDOUT ? -EAGAIN : ret;
}

static long connect_once(struct task *t, struct unix_sock *u, struct unix_sock *listener)
{
	struct unix_sock *end;
	int err;

	if (u == listener)
		return u->state == UNIX_LISTENING ? -EINVAL : -ECONNREFUSED;
	end = unix_create(u->sk.type, u->sk.protocol);
	if (!end)
		return -ENOMEM;
	unix_lock_pair(u, listener);
	err = join_locked(t, u, listener, end);
	unix_unlock_pair(u, listener);
	if (err) {
		sock_put(&end->sk);
		return err;
	}
	waitq_wake(&listener->sk.waitq, POLLIN_ALL);
	waitq_wake(&u->sk.waitq, POLLOUT_ALL);
	return 0;
}

long unix_connect(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len, bool may_block)
{
	struct unix_sock *u = unix_of(s), *listener;
	long ret;

	if (!unix_is_connected_type(u))
		return connect_dgram(t, u, addr, len);
	ret = unix_find(t, addr, len, s->type, &listener);
	if (!ret && sock_option(s, SO_PASSCRED)) {
		ret = unix_autobind(u);
		if (ret)
			sock_put(&listener->sk);
	}
	if (ret)
		return ret;
	ret = connect_once(t, u, listener);
	if (ret == -EAGAIN && may_block)
		return wait_backlog(t, u, listener);
	sock_put(&listener->sk);
	return ret;
}

int unix_accept(struct sock *s, struct sock **out)
{
	struct unix_sock *u = unix_of(s), *end;
	int err = -EAGAIN;

	if (!unix_is_connected_type(u))
		return -EOPNOTSUPP;
	mutex_lock(&s->mu);
	end = TAILQ_FIRST(&u->pending);
	if (u->state != UNIX_LISTENING) {
		err = -EINVAL;
	} else if (end) {
		TAILQ_REMOVE(&u->pending, end, pending_link);
		u->npending--;
		*out = &end->sk;
		err = 0;
	} else if (s->shutdown & SHUT_RECV_BIT) {
		err = -EINVAL;
	}
	mutex_unlock(&s->mu);
	if (!err)
		waitq_wake(&s->waitq, POLLOUT_ALL); // those who wait for a place in the backlog
	return err;
}
