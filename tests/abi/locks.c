/* File locks: POSIX by process, OFD by open file, flock; conflicts, ranges, waiting, deadlock, release. */
#include "abi.h"
#include <sys/file.h>

static int fd;

static void open_file(void)
{
	fd = OK(open("f", O_RDWR | O_CREAT, 0666));
	OK(ftruncate(fd, 100));
}

static int lock(int f, int cmd, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(f, cmd, &l);
}

CASE(posix_conflicts)
{
	open_file();
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	OK(lock(fd, F_SETLK, F_RDLCK, 20, 10));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));			/* one's own never conflict */
	pid_t parent = getpid();
	pid_t p = CHILD({
		struct flock l = { .l_type = F_WRLCK, .l_start = 5, .l_len = 50 };
		CHECK(lock(fd, F_SETLK, F_RDLCK, 5, 1) == -1 && (errno == EAGAIN || errno == EACCES));
		ERR(lock(fd, F_SETLK, F_WRLCK, 25, 1), EAGAIN);
		OK(lock(fd, F_SETLK, F_RDLCK, 20, 10));
		OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
		OK(fcntl(fd, F_GETLK, &l));
		EQ(l.l_type, F_WRLCK);
		EQ(l.l_start, 0);
		EQ(l.l_len, 10);
		EQ(l.l_pid, parent);
		l = (struct flock){ .l_type = F_WRLCK, .l_start = 60, .l_len = 1 };
		OK(fcntl(fd, F_GETLK, &l));
		EQ(l.l_type, F_UNLCK);
	});
	EXITED(p, 0);
}

CASE(posix_split_and_merge)
{
	open_file();
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 30));
	OK(lock(fd, F_SETLK, F_UNLCK, 10, 10));
	pid_t p = CHILD({
		OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
		ERR(lock(fd, F_SETLK, F_WRLCK, 9, 2), EAGAIN);
		ERR(lock(fd, F_SETLK, F_WRLCK, 19, 2), EAGAIN);
	});
	EXITED(p, 0);
	/* To the end of the file, whatever it grows to. */
	OK(lock(fd, F_SETLK, F_WRLCK, 50, 0));
	p = CHILD({ ERR(lock(fd, F_SETLK, F_RDLCK, 1000000, 1), EAGAIN); });
	EXITED(p, 0);
}

CASE(posix_released_by_any_close)
{
	open_file();
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	close(OK(open("f", O_RDONLY)));			/* this releases it: POSIX's trap */
	pid_t p = CHILD({ OK(lock(fd, F_SETLK, F_WRLCK, 0, 10)); });
	EXITED(p, 0);
}

CASE(posix_not_inherited_released_at_exit)
{
	int q[2], r[2];

	open_file();
	OK(pipe(q));
	OK(pipe(r));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	pid_t p = CHILD({
		ERR(lock(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
		OK(lock(fd, F_SETLK, F_WRLCK, 50, 10));
		tell(q[1]);
		hear(r[0]);
	});
	hear(q[0]);
	ERR(lock(fd, F_SETLK, F_WRLCK, 50, 10), EAGAIN);
	tell(r[1]);
	EXITED(p, 0);
	OK(lock(fd, F_SETLK, F_WRLCK, 50, 10));
}

CASE(posix_wait)
{
	open_file();
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	pid_t p = CHILD({ OK(lock(fd, F_SETLKW, F_WRLCK, 0, 10)); });
	EVENTUALLY(proc_state(p) == 'S');
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 10));
	EXITED(p, 0);
}

static void nothing(int sig)
{
}

CASE(posix_wait_interrupted)
{
	struct sigaction sa = { .sa_handler = nothing };

	open_file();
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	sigaction(SIGUSR1, &sa, NULL);
	pid_t p = CHILD({ ERR(lock(fd, F_SETLKW, F_WRLCK, 0, 10), EINTR); });
	EVENTUALLY(proc_state(p) == 'S');
	kill(p, SIGUSR1);
	EXITED(p, 0);
}

