// A mutex with an owner check in debug builds. Sections are short; nothing waits for the host or the application inside
// a mutex unless its header says so. The lock order stands in ARCHITECTURE.md.
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

struct mutex {
	pthread_mutex_t m;
#ifndef NDEBUG
	pthread_t owner;
	bool held;
#endif
};

#define MUTEX_INIT {.m = PTHREAD_MUTEX_INITIALIZER}

static inline void mutex_init(struct mutex *m)
{
	*m = (struct mutex)MUTEX_INIT;
}

static inline void mutex_lock(struct mutex *m)
{
#ifndef NDEBUG
	assert(!(m->held && pthread_equal(m->owner, pthread_self())));
#endif
	pthread_mutex_lock(&m->m);
#ifndef NDEBUG
	m->owner = pthread_self();
	m->held = true;
#endif
}

static inline bool mutex_trylock(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->m) != 0)
		return false;
#ifndef NDEBUG
	m->owner = pthread_self();
	m->held = true;
#endif
	return true;
}

static inline void mutex_unlock(struct mutex *m)
{
#ifndef NDEBUG
	assert(m->held && pthread_equal(m->owner, pthread_self()));
	m->held = false;
#endif
	pthread_mutex_unlock(&m->m);
}

static inline void mutex_assert_held(struct mutex *m)
{
#ifndef NDEBUG
	assert(m->held && pthread_equal(m->owner, pthread_self()));
#else
	(void)m;
#endif
}
