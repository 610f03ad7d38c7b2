// The ptrace platform: application code runs under PTRACE_SYSEMU, so that each system call stops before the host sees it.
//
// Slow (two stops and two process switches a call) but simple, and it needs nothing inside the tracee but two pages. Everything
// happens on one thread. Address spaces are made by having the template clone itself; forks and threads by having the
// tracee clone; all are the sentry's own children, so their ends are reaped here. What is left out: nothing of the contract.
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/cputime.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/ptrace/events.h"
#include "platform/ptrace/memory.h"
#include "platform/ptrace/ptrace_int.h"

KMEM_TYPE(as_type, platform_as);
KMEM_TYPE(ctx_type, platform_ctx);

// A context for the just made, not yet seen tracee tid, in as.
static int ctx_create(pid_t tid, struct platform_as *as, struct platform_ctx **out)
{
	struct platform_ctx *ctx;
	int status;

	// It was attached by the tracing of its maker and stops before its first instruction.
	if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
		return -EAGAIN;
	ctx = kmem_alloc(&ctx_type);
	if (!ctx)
		return -ENOMEM;
	ctx->tid = tid;
	ctx->as = as;
	ctx->regs_dirty = true;
	as->nctx++;
	events_add(ctx);
	*out = ctx;
	return 0;
}

void ctx_free(struct platform_ctx *ctx)
{
	if (--ctx->as->nctx == 0)
		kmem_free(&as_type, ctx->as);
	events_remove(ctx);
	kmem_free(&ctx_type, ctx);
}

static int as_create(struct platform_ctx *like, struct platform_ctx **out_ctx)
{
	struct platform_ctx template = {.tid = template_pid};
	const uint64_t args[6] = {CLONE_PARENT | SIGCHLD};
	struct platform_as *as = kmem_alloc(&as_type);
	pid_t child = 0;
	long ret;
	int err;

	if (!as)
		return -ENOMEM;
	ret = inject_call(&template, SYS_clone, args, &child);
	if (ret < 0 || !child) {
		kmem_free(&as_type, as);
		return ret < 0 ? (int)ret : -EAGAIN;
	}
	err = ctx_create(child, as, out_ctx);
	if (err) {
		kill(child, SIGKILL);
		kmem_free(&as_type, as);
		return err;
	}
	if (ptrace(PTRACE_GETREGS, child, 0, &(*out_ctx)->regs) < 0)
		return -errno;
	// Registers zero, as the contract says; the selectors stay.
	struct user_regs_struct *r = &(*out_ctx)->regs, fresh = {.cs = r->cs, .ss = r->ss, .eflags = 0x202};

	*r = fresh;
	return 0;
}

// A child by clone(flags) of ctx's tracee. A failure is the op's failure, and still gives a (dead) context to destroy.
static int clone_child(struct platform_ctx *ctx, uint32_t op_tag, uint64_t flags, struct platform_as *as,
		       struct platform_ctx **out_child)
{
	const uint64_t args[6] = {flags};
	struct platform_ctx *child;
	pid_t tid = 0;
	long ret = inject_call(ctx, SYS_clone, args, &tid);

	if (ret >= 0 && tid && ctx_create(tid, as, out_child) == 0) {
		(*out_child)->regs = ctx->regs;
		return 0;
	}
	memory_op_failed(ctx, op_tag, ret < 0 ? (int)-ret : EAGAIN);
	child = kmem_alloc(&ctx_type);
	if (!child)
		return -ENOMEM;
	child->as = as;
	child->dead = true;
	child->regs = ctx->regs;
	as->nctx++;
	*out_child = child;
	return 0;
}

static int fork_ctx(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child)
{
	struct platform_as *as = kmem_alloc(&as_type);

	if (!as)
		return -ENOMEM;
	return clone_child(ctx, op_tag, CLONE_PARENT | SIGCHLD, as, out_child);
}

static int spawn(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child)
{
	ctx->as->spawned = true;
	return clone_child(ctx, op_tag, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, ctx->as,
			   out_child);
}

static void ctx_destroy(struct platform_ctx *ctx)
{
	ctx->owner = NULL;
	if (!ctx->tid || (ctx->dead && !ctx->running)) {
		ctx_free(ctx);
		return;
	}
	ctx->dying = true; // the rest happens when its exit is reaped
	events_unready(ctx);
	if (ctx->as->nctx == 1)
		kill(ctx->tid, SIGKILL);
	else if (ctx->running)
		ptrace(PTRACE_INTERRUPT, ctx->tid, 0, 0);
	else
		events_let_exit(ctx);
}

static void as_kill(struct platform_ctx *ctx)
{
	if (ctx->tid && !ctx->dead)
		syscall(SYS_tgkill, ctx->tid, ctx->tid, SIGKILL) == 0 ? 0 : kill(ctx->tid, SIGKILL);
}

