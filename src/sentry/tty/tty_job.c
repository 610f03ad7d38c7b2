// Job control: sessions and their terminals, who is in the foreground, and hang-ups (POSIX, "General Terminal Interface").
//
// session->tty and tty->session point at each other under tasks_mu; neither counts. A process can do without its session's terminal
// (TIOCNOTTY): tg->gave_up_tty.
#include <fcntl.h>
#include <signal.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/tty/tty_int.h"
#include "sentry/vfs/vfs.h"

enum { HANDLER_IGN = 1 };

struct tty *tty_of_group_locked(struct thread_group *tg)
{
	mutex_assert_held(&kernel()->tasks_mu);
	return tg->session && !tg->gave_up_tty ? tg->session->tty : NULL;
}

struct tty *tty_of_task(struct task *t)
{
	struct tty *tty;

	mutex_lock(&kernel()->tasks_mu);
	tty = tty_of_group_locked(t->tg);
	if (tty && !tty_get_unless_gone(tty))
		tty = NULL;
	mutex_unlock(&kernel()->tasks_mu);
	return tty;
}

int tty_number_locked(struct thread_group *tg, int *out_pgid)
{
	struct tty *tty = tty_of_group_locked(tg);

	*out_pgid = tty ? tty->pgid : -1;
	return tty ? TTY_MAJOR_PTS << 8 | (tty->index & 0xff) | (tty->index & ~0xff) << 12 : 0;
}

static void signal_pgrp_locked(int pgid, int sig)
{
	struct pgrp *pg = pgrp_find_locked(pgid);
	struct thread_group *tg;
	siginfo_t info;

	siginfo_kernel(&info, sig);
	if (pg)
		TAILQ_FOREACH(tg, &pg->members, pgrp_link)
			signal_send_locked(tg, NULL, sig, &info, false);
}

int tty_signal_foreground_locked(struct tty *tty, int sig)
{
	mutex_assert_held(&kernel()->tasks_mu);
	if (!tty->pgid)
		return -ENOTTY;
	signal_pgrp_locked(tty->pgid, sig);
	return 0;
}

static bool ignores(struct task *t, int sig)
{
	return t->blocked & SIGBIT(sig) || signal_action_locked(t->sighand, sig)->handler == HANDLER_IGN;
}

int tty_check_change(struct task *t, struct tty *tty, int sig)
{
	struct thread_group *tg = t->tg;
	int err = 0;

	mutex_lock(&kernel()->tasks_mu);
	if (tty_of_group_locked(tg) != tty || !tty->pgid || tty->pgid == tg->pgrp->pgid) {
		err = 0;
	} else if (ignores(t, sig)) {
		err = sig == SIGTTIN ? -EIO : 0;
	} else if (pgrp_orphaned_locked(tg->pgrp, NULL)) {
		err = -EIO; // nobody could continue it
	} else {
		signal_pgrp_locked(tg->pgrp->pgid, sig);
		err = -ERESTARTSYS;
	}
	mutex_unlock(&kernel()->tasks_mu);
	return err;
}

// --- whose terminal it is

static void tie_locked(struct tty *tty, struct thread_group *tg)
{
	tty->session = tg->session;
	tty->pgid = tg->pgrp->pgid;
	tg->session->tty = tty;
	tg->gave_up_tty = false;
}

static void untie_locked(struct tty *tty)
{
	if (tty->session)
		tty->session->tty = NULL;
	tty->session = NULL;
	tty->pgid = 0;
}

void tty_make_controlling(struct tty *tty, struct thread_group *tg)
{
	mutex_lock(&kernel()->tasks_mu);
	if (!tty->session && !tg->session->tty)
		tie_locked(tty, tg);
	mutex_unlock(&kernel()->tasks_mu);
}

void tty_take_if_free(struct task *t, struct tty *tty)
{
	struct thread_group *tg = t->tg;

	mutex_lock(&kernel()->tasks_mu);
	if (tg->session->leader == tg && !tg->session->tty && !tty->session)
		tie_locked(tty, tg);
	mutex_unlock(&kernel()->tasks_mu);
}

