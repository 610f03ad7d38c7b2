// hull delete: removes what is kept of containers that have ended.
#include "runtime/cmd/cmd.h"

#include <string.h>

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

struct options {
	bool force;
};

static const struct flag flags[] = {
	{"force", 'f', FLAG_BOOL, offsetof(struct options, force), NULL, "kill it first if it runs; no error if there is none"},
	{},
};

static int delete_one(const struct settings *s, bool force, const char *id, struct err **err)
{
	struct state state;
	int ret = state_open(s->root, id, &state, err);

	if (ret == 0 && !force && (state.status == STATE_RUNNING || state.status == STATE_PAUSED) && !life_is_ending(&state))
		ret = err_set(err, "cannot delete container %s: it is %s (--force kills it first)", id, state_status_name(state.status));
	ret = ret ?: life_remove(&state, err);
	state_close(&state);
	if (ret < 0 && force && state_check_id(id, err) == 0) {
		if (!state_exists(s->root, id))
			return 0;
		ret = state_remove_debris(s->root, id, err);
	}
	return ret;
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;

	if (argc < 1)
		return verb_usage_error(&verb_delete, err);
	for (int i = 0; i < argc; i++)
		if (delete_one(s, o->force, argv[i], err) < 0)
			return -1;
	return 0;
}

const struct verb verb_delete = {
	.name = "delete",
	.usage = "ID...",
	.summary = "remove containers that have ended",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
