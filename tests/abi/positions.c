/*
 * Where in a file a descriptor stands. A kernel, or whoever stands in for it, may let a process reckon with that alone as long as nobody else has the file, so
 * each case asks for it and sets it again and again, and in between somebody moves it who may have to get it back first: a transfer, another descriptor,
 * process or thread.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "others.h"

enum { SIZE = 1000, ROUNDS = 8, FAR = 1 << 30 };

static char bytes[SIZE], got[SIZE + 1];

static void setup(void)
{
	for (int i = 0; i < SIZE; i++)
		bytes[i] = 'a' + i % 23;
}

static char *a_path(int i)
{
	static char paths[2][100];

	snprintf(paths[i], sizeof paths[i], i ? "/dev/shm/abi-positions-%d" : "f", getpid());
	return paths[i];
}

/* A new file with these bytes in it, each time elsewhere. */
static int a_file(int round, int flags)
{
	const char *path = a_path(round % 2);
	int fd;

	unlink(path);
	fd = OK(open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
	EQ(write(fd, bytes, SIZE), SIZE);
	OK(close(fd));
	fd = OK(open(path, flags));
	if (round % 2)
		OK(unlink(path));
	return fd;
}

/* Asked and set until who answers has got used to it. */
static void seek_often(int fd)
{
	off_t start = OK(lseek(fd, 0, SEEK_CUR));

	for (int i = 0; i < 5; i++) {
		EQ(lseek(fd, i * 7, SEEK_SET), i * 7);
		EQ(lseek(fd, 3, SEEK_CUR), i * 7 + 3);
		EQ(lseek(fd, 0, SEEK_CUR), i * 7 + 3);
	}
	EQ(lseek(fd, start, SEEK_SET), start);
}

static void is_at(int fd, off_t at)
{
	EQ(lseek(fd, 0, SEEK_CUR), at);
	EQ(lseek(fd, 0, SEEK_CUR), at);
}

/* The next bytes are those that stand there. */
static void reads_from(int fd, off_t at, int n)
{
	EQ(read(fd, got, n), n);
	CHECK(!memcmp(got, bytes + at, n));
}

CASE(just_opened)
{
	static const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_APPEND };

	setup();
	for (int i = 0; i < 4 * ROUNDS; i++) {
		int fd = a_file(i, flags[i / 2 % 4]);

		if (i % 3 == 0)
			is_at(fd, 0);
		EQ(lseek(fd, 17, SEEK_SET), 17);
		EQ(lseek(fd, -7, SEEK_CUR), 10);
		is_at(fd, 10);
		EQ(lseek(fd, -10, SEEK_END), SIZE - 10);
		is_at(fd, SIZE - 10);
		OK(close(fd));
		ERR(lseek(fd, 0, SEEK_CUR), EBADF);
		ERR(lseek(fd, 0, SEEK_SET), EBADF);
	}
}

CASE(the_systems_files)
{
	static const char *const paths[] = { "/etc/passwd", "/etc/group", "/proc/self/exe", "/proc/self/status" };
	char first[8], b[8];

	for (int i = 0; i < 6 * ROUNDS; i++) {
		int fd = OK(open(paths[i % 4], O_RDONLY));

		if (i & 4)
			EQ(lseek(fd, 3, SEEK_SET), 3);
		EQ(lseek(fd, 0, SEEK_SET), 0);
		EQ(read(fd, first, 8), 8);
		is_at(fd, 8);
		EQ(lseek(fd, -3, SEEK_CUR), 5);
		EQ(read(fd, b, 3), 3);
		CHECK(!memcmp(b, first + 5, 3));
		EQ(lseek(fd, 1, SEEK_SET), 1);
		EQ(pread(fd, b, 2, 0), 2);
		EQ(read(fd, b, 4), 4);
		CHECK(!memcmp(b, first + 1, 4));
		is_at(fd, 5);
		OK(close(fd));
	}
}

