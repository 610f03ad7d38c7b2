// UTS namespaces: the names that uname(2) answers.
#pragma once

#include <stdint.h>
#include <sys/utsname.h>

#include "lib/ref.h"

struct task;

struct uts_ns {
	struct ref ref;
	struct utsname name; // Guarded by tasks_mu.
};

// The names that t sees, in its own namespace or the sandbox's. tasks_mu is held.
struct utsname *uts_names_locked(struct task *t);
int uts_unshare(struct task *t); // t gets a copy of its own: 0 or -ENOMEM
void uts_join(struct task *t, struct task *other); // t enters other's namespace
struct uts_ns *uts_ns_get(struct uts_ns *ns); // NULL is the sandbox's, as for put
void uts_ns_put(struct uts_ns *ns);
