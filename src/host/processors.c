// Where the sentry runs, and barriers on the processors that run anything (membarrier(2)).
#include "host/processors.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

unsigned host_processor(void)
{
	int at = sched_getcpu();

	return at < 0 ? 0 : (unsigned)at;
}

bool host_has_process_barrier(void)
{
	long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return known > 0 && (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

int host_barrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}
