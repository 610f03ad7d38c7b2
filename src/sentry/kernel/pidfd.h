// Descriptors that stand for a process.
#pragma once

struct file;
struct task;
struct thread_group;

int pidfd_install(struct task *t, struct thread_group *tg, unsigned flags); // the descriptor's number, or -errno
struct thread_group *pidfd_group(struct file *f); // borrowed from the file; NULL: not a pidfd
