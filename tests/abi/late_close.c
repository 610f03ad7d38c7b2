/*
 * Descriptors of what is there to be read alone, closed: whoever stands in for a kernel may answer that at once, and enter it in its books only later (late.c is
 * about memory). Nobody may see that: neither the process itself, nor those who wait for what hangs on the close, nor those who look at it from
 * outside while it just computes.
 */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "late.h"

/* --- descriptors that are closed */

static int quiet_opened(void)
{
	return OK(open(quiet_file(), O_RDONLY));
}

CASE(the_lowest_number_again)
{
	int first = quiet_opened(), second = quiet_opened(), third = quiet_opened(), p[2];

	setup();
	EQ(second, first + 1);
	EQ(third, first + 2);
	for (int i = 0; i < 20; i++) {
		OK(close(second));
		EQ(quiet_opened(), second);
		OK(close(third));
		OK(close(first));
		EQ(dup(second), first);
		OK(close(second));
		EQ(socket(AF_UNIX, SOCK_STREAM, 0), second);
		OK(close(first));
		OK(close(second));
		OK(pipe(p));
		EQ(p[0], first);
		EQ(p[1], second);
		OK(close(p[0]));
		OK(close(p[1]));
		EQ(quiet_opened(), first);
		OK(close(first));
		EQ(OK(open("/", O_RDONLY | O_DIRECTORY)), first);
		EQ(quiet_opened(), second);
		EQ(quiet_opened(), third);
		OK(close(first));
		EQ(fcntl(third, F_DUPFD, first), first);
	}
}

CASE(closed_is_closed)
{
	char b[8];
	struct stat st;

	for (int i = 0; i < 20; i++) {
		int fd = i % 4 == 3 ? (int)OK(open("/", O_RDONLY)) : quiet_opened();
		struct pollfd poll_ = { fd, POLLIN, 0 };

		if (i % 4 == 1)
			EQ(read(fd, b, 2), 2);
		if (i % 4 == 2)
			OK(fstat(fd, &st));
		OK(close(fd));
		switch (i % 10) {
		case 0:
			ERR(close(fd), EBADF);
			break;
		case 1:
			ERR(read(fd, b, 2), EBADF);
			break;
		case 2:
			ERR(fstat(fd, &st), EBADF);
			break;
		case 3:
			ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, fd, 0), EBADF);
			break;
		case 4:
			ERR(lseek(fd, 0, SEEK_CUR), EBADF);
			break;
		case 5:
			ERR(pread(fd, b, 1, 0), EBADF);
			break;
		case 6:
			ERR(dup(fd), EBADF);
			break;
		case 7:
			ERR(openat(fd, "etc", O_RDONLY), EBADF);
			break;
		case 8:
			EQ(poll(&poll_, 1, 0), 1);
			EQ(poll_.revents, POLLNVAL);
			break;
		default:
			ERR(fchdir(fd), EBADF);
		}
		ERR(close(fd), EBADF);
		ERR(close(fd), EBADF);
		ERR(read(fd, b, 0), EBADF);
	}
}

CASE(more_than_may_be_open)
{
	enum { MANY = 30 };
	int fds[MANY], n = 0;

	limit(RLIMIT_NOFILE, MANY);
	for (int round = 0; round < 10; round++) {
		for (n = 0; n < MANY && (fds[n] = open(quiet_file(), O_RDONLY)) >= 0; n++)
			;
		EQ(errno, EMFILE);
		CHECK(n > 10);
		ERR(dup(0), EMFILE);
		for (int i = 0; i < n; i++)
			OK(close(fds[round % 2 ? i : n - 1 - i]));
	}
	for (int i = 0; i < 200; i++)
		OK(close(quiet_opened()));
}

