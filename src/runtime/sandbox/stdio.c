// The descriptors that a process in the sandbox starts with.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/terminal.h"

// Bits of those of 0, 1 and 2 that are the terminal which 0 is.
static int same_terminal(void)
{
	struct stat in, other;
	int bits = 1;

	if (fstat(0, &in) < 0)
		return bits;
	for (int fd = 1; fd <= 2; fd++)
		if (fstat(fd, &other) == 0 && S_ISCHR(other.st_mode) && other.st_rdev == in.st_rdev && other.st_ino == in.st_ino)
			bits |= 1 << fd;
	return bits;
}

static int plan_own_terminal(struct stdio_plan *out, struct err **err)
{
	if (terminal_lend(&out->screen_fd, &out->keyboard_fd, err) < 0)
		return -1;
	out->terminal_fds = same_terminal() | STDIO_KEYBOARD;
	out->fds[out->nfds++] = out->screen_fd;
	out->fds[out->nfds++] = out->keyboard_fd;
	for (int fd = 1; fd <= 2; fd++)
		if (!(out->terminal_fds & 1 << fd))
			out->fds[out->nfds++] = fd;
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
