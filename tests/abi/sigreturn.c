/*
 * The way back from a signal handler: registers, extended state, mask and alternate stack are what the frame says by then, whoever wrote it.
 *
 * Each case is run often, so that a return is answered in every way that there may be; with no signal waiting, and with one that the
 * frame's mask lets through.
 */
#include "abi.h"
#include <asm/prctl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

enum { OFTEN = 100, XSTATE_BV = 512, YMM_HIGH = 576, SW_AT = 464, MAGIC1 = 0x46505853, MAGIC2 = 0x46505845 };
enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, DF = 0x400, OF = 0x800, NT = 0x4000, AC = 0x40000, RESULTS = CF | PF | AF | ZF | SF | OF };

static uint64_t bit(int sig)
{
	return 1ull << (sig - 1);
}

static uint64_t mask_now(void)
{
	uint64_t now = ~0ull;

	OK(syscall(SYS_rt_sigprocmask, 0, NULL, &now, 8));
	return now;
}

static void set_mask(uint64_t mask)
{
	OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8));
}

static volatile int count;
static void (*edit)(ucontext_t *);

static void on_signal(int sig, siginfo_t *si, void *uc)
{
	count++;
	if (edit)
		edit(uc);
}

static void handle(int sig, int flags, void (*what)(ucontext_t *))
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	edit = what;
	OK(sigaction(sig, &sa, NULL));
}

static uint64_t *mask_of(ucontext_t *uc)
{
	return (uint64_t *)&uc->uc_sigmask;
}

static char *state_of(ucontext_t *uc)
{
	return (char *)uc->uc_mcontext.fpregs;
}

/* --- the mask */

static uint64_t mask_wanted;

static void edit_mask(ucontext_t *uc)
{
	*mask_of(uc) = mask_wanted;
}

CASE(the_frames_mask)
{
	const uint64_t unblockable = bit(SIGKILL) | bit(SIGSTOP);

	handle(SIGUSR1, 0, NULL);
	for (int i = 0; i < OFTEN; i++) {
		set_mask(bit(34 + i % 30));
		raise(SIGUSR1);
		EQ(mask_now(), bit(34 + i % 30));
	}
	edit = edit_mask;
	for (int i = 0; i < OFTEN; i++) {
		set_mask(0);
		mask_wanted = i % 4 ? bit(34 + i % 30) : ~0ull;
		raise(SIGUSR1);
		EQ(mask_now(), mask_wanted & ~unblockable);
	}
	EQ(count, 2 * OFTEN);
}

/* What comes meanwhile waits for the return, and no longer. */

static volatile int order[8], norder;

static void note(int sig)
{
	order[norder++] = sig;
}

static void note_and_raise(int sig)
{
	note(sig);
	if (norder == 1) {
		raise(SIGUSR1);
		raise(SIGUSR2);
		EQ(norder, 1);
	}
	note(-sig);
}

CASE(what_waits_comes_with_the_return)
{
	struct sigaction sa = { .sa_handler = note_and_raise };

	sa.sa_mask = set_of(SIGUSR1, SIGUSR2);
	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(sigaction(SIGUSR2, &sa, NULL));
	for (int i = 0; i < OFTEN; i++) {
		norder = 0;
		kill(getpid(), SIGUSR1);
		EQ(norder, 6);
		CHECK(order[0] == SIGUSR1 && order[1] == -SIGUSR1);
		CHECK(order[2] == -order[3] && order[4] == -order[5] && order[2] != order[4]);
		EQ(mask_now(), 0);
	}
}

static void let_through(ucontext_t *uc)
{
	*mask_of(uc) &= ~bit(SIGUSR2);
}

CASE(what_waits_comes_by_the_frames_mask)
{
	signal(SIGUSR2, note);
	handle(SIGUSR1, 0, let_through);
	for (int i = 0; i < OFTEN; i++) {
		norder = 0;
		set_mask(bit(SIGUSR2));
		if (i % 2)
			raise(SIGUSR2);
		raise(SIGUSR1);
		EQ(norder, i % 2);
		EQ(mask_now(), 0);
	}
}

/* --- one within another */

static volatile int deep, deepest;

static void deeper(int sig)
{
	if (++deep < 10)
		raise(sig);
	deepest = deep > deepest ? deep : deepest;
	deep--;
}

