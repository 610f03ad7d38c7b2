// Credentials: immutable once shared; a task that changes its own makes a copy (cred_dup), changes it and installs it.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/capability.h>

#include "lib/ref.h"

enum { NGROUPS_LIMIT = 65536 };

struct cred {
	struct ref ref;
	uid_t uid, euid, suid, fsuid;
	gid_t gid, egid, sgid, fsgid;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient; // bit n: capability n
	uint32_t securebits;
	bool no_new_privs;
	uint32_t ngroups;
	gid_t *groups; // owned; sorted; kmem_bytes
};

struct cred *cred_create_root(void); // all capabilities
struct cred *cred_dup(const struct cred *c); // a private copy with one reference; NULL: no memory
struct cred *cred_get(struct cred *c);
void cred_put(struct cred *c);
bool cred_has_cap(const struct cred *c, int cap); // effective
bool cred_in_group(const struct cred *c, gid_t gid); // fsgid or a supplementary group
