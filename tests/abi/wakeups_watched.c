/* Pipes and eventfds by which a process wakes itself, watched by epoll, waited for by other threads, and used by several at once. */
#include "wakeups.h"
#include <sched.h>

static int watch(int ep, int fd, uint32_t events)
{
	struct epoll_event ev = { events, { .fd = fd } };

	if (ep < 0)
		ep = OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	return ep;
}

/* The events of descriptor fd, if it is the only one that has any; 0: none has. */
static uint32_t ready(int ep, int fd, int timeout)
{
	struct epoll_event ev[4];
	int n = OK(epoll_wait(ep, ev, 4, timeout));

	CHECK(n <= 1 && (!n || ev[0].data.fd == fd));
	return n ? ev[0].events : 0;
}

CASE(level)
{
	int p[2], e, ep, ep_out;

	OK(pipe2(p, O_NONBLOCK));
	e = OK(eventfd(0, EFD_NONBLOCK));
	ep = watch(-1, p[0], EPOLLIN);
	watch(ep, e, EPOLLIN);
	ep_out = watch(-1, p[1], EPOLLOUT);
	use_pipe(p);
	use_event(e);
	for (int i = 0; i < 200; i++) {
		EQ(ready(ep, 0, 0), 0);
		say(p[1], "a");
		EQ(ready(ep, p[0], i % 2 ? -1 : 0), EPOLLIN);
		EQ(ready(ep, p[0], 0), EPOLLIN);
		expect(p[0], "a");
		EQ(ready(ep, 0, 0), 0);
		EQ(add(e, 1), 8);
		EQ(ready(ep, e, i % 2 ? 0 : -1), EPOLLIN);
		EQ(take(e), 1);
		EQ(ready(ep_out, p[1], 0), EPOLLOUT);
		if (i % 4 == 0)
			use_pipe(p);
		if (i % 8 == 0)
			use_event(e);
	}
}

CASE(level_without_quiet)
{
	int e = OK(eventfd(0, EFD_NONBLOCK)), ep = watch(-1, e, EPOLLIN);

	for (int i = 0; i < 500; i++) {
		EQ(add(e, 1), 8);
		EQ(ready(ep, e, -1), EPOLLIN);
		EQ(take(e), 1);
		if (i % 50 == 49)
			EQ(ready(ep, e, 0), 0);
		if (i % 50 == 24)
			EQ(ready(ep, e, 1), 0);
	}
}

CASE(look_after_look)
{
	int e = OK(eventfd(0, EFD_NONBLOCK)), ep = watch(-1, e, EPOLLIN), p[2], other;
	struct epoll_event ev[2];

	OK(pipe(p));
	watch(ep, p[0], EPOLLIN);
	for (int i = 0; i < 40; i++) {
		use_event(e);
		EQ(add(e, 1), 8);
		for (int k = 0; k < 5; k++)
			EQ(ready(ep, e, k % 2 ? -1 : 0), EPOLLIN);
		ERR(epoll_wait(ep, (void *)16, 2, 0), EFAULT);
		ERR(epoll_wait(ep, (void *)-16, 2, 0), EFAULT);
		ERR(epoll_wait(ep, ev, 0, 0), EINVAL);
		EQ(ready(ep, e, -1), EPOLLIN);
		tell(p[1]); /* something else is there, too */
		EQ(epoll_wait(ep, ev, 2, 0), 2);
		EQ(epoll_wait(ep, ev, 2, -1), 2);
		hear(p[0]);
		EQ(ready(ep, e, -1), EPOLLIN);
		EQ(ready(ep, e, -1), EPOLLIN);
		ev[0] = (struct epoll_event){ EPOLLIN, { .u64 = 0x123456789a0 } };
		if (i % 4 == 0)
			OK(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev[0]));
		if (i % 4 == 1) {
			OK(epoll_ctl(ep, EPOLL_CTL_DEL, e, NULL));
			EQ(epoll_wait(ep, ev + 1, 1, 0), 0);
			OK(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev[0]));
		}
		if (i % 4 < 2) {
			EQ(epoll_wait(ep, ev, 2, 0), 1);
			CHECK(ev[0].events == EPOLLIN && ev[0].data.u64 == 0x123456789a0);
			EQ(take(e), 1);
			use_event(e);
			EQ(add(e, 1), 8);
			EQ(epoll_wait(ep, ev, 2, 0), 1);
			CHECK(ev[0].events == EPOLLIN && ev[0].data.u64 == 0x123456789a0);
			ev[0].data.fd = e;
			OK(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev[0]));
		}
		EQ(take(e), 1);
		EQ(ready(ep, e, 0), 0);
		EQ(ready(ep, e, 0), 0);
		if (i % 4 == 2) {
			use_event(e);
			EQ(add(e, 1), 8);
			EQ(ready(ep, e, -1), EPOLLIN);
			EQ(ready(ep, e, -1), EPOLLIN);
			other = OK(eventfd(0, EFD_NONBLOCK));
			OK(dup2(other, e)); /* its number is another one's now */
			close(other);
			EQ(ready(ep, e, 0), 0);
			EQ(add(e, 1), 8);
			EQ(ready(ep, e, 0), 0);
			EQ(take(e), 1);
			watch(ep, e, EPOLLIN);
		}
	}
}

