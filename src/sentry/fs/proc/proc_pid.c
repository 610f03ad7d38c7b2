// /proc/PID: the tables, and the directories task, fd and fdinfo.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/mm/mm.h"

enum { POS_LIST = 2, AREA_MAX = 4 << 20 };

// --- small files

// Bytes of the process's own memory, as cmdline and environ are.
static int show_area(struct proc_node *n, struct proc_text *x, uaddr_t start, uaddr_t end, struct mm *mm)
{
	char buf[PAGE_SIZE];

	(void)n;
	if (end > start && end - start > AREA_MAX)
		end = start + AREA_MAX;
	while (start < end) {
		int64_t got = mm_read_remote(mm, buf, start, MIN(end - start, sizeof(buf)));

		if (got <= 0)
			break;
		proc_bytes(x, buf, got);
		start += got;
	}
	return 0;
}

static int show_cmdline(struct proc_node *n, struct proc_text *x)
{
	struct mm *mm = proc_get_mm(n);

	if (!mm)
		return 0;
	show_area(n, x, mm->arg_start, mm->arg_end, mm);
	// A program that overwrote its arguments (setproctitle) may have run on into the environment.
	if (x->len && x->buf[x->len - 1] != 0 && mm->env_end > mm->arg_end) {
		show_area(n, x, mm->arg_end, mm->env_end, mm);
		x->len = MIN(x->len, strnlen(x->buf, x->len) + 1);
	}
	mm_put(mm);
	return 0;
}

static int show_environ(struct proc_node *n, struct proc_text *x)
{
	struct mm *mm = proc_get_mm(n);

	if (!mm)
		return 0;
	show_area(n, x, mm->env_start, mm->env_end, mm);
	mm_put(mm);
	return 0;
}

static int show_auxv(struct proc_node *n, struct proc_text *x)
{
	struct mm *mm = proc_get_mm(n);
	size_t i;

	if (!mm)
		return 0;
	for (i = 0; i + 2 < ARRAY_LEN(mm->auxv) && mm->auxv[i]; i += 2)
		;
	proc_bytes(x, mm->auxv, (i + 2) * sizeof(mm->auxv[0]));
	mm_put(mm);
	return 0;
}

static int show_comm(struct proc_node *n, struct proc_text *x)
{
	char comm[TASK_COMM_LEN];

	mutex_lock(&kernel()->tasks_mu);
	memcpy(comm, n->task->comm, sizeof(comm));
	mutex_unlock(&kernel()->tasks_mu);
	proc_printf(x, "%.15s\n", comm);
	return 0;
}

static int store_comm(struct proc_node *n, const char *text, size_t len)
{
	if (!current_task() || current_task()->tg != n->tg)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	memset(n->task->comm, 0, TASK_COMM_LEN);
	memcpy(n->task->comm, text, MIN(strcspn(text, "\n"), (size_t)TASK_COMM_LEN - 1));
	mutex_unlock(&kernel()->tasks_mu);
	(void)len;
	return 0;
}

static int show_limits(struct proc_node *n, struct proc_text *x)
{
	static const struct {
		const char *name, *unit;
		int resource;
	} rows[] = {
		{"Max cpu time", "seconds", RLIMIT_CPU},	 {"Max file size", "bytes", RLIMIT_FSIZE},
		{"Max data size", "bytes", RLIMIT_DATA},	 {"Max stack size", "bytes", RLIMIT_STACK},
		{"Max core file size", "bytes", RLIMIT_CORE},	 {"Max resident set", "bytes", RLIMIT_RSS},
		{"Max processes", "processes", RLIMIT_NPROC},	 {"Max open files", "files", RLIMIT_NOFILE},
		{"Max locked memory", "bytes", RLIMIT_MEMLOCK},	 {"Max address space", "bytes", RLIMIT_AS},
		{"Max file locks", "locks", RLIMIT_LOCKS},	 {"Max pending signals", "signals", RLIMIT_SIGPENDING},
		{"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE}, {"Max nice priority", "", RLIMIT_NICE},
		{"Max realtime priority", "", RLIMIT_RTPRIO},	 {"Max realtime timeout", "us", RLIMIT_RTTIME},
	};

	proc_printf(x, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct rlimit64 *r = &n->tg->rlimits[rows[i].resource];
		char soft[24] = "unlimited", hard[24] = "unlimited";

		if (r->rlim_cur != RLIM64_INFINITY)
			snprintf(soft, sizeof(soft), "%lu", (unsigned long)r->rlim_cur);
		if (r->rlim_max != RLIM64_INFINITY)
			snprintf(hard, sizeof(hard), "%lu", (unsigned long)r->rlim_max);
		proc_printf(x, "%-25s %-20s %-20s %-10s\n", rows[i].name, soft, hard, rows[i].unit);
	}
	return 0;
}

static int show_cgroup(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "0::/\n");
	return 0;
}

