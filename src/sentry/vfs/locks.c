// Advisory locks. man 2 fcntl ("Advisory record locking"), man 2 flock.
//
// An inode's locks are one list; a lock belongs to a descriptor table (POSIX: Linux's own owner) or to an open file (OFD, flock). One
// mutex guards all: the sections are short, and deadlock detection wants to see who waits for whom anywhere.
// Leases aren't built.
#include "sentry/vfs/locks.h"

#include <sys/file.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/vfs_int.h"

enum { DEADLOCK_DEPTH = 32 };

enum lock_kind { LOCK_POSIX, LOCK_OFD, LOCK_FLOCK };

struct inode_lock {
	TAILQ_ENTRY(inode_lock) link;
	enum lock_kind kind;
	const void *owner; // a descriptor table or a file; only compared
	int type; // F_RDLCK or F_WRLCK
	int64_t start, end; // end inclusive; INT64_MAX: to the end of the file, wherever that is
	int pid; // of who set it, for F_GETLK; -1: OFD
};

struct file_locks {
	// Guarded by vfs->locks_mu.
	TAILQ_HEAD(, inode_lock) list; // an owner's, in order of start
	struct waitq waitq;
};

struct lock_waiter { // a task that waits for a POSIX lock, kept in its call's state
	LIST_ENTRY(lock_waiter) link; // vfs->lock_waiters
	const void *owner, *waits_for;
};

KMEM_TYPE(file_locks_type, file_locks);
KMEM_TYPE(lock_type, inode_lock);
KMEM_TYPE(waiter_type, lock_waiter);

static struct file_locks *locks_of_locked(struct inode *inode)
{
	struct file_locks *fl = inode->locks;

	if (fl)
		return fl;
	fl = kmem_alloc(&file_locks_type);
	if (!fl)
		return NULL;
	TAILQ_INIT(&fl->list);
	waitq_init(&fl->waitq);
	inode->locks = fl;
	return fl;
}

// flock and record locks don't see each other; POSIX and OFD locks do.
static bool conflict(const struct inode_lock *a, const struct inode_lock *b)
{
	if ((a->kind == LOCK_FLOCK) != (b->kind == LOCK_FLOCK) || (a->kind == b->kind && a->owner == b->owner))
		return false;
	return (a->type == F_WRLCK || b->type == F_WRLCK) && a->start <= b->end && b->start <= a->end;
}

static struct inode_lock *find_conflict_locked(struct file_locks *fl, const struct inode_lock *want)
{
	struct inode_lock *l;

	TAILQ_FOREACH(l, &fl->list, link)
		if (conflict(l, want))
			return l;
	return NULL;
}

static bool same_owner(const struct inode_lock *a, const struct inode_lock *b)
{
	return a->kind == b->kind && a->owner == b->owner;
}

static void remove_locked(struct file_locks *fl, struct inode_lock *l)
{
	TAILQ_REMOVE(&fl->list, l, link);
	kmem_free(&lock_type, l);
}

// Takes [start, end] away from what want's owner holds: cuts, splits (using *spare) or removes.
static void carve_locked(struct file_locks *fl, const struct inode_lock *want, struct inode_lock **spare)
{
	struct inode_lock *l, *next;

	for (l = TAILQ_FIRST(&fl->list); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (!same_owner(l, want) || l->end < want->start || l->start > want->end)
			continue;
		if (l->start < want->start && l->end > want->end) {
			struct inode_lock *right = *spare;

			*spare = NULL;
			*right = *l;
			right->start = want->end + 1;
			l->end = want->start - 1;
			TAILQ_INSERT_AFTER(&fl->list, l, right, link);
		} else if (l->start < want->start) {
			l->end = want->start - 1;
		} else if (l->end > want->end) {
			l->start = want->end + 1;
		} else {
			remove_locked(fl, l);
		}
	}
}

