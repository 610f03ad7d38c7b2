/* Calls whose instruction stands alone, with anything behind it: what a system does to such code in order to be fast mustn't be seen by the
   program. Each site is used often, and then entered at every place, stepped through, interrupted, taken apart by threads and forks. */
#include "abi.h"
#include <pthread.h>
#include <ucontext.h>

enum { OFTEN = 30, PAGE = 4096, TF = 0x100 };

/* rdi: the number, rsi: the first argument */
#define BEHIND(name, ...) "\n\t.globl " name ", " name "_call, " name "_end\n.balign 64\n" name ":\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n" \
    name "_call:\n\tsyscall\n" __VA_ARGS__ "\n" name "_end:\n\tret\n\tnopw 0(%rax,%rax,1)\n"

asm(".text"
    BEHIND("b_mov", "\tmov %rax, %rdx\n\tmov %rdx, %rax\n")
    BEHIND("b_call", "\tmov %rax, %rdi\n\tcall plus_one\n")
    BEHIND("b_store", "\tmov %eax, -8(%rsp)\n\tmovslq -8(%rsp), %rax\n")
    BEHIND("b_imm", "\tmovq $-5, -16(%rsp)\n\tadd -16(%rsp), %rax\n")
    BEHIND("b_jcc", "\ttest %eax, %eax\n\tjs 1f\n\tmov $1, %eax\n\tret\n1:\tneg %eax\n")
    BEHIND("b_jump", "\tjmp 1f\n\tnop\n2:\tadd $3, %rax\n\tret\n1:\tjmp 2b\n")
    BEHIND("b_fs", "\tmov %fs:0, %rdx\n\tmov %rdx, %rax\n")
    BEHIND("b_rcx", "\tmov %rcx, %rax\n\tnop\n\tnop\n")
    BEHIND("b_lea", "\tlea 7(%rax,%rax), %rax\n")
    BEHIND("b_rip", "\tlea 1f(%rip), %rdx\n\tmov (%rdx), %edx\n\tmov %rdx, %rax\n\tret\n1:\t.long 4711\n")
    BEHIND("b_fault", "\tmov %eax, (%rdx)\n\tmov (%rdx), %eax\n\tcltq\n")
    BEHIND("b_nops", "\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n")
    "\n\t.globl b_alone, b_next, b_pops, b_hidden, b_hidden_middle\n"
    ".balign 64\nb_alone:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tsyscall\n\tret\n\tnopw 0(%rax,%rax,1)\n"
    ".balign 64\nb_close:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tsyscall\n\tret\nb_next:\n\tmov %edi, %eax\n\tadd $9, %eax\n\tret\n"
    "\t.globl b_close\n"
    ".balign 64\nb_pops:\n\tpush %r12\n\tpush %rbp\n\tpush %rbx\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tmov %rax, %rbx\n\tmov %rax, %rbp\n"
    "\tmov %rax, %r12\n\tsyscall\n\tpop %rbx\n\tpop %rbp\n\tpop %r12\n\tret\n"
    ".balign 64\nb_hidden:\n\tmov %rdi, %rax\n\tmov %rsi, %rdi\n\tsyscall\n\tmov $0x90909090, %edx\n\tret\n"
    "\t.set b_hidden_middle, b_hidden + 10\n"
    "plus_one:\n\tlea 1(%rdi), %rax\n\tret\n");

#define SITE(name) long name(long nr, long a)
SITE(b_mov); SITE(b_call); SITE(b_store); SITE(b_imm); SITE(b_jcc); SITE(b_jump); SITE(b_fs); SITE(b_rcx); SITE(b_lea); SITE(b_rip);
SITE(b_nops); SITE(b_alone); SITE(b_close); SITE(b_pops); SITE(b_hidden);
long b_fault(long nr, long a, int *at), b_next(long n);
extern char b_mov_call[], b_mov_end[], b_fault_call[], b_nops_call[], b_nops_end[], b_rcx_call[], b_hidden_middle[], b_call_call[], b_jcc_call[];

