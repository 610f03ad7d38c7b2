// timerfd: a timer whose expirations are read from a file.
#pragma once

#include <stdbool.h>
#include <time.h>

#include "sentry/kernel/posix_timer.h"

struct file;

struct file *timer_file_create(clockid_t clock, int flags); // flags: O_NONBLOCK. NULL: no memory
bool file_is_timer(struct file *f);
void timer_file_set(struct file *f, int flags, const struct timer_setting *set, struct timer_setting *out_old); // flags: TFD_TIMER_*
void timer_file_get(struct file *f, struct timer_setting *out);
