// Address spaces against the host's Linux: the same random calls are made natively on one window of addresses and through mm,
// whose platform double carries them out on a second window. After each, results, maps and contents must be the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/mm/mm.h"
#include "sentry/mm/vma.h"
#include "sentry/vfs/vfs.h"

enum { PAGES = 48, FILE_PAGES = 64, ROUNDS = 1000 };
#define NATIVE 0x200000000000ull
#define DELTA 0x10000000000ull // mm's window, as the host sees it
#define WINDOW_END (NATIVE + PAGES * PAGE_SIZE)

// --- what mm needs of its surroundings
__attribute__((weak)) struct file *file_get(struct file *f)
{
	return f;
}
__attribute__((weak)) void file_put(struct file *f)
{
}

__attribute__((weak)) int task_wait_on(struct task *t, struct waitq *q, uint32_t events)
{
	return 0;
}
__attribute__((weak)) long task_block_killable(struct task *t)
{
	return -EBLOCKED;
}
__attribute__((weak)) bool cred_has_cap(const struct cred *c, int cap)
{
	return false;
}

static int op_err;
static uint32_t op_err_tag;

static int done(uint32_t tag, bool ok)
{
	if (!ok && !op_err) {
		op_err = errno;
		op_err_tag = tag;
	}
	return 0;
}

static void *place(uaddr_t addr)
{
	return (void *)(addr + DELTA);
}

static int dbl_map_anon(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len, int prot, bool noreserve)
{
	return done(tag, op_err || mmap(place(addr), len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
}

static int dbl_map_file(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len, int prot, bool shared,
			struct hostfd *file, uint64_t offset)
{
	return done(tag, op_err || mmap(place(addr), len, prot, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, file->fd, offset) !=
					   MAP_FAILED);
}

static int dbl_unmap(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len)
{
	return done(tag, op_err || munmap(place(addr), len) == 0);
}

static int dbl_protect(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len, int prot)
{
	return done(tag, op_err || mprotect(place(addr), len, prot) == 0);
}

static int dbl_remap(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len,
		     int flags)
{
	if (new_addr != addr)
		flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	return done(tag, op_err || mremap(place(addr), len, new_len, flags, place(new_addr)) != MAP_FAILED);
}

static int dbl_advise(struct platform_ctx *ctx, uint32_t tag, uaddr_t addr, uint64_t len, int advice)
{
	return done(tag, op_err || madvise(place(addr), len, advice) == 0);
}

static bool dbl_ops_pending(struct platform_ctx *ctx)
{
	return false;
}

static const struct platform_ops double_ops = {
	.name = "double",
	.map_anon = dbl_map_anon,
	.map_file = dbl_map_file,
	.unmap = dbl_unmap,
	.protect = dbl_protect,
	.remap = dbl_remap,
	.advise = dbl_advise,
	.ops_pending = dbl_ops_pending,
};

static struct thread_group group;
static struct task task = {.tg = &group, .comm = "test", .ctx = (struct platform_ctx *)&task};
static int file_fd;
static struct hostfd *file_host;

// A word of it, or -1 if it can't be read (beyond its object's end, too).
static int64_t peek(void *p)
{
	int64_t word;
	const struct iovec to = {&word, sizeof(word)}, from = {p, sizeof(word)};

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(word) ? word : -1;
}

// --- the two sides of one call; both answer an address, 0 or -errno

static long native(void *p)
{
	return p == MAP_FAILED ? -errno : (long)p;
}

static long after_ops(long ret)
{
	if (op_err) {
		mm_op_failed(&task, op_err_tag, op_err);
		ret = -op_err;
		op_err = 0;
	}
	return ret;
}

static void both_map(uaddr_t addr, uint64_t len, int prot, int flags, bool file, uint64_t offset, long *a, long *b)
{
	struct vm_backing backing = {.hostfd = file ? hostfd_get(file_host) : NULL, .offset = offset};
	uaddr_t where;
	int err;

	*a = native(mmap((void *)addr, len, prot, flags, file ? file_fd : -1, offset));
	err = mm_map(&task, addr, len, prot, flags, NULL, offset, file ? &backing : NULL, NULL, &where);
	*b = after_ops(err ? err : (long)where);
}

static void both_remap(uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, long *a, long *b)
{
	uaddr_t where;
	int err;

	*a = native(mremap((void *)addr, len, new_len, flags, (void *)new_addr));
	err = mm_remap(&task, addr, len, new_len, flags, new_addr, &where);
	*b = after_ops(err ? err : (long)where);
	if (*a > 0 && (uaddr_t)*a != addr && !(flags & MREMAP_FIXED)) { // places may differ: it leaves the comparison
		assert_true(*b > 0);
		assert_int_equal(peek((void *)*a), peek(place(*b)));
		munmap((void *)*a, PAGE_ALIGN(new_len));
		mm_unmap(&task, *b, new_len);
		after_ops(0);
		*a = *b = 1;
	}
}

// --- what the host says of a window, and the tree of it

struct page {
	char perms[5];
	uint64_t offset; // of a file's page
	bool file;
};

static void note_line(const char *line, uint64_t base, struct page out[PAGES])
{
	uint64_t start, end, offset;
	char perms[5];

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64, &start, &end, perms, &offset) != 4)
		return;
	for (uint64_t at = MAX(start, base); at < MIN(end, base + PAGES * PAGE_SIZE); at += PAGE_SIZE) {
		struct page *p = &out[(at - base) / PAGE_SIZE];

		memcpy(p->perms, perms, sizeof(perms));
		p->file = strstr(line, "memfd:file");
		p->offset = p->file ? offset + (at - start) : 0;
	}
}

