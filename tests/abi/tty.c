/* Terminals: pty pairs, the line discipline, job control, the window size. */
#include "abi.h"
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static int m, s;		/* master and slave */
static char sname[64];

static void open_pair(void)
{
	int n, zero = 0;

	m = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	OK(ioctl(m, TIOCSPTLCK, &zero));
	OK(ioctl(m, TIOCGPTN, &n));
	snprintf(sname, sizeof sname, "/dev/pts/%d", n);
	s = OK(open(sname, O_RDWR | O_NOCTTY));
}

static void raw(void)
{
	struct termios t;

	OK(tcgetattr(s, &t));
	cfmakeraw(&t);
	OK(tcsetattr(s, TCSANOW, &t));
}

/* Reads from a descriptor until this text is there in full. */
static void expect(int fd, const char *want)
{
	char b[1024];
	size_t have = 0, len = strlen(want);

	while (have < len) {
		struct pollfd p = { fd, POLLIN, 0 };
		if (OK(poll(&p, 1, 40000)) == 0)
			FAIL("%zu of %zu bytes of \"%s\"", have, len, want);
		have += OK(read(fd, b + have, len - have));
		if (memcmp(b, want, have))
			FAIL("got \"%.*s\", not \"%s\"", (int)have, b, want);
	}
}

static void nothing(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };

	EQ(poll(&p, 1, 0), 0);
}

static void type(const char *text)
{
	EQ(write(m, text, strlen(text)), strlen(text));
}

CASE(pair)
{
	struct stat st;

	open_pair();
	CHECK(isatty(m) && isatty(s));
	STREQ(ttyname(s), sname);
	STREQ(ptsname(m), sname);
	OK(fstat(s, &st));
	CHECK(S_ISCHR(st.st_mode));
	EQ(st.st_rdev >> 8, 136);
	OK(stat(sname, &st));
	close(m);
	ERR(stat(sname, &st), ENOENT);
}

CASE(locked_slave)
{
	int n;

	m = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	OK(ioctl(m, TIOCGPTN, &n));
	snprintf(sname, sizeof sname, "/dev/pts/%d", n);
	ERR(open(sname, O_RDWR | O_NOCTTY), EIO);
}

CASE(canonical_line_and_echo)
{
	char b[64];

	open_pair();
	type("hello");
	expect(m, "hello");		/* echoed at once */
	nothing(s);			/* but no line yet */
	type("\n");
	expect(m, "\r\n");
	EQ(read(s, b, sizeof b), 6);
	CHECK(!memcmp(b, "hello\n", 6));
	type("one\ntwo\n");
	EQ(read(s, b, sizeof b), 4);	/* a line at a time */
	EQ(read(s, b, 2), 2);
	EQ(read(s, b, sizeof b), 2);
}

CASE(editing)
{
	char b[64];

	open_pair();
	type("ab\x7f" "c\n");
	EQ(read(s, b, sizeof b), 3);
	CHECK(!memcmp(b, "ac\n", 3));
	expect(m, "ab\b \bc\r\n");
	type("one two\x17three\n");	/* ^W */
	EQ(read(s, b, sizeof b), 10);
	CHECK(!memcmp(b, "one three\n", 10));
	expect(m, "one two\b \b\b \b\b \bthree\r\n");
	type("xyz\x15q\n");		/* ^U */
	EQ(read(s, b, sizeof b), 2);
	expect(m, "xyz\b \b\b \b\b \bq\r\n");
	type("\x16\x03\n");		/* ^V ^C: literally */
	EQ(read(s, b, sizeof b), 2);
	EQ(b[0], 3);
}

CASE(end_of_file)
{
	char b[64];

	open_pair();
	type("\x04");
	EQ(read(s, b, sizeof b), 0);
	type("ab\x04");
	EQ(read(s, b, sizeof b), 2);
	type("cd\x04\x04");
	EQ(read(s, b, sizeof b), 2);
	EQ(read(s, b, sizeof b), 0);
}

