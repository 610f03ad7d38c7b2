/* Clocks, by the vDSO and by calls; what the system says about itself: uname, sysinfo, times. */
#include "abi.h"
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	OK(clock_gettime(id, &ts));
	CHECK(ts.tv_nsec >= 0 && ts.tv_nsec < 1000000000);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

/* The same by a real call, past the vDSO. */
static int64_t call_clock(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	OK(syscall(SYS_clock_gettime, id, &ts));
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

CASE(vdso_agrees_with_calls)
{
	static const clockid_t ids[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME };

	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++)
		for (int k = 0; k < 100; k++) {
			int64_t a = read_clock(ids[i]), b = call_clock(ids[i]), c = read_clock(ids[i]);
			if (a > b || b > c)
				FAIL("clock %d: %lld, %lld, %lld", ids[i], (long long)a, (long long)b, (long long)c);
		}
	int64_t a = read_clock(CLOCK_REALTIME), coarse = read_clock(CLOCK_REALTIME_COARSE), b = read_clock(CLOCK_REALTIME);
	CHECK(coarse > a - 1000000000 && coarse <= b);
	a = read_clock(CLOCK_MONOTONIC), coarse = read_clock(CLOCK_MONOTONIC_COARSE), b = read_clock(CLOCK_MONOTONIC);
	CHECK(coarse > a - 1000000000 && coarse <= b);
}

static void *watch(void *arg)
{
	int64_t last = 0;

	for (int i = 0; i < 50000; i++) {
		int64_t t = read_clock(CLOCK_MONOTONIC);
		CHECK(t >= last);
		last = t;
	}
	return NULL;
}

CASE(monotonic_never_goes_back)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, watch, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

CASE(monotonic_agrees_between_processes)
{
	int64_t *t = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t before = read_clock(CLOCK_MONOTONIC);
	pid_t p = CHILD({ *t = read_clock(CLOCK_MONOTONIC); });

	EXITED(p, 0);
	CHECK(before <= *t && *t <= read_clock(CLOCK_MONOTONIC));
}

CASE(realtime_forms_agree)
{
	struct timeval tv;
	int64_t a = read_clock(CLOCK_REALTIME) / 1000, b;
	time_t t, called;

	OK(gettimeofday(&tv, NULL));
	b = tv.tv_sec * 1000000ll + tv.tv_usec;
	CHECK(b >= a && b <= read_clock(CLOCK_REALTIME) / 1000);
	t = time(NULL);
	CHECK(t >= tv.tv_sec - 1 && t <= read_clock(CLOCK_REALTIME) / 1000000000);
	EQ(time(&t), t);
	OK(syscall(SYS_gettimeofday, &tv, NULL));
	ERR(syscall(SYS_gettimeofday, 8, NULL), EFAULT);
	called = syscall(SYS_time, NULL);
	CHECK(called >= t && called <= time(NULL));
	/* Somewhere in this century. */
	CHECK(t > 1600000000 && t < 4100000000);
}

CASE(cpu_clocks)
{
	clockid_t id;
	int64_t b = read_clock(CLOCK_THREAD_CPUTIME_ID), a = read_clock(CLOCK_PROCESS_CPUTIME_ID), least = INT64_MAX;

	while (read_clock(CLOCK_PROCESS_CPUTIME_ID) < a + 20000000)
		;
	CHECK(read_clock(CLOCK_THREAD_CPUTIME_ID) >= b + 10000000);
	/* Sleep costs next to none; what a busy machine charges for may be more, but not again and again. */
	for (int i = 0; i < 20 && least >= 80000000; i++) {
		a = read_clock(CLOCK_PROCESS_CPUTIME_ID);
		msleep(100);
		a = read_clock(CLOCK_PROCESS_CPUTIME_ID) - a;
		least = a < least ? a : least;
	}
	CHECK(least < 80000000);
	EQ(clock_getcpuclockid(getpid(), &id), 0);
	CHECK(read_clock(id) > 0);
	EQ(pthread_getcpuclockid(pthread_self(), &id), 0);
	CHECK(read_clock(id) > 0);
	pid_t p = CHILD({ pause(); });
	EQ(clock_getcpuclockid(p, &id), 0);
	read_clock(id);
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	EQ(clock_getcpuclockid(0x3fffff, &id), ESRCH);
}

static void *use_cpu(void *used)
{
	int64_t a = read_clock(CLOCK_THREAD_CPUTIME_ID), b;

	while ((b = read_clock(CLOCK_THREAD_CPUTIME_ID)) < a + 20000000)
		;
	*(int64_t *)used = b - a;
	return NULL;
}

CASE(an_ended_threads_cpu_time_stays_the_processs)
{
	int64_t a = read_clock(CLOCK_PROCESS_CPUTIME_ID), used, all;
	pthread_t t;

	EQ(pthread_create(&t, NULL, use_cpu, &used), 0);
	EQ(pthread_join(t, NULL), 0);
	all = read_clock(CLOCK_PROCESS_CPUTIME_ID) - a;
	CHECK(all >= used);
	CHECK(all < used + 10000000000);
}

CASE(resolution_and_errors)
{
	struct timespec ts;

	OK(clock_getres(CLOCK_MONOTONIC, &ts));
	CHECK(ts.tv_sec == 0 && ts.tv_nsec == 1);
	OK(clock_getres(CLOCK_REALTIME_COARSE, &ts));
	CHECK(ts.tv_nsec >= 1000000);
	ERR(clock_gettime(99, &ts), EINVAL);
	ERR(clock_getres(99, &ts), EINVAL);
	ERR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);
	OK(clock_getres(CLOCK_MONOTONIC, NULL));
}

