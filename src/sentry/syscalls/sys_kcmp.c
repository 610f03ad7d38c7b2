// kcmp: whether two tasks share a thing (man 2 kcmp).
#include <linux/kcmp.h>

#include "abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/kernel/ptrace_access.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

struct wanted_file {
	int fd;
	const struct file *file;
};

static bool find_file(void *arg, int fd, struct file *f, bool cloexec)
{
	struct wanted_file *w = arg;

	if (fd != w->fd)
		return true;
	w->file = f;
	return false;
}

// Only compared, never followed: it may be gone by then, as it may right after the call.
static const void *file_at(struct fdtable *files, uint64_t fd)
{
	struct wanted_file w = {.fd = (int)fd};

	if (fd <= INT32_MAX)
		fdtable_each(files, find_file, &w);
	return w.file;
}

// The order is that of the addresses, but scrambled: it must not tell where things lie.
static long compare(const void *a, const void *b)
{
	const uint64_t odd = (uint64_t)kernel()->boot_realtime_ns | 1;
	uint64_t x = ((uintptr_t)a ^ odd) * odd, y = ((uintptr_t)b ^ odd) * odd;

	return a == b ? 0 : x < y ? 1 : 2;
}

static long compare_files(struct task *const other[2], const uint64_t fd[2])
{
	struct fdtable *files[2] = {NULL, NULL};
	const void *f[2] = {NULL, NULL};

	late_await(other[0]);
	late_await(other[1]);
	mutex_lock(&kernel()->tasks_mu);
	for (int i = 0; i < 2; i++)
		files[i] = other[i]->files ? fdtable_get(other[i]->files) : NULL;
	mutex_unlock(&kernel()->tasks_mu);
	for (int i = 0; i < 2; i++)
		if (files[i]) {
			f[i] = file_at(files[i], fd[i]);
			fdtable_put(files[i], NULL);
		}
	return f[0] && f[1] ? compare(f[0], f[1]) : -EBADF;
}

static long compare_things_locked(struct task *a, struct task *b, int type)
{
	switch (type) {
	case KCMP_VM: return compare(a->mm, b->mm);
	case KCMP_FILES: return compare(a->files, b->files);
	case KCMP_FS: return compare(a->fs, b->fs);
	case KCMP_SIGHAND: return compare(a->sighand, b->sighand);
	}
	return -EINVAL;
}

static int find_both(struct task *t, const struct sysargs *args, struct task *other[2])
{
	int err = 0;

	mutex_lock(&kernel()->tasks_mu);
	for (int i = 0; i < 2 && !err; i++) {
		struct task *found = task_find_locked((int)args->a[i]);

		if (!found)
			err = -ESRCH;
		else if (found->tg != t->tg && !ptrace_may_access_locked(t->cred, found, false))
			err = -EPERM;
		else
			other[i] = task_get(found);
	}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

// Not built: KCMP_IO, KCMP_SYSVSEM, KCMP_EPOLL_TFD.
long sys_kcmp(struct task *t, const struct sysargs *args)
{
	struct task *other[2] = {NULL, NULL};
	int type = (int)args->a[2];
	long ret = find_both(t, args, other);

	if (!ret && type == KCMP_FILE) {
		ret = compare_files(other, &args->a[3]);
	} else if (!ret) {
		mutex_lock(&kernel()->tasks_mu);
		ret = compare_things_locked(other[0], other[1], type);
		mutex_unlock(&kernel()->tasks_mu);
	}
	task_put(other[0]);
	task_put(other[1]);
	return ret;
}
