// The phases of a start and when they were over, for --profile-start: marks that the command, the sentry and the gofer leave in a page which
// they share by fork. Off, a mark is a look at one pointer.
#pragma once

#include <stddef.h>

#define PROFILE_PHASES(X)                                       \
	X(COMMAND, "command", "begins")                         \
	X(COMMAND_PLANNED, "command", "bundle read, state made") \
	X(COMMAND_SENTRY, "command", "sentry forked")           \
	X(COMMAND_GOFER, "command", "gofer forked")             \
	X(COMMAND_RECORDED, "command", "both recorded")         \
	X(COMMAND_CREATED, "command", "container made")         \
	X(COMMAND_PREPARED, "command", "process prepared")      \
	X(COMMAND_BEGUN, "command", "process begun")            \
	X(COMMAND_ENDED, "command", "process ended")            \
	X(COMMAND_REMOVED, "command", "container removed")      \
	X(SENTRY, "sentry", "forked")                           \
	X(SENTRY_NAMESPACES, "sentry", "namespaces and root made") \
	X(SENTRY_CREDENTIALS, "sentry", "credentials dropped")  \
	X(SENTRY_GOES_ON, "sentry", "told to go on")            \
	X(SENTRY_PLATFORM, "sentry", "platform's template made") \
	X(SENTRY_KERNEL, "sentry", "kernel made")               \
	X(SENTRY_FILTER, "sentry", "filter loaded")             \
	X(SENTRY_CREATE, "sentry", "request: create")           \
	X(SENTRY_CREATED, "sentry", "file systems mounted")     \
	X(SENTRY_START, "sentry", "request: start")             \
	X(SENTRY_FOUND, "sentry", "program found")              \
	X(SENTRY_STARTED, "sentry", "program loaded, runs")     \
	X(SENTRY_ENDED, "sentry", "program ended")              \
	X(GOFER, "gofer", "forked")                             \
	X(GOFER_MOUNTS, "gofer", "root made")                   \
	X(GOFER_JOINED, "gofer", "in the sentry's namespaces")  \
	X(GOFER_SERVES, "gofer", "locked down, serves")

enum profile_phase {
#define X(name, who, what) PROFILE_##name,
	PROFILE_PHASES(X)
#undef X
	PROFILE_PHASES_COUNT
};

extern struct profile *profile; // NULL: off

// Once, before any mark. It stays off when there is no memory.
void profile_init(void);
void profile_note(enum profile_phase phase);
// What was marked so far, in the order of time, as a table.
void profile_print(int fd);

static inline void profile_mark(enum profile_phase phase)
{
	if (__builtin_expect(profile != NULL, 0))
		profile_note(phase);
}
