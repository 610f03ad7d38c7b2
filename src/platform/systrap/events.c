// Hand-over: which contexts have an event, who sleeps, and how a context is sent back.
//
// The poller scans a dense table of modes, then the slots of those contexts that are with the application. Before the sentry sleeps it
// says so on the parameter page and looks once more; a stub that posts an event looks at that page after its store: one of the two sees.
#include "platform/systrap/systrap_int.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/cputime.h"
#include "lib/container_of.h"
#include "lib/log.h"

enum {
	CTX_MAX = 65536,
	CHILDREN_EVERY = 1024, // polls between two looks at the clock, whether it is time to look for ended processes
	CHILDREN_MS = 10,
	FLUSH_SPINS = 2000,
	FLUSH_LIMIT_S = 20, // then the stub is taken for hostile
	QUIET = 100,       // polls in vain
	WAIT_MAX = 500,    // cycles for which a poll waits for somebody
	UNBORN_YIELD = 16, // polls in vain, while somebody has been made that has not run yet
	UNBORN_SLEEP = 600,
	CROWD_WAIT = 80000, // cycles without an event
	WAKE_MAX = 1 << 20, // cycles: what takes longer says nothing about waking somebody
	WAKE_WEIGHT = 8,
	SPIN_WAKES = 3, // a stub waits awake for so many times what it takes to wake the poller,
	SPIN_LEAST = 60000,
	SPIN_MOST = 150000,
};

static struct mutex ids_mu = MUTEX_INIT; // apart, so that the tables need no room in the binary or memory before they are used

static struct {
	_Atomic uint8_t modes[CTX_MAX] __attribute__((aligned(64))); // enum ctx_mode
	struct platform_ctx *table[CTX_MAX];
	_Atomic uint32_t nids; // numbers below it may be in use
	uint32_t next;         // where the poller goes on
	uint32_t polls;
	int64_t looked_ns; // when we looked for ended processes last
	int sleep_ms;
	bool slept;
	bool woken;    // by a stub, whose event is still to be found
	uint64_t wake; // cycles from an event to its being found by one who slept, a running mean; 0: not known
	struct moment start;
	_Atomic uint32_t cpu; // the poller's, as it told the stubs
	_Atomic uint16_t last_cpu_plus_1; // where the stub of the last event ran
	_Atomic bool give_way; // a stub got its answer that needs this very processor
	_Atomic bool moving;   // of the answers since the last event one let bytes go between memory and a file
	struct platform_ctx *_Atomic way_for; // whose that was, last
	bool gave_way;         // and was left it for a moment
	uint32_t idle;         // polls since the last event,
	uint64_t idle_since;   // and by the time-stamp counter, when the first of these was
	uint32_t running;      // contexts with the application, as of the last of these
	uint64_t now;          // by the time-stamp counter, at the last look
	uint64_t soonest;      // of those that this poll didn't look at yet: in how many cycles it is time for that,
	uint32_t soonest_id;   // and whose
	_Atomic int nunborn;
	bool deaths; // some as with contexts is dead
	_Atomic bool unlooked_death; // and the poller doesn't know that yet
	bool untold; // and a context of it is stopped, which the kernel hasn't heard of
	_Atomic int nwatched;
	int wait_fd, children_fd;
} ev;

// --- the tables

int systrap_events_add(struct platform_ctx *ctx)
{
	int err = -EAGAIN;

	mutex_lock(&ids_mu);
	for (uint32_t i = 0; i < CTX_MAX; i++) {
		if (ev.table[i])
			continue;
		ctx->id = i;
		ev.table[i] = ctx;
		if (i >= ev.nids)
			ev.nids = i + 1;
		err = 0;
		break;
	}
	mutex_unlock(&ids_mu);
	return err;
}

static void born(struct platform_ctx *ctx)
{
	if (!ctx->unborn)
		return;
	ctx->unborn = false;
	ev.nunborn--;
}

void ctx_unborn(struct platform_ctx *ctx)
{
	ctx->unborn = true;
	ev.nunborn++;
}

void systrap_events_remove(struct platform_ctx *ctx)
{
	mutex_lock(&ids_mu);
	atomic_store(&ev.modes[ctx->id], MODE_STOPPED);
	ev.table[ctx->id] = NULL;
	while (ev.nids > 0 && !ev.table[ev.nids - 1])
		ev.nids--;
	mutex_unlock(&ids_mu);
	if (atomic_exchange(&ctx->watch_ops, false))
		ev.nwatched--;
	born(ctx);
}

enum ctx_mode ctx_mode(struct platform_ctx *ctx)
{
	return atomic_load(&ev.modes[ctx->id]);
}

