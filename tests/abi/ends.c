/*
 * Ends: of processes, and of threads, that wait in every way there is, or run, while nothing else happens that would have anybody look.
 * Who waits for them sleeps, too.
 */
#include "abi.h"
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

/* What is waited for, made by the harness's child: none of it ever comes. */
static int quiet[2], full[2], socks[2], fulls[2], event, timer, watcher, sigs, ep, listener, locked, queue, sems, zero, file;
static int word;
static int pi_word;	/* owned by the harness's child, who knows nothing of it */

static void read_pipe(void) { char c; read(quiet[0], &c, 1); }
static void write_pipe(void) { static char b[1 << 17]; write(full[1], b, sizeof b); }
static void read_socket(void) { char c; read(socks[0], &c, 1); }
static void write_socket(void) { static char b[1 << 20]; write(fulls[1], b, sizeof b); }
static void receive(void) { char c; recv(socks[0], &c, 1, 0); }
static void accept_socket(void) { accept(listener, NULL, NULL); }
static void read_event(void) { uint64_t n; read(event, &n, sizeof n); }
static void read_timer(void) { uint64_t n; read(timer, &n, sizeof n); }
static void read_watcher(void) { char b[4096]; read(watcher, b, sizeof b); }
static void read_signals(void) { struct signalfd_siginfo i; read(sigs, &i, sizeof i); }
static void wait_epoll(void) { struct epoll_event e; epoll_wait(ep, &e, 1, -1); }
static void wait_epoll_long(void) { struct epoll_event e; epoll_wait(ep, &e, 1, 100000); }
static void wait_poll(void) { poll(&(struct pollfd){ quiet[0], POLLIN, 0 }, 1, -1); }
static void wait_select(void) { fd_set s; FD_ZERO(&s); FD_SET(quiet[0], &s); select(quiet[0] + 1, &s, NULL, NULL, NULL); }
static void sleep_long(void) { nanosleep(&(struct timespec){ 1000, 0 }, NULL); }
static void sleep_short(void) { nanosleep(&(struct timespec){ 0, 50000 }, NULL); }
static void pause_long(void) { pause(); }
static void suspend(void) { sigset_t s = set_of(SIGUSR2, 0); sigsuspend(&s); }
static void wait_signal(void) { sigset_t s = set_of(SIGUSR2, 0); sigwaitinfo(&s, NULL); }
static void wait_futex(void) { syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); }
static void wait_shared_futex(void) { syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0); }
static void wait_futex_long(void) { syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){ 1000, 0 }, NULL, 0); }
static void wait_lock_pi(void) { syscall(SYS_futex, &pi_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0); }
static void wait_flock(void) { int fd = open("locked", O_RDWR); flock(fd, LOCK_EX); close(fd); }
static void wait_lock(void) { struct flock l = { .l_type = F_WRLCK }; fcntl(locked, F_SETLKW, &l); }
static void wait_message(void) { char b[64]; msgrcv(queue, b, 8, 0, 0); }
static void wait_sem(void) { semop(sems, &(struct sembuf){ 0, -1, 0 }, 1); }
static void splice_pipe(void) { splice(quiet[0], NULL, full[1], NULL, 1, 0); }
static void open_fifo(void) { open("fifo", O_RDONLY); }
static void read_file(void) { static char b[1 << 16]; pread(file, b, sizeof b, 0); }
static void write_file(void) { static char b[1 << 16]; pwrite(file, b, sizeof b, 0); }
static void read_zero(void) { static char b[4096]; read(zero, b, sizeof b); }
static void send_file(void) { sendfile(full[1], file, &(off_t){ 0 }, 1 << 16); }
static void map(void) { void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); *(volatile char *)p = 1; munmap(p, 65536); }
static void map_file(void) { munmap(mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0), 4096); }
static void spin(void) { for (volatile int i = 0; i < 1000; i++) ; }
static void yield(void) { sched_yield(); }
static void look_up(void) { struct stat st; stat("/usr/lib/nothing/here", &st); stat("locked", &st); }
static void ask_for_number(void) { syscall(SYS_getppid); }
static void mask(void) { sigset_t s = set_of(SIGUSR1, 0), old; sigprocmask(SIG_BLOCK, &s, &old); sigprocmask(SIG_SETMASK, &old, NULL); }
static void fault(void) { static char *p; if (!p) p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); madvise(p, 1 << 20, MADV_DONTNEED); for (int i = 0; i < 1 << 20; i += 4096) p[i] = 1; }

static void wait_child(void)
{
	if (fork() == 0)
		for (;;)
			pause();
	waitpid(-1, NULL, 0);
}

static void wait_vfork(void)
{
	if (vfork() == 0)
		for (;;)
			pause();
}

static void fork_and_wait(void)
{
	if (fork() == 0)
		_exit(0);
	waitpid(-1, NULL, 0);
}

