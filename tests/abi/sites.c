/* The places where calls are made: what a system may do to their code in order to be fast mustn't be seen by the program.
   Each site is used often, and then looked at: registers, flags, red zone, jumps into it, threads, signals, code that changes. */
#include "abi.h"
#include <pthread.h>
#include <sys/auxv.h>
#include <ucontext.h>

enum { OFTEN = 60, PAGE = 4096 };

/* mov $nr,%eax; syscall; ret, and beside it the shapes of a libc's wrappers */
#define ENTER "\n\t.globl "
/* rdi: uint64_t[16] in and out: rbx rbp r12-r15 rsi rdx r10 r8 r9, flags, rax out; 16 bytes deep in the red zone, too */
#define SITE_ALL(name, call) ENTER name "\n" \
    ".balign 64\n" name ":\n\tpush %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\tpush %rdi\n" \
    "\tpushq 88(%rdi)\n\tmov 0(%rdi), %rbx\n\tmov 8(%rdi), %rbp\n\tmov 16(%rdi), %r12\n\tmov 24(%rdi), %r13\n\tmov 32(%rdi), %r14\n" \
    "\tmov 40(%rdi), %r15\n\tmov 48(%rdi), %rsi\n\tmov 56(%rdi), %rdx\n\tmov 64(%rdi), %r10\n\tmov 72(%rdi), %r8\n\tmov 80(%rdi), %r9\n" \
    "\tpopfq\n\tmov %rbx, -16(%rsp)\n\tmov %rbp, -120(%rsp)\n\tmov $-1, %rdi\n\t" call "\n" \
    "\tmov -16(%rsp), %rcx\n\tmov -120(%rsp), %r11\n\tpushfq\n\tcld\n\tmov 8(%rsp), %rdi\n\tpopq 88(%rdi)\n" \
    "\tmov %rbx, 0(%rdi)\n\tmov %rbp, 8(%rdi)\n\tmov %r12, 16(%rdi)\n\tmov %r13, 24(%rdi)\n\tmov %r14, 32(%rdi)\n\tmov %r15, 40(%rdi)\n" \
    "\tmov %rsi, 48(%rdi)\n\tmov %rdx, 56(%rdi)\n\tmov %r10, 64(%rdi)\n\tmov %r8, 72(%rdi)\n\tmov %r9, 80(%rdi)\n\tmov %rax, 96(%rdi)\n" \
    "\tmov %rcx, 104(%rdi)\n\tmov %r11, 112(%rdi)\n" \
    "\tpop %rdi\n\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n"

