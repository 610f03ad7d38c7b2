// The clocks that applications name: the host's, and CPU time, which only the kernel knows.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct task;
struct thread_group;

bool clock_is_cpu(clockid_t clock); // a clock of CPU time, valid or not
bool clock_is_wall(clockid_t clock); // follows settings of the time of day
// The clock's time now, in ns, as t sees it. 0, or -EINVAL: no such clock, or process.
int clock_read(struct task *t, clockid_t clock, int64_t *out_ns);
// A CPU clock's, for a member of tg (caller: its calling thread, NULL if none is). tasks_mu held.
int clock_read_cpu_locked(struct thread_group *tg, struct task *caller, clockid_t clock, int64_t *out_ns);
// CLOCK_PROCESS_CPUTIME_ID and CLOCK_THREAD_CPUTIME_ID as the clock that names the caller by number, others as they are.
clockid_t clock_of_caller(struct task *t, clockid_t clock);
// How long (ns of real time) until a CPU clock can have gone on by left_ns at the earliest, for those who look again and again: seldom
// while nothing runs (idle: how often it stood still in a row), never more often than Linux's tick.
int64_t clock_cpu_wait_ns(clockid_t clock, int64_t left_ns, unsigned idle);

bool timespec_valid(const struct timespec *ts);
int64_t timespec_to_ns(const struct timespec *ts); // of a valid one; what doesn't fit is KTIME_NEVER
struct timespec ns_to_timespec(int64_t ns);