CASE(output_processing)
{
	struct termios t;

	open_pair();
	EQ(write(s, "a\nb", 3), 3);
	expect(m, "a\r\nb");
	OK(tcgetattr(s, &t));
	t.c_oflag &= ~OPOST;
	OK(tcsetattr(s, TCSANOW, &t));
	EQ(write(s, "a\nb", 3), 3);
	expect(m, "a\nb");
}

CASE(input_processing)
{
	char b[8];

	open_pair();
	type("a\rb\r");			/* ICRNL */
	EQ(read(s, b, 8), 2);
	CHECK(!memcmp(b, "a\n", 2));
	EQ(read(s, b, 8), 2);
}

CASE(default_settings)
{
	struct termios t;

	open_pair();
	OK(tcgetattr(s, &t));
	EQ(t.c_iflag, ICRNL | IXON);
	EQ(t.c_oflag, OPOST | ONLCR);
	EQ(t.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
	EQ(t.c_cflag & (CSIZE | CREAD), CS8 | CREAD);
	EQ(cfgetospeed(&t), B38400);
	EQ(t.c_cc[VINTR], 3);
	EQ(t.c_cc[VEOF], 4);
	EQ(t.c_cc[VERASE], 0x7f);
	EQ(t.c_cc[VMIN], 1);
	EQ(t.c_cc[VTIME], 0);
}

CASE(raw_mode)
{
	char b[64];

	open_pair();
	raw();
	type("x");
	EQ(read(s, b, sizeof b), 1);
	nothing(m);			/* no echo */
	type("\x03\x04\r");
	EQ(read(s, b, sizeof b), 3);
	CHECK(!memcmp(b, "\x03\x04\r", 3));
}

CASE(vmin_and_vtime)
{
	struct termios t;
	char b[64];
	int64_t start;

	open_pair();
	raw();
	OK(tcgetattr(s, &t));
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 1;
	OK(tcsetattr(s, TCSANOW, &t));
	start = now_ns();
	EQ(read(s, b, 8), 0);
	CHECK(now_ns() - start >= 90000000);
	t.c_cc[VTIME] = 0;
	OK(tcsetattr(s, TCSANOW, &t));
	EQ(read(s, b, 8), 0);
	t.c_cc[VMIN] = 4;
	OK(tcsetattr(s, TCSANOW, &t));
	pid_t p = CHILD({
		type("ab");
		msleep(10);
		type("cd");
	});
	EQ(read(s, b, 8), 4);
	EXITED(p, 0);
	OK(fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK));
	ERR(read(s, b, 8), EAGAIN);
}

CASE(window_size)
{
	struct winsize w = { 33, 99, 0, 0 }, g;

	open_pair();
	OK(ioctl(s, TIOCGWINSZ, &g));
	EQ(g.ws_row, 0);
	OK(ioctl(m, TIOCSWINSZ, &w));
	OK(ioctl(s, TIOCGWINSZ, &g));
	EQ(g.ws_row, 33);
	EQ(g.ws_col, 99);
}

CASE(hangup_of_slave)
{
	char b[8];
	struct pollfd p;

	open_pair();
	EQ(write(s, "last", 4), 4);
	close(s);
	EQ(read(m, b, 8), 4);
	ERR(read(m, b, 8), EIO);
	p = (struct pollfd){ m, POLLIN, 0 };
	EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	/* Another open brings it back. */
	s = OK(open(sname, O_RDWR | O_NOCTTY));
	type("z\n");
	EQ(read(s, b, 8), 2);
}

CASE(hangup_of_master)
{
	char b[8];

	open_pair();
	close(m);
	EQ(read(s, b, 8), 0);
	ERR(write(s, "x", 1), EIO);
	struct pollfd p = { s, POLLIN, 0 };
	EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
}

