// The template: the process from which every address space is made. Cloned from the sentry while that has one thread, it throws away
// all that it inherited and serves slot 0 of its own channel like any stub, but never runs application code.
#include "platform/systrap/systrap_int.h"

#include <cpuid.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/platform/x86.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/log.h"

extern const uint8_t stub_blob[], stub_blob_end[];

struct stub_param *stub_param;
int stub_doorbell = -1;
int stub_processors = 1;
uaddr_t stub_vdso;
pid_t stub_group;
uint64_t stub_xfeatures;

enum { RANGES = 8, XFEATURES_AMX = 3 << 17, TEMPLATE_STACK_BYTES = 256 << 10 };

// The mappings of vvar and vdso: each must be moved as a whole.
struct vdso {
	struct {
		uaddr_t start, end;
	} range[RANGES];
	unsigned n;
	uaddr_t image;
};

struct start {
	struct vdso vdso;
	struct platform_as *as;
	int param_fd;
	struct stub_param *param;
};

static int find_vdso(struct vdso *v)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];

	*v = (struct vdso){0};
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || v->n == RANGES)
			continue;
		if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
			continue;
		v->range[v->n].start = start;
		v->range[v->n++].end = end;
		if (strstr(line, "[vdso]"))
			v->image = start;
	}
	fclose(f);
	return 0;
}

static uint64_t vdso_bytes(const struct vdso *v)
{
	return v->n ? v->range[v->n - 1].end - v->range[0].start : 0;
}

