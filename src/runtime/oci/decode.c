// JSON into structs by tables of fields.
#include "runtime/oci/decode.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/err.h"
#include "runtime/oci/spec.h"

struct oci_memory {
	struct oci_memory *next;
	max_align_t data[];
};

enum { PATH_CAP = 256 };

struct cursor {
	struct oci_spec *spec;
	struct err **err;
	char path[PATH_CAP]; // of the value under the eye
	size_t len;
};

static int decode_value(struct cursor *c, json_t *json, const struct decode_field *f, void *base);

void *decode_alloc(struct oci_spec *spec, size_t size)
{
	struct oci_memory *m = calloc(1, sizeof(*m) + size);

	if (!m)
		return NULL;
	m->next = spec->memory;
	spec->memory = m;
	return m->data;
}

void decode_free(struct oci_spec *spec)
{
	while (spec->memory) {
		struct oci_memory *m = spec->memory;

		spec->memory = m->next;
		free(m);
	}
}

static void *array_alloc(struct cursor *c, size_t count, size_t size)
{
	size_t bytes;
	void *p = __builtin_mul_overflow(count, size, &bytes) ? NULL : decode_alloc(c->spec, bytes);

	if (!p)
		err_set(c->err, "out of memory");
	return p;
}

// Appends to the path; the return value undoes it. A path that is too long is cut.
static size_t enter_field(struct cursor *c, const char *name)
{
	size_t before = c->len;
	int n = snprintf(c->path + before, PATH_CAP - before, "%s%s", before ? "." : "", name);

	c->len = n < (int)(PATH_CAP - before) ? before + n : PATH_CAP - 1;
	return before;
}

static size_t enter_index(struct cursor *c, size_t index)
{
	size_t before = c->len;
	int n = snprintf(c->path + before, PATH_CAP - before, "[%zu]", index);

	c->len = n < (int)(PATH_CAP - before) ? before + n : PATH_CAP - 1;
	return before;
}

static void leave(struct cursor *c, size_t before)
{
	c->len = before;
	c->path[before] = 0;
}

static int expected(struct cursor *c, const char *what)
{
	return err_set(c->err, "%s: expected %s", c->len ? c->path : "the file", what);
}

// Whole numbers come as integers, or as reals when the file has one beyond 2^63 (see spec.c).
static int get_number(struct cursor *c, json_t *json, double min, double max, long double *out)
{
	if (json_is_integer(json))
		*out = json_integer_value(json);
	else if (json_is_real(json) && trunc(json_real_value(json)) == json_real_value(json))
		*out = json_real_value(json);
	else
		return expected(c, "a whole number");
	if (*out < min || *out > max) {
		if (max > 1e18)
			return expected(c, "a number that isn't negative");
		return err_set(c->err, "%s: expected a number from %.0f to %.0f", c->path, min, max);
	}
	return 0;
}

static int decode_number(struct cursor *c, json_t *json, int64_t min, int64_t max, int64_t *out)
{
	long double n;

	if (get_number(c, json, min, max, &n) < 0)
		return -1;
	*out = n >= 0x1p63L ? INT64_MAX : (int64_t)n;
	return 0;
}

static int decode_limit(struct cursor *c, json_t *json, uint64_t *out)
{
	long double n;

	// -1 is how some writers say "no limit".
	if (json_is_integer(json) && json_integer_value(json) == -1) {
		*out = UINT64_MAX;
		return 0;
	}
	if (get_number(c, json, 0, 0x1p64, &n) < 0)
		return -1;
	*out = n >= 0x1p64L ? UINT64_MAX : (uint64_t)n;
	return 0;
}

static int decode_strings(struct cursor *c, json_t *json, struct oci_strings *out)
{
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return expected(c, "a list of strings");
	out->items = array_alloc(c, json_array_size(json) + 1, sizeof(*out->items));
	if (!out->items)
		return -1;
	json_array_foreach(json, i, item) {
		size_t before = enter_index(c, i);

		if (!json_is_string(item))
			return expected(c, "a string");
		leave(c, before);
		out->items[out->count++] = json_string_value(item);
	}
	return 0;
}

static int decode_numbers(struct cursor *c, json_t *json, const struct decode_field *f, struct oci_numbers *out)
{
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return expected(c, "a list of numbers");
	out->items = array_alloc(c, json_array_size(json), sizeof(*out->items));
	if (!out->items)
		return -1;
	json_array_foreach(json, i, item) {
		size_t before = enter_index(c, i);

		if (decode_number(c, item, f->min, f->max, &out->items[out->count++]) < 0)
			return -1;
		leave(c, before);
	}
	return 0;
}

static int decode_pairs(struct cursor *c, json_t *json, struct oci_pairs *out)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return expected(c, "an object");
	out->items = array_alloc(c, json_object_size(json), sizeof(*out->items));
	if (!out->items)
		return -1;
	json_object_foreach(json, key, value) {
		size_t before = enter_field(c, key);

		if (!json_is_string(value))
			return expected(c, "a string");
		leave(c, before);
		out->items[out->count++] = (struct oci_pair){key, json_string_value(value)};
	}
	return 0;
}

