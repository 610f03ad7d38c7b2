// The workers: who leads, who sleeps, who runs which task.
//
// Every worker runs the same loop. The lead is a token: its holder alone polls the platform. It spins for a while after the last
// event, longer the more often that would have paid, then lays the lead down, tells the platform (so that stubs ring the doorbell), and sleeps in
// epoll_wait like the others. Descriptors, the timer and the doorbell are in one epoll set; sleepers are woken one at a time.
// A pool of two is enough while no handler waits for the host; kernel_away_begin makes it grow.
#include "sentry/kernel/sched.h"

#include <immintrin.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "abi/errno.h"
#include "abi/types.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/block.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task_run.h"

enum {
	WORKERS_LIMIT = 64,
	WORKER_STACK_BYTES = 512 << 10,
	EVENTS_BATCH = 16,
	CLOCK_EVERY = 64, // spins between two looks at the clock
	SPIN_MIN_NS = 2 * NSEC_PER_USEC,
	SPIN_LOW_NS = 8 * NSEC_PER_USEC,
	SPIN_MAX_NS = 64 * NSEC_PER_USEC,
	SPIN_WAKES = 3, // it pays to wait awake for so many times what it takes to wake somebody
};

// What an epoll event stands for, in its data: one of these, or the number of a watch.
enum { DATA_KICK = 1, DATA_TIMER, DATA_PLATFORM, DATA_WATCH };

struct watch_slot {
	struct fd_watch *watch; // NULL: free
	uint32_t generation; // told apart from an earlier user of the slot by this
	bool running, again;
	pthread_t runner;
};

enum { WATCHES_MAX = 1024 };

struct sched {
	int epoll_fd, kick_fd, timer_fd;
	struct mutex lead_mu; // guards has_leader's changes together with the platform's prepare_sleep
	_Atomic bool has_leader;
	_Atomic bool lent; // the leader waits for the host where nobody needs it: who does may take the lead from it
	_Atomic int sleepers, nworkers;
	int nworkers_max;
	int64_t spin_ns; // the leader's, as is:
	int64_t dropped_ns; // when the lead was last laid down
	bool gave_way; // it was, for the sake of the platform: says nothing about waiting awake
	_Atomic int64_t timer_deadline_ns; // the earliest timer
	struct mutex arm_mu; // a leaf
	int64_t armed_ns; // Guarded by arm_mu: when timer_fd rings
	struct mutex watch_mu;
	struct mutex_cond watch_idle; // with watch_mu
	struct watch_slot watches[WATCHES_MAX]; // Guarded by watch_mu.
};

struct worker {
	bool leads;
	struct task *task; // being handled
	struct task *dead; // it has ended: a reference to give back
	int away; // depth of kernel_away_begin
	bool lends; // leads, but may have lost the lead meanwhile
};

static _Thread_local struct worker self;

KMEM_TYPE(sched_type, sched);

static struct sched *sched(void)
{
	return kernel()->sched;
}

struct task *current_task(void)
{
	return self.task;
}

// --- the lead

// The lead is exchanged between its holder that waits for the host and who needs it: only one of them gets it.
static bool unlend(struct sched *s)
{
	bool lent = true;

	return atomic_load(&s->lent) && atomic_compare_exchange_strong(&s->lent, &lent, false);
}

static bool lead_take_over(struct sched *s)
{
	if (!unlend(s))
		return false;
	self.leads = true;
	return true;
}

// It would have paid to wait awake if something came soon enough after the lead was laid down.
static void spin_learn(struct sched *s)
{
	const int64_t wake_ns = platform->wake_ns ? platform->wake_ns() : 0;
	const int64_t max_ns = wake_ns ? MAX(MIN(SPIN_WAKES * wake_ns, SPIN_MAX_NS), SPIN_LOW_NS) : SPIN_MAX_NS;

	if (ktime_now(CLOCK_MONOTONIC) - s->dropped_ns < max_ns)
		s->spin_ns = MIN(s->spin_ns * 2, max_ns);
	else
		s->spin_ns = MAX(s->spin_ns / 2, SPIN_MIN_NS);
}

static bool lead_take(struct sched *s)
{
	bool taken = false;

	if (atomic_load_explicit(&s->has_leader, memory_order_relaxed))
		return lead_take_over(s);
	mutex_lock(&s->lead_mu);
	if (!s->has_leader) {
		s->has_leader = true;
		self.leads = taken = true;
		platform->after_sleep();
		if (s->gave_way)
			s->gave_way = false;
		else
			spin_learn(s);
	}
	mutex_unlock(&s->lead_mu);
	return taken;
}