CASE(between_transfers)
{
	setup();
	for (int round = 0; round < 2; round++) {
		int fd = a_file(round, O_RDWR);
		off_t at = 0;

		for (int i = 0; i < 200; i++) {
			int n = 1 + i * 13 % 60;

			at = i * 37 % 900;
			EQ(lseek(fd, at, SEEK_SET), at);
			switch (i % 6) {
			case 0:
				reads_from(fd, at, n);
				at += n;
				break;
			case 1:
				EQ(write(fd, bytes + at, n), n);
				at += n;
				break;
			case 2:
				EQ(pread(fd, got, n, 3), n);
				CHECK(!memcmp(got, bytes + 3, n));
				break;
			case 3:
				EQ(pwrite(fd, bytes + 3, n, 3), n);
				break;
			case 4:
				EQ(readv(fd, (struct iovec[]){ { got, 2 }, { got + 2, n } }, 2), n + 2);
				CHECK(!memcmp(got, bytes + at, n + 2));
				at += n + 2;
				break;
			case 5:
				EQ(writev(fd, (struct iovec[]){ { bytes + at, 1 }, { bytes + at + 1, n } }, 2), n + 1);
				at += n + 1;
			}
			if (i % 5)
				is_at(fd, at);
			EQ(lseek(fd, -1, SEEK_CUR), at - 1);
			reads_from(fd, at - 1, 3);
			is_at(fd, at + 2);
		}
		EQ(pread(fd, got, SIZE, 0), SIZE);
		CHECK(!memcmp(got, bytes, SIZE));
		OK(close(fd));
	}
}

/* None of these is right, and none moves it. */
CASE(where_nothing_can_be)
{
	setup();
	for (int round = 0; round < 4; round++) {
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR);

		for (int i = 0; i < 3; i++) {
			seek_often(fd);
			EQ(lseek(fd, 5, SEEK_SET), 5);
			ERR(lseek(fd, -1, SEEK_SET), EINVAL);
			ERR(lseek(fd, -6, SEEK_CUR), EINVAL);
			ERR(lseek(fd, INT64_MIN, SEEK_SET), EINVAL);
			ERR(lseek(fd, INT64_MIN, SEEK_CUR), EINVAL);
			CHECK(lseek(fd, INT64_MAX, SEEK_CUR) == -1);
			ERR(lseek(fd, -SIZE - 1, SEEK_END), EINVAL);
			ERR(lseek(fd, 0, 5), EINVAL);
			ERR(lseek(fd, 0, -1), EINVAL);
			ERR(syscall(SYS_lseek, fd, 0, 77), EINVAL);
			is_at(fd, 5);
			EQ(lseek(fd, FAR, SEEK_SET), FAR);
			EQ(read(fd, got, 1), 0);
			is_at(fd, FAR);
			EQ(lseek(fd, 3l * FAR, SEEK_CUR), 4l * FAR);
			EQ(lseek(fd, 1l << 40, SEEK_SET), 1l << 40);
			EQ(lseek(fd, 1, SEEK_CUR), (1l << 40) + 1);
			EQ(lseek(fd, 0, SEEK_CUR), (1l << 40) + 1);
			EQ(read(fd, got, 1), 0);
			EQ(lseek(fd, -(1l << 40), SEEK_CUR), 1);
			reads_from(fd, 1, 4);
			is_at(fd, 5);
		}
		OK(close(fd));
	}
}

CASE(no_files)
{
	int p[2], dir = OK(open(".", O_RDONLY | O_DIRECTORY)), path = OK(open("/etc/passwd", O_PATH));

	OK(pipe(p));
	for (int i = 0; i < 4; i++) {
		ERR(lseek(p[0], 0, SEEK_CUR), ESPIPE);
		ERR(lseek(p[1], 0, SEEK_SET), ESPIPE);
		ERR(lseek(path, 0, SEEK_CUR), EBADF);
		EQ(lseek(dir, 0, SEEK_SET), 0);
		CHECK(syscall(SYS_getdents64, dir, got, sizeof got) > 0);
		CHECK(lseek(dir, 0, SEEK_CUR) > 0);
		ERR(lseek(-1, 0, SEEK_CUR), EBADF);
		ERR(lseek(999, 0, SEEK_CUR), EBADF);
		ERR(lseek(1 << 20, 0, SEEK_CUR), EBADF);
	}
}

