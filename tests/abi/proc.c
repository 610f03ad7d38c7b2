/* /proc and /sys as ps, top, free, glibc, Python, Go, Java and Node read them. */
#include "abi.h"
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sys/sysinfo.h>

/* The value after "KEY:" in a file of such lines; NULL where there is none. */
static const char *value(const char *path, const char *key)
{
	static char line[512];
	FILE *f = fopen(path, "r");
	size_t n = strlen(key);

	CHECK(f);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, key, n) && line[n] == ':') {
			char *p = line + n + 1;
			while (*p == ' ' || *p == '\t')
				p++;
			p[strcspn(p, "\n")] = 0;
			fclose(f);
			return p;
		}
	fclose(f);
	return NULL;
}

static long number(const char *path, const char *key)
{
	const char *v = value(path, key);

	if (!v)
		FAIL("no %s in %s", key, path);
	return atol(v);
}

CASE(stat_line)
{
	char *s = get_file("/proc/self/stat"), *p, comm[64], state;
	int pid, ppid, pgrp, session;
	long f[60];
	int n = 0;

	CHECK(sscanf(s, "%d (%63[^)]) %c %d %d %d", &pid, comm, &state, &ppid, &pgrp, &session) == 6);
	EQ(pid, getpid());
	EQ(ppid, getppid());
	EQ(pgrp, getpgrp());
	EQ(session, getsid(0));
	EQ(state, 'R');
	p = strrchr(s, ')') + 3;
	for (char *t = strtok(p, " \n"); t; t = strtok(NULL, " \n"))
		f[n++] = atol(t);
	EQ(n, 49);			/* 52 fields with pid, comm and state */
	EQ(f[16], 1);			/* threads */
	CHECK(f[19] > 0);		/* vsize */
	CHECK(f[20] > 0);		/* rss in pages */
}

CASE(status_fields)
{
	const char *st = "/proc/self/status";

	EQ(number(st, "Pid"), getpid());
	EQ(number(st, "Tgid"), getpid());
	EQ(number(st, "PPid"), getppid());
	EQ(number(st, "Threads"), 1);
	CHECK(number(st, "VmRSS") > 0);
	CHECK(number(st, "VmSize") >= number(st, "VmRSS"));
	CHECK(value(st, "State")[0] == 'R');
	CHECK(value(st, "SigBlk") && value(st, "SigIgn") && value(st, "SigCgt") && value(st, "ShdPnd"));
	CHECK(value(st, "CapEff") && value(st, "CapBnd"));
	CHECK(value(st, "Cpus_allowed_list"));
	CHECK(value(st, "voluntary_ctxt_switches"));
	CHECK(value(st, "NoNewPrivs"));
	CHECK(value(st, "Seccomp"));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	STREQ(value(st, "SigBlk"), "0000000000000200");
	raise(SIGUSR1);
	STREQ(value(st, "SigPnd"), "0000000000000200");
}

CASE(statm_and_growth)
{
	long size, rss, size2, rss2;
	char *s = get_file("/proc/self/statm");

	CHECK(sscanf(s, "%ld %ld", &size, &rss) == 2);
	char *p = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 16 << 20);
	s = get_file("/proc/self/statm");
	CHECK(sscanf(s, "%ld %ld", &size2, &rss2) == 2);
	CHECK(size2 >= size + 4096);
	CHECK(rss2 >= rss + 3500);
}

CASE(maps_lines)
{
	char *m = mmap(NULL, 3 << 12, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), want[128], *s, exe[PATH_MAX] = "";
	int fd = OK(open("mapped-file", O_RDWR | O_CREAT, 0600));

	OK(ftruncate(fd, 8192));
	char *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	OK(mprotect(m + 4096, 4096, PROT_READ | PROT_WRITE));
	s = get_file("/proc/self/maps");
	sprintf(want, "%lx-%lx rw-p 00000000 00:00 0", (long)m + 4096, (long)m + 8192);
	CHECK(strstr(s, want));
	sprintf(want, "%lx-%lx rw-s 00001000 ", (long)f, (long)f + 4096);
	CHECK(strstr(s, want));
	CHECK(strstr(s, "/mapped-file\n"));
	CHECK(strstr(s, "[stack]\n"));
	CHECK(strstr(s, "[vdso]\n"));
	OK(readlink("/proc/self/exe", exe, sizeof exe - 1));
	CHECK(strstr(s, exe));
	sbrk(8192);
	s = get_file("/proc/self/maps");
	CHECK(strstr(s, "[heap]\n"));
	/* Sorted, without overlap. */
	unsigned long prev = 0, a, b;
	for (char *l = s; *l; l = strchr(l, '\n') + 1) {
		CHECK(sscanf(l, "%lx-%lx", &a, &b) == 2);
		CHECK(a >= prev && b > a);
		prev = b;
	}
}

