// The CPU time of host processes and their threads.
//
// A process's clock can be read by anybody; a thread's only from inside its process (clock_getcpuclockid(3)), so that comes from procfs:
// the first number of schedstat, in ns.
#include "host/cputime.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CPUCLOCK_SCHED = 2, CPUCLOCK_PID_SHIFT = 3 };

uint64_t host_process_cpu_ns(pid_t pid)
{
	struct timespec ts;

	if (pid <= 0 || clock_gettime((clockid_t)(~(unsigned)pid << CPUCLOCK_PID_SHIFT | CPUCLOCK_SCHED), &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t host_thread_cpu_ns(pid_t pid, pid_t tid)
{
	char path[64], text[64];
	ssize_t n;
	int fd;

	if (pid <= 0 || tid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}
