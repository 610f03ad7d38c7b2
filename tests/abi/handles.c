/*
 * Descriptors that are read through again and again, while what they stand for, who else has it and where it is change: a call that begins after
 * the change has returned sees it.
 */
#include "abi.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { PIECE = 4096, PIECES = 32, WORDS = PIECE / 8, WARM = 24 };

static uint64_t piece[WORDS];

/* A file whose words say which it is and where they are. */
static int make_file(const char *name, uint64_t file, int flags)
{
	int fd = OK(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	for (int i = 0; i < PIECES; i++) {
		for (int w = 0; w < WORDS; w++)
			piece[w] = file << 32 | i << 16 | w;
		EQ(write(fd, piece, PIECE), PIECE);
	}
	close(fd);
	return OK(open(name, flags));
}

static bool is_piece(const uint64_t *p, uint64_t file, uint64_t i)
{
	return p[0] == (file << 32 | i << 16) && p[WORDS / 2] == (file << 32 | i << 16 | WORDS / 2) &&
	       p[WORDS - 1] == (file << 32 | i << 16 | (WORDS - 1));
}

/* Often enough that whatever is done for busy descriptors is; the position is at 0 then. */
static void warm(int fd)
{
	for (int round = 0; round < 2; round++) {
		OK(lseek(fd, 0, SEEK_SET));
		for (int i = 0; i < WARM; i++)
			EQ(read(fd, piece, PIECE), PIECE);
		for (int i = 0; i < WARM; i++)
			EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
	}
	OK(lseek(fd, 0, SEEK_SET));
}

#define SEES(fd, file, i) \
	do { \
		memset(piece, 0, PIECE); \
		EQ(pread(fd, piece, PIECE, (i) * PIECE), PIECE); \
		CHECK(is_piece(piece, file, i)); \
	} while (0)

#define READS(fd, file, i) \
	do { \
		memset(piece, 0, PIECE); \
		EQ(read(fd, piece, PIECE), PIECE); \
		CHECK(is_piece(piece, file, i)); \
	} while (0)

CASE(another_file_on_the_number)
{
	int a = make_file("a", 1, O_RDONLY), b = make_file("b", 2, O_RDONLY), c;

	warm(a);
	warm(b);
	for (int i = 0; i < 8; i++) {
		c = OK(dup(a));
		SEES(c, 1, i);
		OK(dup2(b, c));
		SEES(c, 2, i);
		SEES(c, 2, i + 1);
		OK(dup3(a, c, O_CLOEXEC));
		SEES(c, 1, i);
		SEES(c, 1, i + 1);
		OK(close(c));
		ERR(pread(c, piece, PIECE, 0), EBADF);
		ERR(read(c, piece, PIECE), EBADF);
		ERR(lseek(c, 0, SEEK_SET), EBADF);
		EQ(open("b", O_RDONLY), c);
		warm(c);
		READS(c, 2, 0);
		OK(syscall(SYS_close_range, c, c, 0));
		ERR(read(c, piece, PIECE), EBADF);
		EQ(open("b", O_WRONLY), c);
		ERR(read(c, piece, PIECE), EBADF);
		EQ(lseek(c, 0, SEEK_CUR), 0);
		OK(close(c));
	}
}

static int contested;
static _Atomic bool stop;

static void *read_contested(void *arg)
{
	uint64_t buf[WORDS];
	long good = 0;

	for (int i = 0; !stop || good == 0; i++) {
		ssize_t n = arg ? pread(contested, buf, PIECE, i % PIECES * PIECE) : read(contested, buf, PIECE);
		uint64_t file = buf[0] >> 32, at = buf[0] >> 16 & 0xffff;

		if (n < 0 && errno == EBADF)
			continue;
		if (n == 0 && !arg) {
			lseek(contested, 0, SEEK_SET);
			continue;
		}
		if (n != PIECE || file < 1 || file > 3 || at >= PIECES || !is_piece(buf, file, at) || (arg && at != i % PIECES))
			return "a wrong piece";
		good++;
	}
	return NULL;
}

/* Readers get what the number stood for at some moment of the call; never something else that the process reads, too. */
CASE(number_changes_hands)
{
	int others[3] = { make_file("x", 7, O_RDONLY), make_file("y", 8, O_RDONLY), make_file("z", 9, O_RDONLY) };
	static const char *const names[] = { "a", "b", "c" };
	pthread_t t[3];
	void *said;

	for (int i = 0; i < 3; i++)
		close(make_file(names[i], i + 1, O_RDONLY));
	contested = OK(open("a", O_RDONLY));
	for (int i = 0; i < 3; i++)
		OK(pthread_create(&t[i], NULL, read_contested, i < 2 ? (void *)1 : NULL));
	for (int i = 0; i < 200; i++) {
		int fd;

		SEES(others[i % 3], 7 + i % 3, i % PIECES);
		close(contested);
		SEES(others[i % 3], 7 + i % 3, i % PIECES);
		fd = OK(open(names[i % 3], O_RDONLY));
		if (fd != contested) {
			OK(dup2(fd, contested));
			close(fd);
		}
		for (int k = 0; k < 4; k++)
			SEES(contested, i % 3 + 1, (i + k) % PIECES);
	}
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &said);
		CHECK(!said);
	}
}

