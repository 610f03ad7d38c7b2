// The systrap platform: application code runs in stubs, host processes whose system calls come to the sentry through shared memory.
//
// A call raises SIGSYS, or comes by a patched call site without a signal; the stub, a small blob in every address space, puts it in the
// context's slot and waits there for the answer (channel.h). Address spaces are real host processes, cloned from a template or from each
// other, so that memory is the host's business. This file holds the registers and the table; the rest is in
// template (the first stub), context (lives and deaths), events (the hand-over), ops and memory.
//
// Host calls that the sentry makes here after init(): socketpair, setsockopt(SO_PASSCRED), memfd_create, ftruncate, fstat, mmap/munmap of
// channels (MAP_SHARED), sendmsg and recvmsg on stubs' sockets, close, futex (WAIT with a timeout and WAKE, not private), tgkill and
// kill of stubs, waitid, wait4, process_vm_readv, process_vm_writev, read (doorbell, signalfd), write (doorbell), sched_yield, epoll_ctl
// (start only). The stubs patch call sites themselves.
#include "platform/systrap/systrap_int.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "host/cputime.h"
#include "lib/container_of.h"

_Static_assert(offsetof(struct stub_regs, gs_base) == offsetof(struct user_regs_struct, gs_base), "the registers' order");

static void get_regs(struct platform_ctx *ctx, struct user_regs_struct *out_regs)
{
	const volatile struct stub_regs *shared = &ctx->slot->regs;
	struct stub_regs regs = *shared;

	memset(out_regs, 0, sizeof(*out_regs));
	memcpy(out_regs, &regs, sizeof(regs));
	if (ctx->ret_set)
		out_regs->rax = ctx->ret;
	out_regs->cs = USER_CS;
	out_regs->ss = USER_SS;
	out_regs->eflags = (regs.eflags & EFLAGS_USER) | EFLAGS_FIXED;
}

static void set_regs(struct platform_ctx *ctx, const struct user_regs_struct *regs)
{
	struct stub_regs r;

	memcpy(&r, regs, sizeof(r));
	r.eflags = (r.eflags & EFLAGS_USER) | EFLAGS_FIXED;
	ctx->slot->regs = r;
	ctx->regs_set = true;
	ctx->ret_set = false;
}

static void set_ret(struct platform_ctx *ctx, uint64_t rax)
{
	ctx->ret = rax;
	ctx->ret_set = true;
}

// Which of the sets on the parameter page these are, and 1; 0: none, and there is no room for more.
static uint32_t limits_1(const struct rlimit64 *limits)
{
	static struct mutex mu = MUTEX_INIT;
	static uint32_t n; // Guarded by mu.
	uint32_t i = 0;
	bool found;

	mutex_lock(&mu);
	while (i < n && memcmp(stub_param->limits[i], limits, sizeof(stub_param->limits[i])) != 0)
		i++;
	if (i == n && n < PARAM_LIMITS)
		memcpy(stub_param->limits[n++], limits, sizeof(stub_param->limits[i]));
	found = i < n;
	mutex_unlock(&mu);
	return found ? i + 1 : 0;
}

static void set_ids(struct platform_ctx *ctx, const struct platform_ids *ids)
{
	struct slot_ids *shared = &ctx->slot->ids;

	__atomic_store_n(&shared->valid, 0, __ATOMIC_RELEASE);
	if (!ids)
		return;
	shared->tgid = ids->tgid;
	shared->tid = ids->tid;
	shared->ppid = ids->ppid;
	shared->uid = ids->uid;
	shared->euid = ids->euid;
	shared->gid = ids->gid;
	shared->egid = ids->egid;
	shared->limits_1 = limits_1(ids->rlimits);
	__atomic_store_n(&shared->valid, 1, __ATOMIC_RELEASE);
}

static void set_sigmask(struct platform_ctx *ctx, uint64_t mask)
{
	volatile struct slot_sigmask *shared = &ctx->slot->sigmask;

	if (shared->mask != mask) // else the line may stay where it is
		shared->mask = mask;
}

static uint64_t get_sigmask(struct platform_ctx *ctx)
{
	return __atomic_load_n(&ctx->slot->sigmask.mask, __ATOMIC_SEQ_CST);
}

static void lend_sigmask(struct platform_ctx *ctx, bool lent)
{
	uint32_t *shared = &ctx->slot->sigmask.lent;

	if (__atomic_load_n(shared, __ATOMIC_RELAXED) != lent)
		__atomic_store_n(shared, lent, __ATOMIC_SEQ_CST);
}

static void set_altstack(struct platform_ctx *ctx, const stack_t *ss)
{
	const struct slot_altstack new = {(uint64_t)ss->ss_sp, ss->ss_size, (uint32_t)ss->ss_flags};

	if (memcmp(&ctx->slot->altstack, &new, sizeof(new)) != 0) // as above
		ctx->slot->altstack = new;
}

