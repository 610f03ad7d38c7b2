// An address space's life, the order of its operations, and looks at it from elsewhere. Its changes are in mm_map.c and mm_change.c.
//
// Where an application's request touches the host only through the queue, so does its failure: see mm_op_failed.
#include "sentry/mm/mm.h"

#include <string.h>
#include <sys/uio.h>

#include "abi/errno.h"
#include "host/residence.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_int.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

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
	mm->late_stale = true;
	return mm;
}

struct mm *mm_get(struct mm *mm)
{
	ref_get(&mm->ref);
	return mm;
}

void mm_unlock(struct mm *mm)
{
	struct vma *v = mm->dead, *next;

	mm->dead = NULL;
	if (!mm->told)
		mm->late_stale = true;
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
	mm->barriers = false;
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

bool kernel_code(void *owner, uaddr_t addr, size_t len, struct platform_code *out)
{
	struct task *t = owner;
	struct vma *v;
	bool found;

	if (!t || !t->mm)
		return false;
	mutex_lock(&t->mm->mu);
	v = vma_find(t->mm, addr);
	found = v && v->start <= addr && len <= v->end - addr && (v->flags & MAP_PRIVATE) && (v->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC;
	if (found) {
		*out = (struct platform_code){v->prot, v->start, v->end - v->start};
	}
	mutex_unlock(&t->mm->mu);
	return found;
}

bool kernel_open_to_kin(void *owner)
{
	const struct task *t = owner;

	return t->tg->dumpable;
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
		if (platform->ops_begin)
			platform->ops_begin(t->ctx);
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

bool mm_ops_try(struct task *t)
{
	return !others_pending(t);
}

uint32_t mm_op_tag(struct mm *mm, uaddr_t start, uaddr_t end)
{
	uint32_t tag = mm->next_tag++ & 0x3fffffff; // the platform's own are larger

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
	child->barriers = mm->barriers;
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

uint64_t mm_range_len(struct mm *mm, uaddr_t addr, uint64_t len, int prot)
{
	uaddr_t end, at = addr;
	struct vma *v;

	if (__builtin_add_overflow(addr, len, &end) || end > APP_MAX)
		end = APP_MAX;
	mutex_lock(&mm->mu);
	for (v = vma_find(mm, at); v && v->start <= at && (v->prot & prot) == prot && at < end; v = vma_next(v))
		at = v->end;
	mutex_unlock(&mm->mu);
	return addr < end ? MIN(at, end) - addr : 0;
}

bool mm_range_ok(struct mm *mm, uaddr_t addr, uint64_t len, int prot)
{
	return mm_range_len(mm, addr, len, prot) == len && addr <= APP_MAX;
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
