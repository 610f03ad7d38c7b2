/*
 * Questions about a path that are asked again and again, and something that changes the answer in between: a kernel, or whoever stands in for it, may
 * remember what it said, but not beyond that. Each change is made by the thread that asks, by another one, and by another process; and by one process where
 * others ask. What is true is
 * asked for by another way each time: from a descriptor of the folder that was just opened.
 */
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <unistd.h>

#include "abi.h"

enum { OFTEN = 10, PATHS = 5, MODES = 4, SIZES = 2, TARGET_MAX = 400, BIG = 200 << 10, PEOPLE = 4711 };

struct facts {
	int stat, lstat, access[MODES], open, exec; /* 0 or errno */
	struct stat st, lst;
	int link[SIZES]; /* length or -errno */
	char target[SIZES][TARGET_MAX];
};

static const int modes[MODES] = { F_OK, R_OK, W_OK, X_OK };
static const int sizes[SIZES] = { TARGET_MAX, 3 };

static int result(long ret)
{
	return ret < 0 ? errno : 0;
}

static int opened(long fd)
{
	int err = result(fd);

	if (!err)
		close(fd);
	return err;
}

static int linked(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* An execve that gets no further than to find the file. */
static int executed(int fd, const char *path)
{
	const long bad = 8;

	return result(fd < 0 ? syscall(SYS_execve, path, bad, bad) : syscall(SYS_execveat, fd, path, bad, bad, 0));
}

/* The plain way, and which of the calls that mean the same. */
static struct facts ask(const char *path, int which)
{
	struct facts f = { 0 };

	memset(&f.st, 0x55, sizeof f.st);
	memset(&f.lst, 0x55, sizeof f.lst);
	if (which & 1) {
		f.stat = result(syscall(SYS_stat, path, &f.st));
		f.lstat = result(syscall(SYS_lstat, path, &f.lst));
		f.open = opened(syscall(SYS_open, path, O_RDONLY | O_NONBLOCK));
	} else {
		f.stat = result(syscall(SYS_newfstatat, AT_FDCWD, path, &f.st, 0));
		f.lstat = result(syscall(SYS_newfstatat, AT_FDCWD, path, &f.lst, AT_SYMLINK_NOFOLLOW));
		f.open = opened(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
	}
	for (int i = 0; i < MODES; i++)
		f.access[i] = result(which & 1 ? syscall(SYS_access, path, modes[i]) : syscall(SYS_faccessat, AT_FDCWD, path, modes[i]));
	f.exec = executed(-1, path);
	for (int i = 0; i < SIZES; i++)
		f.link[i] = linked(which & 1 ? syscall(SYS_readlink, path, f.target[i], sizes[i]) : syscall(SYS_readlinkat, AT_FDCWD, path, f.target[i], sizes[i]));
	return f;
}

static struct facts truth(const char *path)
{
	int fd = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY);
	struct facts f = { 0 };

	if (fd < 0)
		FAIL("there is no way to the truth: %s", strerror(errno));
	while (*path == '/')
		path++;
	f.stat = result(syscall(SYS_newfstatat, fd, path, &f.st, 0));
	f.lstat = result(syscall(SYS_newfstatat, fd, path, &f.lst, AT_SYMLINK_NOFOLLOW));
	f.open = opened(syscall(SYS_openat, fd, path, O_RDONLY | O_NONBLOCK));
	for (int i = 0; i < MODES; i++)
		f.access[i] = result(syscall(SYS_faccessat, fd, path, modes[i]));
	f.exec = executed(fd, path);
	for (int i = 0; i < SIZES; i++)
		f.link[i] = linked(syscall(SYS_readlinkat, fd, path, f.target[i], sizes[i]));
	close(fd);
	return f;
}

static const char *stat_differs(const struct stat *a, const struct stat *b)
{
#define SAME(field) \
	if (memcmp(&a->field, &b->field, sizeof a->field)) \
		return #field
	SAME(st_dev);
	SAME(st_ino);
	SAME(st_mode);
	SAME(st_nlink);
	SAME(st_uid);
	SAME(st_gid);
	SAME(st_rdev);
	SAME(st_size);
	SAME(st_blksize);
	SAME(st_blocks);
	if (!S_ISLNK(a->st_mode)) /* which whoever follows it changes */
		SAME(st_atim);
	SAME(st_mtim);
	SAME(st_ctim);
#undef SAME
	return NULL;
}

static const char *differs(const struct facts *a, const struct facts *b)
{
	const char *why = NULL;

	if (a->stat != b->stat)
		return "stat's error";
	if (a->lstat != b->lstat)
		return "lstat's error";
	if (a->open != b->open)
		return "open's error";
	if (a->exec != b->exec)
		return "execve's error";
	if (memcmp(a->access, b->access, sizeof a->access))
		return "access";
	if (memcmp(a->link, b->link, sizeof a->link))
		return "readlink's length";
	if (memcmp(a->target, b->target, sizeof a->target))
		return "the target";
	if (!a->stat)
		why = stat_differs(&a->st, &b->st);
	if (!why && !a->lstat)
		why = stat_differs(&a->lst, &b->lst);
	return why;
}

static void must_be_true(const char *what, const char *path, int which)
{
	struct facts said = ask(path, which), true_ = truth(path);
	const char *why = differs(&said, &true_);

	if (why)
		FAIL("%s: of %s %s isn't true: stat %d lstat %d open %d access %d %d %d %d mode %o nlink %d size %lld, not %d %d %d %d %d %d %d %o %d %lld", what, path, why,
		     said.stat, said.lstat, said.open, said.access[0], said.access[1], said.access[2], said.access[3], said.lst.st_mode,
		     (int)said.lst.st_nlink, (long long)said.lst.st_size, true_.stat, true_.lstat, true_.open, true_.access[0], true_.access[1], true_.access[2],
		     true_.access[3], true_.lst.st_mode, (int)true_.lst.st_nlink, (long long)true_.lst.st_size);
}

/* --- what changes. Before it there are, in the current folder:
 * d/f (a few bytes, mode 644), d/h (a link to it), d/g (other bytes), d/big (more), d/e (an empty folder), d/e2 (with a file x), d2/f (other bytes),
 * s (a link to d), chain (one to s), abs (one to d by its whole path), lm (one to m), to_none (one to d/none), d/l (one to f), d/up (one to ../d2/f),
 * d2/in (one to ../chain/f), d/long and d/longer (with long targets), m (an empty folder). Descriptors are open: file (of d/f, to read and write), big, dir (d2). */
static int file, big, dir;
static char *mapped;
static char here[256], d_as_whole[300];

static const char *target_of(int len)
{
	static char target[TARGET_MAX];

	for (int i = 0; i < len; i++)
		target[i] = i % 2 ? '/' : '.';
	target[len] = 0;
	return target;
}

static void setup(void)
{
	static const char *const folders[] = { "d", "d2", "d/e", "d/e2", "m" };

	umask(022);
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		OK(mkdir(folders[i], 0755));
	put_file("d/f", "a few", 0644);
	put_file("d/g", "other bytes", 0600);
	put_file("d/e2/x", "x", 0644);
	put_file("d2/f", "the other one", 0755);
	OK(link("d/f", "d/h"));
	CHECK(getcwd(here, sizeof here));
	snprintf(d_as_whole, sizeof d_as_whole, "%s/d", here);
	OK(symlink(d_as_whole, "abs"));
	OK(symlink("d", "s"));
	OK(symlink("s", "chain"));
	OK(symlink("m", "lm"));
	OK(symlink("d/none", "to_none"));
	OK(symlink("../d2/f", "d/up"));
	OK(symlink("../chain/f", "d2/in"));
	OK(symlink("f", "d/l"));
	OK(symlink(target_of(144), "d/long"));
	OK(symlink(target_of(300), "d/longer"));
	file = OK(open("d/f", O_RDWR));
	big = OK(open("d/big", O_RDWR | O_CREAT, 0644));
	OK(ftruncate(big, BIG));
	dir = OK(open("d2", O_RDONLY | O_DIRECTORY));
}

static void c_create(void) { put_file("d/none", "new", 0640); }
static void c_mkdir(void) { OK(mkdir("d/none", 0700)); }
static void c_symlink(void) { OK(symlink("f", "d/none")); }
static void c_symlink_bad(void) { OK(symlink("nowhere", "d/none")); }
static void c_link(void) { OK(link("d/f", "d/none")); }
static void c_fifo(void) { OK(mkfifo("d/none", 0600)); }
static void c_rename_to(void) { OK(rename("d/f", "d/none")); }
static void c_rename_in(void) { OK(rename("d2/f", "d/none")); }
static void c_rename_dir_in(void) { OK(rename("d/e2", "d/none")); }
static void c_unlink(void) { OK(unlink("d/f")); }
static void c_unlink_other(void) { OK(unlink("d/h")); }
static void c_rename_away(void) { OK(rename("d/f", "d2/f2")); }
static void c_rename_over(void) { OK(rename("d/g", "d/f")); }
static void c_rename_over_other(void) { OK(rename("d/g", "d/h")); }
static void c_exchange(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "d/g", RENAME_EXCHANGE)); }
static void c_exchange_dirs(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "d", AT_FDCWD, "d2", RENAME_EXCHANGE)); }
static void c_rename_dir(void) { OK(rename("d", "d3")); }
static void c_another_dir(void) { OK(rename("d", "d3")); OK(rename("d2", "d")); }
static void c_rename_dir_over(void) { OK(rename("d/e2", "d/e")); }
static void c_rmdir(void) { OK(rmdir("d/e")); }
static void c_rm_all(void) { OK(unlink("d/e2/x")); OK(rmdir("d/e2")); put_file("d/e2", "no folder", 0644); }
static void c_unlink_create(void) { OK(unlink("d/f")); put_file("d/f", "again", 0644); }
static void c_swap_link(void) { OK(symlink("d2", "s2")); OK(rename("s2", "s")); }
static void c_swap_last_link(void) { OK(symlink("g", "d/l2")); OK(rename("d/l2", "d/l")); }
static void c_longer_link(void) { OK(unlink("d/l")); OK(symlink(target_of(40), "d/l")); }
static void c_long_link(void) { OK(unlink("d/l")); OK(symlink(target_of(145), "d/l")); }
static void c_short_link(void) { OK(unlink("d/long")); OK(symlink("g", "d/long")); }
static void c_shorter_link(void) { OK(unlink("d/longer")); OK(symlink(target_of(299), "d/longer")); }
static void c_same_length(void) { OK(unlink("d/l")); OK(symlink("g", "d/l")); }
static void c_unlink_link(void) { OK(unlink("d/l")); }
static void c_unlink_dir_link(void) { OK(unlink("s")); }
static void c_rename_link(void) { OK(rename("d/l", "d/l2")); }
static void c_rename_dir_link(void) { OK(rename("s", "s2")); }
static void c_rename_over_link(void) { OK(rename("d/g", "d/l")); }
static void c_rename_link_over(void) { OK(rename("d/l", "d/g")); }
static void c_exchange_link(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "d/l", AT_FDCWD, "d/g", RENAME_EXCHANGE)); }
static void c_exchange_dir_link(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "s", AT_FDCWD, "d2", RENAME_EXCHANGE)); }
static void c_link_to_dir(void) { OK(unlink("s")); OK(mkdir("s", 0700)); put_file("s/f", "no link", 0600); }
static void c_dir_to_link(void) { OK(rename("d", "d3")); OK(symlink("d2", "d")); }
static void c_link_to_file(void) { OK(unlink("s")); put_file("s", "no link", 0600); }
static void c_relink(void) { OK(unlink("s")); OK(symlink("d2", "s")); }
static void c_relink_same(void) { OK(unlink("s")); OK(symlink("d", "s")); }
static void c_relink_chain(void) { OK(symlink("d2", "chain2")); OK(rename("chain2", "chain")); }
static void c_relink_abs(void) { OK(unlink("abs")); OK(symlink("/nowhere", "abs")); }
static void c_relink_up(void) { OK(symlink("g", "d/up2")); OK(rename("d/up2", "d/up")); }
static void c_link_over_link(void) { OK(rename("s", "chain")); }
static void c_loop(void) { OK(syscall(SYS_renameat2, AT_FDCWD, "s", AT_FDCWD, "chain", RENAME_EXCHANGE)); }
static void c_link_of_link(void) { OK(link("chain", "d/none")); }
static void c_link_to_links_folder(void) { OK(symlink("../d2", "d/none")); }
static void c_move_links_folder(void) { OK(rename("d2", "d4")); }
static void c_unlink_target(void) { OK(unlink("d2/f")); }
static void c_rename_over_target(void) { OK(rename("d/g", "d2/f")); }
static void c_chmod_target(void) { OK(chmod("d2/f", 0600)); }
static void c_write_target(void) { put_file("d2/f", "longer than before", 0755); }
static void c_chmod_by_link(void) { OK(chmod("chain", 0700)); OK(chmod("d2/in", 0611)); }
static void c_lchown_links(void) { OK(lchown("s", 17, 18)); OK(lchown("chain", 17, 18)); }
static void c_file_to_link(void) { OK(unlink("d/f")); OK(symlink("g", "d/f")); }
static void c_bind_socket(void)
{
	struct sockaddr_un a = { AF_UNIX, "d/none" };

	OK(bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&a, sizeof a));
}
static void c_tmpfile(void)
{
	char name[64];
	int fd = open("d", O_TMPFILE | O_RDWR, 0600);

	if (fd < 0)
		return;
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, name, AT_FDCWD, "d/none", AT_SYMLINK_FOLLOW));
}

