// Wait queues.
#include "sentry/kernel/waitq.h"

#include <assert.h>

void waitq_init(struct waitq *q)
{
	mutex_init(&q->mu);
	TAILQ_INIT(&q->entries);
	q->nentries = 0;
}

void waitq_fini(struct waitq *q)
{
	assert(TAILQ_EMPTY(&q->entries));
	(void)q;
}

void waitq_add(struct waitq *q, struct waitq_entry *e)
{
	mutex_lock(&q->mu);
	e->queue = q;
	if (e->exclusive)
		TAILQ_INSERT_TAIL(&q->entries, e, link);
	else
		TAILQ_INSERT_HEAD(&q->entries, e, link);
	q->nentries++;
	mutex_unlock(&q->mu);
}

void waitq_remove(struct waitq_entry *e)
{
	struct waitq *q = e->queue;

	if (!q)
		return;
	mutex_lock(&q->mu);
	TAILQ_REMOVE(&q->entries, e, link);
	q->nentries--;
	e->queue = NULL;
	mutex_unlock(&q->mu);
}

void waitq_wake_n(struct waitq *q, uint32_t events, int exclusive_max)
{
	struct waitq_entry *e, *next;

	// Nobody there, the usual case. A waiter links itself before it looks at what it waits for, and the caller has changed that
	// under a lock or with a sequentially consistent store, so one of the two sees the other.
	if (!q->nentries)
		return;
	mutex_lock(&q->mu);
	TAILQ_FOREACH_SAFE(e, &q->entries, link, next) {
		if (events && e->events && !(events & e->events))
			continue;
		if (e->exclusive && exclusive_max == 0)
			break; // exclusive ones stand at the end
		if (e->fn(e, events) && e->exclusive)
			exclusive_max--;
	}
	mutex_unlock(&q->mu);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
	waitq_wake_n(q, events, 1);
}

bool waitq_empty(struct waitq *q)
{
	bool empty;

	mutex_lock(&q->mu);
	empty = TAILQ_EMPTY(&q->entries);
	mutex_unlock(&q->mu);
	return empty;
}
