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

static int run_on(int cpu)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	return sched_setaffinity(0, sizeof(only), &only);
}

void host_visit_begin(struct host_visit *v, int cpu)
{
	const int at = sched_getcpu();

	v->from = -1;
	if (at < 0 || at >= CPU_SETSIZE || cpu == at || cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	if (sched_getaffinity(0, sizeof(v->allowed), &v->allowed) < 0 || !CPU_ISSET(cpu, &v->allowed) || run_on(cpu) < 0)
		return;
	v->from = at;
}

void host_visit_end(struct host_visit *v)
{
	if (v->from < 0)
		return;
	run_on(v->from);
	sched_setaffinity(0, sizeof(v->allowed), &v->allowed);
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
