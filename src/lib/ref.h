// A reference count. The general object embeds it; *_get and *_put of that object are the only users.
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

struct ref {
	atomic_uint count;
};

static inline void ref_init(struct ref *r)
{
	atomic_init(&r->count, 1);
}

static inline void ref_get(struct ref *r)
{
	unsigned old = atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);

	assert(old > 0);
	(void)old;
}

// True when that was the last reference: the caller destroys the object.
static inline bool ref_put(struct ref *r)
{
	unsigned old = atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel);

	assert(old > 0);
	return old == 1;
}

// Takes a reference unless the object is already on its way out (for look-ups in a table that holds no reference).
static inline bool ref_get_unless_zero(struct ref *r)
{
	unsigned c = atomic_load_explicit(&r->count, memory_order_relaxed);

	while (c != 0)
		if (atomic_compare_exchange_weak_explicit(&r->count, &c, c + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}
