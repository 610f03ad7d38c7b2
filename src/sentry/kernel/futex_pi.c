// Futexes that know their owner: FUTEX_LOCK_PI and its relatives, and waits that end in such a lock.
//
// Nothing here has priorities: what is left of priority inheritance is that the lock goes to its first waiter in turn, and that a
// dead owner is found out. The word holds the owner's tid; the application locks and unlocks by itself as long as nobody waits. A
// waiter enters the queue, then sees to it that the word says FUTEX_WAITERS and that its owner lives; the owner changes the word first
// and looks at the queue afterwards. So no lock is held while the word is touched, which may take as long as the stub likes.
#include <linux/futex.h>

#include "abi/errno.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/futex_int.h"
#include "sentry/kernel/kernel.h"

enum { TRIES = 1000 }; // then somebody changes the word all the time

// Notes that tid's end is to wake w. False: there is no such task any more.
static bool owner_watch(struct futex_waiter *w, int tid)
{
	struct task *owner = task_find(tid);
	bool lives = false;

	w->owner = tid;
	if (owner) {
		owner->pi_waited = true;
		lives = !owner->futexes_left; // if it leaves from now on, it sees pi_waited
		task_put(owner);
	}
	return lives;
}

// One look at the word for a task that isn't waiting. 0: it has the lock now; -EAGAIN: someone else has; -EBUSY: look again.
static int try_lock(struct task *t, uaddr_t addr, bool any_waiter)
{
	uint32_t word, actual, tid;
	int err = futex_read(t, addr, &word);

	if (err)
		return err;
	tid = word & FUTEX_TID_MASK;
	if (tid == (uint32_t)t->tid)
		return -EDEADLK;
	if (tid)
		return -EAGAIN;
	err = futex_cmpxchg(t, addr, word, t->tid | (word & FUTEX_OWNER_DIED) | (any_waiter ? word & FUTEX_WAITERS : 0), &actual);
	return err ?: actual == word ? 0 : -EBUSY;
}

static bool key_has_waiters(const struct futex_key *key)
{
	struct futex_bucket *b = futex_bucket(key);
	struct futex_waiter *w;
	bool found = false;

	mutex_lock(&b->mu);
	TAILQ_FOREACH(w, &b->waiters, link)
		found = found || futex_key_equal(&w->key, key);
	mutex_unlock(&b->mu);
	return found;
}

static int try_lock_often(struct task *t, uaddr_t addr, const struct futex_key *key)
{
	bool any = key_has_waiters(key);
	int err = -EBUSY;

	for (int i = 0; i < TRIES && err == -EBUSY; i++)
		err = try_lock(t, addr, any);
	return err == -EBUSY ? -EAGAIN : err;
}

// The word once more, by one that waits. 0: it has the lock; -EAGAIN: it must wait; -EBUSY: look again; -ESRCH: the owner is gone.
static int look(struct task *t, struct futex_waiter *w, uaddr_t addr)
{
	uint32_t word, tid, actual, want;
	bool take;
	int err = futex_read(t, addr, &word);

	if (err)
		return err;
	tid = word & FUTEX_TID_MASK;
	if (tid == (uint32_t)t->tid)
		return -EDEADLK;
	take = tid == 0;
	want = word | FUTEX_WAITERS;
	if (tid && !owner_watch(w, (int)tid)) {
		if (t->call.entries == 1)
			return -ESRCH;
		want |= FUTEX_OWNER_DIED; // it died while we waited, and its robust list didn't name the lock
		take = true;
	}
	if (take)
		want = (want & ~FUTEX_TID_MASK) | t->tid;
	if (want == word)
		return -EAGAIN;
	err = futex_cmpxchg(t, addr, word, want, &actual);
	if (err || actual != word)
		return err ?: -EBUSY;
	return take ? 0 : -EAGAIN;
}

// What the waiter finds: 1 it was given the lock, 0 it still waits, -EBUSY it is being given the lock just now.
static int state_of(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);
	int state;

	if (!b)
		return 1; // only the owner unlinks it
	state = w->granted ? 1 : w->granting ? -EBUSY : 0;
	mutex_unlock(&b->mu);
	return state;
}

// Leaves the queue with ret, unless the lock is on its way to it.
static long withdraw(struct task *t, struct futex_waiter *w, long ret)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);
	bool gone = true;

	if (!b)
		return 0;
	if (w->granted)
		ret = 0;
	else if (w->granting)
		gone = false;
	if (gone)
		futex_unlink_locked(w);
	mutex_unlock(&b->mu);
	if (gone)
		return ret;
	t->call.deadline_ns = KTIME_NEVER; // the owner wakes it shortly, whatever comes of it
	return -EBLOCKED;
}

// w is in the queue: the lock, or the reason why not, or -EBLOCKED.
static long wait_for_lock(struct task *t, struct futex_waiter *w, uaddr_t addr)
{
	int state = state_of(w), err = -EBUSY;
	long ret;

	if (state > 0)
		return 0;
	if (state < 0)
		return -EBLOCKED;
	for (int i = 0; i < TRIES && err == -EBUSY; i++)
		err = look(t, w, addr);
	if (err != -EAGAIN)
		return withdraw(t, w, err == -EBUSY ? -EAGAIN : err);
	ret = task_block(t);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	return withdraw(t, w, ret == -ERESTARTSYS ? -ERESTARTNOINTR : ret);
}

