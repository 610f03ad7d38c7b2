/* Scheduling calls, priorities, namespaces, personality, kcmp, membarrier, and prctl's and arch_prctl's smaller switches. */
#include "abi.h"
#include <asm/prctl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#define ROOT() do { if (geteuid() != 0) SKIP("needs root"); } while (0)
#define NOBODY 65431

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

CASE(affinity)
{
	cpu_set_t set, one;
	unsigned long small = 0;
	int cpu = 0;

	OK(sched_getaffinity(0, sizeof set, &set));
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	OK(sched_setaffinity(0, sizeof one, &one));
	OK(sched_getaffinity(0, sizeof set, &set));
	EQ(CPU_COUNT(&set), 1);
	pid_t p = CHILD({
		OK(sched_getaffinity(0, sizeof set, &set));
		EQ(CPU_COUNT(&set), 1);
	});
	EXITED(p, 0);
	CPU_ZERO(&one);
	ERR(sched_setaffinity(0, sizeof one, &one), EINVAL);
	ERR(sched_getaffinity(0x3ffffff, sizeof set, &set), ESRCH);
	ERR(syscall(SYS_sched_getaffinity, 0, 4, &small), EINVAL);
	ERR(syscall(SYS_sched_getaffinity, 0, 12, &set), EINVAL);
	ERR(syscall(SYS_sched_getaffinity, 0, sizeof set, 8), EFAULT);
}

CASE(policies)
{
	struct sched_param sp = { 0 };
	struct timespec ts;

	OK(sched_setscheduler(0, SCHED_BATCH, &sp));
	EQ(sched_getscheduler(0), SCHED_BATCH);
	OK(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &sp));
	EQ(sched_getscheduler(0), SCHED_OTHER | SCHED_RESET_ON_FORK);
	pid_t p = CHILD({ EQ(sched_getscheduler(0), SCHED_OTHER); });
	EXITED(p, 0);
	sp.sched_priority = 1;
	ERR(sched_setscheduler(0, SCHED_OTHER, &sp), EINVAL);
	ERR(sched_setscheduler(0, 77, &sp), EINVAL);
	ERR(sched_setscheduler(0, -1, &sp), EINVAL);
	ERR(sched_setscheduler(-1, SCHED_OTHER, &sp), EINVAL);
	ERR(sched_setscheduler(0x3ffffff, SCHED_FIFO, &sp), ESRCH);
	ERR(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL), EINVAL);
	ERR(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, 8), EFAULT);
	ERR(sched_getscheduler(0x3ffffff), ESRCH);
	ERR(sched_get_priority_max(99), EINVAL);
	OK(sched_rr_get_interval(0, &ts));
	ERR(sched_rr_get_interval(-1, &ts), EINVAL);
}

CASE(real_time_needs_a_right)
{
	struct sched_param sp = { 5 };
	struct rlimit none = { 0, 0 };

	ROOT();
	OK(setrlimit(RLIMIT_RTPRIO, &none));
	OK(setrlimit(RLIMIT_NICE, &none));
	OK(setresuid(NOBODY, NOBODY, NOBODY));
	ERR(sched_setscheduler(0, SCHED_FIFO, &sp), EPERM);
	OK(setpriority(PRIO_PROCESS, 0, 3));
	ERR(setpriority(PRIO_PROCESS, 0, 1), EACCES);
	ERR(setpriority(PRIO_PROCESS, getppid(), 5), EPERM);
	sp.sched_priority = 0;
	OK(sched_setscheduler(0, SCHED_IDLE, &sp));
	EQ(getpriority(PRIO_PROCESS, 0), 3);
}

