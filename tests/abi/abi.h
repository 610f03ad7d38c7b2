/*
 * The harness of the conformance programs. A program is a list of named cases; each case runs in a
 * forked child with a process group and a working folder of its own, so that a crash, a hang or a leak
 * stays its own affair. One line a case: "ok NAME", "not ok NAME: why" or "skip NAME: why".
 *
 *	PROGRAM             runs all cases
 *	PROGRAM NAME...     runs these
 *	PROGRAM --list      prints the names
 *	PROGRAM --here NAME runs one case without the fork (for a debugger or a trace)
 *
 * The host's Linux is the oracle: no case may ask where it runs.
 */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CASE_SECONDS 60 /* of which no case takes more than a few, unless the machine is very busy */

struct abi_case {
	const char *name;
	void (*run)(void);
	struct abi_case *next;
};

static struct abi_case *abi_cases, **abi_tail = &abi_cases;
static int abi_report = -1;		/* a pipe to the harness; the first message wins */
static char **abi_argv;

__attribute__((unused)) static void abi_add(struct abi_case *c)
{
	*abi_tail = c;
	abi_tail = &c->next;
}

#define CASE(n) \
	static void case_##n(void); \
	__attribute__((constructor)) static void abi_add_##n(void) \
	{ \
		static struct abi_case c = { #n, case_##n, NULL }; \
		abi_add(&c); \
	} \
	static void case_##n(void)

#define ABI_SKIP_STATUS 77

__attribute__((noreturn, format(printf, 3, 4), unused))
static void abi_fail(const char *file, int line, const char *fmt, ...)
{
	char msg[512];
	const char *base = strrchr(file, '/');
	int n = snprintf(msg, sizeof msg, "%s:%d: ", base ? base + 1 : file, line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg + n, sizeof msg - n, fmt, ap);
	va_end(ap);
	if (write(abi_report >= 0 ? abi_report : 2, msg, strlen(msg)) < 0)
		_exit(2);
	_exit(1);
}

#define FAIL(...) abi_fail(__FILE__, __LINE__, __VA_ARGS__)

/* The expression holds. */
#define CHECK(cond) \
	do { \
		if (!(cond)) \
			FAIL("%s (errno %d, %s)", #cond, errno, strerror(errno)); \
	} while (0)

/* Two integers are equal. */
#define EQ(a, b) \
	do { \
		long long a_ = (long long)(a), b_ = (long long)(b); \
		if (a_ != b_) \
			FAIL("%s is %lld (0x%llx), not %s = %lld (errno %d, %s)", #a, a_, a_, #b, b_, \
			     errno, strerror(errno)); \
	} while (0)

/* Two strings are equal. */
#define STREQ(a, b) \
	do { \
		const char *a_ = (a), *b_ = (b); \
		if (strcmp(a_, b_)) \
			FAIL("%s is \"%s\", not \"%s\"", #a, a_, b_); \
	} while (0)

/* A call doesn't fail; gives its result. */
#define OK(call) \
	({ \
		errno = 0; \
		long r_ = (long)(call); \
		if (r_ == -1) \
			FAIL("%s: %s", #call, strerror(errno)); \
		r_; \
	})

/* A call fails with this errno. */
#define ERR(call, err) \
	do { \
		errno = 0; \
		long r_ = (long)(call); \
		if (r_ != -1) \
			FAIL("%s gave %ld, not the error %s", #call, r_, #err); \
		else if (errno != (err)) \
			FAIL("%s: %s, not %s", #call, strerror(errno), #err); \
	} while (0)

/* Waits for a condition that another process or thread brings about. */
#define EVENTUALLY(cond) \
	do { \
		int tries_ = 0; \
		while (!(cond)) { \
			if (++tries_ > 40000) \
				FAIL("still not: %s", #cond); \
			usleep(1000); \
		} \
	} while (0)

/* One signal, or two if b isn't 0. */
static inline sigset_t set_of(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

/* A child that runs the block that follows and then exits with 0:  pid_t p = CHILD({ ... }); */
#define CHILD(...) \
	({ \
		pid_t p_ = (pid_t)OK(fork()); \
		if (p_ == 0) { \
			__VA_ARGS__ \
			_exit(0); \
		} \
		p_; \
	})

/* The child ended with this exit status. */
#define EXITED(pid, status) \
	do { \
		int st_ = -1; \
		OK(waitpid(pid, &st_, 0)); \
		if (!WIFEXITED(st_) || WEXITSTATUS(st_) != (status)) \
			FAIL("wait status of %s is 0x%x, not exit %d", #pid, st_, status); \
	} while (0)

/* The child was killed by this signal. */
#define KILLED(pid, sig) \
	do { \
		int st_ = -1; \
		OK(waitpid(pid, &st_, 0)); \
		if (!WIFSIGNALED(st_) || WTERMSIG(st_) != (sig)) \
			FAIL("wait status of %s is 0x%x, not killed by %s", #pid, st_, #sig); \
	} while (0)

#define SKIP(why) \
	do { \
		if (write(abi_report >= 0 ? abi_report : 2, why, strlen(why)) < 0) \
			_exit(2); \
		_exit(ABI_SKIP_STATUS); \
	} while (0)

/* A case about what this C library does itself. */
#ifdef __GLIBC__
#define GLIBC_ONLY(what) do { } while (0)
#else
#define GLIBC_ONLY(what) SKIP("another C library: " what)
#endif

/* A byte through a pipe: the simplest way for two processes to agree on an order. */
__attribute__((unused)) static void tell(int fd)
{
	CHECK(write(fd, "x", 1) == 1);
}

__attribute__((unused)) static void hear(int fd)
{
	char c;

	CHECK(read(fd, &c, 1) == 1);
}

__attribute__((unused)) static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

__attribute__((unused)) static void msleep(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* The state letter of a stat file of /proc; 0 where there is no such process. */
__attribute__((unused)) static char stat_state(const char *path)
{
	char buf[512];
	int fd, n;
	char *p;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof buf - 1);
	close(fd);
	if (n <= 0)
		return 0;
	buf[n] = 0;
	p = strrchr(buf, ')');
	return p ? p[2] : 0;
}

__attribute__((unused)) static char proc_state(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	return stat_state(path);
}

/* Of a thread of this process. */
__attribute__((unused)) static char thread_state(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	return stat_state(path);
}

/* Makes a file with this content and mode. */
__attribute__((unused)) static void put_file(const char *path, const char *text, int mode)
{
	int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));

	EQ(write(fd, text, strlen(text)), strlen(text));
	OK(fchmod(fd, mode));
	close(fd);
}

/* Reads a whole small file; the caller frees. */
__attribute__((unused)) static char *get_file(const char *path)
{
	int fd = OK(open(path, O_RDONLY | O_CLOEXEC));
	size_t len = 0, size = 4096;
	char *buf = malloc(size);
	ssize_t n;

	while ((n = OK(read(fd, buf + len, size - len - 1))) > 0) {
		len += n;
		if (size - len < 2)
			buf = realloc(buf, size *= 2);
	}
	buf[len] = 0;
	close(fd);
	return buf;
}

static int abi_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path), 0;
}

static volatile pid_t abi_child;

static void abi_timeout(int sig)
{
	(void)sig;
	kill(-abi_child, SIGKILL);
	kill(abi_child, SIGKILL);
}

/* Runs one case in a child; 0 if it passed or was skipped. */
static int abi_run(struct abi_case *c)
{
	char dir[] = "/tmp/abi-XXXXXX", msg[512];
	bool have_dir = mkdtemp(dir) != NULL;
	int p[2], status = 0, n, len = 0;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		dprintf(1, "not ok %s: harness: %s\n", c->name, strerror(errno));
		return 1;
	}
	if (pid == 0) {
		/* Out of the way of cases that count on low descriptors. */
		abi_report = fcntl(p[1], F_DUPFD_CLOEXEC, 200);
		close(p[0]);
		close(p[1]);
		setpgid(0, 0);
		signal(SIGALRM, SIG_DFL);
		if (have_dir && (chmod(dir, 0777) < 0 || chdir(dir) < 0))
			have_dir = false;
		c->run();
		_exit(0);
	}
	close(p[1]);
	setpgid(pid, pid);
	abi_child = pid;
	alarm(CASE_SECONDS);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	n = alarm(0);
	kill(-pid, SIGKILL);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (len < (int)sizeof msg - 1) {
		int got = read(p[0], msg + len, sizeof msg - 1 - len);

		if (got <= 0)
			break;
		len += got;
	}
	msg[len] = 0;
	close(p[0]);
	if (have_dir)
		nftw(dir, abi_remove, 16, FTW_DEPTH | FTW_PHYS);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		dprintf(1, "ok %s\n", c->name);
		return 0;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == ABI_SKIP_STATUS) {
		dprintf(1, "skip %s: %s\n", c->name, msg);
		return 0;
	}
	if (WIFSIGNALED(status) && n == 0 && WTERMSIG(status) == SIGKILL)
		dprintf(1, "not ok %s: no end within %d s%s%s\n", c->name, CASE_SECONDS, len ? ": " : "", msg);
	else if (WIFSIGNALED(status))
		dprintf(1, "not ok %s: killed by signal %d%s%s\n", c->name, WTERMSIG(status), len ? ": " : "", msg);
	else
		dprintf(1, "not ok %s: %s\n", c->name, len ? msg : "exit status without a message");
	return 1;
}

/* A program that re-executes itself handles its own first argument here, before the cases. */
__attribute__((weak)) void abi_helper(int argc, char **argv);

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = abi_timeout };
	struct abi_case *c;
	int bad = 0;

	abi_argv = argv;
	if (argc > 1 && abi_helper)
		abi_helper(argc, argv);
	if (argc == 2 && !strcmp(argv[1], "--list")) {
		for (c = abi_cases; c; c = c->next)
			printf("%s\n", c->name);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--here")) {
		for (c = abi_cases; c; c = c->next)
			if (!strcmp(c->name, argv[2]))
				return c->run(), 0;
		return 2;
	}
	sigaction(SIGALRM, &sa, NULL);
	for (c = abi_cases; c; c = c->next) {
		bool chosen = argc < 2;

		for (int i = 1; i < argc; i++)
			chosen |= !strcmp(argv[i], c->name);
		if (chosen)
			bad |= abi_run(c);
	}
	return bad;
}
