/* Signals: delivery, masks, queues, information, stacks, restart, and the frame with its extended state. */
#include "abi.h"
#include <immintrin.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <ucontext.h>

static volatile sig_atomic_t count, last;
static volatile siginfo_t last_info;	/* kill() is declared "leaf": only volatile makes gcc look again */

static void on_signal(int sig)
{
	count++;
	last = sig;
}

static void on_info(int sig, siginfo_t *si, void *uc)
{
	count++;
	last = sig;
	last_info = *si;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_flags = flags };

	if (flags & SA_SIGINFO)
		sa.sa_sigaction = on_info;
	else
		sa.sa_handler = on_signal;
	OK(sigaction(sig, &sa, NULL));
}

CASE(raise_runs_handler_before_return)
{
	handle(SIGUSR1, 0);
	OK(raise(SIGUSR1));
	EQ(count, 1);
	EQ(last, SIGUSR1);
	OK(kill(getpid(), SIGUSR1));
	EQ(count, 2);
}

CASE(sigaction_gives_old)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER }, old;

	sigaddset(&sa.sa_mask, SIGUSR2);
	OK(sigaction(SIGUSR1, &sa, &old));
	CHECK(old.sa_handler == SIG_DFL);
	OK(sigaction(SIGUSR1, NULL, &old));
	CHECK(old.sa_handler == on_signal);
	CHECK((old.sa_flags & (SA_RESTART | SA_NODEFER)) == (SA_RESTART | SA_NODEFER));
	CHECK(sigismember(&old.sa_mask, SIGUSR2));
	ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	ERR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	ERR(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
	ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
	ERR(syscall(SYS_rt_sigaction, SIGUSR1, (void *)8, NULL, 8), EFAULT);
}

CASE(siginfo_of_kill)
{
	handle(SIGUSR1, SA_SIGINFO);
	OK(kill(getpid(), SIGUSR1));
	EQ(last_info.si_signo, SIGUSR1);
	EQ(last_info.si_code, SI_USER);
	EQ(last_info.si_pid, getpid());
	EQ(last_info.si_uid, getuid());
	OK(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
	EQ(last_info.si_code, SI_TKILL);
	OK(sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 123 }));
	EQ(last_info.si_code, SI_QUEUE);
	EQ(last_info.si_value.sival_int, 123);
}

static sigjmp_buf jb;

static void jump(int sig, siginfo_t *si, void *uc)
{
	last_info = *si;
	last = sig;
	siglongjmp(jb, 1);
}

CASE(siginfo_of_faults)
{
	char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa = { .sa_sigaction = jump, .sa_flags = SA_SIGINFO };

	OK(sigaction(SIGSEGV, &sa, NULL));
	OK(sigaction(SIGFPE, &sa, NULL));
	OK(sigaction(SIGILL, &sa, NULL));
	OK(sigaction(SIGBUS, &sa, NULL));
	OK(sigaction(SIGTRAP, &sa, NULL));

	if (!sigsetjmp(jb, 1))
		*(volatile char *)p = 1;
	EQ(last, SIGSEGV);
	EQ(last_info.si_code, SEGV_ACCERR);
	CHECK(last_info.si_addr == p);
	munmap(p, 8192);
	if (!sigsetjmp(jb, 1))
		*(volatile char *)(p + 5000) = 1;
	EQ(last_info.si_code, SEGV_MAPERR);
	CHECK(last_info.si_addr == p + 5000);
	/* Not canonical: the processor says nothing about the address. */
	if (!sigsetjmp(jb, 1))
		*(volatile char *)0x8000000000000000ul = 1;
	EQ(last, SIGSEGV);
	EQ(last_info.si_code, SI_KERNEL);
	last = 0;
	if (!sigsetjmp(jb, 1)) {
		int zero = 0;
		asm volatile("xor %%edx, %%edx; idivl %0" :: "r"(zero), "a"(1) : "edx", "cc");
	}
	EQ(last, SIGFPE);
	EQ(last_info.si_code, FPE_INTDIV);
	if (!sigsetjmp(jb, 1))
		asm volatile("ud2");
	EQ(last, SIGILL);
	EQ(last_info.si_code, ILL_ILLOPN);
	if (!sigsetjmp(jb, 1))
		asm volatile("int3");
	EQ(last, SIGTRAP);
	EQ(last_info.si_code, SI_KERNEL);
	/* Beyond the end of a mapped file. */
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	OK(ftruncate(fd, 100));
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!sigsetjmp(jb, 1))
		*(volatile char *)(p + 4096) = 1;
	EQ(last, SIGBUS);
	EQ(last_info.si_code, BUS_ADRERR);
	CHECK(last_info.si_addr == p + 4096);
}

