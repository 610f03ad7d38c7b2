// POSIX timers (timer_create) and interval timers (setitimer) of a process.
//
// Both are guarded by kernel()->tasks_mu. A periodic timer isn't armed again before its signal has been taken: so a process that
// blocks the signal, or a period of a nanosecond, costs nothing; the periods missed are counted then.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct posix_timer;
struct task;
struct thread_group;

void posix_timers_destroy(struct thread_group *tg); // the group ends, no lock held: interval timers, too
void posix_timers_exec(struct thread_group *tg); // execve: POSIX timers go, interval timers stay
void posix_timers_thread_gone_locked(struct task *t); // it leaves its group: timers that signal t (SIGEV_THREAD_ID) signal nobody any more
// Its signal left the queue. info: as it is delivered, gets the overrun count; NULL: it was dropped.
void posix_timer_taken_locked(struct posix_timer *pt, siginfo_t *info);

struct timer_setting { // as struct itimerspec: in ns; value 0: off
	int64_t value_ns, interval_ns;
};

// 0 (create: the id) or -errno.
int posix_timer_create(struct task *t, clockid_t clock, const struct sigevent *ev); // ev NULL: SIGALRM
int posix_timer_set(struct task *t, int id, bool absolute, const struct timer_setting *set, struct timer_setting *out_old);
int posix_timer_get(struct task *t, int id, struct timer_setting *out);
int posix_timer_overrun(struct task *t, int id);
int posix_timer_delete(struct task *t, int id);

// which: ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF. set NULL: only asks. 0 or -ENOMEM.
int itimer_set(struct task *t, int which, const struct timer_setting *set, struct timer_setting *out_old);
void itimers_destroy(struct thread_group *tg);
void itimer_signal_taken_locked(struct thread_group *tg); // a SIGALRM left a queue