CASE(one_of_two)
{
	char all[8], b[4];
	int fd, other;
	pid_t pid;

	fd = quiet_opened();
	EQ(read(fd, all, 4), 4);
	OK(close(fd));
	for (int i = 0; i < 20; i++) {
		fd = quiet_opened();
		EQ(read(fd, b, 1), 1);
		EQ(b[0], all[0]);
		other = OK(dup(fd));
		EQ(read(i % 2 ? fd : other, b, 1), 1);
		EQ(b[0], all[1]);
		OK(close(i % 4 < 2 ? fd : other));
		if (i % 4 >= 2)
			other = fd;
		EQ(read(other, b, 1), 1);
		EQ(b[0], all[2]);
		pid = CHILD({
			EQ(read(other, b, 1), 1);
			EQ(b[0], all[3]);
			OK(close(other));
		});
		EXITED(pid, 0);
		EQ(lseek(other, 0, SEEK_CUR), 4);
		OK(close(other));
		fd = quiet_opened(); /* what was read before is forgotten */
		EQ(read(fd, b, 1), 1);
		EQ(b[0], all[0]);
		OK(close(fd));
	}
}

/* Each is closed by itself, whichever was first, and the numbers are free again at once. */
CASE(dups)
{
	int first = OK(dup(0));
	struct stat st, is;
	char b[8];

	close(first);
	OK(stat("/", &is));
	for (int i = 0; i < 32; i++) {
		const bool dir = i & 1;
		int fd = dir ? (int)OK(open("/", O_RDONLY | O_DIRECTORY)) : quiet_opened(), other, third;

		EQ(fd, first);
		other = OK(fcntl(fd, i & 2 ? F_DUPFD : F_DUPFD_CLOEXEC, i & 4 ? 20 : 0));
		third = OK(fcntl(other, F_DUPFD, 0));
		EQ(other, i & 4 ? 20 : first + 1);
		EQ(third, i & 4 ? first + 1 : first + 2);
		ERR(ioctl(other, TCGETS, b), ENOTTY);
		OK(close(i & 8 ? fd : other));
		if (i & 8)
			fd = other;
		ERR(fcntl(i & 8 ? first : other, F_GETFD), EBADF);
		EQ(fcntl(fd, F_GETFD), i & 8 && !(i & 2) ? FD_CLOEXEC : 0);
		OK(fstat(fd, &st));
		if (dir)
			EQ(st.st_ino, is.st_ino);
		else
			EQ(read(fd, b, 2), 2);
		if (!dir)
			EQ(pread(third, b, 2, 0), 2);
		OK(close(fd));
		ERR(close(fd), EBADF);
		if (dir)
			CHECK(syscall(SYS_getdents64, third, (char[1024]){ 0 }, 1024) > 0);
		else
			EQ(lseek(third, 0, SEEK_CUR), 2);
		EQ(dup(third), first);
		OK(close(third));
		OK(fstat(first, &st));
		OK(close(first));
		ERR(fstat(first, &st), EBADF);
	}
}

static bool left(void *p)
{
	unsigned char in;

	return mincore(p, PAGE, &in) == 0;
}

/* A mapping stays when its descriptor goes, and so does what was closed. */
CASE(mapped_and_closed)
{
	char *own[8], text[PAGE];
	int fd = OK(open(big_file(), O_RDONLY));

	setup();
	EQ(pread(fd, text, PAGE, 2 * PAGE), PAGE);
	OK(close(fd));
	for (int i = 0; i < 8; i++) {
		fd = OK(open(big_file(), O_RDONLY));
		own[i] = mmap(NULL, 4 * PAGE, i % 2 ? R : RW, MAP_PRIVATE, fd, 0);
		CHECK(own[i] != MAP_FAILED);
		CHECK(mmap(base + i * PAGE, PAGE, R, MAP_PRIVATE | MAP_FIXED, fd, 2 * PAGE) == base + i * PAGE);
		CHECK(mmap(base + (16 + i) * PAGE, PAGE, R | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 2 * PAGE) == base + (16 + i) * PAGE);
		OK(close(fd));
		CHECK(!memcmp(own[i], "\177ELF", 4));
		CHECK(!memcmp(own[i] + 2 * PAGE, text, PAGE));
		CHECK(!memcmp(base + i * PAGE, text, PAGE));
		CHECK(!memcmp(base + (16 + i) * PAGE, text, PAGE));
		if (i % 2 == 0)
			memset(own[i] + 2 * PAGE, 7, PAGE);
	}
	CHECK(!memcmp(own[1] + 2 * PAGE, text, PAGE));
	STREQ(window(), "|r|r|r|r|r|r|r|r........|x|x|x|x|x|x|x|x");
	CHECK(strstr(maps, big_file()));
	for (int i = 0; i < 8; i++) {
		CHECK(left(own[i]));
		OK(munmap(own[i], 4 * PAGE));
		CHECK(!left(own[i]));
	}
}

