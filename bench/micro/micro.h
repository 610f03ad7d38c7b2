// A row of the benchmark: an operation, done again and again, and what it needs before and after.
#pragma once

#include <stddef.h>

struct row {
	const char *name;
	const char *what;	  // one line for people
	void (*setup)(void);	  // NULL: nothing to do
	void (*loop)(long count); // does the operation count times
	void (*teardown)(void);
	long most;	// at most so many operations in one batch; 0: no limit
	long bytes;	// that one operation moves: its speed is what counts; 0: its time is
	int least_ms;	// the row's time is at least so long, whatever was asked for
	int keep;	// set up once for all batches, since that is expensive
	int host;	// what the machine gives: only when it is named, and only natively
};

extern const struct row call_rows[], file_rows[], ipc_rows[], thread_rows[], process_rows[], memory_rows[],
	throughput_rows[], crowd_rows[], host_rows[];

// Ends the program with a sentence that names what failed and errno's reason.
_Noreturn void fail(const char *what);
#define MUST(x)                                                                                                                        \
	({                                                                                                                             \
		long must_result_ = (long)(x);                                                                                         \
		if (must_result_ < 0)                                                                                                  \
			fail(#x);                                                                                                      \
		must_result_;                                                                                                          \
	})
