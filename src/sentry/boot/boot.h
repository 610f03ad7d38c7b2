// The sentry's process, from the fork that made it to its end.
#pragma once

#include <stdbool.h>

// What the launcher decided.
struct boot_config {
	char platform[16];
	const char *strace_filter;            // lives as long as the process; NULL: every call
	int nworkers;                         // 0: by the number of CPUs
	bool foreground, debug, log, log_json, strace;
};

// Descriptors that it begins with; 0 to 2 are /dev/null or the log.
enum {
	BOOT_FD_CONTROL = 3, // the first control connection. Before its first message comes a byte, with the listening socket, if there is one
	BOOT_FD_LOG = 4,     // the debug log, or /dev/null
	BOOT_FD_READY = 5,   // told when the sentry's namespaces are there (host/confine.h)
	BOOT_FDS = 6,
};

// Answers the process's exit status, when it could not begin; else it never returns.
int boot_main(const struct boot_config *config);
