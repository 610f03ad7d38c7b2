// sysfs: the processors and what else programs look for there. Built like procfs, of tables.
//
// The sandbox's processors are cores of one package, each with one thread, on one memory node. There are no devices: the directories
// that programs expect are empty. Left out: caches, frequencies, PCI, block devices.
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/kernel.h"

#define DIR(n, c) {.name = n, .mode = S_IFDIR | 0555, .children = c}
#define FILE_RO(n, fn) {.name = n, .mode = S_IFREG | 0444, .show = fn}

static const struct proc_entry none[] = {{0}};

// --- sets of processors, as a list ("0-3") and as a mask ("f", 32 bits between commas)

static int show_cpus(struct proc_node *n, struct proc_text *x)
{
	int last = kernel()->ncpus - 1;

	(void)n;
	proc_printf(x, last ? "0-%d\n" : "%d\n", last);
	return 0;
}

static uint32_t mask_word(int from, int to, int word)
{
	uint32_t mask = 0;

	for (int cpu = from; cpu <= to; cpu++)
		if (cpu / 32 == word)
			mask |= 1u << cpu % 32;
	return mask;
}

static void show_mask(struct proc_text *x, int from, int to)
{
	int last = (kernel()->ncpus - 1) / 32;

	// The first word's digits are as many as the processors need.
	proc_printf(x, "%0*x", (MIN(kernel()->ncpus - last * 32, 32) + 3) / 4, mask_word(from, to, last));
	for (int word = last - 1; word >= 0; word--)
		proc_printf(x, ",%08x", mask_word(from, to, word));
	proc_printf(x, "\n");
}

static int show_all_mask(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	show_mask(x, 0, kernel()->ncpus - 1);
	return 0;
}

static int show_own_mask(struct proc_node *n, struct proc_text *x)
{
	show_mask(x, n->fd, n->fd);
	return 0;
}

static int show_number(struct proc_node *n, struct proc_text *x)
{
	proc_printf(x, "%d\n", n->fd);
	return 0;
}

static int show_constant(struct proc_node *n, struct proc_text *x)
{
	static const struct {
		const char *name, *value;
	} constants[] = {
		{"kernel_max", "8191"}, {"offline", ""}, {"isolated", ""}, {"physical_package_id", "0"}, {"die_id", "0"},
		{"active", "0"}, {"control", "notsupported"}, {"hpage_pmd_size", "2097152"}, {"enabled", "always [madvise] never"},
		{"defrag", "always defer defer+madvise [madvise] never"}, {"shmem_enabled", "always within_size advise [never] deny force"},
		{"address", "00:00:00:00:00:00"}, {"broadcast", "00:00:00:00:00:00"}, {"addr_len", "6"}, {"dev_id", "0x0"},
		{"flags", "0x9"}, {"ifindex", "1"}, {"iflink", "1"}, {"mtu", "65536"}, {"operstate", "unknown"}, {"carrier", "1"},
		{"tx_queue_len", "1000"}, {"type", "772"},
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
		if (strcmp(constants[i].name, n->entry->name) == 0)
			proc_printf(x, "%s\n", constants[i].value);
	return 0;
}

static int show_node(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "0\n");
	return 0;
}

// --- the processors' directory: a table, and cpuN for each

static const struct proc_entry topology_entries[] = {
	FILE_RO("core_cpus", show_own_mask),	   FILE_RO("core_cpus_list", show_number),
	FILE_RO("core_id", show_number),	   FILE_RO("core_siblings", show_all_mask),
	FILE_RO("core_siblings_list", show_cpus),  FILE_RO("die_cpus", show_all_mask),
	FILE_RO("die_cpus_list", show_cpus),	   FILE_RO("die_id", show_constant),
	FILE_RO("package_cpus", show_all_mask),	   FILE_RO("package_cpus_list", show_cpus),
	FILE_RO("physical_package_id", show_constant), FILE_RO("thread_siblings", show_own_mask),
	FILE_RO("thread_siblings_list", show_number), {0}};
static const struct proc_entry one_cpu_entries[] = {DIR("topology", topology_entries), {0}};
static const struct proc_entry one_cpu = DIR("cpu", one_cpu_entries);
static const struct proc_entry smt_entries[] = {FILE_RO("active", show_constant), FILE_RO("control", show_constant), {0}};
static const struct proc_entry cpu_entries[] = {
	FILE_RO("isolated", show_constant), FILE_RO("kernel_max", show_constant), FILE_RO("offline", show_constant),
	FILE_RO("online", show_cpus), FILE_RO("possible", show_cpus), FILE_RO("present", show_cpus), DIR("smt", smt_entries), {0}};