static void set_owner(struct platform_ctx *ctx, void *owner)
{
	ctx->owner = owner;
}

static void *owner(struct platform_ctx *ctx)
{
	return ctx->owner;
}

static void resume(struct platform_ctx *ctx)
{
	if (ctx->op_err) {
		events_ready(ctx, &(struct platform_event){.kind = PLATFORM_OP_FAILED, .failed = {ctx->op_err, ctx->op_tag}});
		ctx->op_err = 0;
		return;
	}
	if (ctx->interrupted && !ctx->dead) {
		ctx->interrupted = false;
		events_ready(ctx, &(struct platform_event){.kind = PLATFORM_INTERRUPTED});
		return;
	}
	if (!ctx->dead && ctx->regs_dirty) {
		ctx->regs.orig_rax = (uint64_t)-1; // the host must not restart anything
		if (ptrace(PTRACE_SETREGS, ctx->tid, 0, &ctx->regs) < 0)
			ctx->dead = errno == ESRCH;
		ctx->regs_dirty = false;
	}
	if (ctx->dead || ptrace(PTRACE_SYSEMU, ctx->tid, 0, 0) < 0) {
		events_ready(ctx, &(struct platform_event){.kind = PLATFORM_DEAD});
		return;
	}
	ctx->running = true;
}

static void interrupt(struct platform_ctx *ctx)
{
	if (!ctx->running) {
		ctx->interrupted = true;
	} else if (!ctx->interrupt_sent) {
		ctx->interrupt_sent = true;
		ptrace(PTRACE_INTERRUPT, ctx->tid, 0, 0);
	}
}

static void get_regs(struct platform_ctx *ctx, struct user_regs_struct *out_regs)
{
	*out_regs = ctx->regs;
}

static void set_regs(struct platform_ctx *ctx, const struct user_regs_struct *regs)
{
	struct user_regs_struct r = *regs;

	// Selectors and privileged flags aren't the application's to choose.
	r.cs = ctx->regs.cs;
	r.ss = ctx->regs.ss;
	r.eflags = (r.eflags & 0x240dd5) | 0x202;
	ctx->regs = r;
	ctx->regs_dirty = true;
}

static void set_ret(struct platform_ctx *ctx, uint64_t rax)
{
	ctx->regs.rax = rax;
	ctx->regs_dirty = true;
}

static int init(void)
{
	return template_create();
}

static int start(void)
{
	return events_start();
}

static void fini(void)
{
	kill(template_pid, SIGKILL);
}

static pid_t host_pid(struct platform_ctx *ctx)
{
	return ctx->dead ? 0 : ctx->tid;
}

static uint64_t cpu_ns(struct platform_ctx *ctx)
{
	if (ctx->dead)
		return 0;
	return ctx->as->spawned ? host_thread_cpu_ns(ctx->tid, ctx->tid) : host_process_cpu_ns(ctx->tid);
}

static uaddr_t vdso(void)
{
	return template_vdso;
}

static bool ops_pending(struct platform_ctx *ctx)
{
	(void)ctx;
	return false; // they were carried out when they were given
}

const struct platform_ops ptrace_ops = {
	.name = "ptrace",
	.single_worker = true,
	.init = init,
	.start = start,
	.fini = fini,
	.poll = events_poll,
	.prepare_sleep = events_prepare_sleep,
	.after_sleep = events_after_sleep,
	.wait_fd = events_wait_fd,
	.as_create = as_create,
	.fork = fork_ctx,
	.spawn = spawn,
	.ctx_destroy = ctx_destroy,
	.as_kill = as_kill,
	.set_owner = set_owner,
	.owner = owner,
	.resume = resume,
	.interrupt = interrupt,
	.get_regs = get_regs,
	.set_regs = set_regs,
	.set_ret = set_ret,
	.xstate_size = memory_xstate_size,
	.xstate_features = memory_xstate_features,
	.save_xstate = memory_save_xstate,
	.load_xstate = memory_load_xstate,
	.reset_xstate = memory_reset_xstate,
	.copy_in = memory_copy_in,
	.copy_in_str = memory_copy_in_str,
	.copy_out = memory_copy_out,
	.copy_out_reserve = memory_copy_out_reserve,
	.copy_out_commit = memory_copy_out_commit,
	.peek_in = memory_peek_in,
	.cmpxchg32 = memory_cmpxchg32,
	.map_anon = memory_map_anon,
	.map_file = memory_map_file,
	.unmap = memory_unmap,
	.protect = memory_protect,
	.remap = memory_remap,
	.advise = memory_advise,
	.barrier = memory_barrier,
	.unmap_all = memory_unmap_all,
	.flush = memory_flush,
	.ops_pending = ops_pending,
	.host_pid = host_pid,
	.cpu_ns = cpu_ns,
	.vdso = vdso,
};