// And unmaps what else is in its place.
static bool move_vdso(const struct vdso *v)
{
	const uaddr_t end = STUB_VDSO + vdso_bytes(v);

	for (unsigned i = 0; i < v->n; i++) {
		uint64_t len = v->range[i].end - v->range[i].start;
		void *to = (void *)(STUB_VDSO + (v->range[i].start - v->range[0].start));

		if (mremap((void *)v->range[i].start, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
			return false;
	}
	return end == STUB_SITES || munmap((void *)end, STUB_SITES - end) == 0;
}

// The host's own signal action, with our restorer: libc's would put its own in.
static int set_handler(int sig, const struct stub_header *h)
{
	const struct {
		uint64_t handler, flags, restorer, mask;
	} action = {h->handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */, h->restorer, 0};

	return syscall(SYS_rt_sigaction, sig, &action, NULL, sizeof(uint64_t)) < 0 ? -errno : 0;
}

static int set_handlers(const struct stub_header *h)
{
	static const int signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, STUB_SIGNAL_INTERRUPT};
	const uint64_t none = 0;
	int err = 0;

	for (unsigned i = 0; i < ARRAY_LEN(signals) && !err; i++)
		err = set_handler(signals[i], h);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	if (!err && syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0)
		err = -errno;
	return err;
}

// glibc registered its area, which is about to be unmapped: the host would kill us when it next schedules us.
static void unregister_rseq(void)
{
	enum { AREA_BYTES = 32 };

	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, AREA_BYTES, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

// Descriptors 0 and 1 are the stub's, all others go.
static int keep_descriptors(const struct start *st)
{
	int sock = fcntl(st->as->stub_sock, F_DUPFD, 100), bell = fcntl(stub_doorbell, F_DUPFD, 100);

	if (sock < 0 || bell < 0 || dup2(sock, STUB_FD_SOCKET) < 0 || dup2(bell, STUB_FD_DOORBELL) < 0)
		return -errno;
	return syscall(SYS_close_range, 2, ~0u, 0) < 0 ? -errno : 0;
}

static int map_fixed(uaddr_t at, uint64_t len, int prot, int flags, int fd)
{
	return mmap((void *)at, len, prot, flags | MAP_FIXED, fd, 0) == (void *)at ? 0 : -errno;
}

// The far table: pages of a file, of which a fork copies nothing. Most processes need none; one that begins a program needs some, which are there.
static int map_far(const struct stub_header *h)
{
	const int fd = memfd_create("sites", MFD_CLOEXEC);
	uint8_t *at;

	if (fd < 0 || ftruncate(fd, SITE_FAR_BYTES) < 0)
		return -errno;
	at = mmap(NULL, SITE_FAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); // goes with all that is the sentry's, as the descriptor does
	if (at == MAP_FAILED)
		return -errno;
	for (unsigned n = 0; n < SITES_FAR; n++) {
		const uint64_t to = h->trampolines + (SITES_MAX - SITES_FAR + n) * SITE_TRAMPOLINE_BYTES;

		memcpy(at + (site_far_entry(n) - SITE_FAR), &to, sizeof(to)); // at any place
	}
	return map_fixed(SITE_FAR, SITE_FAR_BYTES, PROT_READ, MAP_PRIVATE, fd); // who writes there has a copy
}

// The tables that patched call sites jump through, and the records of the sites. A host that keeps the one's low addresses to itself
// makes every call come by signal.
static int map_sites(const struct stub_header *h, const struct start *st)
{
	uint64_t *table = (uint64_t *)SITE_TABLE;

	if (map_fixed(SITE_TABLE, SITE_TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1) == 0 && map_far(h) == 0) {
		for (unsigned i = 0; i < SITES_MAX - SITES_FAR; i++)
			table[i] = h->trampolines + i * SITE_TRAMPOLINE_BYTES;
		if (mprotect(table, SITE_TABLE_BYTES, PROT_READ) < 0)
			return -errno;
		st->param->patching = 1;
	}
	return map_fixed(STUB_SITES, SITES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

// Runs on a stack of its own below everything, so that the stub's places may be taken from under the old one.
static int template_main(void *arg)
{
	const struct start *st = arg;
	const struct stub_header *h = (const struct stub_header *)STUB_TEXT;
	const size_t blob_len = PAGE_ALIGN(stub_blob_end - stub_blob);
	const struct rlimit no_core = {0, 0};
	cap_t none = cap_init();
	uint64_t blob_end;
	int err;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || setsid() < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return errno;
	if (!move_vdso(&st->vdso))
		return ENOTSUP;
	err = map_fixed(STUB_TEXT, blob_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!err)
		memcpy((void *)STUB_TEXT, stub_blob, stub_blob_end - stub_blob);
	if (!err && mprotect((void *)STUB_TEXT, blob_len, PROT_READ | PROT_EXEC) < 0)
		err = -errno;
	err = err ?: map_fixed(STUB_PARAM, sizeof(struct stub_param), PROT_READ, MAP_SHARED, st->param_fd);
	err = err ?: map_sites(h, st);
	err = err ?: map_fixed(CHAN_BASE, CHAN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, st->as->chan_fd);
	if (!err && madvise((void *)CHAN_BASE, CHAN_BYTES, MADV_DONTFORK) < 0)
		err = -errno;
	err = err ?: set_handlers(h);
	if (!err && cap_set_proc(none) < 0)
		err = -errno;
	err = err ?: keep_descriptors(st);
	if (err)
		return -err;
	unregister_rseq();
	blob_end = h->text_end;
	if (stub_filter_install(STUB_TEXT, blob_end) < 0)
		return EACCES;
	((void (*)(uint64_t))h->begin)(CHAN_BASE);
	return 0;
}

static void measure_xstate(void)
{
	uint32_t a, b, c, d, lo, hi, size = 576;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	stub_xfeatures = ((uint64_t)hi << 32 | lo) & ~(uint64_t)XFEATURES_AMX; // those a process must ask the host for
	for (int i = 2; i < 63; i++) {
		if (!(stub_xfeatures >> i & 1))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		if (a + b > size)
			size = a + b;
	}
	stub_param->xfeatures = stub_xfeatures;
	stub_param->xstate_bytes = size;
}

// The pages that stubs may only read: their descriptor is one that was opened so.
static int create_param(int *out_fd)
{
	int fd = memfd_create("param", MFD_CLOEXEC);
	char path[64];
	cpu_set_t ours;

	if (fd < 0 || ftruncate(fd, sizeof(*stub_param)) < 0)
		return -errno;
	stub_param = mmap(NULL, sizeof(*stub_param), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (stub_param == MAP_FAILED)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*out_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*out_fd < 0)
		return -errno;
	close(fd);
	stub_processors = sched_getaffinity(0, sizeof(ours), &ours) == 0 ? CPU_COUNT(&ours) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	stub_param->spinning = stub_processors > 1 && CPU_FEATURE_PRESENT(RDTSCP); // the C library has asked already
	stub_param->has_rdpid = CPU_FEATURE_PRESENT(RDPID);
	measure_xstate();
	return 0;
}

static int start_process(struct start *st)
{
	uint8_t *stack = mmap((void *)0x10000000, TEMPLATE_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct start *copy;
	int pid;

	if (stack == MAP_FAILED)
		return -errno;
	// What it reads goes along: the stub's places may come to lie over this process's own stack.
	copy = (struct start *)stack;
	*copy = *st;
	pid = clone(template_main, stack + TEMPLATE_STACK_BYTES - 64, SIGCHLD, copy);
	munmap(stack, TEMPLATE_STACK_BYTES);
	if (pid < 0)
		return -errno;
	stub_group = pid;
	return 0;
}

int systrap_template_create(struct platform_as **out_as)
{
	struct start st;
	int err;

	if (!(getauxval(AT_HWCAP2) & 2)) { // HWCAP2_FSGSBASE
		log_error("systrap: this machine or its kernel lacks FSGSBASE; use --platform=ptrace");
		return -ENOTSUP;
	}
	stub_doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stub_doorbell < 0)
		return -errno;
	err = find_vdso(&st.vdso);
	if (!err && vdso_bytes(&st.vdso) > STUB_SITES - STUB_VDSO) {
		log_error("systrap: the host's vDSO has %lu KiB, %lu at most are expected; use --platform=ptrace", vdso_bytes(&st.vdso) >> 10,
			  (STUB_SITES - STUB_VDSO) >> 10);
		return -ENOTSUP;
	}
	err = err ?: create_param(&st.param_fd) ?: as_create_empty(NULL, &st.as);
	st.param = stub_param;
	err = err ?: start_process(&st);
	if (err)
		return err;
	stub_vdso = st.vdso.image ? STUB_VDSO + (st.vdso.image - st.vdso.range[0].start) : 0;
	close(st.param_fd);
	close(st.as->chan_fd);
	close(st.as->stub_sock);
	st.as->chan_fd = st.as->stub_sock = -1;
	*out_as = st.as;
	return 0;
}

int systrap_template_wait(struct platform_as *as)
{
	int status;

	while (!as_pid(as)) { // its first message says that it is there
		if (waitpid(stub_group, &status, WNOHANG) == stub_group) {
			log_error("systrap: the template ended: %s", WIFEXITED(status) ? strerror(WEXITSTATUS(status)) : "killed");
			return -ECHILD;
		}
		poll(&(struct pollfd){.fd = as->sock, .events = POLLIN}, 1, 10);
	}
	return 0;
}
