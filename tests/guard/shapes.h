/*
 * Arguments that mean something: numbers that a call knows, and structs that it takes, by the names that syscalls.def gives its arguments.
 * What is in them is half sense, half not.
 */
#pragma once

static long flock_shape(void *at)
{
	*(struct flock *)at = (struct flock){ below(4), below(4), (long)below(100) - 10, (long)below(100) - 10, below(2) ? 0 : number() };
	return (long)at;
}

static void timespec_shape(struct timespec *ts)
{
	*ts = below(8) ? (struct timespec){ 0, below(5000000) } : (struct timespec){ number(), number() };
}

static void address_shape(void *at)
{
	struct sockaddr_un *un = at;

	memset(un, 0, sizeof *un);
	un->sun_family = below(8) ? AF_UNIX : number();
	if (below(3))
		snprintf(un->sun_path + 1, 20, "things-%d", (int)below(4));
	else
		snprintf(un->sun_path, sizeof un->sun_path, "%s", below(2) ? "sock" : "d/sock");
}

static void control_shape(struct msghdr *m, char *at)
{
	struct cmsghdr *c = (struct cmsghdr *)at;
	int files = below(5);

	m->msg_control = at;
	m->msg_controllen = below(4) ? CMSG_SPACE(files * 4) : below(600);
	*c = (struct cmsghdr){ below(6) ? (size_t)CMSG_LEN(files * 4) : (size_t)number(), SOL_SOCKET, below(8) ? SCM_RIGHTS : below(4) };
	for (int i = 0; i < files; i++)
		((int *)CMSG_DATA(c))[i] = fd();
	if (below(4) == 0) {
		c = (struct cmsghdr *)(at + CMSG_SPACE(files * 4));
		*c = (struct cmsghdr){ CMSG_LEN(12), SOL_SOCKET, SCM_CREDENTIALS };
		memcpy(CMSG_DATA(c), (int[]){ getpid(), 0, 0 }, 12);
		m->msg_controllen += CMSG_SPACE(12);
	}
}

static void message_shape(char *at)
{
	struct msghdr *m = (struct msghdr *)at;

	memset(m, 0, sizeof *m);
	m->msg_iov = (void *)vector(false);
	m->msg_iovlen = below(8) ? below(8) : (size_t)number();
	if (below(3) == 0) {
		address_shape(at + 256);
		m->msg_name = at + 256;
		m->msg_namelen = below(4) ? sizeof(struct sockaddr_un) : below(200);
	}
	if (below(2))
		control_shape(m, at + 512);
}

static void clone_shape(uint64_t *a)
{
	static const uint64_t some[] = { 0, CLONE_VM, CLONE_FILES, CLONE_FS, CLONE_PIDFD, CLONE_PARENT_SETTID, CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID,
		CLONE_SYSVSEM, CLONE_NEWNS, CLONE_NEWUTS, CLONE_VFORK, CLONE_PARENT, 0x100000000ull, 0x200000000ull };

	memset(a, 0, 88);
	a[0] = PICK(some) | PICK(some);
	for (int i = 1; i < 4; i++)
		a[i] = pointer();
	a[4] = below(3) ? SIGCHLD : below(70);
}

