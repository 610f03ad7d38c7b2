// Futexes: keys, queues, and the operations that wait, wake and move.
//
// The word is read with no lock held. That a waiter may be woken between its entering the queue and its reading of a word that
// has changed already is no fault: it counts as having slept on the old value.
#include "sentry/kernel/futex_int.h"

#include <linux/futex.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"

enum { BUCKETS = 512, WAKE_OP_TRIES = 1000 };

struct futex_table {
	struct futex_bucket buckets[BUCKETS];
};

KMEM_TYPE(table_type, futex_table);

int futex_init(void)
{
	struct futex_table *table = kmem_alloc(&table_type);

	if (!table)
		return -ENOMEM;
	for (int i = 0; i < BUCKETS; i++) {
		mutex_init(&table->buckets[i].mu);
		TAILQ_INIT(&table->buckets[i].waiters);
	}
	kernel()->futexes = table;
	return 0;
}

// --- keys

// A private futex and one on the same word of private memory that is waited for as a shared one are two, as on Linux: words are
// aligned, so a low bit can tell them apart.
int futex_key(struct task *t, uaddr_t addr, bool shared, struct futex_key *out_key)
{
	int ret;

	if (addr % sizeof(uint32_t))
		return -EINVAL;
	if (addr > APP_MAX - sizeof(uint32_t))
		return -EFAULT;
	if (!shared) {
		*out_key = (struct futex_key){(uintptr_t)t->mm, addr};
		return 0;
	}
	ret = mm_identify(t->mm, addr, &out_key->object, &out_key->offset);
	if (ret == 0)
		out_key->offset |= 1;
	return ret < 0 ? ret : 0;
}

bool futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->offset == b->offset;
}

struct futex_bucket *futex_bucket(const struct futex_key *key)
{
	uint64_t h = (key->object >> 4 ^ key->offset >> 2) * 0x9e3779b97f4a7c15ull;

	return &kernel()->futexes->buckets[h >> 32 & (BUCKETS - 1)];
}

void futex_lock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	mutex_lock(a < b ? &a->mu : &b->mu);
	if (a != b)
		mutex_lock(a < b ? &b->mu : &a->mu);
}

void futex_unlock_two(struct futex_bucket *a, struct futex_bucket *b)
{
	mutex_unlock(&a->mu);
	if (a != b)
		mutex_unlock(&b->mu);
}

void futex_each_bucket(void (*fn)(struct futex_bucket *b, void *arg), void *arg)
{
	for (int i = 0; i < BUCKETS; i++) {
		struct futex_bucket *b = &kernel()->futexes->buckets[i];

		if (!b->nwaiters)
			continue;
		mutex_lock(&b->mu);
		fn(b, arg);
		mutex_unlock(&b->mu);
	}
}

// --- waiters

static void wait_free(struct task *t, void *state)
{
	struct futex_wait *fw = state;

	(void)t;
	for (int i = 0; i < fw->n; i++)
		futex_dequeue(&fw->w[i]);
	kmem_bytes_free(fw);
}

struct futex_wait *futex_wait_create(struct task *t, int n)
{
	struct futex_wait *fw = kmem_bytes(sizeof(*fw) + n * sizeof(fw->w[0]));

	if (!fw)
		return NULL;
	fw->n = n;
	for (int i = 0; i < n; i++)
		fw->w[i].task = t;
	t->call.state = fw;
	t->call.state_free = wait_free;
	return fw;
}

// Unless the operator wants to see every call. Of those on words of an application's own memory all are counted in one place, shared ones, too.
static void note(struct task *t, const struct futex_key *key, enum platform_futex_note what)
{
	if (platform->futex_note && !kernel()->strace)
		platform->futex_note(t->ctx, key->offset & ~1ull, what);
}

static void link_locked(struct futex_bucket *b, struct futex_waiter *w)
{
	note(w->task, &w->key, PLATFORM_FUTEX_WAITS);
	TAILQ_INSERT_TAIL(&b->waiters, w, link);
	b->nwaiters++;
	w->bucket = b;
}

void futex_enqueue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_bucket(&w->key);

	mutex_lock(&b->mu);
	link_locked(b, w);
	mutex_unlock(&b->mu);
}

void futex_unlink_locked(struct futex_waiter *w)
{
	struct futex_bucket *b = w->bucket;

	TAILQ_REMOVE(&b->waiters, w, link);
	b->nwaiters--;
	note(w->task, &w->key, PLATFORM_FUTEX_LEFT);
	w->bucket = NULL; // the last touch: without a bucket it may be freed
}

