// Terminals between the operator and the container.
#include "runtime/sandbox/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
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
	int fd; // -1: none was lent
	bool shared, waiting; // others write to it, too; and it is left alone until a program wants input
	bool raw, before_known;
	struct termios before;
	int keyboard; // this end of the socket; -1: closed
	char typed[4096];
	size_t len, done; // what of typed is still to be sent
} own = {.fd = -1, .keyboard = -1};

static bool in_foreground(void)
{
	return tcgetpgrp(own.fd) == getpgrp();
}

void terminal_restore(void)
{
	if (own.raw && in_foreground())
		tcsetattr(own.fd, TCSADRAIN, &own.before);
	own.raw = false;
}

void terminal_resume(void)
{
	own.raw = false; // the next terminal_wait() sees to it
}

static void make_raw(void)
{
	struct termios t;

	if (!in_foreground() || tcgetattr(own.fd, &t) < 0)
		return;
	if (!own.before_known)
		own.before = t; // later it may be what a shell kept of this command's own modes
	own.before_known = true;
	t = own.before;
	cfmakeraw(&t);
	if (own.shared)
		t.c_oflag = own.before.c_oflag;
	own.raw = tcsetattr(own.fd, TCSADRAIN, &t) == 0;
}

// Opened anew where that goes, so that nobody need wait for a slow terminal, and to read from it whatever for it was opened.
static int reopen(int fd)
{
	char path[32];
	int new;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return new >= 0 ? new : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

int terminal_lend(int fd, bool shared, int *out_screen, int *out_keyboard, struct err **err)
{
	int pair[2];

	own.fd = reopen(fd);
	*out_screen = own.fd < 0 ? -1 : fcntl(own.fd, F_DUPFD_CLOEXEC, 3);
	if (*out_screen < 0)
		return err_set(err, "cannot open the terminal: %m");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, "cannot make a socket pair: %m");
	own.keyboard = pair[0];
	*out_keyboard = pair[1];
	own.shared = own.waiting = shared;
	atexit(terminal_restore);
	if (!shared)
		make_raw();
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
	if (own.waiting) {
		*out = (struct pollfd){.fd = own.keyboard, .events = POLLIN};
	} else if (own.len) {
		*out = (struct pollfd){.fd = own.keyboard, .events = POLLOUT};
	} else if (in_foreground()) {
		if (!own.raw)
			make_raw();
		*in = (struct pollfd){.fd = own.fd, .events = POLLIN};
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

static void hear_want(void)
{
	char byte;
	ssize_t n = recv(own.keyboard, &byte, 1, MSG_DONTWAIT);

	if (n > 0)
		own.waiting = false;
	else if (n == 0)
		close_keyboard();
}

void terminal_pump(const struct pollfd *in, const struct pollfd *out)
{
	ssize_t n;

	if (own.keyboard < 0)
		return;
	if (own.waiting) {
		if (out->fd >= 0 && out->revents)
			hear_want();
		return;
	}
	if (in->fd >= 0 && in->revents) {
		n = read(own.fd, own.typed, sizeof(own.typed));
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
