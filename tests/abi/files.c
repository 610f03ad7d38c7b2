/* Files and names: open and its flags, links, permissions, times, renames, holes, folders, attributes, copies. */
#include "abi.h"
#include <sys/socket.h>
#include <sys/eventfd.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/signalfd.h>
#include <sys/inotify.h>
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static off_t size_of(const char *path)
{
	struct stat st;

	OK(stat(path, &st));
	return st.st_size;
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	OK(lstat(path, &st));
	return st.st_mode;
}

CASE(open_flags)
{
	int fd;
	char b[8];

	ERR(open("f", O_RDONLY), ENOENT);
	fd = OK(open("f", O_WRONLY | O_CREAT | O_EXCL, 0640));
	ERR(open("f", O_WRONLY | O_CREAT | O_EXCL, 0640), EEXIST);
	EQ(write(fd, "abcdef", 6), 6);
	ERR(read(fd, b, 1), EBADF);
	close(fd);
	fd = OK(open("f", O_RDONLY));
	ERR(write(fd, "x", 1), EBADF);
	ERR(ftruncate(fd, 0), EINVAL);
	fd = OK(open("f", O_WRONLY | O_APPEND));
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(write(fd, "gh", 2), 2);
	EQ(lseek(fd, 0, SEEK_CUR), 8);
	EQ(size_of("f"), 8);
	close(OK(open("f", O_RDWR | O_TRUNC)));
	EQ(size_of("f"), 0);
	OK(mkdir("d", 0755));
	ERR(open("d", O_WRONLY), EISDIR);
	ERR(open("d", O_RDWR | O_CREAT, 0600), EISDIR);
	ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	ERR(open("f/x", O_RDONLY), ENOTDIR);
	ERR(open("d/", O_CREAT | O_RDWR, 0600), EISDIR);
	ERR(open("new/", O_CREAT | O_RDWR, 0600), EISDIR);
	ERR(open("f/", O_RDONLY), ENOTDIR);
	ERR(open("", O_RDONLY), ENOENT);
	fd = OK(open("f", O_RDONLY | O_CLOEXEC));
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
}

CASE(lowest_descriptor)
{
	int a = OK(open("/dev/null", O_RDONLY)), b = OK(open("/dev/null", O_RDONLY));

	EQ(b, a + 1);
	close(a);
	EQ(open("/dev/null", O_RDONLY), a);
	EQ(dup(a), b + 1);
	EQ(dup2(a, 50), 50);
	EQ(dup2(a, a), a);
	ERR(dup2(99, 3), EBADF);
	ERR(dup2(a, -1), EBADF);
	EQ(dup3(a, 51, O_CLOEXEC), 51);
	EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
	ERR(dup3(a, a, 0), EINVAL);
	EQ(fcntl(a, F_DUPFD, 60), 60);
	ERR(fcntl(a, F_DUPFD, -1), EINVAL);
	ERR(fcntl(a, 9999), EINVAL);
	ERR(close(99), EBADF);
	OK(syscall(SYS_close_range, 50, 60, 0));
	ERR(fcntl(50, F_GETFD), EBADF);
	ERR(syscall(SYS_close_range, 60, 50, 0), EINVAL);
}

CASE(descriptor_limit)
{
	struct rlimit rl = { 20, 20 };
	int fd = -1, n = 0;

	OK(setrlimit(RLIMIT_NOFILE, &rl));
	while ((fd = open("/dev/null", O_RDONLY)) >= 0) {
		CHECK(fd < 20);
		n++;
	}
	EQ(errno, EMFILE);
	CHECK(n > 10);
	ERR(dup2(0, 20), EBADF);
	ERR(fcntl(0, F_DUPFD, 20), EINVAL);
}

CASE(seek_and_offsets)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600)), d;
	char b[8];

	EQ(write(fd, "0123456789", 10), 10);
	EQ(lseek(fd, -3, SEEK_END), 7);
	EQ(read(fd, b, 8), 3);
	EQ(read(fd, b, 8), 0);
	EQ(lseek(fd, 100, SEEK_SET), 100);
	EQ(read(fd, b, 8), 0);
	EQ(write(fd, "x", 1), 1);
	EQ(size_of("f"), 101);
	EQ(pread(fd, b, 2, 50), 2);
	EQ(b[0], 0);
	ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	ERR(lseek(fd, 0, 99), EINVAL);
	ERR(pread(fd, b, 1, -1), EINVAL);
	d = OK(dup(fd));
	OK(lseek(d, 5, SEEK_SET));
	EQ(lseek(fd, 0, SEEK_CUR), 5);
	EQ(pwrite(fd, "AB", 2, 0), 2);
	EQ(lseek(fd, 0, SEEK_CUR), 5);
}

CASE(vectors)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	char a[4], b[8] = "";
	struct iovec o[2] = { { "abcd", 4 }, { "efg", 3 } }, i[2] = { { a, 4 }, { b, 7 } };

	EQ(writev(fd, o, 2), 7);
	EQ(preadv(fd, i, 2, 0), 7);
	STREQ(b, "efg");
	EQ(pwritev(fd, o, 2, 3), 7);
	EQ(preadv2(fd, i, 2, 3, 0), 7);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(preadv2(fd, i, 1, -1, 0), 4);
	EQ(lseek(fd, 0, SEEK_CUR), 4);
	ERR(preadv2(fd, i, 1, 0, 0x8000), EOPNOTSUPP);
}

