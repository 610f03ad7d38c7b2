// The descriptors that a process in the sandbox starts with.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/protocol.h"
#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/terminal.h"

// Bits of those of 0, 1 and 2 that are the same terminal as the first of them which is one.
static int terminal_bits(int *out_first)
{
	struct stat first, other;
	int bits = 0;

	*out_first = -1;
	for (int fd = 0; fd <= 2; fd++) {
		if (fstat(fd, &other) < 0 || !S_ISCHR(other.st_mode) || !isatty(fd))
			continue;
		if (!bits) {
			first = other;
			*out_first = fd;
		}
		if (other.st_rdev == first.st_rdev && other.st_ino == first.st_ino)
			bits |= 1 << fd;
	}
	return bits;
}

bool stdio_has_terminal(void)
{
	int first;

	return terminal_bits(&first) != 0;
}

int stdio_plan_as_found(struct stdio_plan *out, struct err **err)
{
	int first, bits = terminal_bits(&first);

	*out = STDIO_PLAN_NONE;
	if (bits) {
		// Beside others on the same terminal, as in a pipeline or in the background, it isn't to be touched before there is need.
		bool shared = (bits & 3) != 3 || tcgetpgrp(first) != getpgrp();

		if (terminal_lend(first, shared, &out->screen_fd, &out->keyboard_fd, err) < 0)
			return -1;
		out->tty_fd = first;
		out->terminal_fds = bits | CONTROL_TERMINAL_KEYBOARD | (shared ? CONTROL_TERMINAL_COOKED : 0);
		out->fds[out->nfds++] = out->screen_fd;
		out->fds[out->nfds++] = out->keyboard_fd;
	}
	for (int fd = 0; fd <= 2; fd++)
		if (!(bits & 1 << fd))
			out->fds[out->nfds++] = fd;
	return 0;
}

// All three are the terminal: where standard output leads elsewhere, there is the screen, as runc has it.
static int plan_own_terminal(struct stdio_plan *out, struct err **err)
{
	if (terminal_lend(0, false, &out->screen_fd, &out->keyboard_fd, err) < 0)
		return -1;
	out->terminal_fds = 7 | CONTROL_TERMINAL_KEYBOARD;
	out->fds[out->nfds++] = isatty(1) ? out->screen_fd : 1;
	out->fds[out->nfds++] = out->keyboard_fd;
	out->tty_fd = 0;
	return 0;
}

// This command's own descriptors close on exec; what the caller left open for the process does not.
static int add_preserved(struct stdio_plan *out, int count, struct err **err)
{
	if (count > PRESERVE_FDS_MAX)
		return err_set(err, "--preserve-fds: at most %d", PRESERVE_FDS_MAX);
	for (int fd = 3; fd < 3 + count; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags < 0 || flags & FD_CLOEXEC)
			return err_set(err, "--preserve-fds: descriptor %d is not open", fd);
		out->fds[out->nfds++] = fd;
	}
	return 0;
}

static int plan_first_three(bool terminal, const struct oci_process *p, const char *console_socket, bool detached,
			    struct stdio_plan *out, struct err **err)
{
	if (!terminal && console_socket)
		return err_set(err, "--console-socket is given, but the process has no terminal");
	if (!terminal) {
		for (int fd = 0; fd <= 2; fd++)
			out->fds[out->nfds++] = fd;
		return 0;
	}
	if (console_socket) {
		if (terminal_send_console(console_socket, p->console_size.height, p->console_size.width, &out->screen_fd, err) < 0)
			return -1;
		out->fds[0] = out->screen_fd;
		out->nfds = 1;
		out->terminal_fds = 7;
		return 0;
	}
	if (detached)
		return err_set(err, "a process with a terminal that is left running needs --console-socket");
	if (!isatty(0))
		return err_set(err, "process.terminal is set, but standard input is not a terminal");
	return plan_own_terminal(out, err);
}

int stdio_plan(bool terminal, const struct oci_process *p, const char *console_socket, bool detached, int preserve_fds,
	       struct stdio_plan *out, struct err **err)
{
	*out = STDIO_PLAN_NONE;
	return plan_first_three(terminal, p, console_socket, detached, out, err) ?: add_preserved(out, preserve_fds, err);
}

void stdio_plan_fini(struct stdio_plan *p)
{
	if (p->screen_fd >= 0)
		close(p->screen_fd);
	if (p->keyboard_fd >= 0)
		close(p->keyboard_fd);
	p->screen_fd = p->keyboard_fd = -1;
}
