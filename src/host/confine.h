// How a process of Hull's gives the host up: namespaces of its own, an empty root, no capabilities. Each answers 0 or -errno.
#pragma once

#include <stdbool.h>

// New empty mount, network, IPC, host-name and control-group namespaces for the caller, which is process 1 of a PID namespace already. The root
// becomes an empty read-only folder; with_proc: with this PID namespace's /proc.
int confine_namespaces(bool with_proc);
// A /proc of the caller's PID namespace that is mounted nowhere, as a descriptor for openat; or -errno.
int confine_open_proc(void);
// How many processes and threads a sandbox may have on the host: those of applications that fork behind the sentry's back, too.
enum { CONFINE_PROCESSES_MAX = 36864 };

// A user who owns nothing on the host, no capability in any set and no way to get one, no core dumps, and no more than
// CONFINE_PROCESSES_MAX processes. The process stays open to its own
// children's owner checks (they share the user), so that the sentry reaches into its stubs.
int confine_credentials(void);
