// Command-line flags in the form that runsc takes: -name, --name, --name=value, --name value; the first word that isn't a flag,
// or "--", ends them.
#pragma once

#include <stddef.h>

struct err;

enum flag_kind {
	FLAG_BOOL,   // bool; --name=false turns it off
	FLAG_STRING, // const char *
	FLAG_INT,    // int, not negative
	FLAG_STRINGS // struct string_list; may be repeated
};

struct string_list {
	const char **items; // NULL-terminated once there is one
	int count;
};

struct flag {
	const char *name;
	char letter; // 0: none
	enum flag_kind kind;
	size_t offset; // of the value in the verb's struct of options
	const char *value; // its name in the help text; NULL for FLAG_BOOL
	const char *help;
};

// flags ends with a row without name. Values borrow argv's strings. *out_used: how many words of argv were flags.
int flags_parse(const struct flag *flags, void *options, int argc, char **argv, int *out_used, struct err **err);
void flags_free(const struct flag *flags, void *options); // the lists in options
void flags_print(const struct flag *flags);
