// Decisions about an address space: each is checked, entered in the tree, and queued for the calling context to carry out.
//
// Where an application's request touches the host only through the queue, so does its failure: see mm_op_failed.
#include "sentry/mm/mm.h"

#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "host/residence.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

enum { MAPPINGS_BOTTOM = 0x100000 }; // below it only MAP_FIXED maps, as low addresses serve the platform
#define LOW_RESERVED_START 0x60000ull // the call table of patched sites
#define LOW_RESERVED_END 0x70000ull
#define BITS_32_TOP 0x80000000ull

KMEM_TYPE(mm_type, mm);

struct mm *mm_create(void)
{
	struct mm *mm = kmem_alloc(&mm_type);

	if (!mm)
		return NULL;
	ref_init(&mm->ref);
	mutex_init(&mm->mu);
	RB_INIT(&mm->vmas);
	waitq_init(&mm->ops_done);
	mm->mmap_top = APP_MAX;
	return mm;
}

struct mm *mm_get(struct mm *mm)
{
	ref_get(&mm->ref);
	return mm;
}

// Gives mm->mu back, then frees what was buried under it.
static void mm_unlock(struct mm *mm)
{
	struct vma *v = mm->dead, *next;

	mm->dead = NULL;
	mutex_unlock(&mm->mu);
	for (; v; v = next) {
		next = v->next_dead;
		vma_free(v);
	}
}

void mm_clear(struct mm *mm)
{
	struct vma *v;

	mutex_lock(&mm->mu);
	while ((v = RB_ROOT(&mm->vmas)))
		vma_bury(mm, v);
	mm->brk_start = mm->brk = 0;
	mm->lock_future = false;
	mm_unlock(mm);
}

void mm_put(struct mm *mm)
{
	if (!mm || !ref_put(&mm->ref))
		return;
	mm_clear(mm);
	waitq_fini(&mm->ops_done);
	kmem_free(&mm_type, mm);
}

void mm_ctx_attach(struct mm *mm, struct platform_ctx *ctx)
{
	mutex_lock(&mm->mu);
	mm->ctx_hint = ctx;
	mutex_unlock(&mm->mu);
}

// Another context of mm, when the one that was the hint goes: a thread's, or of the process that a vfork left behind.
static struct platform_ctx *find_other_ctx_locked(struct mm *mm, const struct platform_ctx *gone)
{
	struct platform_ctx *found = NULL;
	struct thread_group *tg;
	struct task *t;

	if (mm->users < 2)
		return NULL;
	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		TAILQ_FOREACH(t, &tg->tasks, tg_link)
			if (t->mm == mm && t->ctx && t->ctx != gone)
				found = t->ctx;
	mutex_unlock(&kernel()->tasks_mu);
	return found;
}

void mm_ctx_gone(struct mm *mm, struct platform_ctx *ctx)
{
	mutex_lock(&mm->mu);
	if (mm->last_ops == ctx)
		mm->last_ops = NULL;
	if (mm->ctx_hint == ctx)
		mm->ctx_hint = find_other_ctx_locked(mm, ctx);
	mutex_unlock(&mm->mu);
	waitq_wake(&mm->ops_done, 0);
}

void kernel_ops_done(void *owner)
{
	struct task *t = owner;

	if (t && t->mm)
		waitq_wake(&t->mm->ops_done, 0);
}

