// The line discipline's way from the program to the screen: OPOST and its kin (man 3 termios), and flow control.
//
// Output goes to tty->out, from where the driver or the master's reader takes it. While the terminal is stopped (^S, TCOOFF) programs
// may not write and echo waits in tty->echo.
#include <ctype.h>

#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/tty/tty_int.h"

enum { TAB_WIDTH = 8 };

uint32_t tty_out_room(const struct tty *tty)
{
	return tty->stopped || tty->out.len >= TTY_OUT_MAX ? 0 : TTY_OUT_MAX - tty->out.len;
}

void tty_put_raw(struct tty *tty, const void *bytes, uint32_t len)
{
	// Beyond the limit only echo and expansions get: bounded, and lost where even that is full.
	if (tty->out.len + len > TTY_OUT_MAX + TTY_ECHO_MAX || tty_queue_put(&tty->out, bytes, len) < 0)
		return;
	tty->wake_master |= POLLIN_ALL;
}

static void put_byte(struct tty *tty, uint8_t c)
{
	tty_put_raw(tty, &c, 1);
}

static bool is_continuation(const struct tty *tty, uint8_t c)
{
	return tty->termios.c_iflag & IUTF8 && (c & 0xc0) == 0x80;
}

static void put_newline(struct tty *tty)
{
	if (tty->termios.c_oflag & ONLRET)
		tty->column = 0;
	if (tty->termios.c_oflag & ONLCR) {
		tty->column = tty->canon_column = 0;
		if (tty->host_newlines)
			put_byte(tty, '\n');
		else
			tty_put_raw(tty, "\r\n", 2);
		return;
	}
	tty->canon_column = tty->column;
	put_byte(tty, '\n');
}

static void put_return(struct tty *tty)
{
	if (tty->termios.c_oflag & ONOCR && tty->column == 0)
		return;
	if (tty->termios.c_oflag & OCRNL) {
		if (tty->termios.c_oflag & ONLRET)
			tty->column = tty->canon_column = 0;
		put_byte(tty, '\n');
		return;
	}
	tty->column = tty->canon_column = 0;
	put_byte(tty, '\r');
}

static void put_tab(struct tty *tty)
{
	uint32_t width = TAB_WIDTH - (tty->column & (TAB_WIDTH - 1));

	tty->column += width;
	if ((tty->termios.c_oflag & TABDLY) == XTABS)
		tty_put_raw(tty, "        ", width);
	else
		put_byte(tty, '\t');
}

void tty_put_processed(struct tty *tty, uint8_t c)
{
	switch (c) {
	case '\n':
		put_newline(tty);
		return;
	case '\r':
		put_return(tty);
		return;
	case '\t':
		put_tab(tty);
		return;
	case '\b':
		if (tty->column > 0)
			tty->column--;
		break;
	default:
		if (c < 0x80 && iscntrl(c))
			break;
		if (tty->termios.c_oflag & OLCUC && c < 0x80)
			c = toupper(c);
		if (!is_continuation(tty, c))
			tty->column++;
	}
	put_byte(tty, c);
}

void tty_write_bytes(struct tty *tty, const uint8_t *bytes, uint32_t len)
{
	uint32_t start = 0;

	if (!(tty->termios.c_oflag & OPOST)) {
		tty_put_raw(tty, bytes, len);
		return;
	}
	// Runs of plain characters go in one piece.
	for (uint32_t i = 0; i < len; i++) {
		bool plain = bytes[i] >= ' ' && bytes[i] < 0x7f && !(tty->termios.c_oflag & OLCUC);

		if (plain)
			continue;
		tty_put_raw(tty, bytes + start, i - start);
		tty->column += i - start;
		start = i + 1;
		tty_put_processed(tty, bytes[i]);
	}
	tty_put_raw(tty, bytes + start, len - start);
	tty->column += len - start;
}

void tty_stop(struct tty *tty)
{
	if (tty->stopped)
		return;
	tty->stopped = true;
	if (tty->packet) {
		tty->packet_status = (tty->packet_status & ~TIOCPKT_START) | TIOCPKT_STOP;
		tty->wake_master |= POLLIN_ALL | POLLPRI;
	}
}

void tty_start(struct tty *tty)
{
	if (!tty->stopped || tty->stopped_by_call)
		return;
	tty->stopped = false;
	if (tty->packet) {
		tty->packet_status = (tty->packet_status & ~TIOCPKT_STOP) | TIOCPKT_START;
		tty->wake_master |= POLLIN_ALL | POLLPRI;
	}
	tty_echo_flush(tty);
	tty->wake_slave |= POLLOUT_ALL;
}