CASE(unlinked_file_lives_on)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	struct stat st;
	char b[4];
	char path[64], link[PATH_MAX] = "";

	EQ(write(fd, "abc", 3), 3);
	OK(unlink("f"));
	ERR(open("f", O_RDONLY), ENOENT);
	EQ(pread(fd, b, 3, 0), 3);
	OK(fstat(fd, &st));
	EQ(st.st_nlink, 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(readlink(path, link, sizeof link - 1));
	CHECK(strstr(link, "/f (deleted)"));
	int again = OK(open(path, O_RDONLY));
	EQ(read(again, b, 3), 3);
}

CASE(links)
{
	struct stat a, b;

	put_file("f", "x", 0600);
	OK(link("f", "g"));
	OK(stat("f", &a));
	OK(stat("g", &b));
	EQ(a.st_ino, b.st_ino);
	EQ(a.st_nlink, 2);
	OK(unlink("f"));
	OK(stat("g", &b));
	EQ(b.st_nlink, 1);
	ERR(link("g", "g"), EEXIST);
	ERR(link("missing", "h"), ENOENT);
	OK(mkdir("d", 0700));
	ERR(link("d", "e"), EPERM);
	OK(symlink("g", "s"));
	OK(link("s", "s2"));		/* the link itself */
	CHECK(S_ISLNK(mode_of("s2")));
	OK(linkat(AT_FDCWD, "s", AT_FDCWD, "g2", AT_SYMLINK_FOLLOW));
	CHECK(S_ISREG(mode_of("g2")));
}

