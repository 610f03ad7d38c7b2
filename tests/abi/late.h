/*
 * What the programs about late calls share: late.c, which says what these are, and late_close.c.
 *
 * What is in the window is said by a letter for each page: '.' nothing, '-' no access, 'r', 'w' (and read), 'x' (and read). '|' stands where a mapping begins.
 * The files are ones that were there before, which nobody else has much to do with.
 */
#pragma once
#include <sched.h>
#include <sys/resource.h>

#include "others.h"

enum { PAGE = 4096, PAGES = 32, AROUND = 1 << 14 /* room for stacks, too */, LATE = 32 /* so many may well be made between two others */ };

static char *base; /* of the window: PAGES of them, with nothing around */

/* Below the program: what is there changes nothing for what is mapped anywhere. */
__attribute__((unused)) static void setup(void)
{
	char *p = mmap((void *)(1ul << 20), PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	EQ((uintptr_t)p, 1ul << 20);
	OK(munmap(p, PAGES * PAGE));
	base = p;
}

/* Where that is mapped, too, and a while below it. */
__attribute__((unused)) static void setup_among_others(void)
{
	char *p = mmap(NULL, AROUND * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	OK(munmap(p, AROUND * PAGE));
	base = p + AROUND / 4 * PAGE;
}

__attribute__((noreturn, unused)) static void compute(void)
{
	for (;;)
		__builtin_ia32_pause();
}

__attribute__((unused)) static void end(pid_t pid)
{
	OK(kill(pid, SIGKILL));
	KILLED(pid, SIGKILL);
}

/* A file of the system's that can be read, is longer than a few bytes, and that hardly anybody opens. */
__attribute__((unused)) static const char *quiet_file(void)
{
	static const char *const files[] = { "/etc/debian_version", "/etc/issue", "/etc/os-release", "/etc/passwd" };
	struct stat st;

	for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
		if (!lstat(files[i], &st) && S_ISREG(st.st_mode) && st.st_size > 4)
			return files[i];
	return "/etc/group";
}

/* This program: some hundred kB. */
__attribute__((unused)) static const char *big_file(void)
{
	static char path[4096];

	path[OK(readlink("/proc/self/exe", path, sizeof path - 1))] = 0;
	return path;
}

/* --- what is where */

static char maps[1 << 17];

__attribute__((unused)) static void read_maps(pid_t pid)
{
	char path[64];
	size_t len = 0;
	int fd;
	long n;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	fd = OK(open(path, O_RDONLY));
	while ((n = OK(read(fd, maps + len, sizeof maps - 1 - len))) > 0)
		len += n;
	maps[len] = 0;
	close(fd);
}

__attribute__((unused)) static char letter(const char *perms)
{
	return perms[2] == 'x' ? 'x' : perms[1] == 'w' ? 'w' : perms[0] == 'r' ? 'r' : '-';
}

__attribute__((unused)) static const char *range_of(pid_t pid, const char *from, int pages)
{
	static char out[2 * PAGES + 1];
	uintptr_t at = (uintptr_t)from, stop = at + pages * PAGE;
	unsigned long start, limit;
	char perms[5], *to = out;

	read_maps(pid);
	for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
		CHECK(sscanf(line, "%lx-%lx %4s", &start, &limit, perms) == 3);
		for (; at < start && at < stop; at += PAGE)
			*to++ = '.';
		if (start == at && at < stop)
			*to++ = '|';
		for (; at < limit && at < stop; at += PAGE)
			*to++ = letter(perms);
	}
	while (to > out && to[-1] == '.')
		to--;
	*to = 0;
	return out;
}

__attribute__((unused)) static const char *window(void)
{
	return range_of(getpid(), base, PAGES);
}

__attribute__((unused)) static void *map_at(int at, int n, int prot)
{
	void *p = mmap(base + at * PAGE, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	CHECK(p == base + at * PAGE);
	return p;
}

__attribute__((unused)) static int unmap_at(int at, int n)
{
	return munmap(base + at * PAGE, n * PAGE);
}

__attribute__((unused)) static int protect_at(int at, int n, int prot)
{
	return mprotect(base + at * PAGE, n * PAGE, prot);
}

__attribute__((unused)) static void *map_anywhere(int n)
{
	void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

enum { NONE = PROT_NONE, R = PROT_READ, RW = PROT_READ | PROT_WRITE };

__attribute__((unused)) static void limit(int what, rlim_t to)
{
	struct rlimit64 l;

	OK(prlimit64(0, what, NULL, &l));
	l.rlim_cur = to;
	OK(prlimit64(0, what, &l, NULL));
}

__attribute__((unused)) static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static char stack_[1 << 16] __attribute__((aligned(16)));
