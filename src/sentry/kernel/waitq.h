// Wait queues: how an object tells those who wait for it that something changed.
//
// An entry is linked into one queue. waitq_wake calls each entry's function under the queue's lock, so the function must be
// short and take no lock that is taken around waitq_add/waitq_remove (task wake-ups and epoll only mark and queue).
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <stdint.h>

#include "lib/mutex.h"

struct waitq_entry;
// events: the POLL* mask that became true (0: unspecific). Returns true if it consumed an exclusive wake-up.
typedef bool (*waitq_fn)(struct waitq_entry *e, uint32_t events);

struct waitq_entry {
	TAILQ_ENTRY(waitq_entry) link;
	struct waitq *queue; // where it is linked; NULL when not
	waitq_fn fn;
	uint32_t events; // wanted POLL* mask; a wake-up without any of them passes the entry by. 0: wants all
	bool exclusive;
};

struct waitq {
	struct mutex mu;
	TAILQ_HEAD(, waitq_entry) entries; // Guarded by mu.
	_Atomic uint32_t nentries; // changed under mu
};

void waitq_init(struct waitq *q);
void waitq_fini(struct waitq *q); // asserts that nobody waits
void waitq_add(struct waitq *q, struct waitq_entry *e);
void waitq_remove(struct waitq_entry *e); // no effect if it isn't linked; after it returns fn isn't running
// The caller has changed what is waited for under a lock that it has released, or by a sequentially consistent atomic.
void waitq_wake(struct waitq *q, uint32_t events);        // all, and one exclusive
void waitq_wake_n(struct waitq *q, uint32_t events, int exclusive_max);
bool waitq_empty(struct waitq *q);
