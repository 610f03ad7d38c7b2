// Taking messages apart and putting them together.
#include "gofer/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gofer/protocol.h"

const char *msg_get_str(struct msg_in *m, size_t cap, size_t *out_len)
{
	const char *s;
	uint32_t len;

	if (!msg_get_obj(m, &len))
		return NULL;
	if (len > cap || len > msg_left(m)) {
		m->bad = true;
		return NULL;
	}
	s = (const char *)m->p;
	m->p += len;
	*out_len = len;
	return s;
}

bool msg_name_ok(const char *name, size_t len)
{
	if (len == 0 || len > GOFER_NAME_MAX || memchr(name, '/', len) || memchr(name, 0, len))
		return false;
	return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

bool msg_get_name(struct msg_in *m, char *dst)
{
	size_t len;
	const char *s = msg_get_str(m, GOFER_NAME_MAX, &len);

	if (!s || !msg_name_ok(s, len)) {
		m->bad = true;
		return false;
	}
	memcpy(dst, s, len);
	dst[len] = 0;
	return true;
}

bool msg_put_str(struct msg_out *m, const char *s, size_t len)
{
	uint32_t len32 = (uint32_t)len;

	return msg_put_obj(m, &len32) && msg_put(m, s, len);
}

int msg_send(int sock, const void *buf, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

// Descriptors of a control message: the only one to *out_fd; with any more, all are closed.
static int take_fds(struct msghdr *msg, int *out_fd)
{
	int taken = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (taken++ == 0)
				*out_fd = fd;
			else
				close(fd);
		}
	}
	if (taken <= 1 && !(msg->msg_flags & MSG_CTRUNC))
		return 0;
	if (taken == 0) {
		*out_fd = MSG_FD_LOST;
		return 0;
	}
	if (*out_fd >= 0)
		close(*out_fd);
	*out_fd = -1;
	return -EPROTO;
}

long msg_receive(int sock, void *buf, size_t cap, int *out_fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = buf, .iov_len = cap};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;
	int err;

	*out_fd = -1;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	err = take_fds(&msg, out_fd);
	if (!err && msg.msg_flags & MSG_TRUNC)
		err = -EMSGSIZE;
	if (err && *out_fd >= 0) {
		close(*out_fd);
		*out_fd = -1;
	}
	return err ?: n;
}
