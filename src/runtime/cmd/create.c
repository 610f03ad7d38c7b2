// hull create: makes a container whose process waits for `hull start`.
#include "runtime/cmd/cmd.h"

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

struct options {
	const char *bundle, *pid_file, *console_socket;
	int preserve_fds;
	bool ignored;
};

static const struct flag flags[] = {
	{"bundle", 'b', FLAG_STRING, offsetof(struct options, bundle), "DIR", "the bundle (default: the current folder)"},
	{"pid-file", 0, FLAG_STRING, offsetof(struct options, pid_file), "FILE", "write the sandbox's process ID there"},
	{"console-socket", 0, FLAG_STRING, offsetof(struct options, console_socket), "PATH",
	 "Unix socket that gets the terminal's master"},
	{"preserve-fds", 0, FLAG_INT, offsetof(struct options, preserve_fds), "N", "pass the descriptors 3 to 3+N-1 on to the process"},
	{"no-pivot", 0, FLAG_BOOL, offsetof(struct options, ignored), NULL, "accepted: there is no pivot_root to leave out"},
	{"no-new-keyring", 0, FLAG_BOOL, offsetof(struct options, ignored), NULL, "accepted: a sandbox has no keyring"},
	{},
};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	struct life life;
	int ret;

	if (argc != 1)
		return verb_usage_error(&verb_create, err);
	ret = life_create(s,
			  &(struct life_options){.id = argv[0],
						 .bundle = o->bundle ?: ".",
						 .pid_file = o->pid_file,
						 .console_socket = o->console_socket,
						 .preserve_fds = o->preserve_fds},
			  &life, err);
	life_fini(&life);
	return ret;
}

const struct verb verb_create = {
	.name = "create",
	.usage = "ID",
	.summary = "make a container of a bundle, ready to start",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
