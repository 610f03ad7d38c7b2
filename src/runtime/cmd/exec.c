// hull exec: starts another process in a running container.
#include "runtime/cmd/cmd.h"

#include <ctype.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>

#include "lib/log.h"
#include "runtime/err.h"
#include "runtime/oci/decode.h"
#include "runtime/oci/home.h"
#include "runtime/sandbox/foreground.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/plan.h"
#include "runtime/sandbox/terminal.h"

struct options {
	const char *cwd, *user, *process, *pid_file, *internal_pid_file, *console_socket;
	struct string_list env, caps, groups;
	int preserve_fds;
	bool tty, detach, no_new_privs, ignore_paused;
	const char *ignored;
};

#define AT(member) offsetof(struct options, member)

static const struct flag flags[] = {
	{"cwd", 0, FLAG_STRING, AT(cwd), "DIR", "working folder in the container"},
	{"env", 'e', FLAG_STRINGS, AT(env), "NAME=VALUE", "one more variable (may be repeated)"},
	{"user", 'u', FLAG_STRING, AT(user), "UID[:GID]", "user and group ID"},
	{"additional-gids", 'g', FLAG_STRINGS, AT(groups), "GID", "one more group (may be repeated)"},
	{"cap", 'c', FLAG_STRINGS, AT(caps), "CAP_NAME", "one more capability (may be repeated)"},
	{"no-new-privs", 0, FLAG_BOOL, AT(no_new_privs), NULL, "the process can't gain privileges by execve"},
	{"tty", 't', FLAG_BOOL, AT(tty), NULL, "give the process a terminal"},
	{"process", 'p', FLAG_STRING, AT(process), "FILE", "the process as JSON, as config.json has it"},
	{"detach", 'd', FLAG_BOOL, AT(detach), NULL, "leave the process running in the background"},
	{"pid-file", 0, FLAG_STRING, AT(pid_file), "FILE", "write the sandbox's process ID there"},
	{"internal-pid-file", 0, FLAG_STRING, AT(internal_pid_file), "FILE", "write the ID that the process has inside"},
	{"console-socket", 0, FLAG_STRING, AT(console_socket), "PATH", "Unix socket that gets the terminal's master"},
	{"preserve-fds", 0, FLAG_INT, AT(preserve_fds), "N", "pass the descriptors 3 to 3+N-1 on to the process"},
	{"ignore-paused", 0, FLAG_BOOL, AT(ignore_paused), NULL, "start it in a paused container too: it runs when that is resumed"},
	{"process-label", 0, FLAG_STRING, AT(ignored), "LABEL", "accepted: Hull has no SELinux"},
	{"apparmor", 0, FLAG_STRING, AT(ignored), "PROFILE", "accepted: Hull has no AppArmor"},
	{"cgroup", 0, FLAG_STRING, AT(ignored), "PATH", "accepted: the whole sandbox is in one control group"},
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
static int add_env(struct oci_spec *spec, const struct string_list *more, struct err **err)
{
	struct oci_process *p = &spec->process;
	const char **items = decode_alloc(spec, (p->env.count + more->count + 1) * sizeof(*items));
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
		if (!strchr(more->items[k], '='))
			return err_set(err, "--env: expected NAME=VALUE, not \"%s\"", more->items[k]);
		items[n++] = more->items[k];
	}
	p->env = (struct oci_strings){items, n};
	return 0;
}

static int add_caps(struct oci_process *p, const struct string_list *names, struct err **err)
{
	for (int i = 0; i < names->count; i++) {
		cap_value_t cap;

		if (cap_from_name(names->items[i], &cap) < 0)
			return err_set(err, "--cap: \"%s\" is not a capability", names->items[i]);
		p->caps.bounding |= 1ull << cap;
		p->caps.permitted |= 1ull << cap;
		p->caps.effective |= 1ull << cap;
	}
	return 0;
}

static int add_groups(struct oci_spec *spec, const struct string_list *more, struct err **err)
{
	struct oci_numbers *list = &spec->process.user.additional_gids;
	int64_t *items = decode_alloc(spec, (list->count + more->count + 1) * sizeof(*items));

	if (!items)
		return err_set(err, "out of memory");
	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	for (int i = 0; i < more->count; i++) {
		char *end;
		unsigned long gid = strtoul(more->items[i], &end, 10);

		if (!isdigit((unsigned char)more->items[i][0]) || *end || gid >= UINT32_MAX)
			return err_set(err, "--additional-gids: \"%s\" is not a group ID", more->items[i]);
		items[list->count + i] = gid;
	}
	*list = (struct oci_numbers){items, list->count + more->count};
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
		return ret < 0 ? err_wrap(err, "--process %s", o->process) : process_set_home(spec, state->rootfs, err);
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
	if (o->no_new_privs)
		p->no_new_privileges = true;
	return add_env(spec, &o->env, err) ?: add_caps(p, &o->caps, err) ?: add_groups(spec, &o->groups, err) ?:
	       process_set_home(spec, state->rootfs, err);
}

static int start_process(const struct options *o, const char *id, const struct oci_process *p, struct control_client *c, int *out_tty,
			 int *out_pid, struct err **err)
{
	struct stdio_plan io;
	json_t *args, *reply;
	int ret = stdio_plan(p->terminal, p, o->console_socket, o->detach, o->preserve_fds, &io, err);

	*out_tty = io.tty_fd;
	if (ret == 0) {
		args = plan_process(id, p, p->terminal);
		json_object_set_new(args, "waited", json_boolean(!o->detach));
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

// The sandbox is gone. Where somebody has deleted the container meanwhile that is no failure: the process was killed.
static int explain_end(const struct settings *s, const char *id, int *out_status, struct err **err)
{
	struct err *ignored = NULL;
	struct state state;
	int ret = -1;

	// Not before whoever deletes it has done with it: he holds the lock.
	if (state_open(s->root, id, &state, &ignored) < 0 && !state_exists(s->root, id)) {
		*out_status = 128 + SIGKILL;
		ret = 0;
		err_free(*err);
		*err = NULL;
	}
	state_close(&state);
	err_free(ignored);
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
	if (ret == 0 && state.status != STATE_RUNNING && !(o->ignore_paused && state.status == STATE_PAUSED))
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
	if (ret == 0 && !o->detach && foreground_wait(&client, argv[0], pid, tty, &status, err) < 0)
		ret = explain_end(s, argv[0], &status, err);
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
