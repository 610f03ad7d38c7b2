// Descriptor tables. What a process was lent of a descriptor (loans.h) comes back when the sentry looks it up or changes it.
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <fcntl.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/loans.h"
#include "sentry/vfs/locks.h"
#include "sentry/vfs/vfs.h"

enum { FDS_FIRST = 64, FDS_LIMIT = 1 << 20 };

struct fd_slot {
	struct file *file; // counted
	struct loan *loan; // or NULL
	bool cloexec;
};

struct fdtable {
	struct ref ref;
	struct mutex mu;
	// Guarded by mu.
	struct fd_slot *slots;
	int nslots, lowest_free; // no free number lies below lowest_free
	bool lends; // or did, since take_back()
};

KMEM_TYPE(fdtable_type, fdtable);

struct fdtable *fdtable_create(void)
{
	struct fdtable *ft = kmem_alloc(&fdtable_type);

	if (!ft)
		return NULL;
	ref_init(&ft->ref);
	mutex_init(&ft->mu);
	ft->slots = kmem_bytes(FDS_FIRST * sizeof(*ft->slots));
	ft->nslots = FDS_FIRST;
	if (!ft->slots) {
		kmem_free(&fdtable_type, ft);
		return NULL;
	}
	return ft;
}

struct fdtable *fdtable_dup(struct fdtable *ft)
{
	struct fdtable *copy = kmem_alloc(&fdtable_type);

	if (!copy)
		return NULL;
	ref_init(&copy->ref);
	mutex_init(&copy->mu);
	mutex_lock(&ft->mu);
	copy->nslots = ft->nslots;
	while (copy->nslots > FDS_FIRST && !ft->slots[copy->nslots - 1].file)
		copy->nslots--;
	copy->slots = kmem_bytes(copy->nslots * sizeof(*copy->slots));
	if (copy->slots) {
		memcpy(copy->slots, ft->slots, copy->nslots * sizeof(*copy->slots));
		for (int i = 0; i < copy->nslots; i++)
			if (copy->slots[i].file) {
				loan_share(ft->slots[i].loan, ft->slots[i].file);
				file_get(copy->slots[i].file);
				copy->slots[i].loan = NULL;
			}
		copy->lowest_free = MIN(ft->lowest_free, copy->nslots);
	}
	mutex_unlock(&ft->mu);
	if (!copy->slots) {
		kmem_free(&fdtable_type, copy);
		return NULL;
	}
	return copy;
}

struct fdtable *fdtable_get(struct fdtable *ft)
{
	ref_get(&ft->ref);
	return ft;
}

bool fdtable_alone(const struct fdtable *ft)
{
	return atomic_load(&ft->ref.count) == 1;
}

// What closing a descriptor does beside dropping the reference.
static int close_file(struct file *f, struct fdtable *ft, struct task *t)
{
	int err = f->ops && f->ops->flush ? f->ops->flush(f, t) : 0;

	if (f->inode->locks)
		file_locks_fd_closed(f, ft);
	file_put(f);
	return err;
}

static void take_back(struct fdtable *ft)
{
	mutex_lock(&ft->mu);
	for (int i = 0; i < ft->nslots && ft->lends; i++) {
		loan_end(ft->slots[i].loan, ft->slots[i].file);
		ft->slots[i].loan = NULL;
	}
	ft->lends = false;
	mutex_unlock(&ft->mu);
}

void fdtable_leave(struct task *t)
{
	if (t->files)
		take_back(t->files);
	if (platform->lent_leave && t->ctx)
		platform->lent_leave(t->ctx);
}

void fdtable_put(struct fdtable *ft, struct task *t)
{
	if (!ft || !ref_put(&ft->ref))
		return;
	take_back(ft);
	for (int i = 0; i < ft->nslots; i++)
		if (ft->slots[i].file)
			close_file(ft->slots[i].file, ft, t);
	kmem_bytes_free(ft->slots);
	kmem_free(&fdtable_type, ft);
}

static struct file *take_out_locked(struct fdtable *ft, int fd)
{
	struct file *f;

	if (fd < 0 || fd >= ft->nslots)
		return NULL;
	f = ft->slots[fd].file;
	loan_end(ft->slots[fd].loan, f);
	ft->slots[fd] = (struct fd_slot){0};
	if (f && fd < ft->lowest_free)
		ft->lowest_free = fd;
	return f;
}

