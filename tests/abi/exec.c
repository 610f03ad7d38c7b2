/* execve: what survives it, what it hands over, scripts, limits, and every way to refuse. */
#include "abi.h"
#include <elf.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#ifdef __GLIBC__
#include <sys/platform/x86.h>
#endif

extern char **environ;
static char self[PATH_MAX];

static void find_self(void)
{
	ssize_t n = OK(readlink("/proc/self/exe", self, sizeof self - 1));

	self[n] = 0;
}

/* Runs this program again as a helper and gives its exit status. */
static int helper(char *const argv[], char *const envp[])
{
	int st;
	pid_t p;

	find_self();
	p = CHILD({
		execve(self, argv, envp);
		_exit(125);
	});
	OK(waitpid(p, &st, 0));
	return WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st);
}

CASE(arguments_and_environment)
{
	char *argv[] = { "name", "--echo", "one", "", "three words here", NULL };
	char *envp[] = { "A=1", "B=", NULL };

	EQ(helper(argv, envp), 0);
}

CASE(empty_environment)
{
	char *argv[] = { "name", "--noenv", NULL };
	char *envp[] = { NULL };

	EQ(helper(argv, envp), 0);
	EQ(helper(argv, NULL), 0);
}

CASE(auxv)
{
	char *argv[] = { "name", "--auxv", NULL };

	EQ(helper(argv, environ), 0);
}

/* A system may learn what programs are like that are executed again and again. */
CASE(the_same_every_time)
{
	unsigned first[9][8], all[9][8];
	int p[2];
	char fd[16], *argv[] = { "name", "--processor", fd, NULL };

	OK(pipe(p));
	sprintf(fd, "%d", p[1]);
	for (int i = 0; i < 12; i++) {
		EQ(helper(argv, environ), 0);
		EQ(read(p[0], all, sizeof all), (long)sizeof all);
		if (i == 0)
			memcpy(first, all, sizeof all);
		CHECK(!memcmp(first, all, sizeof all));
	}
}

CASE(close_on_exec)
{
	int a = OK(open("/dev/null", O_RDONLY)), b = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
	char sa[16], sb[16];
	char *argv[] = { "name", "--fds", sa, sb, NULL };

	sprintf(sa, "%d", a);
	sprintf(sb, "%d", b);
	EQ(helper(argv, environ), 0);
	/* The parent's own are untouched. */
	OK(fcntl(b, F_GETFD));
}

CASE(signal_dispositions)
{
	char *argv[] = { "name", "--signals", NULL };
	sigset_t set;

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, abi_timeout);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	EQ(helper(argv, environ), 0);
}

