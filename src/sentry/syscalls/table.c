// The table of system calls, made from syscalls.def.
#include "sentry/syscalls/syscalls.h"

#include <stddef.h>

#define HANDLER_NONE(name) NULL
#define HANDLER_PARTIAL(name) sys_##name
#define HANDLER_FULL(name) sys_##name

#define INT(n) {ARG_INT, 0, #n}
#define UINT(n) {ARG_UINT, 0, #n}
#define LONG(n) {ARG_LONG, 0, #n}
#define HEX(n) {ARG_HEX, 0, #n}
#define OCTAL(n) {ARG_OCTAL, 0, #n}
#define ADDR(n) {ARG_ADDR, 0, #n}
#define SIZE(n) {ARG_SIZE, 0, #n}
#define OFF(n) {ARG_OFF, 0, #n}
#define FD(n) {ARG_FD, 0, #n}
#define DIRFD(n) {ARG_DIRFD, 0, #n}
#define PID(n) {ARG_PID, 0, #n}
#define UID(n) {ARG_UID, 0, #n}
#define SIG(n) {ARG_SIG, 0, #n}
#define FLAGS(n, set) {ARG_FLAGS, set, #n}
#define PATH(n) {ARG_PATH, 0, #n}
#define STR(n) {ARG_STR, 0, #n}
#define STRV(n) {ARG_STRV, 0, #n}
#define INBUF(n, len) {ARG_INBUF, len, #n}
#define OUTBUF(n, len) {ARG_OUTBUF, len, #n}
#define INOBJ(n, size) {ARG_INOBJ, size, #n}
#define OUTOBJ(n, size) {ARG_OUTOBJ, size, #n}
#define INOUT(n, size) {ARG_INOUT, size, #n}
#define IOVIN(n, count) {ARG_IOVIN, count, #n}
#define IOVOUT(n, count) {ARG_IOVOUT, count, #n}
#define INARR(n, aux) {ARG_INARR, aux, #n}

#define SYS(nr, sysname, supported, count, ...) \
	[nr] = {.name = #sysname, \
		.handler = HANDLER_##supported(sysname), \
		.support = SYS_##supported, \
		.nargs = (count), \
		.args = {__VA_ARGS__}},

const struct sys_entry sys_table[SYS_TABLE_LEN] = {
#include "sentry/syscalls/syscalls.def"
};
