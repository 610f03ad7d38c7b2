// Terminals between the operator and the container.
#include "runtime/sandbox/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/err.h"

enum { BACKGROUND_MS = 200 };

// This command's own terminal; a process has one at most.
static struct {
	bool lent, raw, before_known;
	struct termios before;
	int keyboard; // this end of the socket; -1: closed
	char typed[4096];
	size_t len, done; // what of typed is still to be sent
} own = {.keyboard = -1};

static bool in_foreground(void)
{
	return tcgetpgrp(0) == getpgrp();
}

void terminal_restore(void)
{
	if (own.raw && in_foreground())
		tcsetattr(0, TCSADRAIN, &own.before);
	own.raw = false;
}

void terminal_resume(void)
{
	own.raw = false; // the next terminal_wait() sees to it
}

void terminal_make_raw(void)
{
	struct termios t;

	if (!own.lent || !in_foreground() || tcgetattr(0, &t) < 0)
		return;
	if (!own.before_known)
		own.before = t; // later it may be what a shell kept of this command's own modes
	own.before_known = true;
	cfmakeraw(&t);
	own.raw = tcsetattr(0, TCSADRAIN, &t) == 0;
}

// Opened anew where that goes, so that the sandbox needn't wait for a slow terminal.
static int open_screen(void)
{
	int fd = open("/proc/self/fd/0", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 ? fd : fcntl(0, F_DUPFD_CLOEXEC, 3);
}

int terminal_lend(int *out_screen, int *out_keyboard, struct err **err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, "cannot make a socket pair: %m");
	*out_screen = open_screen();
	if (*out_screen < 0) {
		close(pair[0]);
		close(pair[1]);
		return err_set(err, "cannot open the terminal: %m");
	}
	*out_keyboard = pair[1];
	own.keyboard = pair[0];
	own.lent = true;
	atexit(terminal_restore);
	terminal_make_raw();
	return 0;
}

// --- what is typed

void terminal_wait(struct pollfd *in, struct pollfd *out, int *out_timeout_ms)
{
	bool open = own.keyboard >= 0;

	*in = (struct pollfd){.fd = -1};
	*out = (struct pollfd){.fd = -1};
	*out_timeout_ms = -1;
	if (!open)
		return;
	if (own.len) {
		*out = (struct pollfd){.fd = own.keyboard, .events = POLLOUT};
	} else if (in_foreground()) {
		if (!own.raw)
			terminal_make_raw();
		*in = (struct pollfd){.fd = 0, .events = POLLIN};
	} else {
		// A shell that brings a running job to the foreground doesn't say so.
		own.raw = false;
		*out_timeout_ms = BACKGROUND_MS;
	}
}

static void close_keyboard(void)
{
	close(own.keyboard);
	own.keyboard = -1;
	own.len = 0;
}

static void send_typed(void)
{
	ssize_t n = send(own.keyboard, own.typed + own.done, own.len, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			close_keyboard();
		return;
	}
	own.done += n;
	own.len -= n;
}

void terminal_pump(const struct pollfd *in, const struct pollfd *out)
{
	ssize_t n;

	if (own.keyboard < 0)
		return;
	if (in->fd >= 0 && in->revents) {
		n = read(0, own.typed, sizeof(own.typed));
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			close_keyboard(); // hung up
			return;
		}
		own.done = 0;
		own.len = n > 0 ? n : 0;
	}
	if (own.len || (out->fd >= 0 && out->revents))
		send_typed();
}

static int send_master(const char *path, int master, struct err **err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret = 0;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(sizeof(size_t)))) = {0};
	struct iovec iov = {(char *)"/dev/ptmx", strlen("/dev/ptmx")};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

	if (sock < 0)
		return err_set(err, "cannot make a socket: %m");
	*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &master, sizeof(master));
	if (strlen(path) >= sizeof(addr.sun_path))
		ret = err_set(err, "--console-socket: the path is too long");
	else if (strcpy(addr.sun_path, path), connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		ret = err_set(err, "--console-socket: cannot connect to %s: %m", path);
	else if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		ret = err_set(err, "--console-socket: cannot send the terminal: %m");
	close(sock);
	return ret;
}

int terminal_send_console(const char *path, int rows, int columns, int *out_slave, struct err **err)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), zero = 0, slave = -1, ret = 0;
	struct winsize size = {.ws_row = rows, .ws_col = columns};
	struct termios t;

	if (master >= 0 && ioctl(master, TIOCSPTLCK, &zero) == 0)
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &t) < 0 || (cfmakeraw(&t), tcsetattr(slave, TCSANOW, &t) < 0) ||
	    (rows > 0 && columns > 0 && ioctl(master, TIOCSWINSZ, &size) < 0))
		ret = err_set(err, "cannot make a terminal: %m");
	else
		ret = send_master(path, master, err);
	if (master >= 0)
		close(master);
	if (ret < 0 && slave >= 0)
		close(slave);
	*out_slave = ret < 0 ? -1 : slave;
	return ret;
}