// Joins with neighbours of the same type, so that the list doesn't grow with every byte.
static void enter_locked(struct file_locks *fl, struct inode_lock *fresh)
{
	struct inode_lock *l, *next;

	for (l = TAILQ_FIRST(&fl->list); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (!same_owner(l, fresh) || l->type != fresh->type)
			continue;
		if (l->end != INT64_MAX && l->end + 1 == fresh->start) {
			fresh->start = l->start;
			remove_locked(fl, l);
		} else if (fresh->end != INT64_MAX && fresh->end + 1 == l->start) {
			fresh->end = l->end;
			remove_locked(fl, l);
		}
	}
	TAILQ_FOREACH(l, &fl->list, link)
		if (l->start > fresh->start)
			break;
	if (l)
		TAILQ_INSERT_BEFORE(l, fresh, link);
	else
		TAILQ_INSERT_TAIL(&fl->list, fresh, link);
}

// --- who waits for whom
static void waiter_gone(struct task *t, void *state)
{
	struct lock_waiter *w = state;

	(void)t;
	mutex_lock(&kernel()->vfs->locks_mu);
	LIST_REMOVE(w, link);
	mutex_unlock(&kernel()->vfs->locks_mu);
	kmem_free(&waiter_type, w);
}

// Would owner's waiting for blocker close a ring?
static bool deadlock_locked(const void *owner, const void *blocker)
{
	struct lock_waiter *w;

	for (int depth = 0; depth < DEADLOCK_DEPTH; depth++) {
		if (blocker == owner)
			return true;
		LIST_FOREACH(w, &kernel()->vfs->lock_waiters, link)
			if (w->owner == blocker)
				break;
		if (!w)
			return false;
		blocker = w->waits_for;
	}
	return false;
}

static int note_waiter_locked(struct task *t, const void *owner, const void *blocker)
{
	struct lock_waiter *w = t->call.state;

	if (!w) {
		w = kmem_alloc(&waiter_type);
		if (!w)
			return -ENOMEM;
		w->owner = owner;
		LIST_INSERT_HEAD(&kernel()->vfs->lock_waiters, w, link);
		t->call.state = w;
		t->call.state_free = waiter_gone;
	}
	w->waits_for = blocker;
	return 0;
}

// --- setting
// 0: done; -EAGAIN: *out_blocker's owner is in the way.
static int try_set(struct task *t, struct inode *inode, const struct inode_lock *want, bool unlock, bool wait)
{
	struct vfs *vfs = kernel()->vfs;
	struct inode_lock *fresh = unlock ? NULL : kmem_alloc(&lock_type), *spare = kmem_alloc(&lock_type), *blocker = NULL;
	struct file_locks *fl;
	int err = 0;

	if (!spare || (!unlock && !fresh)) {
		kmem_free(&lock_type, fresh);
		kmem_free(&lock_type, spare);
		return -ENOLCK;
	}
	loans_stop_closes(inode);
	mutex_lock(&vfs->locks_mu);
	fl = locks_of_locked(inode);
	if (!fl)
		err = -ENOLCK;
	else if (!unlock && (blocker = find_conflict_locked(fl, want)))
		err = -EAGAIN;
	if (blocker && wait && want->kind == LOCK_POSIX && blocker->kind == LOCK_POSIX)
		err = deadlock_locked(want->owner, blocker->owner) ? -EDEADLK :
		      note_waiter_locked(t, want->owner, blocker->owner) ?: -EAGAIN;
	if (!err) {
		carve_locked(fl, want, &spare);
		if (fresh) {
			*fresh = *want;
			enter_locked(fl, fresh);
			fresh = NULL;
		}
	}
	mutex_unlock(&vfs->locks_mu);
	if (!err)
		waitq_wake(&fl->waitq, 0); // less may be locked than before
	kmem_free(&lock_type, fresh);
	kmem_free(&lock_type, spare);
	return err;
}

// try_set with waiting. The inode's locks outlast the wait: the caller's file holds the inode, and the record is never freed before it.
static long set(struct task *t, struct inode *inode, const struct inode_lock *want, bool unlock, bool wait)
{
	long err = try_set(t, inode, want, unlock, wait);

	if (err != -EAGAIN || !wait)
		return err;
	err = task_wait_on(t, &inode->locks->waitq, 0);
	if (err)
		return err;
	err = try_set(t, inode, want, unlock, wait);
	return err == -EAGAIN ? task_block(t) : err;
}

