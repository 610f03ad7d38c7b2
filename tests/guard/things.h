/* What hostile calls act on: some of every kind of file, in states where there is something to do. After abi.h and <sys/...>. */
#pragma once

static int unix_socket(int type, const char *name, bool make)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path + 1, name);		/* abstract: gone with its sockets */
	if (make) {
		bind(s, (struct sockaddr *)&a, sizeof a);
		listen(s, 3);
	} else {
		connect(s, (struct sockaddr *)&a, sizeof a);
	}
	return s;
}

/* Sends descriptors, also those of the socket's own ends, so that there are rings of them. */
static void send_files(int s, int a, int b)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec v = { "files", 5 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), (int[]){ a, b }, 2 * sizeof(int));
	sendmsg(s, &m, MSG_DONTWAIT);
}

static void watch(int ep, int fd, uint32_t events)
{
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ .events = events, .data.fd = fd });
}

static void open_sockets(const char *name)
{
	int p[2], s;

	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
	send_files(p[0], p[0], p[1]);
	send_files(p[1], p[0], 0);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
	send_files(p[0], p[1], p[1]);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, p);
	unix_socket(SOCK_STREAM, name, true);
	s = unix_socket(SOCK_STREAM, name, false);
	send_files(s, s, p[0]);			/* before anybody accepts it */
	unix_socket(SOCK_DGRAM, name, true);
	s = unix_socket(SOCK_DGRAM, name, false);
	send_files(s, s, s);
	socket(AF_UNIX, SOCK_STREAM, 0);
}

static void open_events(int some)
{
	int outer = epoll_create1(0), inner = epoll_create1(0), in = inotify_init1(IN_NONBLOCK), event = eventfd(3, 0);
	sigset_t set;

	inotify_add_watch(in, ".", IN_ALL_EVENTS);
	put_file("seen", "by inotify", 0666);
	watch(inner, event, EPOLLIN | EPOLLET);
	watch(inner, some, EPOLLIN | EPOLLOUT);
	watch(outer, inner, EPOLLIN);
	watch(outer, in, EPOLLIN | EPOLLONESHOT);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGCHLD);
	signalfd(-1, &set, SFD_NONBLOCK);
	syscall(SYS_timerfd_create, 1, 0);
	syscall(SYS_pidfd_open, getpid(), 0);
	syscall(SYS_pidfd_open, getppid(), 0);
}

static void open_terminal(void)
{
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK), n = 0;
	char name[32];

	ioctl(master, TIOCSPTLCK, &n);
	ioctl(master, TIOCGPTN, &n);
	snprintf(name, sizeof name, "/dev/pts/%d", n);
	open(name, O_RDWR | O_NOCTTY | O_NONBLOCK);
	write(master, "typed\nhalf", 10);
}

static void open_files(void)
{
	static const char *const paths[] = { "/proc/self/status", "/proc/self/maps", "/proc/self/mem", "/proc/self/task", "/proc/self/fd", "/proc", "/sys",
		"/dev", "/dev/pts", "/", ".", "/proc/mounts", "/dev/zero" };
	int fd = open("a", O_RDWR | O_CREAT, 0666), sealed = memfd_create("m", MFD_ALLOW_SEALING);

	ftruncate(fd, 20000);
	ftruncate(sealed, 10000);
	fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK);
	open(".", O_PATH);
	open("a", O_PATH);
	open("a", O_RDWR | O_APPEND);
	open(".", O_TMPFILE | O_RDWR, 0600);
	mkdir("d", 0777);
	symlink("a", "link");
	symlink("loop", "loop");
	mkfifo("fifo", 0666);
	open("fifo", O_RDWR | O_NONBLOCK);
	for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++)
		open(paths[i], O_RDONLY);
}

static void open_things(uint64_t seed)
{
	char name[32];
	int p[2];

	snprintf(name, sizeof name, "things-%lu", (unsigned long)seed % 4);	/* some meet others' */
	pipe(p);
	write(p[1], "piped", 5);
	pipe2(p, O_NONBLOCK);
	open_sockets(name);
	open_events(p[0]);
	open_terminal();
	open_files();
}
