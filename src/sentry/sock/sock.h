// Sockets: what every family shares. A family (unix_*.c; later inet, netlink) embeds struct sock and fills a table of operations.
//
// Lock: sock->mu (ARCHITECTURE.md, level 2). Two sockets at once: by address, lower first.
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "abi/types.h"
#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/sock/scm.h"

struct file;
struct poll_table;
struct sock;
struct task;
struct uio;

enum { SHUT_RECV_BIT = 1, SHUT_SEND_BIT = 2, SHUT_BOTH_BITS = 3 };
enum { SOCK_BUF_DEFAULT = 212992, SOCK_BUF_MAX = 212992, SNDBUF_MIN = 4608, RCVBUF_MIN = 2304 };

// One sendmsg or recvmsg on its way.
struct sock_msg {
	struct task *task;
	struct uio *uio;
	int flags; // MSG_*, with MSG_DONTWAIT for sockets that don't block
	int out_flags; // receiving: MSG_TRUNC …
	bool named; // sending: addr is a destination
	struct sockaddr_storage addr; // sending: the destination; receiving: the source
	socklen_t addrlen;
	struct scm scm; // sending: what goes along, borrowed until a call sends it; receiving: what came along
};

// NULL slots answer the errno in parentheses. s->mu isn't held. None sleeps.
struct sock_ops {
	int (*bind)(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len); // (-EOPNOTSUPP)
	// Entered as a part of the handler: may answer what task_block() answers. may_block false: -EAGAIN or -EINPROGRESS instead.
	long (*connect)(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len, bool may_block); // (-EOPNOTSUPP)
	int (*listen)(struct task *t, struct sock *s, int backlog); // (-EOPNOTSUPP)
	int (*accept)(struct sock *s, struct sock **out); // a reference, or -EAGAIN (-EOPNOTSUPP)
	int (*getname)(struct sock *s, bool peer, struct sockaddr_storage *out, socklen_t *out_len); // (-EOPNOTSUPP)
	// Bytes or -EAGAIN. A stream may take less than all; the layer calls again for the rest. -EPIPE: the layer raises SIGPIPE
	// for streams. (-EOPNOTSUPP)
	int64_t (*sendmsg)(struct sock *s, struct sock_msg *m);
	// Bytes (0: the end), or -EAGAIN. Of a message cut off: its whole length if MSG_TRUNC was asked for. (-EOPNOTSUPP)
	int64_t (*recvmsg)(struct sock *s, struct sock_msg *m);
	// sendmsg answered -EAGAIN: parks the task until it may go. (waits for POLLOUT)
	long (*wait_send)(struct task *t, struct sock *s, struct file *f, struct sock_msg *m);
	int (*shutdown)(struct sock *s, int how_bits); // (-EOPNOTSUPP)
	uint32_t (*poll)(struct sock *s, struct poll_table *pt);
	long (*ioctl)(struct task *t, struct sock *s, unsigned cmd, uint64_t arg); // (-ENOTTY)
	int (*setsockopt)(struct task *t, struct sock *s, int level, int name, const void *val, int len); // (-ENOPROTOOPT)
	int (*getsockopt)(struct task *t, struct sock *s, int level, int name, void *val, int *len); // (-ENOPROTOOPT)
	void (*close)(struct sock *s); // its file is gone; then the file's reference is dropped
	void (*destroy)(struct sock *s); // the last reference is gone
};

struct sock {
	struct ref ref;
	const struct sock_ops *ops;
	int family, type, protocol;
	struct file *file; // not counted; NULL: not accepted yet
	struct waitq waitq; // POLLIN, POLLOUT, POLLHUP …
	struct mutex mu;
	// Guarded by mu; single words are read without.
	int err; // SO_ERROR, positive
	unsigned shutdown; // SHUT_*_BITs
	bool listening;
	int sndbuf, rcvbuf;
	int64_t rcvtimeo_ns, sndtimeo_ns; // 0: none
	uint32_t options; // bit n: the boolean option SO_n is set (n < 32)
	int rcvlowat, priority, mark;
	struct linger linger;
	int peek_off;
};

struct sock_family {
	int family;
	int (*create)(struct task *t, int type, int protocol, struct sock **out);
	int (*pair)(struct task *t, int type, int protocol, struct sock *out[2]); // NULL: -EOPNOTSUPP
};
extern const struct sock_family unix_family;

void sock_init(struct sock *s, const struct sock_ops *ops, int family, int type, int protocol);
void sock_fini(struct sock *s);
struct sock *sock_get(struct sock *s);
void sock_put(struct sock *s); // NULL is allowed
static inline bool sock_option(const struct sock *s, int so)
{
	return s->options & 1u << so;
}

int sock_create(struct task *t, int family, int type, int protocol, struct sock **out);
int sock_create_pair(struct task *t, int family, int type, int protocol, struct sock *out[2]);
// A file for s, taking the reference (also when it fails: then s is closed). flags: O_NONBLOCK. NULL: no memory.
struct file *sock_file_create(struct sock *s, int flags);
struct sock *file_sock(struct file *f); // borrowed; NULL: f is no socket
// A send or receive would have to wait: what task_block() answers, with -EAGAIN when the socket's own timeout passed. Not for sockets
// with O_NONBLOCK. m: what was to be sent; NULL for write(2).
long sock_block(struct task *t, struct file *f, bool sending, struct sock_msg *m);
void sock_discard(struct sock *s); // a new socket that gets no file
int sock_take_error(struct sock *s); // 0 or -errno, which is gone then

// sockopt.c: get- and setsockopt of every level.
int sock_setsockopt(struct task *t, struct sock *s, int level, int name, uaddr_t val, int len);
int sock_getsockopt(struct task *t, struct sock *s, int level, int name, uaddr_t val, uaddr_t len);
