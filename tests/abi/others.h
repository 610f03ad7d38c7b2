/*
 * What cases with several processes or threads share: who waits for his turn in shared memory makes no call meanwhile; and a descriptor goes from one to
 * another through a socket.
 */
#pragma once
#include "abi.h"

#include <sys/socket.h>

static volatile int *turn; /* shared: only where the memory isn't what is looked at */

__attribute__((unused)) static void share_turn(void)
{
	turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(turn != MAP_FAILED);
}

__attribute__((unused)) static void pass(int to)
{
	__atomic_store_n(turn, to, __ATOMIC_SEQ_CST);
}

__attribute__((unused)) static void await(int for_)
{
	while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != for_)
		__builtin_ia32_pause();
}

__attribute__((unused)) static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr h;
		char bytes[CMSG_SPACE(sizeof fd)];
	} control = { .h = { .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr m = { .msg_iov = &(struct iovec){ "x", 1 }, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

	memcpy(CMSG_DATA(&control.h), &fd, sizeof fd);
	EQ(sendmsg(sock, &m, 0), 1);
}

__attribute__((unused)) static int receive_fd(int sock)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct msghdr m = { .msg_iov = &(struct iovec){ &byte, 1 }, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int fd;

	EQ(recvmsg(sock, &m, 0), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
	return fd;
}