CASE(standard_signals_merge_real_time_queue)
{
	sigset_t set = set_of(SIGUSR1, SIGRTMIN + 3);

	handle(SIGUSR1, 0);
	handle(SIGRTMIN + 3, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 5; i++) {
		OK(kill(getpid(), SIGUSR1));
		OK(kill(getpid(), SIGRTMIN + 3));
	}
	EQ(count, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EQ(count, 6);
}

CASE(delivery_order)
{
	sigset_t all;
	int rt = SIGRTMIN + 1;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	OK(sigqueue(getpid(), rt + 1, (union sigval){ .sival_int = 1 }));
	OK(sigqueue(getpid(), rt, (union sigval){ .sival_int = 1 }));
	OK(sigqueue(getpid(), rt, (union sigval){ .sival_int = 2 }));
	OK(kill(getpid(), SIGUSR1));
	siginfo_t si;
	/* Lowest number first, and first in first out within one. */
	EQ(sigwaitinfo(&all, &si), SIGUSR1);
	EQ(sigwaitinfo(&all, &si), rt);
	EQ(si.si_value.sival_int, 1);
	EQ(sigwaitinfo(&all, &si), rt);
	EQ(si.si_value.sival_int, 2);
	EQ(sigwaitinfo(&all, &si), rt + 1);
}

CASE(mask_rules)
{
	sigset_t set = set_of(SIGUSR1, SIGKILL), old;

	sigaddset(&set, SIGSTOP);
	OK(sigprocmask(SIG_SETMASK, &set, NULL));
	OK(sigprocmask(SIG_BLOCK, NULL, &old));
	CHECK(sigismember(&old, SIGUSR1));
	CHECK(!sigismember(&old, SIGKILL));
	CHECK(!sigismember(&old, SIGSTOP));
	ERR(syscall(SYS_rt_sigprocmask, 77, &set, NULL, 8), EINVAL);
	ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 128), EINVAL);
	ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, (void *)8, NULL, 8), EFAULT);
}

static sigset_t mask_in_handler;

static void see_mask(int sig)
{
	sigprocmask(0, NULL, &mask_in_handler);
	count++;
}

CASE(mask_during_handler)
{
	struct sigaction sa = { .sa_handler = see_mask };
	sigset_t now;

	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK(sigismember(&mask_in_handler, SIGUSR1));
	CHECK(sigismember(&mask_in_handler, SIGUSR2));
	sigprocmask(0, NULL, &now);
	CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2));
	sa.sa_flags = SA_NODEFER;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK(!sigismember(&mask_in_handler, SIGUSR1));
}

static void nest(int sig)
{
	if (++count < 5)
		raise(sig);
}

CASE(nested_handlers)
{
	struct sigaction sa = { .sa_handler = nest, .sa_flags = SA_NODEFER };

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EQ(count, 5);
}

CASE(resethand)
{
	struct sigaction old;

	handle(SIGUSR1, SA_RESETHAND);
	raise(SIGUSR1);
	EQ(count, 1);
	sigaction(SIGUSR1, NULL, &old);
	CHECK(old.sa_handler == SIG_DFL);
}

CASE(ignored_is_dropped)
{
	sigset_t set = set_of(SIGUSR1, 0), pending;

	signal(SIGUSR1, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	/* Blocked and ignored: Linux keeps it pending (it may be handled by then). */
	sigpending(&pending);
	CHECK(sigismember(&pending, SIGUSR1));
	signal(SIGUSR1, SIG_IGN);		/* and setting "ignore" again discards it */
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGUSR1));
	handle(SIGUSR1, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EQ(count, 0);
}

CASE(default_actions)
{
	static const int fatal[] = { SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE,
		SIGALRM, SIGTERM, SIGUSR1, SIGUSR2, SIGBUS, SIGPOLL, SIGPROF, SIGSYS, SIGTRAP, SIGVTALRM, SIGXCPU, SIGXFSZ };
	static const int ignored[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	for (unsigned i = 0; i < sizeof fatal / sizeof *fatal; i++) {
		pid_t p = CHILD({
			raise(fatal[i]);
			pause();
		});
		KILLED(p, fatal[i]);
	}
	for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++) {
		pid_t p = CHILD({ raise(ignored[i]); });
		EXITED(p, 0);
	}
	pid_t p = CHILD({ raise(SIGRTMIN); });
	KILLED(p, SIGRTMIN);
}

CASE(sigsuspend_swaps_mask)
{
	sigset_t set = set_of(SIGUSR1, 0), none, now;

	handle(SIGUSR1, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	EQ(count, 0);
	sigemptyset(&none);
	ERR(sigsuspend(&none), EINTR);
	EQ(count, 1);
	sigprocmask(0, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
}

CASE(sigsuspend_woken_by_other)
{
	sigset_t set = set_of(SIGUSR1, 0), none;

	handle(SIGUSR1, 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t me = getpid();
	pid_t p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		OK(kill(me, SIGUSR1));
	});
	sigemptyset(&none);
	ERR(sigsuspend(&none), EINTR);
	EQ(count, 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	EXITED(p, 0);
}

CASE(pause_returns_eintr)
{
	handle(SIGUSR1, SA_RESTART);
	pid_t me = getpid();
	pid_t p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		OK(kill(me, SIGUSR1));
	});
	ERR(pause(), EINTR);
	EXITED(p, 0);
}

