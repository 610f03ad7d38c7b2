// Memory for the sentry's objects: typed, zeroed, counted by type.
//
// All kernel state lives in one reserved range of addresses (the arena), so that a checkpoint is that range (DESIGN 6).
// An object belongs to a type; a leak check and the checkpoint go by type. Debug builds give every object its own
// malloc block, so that AddressSanitizer sees overflows and use after free.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kmem_type {
	const char *name;
	uint32_t size; // bytes
	uint32_t id;   // 0: not registered yet
};

// Defines the type of struct TAG's objects, once, in the file that creates them.
#define KMEM_TYPE(var, tag) static struct kmem_type var = {.name = #tag, .size = sizeof(struct tag)}

// A zeroed object, or NULL when the arena is full. The caller owns it.
void *kmem_alloc(struct kmem_type *type);
// Gives back an object of that type; NULL is allowed.
void kmem_free(struct kmem_type *type, void *object);

// Zeroed bytes of a size known only at run time, and strings. NULL when the arena is full or size_bytes is absurd (> 1 GiB).
void *kmem_bytes(size_t size_bytes);
void *kmem_bytes_unset(size_t size_bytes); // not zeroed: who passes them on has written all of them
void *kmem_bytes_resize(void *p, size_t size_bytes);
char *kmem_strdup(const char *s);
char *kmem_strndup(const char *s, size_t len);
void kmem_bytes_free(void *p);

// How many objects of each type are alive, for the leak report: fn is called once per type with at least one.
void kmem_each_live(void (*fn)(const char *name, uint64_t count, void *arg), void *arg);
