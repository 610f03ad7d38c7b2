// Copies between the sentry and an application: through the slot's data area where the bytes are there or few, else by the host.
#include "platform/systrap/systrap_int.h"

#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"

static bool in_seg(const struct platform_ctx *ctx, uint32_t n, uaddr_t src, size_t len)
{
	return n < ctx->nsegs && src - ctx->segs[n].addr < ctx->segs[n].len && len <= ctx->segs[n].len - (src - ctx->segs[n].addr);
}

// Bytes of the call's arguments that the stub brought along: where [src, src+len) lies, or NULL. *out_left: how many follow there.
// Who reads an array of strings asks for the array and for the next string in turns: so what was found last, and before that, is looked at first, and
// what is behind these.
static const uint8_t *find_seg(struct platform_ctx *ctx, uaddr_t src, size_t len, size_t *out_left)
{
	const uint32_t likely[] = {ctx->seg_found[0], ctx->seg_found[1], ctx->seg_found[0] + 1, ctx->seg_found[1] + 1};
	const struct slot_seg *seg;
	uint32_t n = ctx->nsegs;

	for (unsigned i = 0; i < ARRAY_LEN(likely) && n == ctx->nsegs; i++)
		if (in_seg(ctx, likely[i], src, len))
			n = likely[i];
	if (n == ctx->nsegs)
		for (n = 0; n < ctx->nsegs && !in_seg(ctx, n, src, len); n++)
			;
	if (n == ctx->nsegs)
		return NULL;
	if (n != ctx->seg_found[0]) {
		ctx->seg_found[1] = ctx->seg_found[0];
		ctx->seg_found[0] = n;
	}
	seg = &ctx->segs[n];
	*out_left = seg->len - (src - seg->addr);
	return (const uint8_t *)ctx->slot + SLOT_DATA + seg->offset + (src - seg->addr);
}

static int host_copy(struct platform_ctx *ctx, void *local, uaddr_t remote, size_t len, bool out)
{
	const struct iovec here = {local, len}, there = {(void *)remote, len};
	pid_t pid = as_pid(ctx->as);
	ssize_t n;

	if (pid <= 0)
		return -EFAULT;
	n = out ? process_vm_writev(pid, &here, 1, &there, 1, 0) : process_vm_readv(pid, &here, 1, &there, 1, 0);
	return n == (ssize_t)len ? 0 : -EFAULT;
}

int systrap_copy_in(struct platform_ctx *ctx, void *dst, uaddr_t src, size_t len)
{
	size_t left;
	const uint8_t *here = find_seg(ctx, src, len, &left);

	if (!here) {
		*(volatile uint32_t *)&ctx->slot->left_fd = 0; // it may be that which was left out
		return host_copy(ctx, dst, src, len, false);
	}
	memcpy(dst, here, len);
	return 0;
}

long systrap_copy_in_str(struct platform_ctx *ctx, char *dst, uaddr_t src, size_t cap)
{
	size_t done = 0, left;
	const uint8_t *here = find_seg(ctx, src, 1, &left);
	char *nul;

	if (here) {
		left = MIN(left, cap);
		memcpy(dst, here, left); // first copied, then looked at
		nul = memchr(dst, 0, left);
		if (nul)
			return nul - dst;
	}
	while (done < cap) { // page by page: what follows the string may not be mapped
		size_t chunk = MIN(cap - done, PAGE_SIZE - (src + done) % PAGE_SIZE);

		if (host_copy(ctx, dst + done, src + done, chunk, false) < 0)
			return -EFAULT;
		nul = memchr(dst + done, 0, chunk);
		if (nul)
			return nul - dst;
		done += chunk;
	}
	return -ENAMETOOLONG;
}

// --- out

static bool nothing_queued(const struct platform_ctx *ctx)
{
	return !ctx->nops && !ctx->copy.len && !ctx->move.len && !ctx->op_err;
}

void copy_put(struct platform_ctx *ctx)
{
	struct slot *s = ctx->slot;

	s->copy.dst = ctx->copy.dst;
	s->copy.len = ctx->copy.len;
	s->copy.offset = ctx->copy.offset;
	if (ctx->copy.offset == COPY_INLINE)
		memcpy(s->copy.bytes, ctx->copy.bytes, SLOT_INLINE_BYTES);
	ctx->copy.len = 0;
}

