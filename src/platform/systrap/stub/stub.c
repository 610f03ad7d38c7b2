// The stub's side of the channel: how a context comes to life, tells the sentry of an event, and waits for the answer.
#include "platform/systrap/stub/stub.h"

#include <linux/futex.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>

// In cycles of the time-stamp counter: how long an answer is waited for awake while that didn't pay of late (else as long as PARAM says).
enum { SPIN_SHORT = 6000, YIELD_LIMIT = 30000, SPIN_BATCH = 16, SKIP_MAX = 255, COPY_AHEAD = 1024, FETCH_AHEAD = 256, PAUSE_MAX = 200 };

static uint32_t this_cpu(void)
{
	uint64_t aux;

	if (PARAM->has_rdpid)
		asm volatile("rdpid %0" : "=r"(aux));
	else
		asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
	return aux & 0xfff;
}

void spin_in_vain(uint32_t *spin)
{
	const uint32_t skip = *spin & 0xffff, last = *spin >> 16, next = last * 2 + 1 < SKIP_MAX ? last * 2 + 1 : SKIP_MAX;

	*spin = skip ? last << 16 | (skip - 1) : next << 16 | next;
}

void slot_ring(void)
{
	uint64_t one = 1;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (PARAM->asleep)
		stub_call3(SYS_write, STUB_FD_DOORBELL, &one, sizeof(one));
}

static void note_cpu(struct slot *s)
{
	s->cpu = PARAM->spinning ? this_cpu() : 0;
}

void slot_take_args(struct slot *s)
{
	const struct stub_regs *r = &s->regs;

	s->call.args[0] = r->rdi;
	s->call.args[1] = r->rsi;
	s->call.args[2] = r->rdx;
	s->call.args[3] = r->r10;
	s->call.args[4] = r->r8;
	s->call.args[5] = r->r9;
}

static void put_call(struct slot *s)
{
	s->nr = s->call.nr;
	s->seg0_len = s->call.seg0_len;
	for (int i = 0; i < 6; i++)
		s->args[i] = s->call.args[i];
}

// To look for the answer awake can't pay when the sentry needs this very processor.
static bool may_spin(const struct slot *s)
{
	return PARAM->spinning && s->cpu != PARAM->leader_cpu;
}

void slot_post(struct slot *s, uint32_t kind)
{
	uint32_t due;

	note_cpu(s);
	s->parked = 0;
	s->waits_for = (kind & KIND_MASK) == KIND_SYSCALL && s->call.nr < DUE_CALLS - 1 ? s->call.nr + 1 : 0;
	s->posted = spin_clock();
	due = may_spin(s) ? s->due[s->waits_for] ?: LOOK_AFTER_EVENT : 0;
	if ((kind & KIND_MASK) == KIND_SYSCALL)
		put_call(s);
	s->kind = kind | s->cpu << KIND_CPU_SHIFT;
	__atomic_store_n(&s->state, STATE_EVENT | (slot_late(s)->n ? STATE_LATE : 0) | state_time(s->posted) | state_due(due), __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); // what we wrote is there before we look whether anybody looks, whether there is news, and whether we are wanted
	s->hushed = (kind & KIND_MASK) == KIND_SYSCALL && PARAM->asleep && waits_for_news(s) && !*(volatile uint32_t *)&s->interrupt;
	if (!s->hushed)
		slot_ring();
	if ((kind & KIND_MASK) == KIND_SYSCALL) // now that nobody waits for it
		opened_after(s);
}

// Not too late by a `pause`, which takes long.
static void wait_until(uint64_t clock)
{
	int64_t left;

	while ((left = clock - spin_clock()) > 0)
		if (left > PAUSE_MAX)
			__builtin_ia32_pause();
}

// A call's answer is likely to bring as many bytes as the last such one: they are sent for at once with the answer itself.
static void fetch_copied(const struct slot *s)
{
	const uint8_t *from = (const uint8_t *)s + SLOT_DATA + s->copied.offset;

	if (s->copied.to != s->waits_for)
		return;
	for (uint32_t i = 0; i < s->copied.len && i < FETCH_AHEAD; i += 64)
		__builtin_prefetch(from + i);
}