CASE(pending_and_flush)
{
	int n;

	open_pair();
	raw();
	type("abc");
	EVENTUALLY(ioctl(s, FIONREAD, &n) == 0 && n == 3);
	OK(tcflush(s, TCIFLUSH));
	OK(ioctl(s, FIONREAD, &n));
	EQ(n, 0);
	ERR(ioctl(s, 0x54ff, &n), ENOTTY);
	int p[2];
	OK(pipe(p));
	ERR(ioctl(p[0], TCGETS, &n), ENOTTY);
	CHECK(!isatty(p[0]));
}

static volatile int got;

static void note(int sig)
{
	got = sig;
}

/* A child that leads a session with the slave as its terminal. */
static pid_t in_session(void (*body)(void))
{
	return CHILD({
		OK(setsid());
		OK(ioctl(s, TIOCSCTTY, 0));
		close(m);
		body();
	});
}

static int sync_pipe[2];

static void body_signals(void)
{
	sigset_t none;
	sigset_t block;

	sigemptyset(&none);
	sigfillset(&block);
	sigprocmask(SIG_BLOCK, &block, NULL);
	signal(SIGINT, note);
	signal(SIGQUIT, note);
	signal(SIGWINCH, note);
	EQ(tcgetpgrp(s), getpid());
	EQ(tcgetsid(s), getpid());
	tell(sync_pipe[1]);
	ERR(sigsuspend(&none), EINTR);
	EQ(got, SIGINT);
	tell(sync_pipe[1]);
	ERR(sigsuspend(&none), EINTR);
	EQ(got, SIGQUIT);
	tell(sync_pipe[1]);
	ERR(sigsuspend(&none), EINTR);
	EQ(got, SIGWINCH);
	int fd = OK(open("/dev/tty", O_RDWR));
	EQ(write(fd, "via tty", 7), 7);
}

CASE(signals_from_the_keyboard)
{
	struct winsize w = { 10, 20, 0, 0 };

	open_pair();
	OK(pipe(sync_pipe));
	pid_t p = in_session(body_signals);
	hear(sync_pipe[0]);
	type("\x03");
	expect(m, "^C");
	hear(sync_pipe[0]);
	type("\x1c");
	expect(m, "^\\");
	hear(sync_pipe[0]);
	OK(ioctl(m, TIOCSWINSZ, &w));
	expect(m, "via tty");
	EXITED(p, 0);
}

static void body_background(void)
{
	char b[8];
	int st;
	pid_t bg = CHILD({
		OK(setpgid(0, 0));
		read(s, b, 8);			/* stopped here */
		_exit(3);
	});

	setpgid(bg, bg);
	EQ(waitpid(bg, &st, WUNTRACED), bg);
	CHECK(WIFSTOPPED(st));
	EQ(WSTOPSIG(st), SIGTTIN);
	/* Into the foreground, and on. */
	OK(tcsetpgrp(s, bg));
	EQ(tcgetpgrp(s), bg);
	kill(-bg, SIGCONT);
	tell(sync_pipe[1]);
	EXITED(bg, 3);
	/* Now this one is in the background: taking the terminal back would stop it. */
	signal(SIGTTOU, SIG_IGN);
	OK(tcsetpgrp(s, getpid()));
	ERR(tcsetpgrp(s, 0x3ffffff), ESRCH);
	ERR(tcsetpgrp(s, -1), EINVAL);
}

CASE(background_read_stops)
{
	open_pair();
	OK(pipe(sync_pipe));
	pid_t p = in_session(body_background);
	hear(sync_pipe[0]);
	type("line\n");
	EXITED(p, 0);
}

