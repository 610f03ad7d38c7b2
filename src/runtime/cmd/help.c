// hull help: the verbs, their flags, and the system calls that Hull has.
#include "runtime/cmd/cmd.h"

#include <stdio.h>
#include <string.h>

#include "runtime/err.h"
#include "sentry/syscalls/names.h"

static const struct flag flags[] = {{}};

const struct verb *const verbs[] = {&verb_do,	  &verb_run,  &verb_create, &verb_start, &verb_exec,  &verb_kill,   &verb_delete, &verb_state,
				    &verb_list,  &verb_ps,   &verb_wait,   &verb_spec,  &verb_pause, &verb_resume, &verb_help,   NULL};

int verb_usage_error(const struct verb *v, struct err **err)
{
	return err_set(err, "usage: hull [global flags] %s [flags] %s (`hull help %s` says more)", v->name, v->usage, v->name);
}

static void print_all(void)
{
	printf("usage: hull [global flags] VERB [flags] [arguments]\n\n"
	       "Runs programs and OCI containers on Hull's own kernel instead of the host's.\n\nverbs:\n");
	for (const struct verb *const *v = verbs; *v; v++)
		printf("  %-8s %s\n", (*v)->name, (*v)->summary);
	printf("\n`hull help VERB` says more; `hull help syscalls` lists the system calls.\n\nglobal flags:\n");
	flags_print(settings_flags);
}

static void print_verb(const struct verb *v)
{
	printf("usage: hull [global flags] %s%s%s%s\n\n%s\n", v->name, v->flags->name ? " [flags]" : "", *v->usage ? " " : "", v->usage,
	       v->summary);
	if (v->details)
		printf("\n%s\n", v->details);
	if (v->flags->name) {
		printf("\nflags:\n");
		flags_print(v->flags);
	}
}

void help_print(const char *verb)
{
	if (!verb)
		print_all();
	for (const struct verb *const *v = verbs; *v && verb; v++)
		if (strcmp((*v)->name, verb) == 0)
			print_verb(*v);
}

static void print_syscalls(void)
{
	static const char *const support[] = {"no", "partly", "yes"};

	printf("%-4s %-28s %s\n", "NR", "SYSTEM CALL", "SUPPORTED");
	for (const struct syscall_name *n = syscall_names; n->name; n++)
		printf("%-4d %-28s %s\n", n->nr, n->name, support[n->support]);
}

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	if (argc == 0) {
		print_all();
		return 0;
	}
	if (strcmp(argv[0], "syscalls") == 0) {
		print_syscalls();
		return 0;
	}
	for (const struct verb *const *v = verbs; *v; v++)
		if (strcmp((*v)->name, argv[0]) == 0) {
			print_verb(*v);
			return 0;
		}
	return err_set(err, "there is no verb \"%s\" (`hull help` lists them)", argv[0]);
}

const struct verb verb_help = {
	.name = "help",
	.usage = "[VERB | syscalls]",
	.summary = "say how a verb is used, or which system calls there are",
	.flags = flags,
	.run = run,
};
