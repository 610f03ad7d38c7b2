// --strace: prints each call with its decoded arguments to the log. Called only while kernel()->strace is set.
#pragma once

struct task;

void strace_enter(struct task *t); // t->call holds the call
void strace_exit(struct task *t, long ret);
void strace_signal(struct task *t, int sig); // a signal is delivered