// Lays the lead down. False: there is work already, somebody must take it up again. *out_sleep_ms: for how long the caller may sleep then, -1: for as
// long as it likes.
static bool lead_drop(struct sched *s, int *out_sleep_ms)
{
	bool idle;

	mutex_lock(&s->lead_mu);
	self.leads = false;
	s->has_leader = false;
	s->dropped_ns = ktime_now(CLOCK_MONOTONIC);
	idle = platform->prepare_sleep();
	*out_sleep_ms = platform->sleep_ms ? platform->sleep_ms() : -1;
	mutex_unlock(&s->lead_mu);
	return idle && atomic_load(&kernel()->runq_len) == 0;
}

static void kick(struct sched *s)
{
	uint64_t one = 1;

	if (write(s->kick_fd, &one, sizeof(one)) < 0)
		return; // full: somebody is kicked already
}

// --- the run queue

static struct task *runq_pop(void)
{
	struct kernel *k = kernel();
	struct task *t;

	if (atomic_load_explicit(&k->runq_len, memory_order_relaxed) == 0)
		return NULL;
	mutex_lock(&k->run_mu);
	t = TAILQ_FIRST(&k->runq);
	if (t) {
		TAILQ_REMOVE(&k->runq, t, run_link);
		k->runq_len--;
		t->state = TASK_RUNNING;
	}
	mutex_unlock(&k->run_mu);
	return t;
}

static void enqueue_locked(struct task *t)
{
	t->state = TASK_RUNNABLE;
	TAILQ_INSERT_TAIL(&kernel()->runq, t, run_link);
	kernel()->runq_len++;
}

void sched_enqueue(struct task *t)
{
	mutex_lock(&kernel()->run_mu);
	enqueue_locked(t);
	mutex_unlock(&kernel()->run_mu);
}

bool sched_park(struct task *t)
{
	bool parked;

	mutex_lock(&kernel()->run_mu);
	parked = !t->wake_pending;
	if (parked)
		t->state = TASK_BLOCKED;
	t->wake_pending = false;
	mutex_unlock(&kernel()->run_mu);
	return parked;
}

bool task_wake(struct task *t)
{
	bool woken = false;

	mutex_lock(&kernel()->run_mu);
	if (t->state == TASK_BLOCKED) {
		enqueue_locked(t);
		woken = true;
	} else if (t->state == TASK_RUNNING) {
		woken = !t->wake_pending;
		t->wake_pending = true;
	}
	mutex_unlock(&kernel()->run_mu);
	return woken;
}

void task_kick(struct task *t)
{
	mutex_assert_held(&kernel()->tasks_mu);
	task_wake(t);
	if (atomic_load(&t->in_user) && t->ctx)
		platform->interrupt(t->ctx);
}

// --- timers

// Makes the descriptor ring at the earliest deadline, if it doesn't already.
static void timer_arm_fd(struct sched *s)
{
	struct itimerspec when = {0};
	int64_t deadline_ns;

	mutex_lock(&s->arm_mu);
	deadline_ns = atomic_load(&s->timer_deadline_ns);
	if (deadline_ns == s->armed_ns) {
		mutex_unlock(&s->arm_mu);
		return;
	}
	s->armed_ns = deadline_ns;
	if (deadline_ns != KTIME_NEVER) {
		if (deadline_ns < 1)
			deadline_ns = 1;
		when.it_value.tv_sec = deadline_ns / NSEC_PER_SEC;
		when.it_value.tv_nsec = deadline_ns % NSEC_PER_SEC;
	}
	if (timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		log_error("timerfd_settime: %m");
	mutex_unlock(&s->arm_mu);
}

static void timer_fired(struct sched *s)
{
	mutex_lock(&s->arm_mu);
	s->armed_ns = KTIME_NEVER;
	mutex_unlock(&s->arm_mu);
	timers_run();
}

void sched_timer_changed(int64_t deadline_ns)
{
	struct sched *s = sched();

	atomic_store(&s->timer_deadline_ns, deadline_ns);
	// A leader looks at the clock itself, and arms the descriptor when it lays the lead down or lends it.
	if (!atomic_load(&s->has_leader) || atomic_load(&s->lent))
		timer_arm_fd(s);
}

// --- watched descriptors

int kernel_watch_fd(struct fd_watch *w, uint32_t epoll_events)
{
	struct sched *s = sched();
	struct epoll_event ev = {.events = epoll_events | EPOLLET};
	int slot;

	mutex_lock(&s->watch_mu);
	for (slot = 0; slot < WATCHES_MAX && (s->watches[slot].watch || s->watches[slot].running); slot++)
		;
	if (slot == WATCHES_MAX) {
		mutex_unlock(&s->watch_mu);
		return -ENOSPC;
	}
	s->watches[slot].watch = w;
	s->watches[slot].generation++;
	ev.data.u64 = (uint64_t)s->watches[slot].generation << 32 | (uint32_t)(slot + DATA_WATCH);
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0) {
		s->watches[slot].watch = NULL;
		mutex_unlock(&s->watch_mu);
		return -errno;
	}
	mutex_unlock(&s->watch_mu);
	return 0;
}