static void c_chmod(void) { OK(chmod("d/f", 0400)); }
static void c_chmod_none(void) { OK(chmod("d/f", 0)); }
static void c_fchmod(void) { OK(fchmod(file, 04711)); }
static void c_fchmod_dup(void) { OK(fchmod(dup(file), 0666)); }
static void c_chmod_other(void) { OK(chmod("d/h", 0600)); }
static void c_chown(void) { OK(chown("d/f", 17, 18)); }
static void c_lchown(void) { OK(lchown("d/l", 17, 18)); }
static void c_utimes(void) { OK(utimensat(AT_FDCWD, "d/f", (struct timespec[]){ { 17, 18 }, { 19, 20 } }, 0)); }
static void c_futimes(void) { OK(futimens(file, NULL)); }
static void c_utimes_dir(void) { OK(utimensat(AT_FDCWD, "d", (struct timespec[]){ { 17, 18 }, { 19, 20 } }, 0)); }
static void c_truncate(void) { OK(truncate("d/f", 2)); }
static void c_truncate_long(void) { OK(truncate("d/f", BIG)); }
static void c_ftruncate(void) { OK(ftruncate(file, 3)); }
static void c_open_trunc(void) { OK(open("d/f", O_WRONLY | O_TRUNC)); }
static void c_open_creat_trunc(void) { OK(open("d/h", O_WRONLY | O_CREAT | O_TRUNC, 0600)); }
static void c_write(void) { EQ(write(file, "0123456789", 10), 10); }
static void c_write_within(void) { EQ(write(file, "z", 1), 1); }
static void c_pwrite(void) { EQ(pwrite(file, "y", 1, 100), 1); }
static void c_write_setid(void)
{
	OK(fchmod(file, 06755));
	EQ(write(file, "z", 1), 1);
}
static void c_write_other(void) { put_file("d/h", "by its other name", 0644); }
static void c_append(void) { EQ(write(OK(open("d/f", O_WRONLY | O_APPEND)), "more", 4), 4); }
static void c_write_big(void) { EQ(pwrite(big, "y", 1, 0), 1); }
static void c_grow_big(void) { EQ(pwrite(big, "y", 1, 2 * BIG), 1); }
static void c_pwrite_often(void)
{
	char page[4096] = "p";

	for (int i = 0; i < 200; i++)
		EQ(pwrite(big, page, sizeof page, i % 16 * sizeof page), sizeof page);
}
static void c_read(void) { char c; EQ(pread(file, &c, 1, 0), 1); }
static void c_read_big(void)
{
	char page[4096];

	for (int i = 0; i < 50; i++)
		EQ(pread(big, page, sizeof page, i % 16 * sizeof page), sizeof page);
}
static void c_readdir(void)
{
	DIR *d = opendir("d");

	while (readdir(d))
		;
	closedir(d);
}
static void c_fallocate(void) { if (fallocate(file, 0, 0, 10000) < 0) EQ(errno, EOPNOTSUPP); }
static void c_punch(void) { if (fallocate(big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536) < 0) EQ(errno, EOPNOTSUPP); }
static void c_copy_range(void) { if (copy_file_range(OK(open("d/g", O_RDONLY)), NULL, file, NULL, 11, 0) < 0) CHECK(errno == EXDEV || errno == EOPNOTSUPP); }
static void c_sendfile(void) { EQ(sendfile(file, OK(open("d/g", O_RDONLY)), NULL, 11), 11); }
static void c_splice(void)
{
	int p[2];

	OK(pipe(p));
	EQ(write(p[1], "through a pipe", 14), 14);
	EQ(splice(p[0], NULL, file, NULL, 14, 0), 14);
}
static void c_map(void) { mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0); CHECK(mapped != MAP_FAILED); mapped[0] = 'm'; OK(msync(mapped, 4096, MS_SYNC)); }
static void c_map_big(void)
{
	char *p = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_SHARED, big, 0);

	CHECK(p != MAP_FAILED);
	memset(p, 'm', BIG);
	OK(msync(p, BIG, MS_SYNC));
}
static void c_setxattr(void) { if (setxattr("d/f", "user.x", "y", 1, 0) < 0) CHECK(errno == EOPNOTSUPP || errno == EPERM); }
static void c_chmod_dir(void) { OK(chmod("d", 0)); }
static void c_chown_dir(void) { OK(chown("d", PEOPLE, PEOPLE)); OK(chmod("d", 0700)); }
static void c_chmod_upper(void) { OK(chmod(here, 0700)); }

