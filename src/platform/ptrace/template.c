// The template: a tracee with nothing in its address space but the stub's pages and the host's vDSO, from which
// as_create() makes every new address space by having it clone itself. It never runs application code.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/log.h"
#include "platform/ptrace/ptrace_int.h"

pid_t template_pid;
int stub_socket[2] = {-1, -1};
uaddr_t template_vdso;

static const uint8_t code_syscall[] = {0x0f, 0x05, 0xcc};             // syscall; int3
static const uint8_t code_cmpxchg[] = {0xf0, 0x0f, 0xb1, 0x17, 0xcc}; // lock cmpxchg %edx,(%rdi); int3

struct range {
	uaddr_t start, end;
};

enum { VDSO_PARTS_MAX = 8 };

// The host's vvar and vdso mappings as they lie in this process, which the template inherits; each must be moved whole.
struct vdso_parts {
	struct range parts[VDSO_PARTS_MAX];
	int n;
	uaddr_t vdso; // where the vdso itself begins
};

static int find_vdso(struct vdso_parts *out)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	*out = (struct vdso_parts){0};
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f) && out->n < VDSO_PARTS_MAX) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || (!strstr(line, "[vvar") && !strstr(line, "[vdso]")))
			continue;
		out->parts[out->n++] = (struct range){start, end};
		if (strstr(line, "[vdso]"))
			out->vdso = start;
	}
	fclose(f);
	return 0;
}

// The distances between the parts stay: the code finds its data by them.
static uaddr_t vdso_moved(const struct vdso_parts *v, uaddr_t addr)
{
	return STUB_VDSO + (addr - v->parts[0].start);
}

// Even if a tracee were ever resumed without emulation, only the stub's own instruction could make these calls.
static int install_filter(void)
{
	static const int allowed[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_clone,
				      SYS_recvmsg, SYS_close, SYS_exit, SYS_msync, SYS_membarrier};
	struct sock_filter prog[8 + ARRAY_LEN(allowed) + 2];
	unsigned n = 0;
	struct sock_fprog fprog;

	prog[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5 + ARRAY_LEN(allowed));
	prog[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer));
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(STUB_SYSCALL + 2), 0,
						 3 + ARRAY_LEN(allowed));
	prog[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
	prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)((STUB_SYSCALL + 2) >> 32), 0,
						 1 + ARRAY_LEN(allowed));
	prog[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < ARRAY_LEN(allowed); i++)
		prog[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], ARRAY_LEN(allowed) - i, 0);
	prog[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	prog[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	fprog = (struct sock_fprog){.len = n, .filter = prog};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0 ? -errno : 0;
}

// glibc registered its area, which is about to be unmapped: the host would kill the tracee when it next schedules it.
static void unregister_rseq(void)
{
	enum { AREA_BYTES = 32 };

	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

// In the child. Ends in a stop, from which the tracer takes over; on failure, with the errno as exit status.
static void template_main(const struct vdso_parts *vdso)
{
	cap_t none = cap_init();
	uint8_t *code;
	char go;

	if (read(stub_socket[1], &go, 1) != 1) // until the tracer has seized us
		_exit(ECHILD);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || dup2(stub_socket[1], STUB_SOCKET) < 0 ||
	    syscall(SYS_close_range, 1, ~0u, 0) < 0)
		_exit(errno);
	code = mmap((void *)STUB_CODE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0);
	if (code != (void *)STUB_CODE)
		_exit(errno ?: EEXIST);
	memcpy(code, code_syscall, sizeof(code_syscall));
	memcpy(code + (STUB_CMPXCHG - STUB_CODE), code_cmpxchg, sizeof(code_cmpxchg));
	if (mprotect(code, PAGE_SIZE, PROT_READ | PROT_EXEC) < 0 || cap_set_proc(none) < 0)
		_exit(errno);
	for (int i = 0; i < vdso->n; i++) {
		const struct range *r = &vdso->parts[i];

		if (mremap((void *)r->start, r->end - r->start, r->end - r->start, MREMAP_MAYMOVE | MREMAP_FIXED,
			   (void *)vdso_moved(vdso, r->start)) == MAP_FAILED)
			_exit(errno);
	}
	unregister_rseq();
	if (install_filter() < 0)
		_exit(EACCES);
	for (;;)
		asm volatile("int3");
}

int template_create(void)
{
	struct vdso_parts vdso;
	struct platform_ctx ctx = {.running = false};
	int status, err = find_vdso(&vdso);
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;

	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, stub_socket) < 0)
		return -errno;
	template_pid = fork();
	if (template_pid < 0)
		return -errno;
	if (template_pid == 0)
		template_main(&vdso);
	if (ptrace(PTRACE_SEIZE, template_pid, 0, options) < 0 || write(stub_socket[0], "", 1) != 1)
		return -errno;
	if (waitpid(template_pid, &status, __WALL) < 0)
		return -errno;
	if (!WIFSTOPPED(status)) {
		log_error("ptrace: the template ended: %s", WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
		return -ECHILD;
	}
	ctx.tid = template_pid;
	// Take everything away below the stub's pages, between them and the vDSO, and above.
	const struct range away[] = {{0, STUB_CODE}, {STUB_SCRATCH + PAGE_SIZE, STUB_VDSO},
				     {vdso.n ? vdso_moved(&vdso, vdso.parts[vdso.n - 1].end) : STUB_VDSO, 0x7ffffffff000ull}};
	for (unsigned i = 0; i < ARRAY_LEN(away); i++) {
		const uint64_t args[6] = {away[i].start, away[i].end - away[i].start};
		long ret = inject_call(&ctx, SYS_munmap, args, NULL);

		if (ret < 0)
			return ret;
	}
	template_vdso = vdso.vdso ? vdso_moved(&vdso, vdso.vdso) : 0;
	return 0;
}
