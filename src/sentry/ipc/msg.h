// System V message queues (man 2 msgop).
#pragma once

#include <sys/msg.h>

#include "abi/types.h"

struct msg_table;
struct task;

enum { MSG_BYTES_MAX = 8192 /* MSGMAX */, MSG_QUEUE_BYTES = 16384 /* MSGMNB */ };

struct message; // kmem_bytes

struct msg_table *msg_table_create(void); // NULL: no memory
struct message *message_create(long type, size_t len); // NULL: no memory
char *message_text(struct message *m);
long message_type(const struct message *m);
size_t message_len(const struct message *m);

// The calls, on kernel()->msgs. 0, a value, or -errno. send and receive are entered again as block.h says.
long msgq_get(struct task *t, int key, int flags); // an id
long msgq_send(struct task *t, int id, struct message *m, int flags); // takes m at the first entry (NULL later)
// *out: the caller's to free. 0 or -errno (-E2BIG: longer than max and no MSG_NOERROR; it stays).
long msgq_receive(struct task *t, int id, long type, size_t max, int flags, struct message **out);
long msgq_stat(struct task *t, int cmd, int id, struct msqid_ds *out); // IPC_STAT: 0; MSG_STAT, MSG_STAT_ANY: the id
long msgq_set(struct task *t, int id, const struct msqid_ds *ds);
long msgq_remove(struct task *t, int id);
long msgq_usage(int *out_queues, int *out_messages, int *out_bytes); // the highest index in use
