// Changes of mappings that are there: mprotect, mremap, madvise, mlock; and the barrier on who uses them.
#include "sentry/mm/mm.h"

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_int.h"
#include "sentry/mm/vma.h"

// The end of the mappings that follow each other without a hole from start, at most end.
static uaddr_t run_end(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start);

	for (; v && start < end && v->start <= start; v = vma_next(v))
		start = v->end;
	return MIN(start, end);
}

int mm_protect(struct task *t, uaddr_t addr, uint64_t len, int prot)
{
	struct mm *mm = t->mm;
	bool down = prot & PROT_GROWSDOWN;
	struct vma *v;
	uaddr_t end, stop;
	int err = mm_check_range(addr, len, &end), early = 0;
	uint64_t more = 0;

	if (err || addr == end)
		return err;
	err = mm_ops_begin(t);
	if (err)
		return err;
	prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
	mutex_lock(&mm->mu);
	v = vma_find(mm, addr);
	if (down && v && v->start < end) {
		addr = v->start;
		err = v->flags & MAP_GROWSDOWN ? 0 : -EINVAL;
	}
	stop = run_end(mm, addr, end);
	if (stop < end)
		early = -ENOMEM;
	for (; v && v->start < stop; v = vma_next(v)) {
		if (prot & PROT_WRITE && !(v->prot & PROT_WRITE) && v->flags & MAP_PRIVATE)
			more += MIN(v->end, stop) - MAX(v->start, addr);
		if (prot & ~v->max_prot || mm_over_data(t, more)) {
			early = prot & ~v->max_prot ? -EACCES : -ENOMEM;
			stop = MAX(v->start, addr);
		}
	}
	if (!err && addr < stop)
		err = vma_isolate(mm, addr, stop);
	if (!err && addr < stop) {
		for (v = vma_find(mm, addr); v && v->start < stop; v = vma_next(v))
			vma_set(mm, v, prot, v->flags);
		vma_merge_range(mm, addr, stop);
		if (!mm->told)
			err = platform->protect(t->ctx, mm_op_tag(mm, 0, 0), addr, stop - addr, prot);
	}
	mm_unlock(mm);
	return err ?: early;
}

// Moves [addr, addr+len), which lies in one mapping, to a place that is free.
static int move_locked(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t to)
{
	struct mm *mm = t->mm;
	struct vma *v, *moved;
	int err = vma_isolate(mm, addr, addr + len);

	if (err)
		return err;
	v = vma_find(mm, addr);
	moved = vma_copy(v);
	if (!moved)
		return -ENOMEM;
	moved->start = to;
	moved->end = to + new_len;
	moved->name = NULL;
	if (!(flags & MREMAP_DONTUNMAP))
		vma_bury(mm, v);
	else if (v->flags & MAP_LOCKED) // its pages have left
		vma_set(mm, v, v->prot, v->flags & ~MAP_LOCKED);
	vma_insert(mm, moved);
	vma_merge_range(mm, addr, addr + len);
	vma_merge_range(mm, to, to + new_len);
	return platform->remap(t->ctx, mm_op_tag(mm, to, to + new_len), addr, len, to, new_len, flags & MREMAP_DONTUNMAP);
}

// MREMAP_FIXED and MREMAP_DONTUNMAP. Since Linux 6.17 a move without a change of size may take many mappings, with holes between them.
static int remap_away(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	struct vma *v = vma_find(mm, addr);
	uaddr_t end = addr + len, to, at, piece_end;
	bool many = (flags & MREMAP_FIXED) && len == new_len;
	int err;

	if (addr + MIN(len, new_len) > v->end && !many)
		return -EFAULT;
	if (new_len < len) { // the tail goes first, as on Linux
		err = vma_clear_range(mm, addr + new_len, end) ?: mm_queue_unmap(t, addr + new_len, end);
		if (err)
			return err;
		len = new_len;
		end = addr + len;
		v = vma_find(mm, addr);
	}
	err = new_len > len || (flags & MREMAP_DONTUNMAP) ? mm_over_limits(t, new_len - (flags & MREMAP_DONTUNMAP ? 0 : len), v->prot, v->flags)
							  : 0;
	if (err)
		return err;
	err = mm_choose_place_locked(mm, flags & MREMAP_FIXED ? new_addr : 0, new_len, flags & MREMAP_FIXED ? MAP_FIXED : 0, &to);
	*out_addr = to;
	for (at = addr; !err && at < end && (v = vma_find(mm, at)) && v->start < end; at = piece_end) {
		uaddr_t piece = MAX(v->start, at), dst = to + (piece - addr);
		uint64_t dst_len;

		piece_end = MIN(v->end, end);
		dst_len = many ? piece_end - piece : new_len;
		err = vma_clear_range(mm, dst, dst + dst_len) ?: move_locked(t, piece, piece_end - piece, dst_len, flags, dst);
	}
	return err;
}