CASE(at_the_end)
{
	setup();
	for (int round = 0; round < 2; round++) {
		int fd = a_file(round, O_RDWR);

		for (int i = 0; i < ROUNDS; i++) {
			seek_often(fd);
			EQ(lseek(fd, 0, SEEK_END), SIZE + i);
			is_at(fd, SIZE + i);
			EQ(read(fd, got, 4), 0);
			is_at(fd, SIZE + i);
			EQ(write(fd, "x", 1), 1);
			is_at(fd, SIZE + i + 1);
			EQ(lseek(fd, 0, SEEK_DATA), 0);
			is_at(fd, 0);
			EQ(lseek(fd, 1, SEEK_HOLE), SIZE + i + 1);
			is_at(fd, SIZE + i + 1);
			ERR(lseek(fd, SIZE + i + 1, SEEK_DATA), ENXIO);
			ERR(lseek(fd, FAR, SEEK_HOLE), ENXIO);
			is_at(fd, SIZE + i + 1);
			EQ(lseek(fd, -1, SEEK_CUR), SIZE + i);
			EQ(read(fd, got, 4), 1);
			EQ(got[0], 'x');
		}
		OK(close(fd));
	}
}

/* A hole is left, and found. */
CASE(beyond_the_end)
{
	setup();
	for (int round = 0; round < 2; round++) {
		int fd = a_file(round, O_RDWR);
		struct stat st;

		seek_often(fd);
		EQ(lseek(fd, 1 << 20, SEEK_SET), 1 << 20);
		OK(fstat(fd, &st));
		EQ(st.st_size, SIZE);
		EQ(write(fd, "end", 3), 3);
		is_at(fd, (1 << 20) + 3);
		EQ(lseek(fd, 0, SEEK_END), (1 << 20) + 3);
		EQ(lseek(fd, SIZE, SEEK_SET), SIZE);
		EQ(read(fd, got, 10), 10);
		CHECK(!memcmp(got, "\0\0\0\0\0\0\0\0\0", 10));
		is_at(fd, SIZE + 10);
		OK(ftruncate(fd, 20));
		is_at(fd, SIZE + 10);
		EQ(read(fd, got, 10), 0);
		is_at(fd, SIZE + 10);
		EQ(lseek(fd, 18, SEEK_SET), 18);
		EQ(read(fd, got, 10), 2);
		is_at(fd, 20);
		OK(close(fd));
	}
}

CASE(appended)
{
	setup();
	for (int round = 0; round < 2; round++) {
		int fd = a_file(round, O_RDWR | O_APPEND);
		off_t end = SIZE;

		for (int i = 0; i < ROUNDS; i++) {
			seek_often(fd);
			EQ(lseek(fd, i, SEEK_SET), i);
			EQ(write(fd, "xyz", 3), 3);
			end += 3;
			is_at(fd, end);
			EQ(lseek(fd, -2, SEEK_CUR), end - 2);
			EQ(read(fd, got, 3), 2);
			CHECK(!memcmp(got, "yz", 2));
			OK(lseek(fd, i, SEEK_SET));
			reads_from(fd, i, 2);
			OK(fcntl(fd, F_SETFL, 0));
			EQ(write(fd, bytes + i + 2, 2), 2);
			is_at(fd, i + 4);
			OK(fcntl(fd, F_SETFL, O_APPEND));
			is_at(fd, i + 4);
		}
		OK(close(fd));
	}
}

CASE(another_descriptor)
{
	setup();
	for (int round = 0; round < ROUNDS; round++) {
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR), other, own;

		seek_often(fd);
		EQ(lseek(fd, 10, SEEK_SET), 10);
		other = round & 4 ? OK(fcntl(fd, F_DUPFD, 100)) : OK(dup(fd));
		for (int i = 0; i < 3; i++) {
			is_at(other, 10);
			EQ(lseek(other, 20, SEEK_SET), 20);
			is_at(fd, 20);
			reads_from(fd, 20, 5);
			is_at(other, 25);
			EQ(lseek(fd, -15, SEEK_CUR), 10);
		}
		own = OK(open("/etc/passwd", O_RDONLY));
		EQ(lseek(own, 3, SEEK_SET), 3);
		is_at(fd, 10);
		OK(close(fd));
		seek_often(other);
		EQ(lseek(other, 30, SEEK_SET), 30);
		EQ(dup2(other, own), own);
		is_at(own, 30);
		EQ(lseek(own, 31, SEEK_SET), 31);
		is_at(other, 31);
		OK(close(own));
		OK(close(other));
	}
}

