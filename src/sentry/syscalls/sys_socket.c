// Calls on sockets that move no data: socket, socketpair, bind, listen, accept, connect, names, shutdown, options.
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/sock.h"
#include "sentry/syscalls/sockaddr.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

#define SOCK_FLAGS (SOCK_NONBLOCK | SOCK_CLOEXEC)

int fd_sock(struct task *t, int fd, struct file **out_file, struct sock **out)
{
	struct file *f = fd_file(t, fd);

	if (!f)
		return -EBADF;
	*out = file_sock(f);
	if (!*out) {
		file_put(f);
		return -ENOTSOCK;
	}
	*out_file = f;
	return 0;
}

int sockaddr_copy_in(struct task *t, uaddr_t addr, int len, struct sockaddr_storage *out)
{
	if (len < 0 || len > (int)sizeof(*out))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	return copy_in(t, out, addr, len);
}

int sockaddr_copy_out(struct task *t, uaddr_t addr, uaddr_t ulen, const struct sockaddr_storage *from, socklen_t len)
{
	int cap, err;

	if (!addr)
		return 0;
	err = copy_in(t, &cap, ulen, sizeof(cap));
	if (!err && cap < 0)
		err = -EINVAL;
	if (!err)
		err = copy_out(t, addr, from, MIN((socklen_t)cap, len));
	return err ?: copy_out(t, ulen, &len, sizeof(len));
}

static int install(struct task *t, struct sock *s, int flags)
{
	struct file *f = sock_file_create(s, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0);

	return f ? fd_install(t, f, flags & SOCK_CLOEXEC, 0) : -ENFILE;
}

long sys_socket(struct task *t, const struct sysargs *args)
{
	int type = (int)args->a[1], flags = type & ~0xf, err;
	struct sock *s;

	if (flags & ~SOCK_FLAGS)
		return -EINVAL;
	err = sock_create(t, (int)args->a[0], type & 0xf, (int)args->a[2], &s);
	return err ? err : install(t, s, flags);
}

long sys_socketpair(struct task *t, const struct sysargs *args)
{
	int type = (int)args->a[1], flags = type & ~0xf, fds[2], err;
	struct sock *s[2];

	if (flags & ~SOCK_FLAGS)
		return -EINVAL;
	err = sock_create_pair(t, (int)args->a[0], type & 0xf, (int)args->a[2], s);
	if (err)
		return err;
	fds[0] = install(t, s[0], flags);
	if (fds[0] < 0) {
		sock_discard(s[1]);
		return fds[0];
	}
	fds[1] = install(t, s[1], flags);
	err = fds[1] < 0 ? fds[1] : copy_out(t, args->a[3], fds, sizeof(fds));
	if (err) {
		fd_close(t, fds[0]);
		if (fds[1] >= 0)
			fd_close(t, fds[1]);
	}
	return err;
}

long sys_bind(struct task *t, const struct sysargs *args)
{
	struct sockaddr_storage addr;
	struct file *f;
	struct sock *s;
	int err = fd_sock(t, (int)args->a[0], &f, &s);

	if (err)
		return err;
	err = sockaddr_copy_in(t, args->a[1], (int)args->a[2], &addr);
	if (!err)
		err = s->ops->bind ? s->ops->bind(t, s, &addr, (socklen_t)args->a[2]) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

long sys_listen(struct task *t, const struct sysargs *args)
{
	struct file *f;
	struct sock *s;
	int err = fd_sock(t, (int)args->a[0], &f, &s);

	if (err)
		return err;
	err = s->ops->listen ? s->ops->listen(t, s, (int)args->a[1]) : -EOPNOTSUPP;
	file_put(f);
	return err;
}

// The next connection, or parks the task until there is one.
static long accept_wait(struct task *t, struct file *f, struct sock *s, struct sock **out)
{
	long ret, late;

	if (!s->ops->accept)
		return -EOPNOTSUPP;
	ret = s->ops->accept(s, out);
	if (ret != -EAGAIN || f->flags & O_NONBLOCK)
		return ret;
	if (s->rcvtimeo_ns)
		task_deadline_in(t, s->rcvtimeo_ns);
	task_keep_file(t, f);
	ret = task_wait_on_exclusive(t, &s->waitq, POLLIN);
	if (ret)
		return ret;
	ret = s->ops->accept(s, out); // it may have come in between
	if (ret != -EAGAIN)
		return ret;
	ret = task_block(t);
	if (ret == -EBLOCKED)
		return ret;
	late = s->ops->accept(s, out); // what woke this task, and so none of the others who wait here
	if (late != -EAGAIN)
		return late;
	if (ret == -ETIMEDOUT)
		return -EAGAIN;
	return ret == -ERESTARTSYS && s->rcvtimeo_ns ? -EINTR : ret;
}

static long do_accept(struct task *t, int fd, uaddr_t uaddr, uaddr_t ulen, int flags)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = 0;
	struct sock *s, *end;
	struct file *f;
	long ret;

	if (flags & ~SOCK_FLAGS)
		return -EINVAL;
	ret = fd_sock(t, fd, &f, &s);
	if (ret)
		return ret;
	ret = accept_wait(t, f, s, &end);
	file_put(f);
	if (ret)
		return ret;
	if (uaddr) {
		int err = end->ops->getname(end, true, &addr, &len);

		if (err)
			err = -ECONNABORTED;
		err = err ?: sockaddr_copy_out(t, uaddr, ulen, &addr, len);
		if (err) {
			sock_discard(end);
			return err;
		}
	}
	return install(t, end, flags);
}