static long take(struct task *t, struct file *f, struct tty *tty, uint64_t arg)
{
	struct thread_group *tg = t->tg;
	bool admin = cred_has_cap(t->cred, CAP_SYS_ADMIN);

	if (tg->session->leader == tg && tty->session == tg->session)
		return 0;
	if (tg->session->leader != tg || tg->session->tty)
		return -EPERM;
	if (tty->session && !(arg == 1 && admin))
		return -EPERM;
	if ((f->flags & O_ACCMODE) == O_WRONLY && !admin)
		return -EPERM;
	untie_locked(tty); // stolen from its session
	tie_locked(tty, tg);
	return 0;
}

static long give_up(struct thread_group *tg, struct tty *tty)
{
	if (tty_of_group_locked(tg) != tty)
		return -ENOTTY;
	if (tg->session->leader != tg) {
		tg->gave_up_tty = true;
		return 0;
	}
	tty_signal_foreground_locked(tty, SIGHUP);
	tty_signal_foreground_locked(tty, SIGCONT);
	untie_locked(tty);
	return 0;
}

static long set_foreground(struct task *t, struct tty *tty, int pgid)
{
	struct thread_group *tg = t->tg;
	struct pgrp *pg;

	if (tty_of_group_locked(tg) != tty || tty->session != tg->session)
		return -ENOTTY;
	if (pgid < 0)
		return -EINVAL;
	pg = pgrp_find_locked(pgid);
	if (!pg)
		return -ESRCH;
	if (pg->session != tg->session)
		return -EPERM;
	tty->pgid = pgid;
	return 0;
}

// What TIOCGPGRP and TIOCGSID tell: to the master always, else only to those whose terminal it is.
static long get_owner(struct task *t, struct tty *tty, bool master, bool sid, int *out)
{
	if (!master && tty_of_group_locked(t->tg) != tty)
		return -ENOTTY;
	if (sid && !tty->session)
		return -ENOTTY;
	*out = sid ? tty->session->sid : tty->pgid;
	return 0;
}

long tty_ioctl_job(struct task *t, struct file *f, struct tty *tty, bool master, unsigned cmd, uint64_t arg)
{
	int number = 0;
	long ret = -ENOTTY;

	if (cmd == TIOCSPGRP) {
		ret = tty_check_change(t, tty, SIGTTOU);
		if (ret)
			return ret == -EIO ? -ENOTTY : ret;
		if (copy_in_obj(t, &number, arg))
			return -EFAULT;
	}
	mutex_lock(&kernel()->tasks_mu);
	switch (cmd) {
	case TIOCSCTTY:
		ret = take(t, f, tty, arg);
		break;
	case TIOCNOTTY:
		ret = give_up(t->tg, tty);
		break;
	case TIOCSPGRP:
		ret = set_foreground(t, tty, number);
		break;
	case TIOCGPGRP:
	case TIOCGSID:
		ret = get_owner(t, tty, master, cmd == TIOCGSID, &number);
		break;
	}
	mutex_unlock(&kernel()->tasks_mu);
	if (!ret && (cmd == TIOCGPGRP || cmd == TIOCGSID))
		return copy_out_obj(t, arg, &number);
	return ret;
}

// --- hang-ups

// Files opened so far are dead from now on. Their buffers' contents are nobody's.
static void kill_files(struct tty *tty)
{
	atomic_fetch_add(&tty->hangups, 1);
	waitq_wake(&tty->slave_waitq, POLLIN_ALL | POLLOUT_ALL | POLLHUP | POLLERR);
}

void tty_hangup(struct tty *tty)
{
	struct session *s;
	siginfo_t info;

	mutex_lock(&kernel()->tasks_mu);
	s = tty->session;
	if (s && s->leader) {
		siginfo_kernel(&info, SIGHUP);
		signal_send_locked(s->leader, NULL, SIGHUP, &info, false);
		siginfo_kernel(&info, SIGCONT);
		signal_send_locked(s->leader, NULL, SIGCONT, &info, false);
		s->lost_tty_pgid = tty->pgid;
	}
	untie_locked(tty);
	kill_files(tty);
	mutex_unlock(&kernel()->tasks_mu);
}

void tty_session_ended_locked(struct session *s)
{
	struct tty *tty = s->tty;

	if (tty) {
		tty_signal_foreground_locked(tty, SIGHUP); // no more: a pty's files live on
		untie_locked(tty);
	} else if (s->lost_tty_pgid) {
		signal_pgrp_locked(s->lost_tty_pgid, SIGHUP);
		signal_pgrp_locked(s->lost_tty_pgid, SIGCONT);
	}
	s->lost_tty_pgid = 0;
}
