// Stops of tracees become events: waits for any of them, tells the kinds of stop apart, and reaps the dead.
#include "platform/ptrace/events.h"

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/log.h"

enum { HASH = 256 };

static struct {
	LIST_HEAD(, platform_ctx) by_tid[HASH];
	TAILQ_HEAD(, platform_ctx) ready;
	int signal_fd;
} events = {.ready = TAILQ_HEAD_INITIALIZER(events.ready), .signal_fd = -1};

int events_start(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	events.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return events.signal_fd < 0 ? -errno : 0;
}

void events_add(struct platform_ctx *ctx)
{
	LIST_INSERT_HEAD(&events.by_tid[ctx->tid % HASH], ctx, hash_link);
}

void events_remove(struct platform_ctx *ctx)
{
	events_unready(ctx);
	if (ctx->tid)
		LIST_REMOVE(ctx, hash_link);
}

static struct platform_ctx *find(pid_t tid)
{
	struct platform_ctx *ctx;

	LIST_FOREACH(ctx, &events.by_tid[tid % HASH], hash_link)
		if (ctx->tid == tid)
			return ctx;
	return NULL;
}

void events_ready(struct platform_ctx *ctx, const struct platform_event *ev)
{
	ctx->ready = true;
	ctx->ready_event = *ev;
	TAILQ_INSERT_TAIL(&events.ready, ctx, ready_link);
}

void events_unready(struct platform_ctx *ctx)
{
	if (!ctx->ready)
		return;
	TAILQ_REMOVE(&events.ready, ctx, ready_link);
	ctx->ready = false;
}

void events_let_exit(struct platform_ctx *ctx)
{
	struct user_regs_struct regs = ctx->regs;

	regs.rip = STUB_SYSCALL;
	regs.rax = SYS_exit;
	regs.rdi = 0;
	regs.orig_rax = (uint64_t)-1;
	if (ptrace(PTRACE_SETREGS, ctx->tid, 0, &regs) == 0)
		ptrace(PTRACE_CONT, ctx->tid, 0, 0);
}

// What the stop of a context that was with the application means. False: nothing, it goes on. Any stop may be the end of an interrupt: the host
// forgets one that is on its way then, or comes with it once more.
static bool stop_event(struct platform_ctx *ctx, int status, struct platform_event *ev)
{
	const bool wanted = ctx->interrupt_sent;
	int sig = WSTOPSIG(status);
	siginfo_t info;

	ctx->interrupt_sent = false;
	memset(ev, 0, sizeof(*ev));
	if (ptrace(PTRACE_GETREGS, ctx->tid, 0, &ctx->regs) < 0) {
		ev->kind = PLATFORM_DEAD;
		ctx->dead = true;
		return true;
	}
	if (sig == (SIGTRAP | 0x80)) {
		const struct user_regs_struct *r = &ctx->regs;

		*ev = (struct platform_event){
			.kind = PLATFORM_SYSCALL,
			.call = {.nr = r->orig_rax, .args = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}},
		};
		return true;
	}
	if (status >> 16 == PTRACE_EVENT_STOP) {
		ev->kind = PLATFORM_INTERRUPTED;
		return true;
	}
	switch (sig) {
	case SIGSEGV:
	case SIGBUS:
	case SIGFPE:
	case SIGILL:
	case SIGTRAP:
		if (ptrace(PTRACE_GETSIGINFO, ctx->tid, 0, &info) < 0)
			info = (siginfo_t){.si_signo = sig, .si_code = SI_KERNEL};
		ev->kind = PLATFORM_FAULT;
		ev->fault.signo = sig;
		ev->fault.code = info.si_code;
		ev->fault.addr = (uaddr_t)info.si_addr;
		// ptrace doesn't tell the trap's number and error code; the likeliest stand in.
		ev->fault.trapno = sig == SIGFPE ? 0 : sig == SIGTRAP ? 3 : sig == SIGILL ? 6 : 14;
		ev->fault.error_code = sig == SIGSEGV || sig == SIGBUS ? 4 : 0;
		ev->fault.cr2 = sig == SIGSEGV || sig == SIGBUS ? (uaddr_t)info.si_addr : 0;
		return true;
	}
	ev->kind = PLATFORM_INTERRUPTED;
	return wanted; // some other signal from outside: not the application's business
}

struct platform_ctx *events_poll(struct platform_event *out_event)
{
	struct platform_ctx *ctx = TAILQ_FIRST(&events.ready);
	int status;
	pid_t tid;

	if (ctx) {
		events_unready(ctx);
		*out_event = ctx->ready_event;
		return ctx;
	}
	while ((tid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		ctx = find(tid);
		if (!ctx) {
			if (WIFSTOPPED(status))
				log_debug("ptrace: stop of unknown thread %d", tid);
			continue;
		}
		if (!WIFSTOPPED(status)) {
			bool was_running = ctx->running;

			ctx->dead = true;
			ctx->running = false;
			if (ctx->dying) {
				ctx_free(ctx);
			} else if (was_running) {
				*out_event = (struct platform_event){.kind = PLATFORM_DEAD};
				return ctx;
			} else {
				kernel_ctx_died(ctx);
			}
			continue;
		}
		ctx->running = false;
		if (ctx->dying) {
			ptrace(PTRACE_GETREGS, ctx->tid, 0, &ctx->regs);
			events_let_exit(ctx);
			continue;
		}
		if (stop_event(ctx, status, out_event))
			return ctx;
		ctx->running = ptrace(PTRACE_SYSEMU, ctx->tid, 0, 0) == 0;
	}
	return NULL;
}

bool events_prepare_sleep(void)
{
	siginfo_t info = {0};

	if (!TAILQ_EMPTY(&events.ready))
		return false;
	return waitid(P_ALL, 0, &info, WNOHANG | WNOWAIT | WEXITED | WSTOPPED | __WALL) < 0 || info.si_pid == 0;
}

void events_after_sleep(void)
{
	struct signalfd_siginfo si;

	while (read(events.signal_fd, &si, sizeof(si)) == sizeof(si))
		;
}

int events_wait_fd(void)
{
	return events.signal_fd;
}
