// signalfd: signals that are read from a file.
#pragma once

#include "sentry/kernel/signal.h"

struct file;

struct file *signalfd_create_file(ksigset_t mask, int flags); // flags: O_NONBLOCK. NULL: no memory
int signalfd_set_mask(struct file *f, struct task *t, ksigset_t mask); // 0, or -EINVAL: f is none
