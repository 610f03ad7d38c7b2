// procfs's own: every file is made of a row in a table, with a function that shows or answers something.
//
// Inodes are made at each look-up and hold what they show (a process, a thread, a descriptor's number); nothing of a process is
// kept past its end but the empty shell.
#pragma once

#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

struct proc_text { // contents being built
	char *buf; // kmem_bytes
	size_t len, cap;
	bool failed; // no memory
};

void proc_printf(struct proc_text *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void proc_bytes(struct proc_text *x, const void *bytes, size_t len);

struct proc_node;

struct proc_entry { // a row
	const char *name; // NULL ends a table
	uint32_t mode; // with type
	// Regular files: builds the contents. 0 or -errno (ESRCH: the process is gone).
	int (*show)(struct proc_node *n, struct proc_text *x);
	int (*store)(struct proc_node *n, const char *text, size_t len); // a write of the whole; NULL: -EINVAL
	int (*link)(struct proc_node *n, char *dst, size_t cap); // symlinks: the target's length
	int (*magic)(struct proc_node *n, struct path *out); // symlinks that lead there without a path
	const struct proc_entry *children; // directories made of a table
	int (*open)(struct proc_node *n, struct task *t, struct file *f); // may refuse
	const struct file_ops *file_ops; // regular files with contents of their own kind
	const struct inode_ops *dir_ops; // directories made otherwise
	const struct file_ops *dir_file_ops;
};

struct proc_node {
	struct inode inode;
	const struct proc_entry *entry;
	struct thread_group *tg; // counted; NULL outside of process directories
	struct task *task; // counted; the thread in task/TID, else the leader as it was at look-up
	int fd; // in fd/ and fdinfo/
};

static inline struct proc_node *proc_node(struct inode *inode)
{
	return (struct proc_node *)inode; // inode is first
}

// A node for the row, with what from (NULL: nothing) stands for. Counted; NULL: no memory.
struct inode *proc_node_create(struct super_block *sb, const struct proc_entry *e, const struct proc_node *from);
void proc_node_destroy(struct inode *inode);
bool proc_always_anew(struct dentry *d); // revalidate: never trust the cache
int proc_lookup_table(struct inode *dir, const struct proc_entry *table, const char *name, size_t len, struct inode **out);
// Emits the rows from *pos - base on; false when full.
bool proc_emit_table(struct dir_emit *d, const struct proc_entry *table, int64_t base, int64_t *pos);
bool proc_emit_dots(struct file *f, struct dir_emit *d, int64_t *pos);
int proc_no_create(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		   struct inode **out_inode);
int proc_readlink(struct inode *inode, char *dst, size_t cap);
int proc_magic_link(struct inode *inode, struct task *t, struct path *out_path);

extern const struct inode_ops proc_dir_ops; // directories of a table
extern const struct file_ops proc_dir_file_ops, proc_file_ops;

// The task whose things are shown, with a reference to the thing; NULL when it is gone.
struct mm *proc_get_mm(struct proc_node *n);
struct fdtable *proc_get_files(struct proc_node *n);
struct fs_context *proc_get_fs(struct proc_node *n);

extern const struct proc_entry proc_root_entries[], proc_pid_entries[], proc_tid_entries[], proc_sys_entries[], proc_net_entries[];
extern const struct inode_ops proc_fd_dir_ops, proc_task_dir_ops; // fd, fdinfo; task
extern const struct file_ops proc_fd_dir_file_ops, proc_task_dir_file_ops;
struct inode *proc_pid_dir(struct super_block *sb, int tgid); // NULL: no such process
extern const struct file_ops proc_mem_ops;
int proc_mem_open(struct proc_node *n, struct task *t, struct file *f); // also of what only those may read who may trace
int proc_show_mounts(struct proc_node *n, struct proc_text *x);
int proc_show_mountinfo(struct proc_node *n, struct proc_text *x);
int proc_show_maps(struct proc_node *n, struct proc_text *x);
int proc_show_smaps(struct proc_node *n, struct proc_text *x);
int proc_show_smaps_rollup(struct proc_node *n, struct proc_text *x);
int proc_show_status(struct proc_node *n, struct proc_text *x);
int proc_show_stat(struct proc_node *n, struct proc_text *x);