/* A struct for an argument of this name, at a place of its own; 0: none is known. */
static long shape(const char *name)
{
	char *at = area + 8192 * (1 + below(2));
	uint64_t *words = (uint64_t *)at;

	if (!strcmp(name, "msg") || !strcmp(name, "msgvec")) {
		message_shape(at);
		if (name[3])
			message_shape(at + 64);
	} else if (!strcmp(name, "addr") || !strcmp(name, "dest_addr")) {
		address_shape(at);
	} else if (strstr(name, "timeout") || !strcmp(name, "tmo_p") || strstr(name, "req") || strstr(name, "times")) {
		timespec_shape((struct timespec *)at);
		timespec_shape((struct timespec *)at + 1);
	} else if (!strcmp(name, "new_value") || !strcmp(name, "new_itimerval")) {
		timespec_shape((struct timespec *)at);
		timespec_shape((struct timespec *)at + 1);
	} else if (!strcmp(name, "event")) {
		*(struct epoll_event *)at = (struct epoll_event){ .events = below(2) ? EPOLLIN | EPOLLOUT : flags(), .data.u64 = next() };
	} else if (!strcmp(name, "sevp")) {
		*(struct sigevent *)at = (struct sigevent){ .sigev_notify = below(5), .sigev_signo = below(3) ? SIGALRM : below(70) };
		((int *)at)[4] = getpid();
	} else if (!strcmp(name, "cl_args")) {
		clone_shape(words);
	} else if (!strcmp(name, "how")) {
		words[0] = below(2) ? O_RDWR : O_PATH | O_DIRECTORY;
		words[1] = 0;
		words[2] = below(64);
	} else if (!strcmp(name, "fds")) {
		for (int i = 0; i < 8; i++)
			((struct pollfd *)at)[i] = (struct pollfd){ fd(), flags(), 0 };
	} else if (!strcmp(name, "sops")) {
		for (int i = 0; i < 6; i++)
			((short *)at)[i] = (short[]){ below(3), (short)below(3) - 1, below(3) ? 04000 : 014000 }[i % 3];
	} else if (!strcmp(name, "set") || !strcmp(name, "mask") || !strcmp(name, "sigmask")) {
		words[0] = next();
	} else if (!strcmp(name, "act")) {
		words[0] = below(3) ? below(2) : next();
		words[1] = flags();
		words[2] = 0;
	} else {
		return 0;
	}
	return (long)at;
}

/* A number that a call knows for an argument of this name; -1: any. */
static long known_number(const char *name)
{
	static const long requests[] = { TCGETS, TCSETS, TCSETSW, TCSETSF, TCSBRK, TCXONC, TCFLSH, TIOCEXCL, TIOCNXCL, TIOCSCTTY, TIOCGPGRP, TIOCSPGRP,
		TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, TIOCPKT, FIONBIO, TIOCNOTTY, TIOCSETD, TIOCGETD, FIOASYNC, TIOCGPTN, TIOCSPTLCK,
		0x5441 /* TIOCGPTPEER */, FIOCLEX, FIONCLEX, TIOCGSID, 0x8910 /* SIOCGIFNAME */, 0x8912, 0x8913, 0x8901, 0x8902, 0x8904, 0x8906, 0x8905,
		0x80086601 /* FS_IOC_GETFLAGS */, 0x40049409 /* FICLONE */ };

	if (!strcmp(name, "request"))
		return PICK(requests);
	if (!strcmp(name, "cmd"))
		return below(2) ? below(20) : 1024 + below(20);
	if (!strcmp(name, "option"))
		return below(80);
	if (!strcmp(name, "domain"))
		return below(3) ? AF_UNIX : below(18);
	if (!strcmp(name, "level"))
		return SOL_SOCKET;
	if (!strcmp(name, "optname"))
		return below(80);
	if (!strcmp(name, "addrlen"))
		return below(3) ? sizeof(struct sockaddr_un) : below(200);
	if (!strcmp(name, "sigsetsize") || !strcmp(name, "sizemask"))
		return 8;
	if (!strcmp(name, "advice"))
		return below(26);
	if (!strcmp(name, "futex_op"))
		return below(14) | (below(2) ? 128 : 0) | (below(4) ? 0 : 256);
	if (!strcmp(name, "mountflags"))
		return PICK(((const long[]){ MS_BIND, MS_REMOUNT | MS_BIND | MS_RDONLY, MS_MOVE, MS_PRIVATE, MS_SHARED | MS_REC, MS_BIND | MS_REC, 0 }));
	if (!strcmp(name, "filesystemtype"))
		return (long)PICK(((const char *const[]){ "tmpfs", "proc", "sysfs", "devpts", "overlay", "devtmpfs", "mqueue" }));
	if (!strcmp(name, "prot"))
		return below(8);
	if (!strcmp(name, "op") || !strcmp(name, "operation") || !strcmp(name, "how") || !strcmp(name, "which") || !strcmp(name, "clockid"))
		return below(12);
	return -1;
}
