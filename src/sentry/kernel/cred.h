// Credentials: immutable once shared; a task that changes its own makes a copy (cred_dup), changes it and installs it.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/capability.h>

#include "lib/ref.h"

struct task;

enum { NGROUPS_LIMIT = 65536 };

#define CAPS_ALL ((1ull << (CAP_LAST_CAP + 1)) - 1)

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
bool cred_same_rights(const struct cred *a, const struct cred *b); // to files, as long as none of the two changes them
bool cred_equal(const struct cred *a, const struct cred *b);
bool cred_has_cap(const struct cred *c, int cap); // effective
bool cred_in_group(const struct cred *c, gid_t gid); // fsgid or a supplementary group
int cred_set_groups(struct cred *c, const gid_t *groups, uint32_t n); // of an unshared c: sorted. 0 or -ENOMEM
// t has the credentials c from now on (takes the reference), with what Linux's commit_creds does to dumpable and the parent's death signal.
void cred_install(struct task *t, struct cred *c);
