// The table of system calls, made from syscalls.def.
#include "sentry/syscalls/syscalls.h"

#include <stddef.h>

#include "sentry/syscalls/arg_kinds.h"

#define HANDLER_NONE(name) NULL
#define HANDLER_PARTIAL(name) sys_##name
#define HANDLER_FULL(name) sys_##name

#define SYS(nr, sysname, supported, count, ...) \
	[nr] = {.name = #sysname, \
		.handler = HANDLER_##supported(sysname), \
		.support = SYS_##supported, \
		.nargs = (count), \
		.args = {__VA_ARGS__}},

const struct sys_entry sys_table[SYS_TABLE_LEN] = {
#include "sentry/syscalls/syscalls.def"
};
