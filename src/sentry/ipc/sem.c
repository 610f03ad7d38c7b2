// System V semaphores.
//
// Operations are tried as a whole and rolled back if one must wait. A waiter stands in its set's queue with its operations; whoever
// changes the set carries out, in order, what has become possible, and wakes those waiters with their result.
#include "sentry/ipc/sem.h"

#include <bsd/sys/queue.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"

struct sem {
	int value, pid;
};

struct sem_undo { // what one process would have to add to a set's semaphores
	LIST_ENTRY(sem_undo) set_link, group_link;
	struct thread_group *tg;
	struct sem_set *set;
	int *adjust; // kmem_bytes, one for each
};

struct sem_wait { // in task_call.state; ops follow
	TAILQ_ENTRY(sem_wait) link;
	struct task *task;
	struct sem_set *set; // NULL: not queued any more, result is set
	long result;
	int blocked_on; // index of the operation that can't be done
	unsigned n;
	struct sembuf ops[];
};

struct sem_set {
	struct ipc_object o;
	struct sem *sems; // kmem_bytes
	int n;
	time_t otime;
	TAILQ_HEAD(, sem_wait) waits;
	LIST_HEAD(, sem_undo) undos;
};

struct sem_table {
	struct ipc_table ipc;
	int total; // semaphores. Guarded by ipc.mu, and all above
};

enum { WOULD_BLOCK = 1 };

KMEM_TYPE(table_type, sem_table);
KMEM_TYPE(set_type, sem_set);
KMEM_TYPE(undo_type, sem_undo);

struct sem_table *sem_table_create(void)
{
	struct sem_table *tab = kmem_alloc(&table_type);

	if (tab)
		mutex_init(&tab->ipc.mu);
	return tab;
}

static struct sem_table *lock(void)
{
	struct sem_table *tab = kernel()->sems;

	mutex_lock(&tab->ipc.mu);
	return tab;
}

static void unlock(struct sem_table *tab)
{
	mutex_unlock(&tab->ipc.mu);
}

static struct sem_set *set_of(struct ipc_object *o)
{
	return o ? container_of(o, struct sem_set, o) : NULL;
}

// The set, if t may do that with it. 0, -EINVAL, -EACCES.
static long find(struct sem_table *tab, struct task *t, int id, uint32_t wanted, struct sem_set **out)
{
	*out = set_of(ipc_by_id(&tab->ipc, id));
	if (!*out)
		return -EINVAL;
	return ipc_allowed(t->cred, &(*out)->o, wanted) ? 0 : -EACCES;
}

static long create(struct sem_table *tab, struct task *t, int key, int n, int flags)
{
	struct sem_set *s;

	if (n <= 0 || n > SEM_SET_MAX)
		return -EINVAL;
	if (tab->total + n > SEM_ALL_MAX)
		return -ENOSPC;
	s = kmem_alloc(&set_type);
	if (s)
		s->sems = kmem_bytes(n * sizeof(*s->sems));
	if (!s || !s->sems) {
		kmem_free(&set_type, s);
		return -ENOMEM;
	}
	memset(s->sems, 0, n * sizeof(*s->sems));
	s->n = n;
	TAILQ_INIT(&s->waits);
	tab->total += n;
	return ipc_add(&tab->ipc, &s->o, t, key, flags);
}

long sem_get(struct task *t, int key, int nsems, int flags)
{
	struct sem_table *tab = lock();
	struct ipc_object *o;
	long ret;

	ret = nsems < 0 || nsems > SEM_SET_MAX ? -EINVAL : ipc_get(&tab->ipc, t, key, flags, &o);
	if (ret == 0 && !o)
		ret = create(tab, t, key, nsems, flags);
	else if (ret >= 0 && nsems > set_of(o)->n)
		ret = -EINVAL;
	unlock(tab);
	return ret;
}

// --- operations

static struct sem_undo *undo_find(struct sem_set *s, struct thread_group *tg)
{
	struct sem_undo *un;

	LIST_FOREACH(un, &s->undos, set_link)
		if (un->tg == tg)
			return un;
	return NULL;
}

static struct sem_undo *undo_get(struct sem_set *s, struct thread_group *tg)
{
	struct sem_undo *un = undo_find(s, tg);

