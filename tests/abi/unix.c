/* Unix sockets: stream, datagram and seqpacket, names in both spaces, descriptors and credentials as messages. */
#include "abi.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static socklen_t name(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path, path);
	return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

/* A name that no other run has. */
static socklen_t abstract(struct sockaddr_un *a)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	return offsetof(struct sockaddr_un, sun_path) + 1 + sprintf(a->sun_path + 1, "abi-%d-%lld", getpid(), (long long)now_ns());
}

static int listener(const char *path, int type)
{
	struct sockaddr_un a;
	int s = OK(socket(AF_UNIX, type, 0));

	OK(bind(s, (void *)&a, name(&a, path)));
	OK(listen(s, 8));
	return s;
}

static int dial(const char *path, int type)
{
	struct sockaddr_un a;
	int s = OK(socket(AF_UNIX, type, 0));

	OK(connect(s, (void *)&a, name(&a, path)));
	return s;
}

CASE(socketpair_stream)
{
	int s[2];
	char b[32] = "";

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(write(s[0], "abc", 3), 3);
	EQ(write(s[0], "def", 3), 3);
	EQ(read(s[1], b, 32), 6);
	STREQ(b, "abcdef");
	EQ(send(s[1], "back", 4, 0), 4);
	EQ(recv(s[0], b, 2, MSG_PEEK), 2);
	EQ(recv(s[0], b, 32, 0), 4);
	close(s[1]);
	EQ(read(s[0], b, 1), 0);
	ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

CASE(socketpair_flags_and_errors)
{
	int s[2], t[2];
	char c;

	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s));
	EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	ERR(read(s[0], &c, 1), EAGAIN);
	ERR(socketpair(AF_UNIX, SOCK_RDM, 0, t), ESOCKTNOSUPPORT);
	ERR(socketpair(AF_UNIX, SOCK_STREAM, 5, t), EPROTONOSUPPORT);
	ERR(socket(99, SOCK_STREAM, 0), EAFNOSUPPORT);
	ERR(lseek(s[0], 0, SEEK_SET), ESPIPE);
	ERR(getsockname(0x7fff, (void *)&c, (void *)&c), EBADF);
	int fd = OK(open("/dev/null", O_RDONLY));
	ERR(recv(fd, &c, 1, 0), ENOTSOCK);
}

CASE(stream_by_path)
{
	int l = listener("sock", SOCK_STREAM);
	struct stat st;
	struct sockaddr_un a;
	socklen_t len = sizeof a;
	char b[8];

	OK(lstat("sock", &st));
	CHECK(S_ISSOCK(st.st_mode));
	pid_t p = CHILD({
		int c = dial("sock", SOCK_STREAM);
		EQ(write(c, "ping", 4), 4);
		EQ(read(c, b, 8), 4);
		CHECK(!memcmp(b, "pong", 4));
	});
	int c = OK(accept4(l, (void *)&a, &len, SOCK_CLOEXEC));
	EQ(len, 2);			/* the peer has no name */
	EQ(fcntl(c, F_GETFD), FD_CLOEXEC);
	EQ(read(c, b, 8), 4);
	EQ(write(c, "pong", 4), 4);
	EXITED(p, 0);
	len = sizeof a;
	OK(getsockname(c, (void *)&a, &len));
	STREQ(a.sun_path, "sock");
	EQ(len, 2 + 5);
	int acc = 0;
	len = sizeof acc;
	OK(getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &acc, &len));
	EQ(acc, 1);
}

