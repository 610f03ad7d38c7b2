// Measures single operations: micro [--ms=N] [--list] [--idle] [ROW…]
//
// Each row is first tried with growing counts until a batch is long enough to be timed, then BATCHES batches are timed and
// the median is printed: "ROW NANOSECONDS", one line a row. The last line, "elapsed NANOSECONDS", is the whole program's
// time by its own clock, so that whoever runs it can see that this clock doesn't run slow.
// --idle measures nothing: it says "ready" and sleeps for good, for whoever measures the memory of a sandbox around it.
// --list prints "ROW BYTES WHAT" of every row, with the bytes that one operation moves.
// The same binary runs natively and in every sandbox; it doesn't ask where it is.
#include "micro.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 5, DEFAULT_MS = 30 };

static const struct row *const tables[] = {call_rows, file_rows, ipc_rows, thread_rows, process_rows, memory_rows,
					  throughput_rows, crowd_rows, host_rows};

void fail(const char *what)
{
	fprintf(stderr, "micro: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void call(void (*function)(void))
{
	if (function)
		function();
}

static long long batch_ns(const struct row *r, long count)
{
	if (!r->keep)
		call(r->setup);
	long long start = now_ns();
	r->loop(count);
	long long ns = now_ns() - start;
	if (!r->keep)
		call(r->teardown);
	return ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// The count whose batch takes about target_ns. The trial runs warm caches and patched call sites, too.
static long count_for(const struct row *r, long long target_ns)
{
	long count = 1;

	for (;;) {
		long long ns = batch_ns(r, count);
		if (ns >= target_ns / 4) {
			count = (double)count * target_ns / ns;
			break;
		}
		if (r->most && count >= r->most)
			break;
		count *= ns * 16 < target_ns ? 8 : 2;
	}
	if (r->most && count > r->most)
		count = r->most;
	return count > 0 ? count : 1;
}

static double measure(const struct row *r, long long total_ns)
{
	double ns[BATCHES];
	long long least_ns = r->least_ms * 1000000ll;

	if (r->keep)
		call(r->setup);
	long count = count_for(r, (total_ns > least_ns ? total_ns : least_ns) / BATCHES);
	for (int i = 0; i < BATCHES; i++)
		ns[i] = (double)batch_ns(r, count) / count;
	if (r->keep)
		call(r->teardown);
	qsort(ns, BATCHES, sizeof(ns[0]), compare);
	return ns[BATCHES / 2];
}

static void idle(void)
{
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static int wanted(const struct row *r, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], r->name) == 0)
			return 1;
	return argc == 0 && !r->host;
}

int main(int argc, char **argv)
{
	long long start = now_ns(), ms = DEFAULT_MS;
	int list = 0, first = 1;

	for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++) {
		if (strncmp(argv[first], "--ms=", 5) == 0)
			ms = atoll(argv[first] + 5);
		else if (strcmp(argv[first], "--list") == 0)
			list = 1;
		else if (strcmp(argv[first], "--idle") == 0)
			idle();
	}
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct row *r = tables[i]; r->name; r++) {
			if (!list && !wanted(r, argc - first, argv + first))
				continue;
			if (list)
				printf("%s %ld %s\n", r->name, r->bytes, r->what);
			else
				printf("%s %.1f\n", r->name, measure(r, ms * 1000000));
			fflush(stdout);
		}
	if (!list)
		printf("elapsed %lld\n", now_ns() - start);
	return 0;
}