CASE(a_child)
{
	int p[2], q[2];

	setup();
	OK(pipe(p));
	OK(pipe(q));
	for (int round = 0; round < ROUNDS; round++) {
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR);
		pid_t pid;

		seek_often(fd);
		if (round & 4)
			reads_from(fd, 0, 7);
		EQ(lseek(fd, 10, SEEK_SET), 10);
		pid = CHILD({
			is_at(fd, 10);
			seek_often(fd);
			EQ(lseek(fd, 50, SEEK_SET), 50);
			tell(p[1]);
			hear(q[0]);
			is_at(fd, 63);
			reads_from(fd, 63, 4);
			if (round % 2)
				OK(close(fd));
		});
		hear(p[0]);
		is_at(fd, 50);
		EQ(lseek(fd, 3, SEEK_CUR), 53);
		reads_from(fd, 53, 10);
		tell(q[1]);
		EXITED(pid, 0);
		is_at(fd, 67);
		seek_often(fd);
		is_at(fd, 67);
		OK(close(fd));
	}
}

/* What a program stood at, the next one goes on from. */
CASE(over_an_exec)
{
	setup();
	for (int round = 0; round < 2; round++) {
		int fd = a_file(round, O_RDWR);
		pid_t pid;

		seek_often(fd);
		EQ(lseek(fd, 100, SEEK_SET), 100);
		pid = CHILD({
			seek_often(fd);
			EQ(lseek(fd, 200, SEEK_SET), 200);
			dup2(fd, 0);
			dup2(fd, 1);
			execl("/bin/sh", "sh", "-c", "read x; echo y", NULL);
			_exit(1);
		});
		EXITED(pid, 0);
		CHECK(lseek(fd, 0, SEEK_CUR) > 201);
		EQ(lseek(fd, -1, SEEK_CUR) + 1, lseek(fd, 1, SEEK_CUR));
		OK(close(fd));
	}
}

static int shared;

static void *seeks(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		EQ(lseek(shared, i % 2 ? 400 : 200, SEEK_SET), i % 2 ? 400 : 200);
		if (i % 16 == 0)
			sched_yield();
	}
	return arg;
}

/* Each reads what stands where somebody had set it, or where somebody had read to. */
CASE(threads)
{
	setup();
	for (int round = 0; round < 4; round++) {
		pthread_t t;
		off_t at;

		shared = a_file(round, round & 2 ? O_RDWR : O_RDONLY);
		seek_often(shared);
		EQ(lseek(shared, 200, SEEK_SET), 200);
		EQ(pthread_create(&t, NULL, seeks, NULL), 0);
		for (int i = 0; i < 5000; i++) {
			int n = read(shared, got, 23);

			CHECK(n == 23 || n == (SIZE - 200) % 23 || n == (SIZE - 400) % 23 || n == 0);
			for (int j = 1; j < n; j++)
				EQ(got[j], (got[0] - 'a' + j) % 23 + 'a');
			CHECK(!n || got[0] == bytes[200] || got[0] == bytes[400]);
		}
		EQ(pthread_join(t, NULL), 0);
		at = OK(lseek(shared, 0, SEEK_CUR));
		CHECK((at - 200) % 23 == 0 || (at - 400) % 23 == 0 || at == SIZE);
		OK(close(shared));
	}
}

static void *reads_a_lot(void *arg)
{
	for (int i = 0; i < SIZE; i++)
		*(int *)arg += read(shared, &(char){ 0 }, 1) == 1;
	return arg;
}

/* Every byte is read by one of them. */
CASE(readers_beside_each_other)
{
	setup();
	for (int round = 0; round < 4; round++) {
		int a = 0, b = 0;
		pthread_t t;

		shared = a_file(round, O_RDWR);
		seek_often(shared);
		EQ(pthread_create(&t, NULL, reads_a_lot, &a), 0);
		for (int i = 0; i < 100; i++)
			CHECK(lseek(shared, 0, SEEK_CUR) <= SIZE);
		reads_a_lot(&b);
		EQ(pthread_join(t, NULL), 0);
		EQ(a + b, SIZE);
		is_at(shared, SIZE);
		OK(close(shared));
	}
}

