/* Processes: how they are made, how they end, who hears of it, and the groups and sessions they are in. */
#include "abi.h"
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static pid_t clone3(struct clone_args *a)
{
	return syscall(SYS_clone3, a, sizeof *a);
}

CASE(fork_wait_status)
{
	pid_t p = CHILD({ _exit(42); });

	EXITED(p, 42);
	ERR(waitpid(p, NULL, 0), ECHILD);
}

CASE(fork_copies_memory)
{
	static int x = 1;
	int *heap = malloc(sizeof *heap);
	*heap = 5;
	pid_t p = CHILD({
		EQ(x, 1);
		EQ(*heap, 5);
		x = 2;
		*heap = 6;
	});

	EXITED(p, 0);
	EQ(x, 1);
	EQ(*heap, 5);
}

CASE(fork_shares_offset)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));

	CHECK(write(fd, "abcdef", 6) == 6);
	OK(lseek(fd, 0, SEEK_SET));
	pid_t p = CHILD({
		char b[3];
		EQ(read(fd, b, 3), 3);
	});

	EXITED(p, 0);
	EQ(lseek(fd, 0, SEEK_CUR), 3);
}

CASE(getppid_is_parent)
{
	pid_t me = getpid();
	pid_t p = CHILD({
		EQ(getppid(), me);
		CHECK(getpid() != me);
		EQ(syscall(SYS_gettid), getpid());
	});

	EXITED(p, 0);
}

CASE(vfork_shares_memory_and_waits)
{
	volatile int x = 0;
	pid_t p = vfork();

	CHECK(p >= 0);
	if (p == 0) {
		x = 7;
		_exit(3);
	}
	EQ(x, 7);
	EXITED(p, 3);
}

/* The parent's call has changed memory, too, and doesn't end before its child does. */
/* What the child uses before execve is counted with what it uses afterwards. */
CASE(vfork_child_counts_its_time)
{
	struct rusage ru;
	struct timespec ts;
	int st;

	pid_t p = vfork();
	if (p == 0) {
		do
			clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
		while (ts.tv_sec == 0 && ts.tv_nsec < 50000000);
		execl("/proc/self/exe", "x", "--nothing", NULL);
		_exit(1);
	}
	EQ(wait4(OK(p), &st, 0, &ru), p);
	CHECK(WIFEXITED(st));
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec >= 40000);
	CHECK(ru.ru_utime.tv_sec < 20);
}

CASE(vfork_child_maps)
{
	for (int i = 0; i < 20; i++) {
		char *volatile at = MAP_FAILED;
		pid_t p;

		OK(munmap(mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 8192));
		p = vfork();
		CHECK(p >= 0);
		if (p == 0) {
			at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (at == MAP_FAILED)
				_exit(1);
			at[4096] = 'x';
			_exit(munmap(at, 4096) == 0 ? 3 : 2);
		}
		EXITED(p, 3);
		EQ(at[4096], 'x');
		OK(munmap(at + 4096, 4096));
	}
}

CASE(killed_by_signal)
{
	pid_t p = CHILD({
		for (;;)
			pause();
	});

	OK(kill(p, SIGTERM));
	KILLED(p, SIGTERM);
}

CASE(wait_any_and_echild)
{
	pid_t a = CHILD({ _exit(1); });
	pid_t b = CHILD({ _exit(2); });
	int sum = 0, st;

	for (int i = 0; i < 2; i++) {
		pid_t got = OK(wait(&st));
		CHECK(got == a || got == b);
		sum += WEXITSTATUS(st);
	}
	EQ(sum, 3);
	ERR(wait(&st), ECHILD);
	ERR(waitpid(getpid(), &st, 0), ECHILD);
}

CASE(wait_nohang)
{
	int p[2], st;

	OK(pipe(p));
	pid_t c = CHILD({ hear(p[0]); });

	EQ(waitpid(c, &st, WNOHANG), 0);
	tell(p[1]);
	EXITED(c, 0);
}