// Growing [addr, addr+len), in place if the room is free.
static int remap_grow(struct task *t, struct vma *v, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	uaddr_t to;
	int err;

	if (addr + len > v->end)
		return -EFAULT;
	err = mm_over_limits(t, new_len - len, v->prot, v->flags);
	if (err)
		return err;
	if (addr + len == v->end && new_len <= APP_MAX - addr && vma_range_free(mm, v->end, addr + new_len) &&
	    !mm_range_reserved(addr, addr + new_len)) {
		vma_resize(mm, v, addr + new_len);
		vma_merge_range(mm, addr, addr + new_len);
		*out_addr = addr;
		return platform->remap(t->ctx, mm_op_tag(mm, addr + len, addr + new_len), addr, len, addr, new_len, 0);
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	err = mm_choose_place_locked(mm, 0, new_len, 0, &to);
	*out_addr = to;
	return err ?: move_locked(t, addr, len, new_len, 0, to);
}

// Of length 0: a second view of shared memory.
static int remap_again(struct task *t, struct vma *v, uaddr_t addr, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct vma proto = *v;

	if (!(v->flags & MAP_SHARED) || !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	proto.file_offset += addr - v->start;
	proto.host_offset += addr - v->start;
	if (flags & MREMAP_FIXED)
		return mm_map_locked(t, new_addr, &proto, new_len, MAP_FIXED, out_addr);
	return mm_map_locked(t, 0, &proto, new_len, 0, out_addr);
}

static int remap_locked(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	struct vma *v = vma_find(mm, addr);

	if (!v || v->start > addr)
		return -EFAULT;
	if (len == 0)
		return remap_again(t, v, addr, new_len, flags, new_addr, out_addr);
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return remap_away(t, addr, len, new_len, flags, new_addr, out_addr);
	*out_addr = addr;
	if (new_len > len)
		return remap_grow(t, v, addr, len, new_len, flags, out_addr);
	if (new_len == len)
		return 0;
	return vma_clear_range(mm, addr + new_len, addr + len) ?: mm_queue_unmap(t, addr + new_len, addr + len);
}

int mm_remap(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	uaddr_t end, new_end;
	int err = mm_check_range(addr, len, &end);

	if (err)
		return -EINVAL;
	len = PAGE_ALIGN(len);
	if (PAGE_ALIGN(new_len) < new_len)
		return -EINVAL;
	new_len = PAGE_ALIGN(new_len);
	if (new_len == 0 || (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) ||
	    ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && !(flags & MREMAP_MAYMOVE)) ||
	    ((flags & MREMAP_DONTUNMAP) && len != new_len))
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (mm_check_range(new_addr, new_len, &new_end) || (new_addr < end && new_end > addr))
			return -EINVAL;
	}
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	err = remap_locked(t, addr, len, new_len, flags, new_addr, out_addr);
	mm_unlock(mm);
	return err;
}

// What Linux demands of a mapping for an advice.
static int check_advice(const struct vma *v, int advice)
{
	switch (advice) {
	case MADV_WIPEONFORK:
		return v->hostfd || (v->flags & MAP_SHARED) ? -EINVAL : 0;
	case MADV_FREE:
		return v->hostfd || (v->flags & MAP_LOCKED) ? -EINVAL : 0;
	case MADV_DONTNEED:
		return v->flags & MAP_LOCKED ? -EINVAL : 0;
	case MADV_REMOVE:
		if (!v->hostfd || (v->flags & MAP_LOCKED))
			return -EINVAL;
		return (v->flags & MAP_SHARED) && (v->max_prot & PROT_WRITE) ? 0 : -EACCES;
	case MADV_POPULATE_READ:
		return v->prot & PROT_READ ? 0 : -EINVAL;
	case MADV_POPULATE_WRITE:
		return v->prot & PROT_WRITE ? 0 : -EINVAL;
	}
	return 0;
}

