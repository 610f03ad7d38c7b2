// Answers about paths in common: what one process was told, others are told by their stubs (stub/names.c).
//
// That holds as long as all processes of the sandbox would be told the same: of one root, one view of the mounts, one user's with the same
// rights. When the first one becomes another, all that is in common goes, and nothing comes there any more. Until then nobody can read there what he could not
// ask for himself. What is in common the sentry has worked out from what it copied itself; an application can't put anything there but by asking.
//
// A path gets there when a second process asks about it.
#include "platform/systrap/systrap_int.h"

#include <string.h>

#include "platform/systrap/question.h"

enum {
	SEEN = 4096,
	PATIENCE = 4, // for one that is good still only every so many others take the place
	PATH_WORDS = SLOT_NAME_BYTES / 8,
};

static struct mutex mu = MUTEX_INIT; // whoever writes there
static _Atomic bool apart; // changes with mu: it is over
static uint32_t refused; // Guarded by mu.
static _Atomic uint32_t seen[SEEN]; // who asked last, and a short hash of what

// The question of the call that this worker handles.
static _Thread_local struct asked {
	struct platform_ctx *ctx; // NULL: it isn't to be put in common
	uint64_t hash;
	uint32_t what;
	uint64_t path[PATH_WORDS]; // zeros behind it
} asked;

static uint32_t mark_of(const struct platform_ctx *ctx, uint64_t hash)
{
	return (uint32_t)(hash >> 48) << 16 | (ctx->born & 0xffff);
}

// True if another process asked the same before.
static bool saw(struct platform_ctx *ctx, uint64_t hash)
{
	_Atomic uint32_t *at = &seen[(hash >> 32) % SEEN];
	const uint32_t mark = mark_of(ctx, hash), last = atomic_load_explicit(at, memory_order_relaxed);

	if (last == mark)
		return false;
	atomic_store_explicit(at, mark, memory_order_relaxed);
	return last >> 16 == mark >> 16;
}

static bool wanted(struct platform_ctx *ctx, const struct slot_call *call, const char *path, size_t len)
{
	struct question q;

	asked.ctx = NULL;
	if (apart || path[0] != '/' || len > SLOT_NAME_BYTES || !question_of(call, &q))
		return false;
	memset(asked.path, 0, sizeof(asked.path));
	memcpy(asked.path, path, len);
	asked.what = q.what;
	asked.hash = question_hash(asked.path, (unsigned)((len + 7) / 8), q.what);
	if (saw(ctx, asked.hash) || ctx->asks_rests)
		asked.ctx = ctx;
	return asked.ctx;
}

bool systrap_asks_rests(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], const char *path, size_t len)
{
	struct slot_call call = {.nr = (uint32_t)nr};

	memcpy(call.args, args, sizeof(call.args));
	return wanted(ctx, &call, path, len) || ctx->asks_rests;
}

// Where it belongs: in the place of the same, or of one that isn't so any more. NULL: those that are there stay.
static struct common_name *room_locked(uint64_t hash)
{
	struct common_name *set = &stub_param->common[common_set(hash)];

	for (unsigned i = 0; i < PARAM_COMMON_WAYS; i++)
		if (set[i].name.hash == hash)
			return &set[i];
	for (unsigned i = 0; i < PARAM_COMMON_WAYS; i++)
		if (!set[i].seq || !rests_hold(set[i].name.on, stub_param->path_counts))
			return &set[i];
	return ++refused % PATIENCE ? NULL : &set[refused / PATIENCE % PARAM_COMMON_WAYS];
}

static void put_locked(struct common_name *c, const struct slot_name *name)
{
	const uint32_t seq = c->seq;

	__atomic_store_n(&c->seq, seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	c->name = *name;
	__atomic_store_n(&c->seq, seq + 2, __ATOMIC_RELEASE);
}

void systrap_keep_answer(struct platform_ctx *ctx, const struct platform_rests *rests, long ret, const void *answer, size_t len)
{
	struct slot_name name = {.hash = asked.hash, .what = asked.what, .ret = ret};
	struct common_name *to;

	if (ctx->asks_rests) {
		ctx->rests = *rests;
		ctx->rests_set = true;
	}
	if (asked.ctx != ctx)
		return;
	asked.ctx = NULL;
	if (answer_bytes(&name) != len || len > sizeof(name.bytes))
		return;
	memcpy(name.path, asked.path, sizeof(name.path));
	if (len)
		memcpy(name.bytes, answer, len);
	for (unsigned i = 0; i < SLOT_RESTS; i++)
		name.on[i] = (struct slot_rest){rests->on[i].index, rests->on[i].count};
	mutex_lock(&mu);
	to = apart ? NULL : room_locked(name.hash);
	if (to) {
		put_locked(to, &name);
		stub_param->common_on = 1;
	}
	mutex_unlock(&mu);
}

void systrap_names_apart(void)
{
	static const struct slot_name none;

	mutex_lock(&mu);
	stub_param->common_on = 0;
	for (unsigned i = 0; i < PARAM_COMMON && !apart; i++)
		if (stub_param->common[i].seq)
			put_locked(&stub_param->common[i], &none);
	apart = true;
	mutex_unlock(&mu);
}
