// Descriptors that are lent to a process (stub/lent.c): a table in its channel says what its threads may do by themselves.
//
// It is taken back by a new word in the table, and nobody waits: who reads looks at the word again before it counts. So a place of
// STUB_FD_FILES may be given to another file meanwhile; but not while somebody may be writing there, who has said so before he looked. The
// application can write the table: it gets no further with it than with the descriptors, and the positions, that it has anyway.
#include "platform/systrap/systrap_int.h"

#include <string.h>
#include <x86intrin.h>

#include "abi/errno.h"
#include "lib/container_of.h"

static struct chan_lent *entry(struct platform_as *as, int fd)
{
	return (struct chan_lent *)(as->chan + SLOT_LENT) + fd;
}

// What fd's entry says from now on.
static void say_locked(struct platform_as *as, int fd, uint32_t kinds)
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
	for (uint32_t i = 0; i < as->nslots && as->lent.table; i++)
		if (as->slots[i] != SLOT_FREE)
			__atomic_store_n(&((struct slot *)(as->chan + (size_t)i * SLOT_BYTES))->lent, 0, __ATOMIC_SEQ_CST);
	as->lent.table = table;
}

static uint32_t kinds_of(const struct platform_loan *loan)
{
	return (loan->kinds & PLATFORM_LEND_MAP ? LENT_MAP : 0) | (loan->kinds & PLATFORM_LEND_CLOSE ? LENT_CLOSE : 0) |
	       (loan->kinds & PLATFORM_LEND_END ? LENT_END : 0) | (loan->kinds & PLATFORM_LEND_NO_TTY ? LENT_NO_TTY : 0) |
	       (loan->kinds & PLATFORM_LEND_PREAD ? LENT_PREAD : 0) | (loan->kinds & PLATFORM_LEND_POS ? LENT_POS : 0) |
	       (loan->kinds & PLATFORM_LEND_ZEROS ? LENT_ZEROS : 0) | (loan->kinds & PLATFORM_LEND_AWAY ? LENT_AWAY : 0) |
	       (loan->kinds & PLATFORM_LEND_PWRITE ? LENT_PWRITE : 0) | (loan->kinds & PLATFORM_LEND_COUNT ? LENT_COUNT : 0) |
	       (loan->kinds & PLATFORM_LEND_BYTES ? LENT_BYTES : 0) | (loan->kinds & PLATFORM_LEND_FEEDS ? LENT_FEEDS : 0);
}

// What stands in LENT_PLACE; -errno.
static int place_locked(struct platform_as *as, const struct platform_loan *loan)
{
	int place;

	if (loan->kinds & PLATFORM_LEND_FEEDS)
		return loan->feeds < 0 || loan->feeds >= CHAN_LENT ? -EBUSY : loan->feeds;
	if (loan->kinds & PLATFORM_LEND_SEMAPHORE)
		return 1;
	if (!loan->file)
		return 0;
	place = file_place_locked(as, loan->file);
	if (place != -ENOENT)
		return place;
	// What it keeps to map it isn't pinned, so it is only for those that look at the loan after they have used it.
	return loan->kinds & PLATFORM_LEND_PWRITE || as->nctx > 1 ? -ENOENT : cache_place_locked(as, loan->file);
}

static void let_write_locked(struct platform_as *as, int fd, uint64_t limit)
{
	__atomic_store_n(&entry(as, fd)->limit, limit, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entry(as, fd)->written, 0, __ATOMIC_SEQ_CST);
	as->lent.since[fd] = moment_now();
}

