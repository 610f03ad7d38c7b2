// HOME of a container's process.
#pragma once

struct err;
struct oci_spec;

// Where the process's environment has no HOME: adds the one that the container's own /etc/passwd gives its user, else "/", as runc does.
int process_set_home(struct oci_spec *spec, const char *rootfs, struct err **err);