CASE(smaps)
{
	char *s = get_file("/proc/self/smaps");

	CHECK(strstr(s, "\nRss:") && strstr(s, "\nPss:") && strstr(s, "\nPrivate_Dirty:"));
	CHECK(strstr(s, "[stack]"));
}

CASE(fd_folder)
{
	char path[64], link[PATH_MAX] = "", cwd[PATH_MAX];
	int fd = OK(open("some-file", O_RDWR | O_CREAT | O_APPEND, 0600)), n = 0;
	struct stat a, b;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	OK(readlink(path, link, sizeof link - 1));
	CHECK(getcwd(cwd, sizeof cwd));
	CHECK(!strncmp(link, cwd, strlen(cwd)) && strstr(link, "/some-file"));
	OK(stat(path, &a));
	OK(fstat(fd, &b));
	EQ(a.st_ino, b.st_ino);
	DIR *d = opendir("/proc/self/fd");
	CHECK(d);
	struct dirent *e;
	bool seen = false;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			n++;
			seen |= atoi(e->d_name) == fd;
		}
	closedir(d);
	CHECK(seen && n >= 2);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	EQ(write(fd, "abc", 3), 3);
	EQ(number(path, "pos"), 3);
	CHECK(strstr(value(path, "flags"), "2002"));
	close(fd);
	ERR(access(path, F_OK), ENOENT);
}

CASE(links)
{
	char a[PATH_MAX] = "", b[PATH_MAX];

	OK(readlink("/proc/self/cwd", a, sizeof a - 1));
	CHECK(getcwd(b, sizeof b));
	STREQ(a, b);
	memset(a, 0, sizeof a);
	OK(readlink("/proc/self/root", a, sizeof a - 1));
	STREQ(a, "/");
	memset(a, 0, sizeof a);
	OK(readlink("/proc/self", a, sizeof a - 1));
	EQ(atoi(a), getpid());
	memset(a, 0, sizeof a);
	OK(readlink("/proc/thread-self", a, sizeof a - 1));
	snprintf(b, sizeof b, "%d/task/%d", getpid(), getpid());
	STREQ(a, b);
	memset(a, 0, sizeof a);
	OK(readlink("/proc/self/ns/pid", a, sizeof a - 1));
	CHECK(!strncmp(a, "pid:[", 5));
}

CASE(comm_can_be_written)
{
	int fd = OK(open("/proc/self/comm", O_WRONLY));

	EQ(write(fd, "renamed", 7), 7);
	STREQ(get_file("/proc/self/comm"), "renamed\n");
	STREQ(value("/proc/self/status", "Name"), "renamed");
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return arg;
}

CASE(task_folder)
{
	pthread_t t[3];
	int n = 0;
	DIR *d;
	struct dirent *e;

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, sleeper, NULL);
	EQ(number("/proc/self/status", "Threads"), 4);
	d = opendir("/proc/self/task");
	while ((e = readdir(d)))
		if (e->d_name[0] != '.') {
			char path[300];
			snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
			EQ(number(path, "Pid"), atoi(e->d_name));
			EQ(number(path, "Tgid"), getpid());
			n++;
		}
	EQ(n, 4);
}

CASE(list_of_processes)
{
	pid_t p = CHILD({ pause(); });
	DIR *d = opendir("/proc");
	struct dirent *e;
	bool self = false, child = false;

	while ((e = readdir(d))) {
		self |= atoi(e->d_name) == getpid();
		child |= atoi(e->d_name) == p;
	}
	CHECK(self && child);
	EVENTUALLY(proc_state(p) == 'S');
	kill(p, SIGKILL);
	EVENTUALLY(proc_state(p) == 'Z');
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/cmdline", p);
	STREQ(get_file(path), "");
	KILLED(p, SIGKILL);
	snprintf(path, sizeof path, "/proc/%d", p);
	ERR(access(path, F_OK), ENOENT);
	closedir(d);
}

