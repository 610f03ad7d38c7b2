// Tables of System V objects, and their permissions. man 7 sysvipc.
#include "sentry/ipc/ipc.h"

#include <limits.h>
#include <string.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

enum { ID_STRIDE = 32768, SEQ_MAX = INT_MAX / ID_STRIDE, ACCESS_BITS = 0777 };

time_t ipc_now(void)
{
	return ktime_now(CLOCK_REALTIME) / NSEC_PER_SEC;
}

struct ipc_object *ipc_by_index(struct ipc_table *tab, int index)
{
	mutex_assert_held(&tab->mu);
	return index >= 0 && index < IPC_SLOTS ? tab->slot[index] : NULL;
}

struct ipc_object *ipc_by_id(struct ipc_table *tab, int id)
{
	struct ipc_object *o = id >= 0 ? ipc_by_index(tab, id % ID_STRIDE) : NULL;

	return o && o->id == id ? o : NULL;
}

int ipc_highest(struct ipc_table *tab)
{
	for (int i = IPC_SLOTS - 1; i > 0; i--)
		if (tab->slot[i])
			return i;
	return 0;
}

bool ipc_allowed(const struct cred *c, const struct ipc_object *o, uint32_t wanted)
{
	uint32_t mode = o->mode;

	if (c->euid == o->uid || c->euid == o->cuid)
		mode >>= 6;
	else if (cred_in_group(c, o->gid) || cred_in_group(c, o->cgid))
		mode >>= 3;
	return (wanted & ~mode & 7) == 0 || cred_has_cap(c, CAP_IPC_OWNER);
}

bool ipc_may_change(const struct cred *c, const struct ipc_object *o)
{
	return c->euid == o->uid || c->euid == o->cuid || cred_has_cap(c, CAP_SYS_ADMIN);
}

static struct ipc_object *by_key(struct ipc_table *tab, int key)
{
	for (int i = 0; i < IPC_SLOTS; i++)
		if (tab->slot[i] && tab->slot[i]->key == key)
			return tab->slot[i];
	return NULL;
}

int ipc_get(struct ipc_table *tab, struct task *t, int key, int flags, struct ipc_object **out_o)
{
	struct ipc_object *o = key == IPC_PRIVATE ? NULL : by_key(tab, key);

	*out_o = o;
	if (!o && key != IPC_PRIVATE && !(flags & IPC_CREAT))
		return -ENOENT;
	if (!o)
		return tab->count == IPC_SLOTS ? -ENOSPC : 0;
	if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		return -EEXIST;
	return ipc_allowed(t->cred, o, (flags >> 6 | flags >> 3 | flags) & 7) ? o->id : -EACCES;
}

int ipc_add(struct ipc_table *tab, struct ipc_object *o, struct task *t, int key, int flags)
{
	int slot = 0;

	while (tab->slot[slot])
		slot++;
	tab->seq = (tab->seq + 1) % SEQ_MAX;
	o->key = key;
	o->id = tab->seq * ID_STRIDE + slot;
	o->uid = o->cuid = t->cred->euid;
	o->gid = o->cgid = t->cred->egid;
	o->mode = flags & ACCESS_BITS;
	o->ctime = ipc_now();
	tab->slot[slot] = o;
	tab->count++;
	return o->id;
}

void ipc_remove(struct ipc_table *tab, struct ipc_object *o)
{
	tab->slot[o->id % ID_STRIDE] = NULL;
	tab->count--;
}

void ipc_perm_get(const struct ipc_object *o, struct ipc_perm *out)
{
	out->__key = o->key;
	out->uid = o->uid;
	out->gid = o->gid;
	out->cuid = o->cuid;
	out->cgid = o->cgid;
	out->mode = o->mode;
	out->__seq = o->id / ID_STRIDE;
}

void ipc_perm_set(struct ipc_object *o, const struct ipc_perm *p)
{
	o->uid = p->uid;
	o->gid = p->gid;
	o->mode = p->mode & ACCESS_BITS;
	o->ctime = ipc_now();
}
