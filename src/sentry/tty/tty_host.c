// Terminals whose other side is the host: what `run`, `exec` and `do` give to a program.
//
// The host's terminal is only a raw line. Output goes to the screen's descriptor, input comes from the keyboard's: the same one, or a
// socket through which the CLI passes on what is typed while it is in the foreground of its own terminal. Both don't wait, if the CLI
// could see to that. The host's side holds the terminal as a pty's master would, until its end: then it is hung up.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "sentry/fs/devpts/devpts.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

enum {
	READ_PIECE = 4096,
	WAITING_PIECE = 256, // what a terminal surely takes without waiting when poll says so
};

struct tty_host {
	struct tty *tty; // counted until the end
	struct hostfd *screen, *keyboard;
	struct fd_watch screen_watch, keyboard_watch;
	bool screen_waits; // no O_NONBLOCK
	// Guarded by tty->mu.
	struct winsize size; // the host's, as far as is known
	bool asked; // for the keyboard
	bool more; // reading stopped before there was no more
	bool ended;
	void (*on_drained)(void *arg);
	void *on_drained_arg;
};

KMEM_TYPE(tty_host_type, tty_host);

// How much could be written: bytes or -errno.
static ssize_t write_screen(struct tty_host *h, const char *piece, size_t len)
{
	struct pollfd p = {.fd = h->screen->fd, .events = POLLOUT};
	ssize_t n;

	if (h->screen_waits) {
		if (poll(&p, 1, 0) <= 0 || !(p.revents & (POLLOUT | POLLERR | POLLHUP)))
			return -EAGAIN;
		len = MIN(len, (size_t)WAITING_PIECE);
	}
	n = write(h->screen->fd, piece, len);
	return n < 0 ? -errno : n;
}

static void end_locked(struct tty *tty)
{
	struct tty_host *h = tty->priv;

	if (h->ended)
		return;
	h->ended = tty->gone = tty->hang_up = true;
	tty->drained = h->on_drained;
	tty_queue_clear(&tty->out);
}

static void host_drain(struct tty *tty)
{
	struct tty_host *h = tty->priv;
	uint32_t room = tty_out_room(tty), len;

	while (tty->out.len && !h->ended) {
		const char *piece = tty_queue_peek(&tty->out, &len);
		ssize_t n = write_screen(h, piece, len);

		if (n == -EAGAIN)
			break; // the watch tells when it goes on
		if (n < 0) {
			end_locked(tty);
			break;
		}
		tty_queue_drop(&tty->out, (uint32_t)n);
	}
	if (!tty->out.len && h->on_drained)
		tty->drained = true;
	if (!tty->out.len || (room < TTY_WAKEUP_ROOM && tty_out_room(tty) >= TTY_WAKEUP_ROOM))
		tty->wake_slave |= POLLOUT_ALL;
}

// The host's size is the terminal's, over what a program may have set, when it has changed.
static void take_size(struct tty *tty)
{
	struct tty_host *h = tty->priv;
	struct winsize size;

	if (ioctl(h->screen->fd, TIOCGWINSZ, &size) < 0 || memcmp(&size, &h->size, sizeof(size)) == 0)
		return;
	tty->size = h->size = size;
	tty->raise |= SIGBIT(SIGWINCH);
}

static void fetch(struct tty *tty)
{
	struct tty_host *h = tty->priv;
	char piece[READ_PIECE];

	take_size(tty); // whom it concerns is in the foreground now; what is typed may put another there
	while (!h->ended) {
		ssize_t n;

		h->more = tty->typed.len >= TTY_TYPED_MAX;
		if (h->more)
			return;
		n = read(h->keyboard->fd, piece, sizeof(piece));
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || tty_queue_put(&tty->typed, piece, (uint32_t)n) < 0)
			end_locked(tty);
		else
			tty_receive(tty);
	}
}

// The keyboard is lent when somebody looks for input.
static void host_wanted(struct tty *tty)
{
	struct tty_host *h = tty->priv;

	if (h->asked)
		return;
	h->asked = true;
	if (write(h->keyboard->fd, "", 1) < 0)
		log_debug("the terminal's keyboard can't be asked for: %s", strerror(errno));
}

static void host_typed_room(struct tty *tty)
{
	if (((struct tty_host *)tty->priv)->more)
		fetch(tty);
}

static void screen_ready(struct fd_watch *w, uint32_t events)
{
	struct tty_host *h = w->arg;

	tty_lock(h->tty);
	if (h->keyboard == h->screen)
		fetch(h->tty);
	tty_unlock(h->tty); // drains
}

