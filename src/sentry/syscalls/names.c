// The system calls' names.
#include "sentry/syscalls/names.h"

#include <stddef.h>

enum { SUPPORT_NONE, SUPPORT_PARTIAL, SUPPORT_FULL };

#define SYS(number, syscall, level, ...) {#syscall, number, SUPPORT_##level},
const struct syscall_name syscall_names[] = {
#include "sentry/syscalls/syscalls.def"
	{NULL, 0, 0},
};