CASE(wait_by_group)
{
	int st;
	pid_t a = CHILD({ setpgid(0, 0); _exit(1); });

	setpgid(a, a);
	EQ(waitpid(-a, &st, 0), a);
	EQ(WEXITSTATUS(st), 1);
	pid_t b = CHILD({ _exit(2); });
	EQ(waitpid(0, &st, 0), b);
	ERR(waitpid(-a, &st, 0), ECHILD);
}

CASE(wait_bad_options)
{
	ERR(syscall(SYS_wait4, -1, NULL, 0x100, NULL), EINVAL);
	ERR(syscall(SYS_waitid, P_ALL, 0, NULL, 0, NULL), EINVAL);
	ERR(syscall(SYS_waitid, 99, 0, NULL, WEXITED, NULL), EINVAL);
}

CASE(wait_bad_pointer)
{
	pid_t p = CHILD({});

	EVENTUALLY(proc_state(p) == 'Z');
	ERR(syscall(SYS_wait4, p, (int *)8, 0, NULL), EFAULT);
}

CASE(waitid_fields)
{
	siginfo_t si;
	pid_t p = CHILD({ _exit(9); });

	memset(&si, 0xff, sizeof si);
	OK(waitid(P_PID, p, &si, WEXITED | WNOWAIT));
	EQ(si.si_pid, p);
	EQ(si.si_signo, SIGCHLD);
	EQ(si.si_code, CLD_EXITED);
	EQ(si.si_status, 9);
	EQ(si.si_uid, getuid());
	/* WNOWAIT left it there. */
	OK(waitid(P_ALL, 0, &si, WEXITED));
	EQ(si.si_pid, p);
	ERR(waitid(P_ALL, 0, &si, WEXITED), ECHILD);
}

CASE(waitid_killed_and_dumped)
{
	siginfo_t si;
	pid_t p = CHILD({ pause(); });

	OK(kill(p, SIGKILL));
	OK(waitid(P_PID, p, &si, WEXITED));
	EQ(si.si_code, CLD_KILLED);
	EQ(si.si_status, SIGKILL);
}

CASE(waitid_nohang_zeroes)
{
	siginfo_t si;
	int q[2];

	OK(pipe(q));
	pid_t p = CHILD({ hear(q[0]); });
	si.si_pid = 77;
	OK(waitid(P_PID, p, &si, WEXITED | WNOHANG));
	EQ(si.si_pid, 0);
	tell(q[1]);
	EXITED(p, 0);
}

CASE(waitid_pidfd)
{
	siginfo_t si;
	pid_t p = CHILD({ _exit(4); });
	int fd = OK(syscall(SYS_pidfd_open, p, 0));

	OK(waitid(3 /* P_PIDFD */, fd, &si, WEXITED));
	EQ(si.si_pid, p);
	EQ(si.si_status, 4);
}

CASE(wait_stop_and_continue)
{
	int st;
	pid_t p = CHILD({
		raise(SIGSTOP);
		for (;;)
			pause();
	});

	EQ(waitpid(p, &st, WUNTRACED), p);
	CHECK(WIFSTOPPED(st));
	EQ(WSTOPSIG(st), SIGSTOP);
	EQ(proc_state(p), 'T');
	OK(kill(p, SIGCONT));
	EQ(waitpid(p, &st, WCONTINUED), p);
	CHECK(WIFCONTINUED(st));
	OK(kill(p, SIGKILL));
	KILLED(p, SIGKILL);
}

CASE(wait_rusage)
{
	struct rusage ru;
	int st;
	pid_t p = CHILD({
		struct timespec t;
		do
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
		while (t.tv_sec == 0 && t.tv_nsec < 60000000);
	});

	memset(&ru, 0xff, sizeof ru);
	EQ(wait4(p, &st, 0, &ru), p);
	CHECK(ru.ru_utime.tv_sec >= 0 && ru.ru_utime.tv_sec < 20);
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec > 20000);
	OK(getrusage(RUSAGE_CHILDREN, &ru));
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec > 20000);
}

