// hull state: prints a container's state as the OCI specification has it.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>

#include "runtime/err.h"
#include "runtime/oci/state.h"

static const struct flag flags[] = {{}};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	struct state state;
	int ret;

	if (argc != 1)
		return verb_usage_error(&verb_state, err);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0) {
		json_t *json = state_to_oci(&state);

		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(json);
	}
	state_close(&state);
	return ret;
}

const struct verb verb_state = {
	.name = "state",
	.usage = "ID",
	.summary = "print a container's state as JSON",
	.flags = flags,
	.run = run,
};
