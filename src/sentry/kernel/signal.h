// Signals: queues, dispositions, sending; delivery is in signal_deliver.c.
//
// Lock: kernel()->tasks_mu guards every queue, mask and disposition (short sections; the order stands in ARCHITECTURE.md).
#pragma once

#include <bsd/sys/queue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "abi/sigaction.h"
#include "abi/types.h"
#include "lib/ref.h"

struct task;
struct thread_group;
struct waitq;

typedef uint64_t ksigset_t; // bit n-1: signal n
#define SIGBIT(sig) (1ull << ((sig) - 1))
#define SIG_UNBLOCKABLE (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))

struct sigqueue_entry {
	TAILQ_ENTRY(sigqueue_entry) link;
	siginfo_t info;
	struct posix_timer *timer; // of a POSIX timer's signal: its own preallocated entry (never freed by the queue); NULL: others
	bool queued;
};

struct sigpending {
	ksigset_t set;
	TAILQ_HEAD(, sigqueue_entry) queue;
};

struct sighand { // dispositions; shared with CLONE_SIGHAND. Guarded by tasks_mu
	struct ref ref;
	struct ksigaction action[NSIG_MAX]; // to be had by signal_action_locked()
	ksigset_t lent; // those that the platform has
	struct task *home; // whose context they are with, borrowed until that goes; NULL: nothing was lent
	bool shared; // or once was, by several processes
};

// Sends as the kernel or as the sender in info; permission was checked by the caller. 0, or -EAGAIN when the queue limit of
// a real-time signal is reached. Any thread; takes tasks_mu.
int signal_send_task(struct task *t, int sig, const siginfo_t *info);
int signal_send_group(struct thread_group *tg, int sig, const siginfo_t *info);
int signal_send_pgrp(int pgid, int sig, const siginfo_t *info); // -ESRCH when it has no member
// A fault of the task itself: unblocks and resets to default if it is blocked or ignored, as Linux's force_sig.
void signal_force(struct task *t, int sig, const siginfo_t *info);
// Woken when a signal is queued to a member of tg or to the group. Several groups share one, and none owns it: an epoll instance may
// hang on it for longer than the group that it was inherited from lives.
struct waitq *signalfd_waitq(struct thread_group *tg);
void siginfo_kernel(siginfo_t *out, int sig); // SI_KERNEL
// A POSIX timer's signal with its own entry (info filled in) to the group, or to the task only: e->queued tells whether it waits now,
// else it was ignored. Both: tasks_mu held. posix_timer_taken_locked() is told when it leaves the queue.
void signal_send_timer_locked(struct thread_group *tg, struct task *only, struct sigqueue_entry *e);
void signal_cancel_timer_locked(struct thread_group *tg, struct task *only, struct sigqueue_entry *e); // out of the queue, if it is there
// The mask for the rest of this call only (ppoll, sigsuspend, …): on the call's first entry. signal_deliver puts the old one back,
// after the handlers if the call answers -EINTR or one of the ERESTART codes, before looking for signals if it succeeds.
void signal_mask_during_call(struct task *t, ksigset_t mask);
void signal_set_blocked(struct task *t, ksigset_t mask); // for good
// A signal waits that isn't blocked (and would do something), or the task must stop or die: the current wait must end.
bool signal_pending(struct task *t);

// On the way back to the application: stops, dies, or gets frames for the signals that wait; turns ERESTART* into a restart or EINTR.
// ret: the call's result when in_call (ENOREPLY: the registers are set), else ignored. Answers true if t may go to the application;
// false if it is dead (t is gone) or parked by a group stop (entered again when it is woken).
// Entered again after a group stop with in_call false: what the call left is kept by signal_deliver itself.
bool signal_deliver(struct task *t, long ret, bool in_call);