static void note_advice(struct mm *mm, uaddr_t start, uaddr_t end, int set, int clear)
{
	struct vma *v;

	for (v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		v->advice = (v->advice | set) & ~clear;
	vma_merge_range(mm, start, end);
}

// One run of mappings without a hole: up to the first that refuses.
static int advise_run(struct task *t, uaddr_t start, uaddr_t end, int advice)
{
	struct mm *mm = t->mm;
	uaddr_t stop = end;
	struct vma *v;
	int refused = 0, err = 0;

	for (v = vma_find(mm, start); v && v->start < stop; v = vma_next(v)) {
		refused = check_advice(v, advice);
		if (refused)
			stop = MAX(v->start, start);
	}
	if (start == stop)
		return refused;
	if (advice == MADV_DONTFORK || advice == MADV_DOFORK || advice == MADV_WIPEONFORK || advice == MADV_KEEPONFORK) {
		err = vma_isolate(mm, start, stop);
		if (err)
			return err;
		note_advice(mm, start, stop, advice == MADV_DONTFORK ? VMA_DONTFORK : advice == MADV_WIPEONFORK ? VMA_WIPEONFORK : 0,
			    advice == MADV_DOFORK ? VMA_DONTFORK : advice == MADV_KEEPONFORK ? VMA_WIPEONFORK : 0);
	}
	return platform->advise(t->ctx, mm_op_tag(mm, 0, 0), start, stop - start, advice) ?: refused;
}

int mm_advise(struct task *t, uaddr_t addr, uint64_t len, int advice)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t end, stop;
	bool holes;
	int err;

	if ((addr & ~PAGE_MASK) || PAGE_ALIGN(len) < len || __builtin_add_overflow(addr, PAGE_ALIGN(len), &end))
		return -EINVAL;
	if (addr == end)
		return 0;
	holes = end > APP_MAX;
	end = MIN(end, APP_MAX);
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	for (; !err && addr < end; addr = stop) {
		stop = run_end(mm, addr, end);
		if (stop > addr) {
			err = advise_run(t, addr, stop, advice);
		} else { // a hole
			holes = true;
			v = vma_find(mm, addr);
			stop = v ? MIN(v->start, end) : end;
		}
	}
	if ((advice == MADV_DONTNEED || advice == MADV_FREE) && !mm->locked_bytes && platform->lend_advice && !kernel()->strace)
		platform->lend_advice(t->ctx, 0, true);
	mm_unlock(mm);
	return err ?: holes ? -ENOMEM : 0;
}

int mm_barrier(struct task *t)
{
	struct mm *mm = t->mm;
	int err = mm_ops_begin(t);

	if (err)
		return err;
	mutex_lock(&mm->mu);
	err = platform->barrier(t->ctx, mm_op_tag(mm, 0, 0));
	mm_unlock(mm);
	return err;
}

int mm_before_lock(struct task *t)
{
	return platform->lend_advice ? platform->lend_advice(t->ctx, mm_op_tag(t->mm, 0, 0), false) : 0;
}

int mm_lock(struct task *t, uaddr_t addr, uint64_t len, bool lock)
{
	struct mm *mm = t->mm;
	uaddr_t start = addr & PAGE_MASK, end, stop;
	struct vma *v;
	uint64_t more = 0;
	int err;

	if (__builtin_add_overflow(len, addr - start, &len))
		return -EINVAL;
	if (lock && task_rlimit(t, RLIMIT_MEMLOCK) == 0 && !cred_has_cap(t->cred, CAP_IPC_LOCK))
		return -EPERM;
	err = mm_check_range(start, len, &end);
	if (err || start == end)
		return err;
	err = lock ? mm_ops_begin(t) : 0;
	if (err)
		return err;
	mutex_lock(&mm->mu);
	stop = run_end(mm, start, end);
	for (v = vma_find(mm, start); lock && v && v->start < end; v = vma_next(v))
		if (!(v->flags & MAP_LOCKED))
			more += MIN(v->end, end) - MAX(v->start, start);
	if (lock && !mm_may_lock(t, more))
		err = -ENOMEM;
	else if (start < stop)
		err = (lock ? mm_before_lock(t) : 0) ?: vma_isolate(mm, start, stop);
	if (!err) {
		for (v = vma_find(mm, start); v && v->start < stop; v = vma_next(v))
			vma_set(mm, v, v->prot, lock ? v->flags | MAP_LOCKED : v->flags & ~MAP_LOCKED);
		vma_merge_range(mm, start, stop);
	}
	mm_unlock(mm);
	return err ?: stop < end ? -ENOMEM : 0;
}

int mm_lock_all(struct task *t, bool current, bool future)
{
	struct mm *mm = t->mm;
	struct vma *v;
	int err = 0;

	if ((current || future) && task_rlimit(t, RLIMIT_MEMLOCK) == 0 && !cred_has_cap(t->cred, CAP_IPC_LOCK))
		return -EPERM;
	err = current ? mm_ops_begin(t) : 0;
	if (err)
		return err;
	mutex_lock(&mm->mu);
	if (current && !mm_may_lock(t, mm->total_bytes - MIN(mm->locked_bytes, mm->total_bytes)))
		err = -ENOMEM;
	else if (current)
		err = mm_before_lock(t);
	if (!err) {
		mm->lock_future = future;
		if (current || !future)
			RB_FOREACH(v, vma_tree, &mm->vmas)
				vma_set(mm, v, v->prot, current ? v->flags | MAP_LOCKED : v->flags & ~MAP_LOCKED);
	}
	mm_unlock(mm);
	return err;
}
