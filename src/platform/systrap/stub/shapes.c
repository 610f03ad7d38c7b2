// What a call's arguments point to is copied along with it, by the call's row in syscalls.def.
//
// Only what fits and can be read is copied; for the rest the sentry looks into the application's memory itself.
#include "platform/systrap/stub/stub.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>

#include "platform/systrap/stub/insn.h"

enum { IN_STR = 1, IN_BUF, IN_OBJ, IN_IOV, IN_IOV_ARRAY, IN_ARR, IN_STRV, STR_MAX = 4096, STRV_MAX = 256, SHAPES = 472, LEFT_MIN = 512 };

#define INT(n) 0
#define UINT(n) 0
#define LONG(n) 0
#define HEX(n) 0
#define OCTAL(n) 0
#define ADDR(n) 0
#define SIZE(n) 0
#define OFF(n) 0
#define FD(n) 0
#define DIRFD(n) 0
#define PID(n) 0
#define UID(n) 0
#define SIG(n) 0
#define FLAGS(n, set) 0
#define NAMED(n, set) 0
#define BY(n, other) 0
#define FDSET(n, count) 0
#define PATH(n) IN_STR
#define STR(n) IN_STR
#define STRV(n) IN_STRV
#define ENVV(n) IN_STRV
#define INBUF(n, len) (IN_BUF | (len) << 8)
#define OUTBUF(n, len) 0
#define INOBJ(n, size) (IN_OBJ | (size) << 8)
#define OUTOBJ(n, size) 0
#define INOUT(n, size) (IN_OBJ | (size) << 8)
#define IOVIN(n, count) (IN_IOV | (count) << 8)
#define IOVOUT(n, count) (IN_IOV_ARRAY | (count) << 8)
#define INARR(n, aux) (IN_ARR | (aux) << 8)
#define SYS(nr, name, supported, count, ...) [nr] = {__VA_ARGS__},

static const uint32_t shapes[SHAPES][6] = {
#include "sentry/syscalls/syscalls.def"
};

struct area {
	struct slot *s;
	uint32_t nsegs, used;
	uint32_t seg0; // KIND_SEG0 with its argument, or 0
	uint32_t asks; // KIND_ASKS, KIND_STAT, KIND_LEAVES
};

// The length that was copied to the area's end, or 0.
static uint64_t fetch(struct area *a, uint64_t addr, uint64_t len, bool string)
{
	const uint64_t room = SLOT_IN_MAX - a->used;
	uint8_t *to = (uint8_t *)a->s + SLOT_DATA + a->used;
	long got;

	if (!addr || !len || (!string && len > room))
		return 0;
	if (!string)
		return stub_copy(to, (const void *)addr, len) < 0 ? 0 : len;
	got = stub_copy_str(to, (const void *)addr, len < room ? len : room);
	return got < 0 ? 0 : got;
}

static void use(struct area *a, uint64_t len)
{
	a->used = (a->used + len + 7) & ~7u;
}

static bool add(struct area *a, uint64_t addr, uint64_t len, bool string)
{
	if (a->nsegs == SLOT_SEGS)
		return false;
	len = fetch(a, addr, len, string);
	if (!len)
		return false;
	a->s->segs[a->nsegs++] = (struct slot_seg){addr, len, a->used};
	use(a, len);
	return true;
}

// A path that is there already: own_name() looked at it.
static uint64_t asked(struct area *a)
{
	uint64_t len = a->s->names.len;

	a->s->names.len = 0;
	a->asks = a->s->names.asks;
	return len;
}

// What argument i points to. The first has a place of its own, so that one more line need not travel.
static void add_arg(struct area *a, unsigned i, uint64_t len, bool string)
{
	if (a->used) {
		add(a, a->s->call.args[i], len, string);
		return;
	}
	len = string && a->s->names.len ? asked(a) : fetch(a, a->s->call.args[i], len, string);
	if (!len)
		return;
	a->seg0 = KIND_SEG0 | i << KIND_SEG0_ARG_SHIFT;
	a->s->call.seg0_len = len;
	use(a, len);
}

static void add_iov(struct area *a, uint64_t addr, uint64_t count, bool contents)
{
	const struct iovec *iov = (const struct iovec *)((uint8_t *)a->s + SLOT_DATA + a->used);

	if (count > 1024 || !add(a, addr, count * sizeof(*iov), false) || !contents)
		return;
	for (uint64_t i = 0; i < count; i++)
		if (iov[i].iov_len && !add(a, (uint64_t)iov[i].iov_base, iov[i].iov_len, false))
			return;
}

// A NULL-terminated array of strings, and as many of them as there is room for.
static void add_strv(struct area *a, uint64_t addr)
{
	const uint64_t *strings = (const uint64_t *)((uint8_t *)a->s + SLOT_DATA + a->used);
	uint32_t n = 0;

	if (!addr || a->used + STRV_MAX * 8 > SLOT_IN_MAX)
		return;
	do {
		if (n == STRV_MAX || stub_copy((void *)&strings[n], (const void *)(addr + n * 8), 8) < 0)
			return;
	} while (strings[n++]);
	if (!add(a, addr, n * 8, false))
		return;
	for (uint32_t i = 0; i + 1 < n; i++)
		if (!add(a, strings[i], STR_MAX, true))
			return;
}