long futex_lock_pi(struct task *t, uaddr_t addr, bool shared, bool try_only)
{
	struct futex_wait *fw = t->call.state;
	struct futex_key key;
	int err;

	if (!fw) {
		err = futex_key(t, addr, shared, &key) ?: try_lock_often(t, addr, &key);
		if (err != -EAGAIN || try_only)
			return err;
		fw = futex_wait_create(t, 1);
		if (!fw)
			return -ENOMEM;
		fw->w[0].key = key;
		fw->w[0].kind = FUTEX_PI;
		fw->w[0].bitset = FUTEX_BITSET_MATCH_ANY;
		futex_enqueue(&fw->w[0]);
	}
	return wait_for_lock(t, &fw->w[0], addr);
}

// --- unlock

// The first waiter that isn't being served by another unlock; marked as being given the lock.
static struct futex_waiter *choose_heir(struct futex_bucket *b, const struct futex_key *key, int *out_tid)
{
	struct futex_waiter *w;

	mutex_lock(&b->mu);
	TAILQ_FOREACH(w, &b->waiters, link)
		if (futex_key_equal(&w->key, key) && w->kind == FUTEX_PI && !w->granting)
			break;
	if (w) {
		w->granting = true;
		*out_tid = w->task->tid;
	}
	mutex_unlock(&b->mu);
	return w;
}

static void settle_heir(struct futex_bucket *b, struct futex_waiter *w, bool granted)
{
	mutex_lock(&b->mu);
	w->granting = false;
	w->granted = granted;
	if (granted)
		futex_wake_locked(w);
	else
		task_wake(w->task); // it may have put off its withdrawal
	mutex_unlock(&b->mu);
}

// Somebody may have entered the queue after we saw it empty and before the word said that the lock is free.
static void wake_late_comer(struct futex_bucket *b, const struct futex_key *key)
{
	struct futex_waiter *w;

	mutex_lock(&b->mu);
	TAILQ_FOREACH(w, &b->waiters, link)
		if (futex_key_equal(&w->key, key) && w->kind == FUTEX_PI)
			break;
	if (w)
		task_wake(w->task);
	mutex_unlock(&b->mu);
}

static int hand_over(struct task *t, uaddr_t addr, const struct futex_key *key)
{
	struct futex_bucket *b = futex_bucket(key);
	struct futex_waiter *heir;
	uint32_t word, actual;
	int tid = 0, err = futex_read(t, addr, &word);

	if (err)
		return err;
	if ((word & FUTEX_TID_MASK) != (uint32_t)t->tid)
		return -EPERM;
	heir = choose_heir(b, key, &tid);
	err = futex_cmpxchg(t, addr, word, heir ? tid | FUTEX_WAITERS : 0, &actual);
	if (!err && actual != word)
		err = -EBUSY;
	if (heir)
		settle_heir(b, heir, !err);
	else if (!err)
		wake_late_comer(b, key);
	return err;
}

long futex_unlock_pi(struct task *t, uaddr_t addr, bool shared)
{
	struct futex_key key;
	int err = futex_key(t, addr, shared, &key);

	if (err)
		return err;
	err = -EBUSY;
	for (int i = 0; i < TRIES && err == -EBUSY; i++)
		err = hand_over(t, addr, &key);
	return err == -EBUSY ? -EAGAIN : err;
}

// --- waiting for a condition first

// False: it was moved already. Whoever did that has counted it, and it counts as having slept on the old value.
static bool leave_unmoved(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);
	bool unmoved = b && w->kind == FUTEX_TO_PI;

	if (unmoved)
		futex_unlink_locked(w);
	if (b)
		mutex_unlock(&b->mu);
	return unmoved;
}

static long wait_requeue_begin(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset, uaddr_t addr2)
{
	struct futex_key key, key2;
	struct futex_wait *fw;
	uint32_t now;
	int err = futex_key(t, addr, shared, &key) ?: futex_key(t, addr2, shared, &key2);

	if (err)
		return err;
	if (futex_key_equal(&key, &key2))
		return -EINVAL;
	fw = futex_wait_create(t, 1);
	if (!fw)
		return -ENOMEM;
	fw->w[0].key = key;
	fw->w[0].target = key2;
	fw->w[0].kind = FUTEX_TO_PI;
	fw->w[0].bitset = bitset;
	futex_enqueue(&fw->w[0]);
	err = futex_read(t, addr, &now) ?: now == val ? 0 : -EAGAIN;
	return err && leave_unmoved(&fw->w[0]) ? err : 0;
}

static bool was_moved(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);
	bool moved;

	if (!b)
		return true;
	moved = w->kind == FUTEX_PI;
	mutex_unlock(&b->mu);
	return moved;
}

long futex_wait_requeue_pi(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset, uaddr_t addr2)
{
	struct futex_wait *fw = t->call.state;
	long ret;

	if (!bitset || addr == addr2)
		return -EINVAL;
	if (!fw) {
		ret = wait_requeue_begin(t, addr, shared, val, bitset, addr2);
		if (ret)
			return ret;
		fw = t->call.state;
	}
	if (was_moved(&fw->w[0]))
		return wait_for_lock(t, &fw->w[0], addr2);
	ret = task_block(t);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	return withdraw(t, &fw->w[0], ret == -ERESTARTSYS ? -ERESTARTNOINTR : ret);
}

// --- the owner's end

static void wake_waiters_of(struct futex_bucket *b, void *arg)
{
	const struct task *owner = arg;
	struct futex_waiter *w;

	TAILQ_FOREACH(w, &b->waiters, link)
		if (w->kind == FUTEX_PI && w->owner == owner->tid)
			task_wake(w->task);
}

void futex_pi_task_exit(struct task *t)
{
	t->futexes_left = true;
	if (t->pi_waited)
		futex_each_bucket(wake_waiters_of, t);
}
