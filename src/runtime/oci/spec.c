// config.json: decoded by schema.c's tables, then checked for what a type can't say, and names turned into numbers.
#include "runtime/oci/spec.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/resource.h>

#include "lib/container_of.h"
#include "runtime/err.h"
#include "runtime/oci/decode.h"
#include "runtime/oci/mount_options.h"
#include "runtime/oci/schema.h"

enum { HOSTNAME_MAX = 64 };

static const struct {
	const char *name;
	int resource;
} rlimit_names[] = {
	{"RLIMIT_AS", RLIMIT_AS},	      {"RLIMIT_CORE", RLIMIT_CORE},	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},	      {"RLIMIT_FSIZE", RLIMIT_FSIZE},	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},     {"RLIMIT_NPROC", RLIMIT_NPROC},	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME},	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
};

static const char *const namespace_types[] = {"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"};

static int check_rlimits(struct oci_process *p, const char *path, struct err **err)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < p->rlimits.count; i++) {
		struct oci_rlimit *r = &p->rlimits.items[i];

		r->resource = -1;
		for (size_t k = 0; k < ARRAY_LEN(rlimit_names); k++)
			if (strcmp(rlimit_names[k].name, r->type) == 0)
				r->resource = rlimit_names[k].resource;
		if (r->resource < 0)
			return err_set(err, "%srlimits[%zu].type: \"%s\" is not a resource limit", path, i, r->type);
		if (seen & 1ull << r->resource)
			return err_set(err, "%srlimits[%zu].type: %s is there twice", path, i, r->type);
		if (r->soft > r->hard)
			return err_set(err, "%srlimits[%zu]: the soft limit is above the hard limit", path, i);
		seen |= 1ull << r->resource;
	}
	return 0;
}

static int caps_from_names(const struct oci_strings *names, const char *path, const char *set, uint64_t *out, struct err **err)
{
	*out = 0;
	for (size_t i = 0; i < names->count; i++) {
		cap_value_t cap;

		if (strncasecmp(names->items[i], "CAP_", 4) != 0 || cap_from_name(names->items[i], &cap) < 0)
			return err_set(err, "%scapabilities.%s[%zu]: \"%s\" is not a capability", path, set, i, names->items[i]);
		*out |= 1ull << cap;
	}
	return 0;
}

static int check_caps(struct oci_process *p, const char *path, struct err **err)
{
	if (caps_from_names(&p->capabilities.bounding, path, "bounding", &p->caps.bounding, err) < 0 ||
	    caps_from_names(&p->capabilities.effective, path, "effective", &p->caps.effective, err) < 0 ||
	    caps_from_names(&p->capabilities.inheritable, path, "inheritable", &p->caps.inheritable, err) < 0 ||
	    caps_from_names(&p->capabilities.permitted, path, "permitted", &p->caps.permitted, err) < 0 ||
	    caps_from_names(&p->capabilities.ambient, path, "ambient", &p->caps.ambient, err) < 0)
		return -1;
	if (p->caps.effective & ~p->caps.permitted)
		return err_set(err, "%scapabilities.effective: holds capabilities that aren't permitted", path);
	return 0;
}

// path: "process." or, for a process object alone, "".
static int check_process(struct oci_process *p, const char *path, struct err **err)
{
	if (p->args.count == 0)
		return err_set(err, "%sargs: expected at least one string", path);
	if (!*p->args.items[0])
		return err_set(err, "%sargs[0]: is empty", path);
	if (p->cwd[0] != '/')
		return err_set(err, "%scwd: \"%s\" is not an absolute path", path, p->cwd);
	for (size_t i = 0; i < p->env.count; i++)
		if (!strchr(p->env.items[i], '=') || p->env.items[i][0] == '=')
			return err_set(err, "%senv[%zu]: expected NAME=VALUE", path, i);
	return check_rlimits(p, path, err) ?: check_caps(p, path, err);
}

static int check_mounts(struct oci_spec *spec, struct err **err)
{
	for (size_t i = 0; i < spec->mounts.count; i++) {
		struct oci_mount *m = &spec->mounts.items[i];

		if (m->destination[0] != '/')
			return err_set(err, "mounts[%zu].destination: \"%s\" is not an absolute path", i, m->destination);
		if (mount_options_parse(spec, m, err) < 0)
			return err_wrap(err, "mounts[%zu].options", i);
		if (!m->type && !m->bind)
			return err_set(err, "mounts[%zu].type: missing", i);
		if (m->bind && !m->source)
			return err_set(err, "mounts[%zu].source: missing", i);
	}
	return 0;
}