static void set_mode(struct platform_ctx *ctx, enum ctx_mode mode)
{
	atomic_store_explicit(&ev.modes[ctx->id], mode, memory_order_release);
}

static bool stub_asleep(void)
{
	return __atomic_load_n(&stub_param->asleep, __ATOMIC_SEQ_CST);
}

static void ring(void)
{
	uint64_t one = 1;

	atomic_thread_fence(memory_order_seq_cst);
	if (stub_asleep() && write(stub_doorbell, &one, sizeof(one)) < 0)
		return; // full: it rings already
}

static void ready(struct platform_ctx *ctx, const struct platform_event *event)
{
	ctx->ready_event = *event;
	set_mode(ctx, MODE_READY);
	ring();
}

void ctx_gone(struct platform_ctx *ctx)
{
	set_mode(ctx, MODE_GONE);
}

// --- from the stub

static void take_seg(struct platform_ctx *ctx, struct slot_seg seg)
{
	if (ctx->nsegs == ARRAY_LEN(ctx->segs) || seg.offset > SLOT_DATA_BYTES || seg.len > SLOT_DATA_BYTES - seg.offset)
		return;
	ctx->segs[ctx->nsegs++] = seg;
	ctx->data_used = MIN(MAX(ctx->data_used, (seg.offset + seg.len + 63) & ~63u), (uint32_t)SLOT_DATA_BYTES);
}

// What the call's arguments point to, as far as the stub brought it along. What will be looked at is sent for first.
static void take_segs(struct platform_ctx *ctx, uint32_t kind, const uint64_t args[6])
{
	const volatile struct slot *s = ctx->slot;
	const uint32_t n = kind >> KIND_SEGS_SHIFT & KIND_SEGS_MASK, arg = kind >> KIND_SEG0_ARG_SHIFT & KIND_SEG0_ARG_MASK;
	const uint8_t *data = (uint8_t *)ctx->slot + SLOT_DATA;

	__builtin_prefetch(data);
	ctx->seg_found[0] = ctx->seg_found[1] = 0;
	if ((kind & KIND_SEG0) && arg < 6) {
		const uint32_t len = s->seg0_len;

		if (len > 64)
			__builtin_prefetch(data + 64);
		ctx->in_ahead = MIN(len, (uint32_t)IN_AHEAD_MAX);
		take_seg(ctx, (struct slot_seg){args[arg], len, 0});
	}
	for (uint32_t i = 0; i < n && i < SLOT_SEGS; i++)
		take_seg(ctx, s->segs[i]);
}

// The thread's own word for what it has used; it can't be more than the time that it was there.
static void take_used(struct platform_ctx *ctx)
{
	const uint64_t said = *(const volatile uint64_t *)&ctx->slot->cpu_ns;

	ctx->used_ns = MIN(said, (uint64_t)(host_now_ns() - ctx->made_ns));
}

static void take_leave(struct platform_ctx *ctx, struct platform_event *out)
{
	if (out->call.nr == SYS_exit_group)
		ctx->as->leaves = ctx->as->nctx == 1;
	if (out->call.nr == SYS_exit)
		ctx->leaves = out->tid_cleared = ctx->index;
}

static void take_fault(const volatile struct slot *s, struct platform_event *out)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	int signo = s->fault.signo, known = SIGSEGV;

	for (unsigned i = 0; i < ARRAY_LEN(faults); i++)
		if (faults[i] == signo)
			known = signo;
	out->kind = PLATFORM_FAULT;
	out->fault.signo = known;
	out->fault.code = s->fault.code;
	out->fault.addr = s->fault.addr;
	out->fault.trapno = s->fault.trapno;
	out->fault.error_code = s->fault.error_code;
	out->fault.cr2 = s->fault.cr2;
}

// Where the answer may lie is fetched while the handler works: the stub's processor has it still.
static void fetch_ahead(struct platform_ctx *ctx)
{
	const uint8_t *data = (uint8_t *)ctx->slot + SLOT_DATA + ctx->data_used;

	for (uint32_t i = 0; i < ctx->out_ahead && ctx->data_used + i < SLOT_DATA_BYTES; i += 64)
		asm volatile("prefetchw %0" : : "m"(data[i]));
	ctx->out_ahead = 0;
	for (uint32_t i = 0; i < STAT_WORDS && ctx->asks_stat; i += 8)
		asm volatile("prefetchw %0" : : "m"(ctx->slot->opened_stat[i]));
}