CASE(connect_errors)
{
	struct sockaddr_un a;
	int s = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	ERR(connect(s, (void *)&a, name(&a, "missing")), ENOENT);
	put_file("plain", "", 0600);
	ERR(connect(s, (void *)&a, name(&a, "plain")), ECONNREFUSED);
	int d = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	OK(bind(d, (void *)&a, name(&a, "dg")));
	ERR(connect(s, (void *)&a, name(&a, "dg")), EPROTOTYPE);
	int l = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(l, (void *)&a, name(&a, "st")));
	ERR(connect(s, (void *)&a, name(&a, "st")), ECONNREFUSED);	/* bound, not listening */
	ERR(accept(l, NULL, NULL), EINVAL);
	ERR(bind(s, (void *)&a, name(&a, "st")), EADDRINUSE);
	ERR(bind(l, (void *)&a, name(&a, "again")), EINVAL);
	ERR(connect(s, (void *)&a, 1), EINVAL);
	a.sun_family = AF_INET;
	ERR(connect(s, (void *)&a, sizeof a), EINVAL);
	close(l);
	ERR(connect(s, (void *)&a, name(&a, "st")), ECONNREFUSED);	/* the name outlives the socket */
	unlink("st");
	ERR(connect(s, (void *)&a, name(&a, "st")), ENOENT);
	ERR(send(s, "x", 1, MSG_NOSIGNAL), ENOTCONN);
	char c;
	ERR(recv(s, &c, 1, 0), EINVAL);
	struct sockaddr_un peer;
	socklen_t len = sizeof peer;
	ERR(getpeername(s, (void *)&peer, &len), ENOTCONN);
}

CASE(abstract_names)
{
	struct sockaddr_un a, b;
	socklen_t alen = abstract(&a), blen = sizeof b;
	int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), s = OK(socket(AF_UNIX, SOCK_STREAM, 0)), t;

	OK(bind(l, (void *)&a, alen));
	OK(listen(l, 1));
	t = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	ERR(bind(t, (void *)&a, alen), EADDRINUSE);
	OK(connect(s, (void *)&a, alen));
	OK(getpeername(s, (void *)&b, &blen));
	EQ(blen, alen);
	CHECK(!memcmp(&a, &b, alen));
	close(l);
	ERR(connect(t, (void *)&a, alen), ECONNREFUSED);
	OK(bind(t, (void *)&a, alen));
}

CASE(autobind)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	socklen_t len = sizeof a;
	int s = OK(socket(AF_UNIX, SOCK_DGRAM, 0));

	OK(bind(s, (void *)&a, sizeof(sa_family_t)));
	OK(getsockname(s, (void *)&a, &len));
	EQ(len, 2 + 6);
	EQ(a.sun_path[0], 0);
}

CASE(datagrams)
{
	struct sockaddr_un a, b, from;
	socklen_t alen = abstract(&a), blen, len;
	int r = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), s = OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
	char buf[16];

	OK(bind(r, (void *)&a, alen));
	usleep(10);
	blen = abstract(&b);
	OK(bind(s, (void *)&b, blen));
	EQ(sendto(s, "first", 5, 0, (void *)&a, alen), 5);
	EQ(sendto(s, "", 0, 0, (void *)&a, alen), 0);
	EQ(sendto(s, "second", 6, 0, (void *)&a, alen), 6);
	len = sizeof from;
	EQ(recvfrom(r, buf, sizeof buf, 0, (void *)&from, &len), 5);
	EQ(len, blen);
	CHECK(!memcmp(&from, &b, blen));
	EQ(recv(r, buf, sizeof buf, 0), 0);
	EQ(recv(r, buf, 3, MSG_TRUNC), 6);	/* the true length; the rest is gone */
	ERR(recv(r, buf, 3, MSG_DONTWAIT), EAGAIN);
	ERR(send(s, "x", 1, 0), ENOTCONN);
	OK(connect(s, (void *)&a, alen));
	EQ(send(s, "third", 5, 0), 5);
	int n = 0;
	OK(ioctl(r, FIONREAD, &n));
	EQ(n, 5);
	close(r);
	ERR(send(s, "x", 1, 0), ECONNREFUSED);
	static char big[1 << 20];
	int p[2];
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
	ERR(send(p[0], big, sizeof big, 0), EMSGSIZE);
}

