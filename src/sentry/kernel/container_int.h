// The container as the tasks see it.
#pragma once

#include <bsd/sys/queue.h>

#include "sentry/kernel/container.h"
#include "sentry/kernel/timer.h"

struct container_started;
struct container_waiter;
struct fs_context;

struct container {
	char *id;
	struct thread_group *init; // Guarded by tasks_mu; a reference. NULL: not started, or gone
	int init_pid;
	bool started, ended;
	bool paused; // Guarded by tasks_mu.
	struct fs_context *fs; // root of its mounts, as its processes start with
	LIST_HEAD(, container_waiter) waiters; // Guarded by tasks_mu, as all below.
	TAILQ_HEAD(container_started_list, container_started) started_list;
	int nended; // of them
	int nothers; // started beside the first, and nobody has been told of their end
	struct thread_group *ended_init; // two references; NULL: its end needn't wait for theirs
	struct ktimer end_timer; // but not for long
	void (*on_exit)(struct container *c, void *arg);
	void *arg;
};

void container_process_gone(struct thread_group *tg); // its last thread is; no locks held
void container_session_ended_locked(struct thread_group *leader); // a session's leader exits: hangs its terminal up
