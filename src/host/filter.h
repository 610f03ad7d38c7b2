// The seccomp filters of the sentry and the gofer: the lists of host calls that they may make, and no others.
//
// The rows are data of the build alone: libseccomp makes programs of them there (filter_gen.c), which searches for a call's number like a
// dictionary, and a start loads them as they are.
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

#define FILTER_ALLOW_ARG(name, number, bits, wanted) {.call = SCMP_SYS(name), .arg = (number), .mask = (bits), .value = (wanted)}

extern const struct filter_rule filter_rules[]; // the sentry's
extern const size_t filter_rules_count;
extern const struct filter_rule gofer_rules_reading[], gofer_rules_writing[]; // the second in addition, where a tree is writable
extern const size_t gofer_rules_reading_count, gofer_rules_writing_count;

struct filter_program {
	const struct sock_filter *code;
	unsigned len;
};

extern const struct filter_program filter_sentry_systrap, filter_sentry_ptrace, filter_gofer_reading, filter_gofer_writing;

// From now on, for the calling thread and those that it starts: a call that no row names ends the process (SIGSYS), or with trace is written
// to the log first. 0 or -errno.
int filter_load(const struct filter_program *program, bool trace);
// The sentry's.
int filter_install(const char *platform, bool trace);
