// The terminal's own: the object, and what the parts of the line discipline share.
#pragma once

#include <sys/ioctl.h>
#include <asm/termbits.h>

#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/tty/tty.h"
#include "sentry/tty/tty_queue.h"

enum {
	TTY_MAJOR_AUX = 5,   // /dev/tty, /dev/ptmx
	TTY_MAJOR_PTS = 136, // /dev/pts/N
	TTY_LINE_BYTES = 4096, // the line discipline's buffer: lines are at most this long (man 3 termios)
	TTY_TYPED_MAX = 64 << 10, // typed, but the line discipline has no room yet
	TTY_OUT_MAX = 64 << 10, // written, but not read by the master: writers wait then
	TTY_ECHO_MAX = 8 << 10, // what echo may add to that; more is lost
	TTY_WAKEUP_ROOM = 256, // writers are woken and poll answers POLLOUT with that much room
};

// The other side of a terminal. Called with tty->mu held.
struct tty_driver {
	void (*drain)(struct tty *tty); // there may be something in tty->out: pass it on. NULL: the reader comes for it
	void (*typed_room)(struct tty *tty); // tty->typed has room again: fetch more. NULL: the writer comes
	void (*wanted)(struct tty *tty); // a program looks for input or sets the modes. NULL: that is no news
	// tty->drained and tty->hang_up were set; mu not held, and the terminal may be gone afterwards.
	void (*drained)(struct tty *tty);
	void (*hung_up)(struct tty *tty);
	void (*destroy)(struct tty *tty); // the last reference is gone; mu not held
	bool drains; // tcdrain waits until tty->out is empty
};

struct uio;

struct tty {
	struct ref ref;
	const struct tty_driver *driver;
	int index; // N of /dev/pts/N
	struct super_block *devpts; // where that is; the driver's business
	void *priv; // the driver's

	struct mutex mu;
	// Guarded by mu.
	struct termios2 termios;
	struct winsize size;
	bool locked, exclusive; // TIOCSPTLCK, TIOCEXCL
	bool gone; // the other side is gone for good
	bool packet; // TIOCPKT
	uint8_t packet_status; // TIOCPKT_*: what the master isn't told yet
	int slaves; // open files of the program's side
	bool slave_closed; // it was open and isn't any more: the master reads EIO
	// Input: a ring; positions count every byte that ever passed.
	uint8_t in[TTY_LINE_BYTES];
	uint64_t line_end[TTY_LINE_BYTES / 64]; // a bit per byte of the ring: ends a line
	uint32_t in_head, in_tail, canon_head; // canon_head: behind the last complete line
	bool literal_next, erasing; // after VLNEXT; within a \…/ of ECHOPRT
	int64_t last_input_ns;
	struct tty_queue typed;
	// Output.
	uint32_t column, canon_column; // of the cursor; where the line that is being typed began
	bool host_newlines; // the driver's: ONLCR is done there
	bool stopped, stopped_by_call; // VSTOP; TCOOFF
	struct tty_queue out, echo; // echo: what came while stopped
	struct waitq slave_waitq, master_waitq;
	// What tty_unlock() is to do.
	uint32_t wake_slave, wake_master; // POLL* masks
	uint64_t raise; // signals for the foreground process group
	bool drained, hang_up;

	_Atomic uint32_t hangups; // files that were opened before the last one are dead
	// Guarded by tasks_mu.
	struct session *session; // not counted: session->tty points back, and each end clears both
	int pgid; // foreground process group; 0: none
};

// tty.c
struct tty *tty_create(const struct tty_driver *driver, void *priv);
void tty_lock(struct tty *tty);
void tty_unlock(struct tty *tty); // and raises, drains and wakes what has come up
static inline void tty_want(struct tty *tty)
{
	if (tty->driver->wanted)
		tty->driver->wanted(tty);
}
static inline bool tty_is(const struct tty *tty, uint8_t c, int which) // 0 in c_cc: there is no such character
{
	return c && tty->termios.c_cc[which] == c;
}

// ldisc_in.c: from the keyboard. mu is held.
void tty_receive(struct tty *tty); // takes what there is room for out of tty->typed
void tty_flush_input(struct tty *tty);
void tty_termios_changed(struct tty *tty, const struct termios2 *old);

// ldisc_read.c: to the program.
int64_t tty_read(struct tty *tty, struct uio *u, bool expired); // mu held: bytes, 0, -EAGAIN, -EFAULT
uint32_t tty_available(const struct tty *tty); // bytes that a read could get
bool tty_readable(const struct tty *tty); // as poll sees it

// ldisc_out.c: to the screen. mu is held.
void tty_put_processed(struct tty *tty, uint8_t c); // with OPOST
void tty_put_raw(struct tty *tty, const void *bytes, uint32_t len);
void tty_write_bytes(struct tty *tty, const uint8_t *bytes, uint32_t len);
uint32_t tty_out_room(const struct tty *tty);
void tty_stop(struct tty *tty);
void tty_start(struct tty *tty);
// ldisc_echo.c
void tty_echo_char(struct tty *tty, uint8_t c); // ^X for control characters if ECHOCTL
void tty_echo_raw(struct tty *tty, uint8_t c);
void tty_echo_flush(struct tty *tty); // what was held back while stopped
void tty_erase(struct tty *tty, uint8_t c); // VERASE, VWERASE or VKILL was typed
void tty_finish_erasing(struct tty *tty);

// tty_ioctl.c: those of both sides; cmd unknown: -ENOTTY. master: asked on the master's file.
long tty_ioctl(struct task *t, struct file *f, struct tty *tty, bool master, unsigned cmd, uint64_t arg);
long tty_ioctl_modes(struct task *t, struct tty *tty, bool master, unsigned cmd, uint64_t arg); // tty_modes.c

// tty_job.c. mu not held.
// May a process in the background do this? 0, -EIO, or -ERESTARTSYS with sig sent to its process group.
int tty_check_change(struct task *t, struct tty *tty, int sig);
void tty_take_if_free(struct task *t, struct tty *tty); // an open without O_NOCTTY
long tty_ioctl_job(struct task *t, struct file *f, struct tty *tty, bool master, unsigned cmd, uint64_t arg);
void tty_hangup(struct tty *tty); // for good if tty->gone, else the files that are open now
struct tty *tty_of_task(struct task *t); // counted; NULL

// pty.c
int ptmx_open(struct task *t, struct file *f);
// tty_file.c
extern const struct file_ops tty_file_ops;
