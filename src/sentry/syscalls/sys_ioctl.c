// ioctl: what every file knows; the rest is the file's own.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <linux/fs.h>

#include "abi/errno.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

static long set_flag(struct task *t, struct file *f, uint32_t flag, uaddr_t arg)
{
	int on;

	if (copy_in_obj(t, &on, arg))
		return -EFAULT;
	if (on)
		f->flags |= flag;
	else
		f->flags &= ~flag;
	return 0;
}

// Regular files: what lies behind the position.
static long bytes_left(struct task *t, struct file *f, uaddr_t arg)
{
	int n = (int)((int64_t)f->inode->attr.size - f->pos);

	return copy_out_obj(t, arg, &n);
}

static long on_file(struct task *t, struct file *f, int fd, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case FIOCLEX:
	case FIONCLEX:
		fd_cloexec(t, fd, cmd == FIOCLEX);
		return 0;
	case FIONBIO:
		return set_flag(t, f, O_NONBLOCK, arg);
	case FIOASYNC:
		return set_flag(t, f, O_ASYNC, arg);
	case FIGETBSZ:
		if (S_ISREG(f->inode->attr.mode) || S_ISDIR(f->inode->attr.mode))
			return copy_out(t, arg, &f->inode->attr.blksize, sizeof(int));
		break;
	case FIONREAD:
		if (S_ISREG(f->inode->attr.mode))
			return bytes_left(t, f, arg);
		break;
	}
	task_keep_file(t, f); // it may wait for a terminal's output
	return f->ops->ioctl ? f->ops->ioctl(t, f, cmd, arg) : -ENOTTY;
}

long sys_ioctl(struct task *t, const struct sysargs *args)
{
	const unsigned cmd = (unsigned)args->a[1];
	int fd = (int)args->a[0];
	struct file *f = fd_file(t, fd);
	long ret;

	if (!f)
		return -EBADF;
	ret = on_file(t, f, fd, cmd, args->a[2]);
	if (ret == -ENOTTY && (cmd == TCGETS || cmd == TIOCGWINSZ)) // which any terminal answers
		fdtable_no_tty(t, fd, f);
	file_put(f);
	return ret;
}
