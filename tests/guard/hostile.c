/*
 * Programs that attack what lies under them: the stub that runs their code, its memory, and its channel to the sentry. Each case lets
 * a child do its worst and then asks that whoever looks on is well: a bystander that was there before still answers, and new processes,
 * files and pipes still work. What becomes of the attacker doesn't matter, as long as it can be killed.
 *
 * The addresses are the systrap platform's. Elsewhere little lies there, on the host nothing, and the cases pass the more easily.
 */
#include "../abi/abi.h"

#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "platform/systrap/channel.h"
#include "bystander.h"

#define STUB_END 0x7ffffffff000UL
#define NOBODY 65534

/* Jumps to an address with these registers; comes back only if the code there returns. */
static long jump(unsigned long target, long rax, long rdi, long rsi, long rdx, long r10, long r8)
{
	register long r10_ asm("r10") = r10;
	register long r8_ asm("r8") = r8;
	register long r9_ asm("r9") = 0;

	asm volatile("call *%[target]"
		     : "+a"(rax), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10_), "+r"(r8_), "+r"(r9_)
		     : [target] "b"(target)
		     : "rcx", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	return rax;
}

/* How much lies at the stub's text, as far as a program can find out by touching it. */
static unsigned long text_bytes(void)
{
	volatile unsigned long *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = CHILD({
		for (unsigned long n = 0; n < STUB_PARAM - STUB_TEXT; n += 4096) {
			*(volatile char *)(STUB_TEXT + n);
			*shared = n + 4096;
		}
	});

	see_end(pid, 2000);
	return *shared;
}

CASE(jump_into_stub_text)
{
	struct bystander b = stand_by();
	unsigned long len = text_bytes(), step = len / 150 | 1;

	for (unsigned long at = 0; at <= len; at += step)
		ATTACK(&b, 30, {
			jump(STUB_TEXT + at, 1, CHAN_BASE, CHAN_BASE + 4096, 64, 0, 0);
		});
	check_well(&b);
}

/* The system call instructions of the stub's text: the only ones from which the host takes calls. */
static int syscall_sites(unsigned long *out, int max)
{
	unsigned long len = text_bytes();
	const unsigned char *text = (const unsigned char *)STUB_TEXT;
	int n = 0;

	for (unsigned long i = 0; i + 1 < len && n < max; i++)
		if (text[i] == 0x0f && text[i + 1] == 0x05)
			out[n++] = STUB_TEXT + i;
	return n;
}

/* Does the host call nr from the stub's text, at each of its places. */
static void call_from_stub(struct bystander *b, int ms, long nr, long a, long b1, long c, long d, long e)
{
	unsigned long sites[64];
	int n = syscall_sites(sites, 64);

	for (int i = 0; i < n; i++)
		ATTACK(b, ms, {
			long r = jump(sites[i], nr, a, b1, c, d, e);

			_exit(r < 0);
		});
}

CASE(host_calls_that_stubs_may_not_make)
{
	struct bystander b = stand_by();
	static const char path[] = "/etc/passwd";
	struct iovec v = { (void *)path, 1 };

	call_from_stub(&b, 50, SYS_open, (long)path, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_openat, AT_FDCWD, (long)path, 0, 0, 0);
	call_from_stub(&b, 50, SYS_socket, AF_INET, SOCK_STREAM, 0, 0, 0);
	call_from_stub(&b, 50, SYS_kill, -1, SIGKILL, 0, 0, 0);
	call_from_stub(&b, 50, SYS_ptrace, 16, 1, 0, 0, 0);
	call_from_stub(&b, 50, SYS_execve, (long)path, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_process_vm_writev, 1, (long)&v, 1, (long)&v, 1);
	call_from_stub(&b, 50, SYS_write, 2, (long)path, 8, 0, 0);
	call_from_stub(&b, 50, SYS_clone, CLONE_VM | SIGCHLD, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_preadv, STUB_FD_FILES, (long)&v, 1, 0, 0);
	call_from_stub(&b, 50, SYS_read, STUB_FD_FILES, (long)path, 1, 0, 0);
	call_from_stub(&b, 50, SYS_ftruncate, STUB_FD_FILES, 0, 0, 0, 0);
	check_well(&b);
}

CASE(host_calls_on_the_stubs_memory)
{
	struct bystander b = stand_by();

	call_from_stub(&b, 50, SYS_munmap, STUB_TEXT, STUB_PARAM - STUB_TEXT, 0, 0, 0);
	call_from_stub(&b, 50, SYS_munmap, CHAN_BASE, CHAN_BYTES, 0, 0, 0);
	call_from_stub(&b, 50, SYS_munmap, 0, STUB_END, 0, 0, 0);
	call_from_stub(&b, 50, SYS_mprotect, STUB_TEXT, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0);
	call_from_stub(&b, 50, SYS_mprotect, STUB_PARAM, 0x1000, PROT_READ | PROT_WRITE, 0, 0);
	call_from_stub(&b, 50, SYS_madvise, CHAN_BASE, CHAN_BYTES, MADV_DONTNEED, 0, 0);
	call_from_stub(&b, 50, SYS_madvise, CHAN_BASE, CHAN_BYTES, MADV_REMOVE, 0, 0);
	call_from_stub(&b, 50, SYS_mremap, CHAN_BASE, 4096, 8192, MREMAP_MAYMOVE, 0);
	check_well(&b);
}

static unsigned long kept_rsp __attribute__((used)), sled[512] __attribute__((used));
static char scratch[1 << 16];

/*
 * Does a host call at this place and comes back from what follows it, if that returns at all: wherever on the stack it looks for where to go, it
 * finds us, and all its pointers lead to memory that is there.
 */