static int show_oom_score(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "0\n");
	return 0;
}

static int show_oom_score_adj(struct proc_node *n, struct proc_text *x)
{
	proc_printf(x, "%d\n", n->tg->oom_score_adj);
	return 0;
}

static int store_oom_score_adj(struct proc_node *n, const char *text, size_t len)
{
	char *end;
	long v = strtol(text, &end, 10);

	(void)len;
	if (end == text || v < -1000 || v > 1000)
		return -EINVAL;
	if (v < n->tg->oom_score_adj && !cred_has_cap(current_task()->cred, CAP_SYS_RESOURCE))
		return -EACCES;
	n->tg->oom_score_adj = (int)v;
	return 0;
}

static int show_io(struct proc_node *n, struct proc_text *x)
{
	(void)n; // not counted
	proc_printf(x, "rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n");
	return 0;
}

static int show_idmap(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "%10u %10u %10u\n", 0u, 0u, 4294967295u);
	return 0;
}

static int show_setgroups(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "allow\n");
	return 0;
}

static int show_personality(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "00000000\n");
	return 0;
}

static int show_loginuid(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "4294967295");
	return 0;
}

static int show_wchan(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "0");
	return 0;
}

static int show_statm(struct proc_node *n, struct proc_text *x)
{
	struct mm *mm = proc_get_mm(n);
	uint64_t total = 0, data = 0, text = 0, resident = 0, shared = 0;

	if (mm) {
		mm_resident(mm, &resident, &shared);
		total = mm->total_bytes / PAGE_SIZE;
		data = mm->data_bytes / PAGE_SIZE;
		text = (PAGE_ALIGN(mm->code_end) - (mm->code_start & PAGE_MASK)) / PAGE_SIZE;
		mm_put(mm);
	}
	proc_printf(x, "%lu %lu %lu %lu 0 %lu 0\n", (unsigned long)total, (unsigned long)MIN(total, resident),
		    (unsigned long)MIN(total, shared), (unsigned long)text, (unsigned long)data);
	return 0;
}

static int show_sessionid(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "4294967295"); // no audit session
	return 0;
}

static int show_timerslack(struct proc_node *n, struct proc_text *x)
{
	proc_printf(x, "%lu\n", (unsigned long)(n->task->timer_slack_ns ? n->task->timer_slack_ns : 50000));
	return 0;
}

static int show_schedstat(struct proc_node *n, struct proc_text *x)
{
	uint64_t ns;

	mutex_lock(&kernel()->tasks_mu);
	ns = task_cpu_ns(n->task);
	mutex_unlock(&kernel()->tasks_mu);
	proc_printf(x, "%lu 0 0\n", (unsigned long)ns); // waiting and turns aren't counted
	return 0;
}

static int show_coredump_filter(struct proc_node *n, struct proc_text *x)
{
	(void)n;
	proc_printf(x, "00000033\n");
	return 0;
}

// --- links

static int magic_exe(struct proc_node *n, struct path *out)
{
	struct file *exe = NULL;

	mutex_lock(&kernel()->tasks_mu);
	if (n->tg->exe)
		exe = file_get(n->tg->exe);
	mutex_unlock(&kernel()->tasks_mu);
	if (!exe)
		return -ENOENT;
	*out = path_get(&exe->path);
	file_put(exe);
	return 0;
}

static int magic_fs(struct proc_node *n, struct path *out, bool root)
{
	struct fs_context *fs = proc_get_fs(n);

	if (!fs)
		return -ENOENT;
	mutex_lock(&fs->mu);
	*out = path_get(root ? &fs->root : &fs->cwd);
	mutex_unlock(&fs->mu);
	fs_context_put(fs);
	return 0;
}

