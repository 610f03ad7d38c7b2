// The line discipline's way from the keyboard: mapping, signals, flow control, editing of lines (man 3 termios).
//
// What is typed waits in tty->typed until there is room in the ring that programs read from. A character that ends a line is marked
// there; an end of file is a marked 0 that no program sees.
#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/tty/tty_int.h"

static void mark_line_end(struct tty *tty, uint32_t pos)
{
	pos %= TTY_LINE_BYTES;
	tty->line_end[pos / 64] |= 1ull << (pos % 64);
}

static void put(struct tty *tty, uint8_t c)
{
	uint32_t at = tty->in_head++ % TTY_LINE_BYTES;

	tty->in[at] = c;
	tty->line_end[at / 64] &= ~(1ull << (at % 64));
}

static void note_column(struct tty *tty)
{
	if (tty->canon_head == tty->in_head)
		tty->canon_column = tty->column;
}

static void end_line(struct tty *tty, uint8_t c)
{
	put(tty, c);
	mark_line_end(tty, tty->in_head - 1);
	tty->canon_head = tty->in_head;
	tty->wake_slave |= POLLIN_ALL;
}

// A character that means nothing but itself.
static void take_plain(struct tty *tty, uint8_t c)
{
	if (tty->termios.c_lflag & ECHO) {
		tty_finish_erasing(tty);
		note_column(tty);
		if (c == '\n')
			tty_echo_raw(tty, c);
		else
			tty_echo_char(tty, c);
	}
	if (c == 0xff && tty->termios.c_iflag & PARMRK)
		put(tty, c); // doubled, so that it isn't taken for a mark
	put(tty, c);
}

void tty_flush_input(struct tty *tty)
{
	tty->in_tail = tty->canon_head = tty->in_head;
	memset(tty->line_end, 0, sizeof(tty->line_end));
	tty->erasing = tty->literal_next = false;
	tty->wake_master |= POLLOUT_ALL;
	if (tty->packet) {
		tty->packet_status |= TIOCPKT_FLUSHREAD;
		tty->wake_master |= POLLIN_ALL | POLLPRI;
	}
}

static void take_signal(struct tty *tty, uint8_t c, int sig)
{
	tty->raise |= SIGBIT(sig);
	if (!(tty->termios.c_lflag & NOFLSH)) {
		tty_queue_clear(&tty->out);
		tty_queue_clear(&tty->echo);
		tty_flush_input(tty);
		tty->wake_slave |= POLLOUT_ALL;
	}
	if (tty->termios.c_iflag & IXON)
		tty_start(tty);
	if (tty->termios.c_lflag & ECHO)
		tty_echo_char(tty, c);
}

// Flow control and signals. False: the character is for the program.
static bool take_control(struct tty *tty, uint8_t c)
{
	if (tty->termios.c_iflag & IXON) {
		if (tty_is(tty, c, VSTART)) {
			tty_start(tty);
			return true;
		}
		if (tty_is(tty, c, VSTOP)) {
			tty_stop(tty);
			return true;
		}
	}
	if (tty->termios.c_lflag & ISIG) {
		int sig = tty_is(tty, c, VINTR) ? SIGINT : tty_is(tty, c, VQUIT) ? SIGQUIT : tty_is(tty, c, VSUSP) ? SIGTSTP : 0;

		if (sig) {
			take_signal(tty, c, sig);
			return true;
		}
	}
	if (tty->termios.c_iflag & IXON && tty->termios.c_iflag & IXANY)
		tty_start(tty);
	return false;
}

static void reprint(struct tty *tty, uint8_t c)
{
	tty_finish_erasing(tty);
	tty_echo_char(tty, c);
	tty_echo_raw(tty, '\n');
	for (uint32_t pos = tty->canon_head; pos != tty->in_head; pos++)
		tty_echo_char(tty, tty->in[pos % TTY_LINE_BYTES]);
}

// Editing and the ends of lines. False: the character is part of the line.
static bool take_editing(struct tty *tty, uint8_t c)
{
	uint32_t flags = tty->termios.c_lflag;
	bool extended = flags & IEXTEN;

	if (tty_is(tty, c, VERASE) || tty_is(tty, c, VKILL) || (extended && tty_is(tty, c, VWERASE))) {
		tty_erase(tty, c);
	} else if (extended && tty_is(tty, c, VLNEXT)) {
		tty->literal_next = true;
		if (flags & ECHO) {
			tty_finish_erasing(tty);
			if (flags & ECHOCTL) {
				tty_echo_raw(tty, '^');
				tty_echo_raw(tty, '\b');
			}
		}
	} else if (extended && flags & ECHO && tty_is(tty, c, VREPRINT)) {
		reprint(tty, c);
	} else if (c == '\n') {
		if (flags & (ECHO | ECHONL))
			tty_echo_raw(tty, '\n');
		end_line(tty, c);
	} else if (tty_is(tty, c, VEOF)) {
		end_line(tty, 0);
	} else if (tty_is(tty, c, VEOL) || (extended && tty_is(tty, c, VEOL2))) {
		if (flags & ECHO) {
			note_column(tty);
			tty_echo_char(tty, c);
		}
		if (c == 0xff && tty->termios.c_iflag & PARMRK)
			put(tty, c);
		end_line(tty, c);
	} else {
		return false;
	}
	return true;
}