static void call_and_return(unsigned long site, long nr, long a, long b, long c)
{
	long args[] = { site, nr, a, b, c };

	asm volatile("push %%rbp; push %%rbx\n"
		     "mov %%rsp, kept_rsp(%%rip)\n"
		     "lea sled(%%rip), %%rdi; lea 1f(%%rip), %%rax; mov $512, %%ecx; rep stosq\n"
		     "mov (%[args]), %%r8; mov 8(%[args]), %%rax; mov 16(%[args]), %%rdi; mov 24(%[args]), %%r9; mov 32(%[args]), %%rdx\n"
		     "mov %[scratch], %%rbx; mov %%rbx, %%rbp; mov %%rbx, %%r12; mov %%rbx, %%r13; mov %%rbx, %%r14; mov %%rbx, %%r15\n"
		     "mov %%r9, %%rsi; xor %%r9d, %%r9d; xor %%r10d, %%r10d\n"
		     "lea sled+1024(%%rip), %%rsp\n"
		     "jmp *%%r8\n"
		     "1: mov kept_rsp(%%rip), %%rsp; pop %%rbx; pop %%rbp; cld"
		     :
		     : [args] "r"(args), [scratch] "r"(scratch + sizeof scratch / 2)
		     : "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

/* Whether a process that does the host call nr at this place comes back from it in time. */
static bool host_call_returns(int ms, unsigned long site, long nr, long a, long b, long c)
{
	volatile bool *back = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool came;

	ATTACK(NULL, ms, {
		call_and_return(site, nr, a, b, c);
		*back = true;
	});
	came = *back;
	munmap((void *)back, 4096);
	return came;
}

/* What a process forks behind the sentry's back has no channel: nobody can have its maker's go along. */
CASE(channels_do_not_go_along)
{
	unsigned long sites[64], above = STUB_TEXT - 4096;
	char *p = mmap((void *)above, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int n = syscall_sites(sites, 64), tried = 0;

	for (int ms = 50; ms <= 800 && !tried; ms *= 4) /* what is allowed may come late on a busy machine */
		for (int i = 0; i < n; i++) {
			if (!host_call_returns(ms, sites[i], SYS_madvise, (long)p, 4096, MADV_DOFORK))
				continue;
			tried++;
			CHECK(!host_call_returns(ms, sites[i], SYS_madvise, CHAN_BASE, CHAN_BYTES, MADV_DOFORK));
			CHECK(!host_call_returns(ms, sites[i], SYS_madvise, CHAN_BASE, 4096, MADV_DOFORK));
			CHECK(!host_call_returns(ms, sites[i], SYS_madvise, (long)p, STUB_END - above, MADV_DOFORK));
			CHECK(!host_call_returns(ms, sites[i], SYS_madvise, CHAN_BASE, -CHAN_BASE, MADV_DOFORK));
			CHECK(!host_call_returns(ms, sites[i], SYS_mremap, CHAN_BASE, 4096, 4096));
			CHECK(!host_call_returns(ms, sites[i], SYS_mremap, (long)p, STUB_END - above, STUB_END - above));
		}
	if (n)
		CHECK(tried);
}

/* The far table is one file for all processes: who makes it writable writes to a copy. */
CASE(far_table_stays)
{
	struct bystander b = stand_by();
	volatile bool *wrote = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const volatile uint64_t *entry = (const volatile uint64_t *)(uintptr_t)site_far_entry(SITES_FAR - 1);
	unsigned long sites[64];
	int n = syscall_sites(sites, 64);
	uint64_t before = n ? *entry : 0;

	for (int ms = 50; ms <= 800 && !*wrote; ms *= 4) /* what is allowed may come late on a busy machine */
		for (int i = 0; i < n && !*wrote; i++)
			ATTACK(&b, ms, {
				call_and_return(sites[i], SYS_mprotect, SITE_FAR, SITE_FAR_BYTES, PROT_READ | PROT_WRITE);
				memset((void *)SITE_FAR, 0x55, SITE_FAR_BYTES);
				*wrote = true;
			});
	if (n) {
		CHECK(*wrote);
		EQ(*entry, before);
	}
	check_well(&b);
}

CASE(host_calls_on_the_stubs_descriptors)
{
	struct bystander b = stand_by();
	char junk[64];
	struct iovec v = { junk, sizeof junk };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	memset(junk, 0xee, sizeof junk);
	call_from_stub(&b, 50, SYS_write, STUB_FD_DOORBELL, (long)junk, 8, 0, 0);
	call_from_stub(&b, 50, SYS_write, STUB_FD_SOCKET, (long)junk, 8, 0, 0);
	call_from_stub(&b, 50, SYS_recvmsg, STUB_FD_SOCKET, (long)&m, 0, 0, 0);
	call_from_stub(&b, 50, SYS_close, STUB_FD_SOCKET, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_close, STUB_FD_DOORBELL, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_dup2, STUB_FD_DOORBELL, STUB_FD_SOCKET, 0, 0, 0);
	check_well(&b);
}

CASE(host_calls_that_end_a_stub)
{
	struct bystander b = stand_by();

	call_from_stub(&b, 50, SYS_sigaltstack, 0, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_rt_sigreturn, 0, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_exit, 0, 0, 0, 0, 0);
	call_from_stub(&b, 50, SYS_exit_group, 0, 0, 0, 0, 0);
	check_well(&b);
}

/* Who waits for one whose stub ended is told, though nothing else happens in the sandbox that would have the sentry look. */
CASE(ends_of_stubs_are_noticed)
{
	unsigned long sites[64];
	int n = syscall_sites(sites, 64);

	for (int i = 0; n && i < 500; i++) {
		pid_t pid = CHILD({ jump(sites[i % n], SYS_exit_group, 0, 0, 0, 0, 0); });

		CHECK(waitpid(pid, NULL, 0) == pid);
	}
}

static void *fork_who_wait(void *arg)
{
	for (;;)
		if (fork() == 0)
			pause();
	return arg;
}

static void *fork_who_end(void *arg)
{
	for (;;)
		if (fork() == 0)
			_exit(0);
	return arg;
}

/*
 * A child whose parent's stub ended just when it should have made it: it can be killed and waited for, whether or not it came to be; and who waits for
 * its end isn't left to wait.
 */
static void see_children_of_a_stub_that_ends(void *(*fork_on_and_on)(void *), bool kill_them)
{
	unsigned long sites[64];
	int n = syscall_sites(sites, 64);

	OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int i = 0; n && i < 100; i++) {
		pid_t pid = CHILD({
			pthread_t t;

			leave_others_alone(NULL);
			pthread_create(&t, NULL, fork_on_and_on, NULL);
			for (volatile int spin = 0; spin < i * 20000; spin++)
				;
			jump(sites[i % n], SYS_exit_group, 0, 0, 0, 0, 0);
		});

		CHECK(waitpid(pid, NULL, 0) == pid);
		if (kill_them)
			kill(-pid, SIGKILL);
		while (waitpid(-1, NULL, 0) > 0)
			;
		CHECK(errno == ECHILD);
	}
}

CASE(children_of_a_stub_that_ends)
{
	see_children_of_a_stub_that_ends(fork_who_wait, true);
}

CASE(ends_of_children_of_a_stub_that_ends)
{
	see_children_of_a_stub_that_ends(fork_who_end, false);
}

/*
 * A system call instruction of the stub's text that leads back to its caller, who has put something on the stack for each register that
 * is popped before: the end of one of its clones. Its results are 0 for all that isn't an error, and what gives 0 must not be called.
 */
static unsigned long returning_site(long *out_pops)
{
	unsigned long sites[64];
	int n = syscall_sites(sites, 64);

	for (int i = 0; i < n; i++)
		for (const unsigned char *p = (void *)sites[i]; p < (unsigned char *)sites[i] + 24; p++)
			if (p[0] == 0x41 && p[1] == 0x5c && p[2] == 0xc3) { /* pop %r12; ret */
				*out_pops = p[-2] == 0x41 && p[-1] == 0x5d ? 2 : 1;
				return sites[i];
			}
	return 0;
}

static long call_at(unsigned long site, long pops, long nr, long a, long b, long c, long d, long e)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = 0;
	register long r14 asm("r14") = pops;
	long rax = nr;

	asm volatile("sub $128, %%rsp; lea 1f(%%rip), %%rcx; push %%rcx; push $0; cmp $2, %[pops]; jne 2f; push $0; 2: jmp *%[site]; "
		     "1: add $128, %%rsp"
		     : "+a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8), "+r"(r9)
		     : [site] "b"(site), [pops] "r"(r14)
		     : "rcx", "r11", "r12", "r13", "memory", "cc");
	return rax;
}

enum { SECRET = 64 << 10, STUB_FDS = STUB_FD_FILES + STUB_FD_FILES_LEN + 8 };

/*
 * Does what the stub's text can with each of its descriptors: reads, writes, and writes through a mapping, each in a process of its own,
 * since what isn't allowed ends it. *readable is how many could be read.
 */
static void use_descriptors(char *buf, volatile int *readable)
{
	static const char text[] = "overwritten";
	char *at = mmap(NULL, SECRET, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long pops;
	unsigned long site = returning_site(&pops);

	for (int fd = 1; site && fd < STUB_FDS; fd++) {
		see_end(CHILD({ *readable += call_at(site, pops, SYS_pread64, fd, (long)buf, SECRET, 0, 0) == 0; }), 2000);
		see_end(CHILD({ call_at(site, pops, SYS_pwrite64, fd, (long)text, sizeof text, 0, 0); }), 2000);
		see_end(CHILD({
			if (call_at(site, pops, SYS_mmap, (long)at, SECRET, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd) == 0)
				memcpy(at, text, sizeof text);
		}), 2000);
	}
}

static void read_much(int fd, char *buf)
{
	volatile char *m = mmap(NULL, SECRET, PROT_READ, MAP_SHARED, fd, 0);

	CHECK(m != MAP_FAILED && *m == 's');
	for (int i = 0; i < 8; i++)
		EQ(pread(fd, buf, SECRET, 0), SECRET);
	m = mmap(NULL, SECRET, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(m != MAP_FAILED && *m == 's');
}

static int secret_file(char *buf, int mode)
{
	int fd = OK(open("secret", O_RDWR | O_CREAT, mode));

	memset(buf, 's', SECRET);
	EQ(write(fd, buf, SECRET), SECRET);
	return fd;
}

static void check_secret(int fd, char *buf)
{
	EQ(pread(fd, buf, SECRET, 0), SECRET);
	for (int i = 0; i < SECRET; i++)
		EQ(buf[i], 's');
}

/* The stub holds descriptors of files that a program reads: no way to write to them. */
CASE(descriptors_of_files_only_read)
{
	struct bystander b = stand_by();
	char *buf = malloc(SECRET);
	int *readable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), fd = secret_file(buf, 0644);
	long pops;

	if (getuid() == 0)
		ATTACK(&b, 40000, {
			int ro = OK(open("secret", O_RDONLY));

			close(fd);
			OK(setresuid(NOBODY, NOBODY, NOBODY));
			read_much(ro, buf);
			use_descriptors(buf, readable);
		});
	check_secret(fd, buf);
	CHECK(*readable > 0 || getuid() || !returning_site(&pops));
	check_well(&b);
}

/* Who becomes somebody else has none left of those that it was given before. */
CASE(descriptors_of_somebody_else)
{
	struct bystander b = stand_by();
	char *buf = malloc(SECRET);
	int *readable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), fd = secret_file(buf, 0600);

	if (getuid() == 0)
		ATTACK(&b, 40000, {
			for (int i = 0; i < 8; i++) {
				EQ(pread(fd, buf, SECRET, 0), SECRET);
				EQ(pwrite(fd, buf, SECRET, 0), SECRET);
			}
			close(fd);
			OK(setresuid(NOBODY, NOBODY, NOBODY));
			use_descriptors(buf, readable);
		});
	EQ(*readable, 0);
	check_secret(fd, buf);
	check_well(&b);
}

/* Host processes that the sentry didn't ask for: they run nothing, and end with the sandbox; nobody waits for them. */
CASE(processes_behind_the_sentrys_back)
{
	struct bystander b = stand_by();

	call_from_stub(&b, 50, SYS_clone, 0x8000 | SIGCHLD, 0, 0, 0, 0);
	check_well(&b);
}

static void *make_calls(void *arg)
{
	char buf[100];
	int fd = open("/dev/zero", O_RDWR);

	(void)arg;
	for (int i = 0; i < 2000; i++) {
		getppid();
		read(fd, buf, sizeof buf);
		write(fd, buf, sizeof buf);
		access("/etc/passwd", R_OK);
	}
	return NULL;
}

/* Writes bytes of many kinds over the first slots, while another thread of the same process makes calls through one of them. */
static void scribble(unsigned seed, size_t from, size_t to)
{
	pthread_t t;

	srand(seed);
	pthread_create(&t, NULL, make_calls, NULL);
	for (int i = 0; i < 20000; i++) {
		size_t at = from + (size_t)rand() % (to - from);
		uint32_t *word = (uint32_t *)(CHAN_BASE + (size_t)(rand() % 3) * SLOT_BYTES + (at & ~(size_t)3));

		switch (rand() % 4) {
		case 0:
			*word = rand();
			break;
		case 1:
			*word = rand() % 600;
			break;
		case 2:
			*word = -1;
			break;
		default:
			*word = 1u << rand() % 32;
		}
		if (i % 64 == 0)
			sched_yield();
	}
}

CASE(scribble_over_the_channel)
{
	struct bystander b = stand_by();
	static const struct {
		size_t from, to;
	} parts[] = {
		{ 0, 64 }, { 64, 128 }, { 128, 1024 }, { 0, SLOT_STACK }, { SLOT_STACK, SLOT_DATA }, { SLOT_DATA, SLOT_BYTES }, { 0, SLOT_BYTES },
	};

	for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
		for (unsigned seed = 1; seed <= 3; seed++)
			ATTACK(&b, 400, {
				OK(setresuid(NOBODY, NOBODY, NOBODY));	/* a made-up kill(-1, SIGKILL) ends its own processes only */
				scribble(seed, parts[i].from, parts[i].to);
			});
	check_well(&b);
}

static void *rewrite_loans(void *arg)
{
	struct chan_lent *lent = (struct chan_lent *)(CHAN_BASE + SLOT_LENT);
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		struct chan_lent *e = &lent[rand_r(&seed) % 16];

		switch (rand_r(&seed) % 4) {
		case 0:
			e->what = (uint64_t)rand_r(&seed) << LENT_SHIFT | (rand_r(&seed) & 0xffff);
			break;
		case 1:
			e->what ^= 1u << rand_r(&seed) % 20;
			break;
		case 2:
			e->pos = (uint64_t)rand_r(&seed) << 33;
			break;
		default:
			e->pos = rand_r(&seed);
		}
	}
	return NULL;
}

