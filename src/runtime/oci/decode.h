// JSON into structs by tables of fields: types, ranges and required fields are checked in one place, and each complaint names the
// field's path.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct oci_spec;
typedef struct json_t json_t;

enum decode_kind {
	DECODE_STRING,  // const char *
	DECODE_BOOL,    // bool
	DECODE_NUMBER,  // int64_t within [min, max]; absent where the file has none
	DECODE_LIMIT,   // uint64_t, any non-negative number
	DECODE_STRINGS, // struct oci_strings
	DECODE_NUMBERS, // struct oci_numbers, each within [min, max]
	DECODE_PAIRS,   // struct oci_pairs: an object of strings
	DECODE_OBJECT,  // the sub-object's fields, at offset
	DECODE_LIST,    // {pointer, count}: a list of objects of size bytes each
	DECODE_MAP,     // an object whose every value is an object; checked only
};

struct decode_field {
	const char *name; // NULL ends a table
	enum decode_kind kind;
	uint8_t flags; // FIELD_*
	size_t offset;
	int64_t min, max, absent;
	const struct decode_field *fields; // DECODE_OBJECT, DECODE_LIST, DECODE_MAP
	size_t size; // DECODE_LIST
};

enum {
	FIELD_REQUIRED = 1,
	FIELD_CHECK_ONLY = 2, // not kept: offset means nothing
	FIELD_UNSUPPORTED = 4, // and named in spec->unsupported when it is there and not empty
	FIELD_PRESENT = 8, // DECODE_OBJECT: a bool at offset says that it was there
};

int decode_object(struct oci_spec *spec, json_t *json, const struct decode_field *fields, const char *path, void *out,
		  struct err **err);
// Memory that lives as long as the spec; zeroed. NULL: none left.
void *decode_alloc(struct oci_spec *spec, size_t size);
void decode_free(struct oci_spec *spec);
