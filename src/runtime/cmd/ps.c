// hull ps: the processes of a container, by the IDs that they have inside.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

struct options {
	const char *format;
};

static const struct flag flags[] = {
	{"format", 'f', FLAG_STRING, offsetof(struct options, format), "FORMAT", "table (default) or json"},
	{},
};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	bool as_json = o->format && strcmp(o->format, "json") == 0;
	struct control_client c;
	struct state state;
	json_t *reply, *pid;
	size_t i;
	int ret;

	if (argc != 1)
		return verb_usage_error(&verb_ps, err);
	if (o->format && !as_json && strcmp(o->format, "table") != 0)
		return err_set(err, "--format: expected table or json, not \"%s\"", o->format);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0 && state.status == STATE_STOPPED)
		ret = err_set(err, "container %s is not running", argv[0]);
	ret = ret ?: life_connect(&state, &c, err);
	state_close(&state);
	if (ret < 0)
		return -1;
	if (control_call(&c, "processes", json_pack("{ss}", "container", argv[0]), NULL, 0, &reply) < 0) {
		ret = err_set(err, "%s", c.error);
	} else if (as_json) {
		json_dumpf(json_object_get(reply, "pids"), stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(reply);
	} else {
		puts("PID");
		json_array_foreach(json_object_get(reply, "pids"), i, pid)
			printf("%lld\n", (long long)json_integer_value(pid));
		json_decref(reply);
	}
	control_client_fini(&c);
	return ret;
}

const struct verb verb_ps = {
	.name = "ps",
	.usage = "ID",
	.summary = "list the processes of a container",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
