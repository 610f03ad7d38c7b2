// User and group IDs of a task: credentials(7), and what changes of them do to its capabilities (capabilities(7), "Effect of user ID
// changes on capabilities").
//
// A task's credentials are its own, never its process's: glibc changes those of the other threads itself. Here is one user
// namespace, in which every ID but -1 is mapped.
#include <linux/securebits.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

enum { UNCHANGED = -1 };

#define CAP(c) (1ull << (c))
// Those that go with the file-system user ID.
#define CAPS_FS \
	(CAP(CAP_CHOWN) | CAP(CAP_MKNOD) | CAP(CAP_DAC_OVERRIDE) | CAP(CAP_DAC_READ_SEARCH) | CAP(CAP_FOWNER) | CAP(CAP_FSETID) | \
	 CAP(CAP_LINUX_IMMUTABLE) | CAP(CAP_MAC_OVERRIDE))

static bool any_is_root(const struct cred *c)
{
	return c->uid == 0 || c->euid == 0 || c->suid == 0;
}

static void fix_caps_for_ids(const struct cred *old, struct cred *c)
{
	if (old->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (any_is_root(old) && !any_is_root(c)) {
		if (!(old->securebits & SECBIT_KEEP_CAPS))
			c->cap_permitted = c->cap_effective = 0;
		c->cap_ambient = 0;
	}
	if (old->euid == 0 && c->euid != 0)
		c->cap_effective = 0;
	if (old->euid != 0 && c->euid == 0)
		c->cap_effective = c->cap_permitted;
}

static void fix_caps_for_fsuid(const struct cred *old, struct cred *c)
{
	if (old->securebits & SECBIT_NO_SETUID_FIXUP)
		return;
	if (old->fsuid == 0 && c->fsuid != 0)
		c->cap_effective &= ~CAPS_FS;
	if (old->fsuid != 0 && c->fsuid == 0)
		c->cap_effective |= c->cap_permitted & CAPS_FS;
}

// The new user IDs, already checked; fsuid follows euid.
static long change_uids(struct task *t, uid_t ruid, uid_t euid, uid_t suid)
{
	struct cred *c = cred_dup(t->cred);

	if (!c)
		return -ENOMEM;
	c->uid = ruid;
	c->euid = c->fsuid = euid;
	c->suid = suid;
	fix_caps_for_ids(t->cred, c);
	cred_install(t, c);
	return 0;
}

static long change_gids(struct task *t, gid_t rgid, gid_t egid, gid_t sgid)
{
	struct cred *c = cred_dup(t->cred);

	if (!c)
		return -ENOMEM;
	c->gid = rgid;
	c->egid = c->fsgid = egid;
	c->sgid = sgid;
	cred_install(t, c);
	return 0;
}

long sys_setuid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	uid_t uid = (uid_t)args->a[0];

	if (uid == (uid_t)UNCHANGED)
		return -EINVAL;
	if (cred_has_cap(c, CAP_SETUID))
		return change_uids(t, uid, uid, uid);
	return uid == c->uid || uid == c->suid ? change_uids(t, c->uid, uid, c->suid) : -EPERM;
}

long sys_setgid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	gid_t gid = (gid_t)args->a[0];

	if (gid == (gid_t)UNCHANGED)
		return -EINVAL;
	if (cred_has_cap(c, CAP_SETGID))
		return change_gids(t, gid, gid, gid);
	return gid == c->gid || gid == c->sgid ? change_gids(t, c->gid, gid, c->sgid) : -EPERM;
}

long sys_setreuid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	uid_t ruid = (uid_t)args->a[0], euid = (uid_t)args->a[1], suid = c->suid;
	bool set_real = ruid != (uid_t)UNCHANGED, set_effective = euid != (uid_t)UNCHANGED, any = cred_has_cap(c, CAP_SETUID);

	if (set_real && ruid != c->uid && ruid != c->euid && !any)
		return -EPERM;
	if (set_effective && euid != c->uid && euid != c->euid && euid != c->suid && !any)
		return -EPERM;
	if (!set_effective)
		euid = c->euid;
	if (set_real || (set_effective && euid != c->uid))
		suid = euid;
	return change_uids(t, set_real ? ruid : c->uid, euid, suid);
}

long sys_setregid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	gid_t rgid = (gid_t)args->a[0], egid = (gid_t)args->a[1], sgid = c->sgid;
	bool set_real = rgid != (gid_t)UNCHANGED, set_effective = egid != (gid_t)UNCHANGED, any = cred_has_cap(c, CAP_SETGID);

	if (set_real && rgid != c->gid && rgid != c->egid && !any)
		return -EPERM;
	if (set_effective && egid != c->gid && egid != c->egid && egid != c->sgid && !any)
		return -EPERM;
	if (!set_effective)
		egid = c->egid;
	if (set_real || (set_effective && egid != c->gid))
		sgid = egid;
	return change_gids(t, set_real ? rgid : c->gid, egid, sgid);
}

