// The systrap platform against its contract: small payloads run in a stub, a double serves their calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <cpuid.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/sigframe.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "platform/systrap/systrap_int.h"

enum { CODE = 0x400000, DATA = 0x500000 };

static const uint8_t code_stay[] = {0xeb, 0xfe}; // jmp to itself

static int told_done;

void kernel_ops_done(void *owner)
{
	told_done++;
}

static struct platform_ctx *died;

void kernel_ctx_died(struct platform_ctx *ctx)
{
	died = ctx;
}

void kernel_away_begin(void)
{
}

void kernel_away_end(void)
{
}

static int code_prot; // what the kernel says of all code
static bool open_to_kin;

bool kernel_code(void *owner, uaddr_t addr, size_t len, struct platform_code *out)
{
	*out = (struct platform_code){code_prot, addr & PAGE_MASK, PAGE_SIZE};
	return code_prot;
}

bool kernel_open_to_kin(void *owner)
{
	return open_to_kin;
}

static struct platform_ctx *next_event(struct platform_event *ev)
{
	struct platform_ctx *ctx;

	while (!(ctx = systrap_ops.poll(ev))) {
		if (systrap_ops.prepare_sleep()) {
			struct pollfd p = {.fd = systrap_ops.wait_fd(), .events = POLLIN};

			assert_int_equal(poll(&p, 1, 60000), 1);
		}
		systrap_ops.after_sleep();
	}
	return ctx;
}

// A new address space with code at CODE, ready to run it.
static struct platform_ctx *load(const void *code, size_t len)
{
	struct platform_ctx *ctx;
	struct user_regs_struct regs;

	assert_int_equal(systrap_ops.as_create(NULL, &ctx), 0);
	systrap_ops.map_anon(ctx, 1, CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, false);
	systrap_ops.map_anon(ctx, 2, DATA, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, code, len), 0);
	systrap_ops.get_regs(ctx, &regs);
	regs.rip = CODE;
	regs.rsp = DATA + PAGE_SIZE;
	systrap_ops.set_regs(ctx, &regs);
	return ctx;
}

// mov $39,%eax; syscall; mov %eax,%edi; mov $60,%eax; syscall
static const uint8_t code_getpid_exit[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static void test_calls_arrive_and_results_go_back(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct platform_event ev;

	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ev.call.nr, SYS_getpid);
	systrap_ops.set_ret(ctx, 77);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.nr, SYS_exit);
	assert_int_equal(ev.call.args[0], 77);
	systrap_ops.ctx_destroy(ctx);
}

static void test_a_fork_has_its_own_memory(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *child;
	struct platform_event ev;
	uint32_t word = 1;

	systrap_ops.resume(ctx);
	next_event(&ev);
	assert_int_equal(systrap_ops.fork(ctx, 5, &child), 0);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_out(child, DATA, &word, sizeof(word)), 0);
	assert_int_equal(systrap_ops.copy_in(ctx, &word, DATA, sizeof(word)), 0);
	assert_int_equal(word, 0);
	systrap_ops.set_ret(child, 5);
	systrap_ops.resume(child);
	assert_ptr_equal(next_event(&ev), child);
	assert_int_equal(ev.call.args[0], 5);
	systrap_ops.ctx_destroy(child);
	systrap_ops.set_ret(ctx, 6);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.args[0], 6);
	systrap_ops.ctx_destroy(ctx);
}

