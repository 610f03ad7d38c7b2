// hull pause and resume: hold all processes of a container, and let them go on.
#include "runtime/cmd/cmd.h"

#include <jansson.h>

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

static const struct flag flags[] = {{}};

static int change(const struct settings *s, const struct verb *v, int argc, char **argv, enum state_status from, enum state_status to,
		  struct err **err)
{
	struct control_client c;
	struct state state;
	int ret;

	if (argc != 1)
		return verb_usage_error(v, err);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0 && state.status != from)
		ret = err_set(err, "cannot %s container %s: it is %s", v->name, argv[0], state_status_name(state.status));
	ret = ret ?: life_connect(&state, &c, err);
	if (ret == 0) {
		if (control_call(&c, v->name, json_pack("{ss}", "container", argv[0]), NULL, 0, NULL) < 0)
			ret = err_set(err, "cannot %s container %s: %s", v->name, argv[0], c.error);
		control_client_fini(&c);
	}
	if (ret == 0) {
		state.status = to;
		ret = state_save(&state, err);
	}
	state_close(&state);
	return ret;
}

static int run_pause(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	return change(s, &verb_pause, argc, argv, STATE_RUNNING, STATE_PAUSED, err);
}

static int run_resume(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	return change(s, &verb_resume, argc, argv, STATE_PAUSED, STATE_RUNNING, err);
}

const struct verb verb_pause = {
	.name = "pause",
	.usage = "ID",
	.summary = "hold all processes of a container",
	.details = "SIGKILL ends a paused process all the same; other signals are handled when it is resumed.",
	.flags = flags,
	.run = run_pause,
};
const struct verb verb_resume = {
	.name = "resume",
	.usage = "ID",
	.summary = "let the processes of a paused container go on",
	.flags = flags,
	.run = run_resume,
};