static void read_maps(struct page native_pages[PAGES], struct page mm_pages[PAGES])
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	memset(native_pages, 0, PAGES * sizeof(*native_pages));
	memset(mm_pages, 0, PAGES * sizeof(*mm_pages));
	while (fgets(line, sizeof(line), f)) {
		note_line(line, NATIVE, native_pages);
		note_line(line, NATIVE + DELTA, mm_pages);
	}
	fclose(f);
}

static void read_tree(struct mm *mm, struct page out[PAGES])
{
	struct vma *v, *prev = NULL;

	memset(out, 0, PAGES * sizeof(*out));
	RB_FOREACH(v, vma_tree, &mm->vmas) {
		assert_true(v->start < v->end && !(v->start & ~PAGE_MASK) && !(v->end & ~PAGE_MASK));
		assert_true(!prev || prev->end <= v->start);
		prev = v;
		for (uint64_t at = MAX(v->start, NATIVE); at < MIN(v->end, WINDOW_END); at += PAGE_SIZE) {
			struct page *p = &out[(at - NATIVE) / PAGE_SIZE];

			p->perms[0] = v->prot & PROT_READ ? 'r' : '-';
			p->perms[1] = v->prot & PROT_WRITE ? 'w' : '-';
			p->perms[2] = v->prot & PROT_EXEC ? 'x' : '-';
			p->perms[3] = v->flags & MAP_SHARED ? 's' : 'p';
			p->file = v->hostfd == file_host;
			p->offset = p->file ? v->host_offset + (at - v->start) : 0;
		}
	}
}

static void check_sums(struct mm *mm)
{
	uint64_t total = 0, data = 0;
	struct vma *v;
	int count = 0;

	RB_FOREACH(v, vma_tree, &mm->vmas) {
		total += v->end - v->start;
		data += (v->prot & PROT_WRITE) && (v->flags & MAP_PRIVATE) ? v->end - v->start : 0;
		count++;
	}
	assert_int_equal(mm->total_bytes, total);
	assert_int_equal(mm->data_bytes, data);
	assert_int_equal(mm->nvmas, count);
}

static long page_nr(uaddr_t addr)
{
	return (addr - NATIVE) / PAGE_SIZE;
}

static void compare(const char *what, long a, long b)
{
	struct page n[PAGES], m[PAGES], t[PAGES];

	read_maps(n, m);
	read_tree(task.mm, t);
	if (a != b && getenv("MM_TEST_VERBOSE")) {
		struct vma *v;

		RB_FOREACH(v, vma_tree, &task.mm->vmas)
			fprintf(stderr, "%ld-%ld prot %d flags %x advice %d host %p+%lx\n", page_nr(v->start), page_nr(v->end), v->prot,
				v->flags, v->advice, (void *)v->hostfd, v->host_offset);
	}
	if (a != b)
		fail_msg("%s: natively %ld, here %ld", what, a, b);
	for (int i = 0; i < PAGES; i++) {
		uaddr_t at = NATIVE + i * PAGE_SIZE;

		if (memcmp(&n[i], &m[i], sizeof(n[i])) || memcmp(&n[i], &t[i], sizeof(n[i])))
			fail_msg("%s: page %d: natively %s %lx, here %s %lx, tree %s %lx", what, i, n[i].perms, n[i].offset, m[i].perms,
				 m[i].offset, t[i].perms, t[i].offset);
		if (peek((void *)at) != peek(place(at)))
			fail_msg("%s: page %d: contents differ", what, i);
		if (n[i].perms[0] == 'r' && n[i].perms[1] == 'w' && n[i].perms[3] == 'p' && random() % 4 == 0) {
			*(uint64_t *)at = random();
			*(uint64_t *)place(at) = *(uint64_t *)at;
		}
	}
	check_sums(task.mm);
}

