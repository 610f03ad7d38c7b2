// syslog: the kernel's messages, which say that it is Hull's. man 2 syslog.
//
// They are what the kernel said at its start and don't grow. "Read" takes them once, as a log daemon does; "clear" hides them from
// "read all", both for the sandbox as a whole. There is no console whose level could be set.
#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/syscalls/syscalls.h"

enum {
	LOG_CLOSE, LOG_OPEN, LOG_READ, LOG_READ_ALL, LOG_READ_CLEAR, LOG_CLEAR, LOG_CONSOLE_OFF, LOG_CONSOLE_ON, LOG_CONSOLE_LEVEL,
	LOG_SIZE_UNREAD, LOG_SIZE_BUFFER,
	BUFFER_BYTES = 4096,
};

// The last len bytes of what comes after position from.
static long tail(struct task *t, const char *text, size_t size, size_t from, uaddr_t dst, size_t len)
{
	size_t n = MIN(size - MIN(from, size), len);

	return copy_out(t, dst, text + size - n, n) ?: (long)n;
}

static long read_on(struct task *t, const char *text, size_t size, uaddr_t dst, size_t len)
{
	_Atomic size_t *at = &kernel()->dmesg_read;
	size_t from = atomic_load(at), n;

	do {
		if (from >= size)
			return task_block(t); // nothing more will come
		n = MIN(size - from, len);
	} while (!atomic_compare_exchange_weak(at, &from, from + n));
	return copy_out(t, dst, text + from, n) ?: (long)n;
}

long sys_syslog(struct task *t, const struct sysargs *args)
{
	int type = (int)args->a[0], len = (int)args->a[2];
	char text[BUFFER_BYTES];
	size_t size = kernel_dmesg(text, sizeof(text));
	long ret;

	if (type < LOG_CLOSE || type > LOG_SIZE_BUFFER)
		return -EINVAL;
	// As with dmesg_restrict 0: everybody may look, who administers may change.
	if (type != LOG_READ_ALL && type != LOG_SIZE_BUFFER && !cred_has_cap(t->cred, CAP_SYSLOG) && !cred_has_cap(t->cred, CAP_SYS_ADMIN))
		return -EPERM;
	switch (type) {
	case LOG_READ:
	case LOG_READ_ALL:
	case LOG_READ_CLEAR:
		if (!args->a[1] || len < 0)
			return -EINVAL;
		if (len == 0)
			return 0;
		if (type == LOG_READ)
			return read_on(t, text, size, args->a[1], len);
		ret = tail(t, text, size, atomic_load(&kernel()->dmesg_cleared), args->a[1], len);
		if (ret >= 0 && type == LOG_READ_CLEAR)
			atomic_store(&kernel()->dmesg_cleared, size);
		return ret;
	case LOG_CLEAR:
		atomic_store(&kernel()->dmesg_cleared, size);
		return 0;
	case LOG_CONSOLE_LEVEL:
		return len >= 1 && len <= 8 ? 0 : -EINVAL;
	case LOG_SIZE_UNREAD:
		return (long)(size - MIN(atomic_load(&kernel()->dmesg_read), size));
	case LOG_SIZE_BUFFER:
		return BUFFER_BYTES;
	}
	return 0;
}