static int magic_cwd(struct proc_node *n, struct path *out)
{
	return magic_fs(n, out, false);
}

static int magic_root(struct proc_node *n, struct path *out)
{
	return magic_fs(n, out, true);
}

struct fd_search {
	int fd;
	struct file *file;
};

static bool is_fd(void *arg, int fd, struct file *f, bool cloexec)
{
	struct fd_search *s = arg;

	(void)cloexec;
	if (fd == s->fd)
		s->file = file_get(f);
	return fd < s->fd;
}

static struct file *file_of(struct proc_node *n, int fd)
{
	struct fdtable *ft = proc_get_files(n);
	struct fd_search s = {.fd = fd};

	if (!ft)
		return NULL;
	fdtable_each(ft, is_fd, &s);
	fdtable_put(ft, current_task());
	return s.file;
}

static int magic_fd(struct proc_node *n, struct path *out)
{
	struct file *f = file_of(n, n->fd);

	if (!f)
		return -ENOENT;
	*out = path_get(&f->path);
	file_put(f);
	return 0;
}

// All of a sandbox's processes share one namespace of each kind.
static int link_ns(struct proc_node *n, char *dst, size_t cap)
{
	unsigned number = 4026531835u;

	for (const char *p = n->entry->name; *p; p++)
		number += (unsigned char)*p;
	return snprintf(dst, cap, "%s:[%u]", n->entry->name, number);
}

// --- fd and fdinfo

static int show_fdinfo(struct proc_node *n, struct proc_text *x)
{
	struct file *f = file_of(n, n->fd);
	char extra[1024];

	if (!f)
		return -ENOENT;
	proc_printf(x, "pos:\t%ld\nflags:\t0%o\nmnt_id:\t%d\nino:\t%lu\n", (long)f->pos, (unsigned)f->flags, 1,
		    (unsigned long)f->inode->attr.ino);
	if (f->ops && f->ops->show_fdinfo) {
		int len = f->ops->show_fdinfo(f, extra, sizeof(extra));

		if (len > 0)
			proc_bytes(x, extra, len);
	}
	file_put(f);
	return 0;
}

static const struct proc_entry fd_entry = {.name = "fd", .mode = S_IFLNK | 0700, .magic = magic_fd},
			       fdinfo_entry = {.name = "fdinfo", .mode = S_IFREG | 0400, .show = show_fdinfo};

static int fd_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	struct proc_node *n = proc_node(dir), from = {.tg = n->tg, .task = n->task};
	char *end;
	long fd = strtol(name, &end, 10);
	struct file *f;

	if (end != name + len || name[0] < '0' || name[0] > '9' || fd > 1 << 20 || (name[0] == '0' && len > 1))
		return -ENOENT;
	f = file_of(n, (int)fd);
	if (!f)
		return -ENOENT;
	from.fd = (int)fd;
	*out_inode = proc_node_create(dir->sb, strcmp(n->entry->name, "fd") == 0 ? &fd_entry : &fdinfo_entry, &from);
	if (*out_inode && strcmp(n->entry->name, "fd") == 0) {
		uint32_t acc = f->flags & O_ACCMODE;

		(*out_inode)->attr.mode = S_IFLNK | (acc == O_RDONLY ? 0500 : acc == O_WRONLY ? 0300 : 0700);
		(*out_inode)->attr.size = 64;
	}
	file_put(f);
	return *out_inode ? 0 : -ENOMEM;
}

struct fd_listing {
	struct dir_emit *d;
	int64_t *pos;
	unsigned char type;
};

static bool list_fd(void *arg, int fd, struct file *f, bool cloexec)
{
	struct fd_listing *l = arg;
	char name[16];
	int len;

	(void)f;
	(void)cloexec;
	if (POS_LIST + fd < *l->pos)
		return true;
	len = snprintf(name, sizeof(name), "%d", fd);
	if (!l->d->emit(l->d, name, len, (uint64_t)fd + 0x200000, l->type, POS_LIST + fd + 1))
		return false;
	*l->pos = POS_LIST + fd + 1;
	return true;
}

static int fd_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct proc_node *n = proc_node(f->inode);
	struct fd_listing l = {d, pos, strcmp(n->entry->name, "fd") == 0 ? DT_LNK : DT_REG};
	struct fdtable *ft;

	if (!proc_emit_dots(f, d, pos))
		return 0;
	ft = proc_get_files(n);
	if (!ft)
		return 0;
	fdtable_each(ft, list_fd, &l);
	fdtable_put(ft, current_task());
	return 0;
}

