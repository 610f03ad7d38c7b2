// procfs: the mount, its root directory, and what all its nodes share.
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/fs/proc/proc_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/mm/mm.h"

enum { POS_TABLE = 2, POS_PIDS = 1000, STORE_MAX = 4096 };

KMEM_TYPE(node_type, proc_node);

// --- text

void proc_bytes(struct proc_text *x, const void *bytes, size_t len)
{
	if (x->len + len > x->cap) {
		size_t cap = MAX(x->cap * 2, x->len + len + 1024);
		char *buf = kmem_bytes_resize(x->buf, cap);

		if (!buf) {
			x->failed = true;
			return;
		}
		x->buf = buf;
		x->cap = cap;
	}
	memcpy(x->buf + x->len, bytes, len);
	x->len += len;
}

void proc_printf(struct proc_text *x, const char *fmt, ...)
{
	char line[4600]; // a path and a little more
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		proc_bytes(x, line, MIN((size_t)n, sizeof(line) - 1));
}

// --- nodes

static uint64_t ino_of(const struct proc_entry *e, const struct proc_node *n)
{
	uint64_t h = (uintptr_t)e / sizeof(void *) * 31;

	h = h * 1000003 + (n->tg ? (uint64_t)n->tg->tgid : 0);
	h = h * 1000003 + (n->task ? (uint64_t)n->task->tid : 0);
	return (h * 1000003 + (uint64_t)n->fd) & 0x7fffffffffff;
}

struct inode *proc_node_create(struct super_block *sb, const struct proc_entry *e, const struct proc_node *from)
{
	struct proc_node *n = kmem_alloc(&node_type);
	const struct inode_ops *ops = e->dir_ops ? e->dir_ops : &proc_dir_ops;

	if (!n)
		return NULL;
	inode_init(&n->inode, sb, ops, e->mode);
	n->entry = e;
	n->fd = -1;
	if (from) {
		n->tg = from->tg ? group_get(from->tg) : NULL;
		n->task = from->task ? task_get(from->task) : NULL;
		n->fd = from->fd;
	}
	n->inode.uncached = n->tg;
	n->inode.attr.ino = ino_of(e, n);
	if (S_ISDIR(e->mode))
		n->inode.attr.nlink = 2;
	if (S_ISDIR(e->mode))
		n->inode.file_ops = e->dir_file_ops ? e->dir_file_ops : &proc_dir_file_ops;
	else
		n->inode.file_ops = e->file_ops ? e->file_ops : &proc_file_ops;
	n->inode.attr.atime.tv_sec = ktime_now(CLOCK_REALTIME) / NSEC_PER_SEC;
	n->inode.attr.mtime = n->inode.attr.ctime = n->inode.attr.atime;
	if (n->task) {
		mutex_lock(&kernel()->tasks_mu);
		if (n->task->cred) {
			n->inode.attr.uid = n->task->cred->euid;
			n->inode.attr.gid = n->task->cred->egid;
		}
		mutex_unlock(&kernel()->tasks_mu);
	}
	return &n->inode;
}

void proc_node_destroy(struct inode *inode)
{
	struct proc_node *n = proc_node(inode);

	if (n->task)
		task_put(n->task);
	if (n->tg)
		group_put(n->tg);
	inode_fini(inode);
	kmem_free(&node_type, n);
}

bool proc_always_anew(struct dentry *d)
{
	(void)d;
	return false;
}

// --- what a process still has

struct mm *proc_get_mm(struct proc_node *n)
{
	struct mm *mm = NULL;

	if (n->task)
		late_await(n->task);
	mutex_lock(&kernel()->tasks_mu);
	if (n->task && n->task->mm)
		mm = mm_get(n->task->mm);
	mutex_unlock(&kernel()->tasks_mu);
	return mm;
}

struct fdtable *proc_get_files(struct proc_node *n)
{
	struct fdtable *ft = NULL;

	if (n->task)
		late_await(n->task);
	mutex_lock(&kernel()->tasks_mu);
	if (n->task && n->task->files)
		ft = fdtable_get(n->task->files);
	mutex_unlock(&kernel()->tasks_mu);
	return ft;
}

struct fs_context *proc_get_fs(struct proc_node *n)
{
	struct task *t = n->task ? n->task : current_task();
	struct fs_context *fs = NULL;

	mutex_lock(&kernel()->tasks_mu);
	if (t && t->fs)
		fs = fs_context_get(t->fs);
	mutex_unlock(&kernel()->tasks_mu);
	return fs;
}

// --- links

