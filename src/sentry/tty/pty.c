// Pseudoterminals: /dev/ptmx and the files of its masters (man 7 pty, man 4 ptmx).
//
// The terminal and its name in devpts live as long as the master is open, the object until the last file of either side is closed.
#include <fcntl.h>
#include <signal.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

enum { WRITE_PIECE = 2048 };

// In packet mode each read begins with a byte that tells what happened, or 0 and data (man 2 TIOCPKT).
static int64_t read_packet(struct tty *tty, struct uio *u, bool *out_data)
{
	uint8_t status = tty->packet_status;

	*out_data = !status;
	if (!status && !tty->out.len)
		return -EAGAIN;
	tty->packet_status = 0;
	return uio_put(u, &status, 1) < 0 ? -EFAULT : 1;
}

static int64_t take_output(struct tty *tty, struct uio *u)
{
	uint32_t room = tty_out_room(tty);
	int64_t done = 0;

	while (u->resid && tty->out.len) {
		uint32_t len;
		const char *piece = tty_queue_peek(&tty->out, &len);

		len = MIN(len, u->resid);
		if (uio_put(u, piece, len) < 0)
			return done ? done : -EFAULT;
		tty_queue_drop(&tty->out, len);
		done += len;
	}
	// Whoever waits for room is woken once there is some, not for each byte.
	if (room < TTY_OUT_MAX / 2)
		tty->wake_slave |= POLLOUT_ALL;
	return done;
}

static int64_t master_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct tty *tty = f->priv;
	bool data = true;
	int64_t n = 0, more = 0;

	if (!u->resid)
		return 0;
	tty_lock(tty);
	if (tty->packet)
		n = read_packet(tty, u, &data);
	else if (!tty->out.len)
		n = -EAGAIN;
	if (n >= 0 && data)
		more = take_output(tty, u);
	if (n == -EAGAIN && tty->slave_closed)
		n = -EIO;
	tty_unlock(tty);
	return more < 0 ? more : n < 0 ? n : n + more;
}

static int64_t master_write(struct file *f, struct uio *u, int64_t *pos)
{
	char piece[WRITE_PIECE];
	struct tty *tty = f->priv;
	int64_t done = 0;
	int err = 0;

	tty_lock(tty);
	while (u->resid && !err) {
		uint64_t room = tty->typed.len < TTY_TYPED_MAX ? TTY_TYPED_MAX - tty->typed.len : 0;
		uint64_t len = MIN(MIN(u->resid, sizeof(piece)), room);

		if (!len)
			err = -EAGAIN;
		else if (uio_take(u, piece, len) < 0)
			err = -EFAULT;
		else if (tty_queue_put(&tty->typed, piece, (uint32_t)len) < 0)
			err = -ENOMEM;
		if (err)
			break;
		done += len;
		tty_receive(tty);
	}
	tty_unlock(tty);
	return done ? done : err;
}

static uint32_t master_poll(struct file *f, struct poll_table *pt)
{
	struct tty *tty = f->priv;
	uint32_t mask = 0;

	poll_wait(pt, &tty->master_waitq);
	tty_lock(tty);
	if (tty->out.len)
		mask |= POLLIN_ALL;
	if (tty->packet && tty->packet_status)
		mask |= POLLIN_ALL | POLLPRI;
	if (tty->slave_closed)
		mask |= POLLHUP;
	if (tty->typed.len < TTY_TYPED_MAX)
		mask |= POLLOUT | POLLWRNORM;
	tty_unlock(tty);
	return mask;
}

static long set_flag(struct task *t, struct tty *tty, bool *flag, uaddr_t arg)
{
	int on;

	if (copy_in_obj(t, &on, arg))
		return -EFAULT;
	tty_lock(tty);
	if (flag == &tty->packet && on && !tty->packet)
		tty->packet_status = 0;
	*flag = on;
	tty_unlock(tty);
	return 0;
}

static long put_number(struct task *t, uaddr_t arg, int n)
{
	return copy_out_obj(t, arg, &n);
}

// TIOCGPTPEER: the other side, whatever can be seen at its name.
static long open_peer(struct task *t, struct file *master, struct tty *tty, unsigned flags)
{
	struct file *f;
	int err;

	if (flags & ~(unsigned)(O_ACCMODE | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | 0100000 /* O_LARGEFILE */))
		return -EINVAL;
	err = devpts_open(t, master->path.mnt, tty, flags & ~(unsigned)O_CLOEXEC, &f);
	return err ? err : fd_install(t, f, flags & O_CLOEXEC, 0);
}

// TIOCSIG: a signal as if typed.
static long send_signal(struct tty *tty, uint64_t sig)
{
	if (sig != SIGINT && sig != SIGQUIT && sig != SIGTSTP)
		return -EINVAL;
	tty_lock(tty);
	tty->raise |= SIGBIT(sig);
	tty_unlock(tty);
	return 0;
}

static long master_ioctl(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct tty *tty = f->priv;

	switch (cmd) {
	case TIOCGPTN:
		return put_number(t, arg, tty->index);
	case TIOCSPTLCK:
		return set_flag(t, tty, &tty->locked, arg);
	case TIOCGPTLCK:
		return put_number(t, arg, tty->locked);
	case TIOCPKT:
		return set_flag(t, tty, &tty->packet, arg);
	case TIOCGPKT:
		return put_number(t, arg, tty->packet);
	case TIOCGPTPEER:
		return open_peer(t, f, tty, (unsigned)arg);
	case TIOCSIG:
		return send_signal(tty, arg);
	case TIOCSCTTY:
	case TIOCNOTTY:
		return -ENOTTY; // a master controls nobody
	}
	return tty_ioctl(t, f, tty, true, cmd, arg);
}

static void master_release(struct file *f)
{
	struct tty *tty = f->priv;

	if (!tty)
		return;
	tty_lock(tty);
	tty->gone = true;
	tty_unlock(tty);
	devpts_remove(tty->devpts, tty);
	tty->devpts = NULL;
	tty_hangup(tty);
	tty_put(tty);
}

static const struct file_ops master_ops = {
	.read = master_read,
	.write = master_write,
	.poll = master_poll,
	.ioctl = master_ioctl,
	.release = master_release,
	.stream = true,
};

static const struct tty_driver pty_driver = {0};

int ptmx_open(struct task *t, struct file *f)
{
	struct super_block *sb = devpts_of(f);
	struct tty *tty;
	int err;

	if (!sb)
		return -ENXIO; // a node outside of any devpts
	tty = tty_create(&pty_driver, NULL);
	if (!tty)
		return -ENOMEM;
	tty->locked = true; // until unlockpt(3)
	tty->devpts = sb; // which f's path keeps
	err = devpts_add(sb, t ? t->cred : NULL, tty);
	if (err) {
		tty_put(tty);
		return err;
	}
	f->ops = &master_ops;
	f->priv = tty;
	return 0;
}
