/*
 * The flags of a file that was just opened, and of its descriptor, and what changes them in between: whoever stands in for a kernel may know them
 * beforehand (see opened.c). Who asks makes no other call meanwhile: it waits in shared memory.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "others.h"

enum { OFTEN = 6, LARGE = 0100000, FLAGS_LOST = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC };

static void setup(void)
{
	umask(022);
	share_turn();
	put_file("f", "a few", 0644);
	put_file("g", "other bytes", 0644);
	OK(symlink("f", "s"));
	OK(mkdir("d", 0755));
	OK(mkfifo("p", 0600));
}

/* As one does who asks of each file. */
static int open_and_ask(const char *path, int flags)
{
	struct stat st;

	for (int i = 0; i < OFTEN; i++) {
		int fd = OK(open("g", O_RDONLY));

		OK(fstat(fd, &st));
		EQ(fcntl(fd, F_GETFL), LARGE);
		close(fd);
	}
	return open(path, flags, 0644);
}

static int opened(const char *path, int flags)
{
	return OK(open_and_ask(path, flags));
}

static int shown(int flags)
{
	return flags & O_PATH ? flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW) : (flags & ~FLAGS_LOST) | LARGE;
}

/* These flags, by both calls, and nothing that sets what is there changes anything. */
static void must_have(const char *what, int fd, int flags)
{
	const int cloexec = flags & O_CLOEXEC ? FD_CLOEXEC : 0;

	for (int i = 0; i < 3; i++) {
		int fl = fcntl(fd, F_GETFL), fdfl = fcntl(fd, F_GETFD);

		if (fl != shown(flags) || fdfl != cloexec)
			FAIL("%s: flags %o and %o, not %o and %o (errno %d)", what, fl, fdfl, shown(flags), cloexec, errno);
		EQ(fcntl(fd, F_SETFD, cloexec), 0);
		EQ(syscall(SYS_fcntl, fd | 0x500000000l, F_SETFD | 0x700000000l, ~(long)FD_CLOEXEC | cloexec), 0);
	}
}

static void must_not_be(int fd)
{
	ERR(fcntl(fd, F_GETFL), EBADF);
	ERR(fcntl(fd, F_GETFD), EBADF);
	ERR(fcntl(fd, F_SETFD, 0), EBADF);
	ERR(fcntl(fd, F_SETFD, FD_CLOEXEC), EBADF);
}

static const struct {
	const char *path;
	int flags;
} opens[] = {
	{ "f", O_RDONLY },
	{ "f", O_WRONLY },
	{ "f", O_RDWR },
	{ "f", O_WRONLY | O_APPEND },
	{ "f", O_RDONLY | O_NONBLOCK },
	{ "f", O_RDONLY | O_NOCTTY },
	{ "f", O_RDONLY | O_NOFOLLOW },
	{ "f", O_RDWR | O_SYNC },
	{ "f", O_RDWR | O_DSYNC },
	{ "f", O_RDONLY | O_NOATIME },
	{ "f", O_RDONLY | O_DIRECT },
	{ "f", O_RDONLY | O_ASYNC },
	{ "f", O_RDWR | LARGE },
	{ "f", O_RDWR | O_TRUNC },
	{ "f", O_WRONLY | O_CREAT },
	{ "f", O_PATH },
	{ "f", O_PATH | O_RDWR | O_NONBLOCK | O_NOFOLLOW },
	{ "s", O_RDONLY },
	{ "s", O_PATH | O_NOFOLLOW },
	{ "d", O_RDONLY },
	{ "d", O_RDONLY | O_DIRECTORY },
	{ "d", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_DIRECTORY },
	{ "d", O_PATH | O_DIRECTORY },
	{ "p", O_RDONLY | O_NONBLOCK },
	{ "p", O_RDWR },
	{ "new", O_RDWR | O_CREAT | O_EXCL | O_TRUNC },
	{ "/dev/null", O_RDWR },
	{ "/dev/zero", O_RDONLY | O_NONBLOCK },
	{ "/proc/self/status", O_RDONLY },
	{ "/proc", O_RDONLY | O_DIRECTORY },
	{ "/", O_RDONLY },
};

