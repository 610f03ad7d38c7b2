// What is lent to a process, and late calls: single calls of a payload, of which those that come here weren't answered by the stub.
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
#include <unistd.h>

#include "host/hostfd.h"
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

static struct platform_late late[PLATFORM_LATE_MAX]; // what was told with the last event
static unsigned nlate;

// The stub's answer (its low half), or CAME.
static int call6(struct platform_ctx *ctx, long nr, const uint64_t args[6])
{
	struct user_regs_struct regs;
	struct platform_event ev;

	systrap_ops.get_regs(ctx, &regs);
	regs.rip = CODE;
	regs.rsp = DATA + PAGE_SIZE;
	regs.rax = nr;
	regs.rdi = args[0];
	regs.rsi = args[1];
	regs.rdx = args[2];
	regs.r10 = args[3];
	regs.r8 = args[4];
	regs.r9 = args[5];
	systrap_ops.set_regs(ctx, &regs);
	systrap_ops.resume(ctx);
	next_event(&ev);
	nlate = ev.late ? systrap_ops.late_calls(ctx, late) : 0;
	assert_int_equal(ev.kind, PLATFORM_SYSCALL);
	if ((long)ev.call.nr == nr)
		return CAME;
	assert_int_equal(ev.call.nr, SYS_exit);
	return (int)ev.call.args[0];
}

