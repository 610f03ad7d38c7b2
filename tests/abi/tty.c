/* Terminals: pty pairs, the line discipline, job control, the window size. */
#include "abi.h"
#include <poll.h>
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
		if (OK(poll(&p, 1, 5000)) == 0)
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
