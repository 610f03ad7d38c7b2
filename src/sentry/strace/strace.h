// --strace: prints each call with its decoded arguments to the log, one line when it has finished.
//
// Called only while kernel()->strace is set. Arguments that go in are printed as they were when the call began; what comes out is
// taken from what the handler copied out (strace_note_out), since it reaches the application's memory only later.
#pragma once

#include <stddef.h>

#include "abi/types.h"

struct task;
struct strace_call; // the line under way, in task->strace

void strace_enter(struct task *t); // t->call holds the call
void strace_exit(struct task *t, long ret);
void strace_signal(struct task *t, int sig); // a signal is delivered
void strace_note_out(struct task *t, uaddr_t dst, const void *src, size_t len); // a copy_out of the call under way
void strace_task_gone(struct task *t); // frees task->strace
