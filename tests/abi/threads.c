/* Threads as the C library makes them: create, join, cancel, locks, thread-local state, and who shares what. */
#include "abi.h"
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>
#include <semaphore.h>
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <asm/prctl.h>

static void *identity(void *arg)
{
	return arg;
}

CASE(create_and_join)
{
	for (long i = 0; i < 200; i++) {
		pthread_t t;
		void *r;
		CHECK(pthread_create(&t, NULL, identity, (void *)i) == 0);
		CHECK(pthread_join(t, &r) == 0);
		EQ((long)r, i);
	}
}

CASE(many_at_once)
{
	pthread_t t[64];

	for (long i = 0; i < 64; i++)
		CHECK(pthread_create(&t[i], NULL, identity, (void *)i) == 0);
	for (long i = 0; i < 64; i++) {
		void *r;
		CHECK(pthread_join(t[i], &r) == 0);
		EQ((long)r, i);
	}
}

static volatile pid_t thread_pid, thread_tid, thread_ppid;

static void *who(void *arg)
{
	thread_pid = getpid();
	thread_tid = syscall(SYS_gettid);
	thread_ppid = getppid();
	return NULL;
}

CASE(identity_of_a_thread)
{
	pthread_t t;

	pthread_create(&t, NULL, who, NULL);
	pthread_join(t, NULL);
	EQ(thread_pid, getpid());
	EQ(thread_ppid, getppid());
	CHECK(thread_tid != getpid() && thread_tid > 0);
	ERR(waitpid(thread_tid, NULL, __WALL), ECHILD);
}

static __thread int tls = 5;

static void *use_tls(void *arg)
{
	EQ(tls, 5);
	tls = (int)(long)arg;
	for (int i = 0; i < 100; i++) {
		sched_yield();
		EQ(tls, (long)arg);
	}
	return NULL;
}

CASE(thread_local_storage)
{
	pthread_t t[4];

	tls = 77;
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, use_tls, (void *)(i + 100));
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(tls, 77);
}

CASE(arch_prctl)
{
	unsigned long fs = 0, gs = 0;

	OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	CHECK(fs != 0);
	OK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456000ul));
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	EQ(gs, 0x123456000ul);
	sched_yield();
	usleep(1000);
	OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	EQ(gs, 0x123456000ul);
	pid_t p = CHILD({
		OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
		EQ(gs, 0x123456000ul);
	});
	EXITED(p, 0);
	ERR(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffff800000000000ul), EPERM);
	ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
	ERR(syscall(SYS_arch_prctl, 0x9999, 8), EINVAL);
}

/* While fs is elsewhere nothing of the C library's may run, nor what the compiler adds for stacks. */
#define WITHOUT_FS __attribute__((noinline, optimize("no-stack-protector")))

static inline long raw(long nr, long a, long b)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return ret;
}

/* Where it is now: the compiler mustn't find that out later. */
static __attribute__((noinline, noipa)) void *own_fs(void)
{
	void *base = NULL;

	OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	return base;
}

static WITHOUT_FS long set_fs(const void *at)
{
	return raw(SYS_arch_prctl, ARCH_SET_FS, (long)at);
}

/* What fs leads to; 0 if it isn't what the kernel says. */
static WITHOUT_FS uint64_t at_fs(void)
{
	uint64_t *base = NULL, there;

	asm volatile("mov %%fs:0, %0" : "=r"(there));
	return raw(SYS_arch_prctl, ARCH_GET_FS, (long)&base) == 0 && base && *base == there ? there : 0;
}

static uint64_t fs_places[3] = { 0x1111, 0x2222, 0x3333 };
static volatile uint64_t fs_in_handler;
static volatile int fs_handled;
static const void *volatile fs_from_handler;

static WITHOUT_FS void look_at_fs(int sig)
{
	uint64_t there = at_fs();

	if (!fs_handled++ || !there)
		fs_in_handler = there;
	if (fs_from_handler)
		set_fs(fs_from_handler);
}