static void c_mount(void) { OK(mount("none", "d", "tmpfs", 0, "mode=700")); }
static void c_mount_upper(void) { OK(mkdir("m/d", 0755)); OK(mount("m", "d", NULL, MS_BIND, NULL)); }
static void c_mount_file(void) { OK(mount("d2/f", "d/f", NULL, MS_BIND, NULL)); }
static void c_mount_d2(void) { OK(mount("none", "d2", "tmpfs", 0, NULL)); OK(symlink("../d/g", "d2/in")); }
static void c_umount(void) { OK(umount2("m", MNT_DETACH)); }
static void c_mount_ro(void) { OK(mount(NULL, "d", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOEXEC, NULL)); }
static void c_mount_move(void) { OK(mount("m", "d", NULL, MS_MOVE, NULL)); }
static void c_own_mounts(void) { OK(unshare(CLONE_NEWNS)); OK(mount("none", "d", "tmpfs", 0, NULL)); }
static void c_chdir(void) { OK(chdir("d2")); }
static void c_chdir_back(void) { OK(chdir("d2")); OK(mkdir("d", 0700)); put_file("d/f", "yet another", 0600); }
static void c_fchdir(void) { OK(fchdir(dir)); }
static void c_chroot(void) { OK(chroot("d2")); }
static void c_unshare_fs(void) { OK(unshare(CLONE_FS)); OK(chdir("d2")); }
static void c_setuid(void) { OK(chmod("d/f", 0600)); OK(syscall(SYS_setresuid, PEOPLE, PEOPLE, PEOPLE)); }
static void c_seteuid(void) { OK(syscall(SYS_setresuid, -1, PEOPLE, -1)); }
static void c_setreuid(void) { OK(syscall(SYS_setresuid, PEOPLE, -1, -1)); }
static void c_setfsuid(void) { syscall(SYS_setfsuid, PEOPLE); }
static void c_setgid(void) { OK(chown("d/f", PEOPLE, 0)); OK(chmod("d/f", 0060)); OK(syscall(SYS_setresgid, PEOPLE, PEOPLE, PEOPLE)); OK(syscall(SYS_setresuid, 1, 1, 1)); }
static void c_setgroups(void) { OK(syscall(SYS_setgroups, 1, &(gid_t){ PEOPLE })); }
static void c_capset(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	OK(chown("d/f", PEOPLE, PEOPLE));
	OK(chmod("d/f", 0600));
	OK(syscall(SYS_capset, &h, none));
}
static void c_securebits(void) { OK(chmod("d/f", 0)); OK(prctl(PR_SET_KEEPCAPS, 1)); OK(syscall(SYS_setresuid, PEOPLE, PEOPLE, PEOPLE)); }

