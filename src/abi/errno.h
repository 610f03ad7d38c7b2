// Linux's errnos, and the codes that never leave the kernel.
#pragma once

#include <errno.h>

// How a call that a signal broke off goes on (Linux's own values; the signal code turns them into EINTR or a restart).
#define ERESTARTSYS 512           // restart if the handler has SA_RESTART or there is none, else EINTR
#define ERESTARTNOINTR 513        // always restart
#define ERESTARTNOHAND 514        // restart if no handler runs, else EINTR
#define ERESTART_RESTARTBLOCK 516 // like NOHAND, restarted through restart_syscall with the state in the task

// Hull's own: what a handler answers when it isn't done.
#define EBLOCKED 600 // the task is parked; the handler is entered again when it is woken (see kernel/block.h)
#define EAGAINNOW 601 // something changed while parking: enter the handler again at once
#define ENOREPLY 602 // the handler set the registers itself (sigreturn, execve): leave the result alone
#define EGONE 603 // the handler ended the task: nobody touches it any more

#define IS_INTERNAL_ERR(ret) ((ret) <= -EBLOCKED && (ret) >= -EGONE)
