// What the task_*.c, signal*.c and container.c files share. All _locked functions: the caller holds kernel()->tasks_mu.
#pragma once

#include "sentry/kernel/task.h"

// task.c: objects, numbers, groups.
struct task *task_create(struct platform_ctx *ctx); // not yet in any table; owns ctx
struct thread_group *group_create(void);
int pid_alloc_locked(void); // or -EAGAIN
int pid_claim_locked(int pid); // clone3's set_tid: 0, -EEXIST, -EINVAL
struct task *task_find_locked(int tid); // borrowed, as the next two
struct thread_group *group_find_locked(int tgid);
struct pgrp *pgrp_find_locked(int pgid);
void task_hash_locked(struct task *t);
void task_unhash_locked(struct task *t);
void group_link_locked(struct thread_group *tg, struct thread_group *parent);
void group_adopt_locked(struct thread_group *parent, struct thread_group *child); // the one place where a child is entered
void group_children_changed_locked(struct thread_group *tg); // there is another one, or news of one
void task_tell_children_locked(struct task *t); // t's calls that look for news of its children needn't come, as long as nothing changes
void group_unlink_locked(struct thread_group *tg); // leaves every table and list; its reference stays
int session_create_locked(struct thread_group *tg); // tg leads a new session and process group of its number
int pgrp_enter_locked(struct thread_group *tg, int pgid); // an existing group, or a new one of its own number
void session_put_locked(struct session *s);
void task_set_mm(struct task *t, struct mm *mm); // takes the reference; counts t among its users; NULL: leaves the old one
// CPU time by the host's count; costs host calls. Of t (tasks_mu held, or t is the task being handled), of all threads of a group ever.
uint64_t task_cpu_ns(struct task *t);
uint64_t group_cpu_ns_locked(struct thread_group *tg);
uint64_t group_cpu_ns(struct thread_group *tg);

// rusage.c
void rusage_add(struct rusage_sum *to, const struct rusage_sum *from);
int rusage_copy_out(struct task *t, uaddr_t dst, const struct rusage_sum *u); // as a struct rusage: 0 or -EFAULT

// task_exit.c
void group_exit_locked(struct thread_group *tg, int wait_status); // every member is to die
void group_kill_late(struct ktimer *timer); // tg->kill_timer: its members that haven't heard so by then lose their host process
void group_release_locked(struct thread_group *tg); // a zombie was waited for: takes it out; then group_put without the lock
void task_vfork_done(struct task *t);
bool pgrp_orphaned_locked(struct pgrp *pg, struct thread_group *leaving);
// Tells tg's parent of what happened to it: CLD_*, by a signal and a wake-up.
void group_notify_parent_locked(struct thread_group *tg, int code);

// signal.c
int signal_send_locked(struct thread_group *tg, struct task *only, int sig, const siginfo_t *info, bool forced);
void sigpending_flush_locked(struct thread_group *tg, struct sigpending *p, ksigset_t mask);
int signal_dequeue_locked(struct task *t, ksigset_t mask, siginfo_t *out_info); // 0: none
bool signal_may_send(struct task *from, struct thread_group *to, int sig); // tasks_mu held

// signal_action.c
struct sighand *sighand_create(void);
struct sighand *sighand_dup(struct sighand *sh); // takes tasks_mu, as the next
struct sighand *sighand_share(struct sighand *sh, bool between_processes); // another reference
void sighand_put(struct sighand *sh);
const struct ksigaction *signal_action_locked(struct sighand *sh, int sig); // as it is now
struct ksigaction *signal_action_back_locked(struct sighand *sh, int sig); // likewise; it changes no more but here, until it is lent
void signal_action_lend_locked(struct task *t, int sig); // the task being handled has called rt_sigaction for it
void signal_actions_inherit(struct task *t, struct task *child); // made by t, not yet running; takes tasks_mu
void signal_actions_leave_locked(struct task *t); // its context is about to go, or to begin another program

// signal_mask.c
ksigset_t signal_blocked_locked(struct task *t); // the mask of any task, as it is now
// A signal was queued, and t or a member may have to hear of it: from now on the masks don't change unseen. only NULL: all members'.
void signal_masks_back_locked(struct thread_group *tg, struct task *only);
void signal_mask_lend(struct task *t); // the task being handled, or one not yet running, may change its mask itself, if no signal waits
void signal_mask_lend_locked(struct task *t); // likewise, if it could before
void signal_mask_came(struct task *t); // it was with the application
void signal_mask_goes(struct task *t); // it goes there next; signal_wake is to be looked at now
void signal_recalc_locked(struct task *t); // the task being handled, after a change of its mask or what waits: sets or clears signal_wake
void signal_wake_one_locked(struct thread_group *tg, ksigset_t which); // for each of the group's signals, who can take it
ksigset_t signal_wake_if_wants_locked(struct task *t, ksigset_t which); // what of them it can take