static void body_tostop(void)
{
	struct termios t;
	int st;

	OK(tcgetattr(s, &t));
	t.c_lflag |= TOSTOP;
	OK(tcsetattr(s, TCSANOW, &t));
	pid_t bg = CHILD({
		OK(setpgid(0, 0));
		write(s, "x", 1);
	});
	EQ(waitpid(bg, &st, WUNTRACED), bg);
	CHECK(WIFSTOPPED(st));
	EQ(WSTOPSIG(st), SIGTTOU);
	kill(bg, SIGKILL);
	KILLED(bg, SIGKILL);
	bg = CHILD({
		signal(SIGTTOU, SIG_IGN);
		OK(setpgid(0, 0));
		EQ(write(s, "y", 1), 1);
		signal(SIGTTIN, SIG_IGN);
		char c;
		ERR(read(s, &c, 1), EIO);
	});
	EXITED(bg, 0);
}

CASE(background_write_with_tostop)
{
	open_pair();
	pid_t p = in_session(body_tostop);

	EXITED(p, 0);
	expect(m, "y");
}

static void body_suspend(void)
{
	int st;
	pid_t fg = CHILD({
		OK(setpgid(0, 0));
		signal(SIGTTOU, SIG_IGN);
		OK(tcsetpgrp(s, getpid()));
		tell(sync_pipe[1]);
		for (;;)
			pause();
	});

	EQ(waitpid(fg, &st, WUNTRACED), fg);
	CHECK(WIFSTOPPED(st));
	EQ(WSTOPSIG(st), SIGTSTP);
	kill(fg, SIGKILL);
	KILLED(fg, SIGKILL);
}

CASE(suspend_key)
{
	open_pair();
	OK(pipe(sync_pipe));
	pid_t p = in_session(body_suspend);
	hear(sync_pipe[0]);
	type("\x1a");
	EXITED(p, 0);
}

static void body_hup(void)
{
	tell(sync_pipe[1]);
	for (;;)
		pause();
}

CASE(master_close_sends_hup)
{
	open_pair();
	OK(pipe(sync_pipe));
	pid_t p = in_session(body_hup);
	hear(sync_pipe[0]);
	close(m);
	KILLED(p, SIGHUP);
}

static void body_leader_exit(void)
{
	pid_t fg = fork();

	if (fg == 0) {
		OK(setpgid(0, 0));
		signal(SIGTTOU, SIG_IGN);
		OK(tcsetpgrp(s, getpid()));
		signal(SIGHUP, note);
		tell(sync_pipe[1]);
		EVENTUALLY(got == SIGHUP);
		tell(sync_pipe[1]);
		_exit(0);
	}
	char c;
	CHECK(read(sync_pipe[0], &c, 1) == 1);
}

CASE(leader_exit_hangs_up)
{
	open_pair();
	OK(pipe(sync_pipe));
	pid_t p = in_session(body_leader_exit);
	EXITED(p, 0);
	hear(sync_pipe[0]);
}

static void body_notty(void)
{
	OK(open("/dev/tty", O_RDWR));
	OK(ioctl(s, TIOCNOTTY, 0));
	ERR(open("/dev/tty", O_RDWR), ENXIO);
}

CASE(give_up_terminal)
{
	open_pair();
	pid_t p = CHILD({
		OK(setsid());
		OK(ioctl(s, TIOCSCTTY, 0));
		signal(SIGHUP, SIG_IGN);
		body_notty();
	});
	EXITED(p, 0);
}

CASE(controlling_terminal_rules)
{
	open_pair();
	/* Only a session leader gets one; an open without O_NOCTTY does it too. */
	ERR(ioctl(s, TIOCSCTTY, 0), EPERM);
	pid_t p = CHILD({
		OK(setsid());
		int fd = OK(open(sname, O_RDWR));
		EQ(tcgetsid(fd), getpid());
		OK(open("/dev/tty", O_RDWR));
		EQ(tcgetpgrp(fd), getpid());
	});
	EXITED(p, 0);
	ERR(tcgetpgrp(s), ENOTTY);
}

