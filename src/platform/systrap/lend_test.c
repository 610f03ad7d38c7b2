// What lies in an eventfd or a pipe, lent to a process: single calls of a payload, of which those that come here weren't answered by the stub.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "platform/platform.h"
#include "platform/systrap/systrap_int.h"

enum { CODE = 0x400000, DATA = 0x500000, CAME = -1000, IN = 5, OUT = 9 };

void kernel_ops_done(void *owner)
{
}

void kernel_ctx_died(struct platform_ctx *ctx)
{
}

void kernel_away_begin(void)
{
}

void kernel_away_end(void)
{
}

bool kernel_code(void *owner, uaddr_t addr, size_t len, struct platform_code *out)
{
	return false;
}

bool kernel_open_to_kin(void *owner)
{
	return false;
}

static void next_event(struct platform_event *ev)
{
	while (!systrap_ops.poll(ev)) {
		if (systrap_ops.prepare_sleep()) {
			struct pollfd p = {.fd = systrap_ops.wait_fd(), .events = POLLIN};

			assert_int_equal(poll(&p, 1, 60000), 1);
		}
		systrap_ops.after_sleep();
	}
}

// syscall; mov %eax,%edi; mov $60,%eax; syscall
static const uint8_t code_call[] = {0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};

static struct platform_ctx *load(void)
{
	struct platform_ctx *ctx;

	assert_int_equal(systrap_ops.as_create(NULL, &ctx), 0);
	systrap_ops.map_anon(ctx, 1, CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, false);
	systrap_ops.map_anon(ctx, 2, DATA, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
	assert_int_equal(systrap_ops.flush(ctx), 0);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, code_call, sizeof(code_call)), 0);
	return ctx;
}

// The stub's answer, or CAME.
static int call(struct platform_ctx *ctx, long nr, int fd, uaddr_t buf, size_t len)
{
	struct user_regs_struct regs;
	struct platform_event ev;

	systrap_ops.get_regs(ctx, &regs);
	regs.rip = CODE;
	regs.rsp = DATA + PAGE_SIZE;
	regs.rax = nr;
	regs.rdi = fd;
	regs.rsi = buf;
	regs.rdx = len;
	systrap_ops.set_regs(ctx, &regs);
	systrap_ops.resume(ctx);
	next_event(&ev);
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	if ((long)ev.call.nr == nr)
		return CAME;
	assert_int_equal(ev.call.nr, SYS_exit);
	return (int)ev.call.args[0];
}

static int put(struct platform_ctx *ctx, int fd, const void *bytes, size_t len)
{
	assert_int_equal(systrap_ops.copy_out(ctx, DATA, bytes, len), 0);
	return call(ctx, SYS_write, fd, DATA, len);
}

static int add(struct platform_ctx *ctx, uint64_t n)
{
	return put(ctx, IN, &n, sizeof(n));
}

static uint64_t word(struct platform_ctx *ctx)
{
	uint64_t n;

	assert_int_equal(systrap_ops.copy_in(ctx, &n, DATA, sizeof(n)), 0);
	return n;
}

static struct platform_as *lend(struct platform_ctx *ctx, int fd, struct platform_loan loan)
{
	struct platform_as *as;

	assert_int_equal(systrap_ops.lend(ctx, "table", fd, &loan, &as), 0);
	return as;
}

static void test_a_count_is_the_processs_own(void **state)
{
	struct platform_ctx *ctx = load();
	struct platform_as *as = lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_COUNT, .pos = 4});

	assert_int_equal(add(ctx, 3), 8);
	assert_int_equal(systrap_ops.lent_peek(as, IN), 7);
	assert_int_equal(add(ctx, UINT64_MAX), CAME);
	assert_int_equal(add(ctx, UINT64_MAX - 7), CAME); // too much
	assert_int_equal(add(ctx, UINT64_MAX - 8), 8);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 7), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, 0x10, 8), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 100), 8);
	assert_true(word(ctx) == UINT64_MAX - 1);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 8), CAME); // nothing there
	assert_int_equal(add(ctx, 2), 8);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 2);
	assert_int_equal(add(ctx, 1), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 8), CAME);
	systrap_ops.ctx_destroy(ctx);
}

static void test_a_semaphore_gives_one(void **state)
{
	struct platform_ctx *ctx = load();
	struct platform_as *as = lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_COUNT | PLATFORM_LEND_SEMAPHORE, .pos = 2});

	assert_int_equal(add(ctx, 1), 8);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 8), 8);
	assert_int_equal(word(ctx), 1);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 2);
	systrap_ops.ctx_destroy(ctx);
}

