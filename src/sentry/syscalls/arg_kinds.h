// How syscalls.def writes a call's arguments, for those who make tables of struct sys_arg from it.
#pragma once

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
#define NAMED(n, set) {ARG_NAMED, set, #n}
#define BY(n, other) {ARG_BY, other, #n}
#define ENVV(n) {ARG_ENVV, 0, #n}
#define FDSET(n, count) {ARG_FDSET, count, #n}
