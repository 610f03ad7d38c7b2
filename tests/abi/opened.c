/*
 * What a file is, asked just after it was opened, and something that changes the answer in between: a kernel, or whoever stands in for it, may know
 * the answer beforehand, but it must not be an old one, nor one of a file that the descriptor isn't any more. Who asks makes no other call meanwhile: it waits in
 * shared memory. What is true is asked for by another call.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <linux/stat.h>

#include "others.h"

enum { OFTEN = 6, BIG = 200 << 10 };

static void setup(void)
{
	umask(022);
	share_turn();
	put_file("f", "a few", 0644);
	put_file("g", "other bytes", 0600);
	put_file("big", "", 0644);
	OK(truncate("big", BIG));
	OK(link("f", "h"));
	OK(mkdir("d", 0755));
	put_file("d/x", "x", 0644);
}

static long ask(int fd, struct stat *st, int which)
{
	memset(st, 0x55, sizeof *st);
	return which & 1 ? syscall(SYS_fstat, fd, st) : syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

/* As one does who asks of each file. */
static int open_and_ask(const char *path, int flags)
{
	struct stat st;

	for (int i = 0; i < OFTEN; i++) {
		int fd = OK(open(path, O_RDONLY));

		OK(ask(fd, &st, i));
		close(fd);
	}
	return OK(open(path, flags));
}

static void must_be_true(const char *what, int fd, int which)
{
	struct statx x;
	struct stat st;

	OK(ask(fd, &st, which));
	OK(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x));
#define SAME(a, b) \
	if (st.st_##a != (__typeof__(st.st_##a))x.stx_##b) \
		FAIL("%s: " #a " is %lld, not %lld", what, (long long)st.st_##a, (long long)x.stx_##b)
	SAME(ino, ino);
	SAME(mode, mode);
	SAME(nlink, nlink);
	SAME(uid, uid);
	SAME(gid, gid);
	SAME(size, size);
	SAME(blksize, blksize);
	SAME(blocks, blocks);
	SAME(atim.tv_sec, atime.tv_sec);
	SAME(atim.tv_nsec, atime.tv_nsec);
	SAME(mtim.tv_sec, mtime.tv_sec);
	SAME(mtim.tv_nsec, mtime.tv_nsec);
	SAME(ctim.tv_sec, ctime.tv_sec);
	SAME(ctim.tv_nsec, ctime.tv_nsec);
#undef SAME
	EQ(st.st_dev, makedev(x.stx_dev_major, x.stx_dev_minor));
	EQ(st.st_rdev, makedev(x.stx_rdev_major, x.stx_rdev_minor));
}

static ino_t ino_of(const char *path)
{
	struct stat st;

	OK(stat(path, &st));
	return st.st_ino;
}

/* Is it this file? 0: it is none. */
static void must_be(int fd, ino_t ino, int which)
{
	struct stat st;

	if (!ino)
		ERR(ask(fd, &st, which), EBADF);
	else
		OK(ask(fd, &st, which));
	if (ino)
		EQ(st.st_ino, ino);
}

/* --- another process changes the file */
static void c_nothing(void) {}
static void c_write(void) { put_file("h", "longer than before", 0644); }
static void c_append(void) { EQ(write(OK(open("f", O_WRONLY | O_APPEND)), "more", 4), 4); }
static void c_write_within(void) { EQ(write(OK(open("f", O_WRONLY)), "z", 1), 1); }
static void c_truncate(void) { OK(truncate("f", 2)); }
static void c_truncate_long(void) { OK(truncate("h", BIG)); }
static void c_open_trunc(void) { OK(open("f", O_WRONLY | O_TRUNC)); }
static void c_chmod(void) { OK(chmod("f", 0400)); }
static void c_fchmod(void) { OK(fchmod(OK(open("h", O_RDONLY)), 0711)); }
static void c_chown(void) { OK(chown("f", 17, 18)); }
static void c_link(void) { OK(link("f", "n")); }
static void c_unlink(void) { OK(unlink("f")); }
static void c_unlink_other(void) { OK(unlink("h")); }
static void c_unlink_both(void) { OK(unlink("f")); OK(unlink("h")); }
static void c_unlink_create(void) { OK(unlink("f")); put_file("f", "again", 0600); }
static void c_rename(void) { OK(rename("f", "d/f")); }
static void c_rename_over(void) { OK(rename("g", "f")); }
static void c_exchange(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", 2)); }
static void c_utimes(void) { OK(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 17, 18 }, { 19, 20 } }, 0)); }
static void c_touch(void) { OK(utimensat(AT_FDCWD, "h", NULL, 0)); }
static void c_setxattr(void) { if (setxattr("f", "user.x", "y", 1, 0) < 0) CHECK(errno == EOPNOTSUPP || errno == EPERM); }
static void c_fallocate(void) { if (fallocate(OK(open("f", O_WRONLY)), 0, 0, 10000) < 0) EQ(errno, EOPNOTSUPP); }
static void c_read(void) { char c; EQ(read(OK(open("f", O_RDONLY)), &c, 1), 1); }
static void c_map(void)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, OK(open("f", O_RDWR)), 0);

	CHECK(p != MAP_FAILED);
	p[0] = 'm';
	OK(msync(p, 4096, MS_SYNC));
}
static void c_write_big(void) { EQ(pwrite(OK(open("big", O_WRONLY)), "y", 1, 2 * BIG), 1); }
static void c_write_big_often(void)
{
	int fd = OK(open("big", O_RDWR));
	char page[4096] = "p";

	for (int i = 0; i < 100; i++)
		EQ(pwrite(fd, page, sizeof page, i % 16 * sizeof page), sizeof page);
}
static void c_create(void) { put_file("d/n", "", 0600); }
static void c_mkdir(void) { OK(mkdir("d/n", 0700)); }
static void c_unlink_in(void) { OK(unlink("d/x")); }
static void c_chmod_dir(void) { OK(chmod("d", 0700)); }
static void c_rename_dir(void) { OK(rename("d", "d2")); }
static void c_rmdir(void) { OK(unlink("d/x")); OK(rmdir("d")); }

