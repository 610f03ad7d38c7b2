// What the descriptor calls need of the table beyond vfs.h.
#pragma once

#include <stdbool.h>

struct fdtable;
struct file;
struct platform_loan;
struct task;

bool fdtable_alone(const struct fdtable *ft); // there is but one reference, a task's of its own: it stays so until that task itself shares it
int fd_cloexec(struct task *t, int fd, int set); // the flag as it was, or -EBADF; set < 0 leaves it
int fd_close_range(struct task *t, unsigned first, unsigned last, bool cloexec_only); // both ends included
// Lends t's process what loan says of fd, if that is still f (loans.h), of which the caller holds `held` references. 0 or -errno, as of platform->lend;
// -ENOENT: the platform would have to be given the file first.
int fdtable_lend(struct task *t, int fd, struct file *f, int held, struct platform_loan *loan);
void fdtable_lend_pos(struct task *t, int fd, struct file *f); // its position, beside what else is lent; the caller holds a reference
// f, t's descriptor fd, is no terminal: questions that are for terminals needn't come here.
void fdtable_no_tty(struct task *t, int fd, struct file *f);
// A child that nobody else knows yet, whose table is a copy of its parent's, is lent what holds for it as well: that something is no terminal.
void fdtable_inherit_loans(struct task *parent, struct task *child);
