// Descriptors that a process uses without being seen here: platform->lend(), by file_ops.lend.
//
// A file's position is lent only when its descriptor is the only reference there is, so whoever wants it comes by the descriptor's table, which takes
// it back first. What else a loan rests on is the inode's: who changes that calls loans_stop(). A position alone rests on nothing else; it is lent
// again after some transfers to who sought (file_ops.plain_seek).
//
// What lies in a pipe or an eventfd is lent as a whole (struct content_loan): then it isn't in the sentry at all, so whoever wants it, by whatever way
// he came by the file, takes it back first, with the lock held that guards it. Who is about to wait for it does so, too, after he has linked
// himself, and it isn't lent while somebody waits: what the process does by itself wakes nobody. An epoll instance in which nobody waits
// keeps the file among those at which it looks (POLL_LENT).
// Locks: inode->mu or the content's, the table's, loans_mu, the platform's.
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fdtable;
struct file;
struct inode;
struct loan;
struct platform_loan;
struct task;

struct loan { // Guarded by the table's lock.
	LIST_ENTRY(loan) by_inode; // Guarded by vfs->loans_mu, as is:
	struct inode *inode; // on whose list it is (f's, so not counted); NULL: nothing but the position is lent, or may lie there
	bool has_pos, writes, closes, no_tty;
	bool of_content; // it is a struct content_loan's
	struct platform_as *as; // to whom
	int fd;
};

// A file's own, of what lies in it. The tables that it was lent by may go on pointing here as long as they have the file.
struct content_loan {
	struct loan loan;
	bool lent; // Guarded by the content's lock.
	// Guarded by vfs->loans_mu:
	bool there; // with the process; else pos is what the table took back when its descriptor went
	int feeder; // the descriptor that is written to, if it isn't the one that is read from; -1
	uint64_t pos;
	_Atomic uint32_t uses; // short transfers since it was last lent, or somebody waited
};

// After a transfer of t's on descriptor fd, f: lends what may be lent.
void loan_after_transfer(struct task *t, int fd, struct file *f, bool wrote);
// t has opened f, which is descriptor fd: what it is likely to be lent, or to close late.
void loan_at_open(struct task *t, int fd, struct file *f);
// t has used the position of f, its descriptor fd: it may do so alone for a while. sought: by lseek.
void loan_pos(struct task *t, int fd, struct file *f, bool sought);
void loan_at_dup(struct task *t, int fd, struct file *f); // t has made fd, another descriptor of f, likewise: it may close it late
// The inode's files are closed by calls that come here from now on. None of these is written to.
void loans_stop_closes(struct inode *inode);
// All that was lent of the inode's files comes to the sentry again from now on. With inode->mu held none is just being made. True: a write that
// was begun before may still be under way.
bool loans_stop(struct inode *inode);
// When a process wrote to it last by what it was lent, by CLOCK_REALTIME in ns; 0: not since this was asked last.
int64_t loans_written(struct inode *inode);

struct content_end {
	int fd;
	struct file *f;
};

// There was another short transfer. True: there were so many that it is worth lending, and it may be lent.
bool content_used(struct content_loan *c);
// Lends t's process the content that a file is read from by descriptor `in` and written to by `out` (or `in`, if out.f is NULL), if they still
// are these. spec: COUNT or BYTES. The content's lock is held, nobody waits.
void content_lend(struct content_loan *c, struct task *t, struct content_end in, struct content_end out, const struct platform_loan *spec);
// Of what is lent: as it is now, for who only looks; it comes back. The process may have made anything of it. The lock is held.
uint64_t content_peek(const struct content_loan *c);
uint64_t content_take_back(struct content_loan *c);
// Tells t's process, if it is this that it was lent to, what the epoll descriptor ep_fd finds (platform->epoll_quiet, but for content with this
// data). No lock is needed but one that keeps c.
void content_tell_epoll(const struct content_loan *c, struct task *t, int ep_fd, uint32_t index, uint32_t count, uint64_t data);

// For the table, whose lock is held. loan NULL: nothing is lent, and nothing happens.
int loan_make(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f, int held,
	      struct platform_loan *spec); // as platform->lend; `held` references to f are the caller's
int loan_give_pos(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f); // to all that is lent, if anything. 0 or -errno
bool content_make(struct content_loan *c, struct task *t, const struct fdtable *ft, int fd, int feeder, const struct platform_loan *spec);
int loan_no_tty(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f); // to all that is lent, if anything. 0 or -errno
bool loan_says_no_tty(const struct loan *loan);
void loan_share(struct loan *loan, struct file *f); // somebody else is about to use f: its position comes back
void loan_end(struct loan *loan, struct file *f);