CASE(position_is_where_it_was_left)
{
	int fd = make_file("a", 1, O_RDONLY);
	char path[64], text[256];

	warm(fd);
	for (int i = 0; i < PIECES; i++) {
		long pos = -1;
		FILE *f;

		EQ(lseek(fd, 0, SEEK_CUR), i * PIECE);
		READS(fd, 1, i);
		if (i % 3)
			continue;
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
		f = fopen(path, "r");
		CHECK(f && fgets(text, sizeof text, f) && sscanf(text, "pos: %ld", &pos) == 1);
		fclose(f);
		EQ(pos, (i + 1) * PIECE);
	}
	EQ(read(fd, piece, PIECE), 0);
	EQ(lseek(fd, -PIECE, SEEK_CUR), (PIECES - 1) * PIECE);
	READS(fd, 1, PIECES - 1);
	EQ(lseek(fd, 5 * PIECE, SEEK_SET), 5 * PIECE);
	EQ(lseek(fd, 2 * PIECE, SEEK_CUR), 7 * PIECE);
	READS(fd, 1, 7);
	ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	ERR(lseek(fd, -9 * PIECE, SEEK_CUR), EINVAL);
	ERR(lseek(fd, 0, 17), EINVAL);
	READS(fd, 1, 8);
	EQ(lseek(fd, -PIECE, SEEK_END), (PIECES - 1) * PIECE);
	READS(fd, 1, PIECES - 1);
	OK(lseek(fd, 100 * PIECE, SEEK_SET));
	EQ(read(fd, piece, PIECE), 0);
	EQ(lseek(fd, 0, SEEK_CUR), 100 * PIECE);
	OK(lseek(fd, PIECES * PIECE - 100, SEEK_SET));
	EQ(read(fd, piece, PIECE), 100);
	EQ(lseek(fd, 0, SEEK_CUR), PIECES * PIECE);
}

/* The forms of one open file that several hold: they share its position. */
CASE(position_is_shared)
{
	int fd = make_file("a", 1, O_RDONLY), other, sv[2], got;
	char control[CMSG_SPACE(sizeof(int))], byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c;

	warm(fd);
	READS(fd, 1, 0);
	other = OK(dup(fd));
	for (int i = 1; i < 5; i += 2) {
		READS(other, 1, i);
		READS(fd, 1, i + 1);
	}
	close(other);
	warm(fd);
	READS(fd, 1, 0);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	OK(sendmsg(sv[0], &m, 0));
	READS(fd, 1, 1);
	m.msg_controllen = sizeof control;
	OK(recvmsg(sv[1], &m, 0));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
	READS(got, 1, 2);
	READS(fd, 1, 3);
	close(fd);
	READS(got, 1, 4);
	warm(got);
	READS(got, 1, 0);
	snprintf(control, sizeof control, "/proc/self/fd/%d", got);
	other = OK(open(control, O_RDONLY)); /* a position of its own */
	READS(other, 1, 0);
	READS(got, 1, 1);
}

