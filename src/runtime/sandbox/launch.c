// Starts a sandbox.
#include "runtime/sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gofer/gofer.h"
#include "lib/profile.h"
#include "runtime/err.h"
#include "runtime/sandbox/gofer_process.h"
#include "runtime/sandbox/title.h"
#include "runtime/settings.h"
#include "sentry/boot/boot.h"

// What a child gets: its descriptor i is fds[i], and it runs main to its end.
struct child {
	const char *part, *name; // for ps
	int (*main)(const void *arg);
	const void *arg;
	int fds[GOFER_FD_TREES + GOFER_TREES_MAX];
	int nfds;
	const int *cgroup_fds;
	int ncgroups;
};

// In the child. First above all the numbers wanted, then down to them: no number is overwritten before it was copied.
static void place_fds(const struct child *c)
{
	int high[sizeof(c->fds) / sizeof(c->fds[0])];

	for (int i = 0; i < c->nfds; i++) {
		high[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, sizeof(high) / sizeof(high[0]));
		if (high[i] < 0)
			_exit(127);
	}
	for (int i = 0; i < c->nfds; i++)
		if (dup2(high[i], i) < 0)
			_exit(127);
	if (syscall(SYS_close_range, c->nfds, ~0u, 0) < 0)
		_exit(127);
}

// The caller's environment is the application's business, if anybody's.
static void forget_environment(void)
{
	for (char **e = environ; *e; e++)
		explicit_bzero(*e, strlen(*e));
	environ[0] = NULL;
}

// The child is no copy of its parent in one respect: what would give away the other's stack protector is worth nothing here.
__attribute__((noreturn, noinline, no_stack_protector)) static void begin(const struct child *c)
{
	uint64_t guard;

	if (getrandom(&guard, sizeof(guard), 0) == sizeof(guard))
		asm volatile("mov %0, %%fs:0x28" ::"r"(guard & ~0xfful));
	_exit(c->main(c->arg));
}

static void child(const struct child *c)
{
	sigset_t none;

	// Away from the caller's terminal and its ^C; no signal is the caller's business any more.
	setsid();
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 0; i < c->ncgroups; i++)
		if (write(c->cgroup_fds[i], "0", 1) != 1)
			_exit(126);
	place_fds(c);
	title_set(c->part, c->name);
	forget_environment();
	begin(c);
}

// Forks the first process of a new PID namespace. libc's own fork, since the child goes on without an exec.
static pid_t spawn(const struct child *c, struct err **err)
{
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t pid = -1;

	if (own < 0)
		return err_set(err, "cannot open /proc/self/ns/pid: %m");
	if (unshare(CLONE_NEWPID) < 0) {
		err_set(err, errno == EPERM ? "cannot make a PID namespace: only root can (%m)" : "cannot make a PID namespace: %m");
	} else {
		pid = fork();
		if (pid == 0)
			child(c);
		if (pid < 0)
			err_set(err, "cannot start a process: %m");
		if (setns(own, CLONE_NEWPID) < 0 && pid >= 0) { // hooks are to start in the caller's
			err_set(err, "cannot go back to the own PID namespace: %m");
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			pid = -1;
		}
	}
	close(own);
	return pid;
}

// A copy of the tree at path that is mounted nowhere.
static int open_tree_at(const struct launch_tree *t, struct err **err)
{
	int fd = syscall(SYS_open_tree, AT_FDCWD, t->path,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (t->recursive ? AT_RECURSIVE : 0));
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (fd < 0)
		return err_set(err, "cannot open %s: %m", t->path);
	if (t->readonly &&
	    syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (t->recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0) {
		err_set(err, "cannot make %s read-only: %m", t->path);
		close(fd);
		return -1;
	}
	return fd;
}

static void close_all(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

// How the gofer names the sentry, whose number means nothing in its own PID namespace.
static int open_sentry(pid_t pid, int *out_pidfd, int *out_proc, struct err **err)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	*out_pidfd = syscall(SYS_pidfd_open, pid, 0);
	*out_proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*out_pidfd >= 0 && *out_proc >= 0)
		return 0;
	err_set(err, "cannot look at process %d: %m", (int)pid);
	close_all((int[]){*out_pidfd, *out_proc}, 2);
	return -1;
}

static int start_gofer(const struct launch_options *o, int null_fd, int conn_fd, int ready_fd, struct sandbox *s, struct err **err)
{
	struct gofer_start start = {.ntrees = o->ntrees};
	struct child c = {.part = "gofer", .name = o->name, .main = gofer_process_main, .arg = &start,
			  .fds = {null_fd, null_fd, o->log_fd >= 0 ? o->log_fd : null_fd}, .nfds = GOFER_FD_TREES,
			  .cgroup_fds = o->cgroup_fds, .ncgroups = o->ncgroups};
	int opened = 0;

	if (o->ntrees > GOFER_TREES_MAX)
		return err_set(err, "too many mounts of host folders");
	if (open_sentry(s->sentry, &c.fds[GOFER_FD_SENTRY], &c.fds[GOFER_FD_SENTRY_PROC], err) < 0)
		return -1;
	c.fds[GOFER_FD_CONN] = conn_fd;
	c.fds[GOFER_FD_LOG] = c.fds[2];
	c.fds[GOFER_FD_READY] = ready_fd;
	for (; opened < o->ntrees; opened++) {
		int fd = open_tree_at(&o->trees[opened], err);

		if (fd < 0)
			break;
		start.readonly[opened] = o->trees[opened].readonly;
		c.fds[c.nfds++] = fd;
	}
	if (opened == o->ntrees)
		s->gofer = spawn(&c, err);
	profile_mark(PROFILE_COMMAND_GOFER);
	close_all(&c.fds[GOFER_FD_SENTRY], c.nfds - GOFER_FD_SENTRY);
	return s->gofer < 0 ? -1 : 0;
}