// How soon it came after the answer was seen, and when its stub will look for the next.
static void learn(struct platform_ctx *ctx, uint32_t state)
{
	const uint64_t posted = state_clock(state, ctx->seen_at);

	if (ev.now - ctx->seen_at < STATE_TIME_SPAN)
		due_learn(&ctx->due, posted - ctx->seen_at);
	ctx->stub_looks_at = posted + state_due_of(state);
}

// By the stub's word; what a hostile one can do is make us wait for longer or shorter.
static void learn_wake(const struct platform_ctx *ctx)
{
	const uint64_t took = ev.now - *(const volatile uint64_t *)&ctx->slot->posted;

	ev.woken = false;
	if (took >= WAKE_MAX)
		return;
	ev.wake = ev.wake ? ev.wake - ev.wake / WAKE_WEIGHT + took / WAKE_WEIGHT : took;
	stub_param->spin_limit = MIN(MAX(SPIN_WAKES * ev.wake, (uint64_t)SPIN_LEAST), (uint64_t)SPIN_MOST);
}

// The event in ctx's slot, which says STATE_EVENT. Every field is the application's to forge.
static void take(struct platform_ctx *ctx, uint32_t state, struct platform_event *out)
{
	const volatile struct slot *s = ctx->slot;
	uint32_t kind = s->kind;

	out->tid_cleared = false;
	born(ctx);
	learn(ctx, state);
	if (ev.woken)
		learn_wake(ctx);
	ctx->nsegs = ctx->data_used = 0;
	ctx->asks_rests = (kind & KIND_MASK) == KIND_SYSCALL && (kind & KIND_ASKS);
	ctx->asks_stat = (kind & KIND_MASK) == KIND_SYSCALL && (kind & KIND_STAT);
	ctx->rests_set = ctx->at_end = false;
	atomic_store_explicit(&ctx->ops_out, false, memory_order_release);
	ctx->cpu = kind >> KIND_CPU_SHIFT;
	atomic_store_explicit(&ev.last_cpu_plus_1, ctx->cpu + 1, memory_order_relaxed);
	switch (kind & KIND_MASK) {
	case KIND_SYSCALL:
		out->kind = PLATFORM_SYSCALL;
		out->call.nr = (uint64_t)(int32_t)s->nr; // as Linux takes it
		for (int i = 0; i < 6; i++)
			out->call.args[i] = s->args[i];
		ctx->site_wanted = kind & KIND_SITE;
		if (ctx->site_wanted)
			ctx->site_after = s->regs.rip;
		if (ctx->site_wanted && out->call.nr == SYS_exit)
			ctx->as->site_late = ctx->site_after;
		ctx->as->ncalls++;
		if (kind & KIND_SIGNAL) {
			ctx->as->nsignalled++;
			kin_saw(ctx->as, s->regs.rip);
		}
		if (kind & (KIND_SEG0 | KIND_SEGS_MASK << KIND_SEGS_SHIFT))
			take_segs(ctx, kind, out->call.args);
		fetch_ahead(ctx);
		if (out->call.nr == SYS_exit || out->call.nr == SYS_execve || out->call.nr == SYS_execveat)
			take_used(ctx);
		if (kind & KIND_LEAVES)
			take_leave(ctx, out);
		break;
	case KIND_FAULT:
		take_fault(s, out);
		break;
	case KIND_COPY_FAILED:
		out->kind = PLATFORM_OP_FAILED;
		out->failed.moved = 0;
		out->failed.err = EFAULT;
		out->failed.op_tag = PLATFORM_TAG_COPY;
		break;
	case KIND_OP_FAILED: {
		int err = s->fail_err;

		out->kind = PLATFORM_OP_FAILED;
		out->failed.err = err > 0 && err < 4096 ? err : EIO;
		out->failed.op_tag = s->fail_tag;
		out->failed.moved = s->op_result;
		break;
	}
	default:
		out->kind = PLATFORM_INTERRUPTED;
	}
	out->late = (state & STATE_LATE) && out->kind != PLATFORM_OP_FAILED; // between an event and what its answer brought there was none
	if (ctx->pinned)
		files_settle(ctx, out->kind == PLATFORM_OP_FAILED && !out->failed.moved);
	if (ctx->interrupted) { // whoever sets it from now on means the next resume
		ctx->interrupted = false;
		__atomic_store_n(&ctx->slot->interrupt, 0, __ATOMIC_RELAXED);
	}
}

static bool ops_done(struct platform_ctx *ctx)
{
	return __atomic_load_n(&ctx->slot->ops_done, __ATOMIC_ACQUIRE) == ctx->ops_sent;
}