static const struct way {
	const char *name;
	void (*fn)(void);
	bool family;	/* makes others, who end with the group */
} ways[] = {
#define W(f) { #f, f, false }
	W(read_pipe), W(write_pipe), W(read_socket), W(write_socket), W(receive), W(accept_socket), W(read_event), W(read_timer), W(read_watcher),
	W(read_signals), W(wait_epoll), W(wait_epoll_long), W(wait_poll), W(wait_select), W(sleep_long), W(sleep_short), W(pause_long), W(suspend),
	W(wait_signal), W(wait_futex), W(wait_shared_futex), W(wait_futex_long), W(wait_lock_pi), W(wait_flock), W(wait_lock), W(wait_message),
	W(wait_sem), W(splice_pipe), W(open_fifo), W(read_file), W(write_file), W(read_zero), W(send_file), W(map), W(map_file), W(spin), W(yield),
	W(look_up), W(ask_for_number), W(mask), W(fault),
#undef W
	{ "wait_child", wait_child, true }, { "wait_vfork", wait_vfork, true }, { "fork_and_wait", fork_and_wait, true },
};
enum { WAYS = sizeof ways / sizeof *ways };

static void fill(int fd)
{
	static char b[1 << 16];

	OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (write(fd, b, sizeof b) > 0)
		;
	while (write(fd, b, 1) > 0)
		;
	OK(fcntl(fd, F_SETFL, 0));
}

static void make_things(void)
{
	sigset_t usr2 = set_of(SIGUSR2, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "listener" };
	struct flock all = { .l_type = F_WRLCK };

	OK(pipe(quiet));
	OK(pipe(full));
	fill(full[1]);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fulls));
	fill(fulls[1]);
	event = OK(eventfd(0, 0));
	timer = OK(timerfd_create(CLOCK_MONOTONIC, 0));
	watcher = OK(inotify_init());
	sigs = OK(signalfd(-1, &usr2, 0));
	ep = OK(epoll_create1(0));
	OK(epoll_ctl(ep, EPOLL_CTL_ADD, quiet[0], &(struct epoll_event){ .events = EPOLLIN }));
	listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(bind(listener, (struct sockaddr *)&a, sizeof a));
	OK(listen(listener, 1));
	put_file("locked", "", 0600);
	locked = OK(open("locked", O_RDWR));
	OK(flock(locked, LOCK_EX));
	OK(fcntl(locked, F_SETLK, &all));
	queue = OK(msgget(IPC_PRIVATE, 0600));
	sems = OK(semget(IPC_PRIVATE, 1, 0600));
	OK(mkfifo("fifo", 0600));
	zero = OK(open("/dev/zero", O_RDWR));
	file = OK(open("file", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(file, 1 << 16));
	pi_word = getpid();
	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
}

static void unmake_things(void)
{
	OK(msgctl(queue, IPC_RMID, NULL));
	OK(semctl(sems, 0, IPC_RMID));
}

/* Some time without a call, that grows with i: from nothing to a few times as long as a call takes that is parked. */
static void pass(int i)
{
	for (volatile int n = 0; n < i * i * 300; n++)
		;
}

/* All children end; those who were made by others, too. */
static void see_all_end(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
	EQ(errno, ECHILD);
}

static void end_family(const struct way *w, pid_t pid)
{
	if (w->family)
		OK(kill(-pid, SIGKILL));
	see_all_end();
}

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	OK(sigprocmask(SIG_SETMASK, &all, NULL));
}

/* Beginning at this end of a pipe, it does what w says until it ends. */
static void begin(const struct way *w, int ready)
{
	setpgid(0, 0);
	tell(ready);
	for (;;)
		w->fn();
}

static void (*handled)(void);

static void handler(int sig)
{
	for (;;)
		handled();
}

static void kill_in_all_ways(int sig, void (*before)(void), bool in_handler, int rounds)
{
	int ready[2];

	make_things();
	OK(pipe(ready));
	for (int i = 0; i < rounds; i++)
		for (const struct way *w = ways; w < ways + WAYS; w++) {
			pid_t pid = CHILD({
				if (before)
					before();
				if (in_handler) {
					setpgid(0, 0);
					handled = w->fn;
					signal(SIGUSR1, handler);
					tell(ready[1]);
					raise(SIGUSR1);
				}
				begin(w, ready[1]);
			});

			hear(ready[0]);
			pass(i);
			OK(kill(pid, sig));
			end_family(w, pid);
		}
	unmake_things();
}

CASE(killed) { kill_in_all_ways(SIGKILL, NULL, false, 16); }
CASE(terminated) { kill_in_all_ways(SIGTERM, NULL, false, 16); }
CASE(killed_with_all_signals_blocked) { kill_in_all_ways(SIGKILL, block_all, false, 8); }
CASE(killed_in_a_handler) { kill_in_all_ways(SIGKILL, NULL, true, 8); }
CASE(terminated_in_a_handler) { kill_in_all_ways(SIGTERM, NULL, true, 8); }

