// The tree of mappings.
#include "sentry/mm/vma.h"

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/vfs/vfs.h"

KMEM_TYPE(vma_type, vma);

static int vma_compare(const struct vma *a, const struct vma *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_GENERATE(vma_tree, vma, node, vma_compare)

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

void vma_insert(struct mm *mm, struct vma *v)
{
	RB_INSERT(vma_tree, &mm->vmas, v);
	mm->total_bytes += v->end - v->start;
	if (counts_as_data(v))
		mm->data_bytes += v->end - v->start;
}

void vma_remove(struct mm *mm, struct vma *v)
{
	RB_REMOVE(vma_tree, &mm->vmas, v);
	mm->total_bytes -= v->end - v->start;
	if (counts_as_data(v))
		mm->data_bytes -= v->end - v->start;
}

int vma_split(struct mm *mm, struct vma *v, uaddr_t at)
{
	struct vma *upper = vma_copy(v);

	if (!upper)
		return -ENOMEM;
	upper->start = at;
	upper->file_offset += at - v->start;
	upper->host_offset += at - v->start;
	v->end = at;
	RB_INSERT(vma_tree, &mm->vmas, upper); // the sums stay
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
		vma_remove(mm, v);
		vma_free(v);
	}
	return 0;
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->prot == b->prot && a->max_prot == b->max_prot && a->flags == b->flags && a->file == b->file &&
	       a->hostfd == b->hostfd && a->name == b->name && a->advice == b->advice &&
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
		RB_REMOVE(vma_tree, &mm->vmas, next);
		v->end = next->end;
		vma_free(next);
	}
}

bool vma_range_free(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start);

	return !v || v->start >= end;
}

uaddr_t vma_find_gap(struct mm *mm, uint64_t len, uaddr_t bottom, uaddr_t top)
{
	struct vma *v = vma_find(mm, top);
	uaddr_t high = top;

	// v is the first above the window (or reaches into it); walk down from it.
	if (v && v->start < top)
		high = v->start;
	for (v = vma_prev(mm, v); v; v = vma_prev(mm, v)) {
		if (v->end <= high && high - v->end >= len)
			return high - len >= bottom ? high - len : 0;
		if (v->start < high)
			high = v->start;
		if (high < bottom + len)
			return 0;
	}
	return high >= bottom + len ? high - len : 0;
}
