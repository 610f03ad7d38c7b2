// The memory calls: mmap, munmap, mprotect, mremap, brk, madvise, msync, mincore, mlock.
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <linux/mman.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

// The flags that MAP_SHARED_VALIDATE knows (MAP_SYNC is for DAX files only).
#define VALIDATED_FLAGS \
	(MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | \
	 MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_32BIT | MAP_FIXED_NOREPLACE)

// What mmap(2) demands of the descriptor.
static int check_file(const struct file *f, int prot, bool shared)
{
	uint32_t acc = f->flags & O_ACCMODE;

	if (acc == O_WRONLY)
		return -EACCES;
	if (shared && (prot & PROT_WRITE) && acc != O_RDWR)
		return -EACCES;
	if (!f->ops->mmap)
		return -ENODEV;
	return 0;
}

long sys_mmap(struct task *t, const struct sysargs *args)
{
	uaddr_t addr = args->a[0], where;
	uint64_t len = args->a[1], offset = args->a[5];
	int prot = (int)args->a[2], flags = (int)args->a[3], type = flags & MAP_TYPE, err;
	bool shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
	struct vm_backing backing = {0};
	struct file *f;

	if ((offset & ~PAGE_MASK) || (!shared && type != MAP_PRIVATE) || len == 0)
		return -EINVAL;
	if (flags & MAP_HUGETLB)
		return -ENOMEM; // as with an empty pool
	if (type == MAP_SHARED_VALIDATE && (flags & ~VALIDATED_FLAGS))
		return -EOPNOTSUPP;
	prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
	if (flags & MAP_ANONYMOUS) {
		err = mm_map(t, addr, len, prot, flags, NULL, 0, NULL, NULL, &where);
		return err ? err : (long)where;
	}
	f = fd_file(t, (int)args->a[4]);
	if (!f)
		return -EBADF;
	backing.deny_exec = f->path.mnt && mount_flags(f->path.mnt) & ST_NOEXEC;
	err = check_file(f, prot, shared);
	if (!err && backing.deny_exec && prot & PROT_EXEC && !t->mm->told)
		err = -EPERM;
	if (!err && offset + PAGE_ALIGN(len) < offset)
		err = -EOVERFLOW;
	if (!err)
		err = f->ops->mmap(f, offset, PAGE_ALIGN(len), prot, shared, &backing);
	if (!err) {
		if (f->inode)
			inode_used(f->inode);
		backing.deny_shared_write |= (f->flags & O_ACCMODE) == O_RDONLY;
		if (!backing.hostfd) // /dev/zero
			err = mm_map(t, addr, len, prot, flags | MAP_ANONYMOUS, f, offset, NULL, NULL, &where);
		else
			err = mm_map(t, addr, len, prot, flags, f, offset, &backing, NULL, &where);
	}
	file_put(f);
	return err ? err : (long)where;
}

long sys_munmap(struct task *t, const struct sysargs *args)
{
	return mm_unmap(t, args->a[0], args->a[1]);
}

long sys_mprotect(struct task *t, const struct sysargs *args)
{
	int prot = (int)args->a[2];

	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN | PROT_GROWSUP))
		return -EINVAL;
	if ((prot & PROT_GROWSDOWN) && (prot & PROT_GROWSUP))
		return -EINVAL;
	return mm_protect(t, args->a[0], args->a[1], prot);
}

long sys_mremap(struct task *t, const struct sysargs *args)
{
	uaddr_t where;
	int err = mm_remap(t, args->a[0], args->a[1], args->a[2], (int)args->a[3], args->a[4], &where);

	return err ? err : (long)where;
}

long sys_brk(struct task *t, const struct sysargs *args)
{
	uaddr_t brk;
	int err = mm_brk(t, args->a[0], &brk);

	return err ? err : (long)brk;
}

long sys_madvise(struct task *t, const struct sysargs *args)
{
	int advice = (int)args->a[2];

	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return mm_advise(t, args->a[0], args->a[1], advice);
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
		return 0; // there are no dumps, and merging is only a hint
	}
	return -EINVAL;
}

// 0 or -ENOMEM with a hole in the range.
static int check_mapped(struct task *t, uaddr_t addr, uint64_t len)
{
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	return mm_range_ok(t->mm, addr, PAGE_ALIGN(len), 0) ? 0 : -ENOMEM;
}

struct sync_range {
	uaddr_t start, end;
	struct file *file;
};

static bool first_shared_file(void *arg, const struct vma *v)
{
	struct sync_range *r = arg;

	if (v->end <= r->start)
		return true;
	if (v->start < r->end && v->file && (v->flags & MAP_SHARED)) {
		r->start = v->end;
		r->file = file_get(v->file);
		return false;
	}
	return v->start < r->end;
}

long sys_msync(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[2], err;
	struct sync_range r = {args->a[0], args->a[0] + args->a[1]};

	if ((flags & ~(MS_ASYNC | MS_SYNC | MS_INVALIDATE)) || (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	err = check_mapped(t, args->a[0], args->a[1]);
	if (err || !(flags & MS_SYNC))
		return err;
	do {
		r.file = NULL;
		mm_each_vma(t->mm, first_shared_file, &r);
		if (r.file) {
			if (r.file->ops->fsync)
				err = r.file->ops->fsync(r.file, false);
			file_put(r.file);
		}
	} while (r.file && !err);
	return err;
}

long sys_mincore(struct task *t, const struct sysargs *args)
{
	uint64_t pages = PAGE_ALIGN(args->a[1]) / PAGE_SIZE;
	uint8_t resident[256];
	int err;

	if (args->a[0] & ~PAGE_MASK)
		return -EINVAL;
	err = check_mapped(t, args->a[0], args->a[1]);
	memset(resident, 1, sizeof(resident)); // the host may page, but that isn't visible here
	for (uint64_t done = 0; !err && done < pages; done += sizeof(resident))
		err = copy_out(t, args->a[2] + done, resident, MIN(sizeof(resident), pages - done));
	return err;
}

long sys_mlock(struct task *t, const struct sysargs *args)
{
	return mm_lock(t, args->a[0], args->a[1], true);
}

long sys_mlock2(struct task *t, const struct sysargs *args)
{
	if ((int)args->a[2] & ~MLOCK_ONFAULT)
		return -EINVAL;
	return mm_lock(t, args->a[0], args->a[1], true);
}

long sys_munlock(struct task *t, const struct sysargs *args)
{
	return mm_lock(t, args->a[0], args->a[1], false);
}

long sys_mlockall(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[0];

	if (!flags || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) || flags == MCL_ONFAULT)
		return -EINVAL;
	return mm_lock_all(t, flags & MCL_CURRENT, flags & MCL_FUTURE);
}

long sys_munlockall(struct task *t, const struct sysargs *args)
{
	return mm_lock_all(t, false, false);
}
