// epoll: level, edge and one-shot watching through the files' wait queues. man 7 epoll.
//
// An item stands for one (file, number) in one instance and is linked into the wait queues that the file's poll() named. A
// wake-up puts it on the ready list and does nothing else; the harvest asks the file what is true now. So an item on the list
// may turn out not to be ready, and a level-triggered one stays on the list until it isn't.
//
// An item lives until it is deleted, its file's last reference goes (eventpoll_forget), or its instance ends. It holds no
// reference to its file: while ep->mu is held, an item that is still there has a file whose eventpoll_forget is yet to come.
#include "sentry/fs/eventpoll/eventpoll.h"

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <fcntl.h>
#include <stdio.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/mutex.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/vfs.h"

enum { NESTS_MAX = 4, ITEM_WAITS = 2 };

#define EP_PRIVATE (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define EP_EXCLUSIVE_OK (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

struct item_wait {
	struct waitq_entry entry;
	struct epitem *item;
};

struct epitem {
	RB_ENTRY(epitem) node; // Guarded by ep->mu, as all that isn't marked.
	struct eventpoll *ep;
	struct file *file;
	int fd;
	struct epoll_event event; // its events are also read by wake-ups, so they are changed under ready_mu
	bool queued; // Guarded by ep->ready_mu.
	TAILQ_ENTRY(epitem) ready_link; // Guarded by ep->ready_mu.
	LIST_ENTRY(epitem) file_link; // Guarded by file->epolls->mu.
	int nwaits;
	struct item_wait waits[ITEM_WAITS]; // no file here polls on more queues than it has ends
};

TAILQ_HEAD(ready_list, epitem);

struct eventpoll {
	struct file *file; // its own; not counted
	struct mutex mu;
	RB_HEAD(epitems, epitem) items; // Guarded by mu.
	_Atomic int nitems; // Changed under mu.
	struct mutex ready_mu; // taken under wait queues' locks
	struct ready_list ready; // Guarded by ready_mu.
	_Atomic int nready; // how many are there; changed under ready_mu
	struct waitq waitq; // epoll_wait's and poll's sleepers
	_Atomic bool quiet; // stubs were told that nothing is ready, for as long as a count of the platform's stays
	uint32_t count_index;
};

struct file_epolls { // struct file.epolls; freed with the file
	struct mutex mu;
	LIST_HEAD(, epitem) items; // Guarded by mu.
};

KMEM_TYPE(eventpoll_type, eventpoll);
KMEM_TYPE(epitem_type, epitem);
KMEM_TYPE(file_epolls_type, file_epolls);

static const struct file_ops eventpoll_ops;

static int item_cmp(const struct epitem *a, const struct epitem *b)
{
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->fd > b->fd) - (a->fd < b->fd);
}

RB_PROTOTYPE(epitems, epitem, node, item_cmp)
RB_GENERATE(epitems, epitem, node, item_cmp)

// What ep->quiet says is over. The exchange is a barrier: what isn't true any more is there before we look who was told.
static void stir(struct eventpoll *ep)
{
	if (atomic_exchange(&ep->quiet, false))
		platform->count_up(ep->count_index);
}

static void item_queue(struct epitem *it)
{
	struct eventpoll *ep = it->ep;

	mutex_lock(&ep->ready_mu);
	if (!it->queued) {
		it->queued = true;
		TAILQ_INSERT_TAIL(&ep->ready, it, ready_link);
		ep->nready++;
	}
	mutex_unlock(&ep->ready_mu);
	stir(ep);
}

// The file's queue was woken: under its lock.
static bool item_woken(struct waitq_entry *e, uint32_t events)
{
	struct epitem *it = container_of(e, struct item_wait, entry)->item;
	uint32_t wanted = __atomic_load_n(&it->event.events, __ATOMIC_RELAXED);
	bool someone;

	if (!(wanted & ~EP_PRIVATE) || (events && !(events & wanted)))
		return false; // a one-shot that has fired, or nothing it asked for
	item_queue(it);
	someone = !waitq_empty(&it->ep->waitq);
	waitq_wake(&it->ep->waitq, POLLIN_ALL);
	return someone;
}

