// futex, futex_waitv and the robust list calls: arguments checked, timeouts turned into deadlines.
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/futex_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/timer.h"
#include "sentry/syscalls/syscalls.h"

// --- timeouts

static bool has_timeout(int cmd)
{
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 ||
	       cmd == FUTEX_WAIT_REQUEUE_PI;
}

// clock -1: ts is a time span.
static int deadline_set(struct task *t, uaddr_t timeout, clockid_t clock)
{
	struct timespec ts;
	int64_t ns;

	if (t->call.deadline_ns) // it was entered before, or is restarted
		return 0;
	if (!timeout) {
		task_deadline_in(t, -1);
		return 0;
	}
	if (copy_in_obj(t, &ts, timeout) < 0)
		return -EFAULT;
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (__builtin_mul_overflow(ts.tv_sec, NSEC_PER_SEC, &ns) || __builtin_add_overflow(ns, ts.tv_nsec, &ns))
		ns = INT64_MAX;
	if (clock >= 0) {
		ns -= ktime_now(clock);
		ns = ns < 0 ? 0 : ns;
	}
	task_deadline_in(t, ns);
	return 0;
}

static clockid_t clock_of(int cmd, bool realtime)
{
	if (cmd == FUTEX_WAIT)
		return -1;
	return realtime || cmd == FUTEX_LOCK_PI ? CLOCK_REALTIME : CLOCK_MONOTONIC;
}

// A wait that a signal broke off goes on until the same time.
static long restart_later(struct task *t, const struct sysargs *args, uint64_t nr)
{
	if (t->call.deadline_ns == KTIME_NEVER)
		return -ERESTARTSYS;
	t->restart_nr = nr;
	memcpy(t->restart_args, args->a, sizeof(t->restart_args));
	t->restart_deadline_ns = t->call.deadline_ns;
	return -ERESTART_RESTARTBLOCK;
}

// --- futex

long sys_futex(struct task *t, const struct sysargs *args)
{
	const uaddr_t addr = args->a[0], addr2 = args->a[4];
	const int op = (int)args->a[1], cmd = op & FUTEX_CMD_MASK;
	const uint32_t val = (uint32_t)args->a[2], val3 = (uint32_t)args->a[5];
	const int max2 = (int)args->a[3]; // where the timeout stands for the others
	const bool shared = !(op & FUTEX_PRIVATE_FLAG), realtime = op & FUTEX_CLOCK_REALTIME;
	long ret;

	if (has_timeout(cmd)) {
		ret = deadline_set(t, args->a[3], clock_of(cmd, realtime));
		if (ret)
			return ret;
	}
	if (realtime && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI && cmd != FUTEX_LOCK_PI2)
		return -ENOSYS;
	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		ret = futex_wait(t, addr, shared, val, cmd == FUTEX_WAIT ? FUTEX_BITSET_MATCH_ANY : val3);
		return ret == -ERESTARTSYS ? restart_later(t, args, SYS_futex) : ret;
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		return futex_wake(t, addr, shared, (int)val, cmd == FUTEX_WAKE ? FUTEX_BITSET_MATCH_ANY : val3);
	case FUTEX_REQUEUE:
		return futex_requeue(t, addr, addr2, shared, (int)val, max2, NULL, false);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(t, addr, addr2, shared, (int)val, max2, &val3, false);
	case FUTEX_WAKE_OP:
		return futex_wake_op(t, addr, addr2, shared, (int)val, max2, val3);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return futex_lock_pi(t, addr, shared, false);
	case FUTEX_TRYLOCK_PI:
		return futex_lock_pi(t, addr, shared, true);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(t, addr, shared);
	case FUTEX_WAIT_REQUEUE_PI:
		return futex_wait_requeue_pi(t, addr, shared, val, val3 ?: FUTEX_BITSET_MATCH_ANY, addr2);
	case FUTEX_CMP_REQUEUE_PI:
		return futex_requeue(t, addr, addr2, shared, (int)val, max2, &val3, true);
	}
	return -ENOSYS;
}

// --- any of several words