static int call(struct platform_ctx *ctx, long nr, int fd, uaddr_t buf, size_t len)
{
	return call6(ctx, nr, (uint64_t[]){(uint64_t)fd, buf, len, 0, 0, 0});
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

enum { BOTTOM = 0x10000000, TOP = 0x20000000, HOLE = 8 * PAGE_SIZE, BRK = 0x600000, BRK_LIMIT = 0x700000 };

static const struct platform_room room = {.brk_start = BRK, .brk = BRK, .brk_limit = BRK_LIMIT, .bottom = BOTTOM, .top = TOP, .hole = HOLE};

static int map(struct platform_ctx *ctx, uaddr_t addr, uint64_t len, int prot, int flags, int fd)
{
	return call6(ctx, SYS_mmap, (uint64_t[]){addr, len, prot, flags, (uint64_t)fd, 0});
}

static void told(unsigned i, long nr, uint64_t arg0, uint64_t ret)
{
	assert_int_equal(late[i].nr, nr);
	assert_int_equal(late[i].args[0], arg0);
	assert_int_equal(late[i].ret, ret);
}

static void test_mappings_are_told_later(void **state)
{
	const int anon = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
	const uint64_t len = 2 * HOLE;
	struct platform_ctx *ctx = load();

	assert_int_equal(map(ctx, 0, len, rw, anon, -1), CAME);
	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(map(ctx, 0, len, rw, anon, -1), TOP - len);
	assert_int_equal(nlate, 1);
	told(0, SYS_mmap, 0, TOP - len);
	assert_int_equal(map(ctx, 0, len, rw, anon, -1), TOP - 2 * len);
	assert_int_equal(nlate, 1);
	assert_int_equal(systrap_ops.copy_out(ctx, TOP - 2 * len, "x", 1), 0);
	assert_int_equal(map(ctx, 0, HOLE, rw, anon, -1), CAME); // might go higher
	assert_int_equal(map(ctx, 0, TOP - BOTTOM - len, rw, anon, -1), CAME);
	assert_int_equal(map(ctx, 0, len, rw, MAP_SHARED | MAP_ANONYMOUS, -1), CAME);
	assert_int_equal(map(ctx, 0, len, rw | PROT_EXEC, anon, -1), CAME);
	assert_int_equal(map(ctx, 0, len, PROT_READ, MAP_PRIVATE, IN), CAME); // which isn't lent
	assert_int_equal(map(ctx, 0x60000, PAGE_SIZE, rw, anon | MAP_FIXED, -1), CAME);
	assert_int_equal(map(ctx, STUB_TEXT - PAGE_SIZE, 2 * PAGE_SIZE, rw, anon | MAP_FIXED, -1), CAME);
	assert_int_equal(call(ctx, SYS_mprotect, TOP - len, PAGE_SIZE, PROT_READ), 0);
	told(0, SYS_mprotect, TOP - len, 0);
	assert_int_equal(call(ctx, SYS_mprotect, TOP - len, PAGE_SIZE, PROT_READ | PROT_EXEC), CAME);
	assert_int_equal(call(ctx, SYS_mprotect, TOP, PAGE_SIZE, PROT_READ), CAME); // nothing there
	assert_int_equal(call(ctx, SYS_munmap, TOP - 2 * len, len, 0), 0);
	told(0, SYS_munmap, TOP - 2 * len, 0);
	assert_int_equal(map(ctx, 0, len, rw, anon, -1), TOP - 2 * len);
	systrap_ops.set_late(ctx, false, NULL);
	assert_int_equal(call(ctx, SYS_munmap, TOP - 2 * len, len, 0), CAME);
	assert_int_equal(nlate, 0);
	systrap_ops.ctx_destroy(ctx);
}

static void test_the_heap_grows_late(void **state)
{
	struct platform_ctx *ctx = load();

	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(call(ctx, SYS_brk, 0, 0, 0), BRK);
	assert_int_equal(nlate, 0); // a question
	assert_int_equal(call(ctx, SYS_brk, BRK + 10000, 0, 0), BRK + 10000);
	told(0, SYS_brk, BRK + 10000, BRK + 10000);
	assert_int_equal(systrap_ops.copy_out(ctx, BRK + 9999, "x", 1), 0);
	assert_int_equal(call(ctx, SYS_brk, BRK_LIMIT, 0, 0), CAME); // the gap
	assert_int_equal(call(ctx, SYS_brk, BRK + 100, 0, 0), BRK + 100);
	assert_int_equal(map(ctx, BRK_LIMIT - PAGE_SIZE, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1), BRK_LIMIT - PAGE_SIZE);
	assert_int_equal(call(ctx, SYS_brk, BRK + 10000, 0, 0), CAME); // where it could grow to isn't known any more
	systrap_ops.ctx_destroy(ctx);
}

static void test_a_file_is_mapped_read_and_closed_late(void **state)
{
	const int fd = memfd_create("lent", MFD_CLOEXEC);
	struct hostfd *file = hostfd_create(fd);
	struct platform_ctx *ctx = load();
	struct platform_loan loan = {.file = file,
				     .kinds = PLATFORM_LEND_PREAD | PLATFORM_LEND_POS | PLATFORM_LEND_END | PLATFORM_LEND_MAP |
					      PLATFORM_LEND_CLOSE};
	struct platform_as *as;

	assert_int_equal(write(fd, "abcdef", 6), 6);
	assert_int_equal(systrap_ops.lend(ctx, "table", IN, &loan, &as), -ENOENT);
	assert_int_equal(systrap_ops.file_foresee(ctx, file), 0);
	assert_int_equal(systrap_ops.lend(ctx, "table", IN, &loan, &as), 0);
	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 4), 4);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 4), 2); // to the end
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 4), 0);
	assert_int_equal(call(ctx, SYS_read, IN, 0x10, 4), 0); // as on Linux
	assert_int_equal(systrap_ops.lent_peek(as, IN), 6);
	assert_int_equal(call6(ctx, SYS_pread64, (uint64_t[]){IN, DATA, 10, 1, 0, 0}), 5);
	assert_int_equal(call6(ctx, SYS_pread64, (uint64_t[]){IN, 0x10, 10, 1, 0, 0}), CAME);
	assert_int_equal(map(ctx, 0, 2 * HOLE, PROT_READ | PROT_EXEC, MAP_PRIVATE, IN), TOP - 2 * HOLE);
	assert_int_equal(nlate, 1);
	assert_int_equal(call(ctx, SYS_close, IN, 0, 0), 0);
	told(0, SYS_close, IN, 0);
	assert_int_equal(call(ctx, SYS_close, IN, 0, 0), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 1), CAME);
	assert_int_equal(systrap_ops.lent_take_pos(as, IN), 6); // nor does it come back by that
	assert_int_equal(call(ctx, SYS_close, IN, 0, 0), CAME);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 6);
	systrap_ops.ctx_destroy(ctx);
	hostfd_put(file);
}

