// A row of the benchmark: an operation, done again and again, and what it needs before and after.
#pragma once

#include <stddef.h>

struct row {
	const char *name;
	const char *what;	  // one line for people
	void (*setup)(void);	  // NULL: nothing to do
	void (*loop)(long count); // does the operation count times
	void (*teardown)(void);
	long most; // at most so many operations in one batch; 0: no limit
};

extern const struct row call_rows[], file_rows[], ipc_rows[], thread_rows[], process_rows[], memory_rows[];

// Ends the program with a sentence that names what failed and errno's reason.
_Noreturn void fail(const char *what);
#define MUST(x)                                                                                                                        \
	({                                                                                                                             \
		long must_result_ = (long)(x);                                                                                         \
		if (must_result_ < 0)                                                                                                  \
			fail(#x);                                                                                                      \
		must_result_;                                                                                                          \
	})
