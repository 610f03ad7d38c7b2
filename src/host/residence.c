// Residence as the host's procfs shows it: the second and third number of /proc/PID/statm.
#include "host/residence.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

bool host_process_resident(pid_t pid, uint64_t *out_pages, uint64_t *out_shared_pages)
{
	unsigned long size, resident, shared;
	char path[32], text[128];
	ssize_t n;
	int fd;

	if (pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (sscanf(text, "%lu %lu %lu", &size, &resident, &shared) != 3)
		return false;
	*out_pages = resident;
	*out_shared_pages = shared < resident ? shared : resident;
	return true;
}