int proc_readlink(struct inode *inode, char *dst, size_t cap)
{
	struct proc_node *n = proc_node(inode);
	struct task *reader = current_task();
	struct path p, root;
	int64_t len;
	int err;

	if (n->entry->link)
		return n->entry->link(n, dst, cap);
	if (!n->entry->magic)
		return -EINVAL;
	err = n->entry->magic(n, &p);
	if (err)
		return err;
	if (reader) {
		mutex_lock(&reader->fs->mu);
		root = path_get(&reader->fs->root);
		mutex_unlock(&reader->fs->mu);
	}
	len = vfs_path_string(&p, reader ? &root : NULL, false, dst, cap);
	if (reader)
		path_put(&root);
	path_put(&p);
	return (int)len;
}

int proc_magic_link(struct inode *inode, struct task *t, struct path *out_path)
{
	struct proc_node *n = proc_node(inode);

	(void)t;
	return n->entry->magic ? n->entry->magic(n, out_path) : -EINVAL;
}

// --- files: the contents are built when reading starts, and again when it starts over

struct proc_open {
	struct proc_text text;
	bool built;
};

KMEM_TYPE(open_type, proc_open);

// A process that was waited for has nothing to show any more; a zombie still has.
static bool is_gone(struct proc_node *n)
{
	struct thread_group *tg = n->tg ? group_find(n->tg->tgid) : NULL;
	bool gone = n->tg && tg != n->tg;

	if (tg)
		group_put(tg);
	return gone;
}

static int64_t file_read_at(struct file *f, struct uio *u, int64_t *pos)
{
	struct proc_node *n = proc_node(f->inode);
	struct proc_open *o;
	uint64_t len;
	int err = 0;

	if (!n->entry->show)
		return -EINVAL;
	if (is_gone(n))
		return -ESRCH;
	mutex_lock(&f->inode->mu);
	o = f->priv;
	if (!o)
		o = f->priv = kmem_alloc(&open_type);
	if (!o) {
		mutex_unlock(&f->inode->mu);
		return -ENOMEM;
	}
	if (!o->built || *pos == 0) {
		o->text.len = 0;
		err = n->entry->show(n, &o->text);
		if (!err && o->text.failed)
			err = -ENOMEM;
		o->built = !err;
	}
	if (err || *pos < 0 || (uint64_t)*pos >= o->text.len) {
		mutex_unlock(&f->inode->mu);
		return err;
	}
	len = MIN(u->resid, o->text.len - (uint64_t)*pos);
	err = uio_put(u, o->text.buf + *pos, len);
	mutex_unlock(&f->inode->mu);
	if (err)
		return err;
	*pos += (int64_t)len;
	return (int64_t)len;
}

static int64_t file_write_at(struct file *f, struct uio *u, int64_t *pos)
{
	struct proc_node *n = proc_node(f->inode);
	char text[STORE_MAX + 1];
	size_t len = u->resid;
	int err;

	if (!n->entry->store)
		return -EINVAL;
	if (len > STORE_MAX)
		return -EINVAL;
	err = uio_take(u, text, len);
	if (err)
		return err;
	text[len] = 0;
	err = n->entry->store(n, text, len);
	if (err)
		return err;
	*pos += (int64_t)len;
	return (int64_t)len;
}

static void file_release(struct file *f)
{
	struct proc_open *o = f->priv;

	if (!o)
		return;
	kmem_bytes_free(o->text.buf);
	kmem_free(&open_type, o);
}

const struct file_ops proc_file_ops = {.read = file_read_at, .write = file_write_at, .release = file_release};

// --- directories of a table

int proc_lookup_table(struct inode *dir, const struct proc_entry *table, const char *name, size_t len, struct inode **out)
{
	for (const struct proc_entry *e = table; e && e->name; e++)
		if (strlen(e->name) == len && memcmp(e->name, name, len) == 0) {
			*out = proc_node_create(dir->sb, e, proc_node(dir));
			return *out ? 0 : -ENOMEM;
		}
	return -ENOENT;
}

bool proc_emit_dots(struct file *f, struct dir_emit *d, int64_t *pos)
{
	if (*pos == 0) {
		if (!d->emit(d, ".", 1, f->inode->attr.ino, DT_DIR, 1))
			return false;
		*pos = 1;
	}
	if (*pos == 1) {
		if (!d->emit(d, "..", 2, dentry_inode(dentry_parent(f->path.dentry))->attr.ino, DT_DIR, POS_TABLE))
			return false;
		*pos = POS_TABLE;
	}
	return true;
}

bool proc_emit_table(struct dir_emit *d, const struct proc_entry *table, int64_t base, int64_t *pos)
{
	int64_t i = 0;

	for (const struct proc_entry *e = table; e && e->name; e++, i++) {
		if (base + i < *pos)
			continue;
		if (!d->emit(d, e->name, strlen(e->name), (uintptr_t)e & 0x7fffffff, IFTODT(e->mode), base + i + 1))
			return false;
		*pos = base + i + 1;
	}
	return true;
}

static int dir_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	return proc_lookup_table(dir, proc_node(dir)->entry->children, name, len, out_inode);
}