static long call_at(void *at, long rax, long rdi)
{
	long ret;
	asm volatile("sub $128, %%rsp\n\tcall *%[at]\n\tadd $128, %%rsp" : "=a"(ret), "+D"(rdi) : [at] "r"(at), "a"(rax)
		     : "rcx", "r11", "rdx", "memory", "cc");
	return ret;
}

CASE(what_is_behind_runs)
{
	long self;
	asm("mov %%fs:0, %0" : "=r"(self));
	for (int i = 0; i < OFTEN; i++) {
		EQ(b_mov(SYS_close, -1), -EBADF);
		EQ(b_mov(SYS_getpid, 0), getpid());
		EQ(b_call(SYS_getpid, 0), getpid() + 1);
		EQ(b_call(SYS_close, -1), -EBADF + 1);
		EQ(b_store(SYS_close, -1), -EBADF);
		EQ(b_imm(SYS_getppid, 0), getppid() - 5);
		EQ(b_jcc(SYS_close, -1), EBADF);
		EQ(b_jcc(SYS_sched_yield, -1), 1);
		EQ(b_jump(SYS_getpid, 0), getpid() + 3);
		EQ(b_fs(SYS_getpid, 0), self);
		EQ(b_rcx(SYS_close, -1), (long)b_rcx_call + 2);
		EQ(b_lea(SYS_getpid, 0), getpid() * 2 + 7);
		EQ(b_rip(SYS_close, -1), 4711);
		EQ(b_alone(SYS_close, -1), -EBADF);
		EQ(b_pops(SYS_close, -1), -EBADF);
		EQ(b_hidden(SYS_close, -1), -EBADF);
		EQ(b_alone(100000, -1), -ENOSYS);
	}
}

CASE(entered_at_every_place)
{
	for (int i = 0; i < 4 * OFTEN; i++) {
		EQ(b_nops(SYS_close, -1), -EBADF);
		for (int at = 2; at < 8; at++)
			EQ(call_at(b_nops_call + at, 70 + at, 0), 70 + at);
		EQ(call_at(b_nops_call, SYS_getpid, 0), getpid());
		EQ(b_mov(SYS_close, -1), -EBADF);
		EQ(call_at(b_mov_call + 2, 1234, 0), 1234);
		EQ(b_jcc(SYS_close, -1), EBADF);
		EQ(call_at(b_jcc_call + 2, -9, 0), 9);
		EQ(call_at(b_jcc_call + 2, 9, 0), 1);
		EQ(b_call(SYS_close, -1), -EBADF + 1);
		EQ(call_at(b_call_call + 2, 41, 0), 42);
		EQ(call_at(b_call_call + 5, 0, 99), 100);
		EQ(b_close(SYS_close, -1), -EBADF);
		EQ(b_next(i), i + 9);
		EQ(b_hidden(SYS_close, -1), -EBADF);
		EQ(call_at(b_hidden_middle, 5, 0), 5); /* within an instruction's constant there are others */
	}
}

/* --- faults, steps, signals */

static volatile uint64_t fault_rip, fault_addr, fault_rax;
static int *fault_page;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	const greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	fault_rip = g[REG_RIP];
	fault_addr = (uint64_t)si->si_addr;
	fault_rax = g[REG_RAX];
	mprotect(fault_page, PAGE, PROT_READ | PROT_WRITE);
}

