// Signal frames as x86-64 Linux lays them out: debuggers, unwinders and the C libraries depend on every field.
#include "sentry/kernel/signal_frame.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/sigframe.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"

enum {
	RED_ZONE = 128,
	EFLAGS_TF = 0x100,
	EFLAGS_DF = 0x400,
	EFLAGS_RF = 0x10000,
	EFLAGS_USER = 0x240dd5, // what sigreturn may set: AC OF DF TF SF ZF AF PF CF and RF
	MINSIGSTKSZ_KERNEL = 2048,
	USER_CS = 0x33,
	USER_SS = 0x2b,
};

#define USER_TOP (1ull << 47)
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define SA_RESTORER_FLAG 0x04000000u

// --- the alternate stack

static bool on_altstack(const stack_t *s, uaddr_t sp)
{
	return !((unsigned)s->ss_flags & (SS_DISABLE | SS_AUTODISARM)) && sp > (uaddr_t)s->ss_sp && sp - (uaddr_t)s->ss_sp <= s->ss_size;
}

static void tell_platform(struct task *t)
{
	if (platform->set_altstack)
		platform->set_altstack(t->ctx, &t->altstack);
}

stack_t sigaltstack_get(struct task *t, uaddr_t sp)
{
	stack_t s = {.ss_sp = t->altstack.ss_sp, .ss_size = t->altstack.ss_size};

	s.ss_flags = s.ss_size == 0 ? SS_DISABLE : (int)((unsigned)t->altstack.ss_flags & SS_AUTODISARM);
	if (s.ss_size && on_altstack(&t->altstack, sp))
		s.ss_flags |= SS_ONSTACK;
	return s;
}

