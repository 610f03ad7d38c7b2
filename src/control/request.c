// Requests: from JSON to the kernel's structs. The CLI is trusted more than an application, yet nothing here relies on it.
#include "control/request.h"

#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/container_of.h"

enum { MOUNTS_MAX = 1024, STRINGS_MAX = 1 << 20, GROUPS_MAX = 65536 };

static const char *const method_names[] = {"create", "start", "prepare", "begin",
					   "wait",   "signal", "processes", "pause", "resume", "shutdown"};

static void *own(struct control_request *r, size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size);

	r->owned[r->nowned++] = p;
	return p;
}

static bool get_number(json_t *json, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out)
{
	json_t *value = json_object_get(json, key);

	*out = fallback;
	if (!value)
		return true;
	if (!json_is_integer(value))
		return false;
	*out = json_integer_value(value);
	return *out >= min && *out <= max;
}

static bool get_bool(json_t *json, const char *key)
{
	return json_is_true(json_object_get(json, key));
}

static const char *get_string(json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

// A NULL-terminated array of the list's strings, or NULL.
static char *const *get_strings(struct control_request *r, json_t *json, const char *key)
{
	json_t *list = json_object_get(json, key), *item;
	const char **out;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > STRINGS_MAX)
		return NULL;
	out = own(r, json_array_size(list) + 1, sizeof(*out));
	if (!out)
		return NULL;
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			return NULL;
		out[i] = json_string_value(item);
	}
	return (char *const *)out;
}

static const char *parse_mount(json_t *json, struct mount_spec *m)
{
	int64_t tree;

	m->type = get_string(json, "type");
	m->destination = get_string(json, "destination");
	if (!m->type || !m->destination || m->destination[0] != '/')
		return "a mount has no type or no absolute destination";
	if (!get_number(json, "tree", 0, INT_MAX, -1, &tree))
		return "a mount has a wrong tree";
	m->gofer_tree = tree;
	m->readonly = get_bool(json, "readonly");
	m->nosuid = get_bool(json, "nosuid");
	m->nodev = get_bool(json, "nodev");
	m->noexec = get_bool(json, "noexec");
	m->overlay = get_bool(json, "overlay");
	m->data = get_string(json, "data");
	return NULL;
}

static const char *parse_create(struct control_request *r, json_t *json)
{
	json_t *list = json_object_get(json, "mounts"), *item;
	struct mount_spec *mounts;
	size_t i;

	r->create = (struct container_spec){.id = r->container, .gofer_fd = -1};
	if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > MOUNTS_MAX)
		return "create: no mounts, or too many";
	mounts = own(r, json_array_size(list), sizeof(*mounts));
	if (!mounts)
		return "out of memory";
	json_array_foreach(list, i, item) {
		const char *error = parse_mount(item, &mounts[i]);

		if (error)
			return error;
	}
	r->create.mounts = mounts;
	r->create.nmounts = i;
	r->create.hostname = get_string(json, "hostname");
	r->create.gofer_shared = get_bool(json, "shared");
	r->create.masked_paths = get_strings(r, json, "maskedPaths");
	r->create.readonly_paths = get_strings(r, json, "readonlyPaths");
	if (r->message->nfds > 1)
		return "create: too many descriptors";
	if (r->message->nfds == 1) {
		r->create.gofer_fd = r->message->fds[0];
		r->message->fds[0] = -1;
	}
	return NULL;
}

static const char *parse_caps(json_t *json, struct process_spec *p)
{
	uint64_t *const sets[] = {&p->caps_bounding, &p->caps_effective, &p->caps_inheritable, &p->caps_permitted, &p->caps_ambient};
	json_t *list = json_object_get(json, "caps");

	if (!json_is_array(list) || json_array_size(list) != ARRAY_LEN(sets))
		return "start: caps: expected five numbers";
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		*sets[i] = json_integer_value(json_array_get(list, i));
	return NULL;
}

static const char *parse_rlimits(json_t *json, struct process_spec *p)
{
	json_t *list = json_object_get(json, "rlimits"), *item;
	size_t i;

	json_array_foreach(list, i, item) {
		json_int_t resource = json_integer_value(json_array_get(item, 0));
		uint64_t soft = json_integer_value(json_array_get(item, 1)), hard = json_integer_value(json_array_get(item, 2));

		if (json_array_size(item) != 3 || resource < 0 || resource >= RLIM_NLIMITS || soft > hard)
			return "start: rlimits: wrong limit";
		p->rlimits[resource] = (struct rlimit64){soft, hard};
		p->rlimit_set |= 1u << resource;
	}
	return NULL;
}

static const char *parse_groups(struct control_request *r, json_t *json, struct process_spec *p)
{
	json_t *list = json_object_get(json, "groups"), *item;
	gid_t *groups;
	size_t i;

	if (!list)
		return NULL;
	if (!json_is_array(list) || json_array_size(list) > GROUPS_MAX)
		return "start: groups: too many";
	groups = own(r, json_array_size(list), sizeof(*groups));
	if (!groups)
		return "out of memory";
	json_array_foreach(list, i, item) {
		json_int_t gid = json_integer_value(item);

		if (!json_is_integer(item) || gid < 0 || gid >= UINT32_MAX)
			return "start: groups: expected group IDs";
		groups[i] = gid;
	}
	p->groups = groups;
	p->ngroups = i;
	return NULL;
}

static int take_first_fd(struct control_message *m)
{
	int fd = m->fds[0];

	memmove(m->fds, m->fds + 1, --m->nfds * sizeof(*m->fds));
	return fd;
}

