// The dispatcher's view of syscalls.def: handlers and argument kinds.
//
// A row:  SYS(nr, name, SUPPORT, nargs, A0, A1, …)   with up to six arguments.
// SUPPORT: FULL, PARTIAL (the row's handler names what is missing in its comment), NONE (answers ENOSYS, logged once).
// An argument: KIND(name[, aux]). The kind drives what the stub copies along, what --strace prints and what the fuzzer tries.
#pragma once

#include <stdint.h>

struct task;

struct sysargs {
	uint64_t a[6];
};

typedef long (*sys_handler)(struct task *t, const struct sysargs *args);

enum sys_support { SYS_NONE, SYS_PARTIAL, SYS_FULL };

enum sys_arg_kind {
	ARG_NONE,
	ARG_INT,    // signed 32-bit
	ARG_UINT,   // unsigned 32-bit
	ARG_LONG,   // signed 64-bit
	ARG_HEX,    // number or mask, printed in hex
	ARG_OCTAL,  // file mode
	ARG_ADDR,   // application address that nobody looks through
	ARG_SIZE,   // length in bytes
	ARG_OFF,    // file offset
	ARG_FD,     // descriptor
	ARG_DIRFD,  // descriptor or AT_FDCWD
	ARG_PID,
	ARG_UID,
	ARG_SIG,    // signal number
	ARG_FLAGS,  // aux: a named flag set (strace/flags.def)
	ARG_PATH,   // in: NUL-terminated path
	ARG_STR,    // in: NUL-terminated string
	ARG_STRV,   // in: NULL-terminated array of strings
	ARG_INBUF,  // in: bytes, aux: number of the argument that holds the length
	ARG_OUTBUF, // out: bytes, aux: number of the length argument; the result says how many
	ARG_INOBJ,  // in: aux bytes, printed by the name of the argument's struct
	ARG_OUTOBJ, // out: aux bytes
	ARG_INOUT,  // in and out: aux bytes
	ARG_IOVIN,  // in: iovec array, aux: the argument with its count; data goes in
	ARG_IOVOUT, // in: iovec array; data comes out
	ARG_NAMED,  // number, aux: the named flag set with its names
	ARG_BY,     // what it is says another argument's value, aux: its number (strace/by.def)
	ARG_ENVV,   // as ARG_STRV, but only counted by strace
	ARG_FDSET,  // in and out: select's bits, aux: the argument with their count
	ARG_INARR,  // in: array, aux: (element bytes << 8) | argument with its count
};

enum sys_flagset { // how strace names the bits of an ARG_FLAGS argument, the values of an ARG_NAMED one
	FLAGSET_ACCESS, FLAGSET_AF, FLAGSET_ARCH, FLAGSET_AT, FLAGSET_ATACCESS, FLAGSET_BITSET, FLAGSET_CAP, FLAGSET_CLDCODE,
	FLAGSET_CLOCK, FLAGSET_CLONE, FLAGSET_CLOSERANGE, FLAGSET_EFD, FLAGSET_EPOLL, FLAGSET_EPOLLCTL, FLAGSET_FADV, FLAGSET_FALLOC,
	FLAGSET_FCNTL, FLAGSET_FD, FLAGSET_FUTEX, FLAGSET_GRND, FLAGSET_IDTYPE, FLAGSET_INOTIFY, FLAGSET_IOCTL, FLAGSET_IPCCTL,
	FLAGSET_IPCGET, FLAGSET_IPCKEY, FLAGSET_IPPROTO, FLAGSET_ITIMER, FLAGSET_LOCK, FLAGSET_LOCKTYPE, FLAGSET_MADV,
	FLAGSET_MAP, FLAGSET_MCL, FLAGSET_MEMBARRIER, FLAGSET_MFD, FLAGSET_MREMAP, FLAGSET_MS, FLAGSET_MSG, FLAGSET_MSYNC,
	FLAGSET_OPEN, FLAGSET_OPENBITS, FLAGSET_POLL, FLAGSET_PRCTL, FLAGSET_PRIO, FLAGSET_PROT, FLAGSET_RENAME, FLAGSET_RLIMIT,
	FLAGSET_RUSAGE, FLAGSET_RWF, FLAGSET_SA, FLAGSET_SCHED, FLAGSET_SEAL, FLAGSET_SEEK, FLAGSET_SHUT, FLAGSET_SICODE,
	FLAGSET_SIGHOW, FLAGSET_SO, FLAGSET_SOCK, FLAGSET_SOL, FLAGSET_SPLICE, FLAGSET_STATX, FLAGSET_TCP, FLAGSET_TFD,
	FLAGSET_TFDSET, FLAGSET_TIMER, FLAGSET_TYPE, FLAGSET_UMOUNT, FLAGSET_WAIT, FLAGSET_XATTR
};

struct sys_arg {
	uint8_t kind; // enum sys_arg_kind
	uint32_t aux;
	const char *name;
};

struct sys_entry {
	const char *name; // NULL: no such call
	sys_handler handler; // NULL: ENOSYS
	uint8_t support, nargs;
	struct sys_arg args[6];
};

enum { SYS_TABLE_LEN = 472 };
extern const struct sys_entry sys_table[SYS_TABLE_LEN];

#define DECLARE_NONE(name)
#define DECLARE_PARTIAL(name) long sys_##name(struct task *t, const struct sysargs *args);
#define DECLARE_FULL(name) long sys_##name(struct task *t, const struct sysargs *args);
#define SYS(nr, name, support, ...) DECLARE_##support(name)
#include "sentry/syscalls/syscalls.def"
#undef SYS
