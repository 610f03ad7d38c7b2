/* Files that are read and written again and again, in pieces large and small, by several at once, while something changes under them. */
#include "abi.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { PAGE = 4096, PIECE = 8192, PIECES = 64, WORDS = PIECE / 8 };

static uint64_t piece[WORDS];

/* Piece i: its words say where they are, and which file's. */
static void fill(uint64_t *p, uint64_t file, uint64_t i)
{
	for (int w = 0; w < WORDS; w++)
		p[w] = file << 48 | i << 16 | w;
}

static bool is_piece(const uint64_t *p, uint64_t file, uint64_t i)
{
	for (int w = 0; w < WORDS; w++)
		if (p[w] != (file << 48 | i << 16 | w))
			return false;
	return true;
}

static int make_file(const char *name, uint64_t file, int flags)
{
	int fd = OK(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));

	for (int i = 0; i < PIECES; i++) {
		fill(piece, file, i);
		EQ(write(fd, piece, PIECE), PIECE);
	}
	close(fd);
	return OK(open(name, flags));
}

/* Often enough that whatever is kept for busy files is. */
static void warm(int fd)
{
	for (int i = 0; i < 16; i++)
		EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
}

static void *two_pages(int second)
{
	char *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(m != MAP_FAILED);
	memset(m, 0x55, 2 * PAGE);
	if (second != (PROT_READ | PROT_WRITE))
		OK(mprotect(m + PAGE, PAGE, second));
	return m;
}

CASE(every_piece_is_right)
{
	int fd = make_file("f", 1, O_RDONLY);

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < PIECES; i++) {
			memset(piece, 0, PIECE);
			EQ(pread(fd, piece, PIECE, (i * 37 % PIECES) * PIECE), PIECE);
			CHECK(is_piece(piece, 1, i * 37 % PIECES));
		}
	for (int len = 1; len < 3 * PAGE; len = len * 3 / 2 + 1) {
		unsigned char bytes[3 * PAGE + 1];

		memset(bytes, 0xee, sizeof bytes);
		EQ(pread(fd, bytes, len, PIECE), len);
		EQ(bytes[len], 0xee);
		EQ(bytes[len - 1], (unsigned char)((1ull << 48 | (1 + (len - 1) / PIECE) << 16 | (len - 1) % PIECE / 8) >> (len - 1) % 8 * 8));
	}
}

CASE(program_text)
{
	int fd = OK(open("/proc/self/exe", O_RDONLY));
	struct stat st;
	char *m, *buf = malloc(128 << 10);

	OK(fstat(fd, &st));
	m = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED);
	for (int round = 0; round < 2; round++) {
		off_t at = 0;
		ssize_t n;

		OK(lseek(fd, 0, SEEK_SET));
		while ((n = OK(read(fd, buf, round ? 5000 : 128 << 10))) > 0) {
			CHECK(!memcmp(buf, m + at, n));
			at += n;
		}
		EQ(at, st.st_size);
		EQ(lseek(fd, 0, SEEK_CUR), st.st_size);
	}
}

CASE(reads_over_the_end)
{
	int fd = make_file("f", 1, O_RDONLY);
	const off_t size = PIECE * PIECES;
	char *big = calloc(1, 3 * PIECE);

	warm(fd);
	EQ(pread(fd, big, 2 * PIECE, size - PIECE), PIECE);
	CHECK(is_piece((void *)big, 1, PIECES - 1));
	EQ(big[PIECE], 0);
	EQ(pread(fd, big, PIECE, size), 0);
	EQ(pread(fd, big, PIECE, size + PIECE), 0);
	OK(lseek(fd, size - 5000, SEEK_SET));
	EQ(read(fd, big, PIECE), 5000);
	EQ(lseek(fd, 0, SEEK_CUR), size);
	EQ(read(fd, big, PIECE), 0);
	ERR(pread(fd, big, PIECE, -1), EINVAL);
}

CASE(fault_in_the_middle_of_a_read)
{
	int fd = make_file("f", 1, O_RDONLY);
	char *m = two_pages(PROT_NONE), *ro = two_pages(PROT_READ);

	warm(fd);
	EQ(pread(fd, m, 2 * PAGE, 0), PAGE);
	EQ(*(uint64_t *)(m + 8), 1ull << 48 | 1);
	OK(lseek(fd, PIECE, SEEK_SET));
	EQ(read(fd, m, 2 * PAGE), PAGE);
	EQ(lseek(fd, 0, SEEK_CUR), PIECE + PAGE);
	ERR(read(fd, m + PAGE, PAGE), EFAULT);
	ERR(read(fd, ro + PAGE, PAGE), EFAULT);
	EQ(lseek(fd, 0, SEEK_CUR), PIECE + PAGE);
	EQ(read(fd, ro, 2 * PAGE), PAGE);
	ERR(pread(fd, (void *)-PAGE, PAGE, 0), EFAULT);
	ERR(pread(fd, (void *)0x7ffffffff000, PAGE, 0), EFAULT);
	ERR(pread(fd, (void *)64, PAGE, 0), EFAULT);
	EQ(pread(fd, m, PAGE, 0), PAGE);
}

