// hull spec: writes a config.json to begin with.
#include "runtime/cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/err.h"
#include "runtime/oci/spec.h"

struct options {
	const char *bundle;
};

static const struct flag flags[] = {
	{"bundle", 'b', FLAG_STRING, offsetof(struct options, bundle), "DIR", "write it there (default: the current folder)"},
	{},
};

static int run(const struct settings *s, const void *options, int argc, char **argv, struct err **err)
{
	const struct options *o = options;
	char path[4096], *text;
	FILE *f;
	int ret = 0;

	if (argc != 0)
		return verb_usage_error(&verb_spec, err);
	if (snprintf(path, sizeof(path), "%s/config.json", o->bundle ?: ".") >= (int)sizeof(path))
		return err_set(err, "--bundle: the path is too long");
	text = oci_spec_template();
	if (!text)
		return err_set(err, "out of memory");
	f = fopen(path, "wxe");
	if (!f)
		ret = err_set(err, errno == EEXIST ? "%s exists already" : "cannot write %s: %m", path);
	else if (fprintf(f, "%s\n", text) < 0 || fclose(f) != 0)
		ret = err_set(err, "cannot write %s: %m", path);
	free(text);
	return ret;
}

const struct verb verb_spec = {
	.name = "spec",
	.usage = "",
	.summary = "write a config.json to begin with",
	.flags = flags,
	.options_size = sizeof(struct options),
	.run = run,
};