int kernel_code_prot(void *owner, uaddr_t addr, size_t len)
{
	struct task *t = owner;
	struct vma *v;
	int prot = 0;

	if (!t || !t->mm)
		return 0;
	mutex_lock(&t->mm->mu);
	v = vma_find(t->mm, addr);
	if (v && v->start <= addr && len <= v->end - addr && (v->flags & MAP_PRIVATE) && (v->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC)
		prot = v->prot;
	mutex_unlock(&t->mm->mu);
	return prot;
}

static bool others_pending(struct task *t)
{
	struct mm *mm = t->mm;
	bool pending;

	mutex_lock(&mm->mu);
	pending = mm->last_ops && mm->last_ops != t->ctx && platform->ops_pending(mm->last_ops);
	if (!pending) {
		mm->last_ops = t->ctx;
		mm->ctx_hint = t->ctx;
	}
	mutex_unlock(&mm->mu);
	return pending;
}

int mm_ops_begin(struct task *t)
{
	int err;

	if (!others_pending(t))
		return 0;
	err = task_wait_on(t, &t->mm->ops_done, 0);
	if (err)
		return err;
	if (!others_pending(t))
		return 0;
	return (int)task_block_killable(t);
}

static uint32_t tag_for(struct mm *mm, uaddr_t start, uaddr_t end)
{
	uint32_t tag = mm->next_tag++ & 0x7fffffff;

	mm->recent[tag % ARRAY_LEN(mm->recent)] = (struct mm_op){tag, start, end};
	return tag;
}

void mm_op_failed(struct task *t, uint32_t op_tag, int err)
{
	struct mm *mm = t->mm;
	struct mm_op *op = &mm->recent[op_tag % ARRAY_LEN(mm->recent)];

	log_debug("%s: the host refused an operation on [%lx, %lx): %s", t->comm, (unsigned long)op->start, (unsigned long)op->end,
		  strerrorname_np(err));
	mutex_lock(&mm->mu);
	if (op->tag == op_tag && op->start < op->end)
		vma_clear_range(mm, op->start, op->end);
	mm_unlock(mm);
}

// Page-aligned length and end of a range that the application may use. 0, -EINVAL, -ENOMEM.
static int check_range(uaddr_t addr, uint64_t len, uaddr_t *out_end)
{
	uint64_t aligned = PAGE_ALIGN(len);

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (aligned < len || __builtin_add_overflow(addr, aligned, out_end) || *out_end > APP_MAX)
		return -ENOMEM;
	return 0;
}

static bool reserved(uaddr_t start, uaddr_t end)
{
	return start < APP_MIN || end > APP_MAX || (start < LOW_RESERVED_END && end > LOW_RESERVED_START);
}

static int choose_place(struct mm *mm, uaddr_t hint, uint64_t len, int flags, uaddr_t *out)
{
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (hint & ~PAGE_MASK)
			return -EINVAL;
		if (hint > APP_MAX || len > APP_MAX - hint)
			return -ENOMEM;
		if (reserved(hint, hint + len))
			return hint < APP_MIN ? -EPERM : -ENOMEM;
		if ((flags & MAP_FIXED_NOREPLACE) && !vma_range_free(mm, hint, hint + len))
			return -EEXIST;
		*out = hint;
		return 0;
	}
	hint = PAGE_ALIGN(hint);
	if (hint >= MAPPINGS_BOTTOM && hint <= APP_MAX && len <= APP_MAX - hint && !(flags & MAP_32BIT) &&
	    vma_range_free(mm, hint, hint + len)) {
		*out = hint;
		return 0;
	}
	*out = vma_find_gap(mm, len, MAPPINGS_BOTTOM, flags & MAP_32BIT ? BITS_32_TOP : mm->mmap_top);
	if (!*out && !(flags & MAP_32BIT)) // above the usual window there may be room still
		*out = vma_find_gap(mm, len, MAPPINGS_BOTTOM, APP_MAX);
	return *out ? 0 : -ENOMEM;
}

// Anonymous shared memory is an object of its own, so that forks share it.
static struct hostfd *shared_memory(uint64_t len)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, len) < 0) {
		close(fd);
		return NULL;
	}
	return hostfd_create(fd);
}

static bool may_lock(struct task *t, uint64_t len)
{
	uint64_t limit = task_rlimit(t, RLIMIT_MEMLOCK);

	return limit == RLIM64_INFINITY || (len <= limit && t->mm->locked_bytes <= limit - len) || cred_has_cap(t->cred, CAP_IPC_LOCK);
}

static int over_limits(struct task *t, uint64_t len, int prot, int flags)
{
	struct mm *mm = t->mm;
	uint64_t as = task_rlimit(t, RLIMIT_AS), data = task_rlimit(t, RLIMIT_DATA);

	if (mm->nvmas >= MAPPINGS_MAX)
		return -ENOMEM;
	if ((flags & MAP_LOCKED) && !may_lock(t, len))
		return -EAGAIN;
	if (as != RLIM64_INFINITY && (len > as || mm->total_bytes > as - len))
		return -ENOMEM;
	if (data != RLIM64_INFINITY && (prot & PROT_WRITE) && (flags & MAP_PRIVATE) && (len > data || mm->data_bytes > data - len))
		return -ENOMEM;
	return 0;
}

static int queue_map(struct task *t, const struct vma *v)
{
	uint32_t tag = tag_for(t->mm, v->start, v->end);

	if (v->hostfd)
		return platform->map_file(t->ctx, tag, v->start, v->end - v->start, v->prot, v->flags & MAP_SHARED, v->hostfd,
					  v->host_offset);
	return platform->map_anon(t->ctx, tag, v->start, v->end - v->start, v->prot, v->flags & MAP_NORESERVE);
}

