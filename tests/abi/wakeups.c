/*
 * Pipes and eventfds by which a process wakes itself, as event loops do: a few bytes, again and again, and in the middle of that everything else
 * that can be done to them by one process or several. wakeups_watched.c lets others wait for them.
 */
#include "others.h"
#include "wakeups.h"

CASE(all_sizes)
{
	static const char text[] = "abcdefghijklmnopqrst";
	char buf[32];
	int p[2];

	OK(pipe2(p, O_NONBLOCK));
	for (int in = 0; in <= 17; in++)
		for (int out = 1; out <= 20; out++) {
			int got = 0;

			use_pipe(p);
			EQ(write(p[1], text, in), in);
			while (got < in) {
				int n = OK(read(p[0], buf + got, out));

				EQ(n, in - got < out ? in - got : out);
				got += n;
			}
			CHECK(!memcmp(buf, text, in));
			ERR(read(p[0], buf, 1), EAGAIN);
			EQ(read(p[0], buf, 0), 0);
		}
}

CASE(bytes_stay_in_order)
{
	char buf[64], next_in = 0, next_out = 0;
	unsigned seed = 1;
	int p[2], in = 0;

	make_pipe(p, O_NONBLOCK);
	for (int i = 0; i < 20000; i++) {
		int n = rand_r(&seed) % 9;

		if (rand_r(&seed) % 2 && in + n < 40) {
			for (int k = 0; k < n; k++)
				buf[k] = next_in++;
			EQ(write(p[1], buf, n), n);
			in += n;
		} else if (n && in) {
			n = OK(read(p[0], buf, n));
			for (int k = 0; k < n; k++)
				EQ(buf[k], next_out++);
			in -= n;
		}
	}
}

CASE(full_pipe)
{
	static char page[4096];
	int p[2];

	make_pipe(p, O_NONBLOCK);
	say(p[1], "abc");
	EQ(OK(fcntl(p[1], F_SETPIPE_SZ, 4096)), 4096);
	expect(p[0], "abc");
	use_pipe(p);
	EQ(write(p[1], page, 4096), 4096);
	ERR(write(p[1], page, 1), EAGAIN);
	EQ(poll_now(p[1], POLLOUT), 0);
	EQ(read(p[0], page, 4096), 4096);
	EQ(poll_now(p[1], POLLOUT), POLLOUT);
	use_pipe(p);
}

