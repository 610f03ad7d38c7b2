// System V message queues.
//
// Who must wait stands in the queue's list; each change of the queue wakes all of them, and they look again, in their order.
#include "sentry/ipc/msg.h"

#include <bsd/sys/queue.h>
#include <limits.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"

struct message {
	TAILQ_ENTRY(message) link;
	long type;
	size_t len;
	char text[];
};

struct msg_wait { // in task_call.state
	TAILQ_ENTRY(msg_wait) link;
	struct task *task;
	struct msg_queue *queue; // NULL: it was removed
	struct message *m; // a sender's; owned
};

struct msg_queue {
	struct ipc_object o;
	TAILQ_HEAD(, message) messages;
	TAILQ_HEAD(, msg_wait) waits;
	uint64_t bytes, count, max_bytes;
	int last_sender, last_receiver;
	time_t stime, rtime;
};

struct msg_table {
	struct ipc_table ipc; // its mu guards all above
};

KMEM_TYPE(table_type, msg_table);
KMEM_TYPE(queue_type, msg_queue);

struct msg_table *msg_table_create(void)
{
	struct msg_table *tab = kmem_alloc(&table_type);

	if (tab)
		mutex_init(&tab->ipc.mu);
	return tab;
}

struct message *message_create(long type, size_t len)
{
	struct message *m = kmem_bytes(sizeof(*m) + len);

	if (m) {
		m->type = type;
		m->len = len;
	}
	return m;
}

char *message_text(struct message *m)
{
	return m->text;
}

long message_type(const struct message *m)
{
	return m->type;
}

size_t message_len(const struct message *m)
{
	return m->len;
}

static struct ipc_table *lock(void)
{
	struct ipc_table *tab = &kernel()->msgs->ipc;

	mutex_lock(&tab->mu);
	return tab;
}

static struct msg_queue *queue_of(struct ipc_object *o)
{
	return o ? container_of(o, struct msg_queue, o) : NULL;
}

long msgq_get(struct task *t, int key, int flags)
{
	struct ipc_table *tab = lock();
	struct ipc_object *o;
	struct msg_queue *q;
	long ret = ipc_get(tab, t, key, flags, &o);

	if (ret == 0 && !o) {
		q = kmem_alloc(&queue_type);
		if (q) {
			TAILQ_INIT(&q->messages);
			TAILQ_INIT(&q->waits);
			q->max_bytes = MSG_QUEUE_BYTES;
		}
		ret = q ? ipc_add(tab, &q->o, t, key, flags) : -ENOMEM;
	}
	mutex_unlock(&tab->mu);
	return ret;
}

// --- waiting

static void wake_all(struct msg_queue *q)
{
	struct msg_wait *w;

	TAILQ_FOREACH(w, &q->waits, link)
		task_wake(w->task);
}

static void wait_free(struct task *t, void *state)
{
	struct ipc_table *tab = lock();
	struct msg_wait *w = state;

	if (w->queue)
		TAILQ_REMOVE(&w->queue->waits, w, link);
	mutex_unlock(&tab->mu);
	kmem_bytes_free(w->m);
	kmem_bytes_free(w);
}

// Enters t into the queue's waiters, with its message; at later entries it is there already. 0 or -ENOMEM.
static long wait_begin_locked(struct task *t, struct msg_queue *q, struct message *m)
{
	struct msg_wait *w = t->call.state;

	if (w)
		return 0;
	w = kmem_bytes(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct msg_wait){.task = t, .queue = q, .m = m};
	TAILQ_INSERT_TAIL(&q->waits, w, link);
	t->call.state = w;
	t->call.state_free = wait_free;
	return 0;
}

// The queue of a call, at its first entry by id. 0, -EINVAL, -EACCES, -EIDRM.
static long find_locked(struct ipc_table *tab, struct task *t, int id, uint32_t wanted, struct msg_queue **out)
{
	struct msg_wait *w = t->call.state;

	*out = w ? w->queue : queue_of(ipc_by_id(tab, id));
	if (!*out)
		return w ? -EIDRM : -EINVAL;
	return w || ipc_allowed(t->cred, &(*out)->o, wanted) ? 0 : -EACCES;
}

static long block(struct task *t)
{
	long ret = task_block(t);

	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret; // not restarted after a handler: man 7 signal
}

// --- sending and receiving

static bool has_room(const struct msg_queue *q, const struct message *m)
{
	return q->bytes + m->len <= q->max_bytes && q->count + 1 <= q->max_bytes;
}

static void append_locked(struct msg_queue *q, struct task *t, struct message *m)
{
	TAILQ_INSERT_TAIL(&q->messages, m, link);
	q->bytes += m->len;
	q->count++;
	q->last_sender = t->tg->tgid;
	q->stime = ipc_now();
	wake_all(q);
}

long msgq_send(struct task *t, int id, struct message *m, int flags)
{
	struct ipc_table *tab = lock();
	struct msg_wait *w = t->call.state;
	struct msg_queue *q;
	bool wait = false;
	long ret = find_locked(tab, t, id, IPC_WRITE, &q);

	if (w)
		m = w->m;
	if (!ret && has_room(q, m)) {
		append_locked(q, t, m);
		if (w)
			w->m = NULL;
		m = NULL;
	} else if (!ret && flags & IPC_NOWAIT) {
		ret = -EAGAIN;
	} else if (!ret) {
		ret = wait_begin_locked(t, q, m);
		wait = !ret;
	}
	mutex_unlock(&tab->mu);
	if (wait)
		return block(t);
	if (!w)
		kmem_bytes_free(m); // not sent
	return ret;
}