static int map_locked(struct task *t, uaddr_t hint, const struct vma *proto, uint64_t len, int place_flags, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t addr;
	int err = choose_place(mm, hint, len, place_flags, &addr) ?: over_limits(t, len, proto->prot, proto->flags);

	if (err)
		return err;
	v = vma_copy(proto);
	if (!v)
		return -ENOMEM;
	v->start = addr;
	v->end = addr + len;
	err = vma_clear_range(mm, v->start, v->end) ?: queue_map(t, v);
	if (err) {
		vma_free(v);
		return err;
	}
	vma_insert(mm, v);
	vma_merge_range(mm, addr, addr + len);
	*out_addr = addr;
	return 0;
}

int mm_map(struct task *t, uaddr_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t file_offset,
	   struct vm_backing *backing, const char *name, uaddr_t *out_addr)
{
	struct vma proto = {
		.prot = prot,
		.max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
		.flags = flags & (MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_GROWSDOWN | MAP_LOCKED),
		.file = file,
		.file_offset = file_offset,
		.name = name,
	};
	struct hostfd *host = NULL;
	uint64_t aligned = PAGE_ALIGN(len);
	int err;

	if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE)
		proto.flags = (proto.flags & ~MAP_TYPE) | MAP_SHARED;
	if (backing) {
		host = backing->hostfd;
		proto.host_offset = backing->offset;
		if (backing->deny_shared_write && (proto.flags & MAP_SHARED))
			proto.max_prot &= ~PROT_WRITE;
	}
	if (len == 0)
		err = -EINVAL;
	else if (aligned < len || aligned > APP_MAX)
		err = -ENOMEM;
	else
		err = mm_ops_begin(t);
	if (!err && !backing && (proto.flags & MAP_SHARED)) {
		host = shared_memory(aligned);
		if (!host)
			err = -ENOMEM;
	}
	if (!err) {
		proto.hostfd = host;
		mutex_lock(&t->mm->mu);
		if (t->mm->lock_future)
			proto.flags |= MAP_LOCKED;
		err = map_locked(t, addr, &proto, aligned, flags, out_addr);
		mm_unlock(t->mm);
	}
	hostfd_put(host);
	return err;
}

// Unmaps on the host; the platform's own low pages stay, whatever range was named.
static int queue_unmap(struct task *t, uaddr_t addr, uaddr_t end)
{
	struct mm *mm = t->mm;
	int err = 0;

	addr = MAX(addr, APP_MIN);
	if (addr < LOW_RESERVED_END && end > LOW_RESERVED_START) {
		if (addr < LOW_RESERVED_START)
			err = platform->unmap(t->ctx, tag_for(mm, 0, 0), addr, LOW_RESERVED_START - addr);
		addr = LOW_RESERVED_END;
	}
	if (!err && addr < end)
		err = platform->unmap(t->ctx, tag_for(mm, 0, 0), addr, end - addr);
	return err;
}

