/* Memory: mmap of all kinds, protection, growth and moves, faults and their signals, sharing across fork. */
#include "abi.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>

#define PG 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf jb;
static volatile int sig_code;
static void *volatile sig_addr;
static volatile int expected;	/* a fault now is one that the case asked for */

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	if (!expected) {
		signal(sig, SIG_DFL);
		return;
	}
	sig_code = si->si_code;
	sig_addr = si->si_addr;
	siglongjmp(jb, sig);
}

/* The signal that touching this address raises; 0 for none. */
static int touch(volatile char *p, int write)
{
	static int installed;
	int r;

	if (!installed++) {
		struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
		sigaction(SIGSEGV, &sa, NULL);
		sigaction(SIGBUS, &sa, NULL);
	}
	expected = 1;
	r = sigsetjmp(jb, 1);
	if (r == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	expected = 0;
	return r;
}

static char *map(size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, flags, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static int make_file(const char *text, off_t size)
{
	int fd = OK(open("f", O_RDWR | O_CREAT | O_TRUNC, 0600));

	EQ(write(fd, text, strlen(text)), strlen(text));
	OK(ftruncate(fd, size));
	return fd;
}

CASE(anonymous_is_zero)
{
	char *p = map(64 * PG, RW, ANON);

	for (unsigned i = 0; i < 64 * PG; i++)
		CHECK(p[i] == 0);
	memset(p, 1, 64 * PG);
	OK(munmap(p, 64 * PG));
	EQ(touch(p, 0), SIGSEGV);
	EQ(sig_code, SEGV_MAPERR);
	CHECK(sig_addr == p);
}

CASE(argument_errors)
{
	int fd = make_file("x", PG), ro = OK(open("f", O_RDONLY)), wo = OK(open("f", O_WRONLY));
	int p[2];

	OK(pipe(p));
	ERR(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
	ERR(mmap(NULL, PG, RW, MAP_ANONYMOUS, -1, 0), EINVAL);		/* neither private nor shared */
	ERR(mmap((void *)5, PG, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	ERR(mmap(NULL, PG, RW, MAP_PRIVATE, 99, 0), EBADF);
	ERR(mmap(NULL, PG, RW, MAP_PRIVATE, fd, 100), EINVAL);
	ERR(mmap(NULL, PG, RW, MAP_SHARED, ro, 0), EACCES);
	ERR(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, wo, 0), EACCES);
	ERR(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, p[0], 0), ENODEV);
	ERR(mmap(NULL, -PG, RW, ANON, -1, 0), ENOMEM);
	ERR(mmap((void *)(0x800000000000ul - PG), 2 * PG, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
	ERR(munmap((void *)1, PG), EINVAL);
	ERR(munmap(map(PG, RW, ANON), 0), EINVAL);
	OK(munmap((void *)0x10000, PG));				/* nothing there: fine */
	CHECK(mmap(NULL, PG, RW, MAP_PRIVATE, ro, 0) != MAP_FAILED);
}

CASE(fixed_replaces)
{
	char *p = map(4 * PG, RW, ANON);

	memset(p, 7, 4 * PG);
	CHECK(mmap(p + PG, PG, RW, ANON | MAP_FIXED, -1, 0) == p + PG);
	EQ(p[0], 7);
	EQ(p[PG], 0);
	EQ(p[2 * PG], 7);
	ERR(mmap(p, PG, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	OK(munmap(p + 2 * PG, PG));
	CHECK(mmap(p + 2 * PG, PG, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * PG);
	/* A hint in free space is taken, an occupied one is not. */
	OK(munmap(p + 2 * PG, PG));
	CHECK(mmap(p + 2 * PG, PG, RW, ANON, -1, 0) == p + 2 * PG);
	CHECK(mmap(p, PG, RW, ANON, -1, 0) != p);
}

CASE(partial_unmap)
{
	char *p = map(5 * PG, RW, ANON);

	memset(p, 3, 5 * PG);
	OK(munmap(p + 2 * PG, PG));
	EQ(touch(p + PG, 1), 0);
	EQ(touch(p + 2 * PG, 0), SIGSEGV);
	EQ(touch(p + 3 * PG, 1), 0);
	EQ(p[4 * PG], 3);
}

CASE(protection)
{
	char *p = map(3 * PG, RW, ANON);

	p[PG] = 5;
	OK(mprotect(p + PG, PG, PROT_READ));
	EQ(touch(p, 1), 0);
	EQ(touch(p + PG, 0), 0);
	EQ(touch(p + PG, 1), SIGSEGV);
	EQ(sig_code, SEGV_ACCERR);
	EQ(touch(p + 2 * PG, 1), 0);
	OK(mprotect(p + PG, PG, PROT_NONE));
	EQ(touch(p + PG, 0), SIGSEGV);
	EQ(sig_code, SEGV_ACCERR);
	OK(mprotect(p, 3 * PG, RW));
	EQ(p[PG], 5);
	OK(munmap(p + PG, PG));
	ERR(mprotect(p, 3 * PG, PROT_READ), ENOMEM);
	ERR(mprotect(p + 1, PG, RW), EINVAL);
	ERR(mprotect(p, PG, 0x80), EINVAL);
	OK(mprotect(p, 0, RW));
	int fd = make_file("x", PG);
	int ro = OK(open("f", O_RDONLY));
	(void)fd;
	char *q = mmap(NULL, PG, PROT_READ, MAP_SHARED, ro, 0);
	ERR(mprotect(q, PG, RW), EACCES);
}

CASE(executable_memory)
{
	/* mov $42,%eax; ret */
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *p = map(PG, RW, ANON);

	memcpy(p, code, sizeof code);
	OK(mprotect(p, PG, PROT_READ | PROT_EXEC));
	EQ(((int (*)(void))p)(), 42);
	OK(mprotect(p, PG, RW));
	p[1] = 43;
	OK(mprotect(p, PG, RW | PROT_EXEC));
	EQ(((int (*)(void))p)(), 43);
	OK(mprotect(p, PG, PROT_READ));
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigaction(SIGSEGV, &sa, NULL);
	expected = 1;
	if (sigsetjmp(jb, 1) == 0) {
		((int (*)(void))p)();
		FAIL("ran without PROT_EXEC");
	}
	CHECK(sig_addr == p);
}

CASE(generated_code_makes_system_calls)
{
	/* mov $39,%eax; syscall; ret — in memory that is written again and again. */
	static const unsigned char code[] = { 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3 };
	unsigned char *p = (void *)map(PG, RW | PROT_EXEC, ANON);

	for (int i = 0; i < 5; i++) {
		unsigned char *at = p + i;
		memset(p, 0xcc, PG);
		memcpy(at, code, sizeof code);
		for (int j = 0; j < 5; j++)
			EQ(((int (*)(void))at)(), getpid());
		/* What was written must still be what one reads back. */
		at[1] = SYS_getppid;
		EQ(((int (*)(void))at)(), getppid());
	}
}

CASE(file_private)
{
	int fd = make_file("hello", 2 * PG);
	char *p = mmap(NULL, 2 * PG, RW, MAP_PRIVATE, fd, 0), b[6] = "";

	CHECK(!memcmp(p, "hello", 5));
	memcpy(p, "HELLO", 5);
	EQ(pread(fd, b, 5, 0), 5);
	STREQ(b, "hello");
	close(fd);
	CHECK(!memcmp(p, "HELLO", 5));
}

CASE(file_shared)
{
	int fd = make_file("hello", 2 * PG);
	char *p = mmap(NULL, 2 * PG, RW, MAP_SHARED, fd, 0), *q = mmap(NULL, 2 * PG, PROT_READ, MAP_SHARED, fd, 0), b[6] = "";

	memcpy(p, "HELLO", 5);
	EQ(pread(fd, b, 5, 0), 5);
	STREQ(b, "HELLO");
	CHECK(!memcmp(q, "HELLO", 5));
	EQ(pwrite(fd, "J", 1, 0), 1);
	EQ(p[0], 'J');
	p[PG + 5] = 'z';
	OK(msync(p, 2 * PG, MS_SYNC));
	EQ(pread(fd, b, 1, PG + 5), 1);
	EQ(b[0], 'z');
	ERR(msync(p + 1, PG, MS_SYNC), EINVAL);
	ERR(msync(p, PG, MS_SYNC | MS_ASYNC), EINVAL);
	OK(munmap(p, 2 * PG));
	ERR(msync(p, 2 * PG, MS_SYNC), ENOMEM);
}

CASE(file_offset_and_tail)
{
	int fd = make_file("", 3 * PG);
	char *p;

	EQ(pwrite(fd, "second", 6, PG), 6);
	EQ(pwrite(fd, "end", 3, 3 * PG), 3);
	p = mmap(NULL, PG, PROT_READ, MAP_PRIVATE, fd, PG);
	CHECK(!memcmp(p, "second", 7));
	p = mmap(NULL, 2 * PG, RW, MAP_SHARED, fd, 3 * PG);
	CHECK(!memcmp(p, "end", 4));		/* zeros after the end of the file, to the page's end */
	EQ(touch(p + PG - 1, 1), 0);
	EQ(touch(p + PG, 0), SIGBUS);
	EQ(sig_code, BUS_ADRERR);
	struct stat st;
	OK(fstat(fd, &st));
	EQ(st.st_size, 3 * PG + 3);
}

CASE(truncate_below_mapping)
{
	int fd = make_file("", 2 * PG);
	char *p = mmap(NULL, 2 * PG, RW, MAP_SHARED, fd, 0);

	p[0] = 1;
	p[PG] = 2;
	OK(ftruncate(fd, PG));
	EQ(touch(p, 0), 0);
	EQ(touch(p + PG, 0), SIGBUS);
	OK(ftruncate(fd, 2 * PG));
	EQ(touch(p + PG, 0), 0);
	EQ(p[PG], 0);
}

CASE(shared_anonymous_across_fork)
{
	volatile int *p = (void *)map(16 * PG, RW, MAP_SHARED | MAP_ANONYMOUS);
	pid_t c = CHILD({
		p[0] = 11;
		p[15 * PG / sizeof *p] = 12;
	});

	EXITED(c, 0);
	EQ(p[0], 11);
	EQ(p[15 * PG / sizeof *p], 12);
}

CASE(private_copies_across_fork)
{
	volatile char *p = map(8 * PG, RW, ANON);
	int a[2], b[2];

	OK(pipe(a));
	OK(pipe(b));
	p[0] = 1;
	pid_t c = CHILD({
		EQ(p[0], 1);
		p[0] = 2;
		p[PG] = 3;
		tell(a[1]);
		hear(b[0]);
		EQ(p[0], 2);
		EQ(p[2 * PG], 0);
	});
	hear(a[0]);
	EQ(p[0], 1);
	EQ(p[PG], 0);
	p[0] = 9;
	p[2 * PG] = 8;
	tell(b[1]);
	EXITED(c, 0);
}

CASE(fork_keeps_protections)
{
	char *p = map(3 * PG, RW, ANON);

	OK(mprotect(p + PG, PG, PROT_NONE));
	OK(munmap(p + 2 * PG, PG));
	pid_t c = CHILD({
		EQ(touch(p, 1), 0);
		EQ(touch(p + PG, 0), SIGSEGV);
		EQ(sig_code, SEGV_ACCERR);
		EQ(touch(p + 2 * PG, 0), SIGSEGV);
		EQ(sig_code, SEGV_MAPERR);
	});
	EXITED(c, 0);
}

CASE(brk_grows_and_shrinks)
{
	char *start = sbrk(0), *p;

	CHECK(start != (void *)-1);
	p = sbrk(10 * PG);
	CHECK(p == start);
	memset(p, 5, 10 * PG);
	CHECK(sbrk(0) == start + 10 * PG);
	OK(brk(start + PG));
	EQ(touch(start + 5 * PG, 0), SIGSEGV);
	OK(brk(start + 10 * PG));
	EQ(p[5 * PG], 0);
	EQ(p[0], 5);
	/* The raw call answers with the unchanged end where it can't. */
	EQ(syscall(SYS_brk, 0), (long)(start + 10 * PG));
	EQ(syscall(SYS_brk, 8), (long)(start + 10 * PG));
}

CASE(mremap_in_place_and_moved)
{
	char *p = map(16 * PG, RW, ANON), *q;

	OK(munmap(p + 4 * PG, 12 * PG));	/* room to grow */
	memset(p, 6, 4 * PG);
	/* Shrink. */
	CHECK(mremap(p, 4 * PG, 2 * PG, 0) == p);
	EQ(touch(p + 3 * PG, 0), SIGSEGV);
	/* Grow back in place: the room is free. */
	CHECK(mremap(p, 2 * PG, 4 * PG, 0) == p);
	EQ(p[2 * PG], 0);
	EQ(p[PG], 6);
	/* An obstacle. */
	char *o = mmap(p + 4 * PG, PG, RW, ANON | MAP_FIXED, -1, 0);
	o[0] = 4;
	ERR(mremap(p, 4 * PG, 8 * PG, 0), ENOMEM);
	q = mremap(p, 4 * PG, 8 * PG, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	EQ(q[0], 6);
	EQ(q[7 * PG], 0);
	EQ(touch(p, 0), SIGSEGV);
	/* To a chosen place. */
	char *hole = map(8 * PG, PROT_NONE, ANON);
	CHECK(mremap(q, 8 * PG, 8 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, hole) == hole);
	EQ(hole[PG], 6);
	ERR(mremap(hole, 8 * PG, 0, MREMAP_MAYMOVE), EINVAL);
	ERR(mremap(hole + 1, PG, PG, 0), EINVAL);
	ERR(mremap(hole, PG, PG, MREMAP_FIXED, hole), EINVAL);
	ERR(mremap(hole, 8 * PG, 8 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, hole + PG), EINVAL);
	ERR(mremap(q, PG, 2 * PG, MREMAP_MAYMOVE), EFAULT);
}

CASE(mremap_shared_file)
{
	int fd = make_file("start", 4 * PG);
	char *p = mmap(NULL, PG, RW, MAP_SHARED, fd, 0), *q, c;

	q = mremap(p, PG, 4 * PG, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK(!memcmp(q, "start", 5));
	q[3 * PG] = 'k';
	EQ(pread(fd, &c, 1, 3 * PG), 1);
	EQ(c, 'k');
}

CASE(mremap_dontunmap)
{
	char *p = map(2 * PG, RW, ANON), *q;

	p[0] = 9;
	q = mremap(p, 2 * PG, 2 * PG, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
	CHECK(q != MAP_FAILED && q != p);
	EQ(q[0], 9);
	EQ(p[0], 0);
}

CASE(madvise_dontneed)
{
	char *p = map(4 * PG, RW, ANON);
	int fd = make_file("file", PG);
	char *f = mmap(NULL, PG, RW, MAP_PRIVATE, fd, 0);

	memset(p, 8, 4 * PG);
	OK(madvise(p + PG, PG, MADV_DONTNEED));
	EQ(p[0], 8);
	EQ(p[PG], 0);
	EQ(p[2 * PG], 8);
	f[0] = 'F';
	OK(madvise(f, PG, MADV_DONTNEED));
	EQ(f[0], 'f');
	ERR(madvise(p + 1, PG, MADV_DONTNEED), EINVAL);
	ERR(madvise(p, PG, 9999), EINVAL);
	OK(munmap(p + PG, PG));
	ERR(madvise(p, 4 * PG, MADV_DONTNEED), ENOMEM);
	OK(madvise(p, PG, MADV_WILLNEED));
	OK(madvise(p, PG, MADV_SEQUENTIAL));
	OK(madvise(p, PG, MADV_FREE));
	OK(madvise(p, 0, MADV_DONTNEED));
}

static int protect(char *p, size_t len, int prot)
{
	return mprotect(p, len, prot);
}

static int discard(char *p, size_t len)
{
	return madvise(p, len, MADV_DONTNEED);
}

static int unmap(char *p, size_t len)
{
	return munmap(p, len);
}

static void lock_page(void *p)
{
	OK(mlock(p, PG));
}

static void *lock_from_thread(void *p)
{
	lock_page(p);
	return NULL;
}

/* What follows a change of memory doesn't repeat it. */
CASE(changes_are_made_once)
{
	char *p = map(4 * PG, RW, ANON);
	struct stat st;

	for (int i = 1; i < 50; i++) {
		OK(discard(p, PG));
		p[0] = i;
		OK(stat("/", &st));
		EQ(p[0], i);
		OK(discard(p + PG, PG));
		p[PG] = i;
		OK(protect(p, PG, PROT_READ));
		OK(protect(p, PG, RW));
		EQ(p[PG], i);
		EQ(p[0], i);
	}
}

/* What is granted at one place over and over is still refused when it must be. */
CASE(refused_after_many_changes)
{
	char *p = map(8 * PG, RW, ANON), *q;
	int fd = make_file("file", PG);
	pthread_t t;

	for (int i = 0; i < 50; i++) {
		p[0] = 7;
		OK(discard(p, PG));
		EQ(p[0], 0);
		OK(protect(p, PG, PROT_READ));
		EQ(touch(p, 1), SIGSEGV);
		OK(protect(p, PG, RW));
		q = map(2 * PG, RW, ANON);
		q[PG] = 1;
		OK(unmap(q, 2 * PG));
		EQ(touch(q + PG, 0), SIGSEGV);
	}
	ERR(unmap(p + 1, PG), EINVAL);
	ERR(unmap(p, 0), EINVAL);
	ERR(protect(p + 1, PG, PROT_NONE), EINVAL);
	ERR(protect(p, PG, 1 << 20), EINVAL);
	p[0] = 1;
	/* A hole: what lies before it is changed. */
	OK(unmap(p + 2 * PG, PG));
	p[PG] = p[3 * PG] = 1;
	ERR(protect(p + PG, 3 * PG, PROT_READ), ENOMEM);
	EQ(touch(p + PG, 1), SIGSEGV);
	EQ(touch(p + 3 * PG, 1), 0);
	ERR(discard(p + PG, 3 * PG), ENOMEM);
	EQ(p[PG] + p[3 * PG], 0);
	/* Locked pages stay. */
	p[3 * PG] = 3;
	lock_page(p + 3 * PG);
	ERR(discard(p + 3 * PG, PG), EINVAL);
	EQ(p[3 * PG], 3);
	OK(munlock(p + 3 * PG, PG));
	for (int i = 0; i < 5; i++) {
		p[3 * PG] = 4;
		OK(discard(p + 3 * PG, PG));
		EQ(p[3 * PG], 0);
	}
	p[3 * PG] = 5;
	CHECK(pthread_create(&t, NULL, lock_from_thread, p + 3 * PG) == 0);
	CHECK(pthread_join(t, NULL) == 0);
	ERR(discard(p + 3 * PG, PG), EINVAL);
	EQ(p[3 * PG], 5);
	/* A file that was opened to be read isn't written to. */
	for (int i = 0; i < 5; i++)
		OK(protect(p, PG, i % 2 ? PROT_READ : RW));
	fd = OK(open("f", O_RDONLY));
	q = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(q != MAP_FAILED);
	ERR(protect(q, PG, RW), EACCES);
	EQ(touch(q, 1), SIGSEGV);
	pid_t c = CHILD({
		ERR(protect(q, PG, RW), EACCES);
		OK(discard(p, PG));
		OK(protect(p, PG, RW));
		OK(protect(p, PG, PROT_READ));
		ERR(protect(q, PG, RW), EACCES);
		EQ(touch(q, 1), SIGSEGV);
		EQ(p[0], 0);
	});
	EXITED(c, 0);
	EQ(p[0], 1);
}

/* A result that is a memory call's number, beside arguments that would do for one, and a call of another kind after it. */
CASE(results_that_look_like_calls)
{
	static const int looks[] = { SYS_mprotect, SYS_munmap, SYS_madvise };
	char *p = map(2 * PG, RW, ANON);
	int fd;

	strcpy(p, "f");
	fd = OK(open(p, O_RDWR | O_CREAT, 0600));
	for (int n = 3; n <= SYS_madvise; n++)
		if (n != fd)
			EQ(dup2(fd, n), n);
	for (int i = 0; i < 30; i++) {
		const int n = looks[i % 3];

		OK(protect(p + PG, PG, i % 2 ? PROT_READ : RW));
		OK(protect(p + PG, PG, i % 2 ? PROT_READ : RW));
		OK(close(n));
		EQ(syscall(SYS_open, p, O_RDWR, MADV_DONTNEED), n);
		OK(umask(022));
		EQ(touch(p + 8, 1), 0);
		EQ(p[0], 'f');
	}
}

CASE(madvise_fork_flags)
{
	volatile char *p = map(2 * PG, RW, ANON);

	p[0] = 1;
	p[PG] = 2;
	OK(madvise((char *)p, PG, MADV_DONTFORK));
	OK(madvise((char *)p + PG, PG, MADV_WIPEONFORK));
	pid_t c = CHILD({
		EQ(touch(p, 0), SIGSEGV);
		EQ(p[PG], 0);
	});
	EXITED(c, 0);
	EQ(p[PG], 2);
}

CASE(madvise_remove_shared)
{
	int fd = OK(memfd_create("m", 0));
	char *p, c;

	OK(ftruncate(fd, 2 * PG));
	p = mmap(NULL, 2 * PG, RW, MAP_SHARED, fd, 0);
	memset(p, 5, 2 * PG);
	OK(madvise(p, PG, MADV_REMOVE));
	EQ(p[0], 0);
	EQ(p[PG], 5);
	EQ(pread(fd, &c, 1, 0), 1);
	EQ(c, 0);
}

CASE(calls_with_bad_pointers)
{
	char *p = map(2 * PG, RW, ANON);
	int q[2];

	OK(pipe(q));
	OK(munmap(p + PG, PG));
	memset(p, 'c', PG);
	/* Up to the edge it works; over it, what could be taken counts or EFAULT. */
	EQ(write(q[1], p + PG - 10, 10), 10);
	ERR(write(q[1], p + PG, 10), EFAULT);
	ERR(open(p + PG - 3, O_RDONLY), EFAULT);		/* no end of the string */
	p[PG - 1] = 0;
	ERR(open(p + PG - 3, O_RDONLY), ENOENT);
	EQ(read(q[0], p + PG - 10, 10), 10);
	OK(mprotect(p, PG, PROT_READ));
	EQ(write(q[1], "abc", 3), 3);
	ERR(read(q[0], p, 3), EFAULT);
	OK(mprotect(p, PG, PROT_NONE));
	ERR(write(q[1], p, 3), EFAULT);
	ERR(read(q[0], (void *)0xffff800000000000ul, 3), EFAULT);
	ERR(read(q[0], (void *)-1, 3), EFAULT);
}

CASE(read_into_fresh_pages)
{
	/* The kernel itself takes the first touch of these pages. */
	int fd = make_file("", 0);
	char *p = map(64 * PG, RW, ANON), *q = map(64 * PG, RW, ANON);

	memset(p, 'v', 64 * PG);
	EQ(write(fd, p, 64 * PG), 64 * PG);
	EQ(pread(fd, q, 64 * PG, 0), 64 * PG);
	CHECK(!memcmp(p, q, 64 * PG));
	pid_t c = CHILD({
		EQ(pread(fd, q, 100, 0), 100);		/* into copied-on-write pages */
		q[0] = 'x';
	});
	EXITED(c, 0);
	EQ(q[0], 'v');
}

CASE(write_from_mapping_of_same_file)
{
	int fd = make_file("abcdefgh", PG);
	char *p = mmap(NULL, PG, RW, MAP_SHARED, fd, 0);

	EQ(pwrite(fd, p, 8, 100), 8);
	CHECK(!memcmp(p + 100, "abcdefgh", 8));
	EQ(pread(fd, p + 200, 8, 0), 8);
	CHECK(!memcmp(p + 200, "abcdefgh", 8));
}

CASE(grows_down_stack)
{
	/* Far below what is touched so far, within the limit. */
	volatile char *p = alloca(3 << 20);

	p[0] = 1;
	EQ(p[0], 1);
}

CASE(address_space_limit)
{
	struct rlimit rl = { 200 << 20, 200 << 20 };
	pid_t p = CHILD({
		OK(setrlimit(RLIMIT_AS, &rl));
		ERR(mmap(NULL, 400 << 20, RW, ANON, -1, 0), ENOMEM);
		map(10 << 20, RW, ANON);
	});

	EXITED(p, 0);
}

CASE(large_reservation)
{
	/* What Go, Java and sanitizers do. */
	size_t len = 64ul << 30;
	char *p = mmap(NULL, len, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	OK(mprotect(p + (len >> 1), PG, RW));
	EQ(touch(p + (len >> 1), 1), 0);
	OK(munmap(p, len));
}

/* More than there is: what failed leaves no trace, neither with who asked nor with a child that is forked at once. */
CASE(too_much_to_promise)
{
	char *at = (char *)0x200000000000ul, *p = map(PG, RW, ANON);

	for (int i = 0; i < 8; i++) {
		ERR(mmap(at, 1ul << 44, RW, ANON | MAP_FIXED, -1, 0), ENOMEM);
		pid_t c = CHILD({
			ERR(msync(at, PG, MS_SYNC), ENOMEM);
			EQ(*p, i);
			EQ(mmap(at, PG, RW, ANON | MAP_FIXED, -1, 0), at);
			EQ(touch(at, 1), 0);
		});
		ERR(msync(at, PG, MS_SYNC), ENOMEM);
		EXITED(c, 0);
		*p = i + 1;
	}
	EQ(touch(at, 0), SIGSEGV);
}

CASE(many_mappings)
{
	char *p = map(2000 * PG, RW, ANON);

	for (int i = 0; i < 2000; i += 2)
		OK(mprotect(p + i * PG, PG, PROT_READ));
	for (int i = 1; i < 2000; i += 2)
		p[i * PG] = i;
	for (int i = 0; i < 2000; i += 2)
		OK(munmap(p + i * PG, PG));
	for (int i = 1; i < 2000; i += 2)
		EQ(p[i * PG], (char)i);
	OK(munmap(p, 2000 * PG));
}

CASE(mincore_and_locks)
{
	char *p = map(4 * PG, RW, ANON);
	unsigned char v[4] = { 9, 9, 9, 9 };

	p[0] = 1;
	OK(mincore(p, 4 * PG, v));
	CHECK(v[0] & 1);
	ERR(mincore(p + 1, PG, v), EINVAL);
	OK(munmap(p + PG, PG));
	ERR(mincore(p, 4 * PG, v), ENOMEM);
	OK(mlock(p, PG));
	OK(munlock(p, PG));
	ERR(mlock(p, 4 * PG), ENOMEM);
	OK(munlockall());
}

CASE(process_vm_calls)
{
	char *p = map(PG, RW, ANON);
	char b[16] = "";
	int q[2], r[2];

	OK(pipe(q));
	OK(pipe(r));
	pid_t c = CHILD({
		strcpy(p, "of the child");
		tell(q[1]);
		hear(r[0]);
		STREQ(p, "by the parent");
	});
	hear(q[0]);
	struct iovec l = { b, 13 }, rem = { p, 13 };
	EQ(process_vm_readv(c, &l, 1, &rem, 1, 0), 13);
	STREQ(b, "of the child");
	l = (struct iovec){ "by the parent", 14 };
	rem.iov_len = 14;
	EQ(process_vm_writev(c, &l, 1, &rem, 1, 0), 14);
	tell(r[1]);
	EXITED(c, 0);
	ERR(process_vm_readv(0x3ffffff, &l, 1, &rem, 1, 0), ESRCH);
}

CASE(ranges_around_lines_of_4_gib)
{
	const unsigned long line = 1UL << 32, end = 0x7fff00000000;
	char *p = mmap(NULL, 2 * line, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *q;

	CHECK(p != MAP_FAILED);
	p[line + 5] = 7;
	OK(madvise(p, 2 * line, MADV_DONTFORK));
	OK(madvise(p, 2 * line, MADV_DOFORK));
	q = mremap(p, 2 * line, 2 * line + PG, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[line + 5] == 7);
	OK(munmap(q, 2 * line + PG));
	for (unsigned long at = 16 * line; at <= end; at += end - 16 * line) {
		p = mmap((char *)at - PG, at < end ? 3 * PG : PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == MAP_FAILED)
			continue;		/* the stack is there */
		*p = 8;
		OK(madvise(p, at < end ? 3 * PG : PG, MADV_DONTFORK));
		OK(madvise(p, at < end ? 3 * PG : PG, MADV_DOFORK));
		EXITED(CHILD({ CHECK(*p == 8); }), 0);
		q = mremap(p, at < end ? 2 * PG : PG, 4 * PG, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED && *q == 8);
	}
}

CASE(system_v_shared_memory)
{
	int id = OK(shmget(IPC_PRIVATE, 3 * PG, 0600));
	volatile char *p = shmat(id, NULL, 0);
	struct shmid_ds ds;

	CHECK(p != (void *)-1);
	pid_t c = CHILD({
		volatile char *q = shmat(id, NULL, 0);
		q[5] = 'S';
	});
	EXITED(c, 0);
	EQ(p[5], 'S');
	EVENTUALLY(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 1);	/* who looks at a process in /proc holds its memory a bit longer */
	EQ(ds.shm_segsz, 3 * PG);
	OK(shmctl(id, IPC_RMID, NULL));
	EQ(p[5], 'S');
	OK(shmdt((void *)p));
	ERR(shmat(id, NULL, 0), EINVAL);
	ERR(shmdt((void *)p), EINVAL);
}

CASE(posix_shared_memory)
{
	char nm[64];
	int fd;

	snprintf(nm, sizeof nm, "/abi-%d", getpid());
	fd = OK(shm_open(nm, O_RDWR | O_CREAT | O_EXCL, 0600));
	OK(ftruncate(fd, PG));
	volatile char *p = mmap(NULL, PG, RW, MAP_SHARED, fd, 0);
	pid_t c = CHILD({
		int f2 = OK(shm_open(nm, O_RDWR, 0));
		volatile char *q = mmap(NULL, PG, RW, MAP_SHARED, f2, 0);
		q[1] = 'P';
	});
	EXITED(c, 0);
	EQ(p[1], 'P');
	OK(shm_unlink(nm));
}

CASE(dev_zero_mapping)
{
	int fd = OK(open("/dev/zero", O_RDWR));
	char *p = mmap(NULL, PG, RW, MAP_PRIVATE, fd, 0);
	volatile char *q = mmap(NULL, PG, RW, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED && q != MAP_FAILED);
	EQ(p[0], 0);
	p[0] = 1;
	pid_t c = CHILD({ q[0] = 4; });
	EXITED(c, 0);
	EQ(q[0], 4);
}

CASE(fault_in_kernel_copy_of_file_end)
{
	/* A system call reads from a mapping beyond the file's end. */
	int fd = make_file("x", PG), q[2];
	char *p = mmap(NULL, 2 * PG, RW, MAP_SHARED, fd, 0);

	OK(pipe(q));
	ERR(write(q[1], p + PG, 1), EFAULT);
}

CASE(rewritten_after_fork_many_times)
{
	volatile char *p = map(32 * PG, RW, ANON);

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 32; i++)
			p[i * PG] = round;
		pid_t c = CHILD({
			for (int i = 0; i < 32; i++)
				EQ(p[i * PG], round);
			for (int i = 0; i < 32; i++)
				p[i * PG] = 77;
		});
		for (int i = 0; i < 32; i++)
			CHECK(p[i * PG] == round);
		EXITED(c, 0);
	}
}

/* What may be written to from now on counts as data, as if it had been mapped so. */
CASE(data_by_protection)
{
	const struct rlimit little = { PG, RLIM_INFINITY }, none = { 0, RLIM_INFINITY };
	char *p = map(4 * PG, PROT_READ, ANON), *q = map(4 * PG, RW, ANON);
	int fd;

	put_file("f", "x", 0644);
	fd = OK(open("f", O_RDWR));
	OK(setrlimit(RLIMIT_DATA, &little));
	ERR(mprotect(p + PG, PG, RW), ENOMEM);
	OK(mprotect(q, 4 * PG, RW));
	OK(mprotect(q, PG, PROT_READ));
	ERR(mprotect(q, PG, RW), ENOMEM);
	OK(mprotect(p, 4 * PG, PROT_NONE));
	p = mmap(NULL, PG, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	OK(mprotect(p, PG, RW));
	OK(setrlimit(RLIMIT_DATA, &none)); /* which Linux doesn't take seriously, for valgrind's sake */
	OK(mprotect(q, PG, RW));
}

/* As /proc tells it, in pages of 4 KiB. */
static long locked(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");
	long kb = -1;

	while (fgets(line, sizeof line, f))
		if (sscanf(line, "VmLck: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb / 4;
}

CASE(locked_memory_is_told)
{
	char *p = map(4 * PG, RW, ANON);
	long before = locked();

	OK(mlock(p, 3 * PG));
	EQ(locked(), before + 3);
	OK(munlock(p + PG, PG));
	EQ(locked(), before + 2);
	OK(munmap(p, 4 * PG));
	EQ(locked(), before);
}