CASE(zombie_stays_until_reaped)
{
	pid_t p = CHILD({});

	EVENTUALLY(proc_state(p) == 'Z');
	OK(kill(p, 0));
	EXITED(p, 0);
	ERR(kill(p, 0), ESRCH);
	EQ(proc_state(p), 0);
}

CASE(sigchld_ignored_reaps)
{
	signal(SIGCHLD, SIG_IGN);
	CHILD({});
	CHILD({});
	ERR(wait(NULL), ECHILD);
}

CASE(sa_nocldwait_reaps)
{
	struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	sigaction(SIGCHLD, &sa, NULL);
	CHILD({});
	ERR(wait(NULL), ECHILD);
}

CASE(reparent_to_subreaper)
{
	int q[2], st;
	pid_t grand;
	int on = 0;

	OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	OK(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0));
	EQ(on, 1);
	OK(pipe(q));
	pid_t me = getpid();
	pid_t p = CHILD({
		pid_t parent = getpid(), g = fork();
		if (g == 0) {
			EVENTUALLY(getppid() != parent);
			EQ(getppid(), me);
			_exit(17);
		}
		CHECK(write(q[1], &g, sizeof g) == sizeof g);
	});
	EXITED(p, 0);
	CHECK(read(q[0], &grand, sizeof grand) == sizeof grand);
	EQ(waitpid(grand, &st, 0), grand);
	EQ(WEXITSTATUS(st), 17);
}

CASE(subreaper_not_inherited)
{
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	pid_t p = CHILD({
		int on = 5;
		OK(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0));
		EQ(on, 0);
	});
	EXITED(p, 0);
}

CASE(orphan_gets_new_parent)
{
	int q[2];
	pid_t newparent = 0;

	OK(pipe(q));
	pid_t p = CHILD({
		pid_t old = getpid();
		if (fork() == 0) {
			EVENTUALLY(getppid() != old);
			pid_t now = getppid();
			CHECK(write(q[1], &now, sizeof now) == sizeof now);
			_exit(0);
		}
	});
	EXITED(p, 0);
	CHECK(read(q[0], &newparent, sizeof newparent) == sizeof newparent);
	CHECK(newparent != p);
}

CASE(pdeathsig)
{
	int q[2], done[2];
	char c;

	OK(pipe(q));
	OK(pipe(done));
	pid_t p = CHILD({
		if (fork() == 0) {
			int sig = 0;
			close(done[0]);
			OK(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
			OK(prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0));
			EQ(sig, SIGKILL);
			tell(q[1]);
			for (;;)
				pause();
		}
		hear(q[0]);
	});
	close(done[1]);
	EXITED(p, 0);
	/* The grandchild's end closes the last write end. */
	EQ(read(done[0], &c, 1), 0);
}

static void *pause_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

CASE(exit_group_ends_threads)
{
	pid_t p = CHILD({
		pthread_t t;
		CHECK(pthread_create(&t, NULL, pause_thread, NULL) == 0);
		_exit(6);
	});
	EXITED(p, 6);
}

static void *exit_from_thread(void *arg)
{
	(void)arg;
	syscall(SYS_exit_group, 8);
	return NULL;
}

CASE(exit_group_from_thread)
{
	pid_t p = CHILD({
		pthread_t t;
		CHECK(pthread_create(&t, NULL, exit_from_thread, NULL) == 0);
		for (;;)
			pause();
	});
	EXITED(p, 8);
}

static void *late_exit(void *arg)
{
	EVENTUALLY(proc_state(getpid()) == 'Z');
	syscall(SYS_exit_group, (int)(long)arg);
	return NULL;
}

CASE(main_thread_exits_first)
{
	pid_t p = CHILD({
		pthread_t t;
		CHECK(pthread_create(&t, NULL, late_exit, (void *)11) == 0);
		syscall(SYS_exit, 3);
	});
	EXITED(p, 11);
}

