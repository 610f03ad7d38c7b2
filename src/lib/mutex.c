// What a mutex needs the host for.
#include "lib/mutex.h"

#ifndef HULL_DEBUG_LOCKS

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

static void host_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL);
}

static void host_wake(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n);
}

// Who comes from here doesn't know who else waits: so it holds it as wanted, and wakes another in the end, once in vain at most.
void mutex_wait(struct mutex *m)
{
	while (atomic_exchange_explicit(&m->state, MUTEX_WANTED, memory_order_acquire) != MUTEX_FREE)
		host_wait(&m->state, MUTEX_WANTED);
}

void mutex_wake(struct mutex *m)
{
	host_wake(&m->state, 1); // m may be gone: then it is a wake-up in vain for whoever has the memory
}

void mutex_cond_wait(struct mutex *m, struct mutex_cond *c)
{
	const uint32_t count = c->count; // it goes on with m held only, so whatever comes after the unlock isn't missed

	mutex_unlock(m);
	host_wait(&c->count, count);
	mutex_lock(m);
}

void mutex_cond_broadcast(struct mutex_cond *c)
{
	c->count++;
	host_wake(&c->count, INT_MAX);
}

#endif
