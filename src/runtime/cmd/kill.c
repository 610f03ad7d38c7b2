// hull kill: sends a signal to a container's processes.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <signal.h>
#include <sys/socket.h>

#include "runtime/cmd/signal_name.h"
#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

struct options {
	bool all;
	int pid;
};

static const struct flag flags[] = {
	{"all", 'a', FLAG_BOOL, offsetof(struct options, all), NULL, "every process, not just the first"},
	{"pid", 0, FLAG_INT, offsetof(struct options, pid), "PID", "this process of the container, instead of the first"},
	{},
};

enum { ANSWER_TIMEOUT_S = 10 };

static int send_signal(const struct options *o, struct state *state, int sig, struct err **err)
{
	struct timeval limit = {.tv_sec = ANSWER_TIMEOUT_S};
	struct control_client c;
	int ret = 0;

	if (life_connect(state, &c, err) < 0)
		return -1;
	setsockopt(c.reader.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (control_call(&c, "signal",
			 json_pack("{ss si si sb}", "container", state->id, "pid", o->pid, "signal", sig, "all", o->all), NULL, 0,
			 NULL) < 0)
		ret = err_set(err, "cannot signal container %s: %s", state->id, c.error);
	control_client_fini(&c);
	return ret;
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	int sig = argc == 2 ? signal_from_text(argv[1]) : SIGTERM, ret;
	struct state state;

	if (argc != 1 && argc != 2)
		return verb_usage_error(&verb_kill, err);
	if (sig < 0)
		return err_set(err, "\"%s\" is not a signal", argv[1]);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0 && state.status == STATE_STOPPED)
		ret = err_set(err, "container %s is not running", argv[0]);
	ret = ret ?: send_signal(o, &state, sig, err);
	state_close(&state);
	return ret;
}

const struct verb verb_kill = {
	.name = "kill",
	.usage = "ID [SIGNAL]",
	.summary = "send a signal (default TERM) to a container",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
