// /proc/PID/mem: the memory of a process as a file, its addresses as positions.
//
// Whether the reader may is asked at each access, as the process may become another program meanwhile. Unlike on Linux, read-only pages
// can't be written this way.
#include <fcntl.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/mm/mm.h"

enum { CHUNK = 64 << 10 };

static int get_mm(struct file *f, struct mm **out)
{
	struct task *t = proc_node(f->inode)->task, *reader = current_task();
	int err = 0;

	*out = NULL;
	mutex_lock(&kernel()->tasks_mu);
	if (reader && t->tg != reader->tg && !ptrace_may_access_locked(f->cred, t, true))
		err = -EACCES;
	else if (t->mm)
		*out = mm_get(t->mm);
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

// To a page's border at most: what lies before a bad page counts.
static size_t piece(int64_t pos, uint64_t left)
{
	return MIN(MIN(left, (uint64_t)CHUNK), CHUNK - ((uint64_t)pos & ~PAGE_MASK));
}

static int64_t move(struct file *f, struct uio *u, int64_t *pos, bool write)
{
	char *buf = kmem_bytes(CHUNK);
	int64_t done = 0, n = 0;
	struct mm *mm;
	int err = buf ? get_mm(f, &mm) : -ENOMEM;

	if (err || !mm) {
		kmem_bytes_free(buf);
		return err; // a process that has ended: nothing to read
	}
	while (u->resid && *pos >= 0) {
		size_t len = piece(*pos, u->resid);

		if (write)
			n = uio_take(u, buf, len) ?: mm_write_remote(mm, (uaddr_t)*pos, buf, len);
		else
			n = mm_read_remote(mm, buf, (uaddr_t)*pos, len);
		if (n <= 0)
			break;
		if (!write && uio_put(u, buf, (uint64_t)n) < 0) {
			err = -EFAULT;
			break;
		}
		*pos += n;
		done += n;
		if ((size_t)n < len)
			break;
	}
	mm_put(mm);
	kmem_bytes_free(buf);
	return done ? done : err ? err : -EIO;
}

static int64_t mem_read(struct file *f, struct uio *u, int64_t *pos)
{
	return u->resid ? move(f, u, pos, false) : 0;
}

static int64_t mem_write(struct file *f, struct uio *u, int64_t *pos)
{
	return u->resid ? move(f, u, pos, true) : 0;
}

// Any position may be sought to, those with the highest bit set, too.
static int64_t mem_llseek(struct file *f, int64_t offset, int whence)
{
	if (whence != SEEK_SET && whence != SEEK_CUR)
		return -EINVAL;
	return f->pos = whence == SEEK_CUR ? (int64_t)((uint64_t)f->pos + (uint64_t)offset) : offset;
}

int proc_mem_open(struct proc_node *n, struct task *t, struct file *f)
{
	int err = 0;

	(void)f;
	mutex_lock(&kernel()->tasks_mu);
	if (t && n->task->tg != t->tg && !ptrace_may_access_locked(t->cred, n->task, true))
		err = -EACCES;
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

const struct file_ops proc_mem_ops = {.read = mem_read, .write = mem_write, .llseek = mem_llseek};
