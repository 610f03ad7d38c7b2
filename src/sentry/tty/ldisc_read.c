// The line discipline's way to the program: by lines, or by VMIN and VTIME (man 3 termios, "Canonical and noncanonical mode").
#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

static bool ends_line(const struct tty *tty, uint32_t pos)
{
	pos %= TTY_LINE_BYTES;
	return tty->line_end[pos / 64] >> (pos % 64) & 1;
}

static bool ends_file(const struct tty *tty, uint32_t pos)
{
	return ends_line(tty, pos) && tty->in[pos % TTY_LINE_BYTES] == 0;
}

static bool by_lines(const struct tty *tty)
{
	return tty->termios.c_lflag & ICANON;
}

uint32_t tty_available(const struct tty *tty)
{
	uint32_t n = 0;

	if (!by_lines(tty))
		return tty->in_head - tty->in_tail;
	for (uint32_t pos = tty->in_tail; pos != tty->canon_head; pos++)
		n += !ends_file(tty, pos);
	return n;
}

bool tty_readable(const struct tty *tty)
{
	uint32_t wanted = tty->termios.c_cc[VTIME] || !tty->termios.c_cc[VMIN] ? 1 : tty->termios.c_cc[VMIN];

	if (by_lines(tty))
		return tty->canon_head != tty->in_tail;
	return tty->in_head - tty->in_tail >= wanted;
}

// Hands out len bytes, in up to two pieces of the ring.
static int hand_out(struct tty *tty, struct uio *u, uint32_t len)
{
	while (len) {
		uint32_t at = tty->in_tail % TTY_LINE_BYTES, n = MIN(len, TTY_LINE_BYTES - at);

		if (uio_put(u, tty->in + at, n) < 0)
			return -EFAULT;
		tty->in_tail += n;
		len -= n;
	}
	return 0;
}

// One line, or as much of it as is wanted. An end of file behind exactly that much goes with it.
static int64_t read_line(struct tty *tty, struct uio *u)
{
	uint32_t pos = tty->in_tail, len;
	bool ended = false, file_ended = false;

	if (tty->canon_head == pos)
		return -EAGAIN;
	while (pos != tty->canon_head && !ended && pos - tty->in_tail < u->resid) {
		ended = ends_line(tty, pos);
		file_ended = ends_file(tty, pos);
		pos++;
	}
	if (!ended && pos != tty->canon_head && ends_file(tty, pos)) {
		file_ended = true;
		pos++;
	}
	len = pos - tty->in_tail - file_ended;
	if (hand_out(tty, u, len) < 0)
		return -EFAULT;
	tty->in_tail += file_ended;
	return len;
}

static int64_t read_bytes(struct tty *tty, struct uio *u, bool expired)
{
	uint32_t have = tty->in_head - tty->in_tail, min = tty->termios.c_cc[VMIN], len = MIN(have, u->resid);
	bool timed = tty->termios.c_cc[VTIME];

	// VMIN 0: whatever there is, at once or when the time is over. Else so many, or with VTIME those before a pause.
	if (!expired && have < MIN(min, u->resid))
		return -EAGAIN;
	if (!expired && !min && timed && !have)
		return -EAGAIN;
	return hand_out(tty, u, len) < 0 ? -EFAULT : len;
}

int64_t tty_read(struct tty *tty, struct uio *u, bool expired)
{
	int64_t n;

	if (!u->resid)
		return 0;
	n = by_lines(tty) ? read_line(tty, u) : read_bytes(tty, u, expired);
	if (n == -EAGAIN && expired)
		n = 0; // the time of a read that began before the mode was changed
	tty_receive(tty); // there is room now
	return n;
}
