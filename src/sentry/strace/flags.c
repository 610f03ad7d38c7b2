// The named bits and values of flag arguments, from flags.def.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/container_of.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/arg_kinds.h"
#include "sentry/syscalls/syscalls.h"

// The kernel's values that the system's headers have otherwise or not at all.
// sys/mount.h and linux/fs.h don't go together.
#undef O_LARGEFILE
#define O_LARGEFILE 0100000
#define MNT_FORCE 1
#define MNT_DETACH 2
#define MNT_EXPIRE 4
#define UMOUNT_NOFOLLOW 8
#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif

struct flag {
	uint8_t set; // enum sys_flagset
	uint64_t value, mask; // it is there if (v & mask) == value
	const char *name;
};

#define BIT(set, name) {FLAGSET_##set, name, name, #name},
#define NAME(set, name) {FLAGSET_##set, (uint32_t)(name), 0xffffffff, #name},
#define FIELD(set, name, mask) {FLAGSET_##set, name, mask, #name},
static const struct flag flags[] = {
#include "sentry/strace/flags.def"
};

struct decided { // by.def
	uint8_t set;
	uint32_t value, mask;
	struct sys_arg args[4];
};

#define DECIDED(set, name, mask, ...) {FLAGSET_##set, (uint32_t)(name), mask, {__VA_ARGS__}},
static const struct decided decided[] = {
#include "sentry/strace/by.def"
};

const struct sys_arg *arg_decided(uint32_t flagset, uint64_t value, unsigned index)
{
	for (size_t i = 0; i < ARRAY_LEN(decided) && index < ARRAY_LEN(decided[0].args); i++)
		if (decided[i].set == flagset && ((uint32_t)value & decided[i].mask) == decided[i].value)
			return &decided[i].args[index];
	return NULL;
}

void print_named(struct text *x, uint32_t flagset, uint64_t value)
{
	int32_t v = (int32_t)value;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (flags[i].set == flagset && ((uint32_t)v & flags[i].mask) == flags[i].value) {
			text_add(x, "%s", flags[i].name);
			return;
		}
	text_add(x, v > -4096 && v < 4096 ? "%d" : "0x%x", v);
}

void print_flags(struct text *x, uint32_t flagset, uint64_t value)
{
	uint64_t rest = value;
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		const struct flag *f = &flags[i];

		if (f->set != flagset || (value & f->mask) != f->value || (f->value && !(rest & f->mask)))
			continue;
		text_add(x, "%s%s", n++ ? "|" : "", f->name);
		rest &= ~f->mask;
	}
	if (rest || n == 0)
		text_add(x, rest ? "%s0x%lx" : "%s%lu", n ? "|" : "", (unsigned long)rest);
}
