// uname, sethostname, setdomainname, personality.
#include <string.h>
#include <sys/personality.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/uts.h"
#include "sentry/syscalls/syscalls.h"

long sys_uname(struct task *t, const struct sysargs *args)
{
	struct utsname u;

	mutex_lock(&kernel()->tasks_mu);
	u = *uts_names_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	if ((t->persona & PER_MASK) == PER_LINUX32)
		strcpy(u.machine, "i686");
	return copy_out_obj(t, args->a[0], &u);
}

static long set_name(struct task *t, const struct sysargs *args, bool domain)
{
	char name[sizeof(((struct utsname *)0)->nodename)] = "";
	int len = (int)args->a[1];
	struct utsname *u;

	if (!cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EPERM;
	if (len < 0 || len > (int)sizeof(name) - 1)
		return -EINVAL;
	if (len && copy_in(t, name, args->a[0], len) < 0)
		return -EFAULT;
	mutex_lock(&kernel()->tasks_mu);
	u = uts_names_locked(t);
	memcpy(domain ? u->domainname : u->nodename, name, sizeof(name));
	mutex_unlock(&kernel()->tasks_mu);
	return 0;
}

long sys_sethostname(struct task *t, const struct sysargs *args)
{
	return set_name(t, args, false);
}

long sys_setdomainname(struct task *t, const struct sysargs *args)
{
	return set_name(t, args, true);
}

// Remembered and inherited. What has an effect: PER_LINUX32 on uname.
long sys_personality(struct task *t, const struct sysargs *args)
{
	uint32_t old = t->persona, persona = (uint32_t)args->a[0];

	if (persona != 0xffffffff)
		t->persona = persona;
	return old;
}
