// Bytes between two ends: pipes and Unix sockets, within one thread, between two threads and between two processes.
// A round trip there and back counts as one operation.
#include "micro.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int here[2], there[2]; // each: read end, write end
static pthread_t partner;
static pid_t child;
static int epfd, evfd;

static void bounce(int from, int to)
{
	char c;

	while (read(from, &c, 1) == 1)
		if (write(to, &c, 1) != 1)
			break;
}

static void *partner_main(void *arg)
{
	bounce(here[0], there[1]);
	return NULL;
}

static void setup_pipe(void)
{
	MUST(pipe(here));
}

static void teardown_pipe(void)
{
	close(here[0]);
	close(here[1]);
}

static void loop_self(long count)
{
	char c = 0;

	while (count-- > 0) {
		MUST(write(here[1], &c, 1));
		MUST(read(here[0], &c, 1));
	}
}

static void setup_pipe_pair(void)
{
	MUST(pipe(here));
	MUST(pipe(there));
}

static void setup_socket_pair(void)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, here));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, there));
}

static void setup_socket(void)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, here));
}

static void start_thread(void)
{
	if (pthread_create(&partner, NULL, partner_main, NULL) != 0)
		fail("pthread_create");
}

static void setup_pipe_threads(void)
{
	setup_pipe_pair();
	start_thread();
}

static void setup_socket_threads(void)
{
	setup_socket_pair();
	start_thread();
}

static void start_child(void)
{
	child = MUST(fork());
	if (child == 0) {
		close(here[1]);
		bounce(here[0], there[1]);
		_exit(0);
	}
	close(here[0]);
	close(there[1]);
}

static void setup_pipe_processes(void)
{
	setup_pipe_pair();
	start_child();
}

static void loop_round_trip(long count)
{
	char c = 0;

	while (count-- > 0) {
		MUST(write(here[1], &c, 1));
		MUST(read(there[0], &c, 1));
	}
}

static void teardown_threads(void)
{
	close(here[1]);
	pthread_join(partner, NULL);
	close(here[0]);
	close(there[0]);
	close(there[1]);
}

static void teardown_processes(void)
{
	close(here[1]);
	close(there[0]);
	MUST(waitpid(child, NULL, 0));
}

static void setup_epoll(void)
{
	epfd = MUST(epoll_create1(0));
	evfd = MUST(eventfd(1, 0));
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, evfd, &(struct epoll_event){.events = EPOLLIN}));
}

static void loop_epoll(long count)
{
	struct epoll_event e;

	while (count-- > 0)
		if (epoll_wait(epfd, &e, 1, -1) != 1)
			fail("epoll_wait");
}

static void setup_epoll_none(void)
{
	epfd = MUST(epoll_create1(0));
	evfd = MUST(eventfd(0, 0));
	MUST(epoll_ctl(epfd, EPOLL_CTL_ADD, evfd, &(struct epoll_event){.events = EPOLLIN}));
}

static void loop_epoll_none(long count)
{
	struct epoll_event e;

	while (count-- > 0)
		if (epoll_wait(epfd, &e, 1, 0) != 0)
			fail("epoll_wait of nothing");
}

static void loop_eventfd(long count)
{
	while (count-- > 0) {
		eventfd_t value;
		MUST(eventfd_write(evfd, 1));
		loop_epoll(1);
		MUST(eventfd_read(evfd, &value));
	}
}

static void teardown_epoll(void)
{
	close(evfd);
	close(epfd);
}

const struct row ipc_rows[] = {
	{"pipe", "pipe write + read, one thread", setup_pipe, loop_self, teardown_pipe},
	{"pipe-threads", "pipe there and back, two threads", setup_pipe_threads, loop_round_trip, teardown_threads},
	{"pipe-processes", "pipe there and back, two processes", setup_pipe_processes, loop_round_trip, teardown_processes},
	{"unix", "Unix socket write + read, one thread", setup_socket, loop_self, teardown_pipe},
	{"unix-threads", "Unix socket there and back, two threads", setup_socket_threads, loop_round_trip, teardown_threads},
	{"epoll", "epoll_wait, one ready descriptor", setup_epoll, loop_epoll, teardown_epoll},
	{"epoll-none", "epoll_wait, nothing ready, no wait", setup_epoll_none, loop_epoll_none, teardown_epoll},
	{"eventfd-epoll", "eventfd write + epoll_wait + read", setup_epoll_none, loop_eventfd, teardown_epoll},
	{},
};
