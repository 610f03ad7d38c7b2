// /proc/sys: settings, nearly all of them constants of this kernel.
#include <string.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/uts.h"

static const struct {
	const char *name, *value;
} constants[] = {
	{"cap_last_cap", "40"},
	{"core_pattern", "core"},
	{"core_uses_pid", "0"},
	{"ngroups_max", "65536"},
	{"overflowuid", "65534"},
	{"overflowgid", "65534"},
	{"panic", "0"},
	{"pid_max", "4194304"},
	{"randomize_va_space", "2"},
	{"sem", "32000\t1024000000\t500\t32000"},
	{"shmall", "18446744073692774399"},
	{"shmmax", "18446744073692774399"},
	{"shmmni", "4096"},
	{"msgmax", "8192"},
	{"msgmnb", "16384"},
	{"msgmni", "32000"},
	{"tainted", "0"},
	{"threads-max", "1000000"},
	{"overcommit_memory", "0"},
	{"overcommit_ratio", "50"},
	{"max_map_count", "65530"},
	{"mmap_min_addr", "65536"},
	{"swappiness", "60"},
	{"nr_hugepages", "0"},
	{"aio-max-nr", "65536"},
	{"file-max", "9223372036854775807"},
	{"file-nr", "0\t0\t9223372036854775807"},
	{"nr_open", "1048576"},
	{"pipe-max-size", "1048576"},
	{"protected_hardlinks", "1"},
	{"protected_symlinks", "1"},
	{"suid_dumpable", "0"},
	{"max_queued_events", "16384"},
	{"max_user_instances", "128"},
	{"max_user_watches", "65536"},
	{"somaxconn", "4096"},
	{"max_dgram_qlen", "512"},
	{"msg_max", "10"},
	{"msgsize_max", "8192"},
	{"queues_max", "256"},
};

static int show_constant(struct proc_node *n, struct proc_text *x)
{
	for (size_t i = 0; i < ARRAY_LEN(constants); i++)
		if (strcmp(constants[i].name, n->entry->name) == 0)
			proc_printf(x, "%s\n", constants[i].value);
	return 0;
}

static int show_uts(struct proc_node *n, struct proc_text *x)
{
	struct utsname u;

	mutex_lock(&kernel()->tasks_mu);
	u = *uts_names_locked(current_task());
	mutex_unlock(&kernel()->tasks_mu);
	proc_printf(x, "%s\n",
		    strcmp(n->entry->name, "hostname") == 0	? u.nodename
		    : strcmp(n->entry->name, "osrelease") == 0	? u.release
		    : strcmp(n->entry->name, "ostype") == 0	? u.sysname
		    : strcmp(n->entry->name, "domainname") == 0 ? u.domainname
								: u.version);
	return 0;
}

static int show_random_uuid(struct proc_node *n, struct proc_text *x)
{
	static const char fixed_boot_id[] = "boot_id";
	uint8_t b[16];
	uint64_t seed = (uint64_t)kernel()->boot_realtime_ns * 0x9e3779b97f4a7c15ull;

	if (strcmp(n->entry->name, fixed_boot_id) == 0) {
		memcpy(b, &seed, 8);
		seed *= 0xbf58476d1ce4e5b9ull;
		memcpy(b + 8, &seed, 8);
	} else if (getentropy(b, sizeof(b)) < 0) {
		return -EIO;
	}
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (int i = 0; i < 16; i++)
		proc_printf(x, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
	proc_printf(x, "\n");
	return 0;
}

static int show_entropy(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "256\n");
	return 0;
}

#define CONSTANT(n) {.name = n, .mode = S_IFREG | 0444, .show = show_constant}

static const struct proc_entry random_entries[] = {
	{.name = "boot_id", .mode = S_IFREG | 0444, .show = show_random_uuid},
	{.name = "entropy_avail", .mode = S_IFREG | 0444, .show = show_entropy},
	{.name = "poolsize", .mode = S_IFREG | 0444, .show = show_entropy},
	{.name = "uuid", .mode = S_IFREG | 0444, .show = show_random_uuid},
	{0}};

static const struct proc_entry kernel_entries[] = {
	CONSTANT("cap_last_cap"),
	CONSTANT("core_pattern"),
	CONSTANT("core_uses_pid"),
	{.name = "domainname", .mode = S_IFREG | 0444, .show = show_uts},
	{.name = "hostname", .mode = S_IFREG | 0444, .show = show_uts},
	CONSTANT("msgmax"),
	CONSTANT("msgmnb"),
	CONSTANT("msgmni"),
	CONSTANT("ngroups_max"),
	{.name = "osrelease", .mode = S_IFREG | 0444, .show = show_uts},
	{.name = "ostype", .mode = S_IFREG | 0444, .show = show_uts},
	CONSTANT("overflowgid"),
	CONSTANT("overflowuid"),
	CONSTANT("panic"),
	CONSTANT("pid_max"),
	{.name = "random", .mode = S_IFDIR | 0555, .children = random_entries},
	CONSTANT("randomize_va_space"),
	CONSTANT("sem"),
	CONSTANT("shmall"),
	CONSTANT("shmmax"),
	CONSTANT("shmmni"),
	CONSTANT("tainted"),
	CONSTANT("threads-max"),
	{.name = "version", .mode = S_IFREG | 0444, .show = show_uts},
	{0}};

static const struct proc_entry vm_entries[] = {CONSTANT("max_map_count"), CONSTANT("mmap_min_addr"),	 CONSTANT("nr_hugepages"),
					       CONSTANT("overcommit_memory"), CONSTANT("overcommit_ratio"), CONSTANT("swappiness"),
					       {0}};

static const struct proc_entry inotify_entries[] = {
	CONSTANT("max_queued_events"), CONSTANT("max_user_instances"), CONSTANT("max_user_watches"), {0}};
static const struct proc_entry mqueue_entries[] = {CONSTANT("msg_max"), CONSTANT("msgsize_max"), CONSTANT("queues_max"), {0}};

static const struct proc_entry fs_entries[] = {
	CONSTANT("aio-max-nr"),
	CONSTANT("file-max"),
	CONSTANT("file-nr"),
	{.name = "inotify", .mode = S_IFDIR | 0555, .children = inotify_entries},
	{.name = "mqueue", .mode = S_IFDIR | 0555, .children = mqueue_entries},
	CONSTANT("nr_open"),
	CONSTANT("pipe-max-size"),
	CONSTANT("protected_hardlinks"),
	CONSTANT("protected_symlinks"),
	CONSTANT("suid_dumpable"),
	{0}};

static const struct proc_entry net_core_entries[] = {CONSTANT("somaxconn"), {0}};
static const struct proc_entry net_unix_entries[] = {CONSTANT("max_dgram_qlen"), {0}};
static const struct proc_entry net_entries[] = {
	{.name = "core", .mode = S_IFDIR | 0555, .children = net_core_entries},
	{.name = "unix", .mode = S_IFDIR | 0555, .children = net_unix_entries},
	{0}};

const struct proc_entry proc_sys_entries[] = {
	{.name = "fs", .mode = S_IFDIR | 0555, .children = fs_entries},
	{.name = "kernel", .mode = S_IFDIR | 0555, .children = kernel_entries},
	{.name = "net", .mode = S_IFDIR | 0555, .children = net_entries},
	{.name = "vm", .mode = S_IFDIR | 0555, .children = vm_entries},
	{0}};
