// hull ps: the processes of a container, by the IDs that they have inside.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/err.h"
#include "runtime/sandbox/lifecycle.h"

struct options {
	const char *format;
};

static const struct flag flags[] = {
	{"format", 'f', FLAG_STRING, offsetof(struct options, format), "FORMAT", "table (default) or json"},
	{},
};

static long long number(json_t *process, const char *key)
{
	return json_integer_value(json_object_get(process, key));
}

static void print_table(json_t *processes)
{
	json_t *p;
	size_t i;

	printf("%-10s %7s %7s %-8s %8s %s\n", "UID", "PID", "PPID", "STIME", "TIME", "CMD");
	json_array_foreach(processes, i, p) {
		time_t start = number(p, "start");
		long long cpu_s = number(p, "cpuNs") / 1000000000;
		char started[16];
		struct tm tm;

		strftime(started, sizeof(started), "%H:%M:%S", localtime_r(&start, &tm));
		printf("%-10lld %7lld %7lld %-8s %02lld:%02lld:%02lld %s\n", number(p, "uid"), number(p, "pid"), number(p, "ppid"), started,
		       cpu_s / 3600, cpu_s / 60 % 60, cpu_s % 60, json_string_value(json_object_get(p, "command")) ?: "?");
	}
}

static void print_json(json_t *processes)
{
	json_t *pids = json_array(), *p;
	size_t i;

	json_array_foreach(processes, i, p)
		json_array_append_new(pids, json_integer(number(p, "pid")));
	json_dumpf(pids, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(pids);
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	bool as_json = o->format && strcmp(o->format, "json") == 0;
	struct control_client c;
	struct state state;
	json_t *reply;
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
	} else {
		(as_json ? print_json : print_table)(json_object_get(reply, "processes"));
		json_decref(reply);
	}
	control_client_fini(&c);
	return ret;
}

const struct verb verb_ps = {
	.name = "ps",
	.usage = "ID",
	.summary = "list the processes of a container",
	.details = "Process IDs are those that the processes have inside; as JSON they are a list of numbers.",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