/* A process that makes up what it was lent, and changes what it was: it gets nothing by it that it hadn't, and the file's others don't notice. */
CASE(made_up_loans)
{
	struct bystander b = stand_by();
	char *buf = malloc(SECRET);
	int fd = secret_file(buf, 0644);

	for (unsigned seed = 1; seed <= 6; seed++)
		ATTACK(&b, 400, {
			int ro = OK(open("secret", O_RDONLY));
			int zero = OK(open("/dev/zero", O_RDWR));
			pthread_t t;

			close(fd);
			OK(setresuid(NOBODY, NOBODY, NOBODY));
			pthread_create(&t, NULL, rewrite_loans, (void *)(uintptr_t)seed);
			for (unsigned i = 0;; i++) {
				struct stat st;

				pread(ro, buf, 4096, i % 8 * 4096);
				read(ro, buf, 4096);
				write(zero, buf, 100);
				read(zero, buf, 100);
				if (i % 16 == 0) {
					fstat(ro, &st);
					lseek(ro, 0, SEEK_END);
					lseek(ro, seed % 2 ? 0 : 4096, SEEK_SET);
					close(dup(ro));
				}
				if (i % 64 == 0)
					see_end(fork() ?: ({ read(ro, buf, 4096); _exit(0); 0; }), 1000);
			}
		});
	check_secret(fd, buf);
	check_well(&b);
}