static void p_mounts(void)
{
	OK(unshare(CLONE_NEWNS));
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}
static void p_mounted(void)
{
	p_mounts();
	OK(mount("none", "m", "tmpfs", 0, NULL));
	put_file("m/f", "in the mount", 0644);
}
static void p_new_root(void)
{
	p_mounted();
	OK(mkdir("m/old", 0755));
}
static void c_pivot(void) { OK(syscall(SYS_pivot_root, "m", "m/old")); }
static void p_bound(void)
{
	p_mounts();
	OK(mount("d", "d", NULL, MS_BIND, NULL));
}
static void p_groups(void)
{
	OK(chown("d/f", 1, PEOPLE));
	OK(chmod("d/f", 0060));
	OK(syscall(SYS_setgroups, 0, NULL));
	OK(prctl(PR_SET_KEEPCAPS, 1));
	OK(syscall(SYS_setresuid, 2, 2, 2)); /* nobody in particular, who may change groups: */

	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct some[2] = { { 1 << CAP_SETGID, 1 << CAP_SETGID, 0 }, { 0, 0, 0 } };

	OK(syscall(SYS_capset, &h, some));
}
static void p_people(void) /* somebody who owns d but may not everything */
{
	OK(chmod(here, 0755));
	OK(chown("d", PEOPLE, PEOPLE));
	OK(chown("d/f", PEOPLE, PEOPLE));
	OK(syscall(SYS_setresuid, PEOPLE, PEOPLE, PEOPLE));
}
static void p_old_atime(void) { OK(utimensat(AT_FDCWD, "d/f", (struct timespec[]){ { 17, 18 }, { 0, UTIME_NOW } }, 0)); }

