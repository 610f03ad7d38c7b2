// Pipes: a byte queue between files, and what splice and FIFOs need of it.
//
// Lock: pipe->mu (ARCHITECTURE.md, level 2). An inode's mu may be held when it is taken, not the other way round.
// A few bytes may be lent to a process that has both ends (pipe_lend.c).
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "abi/types.h"
#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/waitq.h"
#include "sentry/vfs/loans.h"

struct file;
struct inode;
struct task;
struct uio;

enum { PIPE_SIZE_DEFAULT = 65536, PIPE_SIZE_MIN = 4096, PIPE_SIZE_MAX = 1 << 20 /* without CAP_SYS_RESOURCE */ };

struct pipe_packet { // of O_DIRECT: the bytes [start, end) of the stream
	uint64_t start, end;
};

struct pipe {
	struct ref ref;
	struct mutex mu;
	// Guarded by mu. Positions count every byte that ever passed; the byte at pos lies in buf[pos % buf_bytes].
	char *buf; // kmem_bytes; grows with what is in it
	size_t buf_bytes; // a power of two, or 0
	size_t size; // the capacity that F_GETPIPE_SZ tells
	uint64_t head, tail; // read and written so far
	struct pipe_packet *packets; // kmem_bytes: a ring of size / PIPE_BUF; NULL until the first packet
	uint32_t packet_first, packet_count;
	int readers, writers, files; // open ends
	uint64_t reader_opens, writer_opens; // ever; for FIFOs
	bool anonymous; // made by pipe(2): opened again through /proc, it waits for nobody
	struct waitq rd_waitq, wr_waitq; // wait for bytes, wait for room; the opens of a FIFO wait on these too
	struct content_loan loan; // of the few bytes that are in it; buf, which has room for them, is empty meanwhile
	struct { // by which descriptor it was read last, and written: to be looked at again
		_Atomic(const struct fdtable *) table;
		_Atomic int fd;
	} used[2];
};

// Locks mu; what was lent has come back. Who takes mu alone may look at what else there is.
void pipe_lock(struct pipe *p);
size_t pipe_used_locked(const struct pipe *p); // how many bytes are in it; mu alone will do
void pipe_file_used(struct file *f, struct task *t, int fd, bool wrote); // file_ops.used: lends them

// --- files
// Both ends of a new pipe; flags: O_NONBLOCK, O_DIRECT. 0 or -errno.
int pipe_create_files(struct task *t, int flags, struct file **out_reader, struct file **out_writer);
// Opens a FIFO (or a pipe again, through /proc): f->inode and f->flags are set; sets f->ops and f->priv and counts the end.
// 0, -ENXIO, -ENOMEM. The system call then calls fifo_open_wait at each entry until it answers 0.
int fifo_open(struct file *f);
// 0: the other side is there (or nobody need wait for it); else what task_block() answers. f stays open while it waits.
long fifo_open_wait(struct task *t, struct file *f);
struct pipe *file_pipe(struct file *f); // borrowed; NULL: f is no pipe
// F_SETPIPE_SZ and F_GETPIPE_SZ: the size, or -EBADF (no pipe), -EBUSY, -EPERM, -EINVAL.
long pipe_fcntl(struct task *t, struct file *f, int cmd, uint64_t arg);

// --- the queue. Bytes, or 0 at the end (read), -EPIPE (write), -EAGAIN, -EFAULT. None raises SIGPIPE: pipe_broken does.
int64_t pipe_read(struct pipe *p, struct uio *u);
int64_t pipe_write(struct pipe *p, struct uio *u, bool packet);
void pipe_broken(struct task *t); // raises SIGPIPE

// --- for splice and its kin
// Moves (or with keep, copies) up to len bytes between two pipes. Bytes; 0: in is at its end; -EPIPE; -EAGAIN with
// *out_wait_in telling which side has to change.
int64_t pipe_splice(struct pipe *in, struct pipe *out, size_t len, bool keep, bool *out_wait_in);
size_t pipe_room(struct pipe *p); // bytes that can be written now
// Gives back len bytes that were just read and could not be passed on: they will be read next. 0 or -ENOMEM.
int pipe_unread(struct pipe *p, const void *src, size_t len);
// Appends all len bytes, which pipe_room promised, even if another writer was faster. 0, -EPIPE or -ENOMEM.
int pipe_append(struct pipe *p, const void *src, size_t len);