static void try_open(const char *path, int flags, int at)
{
	struct stat st;
	int fd;

	fd = open_and_ask(path, at ? O_RDONLY | O_NONBLOCK : flags);
	if (at && fd >= 0)
		close(fd);
	if (at)
		fd = openat(AT_FDCWD, path, flags, 0600);
	if (fd < 0 && flags & (O_DIRECT | O_NOATIME))
		return; /* some file systems don't have it */
	OK(fd);
	must_have(path, fd, flags);
	if (at)
		OK(fstat(fd, &st));
	must_have(path, fd, flags);
	flags ^= O_CLOEXEC;
	EQ(fcntl(fd, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0), 0);
	must_have(path, fd, flags);
	flags ^= O_CLOEXEC;
	EQ(fcntl(fd, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0), 0);
	must_have(path, fd, flags);
	close(fd);
	must_not_be(fd);
	unlink("new");
}

CASE(flags_as_opened)
{
	setup();
	for (size_t i = 0; i < sizeof opens / sizeof *opens; i++)
		for (int how = 0; how < 4; how++)
			try_open(opens[i].path, opens[i].flags | (how & 1 ? O_CLOEXEC : 0), how & 2);
}

CASE(a_file_without_a_name)
{
	int fd;

	setup();
	fd = open_and_ask(".", O_TMPFILE | O_RDWR);
	if (fd < 0)
		return;
	EQ(fcntl(fd, F_GETFL) & ~O_TMPFILE, O_RDWR | LARGE);
	EQ(fcntl(fd, F_GETFD), 0);
}

/* --- itself */
CASE(itself_sets_the_flags_of_the_file)
{
	int fd, on = 1, dup_fd;

	setup();
	for (int asked = 0; asked < 2; asked++) {
#define OPENED(flags) \
	fd = opened("f", flags); \
	if (asked) \
		must_have("before", fd, flags)
		OPENED(O_RDWR);
		OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
		must_have("F_SETFL", fd, O_RDWR | O_APPEND | O_NONBLOCK);
		OK(fcntl(fd, F_SETFL, 0));
		must_have("F_SETFL to nothing", fd, O_RDWR);
		OPENED(O_RDWR);
		OK(ioctl(fd, FIONBIO, &on));
		must_have("FIONBIO", fd, O_RDWR | O_NONBLOCK);
		OPENED(O_RDWR);
		dup_fd = OK(fcntl(fd, F_DUPFD_CLOEXEC, 0));
		must_have("F_DUPFD_CLOEXEC", fd, O_RDWR);
		must_have("F_DUPFD_CLOEXEC's", dup_fd, O_RDWR | O_CLOEXEC);
		OK(fcntl(dup_fd, F_SETFL, O_APPEND));
		must_have("F_SETFL by another descriptor", fd, O_RDWR | O_APPEND);
		OPENED(O_RDWR);
		dup_fd = OK(dup(fd));
		OK(ioctl(dup_fd, FIONBIO, &on));
		must_have("FIONBIO by another descriptor", fd, O_RDWR | O_NONBLOCK);
		OPENED(O_RDWR);
		OK(fcntl(OK(open("/proc/self/fd/0", O_RDONLY)), F_SETFL, O_NONBLOCK));
		must_have("F_SETFL of another file", fd, O_RDWR);
	}
}

