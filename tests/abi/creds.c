/* Credentials, capabilities and resource limits. */
#include "abi.h"
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define ROOT() do { if (geteuid() != 0) SKIP("needs root"); } while (0)

static void caps(uint64_t *eff, uint64_t *perm)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	OK(syscall(SYS_capget, &h, d));
	*eff = d[0].effective | (uint64_t)d[1].effective << 32;
	*perm = d[0].permitted | (uint64_t)d[1].permitted << 32;
}

static void set_caps(uint64_t eff, uint64_t perm, uint64_t inh)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { eff, perm, inh }, { eff >> 32, perm >> 32, inh >> 32 } };

	OK(syscall(SYS_capset, &h, d));
}

CASE(set_user_ids)
{
	uid_t r, e, s;

	ROOT();
	OK(setresuid(10, 20, 30));
	OK(getresuid(&r, &e, &s));
	EQ(r, 10);
	EQ(e, 20);
	EQ(s, 30);
	ERR(setresuid(40, -1, -1), EPERM);
	OK(setresuid(-1, 30, 10));
	OK(seteuid(10));
	ERR(setuid(77), EPERM);
	OK(setuid(10));
	OK(getresuid(&r, &e, &s));
	EQ(e, 10);
}

CASE(setuid_by_root_sets_all)
{
	uid_t r, e, s;

	ROOT();
	OK(setuid(1000));
	OK(getresuid(&r, &e, &s));
	CHECK(r == 1000 && e == 1000 && s == 1000);
	ERR(setuid(0), EPERM);
	ERR(setgid(5), EPERM);
	ERR(setgroups(0, NULL), EPERM);
}

CASE(setreuid_saves)
{
	uid_t r, e, s;

	ROOT();
	OK(setreuid(1000, 2000));
	OK(getresuid(&r, &e, &s));
	EQ(s, 2000);
	OK(setreuid(-1, 1000));
}

CASE(group_ids)
{
	gid_t g[10] = { 3, 1, 2 }, r, e, s;

	ROOT();
	OK(setgroups(3, g));
	EQ(getgroups(0, NULL), 3);
	EQ(getgroups(10, g), 3);
	ERR(getgroups(1, g), EINVAL);
	OK(setresgid(5, 6, 7));
	OK(getresgid(&r, &e, &s));
	CHECK(r == 5 && e == 6 && s == 7);
	ERR(setgroups(100000, g), EINVAL);
	pid_t p = CHILD({
		EQ(getgroups(10, g), 3);
		EQ(getegid(), 6);
	});
	EXITED(p, 0);
}

CASE(fsuid_for_files)
{
	ROOT();
	EQ(setfsuid(1234), 0);
	EQ(setfsuid(-1), 1234);
	close(OK(open("f", O_CREAT | O_RDWR, 0600)));
	struct stat st;
	OK(stat("f", &st));
	EQ(st.st_uid, 1234);
}

CASE(capabilities_follow_uid)
{
	uint64_t eff, perm;

	ROOT();
	caps(&eff, &perm);
	CHECK(perm != 0);
	uint64_t all = perm;
	OK(seteuid(1000));
	caps(&eff, &perm);
	EQ(eff, 0);
	EQ(perm, all);
	OK(seteuid(0));
	caps(&eff, &perm);
	EQ(eff, all);
	OK(setresuid(1000, 1000, 1000));
	caps(&eff, &perm);
	EQ(eff, 0);
	EQ(perm, 0);
}

CASE(keepcaps)
{
	uint64_t eff, perm, all;

	ROOT();
	caps(&eff, &all);
	OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 1);
	OK(setresuid(1000, 1000, 1000));
	caps(&eff, &perm);
	EQ(eff, 0);
	EQ(perm, all);
	set_caps(1ull << CAP_CHOWN, perm, 0);
	put_file("f", "", 0600);
	OK(chown("f", 55, 66));
}

CASE(dropping_is_final)
{
	uint64_t eff, perm;
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	ROOT();
	set_caps(0, 1ull << CAP_KILL, 0);
	caps(&eff, &perm);
	EQ(eff, 0);
	EQ(perm, 1ull << CAP_KILL);
	d[0].permitted = 1u << CAP_CHOWN;
	ERR(syscall(SYS_capset, &h, d), EPERM);
	d[0].permitted = 1u << CAP_KILL;
	d[0].effective = 1u << CAP_CHOWN;
	ERR(syscall(SYS_capset, &h, d), EPERM);
	put_file("f", "", 0600);
	ERR(chown("f", 1, 1), EPERM);
	h.version = 0;
	ERR(syscall(SYS_capget, &h, d), EINVAL);
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
}