_Static_assert(PARAM_COUNTS == PLATFORM_COUNTS && PARAM_PATH_COUNTS == PLATFORM_PATH_COUNTS && SLOT_RESTS == PLATFORM_RESTS, "one number");

static void epoll_quiet(struct platform_ctx *ctx, int fd, uint32_t index, uint32_t count, const struct platform_item *except)
{
	struct slot_quiet *q = &ctx->slot->quiet;

	if (!except)
		*q = (struct slot_quiet){(uint32_t)fd + 1, index, count, .what = 0};
	else if (except->as == ctx->as)
		*q = (struct slot_quiet){(uint32_t)fd + 1, index, count, (uint32_t)except->fd, lent_what(except->as, except->fd), except->data};
}

static uint32_t count(uint32_t index)
{
	return __atomic_load_n(&stub_param->counts[index], __ATOMIC_SEQ_CST);
}

static void count_up(uint32_t index)
{
	__atomic_fetch_add(&stub_param->counts[index], 1, __ATOMIC_SEQ_CST);
}

static void set_children(struct platform_ctx *ctx, const struct platform_children *c)
{
	ctx->slot->children = c ? (struct slot_children){c->index + 1, c->count, (uint32_t)c->pid} : (struct slot_children){0};
}

static void may_answer(void)
{
	stub_param->answers = 1;
}

// The one that every program asks for, and goes without.
static void not_built(uint64_t nr)
{
	if (nr == SYS_rseq)
		stub_param->no_rseq = 1;
}

static uint64_t *at_end_place(struct platform_ctx *ctx, enum platform_at_end what)
{
	return what == PLATFORM_ROBUST_LIST ? &ctx->slot->robust_list : &ctx->slot->clear_tid;
}

static uaddr_t at_end(struct platform_ctx *ctx, enum platform_at_end what)
{
	return __atomic_load_n(at_end_place(ctx, what), __ATOMIC_RELAXED);
}

static void set_at_end(struct platform_ctx *ctx, enum platform_at_end what, uaddr_t addr)
{
	__atomic_store_n(at_end_place(ctx, what), addr, __ATOMIC_RELAXED);
}

static uint32_t path_count(uint32_t index)
{
	return __atomic_load_n(&stub_param->path_counts[index], __ATOMIC_SEQ_CST);
}

static void path_count_up(uint32_t index)
{
	__atomic_fetch_add(&stub_param->path_counts[index], 1, __ATOMIC_SEQ_CST);
}

