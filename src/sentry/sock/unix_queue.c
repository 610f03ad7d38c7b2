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

// Files whose last reference was in a queue may be sockets with queues of their own, to any depth, so one call frees for all that are under
// way: for those that it calls itself by way of file_put(), and for other workers'.
static void free_with_files(struct unix_net *net, struct unix_queue *q)
{
	struct unix_msg *msg;

	mutex_lock(&net->dying_mu);
	TAILQ_CONCAT(&net->dying, q, link);
	if (net->freeing) {
		mutex_unlock(&net->dying_mu);
		return;
	}
	net->freeing = true;
	while ((msg = TAILQ_FIRST(&net->dying))) {
		TAILQ_REMOVE(&net->dying, msg, link);
		mutex_unlock(&net->dying_mu);
		unix_msg_free(msg);
		mutex_lock(&net->dying_mu);
	}
	net->freeing = false;
	mutex_unlock(&net->dying_mu);
}

void unix_queue_free(struct unix_queue *q)
{
	struct unix_queue with_files = TAILQ_HEAD_INITIALIZER(with_files);
	struct unix_msg *msg;

	while ((msg = TAILQ_FIRST(q))) {
		TAILQ_REMOVE(q, msg, link);
		if (msg->files)
			TAILQ_INSERT_TAIL(&with_files, msg, link);
		else
			unix_msg_free(msg);
	}
	if (!TAILQ_EMPTY(&with_files))
		free_with_files(unix_net(), &with_files);
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