static int cpus_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	int err = proc_lookup_table(dir, cpu_entries, name, len, out_inode);
	char want[16];

	for (int cpu = 0; err == -ENOENT && cpu < kernel()->ncpus; cpu++) {
		const struct proc_node from = {.fd = cpu};

		if ((size_t)snprintf(want, sizeof(want), "cpu%d", cpu) != len || memcmp(want, name, len) != 0)
			continue;
		*out_inode = proc_node_create(dir->sb, &one_cpu, &from);
		return *out_inode ? 0 : -ENOMEM;
	}
	return err;
}

static int cpus_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	const int64_t first = 2, cpus = 1000;
	char name[16];

	if (!proc_emit_dots(f, d, pos))
		return 0;
	if (*pos < cpus) {
		if (!proc_emit_table(d, cpu_entries, first, pos))
			return 0;
		*pos = cpus;
	}
	for (; *pos - cpus < kernel()->ncpus; ++*pos) {
		int len = snprintf(name, sizeof(name), "cpu%d", (int)(*pos - cpus));

		if (!d->emit(d, name, (size_t)len, (uint64_t)*pos + 0x400000, DT_DIR, *pos + 1))
			break;
	}
	return 0;
}

static const struct inode_ops cpus_ops = {.lookup = cpus_lookup, .create = proc_no_create, .destroy = proc_node_destroy,
					  .revalidate = proc_always_anew, .no_negative = true};
static const struct file_ops cpus_file_ops = {.readdir = cpus_readdir};

// --- the tree

static const struct proc_entry node0_entries[] = {FILE_RO("cpulist", show_cpus), FILE_RO("cpumap", show_all_mask), {0}};
static const struct proc_entry node_entries[] = {DIR("node0", node0_entries), FILE_RO("has_cpu", show_node),
						 FILE_RO("has_memory", show_node), FILE_RO("online", show_node),
						 FILE_RO("possible", show_node), {0}};
static const struct proc_entry system_entries[] = {
	{.name = "cpu", .mode = S_IFDIR | 0555, .dir_ops = &cpus_ops, .dir_file_ops = &cpus_file_ops}, DIR("node", node_entries), {0}};
static const struct proc_entry lo_entries[] = {
	FILE_RO("addr_len", show_constant), FILE_RO("address", show_constant), FILE_RO("broadcast", show_constant),
	FILE_RO("carrier", show_constant), FILE_RO("dev_id", show_constant), FILE_RO("flags", show_constant),
	FILE_RO("ifindex", show_constant), FILE_RO("iflink", show_constant), FILE_RO("mtu", show_constant),
	FILE_RO("operstate", show_constant), FILE_RO("tx_queue_len", show_constant), FILE_RO("type", show_constant), {0}};
static const struct proc_entry virtual_net_entries[] = {DIR("lo", lo_entries), {0}};
static const struct proc_entry virtual_entries[] = {DIR("net", virtual_net_entries), {0}};
static const struct proc_entry devices_entries[] = {DIR("system", system_entries), DIR("virtual", virtual_entries), {0}};
static const struct proc_entry thp_entries[] = {FILE_RO("defrag", show_constant), FILE_RO("enabled", show_constant),
						FILE_RO("hpage_pmd_size", show_constant), FILE_RO("shmem_enabled", show_constant), {0}};
static const struct proc_entry mm_entries[] = {DIR("hugepages", none), DIR("transparent_hugepage", thp_entries), {0}};
static const struct proc_entry kernel_entries[] = {DIR("mm", mm_entries), {0}};

static int link_lo(struct proc_node *n, char *dst, size_t cap)
{
	(void)n;
	return snprintf(dst, cap, "../../devices/virtual/net/lo");
}

static const struct proc_entry net_entries[] = {{.name = "lo", .mode = S_IFLNK | 0777, .link = link_lo}, {0}};
static const struct proc_entry class_entries[] = {DIR("block", none), DIR("net", net_entries), {0}};
static const struct proc_entry fs_entries[] = {DIR("cgroup", none), {0}};
static const struct proc_entry root_entries[] = {
	DIR("block", none), DIR("bus", none), DIR("class", class_entries), DIR("dev", none), DIR("devices", devices_entries),
	DIR("firmware", none), DIR("fs", fs_entries), DIR("kernel", kernel_entries), DIR("module", none), DIR("power", none), {0}};
static const struct proc_entry root_entry = DIR("/", root_entries);

static int mount_sysfs(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct super_block *sb = sb_create(type);
	struct inode *root = sb ? proc_node_create(sb, &root_entry, NULL) : NULL;

	(void)args;
	if (!root || sb_set_root(sb, root) < 0)
		return -ENOMEM;
	*out_sb = sb;
	return 0;
}

static int sysfs_statfs(struct super_block *sb, struct statfs *out)
{
	*out = (struct statfs){.f_type = sb->type->magic, .f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = 255};
	return 0;
}

const struct fs_type sysfs_type = {
	.name = "sysfs", .magic = SYSFS_MAGIC, .user_mountable = true, .nodev = true, .mount = mount_sysfs, .statfs = sysfs_statfs};