CASE(attributes)
{
	struct attr a = { 0 };
	uint64_t big[20] = { 0 };

	memset(&a, 0xff, sizeof a);
	OK(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
	EQ(a.size, sizeof a);
	EQ(a.policy, SCHED_OTHER);
	EQ(a.nice, 0);
	EQ(a.priority, 0);
	a = (struct attr){ .size = sizeof a, .policy = SCHED_BATCH, .nice = 7 };
	OK(syscall(SYS_sched_setattr, 0, &a, 0));
	EQ(getpriority(PRIO_PROCESS, 0), 7);
	EQ(sched_getscheduler(0), SCHED_BATCH);
	a.policy = SCHED_OTHER;
	a.priority = 3;
	ERR(syscall(SYS_sched_setattr, 0, &a, 0), EINVAL);
	ERR(syscall(SYS_sched_setattr, 0, &a, 1), EINVAL);
	ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	ERR(syscall(SYS_sched_getattr, 0, &a, 40, 0), EINVAL);
	a.size = 20;
	ERR(syscall(SYS_sched_setattr, 0, &a, 0), E2BIG);
	EQ(a.size, sizeof a);
	memcpy(big, &(struct attr){ .size = sizeof big, .nice = 8 }, sizeof a);
	OK(syscall(SYS_sched_setattr, 0, big, 0));
	big[19] = 1;
	ERR(syscall(SYS_sched_setattr, 0, big, 0), E2BIG);
}

CASE(priorities_of_groups)
{
	int q[2];

	OK(pipe(q));
	pid_t p = CHILD({ hear(q[0]); });
	OK(setpriority(PRIO_PGRP, 0, 4));
	EQ(getpriority(PRIO_PROCESS, p), 4);
	OK(setpriority(PRIO_PROCESS, p, 2));
	EQ(getpriority(PRIO_PGRP, 0), 2);
	OK(setpriority(PRIO_PROCESS, 0, 1000));
	EQ(getpriority(PRIO_PROCESS, 0), 19);
	ERR(setpriority(PRIO_PGRP, 0x3ffffff, 1), ESRCH);
	ERR(setpriority(9, 0, 1), EINVAL);
	tell(q[1]);
	EXITED(p, 0);
}

CASE(io_priorities)
{
	const int be5 = 2 << 13 | 5;

	OK(syscall(SYS_ioprio_set, 1, 0, be5));
	EQ(syscall(SYS_ioprio_get, 1, 0), be5);
	pid_t p = CHILD({ EQ(syscall(SYS_ioprio_get, 1, 0), be5); });
	EXITED(p, 0);
	ERR(syscall(SYS_ioprio_set, 1, 0, 7 << 13), EINVAL);
	ERR(syscall(SYS_ioprio_set, 4, 0, be5), EINVAL);
	ERR(syscall(SYS_ioprio_set, 1, 0x3ffffff, be5), ESRCH);
	ERR(syscall(SYS_ioprio_get, 1, 0x3ffffff), ESRCH);
}

CASE(cpu_number)
{
	unsigned cpu = ~0u, node = ~0u;

	OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	CHECK(cpu < 4096 && node < 1024);
	OK(syscall(SYS_getcpu, NULL, NULL, NULL));
	ERR(syscall(SYS_getcpu, 8, NULL, NULL), EFAULT);
}

CASE(personality_is_kept)
{
	struct utsname u;

	EQ(personality(0xffffffff), 0);
	EQ(personality(ADDR_NO_RANDOMIZE), 0);
	EQ(personality(0xffffffff), ADDR_NO_RANDOMIZE);
	pid_t p = CHILD({
		EQ(personality(PER_LINUX32), ADDR_NO_RANDOMIZE);
		OK(uname(&u));
		STREQ(u.machine, "i686");
	});
	EXITED(p, 0);
	OK(uname(&u));
	STREQ(u.machine, "x86_64");
}

CASE(uts_namespace)
{
	struct utsname before, u;
	int q[2];
	char *s;

	ROOT();
	OK(pipe(q));
	OK(uname(&before));
	pid_t p = CHILD({
		OK(unshare(CLONE_NEWUTS));
		OK(sethostname("inside", 6));
		OK(setdomainname("dom", 3));
		pid_t c = CHILD({
			OK(uname(&u));
			STREQ(u.nodename, "inside");
			STREQ(u.domainname, "dom");
			s = get_file("/proc/sys/kernel/hostname");
			STREQ(s, "inside\n");
		});
		EXITED(c, 0);
		OK(sethostname("", 0));
		OK(uname(&u));
		STREQ(u.nodename, "");
		hear(q[0]);
	});
	OK(uname(&u));
	STREQ(u.nodename, before.nodename);
	tell(q[1]);
	EXITED(p, 0);
	struct { uint64_t flags, pidfd, ctid, ptid, sig, stack, size, tls; } a = { .flags = CLONE_NEWUTS, .sig = SIGCHLD };
	p = OK(syscall(SYS_clone3, &a, sizeof a));
	if (p == 0)
		_exit(sethostname("x", 1) ? 1 : 0);
	EXITED(p, 0);
	OK(uname(&u));
	STREQ(u.nodename, before.nodename);
}

CASE(unshare_and_setns_errors)
{
	int fd = OK(open("/dev/null", O_RDONLY));

	ERR(unshare(0x1000), EINVAL);
	OK(unshare(0));
	ERR(setns(99, 0), EBADF);
	ERR(setns(fd, 0), EINVAL);
	if (geteuid() == 0)
		OK(setresuid(NOBODY, NOBODY, NOBODY));
	ERR(unshare(CLONE_NEWUTS), EPERM);
	ERR(unshare(CLONE_NEWNET), EPERM);
}

static int unshare_in_thread(void *arg)
{
	(void)arg;
	if (unshare(CLONE_FS) || unshare(CLONE_FILES) || chdir("/"))
		return 1;
	close(0);
	return 0;
}

CASE(unshare_files_and_fs)
{
	static char stack[65536] __attribute__((aligned(16)));
	char cwd[256], now[256];

	CHECK(getcwd(cwd, sizeof cwd));
	dup2(OK(open("/dev/null", O_RDONLY)), 0);
	pid_t p = OK(clone(unshare_in_thread, stack + sizeof stack, CLONE_FILES | CLONE_FS | SIGCHLD, NULL));
	EXITED(p, 0);
	CHECK(getcwd(now, sizeof now));
	STREQ(now, cwd);
	OK(fcntl(0, F_GETFD));
}

CASE(compare_processes)
{
	int a = OK(open("/dev/null", O_RDONLY)), b = OK(dup(a)), c = OK(open("/dev/null", O_RDONLY)), q[2];
	pid_t me = getpid();

	EQ(syscall(SYS_kcmp, me, me, KCMP_FILE, a, b), 0);
	CHECK(syscall(SYS_kcmp, me, me, KCMP_FILE, a, c) > 0);
	EQ(syscall(SYS_kcmp, me, me, KCMP_VM, 0, 0), 0);
	OK(pipe(q));
	pid_t p = CHILD({ hear(q[0]); });
	EQ(syscall(SYS_kcmp, me, p, KCMP_FILE, a, a), 0);
	CHECK(syscall(SYS_kcmp, me, p, KCMP_VM, 0, 0) > 0);
	long order = syscall(SYS_kcmp, me, p, KCMP_FILES, 0, 0);
	CHECK(order == 1 || order == 2);
	EQ(syscall(SYS_kcmp, p, me, KCMP_FILES, 0, 0), 3 - order);
	ERR(syscall(SYS_kcmp, me, p, KCMP_FILE, a, 999), EBADF);
	ERR(syscall(SYS_kcmp, me, 0x3ffffff, KCMP_VM, 0, 0), ESRCH);
	ERR(syscall(SYS_kcmp, me, p, 99, 0, 0), EINVAL);
	tell(q[1]);
	EXITED(p, 0);
}

CASE(memory_barrier)
{
	long known = OK(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));

	CHECK(known & MEMBARRIER_CMD_GLOBAL);
	OK(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	ERR(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 1, 0), EINVAL);
	ERR(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
}

CASE(securebits)
{
	ROOT();
	EQ(prctl(PR_GET_SECUREBITS), 0);
	OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP));
	ERR(prctl(PR_SET_SECUREBITS, 0), EPERM);		/* locked */
	ERR(prctl(PR_SET_SECUREBITS, 1 << 20), EPERM);
	/* Without the fix-up a change of user keeps the capabilities. */
	OK(setresuid(NOBODY, NOBODY, NOBODY));
	EQ(prctl(PR_GET_SECUREBITS), SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP);
	OK(setresuid(0, 0, 0));
}