const struct inode_ops proc_fd_dir_ops = {
	.lookup = fd_lookup, .destroy = proc_node_destroy, .revalidate = proc_always_anew, .no_negative = true};
const struct file_ops proc_fd_dir_file_ops = {.readdir = fd_readdir};

// --- task

static const struct proc_entry tid_dir_entry = {.name = "TID", .mode = S_IFDIR | 0555, .children = proc_tid_entries};
static const struct proc_entry pid_dir_entry = {.name = "PID", .mode = S_IFDIR | 0555, .children = proc_pid_entries};

static int task_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	struct proc_node *n = proc_node(dir), from = {.tg = n->tg, .fd = -1};
	char *end;
	long tid = strtol(name, &end, 10);

	if (end != name + len || tid <= 0 || name[0] == '0')
		return -ENOENT;
	from.task = task_find((int)tid);
	if (!from.task)
		return -ENOENT;
	*out_inode = NULL;
	if (from.task->tg == n->tg)
		*out_inode = proc_node_create(dir->sb, &tid_dir_entry, &from);
	task_put(from.task);
	return *out_inode ? 0 : -ENOENT;
}

static int task_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	struct thread_group *tg = proc_node(f->inode)->tg;
	char name[16];

	if (!proc_emit_dots(f, d, pos))
		return 0;
	for (;;) {
		struct task *t;
		int best = 0, len;

		mutex_lock(&kernel()->tasks_mu);
		TAILQ_FOREACH(t, &tg->tasks, tg_link)
			if (t->tid > *pos - POS_LIST && (!best || t->tid < best))
				best = t->tid;
		mutex_unlock(&kernel()->tasks_mu);
		if (!best)
			return 0;
		len = snprintf(name, sizeof(name), "%d", best);
		if (!d->emit(d, name, len, (uint64_t)best + 0x300000, DT_DIR, POS_LIST + best))
			return 0;
		*pos = POS_LIST + best;
	}
}

