// Tasks, thread groups, process groups and sessions: their objects, their numbers, and the tables to find them by.
//
// References: a task's tables and its group's list count as one; a group's tables as one until it has been waited for. The leader
// stays in the table of tids until then, too, as its number does. A group's last thread gives everything else back.
#include "sentry/kernel/task.h"

#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_exec.h"
#include "sentry/kernel/task_int.h"
#include "sentry/kernel/uts.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum {
	PIDS_RESERVED = 300, // numbers below aren't given out again after the first wrap
	CHILDREN_TOLD = 8, // of more the platform is told nothing
};

KMEM_TYPE(task_type, task);
KMEM_TYPE(group_type, thread_group);
KMEM_TYPE(pgrp_type, pgrp);
KMEM_TYPE(session_type, session);

static void block_timed_out(struct ktimer *timer)
{
	struct task *t = container_of(timer, struct task, block_timer);

	t->call.timed_out = true;
	task_wake(t);
}

struct task *task_create(struct platform_ctx *ctx)
{
	struct task *t = kmem_alloc(&task_type);

	if (!t)
		return NULL;
	ref_init(&t->ref);
	t->ctx = ctx;
	t->state = TASK_RUNNING; // a wake-up must not queue it before it was started
	SLIST_INIT(&t->waits);
	TAILQ_INIT(&t->pending.queue);
	ktimer_init(&t->block_timer, CLOCK_MONOTONIC, block_timed_out);
	t->start_ns = ktime_now(CLOCK_MONOTONIC);
	t->altstack.ss_flags = SS_DISABLE;
	t->timer_slack_ns = 50000;
	if (ctx)
		platform->set_owner(ctx, t);
	return t;
}

struct task *task_get(struct task *t)
{
	ref_get(&t->ref);
	return t;
}

void task_put(struct task *t)
{
	if (!t || !ref_put(&t->ref))
		return;
	if (t->sighand)
		sighand_put(t->sighand);
	if (t->cred)
		cred_put(t->cred);
	group_put(t->tg);
	uts_ns_put(t->uts_ns);
	kmem_free(&task_type, t);
}

struct thread_group *group_create(void)
{
	struct thread_group *tg = kmem_alloc(&group_type);

	if (!tg)
		return NULL;
	ref_init(&tg->ref);
	TAILQ_INIT(&tg->tasks);
	TAILQ_INIT(&tg->children);
	TAILQ_INIT(&tg->pending.queue);
	waitq_init(&tg->child_waitq);
	waitq_init(&tg->thread_waitq);
	ktimer_init(&tg->kill_timer, CLOCK_MONOTONIC, group_kill_late);
	tg->dumpable = true;
	tg->exit_signal = SIGCHLD;
	return tg;
}

struct thread_group *group_get(struct thread_group *tg)
{
	ref_get(&tg->ref);
	return tg;
}

void group_put(struct thread_group *tg)
{
	if (tg && ref_put(&tg->ref))
		kmem_free(&group_type, tg);
}

// --- numbers

struct task *task_find_locked(int tid)
{
	struct task *t;

	mutex_assert_held(&kernel()->tasks_mu);
	if (tid > 0)
		LIST_FOREACH(t, &kernel()->tids[tid % PID_HASH], pid_link)
			if (t->tid == tid)
				return t;
	return NULL;
}

struct thread_group *group_find_locked(int tgid)
{
	struct thread_group *tg;

	mutex_assert_held(&kernel()->tasks_mu);
	if (tgid > 0)
		LIST_FOREACH(tg, &kernel()->tgids[tgid % PID_HASH], pid_link)
			if (tg->tgid == tgid)
				return tg;
	return NULL;
}

struct pgrp *pgrp_find_locked(int pgid)
{
	struct pgrp *pg;

	mutex_assert_held(&kernel()->tasks_mu);
	if (pgid > 0)
		LIST_FOREACH(pg, &kernel()->pgids[pgid % PID_HASH], pid_link)
			if (pg->pgid == pgid)
				return pg;
	return NULL;
}

static bool session_exists_locked(int sid)
{
	struct session *s;

	LIST_FOREACH(s, &kernel()->sids[sid % PID_HASH], pid_link)
		if (s->sid == sid)
			return true;
	return false;
}