// mov $14,%eax; mov $2,%edi; mov $DATA,%esi; xor %edx,%edx; mov $8,%r10d; syscall; mov %eax,%edi; mov $60,%eax; syscall
static const uint8_t code_setmask_exit[] = {0xb8, 14, 0, 0, 0, 0xbf, 2, 0, 0, 0, 0xbe, 0, 0, 0x50, 0, 0x31, 0xd2, 0x41, 0xba, 8, 0, 0, 0,
					    0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static void test_a_mask_is_changed_in_the_stub_while_it_is_lent(void **state)
{
	const uint64_t set = ~0ull, unblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);

	for (int lent = 0; lent < 2; lent++) {
		struct platform_ctx *ctx = load(code_setmask_exit, sizeof(code_setmask_exit));
		struct platform_event ev;

		assert_int_equal(systrap_ops.copy_out(ctx, DATA, &set, sizeof(set)), 0);
		systrap_ops.set_sigmask(ctx, 5);
		systrap_ops.lend_sigmask(ctx, true);
		systrap_ops.lend_sigmask(ctx, lent);
		systrap_ops.resume(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		assert_int_equal(ev.call.nr, lent ? SYS_exit : SYS_rt_sigprocmask);
		assert_int_equal(systrap_ops.get_sigmask(ctx), lent ? ~unblockable : 5);
		if (lent)
			assert_int_equal(ev.call.args[0], 0);
		systrap_ops.ctx_destroy(ctx);
	}
}

// mov $15,%eax; syscall; mov %ebx,%edi; mov $60,%eax; syscall
static const uint8_t code_return[] = {0xb8, 15, 0, 0, 0, 0x0f, 5}, code_exit_rbx[] = {0x89, 0xdf, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static struct abi_ucontext frame_at(struct platform_ctx *ctx, uaddr_t fp)
{
	const uint32_t size = systrap_ops.xstate_size(), magic2 = ABI_FP_MAGIC2;
	const struct abi_fp_sw sw = {.magic1 = ABI_FP_MAGIC1, .xfeatures = systrap_ops.xstate_features(), .xstate_size = size};
	struct abi_ucontext uc = {.uc_stack = {.ss_flags = SS_DISABLE}, .uc_sigmask = 9};

	assert_int_equal(systrap_ops.save_xstate(ctx, fp), 0);
	assert_int_equal(systrap_ops.copy_out(ctx, fp + size, &magic2, sizeof(magic2)), 0);
	assert_int_equal(systrap_ops.copy_out(ctx, fp + ABI_FP_SW_AT, &sw, sizeof(sw)), 0);
	uc.uc_mcontext.fpregs = (void *)fp;
	uc.uc_mcontext.gregs[REG_RIP] = CODE + sizeof(code_return);
	uc.uc_mcontext.gregs[REG_RBX] = 77;
	uc.uc_mcontext.gregs[REG_EFL] = ~0x100ll;
	uc.uc_mcontext.gregs[REG_CSGSFS] = USER_CS | (greg_t)USER_SS << 48;
	return uc;
}

static void test_a_handler_is_left_in_the_stub_by_a_plain_frame(void **state)
{
	enum { PLAIN, NOT_LENT, OTHER_STACK, OTHER_CS, OTHER_SS, FAR_AWAY, LESS_STATE, NO_STATE, FRAMES };

	for (int i = 0; i < FRAMES; i++) {
		uint8_t code[sizeof(code_return) + sizeof(code_exit_rbx)];
		struct user_regs_struct regs;
		struct platform_event ev;
		struct platform_ctx *ctx;
		struct abi_ucontext uc;

		memcpy(code, code_return, sizeof(code_return));
		memcpy(code + sizeof(code_return), code_exit_rbx, sizeof(code_exit_rbx));
		ctx = load(code, sizeof(code));
		uc = frame_at(ctx, DATA + 512);
		uc.uc_stack.ss_size = i == OTHER_STACK ? 4096 : 0;
		uc.uc_mcontext.gregs[REG_CSGSFS] ^= i == OTHER_CS ? 1 : i == OTHER_SS ? 1ull << 48 : 0;
		if (i == FAR_AWAY)
			uc.uc_mcontext.gregs[REG_RIP] = 1ll << 47;
		if (i == LESS_STATE)
			assert_int_equal(systrap_ops.copy_out(ctx, DATA + 512 + ABI_FP_SW_AT, "", 1), 0);
		if (i == NO_STATE)
			uc.uc_mcontext.fpregs = NULL;
		assert_int_equal(systrap_ops.copy_out(ctx, DATA, &uc, sizeof(uc)), 0);
		systrap_ops.get_regs(ctx, &regs);
		regs.rsp = DATA;
		systrap_ops.set_regs(ctx, &regs);
		systrap_ops.set_altstack(ctx, &(stack_t){.ss_flags = SS_DISABLE});
		systrap_ops.set_sigmask(ctx, 5);
		systrap_ops.lend_sigmask(ctx, i != NOT_LENT);
		systrap_ops.resume(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		systrap_ops.get_regs(ctx, &regs);
		assert_int_equal(ev.call.nr, i == PLAIN ? SYS_exit : SYS_rt_sigreturn);
		assert_int_equal(systrap_ops.get_sigmask(ctx), i == PLAIN ? 9 : 5);
		assert_int_equal(regs.rsp, i == PLAIN ? 0 : DATA);
		if (i == PLAIN)
			assert_int_equal(ev.call.args[0], 77);
		systrap_ops.ctx_destroy(ctx);
	}
}

// mov $13,%eax; mov $10,%edi; mov $DATA,%esi; mov $DATA+64,%edx; mov $8,%r10d; syscall; mov %eax,%edi; mov $60,%eax; syscall
static const uint8_t code_sigaction_exit[] = {0xb8, 13, 0, 0, 0, 0xbf, 10, 0, 0, 0, 0xbe, 0, 0, 0x50, 0, 0xba, 64, 0, 0x50, 0, 0x41, 0xba, 8, 0, 0, 0,
					      0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static void assert_action(const struct ksigaction *ka, const struct ksigaction *wanted)
{
	assert_memory_equal(ka, wanted, sizeof(*ka));
}

static void test_an_action_is_changed_in_the_stub_while_it_is_lent(void **state)
{
	const uint64_t unblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1), usr1 = 1ull << (SIGUSR1 - 1);
	const struct ksigaction new = {0x7fff12345678, ~0ull, 0x123456, ~0ull}, kept = {0x7fff12345678, KSA_KNOWN, 0x123456, ~unblockable};
	struct ksigaction actions[NSIG_MAX] = {[SIGUSR1 - 1] = {0x1234, SA_RESTART, 0x123456, 5}, [SIGHUP - 1] = {1ull << 47, 0, 0, 0},
					       [SIGUSR2 - 1] = {1, 0, 0x654321, 0}}, ka;

	for (int lent = 0; lent < 2; lent++) {
		struct platform_ctx *ctx = load(code_sigaction_exit, sizeof(code_sigaction_exit));
		struct platform_event ev;

		assert_int_equal(systrap_ops.copy_out(ctx, DATA, &new, sizeof(new)), 0);
		// What has no room there isn't lent: an address as large as that, another restorer.
		assert_int_equal(systrap_ops.lend_actions(ctx, actions, ~0ull, true), ~(1ull << (SIGHUP - 1) | 1ull << (SIGUSR2 - 1)));
		systrap_ops.use_actions(ctx, ctx);
		assert_int_equal(systrap_ops.actions_changed(ctx), 0);
		systrap_ops.get_action(ctx, SIGUSR1, &ka);
		assert_action(&ka, &actions[SIGUSR1 - 1]);
		if (!lent) {
			systrap_ops.take_action(ctx, SIGUSR1, &ka);
			assert_action(&ka, &actions[SIGUSR1 - 1]);
		}
		systrap_ops.resume(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		assert_int_equal(ev.call.nr, lent ? SYS_exit : SYS_rt_sigaction);
		if (lent) {
			assert_int_equal(ev.call.args[0], 0);
			assert_int_equal(systrap_ops.actions_changed(ctx), usr1);
			systrap_ops.take_action(ctx, SIGUSR1, &ka);
			assert_action(&ka, &kept);
			assert_int_equal(systrap_ops.copy_in(ctx, &ka, DATA + 64, sizeof(ka)), 0);
			assert_action(&ka, &actions[SIGUSR1 - 1]);
		}
		systrap_ops.ctx_destroy(ctx);
	}
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_channels_of_dead_processes_are_given_back(void **state)
{
	enum { FORKS = 40, SLACK = 8 };
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *child;
	struct platform_event ev;
	int before, tries = 0;

	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	before = open_descriptors();
	for (int i = 0; i < FORKS; i++) {
		assert_int_equal(systrap_ops.fork(ctx, 5, &child), 0);
		assert_int_equal(systrap_ops.flush(ctx), 0);
		systrap_ops.resume(child);
		assert_ptr_equal(next_event(&ev), child);
		systrap_ops.ctx_destroy(child);
	}
	while (open_descriptors() > before + SLACK && tries++ < 100000) {
		assert_null(systrap_ops.poll(&ev));
		systrap_ops.in_the_way();
		systrap_ops.prepare_sleep();
		systrap_ops.after_sleep();
		usleep(100);
	}
	assert_true(open_descriptors() <= before + SLACK);
	systrap_ops.ctx_destroy(ctx);
}

// A child whose fork is answered with status exits with that.
static void see_exit(struct platform_ctx *child, int status)
{
	struct platform_event ev;

	systrap_ops.set_ret(child, status);
	systrap_ops.resume(child);
	assert_ptr_equal(next_event(&ev), child);
	assert_int_equal(ev.call.nr, SYS_exit);
	assert_int_equal(ev.call.args[0], status);
}

// The parent of children that each come from the site of their exit once, by a signal. True if it is a jump in the parent then.
static bool learns_from_children(struct platform_ctx *ctx, int children, bool leave)
{
	struct platform_ctx *child;
	uint8_t there[2];

	for (int i = 0; i < children; i++) {
		assert_int_equal(systrap_ops.fork(ctx, 5, &child), 0);
		systrap_ops.set_owner(child, child);
		assert_int_equal(systrap_ops.flush(ctx), 0);
		if (leave)
			systrap_ops.files_drop(child, true);
		see_exit(child, i);
		systrap_ops.ctx_destroy(child);
	}
	assert_int_equal(systrap_ops.copy_in(ctx, there, CODE + 9, sizeof(there)), 0);
	return there[0] == 0xff && there[1] == 0x24;
}

static void test_a_parent_learns_its_childrens_call_sites(void **state)
{
	enum { ENOUGH = 4 };
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct platform_event ev;

	systrap_ops.set_owner(ctx, ctx);
	code_prot = PROT_READ | PROT_EXEC;
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	open_to_kin = true;
	assert_false(learns_from_children(ctx, 2 * ENOUGH, true)); // they changed their credentials
	open_to_kin = false;
	assert_false(learns_from_children(ctx, 2 * ENOUGH, false));
	systrap_ops.files_drop(ctx, true); // what it knows it forgets
	open_to_kin = true;
	assert_false(learns_from_children(ctx, ENOUGH, false));
	assert_true(learns_from_children(ctx, 2, false));
	code_prot = 0;
	systrap_ops.set_ret(ctx, 6);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.nr, SYS_exit);
	assert_int_equal(ev.call.args[0], 6);
	systrap_ops.ctx_destroy(ctx);
}

enum { MARK = SLOT_DATA + 100 }; // in a channel: nobody's

static void wait_until_gone(pid_t pid)
{
	struct platform_event ev;

	for (int tries = 0; as_find(pid) && tries < 100000; tries++) {
		assert_null(systrap_ops.poll(&ev));
		systrap_ops.prepare_sleep();
		systrap_ops.after_sleep();
		usleep(100);
	}
	assert_null(as_find(pid));
}

// True if some child of ctx gets the channel of one before it. It brings nothing of that one's along.
static bool children_have_one_channel(struct platform_ctx *ctx, bool changed)
{
	enum { CHILDREN = 8 };
	struct platform_ctx *child;
	bool again = false;
	pid_t pid;

	for (int i = 0; i < CHILDREN; i++) {
		assert_int_equal(systrap_ops.fork(ctx, 5, &child), 0);
		systrap_ops.set_owner(child, child);
		again = again || child->as->chan[MARK];
		child->as->chan[MARK] = 1;
		assert_int_equal(chan_futex(child->as->chan, DATA)->waiters, 0);
		systrap_ops.futex_note(child, DATA, PLATFORM_FUTEX_WAITS);
		assert_int_equal(systrap_ops.flush(ctx), 0);
		if (changed)
			systrap_ops.files_drop(child, true);
		see_exit(child, i);
		pid = systrap_ops.host_pid(child);
		systrap_ops.ctx_destroy(child);
		wait_until_gone(pid);
	}
	return again;
}

// What the application has at addr once these bytes have gone along with an answer.
static void expect_bytes(struct platform_ctx *ctx, uaddr_t addr, const uint8_t *bytes, size_t len)
{
	uint8_t there[1024];

	assert_int_equal(systrap_ops.copy_in(ctx, there, addr, len), 0);
	assert_memory_equal(there, bytes, len);
}

// cpuid with what is behind it; then what it gave in rcx, and r11, to where a call leaves them; a call.
#define AND_CALL 0x49, 0x89, 0xce, 0x4d, 0x89, 0xdf, 0xb8, 39, 0, 0, 0, 0x0f, 5
static const struct {
	uint8_t code[32];
	enum { BEHIND_NOTHING, BEHIND_AND, BEHIND_STORE } does;
} cpuid_codes[] = {
	{{0x90}, BEHIND_NOTHING}, // who looks at a site looks at what is before it
	{{0x0f, 0xa2, 0x90, 0x90, 0x90, 0x90, 0x90, 0x49, 0x89, 0xc4, AND_CALL}, BEHIND_NOTHING}, // nop…; mov %rax,%r12
	{{0x0f, 0xa2, 0x49, 0x89, 0xc4, 0x83, 0xe0, 0x1f, AND_CALL}, BEHIND_AND},		// mov %rax,%r12; and $0x1f,%eax
	{{0x0f, 0xa2, 0x49, 0x89, 0xc4, 0x89, 0x5c, 0x24, 0xf8, AND_CALL}, BEHIND_STORE},	// mov %rax,%r12; mov %ebx,-8(%rsp)
	{{0x0f, 0xa2, 0x49, 0x89, 0xc4, 0xeb, 0x00, AND_CALL}, BEHIND_NOTHING},		// mov %rax,%r12; jmp
};

// Runs cpuid_codes[i] from its byte `from` on: what comes of it must be what the processor says, and all else what it was.
static void run_cpuid(struct platform_ctx *ctx, unsigned i, unsigned from, uint32_t leaf, uint32_t sub, uint64_t flags, uint64_t gs)
{
	struct user_regs_struct r, was;
	struct platform_event ev;
	uint32_t a, b, c, d;

	__cpuid_count(leaf, sub, a, b, c, d);
	systrap_ops.get_regs(ctx, &r);
	r.rip = CODE + i * sizeof(*cpuid_codes) + from;
	r.rax = from ? a : 0x1234567800000000 | leaf;
	r.rcx = from ? c : 0x1234567800000000 | sub;
	r.rbx = from ? b : 0x1111;
	r.rdx = from ? d : 0x2222;
	r.rsi = 3, r.rdi = 4, r.r8 = 5, r.r9 = 6, r.r10 = 7, r.r11 = 8, r.r13 = 10, r.rbp = 11, r.rsp = DATA + PAGE_SIZE;
	r.eflags = flags;
	r.gs_base = gs;
	was = r;
	systrap_ops.set_regs(ctx, &r);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ev.call.nr, SYS_getpid);
	systrap_ops.get_regs(ctx, &r);
	assert_int_equal(r.r12, a);
	assert_int_equal(r.rbx, b);
	assert_int_equal(r.r14, c);
	assert_int_equal(r.rdx, d);
	assert_int_equal(r.r15, was.r11);
	assert_true(r.rsi == was.rsi && r.rdi == was.rdi && r.r8 == was.r8 && r.r9 == was.r9 && r.r10 == was.r10 && r.r13 == was.r13 &&
		    r.rbp == was.rbp && r.rsp == was.rsp && r.gs_base == was.gs_base && r.fs_base == was.fs_base);
	if (cpuid_codes[i].does != BEHIND_AND)
		assert_int_equal(r.eflags, flags);
	else
		assert_int_equal(r.eflags & 0x445, (flags & 0x400) | (a & 0x1f ? 0 : 0x40) | (__builtin_parity(a & 0x1f) ? 0 : 4)); // DF, ZF, PF, CF
	if (cpuid_codes[i].does == BEHIND_STORE) {
		assert_int_equal(systrap_ops.copy_in(ctx, &a, DATA + PAGE_SIZE - 8, 4), 0);
		assert_int_equal(a, b);
	}
}

static void test_what_the_processor_is_is_told_by_the_stub(void **state)
{
	static const struct {
		uint32_t leaf, sub;
	} asked[] = {{0, 0}, {2, 77}, {4, 0}, {4, 1}, {7, 0}, {0xd, 0}, {0xd, 1}, {0xd, 2}, {0xd, 3}, {0xd, 4}, {0xd, 19}, {0xd, 20},
		     {0x14, 1}, {0x40000000, 0}, {0x80000000, 5}, {0x80000001, 0}};
	static const uint64_t flags[] = {0x202, 0xad7, 0x602, 0x246};
	struct platform_ctx *ctx = load(cpuid_codes, sizeof(cpuid_codes));
	uint32_t places[ARRAY_LEN(cpuid_codes) + 1];
	uint8_t jump[3];

	for (unsigned i = 1; i < ARRAY_LEN(cpuid_codes); i++)
		places[i] = i * sizeof(*cpuid_codes) + 2;
	places[0] = 9; // no call
	places[ARRAY_LEN(cpuid_codes)] = PAGE_SIZE + 2; // not there
	assert_int_equal(systrap_ops.flush(ctx), 0);
	systrap_ops.calls_at(ctx, CODE, PAGE_SIZE, PROT_READ | PROT_EXEC, places, ARRAY_LEN(places));
	assert_int_equal(systrap_ops.flush(ctx), 0);
	for (unsigned i = 1; i < ARRAY_LEN(cpuid_codes); i++) {
		assert_int_equal(systrap_ops.copy_in(ctx, jump, CODE + i * sizeof(*cpuid_codes), sizeof(jump)), 0);
		assert_memory_equal(jump, "\xff\x24\xe5", 3);
		for (unsigned j = 0; j < ARRAY_LEN(asked) * ARRAY_LEN(flags); j++)
			run_cpuid(ctx, i, 0, asked[j % ARRAY_LEN(asked)].leaf, asked[j % ARRAY_LEN(asked)].sub, flags[j / ARRAY_LEN(asked)], j % 3 ? 0 : DATA);
		run_cpuid(ctx, i, 0, 4, 0, 0x202, 0x10); // nothing is there
		run_cpuid(ctx, i, 2, 4, 0, 0x202, 0);
	}
	systrap_ops.protect(ctx, 1, CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	for (unsigned i = 1; i < ARRAY_LEN(cpuid_codes); i++)
		expect_bytes(ctx, CODE + i * sizeof(*cpuid_codes), cpuid_codes[i].code, sizeof(cpuid_codes->code));
	systrap_ops.ctx_destroy(ctx);
}

static void test_channels_stay_in_the_family(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *other, *stranger;
	struct platform_event ev;

	systrap_ops.set_owner(ctx, ctx);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	open_to_kin = true;
	assert_false(children_have_one_channel(ctx, true)); // they changed their credentials
	assert_true(children_have_one_channel(ctx, false));
	open_to_kin = false;
	assert_false(children_have_one_channel(ctx, false));
	open_to_kin = true;
	assert_int_equal(systrap_ops.as_create(NULL, &stranger), 0);
	assert_false(stranger->as->chan[MARK]);
	assert_int_equal(systrap_ops.as_create(ctx, &other), 0);
	assert_true(other->as->chan[MARK]);
	systrap_ops.files_drop(ctx, false); // another program
	assert_true(children_have_one_channel(ctx, false));
	systrap_ops.files_drop(ctx, true);
	systrap_ops.ctx_destroy(other);
	systrap_ops.ctx_destroy(stranger);
	assert_int_equal(systrap_ops.as_create(ctx, &other), 0);
	assert_false(other->as->chan[MARK]);
	systrap_ops.ctx_destroy(other);
	systrap_ops.ctx_destroy(ctx);
	open_to_kin = false;
}

// Who has run nothing but vfork so far is of a family, too, when the first of them goes on elsewhere.
static void test_a_family_begins_with_the_second_context(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *thread, *child;
	struct platform_event ev;
	bool again = false;
	pid_t pid;

	systrap_ops.set_owner(ctx, ctx);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	open_to_kin = true;
	assert_int_equal(systrap_ops.spawn(ctx, 5, &thread), 0);
	systrap_ops.set_owner(thread, thread);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(systrap_ops.as_create(thread, &child), 0);
		again = again || child->as->chan[MARK];
		child->as->chan[MARK] = 1;
		while (!(pid = systrap_ops.host_pid(child)))
			assert_null(systrap_ops.poll(&ev));
		systrap_ops.ctx_destroy(child);
		wait_until_gone(pid);
	}
	assert_true(again);
	open_to_kin = false;
	systrap_ops.ctx_destroy(thread);
	systrap_ops.ctx_destroy(ctx);
}

static void test_a_thread_shares_memory_and_leaves_alone(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *thread;
	struct platform_event ev;
	uint32_t word = 9;

	systrap_ops.resume(ctx);
	next_event(&ev);
	assert_int_equal(systrap_ops.spawn(ctx, 5, &thread), 0);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_out(thread, DATA, &word, sizeof(word)), 0);
	systrap_ops.set_ret(thread, 5);
	systrap_ops.resume(thread); // carries the copy out
	assert_ptr_equal(next_event(&ev), thread);
	word = 0;
	assert_int_equal(systrap_ops.copy_in(ctx, &word, DATA, sizeof(word)), 0);
	assert_int_equal(word, 9);
	systrap_ops.ctx_destroy(thread);
	systrap_ops.set_ret(ctx, 6);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.args[0], 6);
	systrap_ops.ctx_destroy(ctx);
}

// Whether the leader is told to sleep within so many polls in vain.
static bool told_to_sleep(void)
{
	struct platform_event ev;

	for (int i = 0; i < 10000; i++) {
		assert_null(systrap_ops.poll(&ev));
		if (systrap_ops.in_the_way())
			return true;
	}
	return false;
}

static void test_who_is_not_born_yet_may_need_the_leaders_processor(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *thread;
	struct platform_event ev;

	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	told_to_sleep(); // for the sake of one that was answered
	systrap_ops.prepare_sleep();
	systrap_ops.after_sleep();
	assert_false(told_to_sleep());
	assert_int_equal(systrap_ops.spawn(ctx, 5, &thread), 0);
	assert_true(told_to_sleep());
	assert_int_equal(systrap_ops.flush(ctx), 0);
	systrap_ops.resume(thread);
	assert_ptr_equal(next_event(&ev), thread);
	told_to_sleep();
	systrap_ops.prepare_sleep();
	systrap_ops.after_sleep();
	assert_false(told_to_sleep());
	systrap_ops.ctx_destroy(thread);
	systrap_ops.ctx_destroy(ctx);
}

static const uint8_t getpid_for_ever[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xf7};

// Asleep, until ctx has its next event.
static void sleep_for(struct platform_ctx *ctx)
{
	struct pollfd p = {.fd = systrap_ops.wait_fd(), .events = POLLIN};
	struct platform_event ev;

	assert_true(systrap_ops.prepare_sleep());
	systrap_ops.resume(ctx);
	assert_int_equal(poll(&p, 1, 60000), 1);
	systrap_ops.after_sleep();
	while (systrap_ops.poll(&ev) != ctx)
		;
}

static void test_learns_how_long_waking_takes(void **state)
{
	struct platform_ctx *ctx = load(getpid_for_ever, sizeof(getpid_for_ever));
	const int64_t most_ns = 1000000000;

	for (int i = 0; i < 20; i++)
		sleep_for(ctx);
	assert_true(systrap_ops.wake_ns() > 0 && systrap_ops.wake_ns() < most_ns);
	systrap_ops.ctx_destroy(ctx);
}

static void test_copies_of_all_sizes_go_along_in_order(void **state)
{
	static const size_t sizes[] = {1, 8, 31, 32, 33, 64, 1000};
	struct platform_ctx *ctx = load(getpid_for_ever, sizeof(getpid_for_ever));
	struct platform_event ev;
	uint8_t bytes[1000], other[1000];

	systrap_ops.resume(ctx);
	next_event(&ev);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		const size_t len = sizes[i];
		void *place;

		memset(bytes, 'a' + i, sizeof(bytes));
		memset(other, 'A' + i, sizeof(other));
		assert_int_equal(systrap_ops.copy_out(ctx, DATA, bytes, len), 0); // alone
		systrap_ops.resume(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		assert_int_equal(ev.kind, PLATFORM_SYSCALL);
		expect_bytes(ctx, DATA, bytes, len);
		place = systrap_ops.copy_out_reserve(ctx, DATA, len); // with less than was reserved, and a second one over it
		assert_non_null(place);
		memcpy(place, bytes + 1, len - 1);
		systrap_ops.copy_out_commit(ctx, len - 1);
		assert_int_equal(systrap_ops.copy_out(ctx, DATA, other, len), 0);
		systrap_ops.resume(ctx);
		next_event(&ev);
		expect_bytes(ctx, DATA, other, len);
		assert_int_equal(systrap_ops.copy_out(ctx, DATA + 1, bytes, len), 0); // a map after it has the last word, one before it doesn't
		systrap_ops.map_anon(ctx, 1, DATA, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
		assert_int_equal(systrap_ops.copy_out(ctx, DATA + len, other, len), 0);
		systrap_ops.resume(ctx);
		next_event(&ev);
		memset(bytes, 0, sizeof(bytes));
		expect_bytes(ctx, DATA, bytes, len);
		expect_bytes(ctx, DATA + len, other, len);
		assert_int_equal(systrap_ops.copy_out(ctx, DATA, other, len), 0);
		assert_int_equal(systrap_ops.flush(ctx), 0);
		expect_bytes(ctx, DATA, other, len);
		assert_int_equal(systrap_ops.copy_out(ctx, 0x10, bytes, len), 0); // nowhere
		systrap_ops.resume(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		assert_int_equal(ev.kind, PLATFORM_OP_FAILED);
		assert_int_equal(ev.failed.op_tag, PLATFORM_TAG_COPY);
		assert_int_equal(ev.failed.err, EFAULT);
		systrap_ops.resume(ctx);
		next_event(&ev);
	}
	systrap_ops.ctx_destroy(ctx);
}

static void test_faults_and_interrupts(void **state)
{
	static const uint8_t spin[] = {0xeb, 0xfe}, load_null[] = {0x8b, 0x04, 0x25, 0x10, 0, 0, 0}; // mov 0x10,%eax
	struct platform_ctx *ctx = load(load_null, sizeof(load_null));
	struct platform_event ev;

	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_FAULT);
	assert_int_equal(ev.fault.signo, SIGSEGV);
	assert_int_equal(ev.fault.addr, 0x10);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, spin, sizeof(spin)), 0);
	systrap_ops.resume(ctx);
	systrap_ops.interrupt(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	systrap_ops.interrupt(ctx); // sticky
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	systrap_ops.ctx_destroy(ctx);
}

// Who is parked in a call isn't told of its end by an event.
static void test_death_while_stopped(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct platform_event ev;
	siginfo_t info;

	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	kill(systrap_ops.host_pid(ctx), SIGKILL);
	assert_int_equal(waitid(P_PID, systrap_ops.host_pid(ctx), &info, WEXITED | WNOWAIT | __WALL), 0);
	for (died = NULL; !died;) {
		struct pollfd p = {.fd = systrap_ops.wait_fd(), .events = POLLIN};

		systrap_ops.after_sleep();
		assert_null(systrap_ops.poll(&ev));
		assert_true(died || !systrap_ops.prepare_sleep() || poll(&p, 1, 60000) == 1);
	}
	assert_ptr_equal(died, ctx);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_DEAD);
	systrap_ops.ctx_destroy(ctx);
}