CASE(datagram_queue_blocks_sender)
{
	int s[2];
	int n = 0;

	OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s));
	while (send(s[0], "x", 1, 0) == 1)
		CHECK(++n < 100000);
	EQ(errno, EAGAIN);
	struct pollfd p = { s[0], POLLOUT, 0 };
	EQ(poll(&p, 1, 0), 0);
	char c;
	while (n--)
		EQ(recv(s[1], &c, 1, 0), 1);
	EQ(poll(&p, 1, 0), 1);
}

CASE(seqpacket)
{
	int l = listener("sq", SOCK_SEQPACKET);
	char b[16];
	pid_t p = CHILD({
		int c = dial("sq", SOCK_SEQPACKET);
		EQ(send(c, "one", 3, 0), 3);
		EQ(send(c, "three", 5, 0), 5);
		EQ(send(c, "x", 1, 0), 1);
	});
	int c = OK(accept(l, NULL, NULL));

	EQ(recv(c, b, 16, 0), 3);
	struct iovec v = { b, 2 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	EQ(recvmsg(c, &m, 0), 2);
	CHECK(m.msg_flags & MSG_TRUNC);
	EXITED(p, 0);
	EQ(recv(c, b, 16, 0), 1);
	EQ(recv(c, b, 16, 0), 0);
}

static void send_fds(int s, const int *fds, int n, int flags)
{
	char ctl[CMSG_SPACE(sizeof(int) * 300)] = "";
	struct iovec v = { "f", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	EQ(sendmsg(s, &m, flags), 1);
}

static int recv_fds(int s, int *fds, int max, int *msg_flags)
{
	char ctl[CMSG_SPACE(sizeof(int) * 300)];
	char b;
	struct iovec v = { &b, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl,
		.msg_controllen = max ? CMSG_LEN(sizeof(int) * max) : 0 };
	struct cmsghdr *c;

	EQ(recvmsg(s, &m, MSG_CMSG_CLOEXEC), 1);
	if (msg_flags)
		*msg_flags = m.msg_flags;
	c = CMSG_FIRSTHDR(&m);
	if (!c)
		return 0;
	EQ(c->cmsg_type, SCM_RIGHTS);
	int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

CASE(pass_descriptors)
{
	int s[2], p[2], got[4];
	char c;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(pipe(p));
	pid_t k = CHILD({
		close(p[0]);
		close(p[1]);
		EQ(recv_fds(s[1], got, 4, NULL), 2);
		EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
		EQ(write(got[1], "!", 1), 1);
	});
	send_fds(s[0], p, 2, 0);
	EQ(read(p[0], &c, 1), 1);
	EXITED(k, 0);
}

CASE(passed_descriptor_outlives_sender)
{
	int s[2], got, fd = OK(open("f", O_RDWR | O_CREAT, 0600));

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	EQ(write(fd, "data", 4), 4);
	send_fds(s[0], &fd, 1, 0);
	close(fd);
	close(s[0]);
	EQ(recv_fds(s[1], &got, 1, NULL), 1);
	EQ(lseek(got, 0, SEEK_CUR), 4);
}

CASE(pass_descriptors_truncated)
{
	int s[2], got[4], fl;
	int fds[3] = { 0, 1, 2 };

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	send_fds(s[0], fds, 3, 0);
	EQ(recv_fds(s[1], got, 2, &fl), 2);
	CHECK(fl & MSG_CTRUNC);
	send_fds(s[0], fds, 3, 0);
	EQ(recv_fds(s[1], got, 0, &fl), 0);
	CHECK(fl & MSG_CTRUNC);
	/* Unread descriptors are dropped by a plain read. */
	int p[2];
	char c;
	OK(pipe(p));
	send_fds(s[0], &p[1], 1, 0);
	close(p[1]);
	EQ(read(s[1], &c, 1), 1);
	EQ(read(p[0], &c, 1), 0);
}

CASE(descriptor_messages_are_not_merged)
{
	int s[2], got[4];
	char b[16];
	int zero = 0;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(write(s[0], "ab", 2), 2);
	send_fds(s[0], &zero, 1, 0);
	EQ(write(s[0], "cd", 2), 2);
	/* Data before the descriptors comes alone or with them, never past them. */
	EQ(read(s[1], b, 2), 2);
	EQ(recv_fds(s[1], got, 4, NULL), 1);
	EQ(read(s[1], b, 16), 2);
}

CASE(pass_descriptor_errors)
{
	int s[2], bad = 999;
	char ctl[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = { "f", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &bad, sizeof bad);
	ERR(sendmsg(s[0], &m, 0), EBADF);
	c->cmsg_type = 77;
	ERR(sendmsg(s[0], &m, 0), EINVAL);
	c->cmsg_len = 5;
	ERR(sendmsg(s[0], &m, 0), EINVAL);
}

CASE(socket_in_flight_to_itself)
{
	/* A cycle of descriptors in flight is garbage that nobody can receive; it mustn't hang or crash anything. */
	for (int i = 0; i < 50; i++) {
		int s[2];
		OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
		send_fds(s[0], s, 2, 0);
		close(s[0]);
		close(s[1]);
	}
}

CASE(credentials)
{
	int s[2], on = 1;
	char ctl[CMSG_SPACE(sizeof(struct ucred))];
	char b;
	struct iovec v = { &b, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl };
	struct ucred cr;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	pid_t p = CHILD({ EQ(write(s[0], "c", 1), 1); });
	EXITED(p, 0);
	EQ(recvmsg(s[1], &m, 0), 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
	memcpy(&cr, CMSG_DATA(c), sizeof cr);
	EQ(cr.pid, p);
	EQ(cr.uid, getuid());
	EQ(cr.gid, getgid());
	/* One's own can be sent; another's pid can't, without the capability. */
	cr.pid = getpid();
	memcpy(CMSG_DATA(c), &cr, sizeof cr);
	m.msg_controllen = sizeof ctl;
	EQ(sendmsg(s[0], &m, 0), 1);
	if (geteuid() == 0) {
		p = CHILD({
			OK(setresuid(1000, 1000, 1000));
			cr.pid = 1;
			memcpy(CMSG_DATA(c), &cr, sizeof cr);
			ERR(sendmsg(s[0], &m, 0), EPERM);
		});
		EXITED(p, 0);
	}
}

CASE(peer_credentials)
{
	int l = listener("pc", SOCK_STREAM);
	struct ucred cr;
	socklen_t len = sizeof cr;
	int q[2];

	OK(pipe(q));
	pid_t p = CHILD({
		int c = dial("pc", SOCK_STREAM);
		OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cr, &len));
		EQ(cr.pid, getppid());
		hear(q[0]);
	});
	int c = OK(accept(l, NULL, NULL));
	OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cr, &len));
	EQ(cr.pid, p);
	EQ(cr.uid, getuid());
	tell(q[1]);
	EXITED(p, 0);
}

CASE(options)
{
	int s = OK(socket(AF_UNIX, SOCK_STREAM, 0)), v = -1;
	socklen_t len = sizeof v;

	OK(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len));
	EQ(v, SOCK_STREAM);
	OK(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len));
	EQ(v, AF_UNIX);
	OK(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	EQ(v, 0);
	OK(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &len));
	EQ(v, 0);
	v = 20000;
	OK(setsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, len));
	OK(getsockopt(s, SOL_SOCKET, SO_SNDBUF, &v, &len));
	EQ(v, 40000);
	ERR(getsockopt(s, SOL_SOCKET, 9999, &v, &len), ENOPROTOOPT);
	ERR(setsockopt(s, SOL_SOCKET, SO_PASSCRED, &v, 1), EINVAL);
	struct timeval tv = { 0, 20000 };
	int p[2];
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	OK(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	char c;
	ERR(recv(p[0], &c, 1, 0), EAGAIN);
}

