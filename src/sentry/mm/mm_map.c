// New mappings and their end: mmap, munmap, brk. Each is checked, entered in the tree, and queued for the calling context to carry out.
#include "sentry/mm/mm.h"

#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm_int.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

enum { MAPPINGS_BOTTOM = 0x100000 }; // below it only MAP_FIXED maps, as low addresses serve the platform
#define BITS_32_TOP 0x80000000ull

static const struct {
	uaddr_t start, end;
} reserved[] = {{0x60000, 0x70000}, {0x60060000, 0x60070000}}; // the call tables of patched sites

int mm_check_range(uaddr_t addr, uint64_t len, uaddr_t *out_end)
{
	uint64_t aligned = PAGE_ALIGN(len);

	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (aligned < len || __builtin_add_overflow(addr, aligned, out_end) || *out_end > APP_MAX)
		return -ENOMEM;
	return 0;
}

bool mm_range_reserved(uaddr_t start, uaddr_t end)
{
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (start < reserved[i].end && end > reserved[i].start)
			return true;
	return start < APP_MIN || end > APP_MAX;
}

// The highest place below top, but not where the platform's are.
static uaddr_t find_gap(struct mm *mm, uint64_t len, uaddr_t top)
{
	uaddr_t found = 0;

	for (size_t i = ARRAY_LEN(reserved); i-- > 0 && !found; top = MIN(top, reserved[i].start))
		if (top > reserved[i].end)
			found = vma_find_gap(mm, len, MAX(MAPPINGS_BOTTOM, reserved[i].end), top);
	return found;
}

int mm_choose_place_locked(struct mm *mm, uaddr_t hint, uint64_t len, int flags, uaddr_t *out)
{
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (hint & ~PAGE_MASK)
			return -EINVAL;
		if (hint > APP_MAX || len > APP_MAX - hint)
			return -ENOMEM;
		if (mm_range_reserved(hint, hint + len))
			return hint < APP_MIN ? -EPERM : -ENOMEM;
		if ((flags & MAP_FIXED_NOREPLACE) && !vma_range_free(mm, hint, hint + len))
			return -EEXIST;
		*out = hint;
		return 0;
	}
	hint = PAGE_ALIGN(hint);
	if (hint >= MAPPINGS_BOTTOM && hint <= APP_MAX && len <= APP_MAX - hint && !(flags & MAP_32BIT) &&
	    !mm_range_reserved(hint, hint + len) && vma_range_free(mm, hint, hint + len)) {
		*out = hint;
		return 0;
	}
	*out = find_gap(mm, len, flags & MAP_32BIT ? BITS_32_TOP : mm->mmap_top);
	if (!*out && !(flags & MAP_32BIT)) // above the usual window there may be room still
		*out = find_gap(mm, len, APP_MAX);
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

bool mm_may_lock(struct task *t, uint64_t len)
{
	uint64_t limit = task_rlimit(t, RLIMIT_MEMLOCK);

	return limit == RLIM64_INFINITY || (len <= limit && t->mm->locked_bytes <= limit - len) || cred_has_cap(t->cred, CAP_IPC_LOCK);
}

bool mm_over_data(struct task *t, uint64_t len)
{
	uint64_t limit = task_rlimit(t, RLIMIT_DATA);

	if (limit == 0) // Linux lets valgrind, which sets that, go on
		limit = t->tg->rlimits[RLIMIT_DATA].rlim_max;
	return len && limit != RLIM64_INFINITY && !t->mm->told && (len > limit || t->mm->data_bytes > limit - len);
}

int mm_over_limits(struct task *t, uint64_t len, int prot, int flags)
{
	struct mm *mm = t->mm;
	uint64_t as = task_rlimit(t, RLIMIT_AS);

	if (mm->nvmas >= MAPPINGS_MAX)
		return -ENOMEM;
	if (mm->told)
		return 0;
	if ((flags & MAP_LOCKED) && !mm_may_lock(t, len))
		return -EAGAIN;
	if (as != RLIM64_INFINITY && (len > as || mm->total_bytes > as - len))
		return -ENOMEM;
	return prot & PROT_WRITE && flags & MAP_PRIVATE && mm_over_data(t, len) ? -ENOMEM : 0;
}

static int queue_map(struct task *t, const struct vma *v)
{
	uint32_t tag;

	if (t->mm->told)
		return 0;
	tag = mm_op_tag(t->mm, v->start, v->end);
	if (v->hostfd)
		return platform->map_file(t->ctx, tag, v->start, v->end - v->start, v->prot, v->flags & MAP_SHARED, v->hostfd,
					  v->host_offset);
	return platform->map_anon(t->ctx, tag, v->start, v->end - v->start, v->prot, v->flags & MAP_NORESERVE);
}