CASE(edge)
{
	int p[2], e = OK(eventfd(0, EFD_NONBLOCK)), ep = watch(-1, e, EPOLLIN | EPOLLET);

	OK(pipe(p));
	watch(ep, p[0], EPOLLIN | EPOLLET);
	for (int i = 0; i < 100; i++) {
		EQ(add(e, 1), 8);
		EQ(ready(ep, e, -1), EPOLLIN);
		EQ(ready(ep, e, 0), 0);
		EQ(add(e, 1), 8);
		EQ(ready(ep, e, 0), EPOLLIN);
		if (i % 3)
			EQ(take(e), 2);
		else
			EQ(OK(read(e, &(uint64_t){ 0 }, 8)), 8);
		tell(p[1]);
		EQ(ready(ep, p[0], 0), EPOLLIN);
		EQ(ready(ep, p[0], 0), 0);
		hear(p[0]);
	}
}

/* What was asked for level by level so far. */
CASE(becomes_edge_or_oneshot)
{
	for (int i = 0; i < 4; i++) {
		struct epoll_event ev = { EPOLLIN | (i % 2 ? EPOLLONESHOT : EPOLLET), { 0 } };
		int e = OK(eventfd(0, EFD_NONBLOCK)), ep = watch(-1, e, EPOLLIN);

		use_event(e);
		ev.data.fd = e;
		if (i < 2)
			OK(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev));
		else
			ep = watch(-1, e, ev.events);
		EQ(ready(ep, e, 0), 0);
		for (int k = 0; k < 40; k++) {
			EQ(add(e, 1), 8);
			EQ(ready(ep, e, 0), i % 2 && k ? 0 : EPOLLIN);
			EQ(ready(ep, e, 0), 0);
			if (k % 2)
				EQ(take(e), 2);
		}
		use_event(e);
		OK(epoll_ctl(ep, EPOLL_CTL_MOD, e, &ev));
		EQ(ready(ep, e, 0), 0);
		EQ(add(e, 1), 8);
		EQ(ready(ep, e, -1), EPOLLIN);
	}
}

CASE(watched_later_and_no_more)
{
	int e = make_event(0), ep, other;

	EQ(add(e, 1), 8);
	ep = watch(-1, e, EPOLLIN);
	other = watch(-1, e, EPOLLIN);
	EQ(ready(ep, e, -1), EPOLLIN);
	EQ(ready(other, e, -1), EPOLLIN);
	EQ(take(e), 1);
	EQ(ready(ep, e, 0), 0);
	use_event(e);
	EQ(add(e, 1), 8);
	EQ(ready(ep, e, -1), EPOLLIN);
	EQ(ready(other, e, -1), EPOLLIN);
	EQ(take(e), 1);
	use_event(e);
	OK(epoll_ctl(ep, EPOLL_CTL_DEL, e, NULL));
	EQ(add(e, 1), 8);
	EQ(ready(ep, e, 0), 0);
	EQ(ready(other, e, 0), EPOLLIN);
	close(other);
	EQ(take(e), 1);
	use_event(e);
	ep = watch(ep, e, EPOLLIN);
	use_event(e);
	close(e);
	EQ(ready(ep, e, 0), 0);
}