// Waits awake, if that may pay. The state, or 0. It doesn't pay when the sentry has said that the call waits for something; and it is made short for a
// while after it didn't.
static uint32_t spin(struct slot *s)
{
	const uint64_t limit = s->spin & 0xffff ? SPIN_SHORT : PARAM->spin_limit;
	const uint64_t start = s->posted;
	uint16_t *due = &s->due[s->waits_for];
	uint32_t state;

	if (!may_spin(s))
		return 0;
	wait_until(start + (*due ?: LOOK_AFTER_EVENT));
	fetch_copied(s);
	do {
		for (int i = 0; i < SPIN_BATCH; i++) {
			state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
			if (state & STATE_GO) {
				due_learn(due, state_clock(state, start) - start);
				s->spin = 0;
				return state;
			}
			if (*(volatile uint32_t *)&s->parked)
				return 0;
			__builtin_ia32_pause();
		}
	} while (spin_clock() - start < limit);
	spin_in_vain(&s->spin);
	return 0;
}

// Waits for what somebody else has to bring about who may need this very processor, a thread or the sentry: gives way to whoever else would
// run here, again and again. Where threads take turns, neither of them needs to be woken by the host then. The state, or 0.
static uint32_t give_way(struct slot *s)
{
	const uint64_t start = spin_clock();
	uint32_t state;

	if (s->yield_spin & 0xffff) {
		spin_in_vain(&s->yield_spin);
		return 0;
	}
	do {
		state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
		if (state & STATE_GO) {
			s->yield_spin = 0;
			return state;
		}
		stub_call1(SYS_sched_yield, 0);
	} while (spin_clock() - start < YIELD_LIMIT);
	spin_in_vain(&s->yield_spin);
	return 0;
}