static WITHOUT_FS uint64_t after_other_calls(void)
{
	raw(SYS_close, -1, 0);
	raw(SYS_sched_yield, 0, 0);
	raw(SYS_getpid, 0, 0);
	return at_fs();
}

CASE(fs_base_stays_where_it_was_set)
{
	void *own = own_fs();
	uint64_t first, later;
	long ret;

	for (int i = 0; i < 200; i++) {
		ret = set_fs(&fs_places[i % 3]);
		first = at_fs();
		later = after_other_calls();
		ret |= set_fs(own);
		EQ(ret, 0);
		EQ(first, fs_places[i % 3]);
		EQ(later, first);
		EQ(getpid(), raw(SYS_getpid, 0, 0));
	}
}

CASE(fs_base_and_signal_handlers)
{
	const pid_t pid = getpid();
	void *own = own_fs();
	uint64_t after, then;

	signal(SIGUSR1, look_at_fs);
	for (int i = 0; i < 60; i++) {
		fs_handled = 0;
		fs_from_handler = i % 2 ? &fs_places[2] : NULL;
		set_fs(&fs_places[0]);
		raw(SYS_kill, pid, SIGUSR1);
		after = at_fs();
		set_fs(&fs_places[1]);
		then = at_fs();
		set_fs(own);
		EQ(fs_handled, 1);
		EQ(fs_in_handler, fs_places[0]);
		EQ(after, fs_places[i % 2 ? 2 : 0]); /* no frame holds it */
		EQ(then, fs_places[1]);
	}
}

CASE(fs_base_amid_signals)
{
	const struct itimerval often = { { 0, 700 }, { 0, 700 } };
	void *own = own_fs();
	uint64_t wrong = 0;

	fs_handled = 1; /* so that only what is wrong is noted */
	fs_in_handler = 1;
	signal(SIGALRM, look_at_fs);
	OK(setitimer(ITIMER_REAL, &often, NULL));
	for (int i = 0; fs_handled < 200; i++) {
		set_fs(&fs_places[i % 3]);
		wrong |= at_fs() ^ fs_places[i % 3];
		wrong |= after_other_calls() ^ fs_places[i % 3];
	}
	set_fs(own);
	OK(setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL));
	EQ(wrong, 0);
	EQ(fs_in_handler, 1);
}

CASE(fs_base_goes_along_to_a_child)
{
	void *own = own_fs();

	for (int i = 0; i < 20; i++) {
		long p;

		set_fs(&fs_places[i % 3]);
		p = raw(SYS_fork, 0, 0);
		if (!p)
			raw(SYS_exit_group, at_fs() == fs_places[i % 3] && set_fs(&fs_places[0]) == 0 && after_other_calls() == fs_places[0] ? 0 : 1, 0);
		set_fs(own);
		EXITED(p, 0);
	}
}

CASE(fs_base_nowhere)
{
	static const uint64_t bad[] = { 0x7ffffffff000, 0x800000000000, 1ul << 63, ~0ul };
	void *own = own_fs();

	for (int i = 0; i < 40; i++) {
		ERR(syscall(SYS_arch_prctl, ARCH_SET_FS, bad[i % 4]), EPERM);
		EQ(own_fs(), own);
		ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, bad[i % 4]), EFAULT);
		ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, 8), EFAULT);
	}
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long total;

static void *add(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&mutex);
		total++;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

CASE(mutex_counts)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, add, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(total, 80000);
}

static int queue, done;

static void *consumer(void *arg)
{
	long got = 0;

	pthread_mutex_lock(&mutex);
	for (;;) {
		while (!queue && !done)
			pthread_cond_wait(&cond, &mutex);
		if (!queue && done)
			break;
		queue--;
		got++;
	}
	pthread_mutex_unlock(&mutex);
	return (void *)got;
}

