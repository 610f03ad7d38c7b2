// Calls that never leave the stub: those whose answer is a constant of the task, which the sentry keeps in the slot, and sched_yield.
//
// Futexes aren't among them. A waiter in the stub would be one that the sentry doesn't know: it couldn't requeue it, wake it for a robust
// list or the end of a thread, or count it in FUTEX_WAKE's answer, and a word may have waiters of both kinds.
#include "platform/systrap/stub/stub.h"

#include <stdbool.h>
#include <sys/syscall.h>

static uint64_t constant(const volatile struct slot_ids *ids, uint64_t nr)
{
	switch (nr) {
	case SYS_getpid:
		return ids->tgid;
	case SYS_gettid:
		return ids->tid;
	case SYS_getppid:
		return ids->ppid;
	case SYS_getuid:
		return ids->uid;
	case SYS_geteuid:
		return ids->euid;
	case SYS_getgid:
		return ids->gid;
	default:
		return ids->egid;
	}
}

bool own_call(struct slot *s)
{
	if (s->nr == SYS_sched_yield) {
		if (!s->ids.valid)
			return false;
		stub_call1(SYS_sched_yield, 0);
		s->regs.rax = 0;
		return true;
	}
	if (s->nr != SYS_getpid && (s->nr < SYS_getuid || s->nr > SYS_getppid) && s->nr != SYS_gettid)
		return false;
	if (s->nr == SYS_syslog || (s->nr >= SYS_setuid && s->nr <= SYS_setgid) || s->nr == SYS_setpgid || !s->ids.valid)
		return false;
	s->regs.rax = constant(&s->ids, s->nr);
	return true;
}
