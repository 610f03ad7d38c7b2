/* mount, umount2, pivot_root and chroot. man 2 mount. Each case has a mount namespace of its own where there are any. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi.h"

static void own_namespace(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	umask(022);
}

CASE(tmpfs_mount_and_umount)
{
	struct statfs fs;
	struct stat a, b;

	own_namespace();
	OK(mkdir("m", 0755));
	put_file("m/below", "x", 0644);
	OK(stat("m", &a));
	OK(mount("none", "m", "tmpfs", 0, "size=1m,mode=700"));
	OK(stat("m", &b));
	CHECK(a.st_dev != b.st_dev);
	EQ(b.st_mode & 07777, 0700);
	ERR(access("m/below", F_OK), ENOENT);
	OK(statfs("m", &fs));
	EQ(fs.f_blocks * fs.f_bsize, 1 << 20);
	put_file("m/above", "y", 0644);
	ERR(rmdir("m"), EBUSY);
	ERR(rename("m", "n"), EBUSY);
	ERR(link("m/above", "l"), EXDEV);
	int fd = OK(open("m/above", O_RDONLY));
	ERR(umount2("m", 0), EBUSY);
	close(fd);
	OK(umount2("m", 0));
	OK(access("m/below", F_OK));
	ERR(umount2("m", 0), EINVAL);
	ERR(umount2("missing", 0), ENOENT);
	ERR(umount2("m", 0x4000), EINVAL);
}

CASE(lazy_umount)
{
	char b[2];

	own_namespace();
	OK(mkdir("m", 0755));
	OK(mount("none", "m", "tmpfs", 0, NULL));
	put_file("m/f", "ab", 0644);
	OK(mkdir("m/sub", 0755));
	OK(mount("none", "m/sub", "tmpfs", 0, NULL));
	int fd = OK(open("m/f", O_RDONLY));
	ERR(umount2("m", 0), EBUSY);
	OK(umount2("m", MNT_DETACH));
	ERR(access("m/f", F_OK), ENOENT);
	EQ(read(fd, b, 2), 2);
	ERR(umount2("m", 0), EINVAL);
}

CASE(bind)
{
	struct stat a, b;
	struct statvfs v;

	own_namespace();
	OK(mkdir("src", 0755));
	OK(mkdir("dst", 0755));
	put_file("src/f", "1", 0644);
	put_file("file", "", 0644);
	OK(mount("src", "dst", NULL, MS_BIND, NULL));
	OK(stat("src/f", &a));
	OK(stat("dst/f", &b));
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	ERR(rename("src/f", "dst/g"), EXDEV);
	OK(mount("src/f", "file", NULL, MS_BIND, NULL));
	STREQ(get_file("file"), "1");
	ERR(mount("src", "file", NULL, MS_BIND, NULL), ENOTDIR);
	OK(mount(NULL, "dst", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOEXEC, NULL));
	ERR(open("dst/new", O_CREAT | O_RDWR, 0600), EROFS);
	ERR(open("dst/f", O_WRONLY), EROFS);
	put_file("src/new", "2", 0644);
	STREQ(get_file("dst/new"), "2");
	OK(statvfs("dst", &v));
	CHECK((v.f_flag & ST_RDONLY) && (v.f_flag & ST_NOEXEC));
	OK(statvfs("src", &v));
	CHECK(!(v.f_flag & ST_RDONLY));
	OK(umount2("dst", 0));
	OK(umount2("file", 0));
	STREQ(get_file("file"), "");
	ERR(mount("missing", "dst", NULL, MS_BIND, NULL), ENOENT);
}

CASE(recursive_bind_and_move)
{
	own_namespace();
	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	OK(mkdir("c", 0755));
	OK(mount("none", "a", "tmpfs", 0, NULL));
	OK(mkdir("a/sub", 0755));
	OK(mount("none", "a/sub", "tmpfs", 0, NULL));
	put_file("a/sub/deep", "d", 0644);
	OK(mount("a", "b", NULL, MS_BIND, NULL));
	ERR(access("b/sub/deep", F_OK), ENOENT);
	OK(umount2("b", 0));
	OK(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
	STREQ(get_file("b/sub/deep"), "d");
	OK(umount2("b", MNT_DETACH));
	OK(mount("a", "c", NULL, MS_MOVE, NULL));
	ERR(access("a/sub", F_OK), ENOENT);
	STREQ(get_file("c/sub/deep"), "d");
	ERR(mount("c", "c/sub", NULL, MS_MOVE, NULL), ELOOP);
	ERR(mount("b", "a", NULL, MS_MOVE, NULL), EINVAL);
	OK(umount2("c", MNT_DETACH));
}

CASE(flags)
{
	own_namespace();
	OK(mkdir("m", 0755));
	OK(mount("none", "m", "tmpfs", MS_RDONLY, NULL));
	ERR(mkdir("m/x", 0755), EROFS);
	OK(mount(NULL, "m", NULL, MS_REMOUNT, NULL));
	OK(mkdir("m/x", 0755));
	OK(mknod("m/null", S_IFCHR | 0666, 0x103));
	close(OK(open("m/null", O_RDWR)));
	OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_NODEV, NULL));
	ERR(open("m/null", O_RDWR), EACCES);
	ERR(mount(NULL, "m/x", NULL, MS_REMOUNT, NULL), EINVAL);
	OK(mount(NULL, "m", NULL, MS_PRIVATE, NULL));
	ERR(mount(NULL, "m", NULL, MS_PRIVATE | MS_SHARED, NULL), EINVAL);
	ERR(mount(NULL, "m/x", NULL, MS_PRIVATE, NULL), EINVAL);
	ERR(mount("none", "m", "nonsense", 0, NULL), ENODEV);
	ERR(mount("none", "m", "tmpfs", 0, "nonsense=1"), EINVAL);
	ERR(mount("none", "m/null", "tmpfs", 0, NULL), ENOTDIR);
	ERR(umount2("m", MNT_EXPIRE), EAGAIN);
	OK(umount2("m", MNT_EXPIRE));
}

CASE(proc_and_sysfs)
{
	own_namespace();
	OK(mkdir("p", 0755));
	OK(mount("proc", "p", "proc", 0, NULL));
	CHECK(strstr(get_file("p/self/mounts"), "/p proc "));
	CHECK(strstr(get_file("p/self/mountinfo"), "/p rw"));
	OK(umount2("p", 0));
	OK(mount("sysfs", "p", "sysfs", MS_RDONLY, NULL));
	CHECK(get_file("p/devices/system/cpu/online")[0] == '0');
	OK(umount2("p", 0));
}

CASE(change_root)
{
	pid_t p;
	char b[64];

	own_namespace();
	OK(mkdir("root", 0755));
	OK(mkdir("root/in", 0755));
	put_file("root/f", "inside", 0644);
	p = CHILD({
		OK(chroot("root"));
		OK(chdir("/"));
		STREQ(get_file("/f"), "inside");
		ERR(access("/../root", F_OK), ENOENT);
		OK(chdir("in"));
		STREQ(getcwd(b, sizeof b), "/in");
		_exit(0);
	});
	EXITED(p, 0);
}

CASE(pivot)
{
	pid_t p;
	char b[64];

	own_namespace();
	OK(mkdir("new", 0755));
	OK(mount("none", "new", "tmpfs", 0, NULL));
	put_file("new/f", "pivoted", 0644);
	OK(mkdir("new/old", 0755));
	ERR(syscall(SYS_pivot_root, "new", "/"), EBUSY);
	OK(chdir("new"));
	p = CHILD({
		OK(syscall(SYS_pivot_root, ".", "old"));
		OK(chdir("/"));
		STREQ(get_file("/f"), "pivoted");
		OK(access("/old/proc", F_OK));
		OK(umount2("/old", MNT_DETACH));
		ERR(access("/old/proc", F_OK), ENOENT);
		STREQ(getcwd(b, sizeof b), "/");
		_exit(0);
	});
	EXITED(p, 0);
}

CASE(namespaces_are_apart)
{
	int q[2], r[2];

	if (geteuid() != 0)
		SKIP("needs root");
	OK(pipe(q));
	OK(pipe(r));
	OK(mkdir("m", 0755));
	pid_t p = CHILD({
		char cwd[256], now[256];
		CHECK(getcwd(cwd, sizeof cwd));
		OK(unshare(CLONE_NEWNS));
		OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		CHECK(getcwd(now, sizeof now));
		STREQ(now, cwd);
		OK(mount("none", "m", "tmpfs", 0, NULL));
		put_file("m/inside", "x", 0644);
		put_file("both", "x", 0644);
		pid_t c = CHILD({
			OK(access("m/inside", F_OK));
			OK(unshare(CLONE_NEWNS));
			OK(umount("m"));
			ERR(access("m/inside", F_OK), ENOENT);
		});
		EXITED(c, 0);
		OK(access("m/inside", F_OK));
		tell(q[1]);
		hear(r[0]);
	});
	hear(q[0]);
	ERR(access("m/inside", F_OK), ENOENT);
	OK(access("both", F_OK));
	tell(r[1]);
	EXITED(p, 0);
	struct { uint64_t flags, pidfd, ctid, ptid, sig, stack, size, tls; } a = { .flags = CLONE_NEWNS, .sig = SIGCHLD };
	p = OK(syscall(SYS_clone3, &a, sizeof a));
	if (p == 0)
		_exit(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "m", "tmpfs", 0, NULL));
	EXITED(p, 0);
	OK(rmdir("m"));
}

CASE(needs_capability)
{
	own_namespace();
	OK(mkdir("m", 0755));
	chmod(".", 0755);
	pid_t p = CHILD({
		OK(setresuid(1000, 1000, 1000));
		ERR(mount("none", "m", "tmpfs", 0, NULL), EPERM);
		ERR(umount2("m", 0), EPERM);
		ERR(syscall(SYS_pivot_root, "m", "m"), EPERM);
		ERR(chroot("m"), EPERM);
		_exit(0);
	});
	EXITED(p, 0);
}

/* Mounts come and go while others walk over their places: they find what is below or what is above. */
static struct {
	dev_t below;
	_Atomic bool over;
} passed;

