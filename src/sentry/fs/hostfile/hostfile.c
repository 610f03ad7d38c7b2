// Host descriptors as files.
//
// The host keeps position and append mode, because processes outside may share the open file description: a read or write at the file's own
// position is one at the host's. What may wait (pipes, sockets, terminals) is asked with poll first and then
// read without waiting, where the host has a way to say so; readiness arrives through the workers' epoll set. Another reader outside
// can still come in between on a terminal: then one worker waits, marked as away.
#include "sentry/fs/hostfile/hostfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

enum {
	STREAM_BYTES = 64 << 10, // moved at once
	PIPE_CHUNK = 4096, // fits whenever a pipe is writable (man 7 pipe)
	TTY_CHUNK = 1024,
};

struct hostfile {
	struct inode inode;
	struct hostfd *host;
	bool may_wait; // not a regular file
	bool is_socket, is_tty;
	bool no_nowait; // the host has no RWF_NOWAIT for it
	struct mutex watch_mu;
	bool watched, always_ready; // Guarded by watch_mu.
	struct fd_watch watch;
	struct waitq waitq;
};

KMEM_TYPE(hostfile_type, hostfile);

static struct hostfile *hostfile(struct inode *inode)
{
	return container_of(inode, struct hostfile, inode);
}

// --- readiness

static uint32_t host_poll(const struct hostfile *h, uint32_t events)
{
	struct pollfd p = {.fd = h->host->fd, .events = (short)events};

	return poll(&p, 1, 0) < 0 ? POLLERR : (uint32_t)(unsigned short)p.revents;
}

static void ready(struct fd_watch *w, uint32_t events)
{
	struct hostfile *h = container_of(w, struct hostfile, watch);

	(void)events; // edge-triggered: whoever wakes asks the host again
	waitq_wake(&h->waitq, POLLIN_ALL | POLLOUT_ALL | POLLPRI | POLLERR | POLLHUP);
}

static void watch(struct hostfile *h)
{
	mutex_lock(&h->watch_mu);
	if (!h->watched && !h->always_ready) {
		h->watch = (struct fd_watch){.fd = h->host->fd, .fn = ready};
		if (kernel_watch_fd(&h->watch, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP) < 0)
			h->always_ready = true; // a device that knows no epoll
		else
			h->watched = true;
	}
	mutex_unlock(&h->watch_mu);
}

static uint32_t hostfile_poll(struct file *f, struct poll_table *pt)
{
	struct hostfile *h = hostfile(f->inode);
	uint32_t access = f->flags & O_ACCMODE;

	if (!h->may_wait)
		return POLLIN_ALL | POLLOUT_ALL;
	if (pt)
		watch(h);
	poll_wait(pt, &h->waitq);
	return host_poll(h, (access != O_WRONLY ? POLLIN_ALL | POLLPRI : 0) | (access != O_RDONLY ? POLLOUT_ALL : 0) | POLLRDHUP);
}

// --- streams

// Without waiting where the host can. -EAGAIN, and -EOPNOTSUPP where it can't.
static ssize_t stream_read(struct hostfile *h, void *buf, size_t len)
{
	struct iovec iov = {buf, len};
	ssize_t n;

	if (h->is_socket)
		n = recv(h->host->fd, buf, len, MSG_DONTWAIT);
	else if (h->no_nowait)
		return -EOPNOTSUPP;
	else
		n = preadv2(h->host->fd, &iov, 1, -1, RWF_NOWAIT);
	return n < 0 ? -errno : n;
}