static void *rewrite_contents(void *arg)
{
	static const unsigned kinds[] = { 0, LENT_COUNT, LENT_COUNT | 1, LENT_BYTES, LENT_FEEDS, LENT_BYTES | LENT_FEEDS | LENT_COUNT };
	struct chan_lent *lent = (struct chan_lent *)(CHAN_BASE + SLOT_LENT);
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		struct chan_lent *e = &lent[rand_r(&seed) % 16];

		switch (rand_r(&seed) % 8) {
		case 0:
			e->what = (uint64_t)rand_r(&seed) << LENT_SHIFT | kinds[rand_r(&seed) % 6] | rand_r(&seed) % 16;
			break;
		case 1:
			e->what ^= rand_r(&seed) % 16;
			break;
		case 2:
			e->pos = -1 - (uint64_t)(rand_r(&seed) % 4);
			break;
		case 3:
			e->pos = (uint64_t)rand_r(&seed) << 33 | rand_r(&seed);
			break;
		default:
			sched_yield();
		}
	}
	return NULL;
}

/* Likewise what lies in a pipe and an eventfd: others who have them get some bytes and some count, and can go on with both. */
CASE(made_up_contents)
{
	struct bystander b = stand_by();
	int p[2], attackers[2], e = OK(eventfd(0, EFD_NONBLOCK));
	char bytes[64];
	uint64_t n;

	OK(pipe2(p, O_NONBLOCK));
	OK(pipe(attackers));
	for (unsigned seed = 1; seed <= 6; seed++)
		ATTACK(&b, 400, {
			struct epoll_event ev = { EPOLLIN, { 0 } };
			int ep = OK(epoll_create1(0));
			pthread_t t;

			OK(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev));
			OK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
			OK(setresuid(NOBODY, NOBODY, NOBODY));
			pthread_create(&t, NULL, rewrite_contents, (void *)(uintptr_t)seed);
			for (unsigned i = 0;; i++) {
				uint64_t one = 1;
				int left;

				write(p[1], bytes, i % 5);
				write(e, &one, 8);
				if (i % 64 < 40) {
					read(p[0], bytes, 8);
					read(e, &n, 8);
				}
				if (i % 64 == 0) {
					epoll_wait(ep, &ev, 1, 0);
					ioctl(p[0], FIONREAD, &left);
					close(dup(e));
				}
				if (i % 512 == 0)
					see_end(fork() ?: ({ read(p[0], bytes, 8); read(e, &n, 8); _exit(0); 0; }), 1000);
			}
		});
	close(attackers[1]);
	EQ(read(attackers[0], bytes, 1), 0); /* what they forked has ended, too */
	while (read(p[0], bytes, sizeof bytes) > 0)
		;
	EQ(errno, EAGAIN);
	if (read(e, &n, 8) < 0)
		EQ(errno, EAGAIN);
	for (int i = 0; i < 100; i++) {
		n = 3;
		EQ(write(e, &n, 8), 8);
		EQ(write(p[1], "abc", 3), 3);
		EQ(read(e, &n, 8), 8);
		EQ(n, 3);
		EQ(read(p[0], bytes, 8), 3);
		CHECK(!memcmp(bytes, "abc", 3));
	}
	check_well(&b);
}

static void nothing(int sig)
{
}

static void *forge_masks(void *arg)
{
	for (uint64_t i = 1;; i++) {
		volatile struct slot *s = (volatile struct slot *)(CHAN_BASE + i % 4 * SLOT_BYTES);

		s->sigmask.mask = i % 8 < 4 ? ~0ull : i * 0x9e3779b97f4a7c15;
		s->sigmask.lent = 1;
		s->altstack.sp = i % 3 ? 0 : i * 0x9e3779b97f4a7c15;
		s->altstack.flags = i % 4;
		s->quiet.fd_plus_1 = i % 8;
		s->quiet.index = i % PARAM_COUNTS;
		s->quiet.count = 0;
	}
	return arg;
}