CASE(bad_buffers)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int p[2], e = make_event(EFD_NONBLOCK);

	make_pipe(p, O_NONBLOCK);
	OK(munmap(page + 4096, 4096));
	say(p[1], "abc");
	ERR(read(p[0], page + 4096, 3), EFAULT);
	ERR(read(p[0], (void *)-8, 3), EFAULT);
	ERR(write(p[1], page + 4096, 3), EFAULT);
	ERR(write(p[1], (void *)0x800000000000, 1), EFAULT);
	OK(mprotect(page, 4096, PROT_READ));
	ERR(read(p[0], page, 3), EFAULT);
	expect(p[0], "abc");

	EQ(add(e, 5), 8);
	ERR(write(e, page + 4096, 8), EFAULT);
	ERR(write(e, page + 4092, 8), EFAULT);
	ERR(read(e, page, 4), EINVAL);
	ERR(write(e, page, 7), EINVAL);
	EQ(take(e), 5);
	OK(mprotect(page, 4096, PROT_READ | PROT_WRITE));

	/* Across the border of two pages. */
	CHECK(mmap(page + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	use_pipe(p);
	use_event(e);
	memcpy(page + 4093, "uvwxyz", 6);
	EQ(write(p[1], page + 4093, 6), 6);
	memset(page, 0, 8192);
	EQ(read(p[0], page + 4093, 100), 6);
	STREQ(page + 4093, "uvwxyz");
	EQ(add(e, 7), 8);
	EQ(read(e, page + 4091, 100), 8);
	EQ(page[4091], 7);
}

CASE(buffer_untouched_when_there_is_nothing)
{
	uint64_t n = 77;
	int p[2], e = make_event(EFD_NONBLOCK);

	make_pipe(p, O_NONBLOCK);
	ERR(read(e, &n, 8), EAGAIN);
	ERR(read(p[0], &n, 8), EAGAIN);
	EQ(n, 77);
}

CASE(counter)
{
	uint64_t big[4] = { 3, 9 };
	int e = make_event(EFD_NONBLOCK);

	ERR(write(e, big, 16), EINVAL);
	EQ(add(e, 3), 8);
	EQ(read(e, big, 32), 8);
	EQ(big[0], 3);
	EQ(big[1], 9);
	EQ(add(e, 0), 8);
	ERR(read(e, big, 8), EAGAIN);
	use_event(e);
	ERR(add(e, UINT64_MAX), EINVAL);
	EQ(add(e, UINT64_MAX - 1), 8);
	EQ(poll_now(e, POLLIN | POLLOUT), POLLIN);
	ERR(add(e, 1), EAGAIN);
	EQ(add(e, 0), 8);
	CHECK(take(e) == UINT64_MAX - 1);
	use_event(e);
	EQ(add(e, UINT64_MAX - 3), 8);
	EQ(add(e, 1), 8);
	EQ(poll_now(e, POLLIN | POLLOUT), POLLIN | POLLOUT);
	ERR(add(e, 2), EAGAIN);
	EQ(add(e, 1), 8);
	CHECK(take(e) == UINT64_MAX - 1);
}

CASE(semaphore)
{
	int e = make_event(EFD_SEMAPHORE | EFD_NONBLOCK);
	uint64_t n;

	EQ(add(e, 3), 8);
	EQ(take(e), 1);
	EQ(take(e), 1);
	EQ(poll_now(e, POLLIN), POLLIN);
	EQ(take(e), 1);
	ERR(read(e, &n, 8), EAGAIN);
}

CASE(shown_in_fdinfo)
{
	char path[64], buf[512] = "";
	int e = make_event(0), fd;

	EQ(add(e, 0x2a), 8);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", e);
	fd = OK(open(path, O_RDONLY));
	OK(read(fd, buf, sizeof buf - 1));
	CHECK(strstr(buf, "eventfd-count:               2a\n"));
	EQ(take(e), 0x2a);
}

CASE(looks)
{
	struct timeval none = { 0, 0 };
	int p[2], e = make_event(0);
	fd_set in;

	make_pipe(p, 0);
	for (int i = 0; i < OFTEN; i++) {
		EQ(poll_now(p[0], POLLIN), 0);
		EQ(poll_now(e, POLLIN), 0);
		say(p[1], "ab");
		EQ(add(e, 2), 8);
		EQ(poll_now(p[0], POLLIN), POLLIN);
		EQ(poll_now(p[1], POLLOUT), POLLOUT);
		EQ(poll_now(e, POLLIN | POLLOUT), POLLIN | POLLOUT);
		FD_ZERO(&in);
		FD_SET(p[0], &in);
		FD_SET(e, &in);
		EQ(select(FD_SETSIZE, &in, NULL, NULL, &none), 2);
		EQ(take(e), 2);
		EQ(select(FD_SETSIZE, &in, NULL, NULL, &none), 1);
		CHECK(FD_ISSET(p[0], &in));
		expect(p[0], "ab");
	}
}

CASE(vectors)
{
	char a[3] = "", b[3] = "";
	struct iovec v[2] = { { a, 2 }, { b, 2 } };
	int p[2];

	make_pipe(p, O_NONBLOCK);
	say(p[1], "abcd");
	EQ(readv(p[0], v, 2), 4);
	STREQ(a, "ab");
	STREQ(b, "cd");
	use_pipe(p);
	say(p[1], "x");
	EQ(writev(p[1], v, 2), 4);
	say(p[1], "y");
	expect(p[0], "xabcdy");
}

CASE(duplicates)
{
	int p[2], in, out, e = make_event(EFD_NONBLOCK), e2;

	make_pipe(p, O_NONBLOCK);
	say(p[1], "a");
	in = OK(dup(p[0]));
	out = OK(fcntl(p[1], F_DUPFD, 40));
	say(out, "b");
	say(p[1], "c");
	expect(in, "abc");
	for (int i = 0; i < OFTEN; i++) {
		say(i % 2 ? out : p[1], "a");
		say(i % 3 ? out : p[1], "b");
		expect(i % 2 ? p[0] : in, "ab");
	}
	use_pipe(p);
	say(p[1], "last");
	close(p[1]);
	close(p[0]);
	say(out, "!");
	close(out);
	expect(in, "last!");
	EQ(read(in, p, 1), 0);

	EQ(add(e, 1), 8);
	e2 = OK(dup2(e, 50));
	EQ(add(e2, 2), 8);
	EQ(take(e), 3);
	use_event(e2);
	use_event(e);
	EQ(add(e, 4), 8);
	close(e);
	EQ(take(e2), 4);
}

CASE(numbers_change_hands)
{
	int a[2], b[2], was;

	make_pipe(a, O_NONBLOCK);
	make_pipe(b, O_NONBLOCK);
	say(a[1], "a");
	say(b[1], "b");
	was = OK(dup(a[0]));
	OK(dup2(b[0], a[0]));	/* the writer's number stays, what it led to doesn't */
	say(a[1], "aa");
	say(b[1], "bb");
	expect(a[0], "bbb");
	expect(was, "aaa");
	use_pipe((int[]){ a[0], b[1] });
	use_pipe((int[]){ was, a[1] });
	say(a[1], "x");
	say(b[1], "y");
	expect(b[0], "y");
	expect(was, "x");
	OK(dup2(b[1], a[1]));
	say(a[1], "z");
	expect(b[0], "z");
	EQ(read(was, a, 1), 0);
}

CASE(end_of_file)
{
	char c;
	int p[2];

	make_pipe(p, 0);
	say(p[1], "abc");
	close(p[1]);
	EQ(poll_now(p[0], POLLIN), POLLIN | POLLHUP);
	expect(p[0], "abc");
	EQ(read(p[0], &c, 1), 0);
	EQ(poll_now(p[0], POLLIN), POLLHUP);
}

CASE(broken)
{
	int p[2];

	make_pipe(p, 0);
	say(p[1], "abc");
	KILLED(CHILD({
		make_pipe(p, 0);
		close(p[0]);
		tell(p[1]);
	}), SIGPIPE);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	ERR(write(p[1], p, 1), EPIPE);
	EQ(poll_now(p[1], POLLOUT), POLLOUT | POLLERR);
}

static void *close_it(void *arg)
{
	OK(close(*(int *)arg));
	return NULL;
}

CASE(broken_by_another_thread)
{
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 100; i++) {
		pthread_t t;
		int p[2], n = 0;

		make_pipe(p, O_NONBLOCK);
		EQ(pthread_create(&t, NULL, close_it, &p[i % 2]), 0);
		if (i % 2) { /* the writing end goes */
			char c;
			long r;

			while ((r = read(p[0], &c, 1)) == -1 && errno == EAGAIN)
				;
			EQ(r, 0);
		} else {
			while (write(p[1], "x", 1) == 1)
				n++;
			CHECK(errno == EPIPE || (errno == EAGAIN && n == 65536));
		}
		pthread_join(t, NULL);
		close(p[!(i % 2)]);
	}
}

