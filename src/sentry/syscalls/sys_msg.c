// msgget, msgsnd, msgrcv, msgctl.
#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/msg.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

long sys_msgget(struct task *t, const struct sysargs *args)
{
	return msgq_get(t, (int)args->a[0], (int)args->a[1]);
}

long sys_msgsnd(struct task *t, const struct sysargs *args)
{
	int id = (int)args->a[0], flags = (int)args->a[3];
	uint64_t len = args->a[2];
	struct message *m;
	int64_t type;

	if (t->call.entries > 1)
		return msgq_send(t, id, NULL, flags);
	if (copy_in_obj(t, &type, args->a[1]) < 0)
		return -EFAULT;
	if (len > MSG_BYTES_MAX || id < 0 || type < 1)
		return -EINVAL;
	m = message_create(type, len);
	if (!m)
		return -ENOMEM;
	if (copy_in(t, message_text(m), args->a[1] + sizeof(type), len) < 0) {
		kmem_bytes_free(m);
		return -EFAULT;
	}
	return msgq_send(t, id, m, flags);
}

long sys_msgrcv(struct task *t, const struct sysargs *args)
{
	int id = (int)args->a[0], flags = (int)args->a[4];
	struct message *m;
	int64_t type;
	size_t len;
	long ret;

	if (id < 0 || (int64_t)args->a[2] < 0)
		return -EINVAL;
	if (flags & MSG_COPY)
		return -ENOSYS; // as without CONFIG_CHECKPOINT_RESTORE
	ret = msgq_receive(t, id, (long)args->a[3], args->a[2], flags, &m);
	if (!m)
		return ret;
	type = message_type(m);
	len = MIN(message_len(m), args->a[2]);
	ret = copy_out_obj(t, args->a[1], &type) ?: copy_out(t, args->a[1] + sizeof(type), message_text(m), len);
	kmem_bytes_free(m); // taken, even if there was no place for it
	return ret ?: (long)len;
}

static long info_out(struct task *t, int cmd, uaddr_t buf)
{
	struct msginfo info = {.msgmni = IPC_SLOTS, .msgmax = MSG_BYTES_MAX, .msgmnb = MSG_QUEUE_BYTES, .msgssz = 16, .msgseg = 0xffff};
	int queues, messages, bytes;
	long highest = msgq_usage(&queues, &messages, &bytes);

	info.msgpool = cmd == MSG_INFO ? queues : IPC_SLOTS * MSG_QUEUE_BYTES / 1024;
	info.msgmap = cmd == MSG_INFO ? messages : MSG_QUEUE_BYTES;
	info.msgtql = cmd == MSG_INFO ? bytes : MSG_QUEUE_BYTES;
	return copy_out_obj(t, buf, &info) < 0 ? -EFAULT : highest;
}

static long stat_out(struct task *t, int cmd, int id, uaddr_t buf)
{
	struct msqid_ds ds;
	long ret = msgq_stat(t, cmd, id, &ds);

	return ret >= 0 && copy_out_obj(t, buf, &ds) < 0 ? -EFAULT : ret;
}

long sys_msgctl(struct task *t, const struct sysargs *args)
{
	int id = (int)args->a[0], cmd = (int)args->a[1];
	struct msqid_ds ds;

	if (id < 0 || cmd < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case MSG_INFO:
		return info_out(t, cmd, args->a[2]);
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		return stat_out(t, cmd, id, args->a[2]);
	case IPC_SET:
		if (copy_in_obj(t, &ds, args->a[2]) < 0)
			return -EFAULT;
		return msgq_set(t, id, &ds);
	case IPC_RMID:
		return msgq_remove(t, id);
	}
	return -EINVAL;
}