/* Whatever stands where its mask should: it can be stopped and killed. */
CASE(forged_masks)
{
	struct bystander b = stand_by();
	pid_t pid = CHILD({
		struct epoll_event ev;
		sigset_t set;
		pthread_t t;

		leave_others_alone(&b);
		signal(SIGUSR1, nothing);
		pthread_create(&t, NULL, forge_masks, NULL);
		sigfillset(&set);
		for (int i = 0;; i++) {
			sigprocmask(i % 2 ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
			raise(SIGUSR1);
			epoll_wait(i % 8, &ev, 1, 0);
		}
	});
	int st;

	for (int i = 0; i < 100; i++) {
		OK(kill(pid, SIGUSR1));
		tell(b.to);
		hear(b.from);
	}
	OK(kill(pid, SIGSTOP));
	CHECK(waitpid(pid, &st, WUNTRACED) == pid);
	if (WIFSTOPPED(st)) {
		OK(kill(pid, SIGCONT));
		see_end(pid, 100);
	}
	check_well(&b);
}

static void *nothing_in_thread(void *arg)
{
	return arg;
}

static void *forge_families(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		volatile struct slot *s = (volatile struct slot *)(CHAN_BASE + rand_r(&seed) % 4 * SLOT_BYTES);

		s->alone = rand_r(&seed) % 2;
		s->hushed = rand_r(&seed) % 2;
		s->leaves = rand_r(&seed) % 4096 == 0;
		s->children.index_1 = rand_r(&seed) % (PARAM_COUNTS + 8);
		s->children.count = rand_r(&seed) % 4;
		s->children.pid = rand_r(&seed) % 2 ? 0 : rand_r(&seed) % 64;
	}
	return arg;
}

/* Whatever it claims of its children, and of who ends by itself: it can be stopped and killed, and so can what it leaves behind. */
CASE(forged_families)
{
	struct bystander b = stand_by();

	for (unsigned seed = 1; seed <= 8; seed++)
		ATTACK(&b, 300, {
			pthread_t t;

			pthread_create(&t, NULL, forge_families, (void *)(uintptr_t)seed);
			for (unsigned i = 0;; i++) {
				pid_t pid = fork();
				int st;

				if (!pid) {
					pthread_create(&t, NULL, forge_families, (void *)(uintptr_t)(seed * 1000 + i));
					pthread_create(&t, NULL, nothing_in_thread, NULL);
					_exit(0);
				}
				waitpid(-1, &st, WNOHANG);
				if (i % 4 == 0)
					alarm(1);
				if (i % 2)
					waitpid(pid, &st, 0);
				pthread_create(&t, NULL, nothing_in_thread, NULL);
				pthread_join(t, NULL);
			}
		});
	check_well(&b);
}

static uint64_t own_words[64];

static void *forge_ends(void *arg)
{
	static const uint64_t places[] = { 0, 1, 8, 0x10000, 0x60000, STUB_TEXT - 4, STUB_TEXT - 2, STUB_TEXT, STUB_PARAM, CHAN_BASE, CHAN_BASE + SLOT_REGS,
		1ul << 47, 1ul << 63, ~0ul, ~0ul - 3 };
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		volatile struct slot *s = (volatile struct slot *)(CHAN_BASE + rand_r(&seed) % 8 * SLOT_BYTES);
		const uint64_t own = (uintptr_t)own_words + rand_r(&seed) % sizeof own_words, place = places[rand_r(&seed) % (sizeof places / sizeof *places)];

		own_words[rand_r(&seed) % 64] = rand_r(&seed) % 2 ? own : place;
		s->clear_tid = rand_r(&seed) % 2 ? own : place;
		s->robust_list = rand_r(&seed) % 2 ? own : place;
	}
	return arg;
}

static int ends(void *arg)
{
	return 0;
}

/* Whatever the ends of its threads are to look at: it is the process's own business. */
CASE(forged_ends)
{
	enum { STACKS = 64, STACK = 1 << 14 };
	struct bystander b = stand_by();

	for (unsigned seed = 1; seed <= 6; seed++)
		ATTACK(&b, 300, {
			char *stacks = malloc(STACKS * STACK);
			pthread_t t;

			pthread_create(&t, NULL, forge_ends, (void *)(uintptr_t)seed);
			for (int i = 1;; i++) {
				char *top = stacks + (i % STACKS + 1) * STACK;

				if (i % 4)
					clone(ends, top, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID, NULL, NULL, NULL,
					      own_words);
				else
					waitpid(clone(ends, top, CLONE_VM | SIGCHLD, NULL), NULL, 0);
				syscall(SYS_set_tid_address, own_words);
				sched_yield();
			}
		});
	check_well(&b);
}

/* Every other one makes up actions that the process lives with for a while. */
static void *forge_actions(void *arg)
{
	const bool gently = (uintptr_t)arg % 4 < 2;
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (;;) {
		const int at = rand_r(&seed) % 4, sig = rand_r(&seed) % NSIG_MAX;
		struct slot *s = (struct slot *)(CHAN_BASE + at * SLOT_BYTES);
		volatile struct chan_actions *all = (volatile struct chan_actions *)((char *)s + SLOT_ACTIONS);
		const uint64_t garbage = (uint64_t)rand_r(&seed) * 0x9e3779b97f4a7c15;

		switch (rand_r(&seed) % 8) {
		case 0:
			all->of[sig].what = !gently ? garbage : ACTION_LENT | ACTION_RESTORER | (garbage % 1024 | 16) << ACTION_FLAGS_SHIFT | (uintptr_t)nothing;
			break;
		case 1:
			all->of[sig].what = !gently ? ~0ull : garbage << ACTION_FLAGS_SHIFT | 1;
			break;
		case 2:
			all->of[sig].what |= ACTION_LENT;
			break;
		case 3:
			all->of[sig].mask = garbage | 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);
			break;
		case 4:
			all->of[SIGKILL - 1].what = all->of[SIGSTOP - 1].what = ACTION_LENT | 1;
			break;
		case 5:
			if (!gently)
				all->restorer = garbage;
			break;
		case 6:
			all->changed = ~0ull;
			break;
		default:
			*(volatile uint32_t *)&s->actions = garbage % 8 ? garbage % 5 : garbage;
		}
	}
	return arg;
}

static int set_actions(void *arg)
{
	for (int sig = 1; sig <= NSIG_MAX; sig++)
		signal(sig, sig % 3 ? nothing : SIG_IGN);
	return 0;
}

