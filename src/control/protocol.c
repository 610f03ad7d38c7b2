// The control protocol's messages.
#include "control/protocol.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000 };

const char *control_version(void)
{
	return HULL_VERSION;
}

static void close_all(int *fds, int *nfds)
{
	for (int i = 0; i < *nfds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*nfds = 0;
}

void control_message_fini(struct control_message *m)
{
	json_decref(m->json);
	m->json = NULL;
	close_all(m->fds, &m->nfds);
}

void control_reader_fini(struct control_reader *r)
{
	free(r->body);
	r->body = NULL;
	close_all(r->fds, &r->nfds);
}

// Keeps descriptors that came along; what is too many is closed.
static int take_fds(struct control_reader *r, struct msghdr *msg)
{
	int err = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int), fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (int i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (r->nfds < CONTROL_FDS_MAX) {
				r->fds[r->nfds++] = fd;
			} else {
				close(fd);
				err = -EPROTO;
			}
		}
	}
	return err;
}

// Reads up to want bytes in all into dst. 1: they are there; 0: end of file; else -errno.
static int fill(struct control_reader *r, void *dst, size_t want)
{
	while (r->have_bytes < want) {
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
		} control;
		struct iovec iov = {(char *)dst + r->have_bytes, want - r->have_bytes};
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
		ssize_t n = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC);
		int err;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		err = take_fds(r, &msg);
		if (err)
			return err;
		if (n == 0)
			return r->have_bytes || r->in_body ? -EPROTO : 0;
		r->have_bytes += n;
	}
	return 1;
}

static int read_header(struct control_reader *r)
{
	int ret = fill(r, &r->header, sizeof(r->header));

	if (ret <= 0)
		return ret;
	if (r->header.magic != CONTROL_MAGIC)
		return -EPROTO;
	if (r->header.len_bytes == 0 || r->header.len_bytes > CONTROL_MESSAGE_MAX)
		return -EMSGSIZE;
	r->body = malloc(r->header.len_bytes);
	if (!r->body)
		return -ENOMEM;
	r->in_body = true;
	r->have_bytes = 0;
	return 1;
}

int control_read(struct control_reader *r, struct control_message *out)
{
	int ret;

	*out = (struct control_message){0};
	if (!r->in_body && (ret = read_header(r)) <= 0)
		return ret;
	ret = fill(r, r->body, r->header.len_bytes);
	if (ret <= 0)
		return ret;
	out->json = json_loadb(r->body, r->header.len_bytes, JSON_REJECT_DUPLICATES, NULL);
	memcpy(out->fds, r->fds, sizeof(r->fds));
	out->nfds = r->nfds;
	r->nfds = 0;
	free(r->body);
	r->body = NULL;
	r->in_body = false;
	r->have_bytes = 0;
	if (!json_is_object(out->json)) {
		control_message_fini(out);
		return -EPROTO;
	}
	return 1;
}

// Who has read the beginning is likely to read on; a message that was only begun leaves the connection useless.
static int send_rest(int fd, const char *bytes, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && (errno == EINTR || (errno == EAGAIN && poll(&p, 1, PATIENCE_MS) > 0)))
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? -ETIMEDOUT : -errno;
		bytes += n;
		len -= n;
	}
	return 0;
}

static int send_with_fds(int fd, const char *bytes, size_t len, const int *fds, int nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
	} control = {0};
	struct iovec iov = {(char *)bytes, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds > CONTROL_FDS_MAX)
		return -EMSGSIZE;
	if (nfds > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(nfds * sizeof(int))};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, nfds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : send_rest(fd, bytes + n, len - n);
}

int control_write(int fd, json_t *json, const int *fds, int nfds)
{
	struct control_header header = {CONTROL_MAGIC};
	size_t len = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
	char *message;
	int ret;

	if (len == 0)
		return -ENOMEM;
	if (len > CONTROL_MESSAGE_MAX)
		return -EMSGSIZE;
	message = malloc(sizeof(header) + len);
	if (!message)
		return -ENOMEM;
	header.len_bytes = len;
	memcpy(message, &header, sizeof(header));
	json_dumpb(json, message + sizeof(header), len, JSON_COMPACT);
	ret = send_with_fds(fd, message, sizeof(header) + len, fds, nfds);
	free(message);
	return ret;
}
