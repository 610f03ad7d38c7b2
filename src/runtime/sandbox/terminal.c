// Terminals between the operator and the container.
#include "runtime/sandbox/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "runtime/err.h"

static struct {
	int fd;
	struct termios before;
} raw = {.fd = -1};

void terminal_restore(void)
{
	if (raw.fd >= 0)
		tcsetattr(raw.fd, TCSADRAIN, &raw.before);
	raw.fd = -1;
}

int terminal_make_raw(int fd, struct err **err)
{
	struct termios t;

	if (tcgetattr(fd, &raw.before) < 0)
		return err_set(err, "standard input is not a terminal: %m");
	t = raw.before;
	cfmakeraw(&t);
	if (tcsetattr(fd, TCSADRAIN, &t) < 0)
		return err_set(err, "cannot set the terminal: %m");
	if (raw.fd < 0)
		atexit(terminal_restore);
	raw.fd = fd;
	return 0;
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
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
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
