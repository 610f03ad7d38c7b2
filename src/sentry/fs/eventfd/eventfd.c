// eventfd: a counter that is read and written like a file. man 2 eventfd.
#include "sentry/fs/eventfd/eventfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/fs/eventpoll/eventpoll.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/vfs.h"

#define COUNT_MAX (UINT64_MAX - 1)

struct eventfd {
	struct mutex mu;
	uint64_t count, nreads; // Guarded by mu. nreads: how many took something
	bool semaphore;
	struct waitq waitq;
	struct content_loan loan; // of count
};

KMEM_TYPE(eventfd_type, eventfd);

enum { CALL_NREADS = 1 }; // call.word[]: nreads when the write found no room

// What a process made of the count.
static uint64_t bounded(uint64_t count)
{
	return MIN(count, COUNT_MAX);
}

static uint64_t count_locked(const struct eventfd *e)
{
	return e->loan.lent ? bounded(content_peek(&e->loan)) : e->count;
}

static void eventfd_lock(struct eventfd *e)
{
	mutex_lock(&e->mu);
	if (e->loan.lent) {
		e->count = bounded(content_take_back(&e->loan));
		e->nreads++; // perhaps
	}
}

static int64_t eventfd_read_file(struct file *f, struct uio *u, int64_t *pos)
{
	struct eventfd *e = f->priv;
	uint64_t n;
	int err;

	if (u->resid < sizeof(n))
		return -EINVAL;
	eventfd_lock(e);
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

	if (u->resid != sizeof(n))
		return -EINVAL;
	err = uio_take(u, &n, sizeof(n));
	if (err)
		return err;
	if (n == UINT64_MAX)
		return -EINVAL;
	eventfd_lock(e);
	if (n <= COUNT_MAX - e->count)
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
	eventfd_lock(e);
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
	if (pt) {
		eventfd_lock(e);
		e->loan.uses = 0;
	} else {
		mutex_lock(&e->mu);
	}
	n = count_locked(e);
	if (e->loan.lent)
		mask = POLL_LENT;
	mutex_unlock(&e->mu);
	if (n > 0)
		mask |= POLLIN; // eventfd answers the plain bits only
	if (n < COUNT_MAX)
		mask |= POLLOUT;
	return mask;
}

static void eventfd_used(struct file *f, struct task *t, int fd, bool wrote)
{
	struct eventfd *e = f->priv;
	struct platform_loan spec = {.kinds = PLATFORM_LEND_COUNT | (e->semaphore ? PLATFORM_LEND_SEMAPHORE : 0)};

	if (!content_used(&e->loan))
		return;
	mutex_lock(&e->mu);
	if (!e->loan.lent && eventpoll_lets_rest(&e->waitq)) {
		spec.pos = (int64_t)e->count;
		content_lend(&e->loan, t, (struct content_end){fd, f}, (struct content_end){.f = NULL}, &spec);
	}
	mutex_unlock(&e->mu);
}

static const struct content_loan *eventfd_content(const struct file *f)
{
	return &((struct eventfd *)f->priv)->loan;
}

static int eventfd_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct eventfd *e = f->priv;
	uint64_t count;

	mutex_lock(&e->mu);
	count = count_locked(e);
	mutex_unlock(&e->mu);
	return snprintf(dst, cap, "eventfd-count: %16lx\neventfd-semaphore: %d\n", count, e->semaphore);
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
	.used = eventfd_used,
	.content = eventfd_content,
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