asm(".text"
    ENTER "site_mov, site_mov_middle\n"
    ".balign 64\nsite_mov:\n\tmov $3, %eax\nsite_mov_middle:\n\tsyscall\n\tret"
    ENTER "site_movq, site_movq_middle\n"
    ".balign 64\nsite_movq:\n\tmov $3, %rax\nsite_movq_middle:\n\tsyscall\n\tret"
    ENTER "site_cmp, site_cmp_call, site_cmp_middle\n"
    ".balign 64\nsite_cmp:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\nsite_cmp_call:\n\tsyscall\nsite_cmp_middle:\n\tcmp $-4095, %rax\n"
    "\tsbb %rdx, %rdx\n\tret"
    ENTER "site_cmpl\n"
    ".balign 64\nsite_cmpl:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tsyscall\n\tcmp $-4095, %eax\n\tjae 1f\n\tret\n1:\tmov $-1, %rax\n\tret"
    SITE_ALL("site_all", "mov $3, %eax\n\tsyscall")
    SITE_ALL("site_lea_all", "mov $3, %eax\n\tlea 0x7654321(%r8), %rdi\n\tsyscall")
    SITE_ALL("site_lea_rip_all", "mov $3, %eax\n\tlea 0x7654321(%rip), %rdi\n\tsyscall")
    SITE_ALL("site_behind_all", "mov $3, %eax\n\tnop\n\tsyscall\n\tmov %rdi, %rdi\n\tlea 0(%rbx), %rbx")
    ENTER "site_lea\n"
    ".balign 64\nsite_lea:\n\tpush %rbx\n\tmov %rdi, %rax\n\tlea -0x1234(%rsi), %rbx\n\tlea 0x1234(%rbx), %rdi\n\tsyscall\n"
    "\tpop %rbx\n\tret"
    ENTER "site_lea_r13, site_lea_r12, site_lea_rip\n"
    ".balign 64\nsite_lea_r13:\n\tpush %r13\n\tmov $21, %eax\n\tlea -0x1234(%rsi), %r13\n\tlea 0x1234(%r13), %rsi\n\tsyscall\n\tpop %r13\n\tret\n"
    "site_lea_r12:\n\tpush %r12\n\tmov $21, %eax\n\tlea -0x1234(%rsi), %r12\n\tlea 0x1234(%r12), %rsi\n\tsyscall\n\tpop %r12\n\tret\n"
    "site_lea_rip:\n\tmov $21, %eax\n\txor %esi, %esi\n\tlea 1f(%rip), %rdi\n\tsyscall\n\tret\n1:\t.asciz \"/\""
    ENTER "site_lea_cmp\n"
    ".balign 64\nsite_lea_cmp:\n\tmov %rdi, %rax\n\tmov %rsi, %r9\n\tlea 0x1000(%r9), %rdi\n\tsyscall\n\tcmp $-4095, %rax\n\tjae 1f\n\tret\n"
    "1:\tmov $-1, %rax\n\tret"
    ENTER "site_not_mov\n" /* the last bytes of mov $700,%r8d look like mov $700,%eax */
    ".balign 64\nsite_not_mov:\n\tmov $9, %eax\n\tmov $2, %r10d\n\txor %r9d, %r9d\n\tmov $700, %r8d\n\tsyscall\n\tret\n");

long site_mov(long fd), site_movq(long fd), site_cmp(long nr, long a), site_cmpl(long nr, long a);
void site_all(uint64_t regs[16]), site_lea_all(uint64_t regs[16]), site_lea_rip_all(uint64_t regs[16]), site_behind_all(uint64_t regs[16]);
long site_lea(long nr, long a), site_lea_r12(const char *path, long mode), site_lea_r13(const char *path, long mode), site_lea_rip(void);
long site_lea_cmp(long nr, long a), site_not_mov(void *addr, size_t len, long prot);
static void (*const all_sites[])(uint64_t regs[16]) = {site_all, site_lea_all, site_lea_rip_all, site_behind_all};
extern char site_mov_middle[], site_movq_middle[], site_cmp_call[], site_cmp_middle[];

static long call_at(void *at, long rax, long rdi)
{
	long ret;
	asm volatile("sub $128, %%rsp\n\tcall *%[at]\n\tadd $128, %%rsp" : "=a"(ret), "+D"(rdi) : [at] "r"(at), "a"(rax)
		     : "rcx", "r11", "rdx", "memory", "cc");
	return ret;
}

CASE(results_and_arguments)
{
	for (int i = 0; i < OFTEN; i++) {
		EQ(site_mov(-1), -EBADF);
		EQ(site_movq(-1), -EBADF);
		EQ(site_cmp(SYS_getpid, 0), getpid());
		EQ(site_cmp(SYS_close, -1), -EBADF);
		EQ(site_cmp(SYS_getppid, 0), getppid());
		EQ(site_cmpl(SYS_close, -1), -1);
		EQ(site_cmpl(SYS_getpid, 0), getpid());
		EQ(site_lea(SYS_close, -1), -EBADF);
		EQ(site_lea(SYS_getpid, 0), getpid());
		EQ(site_lea_r12("/", 0), 0);
		EQ(site_lea_r12("/", 0x100), -EINVAL);
		EQ(site_lea_r13("/", 0), 0);
		EQ(site_lea_r13("/", 0x100), -EINVAL);
		EQ(site_lea_rip(), 0);
		EQ(site_lea_cmp(SYS_close, -1 - 0x1000), -1);
		EQ(site_lea_cmp(SYS_getppid, 0), getppid());
		EQ(site_not_mov(NULL, PAGE, PROT_READ), -EBADF);
		EQ(site_cmp(100000, 0), -ENOSYS);
		EQ(site_cmp(-1, 0), -ENOSYS);
	}
}

