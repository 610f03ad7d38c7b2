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
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
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

void mm_clear(struct mm *mm)
{
	struct vma *v;

	mutex_lock(&mm->mu);
	while ((v = RB_ROOT(&mm->vmas))) {
		vma_remove(mm, v);
		vma_free(v);
	}
	mm->brk_start = mm->brk = 0;
	mutex_unlock(&mm->mu);
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

void mm_ctx_gone(struct mm *mm, struct platform_ctx *ctx)
{
	mutex_lock(&mm->mu);
	if (mm->last_ops == ctx)
		mm->last_ops = NULL;
	if (mm->ctx_hint == ctx)
		mm->ctx_hint = NULL;
	mutex_unlock(&mm->mu);
	waitq_wake(&mm->ops_done, 0);
}

void kernel_ops_done(void *owner)
{
	struct task *t = owner;

	if (t && t->mm)
		waitq_wake(&t->mm->ops_done, 0);
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

	mm->recent[tag % ARRAY_LEN(mm->recent)] = (struct mm_op){start, end};
	return tag;
}

void mm_op_failed(struct task *t, uint32_t op_tag, int err)
{
	struct mm *mm = t->mm;
	struct mm_op *op = &mm->recent[op_tag % ARRAY_LEN(mm->recent)];

	log_debug("%s: the host refused an operation on [%lx, %lx): %s", t->comm, (unsigned long)op->start, (unsigned long)op->end,
		  strerrorname_np(err));
	mutex_lock(&mm->mu);
	if (op->start < op->end)
		vma_clear_range(mm, op->start, op->end);
	mutex_unlock(&mm->mu);
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

static int over_limits(struct task *t, uint64_t len, int prot, int flags)
{
	struct mm *mm = t->mm;
	uint64_t as = task_rlimit(t, RLIMIT_AS), data = task_rlimit(t, RLIMIT_DATA);

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
		.flags = flags & (MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_GROWSDOWN | MAP_LOCKED | MAP_STACK),
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
		err = map_locked(t, addr, &proto, aligned, flags, out_addr);
		mutex_unlock(&t->mm->mu);
	}
	hostfd_put(host);
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
	if (!vma_range_free(mm, addr, end)) {
		err = vma_clear_range(mm, addr, end);
		// The platform's own low pages stay, whatever range was named.
		if (!err && addr < LOW_RESERVED_END && end > LOW_RESERVED_START) {
			if (addr < LOW_RESERVED_START)
				err = platform->unmap(t->ctx, tag_for(mm, 0, 0), MAX(addr, APP_MIN), LOW_RESERVED_START - MAX(addr, APP_MIN));
			addr = MIN(end, LOW_RESERVED_END);
		}
		if (!err && addr < end)
			err = platform->unmap(t->ctx, tag_for(mm, 0, 0), addr, end - addr);
	}
	mutex_unlock(&mm->mu);
	return err;
}

// True if there is no hole in [start, end).
static bool covered(struct mm *mm, uaddr_t start, uaddr_t end)
{
	struct vma *v = vma_find(mm, start);

	for (; v && v->start <= start; v = vma_next(v)) {
		start = v->end;
		if (start >= end)
			return true;
	}
	return start >= end;
}

int mm_protect(struct task *t, uaddr_t addr, uint64_t len, int prot)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t end;
	int err = check_range(addr, len, &end);

	if (err || addr == end)
		return err;
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	if (!covered(mm, addr, end))
		err = -ENOMEM;
	for (v = vma_find(mm, addr); !err && v && v->start < end; v = vma_next(v))
		if (prot & ~v->max_prot)
			err = -EACCES;
	err = err ?: vma_isolate(mm, addr, end);
	if (!err) {
		for (v = vma_find(mm, addr); v && v->start < end; v = vma_next(v)) {
			vma_remove(mm, v);
			v->prot = prot;
			vma_insert(mm, v);
		}
		vma_merge_range(mm, addr, end);
		err = platform->protect(t->ctx, tag_for(mm, 0, 0), addr, end - addr, prot);
	}
	mutex_unlock(&mm->mu);
	return err;
}

// Growing or moving [addr, addr+len), which lies in v.
static int remap_locked(struct task *t, struct vma *v, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t fixed,
			uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	uaddr_t to;
	struct vma *moved;
	int err = new_len > len ? over_limits(t, new_len - len, v->prot, v->flags) : 0;

	if (err)
		return err;
	if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) && addr + len == v->end && new_len >= len && new_len <= APP_MAX - addr &&
	    vma_range_free(mm, v->end, addr + new_len)) {
		vma_remove(mm, v);
		v->end = addr + new_len;
		vma_insert(mm, v);
		vma_merge_range(mm, addr, v->end);
		*out_addr = addr;
		return platform->remap(t->ctx, tag_for(mm, addr + len, addr + new_len), addr, len, addr, new_len, 0);
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	err = choose_place(mm, flags & MREMAP_FIXED ? fixed : 0, new_len, flags & MREMAP_FIXED ? MAP_FIXED : 0, &to);
	if (!err && (flags & MREMAP_FIXED))
		err = vma_clear_range(mm, to, to + new_len);
	if (!err)
		err = vma_isolate(mm, addr, addr + len);
	if (err)
		return err;
	v = vma_find(mm, addr);
	moved = vma_copy(v);
	if (!moved)
		return -ENOMEM;
	moved->start = to;
	moved->end = to + new_len;
	if (!(flags & MREMAP_DONTUNMAP)) {
		vma_remove(mm, v);
		vma_free(v);
	}
	vma_insert(mm, moved);
	vma_merge_range(mm, to, to + new_len);
	*out_addr = to;
	return platform->remap(t->ctx, tag_for(mm, to, to + new_len), addr, len, to, new_len, flags & MREMAP_DONTUNMAP);
}

