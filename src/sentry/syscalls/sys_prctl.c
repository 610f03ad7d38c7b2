// prctl and arch_prctl: switches of a task, and of its process.
//
// What isn't here answers EINVAL, as a Linux that was built without it: perf, MCE and core scheduling, syscall user dispatch, Yama's
// PR_SET_PTRACER, names of anonymous memory (PR_SET_VMA), CHECKPOINT_RESTORE's PR_SET_MM_MAP.
#include <asm/prctl.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/prctl.h>

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

enum { TIMER_SLACK_DEFAULT_NS = 50000 };

static bool any_set(const uint64_t *a, int from)
{
	for (int i = from; i < 5; i++)
		if (a[i])
			return true;
	return false;
}

static long put_int(struct task *t, uaddr_t at, int v)
{
	return copy_out_obj(t, at, &v);
}

static long set_name(struct task *t, uaddr_t at)
{
	char name[TASK_COMM_LEN] = "";
	long n = copy_in_str(t, name, at, sizeof(name));

	if (n == -EFAULT)
		return n;
	if (n == -ENAMETOOLONG) // cut, as Linux does
		n = sizeof(name) - 1;
	memset(name + n, 0, sizeof(name) - n);
	mutex_lock(&kernel()->tasks_mu);
	memcpy(t->comm, name, sizeof(t->comm));
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

static long set_pdeath_signal(struct task *t, uint64_t sig)
{
	if (sig > NSIG_MAX)
		return -EINVAL;
	mutex_lock(&kernel()->tasks_mu);
	t->pdeath_signal = (int)sig;
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

static long set_group_flag(bool *flag, bool on)
{
	mutex_lock(&kernel()->tasks_mu);
	*flag = on;
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

// --- what belongs to the credentials

static long set_keep_caps(struct task *t, uint64_t on)
{
	struct cred *c;

	if (on > 1)
		return -EINVAL;
	if (t->cred->securebits & SECBIT_KEEP_CAPS_LOCKED)
		return -EPERM;
	c = cred_dup(t->cred);
	if (!c)
		return -ENOMEM;
	c->securebits = on ? c->securebits | SECBIT_KEEP_CAPS : c->securebits & ~(uint32_t)SECBIT_KEEP_CAPS;
	cred_install(t, c);
	return 0;
}

static long set_securebits(struct task *t, uint64_t bits)
{
	uint32_t old = t->cred->securebits, locked = (old & SECURE_ALL_LOCKS) >> 1;
	struct cred *c;

	if (bits & ~(uint64_t)(SECURE_ALL_BITS | SECURE_ALL_LOCKS) || locked & (old ^ bits) || old & SECURE_ALL_LOCKS & ~bits ||
	    !cred_has_cap(t->cred, CAP_SETPCAP))
		return -EPERM;
	c = cred_dup(t->cred);
	if (!c)
		return -ENOMEM;
	c->securebits = (uint32_t)bits;
	cred_install(t, c);
	return 0;
}

static long read_bounding(struct task *t, uint64_t cap)
{
	return cap > CAP_LAST_CAP ? -EINVAL : (long)(t->cred->cap_bounding >> cap & 1);
}

static long drop_bounding(struct task *t, uint64_t cap)
{
	struct cred *c;

	if (!cred_has_cap(t->cred, CAP_SETPCAP))
		return -EPERM;
	if (cap > CAP_LAST_CAP)
		return -EINVAL;
	c = cred_dup(t->cred);
	if (!c)
		return -ENOMEM;
	c->cap_bounding &= ~(1ull << cap);
	cred_install(t, c);
	return 0;
}

static long change_ambient(struct task *t, const uint64_t *a)
{
	const struct cred *old = t->cred;
	uint64_t ambient = old->cap_ambient, bit;
	struct cred *c;

	if (a[1] == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (any_set(a, 2))
			return -EINVAL;
		ambient = 0;
	} else {
		if (a[3] || a[4] || a[2] > CAP_LAST_CAP)
			return -EINVAL;
		bit = 1ull << a[2];
		switch (a[1]) {
		case PR_CAP_AMBIENT_IS_SET:
			return !!(ambient & bit);
		case PR_CAP_AMBIENT_RAISE:
			if (!(old->cap_permitted & old->cap_inheritable & bit) || old->securebits & SECBIT_NO_CAP_AMBIENT_RAISE)
				return -EPERM;
			ambient |= bit;
			break;
		case PR_CAP_AMBIENT_LOWER:
			ambient &= ~bit;
			break;
		default:
			return -EINVAL;
		}
	}
	c = cred_dup(old);
	if (!c)
		return -ENOMEM;
	c->cap_ambient = ambient;
	cred_install(t, c);
	return 0;
}

static long set_no_new_privs(struct task *t, const uint64_t *a)
{
	struct cred *c;

	if (a[1] != 1 || any_set(a, 2))
		return -EINVAL;
	c = cred_dup(t->cred);
	if (!c)
		return -ENOMEM;
	c->no_new_privs = true;
	cred_install(t, c);
	return 0;
}

static long cred_option(struct task *t, const uint64_t *a)
{
	switch ((int)a[0]) {
	case PR_GET_KEEPCAPS: return !!(t->cred->securebits & SECBIT_KEEP_CAPS);
	case PR_SET_KEEPCAPS: return set_keep_caps(t, a[1]);
	case PR_GET_SECUREBITS: return t->cred->securebits;
	case PR_SET_SECUREBITS: return set_securebits(t, a[1]);
	case PR_CAPBSET_READ: return read_bounding(t, a[1]);
	case PR_CAPBSET_DROP: return drop_bounding(t, a[1]);
	case PR_CAP_AMBIENT: return change_ambient(t, a);
	case PR_SET_NO_NEW_PRIVS: return set_no_new_privs(t, a);
	case PR_GET_NO_NEW_PRIVS: return any_set(a, 1) ? -EINVAL : t->cred->no_new_privs;
	}
	return -EINVAL;
}

// --- the rest

static long set_timer_slack(struct task *t, uint64_t ns)
{
	t->timer_slack_ns = (int64_t)ns <= 0 ? TIMER_SLACK_DEFAULT_NS : ns;
	return 0;
}

static long get_tid_address(struct task *t, uaddr_t at)
{
	const uaddr_t addr = futex_at_end(t, PLATFORM_CLEAR_TID);

	return copy_out_obj(t, at, &addr);
}

long sys_prctl(struct task *t, const struct sysargs *args)
{
	const uint64_t *a = args->a;

	switch ((int)a[0]) {
	case PR_SET_NAME: return set_name(t, a[1]);
	case PR_GET_NAME: return copy_out(t, a[1], t->comm, sizeof(t->comm));
	case PR_SET_PDEATHSIG: return set_pdeath_signal(t, a[1]);
	case PR_GET_PDEATHSIG: return put_int(t, a[1], t->pdeath_signal);
	case PR_GET_DUMPABLE: return t->tg->dumpable;
	case PR_SET_DUMPABLE: return a[1] > 1 ? -EINVAL : set_group_flag(&t->tg->dumpable, a[1]);
	case PR_SET_CHILD_SUBREAPER: return set_group_flag(&t->tg->is_subreaper, a[1]);
	case PR_GET_CHILD_SUBREAPER: return put_int(t, a[1], t->tg->is_subreaper);
	case PR_SET_THP_DISABLE: return any_set(a, 2) ? -EINVAL : set_group_flag(&t->tg->thp_disabled, a[1]);
	case PR_GET_THP_DISABLE: return any_set(a, 1) ? -EINVAL : t->tg->thp_disabled;
	case PR_SET_TIMERSLACK: return set_timer_slack(t, a[1]);
	case PR_GET_TIMERSLACK: return (long)t->timer_slack_ns;
	case PR_GET_TIMING: return PR_TIMING_STATISTICAL;
	case PR_SET_TIMING: return a[1] == PR_TIMING_STATISTICAL ? 0 : -EINVAL;
	case PR_GET_TSC: return put_int(t, a[1], PR_TSC_ENABLE);
	case PR_SET_TSC: return a[1] == PR_TSC_ENABLE ? 0 : -EINVAL;
	case PR_GET_TID_ADDRESS: return get_tid_address(t, a[1]);
	case PR_SET_MM: return cred_has_cap(t->cred, CAP_SYS_RESOURCE) ? -EINVAL : -EPERM;
	case PR_GET_SPECULATION_CTRL:
	case PR_SET_SPECULATION_CTRL: return -ENODEV; // the host's business
	}
	return cred_option(t, a);
}

long sys_arch_prctl(struct task *t, const struct sysargs *args)
{
	struct user_regs_struct r;
	uint64_t addr = args->a[1];

	switch ((int)args->a[0]) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (addr >= APP_MAX)
			return -EPERM;
		platform->get_regs(t->ctx, &r);
		if ((int)args->a[0] == ARCH_SET_FS)
			r.fs_base = addr;
		else
			r.gs_base = addr;
		platform->set_regs(t->ctx, &r);
		return 0;
	case ARCH_GET_FS:
		platform->get_regs(t->ctx, &r);
		return copy_out(t, addr, &r.fs_base, sizeof(r.fs_base));
	case ARCH_GET_GS:
		platform->get_regs(t->ctx, &r);
		return copy_out(t, addr, &r.gs_base, sizeof(r.gs_base));
	case ARCH_GET_CPUID:
		return 1; // the instruction is the host's, and never faults
	case ARCH_SET_CPUID:
		return -ENODEV;
	}
	return -EINVAL;
}
