// What execve changes in a task beside its memory (task_exec.c); called by the loader.
#pragma once

struct file;
struct mm;
struct platform_ctx;
struct task;

// Ends every other thread of the group, and gives t the leader's tid. 0 when t is alone; else a code to return from the handler,
// which is entered again (-EBLOCKED …).
int task_dethread(struct task *t);
// The point of no return is passed and t runs in its new memory: dispositions with handlers become default, the alternate stack, POSIX timers,
// robust list, clear_child_tid and rseq are dropped, descriptors are closed on exec, exe (takes a reference of its own) and comm are
// set, the vfork parent goes on.
void task_exec_commit(struct task *t, struct file *exe, const char *comm);
// t leaves its address space for another, whose first context it takes over; the old context and its mm are given back.
void task_switch_mm(struct task *t, struct mm *mm, struct platform_ctx *ctx);
