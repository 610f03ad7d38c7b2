// Puts a filter that the build made on this process.
#include "host/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"

enum { PROGRAM_MAX = 1024 };

// Only async-signal-safe calls, and only those that the filter allows.
static void forbidden_call(int sig, siginfo_t *info, void *context)
{
	log_error("the sentry made host call %d, which its filter forbids", info->si_syscall);
	signal(SIGSYS, SIG_DFL);
	_exit(1);
}

static int load(const struct sock_filter *code, unsigned len)
{
	const struct sock_fprog program = {.len = (unsigned short)len, .filter = (struct sock_filter *)code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int filter_load(const struct filter_program *program, bool trace)
{
	struct sock_filter code[PROGRAM_MAX];
	struct sigaction sa = {.sa_sigaction = forbidden_call, .sa_flags = SA_SIGINFO};

	if (!trace)
		return load(program->code, program->len);
	if (program->len > PROGRAM_MAX)
		return -E2BIG;
	sigaction(SIGSYS, &sa, NULL);
	memcpy(code, program->code, program->len * sizeof(*code));
	for (unsigned i = 0; i < program->len; i++)
		if (code[i].code == (BPF_RET | BPF_K) && code[i].k == SECCOMP_RET_KILL_PROCESS)
			code[i].k = SECCOMP_RET_TRAP;
	return load(code, program->len);
}

int filter_install(const char *platform, bool trace)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	log_warning("the sanitizers make host calls of their own: no filter in this build");
	return 0;
#endif
	return filter_load(strcmp(platform, "ptrace") == 0 ? &filter_sentry_ptrace : &filter_sentry_systrap, trace);
}
