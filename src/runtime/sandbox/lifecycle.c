// A container's life as the commands drive it.
//
// The state is written as soon as there are processes to end, so that `delete --force` cleans up after a command that was killed at
// any point.
#include "runtime/sandbox/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/profile.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/err.h"
#include "runtime/oci/home.h"
#include "runtime/oci/hooks.h"
#include "runtime/sandbox/plan.h"
#include "runtime/settings.h"

enum { END_TIMEOUT_MS = 10000, ENDING_MS = 100 };

// The state folder's path may be longer than a socket's address can be; its descriptor's name never is.
static struct sockaddr_un control_address(const struct state *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/control.sock", s->dir_fd);
	return addr;
}

static int listen_control(const struct state *s, struct err **err)
{
	struct sockaddr_un addr = control_address(s);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 64) == 0)
		return fd;
	err_set(err, "cannot make the control socket %s/control.sock: %m", s->dir);
	if (fd >= 0)
		close(fd);
	return -1;
}

int life_connect(const struct state *s, struct control_client *out, struct err **err)
{
	struct sockaddr_un addr = control_address(s);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err_set(err, errno == ECONNREFUSED ? "the sandbox of container %s has ended" :
						     "cannot reach the sandbox of container %s: %m", s->id);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	control_client_init(out, fd);
	return 0;
}

int life_write_pid_file(const char *path, pid_t pid, struct err **err)
{
	char temporary[4096];
	FILE *f;

	if (snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= (int)sizeof(temporary))
		return err_set(err, "--pid-file: the path is too long");
	f = fopen(temporary, "we");
	if (!f || fprintf(f, "%d", (int)pid) < 0 || fclose(f) != 0 || rename(temporary, path) < 0) {
		err_set(err, "--pid-file: cannot write %s: %m", path);
		unlink(temporary);
		return -1;
	}
	return 0;
}

static json_t *annotations_to_json(const struct oci_pairs *pairs)
{
	json_t *json = json_object();

	for (size_t i = 0; i < pairs->count; i++)
		json_object_set_new(json, pairs->items[i].key, json_string(pairs->items[i].value));
	return json;
}

static int enter_cgroups(const struct settings *s, struct life *l, int *fds, int *out_count, struct err **err)
{
	const struct oci_resources *limits = &l->spec.linux_.resources;

	if (s->ignore_cgroups)
		return 0;
	if (cgroup_create(l->spec.linux_.cgroups_path, l->state.id, limits, &l->state.cgroups, fds, out_count, err) < 0)
		return -1;
	return l->state.cgroups ? state_save(&l->state, err) : 0;
}

static bool has_hooks_before_start(const struct oci_spec *spec)
{
	return spec->hooks.prestart.count || spec->hooks.create_runtime.count || spec->hooks.create_container.count;
}

static int await_reply(struct life *l, int64_t seq, json_t **out, struct err **err)
{
	struct control_client *c = &l->sandbox.client;
	json_t *reply = seq < 0 ? NULL : control_reply(c, seq);

	if (!reply) {
		err_set(err, "%s", c->error);
		return strstr(c->error, "unexpectedly") && l->sandbox.sentry > 0 ? sandbox_explain(&l->sandbox, err) : -1;
	}
	if (out)
		*out = reply;
	else
		json_decref(reply);
	return 0;
}

// Asks for the process to be prepared and, where nothing is to happen in between, to begin.
static int send_process(const struct life_options *o, struct life *l, struct err **err)
{
	const struct oci_process *p = &l->spec.process;
	struct stdio_plan io = STDIO_PLAN_NONE;
	json_t *args;
	int ret = process_set_home(&l->spec, l->bundle.root, err) ?: stdio_plan(p->terminal, p, o->console_socket, !o->foreground, o->preserve_fds, &io, err);

	l->tty_fd = io.tty_fd;
	if (ret == 0) {
		args = plan_process(o->id, p, p->terminal);
		json_object_set_new(args, "terminalFds", json_integer(io.terminal_fds));
		l->prepare_seq = control_send(&l->sandbox.client, "prepare", args, io.fds, io.nfds);
	}
	stdio_plan_fini(&io);
	if (ret == 0 && o->begin && !o->pid_file && l->prepare_seq > 0)
		l->begin_seq = control_send(&l->sandbox.client, "begin", json_pack("{ss}", "container", o->id), NULL, 0);
	return ret;
}