CASE(itself_sets_the_flag_of_the_descriptor)
{
	int fd, dup_fd;

	setup();
	for (int asked = 0; asked < 2; asked++) {
		OPENED(O_RDWR);
		OK(ioctl(fd, FIOCLEX));
		must_have("FIOCLEX", fd, O_RDWR | O_CLOEXEC);
		OK(ioctl(fd, FIONCLEX));
		must_have("FIONCLEX", fd, O_RDWR);
		OPENED(O_RDWR | O_CLOEXEC);
		OK(ioctl(fd, FIONCLEX));
		must_have("FIONCLEX", fd, O_RDWR);
		OPENED(O_RDWR);
		OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
		OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
		must_have("F_SETFD", fd, O_RDWR | O_CLOEXEC);
		OPENED(O_RDWR | O_CLOEXEC);
		OK(fcntl(fd, F_SETFD, ~FD_CLOEXEC));
		must_have("F_SETFD to nothing", fd, O_RDWR);
		OPENED(O_RDWR);
		OK(syscall(SYS_close_range, fd, fd, 4 /* CLOSE_RANGE_CLOEXEC */));
		must_have("close_range", fd, O_RDWR | O_CLOEXEC);
		OPENED(O_RDWR);
		dup_fd = OK(fcntl(fd, F_DUPFD, 20));
		OK(fcntl(dup_fd, F_SETFD, FD_CLOEXEC));
		must_have("F_SETFD of another", fd, O_RDWR);
		must_have("F_SETFD of it", dup_fd, O_RDWR | O_CLOEXEC);
		close(dup_fd);
	}
}

CASE(the_descriptor_becomes_another)
{
	int other, fd;

	setup();
	other = OK(open("g", O_WRONLY | O_APPEND));
	for (int asked = 0; asked < 2; asked++) {
		OPENED(O_RDWR | O_CLOEXEC);
		OK(dup2(other, fd));
		must_have("dup2", fd, O_WRONLY | O_APPEND);
		close(fd);
		OPENED(O_RDWR);
		OK(dup3(other, fd, O_CLOEXEC));
		must_have("dup3", fd, O_WRONLY | O_APPEND | O_CLOEXEC);
		close(fd);
		OPENED(O_RDONLY | O_CLOEXEC);
		close(fd);
		must_not_be(fd);
		EQ(open("f", O_RDONLY | O_NONBLOCK), fd);
		must_have("anew", fd, O_RDONLY | O_NONBLOCK);
		close(fd);
		EQ(dup(other), fd);
		must_have("dup", fd, O_WRONLY | O_APPEND);
		close(fd);
		OPENED(O_RDWR | O_CLOEXEC);
		OK(syscall(SYS_close_range, fd, ~0u, 0));
		must_not_be(fd);
		must_not_be(-1);
		must_not_be(1000);
	}
}

static int taken;

static void on_usr1(int sig)
{
	(void)sig;
	fcntl(taken, F_SETFL, O_APPEND);
	fcntl(taken, F_SETFD, FD_CLOEXEC);
}

CASE(a_signal_handler_sets_them)
{
	pid_t self = getpid(), p;

	setup();
	CHECK(signal(SIGUSR1, on_usr1) != SIG_ERR);
	for (int asked = 0; asked < 2; asked++) {
		pass(0);
		p = CHILD({
			await(1);
			OK(kill(self, SIGUSR1));
			pass(2);
		});
		taken = opened("f", O_RDWR);
		if (asked)
			must_have("before", taken, O_RDWR);
		pass(1);
		await(2);
		must_have("after", taken, O_RDWR | O_APPEND | O_CLOEXEC);
		while (waitpid(p, NULL, 0) < 0)
			EQ(errno, EINTR);
	}
}

/* --- others. A round each: the file's flags, the descriptor's, the file's as they were. */
static void change_three_times(void)
{
	await(1);
	OK(fcntl(taken, F_SETFL, O_APPEND));
	pass(2);
	await(3);
	OK(fcntl(taken, F_SETFD, FD_CLOEXEC));
	pass(4);
	await(5);
	OK(fcntl(taken, F_SETFL, O_NONBLOCK));
	pass(6);
}