static void tell_ops_done(struct platform_ctx *ctx)
{
	void *owner;

	if (!atomic_exchange(&ctx->watch_ops, false))
		return;
	ev.nwatched--;
	owner = ctx->owner;
	if (owner)
		kernel_ops_done(owner);
}

// It got its answer only just. If the processors' counters don't agree, or the stub lies, it doesn't hold for long either.
static bool looks_too_early(const struct platform_ctx *ctx)
{
	uint64_t left;

	ev.now = __rdtsc();
	left = ctx->look_at - ev.now;
	if (left > 2 * DUE_MAX || !left)
		return false;
	if (left < ev.soonest) {
		ev.soonest = left;
		ev.soonest_id = ctx->id;
	}
	return true;
}

// What the last call brought along the next one may, too: that is sent for at once with the event itself, at the first look.
static void fetch_in(struct platform_ctx *ctx)
{
	const uint8_t *data = (uint8_t *)ctx->slot + SLOT_DATA;

	for (uint32_t i = 0; i < ctx->in_ahead; i += 64)
		__builtin_prefetch(data + i);
	ctx->in_ahead = 0;
}

// Looks at context id. True if it has an event, which is in *out.
static bool look(uint32_t id, struct platform_event *out)
{
	struct platform_ctx *ctx = ev.table[id];
	uint32_t state;

	switch (atomic_load_explicit(&ev.modes[id], memory_order_acquire)) {
	case MODE_APP:
		if (looks_too_early(ctx))
			return false;
		fetch_in(ctx);
		state = __atomic_load_n(&ctx->slot->state, __ATOMIC_ACQUIRE);
		if (ev.nwatched && ctx->watch_ops && ((state & STATE_EVENT) || ops_done(ctx)))
			tell_ops_done(ctx);
		if (ctx->unborn && __atomic_load_n(&ctx->slot->cpu, __ATOMIC_RELAXED) != CPU_UNBORN)
			born(ctx);
		if (!(state & STATE_EVENT))
			return false;
		if (ctx->dying) {
			set_mode(ctx, MODE_STOPPED);
			ctx_let_exit(ctx);
			systrap_ctx_free(ctx);
			return false;
		}
		take(ctx, state, out);
		set_mode(ctx, MODE_STOPPED);
		return true;
	case MODE_READY:
		tell_ops_done(ctx);
		if (ctx->dying) {
			systrap_ctx_free(ctx);
			return false;
		}
		*out = ctx->ready_event;
		set_mode(ctx, MODE_STOPPED);
		return true;
	case MODE_GONE:
		systrap_ctx_free(ctx);
		return false;
	}
	return false;
}

// Contexts of dead processes won't come by themselves, but those whose last event is there already.
static void look_for_dead(void)
{
	ev.deaths = ev.untold = false;
	for (uint32_t i = 0; i < ev.nids; i++) {
		struct platform_ctx *ctx = ev.table[i];

		if (!ctx || !ctx->as->dead || ctx->as->leaves)
			continue;
		ev.deaths = true; // a worker may be about to resume it
		if (ev.modes[i] == MODE_APP && !(__atomic_load_n(&ctx->slot->state, __ATOMIC_ACQUIRE) & STATE_EVENT))
			ready(ctx, &(struct platform_event){.kind = PLATFORM_DEAD});
		else if (ev.modes[i] == MODE_STOPPED && !ctx->death_told)
			ev.untold = true;
	}
}

static void tell_deaths(void)
{
	ev.untold = false;
	for (uint32_t i = 0; i < ev.nids; i++) {
		struct platform_ctx *ctx = ev.table[i];

		if (!ctx || !ctx->as->dead || ctx->as->leaves || ctx->death_told || ev.modes[i] != MODE_STOPPED)
			continue;
		ctx->death_told = true;
		kernel_ctx_died(ctx);
	}
}

static void hear_deaths(void)
{
	know_unsure();
	if (ev.unlooked_death && atomic_exchange(&ev.unlooked_death, false))
		ev.deaths = true;
	if (ev.deaths)
		look_for_dead();
}

// As long as a signal is pending the host doesn't send it again, so nobody is woken for the processes that end until it has been read here. Most
// of these ended as they were to.
static void look_for_children(void)
{
	struct signalfd_siginfo si;
	bool ended = false;

	while (read(ev.children_fd, &si, sizeof(si)) == sizeof(si))
		ended = true;
	ev.looked_ns = host_now_ns();
	if ((!reap_dying() || ended) && reap())
		ev.deaths = true;
	hear_deaths();
}

static bool time_for_children(void)
{
	return host_now_ns() - ev.looked_ns >= CHILDREN_MS * NSEC_PER_MSEC;
}