static int start_sandbox(const struct settings *s, const struct life_options *o, struct life *l, struct err **err)
{
	struct plan plan = {0};
	int cgroup_fds[CGROUP_DIRS_MAX];
	struct launch_options launch = {.name = o->id, .listen_fd = -1, .log_fd = l->log_fd};
	int ret = plan_bundle(s, o->id, &l->bundle, &l->spec, &plan, err);

	if (ret == 0) {
		launch.listen_fd = listen_control(&l->state, err);
		ret = launch.listen_fd < 0 ? -1 : 0;
	}
	ret = ret ?: enter_cgroups(s, l, cgroup_fds, &launch.ncgroups, err);
	launch.cgroup_fds = cgroup_fds;
	launch.trees = plan.trees;
	launch.ntrees = plan.ntrees;
	ret = ret ?: sandbox_launch(&launch, &l->sandbox, err);
	for (int i = 0; i < launch.ncgroups; i++)
		close(cgroup_fds[i]);
	// A sentry that is just beginning answers later: what there is to record is recorded meanwhile, and what can be asked for already is.
	if (ret == 0) {
		l->create_seq = control_send(&l->sandbox.client, "create", json_incref(plan.create), &l->sandbox.gofer_fd, 1);
		close(l->sandbox.gofer_fd);
		l->sandbox.gofer_fd = -1;
		if (!has_hooks_before_start(&l->spec))
			ret = send_process(o, l, err);
		ret = ret ?: state_process_find(l->sandbox.sentry, &l->state.sentry, err) ?:
		      state_process_find(l->sandbox.gofer, &l->state.gofer, err) ?: state_save(&l->state, err);
		profile_mark(PROFILE_COMMAND_RECORDED);
		ret = ret ?: await_reply(l, l->create_seq, NULL, err);
		profile_mark(PROFILE_COMMAND_CREATED);
	}
	plan_fini(&plan);
	return ret;
}

static int prepare_process(const struct life_options *o, struct life *l, struct err **err)
{
	int ret = l->prepare_seq ? 0 : send_process(o, l, err);

	ret = ret ?: await_reply(l, l->prepare_seq, NULL, err);
	profile_mark(PROFILE_COMMAND_PREPARED);
	return ret;
}

static int make(const struct settings *s, const struct life_options *o, struct life *l, struct err **err)
{
	struct state *st = &l->state;

	st->bundle = strdup(l->bundle.dir);
	st->rootfs = strdup(l->bundle.root);
	st->annotations = annotations_to_json(&l->spec.annotations);
	st->poststop = hooks_to_json(&l->spec.hooks.poststop);
	st->status = STATE_CREATING;
	if (start_sandbox(s, o, l, err) < 0)
		return -1;
	if (hooks_run("prestart", &l->spec.hooks.prestart, st, err) < 0 ||
	    hooks_run("createRuntime", &l->spec.hooks.create_runtime, st, err) < 0 ||
	    // The host has no namespace of the container's to run these in: they run as the others do.
	    hooks_run("createContainer", &l->spec.hooks.create_container, st, err) < 0 || prepare_process(o, l, err) < 0)
		return -1;
	st->status = STATE_CREATED;
	if (o->pid_file && life_write_pid_file(o->pid_file, l->sandbox.sentry, err) < 0)
		return -1;
	return l->begin_seq ? 0 : state_save(st, err); // it is running soon
}

static int prefork(const struct settings *s, const struct life_options *o, struct life *l, struct err **err)
{
	return settings_open_debug_log(s, "boot", &l->log_fd, err) ?:
	       sandbox_prefork(&(struct prefork_options){.settings = s, .name = o->id, .log_fd = l->log_fd, .foreground = o->foreground},
			       &l->sandbox, err);
}

int life_create(const struct settings *s, const struct life_options *o, struct life *out, struct err **err)
{
	*out = (struct life){.tty_fd = -1,
			     .state = {.dir_fd = -1, .lock_fd = -1},
			     .log_fd = -1,
			     .sandbox = SANDBOX_NONE};
	if (state_check_id(o->id, err) < 0 || prefork(s, o, out, err) < 0)
		return -1;
	if (bundle_load(o->bundle, &out->bundle, &out->spec, err) < 0) {
		sandbox_kill(&out->sandbox);
		return -1;
	}
	if (out->spec.hooks.start_container.count)
		log_warning("config.json: hooks.startContainer: not supported yet, ignored");
	if (state_create(s->root, o->id, &out->state, err) < 0) {
		sandbox_kill(&out->sandbox);
		return -1;
	}
	if (make(s, o, out, err) == 0)
		return 0;
	struct err *ignored = NULL;

	sandbox_kill(&out->sandbox);
	cgroup_remove(out->state.cgroups);
	state_remove(&out->state, &ignored);
	err_free(ignored);
	return -1;
}

