// The gofer's state and its operations, for this folder and its tests.
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "gofer/gofer.h"
#include "gofer/message.h"
#include "gofer/protocol.h"

// A file that the client knows: an O_PATH descriptor. Its number is index and generation, so that a stale one is noticed.
struct node {
	int fd; // -1: free
	uint32_t generation;
	uint32_t mode; // the type never changes
	bool readonly; // its tree's
	bool opaque; // a procfs of the host: its root shows as an empty directory
	uint32_t next_free;
};

struct gofer_server {
	const struct gofer_config *config;
	int proc_self_fd; // the working directory, too: "N" is the file of descriptor N
	struct node *nodes;
	uint32_t nnodes, first_free; // nnodes: places in the table
	uint32_t used, max_nodes; // a descriptor each; the rest of what the host gives is for opening and listing
	struct below *below; // list_below.c's; NULL: nobody has asked for such
	bool one_cpu;
};

// 0 or -errno. config is borrowed for the server's life. Changes the process's working directory.
int server_init(struct gofer_server *s, const struct gofer_config *config);
void server_fini(struct gofer_server *s);
// Handles one request of len bytes and writes the answer (its length answered, 0: none; at most GOFER_MSG_MAX) with a descriptor that
// the caller closes after sending (-1: none).
size_t server_handle(struct gofer_server *s, const void *request, size_t len, uint8_t *answer, int *out_fd);

// nodes.c
struct node *node_find(struct gofer_server *s, uint64_t id); // NULL: no such node
// Takes fd over in any case. 0 or -errno (-ENFILE).
int node_add(struct gofer_server *s, int fd, uint32_t mode, bool readonly, bool opaque, uint64_t *out_id);
void node_forget(struct gofer_server *s, uint64_t id);
// A path to the node's file, for calls that take no O_PATH descriptor: its name in /proc/self/fd. Follows no symlink that is the node.
struct node_path {
	char name[12];
};
struct node_path node_path(const struct node *n);
// statx, no symlink followed; name "": dir_fd itself. out_attributes (may be NULL): STATX_ATTR_*.
int attr_of(int dir_fd, const char *name, struct gofer_attr *out, uint64_t *out_attributes);

// An operation: rq stands behind the head, whatever the answer holds is put to out, a descriptor may be set. 0 or -errno.
struct op_call {
	struct gofer_server *server;
	struct node *node; // NULL for ATTACH and FORGET
	struct msg_in *rq;
	struct msg_out *out;
	int out_fd;
};
typedef int (*op_fn)(struct op_call *c);
// ops_read.c
int op_attach(struct op_call *c);
int op_walk(struct op_call *c);
int op_walk_open(struct op_call *c);
int op_getattr(struct op_call *c);
int op_open(struct op_call *c);
int op_readlink(struct op_call *c);
int op_statfs(struct op_call *c);
int op_getxattr(struct op_call *c);
int op_listxattr(struct op_call *c);
// A step into dir: the entry of name, with a new node. 0 or -errno.
int walk_step(struct gofer_server *s, const struct node *dir, const char *name, struct gofer_entry *out);
// ops_list.c
int op_list(struct op_call *c);
int open_dir(const struct node *n); // a descriptor or -errno
// list_below.c
void below_fini(struct gofer_server *s);
int op_list_below(struct op_call *c);
// ops_write.c
int op_create(struct op_call *c);
int op_tmpfile(struct op_call *c);
int op_symlink(struct op_call *c);
int op_link(struct op_call *c);
int op_unlink(struct op_call *c);
int op_rename(struct op_call *c);
int op_setattr(struct op_call *c);
int op_setxattr(struct op_call *c);
int op_removexattr(struct op_call *c);
int op_fsync(struct op_call *c);

// jail.c: gives up what serving doesn't need. 0 or -errno; nothing is served after a failure.
int gofer_lockdown(const struct gofer_config *config);
