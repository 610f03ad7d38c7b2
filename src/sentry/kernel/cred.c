// Credentials.
#include "sentry/kernel/cred.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/vfs/remember.h"

KMEM_TYPE(cred_type, cred);

struct cred *cred_create_root(void)
{
	struct cred *c = kmem_alloc(&cred_type);

	if (!c)
		return NULL;
	ref_init(&c->ref);
	c->cap_permitted = c->cap_effective = c->cap_bounding = CAPS_ALL;
	return c;
}

struct cred *cred_dup(const struct cred *c)
{
	struct cred *copy = kmem_alloc(&cred_type);

	if (!copy)
		return NULL;
	static_assert(offsetof(struct cred, ref) == 0, "the rest is copied: others count references to c meanwhile");
	memcpy((char *)copy + sizeof(c->ref), (const char *)c + sizeof(c->ref), sizeof(*c) - sizeof(c->ref));
	ref_init(&copy->ref);
	copy->groups = NULL;
	if (c->ngroups) {
		copy->groups = kmem_bytes(c->ngroups * sizeof(gid_t));
		if (!copy->groups) {
			kmem_free(&cred_type, copy);
			return NULL;
		}
		memcpy(copy->groups, c->groups, c->ngroups * sizeof(gid_t));
	}
	return copy;
}

struct cred *cred_get(struct cred *c)
{
	ref_get(&c->ref);
	return c;
}

void cred_put(struct cred *c)
{
	if (!c || !ref_put(&c->ref))
		return;
	kmem_bytes_free(c->groups);
	kmem_free(&cred_type, c);
}

bool cred_has_cap(const struct cred *c, int cap)
{
	return cap >= 0 && cap <= CAP_LAST_CAP && (c->cap_effective >> cap & 1);
}

static int gid_cmp(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

bool cred_in_group(const struct cred *c, gid_t gid)
{
	return gid == c->fsgid || (c->ngroups && bsearch(&gid, c->groups, c->ngroups, sizeof(gid), gid_cmp));
}

int cred_set_groups(struct cred *c, const gid_t *groups, uint32_t n)
{
	gid_t *copy = n ? kmem_bytes(n * sizeof(*copy)) : NULL;

	if (n && !copy)
		return -ENOMEM;
	if (n) {
		memcpy(copy, groups, n * sizeof(*copy));
		qsort(copy, n, sizeof(*copy), gid_cmp);
	}
	kmem_bytes_free(c->groups);
	c->groups = copy;
	c->ngroups = n;
	return 0;
}

bool cred_same_rights(const struct cred *a, const struct cred *b)
{
	return a->uid == b->uid && a->euid == b->euid && a->fsuid == b->fsuid && a->gid == b->gid && a->egid == b->egid && a->fsgid == b->fsgid &&
	       a->cap_permitted == b->cap_permitted && a->cap_effective == b->cap_effective && a->securebits == b->securebits && a->ngroups == b->ngroups &&
	       (!a->ngroups || memcmp(a->groups, b->groups, a->ngroups * sizeof(*a->groups)) == 0);
}

bool cred_equal(const struct cred *a, const struct cred *b)
{
	return cred_same_rights(a, b) && a->suid == b->suid && a->sgid == b->sgid && a->cap_inheritable == b->cap_inheritable &&
	       a->cap_bounding == b->cap_bounding && a->cap_ambient == b->cap_ambient && a->no_new_privs == b->no_new_privs;
}

void cred_install(struct task *t, struct cred *c)
{
	struct cred *old = t->cred;
	bool changed = old->euid != c->euid || old->egid != c->egid || old->fsuid != c->fsuid || old->fsgid != c->fsgid;

	if (cred_equal(old, c)) { // make's children set their user to the one that they have: nothing that rests on it need go
		cred_put(c);
		return;
	}
	remember_rights(c);
	mutex_lock(&kernel()->tasks_mu);
	if (changed || c->cap_permitted & ~old->cap_permitted) {
		t->tg->dumpable = false;
		t->pdeath_signal = 0;
	}
	t->cred = c;
	remember_all_anew();
	task_ids_withdraw_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	if (platform->files_drop && t->ctx)
		platform->files_drop(t->ctx, true); // who it becomes might not have been given them
	cred_put(old);
}
