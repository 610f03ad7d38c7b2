// eventfd: a counter that is read and written like a file. man 2 eventfd.
#include "sentry/fs/eventfd/eventfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/kmem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

struct eventfd {
	struct mutex mu;
	uint64_t count, nreads; // Guarded by mu. nreads: how many took something
	bool semaphore;
	struct waitq waitq;
};

KMEM_TYPE(eventfd_type, eventfd);

enum { CALL_NREADS = 1 }; // call.word[]: nreads when the write found no room

static int64_t eventfd_read_file(struct file *f, struct uio *u, int64_t *pos)
{
	struct eventfd *e = f->priv;
	uint64_t n;
	int err;

	if (u->resid < sizeof(n))
		return -EINVAL;
	mutex_lock(&e->mu);
	n = e->semaphore && e->count ? 1 : e->count;
	e->count -= n;
	e->nreads += n > 0;
	mutex_unlock(&e->mu);
	if (n == 0)
		return -EAGAIN;
	waitq_wake(&e->waitq, POLLOUT_ALL);
	err = uio_put(u, &n, sizeof(n)); // a bad address loses the count, as on Linux
	return err ? err : (int64_t)sizeof(n);
}

static int64_t eventfd_write_file(struct file *f, struct uio *u, int64_t *pos)
{
	struct eventfd *e = f->priv;
	int64_t ret = sizeof(uint64_t);
	uint64_t n;
	int err;

	if (u->resid < sizeof(n))
		return -EINVAL;
	err = uio_take(u, &n, sizeof(n));
	if (err)
		return err;
	if (n == UINT64_MAX)
		return -EINVAL;
	mutex_lock(&e->mu);
	if (n <= UINT64_MAX - 1 - e->count)
		e->count += n;
	else
		ret = -EAGAIN;
	if (ret < 0 && u->task)
		u->task->call.word[CALL_NREADS] = e->nreads;
	mutex_unlock(&e->mu);
	if (ret > 0)
		waitq_wake(&e->waitq, POLLIN_ALL);
	return ret;
}

// POLLOUT promises room for 1 only: a larger number waits until somebody has read.
static long eventfd_wait(struct task *t, struct file *f, bool write, uint64_t resid)
{
	struct eventfd *e = f->priv;
	bool read_since;
	int err;

	if (!write)
		return task_block_file(t, f, POLLIN);
	task_keep_file(t, f);
	err = task_wait_on(t, &e->waitq, POLLOUT_ALL);
	if (err)
		return err;
	mutex_lock(&e->mu);
	read_since = e->nreads != t->call.word[CALL_NREADS];
	mutex_unlock(&e->mu);
	return read_since ? -EAGAINNOW : task_block(t);
}

static uint32_t eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->priv;
	uint32_t mask = 0;
	uint64_t n;

	poll_wait(pt, &e->waitq);
	mutex_lock(&e->mu);
	n = e->count;
	mutex_unlock(&e->mu);
	if (n > 0)
		mask |= POLLIN; // eventfd answers the plain bits only
	if (n < UINT64_MAX - 1)
		mask |= POLLOUT;
	return mask;
}

static int eventfd_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct eventfd *e = f->priv;

	return snprintf(dst, cap, "eventfd-count: %16lx\neventfd-semaphore: %d\n", e->count, e->semaphore);
}

static void eventfd_release(struct file *f)
{
	struct eventfd *e = f->priv;

	waitq_fini(&e->waitq);
	kmem_free(&eventfd_type, e);
}

static const struct file_ops eventfd_ops = {
	.read = eventfd_read_file,
	.write = eventfd_write_file,
	.poll = eventfd_poll,
	.wait = eventfd_wait,
	.show_fdinfo = eventfd_fdinfo,
	.release = eventfd_release,
	.stream = true,
};

struct file *eventfd_create(uint32_t initial, int efd_flags)
{
	struct eventfd *e = kmem_alloc(&eventfd_type);
	struct file *f;

	if (!e)
		return NULL;
	mutex_init(&e->mu);
	waitq_init(&e->waitq);
	e->count = initial;
	e->semaphore = efd_flags & EFD_SEMAPHORE;
	f = file_create_anon(&eventfd_ops, e, O_RDWR | (efd_flags & EFD_NONBLOCK), 0, "eventfd");
	if (!f)
		kmem_free(&eventfd_type, e);
	return f;
}
