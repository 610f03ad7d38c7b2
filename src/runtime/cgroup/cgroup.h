// The control group of a container's sandbox: linux.resources' limits on memory, CPU time and processes.
#pragma once

struct err;
struct oci_resources;
typedef struct json_t json_t;

enum { CGROUP_DIRS_MAX = 4 };

// Makes the folders (their paths are appended to *dirs, which is made where it is NULL), sets the limits, and opens the files by which
// processes enter. Does nothing where the bundle asks for no limit. On failure what was made is in *dirs all the same.
int cgroup_create(const char *cgroups_path, const char *id, const struct oci_resources *r, json_t **dirs, int *out_fds, int *out_count,
		  struct err **err);
// Removes them once they are empty; waits for that, but not for long.
void cgroup_remove(json_t *dirs);