CASE(sigtimedwait)
{
	sigset_t set = set_of(SIGUSR1, 0);
	struct timespec zero = { 0, 0 }, ms = { 0, 20000000 }, bad = { 0, -1 };
	siginfo_t si;

	sigprocmask(SIG_BLOCK, &set, NULL);
	ERR(sigtimedwait(&set, &si, &zero), EAGAIN);
	int64_t t = now_ns();
	ERR(sigtimedwait(&set, &si, &ms), EAGAIN);
	CHECK(now_ns() - t >= 20000000);
	ERR(sigtimedwait(&set, &si, &bad), EINVAL);
	raise(SIGUSR1);
	EQ(sigtimedwait(&set, &si, &zero), SIGUSR1);
	pid_t me = getpid();
	pid_t p = CHILD({ OK(kill(me, SIGUSR1)); });
	EQ(sigwaitinfo(&set, &si), SIGUSR1);
	EQ(si.si_pid, p);
	EXITED(p, 0);
	/* A handled signal interrupts the wait. */
	handle(SIGUSR2, SA_RESTART);
	p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		OK(kill(me, SIGUSR2));
	});
	ERR(syscall(SYS_rt_sigtimedwait, &set, &si, NULL, 8), EINTR);
	EXITED(p, 0);
}

CASE(pending_of_process_and_thread)
{
	sigset_t set = set_of(SIGUSR1, SIGUSR2), got;

	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR2);
	OK(sigpending(&got));
	CHECK(sigismember(&got, SIGUSR1) && sigismember(&got, SIGUSR2) && !sigismember(&got, SIGHUP));
}

CASE(kill_errors)
{
	ERR(kill(getpid(), 65), EINVAL);
	ERR(kill(getpid(), -1), EINVAL);
	ERR(kill(0x3ffffff, SIGTERM), ESRCH);
	OK(kill(getpid(), 0));
	ERR(syscall(SYS_tgkill, getpid(), 0x3ffffff, 0), ESRCH);
	ERR(syscall(SYS_tgkill, -1, getpid(), 0), EINVAL);
	ERR(syscall(SYS_tkill, 0, 0), EINVAL);
}

CASE(kill_permission)
{
	if (geteuid() != 0)
		SKIP("needs root");
	pid_t root = CHILD({ pause(); });
	pid_t p = CHILD({
		OK(setresuid(1000, 1000, 1000));
		ERR(kill(root, SIGTERM), EPERM);
		ERR(kill(root, 0), EPERM);
		OK(kill(root, SIGCONT));	/* within one session anybody may continue anybody */
	});
	EXITED(p, 0);
	kill(root, SIGKILL);
	KILLED(root, SIGKILL);
}

CASE(sigqueue_info_rules)
{
	siginfo_t si = { .si_code = SI_QUEUE };
	pid_t other = CHILD({ pause(); });

	/* A process can't pretend, to others, that the kernel sent it. */
	si.si_code = SI_KERNEL;
	ERR(syscall(SYS_rt_sigqueueinfo, other, SIGUSR1, &si), EPERM);
	si.si_code = SI_TKILL;
	ERR(syscall(SYS_rt_sigqueueinfo, other, SIGUSR1, &si), EPERM);
	si.si_code = SI_QUEUE;
	OK(syscall(SYS_rt_sigqueueinfo, other, SIGTERM, &si));
	KILLED(other, SIGTERM);
}

CASE(queue_limit)
{
	struct rlimit rl = { 5, 5 };
	sigset_t set = set_of(SIGRTMIN, 0);

	/* Whoever else runs this here at the same time has a user of his own: the limit counts all of a user's. */
	uid_t uid = 70000 + getpid() % 40000;

	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t p = CHILD({
		int n = 0;
		if (geteuid() == 0)
			OK(setresuid(uid, uid, uid));
		OK(setrlimit(RLIMIT_SIGPENDING, &rl));
		while (sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = n }) == 0)
			n++;
		EQ(errno, EAGAIN);
		EQ(n, 5);
		/* kill() still arrives where nothing is pending yet. */
		OK(kill(getpid(), SIGTERM));
	});
	KILLED(p, SIGTERM);
}

/* Alternate stacks */

static char alt[65536] __attribute__((aligned(16)));
static volatile int on_alt;

static void where_am_i(int sig)
{
	char here;
	stack_t ss;

	on_alt = &here >= alt && &here < alt + sizeof alt;
	sigaltstack(NULL, &ss);
	if (on_alt && !(ss.ss_flags & SS_ONSTACK))
		on_alt = -1;
	if (on_alt) {
		stack_t none = { .ss_flags = SS_DISABLE };
		if (sigaltstack(&none, NULL) == 0 || errno != EPERM)
			on_alt = -2;
	}
}

