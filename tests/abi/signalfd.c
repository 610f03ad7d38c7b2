/* signalfd: signals as things to read. */
#include "abi.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static sigset_t block(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return set;
}

CASE(read_one)
{
	sigset_t set = block(SIGUSR1, 0);
	int fd = OK(signalfd(-1, &set, SFD_CLOEXEC));
	struct signalfd_siginfo si;

	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	OK(kill(getpid(), SIGUSR1));
	EQ(read(fd, &si, sizeof si), sizeof si);
	EQ(si.ssi_signo, SIGUSR1);
	EQ(si.ssi_pid, getpid());
	EQ(si.ssi_uid, getuid());
	EQ(si.ssi_code, SI_USER);
	/* It is consumed. */
	sigpending(&set);
	CHECK(!sigismember(&set, SIGUSR1));
}

CASE(queued_values_in_order)
{
	sigset_t set = block(SIGRTMIN + 1, SIGRTMIN);
	int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo si[5];

	for (int i = 0; i < 2; i++)
		OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
	OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 9 }));
	EQ(read(fd, si, sizeof si), 3 * sizeof si[0]);
	EQ(si[0].ssi_signo, SIGRTMIN);
	EQ(si[0].ssi_int, 9);
	EQ(si[1].ssi_int, 0);
	EQ(si[2].ssi_int, 1);
	EQ(si[2].ssi_code, SI_QUEUE);
	ERR(read(fd, si, sizeof si), EAGAIN);
}

CASE(small_buffer)
{
	sigset_t set = block(SIGUSR1, 0);
	int fd = OK(signalfd(-1, &set, 0));
	char b[64];

	raise(SIGUSR1);
	ERR(read(fd, b, sizeof b), EINVAL);
}

CASE(poll_and_epoll)
{
	sigset_t set = block(SIGUSR2, 0);
	int fd = OK(signalfd(-1, &set, SFD_NONBLOCK)), ep = OK(epoll_create1(0));
	struct pollfd p = { fd, POLLIN, 0 };
	struct epoll_event ev = { EPOLLIN, { .u32 = 6 } };
	struct signalfd_siginfo si;

	EQ(poll(&p, 1, 0), 0);
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	EQ(epoll_wait(ep, &ev, 1, 0), 0);
	raise(SIGUSR2);
	EQ(poll(&p, 1, -1), 1);
	EQ(p.revents, POLLIN);
	EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EQ(read(fd, &si, sizeof si), sizeof si);
	EQ(poll(&p, 1, 0), 0);
}

CASE(blocking_read_woken_by_child)
{
	sigset_t set = block(SIGCHLD, 0);
	int fd = OK(signalfd(-1, &set, 0));
	struct signalfd_siginfo si;
	pid_t me = getpid(), p = CHILD({ EVENTUALLY(proc_state(me) == 'S'); _exit(3); });

	EQ(read(fd, &si, sizeof si), sizeof si);
	EQ(si.ssi_signo, SIGCHLD);
	EQ(si.ssi_pid, p);
	EQ(si.ssi_status, 3);
	EQ(si.ssi_code, CLD_EXITED);
	EXITED(p, 3);
}

CASE(change_mask)
{
	sigset_t set = block(SIGUSR1, SIGUSR2), one;
	int fd;
	struct signalfd_siginfo si;

	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	fd = OK(signalfd(-1, &one, SFD_NONBLOCK));
	raise(SIGUSR2);
	ERR(read(fd, &si, sizeof si), EAGAIN);
	EQ(signalfd(fd, &set, 0), fd);
	EQ(read(fd, &si, sizeof si), sizeof si);
	EQ(si.ssi_signo, SIGUSR2);
}

CASE(each_reader_sees_its_own)
{
	/* The descriptor is shared by fork, the signals are the reader's. */
	sigset_t set = block(SIGUSR1, 0);
	int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo si;

	raise(SIGUSR1);
	pid_t p = CHILD({
		ERR(read(fd, &si, sizeof si), EAGAIN);
		raise(SIGUSR1);
		EQ(read(fd, &si, sizeof si), sizeof si);
		EQ(si.ssi_pid, getpid());
	});
	EXITED(p, 0);
	EQ(read(fd, &si, sizeof si), sizeof si);
	EQ(si.ssi_pid, getpid());
}

CASE(errors)
{
	sigset_t set = block(SIGUSR1, 0);
	int p[2];

	OK(pipe(p));
	ERR(signalfd(p[0], &set, 0), EINVAL);
	ERR(signalfd(99, &set, 0), EBADF);
	ERR(signalfd(-1, &set, 1), EINVAL);
	ERR(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
	ERR(syscall(SYS_signalfd4, -1, (void *)8, 8, 0), EFAULT);
	int fd = OK(signalfd(-1, &set, 0));
	ERR(write(fd, "x", 1), EINVAL);
}