static struct platform_as *lend_pipe(struct platform_ctx *ctx, uint64_t bytes)
{
	lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_BYTES, .pos = (int64_t)bytes});
	return lend(ctx, OUT, (struct platform_loan){.kinds = PLATFORM_LEND_FEEDS, .feeds = IN});
}

static void test_bytes_go_from_end_to_end(void **state)
{
	struct platform_ctx *ctx = load();
	struct platform_as *as = lend_pipe(ctx, (uint64_t)'b' << 16 | 'a' << 8 | 2);

	assert_int_equal(put(ctx, OUT, "cdefg", 5), 5);
	assert_int_equal(put(ctx, OUT, "h", 1), CAME); // full
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 3), 3);
	assert_memory_equal(&(uint64_t){word(ctx)}, "abcfg", 5);
	assert_int_equal(put(ctx, OUT, "h", 1), 1);
	assert_int_equal(put(ctx, OUT, "i", 0), CAME);
	assert_int_equal(call(ctx, SYS_write, OUT, 0x10, 1), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, 0x10, 1), CAME);
	assert_int_equal(call(ctx, SYS_read, OUT, DATA, 1), CAME);
	assert_int_equal(call(ctx, SYS_write, IN, DATA, 1), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 100), 5);
	assert_memory_equal(&(uint64_t){word(ctx)}, "defgh", 5);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 1), CAME);
	assert_int_equal(systrap_ops.lent_peek(as, IN), 0);
	systrap_ops.ctx_destroy(ctx);
}

// The end that is read is taken back first, lent first, and may be another pipe's in between.
static void test_no_byte_goes_to_another_pipe(void **state)
{
	struct platform_ctx *ctx = load();
	struct platform_as *as = lend_pipe(ctx, 0);

	assert_int_equal(put(ctx, OUT, "ab", 2), 2);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 'b' << 16 | 'a' << 8 | 2);
	assert_int_equal(put(ctx, OUT, "c", 1), CAME);
	systrap_ops.lent_take_back(as, OUT);
	lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_BYTES});
	assert_int_equal(put(ctx, OUT, "c", 1), CAME);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 0);
	assert_int_equal(systrap_ops.lend(ctx, "table", OUT, &(struct platform_loan){.kinds = PLATFORM_LEND_FEEDS, .feeds = CHAN_LENT}, &as), -EBUSY);
	systrap_ops.ctx_destroy(ctx);
}

static void test_an_epoll_item_is_asked_in_the_stub(void **state)
{
	enum { EPOLL = 7, INDEX = 3 };
	struct platform_ctx *ctx = load();
	struct platform_item item = {lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_COUNT}), IN, 0x123456789};
	struct epoll_event event;

	systrap_ops.epoll_quiet(ctx, EPOLL, INDEX, systrap_ops.count(INDEX), &item);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), 0);
	assert_int_equal(add(ctx, 3), 8);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), 1);
	assert_int_equal(systrap_ops.copy_in(ctx, &event, DATA, sizeof(event)), 0);
	assert_int_equal(event.events, EPOLLIN);
	assert_int_equal(event.data.u64, 0x123456789);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, 0x10, 1), CAME);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 0), CAME);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL + 1, DATA, 1), CAME);
	systrap_ops.count_up(INDEX);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), CAME);
	systrap_ops.epoll_quiet(ctx, EPOLL, INDEX, systrap_ops.count(INDEX), &item);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), 1);
	systrap_ops.lent_take_back(item.as, IN);
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), CAME);
	lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_COUNT, .pos = 1});
	assert_int_equal(call(ctx, SYS_epoll_wait, EPOLL, DATA, 1), CAME);
	systrap_ops.ctx_destroy(ctx);
}

// While somebody has an inotify watch.
static void test_transfers_come_while_they_are_watched(void **state)
{
	struct platform_ctx *ctx = load();

	lend(ctx, IN, (struct platform_loan){.kinds = PLATFORM_LEND_COUNT});
	systrap_ops.lent_watch(true);
	assert_int_equal(add(ctx, 1), CAME);
	systrap_ops.lent_watch(false);
	assert_int_equal(add(ctx, 1), 8);
	systrap_ops.ctx_destroy(ctx);
}

static int set_up(void **state)
{
	return systrap_ops.init() ?: systrap_ops.start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_count_is_the_processs_own),
		cmocka_unit_test(test_a_semaphore_gives_one),
		cmocka_unit_test(test_bytes_go_from_end_to_end),
		cmocka_unit_test(test_no_byte_goes_to_another_pipe),
		cmocka_unit_test(test_an_epoll_item_is_asked_in_the_stub),
		cmocka_unit_test(test_transfers_come_while_they_are_watched),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
