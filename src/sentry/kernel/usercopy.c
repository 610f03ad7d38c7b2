// Copies between the sentry and the application of the task being handled.
//
// The bounds are checked here; the sentry's picture of the mappings gives the early EFAULT of copy_out, whose bytes may land
// only when the task resumes; the platform does the rest.
#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/strace/strace.h"

static bool range_bad(uaddr_t addr, size_t len)
{
	uaddr_t end;

	return __builtin_add_overflow(addr, len, &end) || end > APP_MAX;
}

int copy_in(struct task *t, void *dst, uaddr_t src, size_t len)
{
	if (len == 0)
		return 0;
	if (range_bad(src, len))
		return -EFAULT;
	return platform->copy_in(t->ctx, dst, src, len);
}

int copy_out(struct task *t, uaddr_t dst, const void *src, size_t len)
{
	if (len == 0)
		return 0;
	if (range_bad(dst, len) || !mm_range_ok(t->mm, dst, len, PROT_WRITE))
		return -EFAULT;
	if (kernel()->strace)
		strace_note_out(t, dst, src, len);
	return platform->copy_out(t->ctx, dst, src, len);
}

long copy_in_str(struct task *t, char *dst, uaddr_t src, size_t cap)
{
	if (src >= APP_MAX)
		return -EFAULT;
	return platform->copy_in_str(t->ctx, dst, src, cap);
}
