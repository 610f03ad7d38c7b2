// The stub's signal handler: calls that aren't patched, faults and interruptions of the application, and faults of the stub's own.
#include "platform/systrap/stub/stub.h"

#include <linux/audit.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <ucontext.h>

#pragma GCC visibility push(hidden) // addressed directly: there is no table to look them up in
extern const char stub_text_end[], stub_window_start[], stub_window_end[], stub_window2_start[], stub_window2_end[];
extern const char stub_window3_start[], stub_window3_end[];
extern const char stub_guard_start[], stub_guard_end[], stub_guard_fault[];
extern const char stub_slow_start[], stub_slow_keep[], stub_slow_cmp[], stub_slow_both[], stub_slow_cpuid[], stub_slow_end[];
extern const char stub_probe_keep[], stub_probe_cmp[], stub_probe_both[], stub_probe_cpuid[];
extern const char stub_trampolines[], stub_trampolines_end[];
#pragma GCC visibility pop

enum { TRAP_PROTECTION = 13, FLAG_TF = 0x100 };

static bool within(uint64_t rip, const char *start, const char *end)
{
	return rip >= (uint64_t)start && rip < (uint64_t)end;
}

void slot_take_regs(struct slot *s, const greg_t *g)
{
	struct stub_regs *r = &s->regs;
	uint64_t gs;

	r->r15 = g[REG_R15];
	r->r14 = g[REG_R14];
	r->r13 = g[REG_R13];
	r->r12 = g[REG_R12];
	r->rbp = g[REG_RBP];
	r->rbx = g[REG_RBX];
	r->r11 = g[REG_R11];
	r->r10 = g[REG_R10];
	r->r9 = g[REG_R9];
	r->r8 = g[REG_R8];
	r->rax = g[REG_RAX];
	r->rcx = g[REG_RCX];
	r->rdx = g[REG_RDX];
	r->rsi = g[REG_RSI];
	r->rdi = g[REG_RDI];
	r->rip = g[REG_RIP];
	r->eflags = g[REG_EFL];
	r->rsp = g[REG_RSP];
	r->orig_rax = (uint64_t)-1;
	asm("rdfsbase %0" : "=r"(r->fs_base));
	asm("rdgsbase %0" : "=r"(gs));
	r->gs_base = gs == (uint64_t)s ? 0 : gs; // an application that leaves gs alone has the slot there
}

static void take_call(struct slot *s, uint64_t nr)
{
	struct stub_regs *r = &s->regs;

	s->call.nr = r->orig_rax = nr;
	slot_take_args(s);
}

// A call by SIGSYS, or from a patched site whose way in ended at a trap. slot_turn() has yet to come.
static void call(struct slot *s, uint64_t nr, struct site *site)
{
	bool wanted = !site && site_wanted(s->regs.rip);

	take_call(s, nr < 0x40000000 ? nr : (uint64_t)-1);
	if (wanted || !own_call(s)) {
		slot_post(s, KIND_SYSCALL | KIND_SIGNAL | (wanted ? KIND_SITE : 0) | prefetch(s));
		if (slot_turn(s) & STATE_FULL)
			return;
	}
	if (site)
		site_finish(site, &s->regs);
}

static void at_site(struct stub_regs *r, const struct site *site)
{
	r->rip = site->after;
	if (site->kind == SITE_CPUID)
		return;
	r->rcx = site->after;
	r->r11 = r->eflags;
}

// The application's registers at a trap of the way in. rcx (of cpuid: rdx) is the site's record, and flags may be in ax, or in the low bits of that.
static struct site *undo_entry(struct stub_regs *r, uint64_t rip)
{
	const bool keep = rip == (uint64_t)stub_slow_keep || rip == (uint64_t)stub_probe_keep;
	const bool cpuid = rip == (uint64_t)stub_slow_cpuid || rip == (uint64_t)stub_probe_cpuid;
	const bool both = rip == (uint64_t)stub_slow_both || rip == (uint64_t)stub_probe_both || cpuid;
	const uint64_t record = cpuid ? r->rdx : r->rcx;
	struct site *site = (struct site *)(both ? record >> 16 : record);
	const uint64_t ax = both ? record : r->rax, ah = ax >> 8 & 0xff, of = ax & 1;

	if ((uint64_t)site < (uint64_t)SITES->site || (uint64_t)site >= (uint64_t)(SITES->site + SITES_MAX))
		stub_call1(SYS_exit_group, 1); // an application that jumped in here
	if (keep || both)
		r->eflags = (r->eflags & ~0x8d5ull) | (ah & 0xd5) | of << 11;
	if (keep)
		r->rax = site->nr;
	at_site(r, site);
	return site;
}

// To an application that steps itself its own instructions are shown, one by one.
static bool gives_way(struct site *site, const greg_t *g)
{
	return g[REG_EFL] & FLAG_TF && site_give_back(site);
}