static void p_old_atime(void) { OK(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 17, 18 }, { 0, UTIME_NOW } }, 0)); }

static const struct change {
	const char *name, *path;
	void (*make)(void), (*prepare)(void);
} changes[] = {
	{ "nothing", "f", c_nothing, 0 },
	{ "write", "f", c_write, 0 },
	{ "append", "f", c_append, 0 },
	{ "write of what is there", "f", c_write_within, 0 },
	{ "truncate", "f", c_truncate, 0 },
	{ "truncate, longer", "f", c_truncate_long, 0 },
	{ "O_TRUNC", "h", c_open_trunc, 0 },
	{ "chmod", "f", c_chmod, 0 },
	{ "fchmod", "f", c_fchmod, 0 },
	{ "chown", "f", c_chown, 0 },
	{ "link", "f", c_link, 0 },
	{ "unlink", "f", c_unlink, 0 },
	{ "unlink of another link", "f", c_unlink_other, 0 },
	{ "unlink of both", "f", c_unlink_both, 0 },
	{ "unlink of the only one", "g", c_rename_over, 0 },
	{ "unlink, create", "f", c_unlink_create, 0 },
	{ "rename", "f", c_rename, 0 },
	{ "rename over", "f", c_rename_over, 0 },
	{ "exchange", "f", c_exchange, 0 },
	{ "utimes", "f", c_utimes, 0 },
	{ "touch", "f", c_touch, 0 },
	{ "setxattr", "f", c_setxattr, 0 },
	{ "fallocate", "f", c_fallocate, 0 },
	{ "read", "f", c_read, p_old_atime },
	{ "write to a mapping", "f", c_map, 0 },
	{ "write to a big one", "big", c_write_big, 0 },
	{ "writes to a big one", "big", c_write_big_often, 0 },
	{ "create", "d", c_create, 0 },
	{ "mkdir", "d", c_mkdir, 0 },
	{ "unlink in a folder", "d", c_unlink_in, 0 },
	{ "chmod of a folder", "d", c_chmod_dir, 0 },
	{ "rename of a folder", "d", c_rename_dir, 0 },
	{ "rmdir", "d", c_rmdir, 0 },
};

