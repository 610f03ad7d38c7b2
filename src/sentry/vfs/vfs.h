// The VFS in Linux's own terms: super_block, inode, dentry, mount, path, file.
//
// Objects are counted. A dentry pins its parent and its inode; a mount pins its root dentry; a path pins both. Names that
// aren't there are dentries without an inode (negative), kept where the file system says so.
//
// Operations never block (DESIGN 6): they finish, or answer -EAGAIN (the system-call layer then waits through poll), or make a
// host call with the worker marked as away. Locks, outermost first: vfs->mount_mu (mount tree), sb->rename_mu (directory renames),
// dir->mu of parents before children (a directory's entries), inode->mu of a file (its data and attributes), vfs->dcache_mu
// (before which an fs_context's lock stands, too).
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <linux/stat.h>

#include "abi/types.h"
#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/uio.h"

struct content_loan;
struct cred;
struct dentry;
struct file;
struct hostfd;
struct inode;
struct loan;
struct path;
struct platform_loan;
struct task;
struct vm_backing;

// --- inodes
struct inode_attr { // what stat shows; sizes and times are the file system's to keep
	uint64_t ino;
	uint32_t mode, nlink, uid, gid;
	uint64_t rdev, size, blocks;
	uint32_t blksize;
	struct timespec atime, mtime, ctime, btime;
};

enum { // which fields a setattr changes
	ATTR_MODE = 1, ATTR_UID = 2, ATTR_GID = 4, ATTR_SIZE = 8, ATTR_ATIME = 16, ATTR_MTIME = 32, ATTR_CTIME = 64,
	ATTR_TIMES_NOW = 128 // both times are to become now, which who may write may ask, too
};

struct setattr {
	uint32_t valid; // ATTR_*
	uint32_t mode, uid, gid;
	uint64_t size;
	struct timespec atime, mtime, ctime;
};

struct inode {
	struct ref ref;
	struct super_block *sb; // not counted: a mount or an open file keeps it
	const struct inode_ops *ops;
	const struct file_ops *file_ops; // for open of regular files, directories and special files of this file system
	struct mutex mu; // a directory: its entries; a file: data and attributes
	struct inode_attr attr; // Guarded by mu (reads of single words may go without).
	void *priv; // the file system's
	_Atomic(char *) link; // where a symbolic link leads, for life; kmem_bytes. NULL: it isn't known yet, or depends (inode_ops.readlink)
	struct pipe *pipe; // a FIFO's, while open
	struct unix_sock *bound; // a socket file's
	struct file_locks *locks; // POSIX, OFD and flock locks (vfs/locks.c)
	struct inotify_marks *marks; // inotify (vfs/notify.c)
	LIST_HEAD(, loan) loans; // what processes may do with its files by themselves (vfs/loans.c)
	_Atomic uint32_t nloans;
	_Atomic int64_t lent_written_ns; // when a process wrote last that way, as far as that was asked; loans_written() has yet to tell
	_Atomic uint16_t remembered; // somebody may have kept what its attributes are: the count that tells of a change (vfs/remember.h); 0: nobody has
	_Atomic uint8_t uses; // so many reads and mmaps of it were seen, while they are few; about
	bool linkable; // made by O_TMPFILE without O_EXCL: may get its first name
	bool uncached; // its name isn't kept, but looked up each time: procfs's of a process, which would outlive it in the cache
	_Atomic int writers; // open for writing; -n: n executions deny writing (ETXTBSY)
};

