// POSIX timers and interval timers of a process.
#pragma once

struct task;
struct thread_group;

void posix_timers_destroy(struct thread_group *tg); // the group ends, no lock held: interval timers, too
void posix_timers_exec(struct thread_group *tg); // execve: POSIX timers go, interval timers stay
void posix_timers_thread_gone(struct task *t); // timers that signal t (SIGEV_THREAD_ID) signal nobody any more