static ssize_t stream_write(struct hostfile *h, const void *buf, size_t len)
{
	struct iovec iov = {(void *)buf, len};
	ssize_t n;

	if (h->is_socket)
		n = send(h->host->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (h->no_nowait)
		return -EOPNOTSUPP;
	else
		n = pwritev2(h->host->fd, &iov, 1, -1, RWF_NOWAIT);
	return n < 0 ? -errno : n;
}

// The way for hosts that can't be asked not to wait: poll says that this much goes.
static ssize_t polled(struct hostfile *h, bool write_it, void *buf, size_t len)
{
	ssize_t n;

	h->no_nowait = true;
	if (!(host_poll(h, write_it ? POLLOUT : POLLIN) & ~POLLPRI))
		return -EAGAIN;
	kernel_away_begin();
	if (write_it)
		n = write(h->host->fd, buf, MIN(len, (size_t)(h->is_tty ? TTY_CHUNK : PIPE_CHUNK)));
	else
		n = read(h->host->fd, buf, len);
	if (n < 0)
		n = -errno;
	kernel_away_end();
	return n == -EINTR ? -EAGAIN : n;
}

static int64_t read_stream(struct hostfile *h, struct uio *u)
{
	char buf[STREAM_BYTES];
	size_t len = MIN(u->resid, sizeof(buf));
	ssize_t n = stream_read(h, buf, len);

	if (n == -EOPNOTSUPP || n == -EINVAL)
		n = polled(h, false, buf, len);
	if (n <= 0)
		return n;
	return uio_put(u, buf, n) < 0 ? -EFAULT : n;
}

static void raise_sigpipe(struct task *t)
{
	siginfo_t info = {.si_signo = SIGPIPE, .si_code = SI_USER};

	if (t)
		signal_send_task(t, SIGPIPE, &info);
}

// What was taken from u but not written is given back by moving u only over what was.
static int64_t write_stream(struct hostfile *h, struct uio *u)
{
	char buf[STREAM_BYTES];
	struct uio ahead = *u;
	size_t len = MIN(u->resid, sizeof(buf)), done = 0;
	ssize_t n = 0;

	if (uio_take(&ahead, buf, len) < 0)
		return -EFAULT;
	while (done < len) {
		n = stream_write(h, buf + done, len - done);
		if (n == -EOPNOTSUPP || n == -EINVAL)
			n = polled(h, true, buf + done, len - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (n == -EPIPE && !done)
		raise_sigpipe(u->task);
	if (done == len)
		*u = ahead;
	else if (done && uio_take(u, buf, done) < 0)
		return -EFAULT;
	return done ? (int64_t)done : n;
}

// --- all kinds

static int64_t hostfile_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct hostfile *h = hostfile(f->inode);
	int64_t n;

	if (u->resid == 0)
		return 0;
	if (h->may_wait)
		return read_stream(h, u);
	kernel_away_begin();
	n = uio_host_read(u, h->host->fd, pos == &f->pos ? -1 : *pos);
	kernel_away_end();
	if (n > 0)
		*pos += n;
	return n;
}

static int64_t hostfile_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct hostfile *h = hostfile(f->inode);
	int64_t n;

	if (u->resid == 0)
		return 0;
	if (h->may_wait)
		return write_stream(h, u);
	kernel_away_begin();
	n = uio_host_write(u, h->host->fd, pos == &f->pos ? -1 : *pos);
	kernel_away_end();
	if (n > 0)
		*pos += n;
	return n;
}

static int64_t hostfile_llseek(struct file *f, int64_t offset, int whence)
{
	off_t at = lseek(hostfile(f->inode)->host->fd, offset, whence);

	if (at < 0)
		return -errno;
	f->pos = at;
	return at;
}

// A terminal that is passed through keeps its modes and size on the host; job control isn't its business.
static long hostfile_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct hostfile *h = hostfile(f->inode);
	union {
		int number;
		struct winsize size;
		char termios[64]; // the kernel's, smaller than libc's
	} data = {0};
	size_t in = 0, out = 0;

	switch (cmd) {
	case FIONREAD:
		out = sizeof(int);
		break;
	case TCGETS:
		out = 36; // sizeof the kernel's struct termios
		break;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		in = 36;
		break;
	case TIOCGWINSZ:
		out = sizeof(data.size);
		break;
	case TIOCSWINSZ:
		in = sizeof(data.size);
		break;
	default:
		return -ENOTTY;
	}
	if (!h->is_tty && cmd != FIONREAD)
		return -ENOTTY;
	if (in && copy_in(t, &data, arg, in) < 0)
		return -EFAULT;
	if (ioctl(h->host->fd, cmd, &data) < 0)
		return -errno;
	return out ? copy_out(t, arg, &data, out) : 0;
}

static int hostfile_mmap(struct file *f, uint64_t offset, uint64_t len, int prot, bool shared, struct vm_backing *out)
{
	struct hostfile *h = hostfile(f->inode);

	if (!S_ISREG(f->inode->attr.mode))
		return -ENODEV;
	out->hostfd = hostfd_get(h->host);
	out->offset = offset;
	out->deny_shared_write = shared && (f->flags & O_ACCMODE) == O_RDONLY;
	return 0;
}

static int hostfile_fsync(struct file *f, bool data_only)
{
	int fd = hostfile(f->inode)->host->fd, err;

	kernel_away_begin();
	err = (data_only ? fdatasync(fd) : fsync(fd)) < 0 ? -errno : 0;
	kernel_away_end();
	return err;
}

static int hostfile_fallocate(struct file *f, int mode, int64_t offset, int64_t len)
{
	int err;

	kernel_away_begin();
	err = fallocate(hostfile(f->inode)->host->fd, mode, offset, len) < 0 ? -errno : 0;
	kernel_away_end();
	return err;
}