static void look_three_times(int asked, bool same_descriptors)
{
	int cloexec = same_descriptors ? O_CLOEXEC : 0;

	if (asked)
		must_have("before", taken, O_RDWR);
	pass(1);
	await(2);
	must_have("F_SETFL", taken, O_RDWR | O_APPEND);
	pass(3);
	await(4);
	must_have("F_SETFD", taken, O_RDWR | O_APPEND | cloexec);
	pass(5);
	await(6);
	must_have("F_SETFL again", taken, O_RDWR | O_NONBLOCK | cloexec);
	close(taken);
	pass(0);
}

CASE(a_forked_process_sets_them)
{
	setup();
	for (int asked = 0; asked < 2; asked++) {
		pid_t p;

		taken = opened("f", O_RDWR);
		p = CHILD({ change_three_times(); });
		look_three_times(asked, false);
		EXITED(p, 0);
	}
}

/* And the child is who asks, of what its parent changes. */
CASE(the_process_that_forked_sets_them)
{
	setup();
	for (int asked = 0; asked < 2; asked++) {
		pid_t p;

		taken = opened("f", O_RDWR);
		p = CHILD({ look_three_times(asked, false); });
		change_three_times();
		EXITED(p, 0);
		close(taken);
	}
}

static void *changes(void *arg)
{
	(void)arg;
	change_three_times();
	return NULL;
}

CASE(a_thread_sets_them)
{
	pthread_t t;

	setup();
	for (int how = 0; how < 4; how++) {
		if (how & 2)
			taken = opened("f", O_RDWR);
		CHECK(!pthread_create(&t, NULL, changes, NULL));
		if (!(how & 2))
			taken = opened("f", O_RDWR);
		look_three_times(how & 1, true);
		CHECK(!pthread_join(t, NULL));
	}
}

CASE(a_process_that_shares_the_table_sets_them)
{
	setup();
	for (int asked = 0; asked < 2; asked++) {
		pid_t p;

		taken = opened("f", O_RDWR);
		p = OK(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
		if (p == 0) {
			change_three_times();
			_exit(0);
		}
		look_three_times(asked, true);
		EXITED(p, 0);
	}
}

CASE(who_was_sent_the_file_sets_them)
{
	int pair[2];

	setup();
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	for (int asked = 0; asked < 2; asked++) {
		pid_t p = CHILD({
			taken = receive_fd(pair[1]);
			change_three_times();
		});

		taken = opened("f", O_RDWR);
		send_fd(pair[0], taken);
		look_three_times(asked, false);
		EXITED(p, 0);
	}
}

/* That takes no call of who has it. */
CASE(who_took_the_file_sets_them)
{
	setup();
	for (int asked = 0; asked < 2; asked++) {
		volatile int *number = turn + 1;
		pid_t p = CHILD({
			taken = opened("f", O_RDWR);
			*number = taken;
			if (asked)
				must_have("before", taken, O_RDWR);
			pass(10);
			await(11);
			look_three_times(asked, false);
		});
		int pidfd;

		await(10);
		pidfd = OK(syscall(SYS_pidfd_open, p, 0));
		taken = OK(syscall(SYS_pidfd_getfd, pidfd, *number, 0));
		pass(11);
		change_three_times();
		EXITED(p, 0);
		close(taken);
		close(pidfd);
	}
}

void abi_helper(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[1], "--flags"))
		return;
	if (atoi(argv[3]) < 0)
		must_not_be(atoi(argv[2]));
	else
		must_have("after exec", atoi(argv[2]), atoi(argv[3]));
	_exit(0);
}

CASE(exec_after_the_open)
{
	setup();
	for (int how = 0; how < 4; how++) {
		const int flags = O_RDWR | O_APPEND | (how & 1 ? O_CLOEXEC : 0);
		pid_t p = how & 2 ? vfork() : fork();

		if (p == 0) {
			char fd[16], left[16];

			snprintf(fd, sizeof fd, "%d", opened("f", flags));
			snprintf(left, sizeof left, "%d", how & 1 ? -1 : flags);
			execl("/proc/self/exe", "opened_flags", "--flags", fd, left, NULL);
			_exit(3);
		}
		EXITED(p, 0);
	}
}
