// What System V semaphores and message queues have in common: a table of objects found by key or id, and who may do what with them.
//
// A table's lock guards its objects too. It is an object's own lock in ARCHITECTURE.md's order; tasks are woken under it.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/types.h>

#include "lib/mutex.h"

struct cred;
struct task;

enum { IPC_SLOTS = 4096, IPC_READ = 4, IPC_WRITE = 2 };

struct ipc_object {
	int key, id;
	uid_t uid, cuid;
	gid_t gid, cgid;
	uint32_t mode; // access bits
	time_t ctime;
};

struct ipc_table {
	struct mutex mu;
	// Guarded by mu.
	struct ipc_object *slot[IPC_SLOTS];
	int count, seq;
};

time_t ipc_now(void);
struct ipc_object *ipc_by_id(struct ipc_table *tab, int id); // NULL: none
struct ipc_object *ipc_by_index(struct ipc_table *tab, int index);
int ipc_highest(struct ipc_table *tab); // the highest index in use, or 0
bool ipc_allowed(const struct cred *c, const struct ipc_object *o, uint32_t wanted); // IPC_READ, IPC_WRITE
bool ipc_may_change(const struct cred *c, const struct ipc_object *o);
// The object that a *get call means: an id with *out_o NULL; or -ENOENT, -EEXIST, -EACCES, -ENOSPC. 0: make one, and give it to ipc_add.
int ipc_get(struct ipc_table *tab, struct task *t, int key, int flags, struct ipc_object **out_o);
int ipc_add(struct ipc_table *tab, struct ipc_object *o, struct task *t, int key, int flags); // the new id
void ipc_remove(struct ipc_table *tab, struct ipc_object *o); // it is the caller's to free
void ipc_perm_get(const struct ipc_object *o, struct ipc_perm *out);
void ipc_perm_set(struct ipc_object *o, const struct ipc_perm *p);
