// More threads than the machine has CPUs, all of them calling: one operation is one call of any of them, so that its time is
// the machine's for a call. They wait for each other at a barrier before and after a batch, not within it.
#include "micro.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { THREADS = 8 };

static pthread_t threads[THREADS];
static pthread_barrier_t before, after;
static long calls_each; // 0: the end
static int zero = -1;

static void call_sigprocmask(void)
{
	MUST(sigprocmask(SIG_BLOCK, NULL, NULL));
}

static void call_read(void)
{
	char c;

	MUST(read(zero, &c, 1));
}

static void *caller_main(void *arg)
{
	void (*call)(void) = arg;

	for (;;) {
		pthread_barrier_wait(&before);
		if (!calls_each)
			return NULL;
		for (long i = 0; i < calls_each; i++)
			call();
		pthread_barrier_wait(&after);
	}
}

static void setup(void (*call)(void))
{
	pthread_barrier_init(&before, NULL, THREADS + 1);
	pthread_barrier_init(&after, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, caller_main, call) != 0)
			fail("pthread_create");
}

static void setup_sigprocmask(void)
{
	setup(call_sigprocmask);
}

static void setup_read(void)
{
	zero = MUST(open("/dev/zero", O_RDONLY));
	setup(call_read);
}

static void loop_crowd(long count)
{
	calls_each = count / THREADS + 1;
	pthread_barrier_wait(&before);
	pthread_barrier_wait(&after);
}

static void teardown(void)
{
	calls_each = 0;
	pthread_barrier_wait(&before);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	close(zero);
}

const struct row crowd_rows[] = {
	{"crowd-sigprocmask", "sigprocmask() by 8 threads", setup_sigprocmask, loop_crowd, teardown, .least_ms = 300, .keep = 1},
	{"crowd-read", "read 1 byte of /dev/zero by 8 threads", setup_read, loop_crowd, teardown, .least_ms = 300, .keep = 1},
	{},
};
