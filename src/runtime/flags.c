// Command-line flags.
#include "runtime/flags.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/err.h"

static const struct flag *find(const struct flag *flags, const char *name, size_t len)
{
	for (; flags->name; flags++)
		if ((strlen(flags->name) == len && memcmp(flags->name, name, len) == 0) ||
		    (len == 1 && flags->letter && flags->letter == name[0]))
			return flags;
	return NULL;
}

static int set_bool(bool *out, const char *name, const char *value, struct err **err)
{
	if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
		*out = true;
	else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
		*out = false;
	else
		return err_set(err, "flag --%s: expected true or false, not \"%s\"", name, value);
	return 0;
}

static int set_int(int *out, const char *name, const char *value, struct err **err)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (!*value || *end || n < 0 || n > INT_MAX)
		return err_set(err, "flag --%s: expected a number, not \"%s\"", name, value);
	*out = n;
	return 0;
}

static int append(struct string_list *list, const char *value, struct err **err)
{
	const char **items = realloc(list->items, (list->count + 2) * sizeof(*items));

	if (!items)
		return err_set(err, "out of memory");
	list->items = items;
	items[list->count++] = value;
	items[list->count] = NULL;
	return 0;
}

static int set(const struct flag *f, void *options, const char *value, struct err **err)
{
	void *at = (char *)options + f->offset;

	switch (f->kind) {
	case FLAG_BOOL:
		return set_bool(at, f->name, value, err);
	case FLAG_INT:
		return set_int(at, f->name, value, err);
	case FLAG_STRINGS:
		return append(at, value, err);
	case FLAG_STRING:
		*(const char **)at = value;
		return 0;
	}
	return 0;
}

int flags_parse(const struct flag *flags, void *options, int argc, char **argv, int *out_used, struct err **err)
{
	int i;

	for (i = 0; i < argc; i++) {
		const char *word = argv[i], *name, *value;
		const struct flag *f;

		if (word[0] != '-' || !word[1])
			break;
		if (strcmp(word, "--") == 0) {
			i++;
			break;
		}
		name = word + (word[1] == '-' ? 2 : 1);
		value = strchr(name, '=');
		f = find(flags, name, value ? (size_t)(value - name) : strlen(name));
		if (!f)
			return err_set(err, "unknown flag %s", word);
		if (value)
			value++;
		else if (f->kind != FLAG_BOOL && i + 1 < argc)
			value = argv[++i];
		else if (f->kind != FLAG_BOOL)
			return err_set(err, "flag --%s needs a value", f->name);
		if (set(f, options, value, err) < 0)
			return -1;
	}
	*out_used = i;
	return 0;
}

void flags_free(const struct flag *flags, void *options)
{
	for (; flags->name; flags++)
		if (flags->kind == FLAG_STRINGS)
			free(((struct string_list *)((char *)options + flags->offset))->items);
}

void flags_print(const struct flag *flags)
{
	for (; flags->name; flags++) {
		char head[64];

		snprintf(head, sizeof(head), "%s%c%s--%s%s%s", flags->letter ? "-" : "", flags->letter ? flags->letter : ' ',
			 flags->letter ? ", " : "   ", flags->name, flags->value ? " " : "", flags->value ? flags->value : "");
		printf("  %-32s %s\n", head, flags->help);
	}
}