CASE(override_is_a_capability)
{
	ROOT();
	put_file("f", "x", 0000);
	OK(chown("f", 5, 5));
	close(OK(open("f", O_RDONLY)));
	set_caps(0, 0, 0);
	ERR(open("f", O_RDONLY), EACCES);
}

CASE(bounding_set)
{
	ROOT();
	CHECK(prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
	OK(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
	EQ(prctl(PR_CAPBSET_READ, CAP_CHOWN), 0);
	ERR(prctl(PR_CAPBSET_READ, 999), EINVAL);
	set_caps(0, 0, 0);
	ERR(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);
}

CASE(ambient_set)
{
	uint64_t eff, perm;

	ROOT();
	caps(&eff, &perm);
	set_caps(eff, perm, 1ull << CAP_KILL);
	OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
	OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
}

CASE(no_new_privs)
{
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	pid_t p = CHILD({ EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1); });
	EXITED(p, 0);
}

CASE(dumpable)
{
	EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
	OK(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	ERR(prctl(PR_SET_DUMPABLE, 7, 0, 0, 0), EINVAL);
}

/* By every call that tells it, the first time and later. The numbers are asked for, too: they may come from where the limits do. */
static uint64_t soft_limit(int resource)
{
	uint64_t soft[3][2] = { { 0 } };

	OK(getpid());
	OK(syscall(SYS_getrlimit, resource, soft[0]));
	OK(syscall(SYS_prlimit64, 0, resource, NULL, soft[1]));
	OK(syscall(SYS_prlimit64, getpid(), resource, NULL, soft[2]));
	for (int i = 1; i < 3; i++) {
		EQ(soft[i][0], soft[0][0]);
		EQ(soft[i][1], soft[0][1]);
	}
	return soft[0][0];
}

static void set_soft_limit(pid_t pid, int resource, uint64_t soft)
{
	struct rlimit rl;

	OK(prlimit(pid, resource, NULL, &rl));
	rl.rlim_cur = soft;
	OK(prlimit(pid, resource, &rl, NULL));
}

static void *sees_limits(void *stack)
{
	EQ(soft_limit(RLIMIT_STACK), *(uint64_t *)stack);
	return NULL;
}

/* A few sets of limits, as make and gcc have: the first ones may be known where they are asked for, but all are what they are. */
CASE(processes_with_different_limits)
{
	enum { SETS = 9, MB = 1 << 20 };
	const uint64_t first = soft_limit(RLIMIT_STACK);
	pid_t pids[SETS];
	int go[2], tells[2];
	struct rlimit rl;

	OK(pipe(go));
	OK(pipe(tells));
	for (int i = 0; i < SETS; i++) {
		uint64_t stack = (8 + i) * MB;

		set_soft_limit(0, RLIMIT_STACK, stack);
		pids[i] = CHILD({
			pthread_t thread;

			for (int k = 0; k < 3; k++) {
				EQ(soft_limit(RLIMIT_STACK), stack);
				EQ(pthread_create(&thread, NULL, sees_limits, &stack), 0);
				EQ(pthread_join(thread, NULL), 0);
				EXITED(CHILD({ sees_limits(&stack); }), 0);
			}
			tell(tells[1]);
			hear(go[0]);
			stack = (8 + (i + 1) % SETS) * MB;
			sees_limits(&stack);
			set_soft_limit(0, RLIMIT_STACK, stack); /* to what it is */
			sees_limits(&stack);
			EXITED(CHILD({
				for (int k = 0; k < 3 * SETS; k++) {
					stack = (8 + k % SETS) * MB;
					set_soft_limit(0, RLIMIT_STACK, stack);
					sees_limits(&stack);
				}
			}), 0);
			EQ(soft_limit(RLIMIT_STACK), (8 + (i + 1) % SETS) * MB);
		});
		EQ(soft_limit(RLIMIT_STACK), stack);
	}
	set_soft_limit(0, RLIMIT_STACK, first);
	for (int i = 0; i < SETS; i++)
		hear(tells[0]);
	for (int i = 0; i < SETS; i++) {
		OK(prlimit(pids[i], RLIMIT_STACK, NULL, &rl));
		EQ(rl.rlim_cur, (8 + i) * MB);
		set_soft_limit(pids[i], RLIMIT_STACK, (8 + (i + 1) % SETS) * MB);
		EQ(soft_limit(RLIMIT_STACK), first);
	}
	for (int i = 0; i < SETS; i++)
		tell(go[1]);
	for (int i = 0; i < SETS; i++)
		EXITED(pids[i], 0);
}

/* A child by vfork has its own from then on. */
CASE(limits_of_a_vforks_child)
{
	const uint64_t first = soft_limit(RLIMIT_STACK);
	volatile uint64_t seen[2][2] = { { 0 } };
	struct rlimit rl;

	OK(getrlimit(RLIMIT_STACK, &rl));
	for (int i = 0; i < 10; i++) {
		pid_t p;

		rl.rlim_cur = (20 + i) << 20;
		p = vfork();
		if (p == 0) {
			syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, seen[0]);
			syscall(SYS_prlimit64, 0, RLIMIT_STACK, &rl, NULL);
			syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, seen[1]);
			_exit(0);
		}
		EXITED(p, 0);
		EQ(seen[0][0], first);
		EQ(seen[1][0], rl.rlim_cur);
		EQ(soft_limit(RLIMIT_STACK), first);
	}
}

