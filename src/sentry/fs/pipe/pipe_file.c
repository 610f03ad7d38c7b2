// The files at a pipe's ends: pipe(2), FIFOs, and pipes opened again through /proc.
//
// Every inode of type S_IFIFO has at most one pipe, while any end of it is open: inode->pipe, guarded by inode->mu. The two files of
// pipe(2) share one inode. A file holds a reference to the pipe and counts as reader, writer or both until its release.
#include "sentry/fs/pipe/pipe.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/kmem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/open.h"

KMEM_TYPE(pipe_type, pipe);

static const struct file_ops pipe_file_ops;

static struct pipe *pipe_create(void)
{
	struct pipe *p = kmem_alloc(&pipe_type);

	if (!p)
		return NULL;
	ref_init(&p->ref);
	mutex_init(&p->mu);
	waitq_init(&p->rd_waitq);
	waitq_init(&p->wr_waitq);
	p->size = PIPE_SIZE_DEFAULT;
	return p;
}

static void pipe_put(struct pipe *p)
{
	if (!ref_put(&p->ref))
		return;
	kmem_bytes_free(p->buf);
	kmem_bytes_free(p->packets);
	waitq_fini(&p->rd_waitq);
	waitq_fini(&p->wr_waitq);
	kmem_free(&pipe_type, p);
}

static bool file_reads(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_WRONLY;
}

static bool file_writes(const struct file *f)
{
	return (f->flags & O_ACCMODE) != O_RDONLY;
}

// Counts f as an end of its pipe.
static void pipe_attach(struct pipe *p, struct file *f)
{
	pipe_lock(p);
	p->files++;
	if (file_reads(f)) {
		p->readers++;
		p->reader_opens++;
	}
	if (file_writes(f)) {
		p->writers++;
		p->writer_opens++;
	}
	mutex_unlock(&p->mu);
	waitq_wake(&p->rd_waitq, 0);
	waitq_wake(&p->wr_waitq, 0);
}

static void pipe_release(struct file *f)
{
	struct pipe *p = f->priv;
	struct inode *inode = f->inode;
	bool last;

	if (!p)
		return; // the open failed
	mutex_lock(&inode->mu);
	pipe_lock(p);
	last = --p->files == 0;
	p->readers -= file_reads(f);
	p->writers -= file_writes(f);
	mutex_unlock(&p->mu);
	if (last)
		inode->pipe = NULL;
	mutex_unlock(&inode->mu);
	if (!last) {
		waitq_wake(&p->rd_waitq, POLLIN_ALL | POLLHUP);
		waitq_wake(&p->wr_waitq, POLLOUT_ALL | POLLERR);
	}
	f->priv = NULL;
	pipe_put(p);
}

static int64_t pipe_file_read(struct file *f, struct uio *u, int64_t *pos)
{
	return pipe_read(f->priv, u);
}

void pipe_broken(struct task *t)
{
	siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};

	info.si_pid = t->tg->tgid;
	info.si_uid = t->cred->uid;
	signal_send_task(t, SIGPIPE, &info);
}

static int64_t pipe_file_write(struct file *f, struct uio *u, int64_t *pos)
{
	int64_t n = pipe_write(f->priv, u, f->flags & O_DIRECT);

	if (n == -EPIPE && u->task)
		pipe_broken(u->task);
	return n;
}

static uint32_t pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	uint32_t mask = 0;
	size_t used;

	if (file_reads(f))
		poll_wait(pt, &p->rd_waitq);
	if (file_writes(f))
		poll_wait(pt, &p->wr_waitq);
	if (pt) {
		pipe_lock(p);
		p->loan.uses = 0;
	} else {
		mutex_lock(&p->mu);
	}
	used = pipe_used_locked(p);
	if (p->loan.lent)
		mask = POLL_LENT;
	if (file_reads(f)) {
		if (used)
			mask |= POLLIN_ALL;
		// Not before the first writer of a FIFO came: f->pos keeps how many had come when f was opened.
		if (!p->writers && p->writer_opens != (uint64_t)f->pos)
			mask |= POLLHUP;
	}
	if (file_writes(f)) {
		// As much room as lets any write of up to PIPE_BUF succeed.
		if (used + PIPE_BUF <= p->size && p->packet_count < p->size / PIPE_BUF)
			mask |= POLLOUT | POLLWRNORM;
		if (!p->readers)
			mask |= POLLERR;
	}
	mutex_unlock(&p->mu);
	return mask;
}

static const struct content_loan *pipe_content(const struct file *f)
{
	return file_reads(f) ? &((struct pipe *)f->priv)->loan : NULL;
}

static long pipe_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	int n;

	if (cmd != FIONREAD)
		return -ENOTTY;
	mutex_lock(&p->mu);
	n = (int)pipe_used_locked(p);
	mutex_unlock(&p->mu);
	return copy_out_obj(t, arg, &n);
}