static void try_one(const struct change *c, int which)
{
	struct stat st;
	pid_t p;
	int fd;

	setup();
	if (c->prepare)
		c->prepare();
	p = CHILD({
		await(1);
		c->make();
		pass(2);
	});
	fd = open_and_ask(c->path, O_RDONLY);
	if (which & 2)
		OK(ask(fd, &st, which));
	pass(1);
	await(2);
	must_be_true(c->name, fd, which);
	must_be_true(c->name, fd, which + 1);
	EXITED(p, 0);
}

CASE(another_process_changes_the_file)
{
	char name[32];

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		for (int which = 0; which < 4; which++) {
			int st = 0;
			pid_t p;

			snprintf(name, sizeof name, "t%zu-%d", i, which);
			OK(mkdir(name, 0755));
			p = CHILD({
				OK(chdir(name));
				try_one(&changes[i], which);
			});
			OK(waitpid(p, &st, 0));
			if (st)
				FAIL("%s: wait status 0x%x", changes[i].name, st);
		}
}

/* And who asks changes it by itself. */
CASE(itself_changes_the_file)
{
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char name[32];

		snprintf(name, sizeof name, "t%zu", i);
		OK(mkdir(name, 0755));
		EXITED(CHILD({
			int fd;

			OK(chdir(name));
			setup();
			if (changes[i].prepare)
				changes[i].prepare();
			fd = open_and_ask(changes[i].path, O_RDONLY);
			changes[i].make();
			must_be_true(changes[i].name, fd, i);
		}), 0);
	}
}

CASE(itself_by_the_descriptor)
{
	char bytes[8];
	int fd;

	setup();
	fd = open_and_ask("f", O_RDWR);
	EQ(write(fd, "longer than it was", 18), 18);
	must_be_true("write", fd, 0);
	fd = open_and_ask("f", O_RDWR);
	OK(ftruncate(fd, 1));
	must_be_true("ftruncate", fd, 1);
	fd = open_and_ask("f", O_RDWR);
	OK(fchmod(fd, 0600));
	must_be_true("fchmod", fd, 0);
	fd = open_and_ask("f", O_RDWR);
	OK(futimens(fd, (struct timespec[]){ { 17, 18 }, { 19, 20 } }));
	must_be_true("futimens", fd, 1);
	for (int which = 0; which < 2; which++) {
		p_old_atime();
		fd = open_and_ask("f", O_RDONLY);
		EQ(read(fd, bytes, 1), 1);
		must_be_true("read", fd, which);
		p_old_atime();
		fd = open_and_ask("f", O_RDONLY);
		EQ(pread(fd, bytes, 1, 0), 1);
		must_be_true("pread", fd, which);
	}
	fd = open_and_ask("f", O_RDWR | O_TRUNC);
	must_be_true("O_TRUNC", fd, 0);
}

/* Calls as come in between. */
CASE(what_changes_nothing)
{
	struct stat st, other;
	char bytes[8];
	int fd, n;

	setup();
	for (int which = 0; which < 2; which++) {
		fd = open_and_ask("f", O_RDONLY);
		EQ(read(fd, bytes, 3), 3);
		OK(ask(fd, &st, which));
		EQ(st.st_ino, ino_of("f"));
		fd = open_and_ask("f", O_RDONLY);
		EQ(lseek(fd, 2, SEEK_SET), 2);
		ERR(ioctl(fd, TIOCGWINSZ, bytes), ENOTTY);
		OK(ask(0, &other, which));
		OK(stat("g", &other));
		CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
		OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
		n = OK(fcntl(fd, F_DUPFD, 50));
		OK(ask(fd, &st, which));
		EQ(st.st_ino, ino_of("f"));
		EQ(st.st_size, 5);
		must_be(n, ino_of("f"), which);
	}
}

