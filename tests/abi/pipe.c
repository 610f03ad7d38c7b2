/* Pipes and FIFOs: blocking, atomicity, capacity, packets, splice, tee and vmsplice. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

CASE(write_and_read)
{
	int p[2];
	char b[16] = "";

	OK(pipe(p));
	EQ(write(p[1], "hello", 5), 5);
	EQ(write(p[1], " you", 4), 4);
	EQ(read(p[0], b, 3), 3);
	EQ(read(p[0], b + 3, 13), 6);
	STREQ(b, "hello you");
	ERR(read(p[1], b, 1), EBADF);
	ERR(write(p[0], b, 1), EBADF);
	ERR(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	ERR(pread(p[0], b, 1, 0), ESPIPE);
	ERR(pwrite(p[1], b, 1, 0), ESPIPE);
	EQ(read(p[0], b, 0), 0);
}

CASE(flags)
{
	int p[2];
	char c;

	OK(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	EQ(fcntl(p[0], F_GETFL), O_RDONLY | O_NONBLOCK);
	EQ(fcntl(p[1], F_GETFL), O_WRONLY | O_NONBLOCK);
	ERR(read(p[0], &c, 1), EAGAIN);
	ERR(pipe2(p, O_APPEND), EINVAL);
	ERR(syscall(SYS_pipe, (void *)8), EFAULT);
}

CASE(end_of_file)
{
	int p[2];
	char c;

	OK(pipe(p));
	pid_t k = CHILD({
		close(p[0]);
		EQ(write(p[1], "z", 1), 1);
	});
	close(p[1]);
	EQ(read(p[0], &c, 1), 1);
	EQ(read(p[0], &c, 1), 0);
	EQ(read(p[0], &c, 1), 0);
	EXITED(k, 0);
}

CASE(bad_buffer)
{
	int p[2];

	OK(pipe(p));
	ERR(write(p[1], (void *)8, 10), EFAULT);
	EQ(write(p[1], "abc", 3), 3);
	ERR(read(p[0], (void *)8, 3), EFAULT);
	char b[4];
	EQ(read(p[0], b, 4), 3);
}

CASE(capacity)
{
	int p[2], n;
	char buf[4096] = "";
	long total = 0;

	OK(pipe2(p, O_NONBLOCK));
	EQ(fcntl(p[0], F_GETPIPE_SZ), 65536);
	while ((n = write(p[1], buf, sizeof buf)) > 0)
		total += n;
	EQ(total, 65536);
	OK(ioctl(p[0], FIONREAD, &n));
	EQ(n, 65536);
	ERR(fcntl(p[0], F_SETPIPE_SZ, 4096), EBUSY);
	while (read(p[0], buf, sizeof buf) > 0)
		;
	EQ(fcntl(p[1], F_SETPIPE_SZ, 5000), 8192);
	EQ(fcntl(p[0], F_GETPIPE_SZ), 8192);
}

CASE(small_writes_are_atomic)
{
	int p[2];
	enum { writers = 4, each = 200, size = 4096 };
	char buf[size];
	pid_t k[writers];

	OK(pipe(p));
	for (int w = 0; w < writers; w++)
		k[w] = CHILD({
			memset(buf, 'a' + w, size);
			for (int i = 0; i < each; i++)
				EQ(write(p[1], buf, size), size);
		});
	close(p[1]);
	for (int i = 0; i < writers * each; i++) {
		int got = 0;
		while (got < size)
			got += OK(read(p[0], buf + got, size - got));
		for (int j = 1; j < size; j++)
			CHECK(buf[j] == buf[0]);
	}
	EQ(read(p[0], buf, 1), 0);
	for (int w = 0; w < writers; w++)
		EXITED(k[w], 0);
}

CASE(nonblocking_partial)
{
	int p[2];
	char *buf = calloc(1, 100000);

	OK(pipe2(p, O_NONBLOCK));
	EQ(write(p[1], buf, 100000), 65536);
	ERR(write(p[1], buf, 1), EAGAIN);
	EQ(read(p[0], buf, 100), 100);
	/* Room of less than a page: still not writable in one piece of PIPE_BUF. */
	ERR(write(p[1], buf, 4096), EAGAIN);
}

CASE(large_transfer)
{
	int p[2];
	size_t size = 3 << 20, got = 0;
	unsigned char *buf = malloc(size);

	OK(pipe(p));
	pid_t k = CHILD({
		close(p[0]);
		for (size_t i = 0; i < size; i++)
			buf[i] = i * 31 >> 3;
		EQ(write(p[1], buf, size), size);
	});
	close(p[1]);
	for (;;) {
		ssize_t n = OK(read(p[0], buf + got, size - got));
		if (!n)
			break;
		got += n;
	}
	EQ(got, size);
	for (size_t i = 0; i < size; i++)
		CHECK(buf[i] == (unsigned char)(i * 31 >> 3));
	EXITED(k, 0);
}