CASE(condition_variable)
{
	pthread_t t[3];
	long sum = 0;

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, consumer, NULL);
	for (int i = 0; i < 3000; i++) {
		pthread_mutex_lock(&mutex);
		queue++;
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&mutex);
	}
	pthread_mutex_lock(&mutex);
	done = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < 3; i++) {
		void *r;
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	EQ(sum, 3000);
}

CASE(condition_timeout)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 20000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	pthread_mutex_lock(&mutex);
	EQ(pthread_cond_timedwait(&cond, &mutex, &ts), ETIMEDOUT);
}

static pthread_barrier_t barrier;
static volatile int arrived;

static void *at_barrier(void *arg)
{
	for (int round = 1; round <= 50; round++) {
		__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&barrier);
		CHECK(arrived >= 4 * round);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

CASE(barriers)
{
	pthread_t t[4];

	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, at_barrier, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static volatile long a, b;

static void *rw_worker(void *arg)
{
	for (int i = 0; i < 500; i++) {
		if ((i + (long)arg) % 5 == 0) {
			pthread_rwlock_wrlock(&rw);
			a++;
			sched_yield();
			b++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			CHECK(a == b);
			pthread_rwlock_unlock(&rw);
		}
	}
	return NULL;
}

CASE(rwlock)
{
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, rw_worker, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(a, b);
}

CASE(semaphore_between_processes)
{
	sem_t *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	OK(sem_init(s, 1, 0));
	OK(sem_init(s + 1, 1, 0));
	pid_t p = CHILD({
		for (int i = 0; i < 200; i++) {
			OK(sem_wait(s));
			OK(sem_post(s + 1));
		}
	});
	for (int i = 0; i < 200; i++) {
		OK(sem_post(s));
		OK(sem_wait(s + 1));
	}
	EXITED(p, 0);
}

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

CASE(cancel_in_blocking_call)
{
	pthread_t t;
	void *r;

	pthread_create(&t, NULL, sleeper, NULL);
	EQ(pthread_cancel(t), 0);
	EQ(pthread_join(t, &r), 0);
	CHECK(r == PTHREAD_CANCELED);
}

static volatile int spins;

static void *spinner(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	spins = 1;
	for (;;)
		asm volatile("pause");
	return NULL;
}

CASE(cancel_of_running_thread)
{
	pthread_t t;
	void *r;

	pthread_create(&t, NULL, spinner, NULL);
	EVENTUALLY(spins);
	EQ(pthread_cancel(t), 0);
	EQ(pthread_join(t, &r), 0);
	CHECK(r == PTHREAD_CANCELED);
}

static void *detached(void *arg)
{
	tell(*(int *)arg);
	return NULL;
}

CASE(detached_thread)
{
	pthread_attr_t at;
	pthread_t t;
	int p[2];

	OK(pipe(p));
	pthread_attr_init(&at);
	pthread_attr_setdetachstate(&at, PTHREAD_CREATE_DETACHED);
	pthread_create(&t, &at, detached, &p[1]);
	hear(p[0]);
}

static void *open_and_chdir(void *arg)
{
	*(int *)arg = open("/dev/null", O_RDONLY);
	CHECK(chdir("/") == 0);
	return NULL;
}

CASE(threads_share_descriptors_and_cwd)
{
	pthread_t t;
	int fd = -1;
	char buf[100];

	pthread_create(&t, NULL, open_and_chdir, &fd);
	pthread_join(t, NULL);
	OK(fcntl(fd, F_GETFD));
	STREQ(getcwd(buf, sizeof buf), "/");
}

static void *fork_in_thread(void *arg)
{
	/* Only this thread lives on in the child. */
	pid_t p = CHILD({
		EQ(syscall(SYS_gettid), getpid());
		struct stat st;
		OK(stat("/proc/self/task", &st));
		EQ(st.st_nlink, 3);
	});
	EXITED(p, 0);
	return NULL;
}

CASE(fork_from_thread)
{
	pthread_t t;

	pthread_create(&t, NULL, fork_in_thread, NULL);
	pthread_join(t, NULL);
}

static void *wait_for_child(void *arg)
{
	EXITED(*(pid_t *)arg, 5);
	return NULL;
}

CASE(any_thread_may_wait_for_a_child)
{
	pthread_t t;
	pid_t p = CHILD({ _exit(5); });

	pthread_create(&t, NULL, wait_for_child, &p);
	pthread_join(t, NULL);
}

static void *name_me(void *arg)
{
	char buf[32];
	char path[64];

	OK(prctl(PR_SET_NAME, "worker-bee", 0, 0, 0));
	snprintf(path, sizeof path, "/proc/self/task/%ld/comm", syscall(SYS_gettid));
	int fd = OK(open(path, O_RDONLY));
	int n = OK(read(fd, buf, sizeof buf));
	buf[n] = 0;
	STREQ(buf, "worker-bee\n");
	return NULL;
}

CASE(names_are_per_thread)
{
	pthread_t t;
	char name[17];

	OK(prctl(PR_SET_NAME, "main-one", 0, 0, 0));
	pthread_create(&t, NULL, name_me, NULL);
	pthread_join(t, NULL);
	OK(prctl(PR_GET_NAME, name, 0, 0, 0));
	STREQ(name, "main-one");
}

static int slots[64];

static void *touch_stack(void *arg)
{
	volatile char big[64 * 1024];

	for (unsigned i = 0; i < sizeof big; i += 4096)
		big[i] = 1;
	__atomic_add_fetch(&slots[(long)arg], big[0], __ATOMIC_SEQ_CST);
	return NULL;
}

CASE(create_from_many_threads)
{
	/* Maps, unmaps and faults of several threads at the same time. */
	for (int round = 0; round < 20; round++) {
		pthread_t t[8];
		for (long i = 0; i < 8; i++)
			CHECK(pthread_create(&t[i], NULL, touch_stack, (void *)i) == 0);
		for (int i = 0; i < 8; i++)
			pthread_join(t[i], NULL);
	}
	for (int i = 0; i < 8; i++)
		EQ(slots[i], 20);
}

static void *compute(void *arg)
{
	/* Floating-point state is each thread's own. */
	double x = (long)arg + 0.5;

	for (int i = 0; i < 300; i++) {
		double y = x;
		for (int j = 0; j < 100; j++)
			y = y * 1.5 / 1.5;
		sched_yield();
		CHECK(y > x - 0.001 && y < x + 0.001);
	}
	return NULL;
}

CASE(floating_point_per_thread)
{
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, compute, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

CASE(getcpu_and_rseq)
{
	unsigned cpu = 9999, node = 9999;

	OK(syscall(SYS_getcpu, &cpu, &node, NULL));
	CHECK(cpu < 4096 && node < 1024);
	CHECK(sched_getcpu() >= 0);
	/* Whether there are restartable sequences or not: the same each time, and to everybody. */
	errno = 0;
	EQ(syscall(SYS_rseq, NULL, 0, 0x80, 0), -1);
	for (int i = 0, first = errno; i < 20; i++) {
		pid_t p;

		ERR(syscall(SYS_rseq, NULL, 0, 0x80, 0), first);
		p = CHILD({
			ERR(syscall(SYS_rseq, NULL, 0, 0x80, 0), first);
		});
		EXITED(p, 0);
	}
}

CASE(membarrier)
{
	long r = OK(syscall(SYS_membarrier, 0, 0, 0));

	CHECK(r & MEMBARRIER_CMD_GLOBAL);
	ERR(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
	OK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	OK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	ERR(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 1, 0), EINVAL);
	ERR(syscall(SYS_membarrier, 24, 0, 0), EINVAL);
	ERR(syscall(SYS_membarrier, 0x40000000, 0, 0), EINVAL);
	EXITED(CHILD({ OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)); }), 0);	/* a fork's child is registered */
}

static volatile int barrier_x, barrier_y, barrier_saw_y, barrier_round, barrier_answered;

/* The cheap side: its store may pass its load unless the other side's barrier comes between them. */
static void *barrier_reader(void *arg)
{
	for (int i = 1; i <= (int)(long)arg; i++) {
		while (barrier_round != i)
			;
		barrier_x = 1;
		__asm__ volatile("" ::: "memory");
		barrier_saw_y = barrier_y;
		__atomic_store_n(&barrier_answered, i, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

CASE(membarrier_orders)
{
	enum { ROUNDS = 300 };
	pthread_t t;

	OK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	pthread_create(&t, NULL, barrier_reader, (void *)(long)ROUNDS);
	for (int i = 1; i <= ROUNDS; i++) {
		int saw_x;

		barrier_x = barrier_y = 0;
		__atomic_store_n(&barrier_round, i, __ATOMIC_SEQ_CST);
		barrier_y = 1;
		OK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
		saw_x = barrier_x;
		while (__atomic_load_n(&barrier_answered, __ATOMIC_SEQ_CST) != i)
			sched_yield();
		CHECK(saw_x || barrier_saw_y);
	}
	pthread_join(t, NULL);
}

static pthread_barrier_t bursts;

static void *burst_mapper(void *arg)
{
	long bad = 0;

	for (int i = 0; i < (int)(long)arg; i++) {
		char *p;

		pthread_barrier_wait(&bursts);
		for (int j = 0; j < 3; j++) {
			p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			bad += p == MAP_FAILED || (p[0] = 1, munmap(p, 16384)) < 0;
		}
	}
	return (void *)bad;
}

/* All change the memory at once, then nobody does: none may be left behind. */
CASE(mapping_in_bursts)
{
	enum { ROUNDS = 400, N = 5 };
	pthread_t t[N];

	pthread_barrier_init(&bursts, NULL, N);
	for (int i = 0; i < N; i++)
		CHECK(pthread_create(&t[i], NULL, burst_mapper, (void *)(long)ROUNDS) == 0);
	for (int i = 0; i < N; i++) {
		void *bad;

		CHECK(pthread_join(t[i], &bad) == 0);
		CHECK(!bad);
	}
}

static char *handed;
static volatile int whose_turn;

static long hand_over(int me, int rounds)
{
	long bad = 0;

	for (int i = 0; i < rounds; i++) {
		char *p;

		while (__atomic_load_n(&whose_turn, __ATOMIC_ACQUIRE) != me)
			sched_yield();
		/* Several in a row, then it is the other's. */
		for (int j = 0; j <= i % 4; j++) {
			p = mmap(handed, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
			if (p != handed)
				return bad + 1;
			bad += p[0] || p[4096];
			p[0] = p[4096] = 1;
			bad += madvise(p, 4096, MADV_DONTNEED) < 0 || p[0] || !p[4096];
			bad += mprotect(p, 4096, PROT_NONE) < 0 || munmap(p, 8192) < 0;
		}
		__atomic_store_n(&whose_turn, 1 - me, __ATOMIC_RELEASE);
		/* Meanwhile something of one's own. */
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		bad += p == MAP_FAILED || p[0] || (p[0] = 1, munmap(p, 4096)) < 0;
	}
	return bad;
}

static void *hand_over_back(void *arg)
{
	return (void *)hand_over(1, (int)(long)arg);
}

/* Two threads use the same place in turns, while both change memory elsewhere: what one has unmapped is the other's to map. */
CASE(a_place_is_handed_over)
{
	enum { ROUNDS = 500 };
	pthread_t t;
	void *bad;

	handed = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(handed != MAP_FAILED);
	OK(munmap(handed, 8192));
	handed -= 1 << 30; /* where nobody else is placed */
	CHECK(pthread_create(&t, NULL, hand_over_back, (void *)(long)ROUNDS) == 0);
	EQ(hand_over(0, ROUNDS), 0);
	CHECK(pthread_join(t, &bad) == 0);
	CHECK(!bad);
}

static int race_round, race_done;

static void *race_to_map(void *arg)
{
	for (int i = 1; i <= (int)(long)arg; i++) {
		while (__atomic_load_n(&race_round, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		for (volatile int j = 0; j < i % 64 * 16; j++)
			;
		if (mmap(handed, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != handed)
			break;
		__atomic_store_n(&race_done, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* One unmaps a place while another maps it: it is there or it isn't, whoever is asked. */
CASE(mapped_while_it_is_unmapped)
{
	enum { ROUNDS = 1000 };
	char *own = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t t;
	int p[2];

	OK(pipe(p));
	handed = own - (2ul << 30);
	CHECK(pthread_create(&t, NULL, race_to_map, (void *)(long)ROUNDS) == 0);
	for (int i = 1; i <= ROUNDS; i++) {
		bool told, there;

		for (int j = 0; j < 3; j++)
			OK(mprotect(own, 4096, j % 2 ? PROT_READ : PROT_NONE));
		__atomic_store_n(&race_round, i, __ATOMIC_RELEASE);
		for (volatile int j = 0; j < i % 37 * 16; j++)
			;
		OK(munmap(handed, 4096));
		while (__atomic_load_n(&race_done, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		told = msync(handed, 4096, MS_SYNC) == 0;
		there = write(p[1], handed, 1) == 1;
		EQ(told, there);
	}
	CHECK(pthread_join(t, NULL) == 0);
}

static int turns_there[2], turns_back[2];
static volatile int turns_taken;

static void *take_turns(void *arg)
{
	char c;

	for (int i = 0; i < 200; i++) {
		OK(nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL));
		EQ(write(turns_there[1], "x", 1), 1);
		EQ(read(turns_back[0], &c, 1), 1);
		turns_taken++;
	}
	close(turns_there[1]);
	return arg;
}

static void *give_turns(void *arg)
{
	char c;

	while (read(turns_there[0], &c, 1) == 1)
		EQ(write(turns_back[1], &c, 1), 1);
	return arg;
}

/* Who looks for names that nobody knows yet keeps nobody else from sleeping, waking and being woken. */
CASE(others_run_while_names_are_looked_up)
{
	char path[PATH_MAX], *end;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
	pthread_t sleeping, waiting;
	struct stat st;

	OK(n);
	path[n] = 0;
	end = strrchr(path, '/') + 1;
	OK(pipe(turns_there));
	OK(pipe(turns_back));
	EQ(pthread_create(&sleeping, NULL, take_turns, NULL), 0);
	EQ(pthread_create(&waiting, NULL, give_turns, NULL), 0);
	for (int i = 0; turns_taken < 200; i++) {
		sprintf(end, "none-%d", i);
		ERR(stat(path, &st), ENOENT);
	}
	EQ(pthread_join(sleeping, NULL), 0);
	EQ(pthread_join(waiting, NULL), 0);
}

static void take_alarm(int sig)
{
	(void)sig;
	turns_taken++;
}

/* The same with one thread, where timers alone come in between. */
CASE(timers_fire_while_names_are_looked_up)
{
	const struct itimerval every = {.it_interval = {.tv_usec = 200}, .it_value = {.tv_usec = 200}};
	char path[PATH_MAX], *end;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 32);
	struct stat st;

	OK(n);
	path[n] = 0;
	end = strrchr(path, '/') + 1;
	signal(SIGALRM, take_alarm);
	OK(setitimer(ITIMER_REAL, &every, NULL));
	for (int i = 0; turns_taken < 200; i++) {
		sprintf(end, "none-%d", i);
		ERR(stat(path, &st), ENOENT);
	}
}
