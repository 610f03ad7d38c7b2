// The rule of ptrace's access mode checks, without security modules.
#include "sentry/kernel/ptrace_access.h"

#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"

bool ptrace_may_access_locked(const struct cred *c, const struct task *other, bool fs_creds)
{
	const struct cred *o = other->cred;
	uid_t uid = fs_creds ? c->fsuid : c->uid;
	gid_t gid = fs_creds ? c->fsgid : c->gid;

	if (cred_has_cap(c, CAP_SYS_PTRACE))
		return true;
	return o && other->tg->dumpable && uid == o->uid && uid == o->euid && uid == o->suid && gid == o->gid && gid == o->egid &&
	       gid == o->sgid && (o->cap_permitted & ~c->cap_permitted) == 0;
}