struct task *task_find(int tid)
{
	struct task *t;

	mutex_lock(&kernel()->tasks_mu);
	t = task_find_locked(tid);
	if (t)
		task_get(t);
	mutex_unlock(&kernel()->tasks_mu);
	return t;
}

struct thread_group *group_find(int tgid)
{
	struct thread_group *tg;

	mutex_lock(&kernel()->tasks_mu);
	tg = group_find_locked(tgid);
	if (tg)
		group_get(tg);
	mutex_unlock(&kernel()->tasks_mu);
	return tg;
}

// A number is free when no thread, process, process group or session bears it.
static bool pid_free_locked(int pid)
{
	return !task_find_locked(pid) && !group_find_locked(pid) && !pgrp_find_locked(pid) && !session_exists_locked(pid);
}

int pid_alloc_locked(void)
{
	struct kernel *k = kernel();

	for (int tries = 0; tries < PID_WRAP; tries++) {
		if (++k->last_pid >= PID_WRAP)
			k->last_pid = PIDS_RESERVED;
		if (pid_free_locked(k->last_pid))
			return k->last_pid;
	}
	return -EAGAIN;
}

int pid_claim_locked(int pid)
{
	if (pid < 1 || pid >= PID_LIMIT)
		return -EINVAL;
	return pid_free_locked(pid) ? 0 : -EEXIST;
}

void task_hash_locked(struct task *t)
{
	LIST_INSERT_HEAD(&kernel()->tids[t->tid % PID_HASH], t, pid_link);
}

void task_unhash_locked(struct task *t)
{
	LIST_REMOVE(t, pid_link);
}

// --- process groups and sessions

void session_put_locked(struct session *s)
{
	if (!s || !ref_put(&s->ref))
		return;
	LIST_REMOVE(s, pid_link);
	kmem_free(&session_type, s);
}

static void pgrp_put_locked(struct pgrp *pg)
{
	if (!pg || !ref_put(&pg->ref))
		return;
	LIST_REMOVE(pg, pid_link);
	session_put_locked(pg->session);
	kmem_free(&pgrp_type, pg);
}

static void pgrp_leave_locked(struct thread_group *tg)
{
	struct pgrp *pg = tg->pgrp;

	if (!pg)
		return;
	TAILQ_REMOVE(&pg->members, tg, pgrp_link);
	tg->pgrp = NULL;
	pgrp_put_locked(pg);
}

static void pgrp_join_locked(struct thread_group *tg, struct pgrp *pg)
{
	ref_get(&pg->ref);
	pgrp_leave_locked(tg);
	tg->pgrp = pg;
	TAILQ_INSERT_TAIL(&pg->members, tg, pgrp_link);
}

static struct pgrp *pgrp_create_locked(int pgid, struct session *s)
{
	struct pgrp *pg = kmem_alloc(&pgrp_type);

	if (!pg)
		return NULL;
	ref_init(&pg->ref);
	pg->pgid = pgid;
	ref_get(&s->ref);
	pg->session = s;
	TAILQ_INIT(&pg->members);
	LIST_INSERT_HEAD(&kernel()->pgids[pgid % PID_HASH], pg, pid_link);
	return pg;
}

int session_create_locked(struct thread_group *tg)
{
	struct session *s = kmem_alloc(&session_type);
	struct pgrp *pg;

	if (!s)
		return -ENOMEM;
	ref_init(&s->ref);
	s->sid = tg->tgid;
	LIST_INSERT_HEAD(&kernel()->sids[s->sid % PID_HASH], s, pid_link);
	pg = pgrp_create_locked(tg->tgid, s);
	if (!pg) {
		session_put_locked(s);
		return -ENOMEM;
	}
	pgrp_join_locked(tg, pg);
	pgrp_put_locked(pg);
	session_put_locked(tg->session);
	tg->session = s;
	tg->gave_up_tty = false;
	s->leader = tg;
	return 0;
}

