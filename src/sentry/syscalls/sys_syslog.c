// syslog(2), by which dmesg reads the kernel's messages: Hull's own.
//
// There is one short text from the start on, so nothing is ever new: a reader who waits for more would wait for ever, and is told
// so with EINVAL instead, like the console controls, which have no console.
#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

enum { ACTION_CLOSE = 0, ACTION_OPEN = 1, ACTION_READ_ALL = 3, ACTION_SIZE_UNREAD = 9, ACTION_SIZE_BUFFER = 10, LOG_BUFFER_BYTES = 16384 };

static long read_all(struct task *t, uaddr_t buf, int len)
{
	char text[4096];
	size_t have, skip;

	if (!buf || len < 0)
		return -EINVAL;
	have = MIN(kernel_dmesg(text, sizeof(text)), sizeof(text));
	skip = have > (size_t)len ? have - len : 0; // the end is what counts
	return copy_out(t, buf, text + skip, have - skip) ?: (long)(have - skip);
}

long sys_syslog(struct task *t, const struct sysargs *args)
{
	switch ((int)args->a[0]) {
	case ACTION_READ_ALL:
		return read_all(t, (uaddr_t)args->a[1], (int)args->a[2]);
	case ACTION_SIZE_BUFFER:
		return LOG_BUFFER_BYTES;
	case ACTION_CLOSE:
	case ACTION_OPEN:
	case ACTION_SIZE_UNREAD:
		return cred_has_cap(t->cred, CAP_SYSLOG) || cred_has_cap(t->cred, CAP_SYS_ADMIN) ? 0 : -EPERM;
	default:
		return -EINVAL;
	}
}
