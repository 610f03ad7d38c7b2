// shmget, shmat, shmdt, shmctl.
#include <limits.h>
#include <string.h>

#include "abi/errno.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/shm.h"
#include "sentry/syscalls/syscalls.h"

long sys_shmget(struct task *t, const struct sysargs *args)
{
	return shm_get(t, (int)args->a[0], args->a[1], (int)args->a[2]);
}

long sys_shmat(struct task *t, const struct sysargs *args)
{
	return shm_attach(t, (int)args->a[0], args->a[1], (int)args->a[2]);
}

long sys_shmdt(struct task *t, const struct sysargs *args)
{
	return shm_detach(t, args->a[0]);
}

static long stat_out(struct task *t, int cmd, int id, uaddr_t buf)
{
	struct shmid_ds ds;
	long ret = shm_stat(t, cmd, id, &ds);

	if (ret >= 0 && copy_out_obj(t, buf, &ds) < 0)
		return -EFAULT;
	return ret;
}

static long limits_out(struct task *t, uaddr_t buf)
{
	struct shminfo info = {.shmmax = ULONG_MAX - (1ul << 24), .shmmin = 1, .shmmni = 4096, .shmseg = 4096,
			       .shmall = ULONG_MAX - (1ul << 24)};
	uint64_t pages;
	int ids;
	long highest = shm_usage(&ids, &pages);

	return copy_out_obj(t, buf, &info) < 0 ? -EFAULT : highest;
}

static long usage_out(struct task *t, uaddr_t buf)
{
	struct shm_info info = {0};
	uint64_t pages;
	long highest = shm_usage(&info.used_ids, &pages);

	info.shm_tot = info.shm_rss = pages;
	return copy_out_obj(t, buf, &info) < 0 ? -EFAULT : highest;
}

long sys_shmctl(struct task *t, const struct sysargs *args)
{
	int id = (int)args->a[0], cmd = (int)args->a[1];
	struct shmid_ds ds;

	if (cmd < 0 || id < 0)
		return -EINVAL;
	switch (cmd) {
	case IPC_INFO:
		return limits_out(t, args->a[2]);
	case SHM_INFO:
		return usage_out(t, args->a[2]);
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		return stat_out(t, cmd, id, args->a[2]);
	case IPC_SET:
		if (copy_in_obj(t, &ds, args->a[2]) < 0)
			return -EFAULT;
		return shm_set(t, id, &ds);
	case IPC_RMID:
		return shm_remove(t, id);
	case SHM_LOCK:
	case SHM_UNLOCK:
		return shm_lock(t, id, cmd == SHM_LOCK);
	}
	return -EINVAL;
}