static struct platform_ctx *found(uint32_t id)
{
	struct platform_ctx *ctx = ev.table[id]; // not before the mode has said that somebody is there

	ev.next = (id / 8 + 1) * 8;
	ev.idle = 0;
	ev.gave_way = ev.moving = false;
	if (ctx == ev.way_for) // it had the processor
		ev.give_way = false;
	return ctx;
}

static struct platform_ctx *scan(struct platform_event *out_event)
{
	const uint32_t n = ev.nids, words = (n + 7) / 8;
	uint32_t w = ev.next / 8, running = 0;

	for (uint32_t i = 0; i < words; i++, w++) {
		uint64_t eight;

		if (w >= words)
			w = 0;
		eight = __atomic_load_n((const uint64_t *)&ev.modes[w * 8], __ATOMIC_RELAXED);
		for (uint32_t id = w * 8; eight; eight >>= 8, id++) {
			if ((eight & 0xff) && look(id, out_event))
				return found(id);
			running += (eight & 0xff) == MODE_APP;
		}
	}
	ev.running = running;
	return NULL;
}

// Waits for when it is time to look at context id: whoever came back for it would be late. Only the poller frees contexts.
static bool look_in_time(uint32_t id, struct platform_event *out)
{
	const uint64_t until = ev.table[id]->look_at;

	while ((int64_t)(until - __rdtsc()) > 0)
		;
	return look(id, out);
}

struct platform_ctx *systrap_poll(struct platform_event *out_event)
{
	struct platform_ctx *ctx;
	uint32_t cpu = sched_getcpu();

	if (cpu != ev.cpu)
		ev.cpu = stub_param->leader_cpu = cpu;
	if (++ev.polls % CHILDREN_EVERY == 0 && time_for_children())
		look_for_children();
	if (ev.untold)
		tell_deaths();
	ev.soonest = UINT64_MAX;
	ctx = scan(out_event);
	if (ctx)
		return ctx;
	if (ev.soonest < WAIT_MAX && !ev.give_way && look_in_time(ev.soonest_id, out_event))
		return found(ev.soonest_id);
	if (!ev.idle++)
		ev.idle_since = __rdtsc();
	if (!ev.give_way && !ev.gave_way)
		channel_work_ahead(ev.idle > QUIET);
	return NULL;
}

// Who got its answer on this very processor, or was made lately, can't run while we wait awake there. Yielding may do; but the host
// may go on with us in spite of that, and only sleeping helps. If as many run as there are processors, one of them waits for ours: then we don't wait
// as long. And if there is but one, nothing comes while we do.
bool systrap_in_the_way(void)
{
	bool unborn = ev.nunborn;

	if (stub_processors == 1)
		return true;
	if (ev.give_way || (unborn && ev.idle % UNBORN_YIELD == 0)) {
		ev.gave_way = ev.give_way;
		ev.give_way = false;
		sched_yield();
		return false; // a look comes first
	}
	return ev.gave_way || (unborn && ev.idle >= UNBORN_SLEEP) || (ev.running >= (unsigned)stub_processors && __rdtsc() - ev.idle_since > CROWD_WAIT);
}

bool systrap_expects(void)
{
	return ev.moving;
}

void events_watch(int sock, bool on)
{
	struct epoll_event e = {.events = EPOLLIN};

	if (epoll_ctl(ev.wait_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, sock, &e) < 0)
		log_error("systrap: epoll_ctl: %m");
}

int systrap_last_cpu(void)
{
	return atomic_load_explicit(&ev.last_cpu_plus_1, memory_order_relaxed) - 1;
}

void events_death(void)
{
	ev.unlooked_death = true;
	ring();
}

// Who was woken for an ended process while somebody led has gone back to sleep, and for most nobody is woken: the leader is the one to look, at
// the latest when nothing else has happened for a while.
bool systrap_prepare_sleep(void)
{
	const bool looks = time_for_children();

	ev.gave_way = false;
	if (looks)
		look_for_children();
	else
		hear_deaths();
	ev.sleep_ms = reap_dying() && looks ? -1 : CHILDREN_MS;
	if (ev.untold)
		return false;
	ev.slept = true;
	__atomic_store_n(&stub_param->asleep, 1, __ATOMIC_SEQ_CST);
	atomic_thread_fence(memory_order_seq_cst);
	if (ev.unlooked_death) {
		__atomic_store_n(&stub_param->asleep, 0, __ATOMIC_RELEASE);
		return false;
	}
	for (uint32_t i = 0; i < ev.nids; i++) {
		struct platform_ctx *ctx = ev.table[i];
		uint8_t mode = ev.modes[i];

		if (mode == MODE_READY || (mode == MODE_APP && (__atomic_load_n(&ctx->slot->state, __ATOMIC_ACQUIRE) & STATE_EVENT)) ||
		    (mode == MODE_APP && ctx->watch_ops && ops_done(ctx))) {
			__atomic_store_n(&stub_param->asleep, 0, __ATOMIC_RELEASE);
			return false;
		}
	}
	return true;
}