/* --- the descriptor becomes another file's */
CASE(itself_changes_the_descriptor)
{
	ino_t f, g;
	int other;

	setup();
	f = ino_of("f");
	g = ino_of("g");
	other = OK(open("g", O_RDONLY));
	for (int which = 0; which < 4; which++) {
		int fd = open_and_ask("f", O_RDONLY), second;
		struct stat st;

		if (which & 2)
			OK(ask(fd, &st, which));
		OK(dup2(other, fd));
		must_be(fd, g, which);
		close(fd);
		must_be(fd, 0, which);
		fd = open_and_ask("f", O_RDONLY);
		OK(syscall(SYS_dup3, other, fd, O_CLOEXEC));
		must_be(fd, g, which);
		close(fd);
		fd = open_and_ask("f", O_RDONLY);
		OK(syscall(SYS_close_range, fd, ~0u, 0));
		must_be(fd, 0, which);
		fd = open_and_ask("f", O_RDONLY);
		close(fd);
		must_be(fd, 0, which);
		fd = open_and_ask("f", O_RDONLY);
		close(fd);
		EQ(open("g", O_RDONLY), fd);
		must_be(fd, g, which);
		second = OK(open("f", O_RDONLY));
		must_be(fd, g, which);
		must_be(second, f, which);
		must_be(fd, g, which);
		close(second);
		close(fd);
		fd = open_and_ask("f", O_RDONLY);
		ERR(open("none", O_RDONLY), ENOENT);
		must_be(fd, f, which);
		close(fd);
		EQ(dup(other), fd);
		must_be(fd, g, which);
		close(fd);
	}
}

static int taken, others;

static void on_usr1(int sig)
{
	(void)sig;
	dup2(others, taken);
}

CASE(a_signal_handler_changes_the_descriptor)
{
	pid_t self = getpid(), p;

	setup();
	CHECK(signal(SIGUSR1, on_usr1) != SIG_ERR);
	others = OK(open("g", O_RDONLY));
	for (int which = 0; which < 2; which++) {
		pass(0);
		p = CHILD({
			await(1);
			OK(kill(self, SIGUSR1));
			pass(2);
		});
		taken = open_and_ask("f", O_RDONLY);
		pass(1);
		await(2);
		must_be(taken, ino_of("g"), which);
		close(taken);
		while (waitpid(p, NULL, 0) < 0)
			EQ(errno, EINTR);
	}
}

/* Each round: the descriptor that lies in `taken` becomes g's, or is closed. */
static void *change_shared(void *arg)
{
	for (int round = 0; round < (int)(intptr_t)arg; round++) {
		await(2 * round + 1);
		if (round % 2)
			OK(dup2(others, taken));
		else
			close(taken);
		pass(2 * round + 2);
	}
	return NULL;
}

static void with_shared_table(int rounds)
{
	const ino_t g = ino_of("g");

	for (int round = 0; round < rounds; round++) {
		struct stat st;

		taken = open_and_ask("f", O_RDONLY);
		if (round & 2)
			OK(ask(taken, &st, round));
		pass(2 * round + 1);
		await(2 * round + 2);
		must_be(taken, round % 2 ? g : 0, round / 4);
		if (round % 2)
			close(taken);
	}
}

CASE(a_thread_changes_the_descriptor)
{
	pthread_t t;

	setup();
	others = OK(open("g", O_RDONLY));
	for (int i = 0; i < 3; i++) {
		pass(0);
		CHECK(!pthread_create(&t, NULL, change_shared, (void *)8));
		with_shared_table(8);
		CHECK(!pthread_join(t, NULL));
		must_be(open_and_ask("f", O_RDONLY), ino_of("f"), i);
	}
}

/* It has another memory, so `taken` is the number that it will be. */
static pid_t sharing(void (*then)(void))
{
	pid_t p = OK(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));

	if (p == 0) {
		then();
		_exit(0);
	}
	return p;
}

static void eight_rounds(void)
{
	change_shared((void *)8);
}

static void one_round(void)
{
	change_shared((void *)1);
}

static void own_table(void)
{
	OK(unshare(CLONE_FILES));
	one_round();
}

