// poll, ppoll, select, pselect6. man 2 poll, man 2 select.
//
// All four are one thing: a list of (descriptor, wanted events), looked at, waited on, looked at again. select's bit sets are
// turned into such a list and back.
#include <limits.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { FDS_INLINE = 32 };

enum deadline_kind { WAIT_FOREVER, WAIT_NOT, WAIT_UNTIL };

struct wait_table {
	struct poll_table table;
	struct task *task;
	struct file *file; // the one being looked at
	int err;
};

static void add_wait(struct poll_table *pt, struct waitq *q, uint32_t events)
{
	struct wait_table *w = container_of(pt, struct wait_table, table);
	int err = task_wait_on_file(w->task, q, events, w->file);

	if (err)
		w->err = err;
}

// Fills revents; w NULL: only looks. How many have any.
static int look(struct task *t, struct pollfd *fds, unsigned n, struct wait_table *w)
{
	int ready = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t wanted = (uint16_t)fds[i].events | POLLERR | POLLHUP;
		struct file *f;

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		f = fd_file(t, fds[i].fd);
		if (!f) {
			fds[i].revents = POLLNVAL;
		} else {
			if (w) {
				w->table.events = wanted;
				w->file = f;
			}
			fds[i].revents = (short)(file_poll(f, w && !ready ? &w->table : NULL) & wanted);
			file_put(f);
		}
		ready += fds[i].revents != 0;
	}
	return ready;
}

// The number of ready ones, 0 when the time is over, or what task_block() answers.
static long wait_for(struct task *t, struct pollfd *fds, unsigned n, enum deadline_kind kind)
{
	struct wait_table w = {.table = {.add = add_wait}, .task = t};
	int ready = look(t, fds, n, NULL);
	long ret;

	if (ready || kind == WAIT_NOT)
		return ready;
	ready = look(t, fds, n, &w); // what changed before the links is seen here
	if (ready)
		return ready;
	if (w.err)
		return w.err;
	ret = task_block(t);
	return ret == -ETIMEDOUT ? 0 : ret;
}

// Sets the deadline on the first entry.
static int set_deadline(struct task *t, bool given, int64_t sec, int64_t nsec, enum deadline_kind *out_kind)
{
	int64_t ns;

	*out_kind = WAIT_FOREVER;
	if (!given) {
		task_deadline_in(t, -1);
		return 0;
	}
	if (sec < 0 || nsec < 0 || nsec >= NSEC_PER_SEC)
		return -EINVAL;
	if (__builtin_mul_overflow(sec, NSEC_PER_SEC, &ns) || __builtin_add_overflow(ns, nsec, &ns)) {
		task_deadline_in(t, -1);
		return 0;
	}
	*out_kind = ns ? WAIT_UNTIL : WAIT_NOT;
	if (ns)
		task_deadline_in(t, ns);
	return 0;
}

static int64_t left_ns(struct task *t)
{
	int64_t left = t->call.deadline_ns - ktime_now(CLOCK_MONOTONIC);

	return left > 0 ? left : 0;
}

// A mask for this call only; signal_deliver puts the old one back.
static int mask_for_call(struct task *t, uaddr_t umask, uint64_t size)
{
	ksigset_t mask;

	if (!umask || t->call.entries > 1)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	if (copy_in_obj(t, &mask, umask))
		return -EFAULT;
	signal_mask_during_call(t, mask);
	return 0;
}

// --- poll
// Copies the array in, waits, and copies the answers out.
static long poll_array(struct task *t, uaddr_t ufds, unsigned n, enum deadline_kind kind)
{
	struct pollfd inline_fds[FDS_INLINE], *fds = inline_fds;
	long ret = 0;

	if (n > task_rlimit(t, RLIMIT_NOFILE))
		return -EINVAL;
	if (n > FDS_INLINE) {
		fds = kmem_bytes(n * sizeof(*fds));
		if (!fds)
			return -ENOMEM;
	}
	if (copy_in(t, fds, ufds, n * sizeof(*fds)) < 0)
		ret = -EFAULT;
	if (!ret)
		ret = wait_for(t, fds, n, kind);
	if (ret >= 0 && copy_out(t, ufds, fds, n * sizeof(*fds)) < 0)
		ret = -EFAULT;
	if (fds != inline_fds)
		kmem_bytes_free(fds);
	return ret;
}

