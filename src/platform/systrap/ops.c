// The queue of operations that a context carries out before it goes on, and the descriptors that they need.
//
// A stub keeps the last few private files that it mapped, so that the segments of one library cost one message. What it holds is known
// here, because it takes descriptors in even when an earlier operation failed. Shared objects aren't kept: their memory would live on.
#include "platform/systrap/systrap_int.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "abi/errno.h"
#include "host/hostfd.h"

static int note_failure(struct platform_ctx *ctx, int err)
{
	if (err == -ESRCH)
		return 0; // its death is the next event
	ctx->op_err = -err;
	return 0;
}

struct slot_op *op_queue(struct platform_ctx *ctx, enum slot_op_kind kind, uint32_t tag)
{
	struct slot_op *op;

	copy_to_op(ctx);
	if (ctx->nops == SLOT_OPS) {
		int err = systrap_flush(ctx);

		if (err)
			note_failure(ctx, err);
		if (ctx->nops == SLOT_OPS)
			return NULL;
	}
	if (ctx->nops == 1)
		ctx->slot->ops[0] = ctx->op;
	op = ctx->nops ? &ctx->slot->ops[ctx->nops] : &ctx->op;
	ctx->nops++;
	op->kind = kind;
	op->tag = tag;
	return op;
}

static bool fits_line0(const struct slot_op *op)
{
	switch (op->kind) {
	case OP_MAP:
		return op->a[4] == (uint64_t)-1; // of a file the last argument counts, too
	case OP_UNMAP:
	case OP_PROTECT:
	case OP_REMAP:
	case OP_ADVISE:
		return true;
	}
	return false;
}

uint32_t ops_put(struct platform_ctx *ctx)
{
	struct slot *s = ctx->slot;
	const uint32_t n = ctx->nops;

	if (!n)
		return 0;
	ctx->nops = 0;
	atomic_store_explicit(&ctx->ops_sent, atomic_load_explicit(&ctx->ops_sent, memory_order_relaxed) + 1, memory_order_release);
	if (n == 1 && !ctx->move.len && fits_line0(&ctx->op)) {
		s->op.kind = ctx->op.kind;
		s->op.tag = ctx->op.tag;
		memcpy(s->op.a, ctx->op.a, sizeof(s->op.a));
		return STATE_OP;
	}
	if (n == 1)
		s->ops[0] = ctx->op;
	s->nops = n;
	return STATE_OPS;
}

static int queue(struct platform_ctx *ctx, enum slot_op_kind kind, uint32_t tag, const uint64_t *args, int n)
{
	struct slot_op *op;

	if (ctx->op_err)
		return 0; // dropped, as the contract says
	op = op_queue(ctx, kind, tag);
	if (!op)
		return -ENOMEM;
	if (n)
		memcpy(op->a, args, n * sizeof(*args));
	return 0;
}

