// Loans of descriptors to processes: when they are made, and what ends them.
#include "sentry/vfs/loans.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/vfs_int.h"

enum {
	USES_ENOUGH = 16, // of what is in a file
	SEEKS_LAST = 16, // transfers, after which its position is still worth lending
	OPENS_USES = 4, // of a file, for who opens it next to have it at once
};

KMEM_TYPE(loan_type, loan);

static bool may_lend(void)
{
	return platform->lend && !kernel()->strace && !kernel()->vfs->nwatches;
}

static void unlist_locked(struct loan *loan)
{
	if (!loan->inode)
		return;
	LIST_REMOVE(loan, by_inode);
	loan->inode->nloans--;
	loan->inode = NULL;
}

static void take_pos(struct file *f, int64_t pos)
{
	if (pos < 0) // an application may write there what it likes
		return;
	if (f->pos != pos)
		f->seeks = SEEKS_LAST;
	f->pos = pos;
}

static void note_written(struct loan *loan, struct inode *inode)
{
	int64_t ago = loan->writes ? platform->lent_written(loan->as, loan->fd) : -1, at, known = inode->lent_written_ns;

	if (ago < 0)
		return;
	at = ktime_now(CLOCK_REALTIME) - ago;
	while (at > known && !atomic_compare_exchange_weak(&inode->lent_written_ns, &known, at))
		;
}

static void take_back(struct loan *loan, struct file *f)
{
	struct mutex *mu = &kernel()->vfs->loans_mu;
	int64_t pos;

	mutex_lock(mu); // who changes the inode's times finds what was written before, here or there
	pos = platform->lent_take_back(loan->as, loan->fd);
	note_written(loan, f->inode);
	unlist_locked(loan);
	mutex_unlock(mu);
	if (loan->has_pos)
		take_pos(f, pos);
}

static bool others_use(const struct file *f, int held)
{
	return atomic_load(&f->ref.count) > 1 + held; // 1: the table's
}

int loan_make(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f, int held, struct platform_loan *spec)
{
	struct loan *loan = *slot;
	int err;

	if (loan)
		take_back(loan, f);
	else
		loan = kmem_alloc(&loan_type);
	if (!loan)
		return -ENOMEM;
	if (others_use(f, held))
		spec->kinds &= ~PLATFORM_LEND_POS;
	if (spec->kinds & PLATFORM_LEND_POS)
		spec->pos = f->pos;
	if (loan->no_tty)
		spec->kinds |= PLATFORM_LEND_NO_TTY;
	loan->fd = fd;
	loan->has_pos = spec->kinds & PLATFORM_LEND_POS;
	loan->writes = spec->kinds & PLATFORM_LEND_PWRITE;
	loan->closes = spec->kinds & PLATFORM_LEND_CLOSE;
	loan->no_tty = spec->kinds & PLATFORM_LEND_NO_TTY;
	mutex_lock(&kernel()->vfs->loans_mu);
	err = platform->lend(t->ctx, ft, fd, spec, &loan->as);
	if (!err && spec->kinds != PLATFORM_LEND_POS) {
		loan->inode = f->inode;
		loan->inode->nloans++;
		LIST_INSERT_HEAD(&f->inode->loans, loan, by_inode);
	}
	mutex_unlock(&kernel()->vfs->loans_mu);
	if (err)
		kmem_free(&loan_type, loan);
	*slot = err ? NULL : loan;
	return err;
}

int loan_no_tty(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f)
{
	struct loan *loan = *slot;

	if (!may_lend() || (loan && (loan->of_content || loan->no_tty)))
		return -EBUSY;
	if (!loan)
		return loan_make(slot, t, ft, fd, f, 1, &(struct platform_loan){.kinds = PLATFORM_LEND_NO_TTY});
	platform->lent_no_tty(loan->as, fd);
	loan->no_tty = true;
	return 0;
}

int loan_give_pos(struct loan **slot, struct task *t, const struct fdtable *ft, int fd, struct file *f)
{
	struct loan *loan = *slot;
	int err;

	if (others_use(f, 1) || (loan && (loan->of_content || loan->has_pos)))
		return -EBUSY;
	if (!loan)
		return loan_make(slot, t, ft, fd, f, 1, &(struct platform_loan){.kinds = PLATFORM_LEND_POS});
	err = platform->lent_give_pos(t->ctx, loan->as, fd, f->pos);
	loan->has_pos = !err;
	return err;
}

