// What the sentry may ask of the host, as rows that the build makes a filter of (filter_gen.c).
//
// A row allows one call, for some by what one argument may be; several rows of a call add up. What would open a path, make a socket,
// change a credential or run a program isn't here. Where a platform needs more, the row says so: the stubs' own filters are theirs.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "host/filter.h"
#include "lib/container_of.h"

#define ALLOW(name) {.call = SCMP_SYS(name)}
#define ALLOW_EQ(name, number, wanted) FILTER_ALLOW_ARG(name, number, UINT64_MAX, wanted)
#define ALLOW_INT(name, number, wanted) FILTER_ALLOW_ARG(name, number, UINT32_MAX, (uint32_t)(wanted))
#define ALLOW_ON(only, name) {.call = SCMP_SYS(name), .platform = (only)}
#define REFUSE(name, err) {.call = SCMP_SYS(name), .action = FILTER_REFUSE, .value = (err)}

const struct filter_rule filter_rules[] = {
	// Open files: standard input and output, and what the gofer handed over.
	ALLOW(read), ALLOW(write), ALLOW(readv), ALLOW(writev), ALLOW(pread64), ALLOW(pwrite64), ALLOW(preadv), ALLOW(pwritev),
	ALLOW(preadv2), ALLOW(pwritev2), ALLOW(lseek), ALLOW(close), ALLOW(fstat), ALLOW(fstatfs), ALLOW(ftruncate), ALLOW(fallocate),
	ALLOW(fsync), ALLOW(fdatasync), ALLOW(sync_file_range), ALLOW(copy_file_range), ALLOW(fadvise64), ALLOW(readahead),
	ALLOW_INT(newfstatat, 3, AT_EMPTY_PATH), // fstat, as glibc makes it
	ALLOW_INT(fcntl, 1, F_GETFL), ALLOW_INT(fcntl, 1, F_SETFL), ALLOW_INT(fcntl, 1, F_DUPFD_CLOEXEC), ALLOW_INT(fcntl, 1, F_GETFD),
	ALLOW_INT(fcntl, 1, F_SETFD), ALLOW_INT(fcntl, 1, F_ADD_SEALS), ALLOW_INT(fcntl, 1, F_GET_SEALS),
	ALLOW(dup), ALLOW(dup3),
	// Terminals: modes, sizes, how much is there. Nothing that puts input into one (TIOCSTI) or takes one over (TIOCSCTTY).
	ALLOW_INT(ioctl, 1, TCGETS), ALLOW_INT(ioctl, 1, TCSETS), ALLOW_INT(ioctl, 1, TCSETSW), ALLOW_INT(ioctl, 1, TCSETSF),
	ALLOW_INT(ioctl, 1, TIOCGWINSZ), ALLOW_INT(ioctl, 1, TIOCSWINSZ), ALLOW_INT(ioctl, 1, FIONREAD), ALLOW_INT(ioctl, 1, TIOCOUTQ),
	ALLOW_INT(ioctl, 1, TCFLSH), ALLOW_INT(ioctl, 1, TCSBRK),
	// Memory. Executable pages only for a vDSO's image and such before the filter.
	FILTER_ALLOW_ARG(mmap, 2, PROT_EXEC, 0), ALLOW(munmap), FILTER_ALLOW_ARG(mprotect, 2, PROT_EXEC, 0), ALLOW(mremap), ALLOW(madvise), ALLOW(brk),
	ALLOW(msync), ALLOW(mincore), ALLOW(memfd_create),
	// Sockets that there are already: the control server's, the gofers', the stubs'.
	ALLOW(recvmsg), ALLOW(sendmsg), ALLOW(recvfrom), ALLOW(sendto), ALLOW(accept4), ALLOW(shutdown),
	ALLOW_INT(socketpair, 0, AF_UNIX), ALLOW_INT(setsockopt, 1, SOL_SOCKET), ALLOW_INT(getsockopt, 1, SOL_SOCKET),
	// Waiting.
	ALLOW(futex), ALLOW(epoll_create1), ALLOW(epoll_ctl), ALLOW(epoll_wait), ALLOW(epoll_pwait), ALLOW(poll), ALLOW(ppoll),
	ALLOW(eventfd2), ALLOW(timerfd_create), ALLOW(timerfd_settime), ALLOW(timerfd_gettime), ALLOW(nanosleep),
	ALLOW(clock_nanosleep), ALLOW(restart_syscall),
	// Clocks and numbers.
	ALLOW(clock_gettime), ALLOW(clock_getres), ALLOW(gettimeofday), ALLOW(time), ALLOW(getrandom), ALLOW(sched_getaffinity),
	ALLOW(sched_yield), ALLOW(getcpu), ALLOW(getpid), ALLOW(gettid), ALLOW(getuid), ALLOW(getrusage), ALLOW(sysinfo), ALLOW(uname),
	ALLOW_INT(membarrier, 0, MEMBARRIER_CMD_QUERY), ALLOW_INT(membarrier, 0, MEMBARRIER_CMD_GLOBAL),
	// Threads of its own. glibc tries clone3 first, whose flags a filter can't see, and goes on with clone.
	REFUSE(clone3, ENOSYS), FILTER_ALLOW_ARG(clone, 0, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM), ALLOW(set_robust_list), ALLOW(rseq),
	ALLOW(exit), ALLOW(exit_group), ALLOW(rt_sigprocmask), ALLOW(rt_sigaction), ALLOW(rt_sigreturn), ALLOW(rt_sigtimedwait),
	ALLOW(sigaltstack), ALLOW(sched_setaffinity),
	// Its stubs: the only processes that it sees.
	ALLOW(process_vm_readv), ALLOW(process_vm_writev), ALLOW(kill), ALLOW(tgkill), ALLOW(tkill), ALLOW(wait4), ALLOW(waitid),
	ALLOW_ON("ptrace", ptrace), ALLOW_ON("ptrace", signalfd4),
	// Files of /proc/PID of its stubs; the root holds nothing else.
	ALLOW(openat), ALLOW(open),
	// What libraries try and can do without (sysconf looks into /sys).
	REFUSE(readlink, EACCES), REFUSE(readlinkat, EACCES), REFUSE(access, EACCES), REFUSE(faccessat, EACCES),
	REFUSE(faccessat2, EACCES), REFUSE(prlimit64, EPERM), REFUSE(prctl, EPERM),
};
const size_t filter_rules_count = ARRAY_LEN(filter_rules);
