// The ptrace platform against its contract: small payloads run in a tracee, a double serves their calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "platform/platform.h"

enum { CODE = 0x400000, DATA = 0x500000 };

void kernel_ops_done(void *owner)
{
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

static struct platform_ctx *next_event(struct platform_event *ev)
{
	struct platform_ctx *ctx;

	while (!(ctx = ptrace_ops.poll(ev))) {
		if (ptrace_ops.prepare_sleep()) {
			struct pollfd p = {.fd = ptrace_ops.wait_fd(), .events = POLLIN};

			assert_int_equal(poll(&p, 1, 60000), 1);
		}
		ptrace_ops.after_sleep();
	}
	return ctx;
}

// A new address space with code at CODE, ready to run it.
static struct platform_ctx *load(const void *code, size_t len)
{
	struct platform_ctx *ctx;
	struct user_regs_struct regs;

	assert_int_equal(ptrace_ops.as_create(NULL, &ctx), 0);
	ptrace_ops.map_anon(ctx, 1, CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, false);
	ptrace_ops.map_anon(ctx, 2, DATA, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
	assert_int_equal(ptrace_ops.flush(ctx), 0);
	assert_int_equal(ptrace_ops.copy_out(ctx, CODE, code, len), 0);
	ptrace_ops.get_regs(ctx, &regs);
	regs.rip = CODE;
	regs.rsp = DATA + PAGE_SIZE;
	ptrace_ops.set_regs(ctx, &regs);
	return ctx;
}

// mov $39,%eax; syscall; mov %eax,%edi; mov $60,%eax; syscall
static const uint8_t code_getpid_exit[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static void test_calls_arrive_and_results_go_back(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct platform_event ev;

	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ev.call.nr, SYS_getpid);
	ptrace_ops.set_ret(ctx, 77);
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.nr, SYS_exit);
	assert_int_equal(ev.call.args[0], 77);
	ptrace_ops.ctx_destroy(ctx);
}

static void test_a_fork_has_its_own_memory(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *child;
	struct platform_event ev;
	uint32_t word = 1;

	ptrace_ops.resume(ctx);
	next_event(&ev);
	assert_int_equal(ptrace_ops.fork(ctx, 5, &child), 0);
	assert_int_equal(ptrace_ops.copy_out(child, DATA, &word, sizeof(word)), 0);
	assert_int_equal(ptrace_ops.copy_in(ctx, &word, DATA, sizeof(word)), 0);
	assert_int_equal(word, 0);
	ptrace_ops.set_ret(child, 5);
	ptrace_ops.resume(child);
	assert_ptr_equal(next_event(&ev), child);
	assert_int_equal(ev.call.args[0], 5);
	ptrace_ops.ctx_destroy(child);
	ptrace_ops.set_ret(ctx, 6);
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.args[0], 6);
	ptrace_ops.ctx_destroy(ctx);
}

static void test_a_thread_shares_memory_and_leaves_alone(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit)), *thread;
	struct platform_event ev;
	uint32_t word = 9;

	ptrace_ops.resume(ctx);
	next_event(&ev);
	assert_int_equal(ptrace_ops.spawn(ctx, 5, &thread), 0);
	assert_int_equal(ptrace_ops.copy_out(thread, DATA, &word, sizeof(word)), 0);
	word = 0;
	assert_int_equal(ptrace_ops.copy_in(ctx, &word, DATA, sizeof(word)), 0);
	assert_int_equal(word, 9);
	ptrace_ops.set_ret(thread, 5);
	ptrace_ops.resume(thread);
	assert_ptr_equal(next_event(&ev), thread);
	ptrace_ops.ctx_destroy(thread);
	ptrace_ops.set_ret(ctx, 6);
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.call.args[0], 6);
	ptrace_ops.ctx_destroy(ctx);
}

static void test_faults_and_interrupts(void **state)
{
	static const uint8_t spin[] = {0xeb, 0xfe}, load_null[] = {0x8b, 0x04, 0x25, 0x10, 0, 0, 0}; // mov 0x10,%eax
	struct platform_ctx *ctx = load(load_null, sizeof(load_null));
	struct platform_event ev;

	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_FAULT);
	assert_int_equal(ev.fault.signo, SIGSEGV);
	assert_int_equal(ev.fault.addr, 0x10);
	assert_int_equal(ptrace_ops.copy_out(ctx, CODE, spin, sizeof(spin)), 0);
	ptrace_ops.resume(ctx);
	ptrace_ops.interrupt(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	ptrace_ops.interrupt(ctx); // sticky
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	ptrace_ops.ctx_destroy(ctx);
}

// Who is parked in a call isn't told of its end by an event.
static void test_death_while_stopped(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct platform_event ev;
	siginfo_t info;

	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	kill(ptrace_ops.host_pid(ctx), SIGKILL);
	assert_int_equal(waitid(P_PID, ptrace_ops.host_pid(ctx), &info, WEXITED | WNOWAIT | __WALL), 0);
	for (died = NULL; !died;) {
		struct pollfd p = {.fd = ptrace_ops.wait_fd(), .events = POLLIN};

		ptrace_ops.after_sleep();
		assert_null(ptrace_ops.poll(&ev));
		assert_true(died || (ptrace_ops.prepare_sleep() && poll(&p, 1, 60000) == 1));
	}
	assert_ptr_equal(died, ctx);
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_DEAD);
	ptrace_ops.ctx_destroy(ctx);
}

