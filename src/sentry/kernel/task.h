// Tasks and thread groups: what Linux calls threads and processes.
//
// Locks: kernel()->tasks_mu guards the process tree, the pid table, process groups, sessions, exit states and signals.
// A task's own fields that only its own calls touch need no lock: one worker at a time handles a task.
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "abi/types.h"
#include "lib/ref.h"
#include "platform/platform.h"
#include "sentry/kernel/signal.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/waitq.h"

struct container;
struct cred;
struct fdtable;
struct file;
struct fs_context;
struct mm;
struct platform_ctx;
struct tty;

enum task_state {
	TASK_RUNNING,  // with the application, or being handled by a worker
	TASK_RUNNABLE, // on the run queue: woken, waits for a worker
	TASK_BLOCKED,  // parked on wait queues
	TASK_DEAD,     // exited; maybe a zombie
};

enum { TASK_COMM_LEN = 16, TASK_WAITS_INLINE = 2 };

// The system call under way. Zeroed when a call begins, kept while it blocks and is entered again.
struct task_call {
	uint64_t nr;
	uint64_t args[6];
	uint32_t entries; // how often the handler was entered: 1 the first time
	int64_t deadline_ns; // absolute CLOCK_MONOTONIC; 0: not set yet; KTIME_NEVER: none (see block.h)
	bool timed_out; // the deadline passed while it was blocked
	bool gives_turn; // task_give_turn()
	bool clones; // it made a child, whose host's part the platform may have yet to do
	bool execed; // it was an execve that went well here: if the host refuses a part of it, there is no way back
	union { // what the handler needs to go on
		uint64_t word[6];
		struct {
			uint64_t done_bytes;
		} io;
	};
	struct { // what was left to the application's process to move (uio_leave): len bytes at a file's offset
		uint64_t len;
		int64_t at;
		bool own_pos; // from where the file's position was
		bool again;   // it failed, and the call is entered again
		bool fixed;   // at this offset, since the position has gone on
	} left;
	void *state; // kmem_bytes that a handler keeps across entries; freed when the call ends
	void (*state_free)(struct task *t, void *state); // instead of kmem_bytes_free, if set
	// The last descriptors that this entry looked up, to find a kept file's number by (pointers only to compare with), and the
	// files that the call keeps until it ends: task_keep_file().
	struct {
		int fd;
		struct file *file;
	} looked[2], kept[2];
	unsigned nlooked;
};

// One wait of a blocked task; task_wait_on() links it.
struct task_wait {
	struct waitq_entry entry;
	struct task *task;
	SLIST_ENTRY(task_wait) next;
	struct file *file; // counted; NULL: what the queue belongs to lives on by itself
};

struct task {
	struct ref ref;
	struct platform_ctx *ctx; // NULL once it has exited
	struct thread_group *tg;
	int tid;
	TAILQ_ENTRY(task) tg_link; // Guarded by tasks_mu.
	LIST_ENTRY(task) pid_link; // Guarded by tasks_mu.

	// The scheduler's. Guarded by kernel()->run_mu.
	_Atomic enum task_state state; // anybody may look without the lock
	TAILQ_ENTRY(task) run_link;
	_Atomic bool wake_pending; // woken while it was still being handled: don't park

	// Touched by its own handler only.
	struct task_call call;
	SLIST_HEAD(, task_wait) waits;
	struct task_wait inline_waits[TASK_WAITS_INLINE];
	int inline_waits_used;
	struct ktimer block_timer;
	bool block_timer_used; // since it was last cancelled
	int64_t restart_deadline_ns; // of a call that goes on through restart_syscall
	uint64_t restart_nr, restart_args[6];
	struct mm *mm; // NULL once it has exited
	struct fdtable *files;
	struct fs_context *fs;
	bool asks_ids; // it asked who it is, or its maker did: see task_ids_publish
	struct cred *cred; // replaced under tasks_mu, read by others under it
	char comm[TASK_COMM_LEN]; // Guarded by tasks_mu.
	uaddr_t at_end[PLATFORM_AT_ENDS]; // to be had by futex_at_end()
	_Atomic bool pi_waited, futexes_left; // a lock of its is waited for; it is past its last look at that (futex_pi.c)
	uint64_t vfork_done; // see task_clone.c
	struct task *vfork_parent; // waits for this task's exec or exit; a reference

	// Signals. Guarded by tasks_mu.
	struct sighand *sighand;
	struct sigpending pending;
	ksigset_t blocked, saved_blocked;
	bool changes_mask; // it called rt_sigprocmask or rt_sigreturn, or its maker did: see signal_mask.c
	bool restore_blocked; // saved_blocked is put back after the handler (sigsuspend, ppoll, …)
	stack_t altstack;
	_Atomic bool in_user; // with the application, or on the way there: a sender must interrupt it (task_kick)
	_Atomic bool tells; // it has come, and its late calls are being entered (late.c)
	_Atomic bool signal_wake; // something for signal_pending() to look at; cleared on the way back
	bool tid_cleared; // the word at at_end[PLATFORM_CLEAR_TID] is 0 already: it is about to end
	_Atomic bool exiting; // must die: exit_group of another thread, or SIGKILL
	int exit_code; // wait status
	uint64_t fault_trapno, fault_error_code, fault_cr2; // of the last fault, for the signal frame
	int pdeath_signal;
	long pending_restart; // ERESTART* of the call that signal_deliver still has to settle; 0: none
	bool stopped; // counted in tg->nstopped

