/*
 * Programs that take all there is of something: each limit answers with Linux's errno, what was taken is given back, and whoever looks on
 * is well throughout. Where Linux has no limit, or one far away, the case takes much and stops.
 */
#include "../abi/abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "bystander.h"

/* The call fails sooner or later with err, or goes well that often. */
#define UNTIL(times, call, err) \
	({ \
		int i_; \
		for (i_ = 0; i_ < (times); i_++) \
			if ((long)(call) < 0) { \
				EQ(errno, err); \
				break; \
			} \
		i_; \
	})

/* Takes in a child, so that its end gives all back, and that twice. */
#define EXHAUST(...) \
	do { \
		struct bystander b_ = stand_by(); \
		for (int round_ = 0; round_ < 2; round_++) { \
			pid_t p_ = CHILD({ setpgid(0, 0); __VA_ARGS__ check_well(&b_); }); \
			EXITED(p_, 0); \
			kill(-p_, SIGKILL); \
			check_well(&b_); \
		} \
	} while (0)

static void files_limit(rlim_t n)
{
	struct rlimit r;

	OK(getrlimit(RLIMIT_NOFILE, &r));
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	OK(setrlimit(RLIMIT_NOFILE, &r));
}

CASE(processes)
{
	EXHAUST({
		int made = 0, pid;
		int p[2];

		OK(pipe(p));
		while (made < 400 && (pid = fork()) >= 0) {
			if (pid == 0) {
				char c;

				close(p[1]);
				_exit(read(p[0], &c, 1));
			}
			made++;
		}
		CHECK(made == 400 || errno == EAGAIN);
		close(p[1]);
		while (made-- > 0)
			OK(wait(NULL));
	});
}

static void *wait_forever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

CASE(threads)
{
	EXHAUST({
		pthread_attr_t a;
		pthread_t t;
		int err = 0;

		pthread_attr_init(&a);
		pthread_attr_setstacksize(&a, 16384);
		for (int i = 0; i < 800 && !err; i++)
			err = pthread_create(&t, &a, wait_forever, NULL);
		CHECK(err == 0 || err == EAGAIN);
	});
}

CASE(descriptors)
{
	EXHAUST({
		int p[2];

		files_limit(4000);
		int n = UNTIL(5000, pipe(p), EMFILE);
		CHECK(n > 1900 && n < 2000);
		for (int fd = 20; fd < 4000; fd++)
			if (fd != abi_report)
				close(fd);
		n = UNTIL(5000, eventfd(0, 0), EMFILE);
		CHECK(n > 3900);
		ERR(dup(0), EMFILE);
		ERR(fcntl(0, F_DUPFD, 3999), EMFILE);
		ERR(fcntl(0, F_DUPFD, 4000), EINVAL);
		ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, p), EMFILE);
		for (int fd = 20; fd < 100; fd++)
			close(fd);
	});
}

CASE(full_pipes_and_sockets)
{
	EXHAUST({
		static char junk[65536];
		int p[2];

		for (int i = 0; i < 100; i++) {
			OK(pipe2(p, O_NONBLOCK));
			UNTIL(100, write(p[1], junk, sizeof junk), EAGAIN);
			OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p));
			CHECK(UNTIL(10000, write(p[1], junk, 5000), EAGAIN) < 10000);
			OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p));
			CHECK(UNTIL(10000, write(p[1], junk, 1), EAGAIN) < 10000);
		}
	});
}

/* Sockets in flight in sockets in flight: rings and chains. The collector frees them all, without a stack of their depth. */
static void send_fd(int s, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { "f", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	if (sendmsg(s, &m, MSG_DONTWAIT) < 0)
		CHECK(errno == EAGAIN || errno == ETOOMANYREFS);
}

CASE(chains_of_sockets_in_flight)
{
	EXHAUST({
		int last[2];

		OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, last));
		for (int i = 0; i < 20000; i++) {
			int p[2];

			OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, p));
			send_fd(p[0], last[1]);
			close(last[0]);
			close(last[1]);
			last[0] = p[0];
			last[1] = p[1];
		}
		close(last[0]);
		close(last[1]);
	});
}

