// What the files of mm/ share. t is the task being handled; _locked: t->mm->mu is held.
#pragma once

#include "sentry/mm/mm.h"

void mm_unlock(struct mm *mm); // gives mm->mu back, then frees what was buried under it
// The tag of the next operation, which maps [start, end), or nothing that would have to be undone (0, 0). mm->mu is held.
uint32_t mm_op_tag(struct mm *mm, uaddr_t start, uaddr_t end);

// mm_map.c
int mm_check_range(uaddr_t addr, uint64_t len, uaddr_t *out_end); // page-aligned, and the application's: 0, -EINVAL, -ENOMEM
bool mm_range_reserved(uaddr_t start, uaddr_t end); // some of it is the platform's
// A free place for len bytes, or hint itself with MAP_FIXED. 0 or the errno that mmap answers.
int mm_choose_place_locked(struct mm *mm, uaddr_t hint, uint64_t len, int flags, uaddr_t *out);
bool mm_may_lock(struct task *t, uint64_t len); // RLIMIT_MEMLOCK
bool mm_over_data(struct task *t, uint64_t len); // len bytes more that may be written to would pass RLIMIT_DATA
int mm_over_limits(struct task *t, uint64_t len, int prot, int flags); // 0, or the errno of the limit that len more bytes would pass
// Maps as proto says, at a place as mm_choose_place_locked finds it. 0 or -errno.
int mm_map_locked(struct task *t, uaddr_t hint, const struct vma *proto, uint64_t len, int place_flags, uaddr_t *out_addr);
// Memory is about to be locked, which then may not be given up (mm_advise): the platform asks us from now on. After mm_ops_begin. 0 or -errno.
int mm_before_lock(struct task *t);
int mm_queue_unmap(struct task *t, uaddr_t addr, uaddr_t end); // the platform's own low pages stay, whatever range was named
