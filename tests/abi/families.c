/*
 * Parents and children: a parent that waits need not be heard of before there is news, a process may be gone before its end is entered anywhere, and what
 * a shell asks each time that a child ends may be answered from memory. Whoever waits, looks or is told must not see that.
 */
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <termios.h>

#include "abi.h"

static pid_t ends_after(unsigned usec, int status)
{
	pid_t pid = OK(fork());

	if (pid)
		return pid;
	if (usec)
		usleep(usec);
	_exit(status);
}

static pid_t waits_for_signal(void)
{
	pid_t pid = OK(fork());

	while (!pid)
		pause();
	return pid;
}

/* --- wait4 */

CASE(news_of_no_child_and_then_none)
{
	int st;

	for (int i = 0; i < 50; i++) {
		pid_t pid = waits_for_signal();

		for (int j = 0; j < 5; j++) {
			st = 77;
			EQ(waitpid(-1, &st, WNOHANG), 0);
			EQ(waitpid(pid, &st, WNOHANG), 0);
			EQ(waitpid(-1, &st, WNOHANG | WUNTRACED | WCONTINUED), 0);
			EQ(st, 77);
			ERR(waitpid(getpid(), &st, WNOHANG), ECHILD);
			ERR(waitpid(1, &st, WNOHANG), ECHILD);
			ERR(syscall(SYS_wait4, -1, &st, 0x40, NULL), EINVAL);
			ERR(syscall(SYS_wait4, INT32_MIN, &st, WNOHANG, NULL), ESRCH);
		}
		OK(kill(pid, SIGKILL));
		EQ(waitpid(-1, &st, 0), pid);
		EQ(WTERMSIG(st), SIGKILL);
		for (int j = 0; j < 5; j++) {
			ERR(waitpid(-1, &st, 0), ECHILD);
			ERR(waitpid(-1, &st, WNOHANG), ECHILD);
			ERR(waitpid(pid, &st, 0), ECHILD);
			ERR(waitpid(0, &st, 0), ECHILD);
			ERR(syscall(SYS_wait4, -1, &st, 0x40, NULL), EINVAL);
			ERR(syscall(SYS_wait4, INT32_MIN, &st, 0, NULL), ESRCH);
		}
	}
}

CASE(ends_at_any_time)
{
	for (unsigned i = 0; i < 400; i++) {
		pid_t pid = ends_after(i % 7 * 30, i & 127);
		int st, n = 0;

		for (unsigned spin = 0; spin < i * 37 % 5000; spin++)
			asm volatile("");
		if (i % 3 == 0)
			while (!(n = waitpid(-1, &st, WNOHANG)))
				;
		else
			n = waitpid(i % 3 == 1 ? -1 : pid, &st, 0);
		EQ(n, pid);
		EQ(st, (int)(i & 127) << 8);
		ERR(waitpid(-1, &st, i % 2 ? WNOHANG : 0), ECHILD);
	}
}

CASE(any_of_several)
{
	for (int round = 0; round < 20; round++) {
		pid_t stays = waits_for_signal(), goes = ends_after(0, 3);
		int st;

		EQ(waitpid(-1, &st, 0), goes);
		EQ(waitpid(-1, &st, WNOHANG), 0);
		EQ(waitpid(stays, &st, WNOHANG), 0);
		ERR(waitpid(goes, &st, WNOHANG), ECHILD);
		goes = ends_after(200, 4);
		EQ(waitpid(goes, &st, 0), goes); /* not the youngest that there is news of */
		OK(kill(stays, SIGTERM));
		EQ(waitpid(stays, &st, 0), stays);
	}
}

CASE(more_than_a_few)
{
	pid_t pid[20];
	int st;

	for (int i = 0; i < 20; i++) {
		pid[i] = waits_for_signal();
		EQ(waitpid(-1, &st, WNOHANG), 0);
	}
	for (int i = 19; i >= 0; i--) {
		OK(kill(pid[i], SIGKILL));
		EQ(waitpid(i % 2 ? pid[i] : -1, &st, 0), pid[i]);
		if (i)
			EQ(waitpid(-1, &st, WNOHANG), 0);
		else
			ERR(waitpid(-1, &st, WNOHANG), ECHILD);
	}
}

