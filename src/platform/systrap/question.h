// Calls that ask about a path: what is asked, as the stub and the sentry both tell one question from another. Freestanding.
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "platform/systrap/channel.h"

enum {
	ASK_STAT = 1u << 29,
	ASK_ACCESS = 2u << 29,
	ASK_OPEN = 3u << 29,
	ASK_LINK = 4u << 29,
	ASK_EXEC = 5u << 29,
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
static inline bool question_put(struct question *q, uint32_t kind, int dirfd, uint64_t path, uint32_t flags)
{
	q->what = kind | flags;
	q->dirfd = dirfd;
	q->path = path;
	return !(flags & ASK_KIND);
}

static inline bool question_access(struct question *q, int dirfd, uint64_t path, uint32_t mode, uint32_t flags)
{
	return mode < 1 << ACCESS_FLAGS_SHIFT && flags <= AT_EACCESS + AT_SYMLINK_NOFOLLOW && question_put(q, ASK_ACCESS, dirfd, path, mode | flags << ACCESS_FLAGS_SHIFT);
}

static inline bool question_open(struct question *q, int dirfd, uint64_t path, uint32_t flags)
{
	return !(flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) && question_put(q, ASK_OPEN, dirfd, path, flags);
}

static inline bool question_link(struct question *q, int dirfd, uint64_t path, uint64_t dst, uint32_t cap)
{
	q->dst = dst;
	return question_put(q, ASK_LINK, dirfd, path, cap);
}

static inline bool question_of(const struct slot_call *c, struct question *q)
{
	const uint64_t *a = c->args;

	q->dst = 0;
	switch (c->nr) {
	case SYS_stat:
		q->dst = a[1];
		return question_put(q, ASK_STAT, AT_FDCWD, a[0], 0);
	case SYS_lstat:
		q->dst = a[1];
		return question_put(q, ASK_STAT, AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW);
	case SYS_newfstatat:
		q->dst = a[2];
		return question_put(q, ASK_STAT, a[0], a[1], a[3]);
	case SYS_access:
		return question_access(q, AT_FDCWD, a[0], a[1], 0);
	case SYS_faccessat:
		return question_access(q, a[0], a[1], a[2], 0);
	case SYS_faccessat2:
		return question_access(q, a[0], a[1], a[2], a[3]);
	case SYS_open:
		return question_open(q, AT_FDCWD, a[0], a[1]);
	case SYS_openat:
		return question_open(q, a[0], a[1], a[2]);
	case SYS_readlink:
		return question_link(q, AT_FDCWD, a[0], a[1], a[2]);
	case SYS_readlinkat:
		return question_link(q, a[0], a[1], a[2], a[3]);
	case SYS_execve: // whose file Linux opens before it looks at the vectors
		return question_put(q, ASK_EXEC, AT_FDCWD, a[0], 0);
	}
	return false;
}

static inline uint64_t question_hash(const uint64_t *path, unsigned words, uint32_t what)
{
	const uint64_t mix = 0x9e3779b97f4a7c15ull;
	uint64_t h = what;

	for (unsigned i = 0; i < words; i++) {
		h = (h ^ path[i]) * mix;
		h ^= h >> 32;
	}
	return h;
}

// How much the answer puts in the application's memory.
static inline uint64_t answer_bytes(const struct slot_name *n)
{
	switch (n->what & ASK_KIND) {
	case ASK_STAT:
		return n->ret == 0 ? sizeof(n->bytes) : 0;
	case ASK_LINK:
		return n->ret > 0 ? n->ret : 0;
	}
	return 0;
}

// What an answer rests on is as it was. The counts are the parameter pages'.
static inline bool rests_hold(const struct slot_rest on[SLOT_RESTS], const volatile uint32_t counts[PARAM_PATH_COUNTS])
{
	for (unsigned i = 0; i < SLOT_RESTS; i++)
		if (__atomic_load_n(&counts[on[i].index % PARAM_PATH_COUNTS], __ATOMIC_RELAXED) != on[i].count)
			return false;
	return true;
}