static uaddr_t random_page(void)
{
	return NATIVE + random() % (PAGES - 8) * PAGE_SIZE;
}

static uint64_t random_len(void)
{
	return random() % 20 == 0 ? random() % (2 * PAGE_SIZE) : (1 + random() % 8) * PAGE_SIZE;
}

static void random_call(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC},
			 advices[] = {MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
				      MADV_KEEPONFORK, MADV_COLD, MADV_FREE},
			 remaps[] = {0, 0, MREMAP_MAYMOVE, MREMAP_MAYMOVE | MREMAP_FIXED, MREMAP_MAYMOVE | MREMAP_FIXED,
				     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, MREMAP_FIXED};
	uaddr_t addr = random_page(), to = random_page();
	uint64_t len = random_len(), new_len = random() % 3 ? len : random_len(), offset = random() % 16 * PAGE_SIZE;
	int prot = prots[random() % ARRAY_LEN(prots)], advice = advices[random() % ARRAY_LEN(advices)];
	int how = remaps[random() % ARRAY_LEN(remaps)];
	int flags = (random() % 4 ? MAP_FIXED : MAP_FIXED_NOREPLACE) | (random() % 3 ? MAP_PRIVATE : MAP_SHARED);
	bool file = random() % 2;
	char what[200];
	long a, b;

	if (random() % 50 == 0)
		addr += 100;
	switch (random() % 6) {
	case 0:
	case 1:
		snprintf(what, sizeof(what), "mmap page %ld len %#lx prot %d flags %#x file %d", page_nr(addr), len, prot,
			 flags, file);
		both_map(addr, len, prot, flags | (file ? 0 : MAP_ANONYMOUS), file, offset, &a, &b);
		break;
	case 2:
		snprintf(what, sizeof(what), "munmap page %ld len %#lx", page_nr(addr), len);
		a = munmap((void *)addr, len) < 0 ? -errno : 0;
		b = after_ops(mm_unmap(&task, addr, len));
		break;
	case 3:
		snprintf(what, sizeof(what), "mprotect page %ld len %#lx prot %d", page_nr(addr), len, prot);
		a = mprotect((void *)addr, len, prot) < 0 ? -errno : 0;
		b = after_ops(mm_protect(&task, addr, len, prot));
		break;
	case 4:
		snprintf(what, sizeof(what), "mremap page %ld len %#lx to page %ld len %#lx flags %d", page_nr(addr), len,
			 page_nr(to), new_len, how);
		both_remap(addr, len, new_len, how, to, &a, &b);
		break;
	default:
		snprintf(what, sizeof(what), "madvise page %ld len %#lx advice %d", page_nr(addr), len, advice);
		a = madvise((void *)addr, len, advice) < 0 ? -errno : 0;
		b = after_ops(mm_advise(&task, addr, len, advice));
	}
	if (getenv("MM_TEST_VERBOSE"))
		fprintf(stderr, "%s = %ld\n", what, a);
	compare(what, a, b);
}

static void test_random_calls_do_what_the_host_does(void **state)
{
	for (int i = 0; i < ROUNDS; i++)
		random_call();
}

static void test_a_fork_has_what_it_should(void **state)
{
	struct page parent[PAGES], child[PAGES];
	struct vma *v;
	struct mm *mm = mm_fork(&task);

	read_tree(task.mm, parent);
	RB_FOREACH(v, vma_tree, &task.mm->vmas)
		for (uint64_t at = v->start; v->advice & VMA_DONTFORK && at < v->end; at += PAGE_SIZE)
			memset(&parent[(at - NATIVE) / PAGE_SIZE], 0, sizeof(parent[0]));
	read_tree(mm, child);
	assert_memory_equal(parent, child, sizeof(parent));
	check_sums(mm);
	mm_put(mm);
}

// Maps some pages of the first 256, or unmaps them, and keeps `used` like that.
static void change_some(struct mm *mm, bool used[256], bool map)
{
	const int at = random() % 250, len = 1 + random() % 6;
	const struct vma proto = {.start = at * PAGE_SIZE, .end = (at + len) * PAGE_SIZE, .flags = MAP_PRIVATE};

	vma_clear_range(mm, proto.start, proto.end);
	if (map)
		vma_insert(mm, vma_copy(&proto));
	memset(used + at, map, len);
}

