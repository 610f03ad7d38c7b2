/* poll, ppoll, select, pselect over the kinds of files that can be waited for. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>

static short poll1(int fd, short events, int timeout)
{
	struct pollfd p = { fd, events, 0 };

	OK(poll(&p, 1, timeout));
	return p.revents;
}

CASE(pipe_states)
{
	int p[2];
	char buf[65536];

	OK(pipe(p));
	EQ(poll1(p[0], POLLIN, 0), 0);
	EQ(poll1(p[1], POLLOUT, 0), POLLOUT);
	tell(p[1]);
	EQ(poll1(p[0], POLLIN | POLLRDNORM, 0), POLLIN | POLLRDNORM);
	OK(fcntl(p[1], F_SETFL, O_NONBLOCK));
	memset(buf, 0, sizeof buf);
	while (write(p[1], buf, sizeof buf) > 0)
		;
	EQ(errno, EAGAIN);
	EQ(poll1(p[1], POLLOUT, 0), 0);
	close(p[0]);
	EQ(poll1(p[1], POLLOUT, 0) & POLLERR, POLLERR);
	OK(pipe(p));
	tell(p[1]);
	close(p[1]);
	EQ(poll1(p[0], POLLIN, 0), POLLIN | POLLHUP);
	hear(p[0]);
	EQ(poll1(p[0], POLLIN, 0), POLLHUP);
}

CASE(socket_states)
{
	int s[2];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	EQ(poll1(s[0], POLLIN | POLLOUT, 0), POLLOUT);
	tell(s[1]);
	EQ(poll1(s[0], POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	hear(s[0]);
	OK(shutdown(s[1], SHUT_WR));
	EQ(poll1(s[0], POLLIN | POLLRDHUP, 0), POLLIN | POLLRDHUP);
	close(s[1]);
	EQ(poll1(s[0], POLLIN | POLLOUT | POLLRDHUP, 0) & (POLLIN | POLLHUP | POLLRDHUP), POLLIN | POLLHUP | POLLRDHUP);
}

CASE(regular_files_and_bad_descriptors)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	struct pollfd p[3] = { { fd, POLLIN | POLLOUT, 0 }, { -1, POLLIN, 9 }, { 99, POLLIN, 0 } };

	EQ(poll(p, 3, -1), 2);
	EQ(p[0].revents, POLLIN | POLLOUT);
	EQ(p[1].revents, 0);
	EQ(p[2].revents, POLLNVAL);
	EQ(poll1(OK(open("/dev/null", O_RDWR)), POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
}

CASE(woken_by_writer)
{
	int p[2], q[2];

	OK(pipe(p));
	OK(pipe(q));
	pid_t me = getpid();
	pid_t c = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		tell(q[1]);
	});
	struct pollfd f[2] = { { p[0], POLLIN, 0 }, { q[0], POLLIN, 0 } };
	EQ(poll(f, 2, 10000), 1);
	EQ(f[0].revents, 0);
	EQ(f[1].revents, POLLIN);
	EXITED(c, 0);
}

CASE(woken_by_hangup)
{
	int p[2];

	OK(pipe(p));
	pid_t me = getpid();
	pid_t c = CHILD({
		close(p[0]);
		EVENTUALLY(proc_state(me) == 'S');
	});
	close(p[1]);
	struct pollfd f = { p[0], POLLIN, 0 };
	EQ(poll(&f, 1, 10000), 1);
	EQ(f.revents, POLLHUP);
	EXITED(c, 0);
}

CASE(timeouts)
{
	int64_t t = now_ns();
	struct timespec ts = { 0, 20000000 }, bad = { 0, 2000000000 };

	EQ(poll(NULL, 0, 0), 0);
	EQ(poll(NULL, 0, 20), 0);
	CHECK(now_ns() - t >= 20000000);
	t = now_ns();
	EQ(ppoll(NULL, 0, &ts, NULL), 0);
	CHECK(now_ns() - t >= 20000000);
	ERR(ppoll(NULL, 0, &bad, NULL), EINVAL);
	ERR(syscall(SYS_poll, (void *)8, 1, 0), EFAULT);
	ERR(syscall(SYS_poll, NULL, 0x7fffffff, 0), EINVAL);
}

static volatile int hits;

static void hit(int sig)
{
	hits++;
}

CASE(ppoll_mask)
{
	sigset_t set, none, now;
	struct sigaction sa = { .sa_handler = hit };

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	sigemptyset(&none);
	ERR(ppoll(NULL, 0, NULL, &none), EINTR);
	EQ(hits, 1);
	sigprocmask(0, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	raise(SIGUSR1);
	ERR(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
	EQ(hits, 2);
	/* Ready descriptors win; the signal stays pending. */
	raise(SIGUSR1);
	int e = OK(eventfd(1, 0));
	struct pollfd p = { e, POLLIN, 0 };
	EQ(poll(&p, 1, -1), 1);
	EQ(hits, 2);
}