static void *go_on(void *arg)
{
	const struct way *w = arg;

	for (;;)
		w->fn();
	return NULL;
}

enum { OTHERS = 3 };

static void start_others(const struct way *w)
{
	pthread_t t;

	for (int i = 0; i < OTHERS; i++)
		if (pthread_create(&t, NULL, go_on, (void *)w))
			FAIL("no thread");
}

/* One thread ends all of them. */
static void end_group_in_all_ways(void (*before)(void), void (*end)(void), int rounds)
{
	make_things();
	for (int i = 0; i < rounds; i++)
		for (const struct way *w = ways; w < ways + WAYS; w++) {
			pid_t pid = CHILD({
				setpgid(0, 0);
				if (before)
					before();
				start_others(w);
				pass(i);
				end();
			});

			CHECK(waitpid(pid, NULL, 0) == pid);
			if (w->family)
				kill(-pid, SIGKILL);
			see_all_end();
		}
	unmake_things();
}

static void end_by_exit(void) { _exit(0); }
static void end_by_signal(void) { kill(getpid(), SIGKILL); for (;;) ; }
static void end_by_exec(void) { execl("/proc/self/exe", "ends", "--nothing", NULL); FAIL("exec"); }
static void end_by_fault(void) { *(volatile int *)0 = 0; }

CASE(exit_amid_threads) { end_group_in_all_ways(NULL, end_by_exit, 8); }
CASE(exit_amid_threads_with_all_signals_blocked) { end_group_in_all_ways(block_all, end_by_exit, 4); }
CASE(kill_amid_threads) { end_group_in_all_ways(NULL, end_by_signal, 4); }
CASE(fault_amid_threads) { end_group_in_all_ways(NULL, end_by_fault, 4); }
CASE(exec_amid_threads) { end_group_in_all_ways(NULL, end_by_exec, 8); }

/* A thread that isn't the first does; the first waits in each way. */
static void *end_from_thread(void *arg)
{
	pass((int)(intptr_t)arg);
	end_by_exit();
	return NULL;
}

static void *exec_from_thread(void *arg)
{
	pass((int)(intptr_t)arg);
	end_by_exec();
	return NULL;
}

static void end_from_threads(void *(*end)(void *), int rounds)
{
	make_things();
	for (int i = 0; i < rounds; i++)
		for (const struct way *w = ways; w < ways + WAYS; w++) {
			pid_t pid = CHILD({
				pthread_t t;

				setpgid(0, 0);
				pthread_create(&t, NULL, end, (void *)(intptr_t)i);
				go_on((void *)w);
			});

			CHECK(waitpid(pid, NULL, 0) == pid);
			if (w->family)
				kill(-pid, SIGKILL);
			see_all_end();
		}
	unmake_things();
}

CASE(exit_from_a_thread) { end_from_threads(end_from_thread, 8); }
CASE(exec_from_a_thread) { end_from_threads(exec_from_thread, 8); }

/* It stops, and goes on, and stops: each is told. */
CASE(stopped)
{
	int ready[2], st;

	make_things();
	OK(pipe(ready));
	for (int i = 0; i < 8; i++)
		for (const struct way *w = ways; w < ways + WAYS; w++) {
			if (w->fn == wait_vfork)	/* doesn't stop */
				continue;
			pid_t pid = CHILD({
				setpgid(0, 0);
				start_others(w);
				begin(w, ready[1]);
			});

			hear(ready[0]);
			pass(i);
			for (int k = 0; k < 2; k++) {
				OK(kill(pid, SIGSTOP));
				CHECK(waitpid(pid, &st, WUNTRACED) == pid);
				if (!WIFSTOPPED(st))
					FAIL("%s, round %d: status 0x%x, not stopped", w->name, i, st);
				OK(kill(pid, SIGCONT));
				CHECK(waitpid(pid, &st, WCONTINUED) == pid);
				if (!WIFCONTINUED(st))
					FAIL("%s, round %d: status 0x%x, not continued", w->name, i, st);
			}
			OK(kill(pid, SIGKILL));
			end_family(w, pid);
		}
	unmake_things();
}

/* What one thread unmaps isn't another's when they go on. */
CASE(stopped_amid_maps)
{
	static const struct way maps = { "map", map, false };
	int ready[2], st;

	OK(pipe(ready));
	pid_t pid = CHILD({
		start_others(&maps);
		begin(&maps, ready[1]);
	});

	hear(ready[0]);
	for (int i = 0; i < 400; i++) {
		OK(kill(pid, SIGSTOP));
		CHECK(waitpid(pid, &st, WUNTRACED) == pid);
		if (!WIFSTOPPED(st))
			FAIL("round %d: status 0x%x, not stopped", i, st);
		OK(kill(pid, SIGCONT));
		pass(i % 16);
	}
	OK(kill(pid, SIGKILL));
	KILLED(pid, SIGKILL);
}

void abi_helper(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		_exit(0);
}
