// Reads and writes of tmpfs files that the application's process carries out by itself, on the file's memfd (uio_leave).
//
// A process holds a descriptor for reading only, or, once it writes, one that writes: then its credentials let it open the file for
// that. A write that makes the file grow is in flight after its call was answered here: attr.size is what it will be, and who asks for
// the size, or changes it, waits until the host has come there too. That is a moment, unless the writer was killed in between, or lies.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

#include "host/hostfd.h"
#include "host/residence.h"
#include "platform/platform.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs_int.h"

enum {
	SETTLE_LOOKS = 64, // awake
	SETTLE_YIELDS = 64,
	SETTLE_SLEEPS = 50, // of a millisecond
};

struct hostfd *tmpfs_readonly_locked(struct tmpfs_node *n)
{
	if (!n->file.readonly)
		n->file.readonly = hostfd_readonly(n->file.host);
	return n->file.readonly;
}

bool tmpfs_leave_read_locked(struct tmpfs_node *n, struct uio *u, int64_t pos, uint64_t len)
{
	if (!n->file.readonly && !(uio_leaves(u, len) && tmpfs_readonly_locked(n)))
		return false;
	return uio_leave(u, n->file.readonly, pos, len, false);
}

// What a process holds it may use at will, and nobody can take it back in time from one that is hostile.
static bool may_hold(struct file *f, struct task *t)
{
	return !(mount_flags(f->path.mnt) & ST_RDONLY) && inode_permission(f->inode, t->cred, MAY_WRITE) == 0;
}

static uint64_t host_size(const struct tmpfs_node *n)
{
	struct stat st;

	return fstat(n->file.host->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

// By t's call, or by one that is still in flight.
static bool grows(struct tmpfs_node *n, const struct task *t)
{
	if (n->file.growth.end && (uint64_t)t->call.left.at + t->call.left.len < n->file.growth.end && host_size(n) >= n->file.growth.end)
		n->file.growth.end = 0;
	return n->file.growth.end;
}

// Reading goes on without us until something makes the next read change the atime; so does writing within the file, and while that is
// lent, no reading is, which would have to renew the atime after it.
bool tmpfs_lend(struct file *f, struct task *t, bool wrote, struct platform_loan *loan)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);

	if (!n->file.host || (!wrote && (f->flags & O_ACCMODE) == O_WRONLY))
		return false;
	if (wrote) {
		if ((f->flags & O_APPEND) || (n->file.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) || grows(n, t) || !may_hold(f, t) ||
		    (n->inode.attr.mode & (S_ISUID | S_ISGID)) || task_rlimit(t, RLIMIT_FSIZE) != RLIM64_INFINITY)
			return false;
		tmpfs_loans_stop(&n->inode);
		n->file.lent_writes = true;
		loan->file = n->file.host;
		loan->kinds = PLATFORM_LEND_PWRITE;
		loan->limit = n->inode.attr.size;
		return true;
	}
	if (n->file.lent_writes)
		tmpfs_loans_stop(&n->inode);
	n->file.lent_writes = false;
	if (tmpfs_atime_due(f) || !tmpfs_readonly_locked(n))
		return false;
	loan->file = n->file.readonly;
	loan->kinds = PLATFORM_LEND_PREAD | PLATFORM_LEND_POS;
	return true;
}

bool tmpfs_leave_write_locked(struct file *f, struct uio *u, int64_t pos, uint64_t end)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);
	const uint64_t old = n->inode.attr.size;
	struct task *t = u->task;

	if (!n->file.host || kernel()->vfs->nwatches || !may_hold(f, t)) // who is told of a change looks for it
		return false;
	if (end > old && ((n->file.seals & F_SEAL_GROW) || tmpfs_charge(n->inode.sb, old, end)))
		return false;
	if (!uio_leave(u, n->file.host, pos, end - (uint64_t)pos, true)) {
		if (end > old)
			tmpfs_charge(n->inode.sb, end, old);
		return false;
	}
	n->file.blocks_stale = true;
	if (end <= old)
		return true;
	n->inode.attr.size = end;
	n->file.growth.end = end;
	n->file.growth.tid = t->tid;
	n->file.growth.start_ns = t->start_ns;
	n->file.growth.host_pid = platform->host_pid(t->ctx);
	return true;
}

bool tmpfs_grown_by(const struct tmpfs_node *n, const struct task *t)
{
	return n->file.growth.end && t && n->file.growth.tid == t->tid && n->file.growth.start_ns == t->start_ns;
}

static bool writer_gone(const struct tmpfs_node *n)
{
	struct task *t = task_find(n->file.growth.tid);
	bool gone = !t || !t->ctx || !tmpfs_grown_by(n, t);

	if (t)
		task_put(t);
	return gone;
}

// Killed, and so far gone that it writes no more.
static bool writer_dead(const struct tmpfs_node *n)
{
	uint64_t pages = 0, shared;

	return !host_process_resident(n->file.growth.host_pid, &pages, &shared) || !pages;
}

// True when it is over; false if the writer takes its time, but may still do as it was told.
static bool wait_for_writer(const struct tmpfs_node *n)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_MSEC};
	bool over = false;

	for (int i = 0; i < SETTLE_LOOKS + SETTLE_YIELDS; i++) {
		if (host_size(n) >= n->file.growth.end)
			return true;
		if (i >= SETTLE_LOOKS)
			sched_yield();
	}
	kernel_away_begin();
	for (int i = 0; i < SETTLE_SLEEPS && !over; i++) {
		over = writer_dead(n) || host_size(n) >= n->file.growth.end;
		if (!over)
			nanosleep(&pause, NULL);
	}
	kernel_away_end();
	return over || writer_gone(n);
}

static void adopt_host_size(struct tmpfs_node *n)
{
	uint64_t size = host_size(n);

	n->file.growth.end = 0;
	if (size >= n->inode.attr.size)
		return;
	tmpfs_charge(n->inode.sb, n->inode.attr.size, size);
	n->inode.attr.size = size;
}

void tmpfs_settle_locked(struct tmpfs_node *n)
{
	uint64_t size = n->file.late ? host_size(n) : 0;

	if (size > n->inode.attr.size) { // as if it had come after what made the file shorter
		tmpfs_charge(n->inode.sb, n->inode.attr.size, size);
		n->inode.attr.size = size;
	}
	if (!n->file.growth.end)
		return;
	if (wait_for_writer(n))
		adopt_host_size(n);
}

void tmpfs_left_undone(struct file *f)
{
	struct tmpfs_node *n = tmpfs_node(f->inode);

	mutex_lock(&n->inode.mu);
	if (n->file.growth.end)
		adopt_host_size(n);
	mutex_unlock(&n->inode.mu);
}