CASE(flow_of_much_data)
{
	char b[4096];
	long total = 0;

	open_pair();
	raw();
	pid_t p = CHILD({
		close(m);
		for (int i = 0; i < 50; i++) {
			memset(b, 'a' + i % 26, sizeof b);
			for (int done = 0; done < (int)sizeof b;)
				done += OK(write(s, b + done, sizeof b - done));
		}
	});
	close(s);
	while (total < 50 * 4096) {
		int n = OK(read(m, b, sizeof b));
		for (int i = 0; i < n; i++)
			EQ(b[i], 'a' + (total + i) / 4096 % 26);
		total += n;
	}
	EXITED(p, 0);
}

CASE(packet_mode)
{
	int on = 1;
	char b[16];

	open_pair();
	OK(ioctl(m, TIOCPKT, &on));
	EQ(write(s, "hi", 2), 2);
	EQ(read(m, b, sizeof b), 3);
	EQ(b[0], 0);
	EQ(b[1], 'h');
}

CASE(openpty_and_forkpty)
{
	int master;
	char b[64];
	pid_t p = OK(forkpty(&master, NULL, NULL, NULL));

	if (p == 0) {
		if (!isatty(0) || getsid(0) != getpid())
			_exit(1);
		if (write(1, "ok", 2) != 2)
			_exit(2);
		_exit(0);
	}
	EQ(read(master, b, sizeof b), 2);
	EXITED(p, 0);
	ERR(read(master, b, sizeof b), EIO);
}

static void modes(unsigned clear_l, unsigned set_l, unsigned clear_o, unsigned set_o)
{
	struct termios t;

	OK(tcgetattr(s, &t));
	t.c_lflag = (t.c_lflag & ~clear_l) | set_l;
	t.c_oflag = (t.c_oflag & ~clear_o) | set_o;
	OK(tcsetattr(s, TCSANOW, &t));
}

CASE(echo_of_control_characters)
{
	open_pair();
	type("a\x01\t\x1b");
	expect(m, "a^A\t^[");
	modes(ECHOCTL, 0, 0, 0);
	type("\x01");
	expect(m, "\x01");
	modes(ECHO, ECHONL, 0, 0);
	type("x\n");
	expect(m, "\r\n");		/* ECHONL alone */
}

CASE(erasing_tabs_and_control_characters)
{
	char b[16];

	open_pair();
	type("ab\t\x7f");
	expect(m, "ab\t\b\b\b\b\b\b");
	type("\x01\x7f\x7f\n");
	expect(m, "^A\b \b\b \b\b \b\r\n");
	EQ(read(s, b, sizeof b), 2);
	CHECK(!memcmp(b, "a\n", 2));
	/* No further back than the line's beginning. */
	type("\x7f\x7f\x17\x15q\n");
	expect(m, "q\r\n");
}

CASE(erasing_utf8)
{
	struct termios t;
	char b[16];

	open_pair();
	OK(tcgetattr(s, &t));
	t.c_iflag |= IUTF8;
	OK(tcsetattr(s, TCSANOW, &t));
	type("a\xc3\xa9\x7f\n");
	expect(m, "a\xc3\xa9\b \b\r\n");
	EQ(read(s, b, sizeof b), 2);
}

CASE(kill_without_echoke)
{
	char b[16];

	open_pair();
	modes(ECHOKE, 0, 0, 0);
	type("abc\x15" "d\n");
	expect(m, "abc^U\r\nd\r\n");
	EQ(read(s, b, sizeof b), 2);
}

CASE(printed_erasing)
{
	open_pair();
	modes(0, ECHOPRT, 0, 0);
	type("abc\x7f\x7fx\n");
	expect(m, "abc\\cb/x\r\n");
}

CASE(reprint)
{
	open_pair();
	type("ab\x12");
	expect(m, "ab^R\r\nab");
}

CASE(end_of_file_behind_a_full_buffer)
{
	char b[16];

	open_pair();
	type("ab\x04");
	EQ(read(s, b, 2), 2);
	type("c\n");
	EQ(read(s, b, sizeof b), 2);	/* the end of file went with "ab" */
}