// Without a file nothing is read, whatever else was lent.
static void test_a_position_alone_is_moved(void **state)
{
	struct platform_ctx *ctx = load();
	const struct platform_loan pos = {.kinds = PLATFORM_LEND_POS, .pos = 7}, close = {.kinds = PLATFORM_LEND_CLOSE};
	struct platform_as *as;

	assert_int_equal(systrap_ops.lend(ctx, "table", IN, &pos, &as), 0);
	assert_int_equal(call(ctx, SYS_lseek, IN, 0, SEEK_CUR), 7);
	assert_int_equal(call(ctx, SYS_lseek, IN, 100, SEEK_SET), 100);
	assert_int_equal(call(ctx, SYS_lseek, IN, -1, SEEK_CUR), 99);
	assert_int_equal(call(ctx, SYS_lseek, IN, -1, SEEK_SET), CAME);
	assert_int_equal(call(ctx, SYS_lseek, IN, -100, SEEK_CUR), CAME);
	assert_int_equal(call(ctx, SYS_lseek, IN, INT64_MAX, SEEK_CUR), CAME);
	assert_int_equal(call(ctx, SYS_lseek, IN, INT64_MAX, SEEK_SET), CAME); // the file system may know better
	assert_int_equal(call(ctx, SYS_lseek, IN, 0, SEEK_END), CAME);
	assert_int_equal(call(ctx, SYS_read, IN, DATA, 1), CAME);
	assert_int_equal(call(ctx, SYS_write, IN, DATA, 1), CAME);
	assert_int_equal(call6(ctx, SYS_pread64, (uint64_t[]){IN, DATA, 1, 0, 0, 0}), CAME);
	assert_int_equal(systrap_ops.lent_take_pos(as, IN), 99);
	assert_int_equal(call(ctx, SYS_lseek, IN, 0, SEEK_CUR), CAME);
	assert_int_equal(systrap_ops.lent_give_pos(ctx, as, IN, 3), 0);
	assert_int_equal(call(ctx, SYS_lseek, IN, 1, SEEK_CUR), 4);
	assert_int_equal(systrap_ops.lend(ctx, "table", IN, &close, &as), 0);
	assert_int_equal(call(ctx, SYS_lseek, IN, 0, SEEK_CUR), CAME);
	assert_int_equal(systrap_ops.lent_give_pos(ctx, as, IN, 5), 0);
	assert_int_equal(call(ctx, SYS_lseek, IN, 1, SEEK_CUR), 6);
	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(call(ctx, SYS_close, IN, 0, 0), 0);
	told(0, SYS_close, IN, 0);
	assert_int_equal(call(ctx, SYS_lseek, IN, 0, SEEK_CUR), CAME);
	assert_int_equal(systrap_ops.lent_take_back(as, IN), 6);
	systrap_ops.ctx_destroy(ctx);
}

// mmap; munmap of that; exit
static void test_what_was_undone_is_not_told(void **state)
{
	static const uint8_t code[] = {0x0f, 5, 0x48, 0x89, 0xc7, 0xb8, 11, 0, 0, 0, 0x0f, 5, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 5};
	struct platform_ctx *ctx = load();

	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, code, sizeof(code)), 0);
	assert_int_equal(map(ctx, 0, 2 * HOLE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1), 0);
	assert_int_equal(nlate, 0);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, code_call, sizeof(code_call)), 0);
	assert_int_equal(map(ctx, 0, 2 * HOLE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1), TOP - 2 * HOLE); // where it was
	systrap_ops.ctx_destroy(ctx);
}

// Each is the stub's until one comes for another reason, or there is no room to note it.
static void test_as_many_are_told_as_there_is_room_for(void **state)
{
	// push $40; pop %rbx; again: mov $10,%eax; syscall; xor $1,%edx; add $0x1000,%rdi; dec %ebx; jnz again; mov $60,%eax; syscall
	static const uint8_t code[] = {0x6a, 40, 0x5b, 0xb8, 10, 0, 0, 0, 0x0f, 5, 0x83, 0xf2, 1, 0x48, 0x81, 0xc7, 0, 0x10, 0, 0, 0xff, 0xcb, 0x75, 0xeb,
				       0xb8, 60, 0, 0, 0, 0x0f, 5};
	struct platform_ctx *ctx = load();

	stub_param->patching = 0; // else some would come because they often come from there
	systrap_ops.map_anon(ctx, 3, BOTTOM, 64 * PAGE_SIZE, PROT_READ, false);
	assert_int_equal(systrap_ops.copy_out(ctx, CODE, code, sizeof(code)), 0);
	systrap_ops.set_late(ctx, true, &room);
	assert_int_equal(call(ctx, SYS_mprotect, BOTTOM, PAGE_SIZE, PROT_READ), CAME);
	assert_int_equal(nlate, PLATFORM_LATE_MAX);
	for (unsigned i = 0; i < nlate; i++)
		told(i, SYS_mprotect, BOTTOM + i * PAGE_SIZE, 0);
	stub_param->patching = 1;
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
		cmocka_unit_test(test_mappings_are_told_later),
		cmocka_unit_test(test_the_heap_grows_late),
		cmocka_unit_test(test_a_file_is_mapped_read_and_closed_late),
		cmocka_unit_test(test_a_position_alone_is_moved),
		cmocka_unit_test(test_what_was_undone_is_not_told),
		cmocka_unit_test(test_as_many_are_told_as_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