CASE(forked)
{
	int p[2], e = make_event(0), back[2];

	OK(pipe(back));
	make_pipe(p, 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid;

		use_pipe(p);
		use_event(e);
		say(p[1], "abc");
		EQ(add(e, 3), 8);
		pid = CHILD({
			hear(p[0]);
			EQ(take(e), 3);
			tell(back[1]);
			EQ(take(e), 1);
			expect(p[0], "bcd");
			say(p[1], "xyz");
			EQ(add(e, 4), 8);
			use_pipe(back);
			tell(back[1]);
		});
		hear(back[0]);
		say(p[1], "d");
		EQ(add(e, 1), 8);
		EXITED(pid, 0);
		expect(p[0], "xyz");
		EQ(take(e), 4);
		expect(back[0], "x");
	}
}

CASE(child_writes_parent_sleeps)
{
	int p[2], e = make_event(0);

	make_pipe(p, 0);
	for (int i = 0; i < 50; i++) {
		pid_t pid = CHILD({
			tell(p[1]);
			EQ(add(e, 1), 8);
		});

		hear(p[0]);
		EQ(take(e), 1);
		EXITED(pid, 0);
		use_pipe(p);
		use_event(e);
	}
}

CASE(killed_with_bytes_in_it)
{
	int p[2], e = OK(eventfd(0, 0)), ready[2];

	OK(pipe(p));
	OK(pipe(ready));
	KILLED(CHILD({
		use_pipe(p);
		use_event(e);
		say(p[1], "abc");
		EQ(add(e, 9), 8);
		kill(getpid(), SIGKILL);
	}), SIGKILL);
	expect(p[0], "abc");
	EQ(take(e), 9);
	EXITED(CHILD({
		use_pipe(p);
		use_event(e);
		say(p[1], "abc");
		EQ(add(e, 9), 8);
	}), 0);
	expect(p[0], "abc");
	EQ(take(e), 9);
}