// seq: of the request, 0: it is to be sent.
static int begin(struct state *s, struct control_client *c, int64_t seq, struct err **err)
{
	json_t *reply;

	if (!seq)
		seq = control_send(c, "begin", json_pack("{ss}", "container", s->id), NULL, 0);
	reply = seq < 0 ? NULL : control_reply(c, seq);
	if (!reply)
		return err_set(err, "%s", c->error);
	s->init_pid = json_integer_value(json_object_get(reply, "pid"));
	json_decref(reply);
	profile_mark(PROFILE_COMMAND_BEGUN);
	s->status = STATE_RUNNING;
	return state_save(s, err);
}

// The hooks are run from what config.json says now: it must not change after `create` (runtime-spec, "Lifecycle").
static int run_poststart(struct state *s, const struct oci_spec *spec, struct err **err)
{
	return hooks_run("poststart", &spec->hooks.poststart, s, err);
}

int life_begin(struct life *l, struct err **err)
{
	return begin(&l->state, &l->sandbox.client, l->begin_seq, err) ?: run_poststart(&l->state, &l->spec, err);
}

int life_start(struct state *s, struct err **err)
{
	struct control_client c;
	struct bundle b = {0};
	struct oci_spec spec = {0};
	int ret;

	if (s->status != STATE_CREATED)
		return err_set(err, "cannot start container %s: it is %s", s->id, state_status_name(s->status));
	ret = life_connect(s, &c, err);
	if (ret == 0) {
		ret = begin(s, &c, 0, err);
		control_client_fini(&c);
	}
	if (ret == 0) {
		enum log_level quiet = log_threshold;

		log_threshold = LOG_ERROR; // `create` has warned
		ret = bundle_load(s->bundle, &b, &spec, err);
		log_threshold = quiet;
		ret = ret ?: run_poststart(s, &spec, err);
		oci_spec_free(&spec);
		bundle_free(&b);
	}
	return ret;
}

// Kills a process. Its pidfd, or -1: it is gone.
static int kill_process(const struct state_process *p)
{
	int pidfd = state_process_lives(p) ? syscall(SYS_pidfd_open, p->pid, 0) : -1;

	// The pid might have been given to another process between the look and the opening.
	if (pidfd >= 0 && state_process_lives(p))
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	return pidfd;
}

// Waits until a process that was killed is gone, its parent's business aside. pidfd is closed.
static int await_end(const struct state_process *p, int pidfd, struct err **err)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	int n;

	if (pidfd < 0)
		return 0;
	n = poll(&pfd, 1, END_TIMEOUT_MS);
	close(pidfd);
	waitpid(p->pid, NULL, WNOHANG); // if it is ours
	return n == 1 ? 0 : err_set(err, "process %d of the sandbox does not end", (int)p->pid);
}

bool life_is_ending(struct state *s)
{
	int pidfd = state_process_lives(&s->sentry) ? syscall(SYS_pidfd_open, s->sentry.pid, 0) : -1;
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	bool ended = pidfd < 0 || poll(&pfd, 1, ENDING_MS) == 1;

	if (pidfd >= 0)
		close(pidfd);
	return ended;
}

int life_remove(struct state *s, struct err **err)
{
	int sentry = kill_process(&s->sentry), gofer = kill_process(&s->gofer);
	int ret = await_end(&s->sentry, sentry, err);

	if (await_end(&s->gofer, gofer, err) < 0 || ret < 0)
		return -1;
	cgroup_remove(s->cgroups);
	profile_mark(PROFILE_COMMAND_REMOVED);
	s->status = STATE_STOPPED;
	hooks_run_json("poststop", s->poststop, s);
	return state_remove(s, err);
}

void life_fini(struct life *l)
{
	sandbox_release(&l->sandbox);
	if (l->log_fd >= 0)
		close(l->log_fd);
	state_close(&l->state);
	oci_spec_free(&l->spec);
	bundle_free(&l->bundle);
}