// The number of one that was woken, or -EAGAIN.
static long first_woken(struct futex_wait *fw)
{
	for (int i = 0; i < fw->n; i++)
		if (!futex_is_queued(&fw->w[i]))
			return i;
	return -EAGAIN;
}

static int waitv_check(const struct futex_waitv *v)
{
	if (v->flags & ~(FUTEX_32 | FUTEX_PRIVATE_FLAG) || !(v->flags & FUTEX_32) || v->__reserved)
		return -EINVAL;
	return v->val >> 32 ? -EINVAL : 0;
}

// Enters all queues, then looks at all words. 0: they wait.
static long waitv_begin(struct task *t, const struct futex_waitv *v, int n)
{
	struct futex_wait *fw = futex_wait_create(t, n);
	uint32_t now;
	long woken;
	int err = fw ? 0 : -ENOMEM;

	for (int i = 0; i < n && !err; i++) {
		err = futex_key(t, v[i].uaddr, !(v[i].flags & FUTEX_PRIVATE_FLAG), &fw->w[i].key);
		fw->w[i].bitset = FUTEX_BITSET_MATCH_ANY;
	}
	if (err)
		return err;
	for (int i = 0; i < n; i++)
		futex_enqueue(&fw->w[i]);
	for (int i = 0; i < n && !err; i++)
		err = futex_read(t, v[i].uaddr, &now) ?: now == (uint32_t)v[i].val ? 0 : -EAGAIN;
	if (!err)
		return 0;
	woken = first_woken(fw);
	return woken >= 0 ? woken : err;
}

static long waitv_start(struct task *t, const struct sysargs *args, int n)
{
	struct futex_waitv v[FUTEX_WAITERS_MAX];
	clockid_t clock = (clockid_t)args->a[4];
	long ret = 0;

	if (args->a[3] && clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return -EINVAL;
	ret = deadline_set(t, args->a[3], clock);
	if (!ret && copy_in(t, v, args->a[0], n * sizeof(v[0])) < 0)
		ret = -EFAULT;
	for (int i = 0; i < n && !ret; i++)
		ret = waitv_check(&v[i]);
	return ret ?: waitv_begin(t, v, n);
}

long sys_futex_waitv(struct task *t, const struct sysargs *args)
{
	unsigned n = (unsigned)args->a[1];
	long ret, woken;

	if (args->a[2] || n == 0 || n > FUTEX_WAITERS_MAX || !args->a[0])
		return -EINVAL;
	if (!t->call.state) {
		ret = waitv_start(t, args, (int)n);
		if (ret || !t->call.state)
			return ret;
	}
	woken = first_woken(t->call.state);
	if (woken >= 0)
		return woken;
	ret = task_block(t);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	woken = first_woken(t->call.state);
	return woken >= 0 ? woken : ret == -ERESTARTSYS ? -EINTR : ret;
}

// --- robust lists

long sys_set_robust_list(struct task *t, const struct sysargs *args)
{
	if (args->a[1] != sizeof(struct robust_list_head))
		return -EINVAL;
	futex_set_at_end(t, PLATFORM_ROBUST_LIST, args->a[0]);
	return 0;
}

static bool may_see(struct task *t, struct task *other)
{
	const struct cred *mine = t->cred, *its = other->cred;

	return t->tg == other->tg || cred_has_cap(mine, CAP_SYS_PTRACE) || (mine->uid == its->uid && mine->uid == its->suid);
}

long sys_get_robust_list(struct task *t, const struct sysargs *args)
{
	const uint64_t len = sizeof(struct robust_list_head);
	int pid = (int)args->a[0];
	uaddr_t head = futex_at_end(t, PLATFORM_ROBUST_LIST);
	struct task *other;
	int err = 0;

	if (pid) {
		mutex_lock(&kernel()->tasks_mu);
		other = task_find_locked(pid);
		err = !other ? -ESRCH : may_see(t, other) ? 0 : -EPERM;
		if (!err)
			head = futex_at_end(other, PLATFORM_ROBUST_LIST);
		mutex_unlock(&kernel()->tasks_mu);
	}
	if (err)
		return err;
	return copy_out_obj(t, args->a[2], &len) < 0 || copy_out_obj(t, args->a[1], &head) < 0 ? -EFAULT : 0;
}
