/* memfd_create and its seals, and getrandom. */
#include "abi.h"
#include <sys/random.h>

CASE(read_write_map)
{
	int fd = OK(memfd_create("name", MFD_CLOEXEC));
	char *m;

	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(write(fd, "abc", 3), 3);
	OK(ftruncate(fd, 8192));
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(m != MAP_FAILED);
	CHECK(!memcmp(m, "abc\0", 4));
	m[5000] = 'q';
	char c;
	EQ(pread(fd, &c, 1, 5000), 1);
	EQ(c, 'q');
	EQ(pwrite(fd, "w", 1, 6000), 1);
	EQ(m[6000], 'w');
	struct stat st;
	OK(fstat(fd, &st));
	EQ(st.st_size, 8192);
	CHECK(S_ISREG(st.st_mode));
	EQ(st.st_nlink, 0);
	char path[64], link[128] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(readlink(path, link, sizeof link - 1));
	STREQ(link, "/memfd:name (deleted)");
}

CASE(shared_across_fork)
{
	int fd = OK(memfd_create("x", 0));

	OK(ftruncate(fd, 4096));
	volatile char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	pid_t p = CHILD({
		volatile char *n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		n[1] = 7;
	});
	EXITED(p, 0);
	EQ(m[1], 7);
}

CASE(private_map_keeps_file)
{
	int fd = OK(memfd_create("x", 0));
	char c;

	OK(ftruncate(fd, 4096));
	volatile char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	m[0] = 9;
	EQ(pread(fd, &c, 1, 0), 1);
	EQ(c, 0);
}

CASE(seals)
{
	int fd = OK(memfd_create("s", MFD_ALLOW_SEALING));

	EQ(write(fd, "abc", 3), 3);
	EQ(fcntl(fd, F_GET_SEALS), 0);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	ERR(ftruncate(fd, 1), EPERM);
	OK(ftruncate(fd, 10));
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	ERR(ftruncate(fd, 100), EPERM);
	ERR(pwrite(fd, "x", 1, 50), EPERM);
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	munmap(m, 4096);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	ERR(pwrite(fd, "x", 1, 0), EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	EQ(errno, EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	int plain = OK(memfd_create("s", 0));
	EQ(fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
	ERR(fcntl(plain, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
}

CASE(errors)
{
	char name[300];

	memset(name, 'n', sizeof name - 1);
	name[299] = 0;
	ERR(memfd_create(name, 0), EINVAL);
	ERR(memfd_create("x", 0x8000), EINVAL);
	ERR(syscall(SYS_memfd_create, (void *)8, 0), EFAULT);
	name[249] = 0;
	OK(memfd_create(name, 0));
}

CASE(execute)
{
	int fd = OK(memfd_create("prog", MFD_CLOEXEC)), in = OK(open("/proc/self/exe", O_RDONLY));
	char buf[65536];
	ssize_t n;

	while ((n = OK(read(in, buf, sizeof buf))) > 0)
		EQ(write(fd, buf, n), n);
	pid_t p = CHILD({
		char *argv[] = { "prog", "--exit-9", NULL };
		fexecve(fd, argv, (char *[]){ NULL });
		_exit(1);
	});
	EXITED(p, 9);
}

CASE(getrandom_fills)
{
	unsigned char a[256], b[256];
	int same = 0;

	EQ(getrandom(a, sizeof a, 0), sizeof a);
	EQ(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
	for (int i = 0; i < 256; i++)
		same += a[i] == b[i];
	CHECK(same < 32);
	EQ(getrandom(a, 0, 0), 0);
	EQ(getrandom(a, 16, GRND_RANDOM), 16);
	ERR(getrandom(a, 16, 0x100), EINVAL);
	ERR(getrandom((void *)8, 16, 0), EFAULT);
	char *big = malloc(1 << 20);
	EQ(getrandom(big, 1 << 20, 0), 1 << 20);
}

CASE(dev_random)
{
	unsigned char a[64] = "", zero[64] = "";

	EQ(read(OK(open("/dev/urandom", O_RDONLY)), a, 64), 64);
	CHECK(memcmp(a, zero, 64));
	memset(a, 0, 64);
	EQ(read(OK(open("/dev/random", O_RDONLY)), a, 64), 64);
	CHECK(memcmp(a, zero, 64));
	EQ(write(OK(open("/dev/urandom", O_WRONLY)), "x", 1), 1);
}

void abi_helper(int argc, char **argv)
{
	if (!strcmp(argv[1], "--exit-9"))
		_exit(9);
}