static int check_hooks(const struct oci_hooks *hooks, const char *name, struct err **err)
{
	for (size_t i = 0; i < hooks->count; i++)
		if (hooks->items[i].path[0] != '/')
			return err_set(err, "hooks.%s[%zu].path: \"%s\" is not an absolute path", name, i, hooks->items[i].path);
	return 0;
}

static int check_namespaces(struct oci_spec *spec, struct err **err)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < spec->linux_.namespaces.count; i++) {
		const struct oci_namespace *ns = &spec->linux_.namespaces.items[i];
		size_t k = 0;

		while (k < ARRAY_LEN(namespace_types) && strcmp(namespace_types[k], ns->type) != 0)
			k++;
		if (k == ARRAY_LEN(namespace_types))
			return err_set(err, "linux.namespaces[%zu].type: \"%s\" is not a namespace", i, ns->type);
		if (seen & 1u << k)
			return err_set(err, "linux.namespaces[%zu].type: %s is there twice", i, ns->type);
		seen |= 1u << k;
	}
	return 0;
}

static int check_paths(const struct oci_strings *paths, const char *name, struct err **err)
{
	for (size_t i = 0; i < paths->count; i++)
		if (paths->items[i][0] != '/')
			return err_set(err, "linux.%s[%zu]: \"%s\" is not an absolute path", name, i, paths->items[i]);
	return 0;
}

static int check_spec(struct oci_spec *spec, struct err **err)
{
	if (strncmp(spec->oci_version, "1.", 2) != 0)
		return err_set(err, "ociVersion: \"%s\" is not a version that hull knows (1.x)", spec->oci_version);
	if (!*spec->root.path)
		return err_set(err, "root.path: is empty");
	if (spec->hostname && strlen(spec->hostname) > HOSTNAME_MAX)
		return err_set(err, "hostname: longer than %d characters", HOSTNAME_MAX);
	if (!spec->process.present)
		return err_set(err, "process: missing");
	if (check_process(&spec->process, "process.", err) < 0 || check_mounts(spec, err) < 0 || check_namespaces(spec, err) < 0 ||
	    check_paths(&spec->linux_.masked_paths, "maskedPaths", err) < 0 ||
	    check_paths(&spec->linux_.readonly_paths, "readonlyPaths", err) < 0)
		return -1;
	if (check_hooks(&spec->hooks.prestart, "prestart", err) < 0 ||
	    check_hooks(&spec->hooks.create_runtime, "createRuntime", err) < 0 ||
	    check_hooks(&spec->hooks.create_container, "createContainer", err) < 0 ||
	    check_hooks(&spec->hooks.start_container, "startContainer", err) < 0 ||
	    check_hooks(&spec->hooks.poststart, "poststart", err) < 0 || check_hooks(&spec->hooks.poststop, "poststop", err) < 0)
		return -1;
	return 0;
}

// Numbers up to 2^64 occur (limits): jansson refuses them as integers, so such a file is read with all numbers as reals.
static json_t *parse_json(const char *text, size_t len, struct err **err)
{
	json_error_t where;
	json_t *json = json_loadb(text, len, 0, &where);

	if (!json && json_error_code(&where) == json_error_numeric_overflow)
		json = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, &where);
	if (!json)
		err_set(err, "line %d, column %d: %s", where.line, where.column, where.text);
	return json;
}

// Empty lists are lists too: execve wants a NULL-terminated array in any case.
static void terminate_lists(struct oci_process *p)
{
	static const char *const none[] = {NULL};
	struct oci_strings *lists[] = {&p->args, &p->env};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		if (!lists[i]->items)
			lists[i]->items = (const char **)none;
}

int oci_spec_parse(const char *text, size_t len, struct oci_spec *out, struct err **err)
{
	*out = (struct oci_spec){.json = parse_json(text, len, err)};
	if (!out->json || decode_object(out, out->json, oci_config_fields, "", out, err) < 0 || check_spec(out, err) < 0)
		return err_wrap(err, "config.json");
	terminate_lists(&out->process);
	return 0;
}

int oci_process_parse(const char *text, size_t len, struct oci_spec *out, struct err **err)
{
	*out = (struct oci_spec){.json = parse_json(text, len, err)};
	if (!out->json || decode_object(out, out->json, oci_process_fields, "", &out->process, err) < 0 ||
	    check_process(&out->process, "", err) < 0)
		return -1;
	out->process.present = true;
	terminate_lists(&out->process);
	return 0;
}

void oci_spec_free(struct oci_spec *spec)
{
	json_decref(spec->json);
	decode_free(spec);
	*spec = (struct oci_spec){0};
}