CASE(shutdown_each_way)
{
	int s[2];
	char c;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(write(s[0], "q", 1), 1);
	OK(shutdown(s[0], SHUT_WR));
	ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(read(s[1], &c, 1), 1);
	EQ(read(s[1], &c, 1), 0);
	EQ(write(s[1], "r", 1), 1);
	EQ(read(s[0], &c, 1), 1);
	OK(shutdown(s[0], SHUT_RD));
	EQ(read(s[0], &c, 1), 0);
	ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	ERR(shutdown(s[0], 9), EINVAL);
}

CASE(stream_backpressure)
{
	int s[2];
	size_t size = 2 << 20, got = 0;
	unsigned char *buf = malloc(size);

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t p = CHILD({
		close(s[1]);
		for (size_t i = 0; i < size; i++)
			buf[i] = i * 7 >> 2;
		EQ(write(s[0], buf, size), size);
	});
	close(s[0]);
	while (got < size) {
		ssize_t n = OK(read(s[1], buf + got, size - got));
		CHECK(n > 0);
		got += n;
	}
	for (size_t i = 0; i < size; i++)
		CHECK(buf[i] == (unsigned char)(i * 7 >> 2));
	EXITED(p, 0);
}

CASE(waitall_and_peek)
{
	int s[2];
	char b[8] = "";

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t p = CHILD({
		EQ(write(s[0], "abc", 3), 3);
		msleep(20);
		EQ(write(s[0], "def", 3), 3);
	});
	EQ(recv(s[1], b, 6, MSG_WAITALL), 6);
	STREQ(b, "abcdef");
	EXITED(p, 0);
}

