// The tree of mappings. Each node knows the extent of its subtree and the largest hole in it, so that a free range is
// found without a walk over all mappings.
#define RB_AUGMENT(v) sum_up(v)
struct vma;
static void sum_up(struct vma *v);

#include "sentry/mm/vma.h"

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/vfs/vfs.h"

KMEM_TYPE(vma_type, vma);

static int vma_compare(const struct vma *a, const struct vma *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

static void sum_up(struct vma *v)
{
	const struct vma *l = RB_LEFT(v, node), *r = RB_RIGHT(v, node);
	uint64_t hole = 0;

	if (l)
		hole = MAX(l->sub_hole, v->start - l->sub_end);
	if (r)
		hole = MAX(hole, MAX(r->sub_hole, r->sub_start - v->end));
	v->sub_start = l ? l->sub_start : v->start;
	v->sub_end = r ? r->sub_end : v->end;
	v->sub_hole = hole;
}

static void sum_up_path(struct vma *v)
{
	for (; v; v = RB_PARENT(v, node))
		sum_up(v);
}

RB_GENERATE(vma_tree, vma, node, vma_compare)

static void tree_insert(struct mm *mm, struct vma *v)
{
	sum_up(v);
	RB_INSERT(vma_tree, &mm->vmas, v);
	sum_up_path(v);
	mm->nvmas++;
}

static void tree_remove(struct mm *mm, struct vma *v)
{
	struct vma *lowest = RB_PARENT(v, node); // the lowest node whose subtree changes
	struct vma *next = RB_RIGHT(v, node);

	if (RB_LEFT(v, node) && next) { // its successor takes its place
		while (RB_LEFT(next, node))
			next = RB_LEFT(next, node);
		lowest = RB_PARENT(next, node) == v ? next : RB_PARENT(next, node);
	}
	RB_REMOVE(vma_tree, &mm->vmas, v);
	sum_up_path(lowest);
	mm->nvmas--;
}

struct vma *vma_find(struct mm *mm, uaddr_t addr)
{
	struct vma *v = RB_ROOT(&mm->vmas), *best = NULL;

	while (v) {
		if (v->end > addr) {
			best = v;
			v = RB_LEFT(v, node);
		} else {
			v = RB_RIGHT(v, node);
		}
	}
	return best;
}

struct vma *vma_next(struct vma *v)
{
	return RB_NEXT(vma_tree, NULL, v);
}

struct vma *vma_prev(struct mm *mm, struct vma *v)
{
	return v ? RB_PREV(vma_tree, &mm->vmas, v) : RB_MAX(vma_tree, &mm->vmas);
}

struct vma *vma_copy(const struct vma *proto)
{
	struct vma *v = kmem_alloc(&vma_type);

	if (!v)
		return NULL;
	*v = *proto;
	if (v->file)
		file_get(v->file);
	if (v->hostfd)
		hostfd_get(v->hostfd);
	return v;
}

void vma_free(struct vma *v)
{
	if (v->file)
		file_put(v->file);
	hostfd_put(v->hostfd);
	kmem_free(&vma_type, v);
}

static bool counts_as_data(const struct vma *v)
{
	return (v->prot & PROT_WRITE) && (v->flags & MAP_PRIVATE);
}

static void count(struct mm *mm, const struct vma *v, int sign)
{
	uint64_t len = sign * (v->end - v->start);

	mm->total_bytes += len;
	if (counts_as_data(v))
		mm->data_bytes += len;
	if (v->flags & MAP_LOCKED)
		mm->locked_bytes += len;
	if (v->ours)
		mm->our_bytes += len;
}

void vma_insert(struct mm *mm, struct vma *v)
{
	tree_insert(mm, v);
	count(mm, v, 1);
}

void vma_remove(struct mm *mm, struct vma *v)
{
	tree_remove(mm, v);
	count(mm, v, -1);
}

void vma_bury(struct mm *mm, struct vma *v)
{
	vma_remove(mm, v);
	v->next_dead = mm->dead;
	mm->dead = v;
}

void vma_set(struct mm *mm, struct vma *v, int prot, int flags)
{
	count(mm, v, -1);
	v->prot = prot;
	v->flags = flags;
	count(mm, v, 1);
}

void vma_resize(struct mm *mm, struct vma *v, uaddr_t end)
{
	count(mm, v, -1);
	v->end = end;
	count(mm, v, 1);
	sum_up_path(v);
}

int vma_split(struct mm *mm, struct vma *v, uaddr_t at)
{
	struct vma *upper = mm->nvmas < MAPPINGS_MAX ? vma_copy(v) : NULL;

	if (!upper)
		return -ENOMEM;
	upper->start = at;
	upper->file_offset += at - v->start;
	upper->host_offset += at - v->start;
	v->end = at;
	sum_up_path(v);
	tree_insert(mm, upper); // the counts stay
	return 0;
}

static int split_at(struct mm *mm, uaddr_t at)
{
	struct vma *v = vma_find(mm, at);

	return v && v->start < at ? vma_split(mm, v, at) : 0;
}

int vma_isolate(struct mm *mm, uaddr_t start, uaddr_t end)
{
	return split_at(mm, start) ?: split_at(mm, end);
}

int vma_clear_range(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v, *next;
	int err = vma_isolate(mm, start, end);

	if (err)
		return err;
	for (v = vma_find(mm, start); v && v->start < end; v = next) {
		next = vma_next(v);
		vma_bury(mm, v);
	}
	return 0;
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->max_prot == b->max_prot && a->flags == b->flags && a->file == b->file &&
	       a->hostfd == b->hostfd && a->ours == b->ours && a->name == b->name && a->advice == b->advice &&
	       (!a->file || a->file_offset + (a->end - a->start) == b->file_offset) &&
	       (!a->hostfd || a->host_offset + (a->end - a->start) == b->host_offset);
}

void vma_merge_range(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start ? start - 1 : 0), *next;

	while (v && v->start <= end && (next = vma_next(v))) {
		if (!mergeable(v, next)) {
			v = next;
			continue;
		}
		tree_remove(mm, next);
		v->end = next->end;
		sum_up_path(v);
		vma_free(next); // v refers to the same: no last reference goes
	}
}

