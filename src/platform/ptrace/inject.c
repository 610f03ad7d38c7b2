// Runs something in a stopped tracee: a system call through the stub's own instruction, or one of its snippets.
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "abi/errno.h"
#include "platform/ptrace/ptrace_int.h"

// Goes on until the tracee stops at an int3 of the stub (0), faults (-EFAULT) or is gone (-ESRCH).
static int run_to_trap(struct platform_ctx *ctx, pid_t *out_child)
{
	int status;

	for (;;) {
		if (ptrace(PTRACE_CONT, ctx->tid, 0, 0) < 0 || waitpid(ctx->tid, &status, __WALL) != ctx->tid || !WIFSTOPPED(status)) {
			ctx->dead = true;
			return -ESRCH;
		}
		switch (status >> 16) {
		case PTRACE_EVENT_CLONE:
		case PTRACE_EVENT_FORK:
		case PTRACE_EVENT_VFORK: {
			unsigned long child = 0;

			if (ptrace(PTRACE_GETEVENTMSG, ctx->tid, 0, &child) == 0 && out_child)
				*out_child = (pid_t)child;
			continue;
		}
		case PTRACE_EVENT_STOP:
			ctx->interrupted = true; // an interrupt that came late
			ctx->interrupt_sent = false;
			continue;
		}
		switch (WSTOPSIG(status)) {
		case SIGTRAP:
			return 0;
		case SIGSEGV:
		case SIGBUS:
			return -EFAULT;
		}
	}
}

int inject_code(struct platform_ctx *ctx, struct user_regs_struct *regs)
{
	int ret;

	if (ctx->dead)
		return -ESRCH;
	regs->orig_rax = (uint64_t)-1;
	ctx->regs_dirty = true;
	if (ptrace(PTRACE_SETREGS, ctx->tid, 0, regs) < 0) {
		ctx->dead = true;
		return -ESRCH;
	}
	ret = run_to_trap(ctx, NULL);
	if (ret == 0 && ptrace(PTRACE_GETREGS, ctx->tid, 0, regs) < 0)
		ret = -ESRCH;
	return ret;
}

long inject_call(struct platform_ctx *ctx, long nr, const uint64_t args[6], pid_t *out_child)
{
	struct user_regs_struct regs = ctx->regs;
	int ret;

	if (ctx->dead)
		return -ESRCH;
	if (!regs.cs && ptrace(PTRACE_GETREGS, ctx->tid, 0, &regs) < 0)
		return -ESRCH;
	regs.rip = STUB_SYSCALL;
	regs.rax = nr;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	regs.eflags = 0x202;
	ctx->regs_dirty = true;
	if (ptrace(PTRACE_SETREGS, ctx->tid, 0, &regs) < 0) {
		ctx->dead = true;
		return -ESRCH;
	}
	ret = run_to_trap(ctx, out_child);
	if (ret < 0)
		return ret;
	if (ptrace(PTRACE_GETREGS, ctx->tid, 0, &regs) < 0) {
		ctx->dead = true;
		return -ESRCH;
	}
	return (long)regs.rax;
}
