// fcntl and flock. man 2 fcntl.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/capability.h>

#include "abi/errno.h"
#include "sentry/fs/pipe/pipe.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/locks.h"
#include "sentry/vfs/vfs.h"

#define SETTABLE (O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | O_ASYNC)

static long dup_at_least(struct task *t, struct file *f, uint64_t min, bool cloexec)
{
	long fd;

	if (min >= task_rlimit(t, RLIMIT_NOFILE))
		return -EINVAL;
	fd = fd_install(t, file_get(f), cloexec, (int)min);
	if (fd >= 0)
		loan_at_dup(t, (int)fd, f);
	return fd;
}

static long set_flags(struct task *t, struct file *f, uint32_t flags)
{
	struct pipe *p = file_pipe(f);
	uint32_t old = f->flags;

	if ((flags & O_NOATIME) && !(old & O_NOATIME) && t->cred->fsuid != f->inode->attr.uid && !cred_has_cap(t->cred, CAP_FOWNER))
		return -EPERM;
	while (!atomic_compare_exchange_weak(&f->flags, &old, (old & ~SETTABLE) | (flags & SETTABLE)))
		;
	if ((old ^ flags) & O_APPEND)
		loans_stop(f->inode);
	if (p && (old ^ flags) & O_DIRECT) {
		pipe_lock(p);
		mutex_unlock(&p->mu);
	}
	return 0;
}

// Makes l_start absolute. 0, -EINVAL, -EOVERFLOW.
static int absolute(struct file *f, struct flock *fl)
{
	int64_t base, start, last;

	switch (fl->l_whence) {
	case SEEK_SET:
		base = 0;
		break;
	case SEEK_CUR:
		base = f->pos;
		break;
	case SEEK_END:
		base = (int64_t)f->inode->attr.size;
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, fl->l_start, &start))
		return -EOVERFLOW;
	if (fl->l_len < 0) { // the bytes before start
		if (__builtin_add_overflow(start, fl->l_len, &start))
			return -EINVAL;
		fl->l_len = -fl->l_len;
	}
	if (start < 0)
		return -EINVAL;
	if (fl->l_len && __builtin_add_overflow(start, fl->l_len - 1, &last))
		return -EOVERFLOW;
	fl->l_start = start;
	fl->l_whence = SEEK_SET;
	return 0;
}

static long record_lock(struct task *t, struct file *f, int cmd, uaddr_t arg)
{
	bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	uint32_t acc = f->flags & O_ACCMODE;
	struct flock fl;
	int err;

	if (copy_in_obj(t, &fl, arg))
		return -EFAULT;
	if (ofd && fl.l_pid)
		return -EINVAL;
	err = absolute(f, &fl);
	if (err)
		return err;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
		if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK)
			return -EINVAL;
		posix_lock_get(t, f, &fl, ofd);
		return copy_out_obj(t, arg, &fl);
	}
	if (fl.l_type != F_RDLCK && fl.l_type != F_WRLCK && fl.l_type != F_UNLCK)
		return -EINVAL;
	if ((fl.l_type == F_RDLCK && acc == O_WRONLY) || (fl.l_type == F_WRLCK && acc == O_RDONLY))
		return -EBADF;
	return posix_lock_set(t, f, &fl, ofd, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
}

static long get_owner_ex(struct task *t, const struct file *f, uaddr_t arg)
{
	struct f_owner_ex ex = {.type = f->owner_pid < 0 ? F_OWNER_PGRP : F_OWNER_PID, .pid = abs(f->owner_pid)};

	return copy_out_obj(t, arg, &ex);
}

static long set_owner_ex(struct task *t, struct file *f, uaddr_t arg)
{
	struct f_owner_ex ex;

	if (copy_in_obj(t, &ex, arg))
		return -EFAULT;
	if (ex.type != F_OWNER_TID && ex.type != F_OWNER_PID && ex.type != F_OWNER_PGRP)
		return -EINVAL;
	f->owner_pid = ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid;
	return 0;
}

static long on_file(struct task *t, struct file *f, int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return dup_at_least(t, f, (uint32_t)arg, cmd == F_DUPFD_CLOEXEC);
	case F_GETFD:
		return fd_cloexec(t, fd, -1) ? FD_CLOEXEC : 0;
	case F_SETFD:
		fd_cloexec(t, fd, arg & FD_CLOEXEC);
		return 0;
	case F_GETFL:
		return file_flags(f);
	}
	if (f->flags & O_PATH)
		return -EBADF;
	switch (cmd) {
	case F_SETFL:
		return set_flags(t, f, (uint32_t)arg);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return record_lock(t, f, cmd, arg);
	case F_GETOWN:
		return f->owner_pid;
	case F_SETOWN:
		f->owner_pid = (int)arg;
		return 0;
	case F_GETOWN_EX:
		return get_owner_ex(t, f, arg);
	case F_SETOWN_EX:
		return set_owner_ex(t, f, arg);
	case F_GETSIG:
		return f->owner_sig;
	case F_SETSIG:
		if (arg > NSIG_MAX)
			return -EINVAL;
		f->owner_sig = (int)arg;
		return 0;
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
		return pipe_fcntl(t, f, cmd, arg);
	case F_ADD_SEALS:
		return (f->flags & O_ACCMODE) == O_RDONLY ? -EPERM : tmpfs_add_seals(f, (uint32_t)arg);
	case F_GET_SEALS:
		return tmpfs_get_seals(f);
	case F_GETLEASE:
		return F_UNLCK;
	case F_SETLEASE:
		return arg == F_UNLCK ? -EAGAIN : -EINVAL; // leases aren't built
	}
	return -EINVAL;
}

long sys_fcntl(struct task *t, const struct sysargs *args)
{
	int fd = (int)args->a[0];
	struct file *f = fd_file_any(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = on_file(t, f, fd, (int)args->a[1], args->a[2]);
	file_put(f);
	return ret;
}

long sys_flock(struct task *t, const struct sysargs *args)
{
	struct file *f = fd_file(t, (int)args->a[0]);
	long ret;

	if (!f)
		return -EBADF;
	ret = flock_set(t, f, (int)args->a[1]);
	file_put(f);
	return ret;
}
