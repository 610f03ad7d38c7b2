// What a process's children learn of its code: the call sites that they often come from by a signal.
//
// A shell's children live for a few calls each, always from the same sites, and what one of them learns of these goes with it. So the sentry
// counts for all processes that came from each other by fork, and when one forks, it patches what its kin came from first: then its children
// have it from the start.
//
// A child could name any place, and the bytes there may look like a call's without being one. So kin are only those who may change each
// other's memory anyway: who changes its credentials (or its program) leaves, and what isn't dumpable isn't taught.
#include "platform/systrap/systrap_int.h"

#include <string.h>

#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/ref.h"

enum { KIN_COUNTS = 64, KIN_SITES = 32, KIN_AFTER = 4, AROUND = 16 };

struct kin {
	struct ref ref;
	struct mutex mu;
	// Guarded by mu:
	struct {
		uint64_t after;
		uint32_t calls;
	} counts[KIN_COUNTS]; // by a hash of the place
	uint64_t sites[KIN_SITES]; // to be patched: what follows them
	uint32_t nsites;
};

KMEM_TYPE(kin_type, kin);

static void kin_put(struct kin *k)
{
	if (k && ref_put(&k->ref))
		kmem_free(&kin_type, k);
}

static void learn_locked(struct kin *k, uint64_t after)
{
	for (uint32_t i = 0; i < k->nsites; i++)
		if (k->sites[i] == after)
			return; // it can't be patched, or wasn't yet by the one who forks
	if (k->nsites < KIN_SITES)
		k->sites[k->nsites++] = after;
}

void kin_saw(struct platform_as *as, uint64_t after)
{
	const uint32_t at = (after ^ after >> 12) % KIN_COUNTS;
	struct kin *k;

	mutex_lock(&as->mu);
	k = as->forked ? as->kin : NULL;
	if (k) {
		mutex_lock(&k->mu);
		if (k->counts[at].after == after) {
			if (++k->counts[at].calls == KIN_AFTER)
				learn_locked(k, after);
		} else if (k->counts[at].calls) {
			k->counts[at].calls--; // another's, until it is rarer
		} else {
			k->counts[at].after = after;
			k->counts[at].calls = 1;
		}
		mutex_unlock(&k->mu);
	}
	mutex_unlock(&as->mu);
}

void kin_teach(struct platform_ctx *ctx)
{
	struct platform_as *as = ctx->as;
	uint64_t sites[KIN_SITES];
	uint32_t n = 0;

	if (!ctx->owner || !kernel_open_to_kin(ctx->owner))
		return;
	mutex_lock(&as->mu);
	if (as->kin) {
		mutex_lock(&as->kin->mu);
		n = as->kin->nsites - as->kin_known;
		memcpy(sites, as->kin->sites + as->kin_known, n * sizeof(*sites));
		as->kin_known += n;
		mutex_unlock(&as->kin->mu);
	}
	mutex_unlock(&as->mu);
	for (uint32_t i = 0; i < n; i++)
		op_patch(ctx, sites[i]);
}

void kin_join(struct platform_as *parent, struct platform_as *child)
{
	mutex_lock(&parent->mu);
	if (!parent->kin && (parent->kin = kmem_alloc(&kin_type))) {
		ref_init(&parent->kin->ref);
		mutex_init(&parent->kin->mu);
	}
	if (parent->kin) {
		ref_get(&parent->kin->ref);
		child->kin = parent->kin;
		child->kin_known = parent->kin_known;
		child->forked = true;
	}
	mutex_unlock(&parent->mu);
}

void kin_leave(struct platform_as *as)
{
	struct kin *k;

	mutex_lock(&as->mu);
	k = as->kin;
	as->kin = NULL;
	as->kin_known = 0;
	as->forked = false;
	mutex_unlock(&as->mu);
	kin_put(k);
}