CASE(symlinks)
{
	char b[PATH_MAX];

	put_file("target", "text", 0600);
	OK(symlink("target", "l"));
	EQ(readlink("l", b, sizeof b), 6);
	EQ(readlink("l", b, 3), 3);
	ERR(readlink("target", b, 8), EINVAL);
	ERR(readlink("l", b, 0), EINVAL);
	EQ(size_of("l"), 4);
	CHECK(S_ISLNK(mode_of("l")));
	EQ(mode_of("l") & 0777, 0777);
	ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	ERR(symlink("x", "l"), EEXIST);
	ERR(symlink("", "e"), ENOENT);
	OK(symlink("missing", "dangling"));
	ERR(open("dangling", O_RDONLY), ENOENT);
	ERR(open("dangling", O_WRONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	close(OK(open("dangling", O_WRONLY | O_CREAT, 0600)));	/* makes the target */
	OK(access("missing", F_OK));
	OK(mkdir("d", 0700));
	OK(symlink("d", "ld"));
	OK(mkdir("ld/inside", 0700));
	OK(access("d/inside", F_OK));
	ERR(rmdir("ld"), ENOTDIR);
	ERR(unlink("ld/"), ENOTDIR);
	ERR(lstat("l/", &(struct stat){ 0 }), ENOTDIR);
	OK(lstat("ld/", &(struct stat){ 0 }));
	OK(unlink("ld"));
	OK(access("d", F_OK));
}

CASE(symlink_limit)
{
	char a[32], b[32];

	put_file("l0", "x", 0600);
	for (int i = 1; i <= 41; i++) {
		sprintf(a, "l%d", i - 1);
		sprintf(b, "l%d", i);
		OK(symlink(a, b));
	}
	close(OK(open("l40", O_RDONLY)));
	ERR(open("l41", O_RDONLY), ELOOP);
	OK(symlink("loop", "loop"));
	ERR(open("loop", O_RDONLY), ELOOP);
	ERR(stat("loop/x", &(struct stat){ 0 }), ELOOP);
}

/* Links whose targets lead over links, asked for until all of them are known. */
CASE(symlinks_on_the_way)
{
	char a[32], b[32];
	int fd;

	OK(mkdir("n0", 0700));
	OK(mkdir("n0/sub", 0700));
	put_file("n0/f", "text", 0600);
	put_file("n0/sub/f", "more text", 0600);
	put_file("f", "below nothing", 0600);
	for (int i = 1; i <= 41; i++) {
		sprintf(a, "n%d/.", i - 1);
		sprintf(b, "n%d", i);
		OK(symlink(a, b));
		sprintf(a, i > 1 ? "q%d" : "n0", i - 1);
		sprintf(b, "q%d", i);
		OK(symlink(a, b));
	}
	OK(symlink("..", "n0/back"));
	OK(symlink("../../n3/./sub//", "n0/sub/self"));
	OK(symlink("f/", "n0/no_folder"));
	OK(symlink("n0/missing", "dangling"));
	OK(symlink("n2/sub/self/", "deep"));
	OK(symlink("//", "root"));
	for (int i = 0; i < 3; i++) {
		EQ(size_of("n12/f"), 4);
		EQ(size_of("n40/f"), 4);
		ERR(stat("n41/f", &(struct stat){ 0 }), ELOOP);
		EQ(size_of("q40/f"), 4);
		ERR(stat("q41/f", &(struct stat){ 0 }), ELOOP);
		EQ(size_of("q20/back/q19/f"), 4);
		ERR(stat("q20/back/q20/f", &(struct stat){ 0 }), ELOOP);
		EQ(size_of("q20/back/q19/sub/../f"), 4);
		ERR(stat("n20/back/n19/no_folder", &(struct stat){ 0 }), ELOOP);
		EQ(size_of("n4/back/f"), 13);
		EQ(size_of("deep/f"), 9);
		EQ(size_of("deep/self/self/../f"), 4);
		EQ(size_of("deep/../back/f"), 13);
		CHECK(S_ISREG(mode_of("q5/f")) && S_ISREG(mode_of("q20/f")) && S_ISREG(mode_of("deep/self/f")) && S_ISLNK(mode_of("q5/sub/self")));
		ERR(lstat("q5/f/", &(struct stat){ 0 }), ENOTDIR);
		CHECK(S_ISDIR(mode_of("deep/")) && S_ISLNK(mode_of("deep")) && S_ISLNK(mode_of("deep/self")) && S_ISDIR(mode_of("deep/self/.")));
		OK(stat("deep", &(struct stat){ 0 }));
		ERR(stat("deep/f/", &(struct stat){ 0 }), ENOTDIR);
		ERR(stat("n3/no_folder", &(struct stat){ 0 }), ENOTDIR);
		CHECK(S_ISLNK(mode_of("n3/no_folder")));
		ERR(lstat("n3/no_folder/", &(struct stat){ 0 }), ENOTDIR);
		ERR(stat("n3/no_folder/x", &(struct stat){ 0 }), ENOTDIR);
		ERR(stat("n3/f/x", &(struct stat){ 0 }), ENOTDIR);
		ERR(stat("dangling", &(struct stat){ 0 }), ENOENT);
		ERR(stat("dangling/x", &(struct stat){ 0 }), ENOENT);
		CHECK(S_ISDIR(mode_of("root/")) && S_ISDIR(mode_of("root/../..")));
		OK(access("root/dev/null", F_OK));
		ERR(open("n2/sub/self", O_RDONLY | O_NOFOLLOW), ELOOP);
		fd = OK(open("n2/sub/self", O_PATH | O_NOFOLLOW));
		EQ(readlinkat(fd, "", a, sizeof a), 16);
		close(fd);
		close(OK(open("q5/new", O_RDWR | O_CREAT | O_EXCL, 0600)));
		OK(unlink("q4/new"));
		close(OK(open("deep/new", O_RDWR | O_CREAT | O_EXCL, 0600)));
		OK(rename("n3/sub/new", "deep/self/newer"));
		OK(unlink("n0/sub/newer"));
	}
}

CASE(path_limits)
{
	char name[300], *path = malloc(5000);

	memset(name, 'n', 299);
	name[256] = 0;
	ERR(open(name, O_RDONLY), ENAMETOOLONG);
	name[255] = 0;
	put_file(name, "", 0600);
	OK(unlink(name));
	memset(path, '/', 5000);
	path[4096] = 0;
	ERR(open(path, O_RDONLY), ENAMETOOLONG);
	path[4095] = 0;
	close(OK(open(path, O_RDONLY)));
	put_file("a", "", 0600);
	close(OK(open(".//././a", O_RDONLY)));
	OK(mkdir("d", 0700));
	close(OK(open("d/../a", O_RDONLY)));
	ERR(open("missing/../a", O_RDONLY), ENOENT);
	ERR(open("a/../a", O_RDONLY), ENOTDIR);
	close(OK(open("/../../../", O_RDONLY)));
}

CASE(directories)
{
	struct stat st;

	OK(mkdir("d", 0750));
	EQ(mode_of("d") & 07777, 0750);
	ERR(mkdir("d", 0700), EEXIST);
	ERR(mkdir("x/y", 0700), ENOENT);
	OK(mkdir("d/e", 0700));
	OK(stat("d", &st));
	CHECK(st.st_nlink == 3 || st.st_nlink == 1);
	ERR(rmdir("d"), ENOTEMPTY);
	ERR(unlink("d"), EISDIR);
	OK(rmdir("d/e"));
	ERR(rmdir("d/."), EINVAL);
	ERR(rmdir("d/.."), ENOTEMPTY);
	OK(rmdir("d/"));
	ERR(rmdir("d"), ENOENT);
	put_file("f", "", 0600);
	ERR(rmdir("f"), ENOTDIR);
	ERR(mkdir("f/x", 0700), ENOTDIR);
}

CASE(getdents)
{
	enum { n = 500 };
	char name[32], seen[n] = "";
	int dots = 0, count = 0;
	DIR *d;
	struct dirent *e;

	OK(mkdir("d", 0700));
	for (int i = 0; i < n; i++) {
		sprintf(name, "d/entry-%d", i);
		if (i % 3)
			put_file(name, "", 0600);
		else
			OK(mkdir(name, 0700));
	}
	d = opendir("d");
	CHECK(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.') {
			EQ(e->d_type, DT_DIR);
			dots++;
			continue;
		}
		int i = atoi(e->d_name + 6);
		CHECK(i >= 0 && i < n && !seen[i]);
		seen[i] = 1;
		count++;
		EQ(e->d_type, i % 3 ? DT_REG : DT_DIR);
		CHECK(e->d_ino);
	}
	EQ(count, n);
	EQ(dots, 2);
	rewinddir(d);
	CHECK(readdir(d));
	long pos = telldir(d);
	char first[256];
	e = readdir(d);
	strcpy(first, e->d_name);
	readdir(d);
	seekdir(d, pos);
	STREQ(readdir(d)->d_name, first);
	closedir(d);
	/* Removing while reading. */
	d = opendir("d");
	count = 0;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			OK(unlinkat(dirfd(d), e->d_name, e->d_type == DT_DIR ? AT_REMOVEDIR : 0));
			count++;
		}
	EQ(count, n);
	closedir(d);
	OK(rmdir("d"));
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	char buf[512];
	ERR(syscall(SYS_getdents64, fd, buf, sizeof buf), ENOTDIR);
	fd = OK(open(".", O_RDONLY));
	ERR(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
	ERR(read(fd, buf, 8), EISDIR);
}

CASE(working_directory)
{
	char a[PATH_MAX], b[PATH_MAX];
	int fd;

	CHECK(getcwd(a, sizeof a));
	OK(mkdir("d", 0700));
	OK(chdir("d"));
	CHECK(getcwd(b, sizeof b));
	CHECK(!strncmp(a, b, strlen(a)) && !strcmp(b + strlen(a), "/d"));
	CHECK(!getcwd(b, 2) && errno == ERANGE);
	OK(rmdir("../d"));
	CHECK(!getcwd(b, sizeof b) && errno == ENOENT);
	ERR(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	fd = OK(open(a, O_RDONLY | O_DIRECTORY));
	OK(fchdir(fd));
	CHECK(getcwd(b, sizeof b));
	STREQ(a, b);
	put_file("f", "", 0600);
	ERR(chdir("f"), ENOTDIR);
	ERR(chdir("missing"), ENOENT);
}

CASE(at_functions)
{
	int d, fd;
	struct stat st;

	OK(mkdir("d", 0700));
	d = OK(open("d", O_PATH | O_DIRECTORY));
	fd = OK(openat(d, "f", O_RDWR | O_CREAT, 0600));
	ERR(openat(fd, "x", O_RDONLY), ENOTDIR);
	ERR(openat(99, "x", O_RDONLY), EBADF);
	close(OK(openat(99, "/dev/null", O_RDONLY)));
	OK(mkdirat(d, "e", 0700));
	OK(symlinkat("f", d, "s"));
	OK(fstatat(d, "s", &st, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(st.st_mode));
	OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	CHECK(S_ISREG(st.st_mode));
	ERR(fstatat(d, "f", &st, 0x80000), EINVAL);
	OK(faccessat(d, "f", R_OK, 0));
	OK(fchmodat(d, "f", 0640, 0));
	OK(renameat(d, "f", AT_FDCWD, "moved"));
	OK(unlinkat(d, "e", AT_REMOVEDIR));
	ERR(unlinkat(d, "s", AT_REMOVEDIR), ENOTDIR);
	OK(unlinkat(d, "s", 0));
}

CASE(o_path)
{
	int fd;
	char b[8];
	struct stat st;

	put_file("f", "abc", 0000);
	fd = OK(open("f", O_PATH));
	ERR(read(fd, b, 1), EBADF);
	ERR(fchmod(fd, 0600), EBADF);
	OK(fstat(fd, &st));
	EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	OK(symlink("f", "l"));
	fd = OK(open("l", O_PATH | O_NOFOLLOW));
	EQ(readlinkat(fd, "", b, 8), 1);
}

CASE(o_tmpfile)
{
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	char path[64], c;
	struct stat st;

	CHECK(fd >= 0);
	EQ(write(fd, "t", 1), 1);
	OK(fstat(fd, &st));
	EQ(st.st_nlink, 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	fd = OK(open("named", O_RDONLY));
	EQ(read(fd, &c, 1), 1);
	fd = OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ERR(linkat(AT_FDCWD, path, AT_FDCWD, "never", AT_SYMLINK_FOLLOW), ENOENT);
	ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
}

CASE(rename_kinds)
{
	char *s;

	put_file("a", "A", 0600);
	put_file("b", "B", 0600);
	OK(rename("a", "b"));
	s = get_file("b");
	STREQ(s, "A");
	ERR(rename("a", "c"), ENOENT);
	OK(mkdir("d", 0700));
	OK(mkdir("e", 0700));
	ERR(rename("b", "d"), EISDIR);
	ERR(rename("d", "b"), ENOTDIR);
	OK(rename("d", "e"));			/* an empty folder gives way */
	OK(mkdir("e/sub", 0700));
	OK(mkdir("f", 0700));
	ERR(rename("f", "e"), ENOTEMPTY);
	ERR(rename("e", "e/sub/x"), EINVAL);
	ERR(rename("e/sub", "."), EBUSY);
	OK(link("b", "hard"));
	OK(rename("b", "hard"));		/* the same file: nothing happens */
	OK(access("b", F_OK));
	put_file("x", "X", 0600);
	put_file("y", "Y", 0600);
	ERR(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_NOREPLACE), EEXIST);
	OK(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE));
	s = get_file("x");
	STREQ(s, "Y");
	OK(renameat2(AT_FDCWD, "x", AT_FDCWD, "e", RENAME_EXCHANGE));
	CHECK(S_ISDIR(mode_of("x")) && S_ISREG(mode_of("e")));
	OK(access("x/sub", F_OK));
	ERR(renameat2(AT_FDCWD, "x", AT_FDCWD, "missing", RENAME_EXCHANGE), ENOENT);
	ERR(renameat2(AT_FDCWD, "x", AT_FDCWD, "y", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	OK(renameat2(AT_FDCWD, "y", AT_FDCWD, "z", RENAME_NOREPLACE));
	ERR(rename("z", "z/"), ENOTDIR);
}

CASE(open_file_follows_rename)
{
	int fd;
	char path[64], link[PATH_MAX] = "";

	put_file("a", "A", 0600);
	fd = OK(open("a", O_RDWR));
	OK(rename("a", "b"));
	EQ(pwrite(fd, "Z", 1, 0), 1);
	char *s = get_file("b");
	STREQ(s, "Z");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(readlink(path, link, sizeof link - 1));
	STREQ(link + strlen(link) - 2, "/b");
}

CASE(truncate_and_holes)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	struct stat st;
	char b[4];

	OK(ftruncate(fd, 1 << 20));
	EQ(size_of("f"), 1 << 20);
	OK(fstat(fd, &st));
	CHECK(st.st_blocks * 512 < 1 << 20);
	EQ(pread(fd, b, 4, 500000), 4);
	EQ(b[2], 0);
	EQ(pwrite(fd, "data", 4, 600000), 4);
	OK(truncate("f", 600002));
	EQ(pread(fd, b, 4, 600000), 2);
	OK(ftruncate(fd, 700000));
	EQ(pread(fd, b, 4, 600001), 4);
	EQ(b[0], 'a');
	EQ(b[1], 0);
	ERR(ftruncate(fd, -1), EINVAL);
	ERR(truncate("missing", 0), ENOENT);
	ERR(truncate(".", 0), EISDIR);
}

CASE(file_size_limit)
{
	struct rlimit rl = { 1000, 1000 };
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	char *b = calloc(1, 2000);

	signal(SIGXFSZ, SIG_IGN);
	OK(setrlimit(RLIMIT_FSIZE, &rl));
	EQ(write(fd, b, 2000), 1000);
	ERR(write(fd, b, 1), EFBIG);
	ERR(ftruncate(fd, 2000), EFBIG);
	signal(SIGXFSZ, SIG_DFL);
	pid_t p = CHILD({ write(fd, b, 1); });
	int st;
	OK(waitpid(p, &st, 0));
	CHECK(WIFSIGNALED(st) && WTERMSIG(st) == SIGXFSZ);
	OK(fallocate(fd, 0, 0, 1000));
	p = CHILD({ fallocate(fd, 0, 0, 1001); });
	KILLED(p, SIGXFSZ);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 500, 5000));
	ERR(fallocate(fd, 0x8000, 0, 2000), EOPNOTSUPP);
}

CASE(fallocate_kinds)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600)), ro;
	char b[4];

	OK(fallocate(fd, 0, 0, 10000));
	EQ(size_of("f"), 10000);
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
	EQ(size_of("f"), 10000);
	EQ(pwrite(fd, "abcd", 4, 4096), 4);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 2));
	EQ(pread(fd, b, 4, 4096), 4);
	EQ(b[0], 0);
	EQ(b[2], 'c');
	ERR(fallocate(fd, 0, 0, 0), EINVAL);
	ERR(fallocate(fd, 0, -1, 5), EINVAL);
	ro = OK(open("f", O_RDONLY));
	ERR(fallocate(ro, 0, 0, 5), EBADF);
}