CASE(clone3_exit_signal)
{
	int st;
	struct clone_args a = { .exit_signal = SIGUSR1 };

	signal(SIGUSR1, SIG_IGN);
	pid_t p = OK(clone3(&a));
	if (p == 0)
		_exit(5);
	/* A child with another exit signal is a "clone" child. */
	ERR(waitpid(p, &st, 0), ECHILD);
	EQ(waitpid(p, &st, __WCLONE), p);
	EQ(WEXITSTATUS(st), 5);
	p = OK(clone3(&a));
	if (p == 0)
		_exit(5);
	EQ(waitpid(p, &st, __WALL), p);
}

/* clone() takes any number below 256; one that is no signal tells nobody. */
CASE(exit_signal_that_is_none)
{
	static const int numbers[] = { 0, 65, 128, 255 };

	for (int i = 0; i < 4; i++) {
		pid_t p = OK(syscall(SYS_clone, numbers[i], 0, 0, 0, 0));
		int st;

		if (p == 0)
			syscall(SYS_exit_group, 3);
		EQ(waitpid(p, &st, __WALL), p);
		CHECK(WIFEXITED(st) && WEXITSTATUS(st) == 3);
	}
}

CASE(clone3_pidfd_and_tids)
{
	int pidfd = -1;
	pid_t ptid = 0;
	siginfo_t si;
	struct clone_args a = {
		.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
		.pidfd = (uintptr_t)&pidfd, .parent_tid = (uintptr_t)&ptid, .exit_signal = SIGCHLD,
	};
	pid_t p = OK(clone3(&a));

	if (p == 0)
		_exit(1);
	EQ(ptid, p);
	CHECK(pidfd >= 0);
	CHECK(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	OK(waitid(3, pidfd, &si, WEXITED));
	EQ(si.si_pid, p);
	ERR(syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0), ESRCH);
}

CASE(clone3_errors)
{
	struct clone_args a = { .flags = CLONE_THREAD, .exit_signal = 0 };

	ERR(clone3(&a), EINVAL);			/* a thread shares handlers */
	a.flags = CLONE_SIGHAND;
	ERR(clone3(&a), EINVAL);			/* and these share memory */
	a.flags = 0;
	a.exit_signal = 1000;
	ERR(clone3(&a), EINVAL);
	ERR(syscall(SYS_clone3, &a, 8), EINVAL);
	ERR(syscall(SYS_clone3, (void *)8, sizeof a), EFAULT);
	ERR(syscall(SYS_clone3, &a, 100000), E2BIG);
	a.exit_signal = SIGCHLD;
	a.stack = (uintptr_t)&a;			/* a stack without a size */
	ERR(clone3(&a), EINVAL);
}

CASE(clone_errors)
{
	ERR(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL);
	ERR(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
	ERR(syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0), EINVAL);
}

static int clone_body(void *arg)
{
	*(int *)arg = 23;
	return 4;
}

CASE(clone_vm_shares_memory)
{
	static char stack[65536] __attribute__((aligned(16)));
	int x = 0;
	pid_t p = OK(clone(clone_body, stack + sizeof stack, CLONE_VM | SIGCHLD, &x));

	EXITED(p, 4);
	EQ(x, 23);
}

static int close_fd0(void *arg)
{
	close(*(int *)arg);
	return 0;
}

CASE(clone_files_shares_descriptors)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fd = OK(open("/dev/null", O_RDONLY));
	pid_t p = OK(clone(close_fd0, stack + sizeof stack, SIGCHLD, &fd));

	EXITED(p, 0);
	OK(fcntl(fd, F_GETFD));
	p = OK(clone(close_fd0, stack + sizeof stack, CLONE_FILES | SIGCHLD, &fd));
	EXITED(p, 0);
	ERR(fcntl(fd, F_GETFD), EBADF);
}

static int chdir_root(void *arg)
{
	(void)arg;
	umask(0123);
	return chdir("/");
}

CASE(clone_fs_shares_cwd_and_umask)
{
	static char stack[65536] __attribute__((aligned(16)));
	char buf[256];
	pid_t p = OK(clone(chdir_root, stack + sizeof stack, CLONE_FS | SIGCHLD, NULL));

	EXITED(p, 0);
	CHECK(getcwd(buf, sizeof buf));
	STREQ(buf, "/");
	EQ(umask(0), 0123);
}