void futex_wake_locked(struct futex_waiter *w)
{
	task_wake(w->task); // before it is unlinked: till then the task can't end
	futex_unlink_locked(w);
}

struct futex_bucket *futex_lock_bucket_of(struct futex_waiter *w)
{
	struct futex_bucket *b;

	while ((b = w->bucket)) {
		mutex_lock(&b->mu);
		if (w->bucket == b)
			return b;
		mutex_unlock(&b->mu); // it was woken or moved
	}
	return NULL;
}

bool futex_dequeue(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);

	if (!b)
		return false;
	futex_unlink_locked(w);
	mutex_unlock(&b->mu);
	return true;
}

bool futex_is_queued(struct futex_waiter *w)
{
	struct futex_bucket *b = futex_lock_bucket_of(w);

	if (b)
		mutex_unlock(&b->mu);
	return b;
}

// --- the word

int futex_read(struct task *t, uaddr_t addr, uint32_t *out)
{
	return copy_in(t, out, addr, sizeof(*out));
}

int futex_cmpxchg(struct task *t, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual)
{
	if (!mm_range_ok(t->mm, addr, sizeof(uint32_t), PROT_READ | PROT_WRITE))
		return -EFAULT;
	return platform->cmpxchg32(t->ctx, addr, expected, desired, actual);
}

// --- wait

// Enters the queue, then looks. 0: it waits.
static long wait_begin(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset)
{
	struct futex_key key;
	struct futex_wait *fw;
	int err = futex_key(t, addr, shared, &key);
	uint32_t now;

	if (err)
		return err;
	fw = futex_wait_create(t, 1);
	if (!fw)
		return -ENOMEM;
	fw->w[0].key = key;
	fw->w[0].bitset = bitset;
	futex_enqueue(&fw->w[0]);
	if (key.object != (uintptr_t)t->mm || !platform->futex_word || kernel()->strace || !platform->futex_word(t->ctx, addr, &now))
		err = futex_read(t, addr, &now);
	if (!err && now != val)
		err = -EAGAIN;
	return err && futex_dequeue(&fw->w[0]) ? err : 0;
}

long futex_wait(struct task *t, uaddr_t addr, bool shared, uint32_t val, uint32_t bitset)
{
	struct futex_wait *fw;
	long ret;

	if (!bitset)
		return -EINVAL;
	if (!t->call.state) {
		ret = wait_begin(t, addr, shared, val, bitset);
		if (ret)
			return ret;
	}
	fw = t->call.state;
	if (!futex_is_queued(&fw->w[0]))
		return 0;
	ret = task_block(t);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	return futex_dequeue(&fw->w[0]) ? ret : 0;
}

// --- wake

// Wakes the plain waiters of key. How many, or -EINVAL if one waits for a lock.
static long wake_key_locked(struct futex_bucket *b, const struct futex_key *key, int max, uint32_t bitset)
{
	struct futex_waiter *w, *next;
	long n = 0;

	TAILQ_FOREACH_SAFE(w, &b->waiters, link, next) {
		if (!futex_key_equal(&w->key, key))
			continue;
		if (w->kind != FUTEX_PLAIN)
			return -EINVAL;
		if (!(w->bitset & bitset))
			continue;
		futex_wake_locked(w);
		if (++n >= max) // as Linux, which wakes one even if none was asked for
			break;
	}
	return n;
}

static long wake_key(struct task *t, const struct futex_key *key, int max, uint32_t bitset)
{
	struct futex_bucket *b = futex_bucket(key);
	long n;

	note(t, key, PLATFORM_FUTEX_WAKES);
	if (!b->nwaiters)
		return 0;
	mutex_lock(&b->mu);
	n = wake_key_locked(b, key, max, bitset);
	mutex_unlock(&b->mu);
	return n;
}

long futex_wake(struct task *t, uaddr_t addr, bool shared, int max, uint32_t bitset)
{
	struct futex_key key;
	int err;

	if (!bitset)
		return -EINVAL;
	err = futex_key(t, addr, shared, &key);
	return err ?: wake_key(t, &key, max, bitset);
}

// --- wake after a change of the second word

static int apply(uint32_t op, uint32_t old, uint32_t *out_new)
{
	uint32_t arg = (uint32_t)((int32_t)(op << 8) >> 20); // sign-extended 12 bits

	if (op >> 28 & FUTEX_OP_OPARG_SHIFT)
		arg = 1u << (arg & 31);
	switch (op >> 28 & 7) {
	case FUTEX_OP_SET:
		*out_new = arg;
		return 0;
	case FUTEX_OP_ADD:
		*out_new = old + arg;
		return 0;
	case FUTEX_OP_OR:
		*out_new = old | arg;
		return 0;
	case FUTEX_OP_ANDN:
		*out_new = old & ~arg;
		return 0;
	case FUTEX_OP_XOR:
		*out_new = old ^ arg;
		return 0;
	}
	return -ENOSYS;
}

