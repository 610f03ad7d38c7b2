// What host processes and their threads have used.
//
// A process's clock can be read by anybody; a thread's only from inside its process (clock_getcpuclockid(3)), so that comes from procfs:
// the first number of schedstat, in ns.
#include "host/cputime.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int64_t host_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static bool read_start(const char *path, char *text, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, cap - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

uint64_t host_thread_cpu_ns(pid_t pid, pid_t tid)
{
	char path[64], text[64];

	if (pid <= 0 || tid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	return read_start(path, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
}

uint64_t host_process_peak_kb(pid_t pid)
{
	static const char label[] = "VmHWM:";
	char path[64], text[2048];
	const char *at;

	if (pid <= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!read_start(path, text, sizeof(text)))
		return 0;
	at = strstr(text, label);
	return at ? strtoull(at + strlen(label), NULL, 10) : 0;
}