CASE(sendmmsg_recvmmsg)
{
	int s[2];
	char in[3][8] = { "" };
	struct iovec ov[3] = { { "a", 1 }, { "bb", 2 }, { "ccc", 3 } }, iv[3];
	struct mmsghdr o[3], i[3];

	memset(o, 0, sizeof o);
	memset(i, 0, sizeof i);
	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	for (int k = 0; k < 3; k++) {
		iv[k] = (struct iovec){ in[k], 8 };
		o[k].msg_hdr = (struct msghdr){ .msg_iov = &ov[k], .msg_iovlen = 1 };
		i[k].msg_hdr = (struct msghdr){ .msg_iov = &iv[k], .msg_iovlen = 1 };
	}
	EQ(sendmmsg(s[0], o, 3, 0), 3);
	EQ(recvmmsg(s[1], i, 3, MSG_DONTWAIT, NULL), 3);
	EQ(i[2].msg_len, 3);
	STREQ(in[2], "ccc");
}

CASE(backlog_and_nonblocking_connect)
{
	struct sockaddr_un a;
	int l = OK(socket(AF_UNIX, SOCK_STREAM, 0)), n;

	OK(bind(l, (void *)&a, name(&a, "bl")));
	OK(listen(l, 1));
	for (n = 0; n < 10; n++) {
		int s = OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
		if (connect(s, (void *)&a, name(&a, "bl")) < 0)
			break;
	}
	EQ(errno, EAGAIN);
	EQ(n, 2);
	struct pollfd p = { l, POLLIN, 0 };
	EQ(poll(&p, 1, 0), 1);
	OK(accept(l, NULL, NULL));
	OK(accept(l, NULL, NULL));
	OK(fcntl(l, F_SETFL, O_NONBLOCK));
	ERR(accept(l, NULL, NULL), EAGAIN);
}

CASE(closing_listener_resets)
{
	int l = listener("cl", SOCK_STREAM), c = dial("cl", SOCK_STREAM);
	char b;

	EQ(write(c, "x", 1), 1);
	close(l);
	ERR(read(c, &b, 1), ECONNRESET);
}

CASE(unread_data_resets)
{
	int s[2];
	char c;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(write(s[0], "x", 1), 1);
	close(s[1]);
	ERR(read(s[0], &c, 1), ECONNRESET);
	EQ(read(s[0], &c, 1), 0);
}

