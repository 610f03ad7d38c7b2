// A mutex with an owner check in builds with sanitizers. Sections are short; nothing waits for the host or the application inside
// a mutex unless its header says so. The lock order stands in ARCHITECTURE.md.
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct mutex {
	pthread_mutex_t m;
#ifdef HULL_DEBUG_LOCKS
	_Atomic pthread_t owner; // 0: nobody
#endif
};

#define MUTEX_INIT {.m = PTHREAD_MUTEX_INITIALIZER}

static inline void mutex_init(struct mutex *m)
{
	*m = (struct mutex)MUTEX_INIT;
}

static inline void mutex_lock(struct mutex *m)
{
#ifdef HULL_DEBUG_LOCKS
	assert(atomic_load_explicit(&m->owner, memory_order_relaxed) != pthread_self());
#endif
	pthread_mutex_lock(&m->m);
#ifdef HULL_DEBUG_LOCKS
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
#endif
}

static inline bool mutex_trylock(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->m) != 0)
		return false;
#ifdef HULL_DEBUG_LOCKS
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
#endif
	return true;
}

static inline void mutex_unlock(struct mutex *m)
{
#ifdef HULL_DEBUG_LOCKS
	assert(m->owner == pthread_self());
	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
#endif
	pthread_mutex_unlock(&m->m);
}

// pthread_cond_wait: m is given up meanwhile, and others may have owned it.
static inline void mutex_cond_wait(struct mutex *m, pthread_cond_t *cond)
{
#ifdef HULL_DEBUG_LOCKS
	atomic_store_explicit(&m->owner, 0, memory_order_relaxed);
#endif
	pthread_cond_wait(cond, &m->m);
#ifdef HULL_DEBUG_LOCKS
	atomic_store_explicit(&m->owner, pthread_self(), memory_order_relaxed);
#endif
}

static inline void mutex_assert_held(struct mutex *m)
{
#ifdef HULL_DEBUG_LOCKS
	assert(m->owner == pthread_self());
#endif
	(void)m;
}
