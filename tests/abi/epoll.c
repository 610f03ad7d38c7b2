/* epoll: level, edge and one-shot, nesting, life time of what is watched, and errors. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int ep;

static void watch(int fd, uint32_t events)
{
	struct epoll_event ev = { events, { .fd = fd } };

	if (!ep)
		ep = OK(epoll_create1(EPOLL_CLOEXEC));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

/* The events of the one ready descriptor; 0 where none is. */
static uint32_t ready(int timeout)
{
	struct epoll_event ev[4];
	int n = OK(epoll_wait(ep, ev, 4, timeout));

	CHECK(n <= 1);
	return n ? ev[0].events : 0;
}

CASE(level)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN);
	EQ(ready(0), 0);
	tell(p[1]);
	tell(p[1]);
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), EPOLLIN);
	hear(p[0]);
	EQ(ready(0), EPOLLIN);
	hear(p[0]);
	EQ(ready(0), 0);
	close(p[1]);
	EQ(ready(0), EPOLLHUP);
}

CASE(edge)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN | EPOLLET);
	tell(p[1]);
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), 0);
	tell(p[1]);			/* each write is an edge */
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), 0);
	close(p[1]);
	EQ(ready(0), EPOLLIN | EPOLLHUP);
	EQ(ready(0), 0);
}

CASE(edge_already_ready_at_add)
{
	int p[2];

	OK(pipe(p));
	tell(p[1]);
	watch(p[0], EPOLLIN | EPOLLET);
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), 0);
	/* MOD arms it again. */
	struct epoll_event ev = { EPOLLIN | EPOLLET, { .fd = p[0] } };
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	EQ(ready(0), EPOLLIN);
}

CASE(edge_output)
{
	int s[2];
	char buf[4096] = "";

	OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s));
	watch(s[0], EPOLLOUT | EPOLLET);
	EQ(ready(0), EPOLLOUT);
	EQ(ready(0), 0);
	while (write(s[0], buf, sizeof buf) > 0)
		;
	while (read(s[1], buf, sizeof buf) > 0)
		;
	EQ(ready(0), EPOLLOUT);
}

CASE(oneshot)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN | EPOLLONESHOT);
	tell(p[1]);
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), 0);
	tell(p[1]);
	EQ(ready(0), 0);
	struct epoll_event ev = { EPOLLIN | EPOLLONESHOT, { .fd = p[0] } };
	OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev));
	EQ(ready(0), EPOLLIN);
	EQ(ready(0), 0);
}

CASE(data_comes_back)
{
	int e = OK(eventfd(1, 0));
	struct epoll_event ev = { EPOLLIN, { .u64 = 0x123456789abcdef0ull } };

	ep = OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
	memset(&ev, 0, sizeof ev);
	EQ(epoll_wait(ep, &ev, 1, 0), 1);
	CHECK(ev.data.u64 == 0x123456789abcdef0ull);
}

CASE(errors)
{
	int p[2], file;
	struct epoll_event ev = { EPOLLIN, { 0 } };

	OK(pipe(p));
	ep = OK(epoll_create1(0));
	file = OK(open("f", O_RDWR | O_CREAT, 0600));
	ERR(epoll_create1(1), EINVAL);
	ERR(epoll_create(0), EINVAL);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, file, &ev), EPERM);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &ev), EBADF);
	ERR(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &ev), EBADF);
	ERR(epoll_ctl(p[1], EPOLL_CTL_ADD, p[0], &ev), EINVAL);
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &ev), EINVAL);
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, p[0], &ev), ENOENT);
	ERR(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL), ENOENT);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	ERR(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), EEXIST);
	ERR(epoll_ctl(ep, 77, p[0], &ev), EINVAL);
	ERR(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[1], (void *)8), EFAULT);
	ERR(epoll_wait(ep, &ev, 0, 0), EINVAL);
	ERR(epoll_wait(ep, &ev, -1, 0), EINVAL);
	ERR(epoll_wait(p[0], &ev, 1, 0), EINVAL);
	ERR(read(ep, &ev, sizeof ev), EINVAL);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
}

CASE(same_file_by_two_descriptors)
{
	int p[2], d;
	struct epoll_event ev[4];

	OK(pipe(p));
	d = OK(dup(p[0]));
	watch(p[0], EPOLLIN);
	watch(d, EPOLLIN);
	tell(p[1]);
	EQ(epoll_wait(ep, ev, 4, 0), 2);
	/* A closed descriptor stays watched as long as the open file lives. */
	close(p[0]);
	EQ(epoll_wait(ep, ev, 4, 0), 2);
	close(d);
	EQ(epoll_wait(ep, ev, 4, 0), 0);
}

CASE(closed_file_leaves)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN);
	tell(p[1]);
	close(p[0]);
	EQ(ready(0), 0);
	/* The number can be watched again. */
	int q[2];
	OK(pipe(q));
	EQ(q[0], p[0]);
	watch(q[0], EPOLLIN);
}

CASE(nested)
{
	int p[2], inner = OK(epoll_create1(0));
	struct epoll_event ev = { EPOLLIN, { .u32 = 1 } };
	struct pollfd pf;

	OK(pipe(p));
	OK(epoll_ctl(inner, EPOLL_CTL_ADD, p[0], &ev));
	watch(inner, EPOLLIN);
	EQ(ready(0), 0);
	tell(p[1]);
	EQ(ready(1000), EPOLLIN);
	pf = (struct pollfd){ ep, POLLIN, 0 };
	EQ(poll(&pf, 1, 0), 1);
	hear(p[0]);
	EQ(ready(0), 0);
	EQ(poll(&pf, 1, 0), 0);
	/* No circles. */
	ERR(epoll_ctl(inner, EPOLL_CTL_ADD, ep, &ev), ELOOP);
}