int mm_remap(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	uaddr_t end, new_end;
	struct vma *v;
	int err = check_range(addr, len, &end);

	if (err)
		return -EINVAL;
	len = PAGE_ALIGN(len);
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
	v = vma_find(mm, addr);
	if (!v || v->start > addr)
		err = -EFAULT;
	if (!err && len == 0) { // a second view of shared memory
		struct vma proto = *v;

		if (!(v->flags & MAP_SHARED) || !(flags & MREMAP_MAYMOVE)) {
			err = -EINVAL;
		} else {
			proto.file_offset += addr - v->start;
			proto.host_offset += addr - v->start;
			err = map_locked(t, new_addr, &proto, new_len, flags & MREMAP_FIXED ? MAP_FIXED : 0, out_addr);
		}
		mutex_unlock(&mm->mu);
		return err;
	}
	if (!err && new_len < len && !(flags & MREMAP_FIXED)) {
		*out_addr = addr;
		err = covered(mm, addr + new_len, end) ? vma_clear_range(mm, addr + new_len, end) : -EFAULT;
		if (!err)
			err = platform->unmap(t->ctx, tag_for(mm, 0, 0), addr + new_len, len - new_len);
	} else if (!err && new_len == len && !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))) {
		*out_addr = addr;
	} else if (!err) {
		err = end > v->end ? -EFAULT : remap_locked(t, v, addr, len, new_len, flags, new_addr, out_addr);
	}
	mutex_unlock(&mm->mu);
	return err;
}

int mm_advise(struct task *t, uaddr_t addr, uint64_t len, int advice)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t end;
	bool holes;
	int err = check_range(addr, len, &end);

	if (err || addr == end)
		return err ? -EINVAL : 0;
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	holes = !covered(mm, addr, end);
	switch (advice) {
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		err = vma_isolate(mm, addr, end);
		for (v = vma_find(mm, addr); !err && v && v->start < end; v = vma_next(v)) {
			if (advice == MADV_WIPEONFORK && (v->hostfd || (v->flags & MAP_SHARED)))
				err = -EINVAL;
			else
				v->advice = advice == MADV_DOFORK || advice == MADV_KEEPONFORK ? 0 : advice;
		}
		break;
	case MADV_REMOVE:
		v = vma_find(mm, addr);
		if (!v || !(v->flags & MAP_SHARED) || !(v->prot & PROT_WRITE))
			err = -EINVAL;
		break;
	}
	if (!err)
		err = platform->advise(t->ctx, tag_for(mm, 0, 0), addr, end - addr, advice);
	mutex_unlock(&mm->mu);
	return err ?: holes ? -ENOMEM : 0;
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
	if (brk < mm->brk_start || new_end > APP_MAX ||
	    (task_rlimit(t, RLIMIT_DATA) != RLIM64_INFINITY && brk - mm->brk_start > task_rlimit(t, RLIMIT_DATA)))
		goto out;
	if (new_end > old_end) {
		if (!vma_range_free(mm, old_end, new_end + PAGE_SIZE) ||
		    map_locked(t, old_end, &proto, new_end - old_end, MAP_FIXED, &where) < 0)
			goto out;
	} else if (new_end < old_end) {
		if (vma_clear_range(mm, new_end, old_end) < 0)
			goto out;
		err = platform->unmap(t->ctx, tag_for(mm, 0, 0), new_end, old_end - new_end);
	}
	*out_brk = mm->brk = brk;
out:
	mutex_unlock(&mm->mu);
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
		if (v->advice == MADV_DONTFORK)
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

void mm_each_vma(struct mm *mm, bool (*fn)(void *arg, const struct vma *v), void *arg)
{
	struct vma *v;

	mutex_lock(&mm->mu);
	RB_FOREACH(v, vma_tree, &mm->vmas)
		if (!fn(arg, v))
			break;
	mutex_unlock(&mm->mu);
}

int64_t mm_read_remote(struct mm *mm, void *dst, uaddr_t src, size_t len)
{
	const struct iovec to = {dst, len}, from = {(void *)src, len};
	ssize_t n;
	pid_t pid;

	if (src >= APP_MAX || len > APP_MAX - src)
		return -EFAULT;
	mutex_lock(&mm->mu);
	pid = mm->ctx_hint ? platform->host_pid(mm->ctx_hint) : 0;
	n = pid ? process_vm_readv(pid, &to, 1, &from, 1, 0) : -1;
	mutex_unlock(&mm->mu);
	return n < 0 ? -EFAULT : n;
}