	if (un)
		return un;
	un = kmem_alloc(&undo_type);
	if (un)
		un->adjust = kmem_bytes(s->n * sizeof(*un->adjust));
	if (!un || !un->adjust) {
		kmem_free(&undo_type, un);
		return NULL;
	}
	memset(un->adjust, 0, s->n * sizeof(*un->adjust));
	un->tg = tg;
	un->set = s;
	LIST_INSERT_HEAD(&s->undos, un, set_link);
	LIST_INSERT_HEAD(&tg->sem_undos, un, group_link);
	return un;
}

static void undo_free(struct sem_undo *un)
{
	LIST_REMOVE(un, set_link);
	LIST_REMOVE(un, group_link);
	kmem_bytes_free(un->adjust);
	kmem_free(&undo_type, un);
}

static bool wants_undo(const struct sembuf *ops, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (ops[i].sem_flg & SEM_UNDO)
			return true;
	return false;
}

// One operation: 0, WOULD_BLOCK, or -ERANGE.
static int apply(struct sem_set *s, struct sem_undo *un, const struct sembuf *op)
{
	struct sem *sem = &s->sems[op->sem_num];
	int value = sem->value + op->sem_op;

	if (op->sem_op == 0)
		return sem->value ? WOULD_BLOCK : 0;
	if (value < 0)
		return WOULD_BLOCK;
	if (value > SEM_VALUE_MAX)
		return -ERANGE;
	if (op->sem_flg & SEM_UNDO) {
		int adjust = un->adjust[op->sem_num] - op->sem_op;

		if (adjust < -SEM_VALUE_MAX - 1 || adjust > SEM_VALUE_MAX)
			return -ERANGE;
		un->adjust[op->sem_num] = adjust;
	}
	sem->value = value;
	return 0;
}

// All of them, or none: 0, WOULD_BLOCK (*out_blocked_on), or -errno.
static int try(struct sem_set *s, struct thread_group *tg, const struct sembuf *ops, unsigned n, int *out_blocked_on)
{
	struct sem_undo *un = NULL;
	unsigned i;
	int ret = 0;

	if (wants_undo(ops, n)) {
		un = undo_get(s, tg);
		if (!un)
			return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		ret = apply(s, un, &ops[i]);
		if (ret)
			break;
	}
	if (ret) {
		*out_blocked_on = i;
		while (i-- > 0) {
			s->sems[ops[i].sem_num].value -= ops[i].sem_op;
			if (ops[i].sem_flg & SEM_UNDO)
				un->adjust[ops[i].sem_num] += ops[i].sem_op;
		}
		return ret;
	}
	for (i = 0; i < n; i++)
		s->sems[ops[i].sem_num].pid = tg->tgid;
	s->otime = ipc_now();
	return 0;
}

static void wait_finish(struct sem_wait *w, long result)
{
	TAILQ_REMOVE(&w->set->waits, w, link);
	w->set = NULL;
	w->result = result;
	task_wake(w->task);
}

// The set has changed: does what waiters want as far as it can be done now.
static void serve_waiters(struct sem_set *s)
{
	struct sem_wait *w, *next;
	bool again = true;
	int ret;

	while (again) {
		again = false;
		TAILQ_FOREACH_SAFE(w, &s->waits, link, next) {
			ret = try(s, w->task->tg, w->ops, w->n, &w->blocked_on);
			if (ret == WOULD_BLOCK && !(w->ops[w->blocked_on].sem_flg & IPC_NOWAIT))
				continue;
			wait_finish(w, ret == WOULD_BLOCK ? -EAGAIN : ret);
			again |= ret == 0; // it may have made room for one before it
		}
	}
}

static void wait_free(struct task *t, void *state)
{
	struct sem_table *tab = lock();
	struct sem_wait *w = state;

	if (w->set)
		TAILQ_REMOVE(&w->set->waits, w, link);
	unlock(tab);
	kmem_bytes_free(w);
}

static long wait_begin(struct task *t, struct sem_set *s, const struct sembuf *ops, unsigned n, int blocked_on)
{
	struct sem_wait *w = kmem_bytes(sizeof(*w) + n * sizeof(*ops));

	if (!w)
		return -ENOMEM;
	*w = (struct sem_wait){.task = t, .set = s, .blocked_on = blocked_on, .n = n};
	memcpy(w->ops, ops, n * sizeof(*ops));
	TAILQ_INSERT_TAIL(&s->waits, w, link);
	t->call.state = w;
	t->call.state_free = wait_free;
	return 0;
}

