// Unix sockets, for this folder. man 7 unix.
//
// Locks: a socket's mu; two at once by address. unix_net's mu (names) and gc_mu are taken before any socket's.
#pragma once

#include <bsd/sys/queue.h>
#include <stddef.h>
#include <sys/un.h>

#include "sentry/sock/sock.h"
#include "sentry/vfs/vfs.h"

enum {
	UNIX_NAME_BUCKETS = 256,
	UNIX_DGRAM_QLEN = 10, // net.unix.max_dgram_qlen
	UNIX_MSG_OVERHEAD = 256, // counted with each queued message
	UNIX_MSG_MIN = 192, UNIX_MSG_MAX = 16384, // bytes of one piece of a stream
	UNIX_BACKLOG_MAX = 4096, // net.core.somaxconn
	UNIX_NAME_AT = offsetof(struct sockaddr_un, sun_path),
};

struct unix_addr {
	struct ref ref;
	socklen_t len;
	struct sockaddr_un name;
};

struct unix_msg { // kmem_bytes
	TAILQ_ENTRY(unix_msg) link;
	struct ucred creds; // of the sender
	struct scm_files *files; // NULL: none
	struct unix_addr *from; // datagrams: the sender's name; counted
	uint32_t cap, len, off; // room, bytes, bytes read
	char data[];
};
TAILQ_HEAD(unix_queue, unix_msg);

enum unix_state { UNIX_NEW, UNIX_LISTENING, UNIX_CONNECTED, UNIX_CLOSED };

struct unix_sock {
	struct sock sk;
	// Guarded by sk.mu.
	enum unix_state state; // datagram sockets stay UNIX_NEW, connected or not
	struct unix_addr *addr; // counted; set once
	struct path path; // of a name in the file system
	LIST_ENTRY(unix_sock) name_link; // of an abstract one; guarded by unix_net.mu
	bool named;
	// Counted. A connection's: set once, under both locks, and there until this socket is closed. A datagram socket's changes.
	struct unix_sock *peer;
	struct ucred peercred;
	struct unix_queue queue; // to be received
	int qlen;
	uint64_t queued; // bytes in it, with overhead
	struct unix_msg *spare; // an empty one kept for the next piece of the stream
	// A listener's.
	TAILQ_HEAD(, unix_sock) pending; // counted
	TAILQ_ENTRY(unix_sock) pending_link;
	int npending, backlog;
	// Datagram sockets connected to this one, whose poll found it full; woken when it isn't.
	LIST_HEAD(, unix_sock) full_watchers; // each counted
	// Whose list this one is on. From NULL by compare and swap and back to NULL, each with that one's sk.mu held, which guards the link.
	struct unix_sock *full_on;
	LIST_ENTRY(unix_sock) full_link;
	// Guarded by unix_net.gc_mu.
	int inflight; // how many times its file lies in queues
	int gc_seen;
	bool gc_candidate;
	struct unix_sock *gc_next; // to be looked through
	LIST_ENTRY(unix_sock) inflight_link;
};

struct unix_net { // kernel()->unix_net
	struct mutex mu;
	LIST_HEAD(, unix_sock) names[UNIX_NAME_BUCKETS]; // Guarded by mu.
	uint32_t next_auto; // Guarded by mu.
	struct mutex gc_mu;
	LIST_HEAD(, unix_sock) inflight; // Guarded by gc_mu.
	struct unix_sock *gc_reached; // Guarded by gc_mu.
	_Atomic int inflight_sockets, inflight_files;
	_Atomic bool collecting;
	_Atomic unsigned gc_chances; // closes and queued sockets since the last collection
	struct mutex dying_mu; // nothing is taken under it
	struct unix_queue dying; // Guarded by dying_mu.
	bool freeing;
};

static inline struct unix_sock *unix_of(struct sock *s)
{
	return (struct unix_sock *)s;
}

static inline bool unix_is_connected_type(const struct unix_sock *u)
{
	return u->sk.type != SOCK_DGRAM;
}

struct unix_net *unix_net(void); // NULL: no memory, the first time
void unix_lock_pair(struct unix_sock *a, struct unix_sock *b); // which may be the same
void unix_unlock_pair(struct unix_sock *a, struct unix_sock *b);

// unix_sock.c
struct unix_sock *unix_create(int type, int protocol); // NULL: no memory
void unix_close(struct sock *s);
struct ucred unix_creds(struct task *t);

// unix_name.c
struct unix_addr *unix_addr_get(struct unix_addr *a); // NULL is allowed, for both
void unix_addr_put(struct unix_addr *a);
int unix_bind(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len);
int unix_autobind(struct unix_sock *u); // no effect if it has a name
void unix_unbind(struct unix_sock *u);
// Who has the name: counted. -ECONNREFUSED, -ENOENT, -EACCES, -EPROTOTYPE (not of that type) …
int unix_find(struct task *t, const struct sockaddr_storage *addr, socklen_t len, int type, struct unix_sock **out);

// unix_conn.c
long unix_connect(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len, bool may_block);
int unix_listen(struct task *t, struct sock *s, int backlog);
int unix_accept(struct sock *s, struct sock **out);
void unix_disconnect_dgram(struct unix_sock *u); // forgets the peer

// unix_queue.c: messages
struct unix_msg *unix_msg_alloc(size_t cap); // NULL: no memory
void unix_msg_free(struct unix_msg *msg); // with what it carries; no lock held
void unix_queue_free(struct unix_queue *q);
void unix_msg_take_scm(struct unix_msg *msg, struct sock_msg *m); // files (launched already) and credentials of m go along
void unix_msg_show_scm(struct unix_sock *u, struct unix_msg *msg, struct sock_msg *m, bool peek); // u->sk.mu is held

// unix_stream.c, unix_dgram.c: SOCK_STREAM; SOCK_DGRAM and SOCK_SEQPACKET
int64_t unix_stream_send(struct sock *s, struct sock_msg *m);
int64_t unix_stream_recv(struct sock *s, struct sock_msg *m);
int64_t unix_dgram_send(struct sock *s, struct sock_msg *m);
int64_t unix_dgram_recv(struct sock *s, struct sock_msg *m);
long unix_dgram_wait_send(struct task *t, struct sock *s, struct file *f, struct sock_msg *m);
bool unix_stream_writable(struct unix_sock *u);
// May u's peer take another datagram? Remembers u as somebody to wake if not and watch is set.
bool unix_dgram_writable(struct unix_sock *u, bool watch);
void unix_full_unlink(struct unix_sock *u); // no longer on its peer's full_watchers
void unix_full_wake(struct unix_sock *u); // wakes all of u's

// unix_gc.c: descriptors of sockets in sockets' queues
// Before they are queued, with no socket locked: 0, or -ETOOMANYREFS. NULL is allowed, for both.
int unix_launch(struct task *t, struct scm_files *files);
void unix_land(struct scm_files *files); // after they have left the queue, or didn't get there
void unix_collect_if_due(void); // ends sockets that only queues of one another hold; no lock held
