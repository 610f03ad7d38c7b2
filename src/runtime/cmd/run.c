// hull run: makes a container, starts it, and stays until its process ends; then removes it.
#include "runtime/cmd/cmd.h"

#include <signal.h>

#include "runtime/err.h"
#include "runtime/sandbox/foreground.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/terminal.h"

struct options {
	const char *bundle, *pid_file, *console_socket;
	int preserve_fds;
	bool detach, keep, ignored;
};

static const struct flag flags[] = {
	{"bundle", 'b', FLAG_STRING, offsetof(struct options, bundle), "DIR", "the bundle (default: the current folder)"},
	{"detach", 'd', FLAG_BOOL, offsetof(struct options, detach), NULL, "leave the container running in the background"},
	{"keep", 0, FLAG_BOOL, offsetof(struct options, keep), NULL, "don't remove the container when it has ended"},
	{"pid-file", 0, FLAG_STRING, offsetof(struct options, pid_file), "FILE", "write the sandbox's process ID there"},
	{"console-socket", 0, FLAG_STRING, offsetof(struct options, console_socket), "PATH",
	 "Unix socket that gets the terminal's master"},
	{"preserve-fds", 0, FLAG_INT, offsetof(struct options, preserve_fds), "N", "pass the descriptors 3 to 3+N-1 on to the process"},
	{"no-pivot", 0, FLAG_BOOL, offsetof(struct options, ignored), NULL, "accepted: there is no pivot_root to leave out"},
	{"no-subreaper", 0, FLAG_BOOL, offsetof(struct options, ignored), NULL, "accepted: the sandbox has its own process 1"},
	{"no-new-keyring", 0, FLAG_BOOL, offsetof(struct options, ignored), NULL, "accepted: a sandbox has no keyring"},
	{},
};

static int remove_container(const struct settings *s, const char *id, struct err **err)
{
	struct state state;
	int ret = state_open(s->root, id, &state, err) ?: life_remove(&state, err);

	state_close(&state);
	return ret;
}

// The container's lock is given back while the program runs, for the other commands.
static int stay(const struct settings *s, const struct options *o, const char *id, struct life *l, struct err **err)
{
	int init_pid = l->state.init_pid, status = 0, ret;

	state_close(&l->state);
	ret = foreground_wait(&l->sandbox.client, id, init_pid, l->tty_fd, &status, err);
	terminal_restore();
	if (ret < 0)
		sandbox_explain(&l->sandbox, err);
	sandbox_release(&l->sandbox);
	if (!o->keep) {
		struct err *more = NULL;

		if (remove_container(s, id, &more) < 0) {
			// Somebody's `delete --force` was faster: to whoever waits here it is a program that was killed.
			if (!state_exists(s->root, id)) {
				status = ret < 0 ? 128 + SIGKILL : status;
				ret = 0;
				err_free(*err);
				*err = NULL;
			} else if (ret == 0) {
				ret = err_set(err, "%s", err_text(more));
			}
		}
		err_free(more);
	}
	return ret < 0 ? -1 : status;
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	struct life life;
	int ret;

	if (argc != 1)
		return verb_usage_error(&verb_run, err);
	if (!o->detach)
		foreground_hold_signals();
	ret = life_create(s,
			  &(struct life_options){.id = argv[0],
						 .bundle = o->bundle ?: ".",
						 .pid_file = o->pid_file,
						 .console_socket = o->console_socket,
						 .preserve_fds = o->preserve_fds,
						 .foreground = !o->detach,
						 .begin = true},
			  &life, err);
	if (ret == 0 && life_begin(&life, err) < 0) {
		struct err *ignored = NULL;

		ret = -1;
		life_remove(&life.state, &ignored);
		err_free(ignored);
	}
	if (ret == 0 && !o->detach)
		ret = stay(s, o, argv[0], &life, err);
	life_fini(&life);
	return ret;
}

const struct verb verb_run = {
	.name = "run",
	.usage = "ID",
	.summary = "run a container of a bundle to its end",
	.details = "The exit status is the program's, or 128 plus the number of the signal that ended it.",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