CASE(one_within_another)
{
	struct sigaction sa = { .sa_handler = deeper, .sa_flags = SA_NODEFER };

	OK(sigaction(SIGUSR1, &sa, NULL));
	sa.sa_mask = set_of(SIGUSR1, 0);
	OK(sigaction(SIGUSR2, &sa, NULL));
	for (int i = 0; i < OFTEN; i++) {
		deepest = 0;
		set_mask(bit(SIGHUP));
		raise(SIGUSR1);
		EQ(deepest, 10);
		EQ(deep, 0);
		EQ(mask_now(), bit(SIGHUP));
	}
}

static sigjmp_buf back;

static void jump(int sig)
{
	if (count++ % 2)
		raise(SIGUSR2);
	siglongjmp(back, sig);
}

CASE(jumps_between_returns)
{
	signal(SIGUSR1, jump);
	handle(SIGUSR2, 0, NULL);
	for (int i = 0; i < OFTEN; i++) {
		set_mask(bit(SIGHUP));
		if (!sigsetjmp(back, 1)) {
			raise(SIGUSR1);
			FAIL("came back");
		}
		EQ(mask_now(), bit(SIGHUP));
		raise(SIGUSR2);
		EQ(mask_now(), bit(SIGHUP));
	}
}

/* --- registers */

struct registers {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, flags;
};

static const int places[] = { REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RDI, REG_RSI, REG_RBP, REG_RBX, REG_RDX, REG_RAX, REG_RCX };
enum { NPLACES = sizeof places / sizeof places[0] };

struct registers arrived;
uint64_t stack_before;
static uint64_t first, flags_wanted;
extern const char arrive[];
void go(long pid, long sig);

/* kill(pid, sig), whose handler sends us to `arrive`. */
asm(".text\n"
    "go:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, stack_before(%rip)\n"
    "	mov $62, %eax\n"
    "	syscall\n"
    "	ud2\n"
    "arrive:\n"
    "	mov %rsp, arrived+120(%rip)\n"
    "	lea stack_before(%rip), %rsp\n"
    "	mov (%rsp), %rsp\n"
    "	pushfq\n"
    "	popq arrived+128(%rip)\n"
    "	pushq $0x202\n"
    "	popfq\n"
    "	mov %r8, arrived(%rip); mov %r9, arrived+8(%rip); mov %r10, arrived+16(%rip); mov %r11, arrived+24(%rip)\n"
    "	mov %r12, arrived+32(%rip); mov %r13, arrived+40(%rip); mov %r14, arrived+48(%rip); mov %r15, arrived+56(%rip)\n"
    "	mov %rdi, arrived+64(%rip); mov %rsi, arrived+72(%rip); mov %rbp, arrived+80(%rip); mov %rbx, arrived+88(%rip)\n"
    "	mov %rdx, arrived+96(%rip); mov %rax, arrived+104(%rip); mov %rcx, arrived+112(%rip)\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static void edit_registers(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	for (int i = 0; i < NPLACES; i++)
		g[places[i]] = first + i;
	g[REG_RSP] = first + NPLACES;
	g[REG_RIP] = (greg_t)arrive;
	g[REG_EFL] = flags_wanted;
}

CASE(the_frames_registers)
{
	static const uint64_t flags[] = { 0x202, RESULTS, CF, OF | SF, ZF, DF, AC | CF, AC | DF | RESULTS, NT | 0x3000 | ZF, ~0ull & ~(uint64_t)(TF | 0x200000) };
	const uint64_t settable = RESULTS | DF | AC, looked_at = settable | NT | 0x3000 | 0x202;

	handle(SIGUSR1, 0, edit_registers);
	for (int i = 0; i < OFTEN; i++) {
		const uint64_t *a = (const uint64_t *)&arrived;

		first = i * 0x123456789abcdefull;
		flags_wanted = flags[i % (sizeof flags / sizeof flags[0])];
		go(getpid(), SIGUSR1);
		for (int k = 0; k < NPLACES + 1; k++)
			EQ(a[k], first + k);
		EQ(arrived.flags & looked_at, (flags_wanted & settable) | 0x202);
	}
}

static char alt[65536], other[65536];
static volatile greg_t first_step;