int pipe_create_files(struct task *t, int flags, struct file **out_reader, struct file **out_writer)
{
	struct pipe *p = pipe_create();
	struct file *r, *w;

	if (!p)
		return -ENOMEM;
	r = file_create_anon(&pipe_file_ops, NULL, O_RDONLY | (flags & (O_NONBLOCK | O_DIRECT)), S_IFIFO, "pipe");
	w = r ? file_alloc(path_get(&r->path), O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT)), NULL) : NULL; // of the same inode
	if (!w) {
		if (r)
			file_put(r);
		pipe_put(p);
		return -ENFILE;
	}
	r->inode->attr.uid = t->cred->fsuid;
	r->inode->attr.gid = t->cred->fsgid;
	r->priv = p;
	p->anonymous = true;
	ref_get(&p->ref);
	w->priv = p;
	r->inode->pipe = p;
	pipe_attach(p, r);
	pipe_attach(p, w);
	*out_reader = r;
	*out_writer = w;
	return 0;
}

int fifo_open(struct file *f)
{
	struct inode *inode = f->inode;
	struct pipe *p;

	f->ops = &pipe_file_ops;
	mutex_lock(&inode->mu);
	p = inode->pipe;
	if ((f->flags & O_ACCMODE) == O_WRONLY && f->flags & O_NONBLOCK && !(p && (p->readers || p->anonymous))) {
		mutex_unlock(&inode->mu);
		return -ENXIO;
	}
	if (p)
		ref_get(&p->ref);
	else
		inode->pipe = p = pipe_create();
	if (!p) {
		mutex_unlock(&inode->mu);
		return -ENOMEM;
	}
	f->priv = p;
	// What fifo_open_wait waits for to change, and what poll goes by: the opens of the other side so far.
	if (p->anonymous || (f->flags & O_NONBLOCK && p->writers))
		f->pos = 0;
	else
		f->pos = file_reads(f) ? p->writer_opens : p->reader_opens;
	pipe_attach(p, f);
	mutex_unlock(&inode->mu);
	return 0;
}

static bool fifo_open_done(struct pipe *p, struct file *f)
{
	bool done = true;

	pipe_lock(p);
	if (p->anonymous)
		done = true;
	else if ((f->flags & O_ACCMODE) == O_RDONLY)
		done = f->flags & O_NONBLOCK || p->writers || p->writer_opens != (uint64_t)f->pos;
	else if ((f->flags & O_ACCMODE) == O_WRONLY)
		done = p->readers || p->reader_opens != (uint64_t)f->pos;
	// From here on pos says what writers had come before: after a wait one came, without O_NONBLOCK there is one.
	if (done && !(f->flags & O_NONBLOCK))
		f->pos = 0;
	mutex_unlock(&p->mu);
	return done;
}

long fifo_open_wait(struct task *t, struct file *f)
{
	struct pipe *p = f->priv;
	int err;

	if (fifo_open_done(p, f))
		return 0;
	err = task_wait_on(t, file_reads(f) ? &p->rd_waitq : &p->wr_waitq, 0);
	if (err)
		return err;
	return fifo_open_done(p, f) ? 0 : task_block(t);
}

struct pipe *file_pipe(struct file *f)
{
	return f->ops == &pipe_file_ops ? f->priv : NULL;
}

// Rounds up to a power of two of pages, as Linux does.
static size_t pipe_size_round(uint64_t arg)
{
	size_t size = PIPE_SIZE_MIN;

	while (size < arg)
		size *= 2;
	return size;
}

static long pipe_set_size(struct task *t, struct pipe *p, uint64_t arg)
{
	size_t size;
	long ret;

	if ((uint32_t)arg > 1u << 31)
		return -EINVAL;
	size = pipe_size_round((uint32_t)arg);
	pipe_lock(p);
	if (size > p->size && size > PIPE_SIZE_MAX && !cred_has_cap(t->cred, CAP_SYS_RESOURCE))
		ret = -EPERM;
	else if (size > 1u << 29)
		ret = -ENOMEM;
	else if (p->tail - p->head > size || p->packet_count)
		ret = -EBUSY; // packets stay in the ring of their number; they are rare
	else {
		kmem_bytes_free(p->packets);
		p->packets = NULL;
		p->packet_first = 0;
		ret = p->size = size;
	}
	mutex_unlock(&p->mu);
	if (ret > 0)
		waitq_wake(&p->wr_waitq, POLLOUT_ALL);
	return ret;
}

long pipe_fcntl(struct task *t, struct file *f, int cmd, uint64_t arg)
{
	struct pipe *p = file_pipe(f);

	if (!p)
		return -EBADF;
	if (cmd == F_SETPIPE_SZ)
		return pipe_set_size(t, p, arg);
	return p->size;
}

static const struct file_ops pipe_file_ops = {
	.read = pipe_file_read,
	.write = pipe_file_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
	.used = pipe_file_used,
	.content = pipe_content,
	.stream = true,
};
