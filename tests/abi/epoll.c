/* epoll: level, edge and one-shot, nesting, life time of what is watched, and errors. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

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

/*
 * Looks that don't wait, over and over: each answers what is true now, whoever made it so, and however the last ones were answered.
 */
enum { LOOKS = 20, OFTEN = 200, ROUNDS = 40 };

static void still_nothing(int fd)
{
	struct epoll_event ev;

	for (int i = 0; i < LOOKS; i++) {
		EQ(epoll_wait(fd, &ev, 1, 0), 0);
		EQ(epoll_pwait(fd, &ev, 1, 0, NULL), 0);
	}
}

CASE(looks_see_what_comes)
{
	int e = OK(eventfd(0, EFD_NONBLOCK)), p[2];
	struct epoll_event ev = { 0 };
	uint64_t n;

	OK(pipe(p));
	watch(e, EPOLLIN);
	watch(p[1], 0);
	for (int i = 0; i < OFTEN; i++) {
		still_nothing(ep);
		ERR(epoll_wait(ep, &ev, 0, 0), EINVAL);
		ERR(epoll_wait(ep, &ev, -1, 0), EINVAL);
		ERR(epoll_wait(ep, &ev, INT32_MAX / 8, 0), EINVAL);
		n = 1;
		EQ(write(e, &n, 8), 8);
		EQ(ready(0), EPOLLIN);
		EQ(ready(0), EPOLLIN);
		EQ(read(e, &n, 8), 8);
		still_nothing(ep);
		ev = (struct epoll_event){ EPOLLOUT, { .fd = p[1] } };
		OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev));
		EQ(ready(0), EPOLLOUT);
		OK(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &ev));
		still_nothing(ep);
		OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], &ev));
		EQ(ready(0), EPOLLOUT);
		ev.events = 0;
		OK(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &ev));
	}
}

CASE(looks_see_through_nests)
{
	int e = OK(eventfd(0, EFD_NONBLOCK)), outer = OK(epoll_create1(0));
	struct epoll_event ev = { EPOLLIN, { 0 } };
	uint64_t n = 1;

	watch(e, EPOLLIN);
	OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &ev));
	for (int i = 0; i < OFTEN; i++) {
		still_nothing(outer);
		still_nothing(ep);
		EQ(write(e, &n, 8), 8);
		EQ(epoll_wait(outer, &ev, 1, 0), 1);
		EQ(epoll_wait(ep, &ev, 1, 0), 1);
		EQ(read(e, &n, 8), 8);
	}
}

CASE(looks_see_timers_and_children)
{
	int p[2];

	OK(pipe(p));
	watch(p[0], EPOLLIN);
	for (int i = 0; i < 20; i++) {
		int t = OK(timerfd_create(CLOCK_MONOTONIC, 0));
		struct itimerspec when = { .it_value.tv_nsec = 1000000 };

		watch(t, EPOLLIN);
		still_nothing(ep);
		OK(timerfd_settime(t, 0, &when, NULL));
		while (!ready(0))
			;
		OK(close(t));
		still_nothing(ep);
		pid_t child = CHILD({
			tell(p[1]);
		});
		while (!ready(0))
			;
		hear(p[0]);
		EXITED(child, 0);
	}
}

static volatile int turn;

static void *ring(void *arg)
{
	uint64_t n = 1;

	for (int i = 1; i <= ROUNDS; i++) {
		while (turn < 2 * i - 1)
			sched_yield();
		EQ(write(*(int *)arg, &n, 8), 8);
		turn = 2 * i;
	}
	return NULL;
}

/* Who has heard of it sees it. */
CASE(looks_after_the_fact)
{
	int e = OK(eventfd(0, EFD_NONBLOCK));
	pthread_t t;
	uint64_t n;

	watch(e, EPOLLIN);
	CHECK(pthread_create(&t, NULL, ring, &e) == 0);
	for (int i = 1; i <= ROUNDS; i++) {
		still_nothing(ep);
		turn = 2 * i - 1;
		while (turn < 2 * i)
			ready(0);
		EQ(ready(0), EPOLLIN);
		EQ(read(e, &n, 8), 8);
	}
	pthread_join(t, NULL);
}

CASE(looks_at_closed_and_other_instances)
{
	int e = OK(eventfd(1, EFD_NONBLOCK)), p[2];
	struct epoll_event ev = { EPOLLIN, { 0 } };

	OK(pipe(p));
	for (int i = 0; i < OFTEN; i++) {
		int fd = OK(epoll_create1(EPOLL_CLOEXEC)), twin = OK(dup(fd)), other = OK(epoll_create1(0));

		OK(epoll_ctl(other, EPOLL_CTL_ADD, e, &ev));
		still_nothing(fd);
		OK(dup2(other, fd));
		EQ(epoll_wait(fd, &ev, 1, 0), 1);
		still_nothing(twin);
		OK(dup2(p[0], fd));
		ERR(epoll_wait(fd, &ev, 1, 0), EINVAL);
		still_nothing(twin);
		OK(dup2(twin, fd));
		still_nothing(fd);
		OK(close(fd));
		ERR(epoll_wait(fd, &ev, 1, 0), EBADF);
		still_nothing(twin);
		OK(syscall(SYS_close_range, twin, other, 0));
		ERR(epoll_wait(twin, &ev, 1, 0), EBADF);
		EQ(OK(epoll_create1(0)), fd);
		still_nothing(fd);
		pid_t child = vfork();
		if (child == 0) {
			dup2(p[0], fd);
			close(fd);
			_exit(epoll_wait(fd, &ev, 1, 0) < 0 && errno == EBADF ? 0 : 1);
		}
		EXITED(child, 0);
		still_nothing(fd);
		OK(close(fd));
	}
}

static void *close_it(void *arg)
{
	while (!turn)
		sched_yield();
	close(*(int *)arg);
	turn = 2;
	return NULL;
}

CASE(looks_while_another_thread_closes)
{
	struct epoll_event ev;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = OK(epoll_create1(0));
		pthread_t t;

		turn = 0;
		CHECK(pthread_create(&t, NULL, close_it, &fd) == 0);
		still_nothing(fd);
		turn = 1;
		while (epoll_wait(fd, &ev, 1, 0) == 0 && turn < 2)
			;
		ERR(epoll_wait(fd, &ev, 1, 0), EBADF);
		pthread_join(t, NULL);
	}
}