// NULL slots answer the errno in parentheses. All are called with dir->mu (or inode->mu) held unless said otherwise; permissions, type and
// name checks (length, "." and "..") were done by the VFS. The task's credentials are in current cred, passed where ownership needs it.
struct inode_ops {
	// dir doesn't know the first component of path, whose further ones will be asked for next, as far as they exist; opens: to read the last one. What
	// comes at little cost can be entered into the cache (dentry_enter). mu not held. (nothing)
	void (*ahead)(struct dentry *dir, const char *path, bool opens);
	// Finds name in dir: sets *out_inode (a new reference), or -ENOENT. (-ENOTDIR)
	int (*lookup)(struct inode *dir, const char *name, size_t len, struct inode **out_inode);
	// Makes a file of mode's type (S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK). (-EROFS)
	int (*create)(struct inode *dir, const char *name, size_t len, uint32_t mode, uint64_t rdev, const struct cred *cred,
		      struct inode **out_inode);
	int (*symlink)(struct inode *dir, const char *name, size_t len, const char *target, const struct cred *cred,
		       struct inode **out_inode);
	int (*link)(struct inode *dir, const char *name, size_t len, struct inode *target); // (-EPERM)
	int (*unlink)(struct inode *dir, const char *name, size_t len, struct inode *victim);
	int (*rmdir)(struct inode *dir, const char *name, size_t len, struct inode *victim); // -ENOTEMPTY
	// Both directories' mu are held (once if they are the same). target: what stands at the new name, or NULL. flags: RENAME_*.
	int (*rename)(struct inode *old_dir, const char *old_name, size_t old_len, struct inode *new_dir, const char *new_name,
		      size_t new_len, struct inode *victim, struct inode *target, unsigned flags);
	int (*tmpfile)(struct inode *dir, uint32_t mode, const struct cred *cred, struct inode **out_inode); // (-EOPNOTSUPP)
	int (*readlink)(struct inode *inode, char *dst, size_t cap); // while inode->link is NULL: length, not terminated (-EINVAL)
	// A link that leads elsewhere without a path (/proc/PID/fd/N, exe, cwd): a counted path. mu not held. (plain readlink is used)
	int (*magic_link)(struct inode *inode, struct task *t, struct path *out_path);
	int (*getattr)(struct inode *inode, struct inode_attr *out); // (inode->attr as it is)
	int (*setattr)(struct inode *inode, const struct setattr *set); // (-EPERM)
	// The permission check beyond mode bits; mask MAY_*. mu not held. (mode bits and capabilities)
	int (*permission)(struct inode *inode, const struct cred *cred, int mask);
	// Opens f (f->path, f->flags set; f->ops preset to inode->file_ops): may set f->ops, f->priv. mu not held. (0)
	int (*open)(struct inode *inode, struct task *t, struct file *f);
	int64_t (*getxattr)(struct inode *inode, const char *name, void *dst, size_t cap); // (-EOPNOTSUPP for all four)
	int (*setxattr)(struct inode *inode, const char *name, const void *value, size_t len, int flags);
	int64_t (*listxattr)(struct inode *inode, char *dst, size_t cap);
	int (*removexattr)(struct inode *inode, const char *name);
	// Marks the inode (mu is held): from now on index is the count of its attributes, of which each change is told by inode_changed(), or makes no difference
	// to what getattr answers. False: they change unseen. (false)
	bool (*remember)(struct inode *inode, uint16_t index);
	void (*destroy)(struct inode *inode); // the last reference is gone: free priv and the inode itself
	// Checks a cached dentry again (shared gofer trees, procfs). False: drop it and look up anew. (always valid)
	bool (*revalidate)(struct dentry *d);
	bool no_negative; // names that aren't there are not cached (procfs)
};

void inode_init(struct inode *inode, struct super_block *sb, const struct inode_ops *ops, uint32_t mode);
void inode_fini(struct inode *inode); // what inode_init set up; for destroy
void inode_set_attr(struct inode *inode, const struct setattr *set); // mode, owner and times of set into inode->attr; inode->mu is held
void inode_anew(struct inode *inode); // its attributes have changed, and somebody may have kept them
static inline void inode_changed(struct inode *inode)
{
	if (atomic_load_explicit(&inode->remembered, memory_order_relaxed))
		inode_anew(inode);
}
void inode_keep_link(struct inode *inode, char *target); // as inode->link, if it is a link. Takes target; NULL: nothing happens
int inode_readlink(struct inode *inode, char *dst, size_t cap); // length, at most cap, not terminated; -EINVAL: it's no link. mu not held
struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode); // NULL is allowed