CASE(posix_deadlock)
{
	int q[2];

	open_file();
	OK(pipe(q));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid_t p = CHILD({
		OK(lock(fd, F_SETLK, F_WRLCK, 1, 1));
		tell(q[1]);
		OK(lock(fd, F_SETLKW, F_WRLCK, 0, 1));
	});
	hear(q[0]);
	EVENTUALLY(proc_state(p) == 'S');
	ERR(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	EXITED(p, 0);
}

CASE(posix_errors)
{
	int ro, wo, p[2];

	open_file();
	ro = OK(open("f", O_RDONLY));
	wo = OK(open("f", O_WRONLY));
	ERR(lock(ro, F_SETLK, F_WRLCK, 0, 1), EBADF);
	ERR(lock(wo, F_SETLK, F_RDLCK, 0, 1), EBADF);
	ERR(lock(fd, F_SETLK, 99, 0, 1), EINVAL);
	ERR(lock(fd, F_SETLK, F_WRLCK, -5, 1), EINVAL);
	ERR(fcntl(fd, F_SETLK, (void *)8), EFAULT);
	OK(pipe(p));
	ERR(lock(99, F_SETLK, F_RDLCK, 0, 1), EBADF);
}

CASE(ofd_belong_to_the_open_file)
{
	int other;

	open_file();
	other = OK(open("f", O_RDWR));
	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	ERR(lock(other, F_OFD_SETLK, F_WRLCK, 0, 10), EAGAIN);	/* even in one process */
	struct flock l = { .l_type = F_WRLCK, .l_start = 0, .l_len = 1 };
	OK(fcntl(other, F_OFD_GETLK, &l));
	EQ(l.l_pid, -1);
	pid_t p = CHILD({
		OK(lock(fd, F_OFD_SETLK, F_UNLCK, 0, 10));	/* shared by fork */
		OK(lock(other, F_OFD_SETLK, F_WRLCK, 0, 10));
	});
	EXITED(p, 0);
	ERR(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN);
	close(other);
	OK(lock(fd, F_OFD_SETLK, F_RDLCK, 0, 1));
	l = (struct flock){ .l_type = F_WRLCK, .l_pid = 5 };
	ERR(fcntl(fd, F_OFD_SETLK, &l), EINVAL);
	ERR(lock(OK(open("f", O_RDWR)), F_SETLK, F_WRLCK, 0, 10), EAGAIN);	/* they conflict with POSIX locks */
}

CASE(flock_modes)
{
	int a, b, d;

	open_file();
	a = OK(open("f", O_RDONLY));
	b = OK(open("f", O_RDONLY));
	OK(flock(a, LOCK_EX));
	ERR(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_SH));
	OK(flock(b, LOCK_SH | LOCK_NB));
	ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	d = OK(dup(a));
	close(a);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));		/* another world: no conflict with flock */
	OK(flock(d, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
	ERR(flock(b, 77), EINVAL);
	ERR(flock(99, LOCK_SH), EBADF);
}

CASE(flock_wait_and_release_by_close)
{
	int a;

	open_file();
	a = OK(open("f", O_RDONLY));
	OK(flock(a, LOCK_EX));
	pid_t p = CHILD({
		close(a);
		OK(flock(fd, LOCK_EX));
	});
	EVENTUALLY(proc_state(p) == 'S');
	close(a);
	EXITED(p, 0);
}

CASE(counter_under_contention)
{
	pid_t p[4];
	int n = 0;

	open_file();
	EQ(pwrite(fd, &n, sizeof n, 0), sizeof n);
	for (int i = 0; i < 4; i++)
		p[i] = CHILD({
			for (int k = 0; k < 100; k++) {
				OK(lock(fd, F_SETLKW, F_WRLCK, 0, 4));
				EQ(pread(fd, &n, sizeof n, 0), sizeof n);
				n++;
				EQ(pwrite(fd, &n, sizeof n, 0), sizeof n);
				OK(lock(fd, F_SETLK, F_UNLCK, 0, 4));
			}
		});
	for (int i = 0; i < 4; i++)
		EXITED(p[i], 0);
	EQ(pread(fd, &n, sizeof n, 0), sizeof n);
	EQ(n, 400);
}