// An interrupt that comes when the call has stopped it already, and is met by the next operation, is no longer on its way afterwards.
static void test_interrupt_met_by_an_operation(void **state)
{
	static const uint8_t call_and_spin[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xfe}; // mov $39,%eax; syscall; jmp .
	struct platform_ctx *ctx = load(call_and_spin, sizeof(call_and_spin));
	struct platform_event ev;
	siginfo_t info;

	ptrace_ops.resume(ctx);
	assert_int_equal(waitid(P_PID, ptrace_ops.host_pid(ctx), &info, WSTOPPED | WNOWAIT | __WALL), 0);
	ptrace_ops.interrupt(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	assert_int_equal(ptrace_ops.map_anon(ctx, 1, 0x700000, PAGE_SIZE, PROT_READ, false), 0);
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	ptrace_ops.resume(ctx);
	ptrace_ops.interrupt(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_INTERRUPTED);
	ptrace_ops.ctx_destroy(ctx);
}

// One that comes just when the call stops it may be forgotten by the host. The next one isn't.
static void test_interrupt_at_any_time(void **state)
{
	static const uint8_t call_and_spin[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0xeb, 0xfe}; // mov $39,%eax; syscall; jmp .
	struct platform_ctx *ctx = load(call_and_spin, sizeof(call_and_spin));
	struct user_regs_struct regs;
	struct platform_event ev;
	unsigned seed = 1;

	ptrace_ops.get_regs(ctx, &regs);
	for (int i = 0; i < 2000; i++) {
		ptrace_ops.set_regs(ctx, &regs);
		ptrace_ops.resume(ctx);
		for (int n = rand_r(&seed) % 200000; n > 0; n--)
			asm volatile("" : : "r"(n));
		ptrace_ops.interrupt(ctx);
		do {
			assert_ptr_equal(next_event(&ev), ctx);
			ptrace_ops.resume(ctx);
			ptrace_ops.interrupt(ctx);
		} while (ev.kind != PLATFORM_INTERRUPTED);
		assert_ptr_equal(next_event(&ev), ctx);
	}
	ptrace_ops.ctx_destroy(ctx);
}

static void test_files_are_mapped_and_ops_fail_late(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	struct hostfd *file = hostfd_create(memfd_create("test", 0));
	struct platform_event ev;
	char text[6];

	assert_int_equal(write(file->fd, "hello", 6), 6);
	ptrace_ops.map_file(ctx, 3, 0x600000, PAGE_SIZE, PROT_READ, true, file, 0);
	assert_int_equal(ptrace_ops.flush(ctx), 0);
	assert_int_equal(ptrace_ops.copy_in(ctx, text, 0x600000, 6), 0);
	assert_string_equal(text, "hello");
	assert_int_equal(ptrace_ops.copy_in_str(ctx, text, 0x600000, 6), 5);
	ptrace_ops.map_file(ctx, 4, 0x600000, PAGE_SIZE, PROT_READ, true, file, 1); // misaligned
	ptrace_ops.resume(ctx);
	assert_ptr_equal(next_event(&ev), ctx);
	assert_int_equal(ev.kind, PLATFORM_OP_FAILED);
	assert_int_equal(ev.failed.op_tag, 4);
	assert_int_equal(ev.failed.err, EINVAL);
	ptrace_ops.ctx_destroy(ctx);
	hostfd_put(file);
}

static void test_cmpxchg_and_xstate(void **state)
{
	struct platform_ctx *ctx = load(code_getpid_exit, sizeof(code_getpid_exit));
	uint32_t actual = 5, word;

	assert_int_equal(ptrace_ops.cmpxchg32(ctx, DATA, 0, 7, &actual), 0);
	assert_int_equal(actual, 0);
	assert_int_equal(ptrace_ops.cmpxchg32(ctx, DATA, 0, 8, &actual), 0);
	assert_int_equal(actual, 7);
	assert_int_equal(ptrace_ops.copy_in(ctx, &word, DATA, 4), 0);
	assert_int_equal(word, 7);
	assert_int_equal(ptrace_ops.cmpxchg32(ctx, 0x10, 0, 8, &actual), -EFAULT);
	ptrace_ops.map_anon(ctx, 1, 0x700000, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE, false);
	assert_int_equal(ptrace_ops.save_xstate(ctx, 0x700000), 0);
	assert_int_equal(ptrace_ops.load_xstate(ctx, 0x700000, ptrace_ops.xstate_features()), 0);
	assert_int_equal(ptrace_ops.reset_xstate(ctx), 0);
	ptrace_ops.ctx_destroy(ctx);
}

static int set_up(void **state)
{
	return ptrace_ops.init() ?: ptrace_ops.start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_arrive_and_results_go_back),
		cmocka_unit_test(test_a_fork_has_its_own_memory),
		cmocka_unit_test(test_a_thread_shares_memory_and_leaves_alone),
		cmocka_unit_test(test_faults_and_interrupts),
		cmocka_unit_test(test_death_while_stopped),
		cmocka_unit_test(test_interrupt_met_by_an_operation),
		cmocka_unit_test(test_interrupt_at_any_time),
		cmocka_unit_test(test_files_are_mapped_and_ops_fail_late),
		cmocka_unit_test(test_cmpxchg_and_xstate),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
