// The host's processors.
#pragma once

#include <sched.h>
#include <stdbool.h>

// The one that runs the caller at the moment. 0 if the host doesn't say.
unsigned host_processor(void);
// The calling thread on another processor for a while. If it is there already, or may not run there, nothing happens.
struct host_visit {
	int from; // -1: nothing happened
	cpu_set_t allowed;
};
void host_visit_begin(struct host_visit *v, int cpu);
void host_visit_end(struct host_visit *v); // it goes on where it was, and may run where it could
// Whether the host makes one process's threads pass a memory barrier at once (membarrier's private expedited command).
bool host_has_process_barrier(void);
// A memory barrier on every thread of every process. Takes milliseconds. 0 or -errno.
int host_barrier(void);
