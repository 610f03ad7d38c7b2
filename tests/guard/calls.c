/*
 * System calls with arguments of every kind and little sense, made from the table of system calls: each case is a seed's share of them.
 * Children make the calls; the case passes if whoever looks on is still well, so it finds a sentry that crashes, hangs or lets one process
 * hurt another. For a long run: `guard-calls --seeds FROM TO`.
 */
#include "../abi/abi.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "sentry/syscalls/arg_kinds.h"
#include "sentry/syscalls/syscalls.h"
#include "bystander.h"
#include "things.h"

#define ROW(nr, call, level, count, ...) [nr] = { .name = #call, .support = (level), .nargs = (count), .args = { __VA_ARGS__ } },
#undef SYS
#define SYS(nr, call, level, ...) ROW(nr, call, SYS_##level, __VA_ARGS__)

static const struct sys_entry calls[SYS_TABLE_LEN] = {
#include "sentry/syscalls/syscalls.def"
};

/* Calls that end the child at once, reach for other processes by number, or could end the whole sandbox as they should. */
static const char *const left_out[] = {
	"exit", "exit_group", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "reboot", "rt_sigreturn",
	"process_vm_writev", "prlimit64", "process_madvise", "process_mrelease",
};

enum { CALLS_PER_CHILD = 400, CHILDREN_PER_SEED = 12, AREA = 1 << 16 };

static __thread uint64_t state;
static char *area;	/* AREA bytes; a page that can't be touched follows */

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t below(uint64_t n)
{
	return next() % n;
}

#define PICK(array) array[below(sizeof(array) / sizeof *(array))]

static long number(void)
{
	static const long some[] = { 0, 1, 2, 3, 4, 7, 8, 16, 100, 255, 4095, 4096, 65536, -1, -2, -100, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
		0x80000000L, 0x100000000L };

	return below(3) ? PICK(some) : below(2) ? (long)(1UL << below(64)) : (long)below(1024);
}

static long pointer(void)
{
	switch (below(10)) {
	case 0:
		return 0;
	case 1:
		return (long)area + AREA - below(64);	/* runs into the page behind */
	case 2:
		return number();
	case 3:
		return below(2) ? 0x7fff00000000L + below(1 << 20) : -(long)below(1 << 20);
	default:
		return (long)area + (below(AREA / 2) & ~7UL);
	}
}

static long path(void)
{
	static const char *const some[] = { "a", "b", "a/b", "./c", "d/e/f", "", ".", "..", "a/..", "/dev/zero", "/dev/null", "/proc/self/fd/5", "/proc/self/mem",
		"/proc/self/exe", "/proc/self/task", "/proc/sys/kernel/hostname", "/proc/thread-self/maps", "/sys/devices/system/cpu",
		"/dev/ptmx", "/dev/tty", "/dev/random", "b/./../b", "user.x", "tmpfs", "proc", "d", "link", "loop", "fifo", "sock", "/proc/self/fd/20",
		"/proc/self/ns/mnt", "/dev/shm/x", "/tmp/x", "seen", "/proc/self/root/proc/self/cwd", "d/..", "link/x", "system.posix_acl_access", "trusted.x" };

	if (below(12) == 0)
		return pointer();
	if (below(30) == 0) {
		memset(area, 'x', 5000);
		area[below(5000)] = 0;
		return (long)area;
	}
	return (long)PICK(some);
}

static long fd(void)
{
	static const long some[] = { -1, -100, 0, 63, 200, 1 << 20, INT32_MAX };

	return below(8) ? (long)(3 + below(60)) : PICK(some);
}

static long flags(void)
{
	long v = 0;

	for (int n = below(5); n > 0; n--)
		v |= 1L << below(32);
	return v;
}

static long vector(bool of_strings)
{
	struct iovec *v = (struct iovec *)(area + AREA / 2);
	char **s = (char **)v;

	for (int i = 0; i < 8; i++) {
		if (of_strings)
			s[i] = i == 7 || below(4) == 0 ? NULL : (char *)path();
		else
			v[i] = (struct iovec){ (void *)pointer(), below(4) ? below(5000) : (size_t)number() };
	}
	return below(8) ? (long)v : pointer();
}

#include "shapes.h"