// --- super blocks and file systems
struct super_block {
	struct ref ref;
	const struct fs_type *type;
	struct dentry *root;
	uint64_t dev; // st_dev
	uint32_t flags; // ST_RDONLY …
	struct mutex rename_mu;
	void *priv;
};

struct fs_mount_args {
	const char *source, *data; // strings or NULL
	unsigned long flags; // MS_*
	const struct cred *cred;
	void *internal; // for mounts by the kernel itself (gofer connection and tree, overlay layers)
};

struct fs_type {
	const char *name;
	uint32_t magic; // for statfs
	bool user_mountable; // mount(2) may mount it
	bool nodev; // as /proc/filesystems shows
	int (*mount)(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb);
	void (*umount)(struct super_block *sb); // frees priv; after the last dentry is gone
	int (*statfs)(struct super_block *sb, struct statfs *out);
	// Its own options for /proc/mounts, each with a comma before it (",size=64k,mode=755"): length, less than cap. (none)
	int (*show_options)(struct super_block *sb, char *dst, size_t cap);
};

struct super_block *sb_create(const struct fs_type *type); // with a dev number of its own; root to be set by the file system
struct super_block *sb_get(struct super_block *sb);
void sb_put(struct super_block *sb);
int sb_set_root(struct super_block *sb, struct inode *root); // takes the reference
extern const struct fs_type *const fs_types[]; // NULL-terminated (vfs/fs_types.c)
extern const struct fs_type tmpfs_type, proc_type, sysfs_type, devtmpfs_type, devpts_type, overlay_type, gofer_type, anon_type;
const struct fs_type *fs_type_find(const char *name);

// --- dentries and mounts
struct path {
	struct mount *mnt;
	struct dentry *dentry;
};

static inline bool path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}
struct path path_get(const struct path *p); // a copy with references
void path_put(struct path *p); // and clears it; an empty one is allowed

struct inode *dentry_inode(const struct dentry *d); // borrowed; NULL: negative
struct dentry *dentry_parent(const struct dentry *d); // borrowed
// Primes the cache (a listing brought the attributes along): takes inode's reference; NULL inode: a negative name.
void dentry_prime(struct dentry *dir, const char *name, size_t len, struct inode *inode);
// The file system changed by other means: forget the cached name.
void dentry_drop(struct dentry *dir, const char *name, size_t len);

// What a process sees of the tree; shared with CLONE_FS.
struct fs_context {
	struct ref ref;
	struct mutex mu;
	struct path root, cwd; // Guarded by mu. They change with vfs->dcache_mu held as well, which does to look at them.
	uint32_t umask;
	struct mount_ns *mnt_ns;
};
struct fs_context *fs_context_create(struct mount_ns *ns); // at its root, umask 022
struct fs_context *fs_context_dup(struct fs_context *fs);
struct fs_context *fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
void fs_context_move(struct fs_context *fs, struct path *place, const struct path *to); // place: &fs->root or &fs->cwd

struct mount_ns *mount_ns_create(struct super_block *root_sb, unsigned mnt_flags); // takes the sb reference
struct mount_ns *mount_ns_get(struct mount_ns *ns);
void mount_ns_put(struct mount_ns *ns);
// Mounts sb (taking its reference) on the directory or file at path.
int vfs_mount_at(struct mount_ns *ns, const struct path *where, struct super_block *sb, unsigned mnt_flags);
// One line per mount, for /proc/PID/mounts and mountinfo.
void vfs_each_mount(struct fs_context *fs, void (*fn)(void *arg, struct mount *m, const char *mount_point), void *arg);

