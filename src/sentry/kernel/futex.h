// Futexes: waiting on a word of application memory.
//
// A futex is known by a key: private ones by the memory and the address, shared ones by the host object behind the mapping and the offset.
// Lock: a bucket's mutex; it is held while the word is read, so a waker that changed the word first can't be missed.
#pragma once

#include <stdint.h>

#include "abi/types.h"

struct task;

struct futex_key {
	uintptr_t object; // an mm, or a hostfd's object
	uint64_t offset; // address, or offset in the object
};

int futex_key(struct task *t, uaddr_t addr, bool shared, struct futex_key *out_key); // 0, -EINVAL (misaligned), -EFAULT
// How many were woken, or -errno. bitset: those whose own has a bit in common.
long futex_wake(struct task *t, uaddr_t addr, bool shared, int max, uint32_t bitset);
// At t's end: its robust list is walked, clear_child_tid written and woken. Its context is still there.
void futex_task_exit(struct task *t);
