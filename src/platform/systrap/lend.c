// Descriptors that are lent to a process (stub/lent.c): a table in its channel says what its threads may do by themselves.
//
// It is taken back by a new word in the table, and nobody waits: who is about a transfer looks at the word again before it counts. So a place of
// STUB_FD_FILES may be given to another file meanwhile. The application can write the table: it gets no further with it than with the
// descriptors, and the positions, that it has anyway.
#include "platform/systrap/systrap_int.h"

#include <string.h>

#include "abi/errno.h"

static struct chan_lent *entry(struct platform_as *as, int fd)
{
	return (struct chan_lent *)(as->chan + SLOT_LENT) + fd;
}

// What fd's entry says from now on.
static void say_locked(struct platform_as *as, int fd, uint16_t kinds)
{
	as->lent.kinds[fd] = kinds;
	__atomic_store_n(&entry(as, fd)->what, kinds & ~LENT_PLACE ? ++as->lent.number << LENT_SHIFT | kinds : 0, __ATOMIC_SEQ_CST);
}

static int64_t position(struct platform_as *as, int fd)
{
	return (int64_t)__atomic_load_n(&entry(as, fd)->pos, __ATOMIC_SEQ_CST);
}

// The table is about the descriptors of others than before.
static void change_table_locked(struct platform_as *as, const void *table)
{
	for (uint32_t i = 0; i < SLOTS_MAX && as->lent.table; i++)
		if (as->slots[i] != SLOT_FREE)
			__atomic_store_n(&((struct slot *)(as->chan + (size_t)i * SLOT_BYTES))->lent, 0, __ATOMIC_SEQ_CST);
	as->lent.table = table;
}

static uint16_t kinds_of(const struct platform_loan *loan)
{
	return (loan->kinds & PLATFORM_LEND_PREAD ? LENT_PREAD : 0) | (loan->kinds & PLATFORM_LEND_POS ? LENT_POS : 0) |
	       (loan->kinds & PLATFORM_LEND_ZEROS ? LENT_ZEROS : 0) | (loan->kinds & PLATFORM_LEND_AWAY ? LENT_AWAY : 0);
}

int systrap_lend(struct platform_ctx *ctx, const void *table, int fd, const struct platform_loan *loan, struct platform_as **out_as)
{
	struct platform_as *as = ctx->as;
	int place = 0;

	if (fd < 0 || fd >= CHAN_LENT)
		return -EBUSY;
	mutex_lock(&as->mu);
	if (as->lent.n && as->lent.table != table)
		place = -EBUSY;
	else if (loan->file)
		place = file_place_locked(as, loan->file);
	if (place >= 0) {
		if (as->lent.table != table)
			change_table_locked(as, table);
		as->lent.n += !as->lent.on_loan[fd];
		as->lent.on_loan[fd] = true;
		__atomic_store_n(&entry(as, fd)->pos, loan->pos, __ATOMIC_SEQ_CST);
		say_locked(as, fd, kinds_of(loan) | place);
		__atomic_store_n(&ctx->slot->lent, 1, __ATOMIC_RELEASE);
		*out_as = as;
	}
	mutex_unlock(&as->mu);
	return place < 0 ? place : 0;
}

int64_t systrap_lent_take_pos(struct platform_as *as, int fd)
{
	int64_t pos;

	mutex_lock(&as->mu);
	say_locked(as, fd, as->lent.kinds[fd] & ~LENT_POS);
	pos = position(as, fd);
	mutex_unlock(&as->mu);
	return pos;
}

int64_t systrap_lent_take_back(struct platform_as *as, int fd)
{
	int64_t pos;

	mutex_lock(&as->mu);
	say_locked(as, fd, 0);
	pos = position(as, fd);
	as->lent.n -= as->lent.on_loan[fd];
	as->lent.on_loan[fd] = false;
	mutex_unlock(&as->mu);
	return pos;
}

void systrap_lent_stop(struct platform_as *as, int fd)
{
	mutex_lock(&as->mu);
	say_locked(as, fd, 0);
	mutex_unlock(&as->mu);
}

void lent_forget_place_locked(struct platform_as *as, uint32_t place)
{
	for (int fd = 0; fd < CHAN_LENT && as->lent.n; fd++)
		if ((as->lent.kinds[fd] & (LENT_PREAD | LENT_POS)) && (as->lent.kinds[fd] & LENT_PLACE) == place)
			say_locked(as, fd, 0);
}

void systrap_lent_leave(struct platform_ctx *ctx)
{
	__atomic_store_n(&ctx->slot->lent, 0, __ATOMIC_RELEASE);
}

void systrap_lent_watch(bool on)
{
	__atomic_store_n(&stub_param->watched, on, __ATOMIC_SEQ_CST);
}