static const struct file_ops regular_ops = {
	.read = hostfile_read,
	.write = hostfile_write,
	.llseek = hostfile_llseek,
	.ioctl = hostfile_ioctl,
	.mmap = hostfile_mmap,
	.fsync = hostfile_fsync,
	.fallocate = hostfile_fallocate,
	.host_backed = true,
};

static const struct file_ops stream_ops = {
	.read = hostfile_read,
	.write = hostfile_write,
	.poll = hostfile_poll,
	.ioctl = hostfile_ioctl,
	.stream = true,
};

// --- the inode

static int host_attr(struct inode *inode, struct inode_attr *out)
{
	struct stat st;

	if (fstat(hostfile(inode)->host->fd, &st) < 0)
		return -errno;
	*out = (struct inode_attr){
		.ino = st.st_ino,
		.mode = st.st_mode,
		.nlink = (uint32_t)st.st_nlink,
		.uid = st.st_uid,
		.gid = st.st_gid,
		.rdev = st.st_rdev,
		.size = (uint64_t)st.st_size,
		.blocks = (uint64_t)st.st_blocks,
		.blksize = (uint32_t)st.st_blksize,
		.atime = st.st_atim,
		.mtime = st.st_mtim,
		.ctime = st.st_ctim,
		.btime = st.st_ctim,
	};
	inode->attr = *out;
	return 0;
}

// Only the size: owner, mode and times of the host's file are not an application's to change.
static int host_setattr(struct inode *inode, const struct setattr *set)
{
	if (set->valid & (ATTR_MODE | ATTR_UID | ATTR_GID))
		return -EPERM;
	if (set->valid & ATTR_SIZE && ftruncate(hostfile(inode)->host->fd, (off_t)set->size) < 0)
		return -errno;
	return 0;
}

static void host_destroy(struct inode *inode)
{
	struct hostfile *h = hostfile(inode);

	if (h->watched)
		kernel_unwatch_fd(&h->watch);
	hostfd_put(h->host);
	waitq_fini(&h->waitq);
	inode_fini(inode);
	kmem_free(&hostfile_type, h);
}

static const struct inode_ops inode_ops = {.getattr = host_attr, .setattr = host_setattr, .destroy = host_destroy};

// The name that /proc/PID/fd shows.
static size_t name_of(const struct inode_attr *attr, bool is_tty, char *dst, size_t cap)
{
	const char *kind = S_ISFIFO(attr->mode) ? "pipe" : S_ISSOCK(attr->mode) ? "socket" : is_tty ? "tty" : "host";

	return (size_t)snprintf(dst, cap, "%s:[%lu]", kind, (unsigned long)attr->ino);
}

static bool host_is_tty(int fd)
{
	char termios[64];

	return ioctl(fd, TCGETS, termios) == 0;
}

// Takes h's creation reference (that of its inode).
static int open_inode(struct hostfile *h, unsigned flags, struct file **out_file)
{
	struct mount *mnt = kernel()->vfs->anon_mnt;
	char name[64];
	size_t len = name_of(&h->inode.attr, h->is_tty, name, sizeof(name));
	struct dentry *d = dentry_create_unhashed(mnt->root, name, len, &h->inode);

	if (!d)
		return -ENOMEM;
	*out_file = file_alloc((struct path){mount_get(mnt), d}, flags, NULL);
	return *out_file ? 0 : -ENOMEM;
}

int hostfile_create(int fd, struct file **out_file)
{
	int flags = fcntl(fd, F_GETFL);
	struct inode_attr attr;
	struct hostfile *h;
	int err;

	if (flags < 0)
		return -errno;
	h = kmem_alloc(&hostfile_type);
	if (!h) {
		close(fd);
		return -ENOMEM;
	}
	inode_init(&h->inode, kernel()->vfs->anon_mnt->sb, &inode_ops, 0);
	waitq_init(&h->waitq);
	mutex_init(&h->watch_mu);
	h->host = hostfd_create(fd);
	err = h->host ? host_attr(&h->inode, &attr) : -ENOMEM;
	if (err) {
		inode_put(&h->inode);
		return err;
	}
	h->may_wait = !S_ISREG(attr.mode) && !S_ISDIR(attr.mode) && !S_ISBLK(attr.mode);
	h->is_socket = S_ISSOCK(attr.mode);
	h->is_tty = S_ISCHR(attr.mode) && host_is_tty(fd);
	if (S_ISDIR(attr.mode))
		h->inode.file_ops = &path_file_ops; // a directory of the host's is not for looking into
	else
		h->inode.file_ops = h->may_wait ? &stream_ops : &regular_ops;
	return open_inode(h, (unsigned)flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECT | O_SYNC), out_file);
}
