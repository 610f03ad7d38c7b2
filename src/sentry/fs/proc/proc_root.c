// /proc's own files: the machine as the sandbox sees it.
#include <cpuid.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/sysinfo.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/kernel.h"

static int show_version(struct proc_node *n, struct proc_text *x)
{
	const struct utsname *u = &kernel()->uts;

	(void)n;
	proc_printf(x, "%s version %s (hull@sandbox) (Hull application kernel) %s\n", u->sysname, u->release, u->version);
	return 0;
}

static uint64_t uptime_ns(void)
{
	return (uint64_t)(ktime_now(CLOCK_MONOTONIC) - kernel()->boot_ns);
}

// The CPU time of all processes, living and gone.
static uint64_t busy_ns(void)
{
	struct thread_group *tg;
	struct task *t;
	uint64_t sum = 0;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link) {
		sum += tg->dead_threads.utime_ns + tg->dead_threads.stime_ns;
		TAILQ_FOREACH(t, &tg->tasks, tg_link)
			sum += t->utime_ns + t->stime_ns;
	}
	mutex_unlock(&kernel()->tasks_mu);
	return sum;
}

static int show_uptime(struct proc_node *n, struct proc_text *x)
{
	uint64_t up = uptime_ns() / 10000000, all = up * (uint64_t)kernel()->ncpus, busy = busy_ns() / 10000000;
	uint64_t idle = all > busy ? all - busy : 0;

	(void)n;
	proc_printf(x, "%lu.%02lu %lu.%02lu\n", (unsigned long)(up / 100), (unsigned long)(up % 100), (unsigned long)(idle / 100),
		    (unsigned long)(idle % 100));
	return 0;
}

static void count_tasks(int *out_running, int *out_all)
{
	struct thread_group *tg;
	struct task *t;

	*out_running = *out_all = 0;
	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		TAILQ_FOREACH(t, &tg->tasks, tg_link) {
			++*out_all;
			*out_running += t->state == TASK_RUNNING || t->state == TASK_RUNNABLE;
		}
	mutex_unlock(&kernel()->tasks_mu);
}

static int show_loadavg(struct proc_node *n, struct proc_text *x)
{
	int running, all;

	(void)n;
	count_tasks(&running, &all);
	proc_printf(x, "0.00 0.00 0.00 %d/%d %d\n", running, all, kernel()->last_pid); // averages aren't kept
	return 0;
}

static int show_meminfo(struct proc_node *n, struct proc_text *x)
{
	struct sysinfo si = {0};
	unsigned long total, free_kb;

	(void)n;
	sysinfo(&si);
	total = (unsigned long)((uint64_t)si.totalram * si.mem_unit / 1024);
	free_kb = (unsigned long)((uint64_t)si.freeram * si.mem_unit / 1024);
	proc_printf(x,
		    "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\nBuffers:        %8d kB\n"
		    "Cached:         %8d kB\nSwapCached:     %8d kB\nActive:         %8lu kB\nInactive:       %8d kB\n"
		    "SwapTotal:      %8d kB\nSwapFree:       %8d kB\nDirty:          %8d kB\nWriteback:      %8d kB\n"
		    "AnonPages:      %8lu kB\nMapped:         %8d kB\nShmem:          %8d kB\nSlab:           %8d kB\n"
		    "SReclaimable:   %8d kB\nCommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\nVmallocTotal:   34359738367 kB\n"
		    "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
		    total, free_kb, free_kb, 0, 0, 0, total - free_kb, 0, 0, 0, 0, 0, total - free_kb, 0, 0, 0, 0, total,
		    total - free_kb);
	return 0;
}