CASE(faults_behind_a_call)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	fault_page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fault_page != MAP_FAILED);
	OK(sigaction(SIGSEGV, &sa, NULL));
	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < OFTEN; j++)
			EQ(b_fault(SYS_close, -1, fault_page), -EBADF);
		fault_page[0] = 5;
		for (int prot = PROT_NONE; prot <= PROT_READ; prot++) {
			OK(mprotect(fault_page, PAGE, prot));
			fault_rip = 0;
			EQ(b_fault(SYS_getpid, 0, fault_page + 3), getpid());
			EQ(fault_rip, (uint64_t)b_fault_call + 2);
			EQ(fault_addr, (uint64_t)(fault_page + 3));
			EQ(fault_rax, (uint64_t)getpid());
			EQ(fault_page[3], getpid());
		}
	}
}

static uint64_t steps[64];
static volatile unsigned nsteps;

static void on_step(int sig, siginfo_t *si, void *ctx)
{
	if (nsteps < 64)
		steps[nsteps++] = ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];
}

/* The places after each instruction of a site that is run with the trap flag. */
static unsigned step_through(uint64_t out[64])
{
	long ret;

	nsteps = 0;
	asm volatile("sub $128, %%rsp\n\tmov $3, %%edi\n\tmov $-1, %%rsi\n\tpushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tcall b_mov\n\tpushfq\n\t"
		     "andl $~0x100, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp"
		     : "=a"(ret) : : "rdi", "rsi", "rdx", "rcx", "r11", "memory", "cc");
	EQ(ret, -EBADF);
	memcpy(out, steps, sizeof steps);
	return nsteps;
}

CASE(stepped_through)
{
	struct sigaction sa = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
	uint64_t first[64], again[64];
	unsigned n;

	OK(sigaction(SIGTRAP, &sa, NULL));
	n = step_through(first);
	CHECK(n >= 6);
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < i; j++)
			EQ(b_mov(SYS_close, -1), -EBADF);
		EQ(step_through(again), n);
		CHECK(memcmp(first, again, n * sizeof first[0]) == 0);
	}
	for (unsigned i = 0; i < n; i++)
		if (first[i] > (uint64_t)b_mov_call && first[i] < (uint64_t)b_mov_end)
			CHECK(first[i] == (uint64_t)b_mov_call + 2 || first[i] == (uint64_t)b_mov_call + 5);
}

static volatile sig_atomic_t hits;
static volatile bool stop, sees_bad;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
	const uint64_t rip = ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP], at = rip - (uint64_t)b_mov_call;

	if (at < 8 && at != 0 && at != 2 && at != 5)
		sees_bad = true;
	hits++;
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
		EQ(b_mov(SYS_close, -1), -EBADF);
		EQ(b_call(SYS_close, -1), -EBADF + 1);
		EQ(b_pops(SYS_close, -1), -EBADF);
		EQ(b_jcc(SYS_close, -1), EBADF);
		EQ(b_store(SYS_close, -1), -EBADF);
	}
	stop = true;
	CHECK(pthread_join(t, NULL) == 0);
	CHECK(hits > 0);
	CHECK(!sees_bad);
}

CASE(a_fork_comes_back_twice)
{
	for (int i = 0; i < 12; i++) {
		int status;
		pid_t p = b_mov(SYS_fork, 0);
		if (p == 0)
			_exit(7);
		EQ(waitpid(p, &status, 0), p);
		EQ(WEXITSTATUS(status), 7);
	}
}

/* --- code made at run time */

/* mov %rdi,%rax; mov %rsi,%rdi; syscall; mov %rax,%rdi; mov %edi,%edx; mov %rdi,%rax; ret */
static const uint8_t code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x0f, 5, 0x48, 0x89, 0xc7, 0x89, 0xfa, 0x48, 0x89, 0xf8, 0xc3};

static char *pages(int n, int prot)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static long run(void *at)
{
	return ((long (*)(long, long))at)(SYS_close, -1);
}

static void run_often(void *at)
{
	for (int i = 0; i < OFTEN; i++)
		EQ(run(at), -EBADF);
}

