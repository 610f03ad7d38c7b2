// Credentials across execve: set-user-ID, set-group-ID and file capabilities (man 7 capabilities, "Transformation …").
#pragma once

#include <stdbool.h>

struct cred;
struct file;
struct task;

// The credentials that t has after executing exe (a new reference), and whether AT_SECURE is set. 0 or -errno.
int exec_cred(struct task *t, struct file *exe, struct cred **out_cred, bool *out_secure);