void systrap_after_sleep(void)
{
	uint64_t rung;

	if (!ev.slept)
		return;
	ev.slept = false;
	__atomic_store_n(&stub_param->asleep, 0, __ATOMIC_RELEASE);
	ev.woken = read(stub_doorbell, &rung, sizeof(rung)) > 0;
	if (!ev.woken && errno != EAGAIN)
		log_error("systrap: the doorbell: %m");
}

void systrap_leaves_for_long(void)
{
	look_for_children();
}

int systrap_sleep_ms(void)
{
	return ev.sleep_ms;
}

struct moment moment_now(void)
{
	return (struct moment){__rdtsc(), host_now_ns()};
}

// That takes no knowledge of the counter's speed.
int64_t moment_ns(const struct moment *since, uint64_t cycles)
{
	const struct moment now = moment_now();
	const int64_t ns = now.ns - since->ns;

	return ns > 0 && now.tsc > since->tsc ? (int64_t)((unsigned __int128)cycles * (uint64_t)ns / (now.tsc - since->tsc)) : 0;
}

int64_t systrap_wake_ns(void)
{
	return moment_ns(&ev.start, ev.wake);
}

int systrap_wait_fd(void)
{
	return ev.wait_fd;
}

bool systrap_all_stopped(void)
{
	atomic_thread_fence(memory_order_seq_cst);
	for (uint32_t i = 0; i < ev.nids; i++)
		if (ev.modes[i] == MODE_APP || ev.modes[i] == MODE_READY)
			return false;
	return !ev.deaths && !ev.unlooked_death && !ev.untold;
}

// --- to the stub

static void slot_answer(struct platform_ctx *ctx, uint32_t state)
{
	uint32_t *word = &ctx->slot->state;

	ctx->answered_at = __rdtsc();
	state |= state_time(ctx->answered_at);
	if (__atomic_exchange_n(word, state, __ATOMIC_SEQ_CST) & STATE_SLEEP)
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (ctx->cpu == (ev.cpu & 0xff)) {
		ev.way_for = ctx;
		ev.give_way = true;
	}
}

bool systrap_asks_stat(struct platform_ctx *ctx)
{
	return ctx->asks_stat;
}

void systrap_keep_stat(struct platform_ctx *ctx, const struct platform_rests *rests, const struct stat *st, uint32_t flags)
{
	_Static_assert(sizeof(ctx->slot->opened_stat) == sizeof(*st), "struct stat");

	memcpy(ctx->slot->opened_stat, st, sizeof(*st));
	ctx->slot->opened_flags = flags; // in the same line as the end of that
	ctx->rests = *rests;
	ctx->rests_set = true;
}

void systrap_keep_end(struct platform_ctx *ctx)
{
	ctx->at_end = true;
}

// What the answer that is in the slot rests on, if nothing else comes along but a copy from the data area, or with what was opened a file to keep.
static uint32_t keep_put(struct platform_ctx *ctx, uint32_t state)
{
	const uint32_t may = STATE_GO | STATE_RET | STATE_COPY | (ctx->asks_stat ? STATE_OPS : 0);
	const bool keep = ctx->rests_set && (state & STATE_RET) && !(state & ~may) && (!(state & STATE_COPY) || ctx->copy.offset != COPY_INLINE);

	ctx->rests_set = false;
	for (unsigned i = 0; i < SLOT_RESTS && keep; i++)
		ctx->slot->rests.on[i] = (struct slot_rest){ctx->rests.on[i].index, ctx->rests.on[i].count};
	return keep ? STATE_KEEP : 0;
}

// What goes along with an answer, now in the slot.
static uint32_t prepare_answer(struct platform_ctx *ctx)
{
	uint32_t state = STATE_GO;

	if (ctx->ret_set) {
		ctx->slot->ret = ctx->ret;
		state |= STATE_RET;
	}
	if (ctx->copy.len) {
		copy_put(ctx);
		state |= STATE_COPY;
	}
	if (ctx->regs_set)
		state |= STATE_FULL;
	state |= ops_put(ctx);
	if (ctx->move.len) {
		uint64_t *args = ctx->slot->args;

		args[0] = ctx->move.addr;
		args[1] = ctx->move.len;
		args[2] = ctx->move.index;
		args[3] = ctx->move.offset;
		args[4] = ctx->move.write;
		ctx->move.len = 0;
		ev.moving = true;
		state |= STATE_MOVE;
	}
	return state | keep_put(ctx, state) | (ctx->at_end ? STATE_KEEP : 0);
}