CASE(a_process_that_shares_the_table_changes_the_descriptor)
{
	pid_t p;

	setup();
	others = OK(open("g", O_RDONLY));
	taken = OK(dup(others));
	close(taken);
	p = sharing(eight_rounds);
	with_shared_table(8);
	EXITED(p, 0);
	for (int which = 0; which < 2; which++) { /* since after the open */
		pass(0);
		taken = open_and_ask("f", O_RDONLY);
		p = sharing(one_round);
		pass(1);
		await(2);
		must_be(taken, 0, which);
		EXITED(p, 0);
		pass(0);
		taken = open_and_ask("f", O_RDONLY);
		p = sharing(own_table);
		pass(1);
		await(2);
		must_be(taken, ino_of("f"), which);
		close(taken);
		EXITED(p, 0);
	}
}

/* Its own table, and the other's has another file there. */
static void *apart(void *arg)
{
	OK(unshare(CLONE_FILES));
	for (int round = 0; round < (int)(intptr_t)arg; round++) {
		int fd = open_and_ask("f", O_RDONLY);

		pass(2 * round + 1);
		await(2 * round + 2);
		must_be(fd, ino_of("f"), round);
		if (round % 2)
			close(fd);
	}
	return NULL;
}

CASE(a_thread_with_its_own_table)
{
	pthread_t t;

	setup();
	CHECK(!pthread_create(&t, NULL, apart, (void *)8));
	for (int round = 0; round < 8; round++) {
		int fd;

		await(2 * round + 1);
		fd = open_and_ask("g", O_RDONLY);
		must_be(fd, ino_of("g"), round);
		pass(2 * round + 2);
		must_be(fd, ino_of("g"), round);
		if (round % 2 == 0)
			close(fd);
	}
	CHECK(!pthread_join(t, NULL));
}

/* --- a directory's end */
static int entries(int fd, size_t cap)
{
	char buf[4096];
	long n = OK(syscall(SYS_getdents64, fd, buf, cap)), count = 0;

	for (long at = 0; at < n; at += *(unsigned short *)(buf + at + 16))
		count++;
	return (int)count;
}

static int all_entries(int fd)
{
	int all = 0, n;

	while ((n = entries(fd, 4096)))
		all += n;
	return all;
}

/* One of the system's, that nobody changes, and with a number of entries that one call reads. */
static const char *quiet_dir(int *out_has)
{
	static const char *const dirs[] = { "/etc/apt", "/etc/init.d", "/etc/security", "/etc/skel", "/etc/default", "/etc" };
	const char *found = "d";

	*out_has = 3;
	for (size_t i = 0; i < sizeof dirs / sizeof *dirs && *found != '/'; i++) {
		int fd = open(dirs[i], O_RDONLY | O_DIRECTORY), has = fd < 0 ? 0 : entries(fd, 4096);

		if (has > 2 && !entries(fd, 4096)) {
			found = dirs[i];
			*out_has = has;
		}
		close(fd);
	}
	return found;
}

/* Read to its end, and that once more where asked. */
static int read_to_end(const char *path, int has, int more)
{
	struct stat st;
	int fd = open_and_ask(path, O_RDONLY | O_DIRECTORY);

	OK(fstat(fd, &st));
	EQ(entries(fd, 4096), has);
	while (more--)
		EQ(entries(fd, 4096), 0);
	return fd;
}