// --- looking up. Answers 0 and a counted path, or -errno. dir: where a relative path starts (NULL: the task's cwd).
enum {
	LOOKUP_FOLLOW = 1, LOOKUP_DIRECTORY = 2, LOOKUP_EMPTY = 4 /* AT_EMPTY_PATH */, LOOKUP_NO_SYMLINKS = 8, LOOKUP_BENEATH = 16,
	LOOKUP_IN_ROOT = 32, LOOKUP_NO_XDEV = 64, LOOKUP_NO_MAGICLINKS = 128, LOOKUP_CACHED = 256,
	LOOKUP_OPEN = 512 // a hint: what is found will be opened for reading
};
int vfs_lookup(struct task *t, const struct path *dir, const char *path, unsigned flags, struct path *out_path);
// The directory that path's last component is in, and that component (points into path; len of it).
int vfs_lookup_parent(struct task *t, const struct path *dir, const char *path, unsigned flags, struct path *out_dir,
		      const char **out_name, size_t *out_len);
// dirfd and path as system calls give them (AT_FDCWD, AT_EMPTY_PATH …); upath is copied in.
int vfs_lookup_at(struct task *t, int dirfd, uaddr_t upath, unsigned flags, struct path *out_path);
int vfs_lookup_from(struct task *t, int dirfd, const char *path, unsigned flags, struct path *out_path); // path is here already
// Where a *at call starts: out_dir stays empty for AT_FDCWD and absolute paths (pass NULL on then). 0 or -EBADF.
int vfs_dirfd(struct task *t, int dirfd, const char *path, struct path *out_dir);
// Absolute path of p as seen from root (NULL: from p's own), of what can't be reached from there as seen from where it is mounted: tells, by a prefix
// "(unreachable)" (getcwd), or not (/proc). Length or -ERANGE.
int64_t vfs_path_string(const struct path *p, const struct path *root, bool tells, char *dst, size_t cap);

enum { MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4 };
int inode_permission(struct inode *inode, const struct cred *cred, int mask); // 0, -EACCES, -EROFS
int inode_permission_mode(const struct inode *inode, const struct cred *cred, int mask); // by mode bits and capabilities alone
int vfs_getattr(const struct path *p, struct inode_attr *out);
int vfs_stat(const struct path *p, struct stat *out); // likewise, as stat(2) tells it
int vfs_setattr(struct task *t, const struct path *p, const struct setattr *set); // with all permission checks

// --- open files
struct file {
	struct ref ref;
	const struct file_ops *ops;
	struct path path; // counted
	struct inode *inode; // path's; borrowed through it
	_Atomic uint32_t flags; // O_*: access mode and status flags
	struct mutex pos_mu;
	int64_t pos; // Guarded by pos_mu.
	void *priv; // the file type's
	_Atomic uint32_t moved; // bytes read and written, as long as they are few
	_Atomic uint8_t seeks; // its position is set or asked for now and then: it is lent again after so many more transfers
	bool priv_readonly; // a file of the host's: priv can only be read from
	struct cred *cred; // of the opener; counted
	bool counts_as_writer, denies_write; // what is to be undone in inode->writers
	bool opened; // by its path: its end is an inotify event
	int owner_pid, owner_sig; // F_SETOWN, F_SETSIG
	struct file_epolls *epolls; // epoll instances that watch it (fs/eventpoll)
};

// What poll() registers on: add() links the waiter to a queue; a NULL table only asks.
struct poll_table {
	void (*add)(struct poll_table *pt, struct waitq *q, uint32_t events);
	uint32_t events; // wanted
};
// With a mask, for the kernel alone: what lies in the file is lent to a process (loans.h), so that changes wake nobody. Never with a table, since who
// links himself is about to wait.
#define POLL_LENT 0x10000u
static inline void poll_wait(struct poll_table *pt, struct waitq *q)
{
	if (pt)
		pt->add(pt, q, pt->events);
}