/* Whatever is to be done with signals by what stands in the tables: a process dies of its own handlers at most, and can be stopped and killed. */
CASE(forged_actions)
{
	struct bystander b = stand_by();
	int st;

	for (unsigned seed = 1; seed <= 12; seed++) {
		bool lives = true;
		pid_t pid = CHILD({
			pthread_t t[2];
			char *stack = malloc(1 << 16);

			leave_others_alone(&b);
			set_actions(NULL);
			for (int i = 0; i < 2; i++)
				pthread_create(&t[i], NULL, forge_actions, (void *)(uintptr_t)(2 * seed + i));
			for (int i = 0;; i++) {
				set_actions(NULL);
				kill(getpid(), i % 2 ? SIGCHLD : SIGURG);
				if (i % 4 == 0)
					waitpid(fork() ?: ({ set_actions(NULL); _exit(0); 0; }), NULL, 0);
				if (i % 4 == 2)
					waitpid(clone(set_actions, stack + (1 << 16), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL), NULL, 0);
			}
		});

		for (int i = 0; i < 100 && lives; i++) {
			OK(kill(pid, i % 2 ? SIGUSR1 : SIGWINCH));
			tell(b.to);
			hear(b.from);
			usleep(1000);
			lives = OK(waitpid(pid, &st, WNOHANG)) == 0;
		}
		if (!lives)
			continue;
		OK(kill(pid, SIGSTOP));
		CHECK(waitpid(pid, &st, WUNTRACED) == pid);
		if (WIFSTOPPED(st)) {
			OK(kill(pid, SIGKILL));
			CHECK(waitpid(pid, NULL, 0) == pid);
		}
	}
	check_well(&b);
}

/* Late calls that it never made, or that nobody may make late; each about something that isn't its, isn't there, or isn't so. */
static void forge_late(struct slot_late *l, uint64_t nr, unsigned *seed)
{
	static const uint64_t values[] = { 0, 1, 2, 3, 4095, 4096, 0x10000, SITE_TABLE, 0x70000, 1 << 20, SITE_FAR, SITE_FAR + SITE_FAR_BYTES, 1ul << 30, 1ul << 46,
		STUB_TEXT - 4096, STUB_TEXT, STUB_PARAM, STUB_SITES, CHAN_BASE, STUB_END, 1ul << 47, 1ul << 62, 1ul << 63, -4096ul, -22ul, -9ul, ~0ul };
	enum { VALUES = sizeof values / sizeof *values };

	for (int i = 0; i < LATE_MAX; i++) {
		struct late_call *c = &l->calls[i];

		c->nr = nr;
		for (int j = 0; j < 6; j++)
			c->args[j] = rand_r(seed) % 4 ? values[rand_r(seed) % VALUES] : (uint64_t)rand_r(seed) % 16 * 4096;
		c->ret = rand_r(seed) % 3 ? values[rand_r(seed) % VALUES] : rand_r(seed) % 2 ? c->args[0] : 0;
		if (nr == SYS_mmap && rand_r(seed) % 2)
			c->args[3] = MAP_PRIVATE | (rand_r(seed) % 2 ? MAP_ANONYMOUS : 0);
		if ((nr == SYS_mmap && rand_r(seed) % 2) || (nr == SYS_mprotect && rand_r(seed) % 2))
			c->args[2] = rand_r(seed) % 8;
		if (nr == SYS_mmap && rand_r(seed) % 2)
			c->args[4] = rand_r(seed) % 8;
		if (nr == SYS_close)
			c->args[0] = rand_r(seed) % 20 - 2;
		if (nr == SYS_munmap && rand_r(seed) % 8 == 0) {
			c->args[0] = 0x10000;
			c->args[1] = STUB_TEXT - 0x10000;
			c->ret = 0;
		}
	}
}

static const uint64_t late_nrs[] = { SYS_mmap, SYS_munmap, SYS_mprotect, SYS_brk, SYS_close, SYS_write, SYS_mremap, SYS_fork, SYS_execve, SYS_exit_group, SYS_rt_sigreturn,
	SYS_mmap | 1ul << 32, 100000, ~0ul };
enum { LATE_NRS = sizeof late_nrs / sizeof *late_nrs };

/* What comes next, and looks at what is in the books by then. */
static void go_on(unsigned how)
{
	char *p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (how % 2 && fork() == 0)
		_exit(0);
	if (p != MAP_FAILED)
		*(volatile char *)p = 1;
	munmap(p, 4 << 20);
	close(open("/proc/self/maps", O_RDONLY));
	close(open("/etc", O_RDONLY));
	syscall(SYS_brk, syscall(SYS_brk, 0) + 100000);
	if (how % 4 < 2)
		waitpid(-1, NULL, WNOHANG);
	else if (how % 8 < 4)
		execl("/proc/self/exe", "x", "--list", NULL);
	else
		*(volatile char *)STUB_TEXT = 1;
}