static const struct change {
	const char *name, *paths[PATHS];
	void (*make)(void), (*prepare)(void);
} changes[] = {
	{ "create", { "d/none", "d" }, c_create, 0 },
	{ "mkdir", { "d/none", "d" }, c_mkdir, 0 },
	{ "mkdir, and below", { "d/none/below", "d/none" }, c_mkdir, 0 },
	{ "symlink", { "d/none", "d" }, c_symlink, 0 },
	{ "symlink to nothing", { "d/none", "d" }, c_symlink_bad, 0 },
	{ "link", { "d/none", "d/f", "d/h" }, c_link, 0 },
	{ "mkfifo", { "d/none" }, c_fifo, 0 },
	{ "bind", { "d/none" }, c_bind_socket, 0 },
	{ "a file without a name gets one", { "d/none", "d" }, c_tmpfile, 0 },
	{ "rename, new name", { "d/none", "d/f", "d" }, c_rename_to, 0 },
	{ "rename from another folder", { "d/none", "d2/f", "d2" }, c_rename_in, 0 },
	{ "rename of a folder", { "d/none", "d/none/x", "d/e2/x" }, c_rename_dir_in, 0 },
	{ "unlink", { "d/f", "d/h", "d" }, c_unlink, 0 },
	{ "unlink of another link", { "d/f", "d/h" }, c_unlink_other, 0 },
	{ "rename, old name", { "d/f", "d2/f2", "d2" }, c_rename_away, 0 },
	{ "rename over", { "d/f", "d/g", "d/h" }, c_rename_over, 0 },
	{ "rename over another link", { "d/f", "d/g", "d/h" }, c_rename_over_other, 0 },
	{ "exchange", { "d/f", "d/g", "d/h" }, c_exchange, 0 },
	{ "exchange of folders", { "d/f", "d2/f", "d/none" }, c_exchange_dirs, 0 },
	{ "the folder moves", { "d/f", "d3/f", "d/none" }, c_rename_dir, 0 },
	{ "another folder in its place", { "d/f", "d", "d2/f" }, c_another_dir, 0 },
	{ "a folder over one", { "d/e", "d/e/x", "d/e2/x" }, c_rename_dir_over, 0 },
	{ "rmdir", { "d/e", "d/e/none", "d" }, c_rmdir, 0 },
	{ "a file in a folder's place", { "d/e2/x", "d/e2", "d/e2/none" }, c_rm_all, 0 },
	{ "unlink, create", { "d/f", "d/h" }, c_unlink_create, 0 },
	{ "another target", { "s/f", "s", "s/g" }, c_swap_link, 0 },
	{ "another target at the end", { "d/l", "s/l" }, c_swap_last_link, 0 },
	{ "a link in a file's place", { "d/f", "s/f" }, c_file_to_link, 0 },
	{ "another target of the same length", { "d/l", "s/l" }, c_same_length, 0 },
	{ "a longer target", { "d/l", "s/l" }, c_longer_link, 0 },
	{ "a long target", { "d/l", "s/l" }, c_long_link, 0 },
	{ "a short target", { "d/long", "s/long" }, c_short_link, 0 },
	{ "a shorter target", { "d/longer", "d/long", "s/longer" }, c_shorter_link, 0 },
	{ "unlink of a link", { "d/l", "s/l" }, c_unlink_link, 0 },
	{ "unlink of a link to a folder", { "s", "s/f", "s/none" }, c_unlink_dir_link, 0 },
	{ "rename of a link", { "d/l", "d/l2", "s/l" }, c_rename_link, 0 },
	{ "rename of a link to a folder", { "s", "s/f", "s2/f" }, c_rename_dir_link, 0 },
	{ "rename over a link", { "d/l", "d/g", "s/l" }, c_rename_over_link, 0 },
	{ "rename of a link over a file", { "d/l", "d/g", "s/g" }, c_rename_link_over, 0 },
	{ "exchange of a link", { "d/l", "d/g", "s/l" }, c_exchange_link, 0 },
	{ "exchange of a link to a folder", { "s/f", "d2/f", "s" }, c_exchange_dir_link, 0 },
	{ "a folder in a link's place", { "s", "s/f", "s/none" }, c_link_to_dir, 0 },
	{ "a link that is crossed leads elsewhere", { "s/f", "chain/f", "d2/in", "s/none", "s/e2/x" }, c_swap_link, 0 },
	{ "it is removed", { "s/f", "chain/f", "d2/in", "s/none", "chain" }, c_unlink_dir_link, 0 },
	{ "it is removed, made anew", { "s/f", "chain/f", "d2/in", "s/none", "chain" }, c_relink, 0 },
	{ "it is removed, made anew as it was", { "s/f", "chain/f", "d2/in", "s/none", "chain" }, c_relink_same, 0 },
	{ "it is renamed", { "s/f", "chain/f", "d2/in", "s/none", "s2/f" }, c_rename_dir_link, 0 },
	{ "it changes places with a folder", { "s/f", "chain/f", "d2/in", "d2/f", "chain" }, c_exchange_dir_link, 0 },
	{ "it becomes a folder", { "s/f", "chain/f", "d2/in", "chain/none", "chain" }, c_link_to_dir, 0 },
	{ "it becomes a file", { "s/f", "chain/f", "d2/in", "chain/none", "chain" }, c_link_to_file, 0 },
	{ "a link to it leads elsewhere", { "s/f", "chain/f", "d2/in", "chain/none", "chain" }, c_relink_chain, 0 },
	{ "a link to it becomes it", { "s/f", "chain/f", "d2/in", "chain/none", "chain" }, c_link_over_link, 0 },
	{ "they lead nowhere", { "s/f", "chain/f", "d2/in", "chain/none", "chain" }, c_loop, 0 },
	{ "a whole path becomes another", { "abs/f", "abs", "abs/none", "abs/e2/x" }, c_relink_abs, 0 },
	{ "a link at the end leads elsewhere", { "d/up", "s/up", "chain/up", "abs/up" }, c_relink_up, 0 },
	{ "a link to a link", { "d/none/f", "d/none", "s/none", "to_none/f" }, c_link_of_link, 0 },
	{ "a link where nothing was", { "d/none/f", "d/none", "s/none", "to_none/f", "to_none/in" }, c_link_to_links_folder, 0 },
	{ "a file where a link leads", { "to_none", "s/none", "to_none/f" }, c_create, 0 },
	{ "a folder where a link leads", { "to_none", "s/none", "to_none/f" }, c_mkdir, 0 },
	{ "a folder moves to where a link leads", { "to_none", "to_none/x", "s/e2/x" }, c_rename_dir_in, 0 },
	{ "the folder with a link moves", { "d2/in", "d/up", "d4/in" }, c_move_links_folder, 0 },
	{ "the folder that a link leads to moves", { "s/f", "chain/f", "abs/f", "d2/in", "s/none" }, c_rename_dir, 0 },
	{ "another folder where a link leads", { "s/f", "chain/f", "abs/f", "d2/in", "s/none" }, c_another_dir, 0 },
	{ "folders change places", { "s/f", "chain/f", "abs/f", "d2/in", "s/up" }, c_exchange_dirs, 0 },
	{ "unlink of what a link leads to", { "d/up", "s/up", "chain/up", "abs/up" }, c_unlink_target, 0 },
	{ "rename over what a link leads to", { "d/up", "s/up", "chain/up", "abs/up" }, c_rename_over_target, 0 },
	{ "chmod of what a link leads to", { "d/up", "s/up", "chain/up", "abs/up" }, c_chmod_target, 0 },
	{ "write to what a link leads to", { "d/up", "s/up", "chain/up", "abs/up" }, c_write_target, 0 },
	{ "chmod by a link", { "s/f", "chain", "d2/in", "abs" }, c_chmod_by_link, 0 },
	{ "lchown of links", { "s/f", "s", "chain/f", "chain" }, c_lchown_links, 0 },
	{ "chmod of a folder that a link leads to", { "s/f", "chain/f", "abs/f", "d2/in", "chain/none" }, c_chmod_dir, 0 },
	{ "the same by one who may not everything", { "s/f", "chain/f", "abs/f", "d2/in", "chain/none" }, c_chmod_dir, p_people },
	{ "mount where a link leads", { "s/f", "chain/f", "abs/f", "d2/in", "chain/none" }, c_mount, p_mounts },
	{ "mount on a file where a link leads", { "s/f", "chain/f", "abs/f", "d2/in" }, c_mount_file, p_mounts },
	{ "mount over a link", { "d2/in", "d/up", "s/up" }, c_mount_d2, p_mounts },
	{ "umount where a link leads", { "lm/f", "lm", "lm/none" }, c_umount, p_mounted },
	{ "a mount moves from where a link leads", { "lm/f", "s/f", "chain/f", "abs/f" }, c_mount_move, p_mounted },
	{ "pivot_root, and links", { "abs/f", "s/f", "d2/in", "/bin/sh" }, c_pivot, p_new_root },
	{ "chdir, and links", { "abs/f", "s/f", "in" }, c_chdir, 0 },
	{ "chroot, and links", { "abs/f", "s/f", "d2/in", "/bin/sh", "/in" }, c_chroot, 0 },
	{ "setresuid, and links", { "s/f", "chain/f", "abs/f", "d2/in" }, c_setuid, 0 },
	{ "a link in a folder's place", { "d", "d/f", "s/f" }, c_dir_to_link, 0 },
	{ "a file in a link's place", { "s", "s/f", "s/" }, c_link_to_file, 0 },
	{ "chmod", { "d/f", "d/h", "s/f" }, c_chmod, 0 },
	{ "chmod 0", { "d/f", "d/h" }, c_chmod_none, 0 },
	{ "chmod by one who may not everything", { "d/f", "d/h" }, c_chmod_none, p_people },
	{ "fchmod", { "d/f", "d/h" }, c_fchmod, 0 },
	{ "fchmod by another descriptor", { "d/f", "d/h" }, c_fchmod_dup, 0 },
	{ "chmod by another name", { "d/f", "d/h" }, c_chmod_other, 0 },
	{ "chown", { "d/f", "d/h" }, c_chown, 0 },
	{ "lchown", { "d/l", "d/f" }, c_lchown, 0 },
	{ "utimensat", { "d/f", "d/h" }, c_utimes, 0 },
	{ "futimens", { "d/f", "d/h" }, c_futimes, 0 },
	{ "utimensat of a folder", { "d", "d/." , "d/e/.." }, c_utimes_dir, 0 },
	{ "truncate", { "d/f", "d/h" }, c_truncate, 0 },
	{ "truncate, longer", { "d/f", "d/h" }, c_truncate_long, 0 },
	{ "ftruncate", { "d/f", "d/h" }, c_ftruncate, 0 },
	{ "O_TRUNC", { "d/f", "d/h" }, c_open_trunc, 0 },
	{ "O_CREAT and O_TRUNC", { "d/f", "d/h" }, c_open_creat_trunc, 0 },
	{ "write", { "d/f", "d/h" }, c_write, 0 },
	{ "write within", { "d/f", "d/h" }, c_write_within, 0 },
	{ "pwrite", { "d/f", "d/h" }, c_pwrite, 0 },
	{ "write to a set-id file", { "d/f", "d/h" }, c_write_setid, p_people },
	{ "write by another name", { "d/f", "d/h" }, c_write_other, 0 },
	{ "append", { "d/f", "d/h" }, c_append, 0 },
	{ "write to a large file", { "d/big" }, c_write_big, 0 },
	{ "a large file grows", { "d/big" }, c_grow_big, 0 },
	{ "pwrite again and again", { "d/big" }, c_pwrite_often, 0 },
	{ "read", { "d/f", "d/h" }, c_read, p_old_atime },
	{ "read of a large file", { "d/big" }, c_read_big, 0 },
	{ "readdir", { "d" }, c_readdir, 0 },
	{ "fallocate", { "d/f", "d/h" }, c_fallocate, 0 },
	{ "a hole", { "d/big" }, c_punch, 0 },
	{ "copy_file_range", { "d/f", "d/h" }, c_copy_range, 0 },
	{ "sendfile", { "d/f", "d/h" }, c_sendfile, 0 },
	{ "splice", { "d/f", "d/h" }, c_splice, 0 },
	{ "a mapping", { "d/f", "d/h" }, c_map, 0 },
	{ "a large mapping", { "d/big" }, c_map_big, 0 },
	{ "setxattr", { "d/f", "d/h" }, c_setxattr, 0 },
	{ "chmod of the folder", { "d/f", "d/none", "s/f" }, c_chmod_dir, 0 },
	{ "chmod of the folder by one who may not everything", { "d/f", "d/none", "s/f" }, c_chmod_dir, p_people },
	{ "chown of the folder", { "d/f", "d/none" }, c_chown_dir, 0 },
	{ "chmod of the current folder", { "d/f", "d/none" }, c_chmod_upper, 0 },
	{ "mount", { "d/f", "d", "d/none" }, c_mount, p_mounts },
	{ "bind mount", { "d/f", "d/d", "d" }, c_mount_upper, p_mounts },
	{ "mount on a file", { "d/f", "d/h" }, c_mount_file, p_mounts },
	{ "umount", { "m/f", "m", "m/none" }, c_umount, p_mounted },
	{ "remount", { "d/f", "d", "d/e" }, c_mount_ro, p_bound },
	{ "a mount moves", { "m/f", "d/f", "m" }, c_mount_move, p_mounted },
	{ "pivot_root", { "/f", "/old", "/etc" }, c_pivot, p_new_root },
	{ "unshare of mounts, mount", { "d/f", "d" }, c_own_mounts, p_mounts },
	{ "chdir", { "d/f", "f", "d" }, c_chdir, 0 },
	{ "chdir where there is such a file, too", { "d/f", "d/none", "." }, c_chdir_back, 0 },
	{ "fchdir", { "d/f", "f", "." }, c_fchdir, 0 },
	{ "chroot", { "/f", "/etc", "/d2/f" }, c_chroot, 0 },
	{ "unshare of the folder, chdir", { "d/f", "f" }, c_unshare_fs, 0 },
	{ "setresuid", { "d/f", "d2/f" }, c_setuid, 0 },
	{ "seteuid", { "d/g", "d2/f" }, c_seteuid, 0 },
	{ "setreuid", { "d/g", "d2/f" }, c_setreuid, 0 },
	{ "setfsuid", { "d/g", "d2/f" }, c_setfsuid, 0 },
	{ "setresgid", { "d/f", "d2/f" }, c_setgid, 0 },
	{ "setgroups", { "d/f", "d2/f" }, c_setgroups, p_groups },
	{ "capset", { "d/f", "d2/f" }, c_capset, 0 },
	{ "setresuid, keeping capabilities", { "d/f", "d2/f" }, c_securebits, 0 },
};

