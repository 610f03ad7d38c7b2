// hull exec: starts another process in a running container.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/sandbox/foreground.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/plan.h"
#include "runtime/sandbox/terminal.h"

struct options {
	const char *cwd, *user, *process, *pid_file, *internal_pid_file, *console_socket;
	struct string_list env;
	bool tty, detach;
};

#define AT(member) offsetof(struct options, member)

static const struct flag flags[] = {
	{"cwd", 0, FLAG_STRING, AT(cwd), "DIR", "working folder in the container"},
	{"env", 'e', FLAG_STRINGS, AT(env), "NAME=VALUE", "one more variable (may be repeated)"},
	{"user", 'u', FLAG_STRING, AT(user), "UID[:GID]", "user and group ID"},
	{"tty", 't', FLAG_BOOL, AT(tty), NULL, "give the process a terminal"},
	{"process", 'p', FLAG_STRING, AT(process), "FILE", "the process as JSON, as config.json has it"},
	{"detach", 'd', FLAG_BOOL, AT(detach), NULL, "leave the process running in the background"},
	{"pid-file", 0, FLAG_STRING, AT(pid_file), "FILE", "write the sandbox's process ID there"},
	{"internal-pid-file", 0, FLAG_STRING, AT(internal_pid_file), "FILE", "write the ID that the process has inside"},
	{"console-socket", 0, FLAG_STRING, AT(console_socket), "PATH", "Unix socket that gets the terminal's master"},
	{},
};

static int set_user(struct oci_process *p, const char *text, struct err **err)
{
	unsigned uid, gid = 0;
	char end;
	int n = sscanf(text, "%u:%u%c", &uid, &gid, &end);

	if ((n == 1 && !strchr(text, ':')) || n == 2) {
		p->user.uid = uid;
		p->user.gid = gid;
		return 0;
	}
	return err_set(err, "--user: expected UID or UID:GID, not \"%s\"", text);
}

// The container's environment with more behind it: where a name is there twice, programs take the first, so old values go.
static int add_env(struct oci_process *p, const struct string_list *more, struct err **err)
{
	const char **items = calloc(p->env.count + more->count + 1, sizeof(*items));
	size_t n = 0;

	if (!items)
		return err_set(err, "out of memory");
	for (size_t i = 0; i < p->env.count; i++) {
		size_t name = strchrnul(p->env.items[i], '=') - p->env.items[i];
		bool replaced = false;

		for (int k = 0; k < more->count; k++)
			replaced |= strncmp(more->items[k], p->env.items[i], name + 1) == 0;
		if (!replaced)
			items[n++] = p->env.items[i];
	}
	for (int k = 0; k < more->count; k++) {
		if (!strchr(more->items[k], '=')) {
			free(items);
			return err_set(err, "--env: expected NAME=VALUE, not \"%s\"", more->items[k]);
		}
		items[n++] = more->items[k];
	}
	p->env = (struct oci_strings){items, n}; // lives until this command ends
	return 0;
}

// The process: a file's, or the container's own with what the flags change.
static int describe(const struct options *o, const struct state *state, int argc, char **argv, struct bundle *b, struct oci_spec *spec,
		    struct err **err)
{
	struct oci_process *p = &spec->process;
	enum log_level before = log_threshold;
	unsigned long len;
	char *text;
	int ret;

	if (o->process) {
		ret = bundle_read_file(o->process, 1 << 20, &text, &len, err) ?: oci_process_parse(text, len, spec, err);
		free(text);
		return ret < 0 ? err_wrap(err, "--process %s", o->process) : 0;
	}
	log_threshold = LOG_ERROR; // `create` has warned
	ret = bundle_load(state->bundle, b, spec, err);
	log_threshold = before;
	if (ret < 0)
		return -1;
	p->args = (struct oci_strings){(const char **)argv, argc};
	p->terminal = o->tty;
	if (o->cwd)
		p->cwd = o->cwd;
	if (p->cwd[0] != '/')
		return err_set(err, "--cwd: \"%s\" is not an absolute path", p->cwd);
	if (o->user && set_user(p, o->user, err) < 0)
		return -1;
	return add_env(p, &o->env, err);
}

static int start_process(const struct options *o, const char *id, const struct oci_process *p, struct control_client *c, int *out_tty,
			 int *out_pid, struct err **err)
{
	struct stdio_plan io;
	json_t *args, *reply;
	int ret = stdio_plan(p->terminal, p, o->console_socket, o->detach, &io, err);

	*out_tty = io.tty_fd;
	if (ret == 0) {
		args = plan_process(id, p, p->terminal);
		json_object_set_new(args, "terminalFds", json_integer(io.terminal_fds));
		if (control_call(c, "start", args, io.fds, io.nfds, &reply) < 0) {
			ret = err_set(err, "%s", c->error);
		} else {
			*out_pid = json_integer_value(json_object_get(reply, "pid"));
			json_decref(reply);
		}
	}
	stdio_plan_fini(&io);
	return ret;
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	struct state state;
	struct bundle bundle = {0};
	struct oci_spec spec = {0};
	struct control_client client = {.reader.fd = -1};
	int ret, pid = 0, tty = -1, status = 0;

	if (argc < 1 || (argc < 2 && !o->process))
		return verb_usage_error(&verb_exec, err);
	ret = state_open(s->root, argv[0], &state, err);
	if (ret == 0 && state.status != STATE_RUNNING)
		ret = err_set(err, "cannot exec in container %s: it is %s", argv[0], state_status_name(state.status));
	if (argc > 1 && strcmp(argv[1], "--") == 0 && argc > 2) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	ret = ret ?: describe(o, &state, argc - 1, argv + 1, &bundle, &spec, err) ?: life_connect(&state, &client, err);
	if (ret == 0 && o->pid_file)
		ret = life_write_pid_file(o->pid_file, state.sentry.pid, err);
	state_close(&state);
	if (!o->detach)
		foreground_hold_signals();
	ret = ret ?: start_process(o, argv[0], &spec.process, &client, &tty, &pid, err);
	if (ret == 0 && o->internal_pid_file)
		ret = life_write_pid_file(o->internal_pid_file, pid, err);
	if (ret == 0 && !o->detach)
		ret = foreground_wait(&client, argv[0], pid, tty, &status, err);
	terminal_restore();
	control_client_fini(&client);
	oci_spec_free(&spec);
	bundle_free(&bundle);
	return ret < 0 ? -1 : status;
}

const struct verb verb_exec = {
	.name = "exec",
	.usage = "ID COMMAND [ARGUMENT...]",
	.summary = "run another process in a running container",
	.details = "The exit status is the process's, or 128 plus the number of the signal that ended it.",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
