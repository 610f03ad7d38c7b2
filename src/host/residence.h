// How much of a host process's memory is resident.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Pages in all, and those of files or shared memory among them. False if it is gone. Three host calls.
bool host_process_resident(pid_t pid, uint64_t *out_pages, uint64_t *out_shared_pages);
