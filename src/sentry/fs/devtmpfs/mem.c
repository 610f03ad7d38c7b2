// The memory devices (major 1): null, zero, full, random, urandom. man 4 null, man 4 random.
#include <fcntl.h>
#include <sys/random.h>
#include <linux/random.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/fs/devtmpfs/devtmpfs.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum { MEM_MAJOR = 1, RANDOM_PIECE = 256 /* getrandom never stops short of that */ };

static int64_t read_nothing(struct file *f, struct uio *u, int64_t *pos)
{
	return 0;
}

static int64_t write_away(struct file *f, struct uio *u, int64_t *pos)
{
	int64_t n = (int64_t)u->resid;

	u->resid = 0;
	return n;
}

static int64_t write_full(struct file *f, struct uio *u, int64_t *pos)
{
	return u->resid ? -ENOSPC : 0;
}

static int64_t read_zeros(struct file *f, struct uio *u, int64_t *pos)
{
	uint64_t len = u->resid;
	int err = uio_zero(u, len);

	return err && u->resid == len ? err : (int64_t)(len - u->resid);
}

static int64_t read_random(struct file *f, struct uio *u, int64_t *pos)
{
	char piece[RANDOM_PIECE];
	int64_t done = 0;

	while (u->resid) {
		uint64_t n = MIN(u->resid, sizeof(piece));

		if (getrandom(piece, n, 0) != (ssize_t)n)
			return done ? done : -EIO;
		if (uio_put(u, piece, n) < 0)
			return done ? done : -EFAULT;
		done += n;
	}
	return done;
}

static int64_t seek_nowhere(struct file *f, int64_t offset, int whence)
{
	return f->pos = 0;
}

// Private anonymous memory, or a shared object of zeros.
static int map_zeros(struct file *f, uint64_t offset, uint64_t len, int prot, bool shared, struct vm_backing *out)
{
	return 0;
}

static long random_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	int bits = 256;

	return cmd == RNDGETENTCNT ? copy_out_obj(t, arg, &bits) : -EINVAL;
}

static bool lend_null(struct file *f, struct task *t, bool wrote, struct platform_loan *loan)
{
	loan->kinds = (f->flags & O_ACCMODE) == O_RDONLY ? 0 : PLATFORM_LEND_AWAY;
	return loan->kinds;
}

static bool lend_zero(struct file *f, struct task *t, bool wrote, struct platform_loan *loan)
{
	lend_null(f, t, wrote, loan);
	loan->kinds |= (f->flags & O_ACCMODE) == O_WRONLY ? 0 : PLATFORM_LEND_ZEROS;
	return true;
}

static const struct file_ops null_ops = {.read = read_nothing, .write = write_away, .llseek = seek_nowhere, .lend = lend_null};
static const struct file_ops zero_ops = {
	.read = read_zeros, .write = write_away, .llseek = seek_nowhere, .mmap = map_zeros, .lend = lend_zero
};
static const struct file_ops full_ops = {.read = read_zeros, .write = write_full, .llseek = seek_nowhere};
static const struct file_ops random_ops = {
	.read = read_random,
	.write = write_away, // stirred in by nobody: the host's generator needs no help
	.llseek = seek_nowhere,
	.ioctl = random_ioctl,
};

static int mem_open(struct task *t, struct file *f, unsigned minor)
{
	switch (minor) {
	case 3:
		f->ops = &null_ops;
		return 0;
	case 5:
		f->ops = &zero_ops;
		return 0;
	case 7:
		f->ops = &full_ops;
		return 0;
	case 8:
	case 9:
		f->ops = &random_ops;
		return 0;
	}
	return -ENXIO;
}

static struct chrdev mem_dev = {.major = MEM_MAJOR, .minor_first = 0, .minor_count = 256, .open = mem_open};

void devtmpfs_register_devices(void)
{
	chrdev_register(&mem_dev);
}