static void test_gaps_are_the_highest_that_fit(void **state)
{
	struct mm *mm = mm_create();
	bool used[256] = {0};

	for (int round = 0; round < 3000; round++) {
		int want = 1 + random() % 20, bottom = random() % 20, top = 100 + random() % 156;
		uaddr_t found, expect = 0;

		change_some(mm, used, round % 3 == 0);
		for (int i = top - want; i >= bottom && !expect; i--)
			if (i > 0 && !memchr(used + i, 1, want))
				expect = i * PAGE_SIZE;
		found = vma_find_gap(mm, want * PAGE_SIZE, bottom * PAGE_SIZE, top * PAGE_SIZE);
		if (found != expect && (bottom || found))
			fail_msg("gap of %d in [%d, %d): %lx instead of %lx", want, bottom, top, found, expect);
	}
	mm_put(mm);
}

// In crowded trees and in nearly empty ones, between any two addresses.
static void test_the_largest_hole_is_found(void **state)
{
	struct mm *mm = mm_create();
	bool used[256] = {0};

	for (int round = 0; round < 6000; round++) {
		const int share = 1 + round / 1000, bottom = random() % 257, top = random() % 257;
		uint64_t found, expect = 0, len = 0;

		change_some(mm, used, random() % 7 < share);
		for (int i = bottom; i < top; i++) {
			len = used[i] ? 0 : len + PAGE_SIZE;
			expect = MAX(expect, len);
		}
		found = vma_largest_hole(mm, bottom * PAGE_SIZE, top * PAGE_SIZE);
		if (found != expect)
			fail_msg("in [%d, %d): %lx instead of %lx", bottom, top, found, expect);
	}
	mm_put(mm);
}

static void test_limits(void **state)
{
	uaddr_t where;

	group.rlimits[RLIMIT_AS].rlim_cur = task.mm->total_bytes + 4 * PAGE_SIZE;
	assert_int_equal(mm_map(&task, 0, 5 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, NULL, NULL, &where), -ENOMEM);
	assert_int_equal(mm_map(&task, 0, 4 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, NULL, NULL, &where), 0);
	assert_int_equal(mm_remap(&task, where, PAGE_SIZE, 9 * PAGE_SIZE, MREMAP_MAYMOVE, 0, &where), -ENOMEM);
	group.rlimits[RLIMIT_AS].rlim_cur = RLIM64_INFINITY;
	assert_int_equal(mm_map(&task, APP_MAX - PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, NULL,
				NULL, &where), -ENOMEM);
	assert_int_equal(mm_map(&task, 0, UINT64_MAX - 5, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, NULL, 0, NULL, NULL, &where), -ENOMEM);
	assert_int_equal(mm_unmap(&task, PAGE_SIZE, UINT64_MAX - PAGE_SIZE + 1), -EINVAL);
	assert_int_equal(mm_protect(&task, -PAGE_SIZE, 2 * PAGE_SIZE, PROT_READ), -ENOMEM);
	assert_false(mm_range_ok(task.mm, UINT64_MAX - 5, 10, 0));
}

static int set_up(void **state)
{
	platform = &double_ops;
	for (int i = 0; i < RLIM_NLIMITS; i++)
		group.rlimits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
	srandom(getenv("MM_TEST_SEED") ? atoi(getenv("MM_TEST_SEED")) : 1);
	file_fd = memfd_create("file", 0);
	if (ftruncate(file_fd, FILE_PAGES * PAGE_SIZE) < 0)
		return -1;
	for (int i = 0; i < FILE_PAGES; i++)
		if (pwrite(file_fd, &i, sizeof(i), i * PAGE_SIZE) < 0)
			return -1;
	file_host = hostfd_create(dup(file_fd));
	task.mm = mm_create();
	task.mm->mmap_top = NATIVE - PAGE_SIZE; // moved mappings land below the windows
	return 0;
}

static int tear_down(void **state)
{
	mm_put(task.mm);
	assert_int_equal(file_host->ref.count, 1);
	hostfd_put(file_host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gaps_are_the_highest_that_fit),
		cmocka_unit_test(test_the_largest_hole_is_found),
		cmocka_unit_test(test_random_calls_do_what_the_host_does),
		cmocka_unit_test(test_a_fork_has_what_it_should),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
