// A task's round trip: an event comes in, a call is dispatched, and the task goes back, parks, or is gone.
#include "sentry/kernel/task_run.h"

#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/late.h"
#include "sentry/kernel/sched.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/task_wait.h"
#include "sentry/mm/mm.h"
#include "sentry/strace/strace.h"
#include "sentry/syscalls/sys_rw.h"
#include "sentry/syscalls/syscalls.h"

static void call_run(struct task *t);

// Sends the task to the application, by way of what waits for it. ret as in signal_deliver.
static void task_return(struct task *t, long ret, bool in_call)
{
	bool restart = in_call && ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK;

	if (in_call && ret != -ENOREPLY)
		platform->set_ret(t->ctx, (uint64_t)ret);
	// in_user first: whoever sets signal_wake after our look finds it set and interrupts the context.
	signal_mask_goes(t);
	while (restart || atomic_load(&t->signal_wake)) {
		atomic_store(&t->in_user, false);
		if (in_call && t->call.clones) {
			ret = task_clone_settle(t, ret); // before it may stop or end without a child
			platform->set_ret(t->ctx, (uint64_t)ret);
		}
		if (in_call && t->call.left.len && platform->flush(t->ctx) < 0 && rw_settle(t, 0) == 0) {
			call_run(t); // before a handler's frame can hold its answer
			return;
		}
		if (!signal_deliver(t, ret, in_call))
			return;
		restart = in_call = false;
		signal_mask_goes(t);
	}
	late_lend(t);
	platform->resume(t->ctx);
}

static void call_end(struct task *t)
{
	if (t->call.state) {
		if (t->call.state_free)
			t->call.state_free(t, t->call.state);
		else
			kmem_bytes_free(t->call.state);
		t->call.state = NULL;
	}
	t->call.state_free = NULL;
	task_call_files_put(t);
}

static long log_missing(struct task *t, uint64_t nr)
{
	if (nr < SYS_TABLE_LEN && !atomic_exchange(&kernel()->missing_logged[nr], true)) {
		log_info("%s: %s (call %lu) is not built: ENOSYS", t->comm, sys_table[nr].name ?: "?", (unsigned long)nr);
		if (platform->not_built && !kernel()->strace)
			platform->not_built(nr);
	}
	return -ENOSYS;
}

enum { AGAIN_MAX = 64 }; // entries at a stretch

// Enters the handler until it finishes or the task is parked. If what it waits for keeps saying that it is there, others have their turn in
// between.
static void call_run(struct task *t)
{
	const struct sys_entry *e = t->call.nr < SYS_TABLE_LEN ? &sys_table[t->call.nr] : NULL;
	struct sysargs args;
	unsigned again = 0;
	long ret;

	for (;;) {
		// With a full barrier, so that the handler's looks don't come before it. A wake-up that comes later stays for sched_park.
		if (atomic_load_explicit(&t->wake_pending, memory_order_relaxed))
			atomic_store(&t->wake_pending, false);
		t->call.entries++;
		t->call.nlooked = 0;
		memcpy(args.a, t->call.args, sizeof(args.a));
		ret = e && e->handler ? e->handler(t, &args) : log_missing(t, t->call.nr);
		if (ret == -EGONE)
			return; // the handler ended it: t is gone
		if (ret == -EBLOCKED) {
			int64_t deadline = t->call.deadline_ns;

			if (deadline && deadline != KTIME_NEVER) {
				t->block_timer_used = true;
				ktimer_arm(&t->block_timer, deadline);
			}
			if (platform->parks)
				platform->parks(t->ctx);
			if (sched_park(t))
				return; // from here on another worker may have it
		} else if (ret != -EAGAINNOW) {
			break;
		}
		task_waits_clear(t);
		if (++again < AGAIN_MAX && !t->call.gives_turn)
			continue;
		t->call.gives_turn = false;
		if (t->exiting) {
			ret = -EINTR;
			break;
		}
		sched_enqueue(t);
		return;
	}
	task_waits_clear(t);
	call_end(t);
	if (kernel()->strace)
		strace_exit(t, ret);
	task_return(t, ret, true);
}

// What the call left to the application's process wasn't done, or in part only.
static void move_failed(struct task *t, uint64_t moved)
{
	long ret = rw_settle(t, moved);

	if (ret > 0)
		task_return(t, ret, true);
	else
		call_run(t);
}

static void call_begin(struct task *t, uint64_t nr, const uint64_t args[6])
{
	// Everything but nr and args, which follow, is zero after a call unless the call used it.
	memset(&t->call, 0, sizeof(t->call));
	t->call.nr = nr;
	memcpy(t->call.args, args, sizeof(t->call.args));
	if (kernel()->strace)
		strace_enter(t);
	call_run(t);
}

static void fault(struct task *t, const struct platform_event *ev)
{
	siginfo_t info = {.si_signo = ev->fault.signo, .si_code = ev->fault.code};

	info.si_addr = (void *)ev->fault.addr; // for the application, never followed here
	t->fault_trapno = ev->fault.trapno;
	t->fault_error_code = ev->fault.error_code;
	t->fault_cr2 = ev->fault.cr2;
	signal_force(t, ev->fault.signo, &info);
}

void task_event(struct task *t, const struct platform_event *ev)
{
	// Nobody looks any more at the books of who ends as a whole.
	const bool tells = ev->late && !(ev->kind == PLATFORM_SYSCALL && ev->call.nr == SYS_exit_group);

	t->came = true;
	t->tid_cleared = ev->tid_cleared;
	if (tells)
		atomic_store(&t->tells, true); // before in_user is cleared: late_await looks for the one or the other
	signal_mask_came(t);
	if (tells && !late_hear(t)) {
		task_exit_group(t, SIGKILL);
		return;
	}
	switch (ev->kind) {
	case PLATFORM_SYSCALL:
		call_begin(t, ev->call.nr, ev->call.args);
		return;
	case PLATFORM_FAULT:
		t->call.execed = false;
		fault(t, ev);
		break;
	case PLATFORM_OP_FAILED: {
		long ret = -ev->failed.err;

		if (t->call.execed) {
			log_info("%s: the host refused a part of its new memory: %s", t->comm, strerrordesc_np(ev->failed.err));
			task_exit_group(t, SIGKILL);
			return;
		}
		if (ev->failed.op_tag == PLATFORM_TAG_FILE && t->call.left.len) {
			move_failed(t, ev->failed.moved);
			return;
		}
		if (ev->failed.op_tag & TASK_OP_CLONE)
			ret = task_clone_failed(t, ev->failed.err);
		else if (ev->failed.op_tag != PLATFORM_TAG_COPY)
			mm_op_failed(t, ev->failed.op_tag, ev->failed.err);
		task_return(t, ret, true);
		return;
	}
	case PLATFORM_DEAD:
		log_info("%s[%d]: its stub died", t->comm, t->tid);
		task_exit_group(t, SIGKILL);
		return;
	case PLATFORM_INTERRUPTED:
	case PLATFORM_NONE:
		t->call.execed = false;
		break;
	}
	atomic_store(&t->signal_wake, true);
	task_return(t, 0, false);
}

void task_continue(struct task *t)
{
	if (t->in_group_stop) {
		if (signal_deliver(t, 0, false))
			task_return(t, 0, false);
		return;
	}
	task_waits_clear(t);
	call_run(t);
}

void task_start(struct task *t)
{
	t->state = TASK_RUNNING;
	task_return(t, 0, false);
}
