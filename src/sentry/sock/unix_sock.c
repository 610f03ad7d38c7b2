// A Unix socket's life: creation, pairs, shutdown, polling, closing.
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/unix.h"

KMEM_TYPE(unix_sock_type, unix_sock);
KMEM_TYPE(unix_net_type, unix_net);

static const struct sock_ops unix_stream_ops, unix_packet_ops;

struct unix_net *unix_net(void)
{
	struct unix_net *net = __atomic_load_n(&kernel()->unix_net, __ATOMIC_ACQUIRE), *none = NULL;

	if (net)
		return net;
	net = kmem_alloc(&unix_net_type);
	if (!net)
		return NULL;
	mutex_init(&net->mu);
	mutex_init(&net->gc_mu);
	mutex_init(&net->dying_mu);
	TAILQ_INIT(&net->dying);
	if (__atomic_compare_exchange_n(&kernel()->unix_net, &none, net, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return net;
	kmem_free(&unix_net_type, net);
	return none;
}

void unix_lock_pair(struct unix_sock *a, struct unix_sock *b)
{
	mutex_lock(a < b ? &a->sk.mu : &b->sk.mu);
	if (a != b)
		mutex_lock(a < b ? &b->sk.mu : &a->sk.mu);
}

void unix_unlock_pair(struct unix_sock *a, struct unix_sock *b)
{
	mutex_unlock(&a->sk.mu);
	if (a != b)
		mutex_unlock(&b->sk.mu);
}

struct ucred unix_creds(struct task *t)
{
	return (struct ucred){.pid = t->tg->tgid, .uid = t->cred->euid, .gid = t->cred->egid};
}

struct unix_sock *unix_create(int type, int protocol)
{
	struct unix_sock *u = kmem_alloc(&unix_sock_type);

	if (!u)
		return NULL;
	sock_init(&u->sk, type == SOCK_STREAM ? &unix_stream_ops : &unix_packet_ops, AF_UNIX, type, protocol);
	TAILQ_INIT(&u->queue);
	TAILQ_INIT(&u->pending);
	u->peercred = (struct ucred){.pid = 0, .uid = -1, .gid = -1};
	return u;
}

static int unix_check(int *type, int protocol)
{
	if (!unix_net())
		return -ENOMEM;
	if (protocol && protocol != AF_UNIX)
		return -EPROTONOSUPPORT;
	if (*type == SOCK_RAW)
		*type = SOCK_DGRAM; // as BSD had it
	if (*type != SOCK_STREAM && *type != SOCK_DGRAM && *type != SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	return 0;
}

static int unix_create_socket(struct task *t, int type, int protocol, struct sock **out)
{
	int err = unix_check(&type, protocol);
	struct unix_sock *u;

	if (err)
		return err;
	u = unix_create(type, protocol);
	if (!u)
		return -ENOMEM;
	*out = &u->sk;
	return 0;
}

static int unix_create_pair(struct task *t, int type, int protocol, struct sock *out[2])
{
	int err = unix_check(&type, protocol);
	struct unix_sock *a, *b;

	if (err)
		return err;
	a = unix_create(type, protocol);
	b = unix_create(type, protocol);
	if (!a || !b) {
		sock_put(a ? &a->sk : NULL);
		sock_put(b ? &b->sk : NULL);
		return -ENOMEM;
	}
	a->peer = (struct unix_sock *)sock_get(&b->sk);
	b->peer = (struct unix_sock *)sock_get(&a->sk);
	if (unix_is_connected_type(a))
		a->state = b->state = UNIX_CONNECTED;
	a->peercred = b->peercred = unix_creds(t);
	out[0] = &a->sk;
	out[1] = &b->sk;
	return 0;
}

// Ends of connections that nobody accepted end with their listener.
static void close_pending(struct unix_sock *u)
{
	struct unix_sock *end;

	for (;;) {
		mutex_lock(&u->sk.mu);
		end = TAILQ_FIRST(&u->pending);
		if (end)
			TAILQ_REMOVE(&u->pending, end, pending_link);
		mutex_unlock(&u->sk.mu);
		if (!end)
			break;
		mutex_lock(&end->sk.mu);
		end->sk.err = ECONNRESET; // marks it for hang_up: never accepted
		mutex_unlock(&end->sk.mu);
		unix_close(&end->sk);
		sock_put(&end->sk);
	}
}

// A connection's other end learns that this one is gone.
static void hang_up(struct unix_sock *peer, bool reset)
{
	mutex_lock(&peer->sk.mu);
	peer->sk.shutdown = SHUT_BOTH_BITS;
	if (reset)
		peer->sk.err = ECONNRESET;
	mutex_unlock(&peer->sk.mu);
	waitq_wake(&peer->sk.waitq, 0);
}

void unix_close(struct sock *s)
{
	struct unix_sock *u = unix_of(s), *peer;
	struct unix_queue queue = TAILQ_HEAD_INITIALIZER(queue);
	struct unix_msg *spare;
	bool reset;

	unix_unbind(u);
	if (!unix_is_connected_type(u))
		unix_disconnect_dgram(u);
	mutex_lock(&s->mu);
	u->state = UNIX_CLOSED;
	s->shutdown = SHUT_BOTH_BITS;
	s->listening = false;
	peer = u->peer;
	u->peer = NULL;
	spare = u->spare;
	u->spare = NULL;
	reset = !TAILQ_EMPTY(&u->queue) || (!s->file && s->err == ECONNRESET);
	TAILQ_CONCAT(&queue, &u->queue, link);
	u->qlen = 0;
	u->queued = 0;
	mutex_unlock(&s->mu);
	if (peer) {
		hang_up(peer, reset);
		sock_put(&peer->sk);
	}
	close_pending(u);
	waitq_wake(&s->waitq, 0); // senders and connects that wait for room
	unix_full_wake(u);
	if (spare)
		kmem_bytes_free(spare);
	unix_queue_free(&queue);
	unix_collect_if_due();
}

static void unix_destroy(struct sock *s)
{
	struct unix_sock *u = unix_of(s);

	unix_queue_free(&u->queue); // empty, unless it never had a file
	sock_put(u->peer ? &u->peer->sk : NULL);
	unix_addr_put(u->addr);
	path_put(&u->path);
	sock_fini(s);
	kmem_free(&unix_sock_type, u);
}

static int unix_getname(struct sock *s, bool want_peer, struct sockaddr_storage *out, socklen_t *out_len)
{
	struct unix_sock *u = unix_of(s), *of = u;
	struct unix_addr *a;

	mutex_lock(&s->mu);
	if (want_peer)
		of = u->peer;
	a = of ? unix_addr_get(__atomic_load_n(&of->addr, __ATOMIC_ACQUIRE)) : NULL;
	mutex_unlock(&s->mu);
	if (!of)
		return -ENOTCONN;
	if (a) {
		memcpy(out, &a->name, MIN(a->len, sizeof(a->name)));
		*out_len = a->len;
	} else {
		out->ss_family = AF_UNIX;
		*out_len = sizeof(sa_family_t);
	}
	unix_addr_put(a);
	return 0;
}

static int unix_shutdown(struct sock *s, int how)
{
	struct unix_sock *u = unix_of(s), *peer = NULL;

	mutex_lock(&s->mu);
	s->shutdown |= how;
	if (unix_is_connected_type(u) && u->peer)
		peer = (struct unix_sock *)sock_get(&u->peer->sk);
	mutex_unlock(&s->mu);
	waitq_wake(&s->waitq, 0);
	if (!peer)
		return 0;
	mutex_lock(&peer->sk.mu);
	peer->sk.shutdown |= (how & SHUT_RECV_BIT ? SHUT_SEND_BIT : 0) | (how & SHUT_SEND_BIT ? SHUT_RECV_BIT : 0);
	mutex_unlock(&peer->sk.mu);
	waitq_wake(&peer->sk.waitq, 0);
	sock_put(&peer->sk);
	return 0;
}

static uint32_t unix_poll(struct sock *s, struct poll_table *pt)
{
	struct unix_sock *u = unix_of(s);
	bool stream = s->type == SOCK_STREAM, connected_type = unix_is_connected_type(u), writable;
	uint32_t mask = 0;

	poll_wait(pt, &s->waitq);
	writable = stream || unix_dgram_writable(u, true);
	mutex_lock(&s->mu);
	if (s->err)
		mask |= POLLERR;
	if (s->shutdown == SHUT_BOTH_BITS)
		mask |= POLLHUP;
	if (s->shutdown & SHUT_RECV_BIT)
		mask |= POLLRDHUP | POLLIN_ALL;
	if (!TAILQ_EMPTY(&u->queue) || !TAILQ_EMPTY(&u->pending))
		mask |= POLLIN_ALL;
	if (connected_type && u->state == UNIX_NEW)
		mask |= POLLHUP;
	if (u->state != UNIX_LISTENING && (stream ? unix_stream_writable(u) : writable))
		mask |= POLLOUT_ALL;
	mutex_unlock(&s->mu);
	return mask;
}

static long unix_ioctl(struct task *t, struct sock *s, unsigned cmd, uint64_t arg)
{
	struct unix_sock *u = unix_of(s);
	struct unix_msg *msg;
	int n = 0;

	mutex_lock(&s->mu);
	if (cmd == SIOCINQ && u->state == UNIX_LISTENING)
		n = -EINVAL;
	else if (cmd == SIOCINQ && unix_is_connected_type(u))
		TAILQ_FOREACH(msg, &u->queue, link)
			n += msg->len - msg->off;
	else if (cmd == SIOCINQ)
		n = TAILQ_EMPTY(&u->queue) ? 0 : TAILQ_FIRST(&u->queue)->len;
	else if (cmd == SIOCOUTQ && unix_is_connected_type(u))
		n = u->peer ? MIN(u->peer->queued, INT32_MAX) : 0;
	else if (cmd != SIOCOUTQ)
		n = cmd >> 8 == 0x89 ? -ENODEV : -ENOTTY; // no devices here
	mutex_unlock(&s->mu);
	return n < 0 ? n : copy_out(t, arg, &n, sizeof(n));
}

static int unix_setsockopt(struct task *t, struct sock *s, int level, int name, const void *val, int len)
{
	int v;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	if (name != SO_PEEK_OFF)
		return -ENOPROTOOPT;
	memcpy(&v, val, sizeof(v));
	s->peek_off = v;
	return 0;
}

static int unix_getsockopt(struct task *t, struct sock *s, int level, int name, void *val, int *len)
{
	struct unix_sock *u = unix_of(s);
	struct ucred creds;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (name) {
	case SO_PEERCRED:
		mutex_lock(&s->mu);
		creds = u->peercred;
		mutex_unlock(&s->mu);
		if (u->state == UNIX_LISTENING)
			creds = (struct ucred){.pid = creds.pid, .uid = creds.uid, .gid = creds.gid};
		memcpy(val, &creds, sizeof(creds));
		*len = sizeof(creds);
		return 0;
	case SO_PEEK_OFF:
		memcpy(val, &s->peek_off, sizeof(int));
		*len = sizeof(int);
		return 0;
	default:
		return -ENOPROTOOPT; // SO_PEERSEC too: there is no security module
	}
}

static const struct sock_ops unix_stream_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.getname = unix_getname,
	.sendmsg = unix_stream_send,
	.recvmsg = unix_stream_recv,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.setsockopt = unix_setsockopt,
	.getsockopt = unix_getsockopt,
	.close = unix_close,
	.destroy = unix_destroy,
};

static const struct sock_ops unix_packet_ops = {
	.bind = unix_bind,
	.connect = unix_connect,
	.listen = unix_listen,
	.accept = unix_accept,
	.getname = unix_getname,
	.sendmsg = unix_dgram_send,
	.recvmsg = unix_dgram_recv,
	.wait_send = unix_dgram_wait_send,
	.shutdown = unix_shutdown,
	.poll = unix_poll,
	.ioctl = unix_ioctl,
	.setsockopt = unix_setsockopt,
	.getsockopt = unix_getsockopt,
	.close = unix_close,
	.destroy = unix_destroy,
};

const struct sock_family unix_family = {AF_UNIX, unix_create_socket, unix_create_pair};
