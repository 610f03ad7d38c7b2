// inotify: who watches an inode, and the queue of what happened. man 7 inotify.
//
// A watch holds its inode. One lock guards all watches, so an inode needs only a list; the VFS asks for it only while watches exist.
// Differs from Linux: IN_DELETE_SELF comes with the last name's removal, even if the file is still open.
#include "sentry/vfs/notify.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/vfs/vfs_int.h"

enum { QUEUE_MAX = 16384, NAME_ALIGN = sizeof(struct inotify_event) };

struct inotify_mark {
	struct inotify *instance; // not counted: an instance takes its marks along
	struct inode *inode; // counted
	int wd;
	uint32_t mask;
	LIST_ENTRY(inotify_mark) inode_link, instance_link;
};

struct inotify_marks {
	LIST_HEAD(, inotify_mark) list; // Guarded by vfs->notify_mu.
};

struct queued_event {
	TAILQ_ENTRY(queued_event) link;
	struct inotify_event e; // len: with the padding
	char name[]; // padded with zeros
};

struct inotify {
	// Guarded by vfs->notify_mu.
	LIST_HEAD(, inotify_mark) marks;
	int last_wd;
	struct mutex mu;
	// Guarded by mu.
	TAILQ_HEAD(event_queue, queued_event) queue;
	uint32_t queued;
	uint64_t bytes;
	struct waitq waitq;
};

KMEM_TYPE(inotify_type, inotify);
KMEM_TYPE(mark_type, inotify_mark);
KMEM_TYPE(marks_type, inotify_marks);

// --- the queue
static bool same_as_last_locked(struct inotify *in, const struct inotify_event *e, const char *name)
{
	struct queued_event *last = TAILQ_LAST(&in->queue, event_queue);

	return last && last->e.wd == e->wd && last->e.mask == e->mask && last->e.cookie == e->cookie && last->e.len == e->len &&
	       (!e->len || strcmp(last->name, name) == 0);
}

static void enqueue_locked(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	size_t len = name ? strlen(name) + 1 : 0, padded = (len + NAME_ALIGN - 1) / NAME_ALIGN * NAME_ALIGN;
	struct inotify_event e = {.wd = wd, .mask = mask, .cookie = cookie, .len = (uint32_t)padded};
	struct queued_event *q;

	if (in->queued > QUEUE_MAX || same_as_last_locked(in, &e, name))
		return;
	if (in->queued == QUEUE_MAX) {
		e = (struct inotify_event){.wd = -1, .mask = IN_Q_OVERFLOW};
		padded = len = 0;
	}
	q = kmem_bytes(sizeof(*q) + padded);
	if (!q)
		return; // as lost as those beyond the queue's end
	q->e = e;
	if (len)
		memcpy(q->name, name, len);
	TAILQ_INSERT_TAIL(&in->queue, q, link);
	in->queued++;
	in->bytes += sizeof(e) + padded;
}

static void tell(struct inotify *in, int wd, uint32_t mask, uint32_t cookie, const char *name)
{
	mutex_lock(&in->mu);
	enqueue_locked(in, wd, mask, cookie, name);
	mutex_unlock(&in->mu);
	waitq_wake(&in->waitq, POLLIN_ALL);
}

// --- the instance's file
static int64_t instance_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct inotify *in = f->priv;
	struct queued_event *q;
	int64_t done = 0;

	for (;;) {
		uint64_t size;
		int err;

		mutex_lock(&in->mu);
		q = TAILQ_FIRST(&in->queue);
		size = q ? sizeof(q->e) + q->e.len : 0;
		if (q && size <= u->resid) {
			TAILQ_REMOVE(&in->queue, q, link);
			in->queued--;
			in->bytes -= size;
		}
		mutex_unlock(&in->mu);
		if (!q)
			return done ? done : -EAGAIN;
		if (size > u->resid)
			return done ? done : -EINVAL;
		err = uio_put(u, &q->e, size); // the name follows the event, as in the queue
		kmem_bytes_free(q);
		if (err)
			return done ? done : err;
		done += size;
	}
}