CASE(altstack)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt }, old;
	struct sigaction sa = { .sa_handler = where_am_i, .sa_flags = SA_ONSTACK };

	OK(sigaltstack(&ss, &old));
	EQ(old.ss_flags, SS_DISABLE);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EQ(on_alt, 1);
	sa.sa_flags = 0;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EQ(on_alt, 0);
	OK(sigaltstack(NULL, &old));
	CHECK(old.ss_sp == alt);
	EQ(old.ss_flags, 0);
	ss.ss_size = 100;
	ERR(sigaltstack(&ss, NULL), ENOMEM);
	ss.ss_size = sizeof alt;
	ss.ss_flags = 77;
	ERR(sigaltstack(&ss, NULL), EINVAL);
	ERR(syscall(SYS_sigaltstack, 8, NULL), EFAULT);
}

static sigjmp_buf overflow_jump;

static void on_overflow(int sig)
{
	siglongjmp(overflow_jump, 1);
}

__attribute__((noinline)) static int recurse(volatile int n)
{
	volatile char pad[4096];

	pad[0] = n;
	return n < 0 ? 0 : recurse(n + 1) + pad[0];
}

CASE(stack_overflow_on_altstack)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt };
	struct sigaction sa = { .sa_handler = on_overflow, .sa_flags = SA_ONSTACK };

	OK(sigaltstack(&ss, NULL));
	sigaction(SIGSEGV, &sa, NULL);
	if (!sigsetjmp(overflow_jump, 1))
		recurse(0);
	/* Once more: the stack can be used again. */
	if (!sigsetjmp(overflow_jump, 1))
		recurse(0);
}

CASE(stack_overflow_kills)
{
	pid_t p = CHILD({ recurse(0); });

	KILLED(p, SIGSEGV);
}

CASE(altstack_autodisarm)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof alt, .ss_flags = 1u << 31 /* SS_AUTODISARM */ }, old;
	struct sigaction sa = { .sa_handler = see_mask, .sa_flags = SA_ONSTACK };

	OK(sigaltstack(&ss, NULL));
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	OK(sigaltstack(NULL, &old));
	CHECK(old.ss_sp == alt);
	EQ((unsigned)old.ss_flags, 1u << 31);
}

/* The frame */

static void change_rax(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	uc->uc_mcontext.gregs[REG_RIP] += 2;	/* over the ud2 */
	uc->uc_mcontext.gregs[REG_RAX] = 0x1234;
	sigaddset(&uc->uc_sigmask, SIGUSR2);
}

CASE(handler_edits_context)
{
	struct sigaction sa = { .sa_sigaction = change_rax, .sa_flags = SA_SIGINFO };
	long rax = 1;
	sigset_t now;

	sigaction(SIGILL, &sa, NULL);
	asm volatile("ud2" : "+a"(rax));
	EQ(rax, 0x1234);
	sigprocmask(0, NULL, &now);
	CHECK(sigismember(&now, SIGUSR2));
}

static void clobber(int sig)
{
	asm volatile(
		"mov $-1, %%rbx; mov $-1, %%r12; mov $-1, %%r13; mov $-1, %%r14; mov $-1, %%r15;"
		"mov $-1, %%rcx; mov $-1, %%rdx; mov $-1, %%rsi; mov $-1, %%rdi; mov $-1, %%r8;"
		"mov $-1, %%r9; mov $-1, %%r10; mov $-1, %%r11; stc; std; cld"
		::: "rbx", "r12", "r13", "r14", "r15", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
	asm volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fninit; fldz; fldz"
		     ::: "xmm0", "xmm7", "xmm15", "st", "st(1)");
	count++;
}

CASE(registers_survive_asynchronous_handler)
{
	/* A timer fires somewhere in this loop; every register must come back. */
	struct sigaction sa = { .sa_handler = clobber };
	struct itimerval it = { { 0, 1000 }, { 0, 1000 } };

	sigaction(SIGALRM, &sa, NULL);
	OK(setitimer(ITIMER_REAL, &it, NULL));
	while (count < 20) {
		long bad = 0;
		asm volatile(
			"mov $0x1111, %%rbx; mov $0x2222, %%r12; mov $0x3333, %%r13; mov $0x4444, %%r14; mov $0x5555, %%r15;"
			"mov $0x66, %%r8; mov $0x77, %%r9; mov $0x88, %%r10; mov $0x99, %%r11; mov $0xaa, %%rsi; mov $0xbb, %%rdi;"
			"movq %%r12, %%xmm0; movq %%r13, %%xmm7; movq %%r14, %%xmm15;"
			"mov $200000, %%rcx;"
			"1: dec %%rcx; jnz 1b;"
			"cmp $0x1111, %%rbx; jne 2f; cmp $0x2222, %%r12; jne 2f; cmp $0x3333, %%r13; jne 2f;"
			"cmp $0x4444, %%r14; jne 2f; cmp $0x5555, %%r15; jne 2f; cmp $0x66, %%r8; jne 2f; cmp $0x77, %%r9; jne 2f;"
			"cmp $0x88, %%r10; jne 2f; cmp $0x99, %%r11; jne 2f; cmp $0xaa, %%rsi; jne 2f; cmp $0xbb, %%rdi; jne 2f;"
			"movq %%xmm0, %%rax; cmp %%r12, %%rax; jne 2f; movq %%xmm7, %%rax; cmp %%r13, %%rax; jne 2f;"
			"movq %%xmm15, %%rax; cmp %%r14, %%rax; jne 2f; xor %%rax, %%rax; jmp 3f;"
			"2: mov $1, %%rax; 3:"
			: "=&a"(bad) : : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rsi", "rdi",
			  "xmm0", "xmm7", "xmm15", "cc", "memory");
		EQ(bad, 0);
	}
}

