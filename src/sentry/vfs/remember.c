#include "sentry/vfs/remember.h"

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

// The first count is that of everything rare; it has a line to itself.
enum { ALL = 0, FIRST = 16 };

static uint32_t index_of(const void *object)
{
	return FIRST + (uint32_t)((uintptr_t)object >> 4) * 0x9e3779b1u / 16 % (PLATFORM_PATH_COUNTS - FIRST);
}

static void rest_on(struct task *t, unsigned i, uint32_t index)
{
	t->remember.rests.on[i].index = index;
	t->remember.rests.on[i].count = platform->path_count(index);
}

void remember_begin(struct task *t)
{
	if (!platform->asks_rests || !platform->asks_rests(t->ctx) || kernel()->strace)
		return;
	for (unsigned i = 0; i < PLATFORM_RESTS; i++)
		rest_on(t, i, ALL);
	t->remember.state = REMEMBER_ASKED;
}

void remember_walk_locked(struct task *t, struct dentry *in, bool whole, int err)
{
	if (t->remember.state != REMEMBER_ASKED || !whole || (err && err != -ENOENT)) {
		t->remember.state = REMEMBER_NOT;
		return;
	}
	t->remember.state = err ? REMEMBER_NOTHING_THERE : REMEMBER_WALKED;
	if (!in)
		return;
	rest_on(t, 1, index_of(in));
	in->remembered = true;
}

void remember_attr(struct task *t, struct inode *inode)
{
	const uint32_t index = index_of(inode);
	bool keep;

	if (t->remember.state != REMEMBER_WALKED)
		return;
	rest_on(t, 2, index);
	mutex_lock(&inode->mu);
	keep = inode->ops->remember && inode->ops->remember(inode, (uint16_t)index);
	mutex_unlock(&inode->mu);
	if (!keep)
		t->remember.state = REMEMBER_NOT;
}

long remember_end(struct task *t, long ret)
{
	const enum remember_state state = t->remember.state;

	t->remember.state = REMEMBER_NOT;
	if ((state == REMEMBER_WALKED && ret == 0) || (state == REMEMBER_NOTHING_THERE && ret == -ENOENT))
		platform->keep_answer(t->ctx, &t->remember.rests);
	return ret;
}

void remember_none(struct task *t)
{
	t->remember.state = REMEMBER_NOT;
}

void remember_all_anew(void)
{
	if (platform->path_count_up)
		platform->path_count_up(ALL);
}

void remember_name_changed_locked(struct dentry *d)
{
	struct dentry *dir = d->parent;
	const struct inode *inode = d->inode;

	if (inode && S_ISDIR(inode->attr.mode))
		remember_all_anew();
	if (!dir->remembered)
		return;
	dir->remembered = false;
	platform->path_count_up(index_of(dir));
}

void inode_anew(struct inode *inode)
{
	const uint16_t index = atomic_exchange(&inode->remembered, 0);

	if (index)
		platform->path_count_up(index);
}