/* What a descriptor may not be mapped for, whoever maps. */
CASE(mapped_as_it_may_be)
{
	char b[PAGE] = { 0 };
	int fd = OK(open("f", O_WRONLY | O_CREAT, 0644));

	setup();
	for (int i = 0; i < 20; i++)
		EQ(pwrite(fd, b, PAGE, 0), PAGE);
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, fd, 0), EACCES);
	ERR(mmap(NULL, PAGE, NONE, MAP_PRIVATE, fd, 0), EACCES);
	OK(close(fd));
	fd = OK(open("f", O_PATH));
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, fd, 0), EBADF);
	OK(close(fd));
	fd = OK(open("/", O_RDONLY));
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, fd, 0), ENODEV);
	OK(close(fd));
	fd = quiet_opened();
	ERR(mmap(NULL, PAGE, R, MAP_PRIVATE, fd, 5), EINVAL);
	ERR(mmap(NULL, PAGE, R, 0, fd, 0), EINVAL);
	ERR(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES);
	CHECK(mmap(base, PAGE, R, MAP_SHARED | MAP_FIXED, fd, 0) == base);
	ERR(protect_at(0, 1, RW), EACCES);
	STREQ(window(), "|r");
	for (int i = 0; i < 4; i++)
		map_at(1 + i, 1, RW);
	ERR(protect_at(0, 2, RW), EACCES);
	OK(unmap_at(0, 1));
	STREQ(window(), ".|wwww");
}

static void own_namespace(void)
{
	OK(unshare(CLONE_NEWNS));
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

CASE(folders)
{
	for (int i = 0; i < 20; i++) {
		int fd = OK(open("/etc", O_RDONLY | O_DIRECTORY)), n = 0;
		DIR *d = fdopendir(fd);
		struct stat st;

		CHECK(d);
		while (readdir(d))
			n++;
		CHECK(n > 3);
		OK(fstatat(fd, strrchr(quiet_file(), '/') + 1, &st, 0));
		OK(closedir(d));
		ERR(fstatat(fd, strrchr(quiet_file(), '/') + 1, &st, 0), EBADF);
		EQ(quiet_opened(), fd);
		ERR(fstatat(fd, strrchr(quiet_file(), '/') + 1, &st, 0), ENOTDIR);
		OK(close(fd));
	}
}

static int by_clone(void *arg)
{
	OK(close((int)(intptr_t)arg));
	return 0;
}

CASE(a_table_in_common)
{
	for (int i = 0; i < 20; i++) {
		int fd = quiet_opened(), second = quiet_opened();
		pid_t pid = OK(clone(by_clone, stack_ + sizeof stack_, CLONE_FILES | SIGCHLD, (void *)(intptr_t)fd));
		char b;

		EXITED(pid, 0);
		ERR(read(fd, &b, 1), EBADF);
		EQ(quiet_opened(), fd);
		OK(close(second));
		OK(close(fd));
		CHECK(!is_open(fd) && !is_open(second));
	}
}

/* A fork has what was open then. */
CASE(a_fork_has_its_own)
{
	for (int i = 0; i < 20; i++) {
		int gone = quiet_opened(), stays = quiet_opened(), p[2];
		pid_t pid;
		char b;

		OK(close(gone));
		pid = CHILD({
			CHECK(!is_open(gone) && is_open(stays));
			EQ(read(stays, &b, 1), 1);
			OK(close(stays));
		});
		EXITED(pid, 0);
		EQ(lseek(stays, 0, SEEK_CUR), 1);
		OK(pipe(p));
		pid = CHILD({
			hear(p[0]);
			EQ(read(stays, &b, 1), 1);
			EQ(lseek(stays, 0, SEEK_CUR), 2);
		});
		OK(close(stays));
		tell(p[1]);
		EXITED(pid, 0);
		OK(close(p[0]));
		OK(close(p[1]));
	}
}

/* --- locks, which hang on it */

static int locks(int fd, int type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &l);
}