CASE(fault_in_the_middle_of_a_write)
{
	int fd = make_file("f", 1, O_RDWR);
	char *m = two_pages(PROT_NONE), back[2 * PAGE];
	struct stat st;

	warm(fd);
	for (int i = 0; i < 10; i++)
		EQ(pwrite(fd, m, PAGE, i * PAGE), PAGE);
	EQ(pwrite(fd, m, 2 * PAGE, 0), PAGE);
	OK(lseek(fd, PIECE, SEEK_SET));
	EQ(write(fd, m + 100, 2 * PAGE - 100), PAGE - 100);
	EQ(lseek(fd, 0, SEEK_CUR), PIECE + PAGE - 100);
	ERR(write(fd, m + PAGE, PAGE), EFAULT);
	EQ(lseek(fd, 0, SEEK_CUR), PIECE + PAGE - 100);
	/* at the end: the file grows by what there was */
	OK(fstat(fd, &st));
	EQ(pwrite(fd, m + 2000, 2 * PAGE - 2000, st.st_size), PAGE - 2000);
	EQ(lseek(fd, 0, SEEK_END), st.st_size + PAGE - 2000);
	EQ(pread(fd, back, sizeof back, st.st_size), PAGE - 2000);
	EQ(back[PAGE - 2001], 0x55);
	ERR(pwrite(fd, m + PAGE, PAGE, 0), EFAULT);
}

CASE(access_modes)
{
	int rd = make_file("f", 1, O_RDONLY), wr = OK(open("f", O_WRONLY)), rw = OK(open("f", O_RDWR));

	for (int i = 0; i < 12; i++) {
		EQ(pread(rd, piece, PIECE, 0), PIECE);
		EQ(pwrite(wr, piece, PIECE, 0), PIECE);
		EQ(pread(rw, piece, PIECE, 0), PIECE);
		EQ(pwrite(rw, piece, PIECE, 0), PIECE);
		ERR(pwrite(rd, piece, PIECE, 0), EBADF);
		ERR(pread(wr, piece, PIECE, 0), EBADF);
		ERR(write(rd, piece, PIECE), EBADF);
		ERR(read(wr, piece, PIECE), EBADF);
	}
	close(rw);
	ERR(pread(rw, piece, PIECE, 0), EBADF);
	OK(dup2(wr, rd));
	ERR(pread(rd, piece, PIECE, 0), EBADF);
}

CASE(many_files_take_turns)
{
	enum { FILES = 45 };
	int fd[FILES];
	char name[16];

	for (int f = 0; f < FILES; f++) {
		snprintf(name, sizeof name, "f%d", f);
		fd[f] = make_file(name, f, O_RDWR);
	}
	for (int i = 0; i < PIECES; i++)
		for (int f = 0; f < FILES; f++) {
			EQ(pread(fd[f], piece, PIECE, i * PIECE), PIECE);
			CHECK(is_piece(piece, f, i));
			fill(piece, f + 100, i);
			EQ(pwrite(fd[f], piece, PIECE, i * PIECE), PIECE);
		}
	for (int f = 0; f < FILES; f++)
		for (int i = 0; i < PIECES; i++) {
			EQ(pread(fd[f], piece, PIECE, i * PIECE), PIECE);
			CHECK(is_piece(piece, f + 100, i));
		}
}

static int many_fd[24];

static void *read_many(void *arg)
{
	uint64_t buf[WORDS];
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int i = 0; i < 3000; i++) {
		int f = rand_r(&seed) % 24, at = rand_r(&seed) % PIECES;

		if (pread(many_fd[f], buf, PIECE, at * PIECE) != PIECE || !is_piece(buf, f, at))
			return "a wrong piece";
	}
	return NULL;
}

CASE(threads_read_many_files)
{
	pthread_t t[4];
	char name[16];
	void *said;

	for (int f = 0; f < 24; f++) {
		snprintf(name, sizeof name, "f%d", f);
		many_fd[f] = make_file(name, f, O_RDONLY);
	}
	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&t[i], NULL, read_many, (void *)(uintptr_t)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &said);
		CHECK(!said);
	}
}

