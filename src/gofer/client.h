// The sentry's side of the gofer's protocol: one function a message. Knows nothing of the sentry's file systems.
//
// A call takes the client's lock for its round trip, so it may sleep: the caller marks its worker as away. Answers are checked like any foreign
// bytes. Once the gofer is gone or breaks the protocol, every call answers -EIO, and that is logged once.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "gofer/protocol.h"
#include "lib/mutex.h"

enum { GOFER_FORGETS_BATCH = 64 };

struct gofer_client {
	struct mutex mu;
	// Guarded by mu.
	int sock;
	bool dead;
	uint8_t *request, *answer; // GOFER_MSG_MAX each
	uint64_t round_trips; // how many answers were waited for
	struct mutex forget_mu; // after mu
	uint64_t forgets[GOFER_FORGETS_BATCH]; // Guarded by forget_mu.
	int nforgets;
};

int gofer_client_init(struct gofer_client *c, int sock); // takes sock over; 0 or -ENOMEM
void gofer_client_fini(struct gofer_client *c); // closes: the gofer ends

struct gofer_name {
	const char *s;
	size_t len;
};

int gofer_attach(struct gofer_client *c, uint32_t tree, struct gofer_entry *out_root, struct gofer_attached *out);
// Up to GOFER_WALK_MAX components: out_entries[0 … *out_found). 0, or the errno at which the walk stopped. out_link (may be NULL): where the last one
// found leads, if it is a symbolic link (kmem_bytes, the caller's); else NULL. out_fd (may be NULL): the last one's, open for reading, if all
// were found, that is a regular file, and it could be opened; else -1.
int gofer_walk(struct gofer_client *c, uint64_t node, const struct gofer_name *names, uint32_t count, struct gofer_entry *out_entries,
	       uint32_t *out_found, char **out_link, int *out_fd);
int gofer_getattr(struct gofer_client *c, uint64_t node, struct gofer_attr *out);
int gofer_open(struct gofer_client *c, uint64_t node, uint32_t flags, int *out_fd);
int64_t gofer_readlink(struct gofer_client *c, uint64_t node, char *dst, size_t cap); // length, cut off at cap
// One batch of a listing: on_entry is called for each one, under the client's lock. An error of its ends it.
struct gofer_listed_entry {
	const char *name, *link; // link: where it leads; NULL: not told
	size_t len, link_len;
	const struct gofer_attr *attr; // NULL: not told
	uint64_t ino;
	uint8_t type; // DT_*
};
struct gofer_list_call {
	uint32_t flags; // GOFER_LIST_*
	int (*on_entry)(void *arg, const struct gofer_listed_entry *e);
	int (*on_below)(void *arg, uint32_t dir, uint32_t entry, uint32_t count); // of gofer_list_below
	void *arg;
};
int gofer_list(struct gofer_client *c, uint64_t node, const struct gofer_list_call *list, uint64_t *position, bool *out_at_end); // position moves
// Directories in node, up to GOFER_BELOW_MAX, and what is below them, but not much more than so many entries. on_below comes before each one's entries:
// dir is 0, or less than how many came before, and counted from 1.
int gofer_list_below(struct gofer_client *c, uint64_t node, const struct gofer_list_call *list, const struct gofer_name *names, uint32_t count,
		     uint32_t entries);
int gofer_statfs(struct gofer_client *c, uint64_t node, struct gofer_statfs *out);
int64_t gofer_getxattr(struct gofer_client *c, uint64_t node, const char *name, void *dst, size_t cap); // cap 0: only the length; -ERANGE
int64_t gofer_listxattr(struct gofer_client *c, uint64_t node, char *dst, size_t cap);
void gofer_forget(struct gofer_client *c, uint64_t node); // batched; never waits

int gofer_create(struct gofer_client *c, uint64_t dir, struct gofer_name name, const struct gofer_create *how,
		 struct gofer_entry *out_entry, int *out_fd); // *out_fd -1: not a regular file
int gofer_tmpfile(struct gofer_client *c, uint64_t dir, const struct gofer_create *how, struct gofer_entry *out_entry, int *out_fd);
int gofer_symlink(struct gofer_client *c, uint64_t dir, struct gofer_name name, struct gofer_name target, const struct gofer_create *how,
		  struct gofer_entry *out_entry);
int gofer_link(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint64_t target, struct gofer_attr *out_attr);
int gofer_unlink(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint32_t flags);
int gofer_rename(struct gofer_client *c, uint64_t dir, struct gofer_name name, uint64_t new_dir, struct gofer_name new_name,
		 uint32_t flags);
int gofer_setattr(struct gofer_client *c, uint64_t node, const struct gofer_setattr *set, struct gofer_attr *out_attr);
int gofer_setxattr(struct gofer_client *c, uint64_t node, const char *name, const void *value, size_t len, uint32_t flags);
int gofer_removexattr(struct gofer_client *c, uint64_t node, const char *name);
int gofer_fsync(struct gofer_client *c, uint64_t dir);
