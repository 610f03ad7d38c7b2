// Who may look into a process, or change it (man 2 ptrace, "Ptrace access mode checking").
#pragma once

#include <stdbool.h>

struct cred;
struct task;

// An attach with c's real ids; fs_creds: with its file-system ids, as opening files of /proc counts. tasks_mu is held.
bool ptrace_may_access_locked(const struct cred *c, const struct task *other, bool fs_creds);