CASE(nested)
{
	int e = OK(eventfd(0, 0)), inner = watch(-1, e, EPOLLIN), outer, edge;
	struct pollfd f = { inner, POLLIN, 0 };

	use_event(e);
	EQ(poll(&f, 1, 0), 0);
	use_event(e);
	EQ(add(e, 1), 8);
	EQ(poll(&f, 1, -1), 1);
	EQ(take(e), 1);
	use_event(e);
	outer = watch(-1, inner, EPOLLIN);
	edge = watch(-1, inner, EPOLLIN | EPOLLET);
	for (int i = 0; i < 100; i++) {
		EQ(ready(outer, inner, 0), 0);
		EQ(ready(edge, inner, 0), 0);
		EQ(add(e, 1), 8);
		EQ(ready(edge, inner, 0), EPOLLIN);
		EQ(ready(edge, inner, 0), 0);
		EQ(ready(outer, inner, -1), EPOLLIN);
		EQ(ready(inner, e, -1), EPOLLIN);
		EQ(take(e), 1);
		if (i % 10 == 0)
			use_event(e);
		EQ(OK(epoll_wait(edge, &(struct epoll_event){ 0 }, 1, 0)) <= 1, 1);
		EQ(ready(inner, e, 0), 0);
	}
}

enum { ROUNDS = 2000 };

static struct ring {
	int ep, e, p[2], kind, back;
} ring;

static void *wait_and_take(void *arg)
{
	struct ring *r = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct pollfd f = { r->e, POLLIN, 0 };
		fd_set in;

		switch (r->kind) {
		case 0:
			EQ(ready(r->ep, r->e, -1), EPOLLIN);
			break;
		case 1:
			EQ(poll(&f, 1, -1), 1);
			break;
		case 2:
			FD_ZERO(&in);
			FD_SET(r->e, &in);
			EQ(select(r->e + 1, &in, NULL, NULL, NULL), 1);
		}
		EQ(take(r->e), 1);
		if (i % 100 < 50) /* wakes itself now and then */
			for (int k = 0; k < 3; k++) {
				EQ(add(r->e, 1), 8);
				EQ(take(r->e), 1);
			}
		EQ(add(r->back, 1), 8);
	}
	return NULL;
}

/* Every wake-up arrives, whoever used it alone before. */
static void wake_sleeper(int kind)
{
	pthread_t t;

	ring.e = OK(eventfd(0, 0));
	ring.back = OK(eventfd(0, 0));
	ring.ep = watch(-1, ring.e, EPOLLIN);
	ring.kind = kind;
	EQ(pthread_create(&t, NULL, wait_and_take, &ring), 0);
	for (int i = 0; i < ROUNDS; i++) {
		EQ(add(ring.e, 1), 8);
		EQ(take(ring.back), 1);
		if (i % 100 >= 80)
			use_event(ring.back);
	}
	pthread_join(t, NULL);
}

CASE(epoll_sleeper) { wake_sleeper(0); }
CASE(poll_sleeper) { wake_sleeper(1); }
CASE(select_sleeper) { wake_sleeper(2); }
CASE(reading_sleeper) { wake_sleeper(3); }

static _Atomic unsigned long written, taken;

static void *write_much(void *arg)
{
	struct ring *r = arg;

	for (int i = 0; i < 5 * ROUNDS; i++) {
		char bytes[5] = { 1, 2, 3, 4, 5 };
		int n = i % 5 + 1;

		EQ(write(r->p[1], bytes, n), n);
		EQ(add(r->e, n), 8);
		for (int k = 0; k < n; k++)
			written += bytes[k];
	}
	return NULL;
}

static void *read_much(void *arg)
{
	struct ring *r = arg;
	char bytes[4];
	long n;

	while ((n = read(r->p[0], bytes, sizeof bytes)) > 0) {
		for (int k = 0; k < n; k++)
			taken += bytes[k];
	}
	EQ(n, 0);
	return NULL;
}

/* Nothing gets lost and nothing comes twice, whoever does what at once. */
CASE(sums)
{
	pthread_t w[3], r[2];
	uint64_t sum = 0;

	make_pipe(ring.p, 0);
	ring.e = make_event(EFD_NONBLOCK);
	for (int i = 0; i < 3; i++)
		EQ(pthread_create(&w[i], NULL, write_much, &ring), 0);
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&r[i], NULL, read_much, &ring), 0);
	while (sum < 3 * ROUNDS * 15) {
		uint64_t n;

		if (read(ring.e, &n, 8) == 8)
			sum += n;
		else
			EQ(errno, EAGAIN);
		poll_now(ring.e, POLLIN);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(w[i], NULL);
	close(ring.p[1]);
	for (int i = 0; i < 2; i++)
		pthread_join(r[i], NULL);
	EQ(sum, 3 * ROUNDS * 15);
	EQ(written, taken);
}