CASE(registers_flags_and_red_zone)
{
	static const uint64_t flags[] = {0x202, 0xad7, 0x203, 0xa02, 0x242, 0x282, 0x606, 0x216, 0xed7};

	for (int i = 0; i < OFTEN * 8; i++) {
		uint64_t r[16], want[16];
		for (int j = 0; j < 11; j++)
			r[j] = 0x0123456789abcdef * (j + 3) + i;
		r[11] = flags[i / 4 % 9];
		memcpy(want, r, sizeof r);
		all_sites[i % 4](r);
		for (int j = 0; j < 11; j++)
			EQ(r[j], want[j]);
		EQ(r[11] & 0xed7, want[11] & 0xed7);
		EQ((long)r[12], -EBADF);
		EQ(r[13], want[0]);
		EQ(r[14], want[1]);
	}
}

CASE(vector_registers)
{
	for (int i = 0; i < OFTEN; i++) {
		uint64_t in[2] = {0x1111111111111111u * (i % 15), ~0ull - i}, out[2];
		long ret, a = -1;
		asm volatile("movdqu %[in], %%xmm7\n\tsub $128, %%rsp\n\tcall site_mov\n\tadd $128, %%rsp\n\tmovdqu %%xmm7, %[out]"
			     : "=a"(ret), [out] "=m"(out), "+D"(a) : [in] "m"(in) : "rcx", "r11", "xmm7", "memory", "cc");
		EQ(ret, -EBADF);
		CHECK(memcmp(in, out, sizeof in) == 0);
	}
}

CASE(jump_into_the_middle)
{
	for (int i = 0; i < OFTEN; i++) {
		EQ(site_mov(-1), -EBADF);
		EQ(site_movq(-1), -EBADF);
		EQ(site_cmp(SYS_close, -1), -EBADF);
		EQ(call_at(site_mov_middle, SYS_getpid, 0), getpid());
		EQ(call_at(site_movq_middle, SYS_getpid, 0), getpid());
		EQ(call_at(site_cmp_call, SYS_getpid, 0), getpid());
		EQ(site_lea(SYS_close, -1), -EBADF);
		EQ(call_at(site_cmp_middle, 77, 0), 77);
		EQ(call_at(site_cmp_middle, -77, 0), -77);
	}
}

/* --- code made at run time */

static const uint8_t code_close[] = {0xb8, 3, 0, 0, 0, 0x0f, 5, 0xc3}, code_getpid[] = {0xb8, 39, 0, 0, 0, 0x0f, 5, 0xc3};

static char *pages(int n, int prot)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static long run(void *code)
{
	return ((long (*)(long))code)(-1);
}

static void run_often(void *code, long want)
{
	for (int i = 0; i < OFTEN; i++)
		EQ(run(code), want);
}

CASE(straddles_a_page)
{
	char *p = pages(2, PROT_READ | PROT_WRITE);

	for (int at = PAGE - 7; at < PAGE; at++)
		memset(p + at, 0x90, 1);
	for (int at = PAGE - 8; at <= PAGE; at++) {
		OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE));
		memcpy(p + at, code_close, sizeof code_close);
		OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_EXEC));
		run_often(p + at, -EBADF);
	}
}

/* Code in two pages, of which one comes to be another or gets another protection. */
static char *straddling(int fd, int at)
{
	char *p;

	EQ(pwrite(fd, code_close, sizeof code_close, PAGE - at), sizeof code_close);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED);
	run_often(p + PAGE - at, -EBADF);
	return p;
}