// What brought us here from the way in of a patched site, or from the middle of one. True if it was that, and it is done.
static bool patched(struct slot *s, int sig, const greg_t *g)
{
	const uint64_t rip = g[REG_RIP];
	const bool probe = rip == (uint64_t)stub_probe_keep || rip == (uint64_t)stub_probe_cmp || rip == (uint64_t)stub_probe_both ||
			   rip == (uint64_t)stub_probe_cpuid;
	const bool illegal = sig == SIGILL, protection = sig == SIGSEGV && g[REG_TRAPNO] == TRAP_PROTECTION;
	struct stub_regs *r = &s->regs;
	struct site *site;
	bool has_nr;

	if (within(rip, stub_slow_start, stub_slow_end) || (probe && (sig == SIGSEGV || sig == SIGBUS))) {
		slot_take_regs(s, g);
		site = undo_entry(r, rip);
	} else if (within(rip, stub_trampolines, stub_trampolines_end) && sig == SIGTRAP) { // an application that steps itself
		site = SITES->site + (rip - (uint64_t)stub_trampolines) / SITE_TRAMPOLINE_BYTES;
		slot_take_regs(s, g);
		if (site_give_back(site)) { // it is to see its own instructions
			r->rip = site->addr;
			return true;
		}
		if (site->kind <= SITE_MOVQ)
			r->rax = site->nr;
		at_site(r, site);
	} else if ((illegal || protection) && (site = site_of_middle(rip))) {
		slot_take_regs(s, g);
		return gives_way(site, g) || site_arrived(site, r, illegal);
	} else if (illegal && (site = site_of_illegal(rip, &has_nr))) {
		slot_take_regs(s, g);
		if (gives_way(site, g))
			return true;
		if (has_nr)
			r->rax = site->nr;
		at_site(r, site);
	} else if (protection && (site = site_of_compare(rip))) {
		slot_take_regs(s, g);
		if (!gives_way(site, g))
			site_finish(site, r);
		return true;
	} else if ((illegal || protection) && site_is_back(rip)) {
		slot_take_regs(s, g);
		return true;
	} else {
		return false;
	}
	if (site->kind == SITE_LEA)
		site_lea(site, r);
	if (site->kind == SITE_CPUID)
		site_cpuid(site, r);
	else
		call(s, r->rax, site);
	return true;
}

static void post_fault(struct slot *s, int sig, const siginfo_t *info, const greg_t *g)
{
	s->fault.signo = sig;
	s->fault.code = info->si_code;
	s->fault.addr = (uint64_t)info->si_addr;
	s->fault.trapno = g[REG_TRAPNO];
	s->fault.error_code = g[REG_ERR];
	s->fault.cr2 = g[REG_CR2];
	s->regs.orig_rax = (uint64_t)-1;
	slot_post(s, KIND_FAULT);
}

void stub_signal(int sig, siginfo_t *info, ucontext_t *uc);
void stub_signal(int sig, siginfo_t *info, ucontext_t *uc)
{
	struct slot *s = (struct slot *)((uint64_t)__builtin_frame_address(0) & ~(uint64_t)(SLOT_BYTES - 1));
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t rip = g[REG_RIP];
	bool in_window = within(rip, stub_window_start, stub_window_end) || within(rip, stub_window2_start, stub_window2_end) ||
			 within(rip, stub_window3_start, stub_window3_end);

	asm volatile("pushfq; andl $~0x40400, (%%rsp); popfq" ::: "memory", "cc"); // the application's AC is no business of ours
	if (sig != STUB_SIGNAL_INTERRUPT && info->si_code <= 0)
		return; // sent, not raised
	// On a system call's way the extended state is live in the registers; make it so here.
	stub_xrstor(uc->uc_mcontext.fpregs, PARAM->xfeatures); // no more: the processor looks where the rest would be, too
	if (sig != SIGSYS && sig != STUB_SIGNAL_INTERRUPT && !in_window && patched(s, sig, g))
		stub_resume_full(s);
	if (within(rip, (const char *)STUB_TEXT, stub_text_end) && !in_window) {
		if (sig == STUB_SIGNAL_INTERRUPT)
			return; // the sentry sees what we are about; the way out looks at slot->interrupt
		if (within(rip, stub_guard_start, stub_guard_end) && (sig == SIGSEGV || sig == SIGBUS)) {
			g[REG_RIP] = (greg_t)stub_guard_fault;
			return;
		}
		stub_call1(SYS_exit_group, 1); // an application that jumped in here
	}
	if (!in_window)
		slot_take_regs(s, g);
	if (sig == STUB_SIGNAL_INTERRUPT)
		stub_interrupted(s);
	if (sig == SIGSYS) {
		call(s, info->si_arch == AUDIT_ARCH_X86_64 ? g[REG_RAX] : (uint64_t)-1, 0);
	} else {
		post_fault(s, sig, info, g);
		slot_turn(s);
	}
	stub_resume_full(s);
}
