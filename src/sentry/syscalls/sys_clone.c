// Making and ending tasks: the forms in which clone is called, the exit calls.
//
// rseq (334) is deliberately not here: a restartable sequence must be noticed at every preemption, which is the host's doing and unseen by
// the sentry. glibc and musl do without it when it answers ENOSYS.
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_clone.h"
#include "sentry/syscalls/syscalls.h"

enum { PID_NS_DEPTH_MAX = 32 };

long sys_clone(struct task *t, const struct sysargs *args)
{
	struct clone_spec spec = {
		.flags = (uint32_t)args->a[0] & ~CSIGNAL,
		.exit_signal = args->a[0] & CSIGNAL,
		.stack = args->a[1],
		.parent_tid = args->a[2],
		.pidfd = args->a[2],
		.child_tid = args->a[3],
		.tls = args->a[4],
	};

	if (spec.flags & CLONE_PIDFD && spec.flags & CLONE_PARENT_SETTID)
		return -EINVAL; // one argument for two places
	return task_clone(t, &spec);
}

// A struct as old or as new as the caller's headers: what is missing is zero, what is unknown must be.
static int copy_in_args(struct task *t, struct clone_args *out, uaddr_t addr, uint64_t size)
{
	uint8_t rest[PAGE_SIZE];

	_Static_assert(sizeof(*out) >= CLONE_ARGS_SIZE_VER2, "all of what is read below");
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	if (copy_in(t, out, addr, MIN(size, sizeof(*out))) < 0)
		return -EFAULT;
	if (size <= sizeof(*out))
		return 0;
	size -= sizeof(*out);
	if (copy_in(t, rest, addr + sizeof(*out), size) < 0)
		return -EFAULT;
	for (uint64_t i = 0; i < size; i++)
		if (rest[i])
			return -E2BIG;
	return 0;
}

static bool args_valid(const struct clone_args *a)
{
	if (a->flags & (CLONE_DETACHED | CSIGNAL))
		return false;
	if (a->exit_signal > NSIG_MAX || (a->exit_signal && a->flags & (CLONE_THREAD | CLONE_PARENT)))
		return false;
	if (!a->set_tid != !a->set_tid_size || a->set_tid_size > PID_NS_DEPTH_MAX)
		return false;
	if (a->stack)
		return a->stack_size && a->stack <= APP_MAX && a->stack_size <= APP_MAX - a->stack;
	return !a->stack_size;
}

long sys_clone3(struct task *t, const struct sysargs *args)
{
	struct clone_args a;
	struct clone_spec spec;
	int32_t tid = 0;
	int err = copy_in_args(t, &a, args->a[0], args->a[1]);

	if (err)
		return err;
	if (!args_valid(&a))
		return -EINVAL;
	if (a.set_tid_size > 1) // there are no PID namespaces inside of the container's
		return -EINVAL;
	if (a.set_tid && copy_in_obj(t, &tid, a.set_tid) < 0)
		return -EFAULT;
	if (a.set_tid && tid < 1)
		return -EINVAL;
	spec = (struct clone_spec){
		.flags = a.flags,
		.exit_signal = (int)a.exit_signal,
		.stack = a.stack + a.stack_size,
		.parent_tid = a.parent_tid,
		.child_tid = a.child_tid,
		.pidfd = a.pidfd,
		.tls = a.tls,
		.set_tid = tid,
	};
	return task_clone(t, &spec);
}

long sys_fork(struct task *t, const struct sysargs *args)
{
	(void)args;
	return task_clone(t, &(struct clone_spec){.exit_signal = SIGCHLD});
}

long sys_vfork(struct task *t, const struct sysargs *args)
{
	(void)args;
	return task_clone(t, &(struct clone_spec){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD});
}

long sys_set_tid_address(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	futex_set_at_end(t, PLATFORM_CLEAR_TID, args->a[0]);
	return t->tid;
}

long sys_exit(struct task *t, const struct sysargs *args)
{
	task_exit(t, (args->a[0] & 0xff) << 8);
	return -EGONE;
}

long sys_exit_group(struct task *t, const struct sysargs *args)
{
	task_exit_group(t, (args->a[0] & 0xff) << 8);
	return -EGONE;
}
