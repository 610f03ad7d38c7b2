// The sentry's process: gives the host up, makes the kernel, and serves until its container has ended.
//
// The order matters: namespaces first, since the platform's stubs are to be born inside; then the user and capabilities, so that
// the stubs have no more than the sentry; then the platform's template, which makes host calls that the filter forbids; the filter last.
#include "sentry/boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/server.h"
#include "host/confine.h"
#include "host/filter.h"
#include "lib/log.h"
#include "lib/profile.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"

static int choose_platform(const char *name)
{
	static const struct platform_ops *const all[] = {&systrap_ops, &ptrace_ops};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i]->name, name) == 0)
			platform = all[i];
	return platform ? 0 : -ENOENT;
}

// As many descriptors as the host gives to anybody: they stand for the files of every process in the sandbox.
static void raise_limits(void)
{
	struct rlimit nofile = {1 << 20, 1 << 20}, all = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_NOFILE, &nofile) < 0 && getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		setrlimit(RLIMIT_NOFILE, &nofile);
	}
	setrlimit(RLIMIT_MEMLOCK, &all);
	setrlimit(RLIMIT_AS, &all);
	setrlimit(RLIMIT_FSIZE, &all);
	signal(SIGPIPE, SIG_IGN);
}

static int step(const char *what, int err)
{
	if (err)
		log_error("cannot %s: %s", what, strerror(-err));
	return err;
}

static int give_host_up(const struct boot_config *c)
{
	int err;

	raise_limits(); // while it still may
	err = step("make the sentry's namespaces", confine_namespaces(true));
	if (err)
		return err;
	profile_mark(PROFILE_SENTRY_NAMESPACES);
	umask(0);
	err = step("drop the sentry's capabilities", confine_credentials(BOOT_FD_READY));
	profile_mark(PROFILE_SENTRY_CREDENTIALS);
	// After the change of user, which would undo it.
	if (!err && c->foreground)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return err;
}

// Waits until the launcher says that what this process makes from now on may be made. False: it has thought better of it.
static bool may_go_on(int *out_listen_fd)
{
	char byte, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	*out_listen_fd = -1;
	if (recvmsg(BOOT_FD_CONTROL, &msg, MSG_CMSG_CLOEXEC) != 1)
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(out_listen_fd, CMSG_DATA(c), sizeof(int));
	return true;
}

int boot_main(const struct boot_config *c)
{
	struct control_server *server;
	int err, status, listen_fd;

	log_init(BOOT_FD_LOG, c->debug ? LOG_DEBUG : c->strace ? LOG_INFO : LOG_WARNING, c->log_json, "sentry");
	if (step("find the platform", choose_platform(c->platform)) || give_host_up(c))
		return 1;
	if (!may_go_on(&listen_fd))
		return 0;
	profile_mark(PROFILE_SENTRY_GOES_ON);
	if (step("start the platform", platform->init()))
		return 1;
	profile_mark(PROFILE_SENTRY_PLATFORM);
	err = kernel_create(&(struct kernel_config){.nworkers_max = c->nworkers, .strace = c->strace, .strace_filter = c->strace_filter});
	if (step("make the kernel", err))
		return 1;
	profile_mark(PROFILE_SENTRY_KERNEL);
	err = control_server_create(&(struct control_server_config){.listen_fd = listen_fd,
								    .first_fd = BOOT_FD_CONTROL,
								    .foreground = c->foreground},
				    &server);
	if (step("serve the control socket", err) || step("install the filter", filter_install(platform->name, c->debug)))
		return 1;
	profile_mark(PROFILE_SENTRY_FILTER);
	err = step("run the kernel", kernel_run());
	if (err)
		return 1;
	// Stubs die with this process, which is the first of their namespace.
	status = control_server_status(server);
	_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}