int mm_unmap(struct task *t, uaddr_t addr, uint64_t len)
{
	struct mm *mm = t->mm;
	uaddr_t end;
	int err = check_range(addr, len, &end);

	if (err || len == 0)
		return -EINVAL;
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	if (!vma_range_free(mm, addr, end))
		err = vma_clear_range(mm, addr, end) ?: queue_unmap(t, addr, end);
	mm_unlock(mm);
	return err;
}

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
	int err = check_range(addr, len, &end), early = 0;

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
		if (prot & ~v->max_prot) {
			early = -EACCES;
			stop = MAX(v->start, addr);
		}
	}
	if (!err && addr < stop)
		err = vma_isolate(mm, addr, stop);
	if (!err && addr < stop) {
		for (v = vma_find(mm, addr); v && v->start < stop; v = vma_next(v))
			vma_set(mm, v, prot, v->flags);
		vma_merge_range(mm, addr, stop);
		err = platform->protect(t->ctx, tag_for(mm, 0, 0), addr, stop - addr, prot);
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
	return platform->remap(t->ctx, tag_for(mm, to, to + new_len), addr, len, to, new_len, flags & MREMAP_DONTUNMAP);
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
		err = vma_clear_range(mm, addr + new_len, end) ?: queue_unmap(t, addr + new_len, end);
		if (err)
			return err;
		len = new_len;
		end = addr + len;
		v = vma_find(mm, addr);
	}
	err = new_len > len || (flags & MREMAP_DONTUNMAP) ? over_limits(t, new_len - (flags & MREMAP_DONTUNMAP ? 0 : len), v->prot, v->flags)
							  : 0;
	if (err)
		return err;
	err = choose_place(mm, flags & MREMAP_FIXED ? new_addr : 0, new_len, flags & MREMAP_FIXED ? MAP_FIXED : 0, &to);
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
	err = over_limits(t, new_len - len, v->prot, v->flags);
	if (err)
		return err;
	if (addr + len == v->end && new_len <= APP_MAX - addr && vma_range_free(mm, v->end, addr + new_len) &&
	    !reserved(addr, addr + new_len)) {
		vma_resize(mm, v, addr + new_len);
		vma_merge_range(mm, addr, addr + new_len);
		*out_addr = addr;
		return platform->remap(t->ctx, tag_for(mm, addr + len, addr + new_len), addr, len, addr, new_len, 0);
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	err = choose_place(mm, 0, new_len, 0, &to);
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
		return map_locked(t, new_addr, &proto, new_len, MAP_FIXED, out_addr);
	return map_locked(t, 0, &proto, new_len, 0, out_addr);
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
	return vma_clear_range(mm, addr + new_len, addr + len) ?: queue_unmap(t, addr + new_len, addr + len);
}

int mm_remap(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	uaddr_t end, new_end;
	int err = check_range(addr, len, &end);

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
		if (check_range(new_addr, new_len, &new_end) || (new_addr < end && new_end > addr))
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
		return v->hostfd ? -EINVAL : 0;
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
	return platform->advise(t->ctx, tag_for(mm, 0, 0), start, stop - start, advice) ?: refused;
}

int mm_advise(struct task *t, uaddr_t addr, uint64_t len, int advice)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t end, stop;
	bool holes = false;
	int err = check_range(addr, len, &end);

	if (err || addr == end)
		return err ? -EINVAL : 0;
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
	mm_unlock(mm);
	return err ?: holes ? -ENOMEM : 0;
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
	err = check_range(start, len, &end);
	if (err || start == end)
		return err;
	mutex_lock(&mm->mu);
	stop = run_end(mm, start, end);
	for (v = vma_find(mm, start); lock && v && v->start < end; v = vma_next(v))
		if (!(v->flags & MAP_LOCKED))
			more += MIN(v->end, end) - MAX(v->start, start);
	if (lock && !may_lock(t, more))
		err = -ENOMEM;
	else if (start < stop)
		err = vma_isolate(mm, start, stop);
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
	mutex_lock(&mm->mu);
	if (current && !may_lock(t, mm->total_bytes - MIN(mm->locked_bytes, mm->total_bytes)))
		err = -ENOMEM;
	if (!err) {
		mm->lock_future = future;
		if (current || !future)
			RB_FOREACH(v, vma_tree, &mm->vmas)
				vma_set(mm, v, v->prot, current ? v->flags | MAP_LOCKED : v->flags & ~MAP_LOCKED);
	}
	mm_unlock(mm);
	return err;
}

int mm_brk(struct task *t, uaddr_t brk, uaddr_t *out_brk)
{
	struct mm *mm = t->mm;
	const struct vma proto = {.prot = PROT_READ | PROT_WRITE,
				  .max_prot = PROT_READ | PROT_WRITE | PROT_EXEC,
				  .flags = MAP_PRIVATE | MAP_ANONYMOUS,
				  .name = "[heap]"};
	uaddr_t old_end, new_end, where;
	int err = mm_ops_begin(t);

	if (err)
		return err;
	mutex_lock(&mm->mu);
	*out_brk = mm->brk;
	old_end = PAGE_ALIGN(mm->brk);
	new_end = PAGE_ALIGN(brk);
	if (brk < mm->brk_start || brk > APP_MAX ||
	    (task_rlimit(t, RLIMIT_DATA) != RLIM64_INFINITY && brk - mm->brk_start > task_rlimit(t, RLIMIT_DATA)))
		goto out;
	if (new_end > old_end) {
		if (!vma_range_free(mm, old_end, new_end + PAGE_SIZE) ||
		    map_locked(t, old_end, &proto, new_end - old_end, MAP_FIXED, &where) < 0)
			goto out;
	} else if (new_end < old_end) {
		if (vma_clear_range(mm, new_end, old_end) < 0)
			goto out;
		err = queue_unmap(t, new_end, old_end);
	}
	*out_brk = mm->brk = brk;
out:
	mm_unlock(mm);
	return err;
}