static void *walk_mounts(void *arg)
{
	struct stat st;

	(void)arg;
	while (!passed.over) {
		OK(stat("m/.", &st));
		if (stat("m/d/f", &st) == 0)
			EQ(st.st_dev, passed.below);
		else
			EQ(errno, ENOENT);
		if (stat("n/d/f", &st) == 0)
			EQ(st.st_dev, passed.below);
		else
			EQ(errno, ENOENT);
	}
	return NULL;
}

CASE(walks_amid_mounts)
{
	struct stat st;
	pthread_t t;

	own_namespace();
	OK(mkdir("m", 0755));
	OK(mkdir("n", 0755));
	OK(mkdir("m/d", 0755));
	put_file("m/d/f", "x", 0644);
	OK(stat("m", &st));
	passed.below = st.st_dev;
	EQ(pthread_create(&t, NULL, walk_mounts, NULL), 0);
	for (int i = 0; i < 200; i++) {
		OK(mount("m", "n", NULL, MS_BIND, NULL));
		OK(mount("none", "m", "tmpfs", 0, NULL));
		ERR(stat("m/d/f", &st), ENOENT);
		OK(stat("n/d/f", &st));
		OK(umount2("m", MNT_DETACH));
		OK(umount2("n", MNT_DETACH));
		OK(stat("m/d/f", &st));
	}
	passed.over = true;
	EQ(pthread_join(t, NULL), 0);
}

