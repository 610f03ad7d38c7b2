// What host processes and their threads have used; and what time it is.
#pragma once

#include <stdint.h>
#include <sys/types.h>

int64_t host_now_ns(void); // by the monotonic clock, with no host call
// What the process pid has used, in user and kernel mode, ended threads included. 0 if it is gone. One host call.
uint64_t host_process_cpu_ns(pid_t pid);
// What the thread tid of the process pid has used. 0 if it is gone. Three host calls.
uint64_t host_thread_cpu_ns(pid_t pid, pid_t tid);
// The most memory that the process pid has had resident, in KiB. 0 if it is gone. Three host calls.
uint64_t host_process_peak_kb(pid_t pid);
