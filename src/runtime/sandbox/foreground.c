// A command that stays until its process in the sandbox ends.
#include "runtime/sandbox/foreground.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/client.h"
#include "lib/container_of.h"
#include "lib/log.h"
#include "lib/profile.h"
#include "runtime/err.h"
#include "runtime/sandbox/terminal.h"

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT};

static void held_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(set, forwarded[i]);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaddset(set, sig);
}

void foreground_hold_signals(void)
{
	sigset_t set;

	held_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

struct forwarding {
	struct control_client *client;
	const char *container;
	int pid, tty_fd;
};

// The reply is not waited for: wait's may come first. Failures don't matter, the process may be gone.
static void send_signal(const struct forwarding *to, int sig, bool foreground)
{
	control_send(to->client, "signal",
		     json_pack("{ss si si sb}", "container", to->container, "pid", to->pid, "signal", sig, "foreground", foreground), NULL,
		     0);
}

// Whoever stops this command stops what it runs, too, and gets the terminal as it was. On SIGCONT all goes on.
static void stop(const struct forwarding *to)
{
	send_signal(to, SIGSTOP, true);
	terminal_restore();
	raise(SIGSTOP);
}

// A signal of the terminal's own is for the whole foreground, as if there were no sandbox between.
static void pass_on(const struct forwarding *to, const struct signalfd_siginfo *info)
{
	int sig = (int)info->ssi_signo;

	if (sig == SIGTSTP)
		stop(to);
	else if (sig == SIGCONT)
		terminal_resume();
	if (sig != SIGTSTP && !(sig == SIGWINCH && to->tty_fd < 0))
		send_signal(to, sig, sig == SIGWINCH || sig == SIGCONT || info->ssi_code == SI_KERNEL);
}

static int exit_status(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

// One message of the sandbox: 1 with the status when it is the awaited one, 0 for another, -1.
static int take_reply(struct control_client *c, int64_t seq, int *out_status, struct err **err)
{
	struct control_message m;
	int ret = control_read(&c->reader, &m);
	const char *error;

	if (ret <= 0)
		return err_set(err, "the sandbox ended unexpectedly");
	if (json_integer_value(json_object_get(m.json, "seq")) != seq) {
		control_message_fini(&m);
		return 0;
	}
	error = json_string_value(json_object_get(m.json, "error"));
	if (error)
		err_set(err, "%s", error);
	else
		*out_status = exit_status(json_integer_value(json_object_get(m.json, "status")));
	control_message_fini(&m);
	return error ? -1 : 1;
}

int foreground_wait(struct control_client *c, const char *container, int pid, int tty_fd, int *out_status, struct err **err)
{
	int64_t seq = control_send(c, "wait", json_pack("{ss si}", "container", container, "pid", pid), NULL, 0);
	const struct forwarding to = {c, container, pid, tty_fd};
	struct pollfd fds[4] = {{.fd = c->reader.fd, .events = POLLIN}, {.events = POLLIN}};
	sigset_t set;
	int ret = 0, timeout_ms;

	if (seq < 0)
		return err_set(err, "%s", c->error);
	held_set(&set);
	fds[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	while (ret == 0) {
		struct signalfd_siginfo info;

		terminal_wait(&fds[2], &fds[3], &timeout_ms);
		if (poll(fds, ARRAY_LEN(fds), timeout_ms) < 0)
			continue;
		terminal_pump(&fds[2], &fds[3]);
		if (fds[1].revents && read(fds[1].fd, &info, sizeof(info)) == sizeof(info))
			pass_on(&to, &info);
		if (fds[0].revents)
			ret = take_reply(c, seq, out_status, err);
	}
	profile_mark(PROFILE_COMMAND_ENDED);
	close(fds[1].fd);
	return ret < 0 ? -1 : 0;
}
