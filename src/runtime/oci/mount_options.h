// A mount's options as config.json lists them: flags that every mount has, and the rest, which is the file system's.
#pragma once

struct err;
struct oci_mount;
struct oci_spec;

// Fills the fields of m that come from its options.
int mount_options_parse(struct oci_spec *spec, struct oci_mount *m, struct err **err);