CASE(keepcaps_can_be_locked)
{
	ROOT();
	OK(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED));
	ERR(prctl(PR_SET_KEEPCAPS, 1), EPERM);
	ERR(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
}

CASE(change_of_user_clears_dumpable_and_death_signal)
{
	int sig = -1;

	ROOT();
	OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	OK(setresuid(-1, NOBODY, -1));
	EQ(prctl(PR_GET_DUMPABLE), 0);
	OK(prctl(PR_GET_PDEATHSIG, &sig));
	EQ(sig, 0);
}

CASE(capability_versions)
{
	struct __user_cap_header_struct h = { 0x19980330, 0 };
	struct __user_cap_data_struct d[2] = { { 0, 0, 0 }, { 7, 7, 7 } };

	OK(syscall(SYS_capget, &h, d));
	EQ(d[1].effective, 7);				/* one word a set */
	h.version = 1;
	OK(syscall(SYS_capget, &h, NULL));
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.pid = -1;
	ERR(syscall(SYS_capget, &h, d), EINVAL);
	h.pid = 0x3ffffff;
	ERR(syscall(SYS_capget, &h, d), ESRCH);
	h.pid = getppid();
	ERR(syscall(SYS_capset, &h, d), EPERM);
}

CASE(small_switches)
{
	int v = -1;

	EQ(prctl(PR_GET_TIMERSLACK), 50000);
	OK(prctl(PR_SET_TIMERSLACK, 1234));
	EQ(prctl(PR_GET_TIMERSLACK), 1234);
	OK(prctl(PR_SET_TIMERSLACK, 0));
	EQ(prctl(PR_GET_TIMERSLACK), 50000);
	EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
	OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
	ERR(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
	EQ(prctl(PR_GET_TIMING), PR_TIMING_STATISTICAL);
	OK(prctl(PR_GET_TSC, &v));
	EQ(v, PR_TSC_ENABLE);
	ERR(prctl(PR_GET_FPEMU, &v), EINVAL);
	ERR(prctl(PR_SET_NAME, 8), EFAULT);
	ERR(prctl(PR_CAP_AMBIENT, 77, 0, 0, 0), EINVAL);
	ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL);
}

