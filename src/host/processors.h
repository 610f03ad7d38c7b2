// The host's processors.
#pragma once

#include <stdbool.h>

// The one that runs the caller at the moment. 0 if the host doesn't say.
unsigned host_processor(void);
// Whether the host makes one process's threads pass a memory barrier at once (membarrier's private expedited command).
bool host_has_process_barrier(void);
// A memory barrier on every thread of every process. Takes milliseconds. 0 or -errno.
int host_barrier(void);