static int shared_fd;
static _Atomic int seen[PIECES];

static void *read_on(void *arg)
{
	uint64_t buf[WORDS];
	ssize_t n;

	while ((n = read(shared_fd, buf, PIECE)) == PIECE) {
		unsigned i = buf[0] >> 16 & 0xffff;

		if (i >= PIECES || !is_piece(buf, 1, i))
			return "a wrong piece";
		seen[i]++;
	}
	return n ? "a short read" : arg;
}

CASE(one_position_and_many_readers)
{
	pthread_t t[4];
	void *said;

	shared_fd = make_file("f", 1, O_RDONLY);
	warm(shared_fd);
	for (int round = 1; round <= 20; round++) {
		OK(lseek(shared_fd, 0, SEEK_SET));
		for (int i = 0; i < 4; i++)
			EQ(pthread_create(&t[i], NULL, read_on, NULL), 0);
		for (int i = 0; i < 4; i++) {
			pthread_join(t[i], &said);
			CHECK(!said);
		}
		for (int i = 0; i < PIECES; i++)
			EQ(seen[i], round);
	}
}

static _Atomic bool stop;

static void *cut_and_mend(void *arg)
{
	int fd = *(int *)arg;

	while (!stop) {
		if (ftruncate(fd, 3 * PIECE / 2) < 0 || ftruncate(fd, PIECE * PIECES) < 0)
			return "ftruncate";
	}
	return NULL;
}

/* A read gets what there is: file's bytes or the hole's zeros, and the position moves by what it got. */
CASE(truncated_meanwhile)
{
	int fd = make_file("f", 1, O_RDWR);
	pthread_t t;
	void *said;

	warm(fd);
	OK(pthread_create(&t, NULL, cut_and_mend, &fd));
	for (int i = 0; i < 3000; i++) {
		ssize_t n;
		off_t at = (i % 4) * PIECE;

		OK(lseek(fd, at, SEEK_SET));
		n = OK(read(fd, piece, PIECE));
		EQ(lseek(fd, 0, SEEK_CUR), at + n);
		CHECK(n == PIECE || n == (at < 2 * PIECE ? PIECE / 2 : 0) || n % PAGE == 0);
		for (int w = 0; w < n / 8; w++)
			CHECK(piece[w] == 0 || piece[w] == (1ull << 48 | (uint64_t)(i % 4) << 16 | w));
	}
	stop = true;
	pthread_join(t, &said);
	CHECK(!said);
}