int as_send(struct platform_as *as, const int *fds, int n)
{
	char byte = 0, control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return sendmsg(as->sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

// --- what a stub holds

int cache_place_locked(struct platform_as *as, struct hostfd *file)
{
	for (int i = 0; i < STUB_FD_CACHE_LEN; i++)
		if (as->cache[i].file == file) {
			as->cache[i].used_at = ++as->cache_clock;
			return i;
		}
	return -ENOENT;
}

// Programs and libraries stay for longer than what else is mapped: whoever is forked from here is likely to map them again.
static int cache_oldest(struct platform_as *as)
{
	int oldest = 0;

	for (int i = 0; i < STUB_FD_CACHE_LEN; i++) {
		const bool rather = as->cache[oldest].code && !as->cache[i].code;

		if (!as->cache[i].file)
			return i;
		if (rather || (as->cache[i].code == as->cache[oldest].code && (int32_t)(as->cache[i].used_at - as->cache[oldest].used_at) < 0))
			oldest = i;
	}
	return oldest;
}

void op_cache_inherit(struct platform_as *from, struct platform_as *to)
{
	mutex_lock(&from->mu);
	memcpy(to->cache, from->cache, sizeof(to->cache));
	to->cache_clock = from->cache_clock;
	for (int i = 0; i < STUB_FD_CACHE_LEN; i++)
		if (to->cache[i].file)
			hostfd_get(to->cache[i].file);
	mutex_unlock(&from->mu);
}

void op_cache_drop(struct platform_as *as)
{
	for (int i = 0; i < STUB_FD_CACHE_LEN; i++)
		hostfd_put(as->cache[i].file);
}

static void forget_locked(struct platform_as *as, int index)
{
	if (!as->cache[index].file)
		return;
	lent_forget_place_locked(as, (uint32_t)index);
	hostfd_put(as->cache[index].file);
	as->cache[index].file = NULL;
}

void op_cache_forget(struct platform_as *as)
{
	mutex_lock(&as->mu);
	for (int i = 0; i < STUB_FD_CACHE_LEN; i++)
		forget_locked(as, i);
	mutex_unlock(&as->mu);
}

// The index under which the stub will have file when it comes to the next op, or -errno.
static int pass_file(struct platform_ctx *ctx, struct hostfd *file, bool code)
{
	struct platform_as *as = ctx->as;
	struct slot_op *op;
	int index, err = 0;

	mutex_lock(&as->mu);
	index = cache_place_locked(as, file);
	mutex_unlock(&as->mu);
	if (index < 0) {
		op = op_queue(ctx, OP_RECV, 0);
		err = op ? as_send(as, &file->fd, 1) : -ENOMEM;
		if (err == -EAGAIN && systrap_flush(ctx) == 0) { // the stub has many to fetch
			op = op_queue(ctx, OP_RECV, 0);
			err = op ? as_send(as, &file->fd, 1) : -ENOMEM;
		}
		if (err) {
			if (op)
				ctx->nops--;
			return err;
		}
	}
	mutex_lock(&as->mu);
	if (index < 0) {
		index = cache_oldest(as);
		forget_locked(as, index);
		as->cache[index].file = hostfd_get(file);
		as->cache[index].code = false;
		as->cache[index].used_at = ++as->cache_clock;
		op->a[0] = index;
	}
	as->cache[index].code |= code;
	mutex_unlock(&as->mu);
	return index;
}

static void forget_file(struct platform_ctx *ctx, int index)
{
	struct platform_as *as = ctx->as;

	mutex_lock(&as->mu);
	forget_locked(as, index);
	mutex_unlock(&as->mu);
}

// --- the operations

void op_patch(struct platform_ctx *ctx, uint64_t after)
{
	enum { AROUND = 16 };
	struct platform_code code;
	struct slot_op *op;

	if (ctx->op_err || after < APP_MIN + AROUND || after > APP_MAX - AROUND || !kernel_code(ctx->owner, after - AROUND, 2 * AROUND, &code))
		return;
	op = op_queue(ctx, OP_PATCH, 0);
	if (!op)
		return;
	op->a[0] = after;
	op->a[1] = code.prot;
	op->a[2] = ctx->as->nctx == 1; // nobody else can make a second one
	op->a[3] = code.start;
	op->a[4] = code.len;
}

void systrap_calls_at(struct platform_ctx *ctx, uaddr_t addr, uint64_t len, int prot, const uint32_t *offsets, unsigned n)
{
	struct slot_op *op = ctx->op_err ? NULL : op_queue(ctx, OP_PATCH_ALL, 0);
	uint32_t at;

	if (!op)
		return;
	cpuid_tell();
	if (!data_put(ctx, offsets, n * sizeof(*offsets), &at))
		n = at = 0;
	op->a[0] = addr;
	op->a[1] = len;
	op->a[2] = prot;
	op->a[3] = at;
	op->a[4] = n;
}

int systrap_map_anon(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool noreserve)
{
	const uint64_t args[] = {addr, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (noreserve ? MAP_NORESERVE : 0),
				 (uint64_t)-1, 0};

	return queue(ctx, OP_MAP, op_tag, args, 6);
}

int systrap_map_file(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool shared, struct hostfd *file,
		     uint64_t offset)
{
	const uint64_t flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED;
	int index, err;

	if (ctx->op_err)
		return 0;
	index = pass_file(ctx, file, prot & PROT_EXEC);
	if (index < 0)
		return index;
	err = queue(ctx, OP_MAP, op_tag, (uint64_t[]){addr, len, prot, flags, index, offset}, 6);
	if (shared && !err && op_queue(ctx, OP_CLOSE, 0)) {
		ctx->slot->ops[ctx->nops - 1].a[0] = index;
		forget_file(ctx, index);
	}
	return err;
}

int systrap_file_foresee(struct platform_ctx *ctx, struct hostfd *file)
{
	const int index = ctx->op_err ? -EAGAIN : pass_file(ctx, file, false);

	return index < 0 ? index : 0;
}

int systrap_unmap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len)
{
	return queue(ctx, OP_UNMAP, op_tag, (uint64_t[]){addr, len}, 2);
}

int systrap_protect(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot)
{
	return queue(ctx, OP_PROTECT, op_tag, (uint64_t[]){addr, len, prot}, 3);
}

int systrap_remap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len, int flags)
{
	if (new_addr != addr)
		flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	return queue(ctx, OP_REMAP, op_tag, (uint64_t[]){addr, len, new_len, flags, new_addr}, 5);
}

int systrap_advise(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int advice)
{
	return queue(ctx, OP_ADVISE, op_tag, (uint64_t[]){addr, len, advice}, 3);
}

static void take_advice_back(struct platform_as *as)
{
	mutex_lock(&as->mu);
	for (uint32_t i = 0; i < as->nslots; i++)
		if (as->slots[i] == SLOT_TAKEN)
			__atomic_store_n(&((struct slot *)(as->chan + (size_t)i * SLOT_BYTES))->advice, 0, __ATOMIC_SEQ_CST);
	mutex_unlock(&as->mu);
}

int systrap_lend_advice(struct platform_ctx *ctx, uint32_t op_tag, bool lent)
{
	struct platform_as *as = ctx->as;

	if (lent)
		__atomic_store_n(&ctx->slot->advice, as->nctx == 1 ? ADVICE_ALONE : ADVICE_SHARED, __ATOMIC_SEQ_CST);
	else if (as->advice_lent)
		take_advice_back(as);
	else
		return 0;
	as->advice_lent = lent;
	return lent ? 0 : queue(ctx, OP_ADVISED, op_tag, NULL, 0);
}

int systrap_barrier(struct platform_ctx *ctx, uint32_t op_tag)
{
	return queue(ctx, OP_BARRIER, op_tag, NULL, 0);
}

int systrap_unmap_all(struct platform_ctx *ctx, uint32_t op_tag)
{
	ctx->site_wanted = false;
	ctx_forget_names(ctx); // the next program may have other rights
	return queue(ctx, OP_CLEAR, op_tag, NULL, 0);
}

int systrap_save_xstate(struct platform_ctx *ctx, uaddr_t dst)
{
	return queue(ctx, OP_XSAVE, PLATFORM_TAG_COPY, (uint64_t[]){dst}, 1);
}

int systrap_load_xstate(struct platform_ctx *ctx, uaddr_t src, uint64_t features)
{
	return queue(ctx, OP_XLOAD, PLATFORM_TAG_COPY, (uint64_t[]){src, features}, 2);
}

int systrap_reset_xstate(struct platform_ctx *ctx)
{
	return queue(ctx, OP_XRESET, PLATFORM_TAG_COPY, NULL, 0);
}
