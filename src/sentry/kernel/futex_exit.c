// What a thread's end means to those who wait for it: its robust list, its locks with an owner, the word that holds its number.
//
// The list is the application's: any link may be bad, lead elsewhere, or in a circle, so it is followed for a bounded number of steps,
// as on Linux, and the first address that can't be read ends the walk.
#include <linux/futex.h>

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/futex_int.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"

enum { WORD_TRIES = 100 };

// One lock of the list: tells the next owner, and wakes one who waits. pending: it was being taken or released. 0 or an error: stop.
static int owner_died(struct task *t, uaddr_t addr, bool pi, bool pending)
{
	uint32_t word, actual;
	int err;

	if (addr % sizeof(word))
		return -EINVAL;
	err = futex_read(t, addr, &word);
	for (int i = 0; i < WORD_TRIES && !err; i++) {
		// Released already, but the waiter that was to be woken may not have been.
		if (pending && !pi && word == 0)
			return futex_wake(t, addr, true, 1, FUTEX_BITSET_MATCH_ANY), 0;
		if ((word & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return 0;
		err = futex_cmpxchg(t, addr, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &actual);
		if (!err && actual == word) {
			if (!pi && word & FUTEX_WAITERS)
				futex_wake(t, addr, true, 1, FUTEX_BITSET_MATCH_ANY);
			return 0;
		}
		word = actual;
	}
	return err;
}

uaddr_t futex_at_end(struct task *t, enum platform_at_end what)
{
	return platform->at_end && t->ctx ? platform->at_end(t->ctx, what) : t->at_end[what];
}

void futex_set_at_end(struct task *t, enum platform_at_end what, uaddr_t addr)
{
	t->at_end[what] = addr;
	if (platform->set_at_end)
		platform->set_at_end(t->ctx, what, addr);
}

// Entries are addresses whose low bit says that the lock is a FUTEX_LOCK_PI.
static void walk_robust_list(struct task *t)
{
	struct {
		uaddr_t next;
		int64_t offset;
		uaddr_t pending;
	} head;
	uaddr_t list = futex_at_end(t, PLATFORM_ROBUST_LIST), entry, next;

	_Static_assert(sizeof(head) == sizeof(struct robust_list_head), "as the application has it");
	if (!list || copy_in_obj(t, &head, list) < 0)
		return;
	entry = head.next;
	for (int i = 0; i < ROBUST_LIST_LIMIT && (entry & ~1ull) != list; i++) {
		// The link first: the next owner may take the entry off the list.
		int err = copy_in_obj(t, &next, entry & ~1ull);

		if ((entry & ~1ull) != (head.pending & ~1ull) && owner_died(t, (entry & ~1ull) + head.offset, entry & 1, false) < 0)
			return;
		if (err)
			return;
		entry = next;
	}
	if (head.pending & ~1ull)
		owner_died(t, (head.pending & ~1ull) + head.offset, head.pending & 1, true);
}

static void write_tid_cleared(struct task *t, uaddr_t addr)
{
	const uint32_t zero = 0;

	// One of many that die together may have to be woken to write it itself; one that ends by its own call is at hand.
	if (!t->exiting && copy_out_obj(t, addr, &zero) == 0)
		platform->flush(t->ctx);
	else if (addr <= APP_MAX - sizeof(zero))
		mm_write_remote(t->mm, addr, &zero, sizeof(zero));
}

static void clear_tid(struct task *t)
{
	uaddr_t addr = futex_at_end(t, PLATFORM_CLEAR_TID);

	if (!addr || t->mm->users <= 1)
		return;
	if (!t->tid_cleared)
		write_tid_cleared(t, addr);
	futex_wake(t, addr, true, 1, FUTEX_BITSET_MATCH_ANY);
}

void futex_task_exit(struct task *t)
{
	walk_robust_list(t);
	futex_pi_task_exit(t);
	clear_tid(t);
}

void futex_task_exec(struct task *t)
{
	walk_robust_list(t);
	clear_tid(t);
	futex_set_at_end(t, PLATFORM_ROBUST_LIST, 0);
	futex_set_at_end(t, PLATFORM_CLEAR_TID, 0);
}
