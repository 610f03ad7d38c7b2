// What the gofer gives up before its first request: capabilities beyond those that file access needs, and every system call
// that serving doesn't make.
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "gofer/server.h"
#include "lib/container_of.h"

// A read-only gofer sees every file and changes none.
static const cap_value_t caps_readonly[] = {CAP_DAC_READ_SEARCH};
static const cap_value_t caps_writable[] = {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP};

static bool any_writable(const struct gofer_config *config)
{
	for (int i = 0; i < config->ntrees; i++)
		if (!config->trees[i].readonly)
			return true;
	return false;
}

// Keeps those of the wanted capabilities that the process has.
static int drop_caps(const cap_value_t *wanted, int nwanted)
{
	cap_t had = cap_get_proc(), keep = cap_init();
	int err = had && keep ? 0 : -ENOMEM;

	for (int i = 0; !err && i < nwanted; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(had, wanted[i], CAP_PERMITTED, &has) < 0)
			err = -errno;
		else if (has == CAP_SET && (cap_set_flag(keep, CAP_PERMITTED, 1, &wanted[i], CAP_SET) < 0 ||
					    cap_set_flag(keep, CAP_EFFECTIVE, 1, &wanted[i], CAP_SET) < 0))
			err = -errno;
	}
	for (int cap = 0; !err && CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0 && errno != EPERM) // EPERM: it has no CAP_SETPCAP, and so nothing to lose there
			err = -errno;
	if (!err && cap_set_proc(keep) < 0)
		err = -errno;
	if (!err)
		cap_reset_ambient();
	cap_free(had);
	cap_free(keep);
	return err;
}

static const int calls_reading[] = {
	SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(openat2), SCMP_SYS(openat), SCMP_SYS(open), SCMP_SYS(close),
	SCMP_SYS(statx), SCMP_SYS(newfstatat), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(getdents64), SCMP_SYS(lseek),
	SCMP_SYS(readlinkat), SCMP_SYS(getxattr), SCMP_SYS(listxattr),
	SCMP_SYS(write), // the log
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall), SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef __SANITIZE_ADDRESS__
	SCMP_SYS(sigaltstack), // its run-time library looks for one before the end
#endif
};
static const int calls_writing[] = {
	SCMP_SYS(mkdirat), SCMP_SYS(mknodat), SCMP_SYS(symlinkat), SCMP_SYS(linkat), SCMP_SYS(unlinkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
	SCMP_SYS(fchmod), SCMP_SYS(chmod), SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(utimensat),
	SCMP_SYS(truncate), SCMP_SYS(setxattr), SCMP_SYS(removexattr), SCMP_SYS(fsync),
};

static int allow(scmp_filter_ctx filter, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);

		if (err)
			return err;
	}
	return 0;
}

static int filter_calls(bool writable)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int err;

	if (!filter)
		return -ENOMEM;
	err = allow(filter, calls_reading, ARRAY_LEN(calls_reading));
	if (!err && writable)
		err = allow(filter, calls_writing, ARRAY_LEN(calls_writing));
	// Memory for itself, never code; fcntl only to duplicate.
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1, SCMP_A1(SCMP_CMP_EQ, F_DUPFD_CLOEXEC));
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

int gofer_lockdown(const struct gofer_config *config)
{
	bool writable = any_writable(config);
	int err;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	err = writable ? drop_caps(caps_writable, ARRAY_LEN(caps_writable)) : drop_caps(caps_readonly, ARRAY_LEN(caps_readonly));
	return err ?: filter_calls(writable);
}