CASE(permissions)
{
	if (geteuid() != 0)
		SKIP("needs root");
	put_file("f", "secret", 0600);
	put_file("g", "group", 0640);
	OK(chown("g", 0, 500));
	OK(mkdir("d", 0700));
	put_file("d/x", "", 0666);
	OK(mkdir("ro", 0555));
	pid_t p = CHILD({
		gid_t groups[] = { 500 };
		OK(syscall(SYS_setgroups, 1, groups));
		OK(setresgid(600, 600, 600));
		OK(setresuid(1000, 1000, 1000));
		ERR(open("f", O_RDONLY), EACCES);
		close(OK(open("g", O_RDONLY)));
		ERR(open("g", O_WRONLY), EACCES);
		ERR(open("d/x", O_RDONLY), EACCES);
		ERR(opendir("d") ? 0 : -1, EACCES);
		ERR(mkdir("ro/new", 0700), EACCES);
		ERR(unlink("ro/x"), ENOENT);
		ERR(chmod("f", 0666), EPERM);
		ERR(chown("f", 1000, -1), EPERM);
		ERR(access("f", R_OK), EACCES);
		OK(access("f", F_OK));
		put_file("mine", "m", 0604);
		struct stat st;
		OK(stat("mine", &st));
		EQ(st.st_uid, 1000);
		EQ(st.st_gid, 600);
		OK(chown("mine", -1, 500));
		ERR(chown("mine", -1, 501), EPERM);
		ERR(truncate("f", 0), EACCES);
		ERR(chdir("d"), EACCES);
	});
	EXITED(p, 0);
	/* root may, except to execute what nobody may. */
	close(OK(open("f", O_RDWR)));
	OK(chmod("f", 0));
	close(OK(open("f", O_RDWR)));
	ERR(access("f", X_OK), EACCES);
}

