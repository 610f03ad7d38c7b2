#include "sentry/vfs/remember.h"

#include <string.h>
#include <sys/stat.h>

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"

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

static void rest_on_rare(struct task *t)
{
	for (unsigned i = 0; i < PLATFORM_RESTS; i++)
		rest_on(t, i, ALL);
}

void remember_begin(struct task *t, const char *path)
{
	if (!platform->asks_rests || kernel()->strace || !platform->asks_rests(t->ctx, t->call.nr, t->call.args, path, strlen(path) + 1))
		return;
	rest_on_rare(t);
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

void remember_crossed_locked(struct task *t, struct dentry *link)
{
	if (t->remember.state == REMEMBER_ASKED)
		link->remembered = true;
}

// False: that can't be, since they change unseen.
static bool rest_on_attr(struct task *t, struct inode *inode)
{
	const uint32_t index = index_of(inode);
	bool keep;

	if (!inode->ops->remember)
		return false;
	rest_on(t, 2, index);
	mutex_lock(&inode->mu);
	keep = inode->ops->remember(inode, (uint16_t)index);
	mutex_unlock(&inode->mu);
	return keep;
}

void remember_attr(struct task *t, struct inode *inode)
{
	if (t->remember.state == REMEMBER_WALKED && !rest_on_attr(t, inode))
		t->remember.state = REMEMBER_NOT;
}

// An inode's kind and a link's target never change, so they rest on its name alone.
void remember_link(struct task *t, const struct inode *inode)
{
	if (t->remember.state != REMEMBER_WALKED)
		return;
	if (!inode->ops->remember)
		t->remember.state = REMEMBER_NOT;
	else if (!S_ISLNK(inode->attr.mode))
		t->remember.state = REMEMBER_NO_LINK;
}

static bool may_keep(enum remember_state state, long ret)
{
	switch (state) {
	case REMEMBER_WALKED:
		return ret >= 0;
	case REMEMBER_NOTHING_THERE:
		return ret == -ENOENT;
	case REMEMBER_NO_LINK:
		return ret == -EINVAL;
	default:
		return false;
	}
}

long remember_end(struct task *t, long ret, const void *answer, size_t len)
{
	if (may_keep(t->remember.state, ret))
		platform->keep_answer(t->ctx, &t->remember.rests, ret, answer, len);
	t->remember.state = REMEMBER_NOT;
	return ret;
}

void remember_none(struct task *t)
{
	t->remember.state = REMEMBER_NOT;
}

void remember_opened(struct task *t, const struct file *f, uint32_t cloexec)
{
	struct stat st;

	if (!platform->asks_stat || !platform->asks_stat(t->ctx) || kernel()->strace || !fdtable_alone(t->files))
		return;
	rest_on_rare(t);
	if (rest_on_attr(t, dentry_inode(f->path.dentry)) && vfs_stat(&f->path, &st) == 0)
		platform->keep_stat(t->ctx, &t->remember.rests, &st, file_flags(f) | cloexec);
}

void remember_all_anew(void)
{
	if (platform->path_count_up)
		platform->path_count_up(ALL);
}

// A directory's mark is about the names in it, and a link's about itself.
static bool leads_on_locked(struct dentry *d)
{
	const struct inode *inode = d->inode;
	bool crossed;

	if (!inode || !S_ISLNK(inode->attr.mode))
		return inode && S_ISDIR(inode->attr.mode);
	crossed = d->remembered;
	d->remembered = false;
	return crossed;
}

void remember_name_changed_locked(struct dentry *d)
{
	struct dentry *dir = d->parent;

	if (leads_on_locked(d))
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

// --- in common

void remember_apart(void)
{
	if (platform->names_apart)
		platform->names_apart();
}

void remember_rights(struct cred *c)
{
	struct cred *_Atomic *first = &kernel()->vfs->first_rights;
	struct cred *all = atomic_load(first);

	if (!all && atomic_compare_exchange_strong(first, &all, c))
		all = cred_get(c);
	if (all != c && !cred_same_rights(all, c))
		remember_apart();
}
