// Files on a terminal's side for programs: /dev/pts/N, /dev/tty, standard input and output.
//
// A hang-up kills the files that are open at that moment: each remembers in f->pos, which a stream has no other use for, how many
// hang-ups there had been when it was opened. A dead file reads as at its end, and everything else fails with EIO.
#include <fcntl.h>
#include <signal.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

enum { WRITE_PIECE = 2048, VTIME_NS = 100000000 /* a tenth of a second */ };

static bool is_dead(const struct file *f, const struct tty *tty)
{
	return (uint32_t)f->pos != atomic_load(&tty->hangups);
}

static bool time_is_over(const struct task *t)
{
	int64_t deadline = t->call.deadline_ns;

	return deadline && deadline != KTIME_NEVER && ktime_now(CLOCK_MONOTONIC) >= deadline;
}

static int64_t file_read_tty(struct file *f, struct uio *u, int64_t *pos)
{
	struct tty *tty = f->priv;
	int64_t n;
	int err;

	if (is_dead(f, tty))
		return 0;
	if (u->task) {
		err = tty_check_change(u->task, tty, SIGTTIN);
		if (err)
			return err;
	}
	tty_lock(tty);
	tty_want(tty);
	n = is_dead(f, tty) ? 0 : tty_read(tty, u, u->task && time_is_over(u->task));
	tty_unlock(tty);
	return n;
}

static int64_t file_write_tty(struct file *f, struct uio *u, int64_t *pos)
{
	uint8_t piece[WRITE_PIECE];
	struct tty *tty = f->priv;
	int64_t done = 0;
	int err;

	if (u->task && tty->termios.c_lflag & TOSTOP) {
		err = tty_check_change(u->task, tty, SIGTTOU);
		if (err)
			return err;
	}
	tty_lock(tty);
	while (!done || u->resid) {
		uint32_t len = MIN(MIN(u->resid, sizeof(piece)), tty_out_room(tty));

		if (is_dead(f, tty) || tty->gone)
			err = -EIO;
		else if (!len)
			err = u->resid ? -EAGAIN : 0;
		else
			err = uio_take(u, piece, len);
		if (err || !len)
			break;
		tty_write_bytes(tty, piece, len);
		done += len;
	}
	tty_unlock(tty);
	return done ? done : err;
}

static uint32_t file_poll_tty(struct file *f, struct poll_table *pt)
{
	struct tty *tty = f->priv;
	uint32_t mask = 0;

	poll_wait(pt, &tty->slave_waitq);
	tty_lock(tty);
	if (pt && pt->events & POLLIN)
		tty_want(tty);
	if (is_dead(f, tty))
		mask = POLLIN_ALL | POLLOUT | POLLWRNORM | POLLERR | POLLHUP;
	else {
		if (tty_readable(tty))
			mask |= POLLIN_ALL;
		if (tty_out_room(tty) >= TTY_WAKEUP_ROOM)
			mask |= POLLOUT | POLLWRNORM;
	}
	tty_unlock(tty);
	return mask;
}

// VTIME: an own deadline, or with VMIN a pause after the last character, which this call (or its waiting) has seen the beginning of.
static void set_deadline(struct task *t, struct tty *tty)
{
	int64_t pause_ns = (int64_t)tty->termios.c_cc[VTIME] * VTIME_NS;
	uint64_t *begun_ns = &t->call.word[1]; // word[0] counts bytes

	if (tty->termios.c_lflag & ICANON || !pause_ns) {
		task_deadline_in(t, -1);
		return;
	}
	if (!*begun_ns)
		*begun_ns = ktime_now(CLOCK_MONOTONIC);
	t->call.timed_out = false;
	if (!tty->termios.c_cc[VMIN])
		t->call.deadline_ns = (int64_t)*begun_ns + pause_ns;
	else if (tty_available(tty))
		t->call.deadline_ns = MAX((int64_t)*begun_ns, tty->last_input_ns) + pause_ns;
	else
		t->call.deadline_ns = KTIME_NEVER;
}

// Waits for what a read of resid bytes needs, which poll's answer may differ from.
static long file_wait_tty(struct task *t, struct file *f, bool write, uint64_t resid)
{
	struct tty *tty = f->priv;
	bool enough;
	long ret;

	if (write)
		return task_block_file(t, f, POLLOUT_ALL);
	task_keep_file(t, f);
	ret = task_wait_on(t, &tty->slave_waitq, POLLIN_ALL | POLLHUP);
	if (ret)
		return ret;
	tty_lock(tty);
	enough = is_dead(f, tty) || tty_readable(tty) || (!(tty->termios.c_lflag & ICANON) && tty_available(tty) >= resid);
	set_deadline(t, tty);
	tty_unlock(tty);
	if (enough)
		return -EAGAINNOW;
	ret = task_block(t);
	return ret == -ETIMEDOUT ? -EAGAINNOW : ret; // the read sees that the time is over
}

static long file_ioctl_tty(struct task *t, struct file *f, unsigned cmd, uint64_t arg)
{
	struct tty *tty = f->priv;

	if (is_dead(f, tty))
		return cmd == TIOCSPGRP ? -ENOTTY : -EIO;
	return tty_ioctl(t, f, tty, false, cmd, arg);
}

static void file_release_tty(struct file *f)
{
	struct tty *tty = f->priv;

	if (!tty)
		return; // the open failed
	tty_lock(tty);
	if (--tty->slaves == 0) {
		tty->slave_closed = true;
		tty->exclusive = false;
		tty->wake_master |= POLLIN_ALL | POLLHUP;
	}
	tty_unlock(tty);
	tty_put(tty);
}

const struct file_ops tty_file_ops = {
	.read = file_read_tty,
	.write = file_write_tty,
	.poll = file_poll_tty,
	.wait = file_wait_tty,
	.ioctl = file_ioctl_tty,
	.release = file_release_tty,
	.stream = true,
};

int tty_open(struct task *t, struct file *f, struct tty *tty)
{
	int err = 0;

	tty_lock(tty);
	if (tty->gone || tty->locked)
		err = -EIO;
	else if (tty->exclusive && tty->slaves && !(t && cred_has_cap(t->cred, CAP_SYS_ADMIN)))
		err = -EBUSY;
	if (!err) {
		tty->slaves++;
		tty->slave_closed = false;
		f->ops = &tty_file_ops;
		f->priv = tty_get(tty);
		f->pos = atomic_load(&tty->hangups);
	}
	tty_unlock(tty);
	if (!err && t && !(f->flags & O_NOCTTY) && (f->flags & O_ACCMODE) != O_WRONLY)
		tty_take_if_free(t, tty);
	return err;
}