CASE(sent)
{
	int pair[2], p[2];

	setup();
	OK(pipe(p));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid = CHILD({
			int mine = receive_fd(pair[1]);

			is_at(mine, 12);
			seek_often(mine);
			EQ(lseek(mine, 70, SEEK_SET), 70);
			tell(p[1]);
			receive_fd(pair[1]);
			if (round & 4)
				is_at(mine, 90);
		});
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR);

		seek_often(fd);
		EQ(lseek(fd, 12, SEEK_SET), 12);
		send_fd(pair[0], fd);
		hear(p[0]);
		is_at(fd, 70);
		EQ(lseek(fd, 20, SEEK_CUR), 90);
		if (round & 4)
			OK(close(fd));
		send_fd(pair[0], p[0]);
		EXITED(pid, 0);
		if (!(round & 4))
			is_at(fd, 90);
		close(fd);
	}
}

/* It was on its way alone for a while. */
CASE(sent_and_closed)
{
	int pair[2];

	setup();
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (int round = 0; round < ROUNDS; round++) {
		int fd = a_file(round, O_RDWR);

		seek_often(fd);
		EQ(lseek(fd, 12 + round, SEEK_SET), 12 + round);
		send_fd(pair[0], fd);
		OK(close(fd));
		fd = receive_fd(pair[1]);
		is_at(fd, 12 + round);
		reads_from(fd, 12 + round, 4);
		seek_often(fd);
		is_at(fd, 16 + round);
		OK(close(fd));
	}
}

/* That takes no call of who has it. */
CASE(taken)
{
	volatile int *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	setup();
	for (int round = 0; round < ROUNDS; round++) {
		int pidfd, fd;
		pid_t pid;

		*turn = 0;
		pid = CHILD({
			int mine = a_file(round, round & 2 ? O_RDONLY : O_RDWR);

			seek_often(mine);
			EQ(lseek(mine, 33, SEEK_SET), 33);
			turn[1] = mine;
			__atomic_store_n(turn, 1, __ATOMIC_SEQ_CST);
			while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != 2)
				__builtin_ia32_pause();
			EQ(lseek(mine, 0, SEEK_CUR), 44);
			EQ(lseek(mine, 11, SEEK_CUR), 55);
		});
		while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != 1)
			__builtin_ia32_pause();
		pidfd = OK(syscall(SYS_pidfd_open, pid, 0));
		fd = syscall(SYS_pidfd_getfd, pidfd, turn[1], 0);
		if (fd < 0) {
			kill(pid, SIGKILL);
			SKIP("no pidfd_getfd");
		}
		is_at(fd, 33);
		seek_often(fd);
		EQ(lseek(fd, 44, SEEK_SET), 44);
		__atomic_store_n(turn, 2, __ATOMIC_SEQ_CST);
		EXITED(pid, 0);
		is_at(fd, 55);
		OK(close(fd));
		OK(close(pidfd));
	}
}

static long told_of(pid_t pid, int fd)
{
	char path[64], text[200] = "";
	long pos = -1;
	int in;

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, fd);
	in = OK(open(path, O_RDONLY));
	CHECK(read(in, text, sizeof text - 1) > 0);
	OK(close(in));
	EQ(sscanf(text, "pos: %ld", &pos), 1);
	return pos;
}

CASE(looked_at)
{
	volatile int *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	setup();
	for (int round = 0; round < ROUNDS; round++) {
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR);

		for (int i = 0; i < 3; i++) {
			EQ(lseek(fd, 40 + i, SEEK_SET), 40 + i);
			EQ(lseek(fd, 2, SEEK_CUR), 42 + i);
			EQ(told_of(getpid(), fd), 42 + i);
			reads_from(fd, 42 + i, 3);
			EQ(told_of(getpid(), fd), 45 + i);
		}
		pid = CHILD({
			int mine = a_file(round, O_RDWR);

			seek_often(mine);
			turn[1] = mine;
			for (int i = 1;; i = i % 900 + 1) {
				EQ(lseek(mine, i, SEEK_SET), i);
				turn[0] = i;
			}
		});
		while (!turn[0])
			sched_yield();
		for (int i = 0; i < 20; i++) {
			long pos = told_of(pid, turn[1]);

			CHECK(pos > 0 && pos <= 900);
		}
		OK(kill(pid, SIGKILL));
		KILLED(pid, SIGKILL);
		turn[0] = 0;
		OK(close(fd));
	}
}