__attribute__((target("avx"))) static void clear_ymm(int sig)
{
	asm volatile("vzeroall" ::: "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
		     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	count++;
}

__attribute__((target("avx"))) static void avx_survives(void)
{
	struct sigaction sa = { .sa_handler = clear_ymm };
	double in[4] = { 1.5, 2.5, 3.5, 4.5 }, out[4];
	pid_t pid = getpid();
	long nr = SYS_kill, ret;

	sigaction(SIGUSR1, &sa, NULL);
	asm volatile("vmovupd %2, %%ymm3\n\tsyscall\n\tvmovupd %%ymm3, %1"
		     : "=a"(ret), "=m"(out) : "m"(in), "a"(nr), "D"((long)pid), "S"((long)SIGUSR1)
		     : "rcx", "r11", "xmm3", "memory");
	EQ(ret, 0);
	EQ(count, 1);
	CHECK(!memcmp(in, out, sizeof in));
}

CASE(avx_state_survives_handler)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("the processor has no AVX");
	avx_survives();
}

CASE(fp_state_fresh_in_handler)
{
	unsigned short cw = 0x0f7f, now;
	unsigned mxcsr = 0x1fc0, nowm;

	handle(SIGUSR1, 0);
	asm volatile("fldcw %0" :: "m"(cw));
	asm volatile("ldmxcsr %0" :: "m"(mxcsr));
	raise(SIGUSR1);
	asm volatile("fstcw %0" : "=m"(now));
	asm volatile("stmxcsr %0" : "=m"(nowm));
	EQ(now, cw);
	EQ(nowm, mxcsr);
}

static volatile int frame_ok;

static void look_at_fpstate(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;
	/* linux/asm sigcontext: sw_reserved with FP_XSTATE_MAGIC1 at offset 464 of the legacy area. */
	uint32_t *sw = (uint32_t *)((char *)uc->uc_mcontext.fpregs + 464);

	frame_ok = uc->uc_mcontext.fpregs != NULL;
	frame_ok &= sw[0] == 0x46505853;
	frame_ok &= *(uint32_t *)((char *)uc->uc_mcontext.fpregs + sw[1] - 4) == 0x46505845;
	frame_ok &= ((uintptr_t)uc->uc_mcontext.fpregs & 63) == 0;
	frame_ok &= !!(uc->uc_flags & 1);
}

CASE(frame_has_extended_state)
{
	struct sigaction sa = { .sa_sigaction = look_at_fpstate, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	EQ(frame_ok, 1);
}

static void set_xmm_in_frame(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	memset(&uc->uc_mcontext.fpregs->_xmm[5], 0x5a, 16);
}

CASE(handler_edits_vector_register)
{
	struct sigaction sa = { .sa_sigaction = set_xmm_in_frame, .sa_flags = SA_SIGINFO };
	unsigned char out[16];
	long ret;

	sigaction(SIGUSR1, &sa, NULL);
	asm volatile("pxor %%xmm5, %%xmm5\n\tsyscall\n\tmovdqu %%xmm5, %1"
		     : "=a"(ret), "=m"(out) : "a"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1)
		     : "rcx", "r11", "xmm5", "memory");
	EQ(ret, 0);
	for (int i = 0; i < 16; i++)
		EQ(out[i], 0x5a);
}

CASE(syscall_keeps_other_registers)
{
	long r8 = 8, r9 = 9, r10 = 10, rdx = 11, rdi = 12, rsi = 13, ret;
	register long a8 asm("r8") = r8, a9 asm("r9") = r9, a10 asm("r10") = r10;

	for (int i = 0; i < 100; i++) {
		asm volatile("syscall" : "=a"(ret), "+r"(a8), "+r"(a9), "+r"(a10), "+d"(rdx), "+D"(rdi), "+S"(rsi)
			     : "a"(SYS_getpid) : "rcx", "r11", "memory");
		EQ(ret, getpid());
		CHECK(a8 == 8 && a9 == 9 && a10 == 10 && rdx == 11 && rdi == 12 && rsi == 13);
	}
}