// 1, 0, or -ENOSYS: does old stand in the relation that op asks for?
static int compare(uint32_t op, uint32_t old_word)
{
	int32_t old = (int32_t)old_word, arg = (int32_t)(op << 20) >> 20;

	switch (op >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_GE:
		return old >= arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	}
	return -ENOSYS;
}

static int change_word(struct task *t, uaddr_t addr, uint32_t op, uint32_t *out_old)
{
	uint32_t old, new, actual;
	int err = futex_read(t, addr, &old);

	for (int i = 0; i < WAKE_OP_TRIES && !err; i++) {
		err = apply(op, old, &new) ?: futex_cmpxchg(t, addr, old, new, &actual);
		if (!err && actual == old) {
			*out_old = old;
			return 0;
		}
		old = actual;
	}
	return err ?: -EAGAIN;
}

long futex_wake_op(struct task *t, uaddr_t addr, uaddr_t addr2, bool shared, int max, int max2, uint32_t op)
{
	struct futex_key key, key2;
	uint32_t old;
	long n, n2;
	int err = futex_key(t, addr, shared, &key) ?: futex_key(t, addr2, shared, &key2) ?: change_word(t, addr2, op, &old);

	if (err)
		return err;
	n = compare(op, old);
	if (n < 0)
		return n;
	n2 = n ? wake_key(t, &key2, max2, FUTEX_BITSET_MATCH_ANY) : 0;
	if (n2 < 0)
		return n2;
	n = wake_key(t, &key, max, FUTEX_BITSET_MATCH_ANY);
	return n < 0 ? n : n + n2;
}

// --- requeue

static void move_locked(struct futex_waiter *w, struct futex_bucket *to, const struct futex_key *key)
{
	struct futex_bucket *from = w->bucket;

	TAILQ_REMOVE(&from->waiters, w, link);
	from->nwaiters--;
	note(w->task, &w->key, PLATFORM_FUTEX_LEFT);
	w->key = *key;
	link_locked(to, w);
}

// Wakes the first, moves the following ones. Those that wait for a lock become its waiters, and see for themselves who has it.
static long requeue_locked(const struct futex_key *key, const struct futex_key *key2, int wake_max, int move_max, bool to_pi)
{
	struct futex_bucket *from = futex_bucket(key), *to = futex_bucket(key2);
	struct futex_waiter *w, *next, *last = TAILQ_LAST(&from->waiters, futex_waiters);
	int64_t total = (int64_t)wake_max + move_max;
	long n = 0;

	for (w = TAILQ_FIRST(&from->waiters); w && n < total; w = w == last ? NULL : next) {
		next = TAILQ_NEXT(w, link);
		if (!futex_key_equal(&w->key, key))
			continue;
		if (to_pi ? w->kind != FUTEX_TO_PI || !futex_key_equal(&w->target, key2) : w->kind != FUTEX_PLAIN)
			return -EINVAL;
		n++;
		if (to_pi) {
			move_locked(w, to, key2);
			w->kind = FUTEX_PI;
			task_wake(w->task);
		} else if (n <= wake_max) {
			futex_wake_locked(w);
		} else {
			move_locked(w, to, key2);
		}
	}
	return n;
}

long futex_requeue(struct task *t, uaddr_t addr, uaddr_t addr2, bool shared, int wake_max, int move_max, const uint32_t *cmp, bool to_pi)
{
	struct futex_key key, key2;
	uint32_t now;
	long ret = 0;
	int err;

	if (wake_max < 0 || move_max < 0 || (to_pi && (wake_max != 1 || addr == addr2)))
		return -EINVAL;
	err = futex_key(t, addr, shared, &key) ?: futex_key(t, addr2, shared, &key2);
	if (err)
		return err;
	if (to_pi && futex_key_equal(&key, &key2))
		return -EINVAL;
	note(t, &key, PLATFORM_FUTEX_WAKES);
	futex_lock_two(futex_bucket(&key), futex_bucket(&key2));
	// Read under the locks, so that none who waits for a newer value is moved along.
	if (cmp)
		ret = futex_read(t, addr, &now) ?: now == *cmp ? 0 : -EAGAIN;
	if (!ret)
		ret = requeue_locked(&key, &key2, wake_max, move_max, to_pi);
	futex_unlock_two(futex_bucket(&key), futex_bucket(&key2));
	return ret;
}
