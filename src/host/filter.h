// The sentry's seccomp filter: the list of host calls that it may make, and no others.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What becomes of a call that a row names.
enum filter_action { FILTER_ALLOW, FILTER_REFUSE }; // FILTER_REFUSE: answers value as errno, for what libraries only try

struct filter_rule {
	int call;
	enum filter_action action;
	const char *platform; // only on this one; NULL: on all
	// One argument that must equal value under mask; mask 0: any.
	unsigned arg;
	uint64_t mask, value;
};

extern const struct filter_rule filter_rules[];
extern const size_t filter_rules_count;

// From now on, for all threads of the process: a call that no row names ends it (SIGSYS), or with trace is written to the log first.
// 0 or -errno.
int filter_install(const char *platform, bool trace);