CASE(red_zone_survives)
{
	/* 128 bytes below the stack pointer belong to the interrupted function. */
	struct sigaction sa = { .sa_handler = clobber };
	long ok = 0;

	sigaction(SIGUSR1, &sa, NULL);
	asm volatile(
		"movq $0x5aa5, -8(%%rsp); movq $0x6bb6, -120(%%rsp);"
		"syscall;"
		"cmpq $0x5aa5, -8(%%rsp); jne 1f; cmpq $0x6bb6, -120(%%rsp); jne 1f; mov $1, %%rax; jmp 2f;"
		"1: xor %%rax, %%rax; 2:"
		: "=a"(ok) : "a"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1) : "rcx", "r11", "memory", "cc");
	EQ(ok, 1);
	EQ(count, 1);
}

CASE(bad_frame_kills)
{
	/* No room for the frame: SIGSEGV, whatever the signal was. */
	pid_t p = CHILD({
		handle(SIGUSR1, 0);
		asm volatile("mov $0x1000, %%rsp; syscall" :: "a"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1) : "memory");
	});
	KILLED(p, SIGSEGV);
	p = CHILD({ syscall(SYS_rt_sigreturn); });
	KILLED(p, SIGSEGV);
}

static void expect_gp_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *g = uc->uc_mcontext.gregs;

	if (si->si_code != SI_KERNEL)
		_exit(1);
	_exit(g[REG_RSP] == 0x1000 && g[REG_RAX] == 0 ? 44 : g[REG_RIP] == 0 ? 45 : 2);
}

/* A frame that can't be read, and one that is all zeros: its segments are none that a processor would go on with. */
CASE(bad_frame_reaches_the_handler)
{
	static char stack[65536], zeros[65536] __attribute__((aligned(64)));
	const stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction sa = { .sa_sigaction = expect_gp_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	for (int i = 0; i < 2; i++) {
		pid_t p = CHILD({
			OK(sigaltstack(&ss, NULL));
			OK(sigaction(SIGSEGV, &sa, NULL));
			asm volatile("mov %1, %%rsp; syscall" ::"a"(SYS_rt_sigreturn), "r"(i ? zeros + 32768 : (char *)0x1000) : "memory");
		});
		EXITED(p, 44 + i);
	}
}

CASE(blocked_fault_kills)
{
	pid_t p = CHILD({
		sigset_t set = set_of(SIGSEGV, 0);
		handle(SIGSEGV, 0);
		sigprocmask(SIG_BLOCK, &set, NULL);
		*(volatile char *)8 = 1;
	});
	KILLED(p, SIGSEGV);
	p = CHILD({
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)8 = 1;
	});
	KILLED(p, SIGSEGV);
}

/* Restart rules: a child sends SIGUSR1 once the case sleeps, then, when it has been taken and the case sleeps again, makes the call able to
 * finish. */

static bool pending_in(pid_t pid, int sig)
{
	char path[64], *text, *line;
	bool is;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	text = get_file(path);
	line = strstr(text, "\nShdPnd:\t");
	CHECK(line);
	is = strtoull(line + strlen("\nShdPnd:\t"), NULL, 16) >> (sig - 1) & 1;
	free(text);
	return is;
}

static pid_t interrupter(int fd)
{
	pid_t me = getpid();

	return CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		OK(kill(me, SIGUSR1));
		if (fd >= 0) {
			EVENTUALLY(!pending_in(me, SIGUSR1) && proc_state(me) == 'S');
			tell(fd);
		}
	});
}

CASE(read_restarts_with_sa_restart)
{
	int p[2];
	char c;

	handle(SIGUSR1, SA_RESTART);
	OK(pipe(p));
	pid_t k = interrupter(p[1]);
	EQ(read(p[0], &c, 1), 1);
	EQ(count, 1);
	EXITED(k, 0);
}

CASE(read_eintr_without)
{
	int p[2];
	char c;

	handle(SIGUSR1, 0);
	OK(pipe(p));
	pid_t k = interrupter(-1);
	ERR(read(p[0], &c, 1), EINTR);
	EQ(count, 1);
	EXITED(k, 0);
}

CASE(ignored_signal_interrupts_nothing)
{
	int p[2];
	char c;

	signal(SIGUSR1, SIG_IGN);
	OK(pipe(p));
	pid_t k = interrupter(p[1]);
	EQ(read(p[0], &c, 1), 1);
	EXITED(k, 0);
}

CASE(stop_and_continue_restarts)
{
	int p[2];
	char c;

	OK(pipe(p));
	pid_t child = CHILD({
		EQ(read(p[0], &c, 1), 1);
	});
	int st;
	EVENTUALLY(proc_state(child) == 'S');
	OK(kill(child, SIGSTOP));
	EQ(waitpid(child, &st, WUNTRACED), child);
	CHECK(WIFSTOPPED(st));
	OK(kill(child, SIGCONT));
	tell(p[1]);
	EXITED(child, 0);
}