static void kill_and_see_zombie(struct platform_ctx *ctx)
{
	siginfo_t info;

	kill(systrap_ops.host_pid(ctx), SIGKILL);
	assert_int_equal(waitid(P_PID, systrap_ops.host_pid(ctx), &info, WEXITED | WNOWAIT | __WALL), 0);
}

// A dead process that is still referred to hides no other's end, whether they come together or one after the other.
static void test_deaths_are_seen_behind_others(void **state)
{
	enum { PROCESSES = 4 };

	for (int together = 0; together < 2; together++) {
		struct platform_ctx *ctx[PROCESSES];
		struct platform_event ev;
		unsigned seen = 0;

		for (int i = 0; i < PROCESSES; i++) {
			ctx[i] = load(code_stay, sizeof(code_stay));
			systrap_ops.resume(ctx[i]);
		}
		for (int i = 0; together && i < PROCESSES; i++)
			kill_and_see_zombie(ctx[i]);
		for (int i = 0; i < PROCESSES; i++) {
			struct platform_ctx *dead;

			if (!together)
				kill_and_see_zombie(ctx[i]);
			dead = next_event(&ev);
			assert_int_equal(ev.kind, PLATFORM_DEAD);
			for (int k = 0; k < PROCESSES; k++)
				seen |= (dead == ctx[k]) << k;
		}
		assert_int_equal(seen, (1 << PROCESSES) - 1);
		for (int i = 0; i < PROCESSES; i++)
			systrap_ops.ctx_destroy(ctx[i]);
	}
}