static void keyboard_ready(struct fd_watch *w, uint32_t events)
{
	struct tty_host *h = w->arg;

	tty_lock(h->tty);
	fetch(h->tty);
	tty_unlock(h->tty);
}

// Called by tty_unlock() for the one who found the end; the last thing that he does with it may be to give it back here.
static void host_ended(struct tty *tty)
{
	struct tty_host *h = tty->priv;

	if (h->keyboard != h->screen)
		kernel_unwatch_fd(&h->keyboard_watch);
	kernel_unwatch_fd(&h->screen_watch);
	tty_hangup(tty);
	devpts_remove(tty->devpts, tty);
	sb_put(tty->devpts);
	tty->devpts = NULL;
	tty_put(tty);
}

static void host_drained(struct tty *tty)
{
	struct tty_host *h = tty->priv;
	void (*fn)(void *arg);
	void *arg;

	tty_lock(tty);
	fn = h->on_drained;
	arg = h->on_drained_arg;
	h->on_drained = NULL;
	tty_unlock(tty);
	if (fn)
		fn(arg);
}

void tty_host_when_drained(struct tty *tty, void (*fn)(void *arg), void *arg)
{
	struct tty_host *h = tty->priv;
	bool now;

	tty_lock(tty);
	now = !tty->out.len || h->ended;
	if (!now) {
		h->on_drained = fn;
		h->on_drained_arg = arg;
	}
	tty_unlock(tty);
	if (now)
		fn(arg);
}

static void host_destroy(struct tty *tty)
{
	struct tty_host *h = tty->priv;

	if (h->keyboard != h->screen)
		hostfd_put(h->keyboard);
	hostfd_put(h->screen);
	kmem_free(&tty_host_type, h);
}

static const struct tty_driver host_driver = {
	.drain = host_drain,
	.typed_room = host_typed_room,
	.wanted = host_wanted,
	.drained = host_drained,
	.hung_up = host_ended,
	.destroy = host_destroy,
	.drains = true,
};

void tty_host_resized(struct tty *tty)
{
	if (tty->driver != &host_driver)
		return;
	tty_lock(tty);
	take_size(tty);
	tty_unlock(tty);
}

static int watch_both(struct tty_host *h)
{
	int err;

	h->screen_watch = (struct fd_watch){.fd = h->screen->fd, .fn = screen_ready, .arg = h};
	err = kernel_watch_fd(&h->screen_watch, EPOLLOUT | (h->keyboard == h->screen ? EPOLLIN | EPOLLRDHUP : 0));
	if (err == -EPERM && h->keyboard != h->screen)
		err = 0; // a file, which is always ready
	if (err || h->keyboard == h->screen)
		return err;
	h->keyboard_watch = (struct fd_watch){.fd = h->keyboard->fd, .fn = keyboard_ready, .arg = h};
	err = kernel_watch_fd(&h->keyboard_watch, EPOLLIN | EPOLLRDHUP);
	if (err)
		kernel_unwatch_fd(&h->screen_watch);
	return err;
}

static struct tty *create(int out_fd, int in_fd)
{
	struct tty_host *h = kmem_alloc(&tty_host_type);
	struct tty *tty;

	if (!h)
		return NULL;
	h->screen = hostfd_create(out_fd);
	h->keyboard = in_fd >= 0 ? hostfd_create(in_fd) : h->screen;
	tty = h->screen && h->keyboard ? tty_create(&host_driver, h) : NULL;
	if (!tty)
		return NULL; // memory is at its end: the little that is left behind doesn't matter
	h->tty = tty;
	h->screen_waits = !(fcntl(out_fd, F_GETFL) & O_NONBLOCK);
	if (ioctl(out_fd, TIOCGWINSZ, &tty->size) < 0)
		log_debug("the host's terminal has no size: %s", strerror(errno));
	h->size = tty->size;
	return tty;
}

int tty_host_create(struct super_block *devpts, const struct cred *cred, int out_fd, int in_fd, bool cooked, struct tty **out)
{
	struct tty *tty = create(out_fd, in_fd);
	int err;

	if (!tty)
		return -ENOMEM;
	err = devpts_add(devpts, cred, tty);
	if (err) {
		tty_put(tty);
		return err;
	}
	tty->devpts = sb_get(devpts);
	tty->host_newlines = cooked;
	((struct tty_host *)tty->priv)->asked = !cooked;
	err = watch_both(tty->priv);
	if (err) {
		devpts_remove(devpts, tty);
		sb_put(devpts);
		tty_put(tty);
		return err;
	}
	*out = tty_get(tty);
	return 0;
}