static void queue_copy(struct platform_ctx *ctx, uaddr_t dst, uint32_t offset, uint32_t len)
{
	struct slot_op *op = op_queue(ctx, OP_COPY, PLATFORM_TAG_COPY);

	if (!op)
		return;
	op->a[0] = dst;
	op->a[1] = offset;
	op->a[2] = len;
}

static void use_data(struct platform_ctx *ctx, size_t len)
{
	ctx->data_used = MIN((ctx->data_used + len + 7) & ~7ul, (size_t)SLOT_DATA_BYTES);
}

bool data_put(struct platform_ctx *ctx, const void *src, size_t len, uint32_t *out_offset)
{
	if (len > SLOT_DATA_BYTES - ctx->data_used)
		return false;
	*out_offset = ctx->data_used;
	memcpy((uint8_t *)ctx->slot + SLOT_DATA + ctx->data_used, src, len);
	use_data(ctx, len);
	return true;
}

void copy_to_op(struct platform_ctx *ctx)
{
	const uint32_t len = ctx->copy.len;
	uint32_t offset = ctx->copy.offset;

	if (!len)
		return;
	ctx->copy.len = 0;
	if (offset == COPY_INLINE) {
		offset = ctx->data_used;
		memcpy((uint8_t *)ctx->slot + SLOT_DATA + offset, ctx->copy.bytes, len); // there is room: see reserve
		use_data(ctx, len);
	}
	queue_copy(ctx, ctx->copy.dst, offset, len);
}

void *systrap_copy_out_reserve(struct platform_ctx *ctx, uaddr_t dst, size_t len)
{
	if (len > SLOT_DATA_BYTES - ctx->data_used || ctx->nops == SLOT_OPS)
		return NULL;
	ctx->reserved_dst = dst;
	ctx->reserved_inline = len <= SLOT_INLINE_BYTES && nothing_queued(ctx) && !ctx->asks_rests; // whose rests lie there
	return ctx->reserved_inline ? ctx->copy.bytes : (uint8_t *)ctx->slot + SLOT_DATA + ctx->data_used;
}

void systrap_copy_out_commit(struct platform_ctx *ctx, size_t len)
{
	const uint32_t offset = ctx->reserved_inline ? COPY_INLINE : ctx->data_used;

	ctx->out_ahead = ctx->reserved_inline ? 0 : MIN(len, (size_t)OUT_AHEAD_MAX);
	if (!len || len > SLOT_DATA_BYTES - ctx->data_used || ctx->op_err)
		return;
	if (!ctx->reserved_inline)
		use_data(ctx, len);
	if (nothing_queued(ctx)) {
		ctx->copy.dst = ctx->reserved_dst;
		ctx->copy.len = len;
		ctx->copy.offset = offset;
	} else {
		queue_copy(ctx, ctx->reserved_dst, offset, len); // has room: it was looked at in the reservation
	}
}

int systrap_copy_out(struct platform_ctx *ctx, uaddr_t dst, const void *src, size_t len)
{
	void *place = systrap_copy_out_reserve(ctx, dst, len);
	int err;

	if (!place && (ctx->nops || ctx->copy.len)) { // what is queued may be the mapping that the bytes belong in
		err = systrap_flush(ctx);
		if (err) {
			ctx->op_err = err == -ESRCH ? 0 : -err;
			return err == -ESRCH ? -EFAULT : 0;
		}
		place = systrap_copy_out_reserve(ctx, dst, len);
	}
	if (!place)
		return host_copy(ctx, (void *)src, dst, len, true);
	memcpy(place, src, len);
	systrap_copy_out_commit(ctx, len);
	return 0;
}

const void *systrap_peek_in(struct platform_ctx *ctx, uaddr_t src, size_t len)
{
	size_t left;

	return find_seg(ctx, src, len, &left);
}

int systrap_cmpxchg32(struct platform_ctx *ctx, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual)
{
	struct slot_op *op;
	int err = systrap_flush(ctx);

	if (err) {
		ctx->op_err = err == -ESRCH ? 0 : -err;
		return -EFAULT;
	}
	op = op_queue(ctx, OP_CMPXCHG, PLATFORM_TAG_COPY);
	op->a[0] = addr;
	op->a[1] = expected;
	op->a[2] = desired;
	if (systrap_flush(ctx) < 0)
		return -EFAULT;
	*actual = *(const volatile uint32_t *)&ctx->slot->op_result;
	return 0;
}
