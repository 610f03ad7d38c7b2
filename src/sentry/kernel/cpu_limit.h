// RLIMIT_CPU.
#pragma once

struct thread_group;

void cpu_limit_watch_locked(struct thread_group *tg); // its limit changed, or it is new; tasks_mu held
void cpu_limit_end(struct thread_group *tg); // it has ended; no lock held
