// sysfs: the processors, and the empty directories that programs expect. Built like procfs, of tables.
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "sentry/fs/proc/proc_int.h"

static int show_cpus(struct proc_node *n, struct proc_text *x)
{
	long last = sysconf(_SC_NPROCESSORS_ONLN) - 1;

	(void)n;
	proc_printf(x, last ? "0-%ld\n" : "%ld\n", last);
	return 0;
}

static int show_kernel_max(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "8191\n");
	return 0;
}

static int show_nothing(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "\n");
	return 0;
}

static int show_thp(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "always [madvise] never\n");
	return 0;
}

static int show_thp_size(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "2097152\n");
	return 0;
}

#define DIR(n, c) {.name = n, .mode = S_IFDIR | 0555, .children = c}
#define FILE_RO(n, fn) {.name = n, .mode = S_IFREG | 0444, .show = fn}

static const struct proc_entry none[] = {{0}};
static const struct proc_entry cpu_entries[] = {FILE_RO("kernel_max", show_kernel_max), FILE_RO("offline", show_nothing),
						FILE_RO("online", show_cpus), FILE_RO("possible", show_cpus),
						FILE_RO("present", show_cpus), {0}};
static const struct proc_entry node0_entries[] = {FILE_RO("cpulist", show_cpus), {0}};
static int show_node(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "0\n");
	return 0;
}
static const struct proc_entry node_entries[] = {DIR("node0", node0_entries), FILE_RO("online", show_node),
						 FILE_RO("possible", show_node), {0}};
static const struct proc_entry system_entries[] = {DIR("cpu", cpu_entries), DIR("node", node_entries), {0}};
static const struct proc_entry devices_entries[] = {DIR("system", system_entries), DIR("virtual", none), {0}};
static const struct proc_entry thp_entries[] = {FILE_RO("enabled", show_thp), FILE_RO("hpage_pmd_size", show_thp_size), {0}};
static const struct proc_entry mm_entries[] = {DIR("transparent_hugepage", thp_entries), {0}};
static const struct proc_entry kernel_entries[] = {DIR("mm", mm_entries), {0}};
static const struct proc_entry class_entries[] = {DIR("net", none), DIR("block", none), {0}};
static const struct proc_entry fs_entries[] = {DIR("cgroup", none), {0}};
static const struct proc_entry root_entries[] = {DIR("block", none),	   DIR("bus", none),	       DIR("class", class_entries),
						 DIR("dev", none),	   DIR("devices", devices_entries), DIR("firmware", none),
						 DIR("fs", fs_entries), DIR("kernel", kernel_entries), DIR("module", none),
						 DIR("power", none),	   {0}};
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
