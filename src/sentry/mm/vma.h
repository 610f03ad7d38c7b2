// The tree of mappings: look-up, split, merge, removal. mm->mu is held around all of it.
#pragma once

#include "sentry/mm/mm.h"

enum { MAPPINGS_MAX = 65530 - 50 }; // the host's usual vm.max_map_count, less what a stub has of its own

RB_PROTOTYPE(vma_tree, vma, node, vma_compare)

struct vma *vma_find(struct mm *mm, uaddr_t addr); // the first that ends above addr; NULL
struct vma *vma_next(struct vma *v);
struct vma *vma_prev(struct mm *mm, struct vma *v); // v NULL: the last
// A mapping of its own, not in the tree, with references of its own to what proto refers to. NULL: no memory.
struct vma *vma_copy(const struct vma *proto);
void vma_free(struct vma *v);
void vma_insert(struct mm *mm, struct vma *v); // the range is free
void vma_remove(struct mm *mm, struct vma *v); // out of the tree; still the caller's
// Out of the tree, and freed when mm->mu is given back: the last reference to a file must not go under that lock.
void vma_bury(struct mm *mm, struct vma *v);
void vma_set(struct mm *mm, struct vma *v, int prot, int flags);
void vma_resize(struct mm *mm, struct vma *v, uaddr_t end); // the range is free
int vma_split(struct mm *mm, struct vma *v, uaddr_t at); // 0 or -ENOMEM; v keeps the lower part
// Makes the borders of [start, end) borders of mappings.
int vma_isolate(struct mm *mm, uaddr_t start, uaddr_t end);
int vma_clear_range(struct mm *mm, uaddr_t start, uaddr_t end); // buries what is there; 0 or -ENOMEM
void vma_merge_range(struct mm *mm, uaddr_t start, uaddr_t end); // joins what is alike around and in it
// A free range of len bytes below top, as high as possible; 0: none.
uaddr_t vma_find_gap(struct mm *mm, uint64_t len, uaddr_t bottom, uaddr_t top);
uint64_t vma_largest_hole(struct mm *mm, uaddr_t bottom, uaddr_t top);
bool vma_range_free(struct mm *mm, uaddr_t start, uaddr_t end);
