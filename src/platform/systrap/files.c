// Files that a stub reads and writes by itself: the sentry decides what goes where, and the bytes take the shortest way.
//
// The stub keeps descriptors of them, each at an index of our choice. Its threads carry their operations out in no order, so a place isn't
// given to another file while some context may still use what is there (a pin, until its next event), and a file that was sent is used
// by the context that fetches it alone until that has come back. After a failure that moved nothing nobody knows what is at a place: then it
// counts as empty. What is lent of a place's file (lend.c) ends before.
#include "platform/systrap/systrap_int.h"

#include "abi/errno.h"
#include "host/hostfd.h"

_Static_assert(STUB_FD_FILES == STUB_FD_CACHE + STUB_FD_CACHE_LEN, "OP_RECV's indexes go on");
_Static_assert(STUB_FD_FILES_LEN <= 32, "a bit each");

// Of the stub's descriptors from STUB_FD_CACHE on.
static uint32_t place_of(uint32_t i)
{
	return STUB_FD_CACHE_LEN + i;
}

static void pin_locked(struct platform_ctx *ctx, uint32_t i)
{
	if (ctx->pinned & 1u << i)
		return;
	ctx->pinned |= 1u << i;
	ctx->as->files[i].pins++;
}

static void forget_locked(struct platform_as *as, uint32_t i)
{
	if (as->files[i].file)
		lent_forget_place_locked(as, place_of(i));
	hostfd_put(as->files[i].file);
	as->files[i].file = NULL;
	as->files[i].bringer = NULL;
}

void files_settle(struct platform_ctx *ctx, bool failed)
{
	struct platform_as *as = ctx->as;

	if (!ctx->pinned)
		return;
	mutex_lock(&as->mu);
	for (uint32_t i = 0; i < STUB_FD_FILES_LEN; i++) {
		if (!(ctx->pinned & 1u << i))
			continue;
		as->files[i].pins--;
		if (as->files[i].bringer == ctx)
			as->files[i].bringer = NULL;
		if (failed)
			forget_locked(as, i);
	}
	ctx->pinned = 0;
	mutex_unlock(&as->mu);
}

void files_inherit(struct platform_as *from, struct platform_as *to)
{
	mutex_lock(&from->mu);
	to->has_files = from->has_files;
	for (uint32_t i = 0; i < STUB_FD_FILES_LEN; i++) {
		if (from->files[i].file)
			to->files[i].file = hostfd_get(from->files[i].file);
		if (from->files[i].pins)
			to->has_files = true; // it may be copied before it is closed
	}
	mutex_unlock(&from->mu);
}

void files_free(struct platform_as *as)
{
	for (uint32_t i = 0; i < STUB_FD_FILES_LEN; i++)
		forget_locked(as, i);
}

// Where ctx finds file, with a pin; or -1.
static int use(struct platform_ctx *ctx, struct hostfd *file)
{
	struct platform_as *as = ctx->as;
	uint32_t i = ctx->file_hint;

	mutex_lock(&as->mu);
	if (as->files[i].file != file)
		for (i = 0; i < STUB_FD_FILES_LEN && as->files[i].file != file; i++)
			;
	if (i == STUB_FD_FILES_LEN || (as->files[i].bringer && as->files[i].bringer != ctx)) {
		mutex_unlock(&as->mu);
		return -1;
	}
	as->files[i].used_at = ++as->cache_clock;
	pin_locked(ctx, i);
	mutex_unlock(&as->mu);
	return (int)(ctx->file_hint = i);
}

int file_place_locked(struct platform_as *as, struct hostfd *file)
{
	for (int i = 0; i < STUB_FD_FILES_LEN; i++)
		if (as->files[i].file == file) {
			if (as->files[i].bringer)
				return -EBUSY;
			as->files[i].used_at = ++as->cache_clock;
			return (int)place_of((uint32_t)i);
		}
	return -ENOENT;
}

bool systrap_file_move(struct platform_ctx *ctx, struct hostfd *file, uaddr_t addr, size_t len, uint64_t offset, bool write)
{
	int index;

	if (ctx->op_err || ctx->move.len)
		return false;
	index = use(ctx, file);
	if (index < 0)
		return false;
	copy_to_op(ctx); // the line of the answer is ours
	ctx->move.addr = addr;
	ctx->move.len = len;
	ctx->move.index = (uint32_t)index;
	ctx->move.offset = offset;
	ctx->move.write = write;
	if (write)
		*(volatile uint32_t *)&ctx->slot->left_fd = (uint32_t)*(volatile uint64_t *)&ctx->slot->args[0] + 1;
	return true;
}

// The place that has gone unused for longest, or -1.
static int free_place_locked(struct platform_as *as)
{
	int found = -1;

	for (int i = 0; i < STUB_FD_FILES_LEN; i++) {
		if (as->files[i].pins || as->files[i].bringer)
			continue;
		if (!as->files[i].file)
			return i;
		if (found < 0 || (int32_t)(as->files[i].used_at - as->files[found].used_at) < 0)
			found = i;
	}
	return found;
}

int systrap_file_keep(struct platform_ctx *ctx, struct hostfd *file)
{
	struct platform_as *as = ctx->as;
	struct slot_op *op;
	int i, err;

	if (ctx->op_err || ctx->nops == SLOT_OPS)
		return -EAGAIN;
	mutex_lock(&as->mu);
	i = free_place_locked(as);
	if (i >= 0)
		forget_locked(as, (uint32_t)i);
	err = i < 0 || lent_writes_locked(as, place_of((uint32_t)i)) ? -EAGAIN : as_send(as, &file->fd, 1);
	if (!err) {
		as->files[i].file = hostfd_get(file);
		as->files[i].bringer = ctx;
		as->has_files = true;
		pin_locked(ctx, (uint32_t)i);
	}
	mutex_unlock(&as->mu);
	if (err)
		return err;
	op = op_queue(ctx, OP_RECV, PLATFORM_TAG_FILE);
	op->a[0] = place_of((uint32_t)i);
	return 0;
}

// What another context is fetching just now stays.
void systrap_files_drop(struct platform_ctx *ctx, bool cred_changed)
{
	struct platform_as *as = ctx->as;
	bool all = true;
	struct slot_op *op;

	kin_leave(as);
	if (cred_changed)
		family_leave(as);
	if (!as->has_files && !cred_changed)
		return;
	op = op_queue(ctx, OP_DROP, 0);
	if (!op)
		return;
	op->a[0] = cred_changed;
	if (cred_changed)
		op_cache_forget(as);
	mutex_lock(&as->mu);
	for (uint32_t i = 0; i < STUB_FD_FILES_LEN; i++) {
		if (as->files[i].bringer && as->files[i].bringer != ctx) {
			all = false;
			continue;
		}
		forget_locked(as, i);
		pin_locked(ctx, i);
	}
	as->has_files = !all;
	mutex_unlock(&as->mu);
}