void fdtable_close_on_exec(struct fdtable *ft, struct task *t)
{
	for (int i = 0; i < ft->nslots; i++) {
		struct file *f = NULL;

		mutex_lock(&ft->mu);
		if (i < ft->nslots && ft->slots[i].cloexec)
			f = take_out_locked(ft, i);
		mutex_unlock(&ft->mu);
		if (f)
			close_file(f, ft, t);
	}
}

static struct file *look_up(struct task *t, int fd, bool for_pos)
{
	struct fdtable *ft = t->files;
	struct file *f = task_kept_file(t, fd);

	if (f)
		return file_get(f); // a call that goes on after a wait
	mutex_lock(&ft->mu);
	if (fd >= 0 && fd < ft->nslots && ft->slots[fd].file) {
		if (for_pos)
			loan_share(ft->slots[fd].loan, ft->slots[fd].file);
		f = file_get(ft->slots[fd].file);
	}
	mutex_unlock(&ft->mu);
	if (f) {
		unsigned i = t->call.nlooked++ % 2;

		t->call.looked[i].fd = fd;
		t->call.looked[i].file = f;
	}
	return f;
}

struct file *fd_file_any(struct task *t, int fd)
{
	return look_up(t, fd, true);
}

static struct file *no_path(struct file *f)
{
	if (f && (f->flags & O_PATH)) {
		file_put(f);
		return NULL;
	}
	return f;
}

struct file *fd_file(struct task *t, int fd)
{
	return no_path(look_up(t, fd, true));
}

struct file *fd_file_at(struct task *t, int fd)
{
	return no_path(look_up(t, fd, false));
}

