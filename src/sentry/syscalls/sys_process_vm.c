// process_vm_readv and process_vm_writev: from one process's memory straight to another's, through a buffer of the kernel's.
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/iovec.h"
#include "sentry/syscalls/syscalls.h"

enum { CHUNK = 64 << 10 };

// The memory of the task with that id: counted.
static long find_memory(struct task *t, int pid, struct mm **out_mm)
{
	struct task *other = task_find(pid);
	long err = 0;

	if (!other)
		return -ESRCH;
	mutex_lock(&kernel()->tasks_mu);
	if (!other->mm)
		err = -ESRCH;
	else if (other->tg != t->tg && !ptrace_may_access_locked(t->cred, other, false))
		err = -EPERM;
	else
		*out_mm = mm_get(other->mm);
	mutex_unlock(&kernel()->tasks_mu);
	task_put(other);
	return err;
}

// Bytes moved, or -EFAULT if there are none.
static int64_t move(struct uio *local, struct mm *mm, const struct uio *remote, bool write)
{
	char *buf = kmem_bytes(CHUNK);
	int64_t done = 0, n = 0;

	if (!buf)
		return -ENOMEM;
	for (int i = 0; i < remote->nsegs && n >= 0; i++) {
		uint64_t at = remote->segs[i].base, left = remote->segs[i].len;

		while (left && local->resid) {
			// To a page's border at most: what lies before a bad page counts.
			size_t len = MIN(MIN(left, local->resid), CHUNK - (at & ~PAGE_MASK));

			if (write)
				n = uio_take(local, buf, len) ?: mm_write_remote(mm, at, buf, len);
			else
				n = mm_read_remote(mm, buf, at, len);
			if (n > 0 && !write && uio_put(local, buf, n) < 0)
				n = -EFAULT;
			if (n <= 0)
				break;
			done += n;
			at += n;
			left -= n;
			if (n < (int64_t)len) {
				n = -EFAULT;
				break;
			}
		}
	}
	kmem_bytes_free(buf);
	return done ? done : n;
}

static long transfer(struct task *t, const struct sysargs *args, bool write)
{
	struct uio_seg local_inline[IOVEC_INLINE], remote_inline[IOVEC_INLINE];
	struct uio local, remote;
	struct mm *mm = NULL;
	long ret;

	if (args->a[5] != 0)
		return -EINVAL;
	ret = iovec_copy_in(t, args->a[1], args->a[2], local_inline, &local);
	if (ret < 0)
		return ret;
	ret = iovec_copy_in(t, args->a[3], args->a[4], remote_inline, &remote);
	if (ret < 0)
		goto free_local;
	if (local.resid && remote.resid) {
		ret = find_memory(t, (int)args->a[0], &mm);
		if (!ret) {
			ret = move(&local, mm, &remote, write);
			mm_put(mm);
		}
	}
	iovec_free(remote.segs, remote_inline);
free_local:
	iovec_free(local.segs, local_inline);
	return ret;
}

long sys_process_vm_readv(struct task *t, const struct sysargs *args)
{
	return transfer(t, args, false);
}

long sys_process_vm_writev(struct task *t, const struct sysargs *args)
{
	return transfer(t, args, true);
}