bool loan_says_no_tty(const struct loan *loan)
{
	return loan && !loan->of_content && loan->no_tty;
}

void loan_share(struct loan *loan, struct file *f)
{
	if (!loan || !loan->has_pos)
		return;
	loan->has_pos = false;
	take_pos(f, platform->lent_take_pos(loan->as, loan->fd));
}

// What the process had of it is here now.
static void content_fetch_locked(struct content_loan *c)
{
	if (!c->there)
		return;
	c->pos = (uint64_t)platform->lent_take_back(c->loan.as, c->loan.fd);
	if (c->feeder >= 0)
		platform->lent_take_back(c->loan.as, c->feeder);
	c->there = false;
}

static void content_fetch(struct content_loan *c)
{
	mutex_lock(&kernel()->vfs->loans_mu);
	content_fetch_locked(c);
	mutex_unlock(&kernel()->vfs->loans_mu);
}

void loan_end(struct loan *loan, struct file *f)
{
	if (!loan)
		return;
	if (loan->of_content) {
		content_fetch(container_of(loan, struct content_loan, loan));
		return;
	}
	take_back(loan, f);
	kmem_free(&loan_type, loan);
}

bool loans_stop(struct inode *inode)
{
	struct mutex *mu = &kernel()->vfs->loans_mu;
	struct loan *loan;
	bool busy = false;

	if (!inode->nloans)
		return false;
	mutex_lock(mu);
	while ((loan = LIST_FIRST(&inode->loans))) {
		busy |= platform->lent_stop(loan->as, loan->fd);
		note_written(loan, inode);
		unlist_locked(loan);
	}
	mutex_unlock(mu);
	return busy;
}

int64_t loans_written(struct inode *inode)
{
	struct mutex *mu = &kernel()->vfs->loans_mu;
	struct loan *loan;

	if (inode->nloans) {
		mutex_lock(mu);
		LIST_FOREACH(loan, &inode->loans, by_inode)
			note_written(loan, inode);
		mutex_unlock(mu);
	}
	return inode->lent_written_ns ? atomic_exchange(&inode->lent_written_ns, 0) : 0;
}

// What is lent of f, or may be.
static bool terms(struct file *f, struct task *t, bool wrote, struct platform_loan *out)
{
	if (!f->ops->lend || !f->ops->lend(f, t, wrote, out))
		return false;
	if (mount_flags(f->path.mnt) & ST_NOEXEC)
		out->kinds &= ~PLATFORM_LEND_MAP;
	return true;
}

// A lock may hang on a close, which others wait for.
static bool closes_late(const struct task *t, const struct file *f)
{
	return platform->set_late && fdtable_alone(t->files) && // so f is still there
	       f->ops->closes_late && (f->flags & (O_ACCMODE | O_PATH)) == O_RDONLY && !f->inode->locks;
}

void loan_after_transfer(struct task *t, int fd, struct file *f, bool wrote)
{
	struct platform_loan spec = {0};
	bool keep = false;

	if (!f->ops->lend || !may_lend())
		return;
	inode_used(f->inode);
	mutex_lock(&f->inode->mu);
	if (terms(f, t, wrote, &spec)) {
		if (closes_late(t, f))
			spec.kinds |= PLATFORM_LEND_CLOSE;
		keep = fdtable_lend(t, fd, f, 1, &spec) == -ENOENT;
	}
	if (keep && mm_ops_try(t))
		platform->file_keep(t->ctx, spec.file);
	mutex_unlock(&f->inode->mu);
}

// What its process doesn't have is brought along if programs use it again and again.
static int lend_opened(struct task *t, int fd, struct file *f, struct platform_loan *spec)
{
	int err = fdtable_lend(t, fd, f, 0, spec);

	if (err == -ENOENT && f->inode->uses >= OPENS_USES && platform->file_foresee && !platform->file_foresee(t->ctx, spec->file))
		err = fdtable_lend(t, fd, f, 0, spec);
	return err;
}

