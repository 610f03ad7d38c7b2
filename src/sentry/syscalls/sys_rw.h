// Reads and writes whose bytes the application's own process moves (uio_leave).
#pragma once

#include <stdint.h>

struct task;

// Less was moved than t's call was answered by: puts the file's position right. What the call answers instead, or 0: it is to be
// entered again, and will do it all here.
long rw_settle(struct task *t, uint64_t moved);
