// /proc/PID/maps, smaps, mounts and mountinfo.
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs_int.h"

enum { ROWS_MAX = 65536, PATH_COLUMN = 73 };

// The mappings are noted under the memory's lock and printed without it, since a path needs the VFS's locks.
struct row {
	uaddr_t start, end;
	uint64_t offset;
	int prot, flags;
	struct file *file; // counted
	const char *name;
};

struct rows {
	struct row *v;
	size_t n, cap;
};

static bool note_row(void *arg, const struct vma *v)
{
	struct rows *r = arg;

	if (r->n == r->cap) {
		size_t cap = MAX(r->cap * 2, 64ul);
		struct row *grown = cap > ROWS_MAX ? NULL : kmem_bytes_resize(r->v, cap * sizeof(*grown));

		if (!grown)
			return false;
		r->v = grown;
		r->cap = cap;
	}
	r->v[r->n++] = (struct row){v->start, v->end, v->file_offset, v->prot, v->flags, v->file ? file_get(v->file) : NULL, v->name};
	return true;
}

static void show_row(struct proc_text *x, const struct row *r, const struct path *root, bool detailed)
{
	char path[PATH_MAX + 16] = "";
	uint64_t dev = 0, ino = 0;
	unsigned long kb = (unsigned long)((r->end - r->start) / 1024);
	char head[128];
	int len;

	if (r->file) {
		if (vfs_path_string(&r->file->path, root, false, path, sizeof(path)) < 0)
			path[0] = 0;
		dev = r->file->inode->sb->dev;
		ino = r->file->inode->attr.ino;
	} else if (r->name) {
		snprintf(path, sizeof(path), "%s", r->name);
	} else if (r->flags & MAP_SHARED) {
		snprintf(path, sizeof(path), "/dev/zero (deleted)");
	}
	len = snprintf(head, sizeof(head), "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", (unsigned long)r->start, (unsigned long)r->end,
		       r->prot & PROT_READ ? 'r' : '-', r->prot & PROT_WRITE ? 'w' : '-', r->prot & PROT_EXEC ? 'x' : '-',
		       r->flags & MAP_SHARED ? 's' : 'p', r->file ? (unsigned long)r->offset : 0, major(dev), minor(dev),
		       (unsigned long)ino);
	if (path[0])
		proc_printf(x, "%s%*s%s\n", head, MAX(PATH_COLUMN - len, 1), "", path);
	else
		proc_printf(x, "%s \n", head);
	if (detailed)
		proc_printf(x, "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\nRss:            %8lu kB\n"
			       "Pss:            %8lu kB\nShared_Clean:          0 kB\nShared_Dirty:          0 kB\n"
			       "Private_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\nSwap:                  0 kB\nVmFlags:\n",
			    kb, kb, kb, kb);
}

static int show_mappings(struct proc_node *n, struct proc_text *x, bool detailed)
{
	struct mm *mm = proc_get_mm(n);
	struct fs_context *fs = proc_get_fs(n);
	struct rows rows = {0};
	struct path root = {0};

	if (fs) {
		mutex_lock(&fs->mu);
		root = path_get(&fs->root);
		mutex_unlock(&fs->mu);
	}
	if (mm)
		mm_each_vma(mm, note_row, &rows);
	for (size_t i = 0; i < rows.n; i++) {
		show_row(x, &rows.v[i], fs ? &root : NULL, detailed);
		file_put(rows.v[i].file);
	}
	kmem_bytes_free(rows.v);
	path_put(&root);
	fs_context_put(fs);
	if (mm)
		mm_put(mm);
	return 0;
}

int proc_show_maps(struct proc_node *n, struct proc_text *x)
{
	return show_mappings(n, x, false);
}