static int note_unsupported(struct cursor *c)
{
	struct oci_strings *list = &c->spec->unsupported;
	const char **items = array_alloc(c, list->count + 2, sizeof(*items));
	char *path = items ? array_alloc(c, c->len + 1, 1) : NULL;

	if (!path)
		return -1;
	memcpy(path, c->path, c->len + 1);
	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	items[list->count++] = path;
	list->items = items;
	return 0;
}

static bool is_empty(json_t *json)
{
	return json_is_null(json) || json_is_false(json) || (json_is_array(json) && json_array_size(json) == 0) ||
	       (json_is_object(json) && json_object_size(json) == 0) || (json_is_string(json) && json_string_length(json) == 0);
}

// What the struct says where the file says nothing.
static void set_absent(const struct decode_field *f, void *base)
{
	if (!base || (f->flags & FIELD_CHECK_ONLY))
		return;
	if (f->kind == DECODE_NUMBER)
		*(int64_t *)((char *)base + f->offset) = f->absent;
	else if (f->kind == DECODE_OBJECT)
		for (const struct decode_field *sub = f->fields; sub->name; sub++)
			set_absent(sub, (char *)base + f->offset);
}

static int decode_fields(struct cursor *c, json_t *json, const struct decode_field *fields, void *base)
{
	if (!json_is_object(json))
		return expected(c, "an object");
	for (const struct decode_field *f = fields; f->name; f++) {
		json_t *value = json_object_get(json, f->name);
		size_t before = enter_field(c, f->name);

		if (!value || json_is_null(value)) {
			if (f->flags & FIELD_REQUIRED)
				return err_set(c->err, "%s: missing", c->path);
			set_absent(f, base);
		} else {
			if (decode_value(c, value, f, base) < 0)
				return -1;
			if ((f->flags & FIELD_UNSUPPORTED) && !is_empty(value) && note_unsupported(c) < 0)
				return -1;
		}
		leave(c, before);
	}
	return 0;
}

static int decode_list(struct cursor *c, json_t *json, const struct decode_field *f, void *out)
{
	struct {
		char *items;
		size_t count;
	} *list = out;
	size_t i;
	json_t *item;

	if (!json_is_array(json))
		return expected(c, "a list of objects");
	if (list) {
		list->items = array_alloc(c, json_array_size(json), f->size);
		if (!list->items)
			return -1;
	}
	json_array_foreach(json, i, item) {
		size_t before = enter_index(c, i);

		if (decode_fields(c, item, f->fields, list ? list->items + i * f->size : NULL) < 0)
			return -1;
		leave(c, before);
		if (list)
			list->count++;
	}
	return 0;
}

static int decode_map(struct cursor *c, json_t *json, const struct decode_field *f)
{
	const char *key;
	json_t *value;

	if (!json_is_object(json))
		return expected(c, "an object");
	json_object_foreach(json, key, value) {
		size_t before = enter_field(c, key);

		if (decode_fields(c, value, f->fields, NULL) < 0)
			return -1;
		leave(c, before);
	}
	return 0;
}

static int decode_value(struct cursor *c, json_t *json, const struct decode_field *f, void *base)
{
	union {
		int64_t number;
		uint64_t limit;
		struct oci_strings strings;
		struct oci_numbers numbers;
		struct oci_pairs pairs;
	} unkept = {0};
	bool kept = base && !(f->flags & FIELD_CHECK_ONLY);
	void *out = kept ? (void *)((char *)base + f->offset) : &unkept;

	switch (f->kind) {
	case DECODE_STRING:
		if (!json_is_string(json))
			return expected(c, "a string");
		if (kept)
			*(const char **)out = json_string_value(json);
		return 0;
	case DECODE_BOOL:
		if (!json_is_boolean(json))
			return expected(c, "true or false");
		if (kept)
			*(bool *)out = json_is_true(json);
		return 0;
	case DECODE_NUMBER:
		return decode_number(c, json, f->min, f->max, out);
	case DECODE_LIMIT:
		return decode_limit(c, json, out);
	case DECODE_STRINGS:
		return decode_strings(c, json, out);
	case DECODE_NUMBERS:
		return decode_numbers(c, json, f, out);
	case DECODE_PAIRS:
		return decode_pairs(c, json, out);
	case DECODE_OBJECT:
		if (kept && (f->flags & FIELD_PRESENT))
			*(bool *)out = true;
		return decode_fields(c, json, f->fields, kept ? out : NULL);
	case DECODE_LIST:
		return decode_list(c, json, f, kept ? out : NULL);
	case DECODE_MAP:
		return decode_map(c, json, f);
	}
	return 0;
}

int decode_object(struct oci_spec *spec, json_t *json, const struct decode_field *fields, const char *path, void *out,
		  struct err **err)
{
	struct cursor c = {.spec = spec, .err = err};

	if (*path)
		enter_field(&c, path);
	return decode_fields(&c, json, fields, out);
}
