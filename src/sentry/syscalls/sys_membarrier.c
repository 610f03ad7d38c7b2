// membarrier: a memory barrier on all running threads, which are threads of the host, so that the barriers are the host's: the global
// command is made here, that on the process's own threads by the caller's stub on its way back (mm_barrier).
//
// Left out: the commands that reach registered processes only, those that make code that was written visible, and restartable sequences'.
// Programs ask with MEMBARRIER_CMD_QUERY first.
#include <linux/membarrier.h>

#include "abi/errno.h"
#include "host/processors.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"

static int barrier_everywhere(void)
{
	int err;

	kernel_away_begin(); // it takes the host some milliseconds
	err = host_barrier();
	kernel_away_end();
	return err ? -EINVAL : 0;
}

static long known_commands(void)
{
	return MEMBARRIER_CMD_GLOBAL |
	       (host_has_process_barrier() ? MEMBARRIER_CMD_PRIVATE_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED : 0);
}

long sys_membarrier(struct task *t, const struct sysargs *args)
{
	int cmd = (int)args->a[0];

	if ((unsigned)args->a[1])
		return -EINVAL;
	if (cmd == MEMBARRIER_CMD_QUERY)
		return known_commands();
	if (cmd < 0 || !(cmd & known_commands()) || (cmd & (cmd - 1)))
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_GLOBAL:
		return barrier_everywhere();
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
		atomic_store(&t->mm->barriers, true);
		return 0;
	default:
		return atomic_load(&t->mm->barriers) ? mm_barrier(t) : -EPERM;
	}
}
