// Questions about a path that are asked once more: stat, access, readlink, an open or execve of what isn't there.
//
// What was answered lies in the slot, and on what it rests: counts on the parameter pages, which go on with whatever may make it untrue (vfs/remember.c).
// While they are what they were before the sentry looked, it would find the same again, so the same call with the same path gets the same answer. The
// sentry never looks at what lies here: who forges it fools himself.
//
// An answer that is to be kept costs the sentry a little more, and few paths are asked about again. So a path is only asked for with KIND_ASKS if a
// table of short hashes says that it was asked about not long ago. What several processes ask, a compiler's each for the same headers, lies on the parameter
// pages for all of them (systrap/common_names.c).
#include "platform/systrap/stub/stub.h"

#include <fcntl.h>
#include <stdbool.h>

#include "platform/systrap/question.h"

static uint64_t *path_of(struct slot *s)
{
	return (uint64_t *)((uint8_t *)s + SLOT_DATA);
}

static struct slot_name *name_at(struct slot *s, unsigned place)
{
	return (struct slot_name *)((uint8_t *)s + SLOT_NAMES) + place % SLOT_NAMES_LEN;
}

static unsigned seen_at(uint64_t hash)
{
	return (hash >> 40) % SLOT_NAMES_SEEN;
}

static bool same(const struct slot_name *n, const uint64_t *path, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		if (n->path[i] != path[i])
			return false;
	return true;
}

static bool give(struct slot *s, const struct slot_name *n, const struct question *q, uint64_t hash, unsigned words)
{
	uint64_t len;

	if (n->hash != hash || n->what != q->what || !same(n, path_of(s), words) || !rests_hold(n->on, PARAM->path_counts))
		return false;
	len = answer_bytes(n);
	if (len && (q->dst > STUB_TEXT - sizeof(n->bytes) || stub_copy((void *)q->dst, n->bytes, len) < 0))
		return false;
	s->regs.rax = n->ret;
	return true;
}

static bool answer(struct slot *s, unsigned place_1, const struct question *q, uint64_t hash, unsigned words)
{
	const struct slot_name *n = name_at(s, place_1 - 1);

	return place_1 && n->born == s->names.born && give(s, n, q, hash, words);
}

// It is looked at while it may be written to: a copy that was whole is good.
static bool give_common(struct slot *s, const struct common_name *c, const struct question *q, uint64_t hash, unsigned words)
{
	const uint32_t seq = __atomic_load_n(&c->seq, __ATOMIC_ACQUIRE);
	struct slot_name n;

	if ((seq & 1) || *(const volatile uint64_t *)&c->name.hash != hash)
		return false;
	n = *(const volatile struct slot_name *)&c->name;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&c->seq, __ATOMIC_RELAXED) == seq && give(s, &n, q, hash, words);
}

// What another process was told.
static bool answer_in_common(struct slot *s, const struct question *q, uint64_t hash, unsigned words)
{
	const struct common_name *set = (const struct common_name *)&PARAM->common[common_set(hash)];

	for (unsigned i = 0; i < PARAM_COMMON_WAYS; i++)
		if (give_common(s, &set[i], q, hash, words))
			return true;
	return false;
}

bool own_name(struct slot *s)
{
	struct question q;
	uint64_t *path = path_of(s), hash;
	unsigned words, at;
	uint16_t mark;
	long len;

	if (!question_of(&s->call, &q))
		return false;
	s->names.asks = (q.what & ASK_KIND) == ASK_OPEN ? opened_asks(s) : 0;
	len = stub_copy_str(path, (const void *)q.path, SLOT_NAME_BYTES);
	if (len < 0)
		return false;
	if (len > 1 && (q.dirfd == AT_FDCWD || *(const char *)path == '/')) {
		words = (len + 7) / 8;
		if (len % 8)
			path[words - 1] &= ~0ull >> 8 * (8 - len % 8);
		hash = question_hash(path, words, q.what);
		mark = hash >> 48 | 1;
		at = seen_at(hash);
		if (s->names.seen[at] == mark) {
			if (answer(s, s->names.place_1[at], &q, hash, words))
				return true;
			s->names.asks |= KIND_ASKS;
			s->names.hash = hash;
			s->names.what = q.what;
		} else {
			s->names.seen[at] = mark;
			s->names.place_1[at] = 0;
		}
		if (PARAM->common_on && *(const char *)path == '/' && answer_in_common(s, &q, hash, words))
			return true;
	}
	s->names.len = len;
	return false;
}

// Of an open that fails, too. The path and what came with the answer are in the data area still.
void name_keep(struct slot *s)
{
	uint8_t *place_1 = &s->names.place_1[seen_at(s->names.hash)];
	struct slot_name *n;
	const uint64_t *path = path_of(s), *bytes = (const uint64_t *)((uint8_t *)path + s->copy.offset);

	if (s->ret > sizeof(n->bytes) && (long)s->ret > 0)
		return; // a long target
	if (!*place_1 || name_at(s, *place_1 - 1)->hash != s->names.hash)
		*place_1 = s->names.next++ % SLOT_NAMES_LEN + 1;
	n = name_at(s, *place_1 - 1);
	n->hash = s->names.hash;
	n->what = s->names.what;
	n->ret = s->ret;
	for (unsigned i = 0; i < SLOT_RESTS; i++)
		n->on[i] = s->rests.on[i];
	for (unsigned i = 0; i < (s->call.seg0_len + 7) / 8 && i < SLOT_NAME_BYTES / 8; i++)
		n->path[i] = path[i];
	for (unsigned i = 0; i < (answer_bytes(n) + 7) / 8; i++)
		n->bytes[i] = bytes[i];
	n->born = s->names.born;
}