struct mm *mm_fork(struct task *t)
{
	struct mm *mm = t->mm, *child = mm_create();
	struct vma *v, *copy;

	if (!child)
		return NULL;
	mutex_lock(&mm->mu);
	child->brk_start = mm->brk_start;
	child->brk = mm->brk;
	child->mmap_top = mm->mmap_top;
	child->code_start = mm->code_start;
	child->code_end = mm->code_end;
	child->data_start = mm->data_start;
	child->data_end = mm->data_end;
	child->stack_start = mm->stack_start;
	child->arg_start = mm->arg_start;
	child->arg_end = mm->arg_end;
	child->env_start = mm->env_start;
	child->env_end = mm->env_end;
	memcpy(child->auxv, mm->auxv, sizeof(mm->auxv));
	RB_FOREACH(v, vma_tree, &mm->vmas) {
		if (v->advice & VMA_DONTFORK)
			continue;
		copy = vma_copy(v);
		if (!copy) {
			mutex_unlock(&mm->mu);
			mm_put(child);
			return NULL;
		}
		copy->flags &= ~MAP_LOCKED;
		vma_insert(child, copy);
	}
	mutex_unlock(&mm->mu);
	return child;
}

bool mm_range_ok(struct mm *mm, uaddr_t addr, uint64_t len, int prot)
{
	uaddr_t end, at = addr;
	struct vma *v;

	if (__builtin_add_overflow(addr, len, &end) || end > APP_MAX)
		return false;
	mutex_lock(&mm->mu);
	for (v = vma_find(mm, at); v && v->start <= at && (v->prot & prot) == prot && at < end; v = vma_next(v))
		at = v->end;
	mutex_unlock(&mm->mu);
	return at >= end;
}

int mm_identify(struct mm *mm, uaddr_t addr, uintptr_t *out_object, uint64_t *out_offset)
{
	int ret = -EFAULT;
	struct vma *v;

	mutex_lock(&mm->mu);
	v = vma_find(mm, addr);
	if (v && v->start <= addr && v->prot & PROT_READ) {
		bool file = v->file && v->file->inode;

		ret = v->flags & MAP_SHARED && v->hostfd;
		*out_object = !ret ? (uintptr_t)mm : file ? (uintptr_t)v->file->inode : (uintptr_t)v->hostfd;
		*out_offset = !ret ? addr : addr - v->start + (file ? v->file_offset : v->host_offset);
	}
	mutex_unlock(&mm->mu);
	return ret;
}

void mm_each_vma(struct mm *mm, bool (*fn)(void *arg, const struct vma *v), void *arg)
{
	struct vma *v;

	mutex_lock(&mm->mu);
	RB_FOREACH(v, vma_tree, &mm->vmas)
		if (!fn(arg, v))
			break;
	mutex_unlock(&mm->mu);
}

static int64_t remote(struct mm *mm, void *here, uaddr_t there, size_t len, bool write)
{
	const struct iovec local = {here, len}, far = {(void *)there, len};
	ssize_t n;
	pid_t pid;

	if (there >= APP_MAX || len > APP_MAX - there)
		return -EFAULT;
	mutex_lock(&mm->mu);
	pid = mm->ctx_hint ? platform->host_pid(mm->ctx_hint) : 0;
	n = !pid ? -1 : write ? process_vm_writev(pid, &local, 1, &far, 1, 0) : process_vm_readv(pid, &local, 1, &far, 1, 0);
	mutex_unlock(&mm->mu);
	return n < 0 ? -EFAULT : n;
}

int64_t mm_read_remote(struct mm *mm, void *dst, uaddr_t src, size_t len)
{
	return remote(mm, dst, src, len, false);
}

int64_t mm_write_remote(struct mm *mm, uaddr_t dst, const void *src, size_t len)
{
	return remote(mm, (void *)src, dst, len, true);
}

void mm_resident(struct mm *mm, uint64_t *out_pages, uint64_t *out_shared_pages)
{
	pid_t pid;

	*out_pages = *out_shared_pages = 0;
	mutex_lock(&mm->mu);
	pid = mm->ctx_hint ? platform->host_pid(mm->ctx_hint) : 0;
	mutex_unlock(&mm->mu);
	host_process_resident(pid, out_pages, out_shared_pages);
}