/* --- who makes it */
static void by_self(const struct change *c)
{
	c->make();
}

static void *thread_main(void *arg)
{
	((const struct change *)arg)->make();
	return NULL;
}

static void by_thread(const struct change *c)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, thread_main, (void *)c));
	CHECK(!pthread_join(t, NULL));
}

static void by_process(const struct change *c)
{
	EXITED(CHILD({ c->make(); }), 0);
}

static void ask_often(const struct change *c)
{
	for (int i = 0; i < OFTEN; i++)
		for (int k = 0; k < PATHS && c->paths[k]; k++)
			ask(c->paths[k], i);
}

static void try_one(const struct change *c, void (*by)(const struct change *))
{
	setup();
	if (c->prepare)
		c->prepare();
	ask_often(c);
	by(c);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < PATHS && c->paths[k]; k++)
			must_be_true(c->name, c->paths[k], i);
}

/* What several processes ask of a path that means the same to all of them, one may be told because another was. */
static void strangers_ask(const struct change *c, int n, bool after)
{
	char path[512];

	for (int i = 0; i < n; i++)
		EXITED(CHILD({
			for (int k = 0; k < 3 && c->paths[k]; k++) {
				snprintf(path, sizeof path, "%s/%s", here, c->paths[k]);
				if (after)
					must_be_true(c->name, path, i);
				else
					ask(path, i);
			}
		}), 0);
}

static void try_strangers(const struct change *c, void (*by)(const struct change *))
{
	setup();
	if (c->prepare)
		c->prepare();
	strangers_ask(c, OFTEN, false);
	by(c);
	strangers_ask(c, 4, true);
}

/* After it not all processes are the same user's with the same rights, or of one root and one view of the mounts. */
static bool parts(const struct change *c)
{
	static void (*const makes[])(void) = { c_own_mounts, c_chroot, c_pivot, c_setuid, c_seteuid, c_setreuid, c_setfsuid, c_setgid, c_setgroups, c_capset, c_securebits };

	for (size_t i = 0; i < sizeof makes / sizeof *makes; i++)
		if (c->make == makes[i])
			return true;
	return c->prepare == p_groups || c->prepare == p_people || c->prepare == p_new_root;
}