CASE(nesting_is_limited)
{
	int e[8], i;
	struct epoll_event ev = { EPOLLIN, { 0 } };

	for (i = 0; i < 8; i++)
		e[i] = OK(epoll_create1(0));
	for (i = 1; i < 8; i++)
		if (epoll_ctl(e[i], EPOLL_CTL_ADD, e[i - 1], &ev) < 0)
			break;
	CHECK(errno == EINVAL || errno == ELOOP);	/* by version */
	CHECK(i >= 4 && i < 8);
}

CASE(wakes_sleeper)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN);
	pid_t me = getpid();
	pid_t c = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		tell(p[1]);
	});
	EQ(ready(10000), EPOLLIN);
	EXITED(c, 0);
}

static void *add_later(void *arg)
{
	int *p = arg;

	EVENTUALLY(proc_state(getpid()) == 'S');
	watch(p[0], EPOLLIN);
	return NULL;
}

CASE(add_while_waiting)
{
	int p[2];
	pthread_t t;

	OK(pipe(p));
	tell(p[1]);
	ep = OK(epoll_create1(0));
	pthread_create(&t, NULL, add_later, p);
	EQ(ready(10000), EPOLLIN);
	pthread_join(t, NULL);
}

static volatile int woken;
static volatile pid_t waiters[3];

static void *exclusive_waiter(void *arg)
{
	struct epoll_event ev;

	waiters[(long)arg] = syscall(SYS_gettid);
	EQ(epoll_wait(ep, &ev, 1, 10000), 1);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

CASE(edge_wakes_one_thread)
{
	int e = OK(eventfd(0, 0));
	pthread_t t[3];

	watch(e, EPOLLIN | EPOLLET);
	for (long i = 0; i < 3; i++) {
		pthread_create(&t[i], NULL, exclusive_waiter, (void *)i);
		EVENTUALLY(waiters[i] && thread_state(waiters[i]) == 'S');
	}
	for (int i = 1; i <= 3; i++) {
		OK(eventfd_write(e, 1));
		EVENTUALLY(woken == i);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

CASE(max_events_rotates)
{
	struct epoll_event ev[2];
	unsigned seen = 0;
	int e[4];

	for (int i = 0; i < 4; i++)
		watch(e[i] = OK(eventfd(1, 0)), EPOLLIN);
	for (int i = 0; i < 2; i++) {
		EQ(epoll_wait(ep, ev, 2, 0), 2);
		for (int j = 0; j < 2; j++)
			for (int k = 0; k < 4; k++)
				seen |= (ev[j].data.fd == e[k]) << k;
	}
	EQ(seen, 15);
}

CASE(many_at_once)
{
	enum { MANY = 300 };
	static struct epoll_event ev[2 * MANY];
	bool seen[MANY + 200] = { false };
	int n;

	for (int i = 0; i < MANY; i++)
		watch(OK(eventfd(i % 3 != 0, 0)), EPOLLIN);
	EQ(epoll_wait(ep, ev, 100, 0), 100);
	n = OK(epoll_wait(ep, ev, 2 * MANY, 0));
	EQ(n, MANY - MANY / 3);
	for (int i = 0; i < n; i++) {
		CHECK(!seen[ev[i].data.fd]);
		seen[ev[i].data.fd] = true;
	}
}

CASE(pwait_timeouts_and_mask)
{
	struct epoll_event ev;
	struct timespec ts = { 0, 10000000 };
	int64_t t = now_ns();

	ep = OK(epoll_create1(0));
	EQ(epoll_wait(ep, &ev, 1, 10), 0);
	CHECK(now_ns() - t >= 10000000);
	t = now_ns();
	EQ(syscall(SYS_epoll_pwait2, ep, &ev, 1, &ts, NULL, 0), 0);
	CHECK(now_ns() - t >= 10000000);
	EQ(epoll_pwait(ep, &ev, 1, 0, NULL), 0);
}

static volatile int hits;

static void hit(int sig)
{
	hits++;
}

CASE(pwait_mask_lets_through_what_waits)
{
	struct epoll_event ev;
	struct timespec ts = { 10, 0 };
	sigset_t set, none, now;

	ep = OK(epoll_create1(0));
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, hit);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	ERR(epoll_pwait(ep, &ev, 1, -1, &none), EINTR);
	EQ(hits, 1);
	raise(SIGUSR1);
	ERR(syscall(SYS_epoll_pwait2, ep, &ev, 1, &ts, &none, 8), EINTR);
	EQ(hits, 2);
	/* One that only looks doesn't wait: the signal stays. */
	raise(SIGUSR1);
	EQ(epoll_pwait(ep, &ev, 1, 0, &none), 0);
	EQ(hits, 2);
	sigprocmask(0, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	sigpending(&now);
	CHECK(sigismember(&now, SIGUSR1));
}

CASE(rdhup)
{
	int s[2];

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	watch(s[0], EPOLLRDHUP | EPOLLET);
	EQ(ready(0), 0);
	OK(shutdown(s[1], SHUT_WR));
	EQ(ready(0), EPOLLRDHUP);
}

CASE(exclusive_rules)
{
	int e = OK(eventfd(0, 0));
	struct epoll_event ev = { EPOLLIN | EPOLLEXCLUSIVE, { 0 } };

	ep = OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev), EINVAL);
}

CASE(inherited_by_fork)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN);
	pid_t c = CHILD({
		tell(p[1]);
		EQ(ready(1000), EPOLLIN);
	});
	EXITED(c, 0);
	EQ(ready(0), EPOLLIN);
}