CASE(limits_get_and_set)
{
	struct rlimit rl, now;

	OK(getrlimit(RLIMIT_NOFILE, &rl));
	CHECK(rl.rlim_cur <= rl.rlim_max);
	rl.rlim_cur = 100;
	OK(setrlimit(RLIMIT_NOFILE, &rl));
	OK(getrlimit(RLIMIT_NOFILE, &now));
	EQ(now.rlim_cur, 100);
	pid_t p = CHILD({
		OK(getrlimit(RLIMIT_NOFILE, &now));
		EQ(now.rlim_cur, 100);
	});
	EXITED(p, 0);
	rl.rlim_max = 50;
	ERR(setrlimit(RLIMIT_NOFILE, &rl), EINVAL);
	ERR(getrlimit(99, &rl), EINVAL);
	ERR(syscall(SYS_getrlimit, RLIMIT_NOFILE, 8), EFAULT);
	OK(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, &now));
	ERR(syscall(SYS_prlimit64, 0x3ffffff, RLIMIT_STACK, NULL, &now), ESRCH);
}

static void *sets_limits(void *pipes)
{
	int *p = pipes;

	for (int i = 0; i < 20; i++) {
		hear(p[0]);
		set_soft_limit(0, RLIMIT_NOFILE, 200 + i);
		tell(p[3]);
	}
	return NULL;
}

CASE(limits_are_never_what_they_were)
{
	const uint64_t first = soft_limit(RLIMIT_NOFILE), core = soft_limit(RLIMIT_CORE), stack = soft_limit(RLIMIT_STACK);
	pthread_t thread;
	int pipes[4];

	OK(pipe(pipes));
	OK(pipe(pipes + 2));
	/* by itself, and in what it forks */
	for (int i = 0; i < 20; i++) {
		EQ(soft_limit(RLIMIT_NOFILE), i ? 99 + i : first);
		set_soft_limit(i % 2 ? 0 : getpid(), RLIMIT_NOFILE, 100 + i);
		EQ(soft_limit(RLIMIT_NOFILE), 100 + i);
		pid_t p = CHILD({
			EQ(soft_limit(RLIMIT_NOFILE), 100 + i);
			set_soft_limit(0, RLIMIT_NOFILE, 77);
			EQ(soft_limit(RLIMIT_NOFILE), 77);
		});
		EXITED(p, 0);
		EQ(soft_limit(RLIMIT_NOFILE), 100 + i);
	}
	/* by another thread */
	EQ(pthread_create(&thread, NULL, sets_limits, pipes), 0);
	for (int i = 0; i < 20; i++) {
		set_soft_limit(0, RLIMIT_NOFILE, first);
		EQ(soft_limit(RLIMIT_NOFILE), first);
		tell(pipes[1]);
		hear(pipes[2]);
		EQ(soft_limit(RLIMIT_NOFILE), 200 + i);
	}
	EQ(pthread_join(thread, NULL), 0);
	/* by another process */
	set_soft_limit(0, RLIMIT_NOFILE, first);
	pid_t p = CHILD({
		for (int i = 0; i < 20; i++) {
			EQ(soft_limit(RLIMIT_NOFILE), i ? 299 + i : first);
			tell(pipes[3]);
			hear(pipes[0]);
			EQ(soft_limit(RLIMIT_NOFILE), 300 + i);
		}
	});
	for (int i = 0; i < 20; i++) {
		hear(pipes[2]);
		set_soft_limit(p, RLIMIT_NOFILE, 300 + i);
		EQ(soft_limit(RLIMIT_NOFILE), first);
		tell(pipes[1]);
	}
	EXITED(p, 0);
	EQ(soft_limit(RLIMIT_CORE), core);
	EQ(soft_limit(RLIMIT_STACK), stack);
}