CASE(position_is_shared_with_children)
{
	int fd = make_file("a", 1, O_RDONLY), there[2], back[2];
	pid_t p;

	OK(pipe(there));
	OK(pipe(back));
	for (int round = 0; round < 4; round++) {
		const bool files = round % 2; /* the table, too */

		warm(fd);
		READS(fd, 1, 0);
		p = (pid_t)OK(files ? syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) : fork());
		if (p == 0) {
			READS(fd, 1, 1);
			READS(fd, 1, 2);
			for (int i = 3; i < 20; i += 2) {
				tell(back[1]);
				hear(there[0]);
				READS(fd, 1, i + 1);
			}
			_exit(0);
		}
		for (int i = 3; i < 20; i += 2) {
			hear(back[0]);
			READS(fd, 1, i);
			tell(there[1]);
		}
		EXITED(p, 0);
		READS(fd, 1, 21);
		for (int i = 22; i < PIECES; i++)
			READS(fd, 1, i);
	}
}

/* A child on the same memory with a table of its own. */
CASE(vfork_child_has_its_own_numbers)
{
	int a = make_file("a", 1, O_RDONLY), b = make_file("b", 2, O_RDONLY), st;

	for (int i = 0; i < 6; i++) {
		volatile bool good = false;
		pid_t p;

		warm(a);
		warm(b);
		READS(a, 1, 0);
		p = vfork();
		if (p == 0) {
			uint64_t buf[WORDS];

			good = dup2(b, a) == a && pread(a, buf, PIECE, PIECE) == PIECE && is_piece(buf, 2, 1) && read(a, buf, PIECE) == PIECE &&
			       is_piece(buf, 2, 0) && close(a) == 0 && read(a, buf, PIECE) == -1;
			_exit(0);
		}
		OK(p);
		OK(waitpid(p, &st, 0));
		CHECK(good);
		SEES(a, 1, 5);
		READS(a, 1, 1);
		READS(b, 2, 1);
	}
}

static int numbers[2];

static void *alone(void *arg)
{
	uint64_t buf[WORDS];

	for (int i = 0; i < WARM; i++)
		if (pread(numbers[0], buf, PIECE, i * PIECE) != PIECE || !is_piece(buf, 1, i))
			return "before";
	if (unshare(CLONE_FILES) < 0 || dup2(numbers[1], numbers[0]) < 0)
		return "unshare";
	for (int i = 0; i < WARM; i++)
		if (pread(numbers[0], buf, PIECE, i * PIECE) != PIECE || !is_piece(buf, 2, i))
			return "after";
	return arg;
}

CASE(thread_with_its_own_table)
{
	pthread_t t;
	void *said;

	numbers[0] = make_file("a", 1, O_RDONLY);
	numbers[1] = make_file("b", 2, O_RDONLY);
	for (int i = 0; i < 5; i++) {
		warm(numbers[0]);
		OK(pthread_create(&t, NULL, alone, NULL));
		for (int k = 0; k < 200; k++)
			SEES(numbers[0], 1, k % PIECES);
		pthread_join(t, &said);
		CHECK(!said);
		SEES(numbers[0], 1, 3);
	}
}

static _Atomic int seen[PIECES];
static _Atomic int round_ready;

static void *take_some(void *arg)
{
	uint64_t buf[WORDS];
	ssize_t n;

	round_ready++;
	while (round_ready < 3)
		sched_yield();
	while ((n = read(contested, buf, PIECE)) == PIECE) {
		unsigned i = buf[0] >> 16 & 0xffff;

		if (i >= PIECES || !is_piece(buf, 1, i))
			return "a wrong piece";
		seen[i]++;
	}
	return n ? "a short read" : arg;
}

