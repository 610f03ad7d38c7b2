// The system calls that serving makes, as rows that the build makes filters of (host/filter_gen.c).
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "host/filter.h"
#include "lib/container_of.h"

#define ALLOW(name) {.call = SCMP_SYS(name)}

const struct filter_rule gofer_rules_reading[] = {
	ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(openat2), ALLOW(openat), ALLOW(open), ALLOW(close),
	ALLOW(statx), ALLOW(newfstatat), ALLOW(fstat), ALLOW(fstatfs), ALLOW(getdents64), ALLOW(lseek),
	ALLOW(readlinkat), ALLOW(getxattr), ALLOW(listxattr), ALLOW(llistxattr),
	ALLOW(write), // the log
	ALLOW(brk), ALLOW(munmap), ALLOW(mremap), ALLOW(madvise), ALLOW(futex), ALLOW(getpid), ALLOW(gettid),
	ALLOW(clock_gettime), ALLOW(rt_sigprocmask), ALLOW(rt_sigreturn), ALLOW(restart_syscall), ALLOW(exit),
	ALLOW(exit_group),
	// A second thread, for listings. glibc tries clone3 first, whose flags a filter can't see, and goes on with clone.
	{.call = SCMP_SYS(clone3), .action = FILTER_REFUSE, .value = ENOSYS},
	FILTER_ALLOW_ARG(clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM), FILTER_ALLOW_ARG(mprotect, 2, PROT_EXEC, 0),
	ALLOW(set_robust_list), ALLOW(rseq), ALLOW(rt_sigaction),
	// Memory for itself, never code; fcntl only to duplicate.
	FILTER_ALLOW_ARG(mmap, 2, PROT_EXEC, 0), FILTER_ALLOW_ARG(fcntl, 1, UINT64_MAX, F_DUPFD_CLOEXEC),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	// Their run-time libraries, at a thread's beginning and before the end.
	ALLOW(sigaltstack), ALLOW(sched_getaffinity), ALLOW(gettimeofday), ALLOW(nanosleep), ALLOW(clock_nanosleep),
#endif
};
const size_t gofer_rules_reading_count = ARRAY_LEN(gofer_rules_reading);

const struct filter_rule gofer_rules_writing[] = {
	ALLOW(mkdirat), ALLOW(mknodat), ALLOW(symlinkat), ALLOW(linkat), ALLOW(unlinkat), ALLOW(renameat), ALLOW(renameat2),
	ALLOW(fchmod), ALLOW(chmod), ALLOW(fchmodat), ALLOW(fchown), ALLOW(fchownat), ALLOW(utimensat),
	ALLOW(truncate), ALLOW(setxattr), ALLOW(removexattr), ALLOW(fsync),
};
const size_t gofer_rules_writing_count = ARRAY_LEN(gofer_rules_writing);