// man 2 msgop: 0 takes the first, a type the first of it (MSG_EXCEPT: of another), -n the first of the lowest up to n.
static struct message *choose(struct msg_queue *q, long type, int flags)
{
	struct message *m, *best = NULL;
	long limit = type == LONG_MIN ? LONG_MAX : -type;

	TAILQ_FOREACH(m, &q->messages, link) {
		if (type == 0)
			return m;
		if (type > 0 && (m->type == type) != !!(flags & MSG_EXCEPT))
			return m;
		if (type < 0 && m->type <= limit && (!best || m->type < best->type))
			best = m;
	}
	return best;
}

long msgq_receive(struct task *t, int id, long type, size_t max, int flags, struct message **out)
{
	struct ipc_table *tab = lock();
	struct message *m = NULL;
	struct msg_queue *q;
	bool wait = false;
	long ret = find_locked(tab, t, id, IPC_READ, &q);

	if (!ret)
		m = choose(q, type, flags);
	if (m && m->len > max && !(flags & MSG_NOERROR)) {
		ret = -E2BIG;
		m = NULL;
	} else if (m) {
		TAILQ_REMOVE(&q->messages, m, link);
		q->bytes -= m->len;
		q->count--;
		q->last_receiver = t->tg->tgid;
		q->rtime = ipc_now();
		wake_all(q);
	} else if (!ret && flags & IPC_NOWAIT) {
		ret = -ENOMSG;
	} else if (!ret) {
		ret = wait_begin_locked(t, q, NULL);
		wait = !ret;
	}
	mutex_unlock(&tab->mu);
	*out = m;
	return wait ? block(t) : ret;
}

// --- control

long msgq_stat(struct task *t, int cmd, int id, struct msqid_ds *out)
{
	struct ipc_table *tab = lock();
	struct msg_queue *q = queue_of(cmd == IPC_STAT ? ipc_by_id(tab, id) : ipc_by_index(tab, id));
	long ret = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (q && cmd != MSG_STAT_ANY && !ipc_allowed(t->cred, &q->o, IPC_READ)) {
		ret = -EACCES;
	} else if (q) {
		ipc_perm_get(&q->o, &out->msg_perm);
		out->msg_stime = q->stime;
		out->msg_rtime = q->rtime;
		out->msg_ctime = q->o.ctime;
		out->__msg_cbytes = q->bytes;
		out->msg_qnum = q->count;
		out->msg_qbytes = q->max_bytes;
		out->msg_lspid = q->last_sender;
		out->msg_lrpid = q->last_receiver;
		ret = cmd == IPC_STAT ? 0 : q->o.id;
	}
	mutex_unlock(&tab->mu);
	return ret;
}

long msgq_set(struct task *t, int id, const struct msqid_ds *ds)
{
	struct ipc_table *tab = lock();
	struct msg_queue *q = queue_of(ipc_by_id(tab, id));
	long ret = !q ? -EINVAL : !ipc_may_change(t->cred, &q->o) ? -EPERM : 0;

	if (!ret && ds->msg_qbytes > MSG_QUEUE_BYTES && !cred_has_cap(t->cred, CAP_SYS_RESOURCE))
		ret = -EPERM;
	if (!ret) {
		ipc_perm_set(&q->o, &ds->msg_perm);
		q->max_bytes = MIN(ds->msg_qbytes, (uint64_t)INT_MAX);
		wake_all(q);
	}
	mutex_unlock(&tab->mu);
	return ret;
}

static void destroy_locked(struct ipc_table *tab, struct msg_queue *q)
{
	struct message *m;
	struct msg_wait *w;

	while ((w = TAILQ_FIRST(&q->waits))) {
		TAILQ_REMOVE(&q->waits, w, link);
		w->queue = NULL;
		task_wake(w->task);
	}
	while ((m = TAILQ_FIRST(&q->messages))) {
		TAILQ_REMOVE(&q->messages, m, link);
		kmem_bytes_free(m);
	}
	ipc_remove(tab, &q->o);
	kmem_free(&queue_type, q);
}

long msgq_remove(struct task *t, int id)
{
	struct ipc_table *tab = lock();
	struct msg_queue *q = queue_of(ipc_by_id(tab, id));
	long ret = !q ? -EINVAL : !ipc_may_change(t->cred, &q->o) ? -EPERM : 0;

	if (!ret)
		destroy_locked(tab, q);
	mutex_unlock(&tab->mu);
	return ret;
}

long msgq_usage(int *out_queues, int *out_messages, int *out_bytes)
{
	struct ipc_table *tab = lock();
	long highest = ipc_highest(tab);
	uint64_t messages = 0, bytes = 0;

	for (int i = 0; i <= highest; i++) {
		struct msg_queue *q = queue_of(ipc_by_index(tab, i));

		if (!q)
			continue;
		messages += q->count;
		bytes += q->bytes;
	}
	*out_queues = tab->count;
	mutex_unlock(&tab->mu);
	*out_messages = (int)MIN(messages, (uint64_t)INT_MAX);
	*out_bytes = (int)MIN(bytes, (uint64_t)INT_MAX);
	return highest;
}