/* Each piece goes to one reader, also while the descriptor is looked at and shared. */
CASE(readers_share_out_a_file)
{
	pthread_t t[3];
	struct stat st;
	void *said;

	contested = make_file("a", 1, O_RDONLY);
	warm(contested);
	for (int round = 1; round <= 60; round++) {
		round_ready = 0;
		OK(lseek(contested, 0, SEEK_SET));
		for (int i = 0; i < 3; i++)
			OK(pthread_create(&t[i], NULL, take_some, NULL));
		for (int i = 0; i < round % 4; i++) {
			OK(fstat(contested, &st));
			close(OK(dup(contested)));
		}
		for (int i = 0; i < 3; i++) {
			pthread_join(t[i], &said);
			CHECK(!said);
		}
		for (int i = 0; i < PIECES; i++)
			EQ(seen[i], round);
		EQ(lseek(contested, 0, SEEK_CUR), PIECES * PIECE);
	}
}

CASE(watched_from_now_on)
{
	int fd = make_file("a", 1, O_RDONLY), in = OK(inotify_init1(IN_NONBLOCK)), wd;
	struct inotify_event e;

	for (int i = 0; i < 3; i++) {
		warm(fd);
		wd = OK(inotify_add_watch(in, "a", IN_ACCESS));
		ERR(read(in, &e, sizeof e), EAGAIN);
		READS(fd, 1, 0);
		EQ(read(in, &e, sizeof e), sizeof e);
		EQ(e.mask, IN_ACCESS);
		SEES(fd, 1, 9);
		EQ(read(in, &e, sizeof e), sizeof e);
		EQ(e.mask, IN_ACCESS);
		OK(inotify_rm_watch(in, wd));
		EQ(read(in, &e, sizeof e), sizeof e);
		EQ(e.mask, IN_IGNORED);
	}
}