CASE(poll_never_restarts)
{
	struct pollfd pf = { -1, 0, 0 };

	handle(SIGUSR1, SA_RESTART);
	pid_t k = interrupter(-1);
	ERR(poll(&pf, 1, 10000), EINTR);
	EXITED(k, 0);
	k = interrupter(-1);
	ERR(select(0, NULL, NULL, NULL, &(struct timeval){ 10, 0 }), EINTR);
	EXITED(k, 0);
}

CASE(nanosleep_gives_rest)
{
	struct timespec ts = { 1000, 0 }, rem = { 0, 0 };

	handle(SIGUSR1, SA_RESTART);
	pid_t k = interrupter(-1);
	ERR(nanosleep(&ts, &rem), EINTR);
	CHECK(rem.tv_sec >= 900 && rem.tv_sec <= 1000);	/* the kernel counts its slack in: right at the start it may be a little more */
	EXITED(k, 0);
}

CASE(nanosleep_goes_on_after_stop)
{
	int st = 0;

	/* On a busy machine it may be over before it could be stopped: then once more, for longer. */
	for (int64_t ms = 100; !WIFSTOPPED(st); ms *= 4) {
		pid_t p = CHILD({
			struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
			int64_t t = now_ns();
			EQ(nanosleep(&ts, NULL), 0);
			CHECK(now_ns() - t >= ms * 1000000);
		});

		EVENTUALLY(proc_state(p) == 'S' || proc_state(p) == 'Z');
		kill(p, SIGSTOP);
		EQ(waitpid(p, &st, WUNTRACED), p);
		if (!WIFSTOPPED(st)) {
			EQ(st, 0);
			continue;
		}
		kill(p, SIGCONT);
		EXITED(p, 0);
	}
}

CASE(wait_restarts)
{
	int p[2];

	handle(SIGUSR1, SA_RESTART);
	OK(pipe(p));
	pid_t k = CHILD({ hear(p[0]); _exit(3); });
	pid_t i = interrupter(p[1]);
	EXITED(k, 3);
	EQ(count, 1);
	EXITED(i, 0);
	handle(SIGUSR1, 0);
	k = CHILD({ pause(); });
	i = interrupter(-1);
	ERR(waitpid(k, NULL, 0), EINTR);
	kill(k, SIGKILL);
	KILLED(k, SIGKILL);
	EXITED(i, 0);
}

CASE(partial_write_reports_count)
{
	int p[2];
	size_t size = 1 << 20;
	char *buf = calloc(1, size);

	handle(SIGUSR1, 0);
	OK(pipe(p));
	pid_t k = interrupter(-1);
	ssize_t n = write(p[1], buf, size);
	CHECK(n > 0 && n < (ssize_t)size);
	EQ(count, 1);
	EXITED(k, 0);
}

CASE(recv_timeout_never_restarts)
{
	int s[2];
	char c;
	struct timeval tv = { 10, 0 };

	handle(SIGUSR1, SA_RESTART);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	pid_t k = interrupter(-1);
	ERR(recv(s[0], &c, 1, 0), EINTR);
	EXITED(k, 0);
}

/* SIGCHLD, stop, continue */

CASE(sigchld_siginfo)
{
	handle(SIGCHLD, SA_SIGINFO);
	pid_t p = CHILD({ _exit(13); });
	EVENTUALLY(count == 1);
	EQ(last_info.si_code, CLD_EXITED);
	EQ(last_info.si_pid, p);
	EQ(last_info.si_status, 13);
	EXITED(p, 13);
	p = CHILD({ raise(SIGKILL); });
	EVENTUALLY(count == 2);
	EQ(last_info.si_code, CLD_KILLED);
	EQ(last_info.si_status, SIGKILL);
	KILLED(p, SIGKILL);
}

CASE(sigchld_on_stop_and_continue)
{
	handle(SIGCHLD, SA_SIGINFO | SA_RESTART);
	pid_t p = CHILD({
		for (;;)
			pause();
	});
	kill(p, SIGSTOP);
	EVENTUALLY(count == 1);
	EQ(last_info.si_code, CLD_STOPPED);
	EQ(last_info.si_status, SIGSTOP);
	kill(p, SIGCONT);
	EVENTUALLY(count == 2);
	EQ(last_info.si_code, CLD_CONTINUED);
	EQ(last_info.si_status, SIGCONT);
	handle(SIGCHLD, SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP);
	int st;
	kill(p, SIGSTOP);
	EQ(waitpid(p, &st, WUNTRACED), p);
	kill(p, SIGCONT);
	EQ(waitpid(p, &st, WCONTINUED), p);
	EQ(count, 2);
	kill(p, SIGKILL);
	EVENTUALLY(count == 3);
}