static void dies_running(void *code)
{
	pid_t pid = CHILD({ run(code); });

	KILLED(pid, SIGSEGV);
}

CASE(straddled_pages_part)
{
	for (int at = 1; at < 7; at++) {
		int fd = memfd_create("code", 0);
		char *p;

		OK(ftruncate(fd, 2 * PAGE));
		for (int page = 0; page < 2; page++) {
			p = straddling(fd, at);
			OK(madvise(p + page * PAGE, PAGE, MADV_DONTNEED));
			run_often(p + PAGE - at, -EBADF);
			CHECK(mmap(p + page * PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, page * PAGE) == p + page * PAGE);
			run_often(p + PAGE - at, -EBADF);
			OK(mprotect(p + page * PAGE, PAGE, PROT_NONE));
			dies_running(p + PAGE - at);
			OK(mprotect(p + (1 - page) * PAGE, PAGE, PROT_READ | PROT_WRITE)); /* which leaves the other as it is */
			p[(1 - page) * PAGE] = p[(1 - page) * PAGE];
			OK(mprotect(p + (1 - page) * PAGE, PAGE, PROT_READ | PROT_EXEC));
			dies_running(p + PAGE - at);
			OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_EXEC));
			run_often(p + PAGE - at, -EBADF);
			OK(munmap(p + page * PAGE, PAGE));
			dies_running(p + PAGE - at);
			CHECK(mmap(p + page * PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, page * PAGE) == p + page * PAGE);
			run_often(p + PAGE - at, -EBADF);
			OK(munmap(p, 2 * PAGE));
		}
		p = straddling(fd, at);
		OK(mprotect(p, 2 * PAGE, PROT_NONE));
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		p[0] = 0;
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		dies_running(p + PAGE - at);
		OK(mprotect(p + PAGE, PAGE, PROT_READ | PROT_EXEC));
		run_often(p + PAGE - at, -EBADF);
		close(fd);
	}
}

CASE(rewritten_with_mprotect)
{
	char *p = pages(1, PROT_READ | PROT_WRITE);

	for (int i = 0; i < 5; i++) {
		memcpy(p + 100, code_close, sizeof code_close);
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		run_often(p + 100, -EBADF);
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		CHECK(memcmp(p + 100, code_close, sizeof code_close) == 0);
		p[101] = 39; /* the number alone */
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		run_often(p + 100, getpid());
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	}
}

CASE(rewritten_in_place)
{
	char *p = pages(1, PROT_READ | PROT_WRITE | PROT_EXEC);

	memcpy(p, code_close, sizeof code_close);
	run_often(p, -EBADF);
	p[1] = 39;
	run_often(p, getpid());
	CHECK(memcmp(p, code_getpid, sizeof code_getpid) == 0);
}

CASE(rewritten_through_a_shared_view)
{
	int fd = memfd_create("code", 0);
	char *w, *x;

	OK(ftruncate(fd, PAGE));
	w = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	CHECK(w != MAP_FAILED && x != MAP_FAILED);
	memcpy(w, code_close, sizeof code_close);
	run_often(x, -EBADF);
	CHECK(memcmp(w, code_close, sizeof code_close) == 0);
	w[1] = 39;
	run_often(x, getpid());
}

