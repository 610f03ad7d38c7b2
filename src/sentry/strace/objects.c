// Structs of system calls as text, known by their arguments' names in syscalls.def and by.def.
//
// The bytes are a copy already; their length is what was given, which a printer checks where it isn't fixed.
#include <arpa/inet.h>
#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/container_of.h"
#include "sentry/kernel/signal.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/syscalls.h"

enum { ITEMS_SHOWN = 12, OBJECT_BYTES = 512, SA_RESTORER_FLAG = 0x04000000 };

static void print_sigset(struct text *x, uint64_t set)
{
	const char *sep = "";

	// A set of most signals reads better as what it lacks.
	if (__builtin_popcountll(set) > 48) {
		text_add(x, "~");
		set = ~set;
	}
	text_add(x, "[");
	for (int sig = 1; sig <= NSIG_MAX; sig++)
		if (set & SIGBIT(sig)) {
			text_add(x, "%s", sep);
			print_signal(x, sig);
			sep = " ";
		}
	text_add(x, "]");
}

static void print_timespec(struct text *x, const struct timespec *ts)
{
	if (ts->tv_nsec == UTIME_NOW || ts->tv_nsec == UTIME_OMIT)
		text_add(x, ts->tv_nsec == UTIME_NOW ? "UTIME_NOW" : "UTIME_OMIT");
	else
		text_add(x, "{tv_sec=%ld, tv_nsec=%ld}", ts->tv_sec, ts->tv_nsec);
}

static void print_timeval(struct text *x, const struct timeval *tv)
{
	text_add(x, "{tv_sec=%ld, tv_usec=%ld}", tv->tv_sec, tv->tv_usec);
}

static void obj_timespec(struct text *x, const void *p, size_t len)
{
	(void)len;
	print_timespec(x, p);
}

static void obj_timespecs(struct text *x, const void *p, size_t len)
{
	const struct timespec *ts = p;

	(void)len;
	text_add(x, "[");
	print_timespec(x, &ts[0]);
	text_add(x, ", ");
	print_timespec(x, &ts[1]);
	text_add(x, "]");
}

static void obj_timeval(struct text *x, const void *p, size_t len)
{
	(void)len;
	print_timeval(x, p);
}

static void obj_timevals(struct text *x, const void *p, size_t len)
{
	const struct timeval *tv = p;

	(void)len;
	text_add(x, "[");
	print_timeval(x, &tv[0]);
	text_add(x, ", ");
	print_timeval(x, &tv[1]);
	text_add(x, "]");
}

static void obj_itimerspec(struct text *x, const void *p, size_t len)
{
	const struct itimerspec *it = p;

	(void)len;
	text_add(x, "{it_interval=");
	print_timespec(x, &it->it_interval);
	text_add(x, ", it_value=");
	print_timespec(x, &it->it_value);
	text_add(x, "}");
}

static void obj_itimerval(struct text *x, const void *p, size_t len)
{
	const struct itimerval *it = p;

	(void)len;
	text_add(x, "{it_interval=");
	print_timeval(x, &it->it_interval);
	text_add(x, ", it_value=");
	print_timeval(x, &it->it_value);
	text_add(x, "}");
}

static void print_mode(struct text *x, uint32_t mode)
{
	print_flags(x, FLAGSET_TYPE, mode & S_IFMT);
	text_add(x, "|0%03o", mode & ~S_IFMT);
}

static void print_size_or_dev(struct text *x, uint32_t mode, uint64_t size, unsigned maj, unsigned min)
{
	if (S_ISCHR(mode) || S_ISBLK(mode))
		text_add(x, ", st_rdev=makedev(0x%x, 0x%x), …}", maj, min);
	else
		text_add(x, ", st_size=%lu, …}", (unsigned long)size);
}

static void obj_stat(struct text *x, const void *p, size_t len)
{
	const struct stat *st = p;

	(void)len;
	text_add(x, "{st_mode=");
	print_mode(x, st->st_mode);
	print_size_or_dev(x, st->st_mode, (uint64_t)st->st_size, gnu_dev_major(st->st_rdev), gnu_dev_minor(st->st_rdev));
}

