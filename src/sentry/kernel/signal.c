// Signals: the queues, who gets what, and which are dropped at once. What a signal does is signal_deliver.c's.
//
// Linux's rules: a standard signal is queued once, a real-time one each time; one that would be ignored isn't queued unless it is blocked
// (it may be waited for); SIGCONT and the stop signals take each other out of the queues; SIGKILL ends the group without any queue.
#include "sentry/kernel/signal.h"

#include <poll.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/kernel/container_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/kernel/task_int.h"

#define SIGS_STOP (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define SIGS_IGNORED_BY_DEFAULT (SIGBIT(SIGCHLD) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH) | SIGBIT(SIGCONT))
#define SIGS_SYNCHRONOUS \
	(SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE) | SIGBIT(SIGSYS))

enum { HANDLER_DFL = 0, HANDLER_IGN = 1, FIRST_REALTIME = 32 };

KMEM_TYPE(sigqueue_type, sigqueue_entry);

void siginfo_kernel(siginfo_t *out, int sig)
{
	memset(out, 0, sizeof(*out));
	out->si_signo = sig;
	out->si_code = SI_KERNEL;
}

// --- queues

// out_info: what was copied of it to be delivered; NULL: it is dropped.
static void entry_free(struct thread_group *tg, struct sigqueue_entry *e, siginfo_t *out_info)
{
	e->queued = false;
	if (e->timer) { // the timer's own
		posix_timer_taken_locked(e->timer, out_info);
		return;
	}
	tg->nsigqueued--;
	kmem_free(&sigqueue_type, e);
}

void sigpending_flush_locked(struct thread_group *tg, struct sigpending *p, ksigset_t mask)
{
	struct sigqueue_entry *e, *next;

	if (!(p->set & mask))
		return;
	if (p->set & mask & SIGBIT(SIGALRM))
		itimer_signal_taken_locked(tg);
	p->set &= ~mask;
	TAILQ_FOREACH_SAFE(e, &p->queue, link, next)
		if (SIGBIT(e->info.si_signo) & mask) {
			TAILQ_REMOVE(&p->queue, e, link);
			entry_free(tg, e, NULL);
		}
}

static int dequeue_from(struct thread_group *tg, struct sigpending *p, ksigset_t mask, siginfo_t *out_info)
{
	ksigset_t ready = p->set & mask;
	struct sigqueue_entry *e, *found = NULL;
	int sig;

	if (!ready)
		return 0;
	if (ready & SIGS_SYNCHRONOUS)
		ready &= SIGS_SYNCHRONOUS; // faults first: their frame must lie innermost
	sig = __builtin_ctzll(ready) + 1;
	if (sig == SIGALRM)
		itimer_signal_taken_locked(tg);
	p->set &= ~SIGBIT(sig);
	TAILQ_FOREACH(e, &p->queue, link) {
		if (e->info.si_signo != sig)
			continue;
		if (found) {
			p->set |= SIGBIT(sig); // one more of it
			break;
		}
		found = e;
	}
	if (!found) { // there was no room for what it had to tell
		memset(out_info, 0, sizeof(*out_info));
		out_info->si_signo = sig;
		out_info->si_code = SI_USER;
		return sig;
	}
	TAILQ_REMOVE(&p->queue, found, link);
	*out_info = found->info;
	entry_free(tg, found, out_info);
	return sig;
}

int signal_dequeue_locked(struct task *t, ksigset_t mask, siginfo_t *out_info)
{
	return dequeue_from(t->tg, &t->pending, mask, out_info) ?: dequeue_from(t->tg, &t->tg->pending, mask, out_info);
}

