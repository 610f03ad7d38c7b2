// Starts a sandbox.
#include "runtime/sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gofer/gofer.h"
#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/settings.h"

// What a child gets: its descriptor i is fds[i].
struct child {
	char *const *argv;
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

static pid_t spawn(const struct child *c, struct err **err)
{
	static char *const no_env[] = {NULL};
	sigset_t none;
	pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
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
		// The caller's environment is the application's business, if anybody's; only the sanitizers' options go along.
		execve("/proc/self/exe", c->argv, getenv("ASAN_OPTIONS") || getenv("UBSAN_OPTIONS") ? environ : no_env);
		_exit(127);
	}
	if (pid < 0)
		err_set(err, errno == EPERM ? "cannot make a PID namespace: only root can (%m)" : "cannot start a process: %m");
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

static int start_gofer(const struct launch_options *o, int null_fd, int conn_fd, struct sandbox *s, struct err **err)
{
	// Which trees are read-only goes on the command line, a letter each: w or r.
	char modes[GOFER_TREES_MAX + 1] = "";
	char *const argv[] = {"hull", "gofer", (char *)o->name, modes, NULL};
	struct child c = {.argv = argv, .fds = {null_fd, null_fd, o->log_fd >= 0 ? o->log_fd : null_fd}, .nfds = GOFER_FD_TREES,
			  .cgroup_fds = o->cgroup_fds, .ncgroups = o->ncgroups};
	int opened = 0;

	if (o->ntrees > GOFER_TREES_MAX)
		return err_set(err, "too many mounts of host folders");
	c.fds[GOFER_FD_CONN] = conn_fd;
	c.fds[GOFER_FD_LOG] = c.fds[2];
	s->gofer = -1;
	for (; opened < o->ntrees; opened++) {
		int fd = open_tree_at(&o->trees[opened], err);

		if (fd < 0)
			break;
		modes[opened] = o->trees[opened].readonly ? 'r' : 'w';
		c.fds[c.nfds++] = fd;
	}
	if (opened == o->ntrees)
		s->gofer = spawn(&c, err);
	for (int i = 0; i < opened; i++)
		close(c.fds[GOFER_FD_TREES + i]);
	return s->gofer < 0 ? -1 : 0;
}

static int boot_config(const struct launch_options *o, struct err **err)
{
	const struct settings *st = o->settings;
	json_t *json = json_pack("{ss ss* si sb sb sb sb ss* sb}",
				 "version", control_version(),
				 "platform", st->platform,
				 "workers", st->workers,
				 "foreground", o->foreground,
				 "debug", st->debug,
				 "logJson", st->log_json,
				 "strace", st->strace,
				 "straceSyscalls", st->strace_syscalls,
				 "log", o->log_fd >= 0);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int fd = memfd_create("hull-boot", MFD_CLOEXEC);
	size_t len = text ? strlen(text) : 0;

	json_decref(json);
	if (fd < 0 || !text || write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0) {
		err_set(err, "cannot write the sandbox's configuration: %m");
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	free(text);
	return fd;
}

static int start_sentry(const struct launch_options *o, int null_fd, int control_fd, struct sandbox *s, struct err **err)
{
	char *const argv[] = {"hull", "boot", (char *)o->name, NULL};
	struct child c = {.argv = argv, .nfds = BOOT_FDS, .cgroup_fds = o->cgroup_fds, .ncgroups = o->ncgroups};
	int config = boot_config(o, err);

	if (config < 0)
		return -1;
	c.fds[0] = c.fds[1] = null_fd;
	// A failed assertion's message should reach somebody.
	c.fds[2] = o->log_fd >= 0 ? o->log_fd : o->foreground ? 2 : null_fd;
	c.fds[BOOT_FD_CONFIG] = config;
	c.fds[BOOT_FD_LISTEN] = o->listen_fd >= 0 ? o->listen_fd : null_fd;
	c.fds[BOOT_FD_CONTROL] = control_fd;
	c.fds[BOOT_FD_LOG] = o->log_fd >= 0 ? o->log_fd : null_fd;
	s->sentry = spawn(&c, err);
	close(config);
	return s->sentry < 0 ? -1 : 0;
}

int sandbox_launch(const struct launch_options *o, struct sandbox *out, struct err **err)
{
	int control[2] = {-1, -1}, gofer[2] = {-1, -1}, ret = -1;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	*out = (struct sandbox){.sentry = -1, .gofer = -1, .gofer_fd = -1, .client.reader.fd = -1};
	if (null_fd < 0)
		err_set(err, "cannot open /dev/null: %m");
	else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0 ||
		 socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gofer) < 0)
		err_set(err, "cannot make a socket pair: %m");
	else
		ret = start_sentry(o, null_fd, control[1], out, err) ?: start_gofer(o, null_fd, gofer[1], out, err);
	control_client_init(&out->client, control[0]);
	out->gofer_fd = gofer[0];
	if (control[1] >= 0)
		close(control[1]);
	if (gofer[1] >= 0)
		close(gofer[1]);
	if (null_fd >= 0)
		close(null_fd);
	if (o->listen_fd >= 0)
		close(o->listen_fd);
	if (ret < 0)
		sandbox_kill(out);
	return ret;
}

void sandbox_release(struct sandbox *s)
{
	control_client_fini(&s->client);
	if (s->gofer_fd >= 0)
		close(s->gofer_fd);
	s->gofer_fd = -1;
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
	if (WEXITSTATUS(status) == 126)
		return err_set(err, "the sentry could not enter its control group");
	if (WEXITSTATUS(status) == 127)
		return err_set(err, "the sentry could not be started");
	return err_set(err, "the sentry ended with status %d; see --debug-log", WEXITSTATUS(status));
}
