// What the futex*.c files and sys_futex.c share: keys, queues and waiters.
//
// Locks: a bucket's mutex guards its queue, and all of a waiter that is linked there but its bucket, which is written under the lock
// and may be looked at without it. Two buckets are locked in the order of their addresses. Inside: kernel->run_mu.
#pragma once

#include <bsd/sys/queue.h>

#include "lib/mutex.h"
#include "sentry/kernel/futex.h"

struct futex_key {
	uintptr_t object; // an mm, an inode or a hostfd; names it only: it may be gone, which costs a spurious wake-up at worst
	uint64_t offset;  // address, or offset in the object
};

enum futex_kind {
	FUTEX_PLAIN,
	FUTEX_TO_PI, // waits for FUTEX_CMP_REQUEUE_PI to make it a FUTEX_PI on target
	FUTEX_PI,    // waits to own the lock
};

struct futex_bucket {
	struct mutex mu;
	TAILQ_HEAD(futex_waiters, futex_waiter) waiters; // Guarded by mu.
	_Atomic uint32_t nwaiters;          // changed under mu
} __attribute__((aligned(64)));

struct futex_waiter {
	TAILQ_ENTRY(futex_waiter) link;
	struct futex_bucket *_Atomic bucket; // where it waits; NULL: it was woken, or never waited
	struct futex_key key;
	struct task *task;
	uint32_t bitset;
	enum futex_kind kind;
	struct futex_key target; // FUTEX_TO_PI's
	// FUTEX_PI's.
	_Atomic int owner; // tid of who had the lock when it was last looked at
	bool granting; // the owner is about to write the waiter's tid into the word: it must not withdraw
	bool granted;  // it did
};

enum { FUTEX_WAITERS_MAX = 128 }; // of one futex_waitv

// What a blocked call keeps in task->call.state.
struct futex_wait {
	int n;
	struct futex_waiter w[];
};

int futex_key(struct task *t, uaddr_t addr, bool shared, struct futex_key *out_key); // 0, -EINVAL (misaligned), -EFAULT
bool futex_key_equal(const struct futex_key *a, const struct futex_key *b);
struct futex_bucket *futex_bucket(const struct futex_key *key);
void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b);
void futex_each_bucket(void (*fn)(struct futex_bucket *b, void *arg), void *arg); // with its lock held

// The n waiters of t's call, which end with the call. NULL: no memory.
struct futex_wait *futex_wait_create(struct task *t, int n);
void futex_enqueue(struct futex_waiter *w); // its key, task, kind and bitset are set
bool futex_dequeue(struct futex_waiter *w); // false: somebody has woken it
bool futex_is_queued(struct futex_waiter *w);
struct futex_bucket *futex_lock_bucket_of(struct futex_waiter *w); // NULL: it isn't queued
// Both with the bucket's lock held.
void futex_unlink_locked(struct futex_waiter *w); // without waking it
void futex_wake_locked(struct futex_waiter *w);

// Reads the word. 0 or -EFAULT.
int futex_read(struct task *t, uaddr_t addr, uint32_t *out);
// *actual is the old value: the exchange took place if it equals expected. 0 or -EFAULT.
int futex_cmpxchg(struct task *t, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual);

// Handlers; those that wait return what block.h says. Deadlines are t->call's.
long futex_wait(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset); // -ERESTARTSYS: as task_block
long futex_wake_op(struct task *t, uaddr_t addr, uaddr_t addr2, bool shared, int max, int max2, uint32_t op);
// cmp: NULL, or what the word must be (-EAGAIN). to_pi: FUTEX_CMP_REQUEUE_PI.
long futex_requeue(struct task *t, uaddr_t addr, uaddr_t addr2, bool shared, int wake_max, int move_max, const uint32_t *cmp, bool to_pi);

// futex_pi.c
long futex_lock_pi(struct task *t, uaddr_t addr, bool shared, bool try_only);
long futex_unlock_pi(struct task *t, uaddr_t addr, bool shared);
long futex_wait_requeue_pi(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset, uaddr_t addr2);
void futex_pi_task_exit(struct task *t); // wakes those who wait for a lock of t's