static void on_step(int sig, siginfo_t *si, void *uc)
{
	greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;

	if (!first_step)
		first_step = g[REG_RIP];
	g[REG_EFL] &= ~TF;
}

CASE(steps_on_from_the_frame)
{
	struct sigaction sa = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	OK(sigaction(SIGTRAP, &sa, NULL));
	handle(SIGUSR1, 0, edit_registers);
	for (int i = 0; i < OFTEN; i++) {
		first_step = 0;
		first = (uint64_t)alt + sizeof alt / 2;
		flags_wanted = TF | 0x202;
		go(getpid(), SIGUSR1);
		EQ(first_step - (greg_t)arrive, 7);
	}
}

static uint64_t own_gs[2] = { 0x1234 };

CASE(a_gs_of_ones_own)
{
	uint64_t seen;

	handle(SIGUSR1, 0, NULL);
	OK(syscall(SYS_arch_prctl, ARCH_SET_GS, own_gs));
	for (int i = 0; i < OFTEN; i++) {
		raise(SIGUSR1);
		asm volatile("movq %%gs:0, %0" : "=r"(seen));
		EQ(seen, 0x1234);
	}
}

/* --- extended state */

static int how;

static void edit_state(ucontext_t *uc)
{
	char *state = state_of(uc);
	uint32_t *sw = (uint32_t *)(state + SW_AT);

	memset(state + 160 + 3 * 16, 0x3a, 16); /* xmm3 */
	switch (how) {
	case 1: /* and all of ymm3 */
		*(uint64_t *)(state + XSTATE_BV) |= 4;
		memset(state + YMM_HIGH + 3 * 16, 0x5a, 16);
		break;
	case 2: /* the upper halves are as new */
		*(uint64_t *)(state + XSTATE_BV) &= ~4ull;
		break;
	case 3: /* likewise */
		*(uint64_t *)(sw + 2) = 3;
		break;
	case 4: /* and here, as there is no more than what FXSAVE writes */
		sw[0] = 0;
		break;
	case 5:
		*(uint32_t *)(state + sw[1] - 4) = 0;
		break;
	case 6:
		sw[4] += 64;
		break;
	case 7:
		uc->uc_mcontext.fpregs = NULL;
		break;
	case 8: /* more features than there are */
		*(uint64_t *)(sw + 2) |= 1ull << 40;
	}
}

__attribute__((target("avx"))) static void the_frames_state(void)
{
	static const uint8_t in[32] = { 1, 2, 3, [16] = 4, 5, 6, [31] = 7 };
	uint8_t out[32], want[32];
	unsigned mxcsr = 0x1fc0, mxcsr_after;
	unsigned short cw = 0x0f7f, cw_after;
	const long pid = getpid();
	long ret;

	handle(SIGUSR1, 0, edit_state);
	for (int i = 0; i < 9 * OFTEN; i++) {
		how = i % 9;
		memcpy(want, in, 32);
		memset(want, 0x3a, 16);
		if (how == 1)
			memset(want + 16, 0x5a, 16);
		else if (how >= 2 && how <= 6)
			memset(want + 16, 0, 16);
		else if (how == 7)
			memset(want, 0, 32);
		asm volatile("fldcw %5\n\tldmxcsr %6\n\tvmovupd %7, %%ymm3\n\tsyscall\n\tvmovupd %%ymm3, %1\n\tvzeroupper\n\tfnstcw %2\n\tstmxcsr %3"
			     : "=a"(ret), "=m"(out), "=m"(cw_after), "=m"(mxcsr_after)
			     : "0"((long)SYS_kill), "m"(cw), "m"(mxcsr), "m"(in), "D"(pid), "S"((long)SIGUSR1)
			     : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
			       "xmm13", "xmm14", "xmm15");
		asm volatile("fninit\n\tldmxcsr %0" : : "m"((const unsigned){ 0x1f80 }));
		EQ(ret, 0);
		for (int k = 0; k < 32; k++)
			if (out[k] != want[k])
				FAIL("byte %d of ymm3 is 0x%x, not 0x%x, with %d", k, out[k], want[k], how);
		EQ(cw_after, how == 7 ? 0x37f : cw);
		EQ(mxcsr_after, how == 7 ? 0x1f80 : mxcsr);
	}
}