CASE(file_text_dropped_and_mapped_over)
{
	int fd = memfd_create("code", 0);
	char *x;

	EQ(write(fd, code_close, sizeof code_close), sizeof code_close);
	OK(ftruncate(fd, PAGE));
	x = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	CHECK(x != MAP_FAILED);
	run_often(x, -EBADF);
	OK(madvise(x, PAGE, MADV_DONTNEED));
	run_often(x, -EBADF);
	EQ(pwrite(fd, code_getpid, sizeof code_getpid, 0), sizeof code_getpid);
	CHECK(mmap(x, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) == x);
	run_often(x, getpid());
	OK(munmap(x, PAGE));
	CHECK(mmap(x, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == x);
	memcpy(x, code_close, sizeof code_close);
	OK(mprotect(x, PAGE, PROT_READ | PROT_EXEC));
	run_often(x, -EBADF);
}

CASE(moved)
{
	char *p = pages(1, PROT_READ | PROT_WRITE), *q = pages(1, PROT_NONE);

	memcpy(p, code_close, sizeof code_close);
	OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	run_often(p, -EBADF);
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	CHECK(memcmp(q, code_close, sizeof code_close) == 0);
	run_often(q, -EBADF);
}

/* --- threads, forks, signals */

enum { THREADS = 4, ROUNDS = 40, CALLS = 30 };
static char *race_code;
static pthread_barrier_t race_start;

static void *racer(void *arg)
{
	for (int r = 0; r < ROUNDS; r++) {
		pthread_barrier_wait(&race_start);
		for (int i = 0; i < CALLS; i++)
			if (run(race_code + r * 16) != -EBADF)
				return (void *)1;
	}
	return arg;
}

static void race_prepare(void)
{
	race_code = pages(1, PROT_READ | PROT_WRITE);
	for (int r = 0; r < ROUNDS; r++)
		memcpy(race_code + r * 16, code_close, sizeof code_close);
	OK(mprotect(race_code, PAGE, PROT_READ | PROT_EXEC));
}

CASE(threads_race_through_new_sites)
{
	pthread_t t[THREADS];

	race_prepare();
	pthread_barrier_init(&race_start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&t[i], NULL, racer, NULL) == 0);
	for (int i = 0; i < THREADS; i++) {
		void *bad;
		CHECK(pthread_join(t[i], &bad) == 0);
		CHECK(!bad);
	}
}

/* mov %esi,%eax; syscall; cmp $-4095,%rax; ret */
static const uint8_t code_cmp[] = {0x89, 0xf0, 0x0f, 5, 0x48, 0x3d, 1, 0xf0, 0xff, 0xff, 0xc3};

/* mov $3,%eax; lea 0x1000(%rsi),%rdi; syscall; ret */
static const uint8_t code_lea[] = {0xb8, 3, 0, 0, 0, 0x48, 0x8d, 0xbe, 0, 0x10, 0, 0, 0x0f, 5, 0xc3};

static void *lea_racer(void *arg)
{
	for (int r = 0; r < ROUNDS; r++) {
		pthread_barrier_wait(&race_start);
		for (int i = 0; i < CALLS; i++)
			if (((long (*)(long, long))(race_code + r * 16))(0, -1 - 0x1000) != -EBADF)
				return (void *)1;
	}
	return arg;
}

static void *cmp_racer(void *arg)
{
	for (int r = 0; r < ROUNDS; r++) {
		pthread_barrier_wait(&race_start);
		for (int i = 0; i < CALLS; i++)
			if (((long (*)(long, long))(race_code + r * 16))(-1, i % 2 ? SYS_close : SYS_sched_yield) != (i % 2 ? -EBADF : 0))
				return (void *)1;
	}
	return arg;
}

static void race(const uint8_t *code, size_t len, void *(*racer_of)(void *))
{
	for (int again = 0; again < 5; again++) {
		pthread_t t[THREADS];

		race_code = pages(1, PROT_READ | PROT_WRITE);
		for (int r = 0; r < ROUNDS; r++)
			memcpy(race_code + r * 16, code, len);
		OK(mprotect(race_code, PAGE, PROT_READ | PROT_EXEC));
		pthread_barrier_init(&race_start, NULL, THREADS);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_create(&t[i], NULL, racer_of, NULL) == 0);
		for (int i = 0; i < THREADS; i++) {
			void *bad;
			CHECK(pthread_join(t[i], &bad) == 0);
			CHECK(!bad);
		}
	}
}

CASE(threads_come_back_to_new_sites)
{
	race(code_cmp, sizeof code_cmp, cmp_racer);
}

CASE(threads_race_through_new_sites_with_a_lea)
{
	race(code_lea, sizeof code_lea, lea_racer);
}

