// The gofer: the one process of a container that can open the host's files.
//
// The launcher forks, puts the child into its own namespaces with nothing but the exported trees in reach, and calls gofer_main(), which
// locks itself down (capabilities, seccomp) and serves the sentry until that is gone.
#pragma once

#include <stdbool.h>

enum { GOFER_TREES_MAX = 256 };

struct gofer_tree {
	int dir_fd; // O_PATH of the tree's root: a directory, or a file for a bind-mounted file
	bool readonly;
};

struct gofer_config {
	int conn_fd; // connected SOCK_SEQPACKET socket; the sentry has the other end
	// O_PATH of /proc/self/fd, opened by this very process before it lost sight of /proc; -1: gofer_main opens it itself.
	int proc_self_fd;
	const struct gofer_tree *trees; // trees[i] is what a mount_spec with gofer_tree i shows
	int ntrees;
	bool no_lockdown; // tests only: keep capabilities and system calls
};

// Serves until the sentry closes its end. Answers the process's exit status: 0, or 1 if it could not begin (logged). Descriptors beyond
// config's and the log's should have been closed by the caller.
int gofer_main(const struct gofer_config *config);
