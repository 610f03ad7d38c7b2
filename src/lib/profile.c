// Marks of a start.
#include "lib/profile.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MARKS_MAX = 64, NS_PER_US = 1000 };

struct mark {
	uint64_t ns;
	uint32_t phase;
};

// The sentry can write here to its end: who prints believes nothing of it.
struct profile {
	atomic_uint count;
	struct mark marks[MARKS_MAX];
};

struct profile *profile;

static const struct {
	const char *who, *what;
} phases[] = {
#define X(name, who, what) {who, what},
	PROFILE_PHASES(X)
#undef X
};

void profile_init(void)
{
	void *p = mmap(NULL, sizeof(*profile), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p != MAP_FAILED)
		profile = p;
}

void profile_note(enum profile_phase phase)
{
	unsigned i = atomic_fetch_add(&profile->count, 1);
	struct timespec now;

	if (i >= MARKS_MAX)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	profile->marks[i] = (struct mark){(uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, phase};
}

static int earlier(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

void profile_print(int fd)
{
	struct mark marks[MARKS_MAX];
	unsigned n;

	if (!profile)
		return;
	n = atomic_load(&profile->count);
	if (n > MARKS_MAX)
		n = MARKS_MAX;
	memcpy(marks, profile->marks, sizeof(marks));
	qsort(marks, n, sizeof(*marks), earlier);
	dprintf(fd, "%9s %9s  %-8s phase\n", "us", "since own", "process");
	for (unsigned i = 0; i < n; i++) {
		unsigned before = i;

		if (marks[i].phase >= PROFILE_PHASES_COUNT)
			continue;
		// What the same process marked last.
		do
			before--;
		while (before < i && (marks[before].phase >= PROFILE_PHASES_COUNT ||
				      strcmp(phases[marks[before].phase].who, phases[marks[i].phase].who) != 0));
		dprintf(fd, "%9llu %9llu  %-8s %s\n", (unsigned long long)(marks[i].ns - marks[0].ns) / NS_PER_US,
			(unsigned long long)(marks[i].ns - marks[before < i ? before : i].ns) / NS_PER_US, phases[marks[i].phase].who,
			phases[marks[i].phase].what);
	}
}