static int64_t stamp(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A read renews an access time that isn't younger than the last change. */
CASE(access_times)
{
	int fd = make_file("a", 1, O_RDONLY), wr = OK(open("a", O_WRONLY));
	struct timespec past[2] = { { 1000, 0 }, { 2000, 0 } };
	struct stat st, before;

	OK(futimens(fd, past));
	READS(fd, 1, 0);
	OK(fstat(fd, &st));
	if (st.st_atime == 1000)
		SKIP("access times aren't kept here");
	for (int i = 0; i < 6; i++) {
		warm(fd);
		OK(futimens(fd, past));
		OK(fstat(fd, &st));
		EQ(st.st_atime, 1000);
		EQ(st.st_mtime, 2000);
		if (i % 2)
			SEES(fd, 1, 3);
		else
			READS(fd, 1, 0);
		OK(fstat(fd, &st));
		CHECK(st.st_atime > 2000);
		EQ(st.st_mtime, 2000);
	}
	for (int i = 0; i < 6; i++) {
		warm(fd);
		do { /* until the clock has gone on */
			OK(fstat(fd, &before));
			EQ(pwrite(wr, piece, 8, 0), 8);
			OK(fstat(fd, &st));
		} while (stamp(st.st_mtim) <= stamp(before.st_atim));
		EQ(pread(fd, piece, PIECE, PIECE), PIECE);
		OK(fstat(fd, &before));
		CHECK(stamp(before.st_atim) >= stamp(st.st_mtim));
	}
}

static void warm_writes(int fd, uint64_t file)
{
	uint64_t buf[WORDS];

	for (int i = 0; i < 2 * WARM; i++) {
		for (int w = 0; w < WORDS; w++)
			buf[w] = file << 32 | i % PIECES << 16 | w;
		EQ(pwrite(fd, buf, PIECE, i % PIECES * PIECE), PIECE);
	}
}

static int64_t clock_ns(void)
{
	struct timespec now;

	OK(clock_gettime(CLOCK_REALTIME, &now));
	return stamp(now);
}

/* The time of a write is that of the write, not of the moment when somebody looks. */
CASE(times_of_writes_in_place)
{
	enum { MS = 1000000, PAUSE = 300 * MS, SLACK = 100 * MS };
	int fd = make_file("a", 1, O_RDWR), other = make_file("b", 2, O_RDWR);
	struct timespec past[2] = { { 1000, 0 }, { 2000, 0 } };
	struct stat st, first;

	for (int i = 0; i < 4; i++) {
		struct timespec coarse;
		int64_t before, after;

		warm_writes(fd, 1);
		OK(futimens(fd, past));
		OK(fstat(fd, &st));
		EQ(st.st_mtime, 2000);
		warm_writes(fd, 1);
		OK(clock_gettime(CLOCK_REALTIME_COARSE, &coarse));
		before = stamp(coarse);
		EQ(pwrite(fd, piece, 8, 0), 8);
		after = clock_ns();
		while (clock_ns() < after + PAUSE)
			;
		if (i % 2)
			close(OK(dup2(other, OK(dup(fd)))));
		OK(fstat(fd, &first));
		CHECK(stamp(first.st_mtim) >= before - SLACK && stamp(first.st_mtim) <= after + SLACK);
		EQ(stamp(first.st_mtim), stamp(first.st_ctim));
		OK(fstat(fd, &st));
		EQ(stamp(st.st_mtim), stamp(first.st_mtim));
		SEES(fd, 1, 5);
		OK(fstat(fd, &st));
		EQ(stamp(st.st_mtim), stamp(first.st_mtim));
		if (st.st_atime != 1000)
			CHECK(stamp(st.st_atim) >= stamp(st.st_mtim));
	}
}

CASE(written_in_place_under_new_rules)
{
	struct rlimit few = { 1000, RLIM_INFINITY };
	int fd = make_file("a", 1, O_RDWR), in = OK(inotify_init1(IN_NONBLOCK)), wd;
	struct inotify_event e;
	struct stat st;
	pid_t p;

	warm_writes(fd, 1);
	OK(fcntl(fd, F_SETFL, O_APPEND)); /* which pwrite heeds, too */
	EQ(pwrite(fd, "end", 3, 0), 3);
	OK(fstat(fd, &st));
	EQ(st.st_size, PIECES * PIECE + 3);
	OK(fcntl(fd, F_SETFL, 0));
	warm_writes(fd, 1);
	p = CHILD({ OK(fcntl(fd, F_SETFL, O_APPEND)); });
	EXITED(p, 0);
	EQ(pwrite(fd, "end", 3, 0), 3);
	OK(fstat(fd, &st));
	EQ(st.st_size, PIECES * PIECE + 6);
	OK(fcntl(fd, F_SETFL, 0));
	warm_writes(fd, 1);
	wd = OK(inotify_add_watch(in, "a", IN_MODIFY));
	EQ(pwrite(fd, piece, 8, 0), 8);
	EQ(read(in, &e, sizeof e), sizeof e);
	EQ(e.mask, IN_MODIFY);
	OK(inotify_rm_watch(in, wd));
	warm_writes(fd, 1);
	OK(ftruncate(fd, PIECE));
	EQ(pwrite(fd, "tail", 4, 3 * PIECE), 4);
	OK(fstat(fd, &st));
	EQ(st.st_size, 3 * PIECE + 4);
	EQ(pread(fd, piece, PIECE, PIECE), PIECE);
	for (int w = 0; w < WORDS; w++)
		EQ(piece[w], 0);
	warm_writes(fd, 1);
	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &few));
	ERR(pwrite(fd, piece, PIECE, PIECE), EFBIG);
	EQ(pwrite(fd, piece, PIECE, 0), 1000);
}

static void *write_contested(void *arg)
{
	uint64_t buf[WORDS];

	for (int i = 0; !stop; i++) {
		for (int w = 0; w < WORDS; w++)
			buf[w] = 5ull << 32 | i % PIECES << 16 | w;
		if (pwrite(contested, buf, PIECE, i % PIECES * PIECE) != PIECE && errno != EBADF)
			return "a short write";
	}
	return arg;
}