CASE(scatter_gather)
{
	int s[2];
	char a[3], b[8] = "";
	struct iovec o[2] = { { "abc", 3 }, { "defg", 4 } }, i[2] = { { a, 3 }, { b, 7 } };
	struct msghdr m = { .msg_iov = o, .msg_iovlen = 2 };

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(sendmsg(s[0], &m, 0), 7);
	m.msg_iov = i;
	EQ(recvmsg(s[1], &m, 0), 7);
	STREQ(b, "defg");
	ERR(sendmsg(s[0], (void *)8, 0), EFAULT);
	m.msg_iovlen = 2000;
	ERR(sendmsg(s[0], &m, 0), EMSGSIZE);
}

CASE(relative_and_removed_names)
{
	int l = listener("one", SOCK_STREAM);

	OK(rename("one", "two"));
	int c = dial("two", SOCK_STREAM);
	OK(close(c));
	OK(mkdir("d", 0700));
	OK(chdir("d"));
	c = dial("../two", SOCK_STREAM);
	(void)l;
	ERR(open("../two", O_RDONLY), ENXIO);
}

enum { ACCEPTORS = 3, CROWD = 32, ROW_ROUNDS = 30 };

static int row_listener, row_heard[2], row_go[2], row_generation, row_done;
static volatile pid_t row_tids[ACCEPTORS + CROWD];

static void *accept_one_each_round(void *arg)
{
	*(volatile pid_t *)arg = gettid();
	for (int i = 0; i < ROW_ROUNDS; i++) {
		int c = OK(accept(row_listener, NULL, NULL));

		tell(row_heard[1]);
		hear(row_go[0]);
		close(c);
	}
	return NULL;
}

static void *be_woken(void *arg)
{
	*(volatile pid_t *)arg = gettid();
	for (int i = 0; i < ROW_ROUNDS; i++)
		while (__atomic_load_n(&row_generation, __ATOMIC_SEQ_CST) == i)
			syscall(SYS_futex, &row_generation, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
	__atomic_add_fetch(&row_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As many wait as come, and each takes one, also when they come before the first has been given a processor. */
CASE(connections_in_a_row)
{
	struct sockaddr_un a;
	socklen_t len = name(&a, "row");
	pthread_t t;

	row_listener = listener("row", SOCK_STREAM);
	OK(pipe(row_heard));
	OK(pipe(row_go));
	for (int i = 0; i < ACCEPTORS + CROWD; i++)
		CHECK(pthread_create(&t, NULL, i < ACCEPTORS ? accept_one_each_round : be_woken, (void *)&row_tids[i]) == 0);
	for (int round = 0; round < ROW_ROUNDS; round++) {
		struct pollfd p = { row_heard[0], POLLIN, 0 };
		int s[ACCEPTORS];

		for (int i = 0; i < ACCEPTORS + CROWD; i++)
			EVENTUALLY(row_tids[i] && thread_state(row_tids[i]) == 'S');
		for (int i = 0; i < ACCEPTORS; i++)
			s[i] = OK(socket(AF_UNIX, SOCK_STREAM, 0));
		/* These are in front of the acceptors. */
		row_generation = round + 1;
		syscall(SYS_futex, &row_generation, FUTEX_WAKE_PRIVATE, CROWD, NULL, NULL, 0);
		for (int i = 0; i < ACCEPTORS; i++)
			if (connect(s[i], (void *)&a, len) < 0)
				FAIL("connect: %s", strerror(errno));
		for (int i = 0; i < ACCEPTORS; i++) {
			if (OK(poll(&p, 1, 10000)) == 0)
				FAIL("round %d: %d of %d connections were taken", round, i, ACCEPTORS);
			hear(row_heard[0]);
		}
		for (int i = 0; i < ACCEPTORS; i++) {
			tell(row_go[1]);
			close(s[i]);
		}
	}
	EVENTUALLY(__atomic_load_n(&row_done, __ATOMIC_SEQ_CST) == CROWD);
}
