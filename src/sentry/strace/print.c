// Values of system calls as text.
#include "sentry/strace/print.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <linux/stat.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/signal.h"

void text_add(struct text *x, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (x->len + 1 >= x->cap)
		return;
	va_start(ap, fmt);
	n = vsnprintf(x->buf + x->len, x->cap - x->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		x->len = MIN(x->len + (size_t)n, x->cap - 1);
}

void text_bytes(struct text *x, const void *bytes, size_t len, size_t max, int more)
{
	const unsigned char *b = bytes;

	text_add(x, "\"");
	for (size_t i = 0; i < len && i < max; i++) {
		switch (b[i]) {
		case '\n': text_add(x, "\\n"); break;
		case '\t': text_add(x, "\\t"); break;
		case '\r': text_add(x, "\\r"); break;
		case '"': text_add(x, "\\\""); break;
		case '\\': text_add(x, "\\\\"); break;
		default:
			if (b[i] >= 0x20 && b[i] < 0x7f)
				text_add(x, "%c", b[i]);
			else
				text_add(x, "\\%o", b[i]);
		}
	}
	text_add(x, len > max || more ? "\"…" : "\"");
}

void print_signal(struct text *x, int64_t sig)
{
	const char *name = sig > 0 && sig < NSIG_MAX ? sigabbrev_np((int)sig) : NULL;

	if (name)
		text_add(x, "SIG%s", name);
	else if (sig >= 32 && sig <= NSIG_MAX)
		text_add(x, "SIGRT_%d", (int)sig - 32);
	else
		text_add(x, "%d", (int)sig);
}

static void print_sigset(struct text *x, uint64_t set)
{
	int first = 1;

	text_add(x, "[");
	for (int sig = 1; sig <= NSIG_MAX; sig++)
		if (set & SIGBIT(sig)) {
			if (!first)
				text_add(x, " ");
			first = 0;
			print_signal(x, sig);
		}
	text_add(x, "]");
}

static void obj_timespec(struct text *x, const void *p, size_t len)
{
	const struct timespec *ts = p;

	for (size_t i = 0; i < len / sizeof(*ts); i++)
		text_add(x, "%s{%ld, %ld}", i ? ", " : "", ts[i].tv_sec, ts[i].tv_nsec);
}

static void obj_stat(struct text *x, const void *p, size_t len)
{
	const struct stat *st = p;

	text_add(x, "{st_mode=0%o, st_size=%ld, …}", st->st_mode, (long)st->st_size);
}

static void obj_statx(struct text *x, const void *p, size_t len)
{
	const struct statx *st = p;

	text_add(x, "{stx_mode=0%o, stx_size=%lu, …}", st->stx_mode, (unsigned long)st->stx_size);
}

static void obj_sigset(struct text *x, const void *p, size_t len)
{
	uint64_t set;

	memcpy(&set, p, sizeof(set));
	print_sigset(x, set);
}

static void obj_sigaction(struct text *x, const void *p, size_t len)
{
	const struct ksigaction *a = p;

	if (a->handler <= 1)
		text_add(x, "{%s, ", a->handler ? "SIG_IGN" : "SIG_DFL");
	else
		text_add(x, "{0x%lx, ", (unsigned long)a->handler);
	print_sigset(x, a->mask);
	text_add(x, ", 0x%lx}", (unsigned long)a->flags);
}

static void obj_two_ints(struct text *x, const void *p, size_t len)
{
	const int *i = p;

	text_add(x, "[%d, %d]", i[0], i[1]);
}

static void obj_int(struct text *x, const void *p, size_t len)
{
	text_add(x, "[%d]", *(const int *)p);
}

static void obj_wstatus(struct text *x, const void *p, size_t len)
{
	int s = *(const int *)p;

	if (WIFEXITED(s))
		text_add(x, "[exited %d]", WEXITSTATUS(s));
	else if (WIFSIGNALED(s))
		text_add(x, "[killed by %d]", WTERMSIG(s));
	else
		text_add(x, "[0x%x]", s);
}

static void obj_rlimit(struct text *x, const void *p, size_t len)
{
	const struct rlimit *r = p;

	text_add(x, "{%ld, %ld}", (long)r->rlim_cur, (long)r->rlim_max);
}

static void obj_pollfds(struct text *x, const void *p, size_t len)
{
	const struct pollfd *f = p;

	text_add(x, "[");
	for (size_t i = 0; i < len / sizeof(*f); i++)
		text_add(x, "%s{%d, 0x%x}", i ? ", " : "", f[i].fd, (unsigned)f[i].events);
	text_add(x, "]");
}

static void obj_epoll_event(struct text *x, const void *p, size_t len)
{
	struct epoll_event ev;

	memcpy(&ev, p, sizeof(ev));
	text_add(x, "{0x%x, 0x%lx}", ev.events, (unsigned long)ev.data.u64);
}

static void obj_utsname(struct text *x, const void *p, size_t len)
{
	text_add(x, "{sysname=\"%.20s\", …}", (const char *)p);
}

static void obj_sockaddr(struct text *x, const void *p, size_t len)
{
	const struct sockaddr_un *un = p;
	const struct sockaddr_in *in = p;

	if (un->sun_family == AF_UNIX && len > 2)
		text_add(x, "{AF_UNIX, \"%s%.*s\"}", un->sun_path[0] ? "" : "@",
			 (int)(len - 2 - (un->sun_path[0] == 0)), un->sun_path + (un->sun_path[0] == 0));
	else if (in->sin_family == AF_INET && len >= sizeof(*in))
		text_add(x, "{AF_INET, %s:%u}", inet_ntoa(in->sin_addr), ntohs(in->sin_port));
	else
		text_add(x, "{family %u}", un->sun_family);
}

int print_object(struct text *x, const char *name, const void *bytes, size_t len)
{
	static const struct {
		const char *name;
		size_t least; // bytes
		void (*print)(struct text *x, const void *p, size_t len);
	} printers[] = {
		{"statbuf", sizeof(struct stat), obj_stat},
		{"statxbuf", 64, obj_statx},
		{"req", 16, obj_timespec},
		{"rem", 16, obj_timespec},
		{"request", 16, obj_timespec},
		{"remain", 16, obj_timespec},
		{"timeout", 16, obj_timespec},
		{"tmo_p", 16, obj_timespec},
		{"tp", 16, obj_timespec},
		{"tv", 16, obj_timespec},
		{"res", 16, obj_timespec},
		{"times", 16, obj_timespec},
		{"new_value", 32, obj_timespec},
		{"old_value", 32, obj_timespec},
		{"curr_value", 32, obj_timespec},
		{"set", 8, obj_sigset},
		{"oldset", 8, obj_sigset},
		{"mask", 8, obj_sigset},
		{"act", sizeof(struct ksigaction), obj_sigaction},
		{"oldact", sizeof(struct ksigaction), obj_sigaction},
		{"pipefd", 8, obj_two_ints},
		{"sv", 8, obj_two_ints},
		{"wstatus", 4, obj_wstatus},
		{"addrlen", 4, obj_int},
		{"optlen", 4, obj_int},
		{"timerid", 4, obj_int},
		{"rlim", 16, obj_rlimit},
		{"new_limit", 16, obj_rlimit},
		{"old_limit", 16, obj_rlimit},
		{"fds", 8, obj_pollfds},
		{"event", sizeof(struct epoll_event), obj_epoll_event},
		{"buf", sizeof(struct utsname), obj_utsname},
		{"addr", 3, obj_sockaddr},
		{"dest_addr", 3, obj_sockaddr},
	};
	uint8_t aligned[256] __attribute__((aligned(16))) = {0};

	for (size_t i = 0; i < ARRAY_LEN(printers); i++) {
		if (strcmp(printers[i].name, name) != 0 || len < printers[i].least)
			continue;
		if (printers[i].print == obj_utsname && len != sizeof(struct utsname))
			return 0; // a read's or a write's buffer
		len = MIN(len, sizeof(aligned) - 1);
		memcpy(aligned, bytes, len);
		printers[i].print(x, aligned, len);
		return 1;
	}
	return 0;
}

void print_result(struct text *x, const char *call, long ret)
{
	static const struct {
		long err;
		const char *name;
	} internal[] = {{ERESTARTSYS, "ERESTARTSYS"},
			{ERESTARTNOINTR, "ERESTARTNOINTR"},
			{ERESTARTNOHAND, "ERESTARTNOHAND"},
			{ERESTART_RESTARTBLOCK, "ERESTART_RESTARTBLOCK"}};

	for (size_t i = 0; i < ARRAY_LEN(internal); i++)
		if (ret == -internal[i].err) {
			text_add(x, "? %s (a signal waits)", internal[i].name);
			return;
		}
	if (ret < 0 && ret > -4096)
		text_add(x, "-1 %s (%s)", strerrorname_np((int)-ret) ?: "?", strerrordesc_np((int)-ret) ?: "?");
	else if (strcmp(call, "mmap") == 0 || strcmp(call, "brk") == 0 || strcmp(call, "mremap") == 0)
		text_add(x, "0x%lx", ret);
	else
		text_add(x, "%ld", ret);
}