int systrap_lend(struct platform_ctx *ctx, const void *table, int fd, const struct platform_loan *loan, struct platform_as **out_as)
{
	struct platform_as *as = ctx->as;
	int place = -EBUSY;

	if (fd < 0 || fd >= CHAN_LENT)
		return -EBUSY;
	mutex_lock(&as->mu);
	if (!as->lent.n || as->lent.table == table)
		place = place_locked(as, loan);
	if (place >= 0) {
		if (as->lent.table != table)
			change_table_locked(as, table);
		as->lent.n += !as->lent.on_loan[fd];
		as->lent.on_loan[fd] = true;
		__atomic_store_n(&entry(as, fd)->pos, loan->pos, __ATOMIC_SEQ_CST);
		if (loan->kinds & PLATFORM_LEND_PWRITE)
			let_write_locked(as, fd, loan->limit);
		say_locked(as, fd, kinds_of(loan) | place);
		__atomic_store_n(&ctx->slot->lent, 1, __ATOMIC_RELEASE);
		*out_as = as;
	}
	mutex_unlock(&as->mu);
	return place < 0 ? place : 0;
}

void systrap_lent_no_tty(struct platform_as *as, int fd)
{
	mutex_lock(&as->mu);
	if (lent_what(as, fd))
		say_locked(as, fd, as->lent.kinds[fd] | LENT_NO_TTY);
	mutex_unlock(&as->mu);
}

int systrap_lent_give_pos(struct platform_ctx *ctx, struct platform_as *as, int fd, int64_t pos)
{
	if (ctx->as != as)
		return -EBUSY;
	mutex_lock(&as->mu);
	__atomic_store_n(&entry(as, fd)->pos, pos, __ATOMIC_SEQ_CST);
	say_locked(as, fd, as->lent.kinds[fd] | LENT_POS);
	__atomic_store_n(&ctx->slot->lent, 1, __ATOMIC_RELEASE);
	mutex_unlock(&as->mu);
	return 0;
}

int64_t systrap_lent_take_pos(struct platform_as *as, int fd)
{
	int64_t pos;

	mutex_lock(&as->mu);
	if (__atomic_load_n(&entry(as, fd)->what, __ATOMIC_RELAXED))
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

uint64_t lent_what(struct platform_as *as, int fd)
{
	return __atomic_load_n(&entry(as, fd)->what, __ATOMIC_RELAXED);
}

int64_t systrap_lent_peek(struct platform_as *as, int fd)
{
	return position(as, fd);
}

bool lent_writes_locked(struct platform_as *as, uint32_t place)
{
	for (uint32_t i = 0; i < as->nslots; i++) {
		const struct slot *s = (const struct slot *)(as->chan + (size_t)i * SLOT_BYTES);

		if (as->slots[i] == SLOT_TAKEN && __atomic_load_n(&s->writes, __ATOMIC_SEQ_CST) == place + 1)
			return true;
	}
	return false;
}

bool systrap_lent_stop(struct platform_as *as, int fd)
{
	uint32_t kinds;
	bool writes;

	mutex_lock(&as->mu);
	kinds = as->lent.kinds[fd];
	say_locked(as, fd, 0);
	writes = kinds & LENT_PWRITE && lent_writes_locked(as, kinds & LENT_PLACE);
	mutex_unlock(&as->mu);
	return writes;
}

int64_t systrap_lent_written(struct platform_as *as, int fd)
{
	const uint64_t at = __atomic_exchange_n(&entry(as, fd)->written, 0, __ATOMIC_SEQ_CST);
	const struct moment *since = &as->lent.since[fd];
	const uint64_t now = __rdtsc();

	if (!at)
		return -1;
	return at >= now || now <= since->tsc ? 0 : moment_ns(since, now - MAX(at, since->tsc));
}

void lent_forget_place_locked(struct platform_as *as, uint32_t place)
{
	for (int fd = 0; fd < CHAN_LENT && as->lent.n; fd++)
		if ((as->lent.kinds[fd] & (LENT_PREAD | LENT_PWRITE | LENT_MAP)) && (as->lent.kinds[fd] & LENT_PLACE) == place)
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

void systrap_lent_limit(void)
{
	__atomic_store_n(&stub_param->limited, 1, __ATOMIC_SEQ_CST);
}