void kernel_unwatch_fd(struct fd_watch *w)
{
	struct sched *s = sched();

	mutex_lock(&s->watch_mu);
	for (int i = 0; i < WATCHES_MAX; i++) {
		struct watch_slot *slot = &s->watches[i];

		if (slot->watch != w)
			continue;
		epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
		slot->watch = NULL;
		while (slot->running && !pthread_equal(slot->runner, pthread_self()))
			mutex_cond_wait(&s->watch_mu, &s->watch_idle);
	}
	mutex_unlock(&s->watch_mu);
}

static void watch_run(struct sched *s, uint64_t data, uint32_t events)
{
	uint32_t index = (uint32_t)data - DATA_WATCH;
	struct watch_slot *slot;

	if (index >= WATCHES_MAX)
		return;
	slot = &s->watches[index];
	mutex_lock(&s->watch_mu);
	if (slot->generation != data >> 32 || !slot->watch) {
		mutex_unlock(&s->watch_mu);
		return;
	}
	if (slot->running) {
		slot->again = true;
		mutex_unlock(&s->watch_mu);
		return;
	}
	slot->running = true;
	slot->runner = pthread_self();
	do {
		struct fd_watch *w = slot->watch;

		slot->again = false;
		mutex_unlock(&s->watch_mu);
		w->fn(w, events);
		mutex_lock(&s->watch_mu);
	} while (slot->again && slot->watch);
	slot->running = false;
	mutex_cond_broadcast(&s->watch_idle);
	mutex_unlock(&s->watch_mu);
}

// --- a worker's life

static void task_done(void)
{
	struct task *dead = self.dead;

	self.task = self.dead = NULL;
	if (dead)
		task_put(dead);
}

void sched_put_later(struct task *t)
{
	if (self.task == t)
		self.dead = t;
	else
		task_put(t);
}

static void run_task(struct task *t)
{
	self.task = t;
	task_continue(t);
	task_done();
}

static bool run_event(void)
{
	struct platform_event ev;
	struct platform_ctx *ctx = platform->poll(&ev);

	if (!ctx)
		return false;
	self.task = platform->owner(ctx);
	task_event(self.task, &ev);
	task_done();
	return true;
}

// Polls and runs until it has spun in vain for long enough, or its lead is gone (a handler went away).
static void lead(struct sched *s)
{
	int64_t last = 0, now;
	unsigned spins = 0;

	while (self.leads && !kernel()->stopping) {
		struct task *t;
		bool did = run_event();

		if (self.leads && (t = runq_pop())) {
			run_task(t);
			did = true;
		}
		if (did) {
			last = 0;
			if (++spins % CLOCK_EVERY)
				continue;
		} else if (platform->in_the_way && platform->in_the_way()) {
			s->gave_way = true;
			break;
		} else if (++spins % CLOCK_EVERY) {
			_mm_pause();
			continue;
		}
		now = ktime_now(CLOCK_MONOTONIC);
		if (now >= atomic_load_explicit(&s->timer_deadline_ns, memory_order_relaxed)) {
			timers_run();
			continue;
		}
		if (did)
			continue;
		if (!last)
			last = now;
		if (now - last >= (platform->expects && platform->expects() ? SPIN_MAX_NS : s->spin_ns))
			break;
	}
}

