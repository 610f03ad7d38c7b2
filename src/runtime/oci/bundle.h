// A bundle: a folder with config.json and, as a rule, the root file system.
#pragma once

struct err;
struct oci_spec;

struct bundle {
	char *dir;  // absolute
	char *root; // absolute, links resolved; a folder
};

// Reads and checks the bundle in dir; logs a warning for each field that has no effect yet. Both results are to be freed by the caller,
// in either case.
int bundle_load(const char *dir, struct bundle *out, struct oci_spec *out_spec, struct err **err);
void bundle_free(struct bundle *b);
// A whole file of at most max_bytes; *out is freed by the caller.
int bundle_read_file(const char *path, unsigned long max_bytes, char **out, unsigned long *out_len, struct err **err);