// What becomes of it no wake-up tells: so it stays on the list, where it is asked. Only for what is asked level by level, and by somebody who is
// awake: who waits for the instance links himself and takes back then what is lent of the items on the list. Either he finds this one there, or we
// see him.
static bool item_rests(struct epitem *it)
{
	if (__atomic_load_n(&it->event.events, __ATOMIC_RELAXED) & (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE))
		return false;
	item_queue(it);
	return !it->ep->waitq.nentries;
}

bool eventpoll_lets_rest(struct waitq *q)
{
	struct waitq_entry *e;
	bool rest = true;

	if (!q->nentries)
		return true;
	mutex_lock(&q->mu);
	TAILQ_FOREACH(e, &q->entries, link)
		rest = rest && e->fn == item_woken && item_rests(container_of(e, struct item_wait, entry)->item);
	mutex_unlock(&q->mu);
	return rest;
}

// With a table, for who doesn't wait on the file itself, but must be woken from now on.
static void add_nothing(struct poll_table *pt, struct waitq *q, uint32_t events)
{
}

static uint32_t file_poll_back(struct file *f)
{
	struct poll_table table = {.add = add_nothing};

	return file_poll(f, f->ops->used ? &table : NULL);
}

struct item_table {
	struct poll_table table;
	struct epitem *item;
	bool overflow;
};

static void item_add_wait(struct poll_table *pt, struct waitq *q, uint32_t events)
{
	struct item_table *table = container_of(pt, struct item_table, table);
	struct epitem *it = table->item;
	struct item_wait *w;

	if (it->nwaits == ITEM_WAITS) {
		table->overflow = true;
		return;
	}
	w = &it->waits[it->nwaits++];
	w->item = it;
	// Which of the events count can change with EPOLL_CTL_MOD, so the entry wants all and item_woken decides.
	w->entry = (struct waitq_entry){.fn = item_woken, .exclusive = it->event.events & EPOLLEXCLUSIVE};
	waitq_add(q, &w->entry);
}

