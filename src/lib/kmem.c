// The arena and its slabs. Release builds carve objects out of one reserved range; debug builds use malloc per object.
//
// Sizes are rounded up to a class; a class takes chunks of 64 KiB from the arena and never gives them back. Freed objects go
// on the class's list. A header-less object is all that an allocation costs; run-time-sized bytes carry their size before them.
#include "lib/kmem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/mutex.h"

enum { MAX_TYPES = 256, CLASSES = 40, CHUNK_BYTES = 64 << 10 };

static struct {
	struct mutex mu; // guards types and ntypes
	struct kmem_type *types[MAX_TYPES];
	atomic_llong live[MAX_TYPES];
	uint32_t ntypes;
} registry = {.mu = MUTEX_INIT};

static uint32_t type_id(struct kmem_type *type)
{
	uint32_t id = __atomic_load_n(&type->id, __ATOMIC_ACQUIRE);

	if (id)
		return id;
	mutex_lock(&registry.mu);
	if (!type->id && registry.ntypes + 1 < MAX_TYPES) {
		registry.types[++registry.ntypes] = type;
		__atomic_store_n(&type->id, registry.ntypes, __ATOMIC_RELEASE);
	}
	id = type->id;
	mutex_unlock(&registry.mu);
	return id;
}

#ifdef HULL_DEBUG_ALLOC

static void *raw_alloc(size_t size, bool zero)
{
	return zero ? calloc(1, size) : malloc(size);
}

static void raw_free(void *p, size_t size)
{
	(void)size;
	free(p);
}

#else

#define ARENA_BYTES (64ull << 30) // address space only

static struct {
	struct mutex mu; // guards all
	char *next, *end;
	char *chunk[CLASSES], *chunk_end[CLASSES];
	void *free[CLASSES];
} arena = {.mu = MUTEX_INIT};

// Classes: 16-byte steps to 128, then four steps a doubling. Answers the class and its object size; -1 beyond the largest.
static int size_class(size_t size, size_t *out_bytes)
{
	if (size <= 128) {
		int c = size ? (int)((size + 15) / 16 - 1) : 0;

		*out_bytes = (size_t)(c + 1) * 16;
		return c;
	}
	for (int c = 8; c < CLASSES; c++) {
		size_t base = (size_t)128 << ((c - 8) / 4), bytes = base + base / 4 * ((c - 8) % 4 + 1);

		if (size <= bytes) {
			*out_bytes = bytes;
			return bytes <= CHUNK_BYTES / 2 ? c : -1;
		}
	}
	return -1;
}

static void *arena_take_locked(size_t bytes)
{
	void *p;

	if (!arena.next) {
		p = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		arena.next = p;
		arena.end = arena.next + ARENA_BYTES;
	}
	if (bytes > (size_t)(arena.end - arena.next))
		return NULL;
	p = arena.next;
	arena.next += bytes;
	return p;
}

static void *raw_alloc(size_t size, bool zero)
{
	size_t bytes;
	int c = size_class(size, &bytes);
	void *p;

	if (c < 0) { // large: pages of their own, given back to the host on free
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	mutex_lock(&arena.mu);
	p = arena.free[c];
	if (p) {
		arena.free[c] = *(void **)p;
		mutex_unlock(&arena.mu);
		return zero ? memset(p, 0, bytes) : p;
	}
	if ((size_t)(arena.chunk_end[c] - arena.chunk[c]) < bytes) {
		p = arena_take_locked(CHUNK_BYTES);
		if (!p) {
			mutex_unlock(&arena.mu);
			return NULL;
		}
		// Who needs a second one, needs it all: the host makes its pages at once for less than one by one.
		if (arena.chunk[c])
			madvise(p, CHUNK_BYTES, MADV_POPULATE_WRITE);
		arena.chunk[c] = p;
		arena.chunk_end[c] = arena.chunk[c] + CHUNK_BYTES;
	}
	p = arena.chunk[c];
	arena.chunk[c] += bytes;
	mutex_unlock(&arena.mu);
	return p; // fresh from the host: zero
}

static void raw_free(void *p, size_t size)
{
	size_t bytes;
	int c = size_class(size, &bytes);

	if (c < 0) {
		munmap(p, size);
		return;
	}
	mutex_lock(&arena.mu);
	*(void **)p = arena.free[c];
	arena.free[c] = p;
	mutex_unlock(&arena.mu);
}

#endif

void *kmem_alloc(struct kmem_type *type)
{
	void *p = raw_alloc(type->size, true);

	if (p)
		atomic_fetch_add_explicit(&registry.live[type_id(type)], 1, memory_order_relaxed);
	return p;
}

void kmem_free(struct kmem_type *type, void *object)
{
	if (!object)
		return;
	atomic_fetch_sub_explicit(&registry.live[type_id(type)], 1, memory_order_relaxed);
	raw_free(object, type->size);
}

// Run-time-sized bytes know their size: 16 bytes before them, which keeps the alignment.
struct bytes_head {
	size_t size;
	size_t pad;
};

static struct kmem_type bytes_type = {.name = "bytes"};

static void *bytes_alloc(size_t size_bytes, bool zero)
{
	struct bytes_head *head;

	if (size_bytes > (size_t)1 << 30)
		return NULL;
	head = raw_alloc(sizeof(*head) + size_bytes, zero);
	if (!head)
		return NULL;
	head->size = size_bytes;
	atomic_fetch_add_explicit(&registry.live[type_id(&bytes_type)], 1, memory_order_relaxed);
	return head + 1;
}

void *kmem_bytes(size_t size_bytes)
{
	return bytes_alloc(size_bytes, true);
}

void *kmem_bytes_unset(size_t size_bytes)
{
	return bytes_alloc(size_bytes, false);
}

void *kmem_bytes_resize(void *p, size_t size_bytes)
{
	void *q = kmem_bytes(size_bytes);

	if (q && p) {
		size_t old = ((struct bytes_head *)p - 1)->size;

		memcpy(q, p, old < size_bytes ? old : size_bytes);
		kmem_bytes_free(p);
	}
	return q;
}

char *kmem_strndup(const char *s, size_t len)
{
	char *copy = kmem_bytes(len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *kmem_strdup(const char *s)
{
	return kmem_strndup(s, strlen(s));
}

void kmem_bytes_free(void *p)
{
	struct bytes_head *head;

	if (!p)
		return;
	head = (struct bytes_head *)p - 1;
	atomic_fetch_sub_explicit(&registry.live[type_id(&bytes_type)], 1, memory_order_relaxed);
	raw_free(head, sizeof(*head) + head->size);
}

void kmem_each_live(void (*fn)(const char *name, uint64_t count, void *arg), void *arg)
{
	mutex_lock(&registry.mu);
	for (uint32_t i = 1; i <= registry.ntypes; i++) {
		long long n = atomic_load(&registry.live[i]);

		if (n > 0)
			fn(registry.types[i]->name, n, arg);
	}
	mutex_unlock(&registry.mu);
}
