// A mutex, and a condition to wait for with it. Sections are short; nothing waits for the host or the application inside a mutex unless its
// header says so. The lock order stands in ARCHITECTURE.md.
//
// A call takes several locks, nearly always with nobody else there. That is two instructions here, inline; libc's mutex takes half as long again, which
// was a twentieth of a short call. Who waits does so by the host's futex (U. Drepper, Futexes Are Tricky: "Mutex, Take 2"). Builds with
// sanitizers have libc's, which ThreadSanitizer understands, and check who owns it.
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <stdint.h>

#ifdef HULL_DEBUG_LOCKS
#include <pthread.h>

struct mutex {
	pthread_mutex_t m;
	_Atomic pthread_t owner; // 0: nobody
};

struct mutex_cond {
	pthread_cond_t c;
};

#define MUTEX_INIT {.m = PTHREAD_MUTEX_INITIALIZER}

static inline void mutex_lock(struct mutex *m)
{
	assert(atomic_load_explicit(&m->owner, memory_order_relaxed) != pthread_self());
	pthread_mutex_lock(&m->m);
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
}

static inline bool mutex_trylock(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->m) != 0)
		return false;
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
	return true;
}

static inline void mutex_unlock(struct mutex *m)
{
	assert(m->owner == pthread_self());
	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
	pthread_mutex_unlock(&m->m);
}

static inline void mutex_assert_held(struct mutex *m)
{
	assert(m->owner == pthread_self());
}

static inline void mutex_cond_init(struct mutex_cond *c)
{
	pthread_cond_init(&c->c, NULL);
}

static inline void mutex_cond_wait(struct mutex *m, struct mutex_cond *c)
{
	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
	pthread_cond_wait(&c->c, &m->m);
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
}

static inline void mutex_cond_broadcast(struct mutex_cond *c)
{
	pthread_cond_broadcast(&c->c);
}

#else

struct mutex {
	_Atomic uint32_t state; // MUTEX_*
};

struct mutex_cond {
	_Atomic uint32_t count; // of broadcasts
};

enum { MUTEX_FREE, MUTEX_HELD, MUTEX_WANTED /* held, and somebody may wait */ };

#define MUTEX_INIT {.state = MUTEX_FREE}

void mutex_wait(struct mutex *m); // takes it in the end
void mutex_wake(struct mutex *m); // one who waits

static inline bool mutex_trylock(struct mutex *m)
{
	uint32_t was = MUTEX_FREE;

	return atomic_compare_exchange_strong_explicit(&m->state, &was, MUTEX_HELD, memory_order_acquire, memory_order_relaxed);
}

static inline void mutex_lock(struct mutex *m)
{
	if (__builtin_expect(!mutex_trylock(m), 0))
		mutex_wait(m);
}

static inline void mutex_unlock(struct mutex *m)
{
	if (__builtin_expect(atomic_exchange_explicit(&m->state, MUTEX_FREE, memory_order_release) == MUTEX_WANTED, 0))
		mutex_wake(m);
}

static inline void mutex_assert_held(struct mutex *m)
{
	(void)m;
}

static inline void mutex_cond_init(struct mutex_cond *c)
{
	atomic_init(&c->count, 0);
}

void mutex_cond_wait(struct mutex *m, struct mutex_cond *c); // m is given up meanwhile, and others may have owned it
void mutex_cond_broadcast(struct mutex_cond *c); // with m held

#endif

static inline void mutex_init(struct mutex *m)
{
	*m = (struct mutex)MUTEX_INIT;
}