static void *use_both(void *arg)
{
	struct ring *r = arg;

	for (int i = 0; i < 20 * ROUNDS; i++) {
		EQ(add(r->e, 3), 8);
		EQ(write(r->p[1], "ab", 2), 2);
	}
	return NULL;
}

/* Two threads, and a fork and looks by all ways in between. */
CASE(sums_while_others_look)
{
	static char buf[1 << 20];
	pthread_t t;
	long bytes = 0;
	int ep;

	make_pipe(ring.p, O_NONBLOCK);
	ring.e = make_event(EFD_NONBLOCK);
	OK(fcntl(ring.p[0], F_SETPIPE_SZ, 1 << 20));
	ep = watch(-1, ring.e, EPOLLIN);
	EQ(pthread_create(&t, NULL, use_both, &ring), 0);
	for (int i = 0; i < 200; i++) {
		struct stat st;
		struct epoll_event ev;
		int n;

		OK(fstat(ring.p[0], &st));
		poll_now(ring.p[0], POLLIN);
		OK(ioctl(ring.p[0], FIONREAD, &n));
		OK(epoll_wait(ep, &ev, 1, 0));
		close(OK(dup(ring.e)));
		if (i % 20 == 0)
			EXITED(CHILD({ close(ring.p[0]); }), 0);
		n = read(ring.p[0], buf, 3);
		bytes += n > 0 ? n : 0;
	}
	pthread_join(t, NULL);
	bytes += OK(read(ring.p[0], buf, sizeof buf));
	EQ(bytes, 20 * ROUNDS * 2);
	EQ(take(ring.e), 20 * ROUNDS * 3);
}

/* Several wait at one instance for two eventfds and a pipe, and wake each other and themselves. */
static struct crowd {
	int ep, e[2], p[2];
	_Atomic bool over;
	_Atomic int ended;
} crowd;

static void take_what_is_there(int fd)
{
	uint64_t n;
	char c;

	if (fd == crowd.p[0]) {
		if (read(fd, &c, 1) == 1)
			taken++;
		else
			EQ(errno, EAGAIN); /* another one was faster */
	} else if (read(fd, &n, 8) == 8) {
		taken += n;
	} else {
		EQ(errno, EAGAIN);
	}
}

static void put_one(int fd)
{
	written++;
	if (fd == crowd.p[0])
		tell(crowd.p[1]);
	else
		EQ(add(fd, 1), 8);
}

static void *serve(void *arg)
{
	struct epoll_event ev;

	for (int i = 0;; i++) {
		EQ(epoll_wait(crowd.ep, &ev, 1, -1), 1);
		if (crowd.over) {
			crowd.ended++;
			return NULL;
		}
		take_what_is_there(ev.data.fd);
		for (int k = 0; k < 20 && i % 8 == 0; k++) {
			put_one(ev.data.fd);
			take_what_is_there(ev.data.fd);
		}
	}
}

static void *feed(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		put_one(i % 3 < 2 ? crowd.e[i % 3] : crowd.p[0]);
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

CASE(crowd)
{
	pthread_t w[3], f[2];

	OK(pipe2(crowd.p, O_NONBLOCK));
	crowd.ep = watch(-1, crowd.p[0], EPOLLIN);
	for (int i = 0; i < 2; i++)
		watch(crowd.ep, crowd.e[i] = OK(eventfd(0, EFD_NONBLOCK)), EPOLLIN);
	for (int i = 0; i < 3; i++)
		EQ(pthread_create(&w[i], NULL, serve, NULL), 0);
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&f[i], NULL, feed, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(f[i], NULL);
	EVENTUALLY(taken == written);
	crowd.over = true;
	EVENTUALLY(({ put_one(crowd.e[0]); crowd.ended == 3; })); /* who began before may take it */
	for (int i = 0; i < 3; i++)
		pthread_join(w[i], NULL);
}