CASE(stops_and_goes_on)
{
	pid_t pid = waits_for_signal();
	int st;

	for (int i = 0; i < 20; i++) {
		EQ(waitpid(-1, &st, WNOHANG | WUNTRACED | WCONTINUED), 0);
		OK(kill(pid, SIGSTOP));
		EQ(waitpid(-1, &st, WUNTRACED), pid);
		CHECK(WIFSTOPPED(st));
		EQ(waitpid(-1, &st, WNOHANG | WUNTRACED), 0);
		OK(kill(pid, SIGCONT));
		EQ(waitpid(pid, &st, WCONTINUED), pid);
		CHECK(WIFCONTINUED(st));
	}
	OK(kill(pid, SIGKILL));
	EQ(waitpid(-1, &st, WUNTRACED), pid);
}

static volatile sig_atomic_t rang;

static void rings(int sig)
{
	rang = sig;
}

static void ring_in(unsigned usec)
{
	struct itimerval it = { .it_value.tv_usec = usec };

	OK(setitimer(ITIMER_REAL, &it, NULL));
}

CASE(interrupted)
{
	struct sigaction sa = { .sa_handler = rings };
	pid_t pid;
	int st;

	OK(sigaction(SIGALRM, &sa, NULL));
	pid = waits_for_signal();
	for (int i = 0; i < 10; i++) {
		rang = 0;
		ring_in(3000);
		ERR(waitpid(i % 2 ? -1 : pid, &st, 0), EINTR);
		EQ(rang, SIGALRM);
	}
	sa.sa_flags = SA_RESTART;
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(kill(pid, SIGKILL));
	EQ(waitpid(pid, &st, 0), pid);
	for (int i = 0; i < 10; i++) {
		rang = 0;
		pid = ends_after(20000, 5);
		ring_in(2000);
		EQ(waitpid(-1, &st, 0), pid);
		EQ(rang, SIGALRM);
	}
}

static volatile int *heard;

static void hears(int sig)
{
	(void)sig;
	++*heard;
}

/* The sender then only computes: nothing else happens that the one who waits could be found by. */
CASE(signalled_when_it_begins_to_wait)
{
	enum { TIMES = 3000 };
	struct sigaction sa = { .sa_handler = hears };
	int st, n;
	pid_t pid;

	heard = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(heard != MAP_FAILED);
	OK(sigaction(SIGUSR1, &sa, NULL));
	pid = OK(fork());
	if (!pid) {
		unsigned seed = 1;

		for (int i = 0; i < TIMES; i++) {
			for (int spin = rand_r(&seed) % 4000; spin > 0; spin--)
				asm volatile("");
			kill(getppid(), SIGUSR1);
			while (*heard <= i)
				__builtin_ia32_pause();
		}
		_exit(0);
	}
	while ((n = waitpid(-1, &st, 0)) < 0)
		EQ(errno, EINTR);
	EQ(n, pid);
	EQ(st, 0);
	EQ(*heard, TIMES);
}

/* By a signal of another process, which finds it waiting. */
CASE(killed_stopped_and_woken_while_it_waits)
{
	for (int i = 0; i < 10; i++) {
		int p[2], st;
		char b;
		pid_t pid;

		OK(pipe(p));
		pid = OK(fork());
		if (!pid) {
			ends_after(i * 10000, 0);
			EQ(write(p[1], "a", 1), 1);
			waits_for_signal();
			while (wait(&st) > 0)
				;
			_exit(9);
		}
		EQ(read(p[0], &b, 1), 1);
		usleep(i % 3 * 2000);
		OK(kill(pid, SIGSTOP));
		EQ(waitpid(pid, &st, WUNTRACED), pid);
		CHECK(WIFSTOPPED(st));
		OK(kill(pid, SIGCONT));
		OK(kill(pid, SIGTERM));
		EQ(waitpid(pid, &st, 0), pid);
		EQ(WTERMSIG(st), SIGTERM);
		close(p[0]);
		close(p[1]);
	}
}

/* Whoever looks sees it sleep. */
CASE(sleeps_while_it_waits)
{
	pid_t pid = OK(fork());
	int st;

	if (!pid) {
		waits_for_signal();
		wait(&st);
		_exit(9);
	}
	EVENTUALLY(proc_state(pid) == 'S');
	OK(kill(pid, SIGKILL));
	EQ(waitpid(pid, &st, 0), pid);
}

