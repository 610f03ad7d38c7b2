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
int pidfd_install(struct task*t, struct thread_group*g, unsigned f){return -ENOSYS;}
long sys_exit(struct task*t,const struct sysargs*a){ task_exit(t,(a->a[0]&255)<<8); return -EGONE;}
long sys_exit_group(struct task*t,const struct sysargs*a){ task_exit_group(t,(a->a[0]&255)<<8); return -EGONE;}
long sys_set_tid_address(struct task*t,const struct sysargs*a){t->clear_child_tid=a->a[0];return t->tid;}
long sys_getpid(struct task*t,const struct sysargs*a){return t->tg->tgid;}
long sys_gettid(struct task*t,const struct sysargs*a){return t->tid;}
long sys_getppid(struct task*t,const struct sysargs*a){mutex_lock(&kernel()->tasks_mu);int p=t->tg->parent?t->tg->parent->tgid:0;mutex_unlock(&kernel()->tasks_mu);return p;}
long sys_uname(struct task*t,const struct sysargs*a){return copy_out(t,a->a[0],&kernel()->uts,sizeof(struct utsname));}
long sys_clone(struct task*t,const struct sysargs*a){struct clone_spec s={.flags=a->a[0]&~0xffull,.exit_signal=a->a[0]&0xff,.stack=a->a[1],.parent_tid=a->a[2],.child_tid=a->a[3],.tls=a->a[4]};return task_clone(t,&s);}
long sys_clone3(struct task*t,const struct sysargs*a){struct clone_args c={0}; if(a->a[1]<64)return -EINVAL; if(copy_in(t,&c,a->a[0],MIN(a->a[1],sizeof c))<0)return -EFAULT; struct clone_spec s={.flags=c.flags,.exit_signal=(int)c.exit_signal,.stack=c.stack?c.stack+c.stack_size:0,.parent_tid=c.parent_tid,.child_tid=c.child_tid,.tls=c.tls,.pidfd=c.pidfd};return task_clone(t,&s);}
long sys_fork(struct task*t,const struct sysargs*a){struct clone_spec s={.exit_signal=17};return task_clone(t,&s);}
long sys_vfork(struct task*t,const struct sysargs*a){struct clone_spec s={.flags=CLONE_VM|CLONE_VFORK,.exit_signal=17};return task_clone(t,&s);}
long sys_sched_yield(struct task*t,const struct sysargs*a){return 0;}
long sys_sched_getaffinity(struct task*t,const struct sysargs*a){uint64_t m=3;return copy_out_obj(t,a->a[2],&m)?:8;}