CASE(cont_discards_pending_stops)
{
	int st;
	pid_t p = CHILD({
		sigset_t set = set_of(SIGTSTP, 0);
		sigset_t pending;
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGTSTP);
		raise(SIGCONT);
		sigpending(&pending);
		CHECK(!sigismember(&pending, SIGTSTP));
		raise(SIGSTOP);
		_exit(5);
	});
	EQ(waitpid(p, &st, WUNTRACED), p);
	CHECK(WIFSTOPPED(st));
	/* SIGCONT continues even where it is blocked or ignored. */
	kill(p, SIGCONT);
	EXITED(p, 5);
}

CASE(stopped_process_is_killed)
{
	int st;
	pid_t p = CHILD({
		raise(SIGSTOP);
		_exit(1);
	});
	EQ(waitpid(p, &st, WUNTRACED), p);
	kill(p, SIGTERM);		/* stays pending */
	EQ(proc_state(p), 'T');
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
}

static volatile long *n;

static void *counting(void *arg)
{
	for (;;) {
		n[(long)arg]++;
		usleep(100);
	}
	return NULL;
}

CASE(stop_stops_all_threads)
{
	int st;

	n = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t p = CHILD({
		pthread_t t;
		pthread_create(&t, NULL, counting, (void *)1);
		pthread_create(&t, NULL, counting, (void *)2);
		for (;;)
			pause();
	});
	EVENTUALLY(n[1] > 5 && n[2] > 5);
	kill(p, SIGSTOP);
	EQ(waitpid(p, &st, WUNTRACED), p);
	long a = n[1], b = n[2];
	msleep(50);
	CHECK(n[1] == a && n[2] == b);
	kill(p, SIGCONT);
	EVENTUALLY(n[1] > a && n[2] > b);
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
}

/* Threads */

static volatile pid_t handled_by;

static void note_thread(int sig)
{
	handled_by = syscall(SYS_gettid);
	count++;
}

static void *wait_blocked(void *arg)
{
	int *fds = arg;
	char c;

	while (read(fds[0], &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

CASE(process_signal_goes_to_thread_that_takes_it)
{
	struct sigaction sa = { .sa_handler = note_thread };
	sigset_t set = set_of(SIGUSR1, 0);
	int p[2];
	pthread_t t;

	OK(pipe(p));
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, wait_blocked, p) == 0);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	EVENTUALLY(count == 1);
	CHECK(handled_by != getpid());
	tell(p[1]);
	pthread_join(t, NULL);
	/* And the one that unblocks it gets what waits. */
	kill(getpid(), SIGUSR1);
	EQ(count, 1);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	EQ(count, 2);
	EQ(handled_by, getpid());
}

CASE(pthread_kill_is_directed)
{
	struct sigaction sa = { .sa_handler = note_thread };
	int p[2];
	pthread_t t;

	OK(pipe(p));
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, wait_blocked, p) == 0);
	EQ(pthread_kill(t, SIGUSR1), 0);
	EVENTUALLY(count == 1);
	CHECK(handled_by != getpid());
	tell(p[1]);
	pthread_join(t, NULL);
}

CASE(signals_under_load)
{
	/* Two processes exchange queued signals as fast as they can; none is lost. */
	sigset_t set = set_of(SIGRTMIN, 0);
	siginfo_t si;
	enum { rounds = 500 };

	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t me = getpid();
	pid_t p = CHILD({
		for (int i = 0; i < rounds; i++) {
			EQ(sigwaitinfo(&set, &si), SIGRTMIN);
			EQ(si.si_value.sival_int, i);
			OK(sigqueue(me, SIGRTMIN, (union sigval){ .sival_int = i }));
		}
	});
	for (int i = 0; i < rounds; i++) {
		OK(sigqueue(p, SIGRTMIN, (union sigval){ .sival_int = i }));
		EQ(sigwaitinfo(&set, &si), SIGRTMIN);
		EQ(si.si_value.sival_int, i);
	}
	EXITED(p, 0);
}

CASE(sigpipe)
{
	int p[2], s[2];

	OK(pipe(p));
	close(p[0]);
	handle(SIGPIPE, 0);
	ERR(write(p[1], "x", 1), EPIPE);
	EQ(count, 1);
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	close(s[0]);
	ERR(send(s[1], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(count, 1);
	ERR(send(s[1], "x", 1, 0), EPIPE);
	EQ(count, 2);
}

CASE(signal_mask_inherited_pending_not)
{
	sigset_t set = set_of(SIGUSR1, 0);

	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	pid_t p = CHILD({
		sigset_t now;
		sigprocmask(0, NULL, &now);
		CHECK(sigismember(&now, SIGUSR1));
		sigpending(&now);
		CHECK(!sigismember(&now, SIGUSR1));
	});
	EXITED(p, 0);
}

CASE(siglongjmp_out_of_handler)
{
	struct sigaction sa = { .sa_handler = on_overflow };

	sigaction(SIGUSR1, &sa, NULL);
	for (volatile int i = 0; i < 100; i++)
		if (!sigsetjmp(overflow_jump, 1)) {
			raise(SIGUSR1);
			FAIL("came back");
		}
}