CASE(kept_over_exec)
{
	char in[16], out[16], event[16];
	int p[2], e = make_event(0);

	if (getenv("WAKEUPS_IN")) {
		p[0] = atoi(getenv("WAKEUPS_IN"));
		p[1] = atoi(getenv("WAKEUPS_OUT"));
		e = atoi(getenv("WAKEUPS_EVENT"));
		say(p[1], "de");
		expect(p[0], "abcde");
		EQ(take(e), 6);
		use_pipe(p);
		use_event(e);
		return;
	}
	make_pipe(p, 0);
	snprintf(in, sizeof in, "%d", p[0]);
	snprintf(out, sizeof out, "%d", p[1]);
	snprintf(event, sizeof event, "%d", e);
	setenv("WAKEUPS_IN", in, 1);
	setenv("WAKEUPS_OUT", out, 1);
	setenv("WAKEUPS_EVENT", event, 1);
	say(p[1], "abc");
	EQ(add(e, 6), 8);
	EXITED(CHILD({ execl("/proc/self/exe", "wakeups", "--here", "kept_over_exec", NULL); }), 0);
	use_pipe(p);
	use_event(e);
}

CASE(passed_on)
{
	int s[2], p[2], e, got;

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (int i = 0; i < 10; i++) {
		pid_t pid = CHILD({
			make_pipe(p, 0);
			e = make_event(0);
			say(p[1], "abc");
			send_fd(s[1], p[0]);
			EQ(add(e, 8), 8);
			send_fd(s[1], e);
			hear(s[1]);
			use_event(e);
		});

		got = receive_fd(s[0]);
		expect(got, "abc");
		e = receive_fd(s[0]);
		EQ(take(e), 8);
		tell(s[0]);
		EXITED(pid, 0);
		EQ(read(got, p, 1), 0);
		use_event(e);
		close(e);
		close(got);
	}
}

CASE(opened_again)
{
	char path[64];
	int p[2], in, both;

	make_pipe(p, O_NONBLOCK);
	say(p[1], "abc");
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[0]);
	in = OK(open(path, O_RDONLY | O_NONBLOCK));
	both = OK(open(path, O_RDWR | O_NONBLOCK));
	hear(in);
	say(both, "d");
	expect(p[0], "bcd");
	use_pipe((int[]){ in, p[1] });
	use_pipe((int[]){ both, both });
	use_pipe((int[]){ p[0], both });
	use_pipe((int[]){ both, p[1] });
	use_pipe(p);
}