// Room for one more: real-time signals that find none are refused, others go without their siginfo.
static int enqueue(struct thread_group *tg, struct sigpending *p, int sig, const siginfo_t *info)
{
	bool may_exceed = sig < FIRST_REALTIME && info->si_code >= 0; // of the kernel, or by kill
	struct sigqueue_entry *e = NULL;

	if (may_exceed || (uint64_t)tg->nsigqueued < tg->rlimits[RLIMIT_SIGPENDING].rlim_cur)
		e = kmem_alloc(&sigqueue_type);
	if (!e) {
		if (sig >= FIRST_REALTIME && info->si_code != SI_USER)
			return -EAGAIN;
		p->set |= SIGBIT(sig);
		return 0;
	}
	e->info = *info;
	e->info.si_signo = sig;
	e->queued = true;
	tg->nsigqueued++;
	TAILQ_INSERT_TAIL(&p->queue, e, link);
	p->set |= SIGBIT(sig);
	return 0;
}

// --- sending

static struct task *any_task(struct thread_group *tg)
{
	return TAILQ_FIRST(&tg->tasks);
}

static bool ignored_by(struct thread_group *tg, struct task *t, int sig, bool forced, uint64_t handler)
{
	if (signal_blocked_locked(t) & SIGBIT(sig) && !(SIG_UNBLOCKABLE & SIGBIT(sig)))
		return false;
	if (tg->unkillable && handler == HANDLER_DFL && !forced)
		return true;
	return handler == HANDLER_IGN || (handler == HANDLER_DFL && SIGS_IGNORED_BY_DEFAULT & SIGBIT(sig));
}

// What isn't may be queued: from then on its action is here. It may have changed just before.
static bool ignored(struct thread_group *tg, struct task *t, int sig, bool forced)
{
	return ignored_by(tg, t, sig, forced, signal_action_locked(t->sighand, sig)->handler) ||
	       ignored_by(tg, t, sig, forced, signal_action_back_locked(t->sighand, sig)->handler);
}

static void flush_everywhere(struct thread_group *tg, ksigset_t mask)
{
	struct task *t;

	sigpending_flush_locked(tg, &tg->pending, mask);
	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		sigpending_flush_locked(tg, &t->pending, mask);
}

// SIGCONT lets a stopped group go on, whatever is done with the signal itself.
static void go_on(struct thread_group *tg)
{
	bool was_stopped = tg->ntasks > 0 && tg->nstopped == tg->ntasks;
	struct task *t;

	flush_everywhere(tg, SIGS_STOP);
	if (!tg->group_stop)
		return;
	tg->group_stop = false;
	tg->stop_unreported = false;
	tg->nstopped = 0;
	TAILQ_FOREACH(t, &tg->tasks, tg_link) {
		t->stopped = false;
		task_kick(t);
	}
	if (was_stopped) {
		tg->continued = true;
		group_notify_parent_locked(tg, CLD_CONTINUED);
	}
}

struct waitq *signalfd_waitq(struct thread_group *tg)
{
	return &kernel()->signalfd_waitqs[tg->tgid % SIGNALFD_QUEUES];
}

// It is in the queue: a thread that can take it now is woken. If there is none it stays there until one unblocks it.
static void choose_and_wake(struct thread_group *tg, struct task *only, int sig)
{
	waitq_wake(signalfd_waitq(tg), POLLIN);
	signal_masks_back_locked(tg, only);
	if (only)
		signal_wake_if_wants_locked(only, SIGBIT(sig));
	else
		signal_wake_one_locked(tg, SIGBIT(sig));
}

int signal_send_locked(struct thread_group *tg, struct task *only, int sig, const siginfo_t *info, bool forced)
{
	struct sigpending *p = only ? &only->pending : &tg->pending;
	struct task *judge = only ? only : any_task(tg);
	int err;

	mutex_assert_held(&kernel()->tasks_mu);
	if (sig == 0 || !judge || tg->zombie || tg->group_exit || (only && only->state == TASK_DEAD))
		return 0;
	if (sig == SIGCONT)
		go_on(tg);
	else if (SIGS_STOP & SIGBIT(sig))
		flush_everywhere(tg, SIGBIT(SIGCONT));
	if (ignored(tg, judge, sig, forced))
		return 0;
	if (sig == SIGKILL) {
		group_exit_locked(tg, SIGKILL);
		return 0;
	}
	if (sig < FIRST_REALTIME && p->set & SIGBIT(sig))
		return 0;
	err = enqueue(tg, p, sig, info);
	if (!err)
		choose_and_wake(tg, only, sig);
	return err;
}

