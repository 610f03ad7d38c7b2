// What travels beside a message's bytes: descriptors and credentials. man 7 unix.
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "abi/types.h"

struct file;
struct task;

enum { SCM_FILES_MAX = 253 };

struct scm_files { // kmem_bytes
	int n;
	struct scm_files *next; // while it waits to be dropped
	struct file *file[]; // counted
};

struct scm {
	bool has_creds; // sending: given explicitly; receiving: to be shown
	struct ucred creds;
	struct scm_files *files; // NULL: none
};

// Reads a control message of len bytes (kernel memory) for sending. 0, -EINVAL, -EBADF, -EPERM, -ESRCH, -ETOOMANYREFS …
int scm_parse(struct task *t, const void *control, size_t len, struct scm *out);
// Writes what came along to control[cap], installing the descriptors. *out_len: bytes used; MSG_CTRUNC is added to *flags when it
// doesn't fit. Drops what is in scm.
int scm_deliver(struct task *t, struct scm *scm, uaddr_t control, size_t cap, bool cloexec, size_t *out_len, int *flags);
struct scm_files *scm_files_dup(const struct scm_files *files); // NULL: no memory
// Drops the references. Never recurses: a socket that dies of it drops what lay in its queue after this one.
void scm_files_drop(struct scm_files *files); // NULL is allowed