static int grow_locked(struct fdtable *ft, int fd)
{
	int n = ft->nslots;
	struct fd_slot *slots;

	while (n <= fd)
		n *= 2;
	slots = kmem_bytes_resize(ft->slots, n * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	ft->slots = slots;
	ft->nslots = n;
	return 0;
}

static int limit(struct task *t)
{
	return (int)MIN(task_rlimit(t, RLIMIT_NOFILE), (uint64_t)FDS_LIMIT);
}

int fd_install(struct task *t, struct file *f, bool cloexec, int min)
{
	struct fdtable *ft = t->files;
	int fd, err = 0;

	mutex_lock(&ft->mu);
	fd = MAX(min, ft->lowest_free);
	while (fd < ft->nslots && ft->slots[fd].file)
		fd++;
	if (fd >= limit(t))
		err = -EMFILE;
	else if (fd >= ft->nslots)
		err = grow_locked(ft, fd);
	if (!err) {
		ft->slots[fd] = (struct fd_slot){.file = f, .cloexec = cloexec};
		if (min <= ft->lowest_free)
			ft->lowest_free = fd + 1;
	}
	mutex_unlock(&ft->mu);
	if (err)
		file_put(f);
	return err ? err : fd;
}

int fd_install_at(struct task *t, struct file *f, bool cloexec, int fd)
{
	struct fdtable *ft = t->files;
	struct file *old = NULL;
	int err = 0;

	mutex_lock(&ft->mu);
	if (fd < 0 || fd >= limit(t))
		err = -EBADF;
	else if (fd >= ft->nslots)
		err = grow_locked(ft, fd);
	if (!err) {
		old = ft->slots[fd].file;
		loan_end(ft->slots[fd].loan, old);
		ft->slots[fd] = (struct fd_slot){.file = f, .cloexec = cloexec};
	}
	mutex_unlock(&ft->mu);
	if (old)
		close_file(old, ft, t);
	if (err)
		file_put(f);
	return err ? err : fd;
}

int fd_close(struct task *t, int fd)
{
	struct fdtable *ft = t->files;
	struct file *f;

	mutex_lock(&ft->mu);
	f = take_out_locked(ft, fd);
	mutex_unlock(&ft->mu);
	return f ? close_file(f, ft, t) : -EBADF;
}

bool fd_closes_late(struct task *t, int fd)
{
	struct fdtable *ft = t->files;
	bool may;

	mutex_lock(&ft->mu);
	may = fd >= 0 && fd < ft->nslots && ft->slots[fd].file && ft->slots[fd].file->ops && ft->slots[fd].file->ops->closes_late;
	mutex_unlock(&ft->mu);
	return may;
}

int fd_cloexec(struct task *t, int fd, int set)
{
	struct fdtable *ft = t->files;
	int ret = -EBADF;

	mutex_lock(&ft->mu);
	if (fd >= 0 && fd < ft->nslots && ft->slots[fd].file) {
		ret = ft->slots[fd].cloexec;
		if (set >= 0)
			ft->slots[fd].cloexec = set;
	}
	mutex_unlock(&ft->mu);
	return ret;
}

int fd_close_range(struct task *t, unsigned first, unsigned last, bool cloexec_only)
{
	struct fdtable *ft = t->files;

	for (unsigned fd = first; fd <= last; fd++) {
		struct file *f = NULL;
		bool end;

		mutex_lock(&ft->mu);
		end = fd >= (unsigned)ft->nslots;
		if (!end && cloexec_only && ft->slots[fd].file)
			ft->slots[fd].cloexec = true;
		else if (!end)
			f = take_out_locked(ft, (int)fd);
		mutex_unlock(&ft->mu);
		if (f)
			close_file(f, ft, t);
		if (end)
			break;
	}
	return 0;
}

void fdtable_each(struct fdtable *ft, bool (*fn)(void *arg, int fd, struct file *f, bool cloexec), void *arg)
{
	bool more = true;

	for (int i = 0; more; i++) {
		struct file *f = NULL;
		bool cloexec = false;

		mutex_lock(&ft->mu);
		more = i < ft->nslots;
		if (more && ft->slots[i].file) {
			loan_share(ft->slots[i].loan, ft->slots[i].file);
			f = file_get(ft->slots[i].file);
			cloexec = ft->slots[i].cloexec;
		}
		mutex_unlock(&ft->mu);
		if (f)
			more = fn(arg, i, f, cloexec);
		file_put(f);
	}
}

int fdtable_lend(struct task *t, int fd, struct file *f, int held, struct platform_loan *loan)
{
	struct fdtable *ft = t->files;
	int err = -EBADF;

	mutex_lock(&ft->mu);
	if (fd >= 0 && fd < ft->nslots && ft->slots[fd].file == f) {
		err = loan_make(&ft->slots[fd].loan, t, ft, fd, f, held, loan);
		ft->lends |= !err;
	}
	mutex_unlock(&ft->mu);
	return err;
}

// Beside what else is lent of fd, if that is still f.
static void lend_too(struct task *t, int fd, struct file *f, int (*lend)(struct loan **, struct task *, const struct fdtable *, int, struct file *))
{
	struct fdtable *ft = t->files;

	mutex_lock(&ft->mu);
	if (fd >= 0 && fd < ft->nslots && ft->slots[fd].file == f && !lend(&ft->slots[fd].loan, t, ft, fd, f))
		ft->lends = true;
	mutex_unlock(&ft->mu);
}

void fdtable_lend_pos(struct task *t, int fd, struct file *f)
{
	lend_too(t, fd, f, loan_give_pos);
}

void fdtable_no_tty(struct task *t, int fd, struct file *f)
{
	lend_too(t, fd, f, loan_no_tty);
}

void fdtable_inherit_loans(struct task *parent, struct task *child)
{
	struct fdtable *from = parent->files, *to = child->files;

	mutex_lock(&from->mu);
	for (int i = 0; from->lends && i < MIN(from->nslots, to->nslots); i++)
		if (to->slots[i].file && loan_says_no_tty(from->slots[i].loan) && !loan_no_tty(&to->slots[i].loan, child, to, i, to->slots[i].file))
			to->lends = true;
	mutex_unlock(&from->mu);
}

static bool is_end_locked(const struct fdtable *ft, const struct content_end *end)
{
	return !end->f || (end->fd >= 0 && end->fd < ft->nslots && ft->slots[end->fd].file == end->f);
}

void content_lend(struct content_loan *c, struct task *t, struct content_end in, struct content_end out, const struct platform_loan *spec)
{
	struct fdtable *ft = t->files;

	mutex_lock(&ft->mu);
	if (is_end_locked(ft, &in) && is_end_locked(ft, &out) && content_make(c, t, ft, in.fd, out.f ? out.fd : -1, spec)) {
		ft->slots[in.fd].loan = &c->loan;
		if (out.f)
			ft->slots[out.fd].loan = &c->loan;
		ft->lends = true;
	}
	mutex_unlock(&ft->mu);
}