CASE(rings_of_sockets_in_flight)
{
	EXHAUST({
		for (int i = 0; i < 3000; i++) {
			int p[2];

			OK(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
			send_fd(p[0], p[0]);
			send_fd(p[0], p[1]);
			send_fd(p[1], p[1]);
			close(p[0]);
			close(p[1]);
		}
	});
}

CASE(epoll_watches)
{
	EXHAUST({
		struct epoll_event e = { .events = EPOLLIN };
		int ep = OK(epoll_create1(0)), below = ep, depth = 0;

		files_limit(3000);
		for (int i = 0; i < 2500; i++)
			OK(epoll_ctl(ep, EPOLL_CTL_ADD, OK(eventfd(1, 0)), &e));
		for (; depth < 20; depth++) {
			int outer = OK(epoll_create1(0));

			if (epoll_ctl(outer, EPOLL_CTL_ADD, below, &e) < 0)
				break;
			below = outer;
		}
		EQ(errno, ELOOP);
		CHECK(depth >= 3 && depth < 6);
		OK(epoll_wait(below, &e, 1, 0));
	});
}

CASE(inotify)
{
	EXHAUST({
		char name[32];
		struct inotify_event e[64];
		int in = OK(inotify_init1(IN_NONBLOCK)), n;
		bool over = false;

		for (int i = 0; i < 2000; i++) {
			snprintf(name, sizeof name, "w%d", i);
			put_file(name, "", 0600);
			OK(inotify_add_watch(in, name, IN_ALL_EVENTS));
		}
		for (int i = 0; i < 40000; i++)		/* two kinds in turn: the same one twice is told of once */
			OK(i & 1 ? chmod("w1", 0600) : truncate("w2", 0));
		while ((n = read(in, e, sizeof e)) > 0)
			for (char *p = (char *)e; p < (char *)e + n; p += sizeof *e + ((struct inotify_event *)p)->len)
				over |= ((struct inotify_event *)p)->mask & IN_Q_OVERFLOW;
		CHECK(over);
		files_limit(3000);
		UNTIL(2500, inotify_init1(0), EMFILE);
	});
}

CASE(sysv)
{
	static int ids[33000];
	struct bystander b = stand_by();
	int n;

	n = UNTIL(5000, ids[i_] = shmget(IPC_PRIVATE, 4096, 0600), ENOSPC);
	CHECK(n < 5000);
	check_well(&b);
	while (n-- > 0)
		OK(shmctl(ids[n], IPC_RMID, NULL));
	n = UNTIL(33000, ids[i_] = semget(IPC_PRIVATE, 1, 0600), ENOSPC);
	CHECK(n < 33000);
	check_well(&b);
	while (n-- > 0)
		OK(semctl(ids[n], 0, IPC_RMID));
	n = UNTIL(33000, ids[i_] = msgget(IPC_PRIVATE, 0600), ENOSPC);
	CHECK(n < 33000);
	check_well(&b);
	while (n-- > 0)
		OK(msgctl(ids[n], IPC_RMID, NULL));
	ERR(shmget(IPC_PRIVATE, 1ul << 62, 0600), ENOMEM);
	ERR(semget(IPC_PRIVATE, 100000, 0600), EINVAL);
}

CASE(mounts)
{
	struct bystander b = stand_by();

	if (unshare(CLONE_NEWNS) < 0)
		SKIP("no right to mount");
	OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	OK(mkdir("m", 0777));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 500; i++)
			OK(mount("x", "m", "tmpfs", 0, NULL));
		for (int i = 0; i < 500; i++)
			OK(umount("m"));
		for (int i = 0; i < 300; i++)
			OK(mount("m", "m", NULL, MS_BIND, NULL));
		OK(umount2("m", MNT_DETACH));
		check_well(&b);
	}
}

/* A tree so deep that nothing may go down it by recursion. */
CASE(deep_directories)
{
	enum { DEPTH = 20000 };
	struct bystander b = stand_by();
	char buf[8192];

	OK(mkdir("deep", 0777));
	OK(chdir("deep"));
	for (int i = 0; i < DEPTH; i++) {
		OK(mkdir("d", 0777));
		OK(chdir("d"));
	}
	put_file("leaf", "x", 0600);
	ERR(syscall(SYS_getcwd, buf, sizeof buf), ENAMETOOLONG);
	check_well(&b);
	OK(chdir("../../.."));
	OK(rename("d/d", "e"));
	OK(unlink("e/d/leaf"));
	OK(unlink("e/d/well"));
	OK(rmdir("e/d"));
	OK(rmdir("e"));
	OK(rmdir("d"));
	for (int i = 0; i < DEPTH - 3; i++) {
		OK(chdir(".."));
		OK(rmdir("d"));
	}
	OK(chdir(".."));
	OK(rmdir("deep"));
	check_well(&b);
}

