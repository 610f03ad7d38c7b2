// The line discipline's echo: what typing shows on the screen, and how erasing takes it away again (man 3 termios, c_lflag).
#include <ctype.h>

#include "lib/container_of.h"
#include "sentry/tty/tty_int.h"

enum { TAB_WIDTH = 8 };

static bool is_control(uint8_t c)
{
	return c < 0x80 && iscntrl(c);
}

static void show(struct tty *tty, uint8_t c)
{
	if (tty->termios.c_oflag & OPOST)
		tty_put_processed(tty, c);
	else
		tty_put_raw(tty, &c, 1);
}

void tty_echo_raw(struct tty *tty, uint8_t c)
{
	if (!tty->stopped)
		show(tty, c);
	else if (tty->echo.len < TTY_ECHO_MAX)
		tty_queue_put(&tty->echo, &c, 1);
}

void tty_echo_flush(struct tty *tty)
{
	while (tty->echo.len) {
		uint32_t n;
		uint8_t c = (uint8_t)*tty_queue_peek(&tty->echo, &n);

		tty_queue_drop(&tty->echo, 1);
		show(tty, c);
	}
}

void tty_echo_char(struct tty *tty, uint8_t c)
{
	if (tty->termios.c_lflag & ECHOCTL && is_control(c) && c != '\t') {
		tty_echo_raw(tty, '^');
		tty_echo_raw(tty, c ^ 0100);
	} else {
		tty_echo_raw(tty, c);
	}
}

void tty_finish_erasing(struct tty *tty)
{
	if (tty->erasing)
		tty_echo_raw(tty, '/');
	tty->erasing = false;
}

// --- erasing

static uint8_t typed_at(const struct tty *tty, uint32_t pos)
{
	return tty->in[pos % TTY_LINE_BYTES];
}

static bool is_continuation(const struct tty *tty, uint8_t c)
{
	return tty->termios.c_iflag & IUTF8 && (c & 0xc0) == 0x80;
}

static void rub_out(struct tty *tty)
{
	tty_echo_raw(tty, '\b');
	tty_echo_raw(tty, ' ');
	tty_echo_raw(tty, '\b');
}

// Back over a tab, as far as it had reached: that depends on what is left of it up to the tab before or the line's beginning.
static void rub_out_tab(struct tty *tty)
{
	uint32_t width = 0, pos = tty->in_head;
	bool after_tab = false;

	while (pos != tty->canon_head && !after_tab) {
		uint8_t c = typed_at(tty, --pos);

		if (c == '\t')
			after_tab = true;
		else if (is_control(c))
			width += tty->termios.c_lflag & ECHOCTL ? 2 : 0;
		else if (!is_continuation(tty, c))
			width++;
	}
	if (!after_tab)
		width += tty->canon_column;
	for (uint32_t n = TAB_WIDTH - (width & (TAB_WIDTH - 1)); n > 0; n--)
		tty_echo_raw(tty, '\b');
}

// As on paper: \ and what goes, backwards, up to the / of tty_finish_erasing().
static void print_erased(struct tty *tty, uint32_t from, uint32_t len)
{
	if (!tty->erasing)
		tty_echo_raw(tty, '\\');
	tty->erasing = true;
	tty_echo_char(tty, typed_at(tty, from));
	for (uint32_t i = 1; i < len; i++)
		tty_echo_raw(tty, typed_at(tty, from + i));
}

// The character at the end, of len bytes, was just taken out of the buffer.
static void show_erased(struct tty *tty, uint8_t typed, uint32_t len)
{
	uint32_t flags = tty->termios.c_lflag;
	uint8_t c = typed_at(tty, tty->in_head);

	if (!(flags & ECHO))
		return;
	if (flags & ECHOPRT) {
		print_erased(tty, tty->in_head, len);
	} else if (tty_is(tty, typed, VERASE) && !(flags & ECHOE)) {
		tty_echo_char(tty, typed);
	} else if (c == '\t') {
		rub_out_tab(tty);
	} else {
		if (is_control(c) && flags & ECHOCTL)
			rub_out(tty);
		if (!is_control(c) || flags & ECHOCTL)
			rub_out(tty);
	}
}

// Without ECHOKE a killed line stays on the screen, and the next begins below if ECHOK says so.
static bool kill_at_once(struct tty *tty, uint8_t typed)
{
	uint32_t flags = tty->termios.c_lflag;

	if (flags & ECHO && flags & ECHOK && flags & ECHOKE)
		return false;
	tty->in_head = tty->canon_head;
	if (flags & ECHO) {
		tty_finish_erasing(tty);
		tty_echo_char(tty, typed);
		if (flags & ECHOK)
			tty_echo_raw(tty, '\n');
	}
	return true;
}

void tty_erase(struct tty *tty, uint8_t typed)
{
	bool word = tty_is(tty, typed, VWERASE), one = tty_is(tty, typed, VERASE), in_word = false;

	if (tty->in_head == tty->canon_head || (!one && !word && kill_at_once(tty, typed)))
		return;
	while (tty->in_head != tty->canon_head) {
		uint32_t pos = tty->in_head;
		uint8_t c;

		do
			c = typed_at(tty, --pos);
		while (is_continuation(tty, c) && pos != tty->canon_head);
		if (is_continuation(tty, c))
			break; // half a character isn't erased
		if (word && !one) {
			bool letter = c >= 0x80 || isalnum(c) || c == '_';

			if (!letter && in_word)
				break;
			in_word |= letter;
		}
		uint32_t len = tty->in_head - pos;

		tty->in_head = pos;
		show_erased(tty, typed, len);
		if (one)
			break;
	}
	if (tty->in_head == tty->canon_head && tty->termios.c_lflag & ECHO)
		tty_finish_erasing(tty);
}
