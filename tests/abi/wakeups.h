/* What the programs about pipes and eventfds by which a process wakes itself have in common. */
#pragma once
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

enum { OFTEN = 50 };

__attribute__((unused)) static uint64_t take(int fd)
{
	uint64_t n;

	EQ(read(fd, &n, 8), 8);
	return n;
}

__attribute__((unused)) static long add(int fd, uint64_t n)
{
	return write(fd, &n, 8);
}

__attribute__((unused)) static void use_pipe(const int *p)
{
	char c;

	for (int i = 0; i < OFTEN; i++) {
		c = (char)i;
		EQ(write(p[1], &c, 1), 1);
		c = -1;
		EQ(read(p[0], &c, 1), 1);
		EQ(c, (char)i);
	}
}

__attribute__((unused)) static void use_event(int fd)
{
	for (int i = 0; i < OFTEN; i++) {
		EQ(add(fd, 1), 8);
		EQ(take(fd), 1);
	}
}

__attribute__((unused)) static void make_pipe(int *p, int flags)
{
	OK(pipe2(p, flags));
	use_pipe(p);
}

__attribute__((unused)) static int make_event(int flags)
{
	int fd = OK(eventfd(0, flags));

	use_event(fd);
	return fd;
}

__attribute__((unused)) static void say(int fd, const char *text)
{
	EQ(write(fd, text, strlen(text)), strlen(text));
}

/* What is in the pipe is this, and nothing else. */
__attribute__((unused)) static void expect(int fd, const char *text)
{
	char buf[64] = "";
	int n;

	OK(ioctl(fd, FIONREAD, &n));
	EQ(n, strlen(text));
	EQ(read(fd, buf, sizeof buf - 1), n);
	STREQ(buf, text);
}

__attribute__((unused)) static int poll_now(int fd, int events)
{
	struct pollfd f = { fd, events, 0 };

	EQ(poll(&f, 1, 0), f.revents != 0);
	return f.revents;
}
