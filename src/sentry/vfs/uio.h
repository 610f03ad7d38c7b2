// Where bytes of a read or write go: application memory (an iovec of it) or kernel memory. One type, so that files don't care.
#pragma once

#include <stdbool.h>

#include "abi/types.h"

struct hostfd;
struct task;

struct uio_seg {
	uint64_t base; // uaddr_t, or a kernel pointer when task is NULL
	uint64_t len;
};

struct uio {
	struct task *task; // whose memory; NULL: the kernel's own
	const struct uio_seg *segs; // borrowed
	int nsegs, seg; // seg: the current one
	uint64_t seg_done; // bytes of it done
	uint64_t resid; // bytes left in all
	enum { UIO_HERE, UIO_IF_KEPT, UIO_THERE } where; // whether uio_leave() may be tried; UIO_IF_KEPT: with what the platform keeps already
};

void uio_init_user(struct uio *u, struct task *t, struct uio_seg *seg, uaddr_t base, uint64_t len); // one piece; fills *seg
void uio_init_kernel(struct uio *u, struct uio_seg *seg, void *base, uint64_t len);
// Copies len <= resid bytes from src into the place that u stands for and advances. 0 or -EFAULT (what was done before stays done).
int uio_put(struct uio *u, const void *src, uint64_t len);
// Copies len <= resid bytes out of the place that u stands for and advances.
int uio_take(struct uio *u, void *dst, uint64_t len);
// Leaves it to the application's own process to read the next len bytes from file at offset (or write them): true if so, and then u has
// advanced over them, and the caller goes on as if it were done. If it can't be done in full after all, the call is made good
// (sys_rw.c) by what really came, or by entering it again.
bool uio_leave(struct uio *u, struct hostfd *file, int64_t offset, uint64_t len, bool write);
// Whether it is worth having a descriptor for uio_leave() made.
bool uio_leaves(const struct uio *u, uint64_t len);
void uio_skip(struct uio *u, uint64_t len); // advances over len <= resid bytes that were moved already
int uio_zero(struct uio *u, uint64_t len); // puts zeros
// preadv/pwritev on a host descriptor (offset < 0: read/write at its own position), straight to or from application memory
// where the platform allows it. Bytes moved (u advanced) or -errno; may be short.
int64_t uio_host_read(struct uio *u, int fd, int64_t offset);
int64_t uio_host_write(struct uio *u, int fd, int64_t offset);
// The same, but only what the host has at hand: -EAGAIN if that is nothing, -EOPNOTSUPP if it can't tell. May be short anywhere.
int64_t uio_host_read_nowait(struct uio *u, int fd, int64_t offset);