static volatile int set_tid, clear_tid;

static int return_tid_matches(void *arg)
{
	(void)arg;
	return set_tid == getpid() ? 0 : 1;
}

CASE(clone_child_settid_cleartid)
{
	static char stack[65536] __attribute__((aligned(16)));
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(shared != MAP_FAILED);
	pid_t p = OK(clone(return_tid_matches, stack + sizeof stack, CLONE_CHILD_SETTID | SIGCHLD, NULL, NULL, NULL, &set_tid));
	EXITED(p, 0);
	EQ(set_tid, 0);			/* only the child's copy was written */
	clear_tid = 5;
	p = OK(clone(clone_body, stack + sizeof stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, shared, NULL, NULL, &clear_tid));
	EXITED(p, 4);
	EQ(clear_tid, 0);
}

CASE(pgrp_rules)
{
	int q[2], r[2];

	OK(pipe(q));
	OK(pipe(r));
	EQ(getpgrp(), getpid());		/* the harness made one for the case */
	pid_t p = CHILD({
		hear(q[0]);
		EQ(getpgrp(), getpid());
		tell(r[1]);
		hear(q[0]);
	});

	EQ(getpgid(p), getpgrp());
	OK(setpgid(p, 0));
	EQ(getpgid(p), p);
	tell(q[1]);
	hear(r[0]);
	OK(setpgid(p, getpgrp()));		/* back into the group of the same session */
	EQ(getpgid(p), getpgrp());
	ERR(setpgid(p, -1), EINVAL);
	ERR(setpgid(p, 0x3ffffff), EPERM);	/* no such group */
	ERR(setpgid(0x3ffffff, 0), ESRCH);
	ERR(getpgid(0x3ffffff), ESRCH);
	tell(q[1]);
	EXITED(p, 0);
}

CASE(setpgid_after_exec_is_eacces)
{
	int q[2];
	char c;

	OK(pipe2(q, O_CLOEXEC));
	pid_t p = CHILD({
		execl("/proc/self/exe", "helper", "--pause", NULL);
		_exit(1);
	});
	close(q[1]);
	EQ(read(q[0], &c, 1), 0);		/* closed by the exec */
	ERR(setpgid(p, 0), EACCES);
	OK(kill(p, SIGKILL));
	KILLED(p, SIGKILL);
}

CASE(sessions)
{
	pid_t sid = getsid(0);

	CHECK(sid > 0);
	ERR(setsid(), EPERM);			/* a group leader can't */
	pid_t p = CHILD({
		EQ(getsid(0), sid);
		EQ(setsid(), getpid());
		EQ(getsid(0), getpid());
		EQ(getpgrp(), getpid());
		ERR(setsid(), EPERM);
		ERR(setpgid(0, 0), EPERM);	/* a session leader stays */
		ERR(open("/dev/tty", O_RDWR), ENXIO);
	});

	EXITED(p, 0);
	ERR(getsid(0x3ffffff), ESRCH);
}

CASE(kill_group)
{
	int q[2];
	pid_t p[3];

	OK(pipe(q));
	for (int i = 0; i < 3; i++) {
		p[i] = CHILD({
			tell(q[1]);
			for (;;)
				pause();
		});
		OK(setpgid(p[i], p[0]));
	}
	for (int i = 0; i < 3; i++)
		hear(q[0]);
	OK(kill(-p[0], SIGHUP));
	for (int i = 0; i < 3; i++)
		KILLED(p[i], SIGHUP);
	ERR(kill(-p[0], SIGHUP), ESRCH);
}