CASE(fork_amid_new_sites)
{
	pthread_t t[2];

	race_prepare();
	pthread_barrier_init(&race_start, NULL, 2);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, racer, NULL) == 0);
	for (int i = 0; i < 15; i++) {
		int status;
		pid_t p = fork();
		if (p == 0) {
			for (int r = 0; r < ROUNDS; r++)
				for (int j = 0; j < 6; j++)
					if (run(race_code + r * 16) != -EBADF)
						_exit(1);
			_exit(0);
		}
		EQ(waitpid(p, &status, 0), p);
		EQ(status, 0);
	}
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
}

static volatile sig_atomic_t hits;
static volatile uint64_t seen_by_handler;
static volatile bool handler_sees_bad;
static volatile bool stop;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	const greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	uint64_t start = (uint64_t)site_mov, rip = g[REG_RIP];

	if (rip > start && rip < start + 7 && rip != start + 5) /* inside an instruction */
		handler_sees_bad = true;
	hits++;
}

/* kill(2), and what libc returns from handlers by: both go on elsewhere than behind their call. */
static void spoil(int sig)
{
	asm volatile("pcmpeqd %%xmm7, %%xmm7\n\tpcmpeqd %%xmm15, %%xmm15\n\tcmp %%rax, %%rax" ::: "xmm7", "xmm15", "cc");
	seen_by_handler = sig;
	hits++;
}

static void *call_on(void *stop)
{
	while (!*(volatile int *)stop)
		EQ(site_mov(-1), -EBADF);
	return NULL;
}

/* Sites that only children come from, each of them once: their parent, with one thread or two, and those who come later find them as they were. */
CASE(only_children_come_from_here)
{
	char *p = pages(1, PROT_READ | PROT_WRITE);
	pthread_t t;
	int stop = 0;

	for (int round = 0; round < 4; round++) {
		const uint8_t *code = round % 2 ? code_getpid : code_close;
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		if (round)
			CHECK(memcmp(p, round % 2 ? code_close : code_getpid, sizeof code_close) == 0);
		memcpy(p, code, sizeof code_close);
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		if (round == 2)
			CHECK(pthread_create(&t, NULL, call_on, &stop) == 0);
		for (int i = 0; i < 12; i++) {
			pid_t pid = fork();
			int status;

			OK(pid);
			if (pid == 0)
				_exit(run(p) != (round % 2 ? getpid() : -EBADF) || site_lea(SYS_close, -1) != -EBADF);
			EQ(waitpid(pid, &status, 0), pid);
			EQ(status, 0);
		}
		EQ(run(p), round % 2 ? getpid() : -EBADF);
	}
	stop = 1;
	CHECK(pthread_join(t, NULL) == 0);
}

CASE(calls_that_go_on_elsewhere)
{
	struct sigaction sa = {.sa_handler = spoil};
	long ret, pid = getpid();

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < OFTEN; i++) {
		uint64_t in[2] = {0x1111111111111111u * (i % 15), ~0ull - i}, out[2], rbx = i * 3, r9 = i * 5, flags;

		asm volatile("movdqu %[in], %%xmm7\n\tmov %[r9], %%r9\n\tsub $128, %%rsp\n\tmov $62, %%eax\n\tstc\n\tsyscall\n\tpushfq\n\tpop %[flags]\n\t"
			     "add $128, %%rsp\n\tmov %%r9, %[r9]\n\tmovdqu %%xmm7, %[out]"
			     : "=a"(ret), [out] "=m"(out), "+b"(rbx), [r9] "+m"(r9), [flags] "=&r"(flags)
			     : "D"(pid), "S"((long)SIGUSR1), [in] "m"(in)
			     : "rcx", "r11", "r9", "xmm7", "memory", "cc");
		EQ(ret, 0);
		EQ(hits, 2 * i + 1);
		EQ(seen_by_handler, SIGUSR1);
		CHECK(memcmp(in, out, sizeof in) == 0);
		EQ(rbx, i * 3);
		EQ(r9, i * 5);
		EQ(flags & 1, 1);
		OK(kill(pid, SIGUSR1));
		EQ(hits, 2 * i + 2);
	}
}