CASE(straddles_a_page)
{
	char *p = pages(2, PROT_READ | PROT_WRITE);

	for (int at = PAGE - 17; at <= PAGE; at++) {
		OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE));
		memcpy(p + at, code, sizeof code);
		OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_EXEC));
		run_often(p + at);
		OK(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE)); /* one of them alone */
		if (at + 13 > PAGE)
			CHECK(memcmp(p + at, code, sizeof code) == 0);
		OK(mprotect(p + PAGE, PAGE, PROT_READ | PROT_EXEC));
		run_often(p + at);
	}
}

CASE(rewritten)
{
	static const int on_the_way[] = {PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE | PROT_EXEC};
	char *p = pages(1, PROT_READ | PROT_WRITE);

	for (int i = 0; i < 8; i++) {
		memcpy(p + 100, code, sizeof code);
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		run_often(p + 100);
		OK(mprotect(p, PAGE, on_the_way[i % 4]));
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		CHECK(memcmp(p + 100, code, sizeof code) == 0);
		memcpy(p + 100 + 8, "\x31\xff\x90", 3); /* xor %edi,%edi; nop */
		OK(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		for (int j = 0; j < OFTEN; j++)
			EQ(run(p + 100), 0);
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	}
}

/* --- threads and forks */

enum { THREADS = 4, ROUNDS = 40, CALLS = 30, ROOM = 32 };
static char *race_code;
static pthread_barrier_t race_start;

static void *racer(void *arg)
{
	for (int r = 0; r < ROUNDS; r++) {
		pthread_barrier_wait(&race_start);
		for (int i = 0; i < CALLS; i++)
			if (run(race_code + r * ROOM) != -EBADF)
				return (void *)1;
	}
	return arg;
}

static void race_prepare(void)
{
	race_code = pages(1, PROT_READ | PROT_WRITE);
	for (int r = 0; r < ROUNDS; r++)
		memcpy(race_code + r * ROOM, code, sizeof code);
	OK(mprotect(race_code, PAGE, PROT_READ | PROT_EXEC));
}

static void join_good(pthread_t *t, int n)
{
	for (int i = 0; i < n; i++) {
		void *bad;
		CHECK(pthread_join(t[i], &bad) == 0);
		CHECK(!bad);
	}
}

CASE(threads_race_through_new_sites)
{
	pthread_t t[THREADS];

	for (int again = 0; again < 5; again++) {
		race_prepare();
		pthread_barrier_init(&race_start, NULL, THREADS);
		for (int i = 0; i < THREADS; i++)
			CHECK(pthread_create(&t[i], NULL, racer, NULL) == 0);
		join_good(t, THREADS);
	}
}

static void *runner(void *arg)
{
	while (!stop)
		for (int r = 0; r < ROUNDS; r++)
			if (run(race_code + r * ROOM) != -EBADF)
				return (void *)1;
	return arg;
}

CASE(threads_run_while_the_page_changes)
{
	pthread_t t[2];

	race_prepare();
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&t[i], NULL, runner, NULL) == 0);
	for (int i = 0; i < 60; i++) {
		OK(mprotect(race_code, PAGE, PROT_EXEC));
		for (int r = 0; r < ROUNDS; r++)
			run(race_code + r * ROOM);
		OK(mprotect(race_code, PAGE, PROT_READ | PROT_EXEC));
		for (int j = 0; j < 6; j++)
			for (int r = 0; r < ROUNDS; r++)
				EQ(run(race_code + r * ROOM), -EBADF);
	}
	stop = true;
	join_good(t, 2);
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
					if (run(race_code + r * ROOM) != -EBADF)
						_exit(1);
			if (mprotect(race_code, PAGE, PROT_READ | PROT_WRITE) < 0)
				_exit(2);
			for (int r = 0; r < ROUNDS; r++)
				if (memcmp(race_code + r * ROOM, code, sizeof code) != 0)
					_exit(3);
			_exit(0);
		}
		EQ(waitpid(p, &status, 0), p);
		EQ(status, 0);
	}
	join_good(t, 2);
}