CASE(other_line_ends)
{
	struct termios t;
	char b[16];

	open_pair();
	OK(tcgetattr(s, &t));
	t.c_cc[VEOL] = ';';
	t.c_cc[VEOL2] = '!';
	OK(tcsetattr(s, TCSANOW, &t));
	type("ab;c!d\n");
	EQ(read(s, b, sizeof b), 3);
	EQ(read(s, b, sizeof b), 2);
	EQ(read(s, b, sizeof b), 2);
}

CASE(long_lines)
{
	char *big = malloc(8192);
	int n;

	open_pair();
	modes(ECHO, 0, 0, 0);
	memset(big, 'x', 5000);
	big[5000] = '\n';
	EQ(write(m, big, 5001), 5001);
	EQ(read(s, big, 8192), 4096);	/* what is too much is lost, but not the end */
	EQ(big[4095], '\n');
	OK(ioctl(s, FIONREAD, &n));
	EQ(n, 0);
}

CASE(mode_change_with_input_pending)
{
	char b[16];

	open_pair();
	type("ab");
	nothing(s);
	modes(ICANON, 0, 0, 0);		/* now it can be read */
	EQ(read(s, b, 1), 1);
	modes(0, ICANON, 0, 0);		/* and still */
	EQ(read(s, b, sizeof b), 1);
	EQ(b[0], 'b');
	type("c");
	expect(m, "abc");		/* it has arrived */
	OK(tcsetattr(s, TCSAFLUSH, &(struct termios){ .c_lflag = ICANON, .c_cflag = CS8 | CREAD | B38400 }));
	type("d\n");
	EQ(read(s, b, sizeof b), 2);
	EQ(b[0], 'd');
}

CASE(output_options)
{
	open_pair();
	modes(0, 0, 0, XTABS);
	EQ(write(s, "a\tb\n", 4), 4);
	expect(m, "a       b\r\n");
	modes(0, 0, XTABS | ONLCR, OCRNL);
	EQ(write(s, "a\rb\n", 4), 4);
	expect(m, "a\nb\n");
	modes(0, 0, OCRNL, ONOCR);
	EQ(write(s, "\n", 1), 1);
	expect(m, "\n");
	modes(0, 0, 0, OLCUC);
	EQ(write(s, "abc", 3), 3);
	expect(m, "ABC");
}

CASE(flow_control)
{
	char b[8];
	struct pollfd p;

	open_pair();
	type("\x13");			/* ^S */
	p = (struct pollfd){ s, POLLOUT, 0 };
	EVENTUALLY(poll(&p, 1, 0) == 0);
	OK(fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK));
	ERR(write(s, "x", 1), EAGAIN);
	type("\x11");			/* ^Q */
	EVENTUALLY(poll(&p, 1, 0) == 1);
	EQ(write(s, "x", 1), 1);
	EQ(read(m, b, sizeof b), 1);
	OK(tcflow(s, TCOOFF));
	ERR(write(s, "x", 1), EAGAIN);
	OK(tcflow(s, TCOON));
	EQ(write(s, "y", 1), 1);
	OK(tcflow(s, TCIOFF));
	expect(m, "y\x13");
}

CASE(pause_between_characters)
{
	struct termios t;
	char b[8];

	open_pair();
	raw();
	OK(tcgetattr(s, &t));
	t.c_cc[VMIN] = 4;
	t.c_cc[VTIME] = 2;
	OK(tcsetattr(s, TCSANOW, &t));
	type("ab");
	EQ(read(s, b, 8), 2);		/* no more came within the pause */
	pid_t p = CHILD({
		msleep(300);		/* longer than the pause: it begins with the first character */
		type("wxyz");
	});
	EQ(read(s, b, 8), 4);
	EXITED(p, 0);
	EQ(write(m, "abc", 3), 3);
	EQ(read(s, b, 2), 2);		/* no more than is wanted */
}

