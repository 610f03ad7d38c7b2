// A bundle's config.json (OCI runtime specification 1.0 and 1.1) as structs.
//
// oci_spec_parse() decodes by the tables in schema.c and then checks what a type can't say. Strings and arrays belong to the
// spec and live as long as it does. Numbers are int64_t, with the stated value where the file has none.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
typedef struct json_t json_t;

struct oci_strings {
	const char **items; // NULL-terminated, never NULL itself
	size_t count;
};

struct oci_numbers {
	int64_t *items;
	size_t count;
};

struct oci_pair {
	const char *key, *value;
};

struct oci_pairs {
	struct oci_pair *items;
	size_t count;
};

struct oci_rlimit {
	const char *type;
	uint64_t soft, hard;
	int resource; // RLIMIT_*, from type
};

struct oci_process {
	bool present;
	bool terminal;
	struct {
		int64_t height, width; // 0: not given
	} console_size;
	struct {
		int64_t uid, gid, umask; // umask -1: not given
		struct oci_numbers additional_gids;
	} user;
	struct oci_strings args, env;
	const char *cwd;
	struct {
		bool present;
		struct oci_strings bounding, effective, inheritable, permitted, ambient; // names
	} capabilities;
	struct {
		uint64_t bounding, effective, inheritable, permitted, ambient; // bits, from the names
	} caps;
	struct {
		struct oci_rlimit *items;
		size_t count;
	} rlimits;
	bool no_new_privileges;
	int64_t oom_score_adj; // OOM_SCORE_UNSET: not given
};

enum { OOM_SCORE_UNSET = -2000 };

struct oci_mount {
	const char *destination, *type, *source;
	struct oci_strings options;
	// From options:
	bool bind, recursive, readonly, nosuid, nodev, noexec;
	const char *data; // what is left for the file system: "size=64k,mode=755"; NULL: nothing
};

struct oci_hook {
	const char *path;
	struct oci_strings args, env;
	int64_t timeout; // seconds; 0: none
};

struct oci_hooks {
	struct oci_hook *items;
	size_t count;
};

struct oci_namespace {
	const char *type, *path; // path NULL: a new one
};

enum { RESOURCE_UNSET = INT64_MIN };

// -1 is "no limit" where a limit is meant.
struct oci_memory_limits {
	int64_t limit, reservation, swap; // bytes; swap is memory and swap together
};
struct oci_cpu_limits {
	int64_t shares, quota, period; // quota and period in microseconds
};
struct oci_pids_limits {
	int64_t limit;
};

struct oci_resources { // RESOURCE_UNSET where the file says nothing
	struct oci_memory_limits memory;
	struct oci_cpu_limits cpu;
	struct oci_pids_limits pids;
};

struct oci_spec {
	const char *oci_version;
	struct oci_process process;
	struct {
		const char *path;
		bool readonly;
	} root;
	const char *hostname; // NULL: not given
	struct {
		struct oci_mount *items;
		size_t count;
	} mounts;
	struct {
		struct oci_hooks prestart, create_runtime, create_container, start_container, poststart, poststop;
	} hooks;
	struct oci_pairs annotations;
	struct {
		struct {
			struct oci_namespace *items;
			size_t count;
		} namespaces;
		const char *cgroups_path;
		struct oci_resources resources;
		struct oci_strings masked_paths, readonly_paths;
	} linux_;

	struct oci_strings unsupported; // paths of fields that are valid and have no effect yet
	json_t *json;
	struct oci_memory *memory; // of the arrays
};

// text: the file's content. Refuses with the path of the field: `config.json: process.args[0]: expected a string`. The caller frees
// the result in either case.
int oci_spec_parse(const char *text, size_t len, struct oci_spec *out, struct err **err);
// A `process` object alone, as `hull exec --process FILE` takes it, decoded into out->process.
int oci_process_parse(const char *text, size_t len, struct oci_spec *out, struct err **err);
void oci_spec_free(struct oci_spec *spec);

// The config.json that `hull spec` writes.
char *oci_spec_template(void); // to be freed