static void obj_statx(struct text *x, const void *p, size_t len)
{
	const struct statx *st = p;

	(void)len;
	text_add(x, "{stx_mask=");
	print_flags(x, FLAGSET_STATX, st->stx_mask);
	text_add(x, ", stx_mode=");
	print_mode(x, st->stx_mode);
	text_add(x, ", stx_size=%lu, …}", (unsigned long)st->stx_size);
}

static void obj_statfs(struct text *x, const void *p, size_t len)
{
	const struct statfs *s = p;

	(void)len;
	text_add(x, "{f_type=0x%lx, f_bsize=%ld, f_blocks=%lu, f_bfree=%lu, …}", (unsigned long)s->f_type, (long)s->f_bsize,
		 (unsigned long)s->f_blocks, (unsigned long)s->f_bfree);
}

static void obj_sigset(struct text *x, const void *p, size_t len)
{
	uint64_t set;

	(void)len;
	memcpy(&set, p, sizeof(set));
	print_sigset(x, set);
}

static void obj_sigaction(struct text *x, const void *p, size_t len)
{
	const struct ksigaction *a = p;

	(void)len;
	if (a->handler <= 1)
		text_add(x, "{sa_handler=%s, sa_mask=", a->handler ? "SIG_IGN" : "SIG_DFL");
	else
		text_add(x, a->flags & SA_SIGINFO ? "{sa_sigaction=0x%lx, sa_mask=" : "{sa_handler=0x%lx, sa_mask=",
			 (unsigned long)a->handler);
	print_sigset(x, a->mask);
	text_add(x, ", sa_flags=");
	print_flags(x, FLAGSET_SA, a->flags);
	if (a->flags & SA_RESTORER_FLAG)
		text_add(x, ", sa_restorer=0x%lx", (unsigned long)a->restorer);
	text_add(x, "}");
}

static void obj_siginfo(struct text *x, const void *p, size_t len)
{
	const siginfo_t *si = p;

	(void)len;
	text_add(x, "{si_signo=");
	print_signal(x, si->si_signo);
	text_add(x, ", si_code=");
	print_named(x, si->si_signo == SIGCHLD && si->si_code > 0 ? FLAGSET_CLDCODE : FLAGSET_SICODE, (uint64_t)(int64_t)si->si_code);
	if (si->si_signo == SIGCHLD)
		text_add(x, ", si_pid=%d, si_uid=%u, si_status=%d}", si->si_pid, si->si_uid, si->si_status);
	else if (si->si_signo == SIGSEGV || si->si_signo == SIGBUS || si->si_signo == SIGILL || si->si_signo == SIGFPE)
		text_add(x, ", si_addr=0x%lx}", (unsigned long)si->si_addr);
	else
		text_add(x, ", si_pid=%d, si_uid=%u}", si->si_pid, si->si_uid);
}

static void obj_sigaltstack(struct text *x, const void *p, size_t len)
{
	const stack_t *ss = p;

	(void)len;
	text_add(x, "{ss_sp=0x%lx, ss_flags=%s, ss_size=%lu}", (unsigned long)ss->ss_sp,
		 ss->ss_flags & SS_DISABLE ? "SS_DISABLE" : ss->ss_flags & SS_ONSTACK ? "SS_ONSTACK" : "0", (unsigned long)ss->ss_size);
}

static void obj_two_ints(struct text *x, const void *p, size_t len)
{
	const int *i = p;

	(void)len;
	text_add(x, "[%d, %d]", i[0], i[1]);
}

static void obj_int(struct text *x, const void *p, size_t len)
{
	(void)len;
	text_add(x, "[%d]", *(const int *)p);
}

static void obj_long(struct text *x, const void *p, size_t len)
{
	(void)len;
	text_add(x, "[%ld]", *(const long *)p);
}

static void obj_optval(struct text *x, const void *p, size_t len)
{
	if (len == sizeof(int))
		obj_int(x, p, len);
	else
		text_bytes(x, p, len, 32, 0);
}

// A C string in a field of fixed length.
static void obj_name(struct text *x, const void *p, size_t len)
{
	text_bytes(x, p, strnlen(p, len), 32, 0);
}

