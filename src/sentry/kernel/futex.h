// Futexes: waiting on a word of application memory (man 2 futex).
//
// A futex is known by a key: private ones by the memory and the address, shared ones by the object behind the mapping and the offset.
// A waiter enters its queue first and reads the word then; a waker has changed the word first and looks at the queue then: one of the
// two sees the other, so that no lock is held while application memory is touched.
#pragma once

#include <stdint.h>

#include "abi/types.h"

struct task;

// Makes kernel()->futexes. 0 or -ENOMEM.
int futex_init(void);
// How many were woken, or -errno. bitset: those whose own has a bit in common.
long futex_wake(struct task *t, uaddr_t addr, bool shared, int max, uint32_t bitset);
uaddr_t futex_robust_list(struct task *t); // where it is, as the application says. Another task's: tasks_mu is held
void futex_set_robust_list(struct task *t, uaddr_t head); // of the task being handled
// At t's end: its robust list is walked, clear_child_tid written and woken. Its context is still there.
void futex_task_exit(struct task *t);
void futex_task_exec(struct task *t); // likewise, before t leaves its memory for another