static void test_files_are_mapped_and_ops_fail_late(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct hostfd *file = hostfd_create(memfd_create("test", 0));
	struct platform_event ev;
	char text[6];

	assert_int_equal(write(file->fd, "hello", 6), 6);
	systrap_ops.map_file(ctx, 3, 0x600000, PAGE_SIZE, PROT_READ, true, file, 0);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_in(ctx, text, 0x600000, 6), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(systrap_ops.copy_in_str(ctx, text, 0x600000, 6), 5);
	systrap_ops.map_file(ctx, 4, 0x600000, PAGE_SIZE, PROT_READ, true, file, 1); // misaligned
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_OP_FAILED);
	assert_int_equal(ev.failed.op_tag, 4);
	assert_int_equal(ev.failed.err, EINVAL);
	systrap_ops.ctx_destroy(ctx);
	hostfd_put(file);
}

static void test_a_single_op_fails_beside_a_result(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *child;
	struct platform_event ev;

	systrap_ops.resume(ctx);
	next_event(&ev);
	systrap_ops.set_ret(ctx, 77);
	systrap_ops.protect(ctx, 5, 0x600000, PAGE_SIZE, PROT_READ); // nothing is there
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_OP_FAILED);
	assert_int_equal(ev.failed.op_tag, 5);
	assert_int_equal(ev.failed.err, ENOMEM);
	systrap_ops.map_anon(ctx, 6, 0x600000, PAGE_SIZE, PROT_READ | PROT_WRITE, false); // alone, until the fork follows
	assert_int_equal(systrap_ops.fork(ctx, 7, &child), 0);
	systrap_ops.set_ret(ctx, 78);
	systrap_ops.set_ret(child, 79);
	systrap_ops.protect(ctx, 8, 0x600000, PAGE_SIZE, PROT_READ);
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ev.call.args[0], 78);
	systrap_ops.protect(child, 9, 0x600000, PAGE_SIZE, PROT_READ);
	systrap_ops.resume(child);
	assert_ptr_equal(next_event(&ev), child);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ev.call.args[0], 79);
	systrap_ops.ctx_destroy(child);
	systrap_ops.ctx_destroy(ctx);
}