CASE(vectors)
{
	int p[2];
	char a[3], b[10] = "";
	struct iovec out[3] = { { "one", 3 }, { "", 0 }, { "four", 4 } }, in[2] = { { a, 3 }, { b, 9 } };

	OK(pipe(p));
	EQ(writev(p[1], out, 3), 7);
	EQ(readv(p[0], in, 2), 7);
	CHECK(!memcmp(a, "one", 3));
	STREQ(b, "four");
	ERR(writev(p[1], out, -1), EINVAL);
	ERR(writev(p[1], out, 1025), EINVAL);
	out[0].iov_len = -1;
	ERR(writev(p[1], out, 1), EINVAL);
	ERR(syscall(SYS_writev, p[1], (void *)8, 1), EFAULT);
}

CASE(packet_mode)
{
	int p[2];
	char b[16];

	OK(pipe2(p, O_DIRECT));
	EQ(write(p[1], "abc", 3), 3);
	EQ(write(p[1], "defgh", 5), 5);
	EQ(read(p[0], b, 16), 3);
	EQ(read(p[0], b, 2), 2);
	OK(fcntl(p[0], F_SETFL, O_NONBLOCK));
	ERR(read(p[0], b, 16), EAGAIN);		/* the rest of the packet is gone */
}

CASE(fifo)
{
	int st;

	OK(mkfifo("f", 0600));
	ERR(mkfifo("f", 0600), EEXIST);
	ERR(open("f", O_WRONLY | O_NONBLOCK), ENXIO);
	pid_t p = CHILD({
		int fd = OK(open("f", O_WRONLY));	/* waits for a reader */
		EQ(write(fd, "q", 1), 1);
	});
	EVENTUALLY(proc_state(p) == 'S');
	EQ(waitpid(p, &st, WNOHANG), 0);
	int fd = OK(open("f", O_RDONLY));
	char c;
	EQ(read(fd, &c, 1), 1);
	EXITED(p, 0);
	EQ(read(fd, &c, 1), 0);
	close(fd);
	fd = OK(open("f", O_RDWR));
	EQ(write(fd, "r", 1), 1);
	EQ(read(fd, &c, 1), 1);
	struct stat s;
	OK(fstat(fd, &s));
	CHECK(S_ISFIFO(s.st_mode));
	fd = OK(open("f", O_RDONLY | O_NONBLOCK));
}