CASE(sticky_and_setgid_folders)
{
	struct stat st;

	if (geteuid() != 0)
		SKIP("needs root");
	OK(mkdir("tmp", 0));
	OK(chmod("tmp", 01777));
	put_file("tmp/roots", "", 0666);
	OK(mkdir("sg", 0));
	OK(chown("sg", 0, 700));
	OK(chmod("sg", 02777));
	put_file("sg/f", "", 0600);
	OK(stat("sg/f", &st));
	EQ(st.st_gid, 700);
	OK(mkdir("sg/d", 0700));
	EQ(mode_of("sg/d") & 02000, 02000);
	pid_t p = CHILD({
		OK(setresgid(600, 600, 600));
		OK(setresuid(1000, 1000, 1000));
		ERR(unlink("tmp/roots"), EPERM);
		ERR(rename("tmp/roots", "tmp/x"), EPERM);
		put_file("tmp/own", "", 0600);
		OK(unlink("tmp/own"));
	});
	EXITED(p, 0);
}

CASE(chown_clears_set_id)
{
	if (geteuid() != 0)
		SKIP("needs root");
	put_file("f", "", 0);
	OK(chmod("f", 06755));
	OK(chown("f", 1, 1));
	EQ(mode_of("f") & 07777, 0755);
	OK(chmod("f", 06755));
	pid_t p = CHILD({
		OK(setresuid(1, 1, 1));
		int fd = OK(open("f", O_WRONLY));
		EQ(write(fd, "x", 1), 1);
	});
	EXITED(p, 0);
	EQ(mode_of("f") & 07777, 0755);
}

