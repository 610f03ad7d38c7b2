// hull wait: waits for a container's first process, and prints its exit status.
#include "runtime/cmd/cmd.h"

#include <stdio.h>

#include "runtime/err.h"
#include "runtime/sandbox/foreground.h"
#include "runtime/sandbox/lifecycle.h"

static const struct flag flags[] = {{}};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	struct control_client c;
	struct state state;
	int ret, init_pid, status;

	if (argc != 1)
		return verb_usage_error(&verb_wait, err);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0 && state.status != STATE_RUNNING && state.status != STATE_PAUSED)
		ret = err_set(err, "container %s is %s", argv[0], state_status_name(state.status));
	init_pid = state.init_pid;
	ret = ret ?: life_connect(&state, &c, err);
	state_close(&state);
	if (ret < 0)
		return -1;
	ret = foreground_wait(&c, argv[0], init_pid, -1, &status, err);
	control_client_fini(&c);
	if (ret < 0)
		return -1;
	printf("{\"id\":\"%s\",\"exitStatus\":%d}\n", argv[0], status);
	return 0;
}

const struct verb verb_wait = {
	.name = "wait",
	.usage = "ID",
	.summary = "wait for a container's end and print its exit status",
	.flags = flags,
	.run = run,
};
