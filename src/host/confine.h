// How a process of Hull's gives the host up: namespaces of its own, an empty root, no capabilities. Each answers 0 or -errno.
//
// The sentry and its gofer are in the same network, IPC, host-name and control-group namespaces, which hold nothing: a network namespace is
// the most expensive thing that a start makes. The sentry makes them and its user namespace, then says so through a pipe; the gofer, which
// still has the host's privileges then, enters the first and writes the maps of the second.
#pragma once

#include <stdbool.h>

// New empty mount, network, IPC, host-name and control-group namespaces for the caller, which is process 1 of a PID namespace already. The root
// becomes an empty read-only folder; with_proc: with this PID namespace's /proc.
int confine_namespaces(bool with_proc);
// For the gofer: a mount namespace of its own, with an empty read-only root.
int confine_mounts(void);
// For the gofer: waits at ready_fd until process sentry_fd (a pidfd) has done confine_credentials(), enters its empty namespaces and writes the maps
// of its user namespace; sentry_proc_fd is its folder in the host's /proc. -EPIPE: the sentry has ended.
int confine_join(int ready_fd, int sentry_fd, int sentry_proc_fd);
// A /proc of the caller's PID namespace that is mounted nowhere, as a descriptor for openat; or -errno.
int confine_open_proc(void);
// How many processes and threads a sandbox may have on the host: those of applications that fork behind the sentry's back, too.
enum { CONFINE_PROCESSES_MAX = 36864 };

// A user who owns nothing on the host, no capability in any set and no way to get one, no core dumps, and no more than
// CONFINE_PROCESSES_MAX processes. The process stays open to its own
// children's owner checks (they share the user), so that the sentry reaches into its stubs. ready_fd is told, and closed.
int confine_credentials(int ready_fd);