CASE(umask_applies)
{
	umask(027);
	close(OK(open("f", O_CREAT | O_RDWR, 0666)));
	EQ(mode_of("f") & 0777, 0640);
	OK(mkdir("d", 0777));
	EQ(mode_of("d") & 0777, 0750);
	OK(mknod("p", S_IFIFO | 0666, 0));
	EQ(mode_of("p") & 0777, 0640);
	EQ(umask(0777777), 027);
	EQ(umask(0), 0777);
}

CASE(times)
{
	struct timespec ts[2] = { { 1000, 123456789 }, { 2000, 987654321 } };
	struct stat st, before;

	put_file("f", "", 0600);
	OK(utimensat(AT_FDCWD, "f", ts, 0));
	OK(stat("f", &st));
	EQ(st.st_atim.tv_sec, 1000);
	EQ(st.st_mtim.tv_sec, 2000);
	EQ(st.st_mtim.tv_nsec, 987654321);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = UTIME_NOW;
	OK(utimensat(AT_FDCWD, "f", ts, 0));
	OK(stat("f", &st));
	EQ(st.st_atim.tv_sec, 1000);
	CHECK(st.st_mtim.tv_sec > 1000000000);
	ts[1].tv_nsec = 1000000000;
	ERR(utimensat(AT_FDCWD, "f", ts, 0), EINVAL);
	/* Writing moves the modification time, chmod only the change time. */
	OK(utimensat(AT_FDCWD, "f", (struct timespec[]){ { 5, 0 }, { 5, 0 } }, 0));
	OK(stat("f", &before));
	OK(chmod("f", 0640));
	OK(stat("f", &st));
	EQ(st.st_mtim.tv_sec, 5);
	CHECK(st.st_ctim.tv_sec >= before.st_ctim.tv_sec);
	int fd = OK(open("f", O_WRONLY));
	EQ(write(fd, "x", 1), 1);
	OK(fstat(fd, &st));
	CHECK(st.st_mtim.tv_sec > 5);
	OK(symlink("f", "l"));
	OK(utimensat(AT_FDCWD, "l", (struct timespec[]){ { 9, 0 }, { 9, 0 } }, AT_SYMLINK_NOFOLLOW));
	OK(lstat("l", &st));
	EQ(st.st_mtim.tv_sec, 9);
	OK(futimens(fd, NULL));
}

CASE(statx_fields)
{
	struct statx sx;
	struct stat st;

	put_file("f", "hello", 0640);
	OK(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS | STATX_BTIME, &sx));
	OK(stat("f", &st));
	EQ(sx.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
	EQ(sx.stx_size, 5);
	EQ(sx.stx_mode, st.st_mode);
	EQ(sx.stx_ino, st.st_ino);
	EQ(sx.stx_nlink, 1);
	EQ(makedev(sx.stx_dev_major, sx.stx_dev_minor), st.st_dev);
	EQ(sx.stx_mtime.tv_sec, st.st_mtim.tv_sec);
	EQ(sx.stx_mtime.tv_nsec, st.st_mtim.tv_nsec);
	ERR(statx(AT_FDCWD, "missing", 0, STATX_ALL, &sx), ENOENT);
	ERR(statx(AT_FDCWD, "f", 0x80000, STATX_ALL, &sx), EINVAL);
	ERR(statx(AT_FDCWD, "f", 0, 0x80000000u, &sx), EINVAL);
	int fd = OK(open("f", O_RDONLY));
	OK(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &sx));
	EQ(sx.stx_size, 5);
}