CASE(named)
{
	int in, out, both, p[2];

	OK(mkfifo("fifo", 0600));
	in = OK(open("fifo", O_RDONLY | O_NONBLOCK));
	out = OK(open("fifo", O_WRONLY));
	p[0] = in;
	p[1] = out;
	use_pipe(p);
	say(out, "abc");
	both = OK(open("fifo", O_RDWR));
	hear(both);
	close(out);
	expect(in, "bc");
	out = OK(open("fifo", O_WRONLY));
	EQ(out, p[1]);
	use_pipe(p);
	close(both);
	say(out, "z");
	close(out);
	expect(in, "z");
	EQ(poll_now(in, POLLIN), POLLHUP);
}

CASE(spliced)
{
	int a[2], b[2], null = OK(open("/dev/null", O_WRONLY));
	struct iovec v = { "vm", 2 };

	make_pipe(a, O_NONBLOCK);
	make_pipe(b, O_NONBLOCK);
	say(a[1], "abc");
	say(b[1], "x");
	EQ(tee(a[0], b[1], 10, 0), 3);
	say(b[1], "y");
	EQ(splice(a[0], NULL, b[1], NULL, 2, 0), 2);
	expect(a[0], "c");
	expect(b[0], "xabcyab");
	use_pipe(a);
	say(a[1], "abc");
	EQ(splice(a[0], NULL, null, NULL, 2, 0), 2);
	EQ(vmsplice(a[1], &v, 1, 0), 2);
	expect(a[0], "cvm");
	use_pipe(a);
	ERR(splice(a[0], NULL, null, NULL, 2, SPLICE_F_NONBLOCK), EAGAIN);
}

CASE(packets)
{
	char buf[16];
	int p[2];

	make_pipe(p, O_NONBLOCK);
	OK(fcntl(p[1], F_SETFL, O_NONBLOCK | O_DIRECT));
	say(p[1], "cd");
	say(p[1], "ef");
	EQ(read(p[0], buf, 1), 1);
	EQ(buf[0], 'c');
	EQ(read(p[0], buf, 16), 2);
	EQ(buf[0], 'e');
	OK(fcntl(p[1], F_SETFL, O_NONBLOCK));
	use_pipe(p);
}

CASE(nonblocking_and_back)
{
	char c;
	int p[2], e = make_event(0);
	uint64_t n;

	make_pipe(p, 0);
	OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
	OK(fcntl(e, F_SETFL, O_NONBLOCK));
	ERR(read(p[0], &c, 1), EAGAIN);
	ERR(read(e, &n, 8), EAGAIN);
	use_pipe(p);
	use_event(e);
	ERR(read(p[0], &c, 1), EAGAIN);
	ERR(read(e, &n, 8), EAGAIN);
}

static void on_alarm(int sig)
{
}

CASE(interrupted)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval soon = { { 0, 1000 }, { 0, 1000 } };
	uint64_t n;
	int p[2], e = make_event(0);

	make_pipe(p, 0);
	sigaction(SIGALRM, &sa, NULL);
	OK(setitimer(ITIMER_REAL, &soon, NULL));
	ERR(read(p[0], &n, 1), EINTR);
	ERR(read(e, &n, 8), EINTR);
	EQ(add(e, UINT64_MAX - 1), 8);
	ERR(add(e, 1), EINTR);
}

CASE(taken_by_pidfd)
{
	int ready[2], go[2], p[2], in;
	pid_t pid;

	OK(pipe(ready));
	OK(pipe(go));
	pid = CHILD({
		make_pipe(p, 0);
		say(p[1], "abc");
		EQ(write(ready[1], &p[0], sizeof p[0]), sizeof p[0]);
		hear(go[0]);
	});
	EQ(read(ready[0], &p[0], sizeof p[0]), sizeof p[0]);
	in = (int)syscall(SYS_pidfd_getfd, OK(syscall(SYS_pidfd_open, pid, 0)), p[0], 0);
	if (in < 0 && errno == EPERM)
		SKIP("pidfd_getfd is not allowed");
	expect(in, "abc");
	tell(go[1]);
	EXITED(pid, 0);
	EQ(read(in, p, 1), 0);
}
