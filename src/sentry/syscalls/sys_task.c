// h
#include <asm/prctl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/times.h>
#include <linux/sched.h>
#include "abi/errno.h"
#include "lib/container_of.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_frame.h"
#include "sentry/kernel/task_clone.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/posix_timer.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/mm/mm.h"
long sys_getpid(struct task*t,const struct sysargs*a){return t->tg->tgid;}
long sys_gettid(struct task*t,const struct sysargs*a){return t->tid;}
long sys_getppid(struct task*t,const struct sysargs*a){mutex_lock(&kernel()->tasks_mu);int p=t->tg->parent?t->tg->parent->tgid:0;mutex_unlock(&kernel()->tasks_mu);return p;}
long sys_uname(struct task*t,const struct sysargs*a){return copy_out(t,a->a[0],&kernel()->uts,sizeof(struct utsname));}
long sys_sched_yield(struct task*t,const struct sysargs*a){return 0;}
long sys_sched_getaffinity(struct task*t,const struct sysargs*a){uint64_t m=3;return copy_out_obj(t,a->a[2],&m)?:8;}