static bool is_own_uid(const struct cred *c, uid_t uid)
{
	return uid == (uid_t)UNCHANGED || uid == c->uid || uid == c->euid || uid == c->suid;
}

static bool is_own_gid(const struct cred *c, gid_t gid)
{
	return gid == (gid_t)UNCHANGED || gid == c->gid || gid == c->egid || gid == c->sgid;
}

static uint32_t changed_to(uint32_t new_id, uint32_t old)
{
	return new_id == (uint32_t)UNCHANGED ? old : new_id;
}

long sys_setresuid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	uid_t ruid = (uid_t)args->a[0], euid = (uid_t)args->a[1], suid = (uid_t)args->a[2];

	if (!cred_has_cap(c, CAP_SETUID) && !(is_own_uid(c, ruid) && is_own_uid(c, euid) && is_own_uid(c, suid)))
		return -EPERM;
	return change_uids(t, changed_to(ruid, c->uid), changed_to(euid, c->euid), changed_to(suid, c->suid));
}

long sys_setresgid(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	gid_t rgid = (gid_t)args->a[0], egid = (gid_t)args->a[1], sgid = (gid_t)args->a[2];

	if (!cred_has_cap(c, CAP_SETGID) && !(is_own_gid(c, rgid) && is_own_gid(c, egid) && is_own_gid(c, sgid)))
		return -EPERM;
	return change_gids(t, changed_to(rgid, c->gid), changed_to(egid, c->egid), changed_to(sgid, c->sgid));
}

static long put_three(struct task *t, const struct sysargs *args, uint32_t a, uint32_t b, uint32_t c)
{
	return copy_out_obj(t, args->a[0], &a) ?: copy_out_obj(t, args->a[1], &b) ?: copy_out_obj(t, args->a[2], &c);
}

long sys_getresuid(struct task *t, const struct sysargs *args)
{
	return put_three(t, args, t->cred->uid, t->cred->euid, t->cred->suid);
}

long sys_getresgid(struct task *t, const struct sysargs *args)
{
	return put_three(t, args, t->cred->gid, t->cred->egid, t->cred->sgid);
}

// setfsuid(2) and setfsgid(2) answer the old ID, whether they did anything or not.
long sys_setfsuid(struct task *t, const struct sysargs *args)
{
	uid_t uid = (uid_t)args->a[0], old = t->cred->fsuid;
	struct cred *c;

	if (uid == (uid_t)UNCHANGED || uid == old || (!cred_has_cap(t->cred, CAP_SETUID) && !is_own_uid(t->cred, uid)))
		return old;
	c = cred_dup(t->cred);
	if (!c)
		return old;
	c->fsuid = uid;
	fix_caps_for_fsuid(t->cred, c);
	cred_install(t, c);
	return old;
}

long sys_setfsgid(struct task *t, const struct sysargs *args)
{
	gid_t gid = (gid_t)args->a[0], old = t->cred->fsgid;
	struct cred *c;

	if (gid == (gid_t)UNCHANGED || gid == old || (!cred_has_cap(t->cred, CAP_SETGID) && !is_own_gid(t->cred, gid)))
		return old;
	c = cred_dup(t->cred);
	if (!c)
		return old;
	c->fsgid = gid;
	cred_install(t, c);
	return old;
}

long sys_getuid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->cred->uid;
}

long sys_geteuid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->cred->euid;
}

long sys_getgid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->cred->gid;
}

long sys_getegid(struct task *t, const struct sysargs *args)
{
	task_ids_publish(t);
	return t->cred->egid;
}

long sys_getgroups(struct task *t, const struct sysargs *args)
{
	const struct cred *c = t->cred;
	int size = (int)args->a[0], n = (int)c->ngroups;

	if (size < 0 || (size > 0 && size < n))
		return -EINVAL;
	if (size > 0 && n > 0 && copy_out(t, args->a[1], c->groups, n * sizeof(gid_t)) < 0)
		return -EFAULT;
	return n;
}

long sys_setgroups(struct task *t, const struct sysargs *args)
{
	int n = (int)args->a[0], err = 0;
	gid_t *list = NULL;
	struct cred *c;

	if (!cred_has_cap(t->cred, CAP_SETGID))
		return -EPERM;
	if (n < 0 || n > NGROUPS_LIMIT)
		return -EINVAL;
	c = cred_dup(t->cred);
	if (c && n)
		list = kmem_bytes(n * sizeof(*list));
	if (!c || (n && !list))
		err = -ENOMEM;
	else if (n && copy_in(t, list, args->a[1], n * sizeof(*list)) < 0)
		err = -EFAULT;
	for (int i = 0; !err && i < n; i++)
		if (list[i] == (gid_t)UNCHANGED)
			err = -EINVAL;
	if (!err)
		err = cred_set_groups(c, list, n);
	kmem_bytes_free(list);
	if (err) {
		cred_put(c);
		return err;
	}
	cred_install(t, c);
	return 0;
}
