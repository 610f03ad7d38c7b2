// How a handler waits: a blocked call is data, not a stack (DESIGN 6).
//
// A handler never sleeps. When it can't finish, it links the task to what it waits for, looks once more, and answers what
// task_block() answers. When the queue wakes the task, the handler is entered again from its start, with t->call as it left it.
//
//	for a file:
//		n = file_read(…);
//		if (n == -EAGAIN && may_block)
//			return task_block_file(t, f, POLLIN);
//	for anything else:
//		if (!condition) {
//			task_wait_on(t, &object->waitq, 0);
//			if (!condition)               // it may have come true in between
//				return task_block(t);
//		}
//
// task_block answers -EBLOCKED (parked; return it), -EAGAINNOW (return it: the dispatcher enters the handler again), -ERESTARTSYS
// (a signal waits; undo or give a partial result, then return it or turn it into -EINTR), or -ETIMEDOUT (t->call.deadline_ns
// passed; turn it into what the call answers then). All waits are unlinked before the handler is entered again and when the call ends.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct file;
struct task;
struct waitq;

int task_wait_on(struct task *t, struct waitq *q, uint32_t events); // 0, or -ENOMEM
// One wake-up is for one such waiter. Who ends the call without having looked at what it waited for since task_block() unlinked it has to look once
// more: the wake-up may have been his.
int task_wait_on_exclusive(struct task *t, struct waitq *q, uint32_t events);
// As task_wait_on, of a queue that lives as long as f: which is held while it waits (poll, whose descriptors are looked up each time).
int task_wait_on_file(struct task *t, struct waitq *q, uint32_t events, struct file *f);
// The call goes on with f when it is entered again, even if the descriptor was closed or reused meanwhile, as Linux's would. Whoever
// waits on a queue of a file calls it; task_block_file does.
void task_keep_file(struct task *t, struct file *f);
struct file *task_kept_file(const struct task *t, int fd); // borrowed; NULL
void task_call_files_put(struct task *t); // the call has ended
long task_block(struct task *t);
// As task_block, but no signal ends it except one that kills (vfork, for a lock that is held shortly).
long task_block_killable(struct task *t);
// Waits until poll() of the file shows one of the events (POLLERR and POLLHUP always count).
long task_block_file(struct task *t, struct file *f, uint32_t events);
// For a handler with much to do: answers what to return so that others have their turn before it is entered again. It looks for signals itself.
long task_give_turn(struct task *t);
// Sets t->call.deadline_ns on the first entry and leaves it on later ones: now + timeout_ns; negative: never.
void task_deadline_in(struct task *t, int64_t timeout_ns);

// Makes a parked task runnable; no effect on one that isn't parked, except that a task just about to park doesn't. Any thread. False: it was awake
// already, or is about to wake for something that came before.
bool task_wake(struct task *t);
