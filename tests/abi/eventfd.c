/* eventfd: counting, semaphore mode, blocking both ways. */
#include "abi.h"
#include <poll.h>
#include <sys/eventfd.h>

static uint64_t get(int fd)
{
	uint64_t n;

	EQ(read(fd, &n, 8), 8);
	return n;
}

static int put(int fd, uint64_t n)
{
	return write(fd, &n, 8);
}

CASE(counts)
{
	int fd = OK(eventfd(3, EFD_CLOEXEC));

	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(put(fd, 4), 8);
	EQ(get(fd), 7);
	OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	uint64_t n;
	ERR(read(fd, &n, 8), EAGAIN);
}

CASE(semaphore)
{
	int fd = OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	uint64_t n;

	EQ(get(fd), 1);
	EQ(get(fd), 1);
	ERR(read(fd, &n, 8), EAGAIN);
}

CASE(limits)
{
	int fd = OK(eventfd(0, EFD_NONBLOCK));
	struct pollfd p = { fd, POLLOUT | POLLIN, 0 };
	char small[4];
	char big[16] = "";

	ERR(put(fd, UINT64_MAX), EINVAL);
	EQ(put(fd, UINT64_MAX - 1), 8);
	ERR(put(fd, 1), EAGAIN);
	EQ(put(fd, 0), 8);
	EQ(poll(&p, 1, 0), 1);
	EQ(p.revents, POLLIN);
	CHECK(get(fd) == UINT64_MAX - 1);
	EQ(poll(&p, 1, 0), 1);
	EQ(p.revents, POLLOUT);
	ERR(read(fd, small, 4), EINVAL);
	ERR(write(fd, small, 4), EINVAL);
	EQ(put(fd, 5), 8);
	EQ(read(fd, big, 16), 8);
	ERR(eventfd(0, 77), EINVAL);
	ERR(pread(fd, big, 8, 0), ESPIPE);
}

CASE(blocking_read_and_write)
{
	int fd = OK(eventfd(0, 0));
	pid_t p = CHILD({ EQ(get(fd), 6); });

	EVENTUALLY(proc_state(p) == 'S');
	EQ(put(fd, 6), 8);
	EXITED(p, 0);
	EQ(put(fd, UINT64_MAX - 1), 8);
	p = CHILD({ EQ(put(fd, 2), 8); });
	EVENTUALLY(proc_state(p) == 'S');
	CHECK(get(fd) == UINT64_MAX - 1);
	EXITED(p, 0);
	EQ(get(fd), 2);
}

CASE(shared_by_fork)
{
	int a = OK(eventfd(0, 0)), b = OK(eventfd(0, 0));
	pid_t p = CHILD({
		for (int i = 1; i <= 300; i++) {
			EQ(get(a), i);
			EQ(put(b, i), 8);
		}
	});

	for (int i = 1; i <= 300; i++) {
		EQ(put(a, i), 8);
		EQ(get(b), i);
	}
	EXITED(p, 0);
}

/* POLLOUT says that there is room for 1; a write of more waits for a read all the same, and can be killed there. */
CASE(large_write_waits)
{
	int fd = OK(eventfd(5, 0));
	uint64_t most = UINT64_MAX - 1;
	struct pollfd pf = { fd, POLLOUT, 0 };
	pid_t writer = CHILD({ EQ(write(fd, &most, 8), 8); });
	pid_t stuck;

	EVENTUALLY(proc_state(writer) == 'S');
	EQ(poll(&pf, 1, 0), 1);
	EQ(get(fd), 5);
	EXITED(writer, 0);
	EQ(get(fd), most);

	put(fd, 5);
	stuck = CHILD({ write(fd, &most, 8); });
	EVENTUALLY(proc_state(stuck) == 'S');
	OK(kill(stuck, SIGKILL));
	KILLED(stuck, SIGKILL);
}

CASE(proc_fdinfo)
{
	int fd = OK(eventfd(0x2a, 0));
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	char link[64] = "";
	OK(readlink(path, link, sizeof link - 1));
	STREQ(link, "anon_inode:[eventfd]");
}
