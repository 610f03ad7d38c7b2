/* Memory that is given up again and again, MADV_DONTNEED and MADV_FREE: what comes back, who refuses, and what goes on meanwhile. */
#include "abi.h"
#include <pthread.h>
#include <sys/shm.h>

enum { OFTEN = 60, PAGE = 4096 };
static const uint8_t code_close[] = { 0xb8, 3, 0, 0, 0, 0x0f, 5, 0xc3 };

static char *map_at(void *at, size_t len, int prot, int flags, int fd)
{
	char *p = mmap(at, len, prot, flags, fd, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static char *memory(int n)
{
	return map_at(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void drop(void *p, size_t len)
{
	OK(madvise(p, len, MADV_DONTNEED));
}

/* So that whoever answers such calls by himself does so by now. */
static void drop_often(void)
{
	char *p = memory(1);

	for (int i = 0; i < OFTEN; i++) {
		p[7] = 1;
		drop(p, PAGE);
		EQ(p[7], 0);
	}
	OK(munmap(p, PAGE));
}

CASE(what_comes_back)
{
	int fd = OK(memfd_create("f", 0)), shm;
	char *p = memory(4), *own, *shared, *anon, *v;

	OK(ftruncate(fd, 2 * PAGE));
	EQ(pwrite(fd, "file", 4, 0), 4);
	own = map_at(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	shared = map_at(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	anon = map_at(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	shm = OK(shmget(IPC_PRIVATE, PAGE, 0600));
	v = shmat(shm, NULL, 0);
	CHECK(v != (char *)-1);
	OK(shmctl(shm, IPC_RMID, NULL));
	for (int i = 1; i < OFTEN; i++) {
		memset(p, i, 4 * PAGE);
		memset(own, i, 2 * PAGE);
		shared[1] = anon[1] = v[1] = 'A' + i % 26;
		drop(p + PAGE, PAGE + 1); /* two pages */
		EQ(p[PAGE - 1], i);
		EQ(p[PAGE], 0);
		EQ(p[3 * PAGE - 1], 0);
		EQ(p[3 * PAGE], i);
		drop(own, PAGE);
		EQ(own[0], 'f');
		EQ(own[1], shared[1]);
		EQ(own[PAGE], i);
		drop(shared, 2 * PAGE);
		drop(anon, PAGE);
		drop(v, PAGE);
		EQ(shared[1], 'A' + i % 26);
		EQ(anon[1], 'A' + i % 26);
		EQ(v[1], 'A' + i % 26);
		ERR(madvise(own, PAGE, MADV_FREE), EINVAL);
		ERR(madvise(anon, PAGE, MADV_FREE), EINVAL);
		OK(madvise(p, PAGE, MADV_FREE));
		CHECK(p[0] == i || p[0] == 0);
		p[0] = 3; /* which stays */
		EQ(p[0], 3);
	}
}

CASE(read_only_and_inaccessible)
{
	char *p = memory(2);

	drop_often();
	for (int i = 0; i < OFTEN; i++) {
		OK(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		p[0] = p[PAGE] = 1;
		OK(mprotect(p, PAGE, i % 2 ? PROT_NONE : PROT_READ));
		drop(p, 2 * PAGE);
		EQ(p[PAGE], 0);
		OK(mprotect(p, PAGE, PROT_READ));
		EQ(p[0], 0);
	}
}

CASE(errors)
{
	char *p = memory(4);

	drop_often();
	for (int i = 0; i < OFTEN; i++) {
		ERR(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
		ERR(madvise(p + 1, 0, MADV_DONTNEED), EINVAL);
		OK(madvise(p, 0, MADV_DONTNEED));
		ERR(madvise(p, SIZE_MAX, MADV_DONTNEED), EINVAL);
		ERR(madvise(p, SIZE_MAX - PAGE, MADV_DONTNEED), EINVAL);
		ERR(madvise((void *)-PAGE, 2 * PAGE, MADV_DONTNEED), EINVAL);
		ERR(madvise((void *)-PAGE, PAGE, MADV_DONTNEED), EINVAL);
		ERR(madvise((void *)0x800000000000, PAGE, MADV_DONTNEED), ENOMEM);
		ERR(madvise((void *)0x8000000000000000, 1ul << 62, MADV_FREE), ENOMEM);
		ERR(madvise(p, PAGE, 9999), EINVAL);
		OK(syscall(SYS_madvise, p, PAGE, 0x100000000 | MADV_DONTNEED));
		ERR(madvise(NULL, PAGE, MADV_DONTNEED), ENOMEM);
		ERR(madvise((void *)0x60000, 4 * PAGE, MADV_DONTNEED), ENOMEM);
		ERR(madvise((void *)0x60060000, 0x10000, MADV_DONTNEED), ENOMEM);
		ERR(madvise((void *)0x60000000, 0x1000000, MADV_FREE), ENOMEM);
	}
}

CASE(holes)
{
	char *p = memory(5);

	OK(munmap(p + PAGE, PAGE));
	OK(munmap(p + 3 * PAGE, PAGE));
	drop_often();
	for (int i = 0; i < OFTEN; i++) {
		p[0] = p[2 * PAGE] = p[4 * PAGE] = 1;
		ERR(madvise(p, 5 * PAGE, i % 2 ? MADV_DONTNEED : MADV_FREE), ENOMEM);
		if (i % 2)
			CHECK(!p[0] && !p[2 * PAGE] && !p[4 * PAGE]);
	}
}

/* The place of a low program's heap, and beyond: one range around what may be somebody else's. */
CASE(at_low_addresses)
{
	for (uintptr_t at = 0x60000000; at < 0x60100000; at += 0x40000) {
		char *p = map_at((void *)at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);

		for (int i = 0; i < OFTEN; i++) {
			p[0] = 1;
			drop(p, PAGE);
			EQ(p[0], 0);
			p[0] = 1;
			ERR(madvise((void *)0x60000000, 0x100000, MADV_DONTNEED), ENOMEM);
			EQ(p[0], 0);
		}
	}
}

static void refused(char *p, size_t len)
{
	ERR(madvise(p, len, MADV_DONTNEED), EINVAL);
	ERR(madvise(p, len, MADV_FREE), EINVAL);
}

static void *lock(void *p)
{
	return (void *)(long)mlock(p, PAGE);
}

CASE(locked_memory_stays)
{
	for (int how = 0; how < 6; how++) {
		char *p = memory(3), *q = p + PAGE;
		pthread_t t;
		void *ret = NULL;

		drop_often();
		p[0] = q[0] = p[2 * PAGE] = 1;
		switch (how) {
		case 0:
			OK(mlock(q, PAGE));
			break;
		case 1:
			OK(mlock2(q, 10, MLOCK_ONFAULT));
			break;
		case 2:
			EQ(pthread_create(&t, NULL, lock, q), 0);
			EQ(pthread_join(t, &ret), 0);
			EQ((long)ret, 0);
			break;
		case 3:
			map_at(q, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, -1);
			q[0] = 1;
			break;
		case 4:
			OK(mlockall(MCL_CURRENT));
			break;
		case 5:
			OK(mlockall(MCL_FUTURE));
			map_at(q, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
			q[0] = 1;
			break;
		}
		for (int i = 0; i < 5; i++) {
			refused(q, PAGE);
			refused(p, 3 * PAGE);
			EQ(p[0], how == 4 ? 1 : 0); /* up to there it went */
			EQ(q[0], 1);
			EQ(p[2 * PAGE], 1);
		}
		pid_t pid = CHILD({
			for (int i = 0; i < OFTEN; i++) { /* locks aren't inherited */
				q[0] = 1;
				drop(q, PAGE);
				EQ(q[0], 0);
			}
		});
		EXITED(pid, 0);
		OK(how < 4 ? munlock(q, PAGE) : munlockall());
		for (int i = 0; i < OFTEN; i++) {
			q[0] = 1;
			drop(p, 3 * PAGE);
			EQ(q[0], 0);
		}
		OK(munmap(p, 3 * PAGE));
	}
}

/* --- meanwhile */

enum { RACES = 1000 };
static volatile bool race_over;
static char *raced;

static void *drop_on(void *arg)
{
	while (!race_over)
		if (madvise(raced, PAGE, MADV_DONTNEED) < 0 && errno != EINVAL && errno != ENOMEM)
			return (void *)1;
	return arg;
}

static void race_with(void (*other)(void))
{
	pthread_t t[2];
	void *ret;

	drop_often();
	for (int i = 0; i < 2; i++)
		EQ(pthread_create(&t[i], NULL, drop_on, NULL), 0);
	other();
	race_over = true;
	for (int i = 0; i < 2; i++) {
		EQ(pthread_join(t[i], &ret), 0);
		CHECK(!ret);
	}
}

/* What is written once the lock is there doesn't vanish. */
static void lock_and_write(void)
{
	volatile char *p = raced;

	for (int i = 0; i < RACES; i++) {
		char is = 1 + i % 100;

		OK(mlock(raced, PAGE));
		*p = is;
		for (int j = 0; j < 50; j++)
			EQ(*p, is);
		OK(munlock(raced, PAGE));
	}
}

CASE(locking_meanwhile)
{
	raced = memory(1);
	race_with(lock_and_write);
}

static void map_and_write(void)
{
	for (int i = 0; i < RACES; i++) {
		char *p = map_at(raced, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);

		CHECK(p[0] == 0);
		p[0] = 1;
		CHECK(p[0] == 0 || p[0] == 1);
		if (i % 3 == 0)
			OK(munmap(raced, PAGE));
		if (i % 3 == 1)
			OK(mprotect(raced, PAGE, PROT_READ));
	}
}

CASE(mapping_meanwhile)
{
	raced = memory(1);
	race_with(map_and_write);
}

/* Code is run that becomes hot while its page is given up. */
static void run_code(void)
{
	int fd = OK(memfd_create("code", 0));

	OK(ftruncate(fd, 2 * PAGE));
	for (int at = 0; at < 2 * PAGE - 16; at += 13)
		EQ(pwrite(fd, code_close, sizeof code_close, at), sizeof code_close);
	map_at(raced, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd);
	for (int at = 0; at < 2 * PAGE - 16; at += 13)
		for (int i = 0; i < 20; i++)
			EQ(((long (*)(long))(raced + at))(-1), -EBADF);
}

CASE(running_meanwhile)
{
	raced = memory(2);
	race_with(run_code);
}

static void fork_and_drop(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = CHILD({
			char *p = memory(2);
			for (int j = 0; j < 20; j++) {
				p[0] = raced[0] = 1;
				drop(p, PAGE);
				drop(raced, PAGE);
				CHECK(!p[0] && !raced[0]);
			}
			OK(mlock(p, PAGE));
			refused(p, PAGE);
			raced = p;
			run_code();
		});
		EXITED(pid, 0);
	}
}

CASE(forking_meanwhile)
{
	raced = memory(2);
	race_with(fork_and_drop);
}

static void *drop_own(void *arg)
{
	char *p = memory(4);

	for (int i = 0; i < RACES; i++) {
		memset(p, 1, 4 * PAGE);
		if (madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED) < 0 || !p[0] || p[PAGE] || p[2 * PAGE] || !p[3 * PAGE])
			return (void *)1;
	}
	return arg;
}

CASE(each_his_own)
{
	pthread_t t[4];
	void *ret;

	for (int i = 0; i < 4; i++)
		EQ(pthread_create(&t[i], NULL, drop_own, NULL), 0);
	for (int i = 0; i < 4; i++) {
		EQ(pthread_join(t[i], &ret), 0);
		CHECK(!ret);
	}
}