static struct inode_lock lock_from(struct task *t, struct file *f, const struct flock *fl, bool ofd)
{
	return (struct inode_lock){
		.kind = ofd ? LOCK_OFD : LOCK_POSIX,
		.owner = ofd ? (const void *)f : t->files,
		.type = fl->l_type,
		.start = fl->l_start,
		.end = fl->l_len ? fl->l_start + fl->l_len - 1 : INT64_MAX,
		.pid = ofd ? -1 : t->tg->tgid,
	};
}

long posix_lock_set(struct task *t, struct file *f, const struct flock *fl, bool ofd, bool wait)
{
	struct inode_lock want = lock_from(t, f, fl, ofd);

	if (wait)
		task_keep_file(t, f);
	return set(t, f->inode, &want, fl->l_type == F_UNLCK, wait);
}

void posix_lock_get(struct task *t, struct file *f, struct flock *fl, bool ofd)
{
	struct inode_lock want = lock_from(t, f, fl, ofd), *l = NULL;

	mutex_lock(&kernel()->vfs->locks_mu);
	if (f->inode->locks)
		l = find_conflict_locked(f->inode->locks, &want);
	if (l)
		*fl = (struct flock){
			.l_type = (short)l->type,
			.l_whence = SEEK_SET,
			.l_start = l->start,
			.l_len = l->end == INT64_MAX ? 0 : l->end - l->start + 1,
			.l_pid = l->pid,
		};
	else
		fl->l_type = F_UNLCK;
	mutex_unlock(&kernel()->vfs->locks_mu);
}

static bool has_flock(struct file *f, int type)
{
	struct inode_lock *l = NULL;

	mutex_lock(&kernel()->vfs->locks_mu);
	if (f->inode->locks)
		TAILQ_FOREACH(l, &f->inode->locks->list, link)
			if (l->kind == LOCK_FLOCK && l->owner == f)
				break;
	mutex_unlock(&kernel()->vfs->locks_mu);
	return l && l->type == type;
}

long flock_set(struct task *t, struct file *f, int operation)
{
	bool nonblock = operation & LOCK_NB;
	struct inode_lock want = {.kind = LOCK_FLOCK, .owner = f, .start = 0, .end = INT64_MAX, .pid = t->tg->tgid};
	int op = operation & ~LOCK_NB;
	long err;

	if (op != LOCK_SH && op != LOCK_EX && op != LOCK_UN)
		return -EINVAL;
	want.type = op == LOCK_EX ? F_WRLCK : F_RDLCK;
	if (op == LOCK_UN)
		return set(t, f->inode, &want, true, false);
	if (has_flock(f, want.type))
		return 0;
	// A conversion gives the old lock up first: man 2 flock says that it isn't atomic.
	if (t->call.entries == 1 && f->inode->locks)
		set(t, f->inode, &want, true, false);
	if (!nonblock)
		task_keep_file(t, f);
	err = set(t, f->inode, &want, false, !nonblock);
	return err == -EAGAIN ? -EWOULDBLOCK : err;
}

// --- ends
static void drop_owned(struct inode *inode, const void *owner, bool posix)
{
	struct file_locks *fl = inode->locks;
	struct inode_lock *l, *next;
	bool dropped = false;

	mutex_lock(&kernel()->vfs->locks_mu);
	for (l = TAILQ_FIRST(&fl->list); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (l->owner == owner && (l->kind == LOCK_POSIX) == posix) {
			remove_locked(fl, l);
			dropped = true;
		}
	}
	mutex_unlock(&kernel()->vfs->locks_mu);
	if (dropped)
		waitq_wake(&fl->waitq, 0);
}

void file_locks_fd_closed(struct file *f, struct fdtable *owner)
{
	drop_owned(f->inode, owner, true);
}

void file_locks_file_closed(struct file *f)
{
	drop_owned(f->inode, f, false);
}

void file_locks_free(struct inode *inode)
{
	struct file_locks *fl = inode->locks;
	struct inode_lock *l;

	while ((l = TAILQ_FIRST(&fl->list)))
		remove_locked(fl, l);
	waitq_fini(&fl->waitq);
	kmem_free(&file_locks_type, fl);
	inode->locks = NULL;
}