int signal_send_task(struct task *t, int sig, const siginfo_t *info)
{
	int err;

	mutex_lock(&kernel()->tasks_mu);
	err = signal_send_locked(t->tg, t, sig, info, false);
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

int signal_send_group(struct thread_group *tg, int sig, const siginfo_t *info)
{
	int err;

	mutex_lock(&kernel()->tasks_mu);
	err = signal_send_locked(tg, NULL, sig, info, false);
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

int signal_send_pgrp(int pgid, int sig, const siginfo_t *info)
{
	struct thread_group *tg;
	struct pgrp *pg;
	int err = -ESRCH;

	mutex_lock(&kernel()->tasks_mu);
	pg = pgrp_find_locked(pgid);
	if (pg)
		TAILQ_FOREACH(tg, &pg->members, pgrp_link) {
			signal_send_locked(tg, NULL, sig, info, false);
			err = 0;
		}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

void signal_send_timer_locked(struct thread_group *tg, struct task *only, struct sigqueue_entry *e)
{
	struct sigpending *p = only ? &only->pending : &tg->pending;
	struct task *judge = only ? only : any_task(tg);
	int sig = e->info.si_signo;

	mutex_assert_held(&kernel()->tasks_mu);
	if (e->queued || !judge || judge->state == TASK_DEAD || tg->zombie || tg->group_exit || ignored(tg, judge, sig, false))
		return;
	if (sig == SIGKILL) {
		group_exit_locked(tg, SIGKILL);
		return;
	}
	e->queued = true;
	TAILQ_INSERT_TAIL(&p->queue, e, link);
	p->set |= SIGBIT(sig);
	choose_and_wake(tg, only, sig);
}

void signal_cancel_timer_locked(struct thread_group *tg, struct task *only, struct sigqueue_entry *e)
{
	struct sigpending *p = only ? &only->pending : &tg->pending;
	struct sigqueue_entry *other;

	mutex_assert_held(&kernel()->tasks_mu);
	if (!e->queued)
		return;
	e->queued = false;
	TAILQ_REMOVE(&p->queue, e, link);
	TAILQ_FOREACH(other, &p->queue, link)
		if (other->info.si_signo == e->info.si_signo)
			return;
	p->set &= ~SIGBIT(e->info.si_signo);
	if (e->info.si_signo == SIGALRM)
		itimer_signal_taken_locked(tg);
}

void signal_force(struct task *t, int sig, const siginfo_t *info)
{
	struct ksigaction *ka;

	mutex_lock(&kernel()->tasks_mu);
	ka = signal_action_back_locked(t->sighand, sig);
	if (t->blocked & SIGBIT(sig) || ka->handler == HANDLER_IGN) {
		ka->handler = HANDLER_DFL;
		t->blocked &= ~SIGBIT(sig);
	}
	// A fault can't be left alone, not even an init's: it would fault again at once.
	if (ka->handler == HANDLER_DFL)
		t->tg->unkillable = false;
	signal_send_locked(t->tg, t, sig, info, true);
	mutex_unlock(&kernel()->tasks_mu);
}

// kill(2): the real or effective uid matches the other's real or saved one, or CAP_KILL; SIGCONT goes to anyone in the session.
bool signal_may_send(struct task *from, struct thread_group *to, int sig)
{
	const struct cred *c = from->cred, *tc;

	mutex_assert_held(&kernel()->tasks_mu);
	if (!to->leader || from->tg == to)
		return true;
	tc = to->leader->cred;
	return c->euid == tc->suid || c->euid == tc->uid || c->uid == tc->suid || c->uid == tc->uid || cred_has_cap(c, CAP_KILL) ||
	       (sig == SIGCONT && from->tg->session == to->session);
}