/* It is killed for it, or gets what it said, which is its own business; and of files that others have, too, none is closed for them. */
CASE(forged_late_calls)
{
	static const uint32_t counts[] = { 1, 7, LATE_MAX, LATE_MAX + 1, 1u << 31, ~0u };
	struct bystander b = stand_by();
	int down[2], sock[2], file;
	char c;

	OK(pipe(down));
	OK(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	put_file("f", "in common", 0644);
	file = OK(open("f", O_RDWR));
	for (unsigned i = 0; i < LATE_NRS; i++)
		for (unsigned j = 0; j < sizeof counts / sizeof *counts; j++)
			for (unsigned seed = 0; seed < 3; seed++)
				ATTACK(&b, 200, {
					struct slot_late *l = slot_late((struct slot *)CHAN_BASE);
					unsigned at = seed * 1000 + j * 100 + i;

					open("/etc/passwd", O_RDONLY);
					forge_late(l, late_nrs[i], &at);
					__atomic_store_n(&l->n, counts[j], __ATOMIC_SEQ_CST);
					go_on(at);
					forge_late(l, late_nrs[i], &at);
					__atomic_store_n(&l->n, counts[j], __ATOMIC_SEQ_CST);
				});
	CHECK(write(down[1], "a", 1) == 1 && read(down[0], &c, 1) == 1 && c == 'a');
	CHECK(write(sock[0], "b", 1) == 1 && read(sock[1], &c, 1) == 1 && c == 'b');
	CHECK(pread(file, &c, 1, 0) == 1 && c == 'i');
	check_well(&b);
}

/* Late calls that could have been made, but weren't: from then on the books are wrong. */
static void forge_likely(struct slot_late *l, char *window, int fd, unsigned *seed)
{
	const int n = 1 + rand_r(seed) % LATE_MAX;
	uint64_t brk = syscall(SYS_brk, 0);

	for (int i = 0; i < n; i++) {
		const uint64_t at = (uintptr_t)window + rand_r(seed) % 64 * 4096, len = (1 + rand_r(seed) % 16) * 4096;
		struct late_call *c = &l->calls[i];

		switch (rand_r(seed) % 7) {
		case 0:
		case 1:
			*c = (struct late_call){ SYS_mmap, { 0, len, rand_r(seed) % 4, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 }, at };
			break;
		case 2:
			*c = (struct late_call){ SYS_mmap, { at, len, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0 }, at };
			break;
		case 3:
			*c = (struct late_call){ SYS_munmap, { at, len }, 0 };
			break;
		case 4:
			*c = (struct late_call){ SYS_mprotect, { ((uintptr_t)scratch + 4095) & -4096, 4096, rand_r(seed) % 4 }, 0 };
			break;
		case 5:
			brk += rand_r(seed) % 40000;
			*c = (struct late_call){ SYS_brk, { brk }, brk };
			break;
		default:
			*c = (struct late_call){ SYS_munmap, { (uintptr_t)window, 64 * 4096 }, 0 };
			if (rand_r(seed) % 64 == 0) /* all there is */
				*c = (struct late_call){ SYS_munmap, { 0x70000, SITE_FAR - 0x70000 }, 0 };
		}
	}
	__atomic_store_n(&l->n, n, __ATOMIC_SEQ_CST);
}

static void use_what_isnt_there(char *window, int fd, int zero, unsigned *seed)
{
	char *at = window + rand_r(seed) % 64 * 4096;
	const size_t len = (1 + rand_r(seed) % 16) * 4096;
	struct iovec v = { at, len };
	unsigned char in[64];

	switch (rand_r(seed) % 16) {
	case 0: read(zero, at, len); break;
	case 1: write(zero, at, len); break;
	case 2: munmap(at, len); break;
	case 3: mprotect(at, len, rand_r(seed) % 8); break;
	case 4: mremap(at, len, len * 2, MREMAP_MAYMOVE); break;
	case 5: madvise(at, len, rand_r(seed) % 2 ? MADV_DONTNEED : MADV_DONTFORK); break;
	case 6: mlock(at, len); break;
	case 7: mincore(at, len, in); break;
	case 8: syscall(SYS_futex, at, 0, 1, &(struct timespec){ 0, 1 }, NULL, 0); break;
	case 9: process_vm_readv(getpid(), &v, 1, &v, 1, 0); break;
	case 10: pread(fd, at, 100, 0); break;
	case 11: mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
	case 12: close(open("/proc/self/maps", O_RDONLY)); break;
	case 13: open(at, O_RDONLY); break;
	case 14: syscall(SYS_brk, syscall(SYS_brk, 0) - 5000); break;
	default:
		if (fork() == 0) {
			*(volatile char *)at = 1;
			_exit(0);
		}
		waitpid(-1, NULL, 0);
	}
}

static void fault_and_go_on(int sig, siginfo_t *info, void *context)
{
	static int often;

	if (++often > 200)
		_exit(0);
	mmap((void *)((uintptr_t)info->si_addr & -4096), 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

CASE(forged_books)
{
	struct bystander b = stand_by();

	for (unsigned seed = 1; seed <= 60; seed++)
		ATTACK(&b, 400, {
			struct sigaction sa = { .sa_sigaction = fault_and_go_on, .sa_flags = SA_SIGINFO | SA_NODEFER };
			char *window = (char *)(1ul << 20);
			unsigned at = seed;
			int fd = open("/etc/passwd", O_RDONLY);
			int zero = open("/dev/zero", O_RDWR);

			if (seed % 2)
				sigaction(SIGSEGV, &sa, NULL);
			for (int i = 0; i < 60; i++) {
				forge_likely(slot_late((struct slot *)CHAN_BASE), window, fd, &at);
				for (int j = 0; j < 6; j++)
					use_what_isnt_there(window, fd, zero, &at);
				if (i % 4 == 0)
					window[i * 4096] = 1;
			}
			if (seed % 4 < 2)
				execl("/proc/self/exe", "x", "--list", NULL);
		});
	check_well(&b);
}

/* With each kind of event, however it came about: some can't have such calls before them. */
CASE(forged_late_events)
{
	struct bystander b = stand_by();

	for (unsigned kind = 0; kind < 10; kind++)
		for (unsigned i = 0; i < 5; i++)
			ATTACK(&b, 60, {
				struct slot *s = (struct slot *)CHAN_BASE;
				unsigned at = kind * 10 + i;

				forge_late(slot_late(s), late_nrs[i], &at);
				slot_late(s)->n = i % 2 ? 0 : LATE_MAX;
				for (int j = 0; j < 6; j++)
					s->args[j] = s->call.args[j] = -j;
				s->nr = s->call.nr = i % 2 ? SYS_getpgid : SYS_exit_group;
				s->kind = kind;
				__atomic_store_n(&s->state, STATE_EVENT | STATE_LATE, __ATOMIC_RELEASE);
				for (int j = 0; j < 100; j++)
					sched_yield();
			});
	check_well(&b);
}

/* Takes leave to make such calls, wherever: what the host lets it do then it lets any stub do. */
static void *forge_leave(void *arg)
{
	static unsigned once;
	unsigned seed = arg ? (unsigned)(uintptr_t)arg : ++once;

	for (;;) {
		struct slot *s = (struct slot *)(CHAN_BASE + rand_r(&seed) % 4 * SLOT_BYTES);
		struct slot_late *l = slot_late(s);
		struct chan_lent *lent = (struct chan_lent *)(CHAN_BASE + SLOT_LENT);

		*(volatile uint32_t *)&l->memory = *(volatile uint32_t *)&l->close = 1;
		lent[rand_r(&seed) % 16].what = LENT_CLOSE | (rand_r(&seed) % 2 ? LENT_MAP | rand_r(&seed) % 256 : 0);
		*(volatile uint64_t *)&l->bottom = rand_r(&seed) % 2 ? 0 : ~0ul;
		*(volatile uint64_t *)&l->hole = rand_r(&seed) % 2 ? 0 : rand_r(&seed);
		*(volatile uint64_t *)&l->top = rand_r(&seed) % 2 ? STUB_TEXT : rand_r(&seed) % 2 ? CHAN_BASE + CHAN_BYTES : (uint64_t)rand_r(&seed) << 12;
		*(volatile uint64_t *)&l->brk_start = 0;
		*(volatile uint64_t *)&l->brk = rand_r(&seed) % 2 ? STUB_TEXT - 4096 : (uint64_t)rand_r(&seed) << 10;
		*(volatile uint64_t *)&l->brk_limit = ~0ul;
		if (rand_r(&seed) % 8 == 0)
			*(volatile uint32_t *)&l->n = rand_r(&seed) % 40;
		if (!arg) /* once */
			break;
	}
	return NULL;
}

static void call_wildly(unsigned rounds, unsigned seed)
{
	for (unsigned i = 0; i < rounds; i++) {
		const uint64_t at = (uint64_t)rand_r(&seed) << 12;

		mmap(NULL, 4096 << rand_r(&seed) % 20, rand_r(&seed) % 4, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, rand_r(&seed) % 16, 0);
		mmap((void *)at, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, rand_r(&seed) % 16, 0);
		munmap((void *)at, 4096);
		mprotect((void *)at, 1 << 20, PROT_READ);
		syscall(SYS_brk, STUB_TEXT - 8192);
		syscall(SYS_brk, CHAN_BASE);
		syscall(SYS_brk, at);
		close(rand_r(&seed) % 16);
		if (i % 16 == 0)
			close(open("/etc/passwd", O_RDONLY));
	}
}

/* By itself, by a thread of its own, and by another process that lives in the same memory. */
CASE(forged_leave_for_late_calls)
{
	struct bystander b = stand_by();

	for (unsigned seed = 0; seed < 9; seed++)
		ATTACK(&b, 300, {
			pthread_t t;

			if (seed % 3 == 1)
				pthread_create(&t, NULL, forge_leave, (void *)(uintptr_t)(seed + 1));
			if (seed % 3 == 2 && clone((int (*)(void *))(void *)forge_leave, malloc(1 << 16) + (1 << 16), CLONE_VM, (void *)(uintptr_t)(seed + 1)) < 0)
				_exit(1);
			for (unsigned i = 0; i < 1000; i++) {
				if (seed % 3 == 0)
					forge_leave(NULL);
				call_wildly(10, seed * 1000 + i);
			}
		});
	check_well(&b);
}

/* Complete made-up events, as a stub would post them: every kind, with numbers and lengths of no sense. */
CASE(made_up_events)
{
	struct bystander b = stand_by();

	for (unsigned kind = 0; kind < 8; kind++)
		for (unsigned segs = 0; segs < 32; segs += 5)
			ATTACK(&b, 60, {
				struct slot *s = (struct slot *)CHAN_BASE;

				for (int i = 0; i < SLOT_SEGS; i++)
					s->segs[i] = (struct slot_seg){ 0x1000 * i, -1, -(i * 4096) };
				for (int i = 0; i < 6; i++)
					s->args[i] = 0x7fffffffffffffff - i;
				s->nr = kind & 1 ? SYS_writev : -5;
				s->fault.signo = 200;
				s->fail_tag = -1;
				s->kind = kind | segs << KIND_SEGS_SHIFT;
				__atomic_store_n(&s->state, STATE_EVENT, __ATOMIC_RELEASE);
				for (int i = 0; i < 100; i++)
					sched_yield();
			});
	check_well(&b);
}

/*
 * A child that is there is said not to have been made, while it waits in a call: nothing of what the sentry knows of it may go as long as
 * somebody can wake it.
 */
CASE(children_said_not_to_be)
{
	enum { CLONE_FAILED = 0x80000000 };	/* the kernel's tag for that */
	volatile int *there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct bystander b = stand_by();

	for (int i = 0; i < 20; i++) {
		int up[2], down[2];
		pid_t pid;

		OK(pipe(up));
		OK(pipe(down));
		*there = 0;
		pid = CHILD({
			leave_others_alone(&b);
			if (fork() == 0) {
				tell(up[1]);
				*there = 1;
				hear(down[0]);
				tell(up[1]);
				_exit(0);
			}
			struct slot *s = (struct slot *)CHAN_BASE;

			while (!*there)	/* no call: it would end the clone's */
				;
			for (volatile int spin = 0; spin < 1000000; spin++)
				;
			s->fail_tag = CLONE_FAILED;
			s->fail_err = EAGAIN;
			s->kind = KIND_OP_FAILED;
			__atomic_store_n(&s->state, STATE_EVENT, __ATOMIC_RELEASE);
			for (;;)
				;
		});
		close(up[1]);
		hear(up[0]);
		for (int k = 0; k < 20; k++) {	/* so that the sentry looks */
			tell(b.to);
			hear(b.from);
			usleep(1000);
		}
		tell(down[1]);
		hear(up[0]);
		see_end(pid, 0);
		close(up[0]);
		close(down[0]);
		close(down[1]);
	}
	check_well(&b);
}

/* Through the front door: the stub's ranges aren't the application's, and calls on them answer as Linux does above the top. */
CASE(memory_calls_on_the_stub)
{
	struct bystander b = stand_by();
	static const unsigned long at[] = { STUB_TEXT, STUB_PARAM, STUB_VDSO, STUB_SITES, CHAN_BASE };

	for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
		void *p = (void *)at[i];

		ATTACK(&b, 100, { munmap(p, 4096); });
		ATTACK(&b, 100, { mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC); });
		ATTACK(&b, 100, { madvise(p, 4096, MADV_DONTNEED); });
		ATTACK(&b, 100, { mremap(p, 4096, 8192, MREMAP_MAYMOVE); });
		ATTACK(&b, 100, { mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); });
		ATTACK(&b, 100, { *(volatile char *)p = 1; });
	}
	ATTACK(&b, 100, { munmap((void *)0x10000, STUB_END - 0x10000); });
	ATTACK(&b, 100, { munmap((void *)0x10000, 0x7ffefff00000); });
	check_well(&b);
}