int mm_map_locked(struct task *t, uaddr_t hint, const struct vma *proto, uint64_t len, int place_flags, uaddr_t *out_addr)
{
	struct mm *mm = t->mm;
	struct vma *v;
	uaddr_t addr;
	int err = mm_choose_place_locked(mm, hint, len, place_flags, &addr) ?: mm_over_limits(t, len, proto->prot, proto->flags);

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

int mm_find_place(struct mm *mm, uaddr_t hint, uint64_t len, uaddr_t *out_addr)
{
	int err;

	mutex_lock(&mm->mu);
	err = mm_choose_place_locked(mm, hint, len, 0, out_addr);
	mutex_unlock(&mm->mu);
	return err;
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
	proto.ours = proto.flags & MAP_SHARED && !(backing && backing->host_denies);
	if (backing) {
		host = backing->hostfd;
		proto.host_offset = backing->offset;
		if (backing->deny_shared_write && (proto.flags & MAP_SHARED))
			proto.max_prot &= ~PROT_WRITE;
		if (backing->deny_exec)
			proto.max_prot &= ~PROT_EXEC;
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
		if (proto.flags & MAP_LOCKED)
			err = mm_before_lock(t);
		err = err ?: mm_map_locked(t, addr, &proto, aligned, flags, out_addr);
		mm_unlock(t->mm);
	}
	hostfd_put(host);
	return err;
}

int mm_queue_unmap(struct task *t, uaddr_t addr, uaddr_t end)
{
	struct mm *mm = t->mm;
	int err = 0;

	if (mm->told)
		return 0;
	addr = MAX(addr, APP_MIN);
	for (size_t i = 0; i < ARRAY_LEN(reserved) && !err; i++)
		if (addr < reserved[i].end && end > reserved[i].start) {
			if (addr < reserved[i].start)
				err = platform->unmap(t->ctx, mm_op_tag(mm, 0, 0), addr, reserved[i].start - addr);
			addr = reserved[i].end;
		}
	if (!err && addr < end)
		err = platform->unmap(t->ctx, mm_op_tag(mm, 0, 0), addr, end - addr);
	return err;
}

int mm_unmap(struct task *t, uaddr_t addr, uint64_t len)
{
	struct mm *mm = t->mm;
	uaddr_t end;
	int err = mm_check_range(addr, len, &end);

	if (err || len == 0)
		return -EINVAL;
	err = mm_ops_begin(t);
	if (err)
		return err;
	mutex_lock(&mm->mu);
	if (!vma_range_free(mm, addr, end))
		err = vma_clear_range(mm, addr, end) ?: mm_queue_unmap(t, addr, end);
	mm_unlock(mm);
	return err;
}

// A hole to map in is one that is longer than what is usually mapped; of a brk that can't grow the limit is too low.
static void find_room_locked(struct mm *mm, struct platform_room *out)
{
	static const uint64_t hole = 1ull << 32;
	const uaddr_t old_end = PAGE_ALIGN(mm->brk);
	struct vma *v = vma_find(mm, old_end);
	uaddr_t found;

	*out = (struct platform_room){.brk_start = mm->brk_start, .brk = mm->brk, .brk_limit = v ? v->start : APP_MAX};
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (old_end < reserved[i].end)
			out->brk_limit = MIN(out->brk_limit, reserved[i].start);
	found = vma_find_gap(mm, hole, reserved[ARRAY_LEN(reserved) - 1].end, mm->mmap_top);
	if (!found)
		return;
	out->top = found + hole;
	v = vma_find(mm, out->top);
	v = vma_prev(mm, v);
	out->bottom = MAX(v ? v->end : 0, reserved[ARRAY_LEN(reserved) - 1].end);
	out->hole = vma_largest_hole(mm, out->top, mm->mmap_top);
}

bool mm_room(struct mm *mm, struct platform_room *out)
{
	bool may;

	mutex_lock(&mm->mu);
	may = !mm->our_bytes && !mm->lock_future && mm->nvmas < MAPPINGS_PLENTY;
	if (may)
		find_room_locked(mm, out);
	mutex_unlock(&mm->mu);
	return may;
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
	    (!mm->told && task_rlimit(t, RLIMIT_DATA) != RLIM64_INFINITY && brk - mm->brk_start > task_rlimit(t, RLIMIT_DATA)))
		goto out;
	if (new_end > old_end) {
		if (!vma_range_free(mm, old_end, new_end + PAGE_SIZE) ||
		    mm_map_locked(t, old_end, &proto, new_end - old_end, MAP_FIXED, &where) < 0)
			goto out;
	} else if (new_end < old_end) {
		if (vma_clear_range(mm, new_end, old_end) < 0)
			goto out;
		err = mm_queue_unmap(t, new_end, old_end);
	}
	*out_brk = mm->brk = brk;
out:
	mm_unlock(mm);
	return err;
}
