// The global flags, which stand before the verb: the same for every verb, with runsc's names where they mean the same.
#pragma once

#include <stdbool.h>

#include "runtime/flags.h"

struct err;

enum overlay_mode { OVERLAY_NONE, OVERLAY_ROOT, OVERLAY_ALL };

struct settings {
	const char *root, *platform, *network, *overlay2, *file_access, *debug_log, *log, *log_format, *strace_syscalls;
	bool debug, strace, profile_start, ignore_cgroups, systemd_cgroup, rootless, version, help;
	int workers;
	enum overlay_mode overlay; // from overlay2
	bool shared_files;	   // from file_access
	bool log_json;		   // from log_format
};

extern const struct flag settings_flags[];
extern const struct settings settings_default;

int settings_check(struct settings *s, struct err **err);
// Sends this process's log where --log or, without it, standard error says.
int settings_open_log(const struct settings *s, struct err **err);
// The descriptor of the sentry's and the gofer's log: --debug-log, a file or (with a trailing slash) a folder in which each command
// gets a file of its own. -1 in *out_fd: none asked for.
int settings_open_debug_log(const struct settings *s, const char *command, int *out_fd, struct err **err);
