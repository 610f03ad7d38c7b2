// Late calls: those that a process's platform carried out by itself, and that are entered here when its task comes with an event.
#pragma once

#include <stdbool.h>

struct task;
struct thread_group;

// What was done before the event that t came with. False: it can't have been; t must be killed.
bool late_hear(struct task *t);
// Before t goes: what it may do until it comes again, if its mappings were changed here since that was said.
void late_lend(struct task *t);
// t's descriptors, or mappings, are about to be somebody else's, too: it may do nothing from now on.
void late_end(struct task *t);
// What may be done has changed: its tasks are told, with tasks_mu held.
void late_recall_locked(struct thread_group *tg);
// Somebody looks at the process from outside: what it has done has been entered when this returns, but if it doesn't come in time. No lock is held.
void late_await(struct task *t);
void late_await_all(void);
void late_ask_all(void); // likewise, but nobody waits for it. Locks outside tasks_mu may be held