CASE(extended_attributes)
{
	char b[64];

	put_file("f", "", 0600);
	OK(setxattr("f", "user.one", "value", 5, 0));
	EQ(getxattr("f", "user.one", b, sizeof b), 5);
	CHECK(!memcmp(b, "value", 5));
	EQ(getxattr("f", "user.one", NULL, 0), 5);
	ERR(getxattr("f", "user.one", b, 2), ERANGE);
	ERR(getxattr("f", "user.none", b, sizeof b), ENODATA);
	ERR(setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
	ERR(setxattr("f", "user.two", "x", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.two", "", 0, 0));
	EQ(listxattr("f", b, sizeof b), 18);
	OK(removexattr("f", "user.one"));
	ERR(removexattr("f", "user.one"), ENODATA);
	EQ(listxattr("f", b, sizeof b), 9);
	ERR(setxattr("f", "nonsense", "x", 1, 0), EOPNOTSUPP);
	ERR(setxattr("f", "user.", "x", 1, 0), EINVAL);
	int fd = OK(open("f", O_RDWR));
	OK(fsetxattr(fd, "user.three", "3", 1, 0));
	EQ(fgetxattr(fd, "user.three", b, 64), 1);
	OK(symlink("f", "l"));
	EQ(getxattr("l", "user.three", b, 64), 1);
	ERR(lsetxattr("l", "user.x", "x", 1, 0), EPERM);
}

CASE(copy_between_files)
{
	int in, out;
	loff_t off = 2;
	char *s;

	put_file("in", "0123456789", 0600);
	in = OK(open("in", O_RDONLY));
	out = OK(open("out", O_RDWR | O_CREAT, 0600));
	EQ(copy_file_range(in, &off, out, NULL, 5, 0), 5);
	EQ(off, 7);
	EQ(copy_file_range(in, &off, out, NULL, 100, 0), 3);
	EQ(copy_file_range(in, &off, out, NULL, 100, 0), 0);
	s = get_file("out");
	STREQ(s, "23456789");
	ERR(copy_file_range(in, NULL, in, NULL, 5, 0), EBADF);
	ERR(copy_file_range(in, NULL, out, NULL, 5, 7), EINVAL);
	off_t o = 4;
	EQ(sendfile(out, in, &o, 3), 3);
	EQ(o, 7);
	int p[2];
	OK(pipe(p));
	EQ(sendfile(p[1], in, NULL, 100), 10);
	EQ(sendfile(p[1], in, NULL, 100), 0);
	ERR(sendfile(out, p[0], NULL, 5), EINVAL);
	int a = OK(open("out", O_WRONLY | O_APPEND));
	OK(lseek(in, 0, SEEK_SET));
	ERR(copy_file_range(in, NULL, a, NULL, 5, 0), EBADF);
	ERR(sendfile(a, in, NULL, 5), EINVAL);
}

CASE(devices)
{
	int fd;
	char b[16] = "abc";

	fd = OK(open("/dev/null", O_RDWR));
	EQ(read(fd, b, 8), 0);
	EQ(write(fd, b, 8), 8);
	fd = OK(open("/dev/zero", O_RDWR));
	EQ(read(fd, b, 8), 8);
	EQ(b[0], 0);
	EQ(write(fd, b, 8), 8);
	fd = OK(open("/dev/full", O_RDWR));
	ERR(write(fd, b, 8), ENOSPC);
	EQ(read(fd, b, 8), 8);
	struct stat st;
	OK(stat("/dev/null", &st));
	CHECK(S_ISCHR(st.st_mode));
	EQ(st.st_rdev, makedev(1, 3));
	OK(stat("/dev/zero", &st));
	EQ(st.st_rdev, makedev(1, 5));
	put_file("f", "123", 0600);
	fd = OK(open("f", O_RDONLY));
	dup2(fd, 0);
	int in = OK(open("/dev/stdin", O_RDONLY));
	EQ(read(in, b, 3), 3);
}

CASE(file_system_information)
{
	struct statfs sf;

	OK(statfs("/tmp", &sf));
	CHECK(sf.f_bsize > 0 && sf.f_namelen == 255);
	OK(statfs("/proc", &sf));
	EQ(sf.f_type, 0x9fa0);
	int fd = OK(open(".", O_RDONLY));
	OK(fstatfs(fd, &sf));
	ERR(statfs("missing", &sf), ENOENT);
	ERR(fstatfs(99, &sf), EBADF);
}

CASE(sync_calls)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600)), p[2];

	EQ(write(fd, "x", 1), 1);
	OK(fsync(fd));
	OK(fdatasync(fd));
	OK(syncfs(fd));
	sync();
	OK(pipe(p));
	ERR(fsync(p[0]), EINVAL);
	ERR(fsync(99), EBADF);
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
	EQ(posix_fadvise(p[0], 0, 0, 0), ESPIPE);
}

CASE(seek_data_and_hole)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));

	OK(ftruncate(fd, 100));
	EQ(write(fd, "x", 1), 1);
	EQ(lseek(fd, 0, SEEK_DATA), 0);
	EQ(lseek(fd, 0, SEEK_HOLE), 100);
	ERR(lseek(fd, 200, SEEK_DATA), ENXIO);
	ERR(lseek(fd, 100, SEEK_HOLE), ENXIO);
}

CASE(chroot_confines)
{
	if (geteuid() != 0)
		SKIP("needs root");
	OK(mkdir("root", 0755));
	put_file("root/inside", "i", 0644);
	OK(symlink("/inside", "root/abs"));
	pid_t p = CHILD({
		OK(chroot("root"));
		OK(chdir("/"));
		OK(access("/inside", F_OK));
		OK(access("/../../inside", F_OK));
		OK(access("/abs", F_OK));
		ERR(access("/proc", F_OK), ENOENT);
	});
	EXITED(p, 0);
}

CASE(openat2_resolve)
{
	struct { uint64_t flags, mode, resolve; } how = { O_RDONLY, 0, 0x08 /* BENEATH */ };
	int d;

	OK(mkdir("d", 0700));
	put_file("d/f", "x", 0600);
	OK(symlink("/etc", "d/out"));
	OK(symlink("f", "d/in"));
	d = OK(open("d", O_PATH));
	close(OK(syscall(SYS_openat2, d, "f", &how, sizeof how)));
	close(OK(syscall(SYS_openat2, d, "in", &how, sizeof how)));
	ERR(syscall(SYS_openat2, d, "../d/f", &how, sizeof how), EXDEV);
	ERR(syscall(SYS_openat2, d, "/etc", &how, sizeof how), EXDEV);
	ERR(syscall(SYS_openat2, d, "out", &how, sizeof how), EXDEV);
	how.resolve = 0x04;		/* NO_SYMLINKS */
	ERR(syscall(SYS_openat2, d, "in", &how, sizeof how), ELOOP);
	how.resolve = 0x10;		/* IN_ROOT */
	close(OK(syscall(SYS_openat2, d, "/../f", &how, sizeof how)));
	ERR(syscall(SYS_openat2, d, "f", &how, 8), EINVAL);
	how.flags = 1ull << 60;
	ERR(syscall(SYS_openat2, d, "f", &how, sizeof how), EINVAL);
}

CASE(concurrent_creation_is_exclusive)
{
	pid_t p[8];
	int wins = 0, st;

	for (int i = 0; i < 8; i++)
		p[i] = CHILD({
			int n = 0;
			char name[32];
			for (int k = 0; k < 100; k++) {
				sprintf(name, "x%d", k);
				int fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
				n += fd >= 0;
				if (fd < 0)
					EQ(errno, EEXIST);
				close(fd);
			}
			_exit(n);
		});
	for (int i = 0; i < 8; i++) {
		OK(waitpid(p[i], &st, 0));
		wins += WEXITSTATUS(st);
	}
	EQ(wins, 100);
}