static void try_all(void (*try)(const struct change *, void (*)(const struct change *)), void (*by)(const struct change *))
{
	char name[32];

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		int st = 0;
		pid_t p;

		if (try == try_strangers && parts(&changes[i]))
			continue;
		snprintf(name, sizeof name, "t%zu", i);
		OK(mkdir(name, 0755));
		p = CHILD({
			OK(chdir(name));
			try(&changes[i], by);
		});
		OK(waitpid(p, &st, 0));
		if (st)
			FAIL("%s: wait status 0x%x", changes[i].name, st);
	}
}

CASE(by_strangers) /* before those that part them */
{
	try_all(try_strangers, by_process);
}

CASE(by_itself)
{
	try_all(try_one, by_self);
}

CASE(by_a_thread)
{
	try_all(try_one, by_thread);
}

CASE(by_a_process)
{
	try_all(try_one, by_process);
}

/* What a thread asked in one folder another that takes its place doesn't hear in its own. */
static void *own_folder(void *arg)
{
	for (int i = 0; i < OFTEN; i++) {
		must_be_true("a new thread", "f", i);
		must_be_true("a new thread", "d/f", i);
	}
	OK(unshare(CLONE_FS));
	OK(chdir(arg));
	for (int i = 0; i < OFTEN; i++)
		must_be_true(arg, "f", i);
	return NULL;
}

CASE(threads_one_after_the_other)
{
	setup();
	for (int i = 0; i < 20; i++) {
		pthread_t t;

		CHECK(!pthread_create(&t, NULL, own_folder, i % 3 == 0 ? "d" : i % 3 == 1 ? "d2" : "m"));
		CHECK(!pthread_join(t, NULL));
	}
}

/* The same for processes, by fork and vfork, and for what execve runs: it has lost its capabilities. */
void abi_helper(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[1], "--questions"))
		return;
	if (chdir(argv[2]) < 0)
		_exit(2);
	for (int i = 0; i < OFTEN; i++)
		must_be_true(argv[3], "f", i);
	_exit(0);
}

static void questions_in(const char *folder, const char *name)
{
	execl("/proc/self/exe", "remembered", "--questions", folder, name, NULL);
	_exit(3);
}

CASE(programs_one_after_the_other)
{
	setup();
	for (int i = 0; i < 6; i++) {
		const char *folder = i % 2 ? "d" : "d2";
		pid_t p = vfork();

		if (p == 0)
			questions_in(folder, "vfork");
		EXITED(p, 0);
		EXITED(CHILD({
			OK(chdir(i % 2 ? "d2" : "m"));
			for (int k = 0; k < OFTEN; k++)
				ask("f", k);
			questions_in(i % 2 ? "../d" : "../d2", "fork");
		}), 0);
	}
}

CASE(execve_without_capabilities)
{
	setup();
	OK(chmod(here, 0755));
	OK(chmod("d2/f", 0));
	EXITED(CHILD({
		OK(prctl(PR_SET_KEEPCAPS, 1));
		OK(syscall(SYS_setresuid, PEOPLE, PEOPLE, PEOPLE));

		struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
		struct __user_cap_data_struct all[2];

		OK(syscall(SYS_capget, &h, all));
		all[0].effective = all[0].permitted;
		all[1].effective = all[1].permitted;
		OK(syscall(SYS_capset, &h, all));
		OK(chdir("d2"));
		for (int k = 0; k < OFTEN; k++)
			must_be_true("before", "f", k);
		questions_in(".", "after");
	}), 0);
}

/* The answer's place is bad, or bad in part; the path is where nothing is; and both in one. */
CASE(bad_places)
{
	char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *path;
	struct stat st, *part;
	char the_link[300], longer[400];

	CHECK(two != MAP_FAILED);
	OK(munmap(two + 4096, 4096));
	setup();
	snprintf(the_link, sizeof the_link, "%s/s", here);
	part = (struct stat *)(two + 4096 - sizeof st / 2);
	for (int i = 0; i < OFTEN; i++) {
		path = strcpy(two + 4096 - 4, "d/f");
		OK(syscall(SYS_stat, path, &st));
		EQ(st.st_size, 5);
		ERR(syscall(SYS_stat, "d/f", part), EFAULT);
		ERR(syscall(SYS_stat, "d/f", NULL), EFAULT);
		ERR(syscall(SYS_stat, "d/f", -4096), EFAULT);
		ERR(syscall(SYS_stat, "d/none", part), ENOENT);
		ERR(syscall(SYS_stat, two + 4096, &st), EFAULT);
		ERR(syscall(SYS_access, NULL, F_OK), EFAULT);
		ERR(syscall(SYS_access, "", F_OK), ENOENT);
		ERR(syscall(SYS_access, "d/f", 8), EINVAL);
		ERR(syscall(SYS_newfstatat, AT_FDCWD, "d/f", &st, 0x40), EINVAL);
		ERR(syscall(SYS_newfstatat, 77, "d/f", &st, 0), EBADF);
		EQ(syscall(SYS_readlink, "s", &st, sizeof st), 1);
		EQ(syscall(SYS_readlink, "d/long", &st, sizeof st), 144);
		EQ(syscall(SYS_readlink, "d/longer", longer, sizeof longer), 300);
		CHECK(memcmp(longer, target_of(300), 300) == 0);
		ERR(syscall(SYS_readlink, "d/long", part, sizeof st), EFAULT);
		ERR(syscall(SYS_readlink, "s", NULL, sizeof st), EFAULT);
		ERR(syscall(SYS_readlink, "s", -4096, sizeof st), EFAULT);
		ERR(syscall(SYS_readlink, "d/f", NULL, sizeof st), EINVAL);
		ERR(syscall(SYS_readlink, "d/none", NULL, sizeof st), ENOENT);
		ERR(syscall(SYS_readlink, "s", &st, 0), EINVAL);
		ERR(syscall(SYS_readlink, "d/none", &st, 0), EINVAL);
		ERR(syscall(SYS_readlink, "s", &st, -1), EINVAL);
		ERR(syscall(SYS_readlink, "s", &st, 1ul << 32), EINVAL);
		EQ(syscall(SYS_readlink, "s", &st, 1ul << 32 | 1), 1);
		EQ(syscall(SYS_readlink, "s", &st, 0x7fffffff), 1);
		ERR(syscall(SYS_readlink, "", &st, sizeof st), ENOENT);
		ERR(syscall(SYS_readlinkat, dir, "", &st, sizeof st), ENOENT);
		ERR(syscall(SYS_readlinkat, 77, "s", &st, sizeof st), EBADF);
		ERR(syscall(SYS_readlinkat, dir, "s", &st, sizeof st), ENOENT);
		ERR(syscall(SYS_readlink, "s/", &st, sizeof st), EINVAL);
		ERR(syscall(SYS_readlink, "d/f/", &st, sizeof st), ENOTDIR);
		EQ(syscall(SYS_readlinkat, 77, the_link, &st, sizeof st), 1);
		OK(syscall(SYS_newfstatat, 77, here, &st, 0));
		OK(syscall(SYS_newfstatat, dir, "f", &st, 0));
		EQ(st.st_size, 13);
	}
	path = strcpy(two + 4096 - 4, "x/f"); /* the same place, another path */
	ERR(syscall(SYS_stat, path, &st), ENOENT);
	path[0] = 's';
	OK(syscall(SYS_stat, path, &st));
	/* the answer covers its own question */
	for (int i = 0; i < OFTEN; i++) {
		strcpy(two, "d/f");
		OK(syscall(SYS_stat, two, two));
		EQ(((struct stat *)two)->st_size, 5);
		strcpy(two, "s");
		EQ(syscall(SYS_readlink, two, two, 4096), 1);
		EQ(two[0], 'd');
	}
}

