// The workers: threads of the sentry that run any task (DESIGN 6).
//
// One of them leads: it polls the platform for events and runs woken tasks, spinning for as long as that pays; the others sleep in
// epoll_wait on host descriptors, the timer and the doorbell that stubs ring when nobody leads. A leader whose handler is about to
// wait for the host (kernel_away_begin) lays the lead down, and whoever is woken first takes it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct task;

int sched_create(int nworkers_max); // 0 or -errno; kernel()->sched
int sched_run(void); // see kernel_run
void sched_stop(void);
void sched_timer_changed(int64_t deadline_ns); // the earliest timer's CLOCK_MONOTONIC deadline became this (KTIME_NEVER: none)
// Parks t unless it was woken meanwhile. False: it was; go on with it.
bool sched_park(struct task *t);
void sched_enqueue(struct task *t); // a new task, or a woken one
void sched_put_later(struct task *t); // gives a reference of the task being handled back once the worker has let go of it

// timer.c's side: makes kernel()->timers (0 or -ENOMEM); the earliest deadline, on CLOCK_MONOTONIC; runs what is due.
int timers_create(void);
int64_t timers_next_deadline(void);
void timers_run(void);