CASE(pending_signal_survives)
{
	sigset_t set;
	pid_t p;

	find_self();
	p = CHILD({
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		execl(self, "name", "--pending", NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(pid_cwd_umask_nice_survive)
{
	char pid[16], cwd[PATH_MAX];

	find_self();
	CHECK(getcwd(cwd, sizeof cwd));
	pid_t p = CHILD({
		umask(027);
		sprintf(pid, "%d", getpid());
		execl(self, "name", "--same", pid, cwd, NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(comm_is_file_name)
{
	find_self();
	OK(symlink(self, "a-rather-long-link-name"));
	pid_t p = CHILD({
		execl("./a-rather-long-link-name", "x", "--comm", "a-rather-long-l", NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

static void *exec_thread(void *arg)
{
	execl(self, "name", "--same-pid", (char *)arg, NULL);
	_exit(125);
}

CASE(exec_from_thread_takes_over_pid)
{
	char pid[16];

	find_self();
	pid_t p = CHILD({
		pthread_t t;
		sprintf(pid, "%d", getpid());
		pthread_create(&t, NULL, exec_thread, pid);
		for (;;)
			pause();
	});
	EXITED(p, 0);
}

static void *pause_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

CASE(exec_ends_other_threads)
{
	char pid[16];

	find_self();
	pid_t p = CHILD({
		pthread_t t;
		sprintf(pid, "%d", getpid());
		for (int i = 0; i < 4; i++)
			pthread_create(&t, NULL, pause_thread, NULL);
		execl(self, "name", "--same-pid", pid, NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(vfork_exec)
{
	pid_t p;

	find_self();
	p = vfork();
	if (p == 0) {
		execl(self, "name", "--exit", "33", NULL);
		_exit(125);
	}
	EXITED(p, 33);
}

static int exec_and_leave_a_word(void *word)
{
	syscall(SYS_set_tid_address, word);
	execl(self, "name", "--exit", "0", NULL);
	_exit(125);
}

/* Who leaves the memory is gone from there, whoever goes on elsewhere. */
CASE(number_is_cleared_where_exec_leaves_from)
{
	static char stack[1 << 16];
	volatile int word = 7;
	pid_t p;

	find_self();
	for (int i = 0; i < 3; i++) {
		word = 7;
		p = OK(clone(exec_and_leave_a_word, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)&word));
		EQ(word, 0);
		word = 7;
		EXITED(p, 0);
		EQ(word, 7);
	}
}

CASE(limits_survive)
{
	char soft[24];
	struct rlimit rl;

	find_self();
	OK(getrlimit(RLIMIT_NOFILE, &rl));
	for (int i = 0; i < 10; i++) {
		pid_t p = CHILD({
			if (i % 3) {
				rl.rlim_cur = 100 + i;
				OK(setrlimit(RLIMIT_NOFILE, &rl));
			}
			sprintf(soft, "%lu", (unsigned long)rl.rlim_cur);
			execl(self, "name", "--limits", soft, NULL);
			_exit(125);
		});
		EXITED(p, 0);
	}
}

static bool cmdline_is(pid_t p, const char *want, int len)
{
	char path[64], buf[256];
	int fd, n;

	snprintf(path, sizeof path, "/proc/%d/cmdline", p);
	fd = OK(open(path, O_RDONLY));
	n = OK(read(fd, buf, sizeof buf));
	close(fd);
	return n == len && !memcmp(buf, want, len);
}

/* The caller of vfork goes on before the new program has its memory; who looks finds it soon. */
CASE(a_new_programs_memory_comes_soon)
{
	char *argv[] = { "prog", "--hold", "a b", NULL };
	static const char want[] = "prog\0--hold\0a b";
	int hold[2];
	pid_t p;

	find_self();
	for (int i = 0; i < 40; i++) {
		OK(pipe2(hold, O_CLOEXEC));
		p = i % 2 ? vfork() : fork();
		if (p == 0) {
			dup2(hold[0], 0);
			execve(self, argv, environ);
			_exit(125);
		}
		OK(p);
		EVENTUALLY(cmdline_is(p, want, sizeof want));
		close(hold[0]);
		close(hold[1]);
		EXITED(p, 0);
	}
}

CASE(script)
{
	put_file("s.sh", "#!/bin/sh\nexit 7\n", 0755);
	pid_t p = CHILD({ execl("./s.sh", "zero", NULL); });
	EXITED(p, 7);
}

CASE(script_arguments)
{
	char text[PATH_MAX + 100];

	find_self();
	/* One optional argument, spaces inside kept; argv[0] is replaced by the path as given. */
	snprintf(text, sizeof text, "#! %s  --script one  two  \n", self);
	put_file("s", text, 0755);
	pid_t p = CHILD({
		execl("./s", "zero", "a", "b", NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(script_of_script)
{
	char text[PATH_MAX + 100];
	char cwd[PATH_MAX];

	find_self();
	CHECK(getcwd(cwd, sizeof cwd));
	put_file("s1", "#!/bin/sh\nexit $#\n", 0755);
	snprintf(text, sizeof text, "#!%s/s1\n", cwd);
	put_file("s2", text, 0755);
	pid_t p = CHILD({
		execl("./s2", "s2", "x", NULL);
		_exit(125);
	});
	EXITED(p, 2);
}

CASE(script_loop_is_eloop)
{
	char text[PATH_MAX + 100];
	char cwd[PATH_MAX];

	CHECK(getcwd(cwd, sizeof cwd));
	snprintf(text, sizeof text, "#!%s/s\n", cwd);
	put_file("s", text, 0755);
	ERR(execl("./s", "s", NULL), ELOOP);
}

CASE(script_with_missing_interpreter)
{
	put_file("s", "#!/no/such/interpreter\n", 0755);
	ERR(execl("./s", "s", NULL), ENOENT);
}

CASE(script_by_descriptor)
{
	put_file("s", "#!/bin/sh\ncase $0 in /dev/fd/*) exit 4;; esac\nexit 5\n", 0755);
	int fd = OK(open("s", O_RDONLY));
	pid_t p = CHILD({
		char *argv[] = { "x", NULL };
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(125);
	});
	EXITED(p, 4);
	OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	char *argv[] = { "x", NULL };
	ERR(syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH), ENOENT);
}

CASE(execveat_forms)
{
	char *argv[] = { "x", "--exit", "21", NULL };
	int fd, dir;
	pid_t p;

	find_self();
	fd = OK(open(self, O_PATH | O_CLOEXEC));
	p = CHILD({
		syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
		_exit(125);
	});
	EXITED(p, 21);
	OK(symlink(self, "link"));
	dir = OK(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	p = CHILD({
		syscall(SYS_execveat, dir, "link", argv, environ, 0);
		_exit(125);
	});
	EXITED(p, 21);
	ERR(syscall(SYS_execveat, dir, "link", argv, environ, AT_SYMLINK_NOFOLLOW), ELOOP);
	ERR(syscall(SYS_execveat, 99, "link", argv, environ, 0), EBADF);
	ERR(syscall(SYS_execveat, dir, "link", argv, environ, 0x8000), EINVAL);
	ERR(syscall(SYS_execveat, fd, "", argv, environ, 0), ENOENT);
}

CASE(refusals)
{
	put_file("plain", "echo hello\n", 0755);
	put_file("noexec", "#!/bin/sh\n", 0644);
	put_file("empty", "", 0755);
	OK(mkdir("dir", 0755));
	ERR(execl("./plain", "x", NULL), ENOEXEC);
	ERR(execl("./empty", "x", NULL), ENOEXEC);
	ERR(execl("./noexec", "x", NULL), EACCES);
	ERR(execl("./dir", "x", NULL), EACCES);
	ERR(execl("./missing", "x", NULL), ENOENT);
	ERR(execl("./plain/x", "x", NULL), ENOTDIR);
	ERR(execl("", "x", NULL), ENOENT);
	ERR(syscall(SYS_execve, 8, environ, environ), EFAULT);
	find_self();
	ERR(syscall(SYS_execve, self, 8, environ), EFAULT);
}

CASE(busy_text_file)
{
	char cmd[PATH_MAX + 32];

	find_self();
	snprintf(cmd, sizeof cmd, "cp %s prog", self);
	EQ(system(cmd), 0);
	int fd = OK(open("prog", O_RDWR));
	ERR(execl("./prog", "x", "--exit", "0", NULL), ETXTBSY);
	close(fd);
	pid_t p = CHILD({
		execl("./prog", "x", "--exit", "3", NULL);
		_exit(125);
	});
	EXITED(p, 3);
}

CASE(broken_elf)
{
	char head[sizeof(Elf64_Ehdr)];
	char buf[4096];
	int in, out, n;

	find_self();
	in = OK(open(self, O_RDONLY));
	EQ(read(in, head, sizeof head), sizeof head);
	/* Only the header. */
	out = OK(open("short", O_WRONLY | O_CREAT, 0755));
	EQ(write(out, head, 40), 40);
	close(out);
	ERR(execl("./short", "x", NULL), ENOEXEC);
	/* For another machine. */
	Elf64_Ehdr *eh = (void *)head;
	eh->e_machine = EM_AARCH64;
	out = OK(open("other", O_WRONLY | O_CREAT, 0755));
	EQ(write(out, head, sizeof head), sizeof head);
	while ((n = read(in, buf, sizeof buf)) > 0)
		EQ(write(out, buf, n), n);
	close(out);
	ERR(execl("./other", "x", NULL), ENOEXEC);
	/* No program headers. */
	eh->e_machine = EM_X86_64;
	eh->e_phnum = 0;
	out = OK(open("nophdr", O_WRONLY | O_CREAT, 0755));
	EQ(write(out, head, sizeof head), sizeof head);
	close(out);
	ERR(execl("./nophdr", "x", NULL), ENOEXEC);
}

CASE(argument_too_long)
{
	/* One string is limited to 32 pages. */
	size_t len = 131072;
	char *s = malloc(len + 1);

	find_self();
	memset(s, 'x', len);
	s[len] = 0;
	ERR(execl(self, "x", s, NULL), E2BIG);
	s[len - 1] = 0;
	pid_t p = CHILD({
		execl(self, "x", "--length", "131071", s, NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(arguments_too_many)
{
	struct rlimit rl = { 8 << 20, RLIM_INFINITY };
	int n = 3000;
	char **argv = calloc(n + 4, sizeof *argv), *s = malloc(1000);

	find_self();
	memset(s, 'y', 999);
	s[999] = 0;
	setrlimit(RLIMIT_STACK, &rl);
	argv[0] = "x";
	argv[1] = "--count";
	argv[2] = "1000";
	for (int i = 0; i < 1000; i++)
		argv[3 + i] = s;
	pid_t p = CHILD({
		execv(self, argv);
		_exit(125);
	});
	EXITED(p, 0);
	/* Over a quarter of the stack limit. */
	for (int i = 0; i < n; i++)
		argv[3 + i] = s;
	ERR(execv(self, argv), E2BIG);
}

CASE(arguments_many_and_short)
{
	char *argv[1002] = { "x", "--short" }, *envp[1001] = { NULL };

	for (int n = 100; n <= 1000; n += n < 150 ? 1 : 50) {
		for (int i = 2; i <= n; i++)
			argv[i] = envp[i - 2] = i % 2 ? "odd" : "e";
		argv[n] = NULL;
		EQ(helper(argv, NULL), 0);
		EQ(helper(argv, envp), 0);
	}
}

/* What a child becomes: 0, or the errno of its execve. search: along PATH. */
static int tried(const char *file, bool by_vfork, bool search)
{
	char *argv[] = { "x", "--exit", "0", NULL };
	pid_t p = by_vfork ? vfork() : fork();
	int st;

	if (p == 0) {
		if (search)
			execvp(file, argv);
		else
			execve(file, argv, environ);
		_exit(errno);
	}
	OK(waitpid(OK(p), &st, 0));
	CHECK(WIFEXITED(st));
	return WEXITSTATUS(st);
}

static void tried_often(const char *file, bool search, int result)
{
	for (int i = 0; i < 8; i++)
		EQ(tried(file, i & 1, search), result);
}

static void no_prog(void) { }
static void link_prog(void) { OK(link("prog", "d/x")); }
static void rename_prog(void) { OK(link("prog", "prog2")); OK(rename("prog2", "d/x")); }
static void symlink_prog(void) { OK(symlink("../prog", "d/x")); }
static void copy_prog(void) { EQ(system("cp prog d/x"), 0); }
static void link_as_another(void) { EXITED(CHILD({ link_prog(); }), 0); }
static void rename_dir(void) { OK(mkdir("e", 0755)); OK(link("prog", "e/x")); OK(rmdir("d")); OK(rename("e", "d")); }
static void link_for_dir(void) { OK(rmdir("d")); OK(mkdir("e", 0755)); OK(link("prog", "e/x")); OK(symlink("e", "d")); }
static void hide_dir(void) { OK(rmdir("d")); put_file("d", "no folder", 0755); }
static void not_executable(void) { put_file("d/x", "#!/", 0644); }
static void dangling(void) { OK(symlink("nowhere", "d/x")); }

static void setup_missing(void)
{
	char cmd[PATH_MAX + 64];

	find_self();
	snprintf(cmd, sizeof cmd, "cp %s prog", self);
	EQ(system(cmd), 0);
}

CASE(what_was_missing_runs_at_once)
{
	static const struct {
		void (*make)(void);
		int result;
	} ways[] = {
		{ link_prog, 0 }, { rename_prog, 0 }, { symlink_prog, 0 }, { copy_prog, 0 }, { link_as_another, 0 }, { rename_dir, 0 }, { link_for_dir, 0 },
		{ hide_dir, ENOTDIR }, { not_executable, EACCES }, { dangling, ENOENT }, { no_prog, ENOENT },
	};
	char path[PATH_MAX];

	setup_missing();
	CHECK(getcwd(path, sizeof path - 5));
	strcat(path, "/d/x");
	for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++)
		for (int relative = 0; relative < 2; relative++) {
			const char *file = relative ? "d/x" : path;

			EQ(system("rm -rf d e && mkdir d"), 0);
			tried_often(file, false, ENOENT);
			ways[i].make();
			tried_often(file, false, ways[i].result);
			EQ(system("rm -rf d e && mkdir d"), 0);
			tried_often(file, false, ENOENT);
		}
}

CASE(missing_interpreter)
{
	struct program {
		Elf64_Ehdr head;
		Elf64_Phdr of[2];
		char name[8];
	} elf = {
		{ .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		  .e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
		{ { .p_type = PT_INTERP, .p_flags = PF_R, .p_offset = offsetof(struct program, name), .p_filesz = 6, .p_memsz = 6, .p_align = 1 },
		  { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = sizeof elf, .p_memsz = sizeof elf, .p_align = 4096 } },
		"./ldx",
	};
	char garbage[201];
	int fd;

	setup_missing();
	put_file("script", "#!./interp --exit\n", 0755);
	fd = OK(open("elf", O_WRONLY | O_CREAT, 0755));
	EQ(write(fd, &elf, sizeof elf), sizeof elf);
	close(fd);
	memset(garbage, 'g', 200);
	garbage[200] = 0;
	for (int i = 0; i < 4; i++) {
		tried_often("./script", false, ENOENT);
		tried_often("./elf", false, ENOENT);
		OK(link("prog", "interp"));
		put_file("ldx", garbage, 0755);
		tried_often("./script", false, 0);
		tried_often("./elf", false, ELIBBAD);
		OK(unlink("interp"));
		OK(unlink("ldx"));
	}
}

CASE(search_along_the_path)
{
	setup_missing();
	for (int i = 0; i < 4; i++) {
		OK(mkdir(i % 2 ? "e" : "d", 0755));
		put_file("file", "no folder", 0755);
		OK(setenv("PATH", i < 2 ? "none:file:d:e:none2/none" : "/none:d/none:e/:./d", 1));
		tried_often("x", true, ENOENT);
		OK(link("prog", i % 2 ? "e/x" : "d/x"));
		tried_often("x", true, 0);
		OK(unlink(i % 2 ? "e/x" : "d/x"));
		put_file(i % 2 ? "e/x" : "d/x", "", 0644);
		tried_often("x", true, EACCES);
		OK(unlink(i % 2 ? "e/x" : "d/x"));
		tried_often("x", true, ENOENT);
		OK(rmdir(i % 2 ? "e" : "d"));
	}
}

/* The vectors are looked at when the file is there. */
CASE(refused_again_and_again)
{
	char *bad = (char *)8, *argv[] = { "x", NULL }, *bad_argv[] = { bad, NULL }, *big_argv[] = { malloc(256 << 10), NULL };
	char name[300], path[5000];

	setup_missing();
	memset(big_argv[0], 'x', (256 << 10) - 1);
	big_argv[0][(256 << 10) - 1] = 0;
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	memset(path, '/', sizeof path - 1);
	path[sizeof path - 1] = 0;
	put_file("file", "no program", 0644);
	OK(symlink("loop", "loop"));
	for (int i = 0; i < 12; i++) {
		struct stat st;

		ERR(syscall(SYS_execve, "./none", argv, argv), ENOENT);
		ERR(syscall(SYS_execve, "./none", bad, argv), ENOENT);
		ERR(syscall(SYS_execve, "./none", argv, bad), ENOENT);
		ERR(syscall(SYS_execve, "./none", bad_argv, NULL), ENOENT);
		ERR(syscall(SYS_execve, "./none", big_argv, NULL), ENOENT);
		ERR(syscall(SYS_execve, "./none", NULL, NULL), ENOENT);
		ERR(syscall(SYS_execve, "none/", argv, argv), ENOENT);
		ERR(syscall(SYS_execve, "none/none", argv, argv), ENOENT);
		ERR(syscall(SYS_execve, "", argv, argv), ENOENT);
		ERR(syscall(SYS_execve, bad, argv, argv), EFAULT);
		ERR(syscall(SYS_execve, NULL, argv, argv), EFAULT);
		ERR(syscall(SYS_execve, "prog", bad, argv), EFAULT);
		ERR(syscall(SYS_execve, "prog", argv, bad), EFAULT);
		ERR(syscall(SYS_execve, "prog", bad_argv, NULL), EFAULT);
		ERR(syscall(SYS_execve, "prog", big_argv, NULL), E2BIG);
		ERR(syscall(SYS_execve, "prog/", bad, argv), ENOTDIR);
		ERR(syscall(SYS_execve, "file", bad, argv), EACCES);
		ERR(syscall(SYS_execve, "file/x", bad, argv), ENOTDIR);
		ERR(syscall(SYS_execve, ".", bad, argv), EACCES);
		ERR(syscall(SYS_execve, "loop", bad, argv), ELOOP);
		ERR(syscall(SYS_execve, name, bad, argv), ENAMETOOLONG);
		ERR(syscall(SYS_execve, path, bad, argv), ENAMETOOLONG);
		ERR(syscall(SYS_execveat, AT_FDCWD, "./none", bad, bad, 0), ENOENT);
		/* the path's place is the next call's: that one is about its own */
		ERR(syscall(SYS_execve, "./none", argv, argv), ENOENT);
		OK(syscall(SYS_statx, AT_FDCWD, "file", 0, 0, path + 4096));
		memset(path, '/', sizeof path - 1);
		ERR(syscall(SYS_execve, "./none2", argv, argv), ENOENT);
		OK(syscall(SYS_chmod, "file", 0600 + i % 4 * 020));
		OK(stat("file", &st));
		EQ(st.st_mode & 0777, 0600 + i % 4 * 020);
	}
}

CASE(empty_argv_gets_one)
{
	char *argv[] = { NULL };

	GLIBC_ONLY("its constructors get no arguments");
	find_self();
	/* Linux 5.18 and later pass a single empty string. */
	char env[] = "ABI_EMPTY_ARGV=1";
	char *envp[] = { env, NULL };
	pid_t p = CHILD({
		execve(self, argv, envp);
		_exit(125);
	});
	EXITED(p, 44);
}

CASE(proc_self_after_exec)
{
	char *argv[] = { "prog", "--cmdline", "a b", NULL };
	char *envp[] = { "X=y", NULL };

	EQ(helper(argv, envp), 0);
}

CASE(alternate_stack_is_dropped)
{
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };
	char *argv[] = { "prog", "--nostack", NULL };

	OK(sigaltstack(&ss, NULL));
	EQ(helper(argv, environ), 0);
}

CASE(set_user_id)
{
	char cmd[PATH_MAX + 64];

	if (geteuid() != 0)
		SKIP("needs root");
	find_self();
	snprintf(cmd, sizeof cmd, "cp %s suid && chown 1234:5678 suid && chmod 6755 suid", self);
	EQ(system(cmd), 0);
	pid_t p = CHILD({
		execl("./suid", "x", "--ids", "0", "1234", "0", "5678", NULL);
		_exit(125);
	});
	EXITED(p, 0);
	/* With no_new_privs the bits do nothing. */
	p = CHILD({
		OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		execl("./suid", "x", "--ids", "0", "0", "0", "0", NULL);
		_exit(125);
	});
	EXITED(p, 0);
}

CASE(execute_only_file)
{
	char cmd[PATH_MAX + 64];

	if (geteuid() != 0)
		SKIP("needs root");
	find_self();
	snprintf(cmd, sizeof cmd, "cp %s xonly && chmod 0711 xonly", self);
	EQ(system(cmd), 0);
	pid_t p = CHILD({
		OK(setresuid(1000, 1000, 1000));
		ERR(open("xonly", O_RDONLY), EACCES);
		execl("./xonly", "x", "--exit", "9", NULL);
		_exit(125);
	});
	EXITED(p, 9);
}

#define WANT(cond) do { if (!(cond)) { dprintf(1, "# helper: %s\n", #cond); _exit(1); } } while (0)

/* What the C library found out about the processor when it began. */
static void tell_processor(int fd)
{
	unsigned all[9][8] = { { 0 } };

#ifdef __GLIBC__
	for (int i = 0; i < 9; i++)
		memcpy(all[i], __x86_get_cpuid_feature_leaf(i), sizeof all[i]);
	all[0][1] = all[0][5] = 0; /* which processor it was is in there */
#endif
	WANT(write(fd, all, sizeof all) == sizeof all);
}

static void check_auxv(void)
{
	WANT(getauxval(AT_PAGESZ) == 4096);
	WANT(getauxval(AT_PHDR) && getauxval(AT_PHNUM) && getauxval(AT_PHENT) == sizeof(Elf64_Phdr));
	WANT(getauxval(AT_ENTRY));
	WANT(getauxval(AT_UID) == getuid() && getauxval(AT_EUID) == geteuid());
	WANT(getauxval(AT_GID) == getgid() && getauxval(AT_EGID) == getegid());
	WANT(getauxval(AT_SECURE) == 0);
	WANT(getauxval(AT_RANDOM));
	WANT(getauxval(AT_CLKTCK) == 100);
	WANT(getauxval(AT_SYSINFO_EHDR));
	WANT(!strcmp((char *)getauxval(AT_PLATFORM), "x86_64"));
	WANT(!strcmp((char *)getauxval(AT_EXECFN), self));
	WANT(!memcmp((void *)getauxval(AT_SYSINFO_EHDR), ELFMAG, SELFMAG));
}

static void check_cmdline(void)
{
	char buf[256];
	int fd = open("/proc/self/cmdline", O_RDONLY), n = read(fd, buf, sizeof buf);

	WANT(n == 19 && !memcmp(buf, "prog\0--cmdline\0a b", 19));
	fd = open("/proc/self/environ", O_RDONLY);
	n = read(fd, buf, sizeof buf);
	WANT(n == 4 && !memcmp(buf, "X=y", 4));
}

void abi_helper(int argc, char **argv)
{
	struct sigaction sa;
	sigset_t set;
	stack_t ss;
	char buf[PATH_MAX];

	if (argc < 2)
		return;
	if (!strcmp(argv[1], "--echo")) {
		WANT(argc == 5 && !argv[5]);
		WANT(!strcmp(argv[0], "name") && !strcmp(argv[2], "one") && !*argv[3]);
		WANT(!strcmp(argv[4], "three words here"));
		WANT(!strcmp(environ[0], "A=1") && !strcmp(environ[1], "B=") && !environ[2]);
	} else if (!strcmp(argv[1], "--noenv")) {
		WANT(!environ[0]);
	} else if (!strcmp(argv[1], "--auxv")) {
		find_self();
		check_auxv();
	} else if (!strcmp(argv[1], "--processor")) {
		tell_processor(atoi(argv[2]));
	} else if (!strcmp(argv[1], "--fds")) {
		WANT(fcntl(atoi(argv[2]), F_GETFD) == 0);
		WANT(fcntl(atoi(argv[3]), F_GETFD) == -1 && errno == EBADF);
	} else if (!strcmp(argv[1], "--signals")) {
		WANT(!sigaction(SIGUSR1, NULL, &sa) && sa.sa_handler == SIG_IGN);
		WANT(!sigaction(SIGUSR2, NULL, &sa) && sa.sa_handler == SIG_DFL);
		sigprocmask(0, NULL, &set);
		WANT(sigismember(&set, SIGHUP) && !sigismember(&set, SIGUSR1));
	} else if (!strcmp(argv[1], "--pending")) {
		sigpending(&set);
		WANT(sigismember(&set, SIGUSR1));
	} else if (!strcmp(argv[1], "--same")) {
		WANT(getpid() == atoi(argv[2]));
		WANT(getcwd(buf, sizeof buf) && !strcmp(buf, argv[3]));
		WANT(umask(0) == 027);
	} else if (!strcmp(argv[1], "--same-pid")) {
		WANT(getpid() == atoi(argv[2]) && syscall(SYS_gettid) == getpid());
		WANT(syscall(SYS_set_tid_address, buf) == getpid());
		struct stat st;
		WANT(!stat("/proc/self/task", &st) && st.st_nlink == 3);	/* one thread */
	} else if (!strcmp(argv[1], "--comm")) {
		WANT(!prctl(PR_GET_NAME, buf, 0, 0, 0) && !strcmp(buf, argv[2]));
	} else if (!strcmp(argv[1], "--limits")) {
		struct rlimit rl;
		for (int i = 0; i < 20; i++)
			WANT(!getrlimit(RLIMIT_NOFILE, &rl) && rl.rlim_cur == strtoul(argv[2], NULL, 10));
		rl.rlim_cur = 50;
		WANT(!setrlimit(RLIMIT_NOFILE, &rl) && !syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &rl) && rl.rlim_cur == 50);
	} else if (!strcmp(argv[1], "--exit")) {
		_exit(atoi(argv[2]));
	} else if (!strcmp(argv[1], "--script one  two")) {
		WANT(argc == 5 && !strcmp(argv[2], "./s") && !strcmp(argv[3], "a") && !strcmp(argv[4], "b"));
	} else if (!strcmp(argv[1], "--length")) {
		WANT((int)strlen(argv[3]) == atoi(argv[2]));
	} else if (!strcmp(argv[1], "--count")) {
		WANT(argc == 3 + atoi(argv[2]) && strlen(argv[argc - 1]) == 999);
	} else if (!strcmp(argv[1], "--short")) {
		for (int i = 2; i < argc; i++)
			WANT(!strcmp(argv[i], i % 2 ? "odd" : "e"));
	} else if (!strcmp(argv[1], "--cmdline")) {
		check_cmdline();
	} else if (!strcmp(argv[1], "--hold")) {
		WANT(read(0, buf, 1) == 0);
	} else if (!strcmp(argv[1], "--nostack")) {
		WANT(!sigaltstack(NULL, &ss) && ss.ss_flags == SS_DISABLE);
	} else if (!strcmp(argv[1], "--ids")) {
		uid_t r, e, s;
		WANT(!getresuid(&r, &e, &s));
		WANT((int)r == atoi(argv[2]) && (int)e == atoi(argv[3]) && s == e);
		WANT(getuid() == r && geteuid() == e);
		WANT(!getresgid(&r, &e, &s));
		WANT((int)r == atoi(argv[4]) && (int)e == atoi(argv[5]) && s == e);
		WANT(getgid() == r && getegid() == e);
		WANT((getauxval(AT_SECURE) != 0) == (atoi(argv[3]) != 0));
	} else {
		return;
	}
	_exit(0);
}

__attribute__((constructor)) static void empty_argv(int argc, char **argv)
{
	if (getenv("ABI_EMPTY_ARGV"))
		_exit(argc == 1 && argv[0] && !argv[0][0] && !argv[1] ? 44 : 1);
}