/* A FIFO's open waits for the other side, a pipe's never does: bash's <(command) may have ended already. */
CASE(reopen_without_other_side)
{
	int p[2], fd;
	char path[64], c;

	OK(pipe(p));
	EQ(write(p[1], "z", 1), 1);
	close(p[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
	fd = OK(open(path, O_RDONLY));
	EQ(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0), 1);
	EQ(read(fd, &c, 1), 1);
	EQ(read(fd, &c, 1), 0);
	struct pollfd hup = {.fd = fd, .events = POLLIN};
	EQ(poll(&hup, 1, 0), 1);
	EQ(hup.revents, POLLHUP);

	OK(pipe(p));
	close(p[0]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	OK(open(path, O_WRONLY | O_NONBLOCK));
	OK(open(path, O_WRONLY));
}

CASE(reopen_through_proc)
{
	int p[2], fd;
	char path[64];
	char c = 0;

	OK(pipe(p));
	snprintf(path, sizeof path, "/proc/self/fd/%d", p[1]);
	fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	EQ(write(fd, "k", 1), 1);
	ERR(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	EQ(read(p[0], &c, 1), 1);
	EQ(c, 'k');
	char link[64] = "";
	OK(readlink(path, link, sizeof link - 1));
	CHECK(!strncmp(link, "pipe:[", 6));
}

CASE(splice_file_to_pipe_to_file)
{
	int p[2], in, out;
	char *s;
	loff_t off = 3;

	OK(pipe(p));
	put_file("in", "0123456789", 0600);
	in = OK(open("in", O_RDONLY));
	out = OK(open("out", O_RDWR | O_CREAT, 0600));
	EQ(splice(in, &off, p[1], NULL, 4, 0), 4);
	EQ(off, 7);
	EQ(lseek(in, 0, SEEK_CUR), 0);
	EQ(splice(in, NULL, p[1], NULL, 2, 0), 2);
	EQ(lseek(in, 0, SEEK_CUR), 2);
	EQ(splice(p[0], NULL, out, NULL, 100, 0), 6);
	s = get_file("out");
	STREQ(s, "345601");
	ERR(splice(in, NULL, out, NULL, 1, 0), EINVAL);
	ERR(splice(in, NULL, p[1], &off, 1, 0), ESPIPE);
	ERR(splice(p[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	EQ(splice(in, NULL, p[1], NULL, 0, 0), 0);
	lseek(in, 0, SEEK_END);
	EQ(splice(in, NULL, p[1], NULL, 5, 0), 0);
}

CASE(splice_pipe_to_pipe)
{
	int p[2], q[2];
	char b[16] = "";

	OK(pipe(p));
	OK(pipe(q));
	EQ(write(p[1], "abcdef", 6), 6);
	EQ(splice(p[0], NULL, q[1], NULL, 4, 0), 4);
	EQ(read(q[0], b, 16), 4);
	EQ(read(p[0], b + 4, 8), 2);
	STREQ(b, "abcdef");
	ERR(splice(p[0], NULL, p[1], NULL, 4, 0), EINVAL);
}

CASE(tee_copies)
{
	int p[2], q[2];
	char b[16] = "";

	OK(pipe(p));
	OK(pipe(q));
	EQ(write(p[1], "abcdef", 6), 6);
	EQ(tee(p[0], q[1], 4, 0), 4);
	EQ(read(q[0], b, 16), 4);
	CHECK(!memcmp(b, "abcd", 4));
	EQ(read(p[0], b, 16), 6);
	ERR(tee(p[0], p[1], 4, 0), EINVAL);
	ERR(tee(p[0], q[1], 4, SPLICE_F_NONBLOCK), EAGAIN);
}

CASE(vmsplice_in_and_out)
{
	int p[2];
	char b[16] = "";
	struct iovec v[2] = { { "xy", 2 }, { "zzy", 3 } }, r = { b, 15 };

	OK(pipe(p));
	EQ(vmsplice(p[1], v, 2, 0), 5);
	EQ(vmsplice(p[0], &r, 1, 0), 5);
	STREQ(b, "xyzzy");
}

static void *splice_away(void *arg)
{
	int *p = arg;
	int out = OK(open("out", O_RDWR | O_CREAT | O_TRUNC, 0600));
	long n, sum = 0;

	while ((n = OK(splice(p[0], NULL, out, NULL, 1 << 20, 0))) > 0)
		sum += n;
	return (void *)sum;
}

CASE(splice_blocks_for_data)
{
	int p[2];
	pthread_t t;
	void *sum;
	char buf[5000];

	OK(pipe(p));
	memset(buf, 'e', sizeof buf);
	pthread_create(&t, NULL, splice_away, p);
	for (int i = 0; i < 100; i++)
		EQ(write(p[1], buf, sizeof buf), sizeof buf);
	close(p[1]);
	pthread_join(t, &sum);
	EQ((long)sum, 500000);
	struct stat st;
	OK(stat("out", &st));
	EQ(st.st_size, 500000);
}

static void *drain(void *arg)
{
	static char b[40000];
	long n, sum = 0;

	while ((n = OK(read(*(int *)arg, b, sizeof b))) > 0) {
		for (long i = 0; i < n; i++)
			if (b[i] != (char)((sum + i) % 251))
				FAIL("byte %ld is %d", sum + i, b[i]);
		sum += n;
	}
	return (void *)sum;
}

/* A file larger than what the other side takes at once. */
static int big_file(size_t size)
{
	char *b = malloc(size);
	int fd = OK(open("big", O_RDWR | O_CREAT | O_TRUNC, 0600));

	for (size_t i = 0; i < size; i++)
		b[i] = i % 251;
	EQ(write(fd, b, size), size);
	OK(lseek(fd, 0, SEEK_SET));
	free(b);
	return fd;
}

CASE(sendfile_waits_until_all_is_sent)
{
	int p[2], s[2], fd = big_file(300000);
	pthread_t t;
	void *sum;
	off_t off = 0;
	long n, all = 0;

	/* A pipe gets what fits. */
	OK(pipe(p));
	pthread_create(&t, NULL, drain, &p[0]);
	while ((n = OK(sendfile(p[1], fd, NULL, 1 << 20))) > 0)
		all += n;
	EQ(all, 300000);
	EQ(lseek(fd, 0, SEEK_CUR), 300000);
	close(p[1]);
	pthread_join(t, &sum);
	EQ((long)sum, 300000);

	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pthread_create(&t, NULL, drain, &s[0]);
	EQ(sendfile(s[1], fd, &off, 1 << 20), 300000);
	EQ(off, 300000);
	close(s[1]);
	pthread_join(t, &sum);
	EQ((long)sum, 300000);
}

CASE(sendfile_nonblocking)
{
	int p[2], fd = big_file(300000);
	off_t off = 10;

	OK(pipe2(p, O_NONBLOCK));
	ssize_t n = sendfile(p[1], fd, &off, 300000);
	CHECK(n > 0 && n <= 65536);
	EQ(off, 10 + n);
	ERR(sendfile(p[1], fd, &off, 300000), EAGAIN);
	EQ(off, 10 + n);
	off = -1;
	ERR(sendfile(p[1], fd, &off, 1), EINVAL);
	ERR(sendfile(p[1], fd, (off_t *)8, 1), EFAULT);
	ERR(sendfile(p[0], fd, NULL, 1), EBADF);
	ERR(sendfile(99, fd, NULL, 1), EBADF);
}

CASE(splice_socket_through_pipe)
{
	int p[2], s[2], q[2];
	char b[16] = "";

	OK(pipe(p));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, q));
	EQ(write(s[1], "through", 7), 7);
	EQ(splice(s[0], NULL, p[1], NULL, 100, 0), 7);
	EQ(splice(p[0], NULL, q[0], NULL, 3, 0), 3);
	EQ(splice(p[0], NULL, q[0], NULL, 100, 0), 4);
	EQ(read(q[1], b, 15), 7);
	STREQ(b, "through");
	close(s[1]);
	EQ(splice(s[0], NULL, p[1], NULL, 100, 0), 0);
}

CASE(splice_errors)
{
	int p[2], fd = big_file(100), app = OK(open("big", O_WRONLY | O_APPEND));

	OK(pipe(p));
	ERR(splice(fd, NULL, p[1], NULL, 1, 0x100), EINVAL);
	ERR(splice(99, NULL, p[1], NULL, 1, 0), EBADF);
	ERR(splice(fd, NULL, p[0], NULL, 1, 0), EBADF);
	EQ(write(p[1], "x", 1), 1);
	ERR(splice(p[0], NULL, app, NULL, 1, 0), EINVAL);
	ERR(splice(p[0], NULL, fd, (loff_t *)8, 1, 0), EFAULT);
	ERR(tee(p[0], fd, 1, 0), EINVAL);
	ERR(vmsplice(fd, &(struct iovec){ "x", 1 }, 1, 0), EBADF);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	ERR(splice(fd, NULL, p[1], NULL, 1, 0), EPIPE);
}

CASE(splice_into_broken_pipe_kills)
{
	int p[2], fd = big_file(100);

	OK(pipe(p));
	close(p[0]);
	pid_t k = CHILD({ splice(fd, NULL, p[1], NULL, 1, 0); });
	KILLED(k, SIGPIPE);
}

/* A call that waits goes on with its file, whatever other threads do to the descriptor. */
static int closed_fd;
static int blocked_result;
static volatile pid_t reader;

static void *read_closed(void *arg)
{
	uint64_t v = 0;

	reader = syscall(SYS_gettid);
	blocked_result = read(closed_fd, &v, 8);
	return NULL;
}

static void wait_until_blocked(void)
{
	EVENTUALLY(reader && thread_state(reader) == 'S');
	reader = 0;
}

CASE(closed_while_it_is_read)
{
	int p[2], q[2];
	pthread_t t;

	OK(pipe(p));
	closed_fd = p[0];
	EQ(pthread_create(&t, NULL, read_closed, NULL), 0);
	wait_until_blocked();
	OK(pipe(q));
	EQ(write(q[1], "wrong", 5), 5);
	OK(dup2(q[0], p[0])); /* the number means another pipe now */
	OK(write(p[1], "ok", 2));
	EQ(pthread_join(t, NULL), 0);
	EQ(blocked_result, 2);

	OK(pipe(p));
	closed_fd = p[0];
	EQ(pthread_create(&t, NULL, read_closed, NULL), 0);
	wait_until_blocked();
	close(p[0]);
	close(p[1]);
	EQ(pthread_join(t, NULL), 0);
	EQ(blocked_result, 0);
}

static void no_handler(int signo)
{
}

CASE(fifo_open_interrupted)
{
	OK(mkfifo("interrupted", 0600));
	OK(sigaction(SIGALRM, &(struct sigaction){.sa_handler = no_handler}, NULL));
	OK(setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000}, NULL));
	ERR(open("interrupted", O_RDONLY), EINTR);
	ERR(open("interrupted", O_WRONLY), EINTR);
	OK(setitimer(ITIMER_REAL, &(struct itimerval){}, NULL));
}
