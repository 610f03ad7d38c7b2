/* What the guards share: an attacker that runs in a child, and a bystander that must not notice. After abi.h. */
#pragma once

struct bystander {
	pid_t pid;
	int to, from;
};

static struct bystander stand_by(void)
{
	struct bystander b;
	int to[2], from[2];

	OK(pipe(to));
	OK(pipe(from));
	b.pid = CHILD({
		char c;

		close(to[1]);
		while (read(to[0], &c, 1) == 1)
			CHECK(write(from[1], &c, 1) == 1);
	});
	close(to[0]);
	close(from[1]);
	b.to = to[1];
	b.from = from[0];
	return b;
}

static void check_well(struct bystander *b)
{
	int p[2];
	pid_t pid;

	for (int i = 0; i < 20; i++) {
		tell(b->to);
		hear(b->from);
	}
	OK(pipe(p));
	pid = CHILD({
		put_file("well", "still here", 0644);
		tell(p[1]);
	});
	hear(p[0]);
	EXITED(pid, 0);
	STREQ(get_file("well"), "still here");
	close(p[0]);
	close(p[1]);
}

/* The attacker's end, by its own doing or ours: its host process must give way even if it never comes back to the sentry. */
__attribute__((unused)) static void see_end(pid_t pid, int ms)
{
	for (int i = 0; i < ms; i++) {
		int r = waitpid(pid, NULL, WNOHANG);

		CHECK(r >= 0);
		if (r == pid)
			return;
		usleep(1000);
	}
	OK(kill(pid, SIGKILL));
	CHECK(waitpid(pid, NULL, 0) == pid);
}

/* What the attacker does by chance mustn't look like the harness's own doing: it may write to any descriptor, or kill(0, SIGKILL) well. */
__attribute__((unused)) static void leave_others_alone(struct bystander *b)
{
	int null = OK(open("/dev/null", O_RDWR | O_CLOEXEC));

	setpgid(0, 0);
	if (b) {
		close(b->to);
		close(b->from);
	}
	for (int fd = 0; fd < 3; fd++)
		OK(dup2(null, fd));
	close(null);
	close(abi_report);
}

#define ATTACK(b, ms, ...) \
	do { \
		pid_t p_ = CHILD({ leave_others_alone(b); __VA_ARGS__ }); \
		see_end(p_, ms); \
	} while (0)