/* What is written to a number goes to a file that has it, never to another one that the process writes. */
CASE(written_number_changes_hands)
{
	static const char *const names[] = { "a", "b", "c" };
	int others[20], fd;
	pthread_t t[2];
	char name[8];
	void *said;

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "x%d", i);
		others[i] = make_file(name, 10 + i, O_RDWR);
	}
	for (int i = 0; i < 3; i++)
		close(make_file(names[i], i + 1, O_RDONLY));
	contested = OK(open("a", O_RDWR));
	for (int i = 0; i < 2; i++)
		OK(pthread_create(&t[i], NULL, write_contested, NULL));
	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < 3; k++) {
			uint64_t buf[WORDS];
			int o = (i + k) % 20;

			for (int w = 0; w < WORDS; w++)
				buf[w] = (10ull + o) << 32 | i % PIECES << 16 | w;
			for (int again = 0; again < 2; again++)
				EQ(pwrite(others[o], buf, PIECE, i % PIECES * PIECE), PIECE);
			SEES(others[o], 10 + o, i % PIECES);
		}
		close(contested);
		fd = OK(open(names[i % 3], O_RDWR));
		if (fd != contested) {
			OK(dup2(fd, contested));
			close(fd);
		}
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &said);
		CHECK(!said);
	}
	for (int i = 0; i < PIECES; i++) {
		for (int o = 0; o < 20; o++)
			SEES(others[o], 10 + o, i);
		for (int f = 0; f < 3; f++) {
			fd = OK(open(names[f], O_RDONLY));
			EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
			CHECK(is_piece(piece, f + 1, i) || is_piece(piece, 5, i));
			close(fd);
		}
	}
}

/* A file that is cut while it is written is as long as the last of them left it, for whoever asks. */
CASE(cut_while_written_in_place)
{
	pthread_t t[2];
	struct stat st;
	void *said;
	int fd;

	contested = make_file("a", 5, O_RDWR);
	fd = OK(open("a", O_RDWR));
	for (int i = 0; i < 2; i++)
		OK(pthread_create(&t[i], NULL, write_contested, NULL));
	for (int i = 0; i < 150; i++) {
		OK(ftruncate(fd, i % 3 * PIECE));
		OK(fstat(fd, &st));
		EQ(st.st_size % PIECE, 0);
		OK(ftruncate(fd, PIECES * PIECE));
		for (int k = 0; k < 4; k++)
			EQ(pread(fd, piece, PIECE, (i + k) % PIECES * PIECE), PIECE);
	}
	stop = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &said);
		CHECK(!said);
	}
	OK(fstat(fd, &st));
	EQ(lseek(fd, 0, SEEK_END), st.st_size);
	EQ(pread(fd, piece, PIECE, st.st_size), 0);
	for (off_t at = 0; at < st.st_size; at += PIECE) {
		EQ(pread(fd, piece, PIECE, at), PIECE);
		CHECK(piece[1] == 0 || is_piece(piece, 5, at / PIECE));
	}
}

CASE(grows_and_shrinks_under_its_reader)
{
	int fd = make_file("a", 1, O_RDONLY), wr = OK(open("a", O_WRONLY | O_APPEND));

	for (int i = 0; i < 8; i++) {
		warm(fd);
		OK(lseek(fd, 0, SEEK_END));
		EQ(read(fd, piece, PIECE), 0);
		EQ(write(wr, "hello", 5), 5);
		EQ(read(fd, piece, PIECE), 5);
		CHECK(!memcmp(piece, "hello", 5));
		EQ(read(fd, piece, PIECE), 0);
		OK(ftruncate(wr, (PIECES - 1) * PIECE));
		OK(lseek(fd, (PIECES - 2) * PIECE, SEEK_SET));
		READS(fd, 1, PIECES - 2);
		EQ(read(fd, piece, PIECE), 0);
		EQ(pread(fd, piece, PIECE, (PIECES - 1) * PIECE - 10), 10);
		OK(ftruncate(wr, PIECES * PIECE));
		EQ(read(fd, piece, PIECE), PIECE);
		for (int w = 0; w < WORDS; w++)
			EQ(piece[w], 0);
	}
}