CASE(the_frames_extended_state)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("the processor has no AVX");
	the_frames_state();
}

/* --- the alternate stack */

static void on_other_stack(ucontext_t *uc)
{
	const stack_t ss = { .ss_sp = other, .ss_size = sizeof other };

	OK(sigaltstack(&ss, NULL));
}

static void edit_stack(ucontext_t *uc)
{
	uc->uc_stack.ss_sp = other;
	uc->uc_stack.ss_size = sizeof other - 64;
	uc->uc_stack.ss_flags = count % 2 ? SS_ONSTACK : 0;
}

static void spoil_stack(ucontext_t *uc)
{
	uc->uc_stack.ss_sp = other;
	if (count % 2)
		uc->uc_stack.ss_size = 100;
	else
		uc->uc_stack.ss_flags = 77;
}

static void disable_stack(ucontext_t *uc)
{
	uc->uc_stack.ss_flags = SS_DISABLE;
}

static void stack_is(const void *sp, size_t size, int flags)
{
	stack_t ss;

	OK(sigaltstack(NULL, &ss));
	CHECK(ss.ss_sp == sp);
	EQ(ss.ss_size, size);
	EQ(ss.ss_flags, flags);
}

CASE(the_frames_alternate_stack)
{
	const stack_t none = { .ss_flags = SS_DISABLE }, ss = { .ss_sp = alt, .ss_size = sizeof alt };

	for (int i = 0; i < OFTEN; i++) {
		OK(sigaltstack(&none, NULL));
		handle(SIGUSR1, 0, NULL);
		raise(SIGUSR1);
		stack_is(NULL, 0, SS_DISABLE);
		edit = on_other_stack; /* which the frame doesn't know of */
		raise(SIGUSR1);
		stack_is(NULL, 0, SS_DISABLE);
		OK(sigaltstack(&ss, NULL));
		raise(SIGUSR1);
		stack_is(alt, sizeof alt, 0);
		edit = spoil_stack;
		raise(SIGUSR1);
		stack_is(alt, sizeof alt, 0);
		edit = edit_stack;
		raise(SIGUSR1);
		stack_is(other, sizeof other - 64, 0);
		edit = disable_stack;
		raise(SIGUSR1);
		stack_is(NULL, 0, SS_DISABLE);
		OK(sigaltstack(&ss, NULL));
		handle(SIGUSR1, SA_ONSTACK, NULL);
		raise(SIGUSR1);
		stack_is(alt, sizeof alt, 0); /* to change it there Linux allowed until 6.11 */
	}
}

static void return_to_stack(int sig, siginfo_t *si, void *uc)
{
	((ucontext_t *)uc)->uc_stack = (stack_t){ .ss_sp = other, .ss_size = sizeof other };
}

static void on_stack(ucontext_t *uc)
{
	stack_is(alt, sizeof alt, SS_ONSTACK);
	raise(SIGUSR2);
	stack_is(alt, sizeof alt, SS_ONSTACK); /* it is in use: the frame's isn't taken */
}

CASE(a_stack_in_use_stays)
{
	const stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt };
	struct sigaction sa = { .sa_sigaction = return_to_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	OK(sigaction(SIGUSR2, &sa, NULL));
	handle(SIGUSR1, SA_ONSTACK, on_stack);
	OK(sigaltstack(&ss, NULL));
	for (int i = 0; i < OFTEN; i++) {
		raise(SIGUSR1);
		stack_is(alt, sizeof alt, 0);
	}
}

static void disarmed(ucontext_t *uc)
{
	stack_is(NULL, 0, SS_DISABLE);
}

CASE(a_stack_that_disarms_is_armed_again)
{
	const int autodisarm = 1u << 31;
	const stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt, .ss_flags = autodisarm };

	handle(SIGUSR1, SA_ONSTACK, disarmed);
	OK(sigaltstack(&ss, NULL));
	for (int i = 0; i < OFTEN; i++) {
		raise(SIGUSR1);
		stack_is(alt, sizeof alt, autodisarm);
	}
}

/* --- frames that others wrote */

static struct {
	ucontext_t uc;
	char state[16384] __attribute__((aligned(64)));
} kept;