static void receive_char(struct tty *tty, uint8_t c)
{
	uint32_t iflag = tty->termios.c_iflag;

	if (iflag & ISTRIP)
		c &= 0x7f;
	if (iflag & IUCLC && tty->termios.c_lflag & IEXTEN && c < 0x80)
		c = tolower(c);
	if (tty->literal_next) {
		tty->literal_next = false;
		take_plain(tty, c);
		return;
	}
	if (tty->termios.c_lflag & EXTPROC) {
		put(tty, c); // the other side does it all
		return;
	}
	if (take_control(tty, c))
		return;
	if (c == '\r') {
		if (iflag & IGNCR)
			return;
		if (iflag & ICRNL)
			c = '\n';
	} else if (c == '\n' && iflag & INLCR) {
		c = '\r';
	}
	if (tty->termios.c_lflag & ICANON && take_editing(tty, c))
		return;
	take_plain(tty, c);
}

// Nothing is looked at: what is typed is what is read.
static bool is_transparent(const struct tty *tty)
{
	return !(tty->termios.c_iflag & (ISTRIP | IUCLC | IGNCR | ICRNL | INLCR | IXON | PARMRK)) &&
	       !(tty->termios.c_lflag & (ICANON | ISIG | ECHO | EXTPROC)) && !tty->literal_next;
}

static uint32_t receive_run(struct tty *tty, const char *piece, uint32_t len)
{
	uint32_t n = MIN(len, TTY_LINE_BYTES - 1 - (tty->in_head - tty->in_tail));

	for (uint32_t i = 0; i < n; i++)
		put(tty, (uint8_t)piece[i]);
	return n;
}

// One character; false: it must wait for a reader. A line that grows too long loses what comes but for its end (man 3 termios).
static bool receive_one(struct tty *tty, uint8_t c)
{
	int room = TTY_LINE_BYTES - 1 - (int)(tty->in_head - tty->in_tail);

	if (tty->termios.c_iflag & PARMRK)
		room -= 2;
	if (room <= 0) {
		bool in_line = tty->termios.c_lflag & ICANON && tty->canon_head == tty->in_tail;

		if (!in_line)
			return false;
		if (room < 0)
			tty->in_head--;
	}
	receive_char(tty, c);
	return true;
}

void tty_receive(struct tty *tty)
{
	uint32_t before = tty->in_head, had = tty->typed.len;

	while (tty->typed.len) {
		uint32_t len, n;
		const char *piece = tty_queue_peek(&tty->typed, &len);

		if (is_transparent(tty))
			n = receive_run(tty, piece, len);
		else
			n = receive_one(tty, (uint8_t)*piece);
		if (n == 0)
			break;
		tty_queue_drop(&tty->typed, n);
	}
	if (tty->typed.len != had)
		tty->wake_master |= POLLOUT_ALL;
	if (tty->in_head != before && !(tty->termios.c_lflag & ICANON)) {
		tty->last_input_ns = ktime_now(CLOCK_MONOTONIC);
		tty->wake_slave |= POLLIN_ALL;
	}
}

// Between lines and single characters what is there changes its meaning: all of it becomes readable.
void tty_termios_changed(struct tty *tty, const struct termios2 *old)
{
	if ((old->c_lflag ^ tty->termios.c_lflag) & (ICANON | EXTPROC)) {
		memset(tty->line_end, 0, sizeof(tty->line_end));
		if (!(tty->termios.c_lflag & ICANON) || tty->in_head == tty->in_tail) {
			tty->canon_head = tty->in_tail;
		} else {
			mark_line_end(tty, tty->in_head - 1);
			tty->canon_head = tty->in_head;
		}
		tty->erasing = tty->literal_next = false;
		tty->wake_slave |= POLLIN_ALL;
	}
	if (old->c_iflag & IXON && !(tty->termios.c_iflag & IXON))
		tty_start(tty);
	tty_receive(tty);
}
