// UTS namespaces: the names that uname(2) answers. A task without one of its own sees the sandbox's.
#include "sentry/kernel/uts.h"

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"

KMEM_TYPE(uts_ns_type, uts_ns);

struct utsname *uts_names_locked(struct task *t)
{
	mutex_assert_held(&kernel()->tasks_mu);
	return t && t->uts_ns ? &t->uts_ns->name : &kernel()->uts;
}

struct uts_ns *uts_ns_get(struct uts_ns *ns)
{
	if (ns)
		ref_get(&ns->ref);
	return ns;
}

void uts_ns_put(struct uts_ns *ns)
{
	if (ns && ref_put(&ns->ref))
		kmem_free(&uts_ns_type, ns);
}

int uts_unshare(struct task *t)
{
	struct uts_ns *ns = kmem_alloc(&uts_ns_type), *old;

	if (!ns)
		return -ENOMEM;
	ref_init(&ns->ref);
	mutex_lock(&kernel()->tasks_mu);
	ns->name = *uts_names_locked(t);
	old = t->uts_ns;
	t->uts_ns = ns;
	mutex_unlock(&kernel()->tasks_mu);
	uts_ns_put(old);
	return 0;
}

void uts_join(struct task *t, struct task *other)
{
	struct uts_ns *old;

	mutex_lock(&kernel()->tasks_mu);
	old = t->uts_ns;
	t->uts_ns = uts_ns_get(other->uts_ns);
	mutex_unlock(&kernel()->tasks_mu);
	uts_ns_put(old);
}