bool vma_range_free(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start);

	return !v || v->start >= end;
}

// The highest len bytes in [lo, hi) that no mapping of v's subtree touches; 0: none.
static uaddr_t gap_around(const struct vma *v, uint64_t len, uaddr_t lo, uaddr_t hi)
{
	uaddr_t found;

	if (lo >= hi || hi - lo < len)
		return 0;
	if (!v || v->sub_end <= lo || v->sub_start >= hi)
		return hi - len;
	if (v->sub_hole < len && (v->sub_end >= hi || hi - v->sub_end < len) && (v->sub_start <= lo || v->sub_start - lo < len))
		return 0;
	found = gap_around(RB_RIGHT(v, node), len, MAX(lo, v->end), hi);
	return found ?: gap_around(RB_LEFT(v, node), len, lo, MIN(hi, v->start));
}

uaddr_t vma_find_gap(struct mm *mm, uint64_t len, uaddr_t bottom, uaddr_t top)
{
	return gap_around(RB_ROOT(&mm->vmas), len, bottom, top);
}

// The longest part of [lo, hi) that no mapping of v's subtree touches.
static uint64_t hole_around(const struct vma *v, uaddr_t lo, uaddr_t hi)
{
	uint64_t left, right;

	if (lo >= hi)
		return 0;
	if (!v || v->sub_end <= lo || v->sub_start >= hi)
		return hi - lo;
	if (v->sub_start >= lo && v->sub_end <= hi)
		return MAX(v->sub_hole, MAX(v->sub_start - lo, hi - v->sub_end));
	left = hole_around(RB_LEFT(v, node), lo, MIN(hi, v->start));
	right = hole_around(RB_RIGHT(v, node), MAX(lo, v->end), hi);
	return MAX(left, right);
}

uint64_t vma_largest_hole(struct mm *mm, uaddr_t bottom, uaddr_t top)
{
	return hole_around(RB_ROOT(&mm->vmas), bottom, top);
}