long sys_accept(struct task *t, const struct sysargs *args)
{
	return do_accept(t, (int)args->a[0], args->a[1], args->a[2], 0);
}

long sys_accept4(struct task *t, const struct sysargs *args)
{
	return do_accept(t, (int)args->a[0], args->a[1], args->a[2], (int)args->a[3]);
}

long sys_connect(struct task *t, const struct sysargs *args)
{
	struct sockaddr_storage addr;
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	ret = sockaddr_copy_in(t, args->a[1], (int)args->a[2], &addr);
	if (!ret)
		ret = s->ops->connect ? s->ops->connect(t, s, &addr, (socklen_t)args->a[2], !(f->flags & O_NONBLOCK)) : -EOPNOTSUPP;
	file_put(f);
	return ret;
}

static long name_call(struct task *t, const struct sysargs *args, bool peer)
{
	struct sockaddr_storage addr = {0};
	struct file *f;
	struct sock *s;
	socklen_t len;
	int err = fd_sock(t, (int)args->a[0], &f, &s);

	if (err)
		return err;
	err = s->ops->getname ? s->ops->getname(s, peer, &addr, &len) : -EOPNOTSUPP;
	file_put(f);
	if (err)
		return err;
	return args->a[1] ? sockaddr_copy_out(t, args->a[1], args->a[2], &addr, len) : -EFAULT;
}

long sys_getsockname(struct task *t, const struct sysargs *args)
{
	return name_call(t, args, false);
}

long sys_getpeername(struct task *t, const struct sysargs *args)
{
	return name_call(t, args, true);
}

long sys_shutdown(struct task *t, const struct sysargs *args)
{
	int how = (int)args->a[1], err;
	struct file *f;
	struct sock *s;

	err = fd_sock(t, (int)args->a[0], &f, &s);
	if (err)
		return err;
	if (how < SHUT_RD || how > SHUT_RDWR)
		err = -EINVAL;
	else
		err = s->ops->shutdown ? s->ops->shutdown(s, how + 1) : -EOPNOTSUPP; // SHUT_RD, WR, RDWR plus one are the bits
	file_put(f);
	return err;
}

long sys_setsockopt(struct task *t, const struct sysargs *args)
{
	struct file *f;
	struct sock *s;
	int err = fd_sock(t, (int)args->a[0], &f, &s);

	if (err)
		return err;
	err = sock_setsockopt(t, s, (int)args->a[1], (int)args->a[2], args->a[3], (int)args->a[4]);
	file_put(f);
	return err;
}

long sys_getsockopt(struct task *t, const struct sysargs *args)
{
	struct file *f;
	struct sock *s;
	int err = fd_sock(t, (int)args->a[0], &f, &s);

	if (err)
		return err;
	err = sock_getsockopt(t, s, (int)args->a[1], (int)args->a[2], args->a[3], args->a[4]);
	file_put(f);
	return err;
}