CASE(attributes)
{
	struct bystander b = stand_by();
	static char value[65537];
	char name[300];
	int i;

	put_file("x", "", 0600);
	if (setxattr("x", "user.a", "v", 1, 0) < 0)
		SKIP("no attributes here");
	CHECK(setxattr("x", "user.b", value, 65537, 0) < 0);
	EQ(errno, E2BIG);
	memset(name, 'n', sizeof name);
	memcpy(name, "user.", 5);
	name[256] = 0;
	ERR(setxattr("x", name, "v", 1, 0), ERANGE);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof name, "user.%d", i);
		if (setxattr("x", name, value, 60000, 0) < 0)
			break;
	}
	CHECK(i == 2000 || errno == ENOSPC || errno == EDQUOT);
	check_well(&b);
	OK(unlink("x"));
}

CASE(file_locks)
{
	EXHAUST({
		int fd = OK(open("locked", O_RDWR | O_CREAT, 0600));

		for (int i = 0; i < 3000; i++) {
			struct flock l = { F_WRLCK, SEEK_SET, i * 2, 1, 0 };

			OK(fcntl(fd, i & 1 ? F_SETLK : F_OFD_SETLK, &l));
		}
	});
}

CASE(signals_and_timers)
{
	EXHAUST({
		struct rlimit few = { 50, 50 };
		struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
		sigset_t set;
		timer_t t;

		OK(setrlimit(RLIMIT_SIGPENDING, &few));
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN);
		sigprocmask(SIG_BLOCK, &set, NULL);
		CHECK(UNTIL(1000, timer_create(CLOCK_MONOTONIC, &ev, &t), EAGAIN) < 1000);
		CHECK(UNTIL(1000, sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 }), EAGAIN) < 1000);
	});
}

CASE(mappings)
{
	EXHAUST({
		char *base = mmap(NULL, 1ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		CHECK(base != MAP_FAILED);
		CHECK(UNTIL(70000, mprotect(base + 8192ul * i_, 4096, PROT_READ), ENOMEM) < 70000);
		OK(munmap(base, 1ul << 30));
		CHECK(mmap(NULL, 1ul << 47, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
		EQ(errno, ENOMEM);
	});
}

static void exec_with(int count, size_t len, int err)
{
	char **v = malloc((count + 1) * sizeof *v);
	char *s = malloc(len + 1);

	memset(s, 'a', len);
	s[len] = 0;
	for (int i = 0; i < count; i++)
		v[i] = s;
	v[count] = NULL;
	ERR(execve("/nowhere", v, NULL), ENOENT);
	ERR(execve("/proc/self/exe", v, v), err);
}

CASE(arguments)
{
	EXHAUST({
		exec_with(1, 200000, E2BIG);
		exec_with(100, 100000, E2BIG);
		exec_with(2000000, 1, E2BIG);
	});
}

CASE(vectors)
{
	EXHAUST({
		static struct iovec v[1025];
		static char page[4096];
		int zero = OK(open("/dev/zero", O_RDWR)), null = OK(open("/dev/null", O_RDWR));

		for (int i = 0; i < 1025; i++)
			v[i] = (struct iovec){ page, sizeof page };
		ERR(writev(null, v, 1025), EINVAL);
		EQ(writev(null, v, 1024), 1024 * 4096);
		EQ(readv(zero, v, 1024), 1024 * 4096);
		for (int i = 0; i < 1024; i++)
			v[i].iov_len = 1ul << 30;
		EQ(writev(null, v, 1024), 0x7ffff000);
		v[1023].iov_len = 1ul << 63;
		ERR(writev(null, v, 1024), EINVAL);
	});
}

/* Calls with much to do for the kernel: others go on meanwhile, and a signal ends them. */
CASE(long_calls)
{
	struct bystander b = stand_by();
	char *big = mmap(NULL, 2ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = OK(open("sparse", O_RDWR | O_CREAT, 0600)), null = OK(open("/dev/null", O_WRONLY)), mem = OK(memfd_create("m", 0));
	int64_t from = now_ns(), alone;

	check_well(&b);
	alone = now_ns() - from;	/* what that takes on this machine just now */
	OK(ftruncate(fd, 1ul << 40));
	OK(ftruncate(mem, 1ul << 40));
	for (int what = 0; what < 4; what++) {
		pid_t p = CHILD({
			alarm(50);
			for (;;)
				what == 0 ? sendfile(null, fd, NULL, 1ul << 40) : what == 1 ? copy_file_range(fd, NULL, mem, NULL, 1ul << 40, 0) :
				what == 2 ? sendfile(null, mem, NULL, 1ul << 40) : syscall(SYS_getrandom, big, 1ul << 28, 0);
		});

		msleep(100);
		from = now_ns();
		check_well(&b);
		CHECK(now_ns() - from < 5000000000 + 20 * alone);
		OK(kill(p, SIGKILL));
		KILLED(p, SIGKILL);
		OK(ftruncate(mem, 0));
		OK(ftruncate(mem, 1ul << 40));
	}
}
