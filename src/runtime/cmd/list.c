// hull list: the containers of a state folder.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "runtime/err.h"
#include "runtime/oci/state.h"

struct options {
	const char *format;
	bool quiet;
};

static const struct flag flags[] = {
	{"format", 'f', FLAG_STRING, offsetof(struct options, format), "FORMAT", "table (default) or json"},
	{"quiet", 'q', FLAG_BOOL, offsetof(struct options, quiet), NULL, "only the IDs"},
	{},
};

struct listing {
	const struct settings *settings;
	json_t *containers;
};

static int add(const char *id, void *arg)
{
	struct listing *l = arg;
	struct err *err = NULL;
	struct state state;

	// One that was just deleted, or is damaged, isn't there; `state` and `delete` say why.
	if (state_open(l->settings->root, id, &state, &err) == 0)
		json_array_append_new(l->containers, state_to_oci(&state));
	state_close(&state);
	err_free(err);
	return 0;
}

static const char *field(json_t *container, const char *key)
{
	return json_string_value(json_object_get(container, key)) ?: "";
}

static void print_table(json_t *containers)
{
	static const char *const keys[] = {"id", "status", "bundle", "created"};
	int widths[] = {2, 6, 6, 7};
	json_t *c;
	size_t i;

	json_array_foreach(containers, i, c)
		for (int k = 0; k < 4; k++)
			if ((int)strlen(field(c, keys[k])) > widths[k])
				widths[k] = strlen(field(c, keys[k]));
	printf("%-*s   %-7s   %-*s   %-*s   %-*s   OWNER\n", widths[0], "ID", "PID", widths[1], "STATUS", widths[2], "BUNDLE", widths[3],
	       "CREATED");
	json_array_foreach(containers, i, c)
		printf("%-*s   %-7lld   %-*s   %-*s   %-*s   %s\n", widths[0], field(c, "id"),
		       (long long)json_integer_value(json_object_get(c, "pid")), widths[1], field(c, "status"), widths[2],
		       field(c, "bundle"), widths[3], field(c, "created"), field(c, "owner"));
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	const char *format = o->format ?: "table";
	struct listing l = {.settings = s};
	json_t *c;
	size_t i;
	int ret;

	if (argc != 0)
		return verb_usage_error(&verb_list, err);
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return err_set(err, "--format: expected table or json, not \"%s\"", format);
	l.containers = json_array();
	ret = state_each(s->root, add, &l, err);
	if (ret < 0) {
		json_decref(l.containers);
		return -1;
	}
	if (o->quiet) {
		json_array_foreach(l.containers, i, c)
			puts(field(c, "id"));
	} else if (strcmp(format, "json") == 0) {
		json_dumpf(l.containers, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_table(l.containers);
	}
	json_decref(l.containers);
	return 0;
}

const struct verb verb_list = {
	.name = "list",
	.usage = "",
	.summary = "list the containers",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