CASE(setting_the_clock_is_refused)
{
	struct timespec ts;

	if (geteuid() == 0)
		OK(setresuid(1000, 1000, 1000));
	OK(clock_gettime(CLOCK_REALTIME, &ts));
	ERR(clock_settime(CLOCK_REALTIME, &ts), EPERM);
	ERR(clock_settime(CLOCK_MONOTONIC, &ts), EINVAL);
	struct timex tx = { .modes = 0 };
	CHECK(adjtimex(&tx) >= 0);
}

CASE(vdso_image)
{
	Elf64_Ehdr *eh = (void *)getauxval(AT_SYSINFO_EHDR);
	Elf64_Phdr *ph;
	const Elf64_Dyn *dyn = NULL;
	const char *strs = NULL;
	const Elf64_Sym *syms = NULL;
	uintptr_t base = (uintptr_t)eh, load = 0;
	static const char *const want[] = { "__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time", "__vdso_getcpu",
		"__vdso_clock_getres" };

	CHECK(eh && !memcmp(eh->e_ident, ELFMAG, SELFMAG));
	EQ(eh->e_type, ET_DYN);
	ph = (void *)(base + eh->e_phoff);
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD)
			load = base + ph[i].p_offset - ph[i].p_vaddr;
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (void *)(base + ph[i].p_offset);
	}
	CHECK(dyn);
	for (; dyn->d_tag; dyn++) {
		if (dyn->d_tag == DT_STRTAB)
			strs = (char *)(load + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_SYMTAB)
			syms = (void *)(load + dyn->d_un.d_ptr);
	}
	CHECK(strs && syms);
	for (unsigned w = 0; w < sizeof want / sizeof *want; w++) {
		int found = 0;
		for (const Elf64_Sym *s = syms; (char *)s < strs; s++)
			found |= s->st_value && !strcmp(strs + s->st_name, want[w]);
		if (!found)
			FAIL("no %s", want[w]);
	}
}

CASE(uname_fields)
{
	struct utsname u;
	int major, minor;

	OK(uname(&u));
	STREQ(u.sysname, "Linux");
	STREQ(u.machine, "x86_64");
	CHECK(u.nodename[0] && u.release[0] && u.version[0]);
	CHECK(sscanf(u.release, "%d.%d", &major, &minor) == 2);
	CHECK(major >= 4);
	ERR(syscall(SYS_uname, 8), EFAULT);
}

CASE(host_name)
{
	struct utsname u;

	if (geteuid() != 0)
		SKIP("needs root");
	/* In a namespace of its own, so that nobody else's name changes. */
	pid_t p = CHILD({
		OK(syscall(SYS_unshare, 0x04000000 /* CLONE_NEWUTS */));
		OK(sethostname("renamed", 7));
		OK(uname(&u));
		STREQ(u.nodename, "renamed");
		char long_name[100];
		memset(long_name, 'x', sizeof long_name);
		ERR(sethostname(long_name, 65), EINVAL);
		OK(setresuid(1000, 1000, 1000));
		ERR(sethostname("no", 2), EPERM);
	});
	EXITED(p, 0);
}

CASE(sysinfo_fields)
{
	struct sysinfo si;

	memset(&si, 0xff, sizeof si);
	OK(sysinfo(&si));
	CHECK(si.uptime > 0);
	CHECK(si.totalram > 0 && si.freeram <= si.totalram);
	CHECK(si.procs >= 1);
	CHECK(si.mem_unit >= 1);
	CHECK(get_nprocs() >= 1);
}

CASE(times_and_rusage)
{
	struct tms t;
	struct rusage ru;
	int64_t a;

	CHECK(times(&t) != (clock_t)-1);
	a = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	while (read_clock(CLOCK_PROCESS_CPUTIME_ID) < a + 50000000)
		;
	OK(getrusage(RUSAGE_SELF, &ru));
	CHECK(ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1000000 + ru.ru_stime.tv_usec >= 40000);
	CHECK(ru.ru_maxrss > 0);
	OK(getrusage(RUSAGE_THREAD, &ru));
	ERR(getrusage(55, &ru), EINVAL);
	ERR(syscall(SYS_getrusage, RUSAGE_SELF, 8), EFAULT);
}

CASE(boot_and_monotonic)
{
	double up;
	int64_t before = read_clock(CLOCK_BOOTTIME), monotonic;
	FILE *f = fopen("/proc/uptime", "r");

	CHECK(f && fscanf(f, "%lf", &up) == 1);
	CHECK(up > before / 1e9 - 2 && up < read_clock(CLOCK_BOOTTIME) / 1e9 + 2);
	monotonic = read_clock(CLOCK_MONOTONIC);
	CHECK(read_clock(CLOCK_BOOTTIME) >= monotonic - 1000000);
}

CASE(unknown_calls)
{
	ERR(syscall(1000), ENOSYS);
	ERR(syscall(0x7fffffff), ENOSYS);
	ERR(syscall(-1), ENOSYS);
	ERR(syscall(SYS_tuxcall), ENOSYS);
	ERR(syscall(SYS_security), ENOSYS);
	ERR(syscall(SYS__sysctl), ENOSYS);
}