/* And sees what it mapped before it began to. */
CASE(seen_from_outside_while_it_waits)
{
	volatile uintptr_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int st;

	CHECK((void *)at != MAP_FAILED);
	for (int i = 0; i < 20; i++) {
		pid_t pid;
		void *p;

		at[0] = 0;
		pid = OK(fork());
		if (!pid) {
			char path[64], line[512], want[32];
			bool found = false;
			FILE *f;

			while (!at[0])
				__builtin_ia32_pause();
			usleep(i % 3 * 1000);
			snprintf(path, sizeof path, "/proc/%d/maps", getppid());
			snprintf(want, sizeof want, "%lx-", (unsigned long)at[0]);
			f = fopen(path, "r");
			while (f && fgets(line, sizeof line, f))
				found |= !strncmp(line, want, strlen(want));
			_exit(!found);
		}
		p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		at[0] = (uintptr_t)p;
		EQ(waitpid(pid, &st, 0), pid);
		EQ(st, 0);
		OK(munmap(p, 4096));
	}
}

CASE(a_grandchild_comes_by)
{
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; i < 20; i++) {
		pid_t pid = OK(fork());
		int st, p[2];

		if (!pid) {
			ends_after(i * 100, 7);
			_exit(3);
		}
		EQ(waitpid(pid, &st, 0), pid);
		EQ(waitpid(-1, &st, 0) > 0, 1); /* a child only now */
		EQ(WEXITSTATUS(st), 7);
		ERR(waitpid(-1, &st, WNOHANG), ECHILD);
		OK(pipe(p));
		close(p[0]);
		close(p[1]);
	}
}

static void *waits_in_thread(void *arg)
{
	int st;
	pid_t pid = waitpid(-1, &st, 0);

	return (void *)(intptr_t)(pid < 0 ? -errno : pid);
}

CASE(threads_share_their_children)
{
	for (int i = 0; i < 20; i++) {
		pid_t first = waits_for_signal(), second;
		pthread_t t;
		void *got;
		int st;

		EQ(waitpid(-1, &st, WNOHANG), 0);
		EQ(pthread_create(&t, NULL, waits_in_thread, NULL), 0);
		usleep(i % 4 * 500);
		second = ends_after(0, 1);
		EQ(pthread_join(t, &got), 0);
		EQ((pid_t)(intptr_t)got, second);
		EQ(waitpid(-1, &st, WNOHANG), 0);
		EQ(pthread_create(&t, NULL, waits_in_thread, NULL), 0);
		OK(kill(first, SIGKILL));
		EQ(pthread_join(t, &got), 0);
		EQ((pid_t)(intptr_t)got, first);
		ERR(waitpid(-1, &st, 0), ECHILD);
	}
}

CASE(children_that_nobody_is_told_of)
{
	struct clone_args silent = { .exit_signal = 0 };
	pid_t pid;
	int st;

	for (int i = 0; i < 10; i++) {
		pid = OK(syscall(SYS_clone3, &silent, sizeof silent));
		if (!pid)
			_exit(5);
		ERR(waitpid(-1, &st, 0), ECHILD);
		ERR(waitpid(pid, &st, WNOHANG), ECHILD);
		EQ(waitpid(-1, &st, __WALL), pid);
		ERR(waitpid(-1, &st, __WALL), ECHILD);
		pid = OK(syscall(SYS_clone3, &silent, sizeof silent));
		if (!pid)
			_exit(6);
		EQ(waitpid(-1, &st, __WCLONE), pid);
	}
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 10; i++) {
		ends_after(i * 200, 0);
		ERR(waitpid(-1, &st, 0), ECHILD); /* once it has ended */
	}
}

/* --- ends */