static long first_try(struct task *t, int id, const struct sembuf *ops, unsigned n)
{
	struct sem_table *tab = lock();
	uint32_t wanted = IPC_READ;
	struct sem_set *s;
	int blocked_on;
	long ret;

	for (unsigned i = 0; i < n; i++)
		if (ops[i].sem_op)
			wanted = IPC_WRITE;
	ret = find(tab, t, id, wanted, &s);
	for (unsigned i = 0; s && i < n; i++)
		if (ops[i].sem_num >= s->n)
			ret = -EFBIG;
	if (!ret)
		ret = try(s, t->tg, ops, n, &blocked_on);
	if (ret == 0)
		serve_waiters(s);
	else if (ret == WOULD_BLOCK && ops[blocked_on].sem_flg & IPC_NOWAIT)
		ret = -EAGAIN;
	else if (ret == WOULD_BLOCK)
		ret = wait_begin(t, s, ops, n, blocked_on) ?: WOULD_BLOCK;
	unlock(tab);
	return ret;
}

// A queued wait: finished, or goes on, or is broken off.
static long wait_on(struct task *t, struct sem_wait *w)
{
	long ret = task_block(t), result = 0;
	struct sem_table *tab = lock();
	bool finished = !w->set;

	if (finished) {
		result = w->result;
	} else if (ret == -ETIMEDOUT || ret == -ERESTARTSYS) {
		TAILQ_REMOVE(&w->set->waits, w, link);
		w->set = NULL;
	}
	unlock(tab);
	if (finished)
		return result;
	if (ret == -ETIMEDOUT)
		return -EAGAIN;
	return ret == -ERESTARTSYS ? -EINTR : ret; // never restarted: man 7 signal
}

long sem_op(struct task *t, int id, const struct sembuf *ops, unsigned n)
{
	long ret;

	if (!t->call.state) {
		ret = first_try(t, id, ops, n);
		if (ret != WOULD_BLOCK)
			return ret;
	}
	return wait_on(t, t->call.state);
}

void sem_undo_exit(struct thread_group *tg)
{
	struct sem_undo *un;
	struct sem_table *tab;

	if (LIST_EMPTY(&tg->sem_undos))
		return;
	tab = lock();
	while ((un = LIST_FIRST(&tg->sem_undos))) {
		struct sem_set *s = un->set;

		for (int i = 0; i < s->n; i++) {
			if (!un->adjust[i])
				continue;
			s->sems[i].value = MAX(0, MIN(SEM_VALUE_MAX, s->sems[i].value + un->adjust[i]));
			s->sems[i].pid = tg->tgid;
		}
		s->otime = ipc_now();
		undo_free(un);
		serve_waiters(s);
	}
	unlock(tab);
}

// --- control

long sem_stat(struct task *t, int cmd, int id, struct semid_ds *out)
{
	struct sem_table *tab = lock();
	struct sem_set *s = set_of(cmd == IPC_STAT ? ipc_by_id(&tab->ipc, id) : ipc_by_index(&tab->ipc, id));
	long ret = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (s && cmd != SEM_STAT_ANY && !ipc_allowed(t->cred, &s->o, IPC_READ)) {
		ret = -EACCES;
	} else if (s) {
		ipc_perm_get(&s->o, &out->sem_perm);
		out->sem_otime = s->otime;
		out->sem_ctime = s->o.ctime;
		out->sem_nsems = s->n;
		ret = cmd == IPC_STAT ? 0 : s->o.id;
	}
	unlock(tab);
	return ret;
}

long sem_set(struct task *t, int id, const struct semid_ds *ds)
{
	struct sem_table *tab = lock();
	struct sem_set *s = set_of(ipc_by_id(&tab->ipc, id));
	long ret = !s ? -EINVAL : !ipc_may_change(t->cred, &s->o) ? -EPERM : 0;

	if (!ret)
		ipc_perm_set(&s->o, &ds->sem_perm);
	unlock(tab);
	return ret;
}