/* Nothing of such a mount is executed, by no way: not mapped so either, nor made so, whoever opened it when and however often. */
CASE(nothing_is_executed)
{
	const int any = MAP_PRIVATE, rx = PROT_READ | PROT_EXEC;
	char *p;
	int fd;

	own_namespace();
	OK(mkdir("dir", 0755));
	put_file("dir/f", "x", 0644);
	OK(mkdir("no", 0755));
	OK(mount("dir", "no", NULL, MS_BIND, NULL));
	OK(mount(NULL, "no", NULL, MS_BIND | MS_REMOUNT | MS_NOEXEC, NULL));
	for (int i = 0; i < 8; i++) {
		fd = OK(open("no/f", O_RDONLY));
		p = mmap(NULL, 4096, PROT_READ, any, fd, 0);
		CHECK(p != MAP_FAILED);
		ERR(mprotect(p, 4096, rx), EACCES);
		ERR((long)mmap(NULL, 4096, rx, any, fd, 0), EPERM);
		ERR((long)mmap(p, 4096, rx, any | MAP_FIXED, fd, 0), EPERM);
		ERR((long)mmap(NULL, 4096, rx, MAP_SHARED, fd, 0), EPERM);
		EQ(p[0], 'x');
		OK(munmap(p, 4096));
		OK(close(fd));
		fd = OK(open("dir/f", O_RDONLY));
		p = mmap(NULL, 4096, rx, any, fd, 0);
		CHECK(p != MAP_FAILED);
		OK(munmap(p, 4096));
		OK(close(fd));
	}
}

/* What lies in the namespace that was left has its path as before; only getcwd says that there is no way from the root. */
CASE(links_to_another_namespace)
{
	char before[4096] = { 0 }, after[4096] = { 0 };
	ssize_t n = OK(readlink("/proc/self/exe", before, sizeof before));

	own_namespace();
	EQ(readlink("/proc/self/exe", after, sizeof after), n);
	CHECK(!memcmp(before, after, n));
	OK(mkdir("m", 0755));
	OK(mount("none", "m", "tmpfs", 0, NULL));
	OK(mkdir("m/d", 0755));
	OK(chdir("m/d"));
	OK(umount2("../../m", MNT_DETACH));
	memset(after, 0, sizeof after);
	n = OK(readlink("/proc/self/cwd", after, sizeof after));
	STREQ(after, "/d");
	OK(syscall(SYS_getcwd, after, sizeof after));
	STREQ(after, "(unreachable)/d");
}
