// What a container consists of, ready for the sandbox: its mounts with the host's trees behind them, and its first process.
#pragma once

#include "runtime/sandbox/launch.h"

struct bundle;
struct err;
struct oci_process;
struct oci_spec;
struct settings;
typedef struct json_t json_t;

struct plan {
	struct launch_tree *trees;
	int ntrees;
	char **sources; // paths made for trees
	int nsources;
	json_t *create; // arguments of the control protocol's `create`
};

// Of a bundle.
int plan_bundle(const struct settings *s, const char *id, const struct bundle *b, const struct oci_spec *spec, struct plan *out,
		struct err **err);
// Of the host's own root, for `hull do`.
int plan_host(const struct settings *s, const char *id, const char *root, struct plan *out, struct err **err);
void plan_fini(struct plan *p);

// Arguments of `start`.
json_t *plan_process(const char *id, const struct oci_process *p, bool terminal);
