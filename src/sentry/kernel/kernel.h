// The root of the kernel's state, its workers, and what surrounds it: one sandbox is one kernel.
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <sys/utsname.h>

#include "lib/mutex.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"

enum { PID_HASH = 1024, PID_LIMIT = 4194304, PID_WRAP = 32768, SIGNALFD_QUEUES = 64 };

struct vfs;
struct msg_table;
struct sem_table;
struct shm_table;

struct kernel {
	// --- processes (task_*.c, signal*.c)
	struct mutex tasks_mu;
	// Guarded by tasks_mu.
	LIST_HEAD(, task) tids[PID_HASH];
	LIST_HEAD(, thread_group) tgids[PID_HASH];
	LIST_HEAD(, pgrp) pgids[PID_HASH];
	LIST_HEAD(, session) sids[PID_HASH];
	TAILQ_HEAD(, thread_group) groups;
	struct waitq signalfd_waitqs[SIGNALFD_QUEUES]; // by tgid; no lock but their own
	int last_pid, ngroups_alive, ntasks_alive;
	struct thread_group *init; // the first process: adopts orphans

	// --- scheduling (sched.c)
	struct mutex run_mu;
	TAILQ_HEAD(, task) runq; // Guarded by run_mu.
	_Atomic uint32_t runq_len;
	_Atomic bool stopping; // workers leave
	struct sched *sched; // the workers (sched.c)
	struct timers *timers; // timer.c
	_Atomic bool missing_logged[SYS_TABLE_LEN]; // calls that aren't built, once each

	// --- the rest
	struct utsname uts; // Guarded by tasks_mu.
	struct vfs *vfs;
	struct shm_table *shm; // mm/shm.c
	struct sem_table *sems; // ipc/
	struct msg_table *msgs;
	struct mutex epoll_nest_mu; // fs/eventpoll: a closing file or instance must not meet the end of what it is linked to
	struct futex_table *futexes; // futex.c
	struct vdso *vdso; // its image, made with the first execve. Guarded by tasks_mu.
	struct unix_net *unix_net; // names and passed descriptors of Unix sockets (sock/unix.h)
	int64_t boot_ns, boot_realtime_ns; // CLOCK_MONOTONIC and CLOCK_REALTIME when CLOCK_BOOTTIME was 0; boot_ns may be below 0
	int ncpus; // that the sandbox has
	_Atomic size_t dmesg_read, dmesg_cleared; // bytes of the message log that syslog(2) has read on, and that it hides
	int nworkers_max;
	bool strace; // --strace
	const char *strace_filter; // --strace-syscalls; NULL: all
};

extern struct kernel *kernel_root; // the only global: the arena's first object
static inline struct kernel *kernel(void)
{
	return kernel_root;
}

struct kernel_config {
	int nworkers_max; // 0: by the number of CPUs
	bool strace;
	const char *strace_filter;
};

// Makes the kernel; the platform has been initialised. 0 or -errno.
int kernel_create(const struct kernel_config *config);
// Runs the workers until kernel_stop(); the caller's thread is one of them.
int kernel_run(void);
void kernel_stop(void); // any thread

// A host descriptor's readiness calls fn(arg, events) on a worker, without locks held, each time it is reported (edge-triggered).
// For stdio, control connections, child processes. fn runs until kernel_unwatch_fd returned.
struct fd_watch {
	int fd;
	void (*fn)(struct fd_watch *w, uint32_t events);
	void *arg;
};
int kernel_watch_fd(struct fd_watch *w, uint32_t epoll_events); // 0 or -errno (-EPERM: a file that is always ready)
void kernel_unwatch_fd(struct fd_watch *w);

// Around a host call of the calling worker that may take long (a gofer message, disk): another worker takes over meanwhile.
// Cheap (no host call) when nobody else has anything to do. May be called with sleeping mutexes of the VFS held.
void kernel_away_begin(void);
void kernel_away_briefly(void); // the same for what takes the host some microseconds as a rule: the worker stays the leader while nobody needs one
void kernel_away_end(void);

// The kernel's message log that dmesg shows (syslog(2)).
size_t kernel_dmesg(char *dst, size_t cap);

// --- between the scheduler and the tasks
// Makes the task look at signal_wake, exiting and its pending signals soon: wakes it if it is parked, interrupts it if it is with the
// application. The caller has set what it should see and holds tasks_mu.
void task_kick(struct task *t);
void task_start(struct task *t); // a new task: its first way to the application
struct task *current_task(void); // the task that this worker handles, or NULL: for log lines and strace only
