// signalfd: whoever reads it takes the signals that wait for himself and are in its mask. man 2 signalfd.
#include "sentry/fs/signalfd/signalfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "abi/errno.h"
#include "abi/poll.h"
#include "lib/kmem.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_int.h"
#include "sentry/vfs/vfs.h"

#define SIGS_FAULT (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE))

struct signalfd {
	_Atomic ksigset_t mask;
};

KMEM_TYPE(signalfd_type, signalfd);

static void fill_child(struct signalfd_siginfo *out, const siginfo_t *info)
{
	out->ssi_pid = info->si_pid;
	out->ssi_uid = info->si_uid;
	out->ssi_status = info->si_status;
	out->ssi_utime = info->si_utime;
	out->ssi_stime = info->si_stime;
}

// Which members of siginfo's union count depends on the signal and on its sender.
static void fill(struct signalfd_siginfo *out, const siginfo_t *info)
{
	int sig = info->si_signo, code = info->si_code;

	memset(out, 0, sizeof(*out));
	out->ssi_signo = sig;
	out->ssi_errno = info->si_errno;
	out->ssi_code = code;
	if (code == SI_TIMER) {
		out->ssi_tid = info->si_timerid;
		out->ssi_overrun = info->si_overrun;
		out->ssi_ptr = (uint64_t)info->si_value.sival_ptr;
		out->ssi_int = info->si_value.sival_int;
	} else if (code > 0 && code < SI_KERNEL && sig == SIGCHLD) {
		fill_child(out, info);
	} else if (code > 0 && code < SI_KERNEL && SIGS_FAULT & SIGBIT(sig)) {
		out->ssi_addr = (uint64_t)info->si_addr;
	} else if (code == SI_SIGIO || (code > 0 && code < SI_KERNEL && sig == SIGPOLL)) {
		out->ssi_band = info->si_band;
		out->ssi_fd = info->si_fd;
	} else {
		out->ssi_pid = info->si_pid;
		out->ssi_uid = info->si_uid;
		if (code < 0 && code != SI_TKILL) {
			out->ssi_ptr = (uint64_t)info->si_value.sival_ptr;
			out->ssi_int = info->si_value.sival_int;
		}
	}
}

static bool take(struct task *t, ksigset_t mask, siginfo_t *out)
{
	int sig;

	mutex_lock(&kernel()->tasks_mu);
	sig = signal_dequeue_locked(t, mask, out);
	if (sig)
		signal_recalc_locked(t);
	mutex_unlock(&kernel()->tasks_mu);
	return sig;
}

static int64_t signalfd_read(struct file *f, struct uio *u, int64_t *pos)
{
	struct signalfd *s = f->priv;
	struct task *t = current_task();
	struct signalfd_siginfo one;
	int64_t done = 0;
	siginfo_t info;

	if (!t || u->resid < sizeof(one))
		return -EINVAL;
	while (u->resid >= sizeof(one) && take(t, s->mask, &info)) {
		fill(&one, &info);
		if (uio_put(u, &one, sizeof(one)))
			return done ? done : -EFAULT;
		done += sizeof(one);
	}
	return done ? done : -EAGAIN;
}

static uint32_t signalfd_poll(struct file *f, struct poll_table *pt)
{
	struct signalfd *s = f->priv;
	struct task *t = current_task();
	ksigset_t waiting;

	if (!t)
		return 0;
	poll_wait(pt, signalfd_waitq(t->tg));
	mutex_lock(&kernel()->tasks_mu);
	waiting = (t->pending.set | t->tg->pending.set) & s->mask;
	mutex_unlock(&kernel()->tasks_mu);
	return waiting ? POLLIN : 0;
}

static int signalfd_fdinfo(struct file *f, char *dst, size_t cap)
{
	struct signalfd *s = f->priv;

	return snprintf(dst, cap, "sigmask:\t%016lx\n", (unsigned long)s->mask);
}

static void signalfd_release(struct file *f)
{
	kmem_free(&signalfd_type, f->priv);
}

static const struct file_ops signalfd_ops = {
	.read = signalfd_read,
	.poll = signalfd_poll,
	.show_fdinfo = signalfd_fdinfo,
	.release = signalfd_release,
	.stream = true,
};

struct file *signalfd_create_file(ksigset_t mask, int flags)
{
	struct signalfd *s = kmem_alloc(&signalfd_type);
	struct file *f;

	if (!s)
		return NULL;
	s->mask = mask & ~SIG_UNBLOCKABLE;
	f = file_create_anon(&signalfd_ops, s, O_RDWR | (flags & O_NONBLOCK), 0, "signalfd");
	if (!f)
		kmem_free(&signalfd_type, s);
	return f;
}

int signalfd_set_mask(struct file *f, struct task *t, ksigset_t mask)
{
	struct signalfd *s = f->priv;

	if (f->ops != &signalfd_ops)
		return -EINVAL;
	s->mask = mask & ~SIG_UNBLOCKABLE;
	waitq_wake(signalfd_waitq(t->tg), POLLIN);
	return 0;
}