static uint32_t instance_poll(struct file *f, struct poll_table *pt)
{
	struct inotify *in = f->priv;
	uint32_t ready;

	poll_wait(pt, &in->waitq);
	mutex_lock(&in->mu);
	ready = TAILQ_EMPTY(&in->queue) ? 0 : POLLIN_ALL;
	mutex_unlock(&in->mu);
	return ready;
}

static long instance_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct inotify *in = f->priv;
	int n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&in->mu);
	n = (int)in->bytes;
	mutex_unlock(&in->mu);
	return copy_out_obj(t, arg, &n);
}

// Takes the mark off both lists; the caller frees it without the lock.
static void unlink_locked(struct inotify_mark *m)
{
	LIST_REMOVE(m, inode_link);
	LIST_REMOVE(m, instance_link);
	if (--kernel()->vfs->nwatches == 0 && platform->lent_watch)
		platform->lent_watch(false);
}

static void free_mark(struct inotify_mark *m)
{
	inode_put(m->inode);
	kmem_free(&mark_type, m);
}

static void instance_release(struct file *f)
{
	struct vfs *vfs = kernel()->vfs;
	struct inotify *in = f->priv;
	struct inotify_mark *m;
	struct queued_event *q;

	do {
		mutex_lock(&vfs->notify_mu);
		m = LIST_FIRST(&in->marks);
		if (m)
			unlink_locked(m);
		mutex_unlock(&vfs->notify_mu);
		if (m)
			free_mark(m);
	} while (m);
	while ((q = TAILQ_FIRST(&in->queue))) {
		TAILQ_REMOVE(&in->queue, q, link);
		kmem_bytes_free(q);
	}
	waitq_fini(&in->waitq);
	kmem_free(&inotify_type, in);
}

static int instance_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct vfs *vfs = kernel()->vfs;
	struct inotify *in = f->priv;
	struct inotify_mark *m;
	int n = 0;

	mutex_lock(&vfs->notify_mu);
	LIST_FOREACH(m, &in->marks, instance_link)
		if ((size_t)n < cap)
			n += snprintf(dst + n, cap - n, "inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:0\n", m->wd,
				      (unsigned long)m->inode->attr.ino, (unsigned long)m->inode->sb->dev, m->mask);
	mutex_unlock(&vfs->notify_mu);
	return n;
}

static const struct file_ops instance_ops = {
	.read = instance_read,
	.poll = instance_poll,
	.ioctl = instance_ioctl,
	.release = instance_release,
	.show_fdinfo = instance_fdinfo,
	.stream = true,
};

bool file_is_inotify(const struct file *f)
{
	return f->ops == &instance_ops;
}

struct file *inotify_create(struct task *t, unsigned flags)
{
	struct inotify *in = kmem_alloc(&inotify_type);
	struct file *f;

	(void)t;
	if (!in)
		return NULL;
	mutex_init(&in->mu);
	waitq_init(&in->waitq);
	TAILQ_INIT(&in->queue);
	LIST_INIT(&in->marks);
	f = file_create_anon(&instance_ops, in, O_RDONLY | (flags & O_NONBLOCK), 0, "inotify");
	if (!f)
		kmem_free(&inotify_type, in);
	return f;
}

// --- watches
static struct inotify_mark *find_locked(struct inotify *in, struct inode *inode)
{
	struct inotify_mark *m;

	if (inode->marks)
		LIST_FOREACH(m, &inode->marks->list, inode_link)
			if (m->instance == in)
				return m;
	return NULL;
}