/* Links of /proc: where they lead changes without their names. */
static void *asks_proc(void *arg)
{
	char to[64], as_is[64];

	memset(to, 0, sizeof to);
	snprintf(as_is, sizeof as_is, "%d/task/%ld", getpid(), syscall(SYS_gettid));
	for (int i = 0; i < OFTEN; i++) {
		OK(syscall(SYS_readlink, "/proc/thread-self", to, sizeof to));
		EQ(strcmp(to, as_is), 0);
	}
	return arg;
}

CASE(links_of_proc)
{
	char to[300], name[64], as_is[300];
	pthread_t t;
	int fd;

	setup();
	fd = OK(open("d/f", O_RDONLY));
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	for (int i = 0; i < 3 * OFTEN; i++) {
		const char *file = i / OFTEN % 2 ? "d/g" : "d2/f";

		if (i % OFTEN == 0)
			OK(dup2(OK(open(file, O_RDONLY)), fd));
		to[OK(syscall(SYS_readlink, name, to, sizeof to))] = 0;
		snprintf(as_is, sizeof as_is, "%s/%s", here, file);
		EQ(strcmp(to, as_is), 0);
	}
	close(fd);
	ERR(syscall(SYS_readlink, name, to, sizeof to), ENOENT);
	OK(open("d/f", O_RDONLY));
	OK(syscall(SYS_readlink, name, to, sizeof to));
	for (int i = 0; i < OFTEN; i++) {
		OK(syscall(SYS_readlink, "/proc/self/cwd", to, sizeof to));
		OK(syscall(SYS_readlink, "/proc/self", to, sizeof to));
		ERR(syscall(SYS_readlink, "/proc/self/status", to, sizeof to), EINVAL);
	}
	OK(chdir("d2"));
	to[OK(syscall(SYS_readlink, "/proc/self/cwd", to, sizeof to))] = 0;
	EQ(strcmp(strrchr(to, '/'), "/d2"), 0);
	EXITED(CHILD({
		to[OK(syscall(SYS_readlink, "/proc/self", to, sizeof to))] = 0;
		EQ(atoi(to), getpid());
	}), 0);
	asks_proc(NULL);
	CHECK(!pthread_create(&t, NULL, asks_proc, NULL));
	CHECK(!pthread_join(t, NULL));
}

/* Paths of every length, and many of them. */
CASE(many_paths)
{
	char path[600];
	struct stat st;

	setup();
	for (int round = 0; round < 3; round++)
		for (int n = 0; n < 220; n++) {
			memset(path, 0, sizeof path);
			for (int i = 0; i < n; i++)
				strcat(path, "./");
			strcat(path, n % 3 == 0 ? "d/f" : n % 3 == 1 ? "d2/f" : "d/none");
			for (int i = 0; i < 4; i++) {
				long ret = syscall(SYS_stat, path, &st);

				EQ(ret, n % 3 == 2 ? -1 : 0);
				if (ret == 0)
					EQ(st.st_size, n % 3 == 0 ? 5 : 13);
			}
		}
}

/* --- two processes: one changes this or that, the other asks, always in the same order */
static uint32_t state = 20260129;

static uint32_t next(uint32_t below)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

static const char *const names[] = { "a/x", "a/y", "a/z", "b/x", "b/y", "a", "b", "a/z/deep", "b/y/deep", "a/z/x", "l", "l/x", "l/z/y" };
static const char *const targets[] = { "x", "../b/y", "../b", "a", "b", "../l/x" };
enum { NAMES = sizeof names / sizeof *names, STEPS = 1500 };

/* Whatever comes of it. */
static void disturb(void)
{
	const char *p = names[next(NAMES)], *q = names[next(NAMES)];
	int fd = -1;
	char c;

	switch (next(14)) {
	case 0:
	case 1:
		fd = open(p, O_RDWR | O_CREAT, 0600 + next(0200));
		break;
	case 2:
		if (unlink(p) < 0)
			rmdir(p);
		break;
	case 3:
		mkdir(p, 0700 + next(0100));
		break;
	case 4:
		rename(p, q);
		break;
	case 5:
		link(p, q);
		break;
	case 6:
		symlink(targets[next(sizeof targets / sizeof *targets)], p);
		break;
	case 7:
		chmod(p, 0700 + next(0100));
		break;
	case 8:
		truncate(p, next(3) * 30000);
		break;
	case 9:
		fd = open(p, O_RDWR | O_APPEND);
		c = write(fd, "0123456789", 1 + next(9));
		break;
	case 10:
		fd = open(p, O_RDONLY);
		c = read(fd, &c, 1);
		break;
	case 11:
		chown(p, next(3), next(3));
		break;
	case 12:
		syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, q, RENAME_EXCHANGE);
		break;
	case 13:
		utimensat(AT_FDCWD, p, NULL, 0);
		break;
	}
	if (fd >= 0)
		close(fd);
	if (access("a", F_OK) < 0)
		mkdir("a", 0700);
	if (access("b", F_OK) < 0)
		mkdir("b", 0700);
}

CASE(two_processes)
{
	int there[2], back[2];
	pid_t p;

	OK(pipe(there));
	OK(pipe(back));
	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	p = CHILD({
		for (int i = 0; i < STEPS; i++) {
			hear(there[0]);
			disturb();
			tell(back[1]);
		}
	});
	for (int i = 0; i < STEPS; i++) {
		char what[32];

		snprintf(what, sizeof what, "step %d", i);
		for (int k = 0; k < NAMES; k++)
			ask(names[k], i);
		tell(there[1]);
		hear(back[0]);
		for (int k = 0; k < NAMES; k++)
			must_be_true(what, names[k], i);
	}
	EXITED(p, 0);
}
