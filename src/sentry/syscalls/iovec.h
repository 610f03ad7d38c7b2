// iovecs of applications, for every call that takes one.
#pragma once

#include "sentry/vfs/uio.h"

enum { IOVEC_INLINE = 8 };

// Copies an iovec in and checks it: 0 and *out over its pieces (in inline_segs[IOVEC_INLINE] or owned memory: iovec_free), -EINVAL,
// -EFAULT, -ENOMEM.
long iovec_copy_in(struct task *t, uaddr_t uiov, uint64_t count, struct uio_seg *inline_segs, struct uio *out);
void iovec_free(const struct uio_seg *segs, const struct uio_seg *inline_segs);