CASE(small_pieces)
{
	int fd = make_file("a", 1, O_RDONLY);
	uint64_t at = 0, word;
	char *wide;

	warm(fd);
	for (int len = 1; at + len <= 8 * PIECE; len = len % 90 + 1) {
		unsigned char buf[92];

		memset(buf, 0xee, sizeof buf);
		EQ(read(fd, buf, len), len);
		EQ(buf[len], 0xee);
		for (int k = 0; k < len; k++, at++) {
			word = 1ull << 32 | at / PIECE << 16 | at % PIECE / 8;
			EQ(buf[k], word >> at % 8 * 8 & 0xff);
		}
	}
	EQ(read(fd, piece, 0), 0);
	EQ(pread(fd, piece, 0, 0), 0);
	ERR(pread(fd, piece, 8, -1), EINVAL);
	ERR(read(fd, (void *)(1ull << 47), 8), EFAULT);
	ERR(read(fd, (void *)-PIECE, 8), EFAULT);
	wide = mmap(NULL, 2 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(wide != MAP_FAILED);
	OK(munmap(wide + PIECE, PIECE));
	OK(lseek(fd, 0, SEEK_SET));
	EQ(read(fd, wide + PIECE - 100, PIECE), 100);
	EQ(lseek(fd, 0, SEEK_CUR), 100);
	ERR(read(fd, wide + PIECE, PIECE), EFAULT);
	EQ(lseek(fd, 0, SEEK_CUR), 100);
}

CASE(nothing_and_zeros)
{
	int null = OK(open("/dev/null", O_RDWR)), zero = OK(open("/dev/zero", O_RDWR)), rd = OK(open("/dev/zero", O_RDONLY)),
	    wr = OK(open("/dev/null", O_WRONLY));
	unsigned char *m = mmap(NULL, 3 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(m != MAP_FAILED);
	OK(mprotect(m + 2 * PIECE, PIECE, PROT_READ));
	for (int i = 0; i < 20; i++) {
		memset(m, 0xee, 2 * PIECE);
		EQ(read(i % 2 ? rd : zero, m + i, PIECE - i), PIECE - i);
		EQ(m[PIECE], 0xee);
		for (int k = 0; k < PIECE; k++)
			EQ(m[k], k < i ? 0xee : 0);
		EQ(read(rd, m + 2 * PIECE - i, PIECE) ?: -1, i ? i : -1);
		ERR(read(rd, m + 2 * PIECE, PIECE), EFAULT);
		EQ(read(rd, m, 0), 0);
		EQ(write(null, m, 3 * PIECE), 3 * PIECE);
		EQ(write(wr, (void *)16, PIECE), PIECE);
		EQ(write(zero, m, 7), 7);
		EQ(write(null, m, 0), 0);
		ERR(write(rd, m, 1), EBADF);
		ERR(read(wr, m, 1), EBADF);
		EQ(read(null, m, PIECE), 0);
		EQ(lseek(rd, 100, SEEK_SET), 0);
		EQ(lseek(rd, 0, SEEK_CUR), 0);
		EQ(pread(rd, m, 10, 5), 10);
		EQ(pwrite(null, m, 10, 5), 10);
	}
	OK(dup2(rd, null));
	ERR(write(null, m, 1), EBADF);
	EQ(read(null, m, 1), 1);
	OK(close(null));
	ERR(write(null, m, 1), EBADF);
	ERR(read(null, m, 1), EBADF);
}

/* Where a program that takes this one's place finds the position. */
CASE(position_over_exec)
{
	int fd = make_file("a", 1, O_RDONLY), p[2];
	char said[8] = "";
	pid_t pid;

	OK(pipe(p));
	warm(fd);
	READS(fd, 1, 0);
	pid = CHILD({
		warm(fd);
		READS(fd, 1, 0);
		READS(fd, 1, 1);
		OK(dup2(p[1], 1));
		OK(dup2(fd, 9));
		execl(abi_argv[0], abi_argv[0], "--here", "helper_tells_position", NULL);
		execl("/proc/self/exe", abi_argv[0], "--here", "helper_tells_position", NULL);
	});
	close(p[1]);
	EXITED(pid, 0);
	EQ(read(p[0], said, sizeof said), 4);
	STREQ(said, "8192");
	READS(fd, 1, 2);
}

CASE(helper_tells_position)
{
	long pos = lseek(9, 0, SEEK_CUR);

	if (pos > 0)
		dprintf(1, "%ld", pos);
}
