// The hull command. The sentry and the gofer are forks of it (runtime/sandbox/launch.h).
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/profile.h"
#include "runtime/cmd/cmd.h"
#include "runtime/err.h"
#include "runtime/sandbox/title.h"

#ifdef __SANITIZE_THREAD__
// The sentry ends at the first data race, so that a test sees it. The order of locks isn't looked at: a directory's lock and its upper
// layer's are of one kind to ThreadSanitizer, and it sees no outer lock.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:detect_deadlocks=0";
}
#endif

static int fail(const struct settings *s, struct err *err)
{
	// With --log, containerd and its like look for the reason there; an operator looks here.
	if (s->log)
		log_error("%s", err_text(err));
	fprintf(stderr, "hull: %s\n", err_text(err));
	err_free(err);
	return EXIT_HULL;
}

static int run_verb(const struct settings *s, const struct verb *v, int argc, char **argv, struct err **err)
{
	void *options = calloc(1, v->options_size ? v->options_size : 1);
	int used, ret;

	if (!options)
		return err_set(err, "out of memory");
	if (argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-help") == 0 || strcmp(argv[0], "-h") == 0)) {
		help_print(v->name);
		ret = 0;
	} else if (flags_parse(v->flags, options, argc, argv, &used, err) < 0) {
		ret = err_set(err, "%s: %s (see `hull help %s`)", v->name, err_text(*err), v->name);
	} else {
		ret = v->run(s, options, argc - used, argv + used, err);
	}
	flags_free(v->flags, options);
	free(options);
	return ret;
}

// A caller that closed one of these must not find the next file that hull opens passed to the program in its place.
static void fill_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	struct settings s = settings_default;
	struct err *err = NULL;
	int used = 0, ret = -1;

	title_init(argc, argv);
	fill_standard_fds();
	if (flags_parse(settings_flags, &s, argc - 1, argv + 1, &used, &err) < 0)
		return fail(&s, err);
	argc -= 1 + used;
	argv += 1 + used;
	if (s.version) {
		puts("hull version " HULL_VERSION "\nspec: 1.1.0");
		return 0;
	}
	if (s.help || argc == 0) {
		help_print(NULL);
		return s.help ? 0 : EXIT_HULL;
	}
	if (settings_check(&s, &err) < 0 || settings_open_log(&s, &err) < 0)
		return fail(&s, err);
	for (const struct verb *const *v = verbs; *v; v++)
		if (strcmp((*v)->name, argv[0]) == 0) {
			if (s.profile_start)
				profile_init();
			profile_mark(PROFILE_COMMAND);
			ret = run_verb(&s, *v, argc - 1, argv + 1, &err);
			profile_print(2);
			if (ret < 0)
				return fail(&s, err);
			err_free(err); // of something that was got over
			return ret;
		}
	err_set(&err, "there is no verb \"%s\" (`hull help` lists them)", argv[0]);
	return fail(&s, err);
}