CASE(the_end_of_a_directory)
{
	struct stat st;
	char *none;
	int fd, other, has = 3;

	setup();
	none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 8; i++) {
		const int more = i & 1;
		const char *const d = i & 2 ? quiet_dir(&has) : (has = 3, "d");

		fd = read_to_end(d, has, more);
		EQ(entries(fd, 4096), 0);
		EQ(syscall(SYS_getdents64, fd, none, 4096), 0);
		EQ(syscall(SYS_getdents64, fd, NULL, 64), 0);
		OK(lseek(fd, 0, SEEK_SET));
		EQ(all_entries(fd), has);
		EQ(entries(fd, 4096), 0);
		OK(fstat(fd, &st));
		EQ(entries(fd, 4096), 0);
		OK(fstatat(fd, "..", &st, 0));
		EQ(entries(fd, 4096), 0);
		other = OK(fcntl(fd, F_DUPFD_CLOEXEC, 0));
		EQ(entries(fd, 4096), 0);
		EQ(entries(other, 4096), 0);
		OK(lseek(other, 0, SEEK_SET));
		EQ(all_entries(fd), has);
		close(other);
		EQ(entries(fd, 4096), 0);
		close(fd);
		ERR(syscall(SYS_getdents64, fd, none, 4096), EBADF);
		EQ(open(d, O_RDONLY), fd);
		EQ(all_entries(fd), has);
		close(fd);
		EQ(open("f", O_RDONLY), fd);
		ERR(syscall(SYS_getdents64, fd, none, 4096), ENOTDIR);
		close(fd);
		fd = read_to_end(d, has, more);
		OK(dup2(OK(open(d, O_RDONLY)), fd));
		EQ(all_entries(fd), has);
		fd = open_and_ask("d", O_RDONLY);
		for (int k = 0; k < 3; k++)
			EQ(entries(fd, 24), 1);
		EQ(entries(fd, 24), 0);
		fd = open_and_ask(d, O_RDONLY);
		ERR(syscall(SYS_getdents64, fd, none, 8), EINVAL);
		EQ(all_entries(fd), has);
		fd = read_to_end("d", 3, more);
		OK(fstatat(fd, "x", &st, 0));
		put_file("d/new", "", 0600);
		OK(lseek(fd, 0, SEEK_SET));
		EQ(all_entries(fd), 4);
		OK(unlink("d/new"));
		EQ(entries(fd, 4096), 0);
	}
}

static void rewinds(void)
{
	await(1);
	OK(lseek(taken, 0, SEEK_SET));
	pass(2);
	await(3);
	OK(lseek(taken, 0, SEEK_SET));
	pass(4);
}

static void is_rewound(int has)
{
	pass(1);
	await(2);
	EQ(entries(taken, 4096), has);
	pass(3);
	await(4);
	EQ(all_entries(taken), has);
	pass(0);
}

static void *rewinds_too(void *arg)
{
	rewinds();
	return arg;
}

CASE(others_rewind_the_directory)
{
	setup();
	for (int i = 0; i < 16; i++) {
		int has = 3;
		const char *const d = i & 1 ? quiet_dir(&has) : "d";
		volatile int *number = turn + 1;
		pthread_t t;
		pid_t p = 0;

		if (i / 4 != 3)
			taken = read_to_end(d, has, i & 2);
		switch (i / 4) {
		case 0:
			p = CHILD({ rewinds(); });
			is_rewound(has);
			break;
		case 1:
			CHECK(!pthread_create(&t, NULL, rewinds_too, NULL));
			is_rewound(has);
			CHECK(!pthread_join(t, NULL));
			break;
		case 2:
			p = sharing(rewinds);
			is_rewound(has);
			break;
		case 3:
			p = CHILD({
				*number = taken = read_to_end(d, has, i & 2);
				pass(10);
				await(11);
				is_rewound(has);
			});
			await(10);
			taken = OK(syscall(SYS_pidfd_getfd, OK(syscall(SYS_pidfd_open, p, 0)), *number, 0));
			pass(11);
			rewinds();
		}
		if (p)
			EXITED(p, 0);
	}
}

/* A forked process has descriptors of its own. */
CASE(fork_after_the_open)
{
	ino_t f, g;

	setup();
	f = ino_of("f");
	g = ino_of("g");
	others = OK(open("g", O_RDONLY));
	for (int which = 0; which < 4; which++) {
		pid_t p;

		pass(0);
		taken = open_and_ask("f", O_RDONLY);
		p = CHILD({
			if (which & 2)
				must_be(taken, f, which);
			OK(dup2(others, taken));
			pass(1);
			must_be(taken, g, which);
			close(taken);
			must_be(taken, 0, which);
			must_be(open_and_ask("f", O_RDONLY), f, which);
			await(2);
			must_be(others, g, which);
		});
		await(1);
		must_be(taken, f, which);
		close(taken);
		must_be(taken, 0, which);
		pass(2);
		EXITED(p, 0);
	}
}