static void test_the_end_of_operations_is_told_to_who_asks(void **state)
{
	struct platform_ctx *ctx = load(code_stay, sizeof(code_stay));
	struct platform_event ev;

	systrap_ops.set_owner(ctx, ctx);
	for (int i = 0; i < 60; i++) {
		const int before = told_done;
		bool asked;

		assert_false(systrap_ops.ops_pending(ctx));
		systrap_ops.map_anon(ctx, 1, 0x600000, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
		if (i % 2)
			systrap_ops.map_anon(ctx, 2, 0x700000, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
		systrap_ops.resume(ctx);
		asked = systrap_ops.ops_pending(ctx);
		while (asked && told_done == before) { // it doesn't come back by itself
			struct pollfd p = {.fd = systrap_ops.wait_fd(), .events = POLLIN};

			if (systrap_ops.prepare_sleep())
				assert_int_equal(poll(&p, 1, 60000), 1);
			systrap_ops.after_sleep();
			assert_null(systrap_ops.poll(&ev));
		}
		if (asked)
			assert_false(systrap_ops.ops_pending(ctx));
		systrap_ops.interrupt(ctx);
		assert_ptr_equal(next_event(&ev), ctx);
		assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
		assert_int_equal(told_done, before + asked);
	}
	systrap_ops.ctx_destroy(ctx);
}

static void test_operations_are_pending_from_their_beginning(void **state)
{
	struct platform_ctx *ctx = load(code_stay, sizeof(code_stay));
	struct platform_event ev;
	const int before = told_done;

	systrap_ops.set_owner(ctx, ctx);
	systrap_ops.ops_begin(ctx);
	assert_true(systrap_ops.ops_pending(ctx));
	systrap_ops.map_anon(ctx, 1, 0x600000, PAGE_SIZE, PROT_READ, false);
	assert_true(systrap_ops.ops_pending(ctx));
	systrap_ops.settle(ctx);
	assert_int_equal(told_done, before + 1);
	assert_false(systrap_ops.ops_pending(ctx));

	systrap_ops.ops_begin(ctx);
	assert_true(systrap_ops.ops_pending(ctx));
	systrap_ops.map_anon(ctx, 1, 0x600000, PAGE_SIZE, PROT_READ, false);
	systrap_ops.parks(ctx);
	assert_int_equal(told_done, before + 2);
	assert_false(systrap_ops.ops_pending(ctx));

	systrap_ops.ops_begin(ctx); // and none come
	assert_true(systrap_ops.ops_pending(ctx));
	systrap_ops.resume(ctx);
	while (told_done == before + 2)
		assert_null(systrap_ops.poll(&ev));
	assert_false(systrap_ops.ops_pending(ctx));
	systrap_ops.interrupt(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	systrap_ops.ctx_destroy(ctx);
}

static void test_files_are_read_by_the_stub(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct hostfd *file = hostfd_create(memfd_create("test", 0));
	struct platform_event ev;
	char text[6];

	assert_int_equal(write(file->fd, "hello", 6), 6);
	systrap_ops.resume(ctx);
	next_event(&ev);
	assert_false(systrap_ops.file_move(ctx, file, DATA, 6, 0, false));
	assert_int_equal(systrap_ops.file_keep(ctx, file), 0);
	assert_true(systrap_ops.file_move(ctx, file, DATA, 6, 0, false));
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_in(ctx, text, DATA, 6), 0);
	assert_string_equal(text, "hello");
	assert_true(systrap_ops.file_move(ctx, file, DATA, 6, 2, false)); // more than there is
	systrap_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_OP_FAILED);
	assert_int_equal(ev.failed.op_tag, PLATFORM_TAG_FILE);
	assert_int_equal(ev.failed.moved, 4);
	systrap_ops.files_drop(ctx, true);
	assert_false(systrap_ops.file_move(ctx, file, DATA, 6, 0, false));
	systrap_ops.ctx_destroy(ctx);
	hostfd_put(file);
}

static void test_cmpxchg_and_xstate(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	uint32_t actual = 5, word;

	assert_int_equal(systrap_ops.cmpxchg32(ctx, DATA, 0, 7, &actual), 0);
	assert_int_equal(actual, 0);
	assert_int_equal(systrap_ops.cmpxchg32(ctx, DATA, 0, 8, &actual), 0);
	assert_int_equal(actual, 7);
	assert_int_equal(systrap_ops.copy_in(ctx, &word, DATA, 4), 0);
	assert_int_equal(word, 7);
	assert_int_equal(systrap_ops.cmpxchg32(ctx, 0x10, 0, 8, &actual), -EFAULT);
	systrap_ops.map_anon(ctx, 1, 0x700000, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, false);
	assert_int_equal(systrap_ops.save_xstate(ctx, 0x700000), 0);
	assert_int_equal(systrap_ops.load_xstate(ctx, 0x700000, systrap_ops.xstate_features()), 0);
	assert_int_equal(systrap_ops.reset_xstate(ctx), 0);
	systrap_ops.ctx_destroy(ctx);
}

static void test_times_of_looks_are_learnt(void **state)
{
	const uint64_t start = 0x123456789abcdeful;
	uint16_t due = 0;

	for (uint64_t took = 0; took < STATE_TIME_SPAN; took += 1 << STATE_TIME_UNIT_SHIFT) {
		uint32_t s = STATE_EVENT | state_time(start + took) | state_due(took % DUE_MAX);
		const uint64_t clock = state_clock(s, start);

		assert_int_equal(clock - start, took);
		assert_in_range(took % DUE_MAX - state_due_of(s), 0, (1 << STATE_DUE_UNIT_SHIFT) - 1);
		assert_int_equal(s & STATE_EVENT, STATE_EVENT);
	}
	due_learn(&due, DUE_MAX);
	due_learn(&due, -1ull);
	assert_int_equal(due, 0);
	due_learn(&due, 1000);
	assert_int_equal(due, 1000); // at once
	due_learn(&due, DUE_MAX - 1);
	assert_int_equal(due, 1000 + DUE_STEP / DUE_WEIGHT); // one that took long counts for little
	for (int i = 0; i < 100; i++)
		due_learn(&due, 200);
	assert_in_range(due, 200, 200 + DUE_WEIGHT);
}

static int set_up(void **state)
{
	return systrap_ops.init() ?: systrap_ops.start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_arrive_and_results_go_back),
		cmocka_unit_test(test_a_fork_has_its_own_memory),
		cmocka_unit_test(test_a_mask_is_changed_in_the_stub_while_it_is_lent),
		cmocka_unit_test(test_a_handler_is_left_in_the_stub_by_a_plain_frame),
		cmocka_unit_test(test_an_action_is_changed_in_the_stub_while_it_is_lent),
		cmocka_unit_test(test_channels_of_dead_processes_are_given_back),
		cmocka_unit_test(test_a_parent_learns_its_childrens_call_sites),
		cmocka_unit_test(test_what_the_processor_is_is_told_by_the_stub),
		cmocka_unit_test(test_channels_stay_in_the_family),
		cmocka_unit_test(test_a_family_begins_with_the_second_context),
		cmocka_unit_test(test_a_thread_shares_memory_and_leaves_alone),
		cmocka_unit_test(test_who_is_not_born_yet_may_need_the_leaders_processor),
		cmocka_unit_test(test_learns_how_long_waking_takes),
		cmocka_unit_test(test_copies_of_all_sizes_go_along_in_order),
		cmocka_unit_test(test_faults_and_interrupts),
		cmocka_unit_test(test_death_while_stopped),
		cmocka_unit_test(test_deaths_are_seen_behind_others),
		cmocka_unit_test(test_files_are_mapped_and_ops_fail_late),
		cmocka_unit_test(test_a_single_op_fails_beside_a_result),
		cmocka_unit_test(test_the_end_of_operations_is_told_to_who_asks),
		cmocka_unit_test(test_operations_are_pending_from_their_beginning),
		cmocka_unit_test(test_files_are_read_by_the_stub),
		cmocka_unit_test(test_cmpxchg_and_xstate),
		cmocka_unit_test(test_times_of_looks_are_learnt),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
