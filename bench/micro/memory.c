// Application memory: mapping it, changing it, touching it for the first time.
#include "micro.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, SMALL = 4 * PAGE, LARGE = 1 << 20, FAULT_PAGES = 8192 };

static char *area;

static char *map(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

static void touch(char *p, long pages)
{
	for (long i = 0; i < pages; i++)
		*(volatile char *)(p + i * PAGE) = 1;
}

static void loop_mmap(long count)
{
	while (count-- > 0) {
		char *p = map(SMALL);
		touch(p, SMALL / PAGE);
		MUST(munmap(p, SMALL));
	}
}

static void loop_mmap_large(long count)
{
	while (count-- > 0)
		MUST(munmap(map(LARGE), LARGE));
}

static void setup_protect(void)
{
	area = map(SMALL);
	touch(area, SMALL / PAGE);
}

static void loop_protect(long count)
{
	for (long i = 0; i < count; i++)
		MUST(mprotect(area, PAGE, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ));
}

static void teardown_protect(void)
{
	munmap(area, SMALL);
}

static void mend(int signo)
{
	mprotect(area, PAGE, PROT_READ | PROT_WRITE);
}

static void setup_mend(void)
{
	setup_protect();
	MUST(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = mend}, NULL));
}

static void loop_mend(long count)
{
	while (count-- > 0) {
		MUST(mprotect(area, PAGE, PROT_NONE));
		touch(area, 1);
	}
}

static void teardown_mend(void)
{
	MUST(sigaction(SIGSEGV, &(struct sigaction){.sa_handler = SIG_DFL}, NULL));
	teardown_protect();
}

static void loop_dontneed(long count)
{
	while (count-- > 0) {
		MUST(madvise(area, PAGE, MADV_DONTNEED));
		touch(area, 1);
	}
}

// Huge pages would make it a measure of clearing memory.
static void setup_faults(void)
{
	area = map((size_t)FAULT_PAGES * PAGE);
	MUST(madvise(area, (size_t)FAULT_PAGES * PAGE, MADV_NOHUGEPAGE));
}

static void loop_faults(long count)
{
	touch(area, count);
}

static void teardown_faults(void)
{
	munmap(area, (size_t)FAULT_PAGES * PAGE);
}

const struct row memory_rows[] = {
	{"mmap", "mmap 16 KiB + touch + munmap", NULL, loop_mmap},
	{"mmap-1m", "mmap 1 MiB + munmap, untouched", NULL, loop_mmap_large},
	{"mprotect", "mprotect of a page in use", setup_protect, loop_protect, teardown_protect},
	{"page-fault", "first touch of a page", setup_faults, loop_faults, teardown_faults, .most = FAULT_PAGES},
	{"dontneed", "MADV_DONTNEED of a page + touch", setup_protect, loop_dontneed, teardown_protect},
	{"segv", "mprotect + SIGSEGV + handler that mends", setup_mend, loop_mend, teardown_mend},
	{},
};