void abi_helper(int argc, char **argv)
{
	if (argc != 5 || strcmp(argv[1], "--is"))
		return;
	must_be(atoi(argv[2]), strtoull(argv[3], NULL, 10), atoi(argv[4]));
	_exit(0);
}

static void exec_after(int flags, bool by_vfork, int which)
{
	char fd[16], ino[32], how[16];
	pid_t p;
	int n;

	snprintf(ino, sizeof ino, "%llu", flags & O_CLOEXEC ? 0 : (unsigned long long)ino_of("f"));
	snprintf(how, sizeof how, "%d", which);
	p = by_vfork ? vfork() : fork();
	if (p == 0) {
		n = open_and_ask("f", flags);
		snprintf(fd, sizeof fd, "%d", n);
		execl("/proc/self/exe", "opened", "--is", fd, ino, how, NULL);
		_exit(3);
	}
	EXITED(p, 0);
}

CASE(exec_after_the_open)
{
	setup();
	for (int which = 0; which < 2; which++) {
		exec_after(O_RDONLY, false, which);
		exec_after(O_RDONLY | O_CLOEXEC, false, which);
		exec_after(O_RDONLY, true, which);
		exec_after(O_RDONLY | O_CLOEXEC, true, which);
	}
}

/* --- how it is asked */
CASE(arguments)
{
	char *pages, *none;
	struct stat st;
	int fd;

	setup();
	pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED);
	none = pages + 4096;
	OK(munmap(none, 4096));
	for (int i = 0; i < OFTEN; i++) {
		fd = open_and_ask("d", O_RDONLY | O_DIRECTORY);
		ERR(syscall(SYS_fstat, fd, NULL), EFAULT);
		ERR(syscall(SYS_fstat, fd, none - sizeof(st) / 2), EFAULT);
		ERR(syscall(SYS_fstat, fd, -64L), EFAULT);
		ERR(syscall(SYS_newfstatat, fd, "", none, AT_EMPTY_PATH), EFAULT);
		ERR(syscall(SYS_newfstatat, fd, none, &st, AT_EMPTY_PATH), EFAULT);
		ERR(syscall(SYS_newfstatat, fd, "", &st, 0), ENOENT);
		ERR(syscall(SYS_newfstatat, fd, "", &st, AT_SYMLINK_NOFOLLOW), ENOENT);
		ERR(syscall(SYS_newfstatat, fd, "none", &st, AT_EMPTY_PATH), ENOENT);
		OK(syscall(SYS_newfstatat, fd, "x", &st, AT_EMPTY_PATH));
		EQ(st.st_ino, ino_of("d/x"));
		OK(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT));
		EQ(st.st_ino, ino_of("d"));
		OK(syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
		EQ(st.st_ino, ino_of("."));
		close(fd);
		fd = open_and_ask("f", O_RDONLY);
		OK(syscall(SYS_fstat, fd | 0x700000000l, none - sizeof(st)));
		ERR(syscall(SYS_newfstatat, fd, "x", &st, AT_EMPTY_PATH), ENOTDIR);
		ERR(syscall(SYS_fstat, -1, &st), EBADF);
		ERR(syscall(SYS_fstat, fd + 1, &st), EBADF);
		must_be(fd, ino_of("f"), i);
		close(fd);
		fd = open_and_ask("f", O_PATH);
		must_be_true("O_PATH", fd, i);
		close(fd);
	}
}

/* What isn't a file of a folder. */
CASE(other_files)
{
	static const char *const paths[] = { "/dev/null", "/dev/zero", "/proc/self/status", "/proc/self/exe", "/proc", "/" };

	setup();
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		for (int which = 0; which < 2; which++) {
			int fd = open_and_ask(paths[i], O_RDONLY);

			must_be_true(paths[i], fd, which);
			close(fd);
		}
}

/* Who has opened many files without asking asks again. */
CASE(now_and_then)
{
	setup();
	for (int i = 0; i < 200; i++) {
		int fd = OK(open(i % 2 ? "f" : "g", O_RDONLY));

		if (i % 7 == 3 || i > 150)
			must_be(fd, ino_of(i % 2 ? "f" : "g"), i);
		close(fd);
	}
}
