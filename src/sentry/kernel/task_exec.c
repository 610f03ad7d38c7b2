// What execve changes in a task beside its memory.
#include "sentry/kernel/task_exec.h"

#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_int.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

static bool alone_locked(struct task *t)
{
	struct task *other;

	TAILQ_FOREACH(other, &t->tg->tasks, tg_link)
		if (other != t)
			return false;
	return true;
}

// The leader has ended, but its number stays the group's: t takes it over.
static void take_number_locked(struct task *t)
{
	struct task *old = t->tg->leader;

	if (old == t)
		return;
	task_unhash_locked(old);
	task_unhash_locked(t);
	t->tid = old->tid;
	task_ids_withdraw_locked(t);
	task_hash_locked(t);
	t->tg->leader = t;
	task_put(old);
}

int task_dethread(struct task *t)
{
	struct kernel *k = kernel();
	struct task *other;
	int err;

	mutex_lock(&k->tasks_mu);
	if (alone_locked(t)) {
		take_number_locked(t);
		mutex_unlock(&k->tasks_mu);
		return 0;
	}
	TAILQ_FOREACH(other, &t->tg->tasks, tg_link) {
		if (other == t)
			continue;
		other->exiting = true;
		atomic_store(&other->signal_wake, true);
		task_kick(other);
	}
	mutex_unlock(&k->tasks_mu);
	err = task_wait_on(t, &t->tg->thread_waitq, 0);
	if (err)
		return err;
	mutex_lock(&k->tasks_mu);
	if (alone_locked(t))
		err = -EAGAINNOW;
	mutex_unlock(&k->tasks_mu);
	return err ?: (int)task_block_killable(t);
}

void task_switch_mm(struct task *t, struct mm *mm, struct platform_ctx *ctx)
{
	struct platform_ctx *old = t->ctx;

	fdtable_leave(t);
	mutex_lock(&kernel()->tasks_mu);
	t->utime_ns = task_cpu_ns(t); // the new context counts from zero
	signal_actions_leave_locked(t);
	t->ctx = NULL; // never with a memory that isn't its own: see mm_ctx_gone
	mutex_unlock(&kernel()->tasks_mu);
	platform->set_owner(ctx, t);
	if (t->mm)
		mm_ctx_gone(t->mm, old);
	if (old)
		platform->ctx_destroy(old);
	task_set_mm(t, mm);
	mutex_lock(&kernel()->tasks_mu);
	t->ctx = ctx;
	mutex_unlock(&kernel()->tasks_mu);
	mm_ctx_attach(mm, ctx);
}

void task_exec_commit(struct task *t, struct file *exe, const char *comm)
{
	struct kernel *k = kernel();
	struct file *old_exe;
	struct sighand *own = NULL, *shared = NULL;

	mutex_lock(&k->tasks_mu);
	signal_actions_leave_locked(t);
	mutex_unlock(&k->tasks_mu);
	if (atomic_load(&t->sighand->ref.count) > 1)
		own = sighand_dup(t->sighand);
	mutex_lock(&k->tasks_mu);
	if (own) {
		shared = t->sighand;
		t->sighand = own;
	}
	for (int i = 0; i < NSIG_MAX; i++) {
		struct ksigaction *ka = &t->sighand->action[i];

		*ka = (struct ksigaction){.handler = ka->handler == 1 ? 1 : 0};
	}
	sigaltstack_set(t, &(stack_t){.ss_flags = SS_DISABLE}, 0); // it is on none
	memset(t->comm, 0, sizeof(t->comm));
	memcpy(t->comm, comm, MIN(strlen(comm), sizeof(t->comm) - 1));
	old_exe = t->tg->exe;
	t->tg->exe = file_get(exe);
	t->tg->has_execed = true;
	t->tg->exit_signal = SIGCHLD;
	mutex_unlock(&k->tasks_mu);
	if (shared)
		sighand_put(shared);
	if (old_exe)
		file_put(old_exe);
	posix_timers_exec(t->tg);
	if (t->files) { // a table of its own from here on
		struct fdtable *copy = fdtable_dup(t->files);

		fdtable_leave(t);
		if (copy) {
			fdtable_put(t->files, t);
			t->files = copy;
		}
		fdtable_close_on_exec(t->files, t);
	}
	task_vfork_done(t);
}
