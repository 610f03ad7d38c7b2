// The tracee's memory and extended state.
#include "platform/ptrace/memory.h"

#include <cpuid.h>
#include <elf.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/log.h"

void memory_op_failed(struct platform_ctx *ctx, uint32_t op_tag, int err)
{
	if (ctx->op_err)
		return;
	ctx->op_err = err;
	ctx->op_tag = op_tag;
}

// --- copies

int memory_copy_in(struct platform_ctx *ctx, void *dst, uaddr_t src, size_t len)
{
	const struct iovec to = {dst, len}, from = {(void *)src, len};

	return process_vm_readv(ctx->tid, &to, 1, &from, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

long memory_copy_in_str(struct platform_ctx *ctx, char *dst, uaddr_t src, size_t cap)
{
	size_t done = 0;

	while (done < cap) { // page by page: what follows the string may not be mapped
		size_t chunk = MIN(cap - done, PAGE_SIZE - (src + done) % PAGE_SIZE);
		char *nul;

		if (memory_copy_in(ctx, dst + done, src + done, chunk) < 0)
			return -EFAULT;
		nul = memchr(dst + done, 0, chunk);
		if (nul)
			return nul - dst;
		done += chunk;
	}
	return -ENAMETOOLONG;
}

int memory_copy_out(struct platform_ctx *ctx, uaddr_t dst, const void *src, size_t len)
{
	const struct iovec from = {(void *)src, len}, to = {(void *)dst, len};

	return process_vm_writev(ctx->tid, &from, 1, &to, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

void *memory_copy_out_reserve(struct platform_ctx *ctx, uaddr_t dst, size_t len)
{
	return NULL; // there is no memory in common
}

void memory_copy_out_commit(struct platform_ctx *ctx, size_t len)
{
}

const void *memory_peek_in(struct platform_ctx *ctx, uaddr_t src, size_t len)
{
	return NULL;
}

int memory_cmpxchg32(struct platform_ctx *ctx, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual)
{
	struct user_regs_struct regs = ctx->regs;
	int err;

	regs.rip = STUB_CMPXCHG;
	regs.rdi = addr;
	regs.rax = expected;
	regs.rdx = desired;
	err = inject_code(ctx, &regs);
	if (err)
		return -EFAULT;
	*actual = (uint32_t)regs.rax;
	return 0;
}

// --- extended state. A buffer in XSAVE's standard format; the largest that any processor of this kind fills.

enum { XSTATE_MAX = 16384, XSTATE_LEGACY = 576, XSTATE_BV_AT = 512, XSTATE_FP_SSE = 3, XSTATE_SW_AT = 464 };

uint32_t memory_xstate_size(void)
{
	uint32_t a, b, c, d;

	__cpuid_count(0xd, 0, a, b, c, d);
	return MIN(b, (uint32_t)XSTATE_MAX);
}

uint64_t memory_xstate_features(void)
{
	uint32_t lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

int memory_save_xstate(struct platform_ctx *ctx, uaddr_t dst)
{
	uint8_t buf[XSTATE_MAX] __attribute__((aligned(64)));
	struct iovec iov = {buf, sizeof(buf)};

	if (ptrace(PTRACE_GETREGSET, ctx->tid, NT_X86_XSTATE, &iov) < 0)
		return -EFAULT;
	memset(buf + XSTATE_SW_AT, 0, XSTATE_BV_AT - XSTATE_SW_AT);
	buf[XSTATE_BV_AT] |= XSTATE_FP_SSE; // as Linux's frames have it
	return memory_copy_out(ctx, dst, buf, MIN(iov.iov_len, memory_xstate_size()));
}

static int set_xstate(struct platform_ctx *ctx, uint8_t *buf, size_t len)
{
	struct iovec iov = {buf, len};

	return ptrace(PTRACE_SETREGSET, ctx->tid, NT_X86_XSTATE, &iov) < 0 ? -EINVAL : 0;
}

int memory_load_xstate(struct platform_ctx *ctx, uaddr_t src, uint64_t features)
{
	uint8_t buf[XSTATE_MAX] __attribute__((aligned(64))) = {0};
	uint64_t bv;
	int err = memory_copy_in(ctx, buf, src, memory_xstate_size());

	if (err)
		return err;
	memcpy(&bv, buf + XSTATE_BV_AT, sizeof(bv));
	bv &= features & memory_xstate_features();
	memset(buf + XSTATE_SW_AT, 0, XSTATE_LEGACY - XSTATE_SW_AT);
	memcpy(buf + XSTATE_BV_AT, &bv, sizeof(bv));
	return set_xstate(ctx, buf, memory_xstate_size());
}

int memory_reset_xstate(struct platform_ctx *ctx)
{
	uint8_t buf[XSTATE_MAX] __attribute__((aligned(64))) = {0};
	const uint16_t fcw = 0x37f;
	const uint32_t mxcsr = 0x1f80;

	memcpy(buf, &fcw, sizeof(fcw));
	memcpy(buf + 24, &mxcsr, sizeof(mxcsr));
	return set_xstate(ctx, buf, memory_xstate_size());
}

// --- operations on the address space

static int op(struct platform_ctx *ctx, uint32_t op_tag, long nr, const uint64_t args[6])
{
	long ret;

	if (ctx->op_err)
		return 0; // dropped, as the contract says
	ret = inject_call(ctx, nr, args, NULL);
	if (ret < 0 && ret > -4096)
		memory_op_failed(ctx, op_tag, (int)-ret);
	return 0;
}

int memory_map_anon(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool noreserve)
{
	const uint64_t args[6] = {addr, len, prot,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (noreserve ? MAP_NORESERVE : 0), (uint64_t)-1, 0};

	return op(ctx, op_tag, SYS_mmap, args);
}

// What a tracee receives a descriptor with, in its scratch page.
struct scratch {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
};

static int send_fd(int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(stub_socket[0], &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

// Whatever a tracee failed to receive must not reach the next one.
static void take_back(void)
{
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	while (recvmsg(stub_socket[1], &msg, MSG_DONTWAIT) > 0) // without room for descriptors: the host drops them
		log_warning("ptrace: a stub did not take its descriptor");
}

// The number under which the tracee has file now, or -errno.
static int pass_fd(struct platform_ctx *ctx, int fd)
{
	const uaddr_t at = STUB_SCRATCH;
	struct scratch s = {0};
	uint64_t args[6] = {STUB_SOCKET, at + offsetof(struct scratch, msg), MSG_CMSG_CLOEXEC | MSG_DONTWAIT};
	struct cmsghdr c;
	long ret;
	int err, got;

	s.msg.msg_iov = (void *)(at + offsetof(struct scratch, iov));
	s.msg.msg_iovlen = 1;
	s.msg.msg_control = (void *)(at + offsetof(struct scratch, control));
	s.msg.msg_controllen = sizeof(s.control);
	s.iov.iov_base = (void *)(at + offsetof(struct scratch, byte));
	s.iov.iov_len = 1;
	err = memory_copy_out(ctx, at, &s, sizeof(s)) ?: send_fd(fd);
	if (err)
		return err;
	ret = inject_call(ctx, SYS_recvmsg, args, NULL);
	take_back();
	if (ret != 1)
		return ret < 0 ? (int)ret : -EPROTO;
	if (memory_copy_in(ctx, &s, at, sizeof(s)) < 0)
		return -EFAULT;
	memcpy(&c, s.control, sizeof(c));
	memcpy(&got, s.control + CMSG_LEN(0), sizeof(got));
	return c.cmsg_type == SCM_RIGHTS ? got : -EPROTO;
}

int memory_map_file(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool shared,
		    struct hostfd *file, uint64_t offset)
{
	uint64_t args[6] = {addr, len, prot, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, 0, offset}, close_args[6] = {0};
	int fd;

	if (ctx->op_err)
		return 0;
	fd = pass_fd(ctx, file->fd);
	if (fd < 0) {
		memory_op_failed(ctx, op_tag, -fd);
		return 0;
	}
	args[4] = close_args[0] = fd;
	op(ctx, op_tag, SYS_mmap, args);
	inject_call(ctx, SYS_close, close_args, NULL);
	return 0;
}

int memory_unmap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len)
{
	const uint64_t args[6] = {addr, len};

	return op(ctx, op_tag, SYS_munmap, args);
}

int memory_protect(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot)
{
	const uint64_t args[6] = {addr, len, prot};

	return op(ctx, op_tag, SYS_mprotect, args);
}

int memory_remap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len,
		 int flags)
{
	uint64_t args[6] = {addr, len, new_len, 0, new_addr};

	if (new_addr != addr)
		args[3] = MREMAP_MAYMOVE | MREMAP_FIXED | flags;
	return op(ctx, op_tag, SYS_mremap, args);
}

int memory_advise(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int advice)
{
	const uint64_t args[6] = {addr, len, advice};

	return op(ctx, op_tag, SYS_madvise, args);
}

int memory_barrier(struct platform_ctx *ctx, uint32_t op_tag)
{
	const uint64_t registering[6] = {MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED}, args[6] = {MEMBARRIER_CMD_PRIVATE_EXPEDITED};

	return op(ctx, op_tag, SYS_membarrier, registering) ?: op(ctx, op_tag, SYS_membarrier, args);
}

int memory_unmap_all(struct platform_ctx *ctx, uint32_t op_tag)
{
	return memory_unmap(ctx, op_tag, 0, APP_MAX);
}

int memory_flush(struct platform_ctx *ctx)
{
	int err = ctx->op_err;

	ctx->op_err = 0;
	return ctx->dead ? -ESRCH : -err;
}
