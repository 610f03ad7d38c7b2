// What the host lets a stub do: from the stub's own text the calls that it needs, with their arguments checked as far as BPF sees them;
// everything else raises SIGSYS, which is how the application's calls reach us.
//
// An application can jump into the stub's text, so each rule must be harmless by itself (DESIGN 4). Written out, because libseccomp
// can't judge by the instruction pointer.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "abi/types.h"
#include "lib/container_of.h"
#include "platform/systrap/systrap_int.h"

enum { PROG_MAX = 192 };

struct prog {
	struct sock_filter code[PROG_MAX];
	unsigned len;
};

#define ARG_LO(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define ARG_HI(n) (ARG_LO(n) + 4)

static void emit(struct prog *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (p->len < PROG_MAX)
		p->code[p->len++] = (struct sock_filter){code, jt, jf, k};
}

static void load(struct prog *p, uint32_t offset)
{
	emit(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static void ret(struct prog *p, uint32_t action)
{
	emit(p, BPF_RET | BPF_K, 0, 0, action);
}

// Traps unless what was loaded equals k.
static void need_equal(struct prog *p, uint32_t k)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, k);
	ret(p, SECCOMP_RET_TRAP);
}

// If the call's number (loaded) is nr, what follows decides; returns the place to patch with its length.
static unsigned begin_call(struct prog *p, uint32_t nr)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, nr);
	return p->len - 1;
}

static void end_call(struct prog *p, unsigned at)
{
	ret(p, SECCOMP_RET_ALLOW);
	p->code[at].jf = p->len - 1 - at;
}

static void allow(struct prog *p, uint32_t nr)
{
	end_call(p, begin_call(p, nr));
}

// argument arg (32 bits of it, with hi the upper half zero) must be one of two values.
static void need_arg(struct prog *p, int arg, uint32_t one, uint32_t other)
{
	load(p, ARG_HI(arg));
	need_equal(p, 0);
	load(p, ARG_LO(arg));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 2, 0, one); // over the two that look for the other
	need_equal(p, other);
}

static void need_below(struct prog *p, uint32_t k)
{
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, k);
	ret(p, SECCOMP_RET_TRAP);
}

// arguments 0 and 1 must be the address and length of a range that ends below the stub's places: an addition in two halves.
static void need_apps_range(struct prog *p)
{
	enum { LOW, CARRY }; // the program's memory

	load(p, ARG_LO(0));
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(p, ARG_LO(1));
	emit(p, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
	emit(p, BPF_ST, 0, 0, LOW);
	emit(p, BPF_JMP | BPF_JGE | BPF_X, 2, 0, 0);
	emit(p, BPF_LD | BPF_IMM, 0, 0, 1);
	emit(p, BPF_JMP | BPF_JA, 0, 0, 1);
	emit(p, BPF_LD | BPF_IMM, 0, 0, 0);
	emit(p, BPF_ST, 0, 0, CARRY);
	load(p, ARG_HI(0));
	need_below(p, APP_MAX >> 32);
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	load(p, ARG_HI(1));
	need_below(p, APP_MAX >> 32);
	emit(p, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
	emit(p, BPF_MISC | BPF_TAX, 0, 0, 0);
	emit(p, BPF_LD | BPF_MEM, 0, 0, CARRY);
	emit(p, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0, 5, APP_MAX >> 32); // else it ends below
	need_equal(p, APP_MAX >> 32);
	emit(p, BPF_LD | BPF_MEM, 0, 0, LOW);
	need_equal(p, 0);
}

// argument 0 must be one of len descriptors.
static void need_fd(struct prog *p, uint32_t first, uint32_t len)
{
	load(p, ARG_HI(0));
	need_equal(p, 0);
	load(p, ARG_LO(0));
	emit(p, BPF_ALU | BPF_SUB | BPF_K, 0, 0, first);
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 0, 1, len);
	ret(p, SECCOMP_RET_TRAP);
}

static void rules(struct prog *p, uint64_t start, uint64_t end)
{
	const uint32_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID |
				CLONE_CHILD_CLEARTID;
	static const int free[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_recvmsg, SYS_close,
				   SYS_dup2, SYS_sigaltstack, SYS_rt_sigreturn, SYS_sched_yield, SYS_exit, SYS_exit_group};
	unsigned at;

	load(p, offsetof(struct seccomp_data, arch));
	need_equal(p, AUDIT_ARCH_X86_64);
	load(p, offsetof(struct seccomp_data, instruction_pointer) + 4);
	need_equal(p, start >> 32);
	load(p, offsetof(struct seccomp_data, instruction_pointer));
	emit(p, BPF_JMP | BPF_JGE | BPF_K, 1, 0, (uint32_t)start);
	ret(p, SECCOMP_RET_TRAP);
	emit(p, BPF_JMP | BPF_JGT | BPF_K, 0, 1, (uint32_t)end);
	ret(p, SECCOMP_RET_TRAP);
	load(p, offsetof(struct seccomp_data, nr));

	at = begin_call(p, SYS_pread64); // what it was given to read, or to map
	need_fd(p, STUB_FD_CACHE, STUB_FD_CACHE_LEN + STUB_FD_FILES_LEN);
	end_call(p, at);
	at = begin_call(p, SYS_pwrite64); // and to write
	need_fd(p, STUB_FD_FILES, STUB_FD_FILES_LEN);
	end_call(p, at);
	at = begin_call(p, SYS_futex); // wait and wake on its own memory
	need_arg(p, 1, FUTEX_WAIT, FUTEX_WAKE);
	end_call(p, at);
	at = begin_call(p, SYS_write); // the doorbell; who it is, to its socket
	need_arg(p, 0, STUB_FD_DOORBELL, STUB_FD_SOCKET);
	need_arg(p, 2, 8, 8);
	end_call(p, at);
	at = begin_call(p, SYS_clone);
	need_arg(p, 0, CLONE_PARENT | SIGCHLD, thread);
	end_call(p, at);
	at = begin_call(p, SYS_prctl);
	need_arg(p, 0, PR_SET_PDEATHSIG, PR_SET_PDEATHSIG);
	need_arg(p, 1, SIGKILL, SIGKILL);
	end_call(p, at);
	at = begin_call(p, SYS_clock_gettime); // what the thread has used
	need_arg(p, 0, CLOCK_THREAD_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID);
	end_call(p, at);
	at = begin_call(p, SYS_membarrier); // on the process's own threads
	need_arg(p, 0, MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
	need_arg(p, 1, 0, 0);
	end_call(p, at);
	at = begin_call(p, SYS_madvise); // what of the stub's memory stays with it
	load(p, ARG_LO(2));
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, MADV_DOFORK);
	ret(p, SECCOMP_RET_ALLOW);
	need_apps_range(p);
	end_call(p, at);
	at = begin_call(p, SYS_mremap); // and where it lies
	need_apps_range(p);
	end_call(p, at);
	for (unsigned i = 0; i < ARRAY_LEN(free); i++)
		allow(p, free[i]);
	ret(p, SECCOMP_RET_TRAP);
}

int stub_filter_install(uint64_t text_start, uint64_t text_end)
{
	struct prog p = {.len = 0};
	struct sock_fprog fprog;

	rules(&p, text_start, text_end);
	if (p.len == PROG_MAX)
		return -E2BIG;
	fprog = (struct sock_fprog){.len = p.len, .filter = p.code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &fprog) < 0 ? -errno : 0;
}