static void obj_wstatus(struct text *x, const void *p, size_t len)
{
	int s = *(const int *)p;

	(void)len;
	if (WIFEXITED(s)) {
		text_add(x, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", WEXITSTATUS(s));
	} else if (WIFCONTINUED(s)) {
		text_add(x, "[{WIFCONTINUED(s)}]");
	} else {
		text_add(x, WIFSTOPPED(s) ? "[{WIFSTOPPED(s) && WSTOPSIG(s) == " : "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		print_signal(x, WIFSTOPPED(s) ? WSTOPSIG(s) : WTERMSIG(s));
		text_add(x, WIFSIGNALED(s) && WCOREDUMP(s) ? " && WCOREDUMP(s)}]" : "}]");
	}
}

static void print_rlim(struct text *x, uint64_t v)
{
	if (v == UINT64_MAX)
		text_add(x, "RLIM64_INFINITY");
	else if (v && v % 1024 == 0)
		text_add(x, "%lu*1024", (unsigned long)v / 1024);
	else
		text_add(x, "%lu", (unsigned long)v);
}

static void obj_rlimit(struct text *x, const void *p, size_t len)
{
	const struct rlimit *r = p;

	(void)len;
	text_add(x, "{rlim_cur=");
	print_rlim(x, r->rlim_cur);
	text_add(x, ", rlim_max=");
	print_rlim(x, r->rlim_max);
	text_add(x, "}");
}

static void obj_rusage(struct text *x, const void *p, size_t len)
{
	const struct rusage *r = p;

	(void)len;
	text_add(x, "{ru_utime=");
	print_timeval(x, &r->ru_utime);
	text_add(x, ", ru_stime=");
	print_timeval(x, &r->ru_stime);
	text_add(x, ", …}");
}

static void obj_pollfds(struct text *x, const void *p, size_t len)
{
	const struct pollfd *f = p;
	size_t n = len / sizeof(*f);

	text_add(x, "[");
	for (size_t i = 0; i < MIN(n, (size_t)ITEMS_SHOWN); i++) {
		text_add(x, "%s{fd=%d, events=", i ? ", " : "", f[i].fd);
		print_flags(x, FLAGSET_POLL, (uint16_t)f[i].events);
		if (f[i].revents) {
			text_add(x, ", revents=");
			print_flags(x, FLAGSET_POLL, (uint16_t)f[i].revents);
		}
		text_add(x, "}");
	}
	text_add(x, n > ITEMS_SHOWN ? ", …]" : "]");
}

static void print_epoll_event(struct text *x, const struct epoll_event *ev)
{
	text_add(x, "{events=");
	print_flags(x, FLAGSET_EPOLL, ev->events);
	text_add(x, ev->data.u64 >> 32 ? ", data=0x%lx}" : ", data=%lu}", (unsigned long)ev->data.u64);
}

static void obj_epoll_event(struct text *x, const void *p, size_t len)
{
	(void)len;
	print_epoll_event(x, p);
}

static void obj_epoll_events(struct text *x, const void *p, size_t len)
{
	const struct epoll_event *ev = p;
	size_t n = len / sizeof(*ev);

	text_add(x, "[");
	for (size_t i = 0; i < MIN(n, (size_t)ITEMS_SHOWN); i++) {
		text_add(x, "%s", i ? ", " : "");
		print_epoll_event(x, &ev[i]);
	}
	text_add(x, n > ITEMS_SHOWN ? ", …]" : "]");
}

static void obj_utsname(struct text *x, const void *p, size_t len)
{
	const struct utsname *u = p;

	(void)len;
	text_add(x, "{sysname=\"%.64s\", nodename=\"%.64s\", release=\"%.64s\", …}", u->sysname, u->nodename, u->release);
}

static void obj_sysinfo(struct text *x, const void *p, size_t len)
{
	const struct sysinfo *s = p;

	(void)len;
	text_add(x, "{uptime=%ld, totalram=%lu, freeram=%lu, procs=%u, …}", s->uptime, s->totalram, s->freeram, (unsigned)s->procs);
}

static void obj_clone_args(struct text *x, const void *p, size_t len)
{
	const struct clone_args *c = p;

	(void)len;
	text_add(x, "{flags=");
	print_flags(x, FLAGSET_CLONE, c->flags);
	if (c->exit_signal) {
		text_add(x, ", exit_signal=");
		print_signal(x, (int64_t)c->exit_signal);
	}
	text_add(x, ", stack=0x%lx, stack_size=0x%lx", (unsigned long)c->stack, (unsigned long)c->stack_size);
	if (c->tls)
		text_add(x, ", tls=0x%lx", (unsigned long)c->tls);
	text_add(x, "}");
}

static void obj_open_how(struct text *x, const void *p, size_t len)
{
	const uint64_t *how = p; // flags, mode, resolve

	(void)len;
	text_add(x, "{flags=");
	print_flags(x, FLAGSET_OPEN, how[0]);
	text_add(x, ", mode=0%lo, resolve=0x%lx}", (unsigned long)how[1], (unsigned long)how[2]);
}

static void obj_flock(struct text *x, const void *p, size_t len)
{
	const struct flock *l = p;

	(void)len;
	text_add(x, "{l_type=");
	print_named(x, FLAGSET_LOCKTYPE, (uint16_t)l->l_type);
	text_add(x, ", l_whence=");
	print_named(x, FLAGSET_SEEK, (uint16_t)l->l_whence);
	text_add(x, ", l_start=%ld, l_len=%ld}", (long)l->l_start, (long)l->l_len);
}

static void obj_winsize(struct text *x, const void *p, size_t len)
{
	const uint16_t *w = p; // rows, columns, and pixels

	(void)len;
	text_add(x, "{ws_row=%u, ws_col=%u, ws_xpixel=%u, ws_ypixel=%u}", w[0], w[1], w[2], w[3]);
}

static void obj_termios(struct text *x, const void *p, size_t len)
{
	const struct termios *tio = p;

	(void)len;
	text_add(x, "{c_iflag=0x%x, c_oflag=0x%x, c_cflag=0x%x, c_lflag=0x%x (%cicanon %cecho %cisig), …}", tio->c_iflag, tio->c_oflag,
		 tio->c_cflag, tio->c_lflag, tio->c_lflag & ICANON ? '+' : '-', tio->c_lflag & ECHO ? '+' : '-',
		 tio->c_lflag & ISIG ? '+' : '-');
}

static void obj_dirents(struct text *x, const void *p, size_t len)
{
	const uint8_t *b = p;
	unsigned n = 0;
	uint16_t reclen;

	// Both structs have d_reclen at 16.
	for (size_t at = 0; at + 18 <= len; at += reclen, n++) {
		memcpy(&reclen, b + at + 16, sizeof(reclen));
		if (reclen < 18)
			break;
	}
	text_add(x, "/* %u entries */", n);
}

static void print_unix_path(struct text *x, const struct sockaddr_un *un, size_t len)
{
	size_t n = MIN(len - offsetof(struct sockaddr_un, sun_path), sizeof(un->sun_path));

	if (n && un->sun_path[0] == 0) {
		text_add(x, "@");
		text_bytes(x, un->sun_path + 1, n - 1, sizeof(un->sun_path), 0);
	} else {
		text_bytes(x, un->sun_path, strnlen(un->sun_path, n), sizeof(un->sun_path), 0);
	}
}

static void obj_sockaddr(struct text *x, const void *p, size_t len)
{
	const struct sockaddr_in *in = p;
	const struct sockaddr_in6 *in6 = p;
	char addr[INET6_ADDRSTRLEN];

	text_add(x, "{sa_family=");
	print_named(x, FLAGSET_AF, in->sin_family);
	if (in->sin_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path)) {
		text_add(x, ", sun_path=");
		print_unix_path(x, p, len);
	} else if (in->sin_family == AF_INET && len >= sizeof(*in)) {
		text_add(x, ", sin_port=htons(%u), sin_addr=inet_addr(\"%s\")", ntohs(in->sin_port),
			 inet_ntop(AF_INET, &in->sin_addr, addr, sizeof(addr)));
	} else if (in->sin_family == AF_INET6 && len >= sizeof(*in6)) {
		text_add(x, ", sin6_port=htons(%u), \"%s\"", ntohs(in6->sin6_port),
			 inet_ntop(AF_INET6, &in6->sin6_addr, addr, sizeof(addr)));
	}
	text_add(x, "}");
}

static const struct {
	const char *name;
	size_t least; // bytes
	void (*print)(struct text *x, const void *p, size_t len);
} printers[] = {
	{"statbuf", sizeof(struct stat), obj_stat},
	{"statxbuf", 64, obj_statx},
	{"statfsbuf", sizeof(struct statfs), obj_statfs},
	{"req", 16, obj_timespec},
	{"rem", 16, obj_timespec},
	{"request", 16, obj_timespec},
	{"remain", 16, obj_timespec},
	{"timeout", 16, obj_timespec},
	{"tmo_p", 16, obj_timespec},
	{"tp", 16, obj_timespec},
	{"res", 16, obj_timespec},
	{"times", 32, obj_timespecs},
	{"tv", 16, obj_timeval},
	{"timeout_tv", 16, obj_timeval},
	{"times_tv", 32, obj_timevals},
	{"new_value", 32, obj_itimerspec},
	{"old_value", 32, obj_itimerspec},
	{"curr_value", 32, obj_itimerspec},
	{"new_itimerval", 32, obj_itimerval},
	{"old_itimerval", 32, obj_itimerval},
	{"curr_itimerval", 32, obj_itimerval},
	{"set", 8, obj_sigset},
	{"oldset", 8, obj_sigset},
	{"mask", 8, obj_sigset},
	{"sigmask", 8, obj_sigset},
	{"act", sizeof(struct ksigaction), obj_sigaction},
	{"oldact", sizeof(struct ksigaction), obj_sigaction},
	{"info", sizeof(siginfo_t), obj_siginfo},
	{"infop", sizeof(siginfo_t), obj_siginfo},
	{"ss", sizeof(stack_t), obj_sigaltstack},
	{"old_ss", sizeof(stack_t), obj_sigaltstack},
	{"pipefd", 8, obj_two_ints},
	{"sv", 8, obj_two_ints},
	{"wstatus", 4, obj_wstatus},
	{"addrlen", 4, obj_int},
	{"optlen", 4, obj_int},
	{"timerid", 4, obj_int},
	{"int", 4, obj_int},
	{"ruid", 4, obj_int},
	{"euid", 4, obj_int},
	{"suid", 4, obj_int},
	{"rgid", 4, obj_int},
	{"egid", 4, obj_int},
	{"sgid", 4, obj_int},
	{"cpu", 4, obj_int},
	{"node", 4, obj_int},
	{"param", 4, obj_int},
	{"long", 8, obj_long},
	{"offset", 8, obj_long},
	{"off_in", 8, obj_long},
	{"off_out", 8, obj_long},
	{"tloc", 8, obj_long},
	{"name", 1, obj_name},
	{"optval", 1, obj_optval},
	{"rlim", 16, obj_rlimit},
	{"new_limit", 16, obj_rlimit},
	{"old_limit", 16, obj_rlimit},
	{"rusage", sizeof(struct rusage), obj_rusage},
	{"usage", sizeof(struct rusage), obj_rusage},
	{"fds", 0, obj_pollfds},
	{"event", sizeof(struct epoll_event), obj_epoll_event},
	{"events", 0, obj_epoll_events},
	{"utsname", sizeof(struct utsname), obj_utsname},
	{"sysinfo", sizeof(struct sysinfo), obj_sysinfo},
	{"cl_args", CLONE_ARGS_SIZE_VER0, obj_clone_args},
	{"how", 24, obj_open_how},
	{"flock", sizeof(struct flock), obj_flock},
	{"winsize", 8, obj_winsize},
	{"termios", sizeof(struct termios), obj_termios},
	{"dirp", 0, obj_dirents},
	{"addr", 2, obj_sockaddr},
	{"src_addr", 2, obj_sockaddr},
	{"dest_addr", 2, obj_sockaddr},
};

int print_object(struct text *x, const char *name, const void *bytes, size_t len)
{
	uint8_t aligned[OBJECT_BYTES] __attribute__((aligned(16))) = {0}; // zeros behind, too

	for (size_t i = 0; i < ARRAY_LEN(printers); i++) {
		if (strcmp(printers[i].name, name) != 0 || len < printers[i].least)
			continue;
		if (printers[i].print == obj_dirents) { // these are many
			obj_dirents(x, bytes, len);
			return 1;
		}
		len = MIN(len, sizeof(aligned) - 1);
		memcpy(aligned, bytes, len);
		printers[i].print(x, aligned, len);
		return 1;
	}
	return 0;
}