static long argument(const struct sys_arg *a)
{
	long v;

	if (below(4) && (v = known_number(a->name)) != -1)
		return v;
	if (below(4) && a->kind != ARG_SIZE && a->kind != ARG_UINT && (v = shape(a->name)))
		return v;
	switch (a->kind) {
	case ARG_FD:
		return fd();
	case ARG_DIRFD:
		return below(2) ? AT_FDCWD : fd();
	case ARG_PATH:
	case ARG_STR:
		return path();
	case ARG_STRV:
	case ARG_ENVV:
		return vector(true);
	case ARG_IOVIN:
	case ARG_IOVOUT:
		return vector(false);
	case ARG_PID:
		return below(2) ? 0 : getpid();
	case ARG_SIG:
		return below(70);
	case ARG_OCTAL:
		return below(010000);
	case ARG_SIZE:
		return below(4) ? (long)below(AREA) : number();
	case ARG_OFF:
		return below(4) ? (long)below(AREA) : below(2) ? (long)(1UL << below(34)) : number();
	case ARG_UINT:
	case ARG_NAMED:
	case ARG_INT:
	case ARG_LONG:
		return below(3) ? (long)below(16) : number();
	case ARG_BY:
		if (below(2))
			return pointer();
		/* fall through */
	case ARG_FLAGS:
	case ARG_HEX:
		if (!strcmp(a->name, "arg") && below(2))	/* fcntl's */
			return flock_shape(area + 4096);
		return below(3) ? flags() : number();
	case ARG_UID:
		return below(3);
	default:
		if (below(3) == 0)	/* what lies there is data, too */
			for (int i = 0; i < 16; i++)
				((long *)area)[i] = below(2) ? number() : pointer();
		return pointer();
	}
}

static bool chosen(int nr)
{
	if (!calls[nr].name || (calls[nr].support == SYS_NONE && below(20)))
		return false;
	for (unsigned i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (!strcmp(calls[nr].name, left_out[i]))
			return false;
	return true;
}

/* Makes a child now and then, which must not go on as we do. */
static void make_call(int nr)
{
	long a[6] = { 0 };
	long r;

	for (int i = 0; i < calls[nr].nargs; i++)
		a[i] = argument(&calls[nr].args[i]);
	if (nr == SYS_clone || nr == SYS_clone3)
		a[1] = nr == SYS_clone ? 0 : a[1];
	r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (r == 0 && (nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone || nr == SYS_clone3))
		syscall(SYS_exit, 0);
}

static void interrupt(int sig)
{
	(void)sig;
}

/* Some memory that is shared with others or with a file, among what pointer() gives. */
static void map_shared(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT, 0666);

	ftruncate(fd, 8192);
	mmap(area + 3 * 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(area + 4 * 4096, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	close(fd);
}

static void *make_calls(void *seed)
{
	state = (uint64_t)seed * 0x9e3779b97f4a7c15 + 1;
	for (int i = 0; i < CALLS_PER_CHILD; i++) {
		int nr;

		do {
			nr = below(SYS_TABLE_LEN);
		} while (!chosen(nr));
		make_call(nr);
	}
	return NULL;
}

/* Changes what other threads' calls point to, while they are made. */
static void *change_area(void *unused)
{
	(void)unused;
	state = 1;
	for (;;)
		((volatile long *)area)[below(AREA / 8)] = below(2) ? number() : pointer();
	return NULL;
}

static void be_hostile(uint64_t seed)
{
	struct sigaction sa = { .sa_handler = interrupt };
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	struct rlimit small = { 64 << 20, 64 << 20 }, few = { 100, 100 };
	pthread_t other;

	unshare(CLONE_NEWNS | CLONE_NEWUTS);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	setrlimit(RLIMIT_FSIZE, &small);
	setrlimit(RLIMIT_NOFILE, &few);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(area + AREA, 4096, PROT_NONE);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	map_shared();
	open_things(seed);
	if (seed % 3 == 0)
		pthread_create(&other, NULL, make_calls, (void *)(seed * 2 + 1));
	if (seed % 3 == 1)
		pthread_create(&other, NULL, change_area, NULL);
	make_calls((void *)seed);
}

static void run_seed(uint64_t seed)
{
	struct bystander b = stand_by();

	for (int i = 0; i < CHILDREN_PER_SEED; i++)
		ATTACK(&b, 1500, { be_hostile(seed * CHILDREN_PER_SEED + i); });
	check_well(&b);
}

CASE(seed_1) { run_seed(1); }
CASE(seed_2) { run_seed(2); }
CASE(seed_3) { run_seed(3); }
CASE(seed_4) { run_seed(4); }
CASE(seed_5) { run_seed(5); }
CASE(seed_6) { run_seed(6); }

/* guard-calls --seeds FROM TO: each in a case of its own; says which one it is at, and stops at the first that fails. */
void abi_helper(int argc, char **argv)
{
	if (argc != 4 || strcmp(argv[1], "--seeds") != 0)
		return;
	for (long seed = atol(argv[2]); seed < atol(argv[3]); seed++) {
		pid_t pid = CHILD({ run_seed(seed); });
		int status;

		printf("seed %ld\n", seed);
		fflush(stdout);
		while (waitpid(pid, &status, 0) < 0)
			;
		if (status)
			exit(1);
	}
	exit(0);
}
