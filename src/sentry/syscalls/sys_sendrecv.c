// Moving data through sockets: send*, recv*, sendmsg, recvmsg and their vector forms.
//
// Every entry of a handler reads its arguments again; what a stream has moved so far is in t->call.io, and so is how many messages a
// vector call has done.
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/sock.h"
#include "sentry/syscalls/iovec.h"
#include "sentry/syscalls/sockaddr.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { CONTROL_MAX = 20480 /* net.core.optmem_max of old */, MSG_WORD_VECTOR = 1 /* call.word[] of what a vector call has done */ };

#define MSG_LEN_MAX 0x7ffff000ull

static void raise_sigpipe(struct task *t)
{
	siginfo_t info;

	siginfo_kernel(&info, SIGPIPE);
	signal_send_task(t, SIGPIPE, &info);
}

// Sends all of m, a stream in as many pieces as it takes; m is fresh at each entry.
static long send_all(struct task *t, struct file *f, struct sock *s, struct sock_msg *m)
{
	uint64_t *done = &t->call.io.done_bytes;
	long ret;

	if (!s->ops->sendmsg)
		return -EOPNOTSUPP;
	if (f->flags & O_NONBLOCK)
		m->flags |= MSG_DONTWAIT;
	uio_skip(m->uio, *done);
	for (;;) {
		ret = s->ops->sendmsg(s, m);
		if (ret > 0)
			*done += ret;
		if (ret >= 0 && (s->type != SOCK_STREAM || m->uio->resid == 0))
			return *done;
		if (ret >= 0)
			continue;
		if (ret == -EAGAIN && !(m->flags & MSG_DONTWAIT)) {
			ret = sock_block(t, f, true, m);
			if (ret == -EBLOCKED || ret == -EAGAINNOW)
				return ret;
		}
		if (ret == -EPIPE && s->type == SOCK_STREAM && !*done && !(m->flags & MSG_NOSIGNAL))
			raise_sigpipe(t);
		return *done ? (long)*done : ret;
	}
}

