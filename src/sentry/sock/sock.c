// Sockets as files, and the families that there are.
#include "sentry/sock/sock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

static const struct file_ops sock_file_ops;

// AF_INET and AF_INET6 come with the netstack.
static const struct sock_family *const families[] = {&unix_family};

void sock_init(struct sock *s, const struct sock_ops *ops, int family, int type, int protocol)
{
	ref_init(&s->ref);
	mutex_init(&s->mu);
	waitq_init(&s->waitq);
	s->ops = ops;
	s->family = family;
	s->type = type;
	s->protocol = protocol;
	s->sndbuf = s->rcvbuf = SOCK_BUF_DEFAULT;
	s->rcvlowat = 1;
	s->peek_off = -1;
}

void sock_fini(struct sock *s)
{
	waitq_fini(&s->waitq);
}

struct sock *sock_get(struct sock *s)
{
	ref_get(&s->ref);
	return s;
}

void sock_put(struct sock *s)
{
	if (s && ref_put(&s->ref))
		s->ops->destroy(s);
}

static const struct sock_family *family_find(int family)
{
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (families[i]->family == family)
			return families[i];
	return NULL;
}

int sock_create(struct task *t, int family, int type, int protocol, struct sock **out)
{
	const struct sock_family *fam = family_find(family);

	if (type < 0 || type >= SOCK_PACKET + 1)
		return -EINVAL;
	return fam ? fam->create(t, type, protocol, out) : -EAFNOSUPPORT;
}

int sock_create_pair(struct task *t, int family, int type, int protocol, struct sock *out[2])
{
	const struct sock_family *fam = family_find(family);

	if (type < 0 || type >= SOCK_PACKET + 1)
		return -EINVAL;
	if (!fam)
		return -EAFNOSUPPORT;
	return fam->pair ? fam->pair(t, type, protocol, out) : -EOPNOTSUPP;
}

struct file *sock_file_create(struct sock *s, int flags)
{
	struct file *f = file_create_anon(&sock_file_ops, s, O_RDWR | (flags & O_NONBLOCK), S_IFSOCK | 0777, "socket");

	if (f)
		s->file = f;
	else
		sock_discard(s);
	return f;
}

struct sock *file_sock(struct file *f)
{
	return f->ops == &sock_file_ops ? f->priv : NULL;
}

long sock_block(struct task *t, struct file *f, bool sending, struct sock_msg *m)
{
	struct sock *s = f->priv;
	int64_t timeout_ns = sending ? s->sndtimeo_ns : s->rcvtimeo_ns;
	struct sock_msg none = {.task = t};
	long ret;

	if (timeout_ns)
		task_deadline_in(t, timeout_ns);
	if (sending && s->ops->wait_send)
		ret = s->ops->wait_send(t, s, f, m ? m : &none);
	else
		ret = task_block_file(t, f, sending ? POLLOUT : POLLIN);
	if (ret == -ETIMEDOUT)
		return -EAGAIN;
	return ret == -ERESTARTSYS && timeout_ns ? -EINTR : ret; // man 7 signal: not restarted with a timeout
}

void sock_discard(struct sock *s)
{
	s->ops->close(s);
	sock_put(s);
}

int sock_take_error(struct sock *s)
{
	int err;

	if (!s->err)
		return 0;
	mutex_lock(&s->mu);
	err = s->err;
	s->err = 0;
	mutex_unlock(&s->mu);
	return -err;
}

static int64_t sock_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct sock *s = f->priv;
	struct sock_msg m = {.task = u->task, .uio = u, .flags = f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0};
	int64_t n = s->ops->recvmsg ? s->ops->recvmsg(s, &m) : -EOPNOTSUPP;

	scm_files_drop(m.scm.files); // nobody asked for them
	return n;
}

static int64_t sock_write(struct file *f, struct uio *u, int64_t *pos)
{
	struct sock *s = f->priv;
	struct sock_msg m = {.task = u->task, .uio = u, .flags = f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0};
	int64_t n = s->ops->sendmsg ? s->ops->sendmsg(s, &m) : -EOPNOTSUPP;
	siginfo_t info;

	if (n == -EPIPE && u->task && s->type == SOCK_STREAM) {
		siginfo_kernel(&info, SIGPIPE);
		signal_send_task(u->task, SIGPIPE, &info);
	}
	return n;
}

static uint32_t sock_poll(struct file *f, struct poll_table *pt)
{
	struct sock *s = f->priv;

	return s->ops->poll(s, pt);
}

static long sock_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct sock *s = f->priv;

	return s->ops->ioctl ? s->ops->ioctl(t, s, cmd, arg) : -ENOTTY;
}

static void sock_release(struct file *f)
{
	struct sock *s = f->priv;

	s->file = NULL;
	sock_discard(s);
}

static const struct file_ops sock_file_ops = {
	.read = sock_read,
	.write = sock_write,
	.poll = sock_poll,
	.ioctl = sock_ioctl,
	.release = sock_release,
	.stream = true,
};
