// Late calls: those that change the process's memory, or close a descriptor, and that the stub carries out by itself. The sentry enters them in
// its books with the next event, before anything else, in the order in which they were made.
//
// Between two events nobody but the process's only thread is concerned with its mappings or its descriptors, and where these go is
// written down beforehand: so an answer now and an entry later come to the same. (Who looks into another process by /proc has it come
// by first.) What the host doesn't just do goes to the sentry as if nothing had been tried: all of these calls may be made twice.
//
// It pays since a program that begins makes some ten of them, one every few microseconds: too short a time for the sentry to sleep, and longer
// than the calls take.
#include "platform/systrap/stub/stub.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define HOLE_UNKNOWN UINT64_MAX

enum {
	MAP_FLAGS = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_NORESERVE | MAP_STACK,
	BRK_GAP = PAGE_BYTES, // that is to stay free above the heap
};

static struct late_call *last_late(struct slot *s)
{
	struct slot_late *l = slot_late(s);

	return l->n ? &l->calls[l->n - 1] : NULL;
}

static bool told_as(struct slot *s, struct late_call *c, uint64_t ret)
{
	c->nr = s->call.nr;
	for (int i = 0; i < 6; i++)
		c->args[i] = s->call.args[i];
	c->ret = ret;
	s->regs.rax = ret;
	return true;
}

static bool told(struct slot *s, uint64_t ret)
{
	struct slot_late *l = slot_late(s);

	return told_as(s, &l->calls[l->n++], ret);
}

// After it nothing of the last one is left, of which nobody has heard yet, if that was about the same range.
static bool told_instead(struct slot *s, uint64_t ret)
{
	struct late_call *last = last_late(s);
	const bool same = last && last->nr == s->call.nr && last->args[0] == s->call.args[0] && last->args[1] == s->call.args[1];

	return same ? told_as(s, last, ret) : told(s, ret);
}

// Something is about to be where there may have been nothing.
static void fill(struct slot_late *l, uint64_t start, uint64_t end)
{
	if (start < l->top && end > l->bottom)
		l->hole = HOLE_UNKNOWN;
	if (start < l->brk_limit && end > l->brk_start && (start < l->top || l->brk > l->top))
		l->brk_limit = 0;
}

// A hole comes to be, or two that were there become one with what was between.
static void empty(struct slot_late *l, uint64_t start, uint64_t end)
{
	if (start == l->top)
		l->top = end;
	else if (start > l->top && l->hole < HOLE_UNKNOWN / 4)
		l->hole = 2 * l->hole + (end - start);
	else if (end > l->bottom)
		l->hole = HOLE_UNKNOWN;
}

// The stub's descriptor to map the application's from, which a file may be mapped in by; -1.
static long lent_file(uint32_t fd)
{
	const uint64_t what = lent_of(fd);

	return what & LENT_MAP ? (long)(STUB_FD_CACHE + (what & LENT_PLACE)) : -1;
}

