// Hooks of a bundle: programs of the host that are run at points of a container's life, with its state as JSON on standard input.
#pragma once

struct err;
struct oci_hooks;
struct state;
typedef struct json_t json_t;

// All of them in order; a failure (another status than 0, or the timeout) ends it.
int hooks_run(const char *kind, const struct oci_hooks *hooks, const struct state *s, struct err **err);
// The same for hooks kept as JSON; failures are only logged (runtime-spec, "Lifecycle", for poststop).
void hooks_run_json(const char *kind, json_t *hooks, const struct state *s);
json_t *hooks_to_json(const struct oci_hooks *hooks); // NULL: none