static void sleep_for_events(struct sched *s, int most_ms)
{
	struct epoll_event evs[EVENTS_BATCH];
	int n;

	s->sleepers++;
	n = epoll_wait(s->epoll_fd, evs, EVENTS_BATCH, most_ms);
	s->sleepers--;
	for (int i = 0; i < n; i++) {
		uint64_t drained;

		switch ((uint32_t)evs[i].data.u64) {
		case DATA_KICK:
			if (kernel()->stopping)
				break; // leave it readable for the next sleeper
			if (read(s->kick_fd, &drained, sizeof(drained)) < 0)
				continue;
			if (kernel()->stopping)
				kick(s); // it was for the others, too
			break;
		case DATA_TIMER:
			if (read(s->timer_fd, &drained, sizeof(drained)) < 0)
				continue;
			timer_fired(s);
			break;
		case DATA_PLATFORM:
			break; // taking the lead empties it
		default:
			watch_run(s, evs[i].data.u64, evs[i].events);
		}
	}
}

static void worker_loop(struct sched *s)
{
	while (!kernel()->stopping) {
		int sleep_ms = -1;
		struct task *t;

		if (lead_take(s)) {
			lead(s);
			if (!self.leads || !lead_drop(s, &sleep_ms))
				continue; // who lost the lead in a handler may have woken somebody since: nobody else needs to know
			timer_arm_fd(s);
		} else if ((t = runq_pop())) {
			run_task(t);
			continue;
		}
		sleep_for_events(s, sleep_ms);
	}
}

static void *worker_main(void *arg)
{
	worker_loop(arg);
	return NULL;
}

static int worker_spawn(struct sched *s)
{
	pthread_attr_t attr;
	sigset_t all, old;
	pthread_t thread;
	int err;

	if (s->nworkers >= WORKERS_LIMIT)
		return -EAGAIN;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	s->nworkers++;
	err = pthread_create(&thread, &attr, worker_main, s);
	if (err)
		s->nworkers--;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

void kernel_away_begin(void)
{
	struct sched *s = sched();
	int sleep_ms;

	if (self.away++ || platform->single_worker)
		return;
	if (!self.leads) { // away for the second time in one handler, which may have woken somebody in between
		if (atomic_load(&kernel()->runq_len) && (!atomic_load(&s->has_leader) || atomic_load(&s->lent)))
			kick(s);
		return;
	}
	if (platform->leaves_for_long)
		platform->leaves_for_long();
	if (!lead_drop(s, &sleep_ms)) {
		kick(s);
	} else {
		timer_arm_fd(s);
	}
	if (s->sleepers == 0 && worker_spawn(s) < 0)
		log_warning("no further worker could be started");
}

// A sleeper sees to timers and descriptors. Whoever lets an application go on, or finds something to do, comes by lead_take(): since that is after
// it did so, and the look here after the lead is on offer, one of the two notices.
static bool lend(struct sched *s)
{
	if (!platform->all_stopped || s->sleepers == 0)
		return false;
	atomic_store(&s->lent, true);
	timer_arm_fd(s);
	if (platform->all_stopped() && atomic_load(&kernel()->runq_len) == 0)
		return true;
	self.leads = unlend(s);
	return false;
}

void kernel_away_briefly(void)
{
	if (self.away == 0 && self.leads && !platform->single_worker && lend(sched())) {
		self.lends = true;
		self.away++;
		return;
	}
	kernel_away_begin();
}

void kernel_away_end(void)
{
	self.away--;
	if (!self.lends)
		return;
	self.lends = false;
	self.leads = unlend(sched());
}

static int watch_own(struct sched *s, int fd, uint64_t data, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int sched_create(int nworkers_max)
{
	struct sched *s = kmem_alloc(&sched_type);

	if (!s)
		return -ENOMEM;
	kernel()->sched = s;
	mutex_init(&s->lead_mu);
	mutex_init(&s->watch_mu);
	mutex_cond_init(&s->watch_idle);
	s->nworkers_max = nworkers_max;
	s->spin_ns = SPIN_MAX_NS;
	s->timer_deadline_ns = s->armed_ns = KTIME_NEVER;
	mutex_init(&s->arm_mu);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->kick_fd < 0 || s->timer_fd < 0)
		return -errno;
	return watch_own(s, s->kick_fd, DATA_KICK, EPOLLIN) ?: watch_own(s, s->timer_fd, DATA_TIMER, EPOLLIN);
}

int sched_run(void)
{
	struct sched *s = sched();
	int err = platform->start();

	if (!err && platform->wait_fd() >= 0)
		err = watch_own(s, platform->wait_fd(), DATA_PLATFORM, EPOLLIN | EPOLLET);
	s->nworkers = 1;
	if (!err && !platform->single_worker)
		err = worker_spawn(s);
	if (err)
		return err;
	worker_loop(s);
	return 0;
}

void sched_stop(void)
{
	kernel()->stopping = true;
	kick(sched());
}