static void *protect(void *arg)
{
	char *m = arg;

	while (!stop) {
		mprotect(m + PAGE, PAGE, PROT_NONE);
		mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* The page may be taken away at any byte of it: Linux copies on until then. */
CASE(buffer_protected_meanwhile)
{
	int fd = make_file("f", 1, O_RDONLY);
	char *m = two_pages(PROT_READ | PROT_WRITE);
	pthread_t t;

	warm(fd);
	OK(pthread_create(&t, NULL, protect, m));
	for (int i = 0; i < 3000; i++) {
		off_t at = i % 32 * PIECE;
		ssize_t n;

		OK(lseek(fd, at, SEEK_SET));
		n = OK(read(fd, m, 2 * PAGE));
		CHECK(n >= PAGE && n <= 2 * PAGE);
		EQ(lseek(fd, 0, SEEK_CUR), at + n);
		EQ(*(uint64_t *)(m + PAGE - 8), 1ull << 48 | (uint64_t)(i % 32) << 16 | (PAGE / 8 - 1));
	}
	stop = true;
	pthread_join(t, NULL);
}

static void on_alarm(int sig)
{
	(void)sig;
}

CASE(signals_meanwhile)
{
	int fd = make_file("f", 1, O_RDONLY);
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { 0 };

	signal(SIGALRM, on_alarm);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	for (int round = 0; round < 30; round++) {
		OK(lseek(fd, 0, SEEK_SET));
		for (int i = 0; i < PIECES; i++) {
			memset(piece, 0, PIECE);
			EQ(read(fd, piece, PIECE), PIECE);
			CHECK(is_piece(piece, 1, i));
		}
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
}

CASE(after_fork_and_as_somebody_else)
{
	int fd = make_file("f", 1, O_RDONLY);

	OK(chmod("f", 0600));
	warm(fd);
	for (int who = 0; who < 3; who++) {
		pid_t p = CHILD({
			if (who && setuid(60000 + who) < 0 && errno != EPERM)
				_exit(1);
			for (int i = 0; i < PIECES; i++) {
				OK(lseek(fd, i * PIECE, SEEK_SET));
				EQ(read(fd, piece, PIECE), PIECE);
				CHECK(is_piece(piece, 1, i));
			}
		});
		EXITED(p, 0);
	}
	EQ(pread(fd, piece, PIECE, 0), PIECE);
	CHECK(is_piece(piece, 1, 0));
}

CASE(vectors)
{
	int fd = make_file("f", 1, O_RDWR);
	char a[PAGE], b[PAGE];
	struct iovec one = { piece, PIECE }, two[] = { { a, PAGE }, { b, PAGE } };

	warm(fd);
	for (int i = 0; i < 8; i++) {
		OK(lseek(fd, i * PIECE, SEEK_SET));
		EQ(readv(fd, &one, 1), PIECE);
		CHECK(is_piece(piece, 1, i));
		EQ(preadv(fd, two, 2, i * PIECE), PIECE);
		CHECK(!memcmp(a, piece, PAGE) && !memcmp(b, (char *)piece + PAGE, PAGE));
		EQ(lseek(fd, 0, SEEK_CUR), (i + 1) * PIECE);
		EQ(pwritev(fd, &one, 1, (i + 1) * PIECE), PIECE);
		fill(piece, 1, i + 1);
		EQ(pwritev(fd, &one, 1, (i + 1) * PIECE), PIECE);
	}
}

CASE(overwritten_and_seen_by_all)
{
	int fd = make_file("f", 1, O_RDWR), other = OK(open("f", O_RDONLY));
	uint64_t *m = mmap(NULL, PIECE * PIECES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct stat st;

	CHECK(m != MAP_FAILED);
	for (int round = 2; round < 5; round++)
		for (int i = 0; i < PIECES; i++) {
			fill(piece, round, i);
			EQ(pwrite(fd, piece, PIECE, i * PIECE), PIECE);
			CHECK(is_piece(m + i * WORDS, round, i));
			EQ(pread(other, piece, PIECE, i * PIECE), PIECE);
			CHECK(is_piece(piece, round, i));
			m[i * WORDS] = 7;
			EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
			EQ(piece[0], 7);
		}
	OK(fstat(fd, &st));
	EQ(st.st_size, PIECE * PIECES);
	EQ(st.st_blocks, PIECE * PIECES / 512);
}

CASE(appended)
{
	int fd = make_file("f", 1, O_RDWR | O_APPEND);
	struct stat st;

	for (int i = 0; i < PIECES; i++) {
		fill(piece, 2, i);
		EQ(write(fd, piece, PIECE), PIECE);
		EQ(lseek(fd, 0, SEEK_CUR), (PIECES + i + 1) * PIECE);
		OK(fstat(fd, &st));
		EQ(st.st_size, (PIECES + i + 1) * PIECE);
		if (i % 8 == 0)
			OK(lseek(fd, 0, SEEK_SET));
	}
	for (int i = 0; i < 2 * PIECES; i++) {
		EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
		CHECK(is_piece(piece, i < PIECES ? 1 : 2, i % PIECES));
	}
}

CASE(written_with_holes)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0644));
	struct stat st;

	for (int i = 0; i < PIECES; i++) {
		fill(piece, 3, i);
		EQ(pwrite(fd, piece, PIECE, (3 * i + 1) * PIECE), PIECE);
		OK(fstat(fd, &st));
		EQ(st.st_size, (3 * i + 2) * PIECE);
	}
	for (int i = 0; i < PIECES; i++) {
		EQ(pread(fd, piece, PIECE, (3 * i + 1) * PIECE), PIECE);
		CHECK(is_piece(piece, 3, i));
		EQ(pread(fd, piece, PIECE, 3 * i * PIECE), PIECE);
		for (int w = 0; w < WORDS; w++)
			EQ(piece[w], 0);
	}
	OK(ftruncate(fd, PIECE));
	OK(ftruncate(fd, 4 * PIECE));
	EQ(pread(fd, piece, PIECE, PIECE), PIECE);
	EQ(piece[0], 0);
}

static void *append_pieces(void *arg)
{
	int fd = open("log", O_WRONLY | O_APPEND);
	uint64_t buf[WORDS], who = (uintptr_t)arg;

	for (int i = 0; i < 200; i++) {
		fill(buf, who, i);
		if (write(fd, buf, PIECE) != PIECE)
			return "a short write";
	}
	close(fd);
	return NULL;
}

/* Appended pieces lie whole and in their writer's order. */
CASE(many_append_at_once)
{
	int fd = OK(open("log", O_RDWR | O_CREAT | O_TRUNC, 0644)), next[5] = { 0 };
	pid_t child[2];
	pthread_t t[2];
	void *said;

	for (int i = 0; i < 2; i++)
		child[i] = CHILD({ CHECK(!append_pieces((void *)(uintptr_t)(i + 3))); });
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&t[i], NULL, append_pieces, (void *)(uintptr_t)(i + 1)), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], &said);
		CHECK(!said);
		EXITED(child[i], 0);
	}
	EQ(lseek(fd, 0, SEEK_END), 800 * PIECE);
	for (int i = 0; i < 800; i++) {
		EQ(pread(fd, piece, PIECE, i * PIECE), PIECE);
		uint64_t who = piece[0] >> 48;

		CHECK(who >= 1 && who <= 4);
		CHECK(is_piece(piece, who, next[who]++));
	}
}