static bool late_map(struct slot *s)
{
	struct slot_late *l = slot_late(s);
	const uint64_t *a = s->call.args, len = page_up(a[1]);
	const bool fixed = a[3] & MAP_FIXED, anonymous = a[3] & MAP_ANONYMOUS;
	const long fd = anonymous ? -1 : lent_file(a[4]);
	const uint64_t addr = fixed ? a[0] : l->top - len;
	uint64_t end;
	long ret;

	if ((a[3] & MAP_TYPE) != MAP_PRIVATE || a[3] & ~(uint64_t)MAP_FLAGS || a[2] & ~(uint64_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return false;
	if (a[2] & PROT_EXEC && (anonymous || a[2] & PROT_WRITE))
		return false;
	if (a[5] % PAGE_BYTES || a[5] >> 62 || (!anonymous && fd < 0) || !a[1] || a[1] > STUB_TEXT)
		return false;
	if (!fixed && (a[0] || len <= l->hole || l->top < l->bottom || len > l->top - l->bottom))
		return false;
	if (!range_good(addr, len, &end))
		return false;
	if (fixed)
		sites_part(addr, end);
	ret = stub_call(SYS_mmap, addr, len, a[2], MAP_PRIVATE | (anonymous ? a[3] & (MAP_ANONYMOUS | MAP_NORESERVE) : 0) | (fixed ? MAP_FIXED : MAP_FIXED_NOREPLACE),
			fd, anonymous ? 0 : a[5]);
	if (ret != (long)addr)
		return false;
	if (fixed)
		fill(l, addr, end);
	else
		l->top = addr;
	return told(s, addr);
}

static bool late_unmap(struct slot *s)
{
	struct slot_late *l = slot_late(s);
	const struct late_call *last = last_late(s);
	const uint64_t addr = s->call.args[0];
	uint64_t end;

	if (!range_good(addr, s->call.args[1], &end))
		return false;
	sites_part(addr, end);
	if (stub_call2(SYS_munmap, addr, end - addr))
		return false;
	empty(l, addr, end);
	if (!last || last->nr != SYS_mmap || last->args[3] & MAP_FIXED || last->ret != addr || last->args[1] != s->call.args[1])
		return told(s, 0);
	l->n--; // it was mapped only just: as if neither had been called
	s->regs.rax = 0;
	return true;
}

// What may not be written to because of how its file was opened, the host refuses, too, or there is no leave.
static bool late_protect(struct slot *s)
{
	const uint64_t addr = s->call.args[0], prot = s->call.args[2];
	uint64_t end;

	if (prot & ~(uint64_t)(PROT_READ | PROT_WRITE) || !range_good(addr, s->call.args[1], &end))
		return false;
	sites_restore(addr, end, (int)prot);
	return stub_call3(SYS_mprotect, addr, end - addr, prot) == 0 && told_instead(s, 0);
}

// Two in a row are told of as one, unless what the first gave up the second makes anew: that is no longer what it was.
static bool told_brk(struct slot *s, uint64_t brk)
{
	struct slot_late *l = slot_late(s);
	struct late_call *last = last_late(s);
	const uint64_t from = l->brk, since = last && last->nr == SYS_brk ? last->args[1] : UINT64_MAX;

	l->brk = brk;
	if (since == UINT64_MAX || (brk > from && from < since)) {
		told(s, brk);
		last_late(s)->args[1] = from; // which nobody else looks at
		return true;
	}
	last->args[0] = last->ret = s->regs.rax = brk;
	return true;
}

static bool late_brk(struct slot *s)
{
	struct slot_late *l = slot_late(s);
	const uint64_t brk = s->call.args[0], old_end = page_up(l->brk), new_end = page_up(brk);

	if (!l->brk)
		return false;
	if (brk < l->brk_start) { // a question
		s->regs.rax = l->brk;
		return true;
	}
	if (brk > STUB_TEXT - 2 * BRK_GAP)
		return false;
	if (new_end > old_end) {
		if (new_end + BRK_GAP > l->brk_limit || (old_end <= l->top && new_end + BRK_GAP > l->top))
			return false;
		if (stub_call(SYS_mmap, old_end, new_end - old_end, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
		    (long)old_end)
			return false;
	} else if (new_end < old_end) {
		sites_part(new_end, old_end);
		if (stub_call2(SYS_munmap, new_end, old_end - new_end))
			return false;
	}
	return told_brk(s, brk);
}

// The sentry may take it back meanwhile, but not lend it anew.
static bool late_close(struct slot *s)
{
	const uint32_t fd = s->call.args[0];

	if (!slot_late(s)->close || PARAM->watched || !(lent_of(fd) & LENT_CLOSE))
		return false;
	__atomic_store_n(&LENT[fd].what, 0, __ATOMIC_SEQ_CST);
	if (s->opened.fd_1 == fd + 1)
		s->opened.fd_1 = 0;
	return told(s, 0);
}

bool own_late(struct slot *s)
{
	const struct slot_late *l = slot_late(s);

	if (l->n >= LATE_MAX)
		return false;
	if (s->call.nr == SYS_close)
		return late_close(s);
	if (!l->memory)
		return false;
	switch (s->call.nr) {
	case SYS_mmap:
		return late_map(s);
	case SYS_munmap:
		return late_unmap(s);
	case SYS_mprotect:
		return late_protect(s);
	default:
		return late_brk(s);
	}
}
