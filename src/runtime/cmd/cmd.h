// The verbs: one file each, with its flags and its help.
#pragma once

#include "runtime/flags.h"
#include "runtime/settings.h"

struct err;

enum { EXIT_HULL = 128 }; // hull's own failures; a program's own status is passed on where a command runs one

struct verb {
	const char *name;
	const char *usage;   // what follows the flags
	const char *summary; // a line for `hull help`
	const char *details; // the rest of `hull help VERB`; NULL: none
	const struct flag *flags;
	size_t options_size;
	// options: the verb's struct, zero but for the flags given. argv: what follows the flags, NULL-terminated. The exit status.
	// A negative answer means that err says why it failed.
	int (*run)(const struct settings *s, const void *options, int argc, char **argv, struct err **err);
};

extern const struct verb *const verbs[]; // NULL-terminated
extern const struct verb verb_create, verb_delete, verb_do, verb_exec, verb_help, verb_kill, verb_list, verb_pause, verb_ps,
	verb_resume, verb_run, verb_spec, verb_start, verb_state, verb_wait;

void help_print(const char *verb); // NULL: all of them
// Says that the number of words is wrong: answers -1.
int verb_usage_error(const struct verb *v, struct err **err);
