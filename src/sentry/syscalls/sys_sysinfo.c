// sysinfo: the machine in numbers, the same that /proc/uptime, meminfo and loadavg show.
#include <sys/sysinfo.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/syscalls.h"

long sys_sysinfo(struct task *t, const struct sysargs *args)
{
	struct sysinfo host = {0}, si = {0};

	sysinfo(&host);
	si.uptime = (ktime_now(CLOCK_MONOTONIC) - kernel()->boot_ns) / NSEC_PER_SEC;
	si.totalram = host.totalram;
	si.freeram = host.freeram;
	si.mem_unit = host.mem_unit;
	mutex_lock(&kernel()->tasks_mu);
	si.procs = (unsigned short)MIN(kernel()->ntasks_alive, 65535);
	mutex_unlock(&kernel()->tasks_mu);
	return copy_out_obj(t, args->a[0], &si);
}