CASE(segment_bases)
{
	unsigned long fs = 0, gs = 1, here;

	OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	EQ(fs, (unsigned long)__builtin_thread_pointer());
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	OK(syscall(SYS_arch_prctl, ARCH_SET_GS, &here));
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	EQ(gs, (unsigned long)&here);
	here = 0x1122334455667788;
	asm volatile("mov %%gs:0, %0" : "=r"(fs));
	EQ(fs, here);
	ERR(syscall(SYS_arch_prctl, ARCH_SET_GS, 1ul << 63), EPERM);
	ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
	ERR(syscall(SYS_arch_prctl, 12345, 0), EINVAL);
}

CASE(limits_of_others)
{
	struct rlimit rl = { 50, 60 }, old;
	int q[2];

	ROOT();
	OK(pipe(q));
	pid_t p = CHILD({
		hear(q[0]);
		OK(getrlimit(RLIMIT_NOFILE, &old));
		EQ(old.rlim_cur, 50);
	});
	OK(prlimit(p, RLIMIT_NOFILE, &rl, &old));
	CHECK(old.rlim_cur != 50);
	rl.rlim_max = 1ull << 40;
	ERR(prlimit(p, RLIMIT_NOFILE, &rl, NULL), EPERM);
	OK(setresuid(NOBODY, NOBODY, NOBODY));
	ERR(prlimit(p, RLIMIT_NOFILE, NULL, &old), EPERM);
	tell(q[1]);
	EXITED(p, 0);
}

CASE(cpu_limit_raises_itself_and_kills)
{
	struct rlimit rl = { 1, 2 };
	pid_t p = CHILD({
		signal(SIGXCPU, SIG_IGN);
		OK(setrlimit(RLIMIT_CPU, &rl));
		for (;;)
			;
	});

	KILLED(p, SIGKILL);
}

CASE(file_size_limit)
{
	struct rlimit rl = { 10, 10 };
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
	pid_t p = CHILD({
		signal(SIGXFSZ, SIG_IGN);
		OK(setrlimit(RLIMIT_FSIZE, &rl));
		EQ(write(fd, "0123456789abc", 13), 10);
		ERR(write(fd, "x", 1), EFBIG);
		ERR(ftruncate(fd, 11), EFBIG);
		signal(SIGXFSZ, SIG_DFL);
		CHECK(write(fd, "x", 1) == 1);
	});

	KILLED(p, SIGXFSZ);
}