CASE(moved_by_other_calls)
{
	int p[2], n;

	setup();
	OK(pipe(p));
	for (int round = 0; round < 2; round++) {
		int to = a_file(round, O_RDWR), fd = a_file(round, O_RDWR);
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 5, .l_len = 10 };
		off_t from = 4;

		for (int i = 0; i < ROUNDS; i++) {
			seek_often(fd);
			seek_often(to);
			EQ(lseek(fd, 100, SEEK_SET), 100);
			EQ(lseek(to, 10 * i, SEEK_SET), 10 * i);
			EQ(sendfile(to, fd, NULL, 10), 10);
			is_at(fd, 110);
			is_at(to, 10 * i + 10);
			EQ(pread(to, got, 10, 10 * i), 10);
			CHECK(!memcmp(got, bytes + 100, 10));
			EQ(copy_file_range(fd, NULL, to, NULL, 6, 0), 6);
			is_at(fd, 116);
			is_at(to, 10 * i + 16);
			from = 4;
			EQ(copy_file_range(fd, &from, to, NULL, 6, 0), 6);
			is_at(fd, 116);
			is_at(to, 10 * i + 22);
			EQ(splice(fd, NULL, p[1], NULL, 9, 0), 9);
			is_at(fd, 125);
			EQ(read(p[0], got, 9), 9);
			CHECK(!memcmp(got, bytes + 116, 9));
			OK(ioctl(fd, FIONREAD, &n));
			EQ(n, SIZE - 125);
			is_at(fd, 125);
		}
		OK(fcntl(fd, F_SETLK, &lock));
		n = CHILD({
			struct flock asked = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

			OK(fcntl(fd, F_GETLK, &asked));
			EQ(asked.l_start, 130);
			EQ(asked.l_len, 10);
		});
		EXITED(n, 0);
		OK(close(fd));
		OK(close(to));
	}
}

CASE(mapped)
{
	setup();
	for (int round = 0; round < 4; round++) {
		int fd = a_file(round, O_RDWR);
		char *m;

		seek_often(fd);
		EQ(lseek(fd, 100, SEEK_SET), 100);
		m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, round & 2 ? MAP_SHARED : MAP_PRIVATE, fd, 0);
		CHECK(m != MAP_FAILED);
		is_at(fd, 100);
		seek_often(fd);
		reads_from(fd, 100, 10);
		is_at(fd, 110);
		OK(munmap(m, 4096));
		is_at(fd, 110);
		seek_often(fd);
		reads_from(fd, 110, 10);
		OK(close(fd));
	}
}

/* The number is another file's then. */
CASE(another_file)
{
	setup();
	for (int round = 0; round < 2 * ROUNDS; round++) {
		int fd = a_file(round, round & 2 ? O_RDONLY : O_RDWR), p[2];

		seek_often(fd);
		EQ(lseek(fd, 77, SEEK_SET), 77);
		OK(close(fd));
		ERR(lseek(fd, 0, SEEK_CUR), EBADF);
		EQ(open("/etc/passwd", O_RDONLY), fd);
		is_at(fd, 0);
		EQ(lseek(fd, 3, SEEK_SET), 3);
		OK(close(fd));
		OK(pipe(p));
		EQ(p[0], fd);
		ERR(lseek(fd, 0, SEEK_CUR), ESPIPE);
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

/* A file that nobody can open by a name, and one of more descriptors than usual. */
CASE(others)
{
	setup();
	for (int i = 0; i < 4; i++) {
		int fd = OK(memfd_create("x", 0)), high;

		EQ(write(fd, bytes, SIZE), SIZE);
		is_at(fd, SIZE);
		seek_often(fd);
		EQ(lseek(fd, 5, SEEK_SET), 5);
		reads_from(fd, 5, 5);
		high = OK(fcntl(fd, F_DUPFD, 900));
		OK(close(fd));
		is_at(high, 10);
		seek_often(high);
		reads_from(high, 10, 5);
		is_at(high, 15);
		OK(close(high));
	}
}
