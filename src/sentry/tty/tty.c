// The terminal object: its life, its lock, and the devices by which it is opened.
//
// What a change brings about (the driver's drain, wake-ups, signals) is only noted while the lock is held and done by tty_unlock(), so
// that nothing is called from within the line discipline.
#include <fcntl.h>
#include <string.h>
#include <sys/ttydefaults.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/kmem.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

enum { PTS_NUMBERS = 1 << 20, MINOR_TTY = 0, MINOR_PTMX = 2 };

KMEM_TYPE(tty_type, tty);

// As a new pty has them on Linux.
static const struct termios2 termios_default = {
	.c_iflag = ICRNL | IXON,
	.c_oflag = OPOST | ONLCR,
	.c_cflag = B38400 | CS8 | CREAD,
	.c_lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
	.c_cc = {
		[VINTR] = CTRL('c'), [VQUIT] = CTRL('\\'), [VERASE] = 0x7f, [VKILL] = CTRL('u'), [VEOF] = CTRL('d'), [VMIN] = 1,
		[VSTART] = CTRL('q'), [VSTOP] = CTRL('s'), [VSUSP] = CTRL('z'), [VREPRINT] = CTRL('r'), [VDISCARD] = CTRL('o'),
		[VWERASE] = CTRL('w'), [VLNEXT] = CTRL('v'),
	},
	.c_ispeed = 38400,
	.c_ospeed = 38400,
};

struct tty *tty_create(const struct tty_driver *driver, void *priv)
{
	struct tty *tty = kmem_alloc(&tty_type);

	if (!tty)
		return NULL;
	ref_init(&tty->ref);
	mutex_init(&tty->mu);
	waitq_init(&tty->slave_waitq);
	waitq_init(&tty->master_waitq);
	tty->driver = driver;
	tty->priv = priv;
	tty->termios = termios_default;
	return tty;
}

struct tty *tty_get(struct tty *tty)
{
	ref_get(&tty->ref);
	return tty;
}

bool tty_get_unless_gone(struct tty *tty)
{
	return ref_get_unless_zero(&tty->ref);
}

void tty_put(struct tty *tty)
{
	if (!tty || !ref_put(&tty->ref))
		return;
	mutex_lock(&kernel()->tasks_mu);
	if (tty->session)
		tty->session->tty = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	if (tty->driver->destroy)
		tty->driver->destroy(tty);
	tty_queue_clear(&tty->typed);
	tty_queue_clear(&tty->out);
	tty_queue_clear(&tty->echo);
	waitq_fini(&tty->slave_waitq);
	waitq_fini(&tty->master_waitq);
	kmem_free(&tty_type, tty);
}

void tty_lock(struct tty *tty)
{
	mutex_lock(&tty->mu);
}

static void raise_all(struct tty *tty, uint64_t raise)
{
	mutex_lock(&kernel()->tasks_mu);
	while (raise) {
		int sig = __builtin_ctzll(raise) + 1;

		raise &= raise - 1;
		tty_signal_foreground_locked(tty, sig);
	}
	mutex_unlock(&kernel()->tasks_mu);
}

void tty_unlock(struct tty *tty)
{
	uint32_t wake_slave, wake_master;
	bool drained, hang_up;

	if (tty->driver->typed_room && tty->typed.len == 0)
		tty->driver->typed_room(tty);
	if (tty->driver->drain && tty->out.len) // also what has just been echoed
		tty->driver->drain(tty);
	wake_slave = tty->wake_slave;
	wake_master = tty->wake_master;
	// Before anybody else comes: what was typed later may change who is in the foreground.
	if (tty->raise)
		raise_all(tty, tty->raise);
	tty->wake_slave = tty->wake_master = 0;
	tty->raise = 0;
	drained = tty->drained;
	hang_up = tty->hang_up;
	tty->drained = tty->hang_up = false;
	mutex_unlock(&tty->mu);
	if (wake_slave)
		waitq_wake(&tty->slave_waitq, wake_slave);
	if (wake_master)
		waitq_wake(&tty->master_waitq, wake_master);
	if (drained)
		tty->driver->drained(tty);
	if (hang_up)
		tty->driver->hung_up(tty);
}

// --- devices

// /dev/tty: the caller's controlling terminal, whichever that is.
static int open_own(struct task *t, struct file *f)
{
	struct tty *tty = t ? tty_of_task(t) : NULL;
	int err;

	if (!tty)
		return -ENXIO;
	f->flags |= O_NOCTTY;
	err = tty_open(t, f, tty);
	tty_put(tty);
	return err;
}

static int aux_open(struct task *t, struct file *f, unsigned minor)
{
	if (minor == MINOR_TTY)
		return open_own(t, f);
	return minor == MINOR_PTMX ? ptmx_open(t, f) : -ENXIO;
}

// Only devpts knows which terminal a number means: a node made elsewhere leads nowhere.
static int pts_open(struct task *t, struct file *f, unsigned minor)
{
	struct tty *tty = devpts_tty(f->inode);

	return tty ? tty_open(t, f, tty) : -EIO;
}

static struct chrdev aux_dev = {.major = TTY_MAJOR_AUX, .minor_first = 0, .minor_count = 3, .open = aux_open};
static struct chrdev pts_dev = {.major = TTY_MAJOR_PTS, .minor_first = 0, .minor_count = PTS_NUMBERS, .open = pts_open};

void tty_register_devices(void)
{
	chrdev_register(&aux_dev);
	chrdev_register(&pts_dev);
}
