// The named bits and values of flag arguments, from flags.def.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <linux/futex.h>

#include "lib/container_of.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/syscalls.h"

struct flag {
	uint8_t set; // enum sys_flagset
	uint64_t value, mask; // it is there if (v & mask) == value
	const char *name;
};

#define BIT(set, name) {FLAGSET_##set, name, name, #name},
#define FIELD(set, name, mask) {FLAGSET_##set, name, mask, #name},
static const struct flag flags[] = {
#include "sentry/strace/flags.def"
};

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