// The descriptors that came, in order: the terminal's, then for 0, 1, 2 … where those are not the terminal (-1).
static const char *take_stdio(struct control_request *r, json_t *json, struct process_spec *p)
{
	struct control_message *m = r->message;
	int64_t bits;

	if (!get_number(json, "terminalFds", 0, 31, 0, &bits))
		return "start: terminalFds: expected a number from 0 to 31";
	if (!p->terminal)
		bits = 0;
	if (p->terminal && m->nfds < (bits & CONTROL_TERMINAL_KEYBOARD ? 2 : 1))
		return "start: wrong number of descriptors";
	if (p->terminal)
		p->screen_fd = take_first_fd(m);
	if (bits & CONTROL_TERMINAL_KEYBOARD)
		p->keyboard_fd = take_first_fd(m);
	p->screen_lent_cooked = bits & CONTROL_TERMINAL_COOKED;
	bits &= 7;
	if (m->nfds + __builtin_popcountll(bits) > (int)ARRAY_LEN(p->stdio))
		return "start: wrong number of descriptors";
	for (int i = 0, next = 0; next < m->nfds || bits >> i; i++) {
		p->nstdio = i + 1;
		p->stdio[i] = -1;
		if ((bits >> i & 1) || next == m->nfds)
			continue;
		p->stdio[i] = m->fds[next];
		m->fds[next++] = -1;
	}
	return NULL;
}

static const char *parse_start(struct control_request *r, json_t *json)
{
	struct process_spec *p = &r->start;
	int64_t uid, gid, umask, oom;
	const char *error;

	*p = (struct process_spec){.screen_fd = -1, .keyboard_fd = -1};
	p->argv = get_strings(r, json, "args");
	p->envp = get_strings(r, json, "env");
	p->cwd = get_string(json, "cwd");
	if (!p->argv || !p->argv[0] || !p->envp)
		return "start: args and env: expected lists of strings";
	if (!p->cwd || p->cwd[0] != '/')
		return "start: cwd: expected an absolute path";
	if (!get_number(json, "uid", 0, UINT32_MAX - 1, 0, &uid) || !get_number(json, "gid", 0, UINT32_MAX - 1, 0, &gid) ||
	    !get_number(json, "umask", -1, 0777, -1, &umask) || !get_number(json, "oomScoreAdj", -1000, 1000, 0, &oom))
		return "start: a number is out of range";
	p->uid = uid;
	p->gid = gid;
	p->umask = umask;
	p->oom_score_adj = oom;
	p->no_new_privs = get_bool(json, "noNewPrivs");
	p->waited = get_bool(json, "waited");
	p->killable = get_bool(json, "killable");
	p->terminal = get_bool(json, "terminal");
	error = parse_caps(json, p) ?: parse_rlimits(json, p) ?: parse_groups(r, json, p);
	if (error)
		return error;
	return take_stdio(r, json, p);
}

static const char *parse_wait(struct control_request *r, json_t *json)
{
	int64_t pid;

	if (!get_number(json, "pid", 1, INT_MAX, 0, &pid) || pid == 0)
		return "wait: pid: expected a number above 0";
	r->wait.pid = pid;
	return NULL;
}

static const char *parse_signal(struct control_request *r, json_t *json)
{
	int64_t pid, sig;

	if (!get_number(json, "pid", 0, INT_MAX, 0, &pid))
		return "signal: pid: expected a number";
	if (!get_number(json, "signal", 0, SIGRTMAX, -1, &sig) || sig < 0)
		return "signal: signal: expected a signal's number";
	r->signal.pid = pid;
	r->signal.signal = sig;
	r->signal.all = get_bool(json, "all");
	r->signal.foreground = get_bool(json, "foreground");
	return NULL;
}

int control_request_parse(struct control_message *message, struct control_request *out, const char **out_error)
{
	json_t *json = message->json;
	const char *method = get_string(json, "method"), *version = get_string(json, "version");
	size_t m = 0;

	*out = (struct control_request){.message = message};
	*out_error = NULL;
	if (!get_number(json, "seq", 0, INT64_MAX, 0, &out->seq))
		*out_error = "seq: expected a number";
	else if (!version || strcmp(version, control_version()) != 0)
		*out_error = "the sandbox is of another version of hull";
	if (*out_error)
		return -1;
	while (m < ARRAY_LEN(method_names) && (!method || strcmp(method_names[m], method) != 0))
		m++;
	out->method = m;
	out->container = get_string(json, "container");
	if (m == ARRAY_LEN(method_names))
		*out_error = "unknown method";
	else if (!out->container && m != CONTROL_SHUTDOWN)
		*out_error = "container: expected a string";
	else if (m == CONTROL_CREATE)
		*out_error = parse_create(out, json);
	else if (m == CONTROL_START || m == CONTROL_PREPARE)
		*out_error = parse_start(out, json);
	else if (m == CONTROL_WAIT)
		*out_error = parse_wait(out, json);
	else if (m == CONTROL_SIGNAL)
		*out_error = parse_signal(out, json);
	return *out_error ? -1 : 0;
}

void control_request_forget_fds(struct control_request *r)
{
	r->start.nstdio = 0;
	r->start.screen_fd = r->start.keyboard_fd = -1;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void control_request_fini(struct control_request *r)
{
	if (r->container && r->method == CONTROL_CREATE && r->create.gofer_fd >= 0)
		close(r->create.gofer_fd);
	if (r->container && (r->method == CONTROL_START || r->method == CONTROL_PREPARE)) {
		for (int i = 0; i < r->start.nstdio; i++)
			close_fd(r->start.stdio[i]);
		close_fd(r->start.screen_fd);
		close_fd(r->start.keyboard_fd);
	}
	for (int i = 0; i < r->nowned; i++)
		free(r->owned[i]);
	r->nowned = 0;
}
