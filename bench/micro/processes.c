// Processes: made, run, waited for.
#include "micro.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const size_t LARGE = 256 << 20;
static char *large;

static void wait_for(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (status != 0)
		fail("a child failed");
}

static void loop_fork(long count)
{
	while (count-- > 0) {
		pid_t pid = MUST(fork());
		if (pid == 0)
			_exit(0);
		wait_for(pid);
	}
}

static void loop_exec(long count)
{
	while (count-- > 0) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		wait_for(pid);
	}
}

static void loop_vfork(long count)
{
	while (count-- > 0) {
		pid_t pid = MUST(vfork());
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		wait_for(pid);
	}
}

// Without huge pages, so that what is copied is a page table entry for each 4 KiB wherever it runs.
static void setup_large(void)
{
	large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (large == MAP_FAILED)
		fail("mmap");
	MUST(madvise(large, LARGE, MADV_NOHUGEPAGE));
	for (size_t at = 0; at < LARGE; at += PAGE)
		large[at] = 1;
}

static void teardown_large(void)
{
	munmap(large, LARGE);
}

const struct row process_rows[] = {
	{"fork", "fork + exit + wait", NULL, loop_fork},
	{"fork-exec", "fork + exec of /bin/true + wait", NULL, loop_exec},
	{"fork-256m", "fork + exit + wait, 256 MiB touched", setup_large, loop_fork, teardown_large, .keep = 1},
	{"vfork-exec", "vfork + exec of /bin/true + wait", NULL, loop_vfork},
	{},
};