static void futex_note(struct platform_ctx *ctx, uaddr_t addr, enum platform_futex_note note)
{
	struct chan_futex *f = chan_futex(ctx->as->chan, addr);

	if (note == PLATFORM_FUTEX_WAITS)
		__atomic_fetch_add(&f->waiters, 1, __ATOMIC_SEQ_CST);
	else if (note == PLATFORM_FUTEX_LEFT)
		__atomic_fetch_sub(&f->waiters, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_add(&f->wakes, 1, __ATOMIC_SEQ_CST);
}

static bool futex_word(struct platform_ctx *ctx, uaddr_t addr, uint32_t *out_word)
{
	volatile struct slot *s = ctx->slot;
	bool seen = s->futex.seen;

	s->futex.seen = 0; // good once: a call that is restarted reads anew
	if (!seen || s->futex.wakes != __atomic_load_n(&chan_futex(ctx->as->chan, addr)->wakes, __ATOMIC_SEQ_CST))
		return false;
	*out_word = s->futex.word;
	return true;
}

static void give_random(struct platform_ctx *ctx, const uint8_t bytes[PLATFORM_RANDOM_BYTES])
{
	memcpy(ctx->slot->random.bytes, bytes, PLATFORM_RANDOM_BYTES);
	ctx->slot->random.left = PLATFORM_RANDOM_BYTES;
}

static void set_owner(struct platform_ctx *ctx, void *owner)
{
	ctx->owner = owner;
}

static void *owner(struct platform_ctx *ctx)
{
	return ctx->owner;
}

static struct platform_as *template_as;

static int init(void)
{
	return systrap_events_init() ?: systrap_template_create(&template_as) ?: context_init(template_as);
}

static int start(void)
{
	return systrap_template_wait(template_as) ?: systrap_events_start();
}

static void fini(void)
{
	if (stub_group > 0)
		kill(-stub_group, SIGKILL);
}

static uint32_t xstate_size(void)
{
	return stub_param->xstate_bytes;
}

static uint64_t xstate_features(void)
{
	return stub_xfeatures;
}

static pid_t host_pid(struct platform_ctx *ctx)
{
	return as_pid(ctx->as);
}

static uint64_t cpu_ns(struct platform_ctx *ctx)
{
	const uint64_t used_ns = ctx->used_ns;
	struct platform_as *as = ctx->as;

	if (used_ns)
		return used_ns;
	if (!as->spawned)
		return host_process_cpu_ns(as_pid(as));
	// A slot can lie about its thread, but /proc knows whose it is: an application can only mix its own threads up.
	return host_thread_cpu_ns(as_pid(as), ctx->index == 0 ? as_pid(as) : (pid_t)*(volatile uint32_t *)&ctx->slot->tid);
}

static uaddr_t vdso(void)
{
	return stub_vdso;
}

const struct platform_ops systrap_ops = {
	.name = "systrap",
	.init = init,
	.start = start,
	.fini = fini,
	.poll = systrap_poll,
	.prepare_sleep = systrap_prepare_sleep,
	.after_sleep = systrap_after_sleep,
	.wait_fd = systrap_wait_fd,
	.sleep_ms = systrap_sleep_ms,
	.leaves_for_long = systrap_leaves_for_long,
	.all_stopped = systrap_all_stopped,
	.as_create = systrap_as_create,
	.fork = systrap_fork,
	.spawn = systrap_spawn,
	.ctx_destroy = systrap_ctx_destroy,
	.as_kill = systrap_as_kill,
	.set_owner = set_owner,
	.owner = owner,
	.resume = systrap_resume,
	.interrupt = systrap_interrupt,
	.set_ids = set_ids,
	.set_sigmask = set_sigmask,
	.get_sigmask = get_sigmask,
	.lend_sigmask = lend_sigmask,
	.set_altstack = set_altstack,
	.lend_actions = systrap_lend_actions,
	.use_actions = systrap_use_actions,
	.actions_changed = systrap_actions_changed,
	.get_action = systrap_get_action,
	.take_action = systrap_take_action,
	.epoll_quiet = epoll_quiet,
	.count = count,
	.count_up = count_up,
	.set_children = set_children,
	.asks_rests = systrap_asks_rests,
	.keep_answer = systrap_keep_answer,
	.asks_stat = systrap_asks_stat,
	.keep_stat = systrap_keep_stat,
	.keep_end = systrap_keep_end,
	.names_apart = systrap_names_apart,
	.path_count = path_count,
	.path_count_up = path_count_up,
	.futex_note = futex_note,
	.may_answer = may_answer,
	.not_built = not_built,
	.at_end = at_end,
	.set_at_end = set_at_end,
	.futex_word = futex_word,
	.give_random = give_random,
	.parks = systrap_parks,
	.in_the_way = systrap_in_the_way,
	.expects = systrap_expects,
	.wake_ns = systrap_wake_ns,
	.last_cpu = systrap_last_cpu,
	.get_regs = get_regs,
	.set_regs = set_regs,
	.set_ret = set_ret,
	.xstate_size = xstate_size,
	.xstate_features = xstate_features,
	.save_xstate = systrap_save_xstate,
	.load_xstate = systrap_load_xstate,
	.reset_xstate = systrap_reset_xstate,
	.copy_in = systrap_copy_in,
	.copy_in_str = systrap_copy_in_str,
	.copy_out = systrap_copy_out,
	.copy_out_reserve = systrap_copy_out_reserve,
	.copy_out_commit = systrap_copy_out_commit,
	.peek_in = systrap_peek_in,
	.cmpxchg32 = systrap_cmpxchg32,
	.file_move = systrap_file_move,
	.file_keep = systrap_file_keep,
	.file_foresee = systrap_file_foresee,
	.files_drop = systrap_files_drop,
	.lend = systrap_lend,
	.lent_no_tty = systrap_lent_no_tty,
	.lent_give_pos = systrap_lent_give_pos,
	.lent_take_pos = systrap_lent_take_pos,
	.lent_take_back = systrap_lent_take_back,
	.lent_peek = systrap_lent_peek,
	.lent_stop = systrap_lent_stop,
	.lent_written = systrap_lent_written,
	.lent_limit = systrap_lent_limit,
	.lent_leave = systrap_lent_leave,
	.lent_watch = systrap_lent_watch,
	.set_late = systrap_set_late,
	.late_calls = systrap_late_calls,
	.late_untold = systrap_late_untold,
	.map_anon = systrap_map_anon,
	.map_file = systrap_map_file,
	.unmap = systrap_unmap,
	.protect = systrap_protect,
	.remap = systrap_remap,
	.advise = systrap_advise,
	.calls_at = systrap_calls_at,
	.lend_advice = systrap_lend_advice,
	.barrier = systrap_barrier,
	.unmap_all = systrap_unmap_all,
	.flush = systrap_flush,
	.settle = systrap_settle,
	.ops_begin = systrap_ops_begin,
	.ops_pending = systrap_ops_pending,
	.host_pid = host_pid,
	.cpu_ns = cpu_ns,
	.vdso = vdso,
};