/* Who sees a file's new size finds the bytes there. */
CASE(growth_is_seen_with_its_bytes)
{
	int fd = OK(open("log", O_RDWR | O_CREAT | O_TRUNC, 0644));
	off_t had = 0;
	struct stat st;
	pid_t p = CHILD({ CHECK(!append_pieces((void *)1)); });

	while (had < 200 * PIECE) {
		OK(fstat(fd, &st));
		for (; had + PIECE <= st.st_size; had += PIECE) {
			EQ(pread(fd, piece, PIECE, had), PIECE);
			CHECK(is_piece(piece, 1, had / PIECE));
		}
	}
	EXITED(p, 0);
}

/* A writer that is killed leaves a file of which all is there, whatever its length; the next one goes on from there. */
CASE(killed_while_it_writes)
{
	for (int round = 0; round < 12; round++) {
		int fd = OK(open("log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644));
		struct stat st;
		off_t size;
		pid_t p = CHILD({ for (;;) append_pieces((void *)1); });

		do
			OK(fstat(fd, &st));
		while (st.st_size < (5 + round) * PIECE);
		OK(kill(p, SIGKILL));
		KILLED(p, SIGKILL);
		size = OK(lseek(fd, 0, SEEK_END));
		fill(piece, 9, 0);
		EQ(write(fd, piece, PIECE), PIECE);
		EQ(lseek(fd, 0, SEEK_END), size + PIECE);
		for (off_t at = 0; at + PIECE <= size; at += PIECE) {
			EQ(pread(fd, piece, PIECE, at), PIECE);
			CHECK(is_piece(piece, 1, at / PIECE % 200));
		}
		EQ(pread(fd, piece, PIECE, size), PIECE);
		CHECK(is_piece(piece, 9, 0));
		close(fd);
	}
}

CASE(file_size_limit)
{
	int fd = make_file("f", 1, O_RDWR);
	struct rlimit few = { PIECE * PIECES + 1000, PIECE * PIECES + 1000 };
	off_t end = PIECE * PIECES;

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &few));
	for (int i = 0; i < 10; i++)
		EQ(pwrite(fd, piece, PIECE, i * PIECE), PIECE);
	EQ(pwrite(fd, piece, PIECE, end), 1000);
	ERR(pwrite(fd, piece, PIECE, end + 1000), EFBIG);
	EQ(pwrite(fd, piece, PIECE, end - 5000), 6000);
	EQ(lseek(fd, 0, SEEK_END), end + 1000);
}

CASE(sealed_while_it_is_written)
{
	int fd = OK(memfd_create("m", MFD_ALLOW_SEALING));

	OK(ftruncate(fd, 10 * PIECE));
	fill(piece, 1, 0);
	for (int i = 0; i < 20; i++)
		EQ(pwrite(fd, piece, PIECE, i % 10 * PIECE), PIECE);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	EQ(pwrite(fd, piece, PIECE, 0), PIECE);
	ERR(pwrite(fd, piece, PIECE, 10 * PIECE), EPERM);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	ERR(pwrite(fd, piece, PIECE, 0), EPERM);
	EQ(pread(fd, piece, PIECE, 0), PIECE);
	CHECK(is_piece(piece, 1, 0));
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
	ERR(ftruncate(fd, 0), EPERM);
}

CASE(times_of_writes)
{
	int fd = make_file("f", 1, O_RDWR);
	struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
	struct stat st;

	warm(fd);
	for (int i = 0; i < 10; i++)
		EQ(pwrite(fd, piece, PIECE, 0), PIECE);
	OK(futimens(fd, old));
	EQ(pwrite(fd, piece, PIECE, 0), PIECE);
	OK(fstat(fd, &st));
	CHECK(st.st_mtime > 1000);
	OK(fchmod(fd, 06755));
	if (getuid() && getgid()) {
		EQ(pwrite(fd, piece, PIECE, 0), PIECE);
		OK(fstat(fd, &st));
		EQ(st.st_mode & 06000, 0);
	}
}