static int dir_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	if (proc_emit_dots(f, d, pos))
		proc_emit_table(d, proc_node(f->inode)->entry->children, POS_TABLE, pos);
	return 0;
}

// Nothing can be made: /proc doesn't know the name, /sys doesn't allow it (as Linux answers).
int proc_no_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		   struct inode **out_inode)
{
	(void)name;
	(void)len;
	(void)rdev;
	(void)cred;
	(void)out_inode;
	if (dir->sb->type == &proc_type)
		return -ENOENT;
	return S_ISREG(mode) ? -EACCES : -EPERM;
}

static int node_open(struct inode *inode, struct task *t, struct file *f)
{
	struct proc_node *n = proc_node(inode);

	return n->entry->open ? n->entry->open(n, t, f) : 0;
}

static int no_setattr(struct inode *inode, const struct setattr *set)
{
	(void)inode;
	return set->valid & ~(ATTR_SIZE | ATTR_MTIME | ATTR_CTIME) ? -EPERM : 0; // truncating on open is harmless
}

const struct inode_ops proc_dir_ops = {
	.lookup = dir_lookup,
	.create = proc_no_create,
	.readlink = proc_readlink,
	.magic_link = proc_magic_link,
	.setattr = no_setattr,
	.open = node_open,
	.destroy = proc_node_destroy,
	.revalidate = proc_always_anew,
	.no_negative = true,
};

// A directory /proc/PID is a process's, too: it did for what pidfds were made for later.
static struct thread_group *dir_process(struct file *f)
{
	struct proc_node *n = proc_node(f->inode);

	return n->entry->children == proc_pid_entries ? n->tg : NULL;
}

const struct file_ops proc_dir_file_ops = {.readdir = dir_readdir, .process = dir_process};

// --- the root: a table, and a directory for each process

static long parse_pid(const char *name, size_t len)
{
	long pid = 0;

	if (len == 0 || len > 9 || (name[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		pid = pid * 10 + (name[i] - '0');
	}
	return pid;
}

static int root_lookup(struct inode *dir, const char *name, size_t len, struct inode **out_inode)
{
	long pid = parse_pid(name, len);
	int err = proc_lookup_table(dir, proc_root_entries, name, len, out_inode);

	if (err != -ENOENT || pid <= 0)
		return err;
	*out_inode = proc_pid_dir(dir->sb, (int)pid);
	return *out_inode ? 0 : -ENOENT;
}

// The smallest process number above pid; 0: none.
static int next_group(int pid)
{
	struct thread_group *tg;
	int best = 0;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		if (tg->tgid > pid && (!best || tg->tgid < best))
			best = tg->tgid;
	mutex_unlock(&kernel()->tasks_mu);
	return best;
}

static int root_readdir(struct file *f, struct dir_emit *d, int64_t *pos)
{
	char name[16];
	int pid;

	if (!proc_emit_dots(f, d, pos))
		return 0;
	if (*pos < POS_PIDS) {
		if (!proc_emit_table(d, proc_root_entries, POS_TABLE, pos))
			return 0;
		*pos = POS_PIDS;
	}
	while ((pid = next_group((int)(*pos - POS_PIDS)))) {
		int len = snprintf(name, sizeof(name), "%d", pid);

		if (!d->emit(d, name, len, (uint64_t)pid + 0x100000, DT_DIR, POS_PIDS + pid))
			break;
		*pos = POS_PIDS + pid;
	}
	return 0;
}

static const struct inode_ops root_ops = {
	.lookup = root_lookup,
	.create = proc_no_create,
	.setattr = no_setattr,
	.destroy = proc_node_destroy,
	.revalidate = proc_always_anew,
	.no_negative = true,
};
static const struct file_ops root_file_ops = {.readdir = root_readdir};
static const struct proc_entry root_entry = {
	.name = "/", .mode = S_IFDIR | 0555, .dir_ops = &root_ops, .dir_file_ops = &root_file_ops};

static int mount_proc(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct super_block *sb = sb_create(type);
	struct inode *root = sb ? proc_node_create(sb, &root_entry, NULL) : NULL;

	(void)args; // hidepid= and subset= change nothing here
	if (!root || sb_set_root(sb, root) < 0)
		return -ENOMEM;
	*out_sb = sb;
	return 0;
}

static int pseudo_statfs(struct super_block *sb, struct statfs *out)
{
	*out = (struct statfs){.f_type = sb->type->magic, .f_bsize = PAGE_SIZE, .f_frsize = PAGE_SIZE, .f_namelen = 255};
	return 0;
}

const struct fs_type proc_type = {
	.name = "proc", .magic = PROC_SUPER_MAGIC, .user_mountable = true, .nodev = true, .mount = mount_proc, .statfs = pseudo_statfs};