CASE(a_limit_that_raises_itself_is_seen)
{
	struct rlimit rl = { 1, 30 };
	pid_t p = CHILD({
		signal(SIGXCPU, SIG_IGN);
		OK(setrlimit(RLIMIT_CPU, &rl));
		while (rl.rlim_cur == 1) {
			OK(getpid());
			OK(getrlimit(RLIMIT_CPU, &rl));
		}
		EQ(rl.rlim_cur, 2);
	});

	EXITED(p, 0);
}

CASE(limits_asked_for_in_vain)
{
	struct rlimit rl;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	OK(munmap(page + 4096, 4096));
	for (int i = 0; i < 20; i++) {
		OK(getpid());
		OK(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, NULL));
		ERR(syscall(SYS_prlimit64, 0, RLIM_NLIMITS, NULL, &rl), EINVAL);
		ERR(syscall(SYS_prlimit64, 0, -1, NULL, &rl), EINVAL);
		ERR(syscall(SYS_prlimit64, 0, RLIMIT_STACK, 8, &rl), EFAULT);
		ERR(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, 8), EFAULT);
		ERR(syscall(SYS_prlimit64, 0, RLIMIT_STACK, NULL, page + 4088), EFAULT);
		ERR(syscall(SYS_prlimit64, -1, RLIMIT_STACK, NULL, &rl), ESRCH);
		ERR(syscall(SYS_getrlimit, RLIM_NLIMITS, &rl), EINVAL);
		ERR(syscall(SYS_getrlimit, RLIMIT_STACK, NULL), EFAULT);
		ERR(syscall(SYS_getrlimit, RLIMIT_STACK, ~0ul - 7), EFAULT);
		OK(syscall(SYS_prlimit64, 1ul << 32, RLIMIT_STACK | 1ul << 40, NULL, &rl)); /* an int, and an unsigned one */
	}
}

CASE(hard_limit_needs_capability)
{
	struct rlimit rl = { 100, 100 };

	ROOT();
	OK(setrlimit(RLIMIT_NOFILE, &rl));
	pid_t p = CHILD({
		OK(setresuid(1000, 1000, 1000));
		rl.rlim_max = 200;
		ERR(setrlimit(RLIMIT_NOFILE, &rl), EPERM);
	});
	EXITED(p, 0);
}

CASE(cpu_limit)
{
	struct rlimit rl = { 1, 30 };	/* far enough from each other that the second isn't over, too, when somebody looks */
	pid_t p = CHILD({
		OK(setrlimit(RLIMIT_CPU, &rl));
		for (;;)
			;
	});

	KILLED(p, SIGXCPU);
}

CASE(process_limit)
{
	struct rlimit rl = { 2, 2 };

	/* Whoever else runs this here at the same time has a user of his own: the limit counts all of a user's. */
	uid_t uid = 20000 + getpid() % 40000;

	ROOT();
	pid_t p = CHILD({
		OK(setresuid(uid, uid, uid));
		OK(setrlimit(RLIMIT_NPROC, &rl));
		pid_t a = fork();
		if (a == 0) {
			pause();
			_exit(0);
		}
		CHECK(a > 0);
		pid_t b = fork();
		if (b == 0)
			_exit(0);
		int e = errno;
		kill(a, SIGKILL);
		EQ(b, -1);
		EQ(e, EAGAIN);
	});
	EXITED(p, 0);
}

CASE(proc_status_shows_ids)
{
	char *s;

	ROOT();
	OK(setresgid(50, 60, 70));
	OK(setresuid(10, 20, 30));
	s = get_file("/proc/self/status");
	CHECK(strstr(s, "\nUid:\t10\t20\t30\t20\n"));
	CHECK(strstr(s, "\nGid:\t50\t60\t70\t60\n"));
	CHECK(strstr(s, "\nCapEff:\t0000000000000000\n"));
}
