// System V semaphores: sets of counters, changed all at once (man 2 semop).
#pragma once

#include <sys/sem.h>

#include "abi/types.h"

struct sem_table;
struct task;
struct thread_group;

enum { SEM_OPS_MAX = 500 /* SEMOPM */, SEM_SET_MAX = 32000 /* SEMMSL */, SEM_ALL_MAX = 1024000 /* SEMMNS */, SEM_VALUE_MAX = 32767 };

struct sem_table *sem_table_create(void); // NULL: no memory
void sem_undo_exit(struct thread_group *tg); // the group ends: what it did with SEM_UNDO is undone

// The calls, on kernel()->sems. 0, a value, or -errno.
long sem_get(struct task *t, int key, int nsems, int flags); // an id
// Entered again as block.h says; ops are read at the first entry only.
long sem_op(struct task *t, int id, const struct sembuf *ops, unsigned n);
long sem_stat(struct task *t, int cmd, int id, struct semid_ds *out); // IPC_STAT: 0; SEM_STAT, SEM_STAT_ANY: the id
long sem_set(struct task *t, int id, const struct semid_ds *ds);
long sem_remove(struct task *t, int id);
long sem_value(struct task *t, int id, int num, int cmd); // GETVAL, GETPID, GETNCNT, GETZCNT
long sem_set_value(struct task *t, int id, int num, int value);
// All values of a set: *out is kmem_bytes of the result's length, the caller's to free.
long sem_get_all(struct task *t, int id, uint16_t **out);
long sem_count(struct task *t, int id); // how many values sem_set_all wants
long sem_set_all(struct task *t, int id, const uint16_t *values, int n);
long sem_usage(int *out_sets, int *out_sems); // the highest index in use