/* Of another process. */
static bool is_locked(int fd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	OK(fcntl(fd, F_GETLK, &l));
	return l.l_type != F_UNLCK;
}

/* The lock goes with a dup, which was made before or after, and so does an open file's own with the last of them. */
CASE(locks_go_with_a_dup)
{
	int own = quiet_opened();
	pid_t pid;

	share_turn();
	for (int i = 0; i < 4; i++) {
		pass(0);
		pid = CHILD({
			int fd = quiet_opened(), other = i & 1 ? fcntl(fd, F_DUPFD, 30) : -1;

			if (i & 2)
				OK(flock(fd, LOCK_EX));
			else
				OK(locks(fd, F_RDLCK));
			if (other < 0)
				other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			if (i & 2)
				OK(close(fd));
			pass(1);
			await(2);
			OK(close(other));
			pass(3);
			compute();
		});
		await(1);
		if (i & 2)
			ERR(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		else
			CHECK(is_locked(own));
		pass(2);
		await(3);
		if (i & 2)
			OK(flock(own, LOCK_EX | LOCK_NB));
		else
			CHECK(!is_locked(own));
		OK(flock(own, LOCK_UN));
		end(pid);
	}
}

/*
 * Which one is closed, and when it was opened: all of a process's locks on the file go with any of its descriptors. `then` is closed before the lock
 * is looked for, by a process that computes from then on.
 */
static void lock_and_close(bool opened_before, bool close_other, bool used)
{
	int own = quiet_opened();
	char b;
	pid_t pid;

	pass(0);
	pid = CHILD({
		int other = opened_before ? quiet_opened() : -1, fd = quiet_opened();

		for (int i = 0; i < 3 && used; i++)
			EQ(pread(other < 0 ? fd : other, &b, 1, 0), 1);
		OK(locks(fd, F_RDLCK));
		if (other < 0)
			other = quiet_opened();
		EQ(pread(other, &b, 1, 0), 1);
		pass(1);
		await(2);
		OK(close(close_other ? other : fd));
		pass(3);
		compute();
	});
	await(1);
	CHECK(is_locked(own));
	pass(2);
	await(3);
	if (is_locked(own))
		FAIL("still locked (%d %d %d)", opened_before, close_other, used);
	OK(close(own));
	end(pid);
}

CASE(locks_go)
{
	share_turn();
	for (int i = 0; i < 8; i++)
		lock_and_close(i & 1, i & 2, i & 4);
}

CASE(flocks_go)
{
	int own = quiet_opened();
	pid_t pid;
	char b;

	share_turn();
	for (int i = 0; i < 6; i++) {
		pass(0);
		pid = CHILD({
			int fd = quiet_opened(), other = quiet_opened();

			EQ(pread(fd, &b, 1, 0), 1);
			OK(flock(fd, LOCK_EX));
			if (i % 3 == 1)
				OK(close(i > 3 ? dup(fd) : fcntl(fd, F_DUPFD, 0)));
			if (i % 3 == 2 && fork() == 0) {
				/* it has it, too, and closes it last */
				EQ(pread(fd, &b, 1, 0), 1);
				await(2);
				OK(close(fd));
				pass(3);
				compute();
			}
			OK(close(other)); /* this doesn't matter */
			if (i % 3 == 2)
				OK(close(fd));
			pass(1);
			if (i % 3 == 2)
				compute();
			await(2);
			OK(close(fd));
			pass(3);
			compute();
		});
		await(1);
		ERR(flock(own, LOCK_EX | LOCK_NB), EWOULDBLOCK);
		pass(2);
		await(3);
		OK(flock(own, LOCK_EX | LOCK_NB));
		OK(flock(own, LOCK_UN));
		end(pid);
	}
}

/* --- who looks from outside */

static bool has(pid_t pid, int fd)
{
	char path[64], target[PAGE];

	snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
	return readlink(path, target, sizeof target) > 0;
}

static bool lists(pid_t pid, int fd)
{
	char path[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	d = opendir(path);
	CHECK(d);
	while ((e = readdir(d)))
		found |= atoi(e->d_name) == fd && e->d_name[0] != '.';
	closedir(d);
	return found;
}

static bool opens(pid_t pid, int fd, const char *which)
{
	char path[64];
	int got;

	snprintf(path, sizeof path, "/proc/%d/%s/%d", pid, which, fd);
	got = open(path, O_RDONLY);
	if (got >= 0)
		close(got);
	return got >= 0;
}

static bool gets(pid_t pid, int fd)
{
	int pidfd = OK(syscall(SYS_pidfd_open, pid, 0)), got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	if (got < 0)
		EQ(errno, EBADF);
	else
		close(got);
	close(pidfd);
	return got >= 0;
}

static bool compares(pid_t pid, int fd)
{
	long ret = syscall(SYS_kcmp, pid, pid, 0, fd, fd);

	if (ret < 0 && errno == ENOSYS)
		return is_open(0) && lists(pid, fd);
	if (ret < 0)
		EQ(errno, EBADF);
	return ret >= 0;
}


CASE(seen_closed)
{
	pid_t pid;
	char b;

	share_turn();
	for (int i = 0; i < 12; i++) {
		int fd = quiet_opened();

		OK(close(fd));
		pass(0);
		pid = CHILD({
			int own = i < 6 ? (int)quiet_opened() : (int)OK(open("/etc", O_RDONLY));

			EQ(own, fd);
			if (i < 6)
				EQ(read(own, &b, 1), 1);
			pass(1);
			await(2);
			OK(close(own));
			pass(3);
			compute();
		});
		await(1);
		CHECK(has(pid, fd));
		pass(2);
		await(3);
		switch (i % 6) {
		case 0:
			CHECK(!has(pid, fd));
			break;
		case 1:
			CHECK(!lists(pid, fd));
			break;
		case 2:
			CHECK(!opens(pid, fd, "fd"));
			break;
		case 3:
			CHECK(!opens(pid, fd, "fdinfo"));
			break;
		case 4:
			CHECK(!gets(pid, fd));
			break;
		default:
			CHECK(!compares(pid, fd));
		}
		end(pid);
	}
}

/* Again and again: whoever comes by to be heard may be asked for in the middle of that. */
CASE(seen_closed_each_time)
{
	enum { ROUNDS = 200 };
	int fd = quiet_opened();
	pid_t pid;

	OK(close(fd));
	share_turn();
	pid = CHILD({
		for (int i = 0; i < ROUNDS; i++) {
			EQ(quiet_opened(), fd);
			OK(close(fd));
			pass(2 * i + 1);
			await(2 * i + 2);
		}
	});
	for (int i = 0; i < ROUNDS; i++) {
		await(2 * i + 1);
		if (has(pid, fd))
			FAIL("still open, round %d", i);
		pass(2 * i + 2);
	}
	EXITED(pid, 0);
}

/* The end of a mount on which somebody has just closed its last file. */
static void closes_on(const char *path)
{
	int at = open(path, O_RDONLY | O_PATH);
	pid_t pid;
	char b;

	OK(close(at));
	pass(0);
	pid = CHILD({
		int fd = OK(open(path, O_RDONLY));

		if (pread(fd, &b, 1, 0) < 0)
			EQ(errno, EISDIR);
		pass(1);
		await(2);
		OK(close(fd));
		pass(3);
		compute();
	});
	await(1);
	ERR(umount2("m", 0), EBUSY);
	pass(2);
	await(3);
	OK(umount2("m", 0));
	end(pid);
}

CASE(a_mount_ends)
{
	share_turn();
	own_namespace();
	OK(mkdir("m", 0755));
	for (int i = 0; i < 4; i++) {
		char path[100];

		OK(mount("none", "m", "tmpfs", 0, NULL));
		put_file("m/f", "some bytes", 0644);
		closes_on(i % 2 ? "m" : "m/f");
		OK(mount("/etc", "m", NULL, MS_BIND, NULL));
		snprintf(path, sizeof path, "m/%s", strrchr(quiet_file(), '/') + 1);
		closes_on(i % 2 ? "m" : path);
	}
}

/* --- watches */

static unsigned seed;

static uint32_t next_event(int in)
{
	static char buf[4096] __attribute__((aligned(8)));
	const struct inotify_event *e = (const struct inotify_event *)buf;
	ssize_t n = read(in, buf, sizeof buf);

	if (n < 0) {
		EQ(errno, EAGAIN);
		return 0;
	}
	EQ(n, sizeof *e + e->len);
	return e->mask & ~IN_ISDIR;
}

/* A folder with a file like that in it, another one each time: on the oracle those who run this elsewhere are heard, too. */
static void choose(char folder[PATH_MAX], char file[PATH_MAX])
{
	static const char docs[] = "/usr/share/doc";
	DIR *d = opendir(docs);
	struct dirent *e;
	unsigned n = 0;

	seed = seed ?: now_ns();
	strcpy(folder, "/etc");
	strcpy(file, quiet_file());
	while (d && (e = readdir(d))) {
		char name[PATH_MAX];

		snprintf(name, sizeof name, "%s/%s/copyright", docs, e->d_name);
		if (access(name, R_OK) || rand_r(&seed) / 7 % ++n)
			continue;
		strcpy(file, name);
		*strrchr(strcpy(folder, name), '/') = 0;
	}
	if (d)
		closedir(d);
}

/* Set before it is closed, or after: by then the other one has closed it, whoever has heard of it. */
static void watched(const char *path, const char *what, bool before)
{
	int in = OK(inotify_init1(IN_NONBLOCK));
	pid_t pid;

	pass(0);
	pid = CHILD({
		int fd = OK(open(path, O_RDONLY));

		pass(1);
		await(2);
		OK(close(fd));
		pass(3);
		await(4);
		OK(close(dup(0)));
		pass(5);
		compute();
	});
	await(1);
	if (before)
		OK(inotify_add_watch(in, what, IN_CLOSE));
	pass(2);
	await(3);
	if (before)
		EQ(next_event(in), IN_CLOSE_NOWRITE);
	else
		OK(inotify_add_watch(in, what, IN_CLOSE));
	pass(4);
	await(5);
	EQ(next_event(in), 0);
	OK(close(in));
	end(pid);
}

CASE(watched_before)
{
	char folder[PATH_MAX], file[PATH_MAX];

	share_turn();
	for (int i = 0; i < 4; i++) {
		choose(folder, file);
		watched(file, file, true);
		watched(file, folder, true);
		watched(folder, folder, true);
	}
}

CASE(watched_after)
{
	char folder[PATH_MAX], file[PATH_MAX];

	share_turn();
	for (int i = 0; i < 4; i++) {
		choose(folder, file);
		watched(file, file, false);
		watched(file, folder, false);
		watched(folder, folder, false);
	}
}
