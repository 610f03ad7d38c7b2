// Questions about a path that are asked once more: stat, access, readlink, an open of what isn't there.
//
// What was answered lies in the slot, and on what it rests: counts on the parameter pages, which go on with whatever may make it untrue (vfs/remember.c).
// While they are what they were before the sentry looked, it would find the same again, so the same call with the same path gets the same answer. The
// sentry never looks at what lies here: who forges it fools himself.
//
// An answer that is to be kept costs the sentry a little more, and few paths are asked about again. So a path is only asked for with KIND_ASKS if a
// table of short hashes says that it was asked about not long ago.
#include "platform/systrap/stub/stub.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum {
	ASK_STAT = 1u << 29,
	ASK_ACCESS = 2u << 29,
	ASK_OPEN = 3u << 29,
	ASK_LINK = 4u << 29,
	ASK_KIND = 7u << 29,
	ACCESS_FLAGS_SHIFT = 3, // above the mode
};

_Static_assert(sizeof(((struct slot_name *)0)->bytes) == sizeof(struct stat), "struct stat");

struct question {
	uint64_t path, dst;
	uint32_t what; // ASK_*, and flags and mode, or the buffer's size, below
	int dirfd;
};

// What the kinds have no room for, no program with a use for the answer says.
static bool put(struct question *q, uint32_t kind, int dirfd, uint64_t path, uint32_t flags)
{
	q->what = kind | flags;
	q->dirfd = dirfd;
	q->path = path;
	return !(flags & ASK_KIND);
}

static bool put_access(struct question *q, int dirfd, uint64_t path, uint32_t mode, uint32_t flags)
{
	return mode < 1 << ACCESS_FLAGS_SHIFT && flags <= AT_EACCESS + AT_SYMLINK_NOFOLLOW && put(q, ASK_ACCESS, dirfd, path, mode | flags << ACCESS_FLAGS_SHIFT);
}

static bool put_open(struct question *q, int dirfd, uint64_t path, uint32_t flags)
{
	return !(flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) && put(q, ASK_OPEN, dirfd, path, flags);
}

static bool put_link(struct question *q, int dirfd, uint64_t path, uint64_t dst, uint32_t cap)
{
	q->dst = dst;
	return put(q, ASK_LINK, dirfd, path, cap);
}

static bool question(const struct slot_call *c, struct question *q)
{
	const uint64_t *a = c->args;

	q->dst = 0;
	switch (c->nr) {
	case SYS_stat:
		q->dst = a[1];
		return put(q, ASK_STAT, AT_FDCWD, a[0], 0);
	case SYS_lstat:
		q->dst = a[1];
		return put(q, ASK_STAT, AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW);
	case SYS_newfstatat:
		q->dst = a[2];
		return put(q, ASK_STAT, a[0], a[1], a[3]);
	case SYS_access:
		return put_access(q, AT_FDCWD, a[0], a[1], 0);
	case SYS_faccessat:
		return put_access(q, a[0], a[1], a[2], 0);
	case SYS_faccessat2:
		return put_access(q, a[0], a[1], a[2], a[3]);
	case SYS_open:
		return put_open(q, AT_FDCWD, a[0], a[1]);
	case SYS_openat:
		return put_open(q, a[0], a[1], a[2]);
	case SYS_readlink:
		return put_link(q, AT_FDCWD, a[0], a[1], a[2]);
	case SYS_readlinkat:
		return put_link(q, a[0], a[1], a[2], a[3]);
	}
	return false;
}

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

static uint64_t hash_of(const uint64_t *path, unsigned words, uint32_t what)
{
	const uint64_t mix = 0x9e3779b97f4a7c15ull;
	uint64_t h = what;

	for (unsigned i = 0; i < words; i++) {
		h = (h ^ path[i]) * mix;
		h ^= h >> 32;
	}
	return h;
}

static bool still_so(const struct slot_name *n)
{
	for (unsigned i = 0; i < SLOT_RESTS; i++)
		if (PARAM->path_counts[n->on[i].index % PARAM_PATH_COUNTS] != n->on[i].count)
			return false;
	return true;
}

static bool same(const struct slot_name *n, const uint64_t *path, unsigned words)
{
	for (unsigned i = 0; i < words; i++)
		if (n->path[i] != path[i])
			return false;
	return true;
}

// How much the answer puts in the application's memory.
static uint64_t bytes_of(const struct slot_name *n)
{
	switch (n->what & ASK_KIND) {
	case ASK_STAT:
		return n->ret == 0 ? sizeof(n->bytes) : 0;
	case ASK_LINK:
		return n->ret > 0 ? n->ret : 0;
	}
	return 0;
}

static bool answer(struct slot *s, unsigned place_1, const struct question *q, uint64_t hash, unsigned words)
{
	const struct slot_name *n = name_at(s, place_1 - 1);
	uint64_t len;

	if (!place_1 || n->hash != hash || n->what != q->what || n->born != s->names.born || !same(n, path_of(s), words) || !still_so(n))
		return false;
	len = bytes_of(n);
	if (len && (q->dst > STUB_TEXT - sizeof(n->bytes) || stub_copy((void *)q->dst, n->bytes, len) < 0))
		return false;
	s->regs.rax = n->ret;
	return true;
}

bool own_name(struct slot *s)
{
	struct question q;
	uint64_t *path = path_of(s), hash;
	unsigned words, at;
	uint16_t mark;
	long len;

	s->names.asks = 0;
	if (!question(&s->call, &q))
		return false;
	len = stub_copy_str(path, (const void *)q.path, SLOT_NAME_BYTES);
	if (len < 0)
		return false;
	if (len > 1 && (q.dirfd == AT_FDCWD || *(const char *)path == '/')) {
		words = (len + 7) / 8;
		if (len % 8)
			path[words - 1] &= ~0ull >> 8 * (8 - len % 8);
		hash = hash_of(path, words, q.what);
		mark = hash >> 48 | 1;
		at = seen_at(hash);
		if (s->names.seen[at] == mark) {
			if (answer(s, s->names.place_1[at], &q, hash, words))
				return true;
			s->names.asks = KIND_ASKS;
			s->names.hash = hash;
			s->names.what = q.what;
		} else {
			s->names.seen[at] = mark;
			s->names.place_1[at] = 0;
		}
	}
	s->names.len = len;
	return false;
}

// The path and what came with the answer are in the data area still.
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
	for (unsigned i = 0; i < (bytes_of(n) + 7) / 8; i++)
		n->bytes[i] = bytes[i];
	n->born = s->names.born;
}