CASE(open_file_of_dead_process)
{
	pid_t p = CHILD({ pause(); });
	char path[64], b[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", p);
	fd = OK(open(path, O_RDONLY));
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	ERR(read(fd, b, sizeof b), ESRCH);
}

CASE(meminfo)
{
	const char *m = "/proc/meminfo";
	long total = number(m, "MemTotal");
	struct sysinfo si;

	CHECK(total > 0);
	CHECK(number(m, "MemFree") > 0 && number(m, "MemFree") <= total);
	CHECK(number(m, "MemAvailable") > 0);
	number(m, "Buffers");
	number(m, "Cached");
	number(m, "SwapTotal");
	number(m, "SReclaimable");
	number(m, "Shmem");
	CHECK(strstr(value(m, "MemTotal"), " kB"));
	OK(sysinfo(&si));
	EQ(si.totalram * si.mem_unit / 1024, total);
}

CASE(system_stat)
{
	char *s = get_file("/proc/stat");
	int cpus = 0;

	CHECK(!strncmp(s, "cpu  ", 5));
	for (char *l = s; *l; l = strchr(l, '\n') + 1)
		cpus += !strncmp(l, "cpu", 3) && l[3] != ' ';
	EQ(cpus, sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(strstr(s, "\nbtime ") && strstr(s, "\nprocesses ") && strstr(s, "\nctxt ") && strstr(s, "\nprocs_running "));
	long btime = atol(strstr(s, "\nbtime ") + 7);
	CHECK(btime > 1500000000 && btime <= time(NULL));
}

CASE(cpuinfo)
{
	char *s = get_file("/proc/cpuinfo");
	int n = 0;

	for (char *p = s; (p = strstr(p, "processor\t:")); p++)
		n++;
	EQ(n, sysconf(_SC_NPROCESSORS_ONLN));
	CHECK(strstr(s, "\nflags\t\t:") && strstr(s, "\nmodel name\t:"));
	CHECK(sysconf(_SC_NPROCESSORS_CONF) >= n);
}

CASE(uptime_and_loadavg)
{
	double up, idle, a, b, c;
	int run, all, last;
	struct sysinfo si;

	CHECK(sscanf(get_file("/proc/uptime"), "%lf %lf", &up, &idle) == 2);
	CHECK(up > 0);
	OK(sysinfo(&si));
	CHECK(si.uptime >= (long)up);
	CHECK(sscanf(get_file("/proc/uptime"), "%lf %lf", &up, &idle) == 2);
	CHECK(si.uptime <= (long)up + 2);
	CHECK(sscanf(get_file("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &a, &b, &c, &run, &all, &last) == 6);
	CHECK(all >= 1 && last > 0);
}

CASE(version_and_file_systems)
{
	CHECK(strstr(get_file("/proc/version"), "version "));
	CHECK(strstr(get_file("/proc/filesystems"), "nodev\tproc\n"));
	CHECK(strstr(get_file("/proc/filesystems"), "nodev\ttmpfs\n"));
	char *m = get_file("/proc/self/mounts");
	CHECK(strstr(m, " /proc proc "));
	CHECK(strstr(m, " / "));
	CHECK(strstr(get_file("/proc/mounts"), " /proc proc "));
	CHECK(strstr(get_file("/proc/self/mountinfo"), " /proc "));
	CHECK(strstr(get_file("/proc/self/mountinfo"), " - proc "));
}

CASE(sysctls)
{
	CHECK(atol(get_file("/proc/sys/kernel/pid_max")) > 100);
	CHECK(atol(get_file("/proc/sys/fs/file-max")) > 0);
	CHECK(atol(get_file("/proc/sys/vm/overcommit_memory")) <= 2);
	CHECK(atol(get_file("/proc/sys/kernel/cap_last_cap")) >= 37);
	CHECK(atol(get_file("/proc/sys/net/core/somaxconn")) > 0);
	CHECK(atol(get_file("/proc/sys/kernel/ngroups_max")) == 65536);
	char *h = get_file("/proc/sys/kernel/hostname"), name[65] = "";
	OK(gethostname(name, sizeof name - 1));
	h[strcspn(h, "\n")] = 0;
	STREQ(h, name);
	STREQ(get_file("/proc/sys/kernel/ostype"), "Linux\n");
	EQ(strlen(get_file("/proc/sys/kernel/random/boot_id")), 37);
	CHECK(strcmp(get_file("/proc/sys/kernel/random/uuid"), get_file("/proc/sys/kernel/random/uuid")));
}

CASE(limits_file)
{
	char *s = get_file("/proc/self/limits");

	CHECK(!strncmp(s, "Limit                     Soft Limit           Hard Limit           Units", 70));
	CHECK(strstr(s, "Max open files "));
	CHECK(strstr(s, "Max stack size "));
}

CASE(small_files)
{
	CHECK(strstr(get_file("/proc/self/cgroup"), ":"));
	CHECK(atoi(get_file("/proc/self/oom_score_adj")) <= 1000);
	CHECK(get_file("/proc/self/oom_score"));
	CHECK(strstr(get_file("/proc/self/uid_map"), "0"));
	CHECK(strlen(get_file("/proc/self/loginuid")) > 0);
	CHECK(strstr(get_file("/proc/self/io"), "rchar:"));
	CHECK(get_file("/proc/self/wchan"));
	CHECK(get_file("/proc/self/personality"));
	int fd = OK(open("/proc/self/oom_score_adj", O_WRONLY));
	EQ(write(fd, "500", 3), 3);
	EQ(atoi(get_file("/proc/self/oom_score_adj")), 500);
}

CASE(auxv_and_mem)
{
	unsigned long v[2];
	int fd = OK(open("/proc/self/auxv", O_RDONLY)), got = 0;
	static int x = 0x12345678;
	int y = 0;

	while (read(fd, v, sizeof v) == sizeof v && v[0])
		got += v[0] == 6 && v[1] == 4096;
	EQ(got, 1);
	fd = OK(open("/proc/self/mem", O_RDWR));
	EQ(pread(fd, &y, sizeof y, (off_t)(uintptr_t)&x), sizeof y);
	EQ(y, 0x12345678);
	y = 99;
	EQ(pwrite(fd, &y, sizeof y, (off_t)(uintptr_t)&x), sizeof y);
	EQ(*(volatile int *)&x, 99);
	ERR(pread(fd, &y, sizeof y, 8), EIO);
}

CASE(names_that_are_not_there)
{
	ERR(access("/proc/0", F_OK), ENOENT);
	ERR(access("/proc/3fffff", F_OK), ENOENT);
	ERR(access("/proc/self/nonsense", F_OK), ENOENT);
	ERR(access("/proc/01", F_OK), ENOENT);
	ERR(open("/proc/newfile", O_CREAT | O_RDWR, 0600), ENOENT);
	ERR(mkdir("/proc/x", 0700), ENOENT);
	ERR(unlink("/proc/version"), EPERM);
	struct stat st;
	OK(stat("/proc/self/status", &st));
	EQ(st.st_size, 0);
	OK(stat("/proc/1", &st));
	CHECK(S_ISDIR(st.st_mode));
}

CASE(seek_and_small_reads)
{
	char *all = get_file("/proc/self/limits"), *s = calloc(1, 65536);
	int fd = OK(open("/proc/self/limits", O_RDONLY)), n = 0, r;

	while ((r = OK(read(fd, s + n, 7))) > 0)
		n += r;
	STREQ(s, all);
	EQ(lseek(fd, 0, SEEK_SET), 0);
	EQ(read(fd, s, 5), 5);
	EQ(pread(fd, s, 6, 6), 6);
	CHECK(!memcmp(s, all + 6, 6));
}

CASE(cpu_times_grow)
{
	long u1, u2;
	char *p = strrchr(get_file("/proc/self/stat"), ')');
	struct timespec from, t;

	CHECK(sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld", &u1) == 1);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	do
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	while ((t.tv_sec - from.tv_sec) * 1000000000 + t.tv_nsec - from.tv_nsec < 100000000);
	p = strrchr(get_file("/proc/self/stat"), ')');
	long k2;
	CHECK(sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &u2, &k2) == 2);
	CHECK(u2 + k2 - u1 >= 5);
}

CASE(sysfs)
{
	struct stat st;
	char *s = get_file("/sys/devices/system/cpu/online");

	CHECK(s[0] == '0');
	OK(stat("/sys/devices/system/cpu/cpu0", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK(get_file("/sys/devices/system/cpu/possible")[0] == '0');
}

CASE(dev_fd)
{
	char b[8] = "";
	int p[2];
	char path[32];

	OK(pipe(p));
	EQ(write(p[1], "dev", 3), 3);
	snprintf(path, sizeof path, "/dev/fd/%d", p[0]);
	int fd = OK(open(path, O_RDONLY));
	EQ(read(fd, b, 8), 3);
	STREQ(b, "dev");
}