// A thread that ends doesn't patch where it did; another does.
static void take_late_site(struct platform_ctx *ctx)
{
	const uint64_t after = atomic_exchange(&ctx->as->site_late, 0);

	if (ctx->site_wanted || !after)
		return;
	ctx->site_wanted = true;
	ctx->site_after = after;
}

// In this order, so that one of the two says so while there are any.
static void ops_resumed(struct platform_ctx *ctx, bool out)
{
	atomic_store_explicit(&ctx->ops_out, out, memory_order_release);
	if (atomic_load_explicit(&ctx->ops_begun, memory_order_relaxed))
		atomic_store_explicit(&ctx->ops_begun, false, memory_order_release);
}

void systrap_resume(struct platform_ctx *ctx)
{
	_Atomic uint8_t *mode = &ev.modes[ctx->id];
	uint32_t state;

	if (ctx->as->dead) {
		ops_resumed(ctx, false);
		ready(ctx, &(struct platform_event){.kind = PLATFORM_DEAD});
		return;
	}
	if (ctx->as->site_late)
		take_late_site(ctx);
	if (ctx->site_wanted)
		op_patch(ctx, ctx->site_after);
	ctx->site_wanted = false;
	if (ctx->op_err) {
		struct platform_event failed = {.kind = PLATFORM_OP_FAILED, .failed = {ctx->op_err, ctx->op_tag}};

		ctx->op_err = 0;
		ops_resumed(ctx, false);
		ready(ctx, &failed);
		return;
	}
	state = prepare_answer(ctx);
	// No barrier once line 0 is written to: it would wait until the stub's processor has let the line go, which fetches it back meanwhile,
	// since it waits for the answer there. So that needs to come before the answer alone, and ops_sent before it.
	ops_resumed(ctx, state & (STATE_OP | STATE_OPS));
	ctx->ret_set = ctx->regs_set = false;
	if (atomic_load_explicit(&ctx->used_ns, memory_order_relaxed))
		ctx->used_ns = 0;
	slot_answer(ctx, state);
	ctx->seen_at = ctx->stub_looks_at - ctx->answered_at < DUE_MAX ? ctx->stub_looks_at : ctx->answered_at;
	ctx->look_at = ctx->seen_at + (ctx->due ?: LOOK_AFTER_ANSWER);
	atomic_exchange(mode, MODE_APP); // from here on it isn't ours
	if (stub_asleep()) // its next event may have come before the poller could know that it is out
		ring();
}

// Its handler has come to an end, and others needn't wait for its resume: it may even be one of them that it waits for.
static void ops_end(struct platform_ctx *ctx)
{
	atomic_store(&ctx->ops_begun, false);
	tell_ops_done(ctx);
}

void systrap_parks(struct platform_ctx *ctx)
{
	if (ctx->ops_begun)
		systrap_settle(ctx);
	__atomic_store_n(&ctx->slot->parked, 1, __ATOMIC_RELEASE);
}

void systrap_interrupt(struct platform_ctx *ctx)
{
	pid_t pid, tid;

	// Once until it comes: the host queues each such signal, and a thread that doesn't run for a while has no stack for many at once.
	if (atomic_exchange(&ctx->interrupted, true))
		return;
	__atomic_store_n(&ctx->slot->interrupt, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ctx->slot->state, __ATOMIC_SEQ_CST) & STATE_EVENT) { // it sees that on its way back
		ring();
		return;
	}
	pid = as_pid(ctx->as);
	tid = ctx->index ? (pid_t)__atomic_load_n(&ctx->slot->tid, __ATOMIC_RELAXED) : pid;
	// Whatever tid the application left there: the host lets the signal reach its own process alone.
	if (pid > 0 && tid > 0)
		syscall(SYS_tgkill, pid, tid, STUB_SIGNAL_INTERRUPT);
}

// While it is being resumed it is pending, too: a stub may have its answer before the poller's table says so.
static bool ops_under_way(struct platform_ctx *ctx)
{
	enum ctx_mode mode;

	if (ctx->ops_begun)
		return true;
	mode = ctx_mode(ctx);
	return ctx->ops_out && (mode == MODE_APP || mode == MODE_STOPPED) && !ops_done(ctx);
}

