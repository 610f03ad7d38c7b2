// Errors for the operator.
#include "runtime/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct err {
	char *text; // NULL when memory ran out while it was made
};

static void replace(struct err **err, char *text)
{
	if (!*err)
		*err = calloc(1, sizeof(**err));
	if (!*err) {
		free(text);
		return;
	}
	free((*err)->text);
	(*err)->text = text;
}

int err_set(struct err **err, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	replace(err, text);
	return -1;
}

int err_wrap(struct err **err, const char *fmt, ...)
{
	char *context = NULL, *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&context, fmt, ap) < 0)
		context = NULL;
	va_end(ap);
	if (context && asprintf(&text, "%s: %s", context, err_text(*err)) >= 0)
		replace(err, text);
	free(context);
	return -1;
}

const char *err_text(const struct err *err)
{
	return err && err->text ? err->text : "out of memory";
}

void err_free(struct err *err)
{
	if (err)
		free(err->text);
	free(err);
}
