// Futexes: waiting on a word of application memory (man 2 futex).
//
// A futex is known by a key: private ones by the memory and the address, shared ones by the object behind the mapping and the offset.
// A waiter enters its queue first and reads the word then; a waker has changed the word first and looks at the queue then: one of the
// two sees the other, so that no lock is held while application memory is touched.
#pragma once

#include <stdint.h>

#include "abi/types.h"
#include "platform/platform.h"

struct task;

// Makes kernel()->futexes. 0 or -ENOMEM.
int futex_init(void);
// How many were woken, or -errno. bitset: those whose own has a bit in common.
long futex_wake(struct task *t, uaddr_t addr, bool shared, int max, uint32_t bitset);
// What t's end looks at, as the application says; 0: nothing. Another task's: tasks_mu is held.
uaddr_t futex_at_end(struct task *t, enum platform_at_end what);
void futex_set_at_end(struct task *t, enum platform_at_end what, uaddr_t addr); // of the task being handled, or one that didn't run yet
// At t's end: its robust list is walked, the word that set_tid_address said cleared and woken. Its context is still there.
void futex_task_exit(struct task *t);
void futex_task_exec(struct task *t); // likewise, before t leaves its memory for another
