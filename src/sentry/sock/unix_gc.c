// Descriptors of Unix sockets that lie in Unix sockets' queues.
//
// A socket whose file only queues refer to can still be received, unless all those queues belong to sockets in the same state: then
// the references form a cycle that nobody can reach. As in Linux: every queued reference is counted (inflight), and a socket whose
// file has as many references as are queued is a candidate. Take away the references that candidates' own queues hold; a candidate
// that has some left is reachable from outside, and so is what its queue holds. What remains is garbage: its queues are emptied, and
// the files go with them.
//
// gc_mu makes a reference's move from a queue into a process's hands atomic to the collector: it is counted down (unix_land) only after it
// has left the queue, so the collector errs by keeping.
#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/sock/unix.h"

static struct unix_sock *file_unix(struct file *f)
{
	struct sock *s = file_sock(f);

	return s && s->family == AF_UNIX ? unix_of(s) : NULL;
}

static void count(struct unix_net *net, struct unix_sock *u, int change)
{
	mutex_lock(&net->gc_mu);
	if (u->inflight == 0) {
		LIST_INSERT_HEAD(&net->inflight, u, inflight_link);
		net->inflight_sockets++;
	}
	u->inflight += change;
	if (u->inflight == 0) {
		LIST_REMOVE(u, inflight_link);
		net->inflight_sockets--;
	}
	mutex_unlock(&net->gc_mu);
}

// Linux's limit is by user; here it is one for all that aren't privileged.
int unix_launch(struct task *t, struct scm_files *files)
{
	struct unix_net *net = unix_net();
	bool sockets = false;

	if (!files)
		return 0;
	if (t && (uint64_t)net->inflight_files > task_rlimit(t, RLIMIT_NOFILE) && !cred_has_cap(t->cred, CAP_SYS_RESOURCE) &&
	    !cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -ETOOMANYREFS;
	net->inflight_files += files->n;
	for (int i = 0; i < files->n; i++)
		if (file_unix(files->file[i])) {
			count(net, file_unix(files->file[i]), 1);
			sockets = true;
		}
	if (sockets)
		unix_collect_if_due();
	return 0;
}

void unix_land(struct scm_files *files)
{
	struct unix_net *net = unix_net();

	if (!files)
		return;
	net->inflight_files -= files->n;
	for (int i = 0; i < files->n; i++)
		if (file_unix(files->file[i]))
			count(net, file_unix(files->file[i]), -1);
}

// Calls fn for every candidate that u's queue (and the queues of those who wait to be accepted) refers to.
static void each_child(struct unix_sock *u, void (*fn)(struct unix_sock *child))
{
	struct unix_sock *end;
	struct unix_msg *msg;

	mutex_lock(&u->sk.mu);
	TAILQ_FOREACH(msg, &u->queue, link)
		for (int i = 0; msg->files && i < msg->files->n; i++) {
			struct unix_sock *child = file_unix(msg->files->file[i]);

			if (child && child->gc_candidate)
				fn(child);
		}
	TAILQ_FOREACH(end, &u->pending, pending_link) {
		mutex_lock(&end->sk.mu);
		TAILQ_FOREACH(msg, &end->queue, link)
			for (int i = 0; msg->files && i < msg->files->n; i++) {
				struct unix_sock *child = file_unix(msg->files->file[i]);

				if (child && child->gc_candidate)
					fn(child);
			}
		mutex_unlock(&end->sk.mu);
	}
	mutex_unlock(&u->sk.mu);
}

static void child_take(struct unix_sock *child)
{
	child->gc_seen--;
}

// A child of what is reachable is, too, and is looked through in turn.
static void child_keep(struct unix_sock *child)
{
	struct unix_net *net = kernel()->unix_net;

	child->gc_candidate = false;
	child->gc_next = net->gc_reached;
	net->gc_reached = child;
}

static void keep_reachable(struct unix_net *net)
{
	struct unix_sock *u;

	net->gc_reached = NULL;
	LIST_FOREACH(u, &net->inflight, inflight_link)
		if (u->gc_candidate && u->gc_seen > 0)
			child_keep(u);
	while ((u = net->gc_reached)) {
		net->gc_reached = u->gc_next;
		each_child(u, child_keep);
	}
}

// Moves the messages with descriptors out of u's queues.
static void strip(struct unix_sock *u, struct unix_queue *out)
{
	struct unix_sock *end;
	struct unix_msg *msg, *next;

	mutex_lock(&u->sk.mu);
	TAILQ_FOREACH_SAFE(msg, &u->queue, link, next)
		if (msg->files) {
			TAILQ_REMOVE(&u->queue, msg, link);
			u->qlen--;
			TAILQ_INSERT_TAIL(out, msg, link);
		}
	TAILQ_FOREACH(end, &u->pending, pending_link) {
		mutex_lock(&end->sk.mu);
		TAILQ_FOREACH_SAFE(msg, &end->queue, link, next)
			if (msg->files) {
				TAILQ_REMOVE(&end->queue, msg, link);
				end->qlen--;
				TAILQ_INSERT_TAIL(out, msg, link);
			}
		mutex_unlock(&end->sk.mu);
	}
	mutex_unlock(&u->sk.mu);
}

static void collect(void)
{
	struct unix_net *net = kernel()->unix_net;
	struct unix_queue garbage = TAILQ_HEAD_INITIALIZER(garbage);
	struct unix_sock *u;

	if (!net || !net->inflight_sockets || atomic_exchange(&net->collecting, true))
		return;
	mutex_lock(&net->gc_mu);
	LIST_FOREACH(u, &net->inflight, inflight_link) {
		u->gc_seen = u->inflight;
		u->gc_candidate = u->sk.file && atomic_load(&u->sk.file->ref.count) == (unsigned)u->inflight;
	}
	LIST_FOREACH(u, &net->inflight, inflight_link)
		if (u->gc_candidate)
			each_child(u, child_take);
	keep_reachable(net);
	LIST_FOREACH(u, &net->inflight, inflight_link)
		if (u->gc_candidate) {
			u->gc_candidate = false;
			strip(u, &garbage);
		}
	mutex_unlock(&net->gc_mu);
	net->collecting = false;
	unix_queue_free(&garbage);
}

// Looks through all sockets in flight once for every few chances that there is garbage, so that many of them cost no more than few.
void unix_collect_if_due(void)
{
	struct unix_net *net = kernel()->unix_net;

	if (!net || !net->inflight_sockets || ++net->gc_chances < (unsigned)net->inflight_sockets / 8)
		return;
	net->gc_chances = 0;
	collect();
}
