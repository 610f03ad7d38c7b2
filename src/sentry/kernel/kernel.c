// The kernel's root: created once a sandbox.
#include "sentry/kernel/kernel.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/ipc/msg.h"
#include "sentry/ipc/sem.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/sched.h"
#include "sentry/mm/shm.h"
#include "sentry/vfs/vfs.h"

KMEM_TYPE(kernel_type, kernel);

struct kernel *kernel_root;

// The release that programs see: glibc refuses to start on one that is too old, and some compare features by it.
static const struct utsname uts_at_boot = {
	.sysname = "Linux",
	.nodename = "hull",
	.release = "6.1.0-hull",
	.version = "#1 SMP Hull " HULL_VERSION,
	.machine = "x86_64",
};

int kernel_create(const struct kernel_config *config)
{
	struct kernel *k = kmem_alloc(&kernel_type);

	if (!k)
		return -ENOMEM;
	kernel_root = k;
	mutex_init(&k->tasks_mu);
	mutex_init(&k->run_mu);
	mutex_init(&k->epoll_nest_mu);
	for (int i = 0; i < SIGNALFD_QUEUES; i++)
		waitq_init(&k->signalfd_waitqs[i]);
	TAILQ_INIT(&k->groups);
	TAILQ_INIT(&k->runq);
	k->uts = uts_at_boot;
	// CLOCK_BOOTTIME is the host's; what else counts from the boot has to agree with it.
	k->boot_ns = ktime_now(CLOCK_MONOTONIC) - ktime_now(CLOCK_BOOTTIME);
	k->boot_realtime_ns = ktime_now(CLOCK_REALTIME) - ktime_now(CLOCK_BOOTTIME);
	k->ncpus = (int)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	k->nworkers_max = config->nworkers_max > 0 ? config->nworkers_max : k->ncpus;
	k->strace = config->strace;
	k->strace_filter = config->strace_filter;
	k->shm = shm_table_create();
	k->sems = sem_table_create();
	k->msgs = msg_table_create();
	if (!k->shm || !k->sems || !k->msgs)
		return -ENOMEM;
	return timers_create() ?: futex_init() ?: sched_create(k->nworkers_max) ?: vfs_init();
}

int kernel_run(void)
{
	if (platform->may_answer && !kernel()->strace)
		platform->may_answer();
	return sched_run();
}

void kernel_stop(void)
{
	sched_stop();
}

size_t kernel_dmesg(char *dst, size_t cap)
{
	struct kernel *k = kernel();
	int n = snprintf(dst, cap,
			 "<5>[    0.000000] Linux version %s (Hull application kernel) %s\n"
			 "<6>[    0.000000] hull: platform %s\n"
			 "<6>[    0.000000] hull: every system call of this sandbox is served by the sentry\n",
			 k->uts.release, k->uts.version, platform->name);

	return n < 0 ? 0 : MIN((size_t)n, cap - 1);
}