static void destroy(struct sem_table *tab, struct sem_set *s)
{
	struct sem_wait *w;
	struct sem_undo *un;

	while ((w = TAILQ_FIRST(&s->waits)))
		wait_finish(w, -EIDRM);
	while ((un = LIST_FIRST(&s->undos)))
		undo_free(un);
	ipc_remove(&tab->ipc, &s->o);
	tab->total -= s->n;
	kmem_bytes_free(s->sems);
	kmem_free(&set_type, s);
}

long sem_remove(struct task *t, int id)
{
	struct sem_table *tab = lock();
	struct sem_set *s = set_of(ipc_by_id(&tab->ipc, id));
	long ret = !s ? -EINVAL : !ipc_may_change(t->cred, &s->o) ? -EPERM : 0;

	if (!ret)
		destroy(tab, s);
	unlock(tab);
	return ret;
}

static int waiting_for(struct sem_set *s, int num, bool zero)
{
	struct sem_wait *w;
	int n = 0;

	TAILQ_FOREACH(w, &s->waits, link) {
		const struct sembuf *op = &w->ops[w->blocked_on];

		n += op->sem_num == num && (op->sem_op == 0) == zero;
	}
	return n;
}

long sem_value(struct task *t, int id, int num, int cmd)
{
	struct sem_table *tab = lock();
	struct sem_set *s;
	long ret = find(tab, t, id, IPC_READ, &s);

	if (!ret && (num < 0 || num >= s->n))
		ret = -EINVAL;
	if (!ret && cmd == GETVAL)
		ret = s->sems[num].value;
	else if (!ret && cmd == GETPID)
		ret = s->sems[num].pid;
	else if (!ret)
		ret = waiting_for(s, num, cmd == GETZCNT);
	unlock(tab);
	return ret;
}

static void set_one(struct sem_set *s, struct task *t, int num, int value)
{
	struct sem_undo *un;

	s->sems[num].value = value;
	s->sems[num].pid = t->tg->tgid;
	LIST_FOREACH(un, &s->undos, set_link)
		un->adjust[num] = 0; // man 2 semctl: no process undoes what was before
}

long sem_set_value(struct task *t, int id, int num, int value)
{
	struct sem_table *tab;
	struct sem_set *s;
	long ret;

	if (value < 0 || value > SEM_VALUE_MAX)
		return -ERANGE;
	tab = lock();
	ret = find(tab, t, id, IPC_WRITE, &s);
	if (!ret && (num < 0 || num >= s->n))
		ret = -EINVAL;
	if (!ret) {
		set_one(s, t, num, value);
		s->o.ctime = ipc_now();
		serve_waiters(s);
	}
	unlock(tab);
	return ret;
}

long sem_get_all(struct task *t, int id, uint16_t **out)
{
	struct sem_table *tab = lock();
	struct sem_set *s;
	long ret = find(tab, t, id, IPC_READ, &s);

	*out = NULL;
	if (!ret) {
		*out = kmem_bytes(s->n * sizeof(**out));
		ret = *out ? s->n : -ENOMEM;
	}
	for (long i = 0; i < ret; i++)
		(*out)[i] = (uint16_t)s->sems[i].value;
	unlock(tab);
	return ret;
}

long sem_count(struct task *t, int id)
{
	struct sem_table *tab = lock();
	struct sem_set *s;
	long ret = find(tab, t, id, IPC_WRITE, &s);

	if (!ret)
		ret = s->n;
	unlock(tab);
	return ret;
}

long sem_set_all(struct task *t, int id, const uint16_t *values, int n)
{
	struct sem_table *tab;
	struct sem_set *s;
	long ret;

	for (int i = 0; i < n; i++)
		if (values[i] > SEM_VALUE_MAX)
			return -ERANGE;
	tab = lock();
	ret = find(tab, t, id, IPC_WRITE, &s);
	if (!ret && s->n != n)
		ret = -EIDRM; // another set by now
	if (!ret) {
		for (int i = 0; i < n; i++)
			set_one(s, t, i, values[i]);
		s->o.ctime = ipc_now();
		serve_waiters(s);
	}
	unlock(tab);
	return ret;
}

long sem_usage(int *out_sets, int *out_sems)
{
	struct sem_table *tab = lock();
	long highest = ipc_highest(&tab->ipc);

	*out_sets = tab->ipc.count;
	*out_sems = tab->total;
	unlock(tab);
	return highest;
}
