// Starts a sandbox: the gofer and the sentry, wired to each other and to the caller.
//
// Both are forks of the command without an exec: a start has little time, an exec is a good part of it, and what the two never change
// of their memory is one copy then. So each knows where things lie in the other (not its stack protector, nor the caller's environment);
// the places are new with every command. The launcher opens what the gofer may show (as detached mounts) and the descriptors that both need;
// the two then give up the rest by themselves, at the same time.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "control/client.h"

struct err;
struct settings;

struct launch_tree {
	const char *path; // on the host
	bool readonly, recursive;
};

struct prefork_options {
	const struct settings *settings;
	const char *name; // for ps: the container's ID
	int log_fd;       // borrowed; -1: none
	bool foreground;  // the sandbox ends with the caller
};

struct launch_options {
	const char *name; // as before
	const struct launch_tree *trees;
	int ntrees;
	int listen_fd; // taken over; -1: none
	int log_fd;    // borrowed; -1: none
	const int *cgroup_fds; // cgroup.procs files that both processes enter before they begin; borrowed
	int ncgroups;
};

struct sandbox {
	struct control_client client;
	pid_t sentry, gofer;
	int gofer_fd; // the sentry's end of its socket, to be sent with `create`
	int ready_fd; // what the gofer will wait at
};
#define SANDBOX_NONE ((struct sandbox){.sentry = -1, .gofer = -1, .gofer_fd = -1, .ready_fd = -1, .client.reader.fd = -1})

// The sentry alone, which makes its namespaces while the caller finds out what it is to run. On failure nothing is left in either.
int sandbox_prefork(const struct prefork_options *options, struct sandbox *out, struct err **err);
// The rest. Takes listen_fd over in any case.
int sandbox_launch(const struct launch_options *options, struct sandbox *s, struct err **err);
// Ends what was launched, at once, and waits for it.
void sandbox_kill(struct sandbox *s);
// Lets go of the descriptors; the processes live on.
void sandbox_release(struct sandbox *s);
// When the control connection broke: waits for the sentry and puts into err what became of it.
int sandbox_explain(struct sandbox *s, struct err **err);