int pgrp_enter_locked(struct thread_group *tg, int pgid)
{
	struct pgrp *pg = pgrp_find_locked(pgid);

	if (pg) {
		pgrp_join_locked(tg, pg);
		return 0;
	}
	pg = pgrp_create_locked(pgid, tg->session);
	if (!pg)
		return -ENOMEM;
	pgrp_join_locked(tg, pg);
	pgrp_put_locked(pg);
	return 0;
}

// --- the tree of processes

// What the platform knows of a process's children rests on its count there.
static uint32_t children_index(const struct thread_group *tg)
{
	return (uint32_t)((uintptr_t)tg / sizeof(*tg) % PLATFORM_COUNTS);
}

void group_children_changed_locked(struct thread_group *tg)
{
	if (platform->set_children)
		platform->count_up(children_index(tg));
}

void group_adopt_locked(struct thread_group *parent, struct thread_group *child)
{
	child->parent = parent;
	TAILQ_INSERT_TAIL(&parent->children, child, sibling);
	group_children_changed_locked(parent);
}

void task_tell_children_locked(struct task *t)
{
	struct platform_children c = {.index = children_index(t->tg)};
	const struct thread_group *child;
	int n = 0;

	if (!platform->set_children || kernel()->strace)
		return;
	c.count = platform->count(c.index);
	TAILQ_FOREACH(child, &t->tg->children, sibling) {
		if (++n > CHILDREN_TOLD || child->exit_signal != SIGCHLD || child->zombie || child->stop_unreported || child->continued) {
			platform->set_children(t->ctx, NULL);
			return;
		}
		c.pid = child->tgid; // that of the youngest
	}
	platform->set_children(t->ctx, &c);
}

void group_link_locked(struct thread_group *tg, struct thread_group *parent)
{
	struct kernel *k = kernel();

	LIST_INSERT_HEAD(&k->tgids[tg->tgid % PID_HASH], tg, pid_link);
	TAILQ_INSERT_TAIL(&k->groups, tg, all_link);
	k->ngroups_alive++;
	if (!parent)
		return;
	group_adopt_locked(parent, tg);
	ref_get(&parent->session->ref);
	tg->session = parent->session;
	tg->gave_up_tty = parent->gave_up_tty;
	pgrp_join_locked(tg, parent->pgrp);
}

void group_unlink_locked(struct thread_group *tg)
{
	struct kernel *k = kernel();

	LIST_REMOVE(tg, pid_link);
	TAILQ_REMOVE(&k->groups, tg, all_link);
	k->ngroups_alive--;
	if (tg->parent)
		TAILQ_REMOVE(&tg->parent->children, tg, sibling);
	tg->parent = NULL;
	pgrp_leave_locked(tg);
	if (tg->session && tg->session->leader == tg)
		tg->session->leader = NULL;
	session_put_locked(tg->session);
	tg->session = NULL;
	if (k->init == tg)
		k->init = NULL;
}

// --- memory and time

void task_set_mm(struct task *t, struct mm *mm)
{
	struct mm *old = t->mm;

	if (mm)
		atomic_fetch_add(&mm->users, 1);
	mutex_lock(&kernel()->tasks_mu); // procfs looks at other tasks' mm under it
	t->mm = mm;
	mutex_unlock(&kernel()->tasks_mu);
	if (old) {
		if (atomic_fetch_sub(&old->users, 1) == 2)
			old->late_stale = true; // who is left may be alone now
		mm_put(old);
	}
}

// All of it counts as user time: what a stub does in the host's kernel (page faults, memory operations) isn't told apart, and what
// the sentry does for a task is not counted.
uint64_t task_cpu_ns(struct task *t)
{
	return t->utime_ns + (t->ctx ? platform->cpu_ns(t->ctx) : 0);
}

uint64_t group_cpu_ns_locked(struct thread_group *tg)
{
	uint64_t sum = tg->dead_threads.utime_ns;
	struct task *t;

	TAILQ_FOREACH(t, &tg->tasks, tg_link)
		sum += task_cpu_ns(t);
	return sum;
}

uint64_t group_cpu_ns(struct thread_group *tg)
{
	uint64_t ns;

	mutex_lock(&kernel()->tasks_mu);
	ns = group_cpu_ns_locked(tg);
	mutex_unlock(&kernel()->tasks_mu);
	return ns;
}
