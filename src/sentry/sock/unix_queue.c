// Messages in a Unix socket's queue.
#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/sock/unix.h"

struct unix_msg *unix_msg_alloc(size_t cap)
{
	struct unix_msg *msg = kmem_bytes(sizeof(*msg) + cap);

	if (msg)
		msg->cap = cap;
	return msg;
}

void unix_msg_free(struct unix_msg *msg)
{
	if (msg->files) {
		unix_land(msg->files);
		scm_files_drop(msg->files);
	}
	unix_addr_put(msg->from);
	kmem_bytes_free(msg);
}

void unix_queue_free(struct unix_queue *q)
{
	struct unix_msg *msg;

	while ((msg = TAILQ_FIRST(q))) {
		TAILQ_REMOVE(q, msg, link);
		unix_msg_free(msg);
	}
}

void unix_msg_take_scm(struct unix_msg *msg, struct sock_msg *m)
{
	msg->creds = m->scm.creds;
	msg->files = m->scm.files;
	m->scm.files = NULL;
}

void unix_msg_show_scm(struct unix_sock *u, struct unix_msg *msg, struct sock_msg *m, bool peek)
{
	if (sock_option(&u->sk, SO_PASSCRED)) {
		m->scm.creds = msg->creds;
		m->scm.has_creds = true;
	}
	if (!msg->files || m->scm.files)
		return;
	if (peek) {
		m->scm.files = scm_files_dup(msg->files);
		return;
	}
	m->scm.files = msg->files;
	msg->files = NULL;
}
