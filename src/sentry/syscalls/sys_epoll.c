// epoll_create, epoll_create1, epoll_ctl, epoll_wait, epoll_pwait, epoll_pwait2. man 7 epoll.
#include <sys/epoll.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/eventpoll/eventpoll.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { HARVEST_INLINE = 64 };

static long epoll_install(struct task *t, bool cloexec)
{
	struct file *f = eventpoll_create();

	return f ? fd_install(t, f, cloexec, 0) : -ENOMEM;
}

long sys_epoll_create(struct task *t, const struct sysargs *args)
{
	return (int)args->a[0] > 0 ? epoll_install(t, false) : -EINVAL;
}

long sys_epoll_create1(struct task *t, const struct sysargs *args)
{
	int flags = (int)args->a[0];

	return flags & ~EPOLL_CLOEXEC ? -EINVAL : epoll_install(t, flags & EPOLL_CLOEXEC);
}

long sys_epoll_ctl(struct task *t, const struct sysargs *args)
{
	int op = (int)args->a[1], fd = (int)args->a[2], err;
	struct epoll_event event = {0};
	struct file *ep, *f;

	if (op != EPOLL_CTL_DEL) {
		err = copy_in_obj(t, &event, args->a[3]);
		if (err)
			return err;
	}
	ep = fd_file(t, (int)args->a[0]);
	if (!ep)
		return -EBADF;
	f = fd_file(t, fd);
	err = f ? eventpoll_ctl(ep, op, fd, f, &event) : -EBADF;
	if (f)
		file_put(f);
	file_put(ep);
	return err;
}

// In one go, since who is still ready queues up again.
static long harvest(struct task *t, struct file *ep, uaddr_t out, int max, bool *out_lent)
{
	struct epoll_event few[HARVEST_INLINE], *events = few;
	int room = MIN(max, eventpoll_watched(ep));
	long n;

	if (room > HARVEST_INLINE)
		events = kmem_bytes((size_t)room * sizeof(*events));
	if (!events)
		return -ENOMEM;
	n = eventpoll_harvest(ep, events, room, out_lent);
	if (n > 0 && copy_out(t, out, events, (size_t)n * sizeof(*events)))
		n = -EFAULT;
	if (events != few)
		kmem_bytes_free(events);
	return n;
}

static long wait_in(struct task *t, struct file *ep, int fd, uaddr_t out, int max)
{
	long n, ready;
	bool lent;
	int err;

	if (max <= 0 || max > INT32_MAX / (int)sizeof(struct epoll_event))
		return -EINVAL;
	if (!file_is_eventpoll(ep))
		return -EINVAL;
	n = harvest(t, ep, out, max, &lent);
	if ((n == 1 && lent) || (!n && t->call.deadline_ns == 1))
		eventpoll_quiet(ep, t, fd);
	if (n || t->call.deadline_ns == 1)
		return n;
	task_keep_file(t, ep);
	err = task_wait_on_exclusive(t, eventpoll_waitq(ep), 0);
	if (err)
		return err;
	n = harvest(t, ep, out, max, &lent); // what came before the link
	if (n)
		return n;
	n = task_block(t);
	if (n == -EBLOCKED)
		return n;
	ready = harvest(t, ep, out, max, &lent); // what woke this task, and so none of the others who wait here
	if (ready)
		return ready;
	return n == -ETIMEDOUT ? 0 : n == -ERESTARTSYS ? -EINTR : n; // never restarted: man 7 signal
}

// timeout_ns: negative: none. The mask, if any, was set at the first entry.
static long epoll_wait_on(struct task *t, const struct sysargs *args, int64_t timeout_ns)
{
	struct file *ep = fd_file(t, (int)args->a[0]);
	long ret = -EBADF;

	if (ep) {
		if (timeout_ns == 0)
			t->call.deadline_ns = 1; // long past: only look
		else
			task_deadline_in(t, timeout_ns);
		ret = wait_in(t, ep, (int)args->a[0], args->a[1], (int)args->a[2]);
		file_put(ep);
	}
	return ret;
}

// The mask that holds during the wait, if there is one.
static int mask_arg(struct task *t, uaddr_t umask, uint64_t size)
{
	ksigset_t mask;
	int err;

	if (!umask || t->call.entries > 1)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	err = copy_in_obj(t, &mask, umask);
	if (!err)
		signal_mask_during_call(t, mask);
	return err;
}

static int64_t ms_to_ns(int ms)
{
	return ms < 0 ? -1 : ms * NSEC_PER_MSEC;
}

long sys_epoll_wait(struct task *t, const struct sysargs *args)
{
	return epoll_wait_on(t, args, ms_to_ns((int)args->a[3]));
}

long sys_epoll_pwait(struct task *t, const struct sysargs *args)
{
	return mask_arg(t, args->a[4], args->a[5]) ?: epoll_wait_on(t, args, ms_to_ns((int)args->a[3]));
}

long sys_epoll_pwait2(struct task *t, const struct sysargs *args)
{
	int64_t timeout_ns = -1;
	struct timespec ts;
	int err;

	if (args->a[3] && t->call.entries == 1) {
		err = copy_in_obj(t, &ts, args->a[3]);
		if (err)
			return err;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NSEC_PER_SEC)
			return -EINVAL;
		if (__builtin_mul_overflow(ts.tv_sec, NSEC_PER_SEC, &timeout_ns) ||
		    __builtin_add_overflow(timeout_ns, ts.tv_nsec, &timeout_ns))
			timeout_ns = -1;
	}
	return mask_arg(t, args->a[4], args->a[5]) ?: epoll_wait_on(t, args, timeout_ns);
}
