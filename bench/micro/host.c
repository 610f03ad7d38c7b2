// What the machine gives a sandbox to be built from. These rows are run natively alone: a row of the table that misses its
// target is shown with those that bound it from below.
#include "micro.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, LARGE = 128 << 10, FAULT_PAGES = 8192, NO_CALL = 1000 };

static pthread_t partner;
static uint32_t turn __attribute__((aligned(64))); // 0: the main thread's, 1: the partner's, 2: the end
static char block[LARGE] __attribute__((aligned(64))), copy[LARGE];
static size_t len; // of it is used
static cpu_set_t allowed;
static char *area;

static void loop_call(long count)
{
	while (count-- > 0)
		syscall(SYS_getppid);
}

// The main thread and its partner on the first and the second CPU that there are. With one CPU alone, these rows fail.
static void pin(pthread_t thread, int which)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && which-- == 0)
			CPU_SET(cpu, &set);
	if (pthread_setaffinity_np(thread, sizeof(set), &set) != 0)
		fail("a hand-over needs two CPUs");
}

static uint32_t spin_while(uint32_t value)
{
	uint32_t now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) == value)
		__builtin_ia32_pause();
	return now;
}

static uint32_t sleep_while(uint32_t value)
{
	uint32_t now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) == value)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	return now;
}

static void give(uint32_t to)
{
	__atomic_store_n(&turn, to, __ATOMIC_RELEASE);
}

static void give_and_wake(uint32_t to)
{
	give(to);
	syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *spinner_main(void *arg)
{
	while (spin_while(0) == 1)
		give(0);
	return NULL;
}

static void *writer_main(void *arg)
{
	while (spin_while(0) == 1) {
		memset(block, block[0] + 1, len);
		give(0);
	}
	return NULL;
}

static void *sleeper_main(void *arg)
{
	while (sleep_while(0) == 1)
		give_and_wake(0);
	return NULL;
}

static void start(void *(*partner_main)(void *))
{
	turn = 0;
	MUST(sched_getaffinity(0, sizeof(allowed), &allowed));
	if (pthread_create(&partner, NULL, partner_main, NULL) != 0)
		fail("pthread_create");
	pin(pthread_self(), 0);
	pin(partner, 1);
}

static void setup_spinner(void)
{
	start(spinner_main);
}

static void setup_writer(void)
{
	len = PAGE;
	start(writer_main);
}

static void setup_large_writer(void)
{
	len = LARGE;
	start(writer_main);
}

static void setup_sleeper(void)
{
	start(sleeper_main);
}

static void loop_spin(long count)
{
	while (count-- > 0) {
		give(1);
		spin_while(1);
	}
}

static void loop_spin_copy(long count)
{
	while (count-- > 0) {
		give(1);
		spin_while(1);
		memcpy(copy, block, len);
		__asm__ volatile("" ::: "memory");
	}
}

static void loop_sleep(long count)
{
	while (count-- > 0) {
		give_and_wake(1);
		sleep_while(1);
	}
}

static void teardown_partner(void)
{
	give_and_wake(2);
	pthread_join(partner, NULL);
	MUST(sched_setaffinity(0, sizeof(allowed), &allowed));
}

static void child_ends(int flags)
{
	pid_t pid = MUST(syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL));

	if (pid == 0)
		_exit(0);
	MUST(waitpid(pid, NULL, 0));
}

static void loop_fork(long count)
{
	while (count-- > 0)
		child_ends(0);
}

static void loop_namespaces(long count)
{
	while (count-- > 0)
		child_ends(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
}

static void loop_map(long count)
{
	while (count-- > 0) {
		void *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			fail("mmap");
		MUST(munmap(p, 4 * PAGE));
	}
}

static void setup_shared(void)
{
	int fd = MUST(memfd_create("bench", 0));

	MUST(ftruncate(fd, (off_t)FAULT_PAGES * PAGE));
	area = mmap(NULL, (size_t)FAULT_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		fail("mmap");
	close(fd);
}

static void loop_shared(long count)
{
	for (long i = 0; i < count; i++)
		*(volatile char *)(area + i * PAGE) = 1;
}

static void teardown_shared(void)
{
	munmap(area, (size_t)FAULT_PAGES * PAGE);
}

static void nothing(int signo)
{
}

static void setup_signal(void)
{
	MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = nothing}, NULL));
}

static void loop_signal(long count)
{
	while (count-- > 0)
		MUST(raise(SIGUSR1));
}

// The filter stays: this row and the next, which is under it, are the last, so that no other one is slowed down by it.
static void setup_trap(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), // the call's number
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NO_CALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	MUST(sigaction(SIGSYS, &(struct sigaction){.sa_handler = nothing}, NULL));
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){4, code}));
}

static void loop_trap(long count)
{
	while (count-- > 0)
		syscall(NO_CALL);
}

const struct row host_rows[] = {
	{"host-call", "a system call (getppid)", NULL, loop_call, .host = 1},
	{"host-spin", "hand-over there and back, spinning on two CPUs", setup_spinner, loop_spin, teardown_partner, .host = 1},
	{"host-spin-4k", "the same, 4 KiB written there, copied here", setup_writer, loop_spin_copy, teardown_partner, .host = 1},
	{"host-spin-128k", "the same with 128 KiB", setup_large_writer, loop_spin_copy, teardown_partner, .host = 1},
	{"host-futex", "hand-over there and back by futex, two CPUs", setup_sleeper, loop_sleep, teardown_partner, .host = 1},
	{"host-signal", "a signal to self and its handler's return", setup_signal, loop_signal, .host = 1},
	{"host-map", "mmap 16 KiB + munmap, untouched", NULL, loop_map, .host = 1},
	{"host-shared", "first touch of a page of a memfd", setup_shared, loop_shared, teardown_shared, .most = FAULT_PAGES, .host = 1},
	{"host-fork", "fork + exit + wait of a small process", NULL, loop_fork, .host = 1},
	{"host-namespaces", "the same with five new namespaces", NULL, loop_namespaces, .host = 1},
	{"host-trap", "a call that seccomp makes a SIGSYS, and back", setup_trap, loop_trap, .keep = 1, .host = 1},
	{"host-filtered", "a system call that seccomp lets pass", NULL, loop_call, .keep = 1, .host = 1},
	{},
};