CASE(a_lock_is_told_of_when_its_process_ends)
{
	pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attr;

	CHECK(m != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	EQ(pthread_mutex_init(m, &attr), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = OK(fork());
		int st;

		if (!pid) {
			pthread_mutex_lock(m);
			if (i % 2)
				usleep(2000);
			_exit(0);
		}
		if (i % 2)
			while (!*(volatile int *)m)
				;
		else
			EQ(waitpid(pid, &st, 0), pid);
		EQ(pthread_mutex_lock(m), EOWNERDEAD);
		EQ(pthread_mutex_consistent(m), 0);
		EQ(pthread_mutex_unlock(m), 0);
		if (i % 2)
			EQ(waitpid(pid, &st, 0), pid);
		if (!(pid = OK(fork()))) { /* and one that holds none any more */
			pthread_mutex_lock(m);
			pthread_mutex_unlock(m);
			_exit(0);
		}
		EQ(waitpid(pid, &st, 0), pid);
		EQ(pthread_mutex_lock(m), 0);
		EQ(pthread_mutex_unlock(m), 0);
	}
}

static void *locks_and_ends(void *m)
{
	pthread_mutex_lock(m);
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

CASE(a_lock_is_told_of_when_its_thread_ends)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t m;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	EQ(pthread_mutex_init(&m, &attr), 0);
	for (int i = 0; i < 50; i++) {
		pthread_t t;
		void *got;

		EQ(pthread_create(&t, NULL, i % 2 ? locks_and_ends : nothing, &m), 0);
		EQ(pthread_join(t, &got), 0);
		EQ(pthread_mutex_lock(&m), i % 2 ? EOWNERDEAD : 0);
		if (i % 2)
			EQ(pthread_mutex_consistent(&m), 0);
		EQ(pthread_mutex_unlock(&m), 0);
	}
}

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static int ends(void *arg)
{
	(void)arg;
	syscall(SYS_exit, 0);
	return 0;
}

static pid_t thread_with_word(int *word, unsigned flags)
{
	enum { STACK = 64 << 10 };
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK((void *)stack != MAP_FAILED);
	return OK(clone(ends, stack + STACK, (int)(THREAD_FLAGS | flags), NULL, NULL, NULL, word));
}

CASE(the_word_of_a_thread_is_cleared)
{
	int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 100; i++) {
		*word = 12345;
		thread_with_word(word, CLONE_CHILD_CLEARTID);
		while (*(volatile int *)word)
			if (i % 2)
				syscall(SYS_futex, word, FUTEX_WAIT, 12345, NULL);
	}
	OK(mprotect(word, 4096, PROT_READ)); /* which it can't be, and nobody minds */
	for (int i = 0; i < 10; i++)
		thread_with_word(word, CLONE_CHILD_CLEARTID);
	for (int i = 0; i < 10; i++)
		thread_with_word((int *)8, CLONE_CHILD_CLEARTID);
	usleep(10000);
}

CASE(many_threads_end_at_once)
{
	for (int round = 0; round < 20; round++) {
		pthread_t t[8];

		for (int i = 0; i < 8; i++)
			EQ(pthread_create(&t[i], NULL, nothing, (void *)(intptr_t)i), 0);
		for (int i = 7; i >= 0; i--) {
			void *got;

			EQ(pthread_join(t[i], &got), 0);
			EQ((int)(intptr_t)got, i);
		}
	}
}

CASE(a_process_of_threads_ends_with_its_last)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = OK(fork());
		int st;

		if (!pid) {
			pthread_t t;

			pthread_create(&t, NULL, nothing, NULL);
			if (i % 2)
				pthread_join(t, NULL);
			syscall(i % 4 < 2 ? SYS_exit_group : SYS_exit, 6);
		}
		EQ(waitpid(pid, &st, 0), pid);
		if (i % 2)
			EQ(st, 6 << 8);
	}
}

/* What a process held is free once somebody has waited for it. */
CASE(gone_when_waited_for)
{
	for (int i = 0; i < 50; i++) {
		int p[2], st;
		char b;
		pid_t pid;

		OK(pipe2(p, O_NONBLOCK));
		pid = OK(fork());
		if (!pid)
			_exit(0);
		close(p[1]);
		EQ(waitpid(pid, &st, 0), pid);
		EQ(read(p[0], &b, 1), 0); /* nobody writes there any more */
		ERR(kill(pid, 0), ESRCH);
		close(p[0]);
	}
}

/* --- what is no terminal */

static int nowhere(void)
{
	return OK(open("/dev/null", O_RDWR));
}