static inline void inode_used(struct inode *inode)
{
	const uint8_t uses = atomic_load_explicit(&inode->uses, memory_order_relaxed);

	if (uses < UINT8_MAX)
		atomic_store_explicit(&inode->uses, uses + 1, memory_order_relaxed);
}

struct dir_emit { // where readdir puts entries: false: full, stop before this entry
	bool (*emit)(struct dir_emit *d, const char *name, size_t len, uint64_t ino, unsigned char d_type, int64_t next_pos);
};

// NULL slots answer the errno in parentheses. read and write answer bytes, 0 at the end, or -EAGAIN if they would have to wait.
// *pos is the caller's, or &f->pos (with pos_mu held) when it is the file's own position; stream files ignore it.
struct file_ops {
	int64_t (*read)(struct file *f, struct uio *u, int64_t *pos);  // (-EINVAL)
	int64_t (*write)(struct file *f, struct uio *u, int64_t *pos); // (-EINVAL); O_APPEND is the file's business
	uint32_t (*poll)(struct file *f, struct poll_table *pt); // POLL* mask now (always readable and writable)
	// How a read or write of resid more bytes that answered -EAGAIN waits: what task_block() answers (task_block_file).
	long (*wait)(struct task *t, struct file *f, bool write, uint64_t resid);
	int64_t (*llseek)(struct file *f, int64_t offset, int whence); // (generic by inode size for regular files, -ESPIPE if stream)
	int (*readdir)(struct file *f, struct dir_emit *d, int64_t *pos); // (-ENOTDIR); "." and ".." included
	long (*ioctl)(struct task *t, struct file *f, unsigned cmd, uint64_t arg); // (-ENOTTY)
	// What to map: fills the backing (a counted hostfd and offset). prot and shared as asked. (-ENODEV)
	int (*mmap)(struct file *f, uint64_t offset, uint64_t len, int prot, bool shared, struct vm_backing *out);
	int (*fsync)(struct file *f, bool data_only); // (0)
	int (*fallocate)(struct file *f, int mode, int64_t offset, int64_t len); // (-EOPNOTSUPP)
	int (*flush)(struct file *f, struct task *t); // each close of a descriptor (0)
	void (*release)(struct file *f); // the last reference is gone: free priv
	void (*left_undone)(struct file *f); // a write that was left to the platform (uio_leave) was done in part only, or not at all (nothing)
	// What a process that read or wrote f may go on doing with its descriptor without being seen here, as long as loans_stop() isn't called for the
	// inode, whose mu is held: sets file and kinds. t has just written, or read. False: nothing now. (nothing)
	bool (*lend)(struct file *f, struct task *t, bool wrote, struct platform_loan *loan);
	// t has just read or written a few bytes by descriptor fd, with a plain call: a chance to lend what lies in f (content_lend). (nothing)
	void (*used)(struct file *f, struct task *t, int fd, bool wrote);
	// With it: the loan of what f is read from; NULL: f isn't read from.
	const struct content_loan *(*content)(const struct file *f);
	int (*show_fdinfo)(struct file *f, char *dst, size_t cap); // extra lines; length
	struct thread_group *(*process)(struct file *f); // whom it stands for to pidfd_send_signal, borrowed from the file; NULL: nobody (nobody)
	bool closes_late; // of one that is open for reading alone a close does nothing but drop the reference, which has time
	bool plain_seek; // SEEK_SET and SEEK_CUR just reckon with the position, so that a process may do it alone
	bool stream; // no position: pipes, sockets, terminals (-ESPIPE for pread, lseek)
	bool host_backed; // read and write may sleep in the host (regular host files): away is marked by the file
};