static long recv_all(struct task *t, struct file *f, struct sock *s, struct sock_msg *m)
{
	uint64_t *done = &t->call.io.done_bytes;
	long ret;

	if (!s->ops->recvmsg)
		return -EOPNOTSUPP;
	if (f->flags & O_NONBLOCK)
		m->flags |= MSG_DONTWAIT;
	if (m->flags & MSG_ERRQUEUE)
		return -EAGAIN;
	uio_skip(m->uio, *done);
	for (;;) {
		ret = s->ops->recvmsg(s, m);
		if (ret > 0)
			*done += ret;
		// A stream goes on for MSG_WAITALL, but not past what came beside the bytes.
		if (ret > 0 && s->type == SOCK_STREAM && (m->flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && m->uio->resid &&
		    !m->scm.files)
			continue;
		if (ret >= 0)
			return s->type == SOCK_STREAM ? (long)*done : ret;
		if (ret == -EAGAIN && !(m->flags & MSG_DONTWAIT)) {
			ret = sock_block(t, f, false, NULL);
			if (ret == -EBLOCKED || ret == -EAGAINNOW)
				return ret;
		}
		return *done ? (long)*done : ret;
	}
}

long sys_sendto(struct task *t, const struct sysargs *args)
{
	struct sock_msg m = {.task = t, .flags = (int)args->a[3]};
	struct uio_seg seg;
	struct uio u;
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	if (args->a[4]) {
		m.named = true;
		m.addrlen = (socklen_t)args->a[5];
		ret = sockaddr_copy_in(t, args->a[4], (int)args->a[5], &m.addr);
		m.named = m.addrlen != 0;
	}
	uio_init_user(&u, t, &seg, args->a[1], MIN(args->a[2], MSG_LEN_MAX));
	m.uio = &u;
	if (!ret)
		ret = send_all(t, f, s, &m);
	file_put(f);
	return ret;
}

long sys_recvfrom(struct task *t, const struct sysargs *args)
{
	struct sock_msg m = {.task = t, .flags = (int)args->a[3]};
	struct uio_seg seg;
	struct uio u;
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	uio_init_user(&u, t, &seg, args->a[1], MIN(args->a[2], MSG_LEN_MAX));
	m.uio = &u;
	ret = recv_all(t, f, s, &m);
	file_put(f);
	scm_files_drop(m.scm.files);
	if (ret >= 0 && args->a[4]) {
		int err = sockaddr_copy_out(t, args->a[4], args->a[5], &m.addr, m.addrlen);

		if (err)
			return err;
	}
	return ret;
}

// A msghdr's parts, copied in.
struct message {
	struct msghdr hdr;
	struct uio uio;
	struct uio_seg segs[IOVEC_INLINE];
	struct sock_msg m;
};

static long message_copy_in(struct task *t, uaddr_t umsg, int flags, struct message *msg)
{
	long ret = copy_in_obj(t, &msg->hdr, umsg);

	if (ret)
		return ret;
	if (msg->hdr.msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	ret = iovec_copy_in(t, (uaddr_t)msg->hdr.msg_iov, msg->hdr.msg_iovlen, msg->segs, &msg->uio);
	if (ret)
		return ret;
	msg->uio.resid = MIN(msg->uio.resid, MSG_LEN_MAX);
	msg->m = (struct sock_msg){.task = t, .uio = &msg->uio, .flags = flags};
	return 0;
}

static void message_free(struct message *msg)
{
	iovec_free(msg->uio.segs, msg->segs);
	scm_files_drop(msg->m.scm.files);
}

// The destination and what goes along.
static long message_dress(struct task *t, struct message *msg)
{
	size_t len = msg->hdr.msg_controllen;
	void *control;
	long ret;

	if (msg->hdr.msg_name) {
		if ((int)msg->hdr.msg_namelen < 0)
			return -EINVAL;
		msg->m.addrlen = MIN(msg->hdr.msg_namelen, sizeof(msg->m.addr));
		msg->m.named = msg->m.addrlen != 0;
		ret = sockaddr_copy_in(t, (uaddr_t)msg->hdr.msg_name, msg->m.addrlen, &msg->m.addr);
		if (ret)
			return ret;
	}
	if (!msg->hdr.msg_control || len == 0 || t->call.io.done_bytes) // later pieces of a stream go alone
		return 0;
	if (len > CONTROL_MAX)
		return -ENOBUFS;
	control = kmem_bytes(len);
	if (!control)
		return -ENOBUFS;
	ret = copy_in(t, control, (uaddr_t)msg->hdr.msg_control, len);
	if (!ret)
		ret = scm_parse(t, control, len, &msg->m.scm);
	kmem_bytes_free(control);
	return ret;
}

static long send_message(struct task *t, struct file *f, struct sock *s, uaddr_t umsg, int flags)
{
	struct message msg;
	long ret = message_copy_in(t, umsg, flags, &msg);

	if (ret)
		return ret;
	ret = message_dress(t, &msg);
	if (!ret)
		ret = send_all(t, f, s, &msg.m);
	message_free(&msg);
	return ret;
}

// Fills in what recvmsg answers beside the bytes.
static long message_undress(struct task *t, uaddr_t umsg, struct message *msg)
{
	int flags = msg->m.out_flags | (msg->m.flags & MSG_CMSG_CLOEXEC);
	size_t control_len = 0;
	socklen_t name_len = msg->m.addrlen;
	long ret = 0;

	if (msg->hdr.msg_name && (int)msg->hdr.msg_namelen < 0)
		return -EINVAL;
	if (msg->hdr.msg_name && name_len)
		ret = copy_out(t, (uaddr_t)msg->hdr.msg_name, &msg->m.addr, MIN(name_len, msg->hdr.msg_namelen));
	if (!ret)
		ret = scm_deliver(t, &msg->m.scm, (uaddr_t)msg->hdr.msg_control, msg->hdr.msg_controllen,
				  msg->m.flags & MSG_CMSG_CLOEXEC, &control_len, &flags);
	if (!ret && msg->hdr.msg_name)
		ret = copy_out(t, umsg + offsetof(struct msghdr, msg_namelen), &name_len, sizeof(name_len));
	if (!ret)
		ret = copy_out(t, umsg + offsetof(struct msghdr, msg_controllen), &control_len, sizeof(control_len));
	return ret ?: copy_out(t, umsg + offsetof(struct msghdr, msg_flags), &flags, sizeof(flags));
}

static long recv_message(struct task *t, struct file *f, struct sock *s, uaddr_t umsg, int flags)
{
	struct message msg;
	long ret = message_copy_in(t, umsg, flags, &msg);

	if (ret)
		return ret;
	ret = recv_all(t, f, s, &msg.m);
	if (ret >= 0)
		ret = message_undress(t, umsg, &msg) ?: ret;
	message_free(&msg);
	return ret;
}

long sys_sendmsg(struct task *t, const struct sysargs *args)
{
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	ret = send_message(t, f, s, args->a[1], (int)args->a[2]);
	file_put(f);
	return ret;
}

long sys_recvmsg(struct task *t, const struct sysargs *args)
{
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	ret = recv_message(t, f, s, args->a[1], (int)args->a[2]);
	file_put(f);
	return ret;
}

// One message after the other. An error after the first ones shows at the next call on the socket, as on Linux.
static long each_message(struct task *t, const struct sysargs *args, bool send, int flags)
{
	uint64_t *n = &t->call.word[MSG_WORD_VECTOR], vlen = MIN((uint32_t)args->a[2], IOV_MAX);
	struct file *f;
	struct sock *s;
	long ret = fd_sock(t, (int)args->a[0], &f, &s);

	if (ret)
		return ret;
	while (*n < vlen) {
		uaddr_t at = args->a[1] + *n * sizeof(struct mmsghdr);
		uint32_t len;

		ret = send ? send_message(t, f, s, at, flags & ~MSG_WAITFORONE) : recv_message(t, f, s, at, flags & ~MSG_WAITFORONE);
		if (ret < 0)
			break;
		len = ret;
		ret = copy_out(t, at + offsetof(struct mmsghdr, msg_len), &len, sizeof(len));
		if (ret)
			break;
		t->call.io.done_bytes = 0;
		(*n)++;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (t->call.deadline_ns && t->call.deadline_ns != KTIME_NEVER && !send && ktime_now(CLOCK_MONOTONIC) >= t->call.deadline_ns)
			break; // recvmmsg's timeout is looked at after each message only
	}
	file_put(f);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	return *n ? (long)*n : ret;
}

long sys_sendmmsg(struct task *t, const struct sysargs *args)
{
	return each_message(t, args, true, (int)args->a[3]);
}

long sys_recvmmsg(struct task *t, const struct sysargs *args)
{
	struct timespec ts;
	int err;

	if (args->a[4] && t->call.entries == 1) {
		err = copy_in_obj(t, &ts, args->a[4]);
		if (err)
			return err;
		if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= NSEC_PER_SEC)
			return -EINVAL;
		task_deadline_in(t, ts.tv_sec > INT32_MAX ? -1 : ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec);
	}
	return each_message(t, args, false, (int)args->a[3]);
}