CASE(orphaned_stopped_group_gets_hup_and_cont)
{
	int q[2];
	char buf[2] = "";

	OK(pipe(q));
	pid_t leader = CHILD({
		OK(setsid());
		pid_t mid = fork();
		if (mid == 0) {
			OK(setpgid(0, 0));
			sigset_t set;
			siginfo_t si;
			sigemptyset(&set);
			sigaddset(&set, SIGHUP);
			sigprocmask(SIG_BLOCK, &set, NULL);
			raise(SIGSTOP);
			CHECK(sigwaitinfo(&set, &si) == SIGHUP);
			tell(q[1]);
			_exit(0);
		}
		int st;
		EQ(waitpid(mid, &st, WUNTRACED), mid);
		CHECK(WIFSTOPPED(st));
	});
	EXITED(leader, 0);
	EQ(read(q[0], buf, 1), 1);
}

CASE(pidfd_poll_and_signal)
{
	int q[2];

	OK(pipe(q));
	pid_t p = CHILD({
		for (;;)
			pause();
	});
	int fd = OK(syscall(SYS_pidfd_open, p, 0));

	OK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	KILLED(p, SIGTERM);
	ERR(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0), ESRCH);
	ERR(syscall(SYS_pidfd_open, 0x3ffffff, 0), ESRCH);
	ERR(syscall(SYS_pidfd_open, 0, 0), EINVAL);
	ERR(syscall(SYS_pidfd_open, getpid(), 0x4000), EINVAL);
}

CASE(pidfd_signal_by_proc_directory)
{
	char path[40];
	pid_t p = CHILD({
		for (;;)
			pause();
	});
	int dir, other;

	snprintf(path, sizeof path, "/proc/%d", p);
	dir = OK(open(path, O_RDONLY | O_DIRECTORY));
	snprintf(path, sizeof path, "/proc/%d/fd", p);
	other = OK(open(path, O_RDONLY | O_DIRECTORY));
	ERR(syscall(SYS_pidfd_send_signal, other, SIGTERM, NULL, 0), EBADF);
	ERR(syscall(SYS_pidfd_getfd, dir, 0, 0), EBADF);
	OK(syscall(SYS_pidfd_send_signal, dir, 0, NULL, 0));
	OK(syscall(SYS_pidfd_send_signal, dir, SIGTERM, NULL, 0));
	KILLED(p, SIGTERM);
	ERR(syscall(SYS_pidfd_send_signal, dir, SIGTERM, NULL, 0), ESRCH);
}

CASE(many_children)
{
	pid_t p[100];

	for (int i = 0; i < 100; i++)
		p[i] = CHILD({ _exit(i); });
	for (int i = 99; i >= 0; i--)
		EXITED(p[i], i);
}

/* Who is killed amid a fork has made a child or hasn't: there is none of whose end nobody hears. */
CASE(killed_amid_forks)
{
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; i < 200; i++) {
		int p[2];
		pid_t pid;

		OK(pipe(p));
		pid = CHILD({
			tell(p[1]);
			for (;;)
				if (fork() == 0)
					_exit(0);
		});
		hear(p[0]);
		close(p[0]);
		close(p[1]);
		for (volatile int spin = 0; spin < i % 50 * 4000; spin++)
			;
		OK(kill(pid, SIGTERM));
		while (waitpid(-1, NULL, 0) > 0)
			;
		EQ(errno, ECHILD);
	}
}

enum { MAPPED = 20 };
static int mapped[MAPPED];

static int map_on_and_on(void *arg)
{
	for (unsigned i = 0;; i++)
		munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, mapped[i % (MAPPED - 2)], 0), 4096);
	return 0;
}

/* Whoever shares the memory of a process that is killed amid an mmap maps what it says. */
CASE(killed_amid_mmap)
{
	static char stack[65536] __attribute__((aligned(16)));
	char name[20];

	for (int i = 0; i < MAPPED; i++) {
		snprintf(name, sizeof name, "mapped %d", i);
		put_file(name, name, 0600);
		mapped[i] = OK(open(name, O_RDWR));
		OK(ftruncate(mapped[i], 4096));
	}
	for (int i = 0; i < 500; i++) {
		pid_t pid = OK(clone(map_on_and_on, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL));

		for (volatile int spin = 0; spin < (i % 100 + 5) * 2000; spin++)
			;
		OK(kill(pid, SIGTERM));
		KILLED(pid, SIGTERM);
		for (int k = 0; k < 3; k++) {
			int n = (i * 3 + k) % MAPPED;
			char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, mapped[n], 0);

			snprintf(name, sizeof name, "mapped %d", n);
			STREQ(p, name);
			OK(munmap(p, 4096));
		}
	}
}