static void is_none(int fd)
{
	struct winsize w;
	struct termios t;
	pid_t pgrp;

	for (int i = 0; i < 3; i++) {
		ERR(ioctl(fd, TIOCGWINSZ, &w), ENOTTY);
		ERR(ioctl(fd, TCGETS, &t), ENOTTY);
		ERR(ioctl(fd, TIOCGPGRP, &pgrp), ENOTTY);
		ERR(ioctl(fd, TIOCGWINSZ, NULL), ENOTTY);
	}
}

static void is_one(int fd)
{
	struct winsize w;

	OK(ioctl(fd, TIOCGWINSZ, &w));
	CHECK(isatty(fd));
}

static void become_one(int fd)
{
	int main_fd, tty;

	OK(openpty(&main_fd, &tty, NULL, NULL, NULL));
	EQ(dup2(tty, fd), fd);
}

static void becomes_one(int fd)
{
	int n = 0;

	is_none(fd);
	become_one(fd);
	is_one(fd);
	close(fd);
	ERR(ioctl(fd, TIOCGPGRP, &n), EBADF);
}

CASE(what_is_none_may_become_one)
{
	int p[2], s[2];

	OK(pipe(p));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	becomes_one(nowhere());
	becomes_one(p[0]);
	becomes_one(p[1]);
	becomes_one(s[0]);
	becomes_one(OK(open("/", O_RDONLY)));
	becomes_one(OK(open("file", O_RDWR | O_CREAT, 0600)));
	becomes_one(OK(open("file", O_RDONLY)));
	becomes_one(OK(open("file", O_WRONLY | O_APPEND)));
}

CASE(read_and_written_it_is_none)
{
	int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
	char b[4096] = { 0 };

	is_none(fd);
	for (int i = 0; i < 40; i++) {
		EQ(pwrite(fd, b, sizeof b, 0), (ssize_t)sizeof b);
		EQ(pread(fd, b, sizeof b, 0), (ssize_t)sizeof b);
		EQ(lseek(fd, i, SEEK_SET), i);
		EQ(lseek(fd, 0, SEEK_CUR), i);
		is_none(fd);
	}
	becomes_one(fd);
}

CASE(children_know_and_are_told_otherwise)
{
	int fd = nowhere(), st;

	is_none(fd);
	for (int i = 0; i < 10; i++) {
		pid_t pid = OK(fork());

		if (!pid) {
			is_none(fd);
			if (i % 2)
				becomes_one(fd);
			if (!OK(fork())) {
				if (i % 2)
					ERR(ioctl(fd, TIOCGWINSZ, NULL), EBADF);
				else
					becomes_one(fd);
				_exit(0);
			}
			wait(&st);
			_exit(st >> 8);
		}
		EQ(waitpid(pid, &st, 0), pid);
		EQ(st, 0);
		is_none(fd);
	}
}

CASE(who_shares_descriptors_puts_one_there)
{
	int fd = nowhere(), st;
	pid_t pid;

	is_none(fd);
	pid = OK(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
	if (!pid) {
		is_none(fd);
		become_one(fd);
		is_one(fd);
		_exit(0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
	is_one(fd);
}

static void *puts_one(void *fd)
{
	is_none((int)(intptr_t)fd);
	become_one((int)(intptr_t)fd);
	return NULL;
}

CASE(a_thread_puts_one_there)
{
	int fd = nowhere();
	pthread_t t;

	is_none(fd);
	EQ(pthread_create(&t, NULL, puts_one, (void *)(intptr_t)fd), 0);
	EQ(pthread_join(t, NULL), 0);
	is_one(fd);
}

/* Whether it is this session's may change; that it is a terminal doesn't. */
CASE(another_sessions_terminal)
{
	int main_fd, tty, st;
	pid_t pid;

	OK(openpty(&main_fd, &tty, NULL, NULL, NULL));
	ERR(ioctl(tty, TIOCGPGRP, &st), ENOTTY);
	ERR(ioctl(tty, TIOCGPGRP, &st), ENOTTY);
	is_one(tty);
	pid = OK(fork());
	if (!pid) {
		ERR(ioctl(tty, TIOCGPGRP, &st), ENOTTY);
		OK(setsid());
		OK(ioctl(tty, TIOCSCTTY, 0));
		OK(ioctl(tty, TIOCGPGRP, &st));
		EQ(st, getpid());
		_exit(0);
	}
	EQ(waitpid(pid, &st, 0), pid);
	EQ(st, 0);
}