long sys_poll(struct task *t, const struct sysargs *args)
{
	int timeout_ms = (int)args->a[2];
	enum deadline_kind kind;
	long ret;

	set_deadline(t, timeout_ms >= 0, timeout_ms / 1000, timeout_ms % 1000 * NSEC_PER_MSEC, &kind);
	ret = poll_array(t, args->a[0], (unsigned)args->a[1], kind);
	if (ret == -ERESTARTSYS) {
		t->restart_nr = SYS_poll;
		memcpy(t->restart_args, args->a, sizeof(t->restart_args));
		t->restart_deadline_ns = t->call.deadline_ns;
		return -ERESTART_RESTARTBLOCK;
	}
	return ret;
}

// What is left of the time goes back to the application, as Linux does it; a bad address is not an error then.
static long give_back_ns(struct task *t, uaddr_t uts, enum deadline_kind kind, long ret)
{
	int64_t left = kind == WAIT_UNTIL ? left_ns(t) : 0;
	struct timespec ts = {left / NSEC_PER_SEC, left % NSEC_PER_SEC};

	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	if (uts && kind != WAIT_FOREVER)
		copy_out_obj(t, uts, &ts);
	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

static int timespec_arg(struct task *t, uaddr_t uts, enum deadline_kind *out_kind)
{
	struct timespec ts = {0};

	if (uts && copy_in_obj(t, &ts, uts))
		return -EFAULT;
	return set_deadline(t, uts != 0, ts.tv_sec, ts.tv_nsec, out_kind);
}

long sys_ppoll(struct task *t, const struct sysargs *args)
{
	enum deadline_kind kind;
	int err = timespec_arg(t, args->a[2], &kind) ?: mask_for_call(t, args->a[3], args->a[4]);

	return err ? err : give_back_ns(t, args->a[2], kind, poll_array(t, args->a[0], (unsigned)args->a[1], kind));
}

// --- select
// Linux's correspondence of sets and events (man 2 select, NOTES).
#define SELECT_IN (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX POLLPRI

enum { SET_WORDS_MAX = 1 << 14, WORD_BITS = 64 };

struct select_sets {
	unsigned n, words;
	uaddr_t user[3];
	uint64_t *bits[3]; // in one block
	struct pollfd *fds; // those with any bit
	unsigned nfds;
};

static void sets_free(struct select_sets *s)
{
	kmem_bytes_free(s->bits[0]);
	kmem_bytes_free(s->fds);
}

static int sets_copy_in(struct task *t, struct select_sets *s)
{
	s->words = (s->n + WORD_BITS - 1) / WORD_BITS;
	s->bits[0] = kmem_bytes(MAX(3 * s->words * sizeof(uint64_t), (size_t)8));
	s->fds = kmem_bytes(MAX(s->n * sizeof(struct pollfd), (size_t)8));
	if (!s->bits[0] || !s->fds)
		return -ENOMEM;
	for (int k = 0; k < 3; k++) {
		s->bits[k] = s->bits[0] + k * s->words;
		if (s->user[k] && copy_in(t, s->bits[k], s->user[k], s->words * sizeof(uint64_t)) < 0)
			return -EFAULT;
	}
	for (unsigned fd = 0; fd < s->n; fd++) {
		uint64_t bit = 1ull << fd % WORD_BITS;
		unsigned w = fd / WORD_BITS;
		int events = (s->bits[0][w] & bit ? SELECT_IN : 0) | (s->bits[1][w] & bit ? SELECT_OUT : 0) |
			     (s->bits[2][w] & bit ? SELECT_EX : 0);
		struct file *f;

		if (!events)
			continue;
		f = fd_file(t, (int)fd);
		if (!f)
			return -EBADF;
		file_put(f);
		s->fds[s->nfds++] = (struct pollfd){.fd = (int)fd, .events = (short)events};
	}
	return 0;
}

// Only the sets that asked for it hear of an event. The number of bits set.
static long sets_copy_out(struct task *t, struct select_sets *s)
{
	static const int shown[3] = {SELECT_IN, SELECT_OUT, SELECT_EX};
	uint64_t *out = kmem_bytes(MAX(s->words * sizeof(uint64_t), (size_t)8));
	long count = 0;

	if (!out)
		return -ENOMEM;
	for (int k = 0; k < 3 && count >= 0; k++) {
		if (!s->user[k])
			continue;
		memset(out, 0, s->words * sizeof(uint64_t));
		for (unsigned i = 0; i < s->nfds; i++) {
			unsigned w = s->fds[i].fd / WORD_BITS;
			uint64_t bit = 1ull << s->fds[i].fd % WORD_BITS;

			if ((s->bits[k][w] & bit) && (s->fds[i].revents & shown[k])) {
				out[w] |= bit;
				count++;
			}
		}
		if (copy_out(t, s->user[k], out, s->words * sizeof(uint64_t)) < 0)
			count = -EFAULT;
	}
	kmem_bytes_free(out);
	return count;
}

static long do_select(struct task *t, const struct sysargs *args, enum deadline_kind kind)
{
	struct select_sets s = {.user = {args->a[1], args->a[2], args->a[3]}};
	int n = (int)args->a[0];
	long ret;

	if (n < 0)
		return -EINVAL;
	s.n = MIN((unsigned)n, (unsigned)MIN(task_rlimit(t, RLIMIT_NOFILE), (uint64_t)SET_WORDS_MAX * WORD_BITS));
	ret = sets_copy_in(t, &s);
	if (!ret)
		ret = wait_for(t, s.fds, s.nfds, kind);
	if (ret >= 0)
		ret = sets_copy_out(t, &s);
	sets_free(&s);
	return ret;
}

long sys_select(struct task *t, const struct sysargs *args)
{
	enum deadline_kind kind;
	struct timeval tv = {0};
	int64_t left;
	long ret;

	if (args->a[4] && copy_in_obj(t, &tv, args->a[4]))
		return -EFAULT;
	// More microseconds than a second's are allowed here.
	if (tv.tv_sec < 0 || tv.tv_usec < 0 || __builtin_add_overflow(tv.tv_sec, tv.tv_usec / 1000000, &tv.tv_sec))
		return -EINVAL;
	ret = set_deadline(t, args->a[4] != 0, tv.tv_sec, tv.tv_usec % 1000000 * NSEC_PER_USEC, &kind);
	if (ret)
		return ret;
	ret = do_select(t, args, kind);
	if (ret == -EBLOCKED || ret == -EAGAINNOW)
		return ret;
	left = kind == WAIT_UNTIL ? left_ns(t) : 0;
	tv = (struct timeval){left / NSEC_PER_SEC, left % NSEC_PER_SEC / NSEC_PER_USEC};
	if (args->a[4] && kind != WAIT_FOREVER)
		copy_out_obj(t, args->a[4], &tv);
	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

long sys_pselect6(struct task *t, const struct sysargs *args)
{
	struct {
		uaddr_t mask;
		uint64_t size;
	} sig = {0};
	enum deadline_kind kind;
	int err;

	if (args->a[5] && copy_in_obj(t, &sig, args->a[5]))
		return -EFAULT;
	err = timespec_arg(t, args->a[4], &kind) ?: mask_for_call(t, sig.mask, sig.size);
	return err ? err : give_back_ns(t, args->a[4], kind, do_select(t, args, kind));
}