CASE(packets_of_state)
{
	int on = 1;
	char b[16];
	struct pollfd p;

	open_pair();
	OK(ioctl(m, TIOCPKT, &on));
	OK(tcflush(s, TCIFLUSH));
	p = (struct pollfd){ m, POLLIN | POLLPRI, 0 };
	EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLPRI);
	EQ(read(m, b, sizeof b), 1);
	CHECK(b[0] & TIOCPKT_FLUSHREAD);
	EQ(poll(&p, 1, 0), 0);
	struct termios t;
	OK(tcgetattr(s, &t));
	t.c_iflag &= ~IXON;
	OK(tcsetattr(s, TCSANOW, &t));
	EQ(read(m, b, sizeof b), 1);
	CHECK(b[0] & TIOCPKT_NOSTOP);
}

CASE(peer_and_lock)
{
	int locked = 0, n, peer;

	m = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	OK(ioctl(m, TIOCGPTLCK, &locked));
	EQ(locked, 1);
	locked = 0;
	OK(ioctl(m, TIOCSPTLCK, &locked));
	peer = OK(ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	OK(ioctl(m, TIOCGPTN, &n));
	snprintf(sname, sizeof sname, "/dev/pts/%d", n);
	STREQ(ttyname(peer), sname);
	EQ(write(peer, "p", 1), 1);
	expect(m, "p");
	ERR(ioctl(peer, TIOCGPTN, &n), ENOTTY);
}

CASE(modes_on_the_master)
{
	struct termios a, b;

	open_pair();
	modes(ECHO, 0, 0, 0);
	OK(tcgetattr(m, &a));
	OK(tcgetattr(s, &b));
	EQ(a.c_lflag, b.c_lflag);
	CHECK(!(a.c_lflag & ECHO));
}

static void body_stat(void)
{
	char *text = get_file("/proc/self/stat");
	int nr, tpgid;
	struct stat st;

	OK(fstat(s, &st));
	EQ(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %d %d", &nr, &tpgid), 2);
	EQ(nr, st.st_rdev);
	EQ(tpgid, getpid());
}

CASE(terminal_in_proc)
{
	open_pair();
	EXITED(in_session(body_stat), 0);
}

static void body_orphan(void)
{
	char b[8];
	int ready[2];
	OK(pipe(ready));
	pid_t middle = fork();

	if (middle == 0) {
		if (fork() == 0) {
			setpgid(0, 0);
			tell(sync_pipe[1]);
			hear(ready[0]);		/* the parent is gone */
			errno = 0;
			if (read(s, b, 8) == -1 && errno == EIO)
				tell(sync_pipe[1]);
			_exit(0);
		}
		setpgid(0, 0);
		hear(sync_pipe[0]);
		_exit(0);
	}
	EXITED(middle, 0);
	/* Its new parent is outside of the session: an orphan. */
	tell(ready[1]);
	hear(sync_pipe[0]);
}

CASE(orphans_read_errors)
{
	open_pair();
	OK(pipe(sync_pipe));
	EXITED(in_session(body_orphan), 0);
}

static void *to_lines(void *arg)
{
	struct termios t;

	EVENTUALLY(thread_state(*(volatile pid_t *)arg) == 'S');
	OK(tcgetattr(s, &t));
	t.c_lflag |= ICANON;
	OK(tcsetattr(s, TCSANOW, &t));
	return NULL;
}

/* A read that has a time ends with it, although its terminal has gone over to lines, which have none. */
CASE(time_of_a_read_whose_mode_changes)
{
	pid_t tid = gettid();
	struct termios t;
	pthread_t thread;
	char b[4];

	open_pair();
	raw();
	OK(tcgetattr(s, &t));
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 5;
	OK(tcsetattr(s, TCSANOW, &t));
	CHECK(pthread_create(&thread, NULL, to_lines, &tid) == 0);
	EQ(read(s, b, 4), 0);
	pthread_join(thread, NULL);
}
