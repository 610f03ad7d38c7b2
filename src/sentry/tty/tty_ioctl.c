// The ioctls that both sides of a terminal know: man 2 ioctl_tty. Modes are in tty_modes.c, sessions in tty_job.c.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

static long get_size(struct task *t, struct tty *tty, uaddr_t arg)
{
	struct winsize size;

	tty_host_resized(tty); // whoever holds a console socket's master tells nobody
	tty_lock(tty);
	size = tty->size;
	tty_unlock(tty);
	return copy_out_obj(t, arg, &size);
}

static long set_size(struct task *t, struct tty *tty, uaddr_t arg)
{
	struct winsize size;

	if (copy_in_obj(t, &size, arg))
		return -EFAULT;
	tty_lock(tty);
	if (memcmp(&size, &tty->size, sizeof(size)) != 0) {
		tty->size = size;
		tty->raise |= SIGBIT(SIGWINCH);
	}
	tty_unlock(tty);
	return 0;
}

// What is there to read: on the program's side typed, on the master's written.
static long count_input(struct task *t, struct tty *tty, bool master, uaddr_t arg)
{
	int n;

	tty_lock(tty);
	n = (int)(master ? tty->out.len : tty_available(tty));
	tty_unlock(tty);
	return copy_out_obj(t, arg, &n);
}

// Typing in another's place is how a sandboxed program would give orders to a shell that is not: only for the administrator of
// the sandbox, as with Linux's dev.tty.legacy_tiocsti=0.
static long type_in(struct task *t, struct tty *tty, uaddr_t arg)
{
	char c;

	if (!cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EIO;
	if (copy_in_obj(t, &c, arg))
		return -EFAULT;
	tty_lock(tty);
	if (tty->typed.len < TTY_TYPED_MAX)
		tty_queue_put(&tty->typed, &c, 1);
	tty_receive(tty);
	tty_unlock(tty);
	return 0;
}

static long exclusive(struct task *t, struct tty *tty, unsigned cmd, uaddr_t arg)
{
	int on = tty->exclusive;

	if (cmd == TIOCGEXCL)
		return copy_out_obj(t, arg, &on);
	tty_lock(tty);
	tty->exclusive = cmd == TIOCEXCL;
	tty_unlock(tty);
	return 0;
}

static long put_number(struct task *t, uaddr_t arg, int n)
{
	return copy_out_obj(t, arg, &n);
}

static long set_discipline(struct task *t, uaddr_t arg)
{
	int n;

	if (copy_in_obj(t, &n, arg))
		return -EFAULT;
	return n == 0 ? 0 : -EINVAL; // N_TTY is all there is
}

static long hang_up(struct task *t, struct tty *tty)
{
	if (!cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EPERM;
	tty_hangup(tty);
	return 0;
}

long tty_ioctl(struct task *t, struct file *f, struct tty *tty, bool master, unsigned cmd, uint64_t arg)
{
	switch (cmd) {
	case TIOCGWINSZ:
		return get_size(t, tty, arg);
	case TIOCSWINSZ:
		return set_size(t, tty, arg);
	case FIONREAD:
		return count_input(t, tty, master, arg);
	case TIOCOUTQ:
		return put_number(t, arg, tty->driver->drains ? (int)tty->out.len : 0);
	case TIOCSTI:
		return type_in(t, tty, arg);
	case TIOCEXCL:
	case TIOCNXCL:
	case TIOCGEXCL:
		return exclusive(t, tty, cmd, arg);
	case TIOCGETD:
		return put_number(t, arg, 0);
	case TIOCSETD:
		return set_discipline(t, arg);
	case TIOCGDEV:
		return put_number(t, arg, (int)makedev(TTY_MAJOR_PTS, tty->index));
	case TIOCVHANGUP:
		return hang_up(t, tty);
	case TIOCSCTTY:
	case TIOCNOTTY:
	case TIOCSPGRP:
	case TIOCGPGRP:
	case TIOCGSID:
		return tty_ioctl_job(t, f, tty, master, cmd, arg);
	}
	return tty_ioctl_modes(t, tty, master, cmd, arg);
}
