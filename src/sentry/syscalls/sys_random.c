// getrandom: the host's randomness, which is always ready.
#include <sys/random.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

enum { CHUNK_BYTES = 4096 };

#define COUNT_MAX 0x7ffff000ull

long sys_getrandom(struct task *t, const struct sysargs *args)
{
	uint64_t len = MIN(args->a[1], COUNT_MAX), done = 0;
	unsigned flags = (unsigned)args->a[2];
	char bytes[CHUNK_BYTES];

	if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
	    (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	while (done < len) {
		ssize_t n = getrandom(bytes, MIN(len - done, sizeof(bytes)), 0);

		if (n <= 0)
			return done ? (long)done : -EIO;
		if (copy_out(t, args->a[0] + done, bytes, n) < 0)
			return done ? (long)done : -EFAULT;
		done += n;
	}
	return (long)done;
}
