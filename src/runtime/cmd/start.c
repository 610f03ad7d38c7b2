// hull start: lets the process of a created container begin.
#include "runtime/cmd/cmd.h"

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

static const struct flag flags[] = {{}};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	struct state state;
	int ret;

	if (argc != 1)
		return verb_usage_error(&verb_start, err);
	ret = state_open(s->root, argv[0], &state, err) ?: life_start(&state, err);
	state_close(&state);
	return ret;
}

const struct verb verb_start = {
	.name = "start",
	.usage = "ID",
	.summary = "start the process of a created container",
	.flags = flags,
	.run = run,
};
