// Carries out the operations that came with an answer, in order, until one fails.
#include "platform/systrap/stub/stub.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct fds_message {
	struct msghdr msg;
	struct iovec iov;
	uint64_t byte;
	struct {
		uint64_t len;
		int level, type;
		int fds[2];
	} control;
};

// The n descriptors of the next message. 0 or -errno; what came beside the expected is closed.
static long receive(int fds[2], int n)
{
	struct fds_message m;
	long ret;

	m.iov.iov_base = &m.byte;
	m.iov.iov_len = 1;
	m.msg.msg_name = 0;
	m.msg.msg_namelen = 0;
	m.msg.msg_iov = &m.iov;
	m.msg.msg_iovlen = 1;
	m.msg.msg_control = &m.control;
	m.msg.msg_controllen = sizeof(m.control);
	m.msg.msg_flags = 0;
	ret = stub_call3(SYS_recvmsg, STUB_FD_SOCKET, &m.msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (ret < 0)
		return ret;
	if (m.msg.msg_controllen < 16 + 4 * (unsigned)n || m.control.type != SCM_RIGHTS)
		return -EPROTO;
	fds[0] = m.control.fds[0];
	if (n > 1)
		fds[1] = m.control.fds[1];
	return 0;
}

static long receive_file(uint64_t index)
{
	int fds[2];
	long ret = receive(fds, 1);

	if (ret < 0)
		return ret;
	ret = stub_call2(SYS_dup2, fds[0], STUB_FD_CACHE + index);
	stub_call1(SYS_close, fds[0]);
	return ret;
}

static long fork_process(bool failed)
{
	int fds[2];
	long ret = receive(fds, 2);

	if (ret < 0)
		return ret;
	if (!failed)
		ret = stub_clone_process(fds[0], fds[1]);
	stub_call1(SYS_close, fds[0]);
	stub_call1(SYS_close, fds[1]);
	return ret;
}

long load_xstate(struct slot *s, const void *src, uint64_t features)
{
	enum { XSTATE_BV = 512 / 8, MXCSR = 24 };
	uint8_t *image = (uint8_t *)s + SLOT_SCRATCH;
	uint64_t *words = (uint64_t *)image;

	if (stub_copy(image, src, PARAM->xstate_bytes) < 0)
		return -EFAULT;
	words[XSTATE_BV] &= features & PARAM->xfeatures;
	for (int i = 1; i < 8; i++)
		words[XSTATE_BV + i] = 0;
	*(uint32_t *)(image + MXCSR) &= 0xffff;
	return stub_xrstor(image, PARAM->xfeatures) < 0 ? -EINVAL : 0;
}

static long reset_xstate(void)
{
	static const struct {
		uint16_t fcw, rest[11];
		uint32_t mxcsr;
		uint8_t zero[576 - 28];
	} fresh __attribute__((aligned(64))) = {.fcw = 0x37f, .mxcsr = 0x1f80};

	return stub_xrstor(&fresh, PARAM->xfeatures);
}

static long drop_files(bool mapped)
{
	for (int i = mapped ? STUB_FD_CACHE : STUB_FD_FILES; i < STUB_FD_FILES + STUB_FD_FILES_LEN; i++)
		stub_call1(SYS_close, i);
	return 0;
}

static long run(struct slot *s, const struct slot_op *op)
{
	const uint64_t *a = op->a;

	switch (op->kind) {
	case OP_MAP:
		sites_part(a[0], a[0] + a[1]);
		return stub_call(SYS_mmap, a[0], a[1], a[2], a[3], (int)a[4] < 0 ? -1 : (long)a[4] + STUB_FD_CACHE, a[5]);
	case OP_PATCH:
		site_patch(a[0], a[1], a[2], a[3], a[4]);
		return 0;
	case OP_UNMAP:
		sites_part(a[0], a[0] + a[1]);
		return stub_call2(SYS_munmap, a[0], a[1]);
	case OP_PATCH_ALL:
		if (a[3] <= SLOT_DATA_BYTES && a[4] <= (SLOT_DATA_BYTES - a[3]) / 4)
			sites_patch(a[0], a[1], a[2], (const uint32_t *)((const char *)s + SLOT_DATA + a[3]), a[4]);
		return 0;
	case OP_CLEAR:
		SITES->nstraddling = 0;
		for (int i = 0; i < SITE_PARTS; i++)
			SITES->used[i] = 0;
		stub_call2(SYS_munmap, 0, SITE_TABLE);
		stub_call2(SYS_munmap, SITE_TABLE + SITE_TABLE_BYTES, SITE_FAR - (SITE_TABLE + SITE_TABLE_BYTES));
		return stub_call2(SYS_munmap, SITE_FAR + SITE_FAR_BYTES, STUB_TEXT - (SITE_FAR + SITE_FAR_BYTES));
	case OP_PROTECT:
		sites_restore(a[0], a[0] + a[1], a[2]);
		return stub_call3(SYS_mprotect, a[0], a[1], a[2]);
	case OP_REMAP:
		sites_restore(a[0], a[0] + a[1], -1);
		if (a[3] & MREMAP_FIXED)
			sites_part(a[4], a[4] + a[2]);
		return stub_call(SYS_mremap, a[0], a[1], a[2], a[3], a[4], 0);
	case OP_ADVISE:
		if (a[2] == MADV_DONTNEED || a[2] == MADV_FREE)
			return sites_advise(a[0], a[1], a[2]);
		sites_part(a[0], a[0] + a[1]);
		return stub_call3(SYS_madvise, a[0], a[1], a[2]);
	case OP_BARRIER: // registering again costs nothing
		return stub_call3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ?:
		       stub_call3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	case OP_ADVISED:
		sites_await_held();
		return 0;
	case OP_COPY:
		return stub_copy((void *)a[0], (const char *)s + SLOT_DATA + a[1], a[2]) < 0 ? -EFAULT : 0;
	case OP_SPAWN:
		return stub_clone_thread((struct slot *)(CHAN_BASE + a[0] * SLOT_BYTES));
	case OP_XSAVE:
		return stub_xsave((void *)a[0], PARAM->xfeatures) < 0 ? -EFAULT : 0;
	case OP_XLOAD:
		return load_xstate(s, (const void *)a[0], a[1]);
	case OP_XRESET:
		return reset_xstate();
	case OP_CMPXCHG:
		s->op_result = a[1];
		return stub_cmpxchg((uint32_t *)a[0], &s->op_result, a[2]) < 0 ? -EFAULT : 0;
	case OP_EXIT:
		for (;;)
			stub_call1(SYS_exit, 0);
	}
	return -EINVAL;
}

static void note_failure(struct slot *s, long err, uint32_t tag)
{
	s->op_result = 0; // what was to be moved then wasn't
	s->fail_err = err;
	s->fail_tag = tag;
}

// The sentry looks at the count after it has said that it waits; we look whether it does after we have counted.
static void note_done(struct slot *s)
{
	__atomic_fetch_add(&s->ops_done, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&s->ops_watch, __ATOMIC_RELAXED))
		return;
	s->ops_watch = 0;
	slot_ring();
}

