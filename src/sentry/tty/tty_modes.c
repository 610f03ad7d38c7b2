// The ioctls for modes and for what is under way: man 2 ioctl_tty, man 2 TCSETS.
#include <signal.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/tty/tty_int.h"

// The speeds of c_cflag's CBAUD, in its order; CBAUDEX begins at the sixteenth.
static const uint32_t speeds[] = {0,	  50,	  75,	  110,	  134,	  150,	   200,	    300,     600,     1200,    1800,
				  2400,	  4800,	  9600,	  19200,  38400,  57600,   115200,  230400,  460800,  500000,  576000,
				  921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000};

static uint32_t speed_of(uint32_t cflag, uint32_t explicit_speed)
{
	uint32_t code = cflag & CBAUD, i;

	if (code == BOTHER)
		return explicit_speed;
	i = code & CBAUDEX ? (code & ~CBAUDEX) + 15 : code;
	return i < ARRAY_LEN(speeds) ? speeds[i] : 0;
}

static void set_modes(struct tty *tty, struct termios2 *modes)
{
	struct termios2 old = tty->termios;
	uint32_t in_code = modes->c_cflag >> IBSHIFT & CBAUD;

	modes->c_ospeed = speed_of(modes->c_cflag, modes->c_ospeed);
	modes->c_ispeed = in_code ? speed_of(in_code, modes->c_ispeed) : modes->c_ospeed;
	// A pty has eight bits and no parity, and always receives.
	modes->c_cflag = (modes->c_cflag & ~(CSIZE | PARENB)) | CS8 | CREAD;
	tty->termios = *modes;
	tty_termios_changed(tty, &old);
	if (tty->packet && (old.c_iflag ^ modes->c_iflag) & IXON) {
		tty->packet_status &= ~(TIOCPKT_DOSTOP | TIOCPKT_NOSTOP);
		tty->packet_status |= modes->c_iflag & IXON ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP;
		tty->wake_master |= POLLIN_ALL | POLLPRI;
	}
}

// Until all that was written has left; 0, or what task_block() answers.
static long drain(struct task *t, struct tty *tty)
{
	bool empty;
	int err;

	if (!tty->driver->drains)
		return 0;
	err = task_wait_on(t, &tty->slave_waitq, POLLOUT_ALL | POLLHUP);
	if (err)
		return err;
	tty_lock(tty);
	empty = !tty->out.len || tty->gone;
	tty_unlock(tty);
	return empty ? 0 : task_block(t);
}

// The three generations of the struct: termio (16-bit words), termios, termios2.
static int modes_in(struct task *t, const struct tty *tty, unsigned cmd, uaddr_t arg, struct termios2 *out)
{
	struct termio old;

	*out = tty->termios;
	switch (cmd) {
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
		if (copy_in_obj(t, &old, arg))
			return -EFAULT;
		out->c_iflag = (out->c_iflag & 0xffff0000) | old.c_iflag;
		out->c_oflag = (out->c_oflag & 0xffff0000) | old.c_oflag;
		out->c_cflag = (out->c_cflag & 0xffff0000) | old.c_cflag;
		out->c_lflag = (out->c_lflag & 0xffff0000) | old.c_lflag;
		out->c_line = old.c_line;
		memcpy(out->c_cc, old.c_cc, NCC);
		return 0;
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
		return copy_in_obj(t, out, arg);
	}
	return copy_in(t, out, arg, sizeof(struct termios));
}

static long set(struct task *t, struct tty *tty, unsigned cmd, uaddr_t arg)
{
	bool flush = cmd == TCSETSF || cmd == TCSETSF2 || cmd == TCSETAF;
	bool wait = flush || cmd == TCSETSW || cmd == TCSETSW2 || cmd == TCSETAW;
	struct termios2 modes;
	long ret = tty_check_change(t, tty, SIGTTOU);

	if (!ret && wait)
		ret = drain(t, tty);
	if (!ret)
		ret = modes_in(t, tty, cmd, arg, &modes);
	if (ret)
		return ret;
	tty_lock(tty);
	tty_want(tty);
	if (flush) {
		tty_queue_clear(&tty->typed);
		tty_flush_input(tty);
	}
	set_modes(tty, &modes);
	tty_unlock(tty);
	return 0;
}

static long get_old(struct task *t, const struct termios2 *modes, uaddr_t arg)
{
	struct termio old = {modes->c_iflag, modes->c_oflag, modes->c_cflag, modes->c_lflag, modes->c_line, {0}};

	memcpy(old.c_cc, modes->c_cc, NCC);
	return copy_out_obj(t, arg, &old);
}

static long get(struct task *t, struct tty *tty, unsigned cmd, uaddr_t arg)
{
	struct termios2 modes;

	tty_lock(tty);
	modes = tty->termios;
	tty_unlock(tty);
	if (cmd == TCGETA)
		return get_old(t, &modes, arg);
	return copy_out(t, arg, &modes, cmd == TCGETS2 ? sizeof(modes) : sizeof(struct termios));
}

// The queues have the other side's names on the master.
static long flush(struct tty *tty, bool master, uint64_t arg)
{
	bool in = arg == TCIFLUSH || arg == TCIOFLUSH, out = arg == TCOFLUSH || arg == TCIOFLUSH;

	if (!in && !out)
		return -EINVAL;
	tty_lock(tty);
	if (master ? out : in) {
		tty_queue_clear(&tty->typed);
		tty_flush_input(tty);
	}
	if (master ? in : out) {
		tty_queue_clear(&tty->out);
		tty_queue_clear(&tty->echo);
		tty->wake_slave |= POLLOUT_ALL;
		if (tty->packet) {
			tty->packet_status |= TIOCPKT_FLUSHWRITE;
			tty->wake_master |= POLLIN_ALL | POLLPRI;
		}
	}
	tty_unlock(tty);
	return 0;
}

static long flow(struct tty *tty, uint64_t arg)
{
	int which = arg == TCIOFF ? VSTOP : VSTART;
	uint8_t c;

	if (arg > TCION)
		return -EINVAL;
	tty_lock(tty);
	switch (arg) {
	case TCOOFF:
		tty->stopped_by_call = true;
		tty_stop(tty);
		break;
	case TCOON:
		tty->stopped_by_call = false;
		tty_start(tty);
		break;
	default:
		c = tty->termios.c_cc[which];
		if (c)
			tty_put_raw(tty, &c, 1);
	}
	tty_unlock(tty);
	return 0;
}

static long send_break(struct task *t, struct tty *tty)
{
	long ret = tty_check_change(t, tty, SIGTTOU);

	return ret ? ret : drain(t, tty); // there is no line that could be broken
}

long tty_ioctl_modes(struct task *t, struct tty *tty, bool master, unsigned cmd, uint64_t arg)
{
	long ret;

	switch (cmd) {
	case TCGETS:
	case TCGETS2:
	case TCGETA:
		return get(t, tty, cmd, arg);
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
	case TCSETA:
	case TCSETAW:
	case TCSETAF:
		return set(t, tty, cmd, arg);
	case TCSBRK:
	case TCSBRKP:
		return send_break(t, tty);
	case TIOCSBRK:
	case TIOCCBRK:
		return 0;
	case TCFLSH:
		ret = tty_check_change(t, tty, SIGTTOU);
		return ret ? ret : flush(tty, master, arg);
	case TCXONC:
		ret = tty_check_change(t, tty, SIGTTOU);
		return ret ? ret : flow(tty, arg);
	}
	return -ENOTTY;
}
