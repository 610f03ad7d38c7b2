// membarrier: a memory barrier on all running threads, of which the host's global one is built: application threads are host threads.
//
// The expedited commands are left out: they would interrupt each other thread of the process by way of its stub. Programs ask with
// MEMBARRIER_CMD_QUERY first, and do without.
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

long sys_membarrier(struct task *t, const struct sysargs *args)
{
	int cmd = (int)args->a[0];
	long ret;

	if ((unsigned)args->a[1])
		return -EINVAL;
	if (cmd == MEMBARRIER_CMD_QUERY)
		return MEMBARRIER_CMD_GLOBAL;
	if (cmd != MEMBARRIER_CMD_GLOBAL)
		return -EINVAL;
	kernel_away_begin(); // it takes the host some milliseconds
	ret = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	kernel_away_end();
	return ret < 0 ? -EINVAL : 0;
}