bool op_run(struct slot *s)
{
	const struct slot_op op = {s->op.kind, s->op.tag, {s->op.a[0], s->op.a[1], s->op.a[2], s->op.a[3], s->op.a[4]}};
	const long ret = run(s, &op);
	const bool failed = ret < 0 && ret > -4096;

	if (failed)
		note_failure(s, -ret, op.tag);
	note_done(s);
	return !failed;
}

bool ops_run(struct slot *s)
{
	bool failed = false;

	for (uint32_t i = 0, n = s->nops; i < n && i < SLOT_OPS; i++) {
		const struct slot_op *op = &s->ops[i];
		long ret;

		switch (op->kind) {
		case OP_RECV:
			ret = receive_file(op->a[0]);
			break;
		case OP_CLOSE:
			ret = stub_call1(SYS_close, STUB_FD_CACHE + op->a[0]);
			break;
		case OP_DROP:
			ret = drop_files(op->a[0]);
			break;
		case OP_FORK:
			ret = fork_process(failed);
			break;
		default:
			ret = failed ? 0 : run(s, op);
		}
		if (ret < 0 && ret > -4096 && !failed) {
			failed = true;
			note_failure(s, -ret, op->tag);
		}
	}
	note_done(s);
	return !failed;
}

bool move_run(struct slot *s)
{
	const uint64_t *a = s->args;
	long n = stub_call(a[4] ? SYS_pwrite64 : SYS_pread64, STUB_FD_FILES + a[2], a[0], a[1], a[3], 0, 0);

	if (n == (long)a[1])
		return true;
	s->op_result = n > 0 ? n : 0;
	s->fail_err = n < 0 ? -n : EIO;
	s->fail_tag = PLATFORM_TAG_FILE;
	return false;
}