static void keep(ucontext_t *uc)
{
	const uint32_t size = ((uint32_t *)(state_of(uc) + SW_AT))[1];

	CHECK(size <= sizeof kept.state);
	memcpy(&kept.uc, uc, 304);
	memcpy(kept.state, state_of(uc), size);
	kept.uc.uc_mcontext.fpregs = (void *)kept.state;
}

static void return_by(const void *uc)
{
	asm volatile("mov %0, %%rsp; syscall" : : "r"(uc), "a"(SYS_rt_sigreturn) : "memory");
	__builtin_unreachable();
}

CASE(a_copy_will_do)
{
	volatile int n = 0;
	long ret;

	handle(SIGUSR1, 0, keep);
	set_mask(bit(SIGHUP));
	asm volatile("syscall" : "=a"(ret) : "0"((long)SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
	EQ(ret, 0);
	if (++n < OFTEN) { /* that comes back again and again */
		EQ(mask_now(), bit(SIGHUP));
		set_mask(n % 2 ? bit(SIGUSR2) : 0);
		return_by(&kept.uc);
	}
	EQ(count, 1);
}

static void *const nowhere = (void *)8;

static void spoil(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint16_t *segments = (uint16_t *)&g[REG_CSGSFS];

	if (count < OFTEN)
		return;
	switch (how) {
	case 0:
		g[REG_RIP] = 1ll << 47;
		break;
	case 1:
		g[REG_RIP] = (greg_t)(1ull << 63);
		break;
	case 2:
		segments[0] = 0x10;
		break;
	case 3:
		segments[3] = 0;
		break;
	case 4:
		uc->uc_mcontext.fpregs = nowhere;
		break;
	case 5:
		return_by(nowhere);
		break;
	case 6:
		return_by((void *)(1ull << 63));
		break;
	case 7:
		g[REG_RIP] = (greg_t)nowhere;
		break;
	case 8:
		return_by((void *)-8);
	}
}

CASE(bad_frames)
{
	for (how = 0; how < 9; how++) {
		pid_t p = CHILD({
			handle(SIGUSR1, 0, spoil);
			set_mask(0);
			for (int i = 0; i < OFTEN; i++)
				raise(SIGUSR1);
		});

		KILLED(p, SIGSEGV);
	}
}

static void *where;

static void on_segv(int sig, siginfo_t *si, void *uc)
{
	_exit(count == 1 && ((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] == (greg_t)where && mask_now() == (bit(SIGHUP) | bit(SIGSEGV)) ? 33 : 1);
}

static void lead_astray(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)where;
	*mask_of(uc) = bit(SIGHUP);
}

/* All of it but what is wrong counts. */
CASE(bad_frames_are_taken)
{
	void *const all[] = { (void *)8, (void *)(1ull << 47), (void *)(1ull << 63) };
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	OK(sigaction(SIGSEGV, &sa, NULL));
	for (int i = 0; i < 3; i++) {
		where = all[i];
		pid_t p = CHILD({
			handle(SIGUSR1, 0, NULL);
			set_mask(0);
			for (int k = 0; k < 10; k++)
				raise(SIGUSR1);
			count = 0;
			edit = lead_astray;
			raise(SIGUSR1);
		});

		EXITED(p, 33);
	}
}

/* --- races */

static struct shared {
	volatile int ready, sent, taken, stop;
} *shared;

static volatile bool blocked;

static void take(int sig)
{
	if (blocked)
		FAIL("handled while it is blocked");
	shared->taken++;
}

static void block_and_return(int sig, siginfo_t *si, void *uc)
{
	blocked = true;
	*mask_of(uc) |= bit(SIGUSR1);
}

static void unblock_and_return(int sig, siginfo_t *si, void *uc)
{
	*mask_of(uc) &= ~bit(SIGUSR1);
	blocked = false;
}

static void toggle(void)
{
	struct sigaction sa = { .sa_handler = take };

	sa.sa_mask = set_of(SIGUSR2, SIGHUP);
	OK(sigaction(SIGUSR1, &sa, NULL));
	sa.sa_mask = set_of(SIGUSR1, 0);
	sa.sa_flags = SA_SIGINFO;
	sa.sa_sigaction = block_and_return;
	OK(sigaction(SIGUSR2, &sa, NULL));
	sa.sa_sigaction = unblock_and_return;
	OK(sigaction(SIGHUP, &sa, NULL));
	set_mask(0);
	shared->ready = 1;
	while (!shared->stop) {
		raise(SIGUSR2);
		raise(SIGHUP);
	}
}

static void *toggle_by_thread(void *arg)
{
	toggle();
	return NULL;
}

enum { ROUNDS = 300 };

/* Each signal is taken, by who does nothing but unblock it by such returns, and block it again. */
CASE(a_signal_against_returns)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t p = CHILD({ toggle(); });

	while (!shared->ready)
		sched_yield();
	for (int i = 1; i <= ROUNDS; i++) {
		OK(kill(p, SIGUSR1));
		while (shared->taken < i)
			sched_yield();
	}
	shared->stop = 1;
	EXITED(p, 0);
	EQ(shared->taken, ROUNDS);
}

CASE(a_threads_signal_against_returns)
{
	struct shared own = {};
	pthread_t t;

	shared = &own;
	CHECK(pthread_create(&t, NULL, toggle_by_thread, NULL) == 0);
	while (!shared->ready)
		sched_yield();
	for (int i = 1; i <= ROUNDS; i++) {
		EQ(pthread_kill(t, SIGUSR1), 0);
		while (shared->taken < i)
			sched_yield();
	}
	shared->stop = 1;
	pthread_join(t, NULL);
}

/* Who returns again and again, and blocks it again, comes to wait for it without a call: from then on nothing but the return itself can have it taken. */
static void return_and_wait(void)
{
	volatile int turns = 0;
	long ret;

	signal(SIGUSR1, take);
	handle(SIGUSR2, 0, keep);
	set_mask(0);
	asm volatile("syscall" : "=a"(ret) : "0"((long)SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR2) : "rcx", "r11", "memory");
	shared->ready = 1;
	if (++turns % (1 + shared->taken % 31) == 0)
		while (shared->sent > shared->taken)
			;
	if (shared->stop)
		_exit(0);
	set_mask(bit(SIGUSR1));
	return_by(&kept.uc);
}

CASE(a_signal_against_a_last_return)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t p = CHILD({ return_and_wait(); });

	while (!shared->ready)
		sched_yield();
	for (int i = 1; i <= ROUNDS; i++) {
		shared->sent = i;
		OK(kill(p, SIGUSR1));
		while (shared->taken < i)
			sched_yield();
	}
	shared->stop = 1;
	EXITED(p, 0);
}

