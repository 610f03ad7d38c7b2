/* futex: every operation that glibc and musl use, and robust lists. */
#include "abi.h"
#include <dirent.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

static long futex(volatile int *a, int op, int val, const void *timeout, volatile int *b, int val3)
{
	return syscall(SYS_futex, a, op, val, timeout, b, val3);
}

static volatile int *shared(void)
{
	int *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

CASE(wait_value_differs)
{
	int f = 1;

	ERR(futex(&f, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	ERR(futex(&f, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EAGAIN);
}

CASE(wait_times_out)
{
	int f = 0;
	struct timespec ts = { 0, 20000000 };
	int64_t t = now_ns();

	ERR(futex(&f, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0), ETIMEDOUT);
	CHECK(now_ns() - t >= 20000000);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ERR(futex(&f, FUTEX_WAIT_BITSET_PRIVATE, 0, &ts, NULL, -1), ETIMEDOUT);
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 5000000;
	if (ts.tv_nsec >= 1000000000)
		ts.tv_sec++, ts.tv_nsec -= 1000000000;
	ERR(futex(&f, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &ts, NULL, -1), ETIMEDOUT);
	ts = (struct timespec){ 0, 1000000000 };
	ERR(futex(&f, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
	ts = (struct timespec){ -1, 0 };
	ERR(futex(&f, FUTEX_WAIT, 0, &ts, NULL, 0), EINVAL);
}

/* The timeout is looked at first; a good one doesn't matter when the word has changed. */
CASE(wait_value_differs_and_timeout)
{
	static const struct timespec bad[] = { { 0, 1000000000 }, { 0, -1 }, { -1, 0 } };
	const struct timespec good = { 1000, 0 }, none = { 0, 0 };
	int f = 1;

	for (int i = 0; i < 3; i++) {
		ERR(futex(&f, FUTEX_WAIT_PRIVATE, 0, &bad[i], NULL, 0), EINVAL);
		ERR(futex(&f, FUTEX_WAIT_BITSET_PRIVATE, 0, &bad[i], NULL, -1), EINVAL);
	}
	ERR(futex(&f, FUTEX_WAIT_PRIVATE, 0, (void *)16, NULL, 0), EFAULT);
	ERR(futex(&f, FUTEX_WAIT_PRIVATE, 0, &good, NULL, 0), EAGAIN);
	ERR(futex(&f, FUTEX_WAIT_BITSET_PRIVATE, 0, &none, NULL, -1), EAGAIN);
}

CASE(bad_addresses)
{
	char buf[16] __attribute__((aligned(8))) = "";

	ERR(futex((int *)(buf + 1), FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	ERR(futex((int *)16, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	ERR(futex((int *)16, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EFAULT);
	EQ(futex((int *)16, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	ERR(futex((int *)16, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	ERR(futex((int *)buf, 77, 0, NULL, NULL, 0), ENOSYS);
	ERR(futex((int *)buf, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	ERR(futex((int *)buf, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

CASE(wake_nobody)
{
	int f = 0;

	EQ(futex(&f, FUTEX_WAKE, 100, NULL, NULL, 0), 0);
	EQ(futex(&f, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
}

CASE(wake_across_processes)
{
	volatile int *f = shared();
	pid_t p = CHILD({
		long r = futex(f, FUTEX_WAIT, 0, NULL, NULL, 0);
		CHECK(r == 0 || errno == EAGAIN);
		EQ(*f, 1);
	});

	EVENTUALLY(proc_state(p) == 'S');
	*f = 1;
	EQ(futex(f, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
	EXITED(p, 0);
}

CASE(private_is_per_process)
{
	volatile int *f = shared();
	pid_t p = CHILD({ futex(f, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); });

	EVENTUALLY(proc_state(p) == 'S');
	EQ(futex(f, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	OK(kill(p, SIGKILL));
	KILLED(p, SIGKILL);
}

CASE(shared_by_file_mapping)
{
	int fd = OK(open("f", O_RDWR | O_CREAT, 0600));

	OK(ftruncate(fd, 4096));
	pid_t p = CHILD({
		volatile int *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(futex(f, FUTEX_WAIT, 0, NULL, NULL, 0) == 0);
		EQ(*f, 9);
	});
	volatile int *g = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	EVENTUALLY(proc_state(p) == 'S');
	*g = 9;
	EVENTUALLY(futex(g, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
	EXITED(p, 0);
}

static volatile int word, woken, ready;

static void *waiter(void *arg)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (int)(long)arg);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* How many threads of this process sleep, but for this one. */
static int sleepers(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	CHECK(d);
	while ((e = readdir(d))) {
		char path[300], buf[512];
		int fd, len;

		snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == gettid() || (fd = open(path, O_RDONLY)) < 0)
			continue;
		len = read(fd, buf, sizeof buf - 1);
		close(fd);
		buf[len > 0 ? len : 0] = 0;
		char *p = strrchr(buf, ')');
		n += p && p[2] == 'S';
	}
	closedir(d);
	return n;
}

CASE(wake_counts)
{
	pthread_t t[4];

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, waiter, (void *)-1l);
	EVENTUALLY(sleepers() == 4);
	EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	EVENTUALLY(woken == 1);
	EQ(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
	EVENTUALLY(woken == 3);
	EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

CASE(bitset_selects)
{
	pthread_t t[2];

	pthread_create(&t[0], NULL, waiter, (void *)1l);
	pthread_create(&t[1], NULL, waiter, (void *)2l);
	EVENTUALLY(sleepers() == 2);
	EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 4), 0);
	EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2), 1);
	pthread_join(t[1], NULL);
	EQ(woken, 1);
	EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 5), 1);
	pthread_join(t[0], NULL);
}

CASE(requeue)
{
	pthread_t t[4];
	volatile int other = 0;

	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, waiter, (void *)-1l);
	EVENTUALLY(sleepers() == 4);
	ERR(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)100, &other, 55), EAGAIN);
	/* One woken, three moved. */
	EQ(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)100, &other, 0), 4);
	EVENTUALLY(woken == 1);
	EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
	EQ(futex(&other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	EQ(futex(&other, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &word, 0), 1);
	EQ(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
	EQ(futex(&other, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

CASE(wake_op)
{
	pthread_t t;
	volatile int second = 5;

	pthread_create(&t, NULL, waiter, (void *)-1l);
	EVENTUALLY(sleepers() == 1);
	/* second += 3; wake one on second because the old value was 5 (nobody is there), and one on word. */
	EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)), 1);
	EQ(second, 8);
	pthread_join(t, NULL);
	EQ(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0)), 0);
	EQ(second, 7);
	futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_OR, 8, FUTEX_OP_CMP_EQ, 0));
	EQ(second, 15);
	futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_ANDN, 1, FUTEX_OP_CMP_EQ, 0));
	EQ(second, 14);
	futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP(FUTEX_OP_XOR, 2, FUTEX_OP_CMP_EQ, 0));
	EQ(second, 12);
	futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &second, FUTEX_OP((FUTEX_OP_OPARG_SHIFT | FUTEX_OP_SET), 4, FUTEX_OP_CMP_EQ, 0));
	EQ(second, 16);
}

CASE(pi_lock_uncontended)
{
	volatile int f = 0;
	int tid = syscall(SYS_gettid);

	OK(futex(&f, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	EQ(f, tid);
	ERR(futex(&f, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), EDEADLK);
	OK(futex(&f, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	EQ(f, 0);
	ERR(futex(&f, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0), EPERM);
	f = 0x3fffff;
	ERR(futex(&f, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0), ESRCH);
}

static pthread_mutex_t pi_mutex;
static volatile int in_section, turns;

static void *pi_worker(void *arg)
{
	for (int i = 0; i < 200; i++) {
		CHECK(pthread_mutex_lock(&pi_mutex) == 0);
		CHECK(in_section++ == 0);
		turns++;
		if (i % 16 == 0)
			sched_yield();
		in_section--;
		CHECK(pthread_mutex_unlock(&pi_mutex) == 0);
	}
	return arg;
}

CASE(pi_mutex_contended)
{
	pthread_mutexattr_t a;
	pthread_t t[4];

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	CHECK(pthread_mutex_init(&pi_mutex, &a) == 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, pi_worker, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	EQ(turns, 800);
}

CASE(pi_timed_lock)
{
	volatile int *f = shared();
	int q[2];

	OK(pipe(q));
	pid_t p = CHILD({
		OK(futex(f, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
		tell(q[1]);
		pause();
	});
	hear(q[0]);
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ERR(futex(f, FUTEX_LOCK_PI, 0, &ts, NULL, 0), ETIMEDOUT);
	ERR(futex(f, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), EAGAIN);
	CHECK(*f & FUTEX_WAITERS);
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
}

CASE(robust_list_marks_owner_died)
{
	volatile int *f = shared();
	pid_t p = CHILD({
		struct robust_list_head head;
		struct robust_list entry = { &head.list };
		/* The futex word stands in the shared page, the entry here: the offset joins them. */
		head.list.next = &entry;
		head.futex_offset = (char *)f - (char *)&entry;
		head.list_op_pending = NULL;
		*f = syscall(SYS_gettid) | FUTEX_WAITERS;
		OK(syscall(SYS_set_robust_list, &head, sizeof head));
	});
	EXITED(p, 0);
	EQ(*f & FUTEX_OWNER_DIED, FUTEX_OWNER_DIED);
	EQ(*f & FUTEX_TID_MASK, 0);
}

CASE(robust_list_calls)
{
	struct robust_list_head *head = NULL;
	size_t len = 0;

	OK(syscall(SYS_get_robust_list, 0, &head, &len));
	EQ(len, sizeof *head);
	ERR(syscall(SYS_set_robust_list, head, 3), EINVAL);
	ERR(syscall(SYS_get_robust_list, 0x3ffffff, &head, &len), ESRCH);
}

static struct robust_list_head *list_of(pid_t tid)
{
	struct robust_list_head *head = NULL;
	size_t len = 0;

	OK(syscall(SYS_get_robust_list, tid, &head, &len));
	EQ(len, sizeof *head);
	return head;
}

static struct robust_list_head own_lists[2];
static _Atomic int list_step;

static void *sets_own_list(void *tid)
{
	*(pid_t *)tid = gettid();
	for (int i = 0; i < 20; i++) {
		OK(syscall(SYS_set_robust_list, &own_lists[i % 2], sizeof *own_lists));
		EQ(list_of(0), &own_lists[i % 2]);
	}
	list_step = 1;
	while (list_step == 1)
		usleep(1000);
	return NULL;
}

CASE(robust_list_is_the_threads_own)
{
	struct robust_list_head *mine = list_of(0);
	pthread_t thread;
	pid_t tid, p;
	int up[2], down[2];
	char go;

	EQ(pthread_create(&thread, NULL, sets_own_list, &tid), 0);
	while (!list_step)
		usleep(1000);
	EQ(list_of(tid), &own_lists[1]);
	EQ(list_of(0), mine);
	list_step = 2;
	EQ(pthread_join(thread, NULL), 0);
	OK(pipe(up));
	OK(pipe(down));
	for (int i = 0; i < 3; i++) {
		p = OK(syscall(SYS_fork));
		if (!p) {
			if (list_of(0)) /* a child of its own begins without */
				_exit(1);
			if (syscall(SYS_set_robust_list, &own_lists[i % 2], sizeof *own_lists) < 0 || write(up[1], "x", 1) != 1 || read(down[0], &go, 1) != 1)
				_exit(2);
			_exit(0);
		}
		EQ(read(up[0], &go, 1), 1);
		EQ(list_of(p), &own_lists[i % 2]);
		EQ(list_of(0), mine);
		EQ(write(down[1], "x", 1), 1);
		EXITED(p, 0);
	}
}

static pthread_mutex_t robust;

static void *die_holding(void *arg)
{
	pthread_mutex_lock(&robust);
	return arg;
}

CASE(robust_mutex)
{
	pthread_mutexattr_t a;
	pthread_t t;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &a);
	pthread_create(&t, NULL, die_holding, NULL);
	pthread_join(t, NULL);
	EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
	EQ(pthread_mutex_consistent(&robust), 0);
	EQ(pthread_mutex_unlock(&robust), 0);
	EQ(pthread_mutex_lock(&robust), 0);
}

CASE(robust_shared_mutex_wakes_waiter)
{
	pthread_mutexattr_t a;
	pthread_mutex_t *m = (void *)shared();
	int q[2];

	OK(pipe(q));
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(m, &a);
	pid_t p = CHILD({
		pthread_mutex_lock(m);
		tell(q[1]);
		pause();
	});
	hear(q[0]);
	pid_t w = CHILD({
		EQ(pthread_mutex_lock(m), EOWNERDEAD);
		pthread_mutex_consistent(m);
		pthread_mutex_unlock(m);
	});
	EVENTUALLY(proc_state(w) == 'S');
	kill(p, SIGKILL);
	KILLED(p, SIGKILL);
	EXITED(w, 0);
}

CASE(wait_interrupted)
{
	volatile int f = 0;
	struct sigaction sa = { .sa_handler = abi_timeout };
	pid_t me = getpid();

	abi_child = 0x3ffffff;			/* the handler's kill hits nobody */
	sigaction(SIGUSR1, &sa, NULL);
	pid_t p = CHILD({
		EVENTUALLY(proc_state(me) == 'S');
		kill(me, SIGUSR1);
	});
	ERR(futex(&f, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
	EXITED(p, 0);
}

static volatile int baton;

static void *pingpong(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		while (baton != 1)
			futex(&baton, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		baton = 0;
		futex(&baton, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return arg;
}

CASE(ping_pong)
{
	pthread_t t;

	pthread_create(&t, NULL, pingpong, NULL);
	for (int i = 0; i < 2000; i++) {
		baton = 1;
		futex(&baton, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		while (baton != 0)
			futex(&baton, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	}
	pthread_join(t, NULL);
}

struct leaver {
	volatile int words[3];
	bool wrong, takes_back;
};

/* Says again and again where its number is to be cleared, at last of words[1], or nowhere. */
static int say_where_and_leave(void *arg)
{
	struct leaver *l = arg;

	for (int i = 0; i < 20; i++)
		l->wrong |= syscall(SYS_set_tid_address, &l->words[i % 2]) != syscall(SYS_gettid);
	if (l->takes_back)
		l->wrong |= syscall(SYS_set_tid_address, NULL) != syscall(SYS_gettid);
	return 0;
}

static pid_t leave(struct leaver *l, int flags)
{
	static char stack[1 << 16];

	l->words[0] = l->words[1] = l->words[2] = 7;
	return OK(clone(say_where_and_leave, stack + sizeof stack, flags | CLONE_VM | CLONE_CHILD_CLEARTID, l, NULL, NULL, &l->words[2]));
}

static void number_is_cleared(int flags)
{
	struct leaver l = { .wrong = false };
	pid_t p = leave(&l, flags);

	while (l.words[1])
		futex(&l.words[1], FUTEX_WAIT, 7, NULL, NULL, 0);
	EQ(l.words[0], 7);
	EQ(l.words[2], 7);
	if (!(flags & CLONE_THREAD))
		EXITED(p, 0);
	CHECK(!l.wrong);
}

enum { LIKE_A_THREAD = CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };

CASE(number_is_cleared_where_it_was_said_last)
{
	pid_t p;

	for (int i = 0; i < 3; i++) {
		number_is_cleared(LIKE_A_THREAD);
		number_is_cleared(SIGCHLD);
		p = CHILD({
			number_is_cleared(LIKE_A_THREAD);
			number_is_cleared(SIGCHLD);
		});
		EXITED(p, 0);
	}
}

CASE(number_isnt_cleared_any_more)
{
	struct leaver l = { .takes_back = true };

	for (int i = 0; i < 3; i++) {
		EXITED(leave(&l, SIGCHLD), 0);
		CHECK(!l.wrong && l.words[0] == 7 && l.words[1] == 7 && l.words[2] == 7);
	}
}

CASE(where_the_number_is_cleared_is_the_threads_own)
{
	volatile int *words = shared();
	volatile int *said = NULL;
	pid_t p;

	if (prctl(PR_GET_TID_ADDRESS, &said) < 0)
		SKIP("no PR_GET_TID_ADDRESS");
	for (int i = 0; i < 20; i++) {
		EQ(syscall(SYS_set_tid_address, &words[i % 4]), getpid());
		OK(prctl(PR_GET_TID_ADDRESS, &said));
		EQ(said, &words[i % 4]);
	}
	for (int i = 0; i < 3; i++) {
		p = OK(syscall(SYS_fork));
		if (!p) {
			if (prctl(PR_GET_TID_ADDRESS, &said) < 0 || said) /* it begins without */
				_exit(1);
			if (syscall(SYS_set_tid_address, &words[8]) != syscall(SYS_getpid) || prctl(PR_GET_TID_ADDRESS, &said) < 0 || said != &words[8])
				_exit(2);
			_exit(0);
		}
		EXITED(p, 0);
		OK(prctl(PR_GET_TID_ADDRESS, &said));
		EQ(said, &words[3]);
		p = OK(syscall(SYS_clone, SIGCHLD | CLONE_CHILD_CLEARTID, NULL, NULL, &words[5], NULL));
		if (!p)
			_exit(prctl(PR_GET_TID_ADDRESS, &said) < 0 || said != &words[5]);
		EXITED(p, 0);
	}
}

static int tid_of_first_look;

static void *look_for_tid(void *arg)
{
	/* The C library finds its own number where CLONE_PARENT_SETTID has put it. */
	EQ(pthread_mutex_lock(arg), 0);
	EQ(*(int *)arg & FUTEX_TID_MASK, syscall(SYS_gettid));
	tid_of_first_look++;
	EQ(pthread_mutex_unlock(arg), 0);
	return NULL;
}

CASE(thread_knows_its_number_at_once)
{
	pthread_mutexattr_t a;
	pthread_mutex_t m;

	GLIBC_ONLY("its lock holds the thread's number");
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&m, &a);
	for (int i = 0; i < 100; i++) {
		pthread_t t[2];
		for (int k = 0; k < 2; k++)
			CHECK(pthread_create(&t[k], NULL, look_for_tid, &m) == 0);
		for (int k = 0; k < 2; k++)
			pthread_join(t[k], NULL);
	}
	EQ(tid_of_first_look, 200);
}

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static long waitv(struct futex_waitv *v, unsigned n, unsigned flags, struct timespec *ts, int clock)
{
	return syscall(SYS_futex_waitv, v, n, flags, ts, clock);
}

static volatile int words[3];

static void *wait_for_any(void *arg)
{
	struct futex_waitv v[3] = {};

	for (int i = 0; i < 3; i++)
		v[i] = (struct futex_waitv){ .uaddr = (uintptr_t)&words[i], .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG };
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	return (void *)waitv(v, 3, 0, NULL, 0);
}

CASE(waitv_any_of_several)
{
	struct futex_waitv v[2] = { { .uaddr = (uintptr_t)&words[0], .flags = FUTEX_32 }, { .uaddr = (uintptr_t)&words[1], .flags = FUTEX_32 } };
	struct timespec ts;
	pthread_t t;
	void *r;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ERR(waitv(v, 2, 0, &ts, CLOCK_MONOTONIC), ETIMEDOUT);
	v[1].val = 1;
	ERR(waitv(v, 2, 0, NULL, 0), EAGAIN);
	ERR(waitv(v, 0, 0, NULL, 0), EINVAL);
	ERR(waitv(v, 129, 0, NULL, 0), EINVAL);
	ERR(waitv(v, 2, 1, NULL, 0), EINVAL);
	v[1].flags = 0;
	ERR(waitv(v, 2, 0, NULL, 0), EINVAL);
	v[1] = (struct futex_waitv){ .uaddr = 16, .flags = FUTEX_32 };
	ERR(waitv(v, 2, 0, NULL, 0), EFAULT);
	pthread_create(&t, NULL, wait_for_any, NULL);
	EVENTUALLY(sleepers() == 1);
	EQ(futex(&words[2], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 1);
	pthread_join(t, &r);
	EQ((long)r, 2);
}

static volatile int cond_word, pi_word;

static void *wait_requeue_pi(void *arg)
{
	int tid = syscall(SYS_gettid);

	OK(futex(&cond_word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &pi_word, 0));
	EQ(pi_word & FUTEX_TID_MASK, tid);
	__atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
	OK(futex(&pi_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	return arg;
}

CASE(requeue_to_a_lock)
{
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, wait_requeue_pi, NULL);
	EVENTUALLY(sleepers() == 3);
	ERR(futex(&cond_word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)10, &pi_word, 0), EINVAL);
	ERR(futex(&cond_word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &pi_word, 5), EAGAIN);
	OK(futex(&pi_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	EQ(futex(&cond_word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &pi_word, 0), 3);
	EQ(woken, 0);
	OK(futex(&pi_word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EQ(woken, 3);
}

static void *die_with_pi_lock(void *arg)
{
	OK(futex(&pi_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	EVENTUALLY(pi_word & FUTEX_WAITERS);
	return arg;
}

CASE(pi_owner_dies)
{
	pthread_t t;

	pthread_create(&t, NULL, die_with_pi_lock, NULL);
	EVENTUALLY(pi_word != 0);
	OK(futex(&pi_word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	EQ(pi_word & FUTEX_TID_MASK, syscall(SYS_gettid));
	CHECK(pi_word & FUTEX_OWNER_DIED);
	pthread_join(t, NULL);
}

CASE(robust_list_that_leads_nowhere)
{
	/* A circle, a bad link, a bad offset: the walk ends, and so does the thread. */
	for (int kind = 0; kind < 3; kind++) {
		pid_t p = CHILD({
			struct robust_list_head head = {};
			struct robust_list entry = { &entry };
			head.list.next = kind == 1 ? (void *)0xdead000 : &entry;
			head.futex_offset = kind == 2 ? 1L << 62 : 64;
			head.list_op_pending = (void *)8;
			OK(syscall(SYS_set_robust_list, &head, sizeof head));
		});
		EXITED(p, 0);
	}
}

static int gate;

static void *through_the_gate(void *arg)
{
	for (int i = 0; i < 3000; i++) {
		while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) != 2 * i + 1)
			futex(&gate, FUTEX_WAIT_PRIVATE, 2 * i, NULL, NULL, 0);
		__atomic_store_n(&gate, 2 * i + 2, __ATOMIC_SEQ_CST);
		futex(&gate, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return arg;
}

CASE(no_wake_is_lost)
{
	pthread_t t;

	/* Each side begins to wait at any moment of the other's store and wake; a lost one is a hang. */
	pthread_create(&t, NULL, through_the_gate, NULL);
	for (int i = 0; i < 3000; i++) {
		for (volatile int pause = i % 700; pause > 0; pause--)
			;
		__atomic_store_n(&gate, 2 * i + 1, __ATOMIC_SEQ_CST);
		futex(&gate, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		while (__atomic_load_n(&gate, __ATOMIC_SEQ_CST) != 2 * i + 2)
			futex(&gate, FUTEX_WAIT_PRIVATE, 2 * i + 1, NULL, NULL, 0);
	}
	pthread_join(t, NULL);
}

CASE(calls_that_need_no_waiter)
{
	static int word;

	for (int i = 0; i < 20; i++) {
		EQ(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
		EQ(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 1), 0);
		ERR(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		ERR(futex((int *)((char *)&word + 1), FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		ERR(futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EAGAIN);
		ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, 0), EINVAL);
		ERR(futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 1), EAGAIN);
		ERR(futex((int *)8, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	}
}