void systrap_ops_begin(struct platform_ctx *ctx)
{
	atomic_store_explicit(&ctx->ops_begun, true, memory_order_relaxed);
}

bool systrap_ops_pending(struct platform_ctx *ctx)
{
	bool first;

	if (!ops_under_way(ctx))
		return false;
	first = !atomic_exchange(&ctx->watch_ops, true);
	if (first)
		ev.nwatched++;
	__atomic_store_n(&ctx->slot->ops_watch, 1, __ATOMIC_SEQ_CST);
	if (ops_under_way(ctx))
		return true;
	if (!first)
		return false; // those who asked before wait to be told, which the poller is about to do
	if (!atomic_exchange(&ctx->watch_ops, false))
		return true; // it was told just now: the caller's wake-up is on its way
	ev.nwatched--;
	return false;
}

static bool process_ended(struct platform_as *as)
{
	siginfo_t info = {0};
	pid_t pid = as_pid(as);

	return as->dead || (pid && (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || info.si_pid));
}

static int wait_flushed_slowly(struct platform_ctx *ctx, uint32_t *word, const struct timespec *slice)
{
	for (int i = 0; i < FLUSH_LIMIT_S * 50; i++) {
		uint32_t state = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (state & STATE_EVENT)
			return 0;
		if (process_ended(ctx->as))
			return -ESRCH;
		syscall(SYS_futex, word, FUTEX_WAIT, state, slice, NULL, 0);
	}
	log_warning("systrap: a stub doesn't answer; it is killed");
	as_kill_process(ctx->as);
	return -ESRCH;
}

// Until the stub has posted again. 0 or -ESRCH.
static int wait_flushed(struct platform_ctx *ctx)
{
	const struct timespec slice = {.tv_nsec = 20 * NSEC_PER_MSEC};
	uint32_t *word = &ctx->slot->state, state;
	int err;

	for (int i = 0; i < FLUSH_SPINS && stub_param->spinning && ctx->cpu != (ev.cpu & 0xff); i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) & STATE_EVENT)
			return 0;
		_mm_pause();
	}
	state = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	if (!(state & STATE_EVENT))
		syscall(SYS_futex, word, FUTEX_WAIT, state, &slice, NULL, 0);
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) & STATE_EVENT)
		return 0;
	kernel_away_begin(); // a slow stub, or a hostile one: nobody else waits for it
	err = wait_flushed_slowly(ctx, word, &slice);
	kernel_away_end();
	return err;
}

int systrap_flush(struct platform_ctx *ctx)
{
	const volatile struct slot *s = ctx->slot;
	int err = ctx->op_err;

	if (ctx->as->dead)
		return -ESRCH;
	if (err) {
		ctx->op_err = 0;
		return -err;
	}
	copy_to_op(ctx);
	if (!ctx->nops && !ctx->move.len)
		return 0;
	slot_answer(ctx, prepare_answer(ctx) | STATE_STAY);
	ctx->ret_set = false; // it is in the slot's rax now
	err = wait_flushed(ctx);
	if (err)
		return err;
	born(ctx);
	ctx->data_used = 0;
	for (uint32_t i = 0; i < ctx->nsegs; i++)
		ctx->data_used = MAX(ctx->data_used, (ctx->segs[i].offset + ctx->segs[i].len + 63) & ~63u);
	if ((s->kind & KIND_MASK) != KIND_OP_FAILED)
		return 0;
	err = s->fail_err;
	ctx->op_tag = s->fail_tag;
	files_settle(ctx, true);
	return err > 0 && err < 4096 ? -err : -EIO;
}

void systrap_settle(struct platform_ctx *ctx)
{
	int err = ctx->op_err ? 0 : systrap_flush(ctx);

	if (err && err != -ESRCH) // its death is an event of its own
		ctx->op_err = -err;
	ops_end(ctx);
}

int systrap_events_init(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	ev.children_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ev.wait_fd = epoll_create1(EPOLL_CLOEXEC);
	ev.start = moment_now();
	if (ev.children_fd < 0 || ev.wait_fd < 0)
		return -errno;
	return 0;
}

int systrap_events_start(void)
{
	struct epoll_event e = {.events = EPOLLIN};

	stub_param->spin_limit = SPIN_LEAST; // until a wake-up's time is known
	if (epoll_ctl(ev.wait_fd, EPOLL_CTL_ADD, ev.children_fd, &e) < 0 || epoll_ctl(ev.wait_fd, EPOLL_CTL_ADD, stub_doorbell, &e) < 0)
		return -errno;
	return 0;
}