static int sentry_main(const void *config)
{
	profile_mark(PROFILE_SENTRY);
	return boot_main(config);
}

static int start_sentry(const struct prefork_options *o, int null_fd, int control_fd, int ready_fd, struct sandbox *s, struct err **err)
{
	const struct settings *st = o->settings;
	// Words of the command, which the title will lie over.
	char *filter = st->strace_syscalls ? strdup(st->strace_syscalls) : NULL;
	struct boot_config config = {
		.strace_filter = filter,
		.nworkers = st->workers,
		.foreground = o->foreground,
		.debug = st->debug,
		.log = o->log_fd >= 0,
		.log_json = st->log_json,
		.strace = st->strace,
	};
	struct child c = {.part = "boot", .name = o->name, .main = sentry_main, .arg = &config, .nfds = BOOT_FDS};

	c.fds[0] = c.fds[1] = null_fd;
	// A failed assertion's message should reach somebody.
	c.fds[2] = o->log_fd >= 0 ? o->log_fd : o->foreground ? 2 : null_fd;
	c.fds[BOOT_FD_CONTROL] = control_fd;
	c.fds[BOOT_FD_LOG] = o->log_fd >= 0 ? o->log_fd : null_fd;
	c.fds[BOOT_FD_READY] = ready_fd;
	snprintf(config.platform, sizeof(config.platform), "%s", st->platform);
	s->sentry = spawn(&c, err);
	profile_mark(PROFILE_COMMAND_SENTRY);
	free(filter);
	return s->sentry < 0 ? -1 : 0;
}

int sandbox_prefork(const struct prefork_options *o, struct sandbox *out, struct err **err)
{
	int control[2] = {-1, -1}, ready[2] = {-1, -1}, ret = -1;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	*out = SANDBOX_NONE;
	if (null_fd < 0)
		err_set(err, "cannot open /dev/null: %m");
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		err_set(err, "cannot make a socket pair: %m");
	else
		ret = start_sentry(o, null_fd, control[1], ready[1], out, err);
	control_client_init(&out->client, control[0]);
	out->ready_fd = ready[0];
	close_all((int[]){control[1], ready[1], null_fd}, 3);
	if (ret < 0)
		sandbox_kill(out);
	return ret;
}

// Only then does it make processes, which are to be in the groups, too.
static int enter_cgroups(const struct launch_options *o, pid_t sentry, struct err **err)
{
	for (int i = 0; i < o->ncgroups; i++)
		if (dprintf(o->cgroup_fds[i], "%d", (int)sentry) < 0)
			return err_set(err, "the sentry cannot enter its control group: %m");
	return 0;
}

// Tells the sentry to go on, and gives it the socket that it is to listen at, if any.
static int let_go(struct sandbox *s, int listen_fd, struct err **err)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (listen_fd >= 0) {
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &listen_fd, sizeof(int));
	}
	return sendmsg(s->client.reader.fd, &msg, MSG_NOSIGNAL) == 1 ? 0 : sandbox_explain(s, err);
}

int sandbox_launch(const struct launch_options *o, struct sandbox *s, struct err **err)
{
	int gofer[2] = {-1, -1}, null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), ret;

	profile_mark(PROFILE_COMMAND_PLANNED);
	if (null_fd < 0)
		ret = err_set(err, "cannot open /dev/null: %m");
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gofer) < 0)
		ret = err_set(err, "cannot make a socket pair: %m");
	else
		ret = enter_cgroups(o, s->sentry, err) ?: let_go(s, o->listen_fd, err) ?: start_gofer(o, null_fd, gofer[1], s->ready_fd, s, err);
	s->gofer_fd = gofer[0];
	close_all((int[]){gofer[1], s->ready_fd, null_fd, o->listen_fd}, 4);
	s->ready_fd = -1;
	if (ret < 0)
		sandbox_kill(s);
	return ret;
}

void sandbox_release(struct sandbox *s)
{
	control_client_fini(&s->client);
	close_all((int[]){s->gofer_fd, s->ready_fd}, 2);
	s->gofer_fd = s->ready_fd = -1;
}

static int reap(pid_t *pid)
{
	int status = 0;

	while (*pid > 0 && waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = -1;
	return status;
}

void sandbox_kill(struct sandbox *s)
{
	if (s->sentry > 0)
		kill(s->sentry, SIGKILL);
	if (s->gofer > 0)
		kill(s->gofer, SIGKILL);
	reap(&s->sentry);
	reap(&s->gofer);
	sandbox_release(s);
}

int sandbox_explain(struct sandbox *s, struct err **err)
{
	int status;

	if (s->sentry <= 0)
		return err_set(err, "the sandbox ended unexpectedly");
	kill(s->sentry, SIGKILL); // no effect if it is what ended
	status = reap(&s->sentry);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(err, "the sentry was killed: it made a host call that its filter forbids");
	if (WIFSIGNALED(status))
		return err_set(err, "the sentry was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) == 127)
		return err_set(err, "the sentry could not be started: too few descriptors");
	return err_set(err, "the sentry ended with status %d; see --debug-log", WEXITSTATUS(status));
}