// What rt_sigreturn reads: the frame at the stack pointer, and the marks before and behind the extended state.
static void add_frame(struct area *a)
{
	enum { FRAME_BYTES = 448, MARKS_AT = 464, MARKS_BYTES = 48 };
	const uint8_t *data = (const uint8_t *)a->s + SLOT_DATA;
	uint64_t fp;

	if (!add(a, a->s->regs.rsp - 8, FRAME_BYTES, false))
		return;
	fp = *(const uint64_t *)(data + 8 + offsetof(ucontext_t, uc_mcontext.fpregs));
	if (add(a, fp + MARKS_AT, MARKS_BYTES, false))
		add(a, fp + *(const uint32_t *)(data + a->s->segs[1].offset + 4) - 4, 4, false);
}

// What the header of sendmsg or recvmsg, already in the area, points to.
static void add_message(struct area *a, bool contents)
{
	const struct msghdr *m = (const struct msghdr *)((uint8_t *)a->s + SLOT_DATA);

	add_iov(a, (uint64_t)m->msg_iov, m->msg_iovlen, contents);
	if (!contents)
		return;
	add(a, (uint64_t)m->msg_name, m->msg_namelen, false);
	add(a, (uint64_t)m->msg_control, m->msg_controllen, false);
}

// A wait's timeout, and its word with the count of wakes from before it was read.
static void add_futex(struct area *a)
{
	struct slot *s = a->s;
	const int op = (int)s->call.args[1], cmd = op & FUTEX_CMD_MASK;
	const bool plain = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET;

	s->futex.seen = 0;
	if ((plain || cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2 || cmd == FUTEX_WAIT_REQUEUE_PI) && s->call.args[3] - s->call.args[0] + 16 > 20)
		add(a, s->call.args[3], sizeof(struct timespec), false);
	if (!plain || s->call.args[0] % 4)
		return;
	s->futex.wakes = __atomic_load_n(&chan_futex((void *)CHAN_BASE, s->call.args[0])->wakes, __ATOMIC_ACQUIRE);
	s->futex.seen = stub_copy(&s->futex.word, (const void *)s->call.args[0], 4) == 0;
}

// What the end of a thread or of its memory needs: the head of its robust list, and its CPU time. (At execve that ends where others live in the memory.)
static void add_end(struct area *a)
{
	struct slot *s = a->s;
	struct timespec ts;

	add(a, s->robust_list, sizeof(struct robust_list_head), false);
	s->cpu_ns = 0;
	if (s->call.nr != SYS_exit_group && stub_call2(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &ts) == 0)
		s->cpu_ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

// Whether nothing is left to do in the process, or by the thread, but to end, as the sentry only has to hear of it: no lock is held that others would be told
// of. A process's first thread has to stay until all end (systrap/context.c).
static bool leaves(const struct area *a)
{
	const struct slot *s = a->s;
	const struct robust_list_head *head = (const struct robust_list_head *)((const uint8_t *)s + SLOT_DATA);

	if (s->robust_list && (!a->used || head->list.next != (void *)s->robust_list || head->list_op_pending))
		return false;
	if (s->call.nr == SYS_exit_group)
		return s->alone;
	if (s->call.nr != SYS_exit || s->alone || (uint64_t)s == CHAN_BASE)
		return false;
	if (s->clear_tid && s->clear_tid <= STUB_TEXT - 4)
		stub_store4(s->clear_tid, 0); // as on Linux: a bad address is nobody's error
	return true;
}

// Such a write is likely to be left to us: no need to bring its bytes along, unless they are few.
static bool write_left(const struct slot *s)
{
	if (s->left_fd != (uint32_t)s->call.args[0] + 1)
		return false;
	return s->call.nr == SYS_write || s->call.nr == SYS_pwrite64 || s->call.nr == SYS_writev || s->call.nr == SYS_pwritev || s->call.nr == SYS_pwritev2;
}

uint32_t prefetch(struct slot *s)
{
	const bool left = write_left(s);
	struct area a = {.s = s};
	const uint32_t *shape;

	if (s->call.nr >= SHAPES)
		return 0;
	if (s->call.nr == SYS_rt_sigreturn)
		add_frame(&a);
	if (s->call.nr == SYS_futex)
		add_futex(&a);
	if (s->call.nr == SYS_exit || s->call.nr == SYS_exit_group) {
		add_end(&a);
		s->leaves = leaves(&a);
		a.asks = s->leaves ? KIND_LEAVES : 0;
	}
	shape = shapes[s->call.nr];
	for (unsigned i = 0; i < 6; i++) {
		uint32_t kind = shape[i] & 0xff, aux = shape[i] >> 8;
		uint64_t addr = s->call.args[i], count;

		switch (kind) {
		case IN_STR:
			add_arg(&a, i, STR_MAX, true);
			if (s->call.nr == SYS_execve || s->call.nr == SYS_execveat) // behind the path, which may be in its place already
				add_end(&a);
			break;
		case IN_BUF:
			if (!left || s->call.args[aux] < LEFT_MIN)
				add_arg(&a, i, s->call.args[aux], false);
			break;
		case IN_OBJ:
			add_arg(&a, i, aux, false);
			break;
		case IN_IOV:
		case IN_IOV_ARRAY:
			add_iov(&a, addr, s->call.args[aux], kind == IN_IOV && !left);
			break;
		case IN_STRV:
			add_strv(&a, addr);
			break;
		case IN_ARR:
			count = s->call.args[aux & 0xff];
			if (count <= SLOT_IN_MAX)
				add_arg(&a, i, count * (aux >> 8), false);
		}
	}
	if ((s->call.nr == SYS_sendmsg || s->call.nr == SYS_recvmsg) && a.used)
		add_message(&a, s->call.nr == SYS_sendmsg);
	return a.seg0 | a.asks | a.nsegs << KIND_SEGS_SHIFT;
}
