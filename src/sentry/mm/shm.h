// System V shared memory: segments, found by key or id (man 7 sysvipc).
#pragma once

#include <sys/shm.h>

#include "abi/types.h"

struct shm_table;
struct task;

struct shm_table *shm_table_create(void); // NULL: no memory

// The calls, on kernel()->shm. 0, a value, or -errno; memory codes pass through (-EBLOCKED …).
long shm_get(struct task *t, int key, uint64_t size, int flags); // an id
long shm_attach(struct task *t, int id, uaddr_t addr, int flags); // the address
long shm_detach(struct task *t, uaddr_t addr);
// id: an index for SHM_STAT and SHM_STAT_ANY, which answer the id; IPC_STAT answers 0.
long shm_stat(struct task *t, int cmd, int id, struct shmid_ds *out);
long shm_set(struct task *t, int id, const struct shmid_ds *ds);
long shm_remove(struct task *t, int id);
long shm_lock(struct task *t, int id, bool lock);
// The highest index in use, or 0. *out_ids: segments; *out_pages: their size.
long shm_usage(int *out_ids, uint64_t *out_pages);