void loan_at_open(struct task *t, int fd, struct file *f)
{
	struct platform_loan spec = {0};

	if (!may_lend() || !closes_late(t, f))
		return;
	mutex_lock(&f->inode->mu);
	if (!terms(f, t, false, &spec))
		spec = (struct platform_loan){0};
	spec.kinds |= PLATFORM_LEND_CLOSE;
	if (lend_opened(t, fd, f, &spec) == -ENOENT)
		fdtable_lend(t, fd, f, 0, &(struct platform_loan){.kinds = PLATFORM_LEND_CLOSE});
	mutex_unlock(&f->inode->mu);
}

void loan_pos(struct task *t, int fd, struct file *f, bool sought)
{
	const uint8_t seeks = atomic_load_explicit(&f->seeks, memory_order_relaxed); // one that gets lost doesn't matter

	if (!f->ops->plain_seek || (!sought && !seeks))
		return;
	atomic_store_explicit(&f->seeks, sought ? SEEKS_LAST : seeks - 1, memory_order_relaxed);
	if (may_lend())
		fdtable_lend_pos(t, fd, f);
}

void loan_at_dup(struct task *t, int fd, struct file *f)
{
	if (!may_lend() || !closes_late(t, f))
		return;
	mutex_lock(&f->inode->mu);
	fdtable_lend(t, fd, f, 1, &(struct platform_loan){.kinds = PLATFORM_LEND_CLOSE});
	mutex_unlock(&f->inode->mu);
}

void loans_stop_closes(struct inode *inode)
{
	struct mutex *mu = &kernel()->vfs->loans_mu;
	struct loan *loan, *next;

	if (!inode->nloans)
		return;
	mutex_lock(mu);
	LIST_FOREACH_SAFE(loan, &inode->loans, by_inode, next) {
		if (!loan->closes)
			continue;
		platform->lent_stop(loan->as, loan->fd);
		unlist_locked(loan);
	}
	mutex_unlock(mu);
}

bool content_make(struct content_loan *c, struct task *t, const struct fdtable *ft, int fd, int feeder, const struct platform_loan *spec)
{
	const struct platform_loan feeds = {.kinds = PLATFORM_LEND_FEEDS, .feeds = fd};

	mutex_lock(&kernel()->vfs->loans_mu);
	if (!platform->lend(t->ctx, ft, fd, spec, &c->loan.as)) {
		if (!c->loan.of_content) // a table that still points here may just look at it
			c->loan.of_content = true;
		c->loan.fd = fd;
		c->feeder = feeder;
		c->there = true;
		c->pos = (uint64_t)spec->pos;
		if (feeder >= 0 && platform->lend(t->ctx, ft, feeder, &feeds, &c->loan.as)) {
			c->feeder = -1;
			content_fetch_locked(c);
		}
	}
	c->lent = c->there;
	mutex_unlock(&kernel()->vfs->loans_mu);
	return c->lent;
}

bool content_used(struct content_loan *c)
{
	const uint32_t uses = atomic_load_explicit(&c->uses, memory_order_relaxed) + 1; // one that gets lost doesn't matter

	atomic_store_explicit(&c->uses, uses < USES_ENOUGH ? uses : 0, memory_order_relaxed);
	return uses >= USES_ENOUGH && may_lend();
}

uint64_t content_peek(const struct content_loan *c)
{
	uint64_t pos;

	mutex_lock(&kernel()->vfs->loans_mu);
	pos = c->there ? (uint64_t)platform->lent_peek(c->loan.as, c->loan.fd) : c->pos;
	mutex_unlock(&kernel()->vfs->loans_mu);
	return pos;
}

uint64_t content_take_back(struct content_loan *c)
{
	content_fetch(c);
	c->lent = false;
	atomic_store_explicit(&c->uses, 0, memory_order_relaxed);
	return c->pos;
}

void content_tell_epoll(const struct content_loan *c, struct task *t, int ep_fd, uint32_t index, uint32_t count, uint64_t data)
{
	mutex_lock(&kernel()->vfs->loans_mu);
	if (c->there)
		platform->epoll_quiet(t->ctx, ep_fd, index, count, &(struct platform_item){c->loan.as, c->loan.fd, data});
	mutex_unlock(&kernel()->vfs->loans_mu);
}