static int file_link_item(struct file *f, struct epitem *it)
{
	struct file_epolls *fe = __atomic_load_n(&f->epolls, __ATOMIC_ACQUIRE), *none = NULL;

	if (!fe) {
		fe = kmem_alloc(&file_epolls_type);
		if (!fe)
			return -ENOMEM;
		mutex_init(&fe->mu);
		if (!__atomic_compare_exchange_n(&f->epolls, &none, fe, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			kmem_free(&file_epolls_type, fe);
			fe = none;
		}
	}
	mutex_lock(&fe->mu);
	LIST_INSERT_HEAD(&fe->items, it, file_link);
	mutex_unlock(&fe->mu);
	return 0;
}

static void item_remove_locked(struct epitem *it)
{
	struct eventpoll *ep = it->ep;

	for (int i = 0; i < it->nwaits; i++)
		waitq_remove(&it->waits[i].entry); // no wake-up finds it from here on
	mutex_lock(&ep->ready_mu);
	if (it->queued) {
		TAILQ_REMOVE(&ep->ready, it, ready_link);
		ep->nready--;
	}
	mutex_unlock(&ep->ready_mu);
	RB_REMOVE(epitems, &ep->items, it);
	ep->nitems--;
	mutex_lock(&it->file->epolls->mu);
	LIST_REMOVE(it, file_link);
	mutex_unlock(&it->file->epolls->mu);
	kmem_free(&epitem_type, it);
}

// Looks whether the item is ready now, and if so puts it on the list and wakes.
static void item_check_locked(struct epitem *it, uint32_t ready)
{
	if (!(ready & it->event.events))
		return;
	item_queue(it);
	waitq_wake(&it->ep->waitq, POLLIN_ALL);
}

static int ctl_add_locked(struct eventpoll *ep, int fd, struct file *f, const struct epoll_event *event)
{
	struct item_table table = {.table = {.add = item_add_wait, .events = event->events}};
	struct epitem *it = kmem_alloc(&epitem_type);
	uint32_t ready;
	int err;

	if (!it)
		return -ENOMEM;
	it->ep = ep;
	it->file = f;
	it->fd = fd;
	it->event = *event;
	err = file_link_item(f, it);
	if (err) {
		kmem_free(&epitem_type, it);
		return err;
	}
	RB_INSERT(epitems, &ep->items, it);
	ep->nitems++;
	table.item = it;
	ready = file_poll(f, &table.table);
	if (table.overflow) {
		item_remove_locked(it);
		return -ENOSPC;
	}
	item_check_locked(it, ready);
	return 0;
}

static void ctl_mod_locked(struct epitem *it, const struct epoll_event *event)
{
	it->event.data = event->data;
	__atomic_store_n(&it->event.events, event->events, __ATOMIC_SEQ_CST);
	item_check_locked(it, file_poll_back(it->file));
}

// How many instances stand above f in the longest chain, f itself counted; more than NESTS_MAX: too many. epoll_nest_mu is held.
static int depth_above(struct file *f, int depth)
{
	struct file_epolls *fe = __atomic_load_n(&f->epolls, __ATOMIC_ACQUIRE);
	int most = depth;
	struct epitem *it;

	if (!fe || depth > NESTS_MAX)
		return depth;
	mutex_lock(&fe->mu);
	LIST_FOREACH(it, &fe->items, file_link)
		most = MAX(most, depth_above(it->ep->file, depth + 1));
	mutex_unlock(&fe->mu);
	return most;
}

// The longest chain of instances from f down, or more than NESTS_MAX if it is too long or leads to target.
static int depth_below(struct file *f, struct file *target, int depth)
{
	struct eventpoll *ep = f->priv;
	int most = depth;
	struct epitem *it;

	if (f == target)
		return NESTS_MAX + 1;
	if (depth > NESTS_MAX)
		return depth;
	mutex_lock(&ep->mu);
	RB_FOREACH(it, epitems, &ep->items)
		if (file_is_eventpoll(it->file))
			most = MAX(most, depth_below(it->file, target, depth + 1));
	mutex_unlock(&ep->mu);
	return most;
}

static int ctl_locked(struct eventpoll *ep, int op, int fd, struct file *f, const struct epoll_event *event)
{
	struct epitem key = {.file = f, .fd = fd}, *it = RB_FIND(epitems, &ep->items, &key);
	struct epoll_event ev;

	if (op == EPOLL_CTL_DEL) {
		if (!it)
			return -ENOENT;
		item_remove_locked(it);
		stir(ep);
		return 0;
	}
	ev = *event;
	ev.events |= EPOLLERR | EPOLLHUP;
	if (op == EPOLL_CTL_ADD)
		return it ? -EEXIST : ctl_add_locked(ep, fd, f, &ev);
	if (!it)
		return -ENOENT;
	if (it->event.events & EPOLLEXCLUSIVE)
		return -EINVAL;
	ctl_mod_locked(it, &ev);
	return 0;
}

int eventpoll_ctl(struct file *ep_file, int op, int fd, struct file *f, const struct epoll_event *event)
{
	struct eventpoll *ep = ep_file->priv;
	bool nests;
	int err;

	if (!f->ops->poll)
		return -EPERM;
	if (!file_is_eventpoll(ep_file) || f == ep_file)
		return -EINVAL;
	if (op != EPOLL_CTL_ADD && op != EPOLL_CTL_MOD && op != EPOLL_CTL_DEL)
		return -EINVAL;
	nests = op == EPOLL_CTL_ADD && file_is_eventpoll(f);
	if (op != EPOLL_CTL_DEL && event->events & EPOLLEXCLUSIVE &&
	    (op == EPOLL_CTL_MOD || file_is_eventpoll(f) || event->events & ~EP_EXCLUSIVE_OK))
		return -EINVAL;
	if (nests) {
		mutex_lock(&kernel()->epoll_nest_mu);
		if (depth_below(f, ep_file, 1) + depth_above(ep_file, 1) > NESTS_MAX + 1) {
			mutex_unlock(&kernel()->epoll_nest_mu);
			return -ELOOP;
		}
	}
	mutex_lock(&ep->mu);
	err = ctl_locked(ep, op, fd, f, event);
	mutex_unlock(&ep->mu);
	if (nests)
		mutex_unlock(&kernel()->epoll_nest_mu);
	return err;
}

// Takes the first item off the list. NULL: none is left, or it is stop's turn.
static struct epitem *ready_pop(struct eventpoll *ep, const struct epitem *stop)
{
	struct epitem *it;

	mutex_lock(&ep->ready_mu);
	it = TAILQ_FIRST(&ep->ready);
	if (it == stop)
		it = NULL;
	if (it) {
		TAILQ_REMOVE(&ep->ready, it, ready_link);
		ep->nready--;
		it->queued = false;
	}
	mutex_unlock(&ep->ready_mu);
	return it;
}

static int harvest_locked(struct eventpoll *ep, struct epoll_event *out_events, int max, bool take_back, bool *out_lent)
{
	struct epitem *it, *stop = NULL; // the first one put back: where the round ends
	int n = 0;

	while (n < max && (it = ready_pop(ep, stop))) {
		uint32_t mask = take_back ? file_poll_back(it->file) : file_poll(it->file, NULL);
		uint32_t ready = mask & it->event.events & ~POLL_LENT;

		*out_lent = mask & POLL_LENT;
		if (ready)
			out_events[n++] = (struct epoll_event){.events = ready, .data = it->event.data};
		if (ready && it->event.events & EPOLLONESHOT) {
			__atomic_store_n(&it->event.events, it->event.events & EP_PRIVATE, __ATOMIC_SEQ_CST);
		} else if (mask & POLL_LENT || (ready && !(it->event.events & EPOLLET))) {
			item_queue(it);
			if (!stop)
				stop = it;
		}
	}
	return n;
}

int eventpoll_harvest(struct file *ep_file, struct epoll_event *out_events, int max, bool *out_lent)
{
	struct eventpoll *ep = ep_file->priv;
	bool more;
	int n;

	// Without a lock, for the polling loop that finds nothing: a wake-up between this look and the sleep is seen, because the
	// caller links itself first and looks again.
	*out_lent = false;
	if (!ep->nready)
		return 0;
	mutex_lock(&ep->mu);
	n = harvest_locked(ep, out_events, max, false, out_lent);
	if (!n && ep->nready) // the caller is about to wait, or to be told that all is quiet
		n = harvest_locked(ep, out_events, max, true, out_lent);
	more = ep->nready;
	mutex_unlock(&ep->mu);
	if (more)
		waitq_wake(&ep->waitq, POLLIN_ALL); // the next sleeper has work too
	return n;
}

// The only item on the list may be one whose file is lent to the process itself, which then sees as well as we do whether it is ready.
static void but_for_one(struct eventpoll *ep, struct task *t, int fd, uint32_t count)
{
	const struct content_loan *content = NULL;
	struct epitem *it;

	mutex_lock(&ep->mu);
	mutex_lock(&ep->ready_mu);
	it = ep->nready == 1 ? TAILQ_FIRST(&ep->ready) : NULL;
	mutex_unlock(&ep->ready_mu);
	if (it && it->file->ops->content && it->event.events == (EPOLLIN | EPOLLERR | EPOLLHUP))
		content = it->file->ops->content(it->file);
	if (content)
		content_tell_epoll(content, t, fd, ep->count_index, count, it->event.data.u64);
	mutex_unlock(&ep->mu);
}

// What would end it, a ready item or a descriptor that goes, comes first and looks at ep->quiet then (stir); we set that first and look
// then. Either we see it, or the count goes on. If that has happened already, before we read the count, ep->quiet isn't set any more.
void eventpoll_quiet(struct file *ep_file, struct task *t, int fd)
{
	struct eventpoll *ep = ep_file->priv;
	struct file *still;
	uint32_t count;
	int nready;

	if (!platform->epoll_quiet || kernel()->strace)
		return;
	atomic_store(&ep->quiet, true);
	count = platform->count(ep->count_index);
	still = fd_file(t, fd);
	nready = ep->nready;
	if (still == ep_file && ep->quiet && !nready)
		platform->epoll_quiet(t->ctx, fd, ep->count_index, count, NULL);
	else if (still == ep_file && ep->quiet && nready == 1)
		but_for_one(ep, t, fd, count);
	if (still)
		file_put(still);
}

// A descriptor is closed.
static int eventpoll_flush(struct file *f, struct task *t)
{
	stir(f->priv);
	return 0;
}

int eventpoll_watched(struct file *ep_file)
{
	return ((struct eventpoll *)ep_file->priv)->nitems;
}

struct waitq *eventpoll_waitq(struct file *ep_file)
{
	return &((struct eventpoll *)ep_file->priv)->waitq;
}

// An instance is readable when one of its items is; those that aren't leave the list.
static uint32_t eventpoll_poll(struct file *f, struct poll_table *pt)
{
	struct eventpoll *ep = f->priv;
	uint32_t mask = 0;
	struct epitem *it;

	poll_wait(pt, &ep->waitq);
	mutex_lock(&ep->mu);
	if (pt && ep->nready)
		RB_FOREACH(it, epitems, &ep->items)
			file_poll_back(it->file);
	while (!mask && (it = ready_pop(ep, NULL))) {
		if (!(file_poll_back(it->file) & it->event.events))
			continue;
		mutex_lock(&ep->ready_mu);
		if (!it->queued) {
			it->queued = true;
			TAILQ_INSERT_HEAD(&ep->ready, it, ready_link);
			ep->nready++;
		}
		mutex_unlock(&ep->ready_mu);
		stir(ep);
		mask = POLLIN_ALL;
	}
	mutex_unlock(&ep->mu);
	return mask;
}

static void forget_items(struct file_epolls *fe)
{
	struct epitem *it;

	mutex_lock(&kernel()->epoll_nest_mu);
	for (;;) {
		struct eventpoll *ep;

		mutex_lock(&fe->mu);
		it = LIST_FIRST(&fe->items);
		ep = it ? it->ep : NULL; // can't end while epoll_nest_mu is held
		mutex_unlock(&fe->mu);
		if (!it)
			break;
		mutex_lock(&ep->mu);
		item_remove_locked(it); // only this or the instance's end can remove it: nobody has the file to name it
		mutex_unlock(&ep->mu);
	}
	mutex_unlock(&kernel()->epoll_nest_mu);
}

void eventpoll_forget(struct file *f)
{
	struct file_epolls *fe = f->epolls;
	bool none;

	mutex_lock(&fe->mu);
	none = LIST_EMPTY(&fe->items); // the usual case: nobody can add one any more
	mutex_unlock(&fe->mu);
	if (!none)
		forget_items(fe);
	f->epolls = NULL;
	kmem_free(&file_epolls_type, fe);
}

static void eventpoll_release(struct file *f)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it, *next;

	mutex_lock(&kernel()->epoll_nest_mu);
	mutex_lock(&ep->mu);
	RB_FOREACH_SAFE(it, epitems, &ep->items, next)
		item_remove_locked(it);
	mutex_unlock(&ep->mu);
	mutex_unlock(&kernel()->epoll_nest_mu);
	waitq_fini(&ep->waitq);
	kmem_free(&eventpoll_type, ep);
}