static int show_stat(struct proc_node *n, struct proc_text *x)
{
	long cpus = kernel()->ncpus;
	unsigned long busy = (unsigned long)(busy_ns() / 10000000), all = (unsigned long)(uptime_ns() / 10000000) * (unsigned long)cpus;
	unsigned long idle = all > busy ? all - busy : 0;
	int running, tasks;

	(void)n;
	count_tasks(&running, &tasks);
	proc_printf(x, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", busy, idle);
	for (long i = 0; i < cpus; i++)
		proc_printf(x, "cpu%ld %lu 0 0 %lu 0 0 0 0 0 0\n", i, busy / (unsigned long)cpus, idle / (unsigned long)cpus);
	proc_printf(x, "intr 0\nctxt 0\nbtime %ld\nprocesses %d\nprocs_running %d\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
		    (long)(kernel()->boot_realtime_ns / NSEC_PER_SEC), kernel()->last_pid, running);
	return 0;
}

// Feature names by leaf, register and bit: those that programs look for.
static const struct feature {
	uint32_t leaf;
	uint8_t reg; // 0 eax … 3 edx
	uint8_t bit;
	const char *name;
} features[] = {
	{1, 3, 0, "fpu"}, {1, 3, 4, "tsc"}, {1, 3, 8, "cx8"}, {1, 3, 15, "cmov"}, {1, 3, 19, "clflush"}, {1, 3, 23, "mmx"},
	{1, 3, 24, "fxsr"}, {1, 3, 25, "sse"}, {1, 3, 26, "sse2"}, {1, 3, 28, "ht"}, {0x80000001, 3, 11, "syscall"},
	{0x80000001, 3, 20, "nx"}, {0x80000001, 3, 27, "rdtscp"}, {0x80000001, 3, 29, "lm"}, {1, 2, 0, "pni"}, {1, 2, 1, "pclmulqdq"},
	{1, 2, 9, "ssse3"}, {1, 2, 12, "fma"}, {1, 2, 13, "cx16"}, {1, 2, 19, "sse4_1"}, {1, 2, 20, "sse4_2"}, {1, 2, 22, "movbe"},
	{1, 2, 23, "popcnt"}, {1, 2, 25, "aes"}, {1, 2, 26, "xsave"}, {1, 2, 28, "avx"}, {1, 2, 29, "f16c"}, {1, 2, 30, "rdrand"},
	{1, 2, 31, "hypervisor"}, {0x80000001, 2, 0, "lahf_lm"}, {0x80000001, 2, 5, "abm"}, {0x80000001, 2, 6, "sse4a"},
	{7, 1, 0, "fsgsbase"}, {7, 1, 3, "bmi1"}, {7, 1, 5, "avx2"}, {7, 1, 8, "bmi2"}, {7, 1, 9, "erms"}, {7, 1, 16, "avx512f"},
	{7, 1, 17, "avx512dq"}, {7, 1, 18, "rdseed"}, {7, 1, 19, "adx"}, {7, 1, 21, "avx512ifma"}, {7, 1, 28, "avx512cd"},
	{7, 1, 29, "sha_ni"}, {7, 1, 30, "avx512bw"}, {7, 1, 31, "avx512vl"}, {7, 2, 8, "gfni"}, {7, 2, 9, "vaes"},
	{7, 2, 10, "vpclmulqdq"},
};

static void cpuid(uint32_t leaf, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(*r));
	__get_cpuid_count(leaf, 0, &r[0], &r[1], &r[2], &r[3]);
}

static int show_cpuinfo(struct proc_node *n, struct proc_text *x)
{
	char vendor[13] = "", model[49] = "";
	uint32_t r[4], family, model_nr;

	(void)n;
	cpuid(0, r);
	memcpy(vendor, &r[1], 4);
	memcpy(vendor + 4, &r[3], 4);
	memcpy(vendor + 8, &r[2], 4);
	for (int i = 0; i < 3; i++) {
		cpuid(0x80000002 + i, r);
		memcpy(model + 16 * i, r, 16);
	}
	cpuid(1, r);
	family = (r[0] >> 8 & 15) + ((r[0] >> 8 & 15) == 15 ? r[0] >> 20 & 255 : 0);
	model_nr = (r[0] >> 4 & 15) | (r[0] >> 16 & 15) << 4;
	for (int cpu = 0; cpu < kernel()->ncpus; cpu++) {
		proc_printf(x,
			    "processor\t: %d\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n"
			    "physical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\nfpu\t\t: yes\nflags\t\t:",
			    cpu, vendor, family, model_nr, model, r[0] & 15, kernel()->ncpus, cpu,
			    kernel()->ncpus);
		for (size_t i = 0; i < ARRAY_LEN(features); i++) {
			uint32_t q[4];

			cpuid(features[i].leaf, q);
			if (q[features[i].reg] & 1u << features[i].bit)
				proc_printf(x, " %s", features[i].name);
		}
		proc_printf(x, "\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\n\n");
	}
	return 0;
}

