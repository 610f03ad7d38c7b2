// The first line of a #! script.
#pragma once

#include <stddef.h>

enum { SCRIPT_LINE_MAX = 256 };

// head: the file's first bytes. Fills interp and (maybe empty) arg, each of SCRIPT_LINE_MAX bytes. 0, or -ENOEXEC if the line isn't one.
int script_parse(const char *head, size_t len, char *interp, char *arg);