static void tick(int sig)
{
	count++;
}

/* A timer's signals come at any place of calls of all kinds; all of these answer as ever. */
CASE(ticks_between_calls)
{
	const struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = {};
	struct sigaction sa = { .sa_handler = tick, .sa_flags = SA_RESTART };
	const pid_t pid = getpid();
	int p[2];
	char c;

	OK(pipe(p));
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &often, NULL));
	while (count < 500) {
		set_mask(bit(SIGHUP));
		EQ(getpid(), pid);
		EQ(mask_now(), bit(SIGHUP));
		ERR(syscall(SYS_close, -1), EBADF);
		EQ(write(p[1], "x", 1), 1);
		EQ(read(p[0], &c, 1), 1);
		EQ(c, 'x');
		set_mask(0);
		EQ(mask_now(), 0);
	}
	OK(setitimer(ITIMER_REAL, &never, NULL));
}

/* What a call that was broken off answers stands in the frame. */
CASE(calls_that_are_broken_off)
{
	sigset_t none;
	int p[2];
	char c;

	OK(pipe(p));
	sigemptyset(&none);
	handle(SIGUSR1, SA_RESTART, NULL);
	set_mask(bit(SIGUSR1));
	for (int i = 0; i < OFTEN; i++) {
		raise(SIGUSR1);
		ERR(sigsuspend(&none), EINTR);
		EQ(mask_now(), bit(SIGUSR1));
	}
	set_mask(0);
	pid_t child = CHILD({
		for (int i = 0; i < OFTEN; i++) {
			OK(kill(getppid(), SIGUSR1));
			tell(p[1]);
		}
	});
	for (int i = 0; i < OFTEN; i++)
		EQ(read(p[0], &c, 1), 1);
	EXITED(child, 0);
	CHECK(count > OFTEN);
}
