// Channels that go from one process to the next: what making and unmaking one costs is a fifth of a small process's life.
//
// A process that the application forked through the stub's text has no channel: its maker's doesn't go along (MADV_DONTFORK), which the stub's
// filter lets nobody undo. But it may catch the descriptor of a channel that is on its way, and forge the calls of who gets that memory next. So
// it only goes from a process to one that the same program, or its relatives, may trace anyway: a family is what came from each other by fork (or
// by vfork and execve) and has never changed its credentials since, and who isn't dumpable is given none. An execve that gains anything takes a
// new address space, and is of no family (loader/exec.c).
#include "platform/systrap/systrap_int.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/kmem.h"
#include "lib/ref.h"

enum {
	SPARES = 3,
	KEPT_MAX = 64, // descriptors that all families together may keep
	BYTES_MAX = 256 << 10, // no more memory than that is kept for the next
	STAT_BLOCK = 512,
};

struct family {
	struct ref ref;
	struct mutex mu;
	// Guarded by mu:
	struct channel spare[SPARES]; // without sockets
	uint32_t nspares;
};

KMEM_TYPE(family_type, family);

static _Atomic int nkept;

static void family_put(struct family *f)
{
	if (!f || !ref_put(&f->ref))
		return;
	nkept -= (int)f->nspares;
	while (f->nspares > 0)
		channel_drop(&f->spare[--f->nspares]);
	kmem_free(&family_type, f);
}

bool family_take(struct platform_ctx *relative, struct channel *out)
{
	struct platform_as *as = relative ? relative->as : NULL;
	struct family *f;
	bool taken = false;

	if (!as || !relative->owner || !kernel_open_to_kin(relative->owner))
		return false;
	mutex_lock(&as->mu);
	f = as->family;
	if (f) {
		mutex_lock(&f->mu);
		taken = f->nspares > 0;
		if (taken)
			*out = f->spare[--f->nspares];
		mutex_unlock(&f->mu);
	}
	mutex_unlock(&as->mu);
	if (taken)
		nkept--;
	return taken;
}

// Whoever in as changes his credentials makes it leave: so in a family all have the same. Made anew it is only where there is nobody else.
static struct family *family_of_locked(struct platform_as *as)
{
	if (!as->family && as->nctx == 1 && (as->family = kmem_alloc(&family_type))) {
		ref_init(&as->family->ref);
		mutex_init(&as->family->mu);
	}
	return as->family;
}

void family_found(struct platform_as *as)
{
	mutex_lock(&as->mu);
	family_of_locked(as);
	mutex_unlock(&as->mu);
}

void family_join(struct platform_ctx *relative, struct platform_as *child)
{
	struct family *f = NULL;

	if (relative && relative->owner) { // the template is nobody's
		mutex_lock(&relative->as->mu);
		f = family_of_locked(relative->as);
		if (f)
			ref_get(&f->ref);
		mutex_unlock(&relative->as->mu);
	}
	child->family = f;
	if (f && ++nkept <= KEPT_MAX)
		return;
	nkept -= f != NULL;
	close(child->chan_fd);
	child->chan_fd = -1;
}

void family_leave(struct platform_as *as)
{
	struct family *f;

	mutex_lock(&as->mu);
	f = as->family;
	as->family = NULL;
	if (f && as->chan_fd >= 0) {
		close(as->chan_fd);
		as->chan_fd = -1;
		nkept--;
	}
	mutex_unlock(&as->mu);
	family_put(f);
}

// What the next one's stub would take for the sentry's word: the slot itself is made anew with the context.
static void wipe(uint8_t *chan)
{
	memset(chan + SLOT_FUTEX, 0, sizeof(struct chan_futexes));
	memset(chan + SLOT_LENT, 0, CHAN_LENT * sizeof(struct chan_lent));
}

void family_give(struct platform_as *as)
{
	struct family *f = as->family;
	struct stat st;

	if (!f || as->chan_fd < 0 || as->pid <= 0 || as->nslots > 1 || fstat(as->chan_fd, &st) < 0 || st.st_blocks * STAT_BLOCK > BYTES_MAX)
		return;
	mutex_lock(&f->mu);
	if (f->nspares < SPARES) {
		wipe(as->chan);
		f->spare[f->nspares++] = (struct channel){-1, -1, as->chan_fd, as->chan};
		as->chan_fd = -1;
		as->chan = NULL;
	}
	mutex_unlock(&f->mu);
}