static int eventpoll_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct eventpoll *ep = f->priv;
	struct epitem *it;
	size_t n = 0;

	mutex_lock(&ep->mu);
	RB_FOREACH(it, epitems, &ep->items) {
		int len = snprintf(dst + n, cap - n, "tfd: %8d events: %8x data: %16llx  pos:%lli ino:%lx sdev:%lx\n", it->fd,
				   it->event.events, (long long)it->event.data.u64, (long long)it->file->pos,
				   it->file->inode->attr.ino, it->file->inode->sb ? it->file->inode->sb->dev : 0);

		if (len < 0 || (size_t)len >= cap - n)
			break;
		n += len;
	}
	mutex_unlock(&ep->mu);
	return n;
}

static const struct file_ops eventpoll_ops = {
	.poll = eventpoll_poll,
	.flush = eventpoll_flush,
	.release = eventpoll_release,
	.show_fdinfo = eventpoll_fdinfo,
	.stream = true,
};

bool file_is_eventpoll(struct file *f)
{
	return f->ops == &eventpoll_ops;
}

struct file *eventpoll_create(void)
{
	struct eventpoll *ep = kmem_alloc(&eventpoll_type);
	struct file *f;

	if (!ep)
		return NULL;
	mutex_init(&ep->mu);
	mutex_init(&ep->ready_mu);
	TAILQ_INIT(&ep->ready);
	waitq_init(&ep->waitq);
	ep->count_index = (uint32_t)((uintptr_t)ep / sizeof(*ep) % PLATFORM_COUNTS);
	f = file_create_anon(&eventpoll_ops, ep, O_RDWR, 0, "eventpoll");
	if (f)
		ep->file = f;
	else
		kmem_free(&eventpoll_type, ep);
	return f;
}
