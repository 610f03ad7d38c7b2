// Run by the build: makes programs of the filters' rows and prints them as C.
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/filter.h"

enum { API_LEVEL = 5, BINARY_TREE = 2 };

static void check(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "filter_gen: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void add(scmp_filter_ctx ctx, const struct filter_rule *rules, size_t count, const char *platform)
{
	for (size_t i = 0; i < count; i++) {
		const struct filter_rule *r = &rules[i];
		uint32_t action = r->action == FILTER_ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(r->value);

		if (r->platform && strcmp(r->platform, platform) != 0)
			continue;
		if (r->action == FILTER_REFUSE || r->mask == 0)
			check(seccomp_rule_add(ctx, action, r->call, 0), "a row");
		else
			check(seccomp_rule_add(ctx, action, r->call, 1, SCMP_CMP64(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->value)), "a row");
	}
}

static scmp_filter_ctx begin(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	check(ctx ? 0 : -ENOMEM, "init");
	check(seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, BINARY_TREE), "the order of its tests");
	check(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "other architectures");
	return ctx;
}

static void print(scmp_filter_ctx ctx, const char *name)
{
	int fd = memfd_create("program", MFD_CLOEXEC);
	struct sock_filter one;
	unsigned len = 0;

	check(fd < 0 ? -errno : seccomp_export_bpf(ctx, fd), "export");
	printf("static const struct sock_filter %s_code[] = {\n", name);
	for (; pread(fd, &one, sizeof(one), len * sizeof(one)) == sizeof(one); len++)
		printf("\t{%#x, %u, %u, %#x},\n", one.code, one.jt, one.jf, one.k);
	printf("};\nconst struct filter_program %s = {%s_code, %u};\n\n", name, name, len);
	close(fd);
	seccomp_release(ctx);
}

static void print_sentry(const char *platform, const char *name)
{
	scmp_filter_ctx ctx = begin();

	add(ctx, filter_rules, filter_rules_count, platform);
	print(ctx, name);
}

static void print_gofer(bool writing, const char *name)
{
	scmp_filter_ctx ctx = begin();

	add(ctx, gofer_rules_reading, gofer_rules_reading_count, "");
	if (writing)
		add(ctx, gofer_rules_writing, gofer_rules_writing_count, "");
	print(ctx, name);
}

int main(void)
{
	check(seccomp_api_set(API_LEVEL), "this libseccomp is too old"); // what the build's own host can do doesn't matter
	printf("#include <linux/filter.h>\n#include \"host/filter.h\"\n\n");
	print_sentry("systrap", "filter_sentry_systrap");
	print_sentry("ptrace", "filter_sentry_ptrace");
	print_gofer(false, "filter_gofer_reading");
	print_gofer(true, "filter_gofer_writing");
	return 0;
}
