// capget and capset: a task's capability sets (capabilities(7)).
#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/syscalls/syscalls.h"

// How many 32-bit words each set has in the caller's version. An unknown version is answered with the one that there is.
static int read_header(struct task *t, uaddr_t at, struct __user_cap_header_struct *h, int *out_words)
{
	if (copy_in_obj(t, h, at) < 0)
		return -EFAULT;
	switch (h->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		*out_words = _LINUX_CAPABILITY_U32S_1;
		return 0;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		*out_words = _LINUX_CAPABILITY_U32S_3;
		return 0;
	}
	h->version = _LINUX_CAPABILITY_VERSION_3;
	return copy_out(t, at, &h->version, sizeof(h->version)) ?: -EINVAL;
}

// The credentials of the thread pid, or of t itself: a reference. NULL: there is none.
static struct cred *cred_of_pid(struct task *t, int pid)
{
	struct cred *c = NULL;
	struct task *other;

	mutex_lock(&kernel()->tasks_mu);
	other = pid ? task_find_locked(pid) : t;
	if (other && other->cred)
		c = cred_get(other->cred);
	mutex_unlock(&kernel()->tasks_mu);
	return c;
}

long sys_capget(struct task *t, const struct sysargs *args)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
	struct cred *c;
	int words, err = read_header(t, args->a[0], &h, &words);

	if (!args->a[1])
		return err == -EINVAL ? 0 : err; // asked only for the version
	if (err)
		return err;
	if (h.pid < 0)
		return -EINVAL;
	c = cred_of_pid(t, h.pid);
	if (!c)
		return -ESRCH;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		d[i].effective = (uint32_t)(c->cap_effective >> 32 * i);
		d[i].permitted = (uint32_t)(c->cap_permitted >> 32 * i);
		d[i].inheritable = (uint32_t)(c->cap_inheritable >> 32 * i);
	}
	cred_put(c);
	return copy_out(t, args->a[1], d, words * sizeof(d[0]));
}

long sys_capset(struct task *t, const struct sysargs *args)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = {0};
	const struct cred *old = t->cred;
	uint64_t effective, permitted, inheritable;
	struct cred *c;
	int words, err = read_header(t, args->a[0], &h, &words);

	if (err)
		return err;
	if (h.pid != 0 && h.pid != t->tid)
		return -EPERM;
	if (copy_in(t, d, args->a[1], words * sizeof(d[0])) < 0)
		return -EFAULT;
	effective = ((uint64_t)d[1].effective << 32 | d[0].effective) & CAPS_ALL;
	permitted = ((uint64_t)d[1].permitted << 32 | d[0].permitted) & CAPS_ALL;
	inheritable = ((uint64_t)d[1].inheritable << 32 | d[0].inheritable) & CAPS_ALL;
	if (!cred_has_cap(old, CAP_SETPCAP) && inheritable & ~(old->cap_inheritable | old->cap_permitted))
		return -EPERM;
	if (inheritable & ~(old->cap_inheritable | old->cap_bounding) || permitted & ~old->cap_permitted || effective & ~permitted)
		return -EPERM;
	c = cred_dup(old);
	if (!c)
		return -ENOMEM;
	c->cap_effective = effective;
	c->cap_permitted = permitted;
	c->cap_inheritable = inheritable;
	c->cap_ambient &= permitted & inheritable;
	cred_install(t, c);
	return 0;
}