static int show_filesystems(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	for (int i = 0; fs_types[i]; i++)
		if (fs_types[i]->user_mountable)
			proc_printf(x, "%s\t%s\n", fs_types[i]->nodev ? "nodev" : "", fs_types[i]->name);
	return 0;
}

static int show_empty(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	(void)x;
	return 0;
}

static int show_cmdline(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "hull\n");
	return 0;
}

static int show_swaps(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	return 0;
}

static int show_devices(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n");
	return 0;
}

static int show_cgroups(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
	return 0;
}

static int show_vmstat(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\npgfault 0\npgmajfault 0\n");
	return 0;
}

static int link_self(struct proc_node *n, char *dst, size_t cap)
{
	struct task *t = current_task();

	(void)n;
	return t ? snprintf(dst, cap, "%d", t->tg->tgid) : -ENOENT;
}

static int link_thread_self(struct proc_node *n, char *dst, size_t cap)
{
	struct task *t = current_task();

	(void)n;
	return t ? snprintf(dst, cap, "%d/task/%d", t->tg->tgid, t->tid) : -ENOENT;
}

static int link_net(struct proc_node *n, char *dst, size_t cap)
{
	(void)n;
	return snprintf(dst, cap, "self/net");
}

static int link_mounts(struct proc_node *n, char *dst, size_t cap)
{
	(void)n;
	return snprintf(dst, cap, "self/mounts");
}

const struct proc_entry proc_root_entries[] = {
	{.name = "cgroups", .mode = S_IFREG | 0444, .show = show_cgroups},
	{.name = "cmdline", .mode = S_IFREG | 0444, .show = show_cmdline},
	{.name = "cpuinfo", .mode = S_IFREG | 0444, .show = show_cpuinfo},
	{.name = "devices", .mode = S_IFREG | 0444, .show = show_devices},
	{.name = "diskstats", .mode = S_IFREG | 0444, .show = show_empty},
	{.name = "filesystems", .mode = S_IFREG | 0444, .show = show_filesystems},
	{.name = "loadavg", .mode = S_IFREG | 0444, .show = show_loadavg},
	{.name = "meminfo", .mode = S_IFREG | 0444, .show = show_meminfo},
	{.name = "modules", .mode = S_IFREG | 0444, .show = show_empty},
	{.name = "mounts", .mode = S_IFLNK | 0777, .link = link_mounts},
	{.name = "net", .mode = S_IFLNK | 0777, .link = link_net},
	{.name = "partitions", .mode = S_IFREG | 0444, .show = show_empty},
	{.name = "self", .mode = S_IFLNK | 0777, .link = link_self},
	{.name = "stat", .mode = S_IFREG | 0444, .show = show_stat},
	{.name = "swaps", .mode = S_IFREG | 0444, .show = show_swaps},
	{.name = "sys", .mode = S_IFDIR | 0555, .children = proc_sys_entries},
	{.name = "thread-self", .mode = S_IFLNK | 0777, .link = link_thread_self},
	{.name = "uptime", .mode = S_IFREG | 0444, .show = show_uptime},
	{.name = "version", .mode = S_IFREG | 0444, .show = show_version},
	{.name = "vmstat", .mode = S_IFREG | 0444, .show = show_vmstat},
	{0}};
