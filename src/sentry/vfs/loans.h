// Descriptors that a process uses without being seen here: platform->lend(), by file_ops.lend.
//
// A file's position is lent only when its descriptor is the only reference there is, so whoever wants it comes by the descriptor's table, which takes
// it back first. What else a loan rests on is the inode's: who changes that calls loans_stop().
// Locks: inode->mu, the table's, loans_mu, the platform's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fdtable;
struct file;
struct inode;
struct loan;
struct platform_loan;
struct task;

// After a transfer of t's on descriptor fd, f: lends what may be lent.
void loan_after_transfer(struct task *t, int fd, struct file *f, bool wrote);
// All that was lent of the inode's files comes to the sentry again from now on. With inode->mu held none is just being made. True: a write that
// was begun before may still be under way.
bool loans_stop(struct inode *inode);
// When a process wrote to it last by what it was lent, by CLOCK_REALTIME in ns; 0: not since this was asked last.
int64_t loans_written(struct inode *inode);

// For the table, whose lock is held. loan NULL: nothing is lent, and nothing happens.
int loan_make(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f, struct platform_loan *spec); // as platform->lend
void loan_share(struct loan *loan, struct file *f); // somebody else is about to use f: its position comes back
void loan_end(struct loan *loan, struct file *f);