struct file *file_get(struct file *f);
void file_put(struct file *f);
// An anonymous file (pipe end, socket, eventfd …) named "TYPE:[ino]" or "anon_inode:[NAME]". NULL: no memory. mode: S_IFIFO, S_IFSOCK, 0.
struct file *file_create_anon(const struct file_ops *ops, void *priv, unsigned flags, uint32_t mode, const char *name);
int64_t file_read(struct file *f, struct uio *u, int64_t *pos);  // checks the access mode, -EISDIR, …
int64_t file_write(struct file *f, struct uio *u, int64_t *pos); // RLIMIT_FSIZE, seals, …; drops set-id bits; notifies
int file_beyond_limit(struct task *t); // t wanted a file larger than its RLIMIT_FSIZE: sends SIGXFSZ and answers -EFBIG
uint32_t file_flags(const struct file *f); // as F_GETFL tells them
uint32_t file_poll(struct file *f, struct poll_table *pt);
// Opens what path leads to, with all of open(2)'s rules; how as in openat2. Answers a file. A FIFO's other side may not be
// there yet: the system call goes on with fifo_open_wait (fs/pipe/pipe.h).
int vfs_open(struct task *t, const struct path *dir, const char *path, int flags, uint32_t mode, uint64_t resolve,
	     struct file **out_file);
int vfs_open_path(struct task *t, const struct path *p, int flags, struct file **out_file); // an existing file
// A flag for both, of the kernel's own: open to execute. Needs MAY_EXEC instead of MAY_READ, a regular file (else -EACCES), and a mount
// without noexec (else -EACCES).
#define VFS_O_EXEC 0x20
unsigned mount_flags(const struct mount *m); // ST_RDONLY, ST_NOSUID, ST_NODEV, ST_NOEXEC, …
// For the kernel (loader): reads at pos into kernel memory; bytes or -errno.
int64_t file_read_kernel(struct file *f, void *dst, size_t len, int64_t pos);
// Execution denies writing and the other way round: 0 or -ETXTBSY.
int file_deny_write(struct file *f);
void file_allow_write(struct file *f);

// --- descriptor tables (vfs/fdtable.c); shared with CLONE_FILES
struct fdtable *fdtable_create(void);
struct fdtable *fdtable_dup(struct fdtable *ft); // NULL: no memory
struct fdtable *fdtable_get(struct fdtable *ft);
void fdtable_put(struct fdtable *ft, struct task *t); // the last one closes all; t may be NULL
// t is about to leave its table or its address space: nothing that was lent (loans.h) outlives that. No table: nothing happens.
void fdtable_leave(struct task *t);
void fdtable_close_on_exec(struct fdtable *ft, struct task *t);
struct file *fd_file(struct task *t, int fd); // counted; NULL: EBADF (O_PATH files: NULL too)
struct file *fd_file_any(struct task *t, int fd); // O_PATH too
struct file *fd_file_at(struct task *t, int fd); // as fd_file, for who leaves the position alone: it stays where it is lent
// Installs f (taking the reference) at the lowest free number >= min: the number, or -EMFILE (f is put then).
int fd_install(struct task *t, struct file *f, bool cloexec, int min);
int fd_install_at(struct task *t, struct file *f, bool cloexec, int fd); // dup2: closes what was there
int fd_close(struct task *t, int fd); // 0 or -EBADF or flush's error
bool fd_closes_late(struct task *t, int fd); // it is of a file with file_ops.closes_late
void fdtable_each(struct fdtable *ft, bool (*fn)(void *arg, int fd, struct file *f, bool cloexec), void *arg); // fn false: stop

// --- the VFS itself
int vfs_init(void); // kernel()->vfs
// Character devices, by number: open(f) sets f->ops and f->priv. Registered once, at start.
struct chrdev {
	unsigned major, minor_first, minor_count;
	int (*open)(struct task *t, struct file *f, unsigned minor); // 0 or -errno
	LIST_ENTRY(chrdev) link;
};
void chrdev_register(struct chrdev *dev); // dev stays
void vfs_inotify(struct inode *inode, struct dentry *d, uint32_t mask, const char *name); // IN_* happened