CASE(select_sets)
{
	int p[2];
	fd_set r, w, x;

	OK(pipe(p));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&x);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	FD_SET(p[0], &x);
	EQ(select(p[1] + 1, &r, &w, &x, NULL), 1);
	CHECK(!FD_ISSET(p[0], &r) && FD_ISSET(p[1], &w) && !FD_ISSET(p[0], &x));
	tell(p[1]);
	FD_SET(p[0], &r);
	FD_SET(p[1], &w);
	EQ(select(p[1] + 1, &r, &w, NULL, NULL), 2);
	FD_ZERO(&r);
	FD_SET(99, &r);
	ERR(select(100, &r, NULL, NULL, NULL), EBADF);
	ERR(select(-1, NULL, NULL, NULL, NULL), EINVAL);
	ERR(select(0, NULL, NULL, NULL, &(struct timeval){ -1, 0 }), EINVAL);
	ERR(syscall(SYS_select, 0, NULL, NULL, NULL, &(struct timeval){ INT64_MAX, INT64_MAX }), EINVAL);
	FD_ZERO(&r);
	EQ(syscall(SYS_select, p[1] + 1, NULL, &r, NULL, &(struct timeval){ 0, 1000001 }), 0);
}

CASE(select_updates_timeout)
{
	struct timeval tv = { 1000, 0 };
	int p[2];
	fd_set r;

	OK(pipe(p));
	tell(p[1]);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	EQ(select(p[0] + 1, &r, NULL, NULL, &tv), 1);
	CHECK((tv.tv_sec >= 900 && tv.tv_sec < 1000) || (tv.tv_sec == 1000 && tv.tv_usec == 0));
	hear(p[0]);
	tv = (struct timeval){ 0, 10000 };
	EQ(select(p[0] + 1, &r, NULL, NULL, &tv), 0);
	EQ(tv.tv_usec, 0);
	CHECK(!FD_ISSET(p[0], &r));
}

CASE(high_descriptor)
{
	int p[2], hi;

	OK(pipe(p));
	hi = OK(dup2(p[0], 900));
	fd_set r;
	FD_ZERO(&r);
	FD_SET(hi, &r);
	tell(p[1]);
	EQ(select(hi + 1, &r, NULL, NULL, NULL), 1);
	CHECK(FD_ISSET(hi, &r));
	EQ(poll1(hi, POLLIN, 0), POLLIN);
}

CASE(many_descriptors)
{
	struct pollfd p[200];
	int one = -1;

	for (int i = 0; i < 200; i++) {
		p[i] = (struct pollfd){ OK(eventfd(0, 0)), POLLIN, 0 };
		one = p[i].fd;
	}
	OK(eventfd_write(one, 1));
	EQ(poll(p, 200, -1), 1);
	EQ(p[199].revents, POLLIN);
}

static void *writer(void *arg)
{
	for (int i = 0; i < 500; i++)
		tell(((int *)arg)[1]);
	return NULL;
}

CASE(no_lost_wakeups)
{
	int p[2];
	pthread_t t;
	char b[64];
	int got = 0;

	OK(pipe(p));
	pthread_create(&t, NULL, writer, p);
	while (got < 500) {
		EQ(poll1(p[0], POLLIN, 10000), POLLIN);
		got += OK(read(p[0], b, sizeof b));
	}
	EQ(got, 500);
	pthread_join(t, NULL);
}