	struct { // of a question about a path (vfs/remember.h)
		enum remember_state { REMEMBER_NOT, REMEMBER_ASKED, REMEMBER_WALKED, REMEMBER_NOTHING_THERE, REMEMBER_NO_LINK } state;
		struct platform_rests rests;
	} remember;
	struct strace_call *strace; // the line of --strace under way
	// Statistics.
	uint64_t utime_ns, stime_ns, start_ns, nvcsw, nivcsw, minflt, majflt;
	bool in_group_stop; // parked by signal_deliver, not by a call
	// What the sched_* calls keep and answer; nothing is scheduled by it.
	int nice, sched_policy, sched_priority;
	uint64_t cpus_allowed; // 0: all
	uint64_t timer_slack_ns;
	uint32_t persona;
	int ioprio;
	bool sched_reset_on_fork;
	struct uts_ns *uts_ns; // a reference; NULL: the sandbox's. Replaced under tasks_mu
	int maker_tid; // who cloned it: only that task can undo it (task_clone_failed),
	bool came;     // and only until it has come from the application
};

// A process. Lives until it has been waited for.
struct thread_group {
	struct ref ref;
	int tgid;
	struct container *container;
	struct task *leader; // Guarded by tasks_mu, as all below that isn't marked.
	TAILQ_HEAD(, task) tasks;
	int ntasks;

	struct thread_group *parent; // NULL for the first process of a container
	TAILQ_HEAD(, thread_group) children;
	TAILQ_ENTRY(thread_group) sibling;
	TAILQ_ENTRY(thread_group) all_link; // kernel()->groups
	struct pgrp *pgrp;
	TAILQ_ENTRY(thread_group) pgrp_link;
	struct session *session;
	struct tty *started_on; // the host's terminal that container_start_process gave it; a reference
	LIST_ENTRY(thread_group) pid_link;
	bool is_subreaper, has_execed, dumpable, thp_disabled;
	bool gave_up_tty; // does without its session's terminal (TIOCNOTTY)
	int exit_signal; // sent to the parent; SIGCHLD as a rule

	struct sigpending pending; // shared
	struct waitq child_waitq; // woken when a child changes state
	struct waitq thread_waitq; // woken when a member is gone (execve waits for that), and at the group's end (pidfd)
	// group_stop: members are to stop, or have; stop_unreported, continued: news that wait hasn't told the parent yet.
	bool group_exit, group_stop, stop_unreported, continued;
	bool unkillable; // a container's init: default actions of signals from inside don't touch it
	int group_exit_code, group_stop_signal, nstopped;
	int nsigqueued; // entries in its queues and its members', for RLIMIT_SIGPENDING
	struct ktimer kill_timer; // armed while members that are to die run application code
	struct task *exec_task; // in execve, waits for the others to end
	bool zombie;
	int wait_status;

	struct rlimit64 rlimits[RLIM_NLIMITS]; // who changes one calls group_ids_withdraw_locked
	struct ktimer cpu_limit; // RLIMIT_CPU; once cpu_limited is set
	bool cpu_limited;
	unsigned cpu_limit_idle;
	uint64_t cpu_limit_seen_ns;
	struct posix_timers *posix_timers; // timers.c's own
	struct itimers *itimers;
	LIST_HEAD(, sem_undo) sem_undos; // ipc/sem.c's own, guarded by its lock
	struct rusage_sum {
		uint64_t utime_ns, stime_ns, minflt, majflt, nvcsw, nivcsw, maxrss_kb;
	} dead_threads, dead_children;
	int oom_score_adj;
	struct file *exe; // a reference; NULL before the first execve
};

struct pgrp {
	struct ref ref;
	int pgid;
	struct session *session;
	TAILQ_HEAD(, thread_group) members;
	LIST_ENTRY(pgrp) pid_link;
};

struct session {
	struct ref ref;
	int sid;
	struct thread_group *leader; // NULL once it has exited
	struct tty *tty; // controlling terminal; not counted: tty/tty_job.c
	int lost_tty_pgid; // who was in the foreground when it hung up
	LIST_ENTRY(session) pid_link;
};

struct task *task_get(struct task *t);
void task_put(struct task *t);
// Lets the platform answer for t's own numbers, and its process's limits, until one of them changes (sys_task.c).
void task_ids_publish(struct task *t);
void task_ids_withdraw_locked(struct task *t); // one changes; holds tasks_mu
void group_ids_withdraw_locked(struct thread_group *tg); // one of all its tasks, or a limit
struct task *task_find(int tid); // with a reference; NULL. Takes tasks_mu
struct thread_group *group_find(int tgid); // with a reference; NULL. Zombies too
struct thread_group *group_get(struct thread_group *tg);
void group_put(struct thread_group *tg);
static inline uint64_t task_rlimit(struct task *t, int resource)
{
	return t->tg->rlimits[resource].rlim_cur;
}

// Ends the task being handled with a wait status (code << 8, or the signal). t is gone afterwards: a handler that calls it
// returns -EGONE at once.
void task_exit(struct task *t, int wait_status);
void task_exit_group(struct task *t, int wait_status);

// --- application memory, for handlers: 0 or -EFAULT. t must be the task being handled.
int copy_in(struct task *t, void *dst, uaddr_t src, size_t len);
int copy_out(struct task *t, uaddr_t dst, const void *src, size_t len);
// A NUL-terminated string of less than cap bytes (its length without the NUL), or -EFAULT, -ENAMETOOLONG.
long copy_in_str(struct task *t, char *dst, uaddr_t src, size_t cap);
// A path in one call: up to PATH_MAX with the NUL into buf.
#define copy_in_path(t, buf, src) copy_in_str((t), (buf), (src), PATH_MAX)
#define copy_in_obj(t, ptr, src) copy_in((t), (ptr), (src), sizeof(*(ptr)))
#define copy_out_obj(t, dst, ptr) copy_out((t), (dst), (ptr), sizeof(*(ptr)))