int sigaltstack_set(struct task *t, const stack_t *ss, uaddr_t sp)
{
	unsigned mode = (unsigned)ss->ss_flags & ~SS_AUTODISARM;

	if (t->altstack.ss_size && on_altstack(&t->altstack, sp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode != SS_DISABLE && ss->ss_size < MINSIGSTKSZ_KERNEL)
		return -ENOMEM;
	if (mode == SS_DISABLE)
		t->altstack = (stack_t){.ss_flags = SS_DISABLE};
	else
		t->altstack = (stack_t){.ss_sp = ss->ss_sp, .ss_size = ss->ss_size, .ss_flags = (int)((unsigned)ss->ss_flags & SS_AUTODISARM)};
	tell_platform(t);
	return 0;
}

// --- entering a handler

static void gregs_fill(mcontext_t *mc, const struct user_regs_struct *r, const struct task *t, ksigset_t mask)
{
	greg_t *g = mc->gregs;

	g[REG_R8] = r->r8;
	g[REG_R9] = r->r9;
	g[REG_R10] = r->r10;
	g[REG_R11] = r->r11;
	g[REG_R12] = r->r12;
	g[REG_R13] = r->r13;
	g[REG_R14] = r->r14;
	g[REG_R15] = r->r15;
	g[REG_RDI] = r->rdi;
	g[REG_RSI] = r->rsi;
	g[REG_RBP] = r->rbp;
	g[REG_RBX] = r->rbx;
	g[REG_RDX] = r->rdx;
	g[REG_RAX] = r->rax;
	g[REG_RCX] = r->rcx;
	g[REG_RSP] = r->rsp;
	g[REG_RIP] = r->rip;
	g[REG_EFL] = r->eflags;
	g[REG_CSGSFS] = (greg_t)((r->cs & 0xffff) | (r->ss & 0xffff) << 48);
	g[REG_ERR] = t->fault_error_code;
	g[REG_TRAPNO] = t->fault_trapno;
	g[REG_OLDMASK] = mask;
	g[REG_CR2] = t->fault_cr2;
}

// The extended state at fp, with the marks by which a reader finds its size.
static int push_xstate(struct task *t, uaddr_t fp)
{
	uint32_t size = platform->xstate_size(), magic2 = ABI_FP_MAGIC2;
	struct abi_fp_sw sw = {
		.magic1 = ABI_FP_MAGIC1,
		.extended_size = size + sizeof(magic2),
		.xfeatures = platform->xstate_features(),
		.xstate_size = size,
	};
	uint8_t zero[1] = {0};

	// The sentry's own look at the range: the platform's save is only queued.
	if (copy_out(t, fp, zero, 1) < 0 || copy_out(t, fp + size, &magic2, sizeof(magic2)) < 0)
		return -EFAULT;
	if (platform->save_xstate(t->ctx, fp) < 0)
		return -EFAULT;
	return copy_out(t, fp + ABI_FP_SW_AT, &sw, sizeof(sw));
}

int signal_frame_push(struct task *t, int sig, const siginfo_t *info, const struct ksigaction *ka, ksigset_t mask)
{
	struct abi_rt_sigframe f = {.pretcode = ka->restorer, .info = *info};
	struct user_regs_struct r;
	uaddr_t sp, fp;
	bool nested;

	if (!(ka->flags & SA_RESTORER_FLAG))
		return -EFAULT; // x86-64 has no other way back
	platform->get_regs(t->ctx, &r);
	sp = r.rsp - RED_ZONE;
	nested = t->altstack.ss_size && on_altstack(&t->altstack, r.rsp);
	f.uc.uc_stack = sigaltstack_get(t, r.rsp);
	f.uc.uc_stack.ss_flags &= ~SS_ONSTACK;
	if (ka->flags & SA_ONSTACK && t->altstack.ss_size && !nested)
		sp = (uaddr_t)t->altstack.ss_sp + t->altstack.ss_size;
	fp = (sp - platform->xstate_size() - sizeof(uint32_t)) & ~63ull;
	sp = ((fp - sizeof(f)) & ~15ull) - 8;
	if (nested && !on_altstack(&t->altstack, sp))
		return -EFAULT; // it has run over

	f.uc.uc_flags = ABI_UC_FP_XSTATE | ABI_UC_SIGCONTEXT_SS | ABI_UC_STRICT_RESTORE_SS;
	gregs_fill(&f.uc.uc_mcontext, &r, t, mask);
	f.uc.uc_mcontext.fpregs = (void *)fp;
	f.uc.uc_sigmask = mask;
	if (push_xstate(t, fp) < 0 || copy_out(t, sp, &f, sizeof(f)) < 0)
		return -EFAULT;
	platform->reset_xstate(t->ctx);

	if ((unsigned)t->altstack.ss_flags & SS_AUTODISARM)
		t->altstack = (stack_t){.ss_flags = SS_DISABLE};
	tell_platform(t);
	r.rip = ka->handler;
	r.rsp = sp;
	r.rdi = sig;
	r.rsi = sp + offsetof(struct abi_rt_sigframe, info);
	r.rdx = sp + offsetof(struct abi_rt_sigframe, uc);
	r.rax = 0;
	r.eflags &= ~(unsigned long)(EFLAGS_TF | EFLAGS_DF | EFLAGS_RF);
	platform->set_regs(t->ctx, &r);
	return 0;
}

// --- leaving it

static void gregs_take(struct user_regs_struct *r, const mcontext_t *mc)
{
	const greg_t *g = mc->gregs;

	r->r8 = g[REG_R8];
	r->r9 = g[REG_R9];
	r->r10 = g[REG_R10];
	r->r11 = g[REG_R11];
	r->r12 = g[REG_R12];
	r->r13 = g[REG_R13];
	r->r14 = g[REG_R14];
	r->r15 = g[REG_R15];
	r->rdi = g[REG_RDI];
	r->rsi = g[REG_RSI];
	r->rbp = g[REG_RBP];
	r->rbx = g[REG_RBX];
	r->rdx = g[REG_RDX];
	r->rax = g[REG_RAX];
	r->rcx = g[REG_RCX];
	r->rsp = g[REG_RSP];
	r->rip = g[REG_RIP];
	r->eflags = (r->eflags & ~(unsigned long)EFLAGS_USER) | (g[REG_EFL] & EFLAGS_USER);
	r->orig_rax = (unsigned long)-1;
}

static int pop_xstate(struct task *t, uaddr_t fp)
{
	uint64_t features = 3; // x87 and SSE: all that a bare FXSAVE image has
	struct abi_fp_sw sw;
	uint32_t magic2;

	if (!fp)
		return platform->reset_xstate(t->ctx);
	if (fp % 64 || copy_in_obj(t, &sw, fp + ABI_FP_SW_AT) < 0)
		return -EFAULT;
	if (sw.magic1 == ABI_FP_MAGIC1 && sw.xstate_size == platform->xstate_size() &&
	    copy_in_obj(t, &magic2, fp + sw.xstate_size) == 0 && magic2 == ABI_FP_MAGIC2)
		features = sw.xfeatures & platform->xstate_features();
	return platform->load_xstate(t->ctx, fp, features);
}

// Whether the processor would go on with these segments at privilege level 3, which Linux adds to whatever lies there; 32-bit code isn't run
// here. Only a frame that says so has its stack segment taken as it is.
static bool segments_good(const struct abi_ucontext *uc)
{
	const uint64_t csgsfs = uc->uc_mcontext.gregs[REG_CSGSFS];

	return ((csgsfs & 0xffff) | 3) == USER_CS && (!(uc->uc_flags & ABI_UC_STRICT_RESTORE_SS) || (csgsfs >> 48 | 3) == USER_SS);
}

// As Linux's force_sig for a bad frame. The call answers 0.
static long bad_frame(struct task *t)
{
	siginfo_t info;

	siginfo_kernel(&info, SIGSEGV);
	signal_force(t, SIGSEGV, &info);
	return 0;
}

long signal_frame_pop(struct task *t)
{
	struct user_regs_struct r;
	struct abi_ucontext uc;
	bool good;

	platform->get_regs(t->ctx, &r);
	if (copy_in_obj(t, &uc, r.rsp - sizeof(uint64_t) + offsetof(struct abi_rt_sigframe, uc)) < 0)
		return bad_frame(t);
	signal_set_blocked(t, uc.uc_sigmask);
	gregs_take(&r, &uc.uc_mcontext);
	good = pop_xstate(t, (uaddr_t)uc.uc_mcontext.fpregs) == 0 && segments_good(&uc) && r.rip < USER_TOP;
	platform->set_regs(t->ctx, &r);
	sigaltstack_set(t, &uc.uc_stack, r.rsp); // as Linux: an error here is nobody's
	if (!good)
		bad_frame(t);
	return -ENOREPLY;
}
