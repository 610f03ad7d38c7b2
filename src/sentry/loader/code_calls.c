// What the platform may know of an interpreter's code (ld.so) before it runs: where it makes calls, and where it asks what the processor is.
//
// Each program that begins makes some thirty calls from there, each by a signal, and asks the processor some seventy times, each of which
// takes a virtual machine as long as that. But it lives too short to be taught, and the file is always the same. So the
// code of a file that is executed again and again is looked through once, one instruction after the other from the segment's beginning, as compilers and assemblers
// put nothing else there. What isn't all made of known instructions is left alone. A file is known by its time of change.
#include "sentry/loader/code_calls.h"

#include <string.h>

#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/mutex.h"
#include "platform/platform.h"
#include "sentry/loader/elf.h"
#include "sentry/vfs/vfs.h"
#include "sentry/kernel/task.h"

enum {
	FILES = 4,
	EXECUTIONS = 3, // before it is looked through
	CODE_MAX = 1 << 20,
	WORTH = 4,  // of them in a page
	TAIL = 16,  // that may be the beginning of an instruction at the end
};

static struct known {
	uint64_t dev, ino, size;
	struct timespec ctime;
	uint64_t offset; // of the segment
	uint32_t executions;
	int n; // -1: not looked through, or in vain
	uint32_t at[CODE_CALLS_MAX];
} *known[FILES]; // Guarded by known_mu: the last one that was used first
static struct mutex known_mu = MUTEX_INIT;

static bool is_call(const uint8_t *p, unsigned len)
{
	return len == 2 && p[0] == 0x0f && (p[1] == 0x05 || p[1] == 0xa2);
}

static int count_in_page(const uint32_t *at, int n, uint32_t page)
{
	int count = 0;

	for (int i = 0; i < n; i++)
		count += at[i] / PAGE_SIZE == page;
	return count;
}

// Leaves out those in pages with few. at is in order.
static int worthwhile(uint32_t *at, int n)
{
	int left = 0;

	for (int i = 0, run; i < n; i += run) {
		run = count_in_page(at + i, n - i, at[i] / PAGE_SIZE);
		if (run < WORTH)
			continue;
		memmove(at + left, at + i, run * sizeof(*at));
		left += run;
	}
	return left;
}

int code_calls_find(const uint8_t *code, size_t len, uint32_t *out, int max)
{
	int n = 0;

	for (size_t at = 0; at + TAIL < len;) {
		const unsigned l = code_insn_len(code + at, len - at);

		if (!l)
			return -1;
		if (is_call(code + at, l)) {
			if (n == max)
				return -1;
			out[n++] = at + l;
		}
		at += l;
	}
	return worthwhile(out, n);
}

static int look_through(struct file *f, const struct elf_segment *s, uint32_t at[CODE_CALLS_MAX])
{
	const size_t len = s->data_end - s->start;
	uint8_t *code = len <= CODE_MAX ? kmem_bytes(len) : NULL;
	int n = -1;

	if (code && file_read_kernel(f, code, len, s->offset) == (int64_t)len)
		n = code_calls_find(code, len, at, CODE_CALLS_MAX);
	kmem_bytes_free(code);
	return n;
}

static bool is_known(const struct known *k, const struct inode *i, uint64_t offset)
{
	return k->dev == i->sb->dev && k->ino == i->attr.ino && k->size == i->attr.size && k->ctime.tv_sec == i->attr.ctime.tv_sec &&
	       k->ctime.tv_nsec == i->attr.ctime.tv_nsec && k->offset == offset;
}

// The record of this file, which comes to the front; a new one takes the place of the one that was used longest ago. NULL: no memory.
static struct known *find_locked(const struct inode *i, uint64_t offset)
{
	struct known *k;
	int at;

	for (at = 0; at < FILES - 1 && known[at] && !is_known(known[at], i, offset); at++)
		;
	k = known[at] ?: kmem_bytes(sizeof(*k));
	if (!k)
		return NULL;
	if (!known[at] || !is_known(k, i, offset))
		*k = (struct known){.dev = i->sb->dev, .ino = i->attr.ino, .size = i->attr.size, .ctime = i->attr.ctime, .offset = offset, .n = -1};
	memmove(known + 1, known, at * sizeof(*known));
	known[0] = k;
	return k;
}

// What is known of this file, which is executed once more: how many are in at. *out_look: it is time to look through it.
static int take_known(const struct inode *i, uint64_t offset, uint32_t at[CODE_CALLS_MAX], bool *out_look)
{
	struct known *k;
	int n = -1;

	mutex_lock(&known_mu);
	k = find_locked(i, offset);
	*out_look = k && k->executions < EXECUTIONS && ++k->executions == EXECUTIONS;
	if (k && k->n > 0) {
		n = k->n;
		memcpy(at, k->at, n * sizeof(*at));
	}
	mutex_unlock(&known_mu);
	return n;
}

static void put_known(const struct inode *i, uint64_t offset, const uint32_t at[CODE_CALLS_MAX], int n)
{
	struct known *k;

	mutex_lock(&known_mu);
	k = find_locked(i, offset);
	if (k && n > 0) {
		k->n = n;
		memcpy(k->at, at, n * sizeof(*at));
	}
	mutex_unlock(&known_mu);
}

// Without the lock where the file is read and where the platform may have to wait for a stub.
void code_calls_tell(struct task *t, struct file *f, const struct elf_segment *s, uaddr_t bias)
{
	uint32_t at[CODE_CALLS_MAX];
	bool look;
	int n;

	if (!platform->calls_at || !f->inode)
		return;
	n = take_known(f->inode, s->offset, at, &look);
	if (look) {
		n = look_through(f, s, at);
		put_known(f->inode, s->offset, at, n);
	}
	if (n > 0)
		platform->calls_at(t->ctx, bias + s->start, s->file_end - s->start, s->prot, at, (unsigned)n);
}