static uint32_t wait_answer(struct slot *s)
{
	uint32_t state = 0;

	while (s->leaves)
		stub_call1(s->call.nr, 0);
	if (PARAM->spinning && !s->hushed && s->call.nr != SYS_exit_group) // which isn't answered: who waits for it needs the processor
		state = spin(s) ?: give_way(s);
	if (state)
		return state;
	for (;;) {
		state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
		if (!(state & (STATE_EVENT | STATE_GO))) { // the template's first turn: the sentry has yet to make the slot, and would forget that we sleep
			stub_call1(SYS_sched_yield, 0);
			continue;
		}
		if (state & STATE_EVENT)
			__atomic_compare_exchange_n(&s->state, &state, state | STATE_SLEEP, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		if (state & STATE_GO)
			return state;
		stub_call(SYS_futex, (long)&s->state, FUTEX_WAIT, state | STATE_SLEEP, 0, 0, 0);
		state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
		if (state & STATE_GO)
			return state;
		if (s->hushed) // the sentry wants to interrupt the call, or there is something else
			slot_ring();
		s->hushed = 0;
	}
}

static bool copy_answer(struct slot *s)
{
	const uint8_t *from = s->copy.offset == COPY_INLINE ? s->copy.bytes : (uint8_t *)s + SLOT_DATA + s->copy.offset;

	if (s->copy.offset != COPY_INLINE) {
		s->copied.offset = s->copy.offset;
		s->copied.len = s->copy.len;
		s->copied.to = s->waits_for;
	}
	for (uint32_t i = 64; i < s->copy.len && i < COPY_AHEAD; i += 64)
		__builtin_prefetch(from + i); // all lines at once: a string instruction sends for one after the other
	return stub_copy((void *)s->copy.dst, from, s->copy.len) == 0;
}

static void answer_keep(struct slot *s)
{
	if ((s->call.nr == SYS_open || s->call.nr == SYS_openat) && (long)s->ret >= 0)
		opened_keep(s);
	else if (s->call.nr == SYS_getdents64)
		opened_at_end(s);
	else
		name_keep(s);
}

uint32_t slot_turn(struct slot *s)
{
	for (;;) {
		uint32_t state = wait_answer(s);

		if (state & STATE_RET)
			s->regs.rax = s->ret;
		if ((state & STATE_COPY) && !copy_answer(s)) {
			slot_post(s, KIND_COPY_FAILED);
			continue;
		}
		if (state & STATE_KEEP)
			answer_keep(s);
		if (((state & STATE_OP) && !op_run(s)) || ((state & STATE_OPS) && !ops_run(s)) || ((state & STATE_MOVE) && !move_run(s))) {
			slot_post(s, KIND_OP_FAILED);
			if (state & STATE_STAY)
				stub_call3(SYS_futex, &s->state, FUTEX_WAKE, 1);
			continue;
		}
		if (!(state & STATE_STAY))
			return state;
		slot_post(s, KIND_FLUSHED);
		stub_call3(SYS_futex, &s->state, FUTEX_WAKE, 1); // the sentry may wait for just this
	}
}

// For entry.S: how to go back.
int stub_fast_call(struct slot *s, struct site *site);
int stub_fast_call(struct slot *s, struct site *site)
{
	if (site->kind == SITE_LEA) {
		site_lea(site, &s->regs);
		slot_take_args(s);
	}
	if (!own_call(s)) {
		const uint32_t kind = KIND_SYSCALL | prefetch(s);
		uint32_t state;

		slot_post(s, kind);
		state = slot_turn(s);
		if (kind & KIND_SEG0) // the sentry has that line; the next call may bring something there, too
			asm volatile("prefetchw %0" : : "m"(*((uint8_t *)s + SLOT_DATA)));
		if (state & STATE_FULL)
			return BACK_FULL;
	}
	if (site->kind != SITE_BEHIND)
		return BACK_SHORT;
	site_finish(site, &s->regs);
	return BACK_LONG;
}

void stub_fast_cpuid_done(struct slot *s, struct site *site);
void stub_fast_cpuid_done(struct slot *s, struct site *site)
{
	site_cpuid(site, &s->regs);
}

void stub_interrupted(struct slot *s)
{
	s->interrupt = 0;
	s->regs.orig_rax = (uint64_t)-1;
	slot_post(s, KIND_INTERRUPTED);
	slot_turn(s);
	stub_resume_full(s);
}

// A context begins as if it had posted an event and the sentry had it in hand.
static void __attribute__((noreturn)) begin(struct slot *s)
{
	const stack_t stack = {.ss_sp = (char *)s + SLOT_STACK, .ss_size = SLOT_DATA - SLOT_STACK};

	note_cpu(s);
	s->call.nr = 0; // the channel may have been another process's
	stub_call2(SYS_sigaltstack, &stack, 0);
	s->spin = s->waits_for = 0;
	s->posted = spin_clock();
	slot_turn(s);
	stub_resume_full(s);
}

void stub_thread_born(struct slot *s)
{
	begin(s);
}

void stub_process_born(long chan_fd, long sock_fd)
{
	uint64_t hello = 0;

	if (SITES->busy) // whoever was about it stayed behind; most often the page can go on being the parent's
		SITES->busy = 0;
	if (SITES->held)
		SITES->held = 0;
	stub_call2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	stub_call2(SYS_dup2, sock_fd, STUB_FD_SOCKET);
	stub_call1(SYS_close, sock_fd);
	stub_call1(SYS_close, chan_fd);
	stub_call3(SYS_write, STUB_FD_SOCKET, &hello, sizeof(hello)); // the host adds who we are
	begin((struct slot *)CHAN_BASE);
}

// What of the sentry's memory is left goes; that in the vdso's place has gone before.
void stub_template_born(struct slot *s);
void stub_template_born(struct slot *s)
{
	const struct {
		uint64_t start, end;
	} sentrys[] = {
		{0, SITE_TABLE},
		{SITE_TABLE + SITE_TABLE_BYTES, SITE_FAR},
		{SITE_FAR + SITE_FAR_BYTES, STUB_TEXT},
		{(((const struct stub_header *)STUB_TEXT)->text_end + 4095) & ~4095ul, STUB_PARAM},
		{STUB_PARAM + sizeof(struct stub_param), STUB_VDSO},
		{STUB_SITES + SITES_BYTES, CHAN_BASE},
		{CHAN_BASE + CHAN_BYTES, 0x7ffffffff000},
	};
	uint64_t hello = 0;

	for (unsigned i = 0; i < sizeof(sentrys) / sizeof(sentrys[0]); i++)
		stub_call2(SYS_munmap, sentrys[i].start, sentrys[i].end - sentrys[i].start);
	stub_call3(SYS_write, STUB_FD_SOCKET, &hello, sizeof(hello));
	begin(s);
}
