// Late calls (platform.h: set_late): entering them, and the leave to make them.
//
// A process that has one thread, and shares neither its memory nor its descriptors, is alone concerned with them between two of its events: so its platform may
// answer at once, and what the call does to the books here is done when the task comes next, by the same handlers. While mm->told these don't
// ask the platform to do what has been done. The leave ends, with the task stopped, before it could have company (late_end), and begins anew
// when it is alone again, since its mm is marked then (mm->late_stale).
//
// From outside a process is looked at by /proc and calls about its descriptors, and all are at the end of a mount and at the first watch: who does so has
// them come by first (late_await).
#include "sentry/kernel/late.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/container_of.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/mm/mm.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs.h"

enum { AWAIT_LOOKS = 500, AWAIT_NS = 100000 };

// One of these calls may always be made, whatever a hostile process says of it; and none of them waits.
static bool enter(struct task *t, const struct platform_late *call)
{
	struct sysargs args;

	memcpy(args.a, call->args, sizeof(args.a));
	switch (call->nr) {
	case SYS_mmap:
		if ((args.a[3] & MAP_TYPE) != MAP_PRIVATE)
			return false;
		args.a[0] = call->ret;
		args.a[3] |= MAP_FIXED;
		break;
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_brk:
		break;
	case SYS_close:
		if (!fd_closes_late(t, (int)args.a[0]))
			return false;
		break;
	default:
		return false;
	}
	return (uint64_t)sys_table[call->nr].handler(t, &args) == call->ret;
}

bool late_hear(struct task *t)
{
	struct platform_late calls[PLATFORM_LATE_MAX];
	const unsigned n = platform->late_calls(t->ctx, calls);
	bool good = t->mm->users == 1;

	memset(&t->call, 0, sizeof(t->call));
	t->mm->told = true;
	for (unsigned i = 0; i < n && good; i++) {
		good = enter(t, &calls[i]);
		if (!good)
			log_info("%s[%d] says that call %lu, which it wasn't asked about, gave %lx: it is killed", t->comm, t->tid,
				 (unsigned long)calls[i].nr, (unsigned long)calls[i].ret);
	}
	t->mm->told = false;
	if (t->mm->nvmas >= MAPPINGS_PLENTY)
		t->mm->late_stale = true;
	atomic_store(&t->tells, false);
	return good;
}

// A thread that ends has nothing to do with the memory any more when it isn't one of its users.
static bool alone(struct task *t)
{
	return t->mm->users == 1 && fdtable_alone(t->files);
}

static bool unlimited(struct task *t)
{
	return task_rlimit(t, RLIMIT_AS) == RLIM64_INFINITY && task_rlimit(t, RLIMIT_DATA) == RLIM64_INFINITY;
}

void late_lend(struct task *t)
{
	struct platform_room room;
	bool may, has_room;

	if (!t->mm->late_stale || !platform->set_late || kernel()->strace)
		return;
	may = alone(t);
	t->mm->late_stale = !may && t->mm->users == 1; // somebody may be looking at its descriptors only just
	has_room = may && unlimited(t) && mm_room(t->mm, &room);
	platform->set_late(t->ctx, may, has_room ? &room : NULL);
}

void late_end(struct task *t)
{
	if (platform->set_late)
		platform->set_late(t->ctx, false, NULL);
}

void late_recall_locked(struct thread_group *tg)
{
	struct task *t;

	mutex_assert_held(&kernel()->tasks_mu);
	TAILQ_FOREACH(t, &tg->tasks, tg_link) {
		if (t->mm)
			t->mm->late_stale = true;
		if (t->ctx && platform->set_late && atomic_load(&t->in_user))
			platform->interrupt(t->ctx);
	}
}

static bool untold_there_locked(struct task *t)
{
	return t->ctx && atomic_load(&t->in_user) && platform->late_untold(t->ctx);
}

// Whoever comes tells before it isn't in_user any more: that is looked at last.
static bool untold_locked(struct task *t)
{
	return untold_there_locked(t) || atomic_load(&t->tells);
}

static void ask_locked(struct task *t)
{
	if (untold_there_locked(t))
		platform->interrupt(t->ctx);
}

static bool untold(struct task *t, bool ask)
{
	bool untold;

	mutex_lock(&kernel()->tasks_mu);
	if (ask)
		ask_locked(t);
	untold = untold_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	return untold;
}

void late_await(struct task *t)
{
	const struct timespec moment = {.tv_nsec = AWAIT_NS};

	if (!platform->set_late || t == current_task() || !untold(t, true))
		return;
	kernel_away_begin();
	for (int i = 0; i < AWAIT_LOOKS && untold(t, false); i++)
		nanosleep(&moment, NULL);
	kernel_away_end();
}

void late_ask_all(void)
{
	struct thread_group *tg;

	if (!platform->set_late)
		return;
	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link)
		if (!TAILQ_EMPTY(&tg->tasks))
			ask_locked(TAILQ_FIRST(&tg->tasks));
	mutex_unlock(&kernel()->tasks_mu);
}

// The next process after the one with this number, by numbers, that has something to tell; a reference.
static struct task *next_untold(int *inout_tgid)
{
	struct task *found = NULL;
	struct thread_group *tg;

	mutex_lock(&kernel()->tasks_mu);
	TAILQ_FOREACH(tg, &kernel()->groups, all_link) {
		struct task *t = TAILQ_FIRST(&tg->tasks);

		if (tg->tgid > *inout_tgid && t && (!found || tg->tgid < found->tg->tgid) && untold_locked(t))
			found = t;
	}
	if (found) {
		task_get(found);
		*inout_tgid = found->tg->tgid;
	}
	mutex_unlock(&kernel()->tasks_mu);
	return found;
}

void late_await_all(void)
{
	struct task *t;

	for (int tgid = 0; platform->set_late && (t = next_untold(&tgid)); task_put(t))
		late_await(t);
}