static void *signaller(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (!stop && hits < 2000) {
		pthread_kill(target, SIGUSR1);
		for (volatile int i = 0; i < 2000; i++)
			;
	}
	return NULL;
}

CASE(signals_amid_calls)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t me = pthread_self(), t;

	OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK(pthread_create(&t, NULL, signaller, &me) == 0);
	for (int i = 0; (i < 200000 && hits < 300) || !hits; i++) {
		uint64_t r[16] = {0}, want[16];
		for (int j = 0; j < 11; j++)
			r[j] = 0x9e3779b97f4a7c15 * (j + 1) + i;
		r[11] = i & 1 ? 0x202 : 0xad7;
		memcpy(want, r, sizeof r);
		all_sites[i % 4](r);
		CHECK(memcmp(r, want, 88) == 0);
		EQ(r[11] & 0xcd5, want[11] & 0xcd5);
		EQ((long)r[12], -EBADF);
		EQ(site_mov(-1), -EBADF);
		EQ(site_cmp(SYS_getpid, 0), getpid());
		EQ(site_cmp(SYS_close, -1), -EBADF);
	}
	stop = true;
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(hits > 0);
	CHECK(!handler_sees_bad);
}

static int pipe_fds[2];

static void on_alarm(int sig, siginfo_t *si, void *ctx)
{
	if (++hits >= 3)
		CHECK(write(pipe_fds[1], "x", 1) == 1);
}

static void *alarmer(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	for (int i = 0; i < 3; i++) {
		EVENTUALLY(hits == i && proc_state(getpid()) == 'S');
		pthread_kill(target, SIGUSR1);
	}
	return NULL;
}

CASE(restarted_call)
{
	struct sigaction sa = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t me = pthread_self(), t;
	char c = 0;

	OK(pipe(pipe_fds));
	for (int i = 0; i < OFTEN; i++) { /* read() in libc is a patched site by then */
		EQ(write(pipe_fds[1], "y", 1), 1);
		EQ(read(pipe_fds[0], &c, 1), 1);
	}
	OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK(pthread_create(&t, NULL, alarmer, &me) == 0);
	EQ(read(pipe_fds[0], &c, 1), 1);
	EQ(c, 'x');
	CHECK(pthread_join(t, NULL) == 0);
	sa.sa_flags = SA_SIGINFO;
	hits = 0;
	OK(sigaction(SIGUSR1, &sa, NULL));
	CHECK(pthread_create(&t, NULL, alarmer, &me) == 0);
	EQ(read(pipe_fds[0], &c, 1), -1);
	EQ(errno, EINTR);
	CHECK(pthread_join(t, NULL) == 0);
}

CASE(an_own_gs_base)
{
	static uint64_t area[64 << 10];

	if (!(getauxval(AT_HWCAP2) & 2))
		SKIP("no FSGSBASE");
	run_often(site_mov, -EBADF);
	asm volatile("wrgsbase %0" ::"r"(area));
	run_often(site_mov, -EBADF);
	run_often(site_movq, -EBADF);
	for (int i = 0; i < OFTEN; i++) {
		EQ(site_cmp(SYS_close, -1), -EBADF);
		EQ(site_lea(SYS_close, -1), -EBADF);
	}
	for (size_t i = 0; i < sizeof area / sizeof area[0]; i++)
		EQ(area[i], 0);
	asm volatile("wrgsbase %0" ::"r"(8ul));
	run_often(site_mov, -EBADF);
	for (int i = 0; i < OFTEN; i++)
		EQ(site_lea(SYS_close, -1), -EBADF);
	for (int i = 0; i < OFTEN; i++)
		EQ(site_cmp(SYS_getpid, 0), getpid());
	asm volatile("wrgsbase %0" ::"r"(0ul));
}
