// hull do: runs one command on the host's own root, with nothing to prepare and nothing kept.
#include "runtime/cmd/cmd.h"

#include <jansson.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/profile.h"
#include "runtime/err.h"
#include "runtime/oci/spec.h"
#include "runtime/sandbox/foreground.h"
#include "runtime/sandbox/lifecycle.h"
#include "runtime/sandbox/plan.h"
#include "runtime/sandbox/terminal.h"

#define ID "do"

struct options {
	const char *root, *cwd;
	int uid, gid;
	bool quiet;
};

static const struct flag flags[] = {
	{"root", 0, FLAG_STRING, offsetof(struct options, root), "DIR", "folder that becomes the root (default /)"},
	{"cwd", 0, FLAG_STRING, offsetof(struct options, cwd), "DIR", "working folder (default: the current one)"},
	{"uid", 0, FLAG_INT, offsetof(struct options, uid), "UID", "user ID of the command (default 0)"},
	{"gid", 0, FLAG_INT, offsetof(struct options, gid), "GID", "group ID of the command (default 0)"},
	{"quiet", 'q', FLAG_BOOL, offsetof(struct options, quiet), NULL, "accepted; nothing is printed in any case"},
	{},
};

#define ALL_CAPS ((1ull << (CAP_LAST_CAP + 1)) - 1)

static void fill_process(struct oci_process *p, const struct options *o, const char *cwd, int argc, char **argv)
{
	size_t nenv = 0;

	while (environ[nenv])
		nenv++;
	*p = (struct oci_process){
		.present = true,
		.args = {(const char **)argv, argc},
		.env = {(const char **)environ, nenv},
		.cwd = cwd,
		.user = {.uid = o->uid, .gid = o->gid, .umask = -1},
		.oom_score_adj = OOM_SCORE_UNSET,
		.terminal = stdio_has_terminal(),
	};
	if (o->uid == 0)
		p->caps.permitted = p->caps.effective = ALL_CAPS;
	p->caps.bounding = ALL_CAPS;
}

static int start_command(struct sandbox *b, struct plan *plan, const struct oci_process *p, const struct stdio_plan *io, int *out_pid,
			 struct err **err)
{
	struct control_client *c = &b->client;
	json_t *args = plan_process(ID, p, p->terminal), *reply = NULL;
	int64_t create, start;

	json_object_set_new(args, "terminalFds", json_integer(io->terminal_fds));
	// The caller's command, not a container's init: signals end it as they do outside.
	json_object_set_new(args, "killable", json_true());
	// Both at once: the sentry, which is just beginning, finds them when it comes to look.
	create = control_send(c, "create", json_incref(plan->create), &b->gofer_fd, 1);
	close(b->gofer_fd);
	b->gofer_fd = -1;
	start = create < 0 ? -1 : control_send(c, "start", json_incref(args), io->fds, io->nfds);
	json_decref(args);
	if (start >= 0 && (reply = control_reply(c, create))) {
		json_decref(reply);
		reply = control_reply(c, start);
	}
	if (!reply) {
		err_set(err, "%s", c->error);
		return strstr(c->error, "unexpectedly") ? sandbox_explain(b, err) : -1;
	}
	profile_mark(PROFILE_COMMAND_BEGUN);
	*out_pid = json_integer_value(json_object_get(reply, "pid"));
	json_decref(reply);
	return 0;
}

static int run_command(struct sandbox *sandbox, int log_fd, struct plan *plan, const struct oci_process *p, struct err **err)
{
	struct launch_options launch = {.name = ID, .trees = plan->trees, .ntrees = plan->ntrees, .listen_fd = -1, .log_fd = log_fd};
	struct stdio_plan io = STDIO_PLAN_NONE;
	int pid = 0, status = 0, ret;

	if (sandbox_launch(&launch, sandbox, err) < 0)
		return -1;
	ret = stdio_plan_as_found(&io, err) ?: start_command(sandbox, plan, p, &io, &pid, err);
	stdio_plan_fini(&io);
	if (ret == 0 && foreground_wait(&sandbox->client, ID, pid, io.tty_fd, &status, err) < 0)
		ret = sandbox_explain(sandbox, err);
	terminal_restore();
	sandbox_kill(sandbox);
	profile_mark(PROFILE_COMMAND_REMOVED);
	return ret < 0 ? -1 : status;
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	char *cwd = getcwd(NULL, 0);
	struct plan plan = {0};
	struct oci_process process;
	struct sandbox sandbox = SANDBOX_NONE;
	int log_fd = -1, ret;

	if (argc < 1) {
		free(cwd);
		return verb_usage_error(&verb_do, err);
	}
	foreground_hold_signals();
	// Another root has its own folders: the current one may not be there.
	fill_process(&process, o, o->cwd ? o->cwd : cwd && !o->root ? cwd : "/", argc, argv);
	if (process.cwd[0] != '/')
		ret = err_set(err, "--cwd: \"%s\" is not an absolute path", process.cwd);
	else
		ret = settings_open_debug_log(s, "do", &log_fd, err) ?:
		      sandbox_prefork(&(struct prefork_options){.settings = s, .name = ID, .log_fd = log_fd, .foreground = true}, &sandbox, err);
	if (ret == 0 && plan_host(s, ID, o->root ?: "/", &plan, err) < 0)
		ret = -1;
	if (ret == 0)
		ret = run_command(&sandbox, log_fd, &plan, &process, err);
	else
		sandbox_kill(&sandbox);
	if (log_fd >= 0)
		close(log_fd);
	plan_fini(&plan);
	free(cwd);
	return ret;
}

const struct verb verb_do = {
	.name = "do",
	.usage = "[--] COMMAND [ARGUMENT...]",
	.summary = "run one command on this machine's own root file system",
	.details = "The command sees this machine's files, and what it changes is gone when it ends. Standard input, output and error, the\n"
		   "environment and the current folder are its own; the exit status is the command's, or 128 plus the number of the\n"
		   "signal that ended it.",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