// Private memory counts as anonymous and dirty, the rest as clean and shared.
int proc_show_smaps_rollup(struct proc_node *n, struct proc_text *x)
{
	struct mm *mm = proc_get_mm(n);
	uint64_t all = 0, shared = 0;
	unsigned long kb, shared_kb;

	if (!mm)
		return -ESRCH;
	mm_resident(mm, &all, &shared);
	proc_printf(x, "%08lx-%08lx ---p 00000000 00:00 0                          [rollup]\n", (unsigned long)mm->code_start,
		    (unsigned long)APP_MAX);
	mm_put(mm);
	kb = (unsigned long)(all * (PAGE_SIZE / 1024));
	shared_kb = (unsigned long)(shared * (PAGE_SIZE / 1024));
	proc_printf(x,
		    "Rss:            %8lu kB\nPss:            %8lu kB\nPss_Dirty:      %8lu kB\nPss_Anon:       %8lu kB\n"
		    "Pss_File:       %8lu kB\nPss_Shmem:             0 kB\nShared_Clean:   %8lu kB\nShared_Dirty:          0 kB\n"
		    "Private_Clean:         0 kB\nPrivate_Dirty:  %8lu kB\nReferenced:     %8lu kB\nAnonymous:      %8lu kB\n"
		    "LazyFree:              0 kB\nAnonHugePages:         0 kB\nSwap:                  0 kB\nSwapPss:               0 kB\n"
		    "Locked:                0 kB\n",
		    kb, kb, kb - shared_kb, kb - shared_kb, shared_kb, shared_kb, kb - shared_kb, kb, kb - shared_kb);
	return 0;
}

int proc_show_smaps(struct proc_node *n, struct proc_text *x)
{
	return show_mappings(n, x, true);
}

// --- mounts

static void show_flags(struct proc_text *x, unsigned flags)
{
	proc_printf(x, "%s%s%s%s%s%s%s", flags & ST_RDONLY ? "ro" : "rw", flags & ST_NOSUID ? ",nosuid" : "",
		    flags & ST_NODEV ? ",nodev" : "", flags & ST_NOEXEC ? ",noexec" : "", flags & ST_NOATIME ? ",noatime" : "",
		    flags & ST_NODIRATIME ? ",nodiratime" : "", flags & ST_RELATIME ? ",relatime" : "");
}

// White space and backslashes in names as octal, as getmntent(3) expects.
static void show_name(struct proc_text *x, const char *s)
{
	for (; *s; s++)
		if (strchr(" \t\n\\", *s))
			proc_printf(x, "\\%03o", (unsigned char)*s);
		else
			proc_bytes(x, s, 1);
}

static void show_options(struct proc_text *x, struct super_block *sb)
{
	char options[256];

	if (sb->type->show_options && sb->type->show_options(sb, options, sizeof(options)) > 0)
		proc_printf(x, "%s", options);
}

static const char *source_of(const struct mount *m)
{
	return m->source ? m->source : m->sb->type == &gofer_type ? "none" : m->sb->type->name;
}

static void show_mount(void *arg, struct mount *m, const char *mount_point)
{
	struct proc_text *x = arg;

	show_name(x, source_of(m));
	proc_printf(x, " ");
	show_name(x, mount_point);
	proc_printf(x, " %s ", m->sb->type->name);
	show_flags(x, mount_flags(m));
	show_options(x, m->sb);
	proc_printf(x, " 0 0\n");
}

static void show_mountinfo(void *arg, struct mount *m, const char *mount_point)
{
	struct proc_text *x = arg;

	char root[PATH_MAX];

	if (vfs_dentry_string(m->root, root, sizeof(root)) < 0)
		return;
	proc_printf(x, "%d %d %u:%u ", m->id, m->parent ? m->parent->id : 0, major(m->sb->dev), minor(m->sb->dev));
	show_name(x, root);
	proc_printf(x, " ");
	show_name(x, mount_point);
	proc_printf(x, " ");
	show_flags(x, m->flags);
	proc_printf(x, " - %s ", m->sb->type->name);
	show_name(x, source_of(m));
	proc_printf(x, " ");
	show_flags(x, m->sb->flags);
	show_options(x, m->sb);
	proc_printf(x, "\n");
}

static int each_mount(struct proc_node *n, struct proc_text *x, void (*fn)(void *, struct mount *, const char *))
{
	struct fs_context *fs = proc_get_fs(n);

	if (fs)
		vfs_each_mount(fs, fn, x);
	fs_context_put(fs);
	return 0;
}

int proc_show_mounts(struct proc_node *n, struct proc_text *x)
{
	return each_mount(n, x, show_mount);
}

int proc_show_mountinfo(struct proc_node *n, struct proc_text *x)
{
	return each_mount(n, x, show_mountinfo);
}