int inotify_add(struct file *f, const struct path *p, uint32_t mask)
{
	struct vfs *vfs = kernel()->vfs;
	struct inotify *in = f->priv;
	struct inode *inode = dentry_inode(p->dentry);
	struct inotify_mark *fresh = kmem_alloc(&mark_type), *m;
	uint32_t keep = mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK);
	int wd;

	if (!fresh)
		return -ENOMEM;
	if (!vfs->nwatches)
		late_await_all(); // what was closed before isn't told of
	mutex_lock(&vfs->notify_mu);
	if (!inode->marks)
		inode->marks = kmem_alloc(&marks_type);
	m = find_locked(in, inode);
	if (!inode->marks) {
		wd = -ENOMEM;
	} else if (m && (mask & IN_MASK_CREATE)) {
		wd = -EEXIST;
	} else if (m) {
		m->mask = mask & IN_MASK_ADD ? m->mask | keep : keep;
		wd = m->wd;
	} else {
		m = fresh;
		fresh = NULL;
		*m = (struct inotify_mark){.instance = in, .inode = inode_get(inode), .mask = keep, .wd = ++in->last_wd};
		LIST_INSERT_HEAD(&inode->marks->list, m, inode_link);
		LIST_INSERT_HEAD(&in->marks, m, instance_link);
		if (vfs->nwatches++ == 0 && platform->lent_watch)
			platform->lent_watch(true);
		wd = m->wd;
	}
	mutex_unlock(&vfs->notify_mu);
	kmem_free(&mark_type, fresh);
	return wd;
}

int inotify_remove(struct file *f, int wd)
{
	struct vfs *vfs = kernel()->vfs;
	struct inotify *in = f->priv;
	struct inotify_mark *m;

	mutex_lock(&vfs->notify_mu);
	LIST_FOREACH(m, &in->marks, instance_link)
		if (m->wd == wd)
			break;
	if (m) {
		unlink_locked(m);
		tell(in, wd, IN_IGNORED, 0, NULL);
	}
	mutex_unlock(&vfs->notify_mu);
	if (!m)
		return -EINVAL;
	free_mark(m);
	return 0;
}

// --- events
void vfs_inotify_cookie(struct inode *inode, uint32_t mask, uint32_t cookie, const char *name)
{
	struct vfs *vfs = kernel()->vfs;
	struct inotify_mark *m, *next, *gone = NULL;

	if (!vfs->nwatches || !inode->marks)
		return;
	mutex_lock(&vfs->notify_mu);
	for (m = LIST_FIRST(&inode->marks->list); m; m = next) {
		bool told = m->mask & mask & IN_ALL_EVENTS;

		next = LIST_NEXT(m, inode_link);
		if (told)
			tell(m->instance, m->wd, mask, cookie, name);
		if ((mask & (IN_DELETE_SELF | IN_UNMOUNT)) || (told && (m->mask & IN_ONESHOT))) {
			tell(m->instance, m->wd, IN_IGNORED, 0, NULL);
			unlink_locked(m);
			m->inode_link.le_next = gone;
			gone = m;
		}
	}
	mutex_unlock(&vfs->notify_mu);
	while (gone) {
		m = gone;
		gone = m->inode_link.le_next;
		free_mark(m); // inode's caller holds a reference, too: nothing ends here
	}
}

void vfs_inotify(struct inode *inode, struct dentry *d, uint32_t mask, const char *name)
{
	(void)d;
	vfs_inotify_cookie(inode, mask, 0, name);
}

void vfs_notify_path(const struct path *p, uint32_t mask)
{
	struct vfs *vfs = kernel()->vfs;
	struct dentry *d = p->dentry, *parent = NULL;
	struct inode *inode = dentry_inode(d), *dir;
	char name[NAME_MAX + 1];

	if (!vfs->nwatches || p->mnt == vfs->anon_mnt)
		return;
	if (S_ISDIR(inode->attr.mode))
		mask |= IN_ISDIR;
	mutex_lock(&vfs->dcache_mu);
	dir = dentry_is_root(d) ? NULL : dentry_inode(d->parent);
	if (dir && dir->marks && d->len <= NAME_MAX) {
		parent = dentry_get(d->parent);
		memcpy(name, d->name, d->len + 1);
	}
	mutex_unlock(&vfs->dcache_mu);
	if (parent)
		vfs_inotify_cookie(dir, mask, 0, name);
	dentry_put(parent);
	vfs_inotify_cookie(inode, mask, 0, NULL);
}

uint32_t vfs_notify_cookie(void)
{
	return ++kernel()->vfs->next_cookie;
}

void inotify_inode_gone(struct inode *inode)
{
	kmem_free(&marks_type, inode->marks); // no mark is left: each held the inode
	inode->marks = NULL;
}