CASE(appends_do_not_mix)
{
	pid_t p[4];

	for (int i = 0; i < 4; i++)
		p[i] = CHILD({
			int fd = OK(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600));
			char line[33];
			memset(line, 'a' + i, 31);
			line[31] = '\n';
			for (int k = 0; k < 200; k++)
				EQ(write(fd, line, 32), 32);
		});
	for (int i = 0; i < 4; i++)
		EXITED(p[i], 0);
	char *s = get_file("log");
	EQ(strlen(s), 4 * 200 * 32);
	for (int i = 0; i < 800; i++) {
		for (int k = 1; k < 31; k++)
			CHECK(s[i * 32 + k] == s[i * 32]);
		EQ(s[i * 32 + 31], '\n');
	}
}

CASE(create_what_is_a_directory)
{
	for (const char *const *p = (const char *const[]){"/", ".", "/tmp/..", "/proc/self/cwd", NULL}; *p; p++) {
		ERR(open(*p, O_RDONLY | O_CREAT, 0600), EISDIR);
		ERR(open(*p, O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
	}
	ERR(open("/tmp/", O_RDONLY | O_CREAT | O_EXCL, 0600), EISDIR);
	ERR(open("/tmp/no-such-name/", O_RDWR | O_CREAT, 0600), EISDIR);
}

CASE(files_without_a_name_are_not_opened_again)
{
	sigset_t none;
	char path[64];
	int fds[6], n = 0;

	sigemptyset(&none);
	fds[n++] = OK(eventfd(0, 0));
	fds[n++] = OK(epoll_create1(0));
	fds[n++] = OK(inotify_init1(0));
	fds[n++] = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	fds[n++] = OK(signalfd(-1, &none, 0));
	fds[n++] = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
		ERR(open(path, O_RDONLY), ENXIO);
		ERR(open(path, O_RDWR | O_TRUNC), ENXIO);
		close(OK(open(path, O_PATH)));
	}
}

/* What is left of a file is what was written; what is beyond is zero when it grows again, whoever had the memory before. */
CASE(large_files_cut_and_removed)
{
	enum { PIECE = 64 << 10, WHOLE = 2 << 20, LEFT = (600 << 10) + 100 };
	static unsigned char out[PIECE], in[PIECE];
	struct stat st;

	for (int round = 0; round < 4; round++) {
		int fd = OK(open("large", O_RDWR | O_CREAT | O_EXCL, 0600)), same = OK(dup(fd)), again;

		for (int at = 0; at < WHOLE; at += PIECE) {
			memset(out, 1 + round + at / PIECE, PIECE);
			EQ(write(fd, out, PIECE), PIECE);
		}
		OK(ftruncate(fd, LEFT));
		EQ(size_of("large"), LEFT);
		OK(ftruncate(fd, WHOLE));
		for (int at = 0; at < WHOLE; at += PIECE) {
			EQ(pread(same, in, PIECE, at), PIECE);
			for (int i = 0; i < PIECE; i++)
				EQ(in[i], at + i < LEFT ? 1 + round + at / PIECE : 0);
		}
		OK(unlink("large"));
		close(fd);
		OK(fstat(same, &st));
		EQ(st.st_size, WHOLE);
		EQ(st.st_nlink, 0);
		EQ(pread(same, in, 1, 0), 1);
		EQ(in[0], 1 + round);
		again = OK(open("large", O_RDWR | O_CREAT | O_EXCL, 0600)); /* another file */
		EQ(pread(again, in, 1, 0), 0);
		close(same);
		close(again);
		OK(unlink("large"));
	}
}

/* Names and the working folder change while others walk over them: who looks finds the file or nothing. */
static struct {
	char base[PATH_MAX];
	ino_t ino;
	_Atomic bool over;
	_Atomic long found;
} walked;

static void look_at(const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) == 0) {
		EQ(st.st_ino, walked.ino);
		walked.found++;
	} else {
		EQ(errno, ENOENT);
	}
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		OK(fstat(fd, &st));
		EQ(st.st_ino, walked.ino);
		close(fd);
	} else {
		EQ(errno, ENOENT);
	}
}

static void *walk_names(void *relative)
{
	char a[PATH_MAX + 16], b[PATH_MAX + 16];

	snprintf(a, sizeof a, "%s/a/x/f", walked.base);
	snprintf(b, sizeof b, "%s//b/./x/../x/f", walked.base);
	while (!walked.over) {
		look_at(relative ? "f" : a);
		look_at(relative ? "../x/f" : b);
	}
	return NULL;
}

CASE(walks_amid_changes)
{
	enum { WALKERS = 2, ROUNDS = 1000 };
	pthread_t t[WALKERS];
	struct stat st;

	OK(mkdir("base", 0755)); /* beside which nothing is */
	OK(chdir("base"));
	CHECK(getcwd(walked.base, sizeof walked.base));
	OK(mkdir("a", 0755));
	OK(mkdir("a/x", 0755));
	put_file("a/x/f", "text", 0644);
	OK(stat("a/x/f", &st));
	walked.ino = st.st_ino;
	for (long i = 0; i < WALKERS; i++)
		EQ(pthread_create(&t[i], NULL, walk_names, (void *)i), 0);
	for (int i = 0; i < ROUNDS; i++) {
		OK(rename("a", "b"));
		OK(chdir("b/x"));
		OK(link("f", "g"));
		OK(unlink("f"));
		OK(rename("g", "f"));
		OK(chdir(walked.base));
		OK(rename("b", "a"));
		ERR(stat("b", &st), ENOENT);
	}
	walked.over = true;
	for (int i = 0; i < WALKERS; i++)
		EQ(pthread_join(t[i], NULL), 0);
	look_at("a/x/f");
	CHECK(walked.found);
}
