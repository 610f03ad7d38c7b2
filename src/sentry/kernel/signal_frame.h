// The frame on the application's stack: how a handler is entered and left.
#pragma once

#include "sentry/kernel/signal.h"

// Makes t enter ka's handler when it goes back, mask (its mask after the handler) saved in the frame.
// 0 or -EFAULT: the stack can't take the frame.
int signal_frame_push(struct task *t, int sig, const siginfo_t *info, const struct ksigaction *ka, ksigset_t mask);
// rt_sigreturn: -ENOREPLY (registers, mask and alternate stack are the frame's), or 0 (it can't be read); in both cases SIGSEGV is on its way
// if the frame is bad.
long signal_frame_pop(struct task *t);
int sigaltstack_set(struct task *t, const stack_t *ss, uaddr_t sp); // 0, -EINVAL, -ENOMEM, -EPERM
stack_t sigaltstack_get(struct task *t, uaddr_t sp); // with SS_ONSTACK as it is now
