// semget, semop, semtimedop, semctl.
#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/sem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

long sys_semget(struct task *t, const struct sysargs *args)
{
	return sem_get(t, (int)args->a[0], (int)args->a[1], (int)args->a[2]);
}

static long operate(struct task *t, const struct sysargs *args, uaddr_t utimeout)
{
	struct sembuf ops[SEM_OPS_MAX];
	uint32_t n = (uint32_t)args->a[2];
	struct timespec ts;

	if (t->call.entries > 1)
		return sem_op(t, (int)args->a[0], NULL, 0);
	if (n < 1 || (int)args->a[0] < 0)
		return -EINVAL;
	if (n > SEM_OPS_MAX)
		return -E2BIG;
	if (copy_in(t, ops, args->a[1], n * sizeof(*ops)) < 0)
		return -EFAULT;
	if (utimeout) {
		if (copy_in_obj(t, &ts, utimeout) < 0)
			return -EFAULT;
		if (!timespec_valid(&ts))
			return -EINVAL;
		task_deadline_in(t, timespec_to_ns(&ts));
	}
	return sem_op(t, (int)args->a[0], ops, n);
}

long sys_semop(struct task *t, const struct sysargs *args)
{
	return operate(t, args, 0);
}

long sys_semtimedop(struct task *t, const struct sysargs *args)
{
	return operate(t, args, args->a[3]);
}

static long info_out(struct task *t, int cmd, uaddr_t buf)
{
	struct seminfo info = {
		.semmap = SEM_ALL_MAX, .semmni = IPC_SLOTS, .semmns = SEM_ALL_MAX, .semmnu = SEM_ALL_MAX, .semmsl = SEM_SET_MAX,
		.semopm = SEM_OPS_MAX, .semume = SEM_OPS_MAX, .semusz = 20, .semvmx = SEM_VALUE_MAX, .semaem = SEM_VALUE_MAX,
	};
	int sets, sems;
	long highest = sem_usage(&sets, &sems);

	if (cmd == SEM_INFO) {
		info.semusz = sets;
		info.semaem = sems;
	}
	return copy_out_obj(t, buf, &info) < 0 ? -EFAULT : highest;
}

static long stat_out(struct task *t, int cmd, int id, uaddr_t buf)
{
	struct semid_ds ds;
	long ret = sem_stat(t, cmd, id, &ds);

	return ret >= 0 && copy_out_obj(t, buf, &ds) < 0 ? -EFAULT : ret;
}

static long get_all(struct task *t, int id, uaddr_t buf)
{
	uint16_t *values;
	long n = sem_get_all(t, id, &values), ret = n;

	if (n >= 0)
		ret = copy_out(t, buf, values, n * sizeof(*values));
	kmem_bytes_free(values);
	return ret;
}

static long set_all(struct task *t, int id, uaddr_t buf)
{
	long n = sem_count(t, id), ret;
	uint16_t *values;

	if (n < 0)
		return n;
	values = kmem_bytes(n * sizeof(*values));
	if (!values)
		return -ENOMEM;
	ret = copy_in(t, values, buf, n * sizeof(*values));
	if (!ret)
		ret = sem_set_all(t, id, values, (int)n);
	kmem_bytes_free(values);
	return ret;
}

long sys_semctl(struct task *t, const struct sysargs *args)
{
	int id = (int)args->a[0], num = (int)args->a[1], cmd = (int)args->a[2];
	struct semid_ds ds;

	if (id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
	case SEM_INFO:
		return info_out(t, cmd, args->a[3]);
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return stat_out(t, cmd, id, args->a[3]);
	case GETALL:
		return get_all(t, id, args->a[3]);
	case SETALL:
		return set_all(t, id, args->a[3]);
	case GETVAL:
	case GETPID:
	case GETNCNT:
	case GETZCNT:
		return sem_value(t, id, num, cmd);
	case SETVAL:
		return sem_set_value(t, id, num, (int)args->a[3]);
	case IPC_SET:
		if (copy_in_obj(t, &ds, args->a[3]) < 0)
			return -EFAULT;
		return sem_set(t, id, &ds);
	case IPC_RMID:
		return sem_remove(t, id);
	}
	return -EINVAL;
}