// A directory for each thread: programs count threads by the links.
static int task_getattr(struct inode *inode, struct inode_attr *out)
{
	*out = inode->attr;
	mutex_lock(&kernel()->tasks_mu);
	out->nlink = 2 + (proc_node(inode)->tg ? proc_node(inode)->tg->ntasks : 0);
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

const struct inode_ops proc_task_dir_ops = {
	.lookup = task_lookup, .getattr = task_getattr, .destroy = proc_node_destroy, .revalidate = proc_always_anew, .no_negative = true};
const struct file_ops proc_task_dir_file_ops = {.readdir = task_readdir};

struct inode *proc_pid_dir(struct super_block *sb, int tgid)
{
	struct proc_node from = {.tg = group_find(tgid), .fd = -1};
	struct inode *inode;

	if (!from.tg) { // a thread's number leads to its process, though no listing shows it
		from.task = task_find(tgid);
		if (!from.task)
			return NULL;
		from.tg = group_get(from.task->tg);
	} else {
		mutex_lock(&kernel()->tasks_mu);
		from.task = from.tg->leader ? task_get(from.tg->leader) : NULL;
		mutex_unlock(&kernel()->tasks_mu);
	}
	inode = from.task ? proc_node_create(sb, &pid_dir_entry, &from) : NULL;
	if (from.task)
		task_put(from.task);
	group_put(from.tg);
	return inode;
}

// --- the tables

static const struct proc_entry ns_entries[] = {
	{.name = "cgroup", .mode = S_IFLNK | 0777, .link = link_ns}, {.name = "ipc", .mode = S_IFLNK | 0777, .link = link_ns},
	{.name = "mnt", .mode = S_IFLNK | 0777, .link = link_ns},    {.name = "net", .mode = S_IFLNK | 0777, .link = link_ns},
	{.name = "pid", .mode = S_IFLNK | 0777, .link = link_ns},    {.name = "time", .mode = S_IFLNK | 0777, .link = link_ns},
	{.name = "user", .mode = S_IFLNK | 0777, .link = link_ns},   {.name = "uts", .mode = S_IFLNK | 0777, .link = link_ns},
	{0}};

// What a process and a thread show alike.
#define COMMON_ENTRIES \
	{.name = "auxv", .mode = S_IFREG | 0400, .show = show_auxv, .open = proc_mem_open}, \
	{.name = "cgroup", .mode = S_IFREG | 0444, .show = show_cgroup}, \
	{.name = "cmdline", .mode = S_IFREG | 0444, .show = show_cmdline}, \
	{.name = "comm", .mode = S_IFREG | 0644, .show = show_comm, .store = store_comm}, \
	{.name = "coredump_filter", .mode = S_IFREG | 0444, .show = show_coredump_filter}, \
	{.name = "cwd", .mode = S_IFLNK | 0777, .magic = magic_cwd}, \
	{.name = "environ", .mode = S_IFREG | 0400, .show = show_environ, .open = proc_mem_open}, \
	{.name = "exe", .mode = S_IFLNK | 0777, .magic = magic_exe}, \
	{.name = "fd", .mode = S_IFDIR | 0500, .dir_ops = &proc_fd_dir_ops, .dir_file_ops = &proc_fd_dir_file_ops}, \
	{.name = "fdinfo", .mode = S_IFDIR | 0555, .dir_ops = &proc_fd_dir_ops, .dir_file_ops = &proc_fd_dir_file_ops}, \
	{.name = "gid_map", .mode = S_IFREG | 0444, .show = show_idmap}, \
	{.name = "io", .mode = S_IFREG | 0400, .show = show_io, .open = proc_mem_open}, \
	{.name = "limits", .mode = S_IFREG | 0444, .show = show_limits}, \
	{.name = "loginuid", .mode = S_IFREG | 0444, .show = show_loginuid}, \
	{.name = "maps", .mode = S_IFREG | 0444, .show = proc_show_maps, .open = proc_mem_open}, \
	{.name = "mem", .mode = S_IFREG | 0600, .open = proc_mem_open, .file_ops = &proc_mem_ops}, \
	{.name = "mountinfo", .mode = S_IFREG | 0444, .show = proc_show_mountinfo}, \
	{.name = "mounts", .mode = S_IFREG | 0444, .show = proc_show_mounts}, \
	{.name = "net", .mode = S_IFDIR | 0555, .children = proc_net_entries}, \
	{.name = "ns", .mode = S_IFDIR | 0511, .children = ns_entries}, \
	{.name = "oom_score", .mode = S_IFREG | 0444, .show = show_oom_score}, \
	{.name = "oom_score_adj", .mode = S_IFREG | 0644, .show = show_oom_score_adj, .store = store_oom_score_adj}, \
	{.name = "personality", .mode = S_IFREG | 0400, .show = show_personality, .open = proc_mem_open}, \
	{.name = "root", .mode = S_IFLNK | 0777, .magic = magic_root}, \
	{.name = "schedstat", .mode = S_IFREG | 0444, .show = show_schedstat}, \
	{.name = "sessionid", .mode = S_IFREG | 0444, .show = show_sessionid}, \
	{.name = "setgroups", .mode = S_IFREG | 0444, .show = show_setgroups}, \
	{.name = "smaps", .mode = S_IFREG | 0444, .show = proc_show_smaps, .open = proc_mem_open}, \
	{.name = "smaps_rollup", .mode = S_IFREG | 0444, .show = proc_show_smaps_rollup, .open = proc_mem_open}, \
	{.name = "stat", .mode = S_IFREG | 0444, .show = proc_show_stat}, \
	{.name = "statm", .mode = S_IFREG | 0444, .show = show_statm}, \
	{.name = "status", .mode = S_IFREG | 0444, .show = proc_show_status}, \
	{.name = "timerslack_ns", .mode = S_IFREG | 0444, .show = show_timerslack}, \
	{.name = "uid_map", .mode = S_IFREG | 0444, .show = show_idmap}, \
	{.name = "wchan", .mode = S_IFREG | 0444, .show = show_wchan}

const struct proc_entry proc_pid_entries[] = {
	COMMON_ENTRIES,
	{.name = "task", .mode = S_IFDIR | 0555, .dir_ops = &proc_task_dir_ops, .dir_file_ops = &proc_task_dir_file_ops},
	{0}};

const struct proc_entry proc_tid_entries[] = {COMMON_ENTRIES, {0}};
