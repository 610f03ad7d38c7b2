// getrandom: the host's randomness, which is always ready.
#include <sys/random.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

enum { CHUNK_BYTES = 4096, TURN_BYTES = 1 << 20 };

#define COUNT_MAX 0x7ffff000ull

long sys_getrandom(struct task *t, const struct sysargs *args)
{
	uint64_t len = MIN(args->a[1], COUNT_MAX), done = t->call.io.done_bytes;
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
		if (done < len && signal_pending(t))
			break;
		if (done < len && done % TURN_BYTES == 0) {
			t->call.io.done_bytes = done;
			return task_give_turn(t);
		}
	}
	return (long)done;
}