CASE(fork_chain)
{
	/* Each generation waits for the next; the depth comes back as the exit status. */
	int depth = 0;

	for (;;) {
		pid_t p = OK(fork());
		if (p == 0) {
			if (++depth == 20)
				_exit(20);
			continue;
		}
		int st;
		OK(waitpid(p, &st, 0));
		if (depth > 0)
			_exit(WEXITSTATUS(st));
		EQ(WEXITSTATUS(st), 20);
		return;
	}
}

CASE(personality_and_name)
{
	char name[17] = "";

	OK(prctl(PR_SET_NAME, "a-long-process-name", 0, 0, 0));
	OK(prctl(PR_GET_NAME, name, 0, 0, 0));
	STREQ(name, "a-long-process-");
	pid_t p = CHILD({
		char n[17] = "";
		OK(prctl(PR_GET_NAME, n, 0, 0, 0));
		STREQ(n, "a-long-process-");
	});
	EXITED(p, 0);
	ERR(prctl(12345, 0, 0, 0, 0), EINVAL);
	ERR(prctl(PR_SET_PDEATHSIG, 1000, 0, 0, 0), EINVAL);
}

CASE(priorities_and_scheduling)
{
	cpu_set_t set;
	struct sched_param sp = { .sched_priority = 0 };

	OK(setpriority(PRIO_PROCESS, 0, 5));
	EQ(getpriority(PRIO_PROCESS, 0), 5);
	pid_t p = CHILD({ EQ(getpriority(PRIO_PROCESS, 0), 5); });
	EXITED(p, 0);
	ERR(getpriority(PRIO_PROCESS, 0x3ffffff), ESRCH);
	ERR(getpriority(55, 0), EINVAL);
	OK(sched_getaffinity(0, sizeof set, &set));
	CHECK(CPU_COUNT(&set) >= 1);
	EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
	OK(syscall(SYS_sched_getparam, 0, &sp));
	EQ(sp.sched_priority, 0);
	OK(sched_yield());
	EQ(sched_get_priority_max(SCHED_FIFO), 99);
	EQ(sched_get_priority_min(SCHED_FIFO), 1);
	EQ(sched_get_priority_max(SCHED_OTHER), 0);
}

void abi_helper(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--pause"))
		for (;;)
			pause();
}

/* From a call instruction of its own each. */
#define WAIT_HERE(options) \
	({ \
		long ret_; \
		register long usage_ asm("r10") = 0; \
		asm volatile("syscall" : "=a"(ret_) : "0"(SYS_wait4), "D"(-1l), "S"(0l), "d"((long)(options)), "r"(usage_) : "rcx", "r11", "memory"); \
		ret_; \
	})

static void be_busy(void)
{
	const int64_t end = now_ns() + 2000000;

	while (now_ns() < end)
		;
}

/* A wait that need not wait is answered whenever it comes, and wherever from, though nothing else happens that anybody would wake up for. */
CASE(nothing_to_wait_for)
{
	pid_t p;

	for (int i = 0; i < 10; i++) {
		be_busy();
		EQ(WAIT_HERE(0), -ECHILD);
	}
	for (int i = 0; i < 10; i++) {
		be_busy();
		EQ(WAIT_HERE(WNOHANG), -ECHILD);
	}
	p = CHILD({ pause(); });
	msleep(20);
	for (int i = 0; i < 10; i++) {
		be_busy();
		EQ(WAIT_HERE(WNOHANG), 0);
	}
	for (int i = 0; i < 10; i++) {
		be_busy();
		EQ(WAIT_HERE(WNOHANG | WUNTRACED), 0);
	}
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	for (int i = 0; i < 10; i++) {
		be_busy();
		EQ(WAIT_HERE(WUNTRACED), -ECHILD);
	}
}