/* The kernel's answers go nowhere else: buffers that lie in the stub's memory are no buffers. */
CASE(buffers_in_the_stub)
{
	static const unsigned long at[] = { STUB_TEXT, STUB_PARAM, STUB_SITES, CHAN_BASE, CHAN_BASE + SLOT_DATA };
	struct bystander b = stand_by();
	int fd = OK(open("/dev/zero", O_RDONLY));

	for (unsigned i = 0; i < sizeof at / sizeof *at; i++)
		ATTACK(&b, 500, {
			struct iovec v[2] = { { (void *)at[i], 5000 }, { (void *)(at[i] + 100), 1 << 20 } };

			read(fd, (void *)at[i], 4096);
			readv(fd, v, 2);
			getcwd((void *)at[i], 4096);
			write(2, (void *)at[i], 0);
			syscall(SYS_rt_sigaction, SIGUSR1, NULL, at[i], 8);
		});
	check_well(&b);
}

/* A jump to nowhere in many kinds: the application's own faults stay its own. */
CASE(wild_jumps)
{
	static const unsigned long at[] = { 0, 0x1000, 0x7fffffffe000, 0xffffffffff600000, 0xffff800000000000, STUB_PARAM, STUB_VDSO, STUB_SITES };
	struct bystander b = stand_by();

	for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
		ATTACK(&b, 100, { jump(at[i], 0, 0, 0, 0, 0, 0); });
		ATTACK(&b, 100, { asm volatile("mov %0, %%rsp; push %%rax" ::"r"(at[i])); });
		ATTACK(&b, 100, { asm volatile("wrgsbase %0; mov $39, %%eax; syscall; hlt" ::"r"(at[i])); });
	}
	check_well(&b);
}
