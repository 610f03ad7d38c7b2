// Parking: links a task to what it waits for, and decides whether it may wait.
#include "sentry/kernel/block.h"

#include <poll.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_wait.h"
#include "sentry/vfs/vfs.h"

KMEM_TYPE(task_wait_type, task_wait);

static bool wait_woken(struct waitq_entry *e, uint32_t events)
{
	(void)events;
	return task_wake(container_of(e, struct task_wait, entry)->task);
}

static int wait_on(struct task *t, struct waitq *q, uint32_t events, bool exclusive, struct file *f)
{
	struct task_wait *w;

	if (t->inline_waits_used < TASK_WAITS_INLINE)
		w = &t->inline_waits[t->inline_waits_used++];
	else
		w = kmem_alloc(&task_wait_type);
	if (!w)
		return -ENOMEM;
	*w = (struct task_wait){.task = t, .entry = {.fn = wait_woken, .events = events, .exclusive = exclusive}};
	if (f)
		w->file = file_get(f);
	SLIST_INSERT_HEAD(&t->waits, w, next);
	waitq_add(q, &w->entry);
	return 0;
}

int task_wait_on(struct task *t, struct waitq *q, uint32_t events)
{
	return wait_on(t, q, events, false, NULL);
}

int task_wait_on_exclusive(struct task *t, struct waitq *q, uint32_t events)
{
	return wait_on(t, q, events, true, NULL);
}

int task_wait_on_file(struct task *t, struct waitq *q, uint32_t events, struct file *f)
{
	return wait_on(t, q, events, false, f);
}

void task_keep_file(struct task *t, struct file *f)
{
	int fd = -1, slot = 0;

	for (int i = 0; i < ARRAY_LEN(t->call.kept); i++) {
		if (t->call.kept[i].file == f)
			return;
		if (t->call.looked[i].file == f)
			fd = t->call.looked[i].fd;
		if (!t->call.kept[i].file)
			slot = i;
	}
	if (t->call.kept[slot].file)
		file_put(t->call.kept[slot].file);
	t->call.kept[slot].file = file_get(f);
	t->call.kept[slot].fd = fd;
}

struct file *task_kept_file(const struct task *t, int fd)
{
	for (int i = 0; i < ARRAY_LEN(t->call.kept); i++)
		if (t->call.kept[i].file && t->call.kept[i].fd == fd)
			return t->call.kept[i].file;
	return NULL;
}

void task_call_files_put(struct task *t)
{
	for (int i = 0; i < ARRAY_LEN(t->call.kept); i++) {
		if (t->call.kept[i].file)
			file_put(t->call.kept[i].file);
		t->call.kept[i].file = NULL;
	}
}

void task_waits_clear(struct task *t)
{
	struct task_wait *w;

	while ((w = SLIST_FIRST(&t->waits))) {
		SLIST_REMOVE_HEAD(&t->waits, next);
		waitq_remove(&w->entry);
		if (w->file)
			file_put(w->file);
		if (w < t->inline_waits || w >= t->inline_waits + TASK_WAITS_INLINE)
			kmem_free(&task_wait_type, w);
	}
	t->inline_waits_used = 0;
	if (t->block_timer_used) // few calls wait with a deadline
		ktimer_cancel(&t->block_timer);
	t->block_timer_used = false;
}

static bool deadline_passed(struct task *t)
{
	int64_t d = t->call.deadline_ns;

	return d != 0 && d != KTIME_NEVER && (t->call.timed_out || ktime_now(CLOCK_MONOTONIC) >= d);
}

long task_block(struct task *t)
{
	long ret = deadline_passed(t) ? -ETIMEDOUT : signal_pending(t) ? -ERESTARTSYS : -EBLOCKED;

	if (ret != -EBLOCKED)
		task_waits_clear(t); // the handler may let go of what it waited on
	return ret;
}

long task_block_killable(struct task *t)
{
	long ret = deadline_passed(t) ? -ETIMEDOUT : t->exiting ? -EINTR : -EBLOCKED;

	if (ret != -EBLOCKED)
		task_waits_clear(t);
	return ret;
}

struct block_poll {
	struct poll_table table;
	struct task *task;
	int err;
};

static void block_poll_add(struct poll_table *pt, struct waitq *q, uint32_t events)
{
	struct block_poll *bp = container_of(pt, struct block_poll, table);
	int err = task_wait_on(bp->task, q, events);

	if (err)
		bp->err = err;
}

long task_block_file(struct task *t, struct file *f, uint32_t events)
{
	struct block_poll bp = {.table = {.add = block_poll_add, .events = events | POLLERR | POLLHUP}, .task = t};
	uint32_t ready;

	task_keep_file(t, f);
	ready = file_poll(f, &bp.table);

	if (bp.err)
		return bp.err;
	if (ready & bp.table.events)
		return -EAGAINNOW;
	return task_block(t);
}

long task_give_turn(struct task *t)
{
	t->call.gives_turn = true;
	return -EAGAINNOW;
}

void task_deadline_in(struct task *t, int64_t timeout_ns)
{
	int64_t now;

	if (t->call.deadline_ns)
		return;
	if (timeout_ns < 0) {
		t->call.deadline_ns = KTIME_NEVER;
		return;
	}
	now = ktime_now(CLOCK_MONOTONIC);
	if (__builtin_add_overflow(now, timeout_ns, &t->call.deadline_ns))
		t->call.deadline_ns = KTIME_NEVER;
}
