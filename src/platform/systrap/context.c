// Address spaces and contexts: how they come to be and go.
//
// A process is known by the credentials that the host puts on its first message, so that no application can name another's. Its pid
// stays reserved, as a zombie, until nothing refers to the address space: then it is reaped.
#include "platform/systrap/systrap_int.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/cputime.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"

KMEM_TYPE(as_type, platform_as);
KMEM_TYPE(ctx_type, platform_ctx);

static struct {
	struct mutex registry_mu;
	LIST_HEAD(, platform_as) registry; // Guarded by registry_mu.
	struct mutex template_mu;          // one request at a time
	struct platform_ctx *template;
	_Atomic uint32_t nborn;
	struct platform_as *dying;         // the poller's
	bool unsure;                       // the poller's: somebody ended who may have had to make a process, and some aren't known to be there
} all = {.registry_mu = MUTEX_INIT, .template_mu = MUTEX_INIT};

// --- address spaces

int as_create_empty(const struct channel *memory, struct platform_as **out_as)
{
	struct platform_as *as = kmem_alloc(&as_type);
	struct channel c = memory ? *memory : (struct channel){-1, -1, -1, NULL};
	int err;

	if (!as) {
		if (memory)
			channel_drop(memory);
		return -ENOMEM;
	}
	err = channel_take(&c);
	if (err) {
		kmem_free(&as_type, as);
		return err;
	}
	mutex_init(&as->mu);
	as->sock = c.sock;
	as->stub_sock = c.stub_sock;
	as->chan_fd = c.fd;
	as->chan = c.at;
	mutex_lock(&all.registry_mu);
	LIST_INSERT_HEAD(&all.registry, as, registry_link);
	mutex_unlock(&all.registry_mu);
	*out_as = as;
	return 0;
}

void as_free(struct platform_as *as)
{
	mutex_lock(&all.registry_mu);
	LIST_REMOVE(as, registry_link);
	mutex_unlock(&all.registry_mu);
	op_cache_drop(as);
	files_free(as);
	kin_leave(as);
	if (as->watched)
		events_watch(as->sock, false);
	family_give(as);
	family_leave(as);
	channel_drop(&(struct channel){as->sock, as->stub_sock, as->chan_fd, as->chan});
	kmem_free(&as_type, as);
}

static bool pid_taken(pid_t pid)
{
	struct platform_as *as;
	bool taken = false;

	mutex_lock(&all.registry_mu);
	LIST_FOREACH(as, &all.registry, registry_link)
		taken = taken || as->pid == pid;
	mutex_unlock(&all.registry_mu);
	return taken;
}

struct platform_as *as_find(pid_t pid)
{
	struct platform_as *as;

	mutex_lock(&all.registry_mu);
	LIST_FOREACH(as, &all.registry, registry_link) {
		if (as->pid == pid)
			break;
	}
	mutex_unlock(&all.registry_mu);
	return as;
}

// Its first message: 0 (not there yet), the sender's pid, or -1 when it will never come.
static pid_t receive_hello(int sock)
{
	uint64_t byte;
	char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
	struct iovec iov = {&byte, sizeof(byte)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	struct ucred cred;
	ssize_t n;

	do // told once of who ended with something unread; what it sent is there still
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == ECONNRESET);
	if (n < 0 && errno == EAGAIN)
		return 0;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
		return -1;
	memcpy(&cred, CMSG_DATA(c), sizeof(cred));
	return cred.pid > 0 ? cred.pid : -1;
}

pid_t as_pid(struct platform_as *as)
{
	pid_t pid = as->pid;
	bool stillborn = false;

	if (pid || as->dead)
		return pid;
	mutex_lock(&as->mu);
	if (!as->pid && !as->dead) {
		pid = receive_hello(as->sock);
		stillborn = pid < 0 || (pid && pid_taken(pid));
		if (stillborn)
			as->dead = true;
		else
			as->pid = pid;
		if (as->pid && as->kill_wanted)
			kill(as->pid, SIGKILL);
	}
	pid = as->pid;
	mutex_unlock(&as->mu);
	if (stillborn)
		events_death();
	return pid;
}

void as_kill_process(struct platform_as *as)
{
	as_pid(as);
	mutex_lock(&as->mu);
	if (!as->kill_wanted && as->pid)
		kill(as->pid, SIGKILL);
	as->kill_wanted = true;
	mutex_unlock(&as->mu);
}

// True when it is gone for good.
static bool reap_one(struct platform_as *as)
{
	pid_t pid = as_pid(as);

	return pid ? waitpid(pid, NULL, WNOHANG | __WALL) != 0 : as->dead;
}

// Processes whose first message nobody has read yet. Whose maker ended may never send one: that is told by its socket, which everybody closes then.
static void know_all(bool orphans)
{
	struct platform_as *as;

	all.unsure = false;
	// A first message can make its as dead, but frees nothing: only the poller, who is us, does.
	for (as = LIST_FIRST(&all.registry); as; as = LIST_NEXT(as, registry_link)) {
		const bool known = as_pid(as) || as->dead, watch = !known && (orphans || as->watched);

		all.unsure |= watch;
		if (watch != as->watched)
			events_watch(as->sock, watch);
		as->watched = watch;
	}
}

void know_unsure(void)
{
	if (all.unsure)
		know_all(false);
}

bool reap_dying(void)
{
	struct platform_as *as, **link = &all.dying;

	while ((as = *link)) {
		if (reap_one(as)) {
			*link = as->next_dying;
			as_free(as);
		} else {
			link = &as->next_dying;
		}
	}
	return !all.dying;
}

// Notes the end of its process; true if nobody knew of it.
static bool ended(struct platform_as *as, int status)
{
	const bool news = !as->dead;

	if (news) {
		as->dead = true;
		if (!as->kill_wanted)
			log_debug("systrap: process %d ended by itself (status %d)", (int)as->pid, status);
	}
	if (as->nalive) // and it may have been about to fork
		know_all(true);
	return news;
}

// The host tells of one ended process, the same until that is reaped. One whose contexts are there still isn't, and the template's always are: so each
// other is asked for.
static void look_at_each(void)
{
	struct platform_as *as;

	for (as = LIST_FIRST(&all.registry); as; as = LIST_NEXT(as, registry_link)) {
		const pid_t pid = as_pid(as);
		siginfo_t info = {0};

		if (pid > 0 && !as->dead && waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid)
			ended(as, info.si_status);
	}
}

bool reap(void)
{
	bool found = false;

	// Those that were to end by themselves have had time for it.
	for (struct platform_as *as = all.dying; as; as = as->next_dying)
		as_kill_process(as);
	for (;;) {
		siginfo_t info = {0};
		struct platform_as *as;

		reap_dying();
		if (waitid(P_PGID, stub_group, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 || !info.si_pid)
			return found;
		as = as_find(info.si_pid);
		if (!as) {
			know_all(false);
			as = as_find(info.si_pid);
		}
		if (as) {
			found |= ended(as, info.si_status);
			if (as->nctx) {
				look_at_each();
				return true;
			}
			continue;
		}
		waitpid(info.si_pid, NULL, WNOHANG | __WALL); // some application forked through the stub's text
	}
}

// --- contexts

static int slot_find(struct platform_as *as)
{
	for (uint32_t i = 0; i < SLOTS_MAX; i++) {
		const volatile struct slot *s = (const struct slot *)(as->chan + (size_t)i * SLOT_BYTES);

		if (as->slots[i] == SLOT_FREE || (as->slots[i] == SLOT_LEAVING && s->tid == 0)) {
			as->slots[i] = SLOT_TAKEN;
			as->nslots = MAX(as->nslots, i + 1);
			return i;
		}
	}
	return -EAGAIN;
}

void ctx_forget_names(struct platform_ctx *ctx)
{
	ctx->slot->names.born = ctx->born = ++all.nborn;
}

static int ctx_create(struct platform_as *as, struct platform_ctx **out_ctx)
{
	struct platform_ctx *ctx = kmem_alloc(&ctx_type);
	int index, err;

	if (!ctx)
		return -ENOMEM;
	mutex_lock(&as->mu);
	index = slot_find(as);
	if (index >= 0) {
		as->nctx++;
		as->nalive++;
	}
	mutex_unlock(&as->mu);
	if (index < 0) {
		kmem_free(&ctx_type, ctx);
		return index;
	}
	ctx->as = as;
	ctx->index = index;
	ctx->slot = (struct slot *)(as->chan + (size_t)index * SLOT_BYTES);
	memset(ctx->slot, 0, offsetof(struct slot, segs));
	memset(&ctx->slot->regs, 0, offsetof(struct slot, due) - offsetof(struct slot, regs));
	memset(slot_late(ctx->slot), 0, offsetof(struct slot_late, calls));
	ctx->slot->self = CHAN_BASE + (uint64_t)index * SLOT_BYTES;
	ctx->slot->alone = as->nctx == 1;
	ctx->slot->state = STATE_EVENT; // as if it had come to us
	ctx->slot->cpu = CPU_UNBORN;
	ctx_forget_names(ctx);
	ctx->made_ns = host_now_ns();
	ctx->cpu = CPU_UNKNOWN;
	err = systrap_events_add(ctx);
	if (err) {
		mutex_lock(&as->mu);
		as->slots[index] = SLOT_FREE;
		as->nctx--;
		as->nalive--;
		mutex_unlock(&as->mu);
		kmem_free(&ctx_type, ctx);
		return err;
	}
	*out_ctx = ctx;
	return 0;
}

void systrap_ctx_free(struct platform_ctx *ctx)
{
	struct platform_as *as = ctx->as;
	bool last;

	systrap_events_remove(ctx);
	files_settle(ctx, false);
	mutex_lock(&as->mu);
	as->slots[ctx->index] = ctx->index ? SLOT_LEAVING : SLOT_TAKEN;
	last = --as->nctx == 0;
	mutex_unlock(&as->mu);
	kmem_free(&ctx_type, ctx);
	if (last) {
		as->next_dying = all.dying;
		all.dying = as;
	}
}

// A process's first thread must stay, since the host's memory of a process whose leader is gone can't be reached: it just waits on.
void ctx_let_exit(struct platform_ctx *ctx)
{
	if (ctx->index == 0)
		return;
	ctx->nops = ctx->copy.len = 0;
	ctx->move.len = 0;
	ctx->op_err = 0;
	if (op_queue(ctx, OP_EXIT, 0))
		systrap_resume(ctx);
}

void systrap_ctx_destroy(struct platform_ctx *ctx)
{
	struct platform_as *as = ctx->as;
	bool last, stopped = ctx_mode(ctx) != MODE_APP;

	ctx->owner = NULL;
	mutex_lock(&as->mu);
	last = --as->nalive == 0;
	mutex_unlock(&as->mu);
	ctx->dying = true;
	if (last) {
		log_debug("systrap: process %d made %lu calls, %lu of them by signal", (int)as->pid, (unsigned long)as->ncalls, (unsigned long)as->nsignalled);
		if (!as->leaves)
			as_kill_process(as);
	}
	if (!stopped) {
		systrap_interrupt(ctx); // the poller ends it when it comes
		return;
	}
	if (!last && !as->dead && !ctx->leaves)
		ctx_let_exit(ctx);
	ctx_gone(ctx);
}

void systrap_as_kill(struct platform_ctx *ctx)
{
	as_kill_process(ctx->as);
}

static void copy_regs(struct platform_ctx *from, struct platform_ctx *to)
{
	const volatile struct stub_regs *regs = &from->slot->regs;

	to->slot->regs = *regs;
	to->regs_set = true;
	if (from->ret_set)
		to->slot->regs.rax = from->ret;
}

// A failure behind the child's creation, told as the op's.
static void drop_child(struct platform_ctx *child)
{
	child->as->dead = true;
	systrap_ctx_destroy(child);
}

// A process forked from ctx's, as one that came from relative's (NULL: nobody's).
static int fork_for(struct platform_ctx *ctx, struct platform_ctx *relative, uint32_t op_tag, struct platform_ctx **out_child)
{
	struct platform_as *as;
	struct platform_ctx *child;
	struct channel memory;
	struct slot_op *op;
	int err = as_create_empty(family_take(relative, &memory) ? &memory : NULL, &as);

	if (err)
		return err;
	err = ctx_create(as, &child);
	if (err) {
		as_free(as);
		return err;
	}
	if (ctx->as->dead) { // whoever notices it from now on (know_all) finds the child in the registry
		drop_child(child);
		return -EAGAIN;
	}
	kin_teach(ctx);
	op = op_queue(ctx, OP_FORK, op_tag);
	if (!op) {
		drop_child(child);
		return -ENOMEM;
	}
	err = as_send(ctx->as, (int[]){as->chan_fd, as->stub_sock}, 2);
	if (err) {
		ctx->nops--;
		drop_child(child);
		return err;
	}
	close(as->stub_sock);
	as->stub_sock = -1;
	family_join(relative, as);
	copy_regs(ctx, child);
	ctx_unborn(child);
	op_cache_inherit(ctx->as, as);
	files_inherit(ctx->as, as);
	if (ctx->owner) // the template isn't anybody's kin
		kin_join(ctx->as, as);
	*out_child = child;
	return 0;
}

int systrap_fork(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child)
{
	return fork_for(ctx, ctx, op_tag, out_child);
}

int systrap_spawn(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child)
{
	struct platform_ctx *child;
	struct slot_op *op;
	int err;

	family_found(ctx->as); // who came by vfork may bring a process
	err = ctx_create(ctx->as, &child);
	if (err)
		return err;
	op = op_queue(ctx, OP_SPAWN, op_tag);
	if (!op) {
		systrap_ctx_destroy(child);
		return -ENOMEM;
	}
	op->a[0] = child->index;
	ctx->as->spawned = true;
	ctx->slot->alone = child->slot->alone = 0;
	copy_regs(ctx, child);
	systrap_set_late(ctx, false, NULL);
	if (ctx->as->advice_lent) { // it may have been alone; and the child's thread is likely to need it for its stack's end
		__atomic_store_n(&ctx->slot->advice, ADVICE_SHARED, __ATOMIC_SEQ_CST);
		__atomic_store_n(&child->slot->advice, ADVICE_SHARED, __ATOMIC_SEQ_CST);
	}
	ctx_unborn(child);
	*out_child = child;
	return 0;
}

int systrap_as_create(struct platform_ctx *like, struct platform_ctx **out_ctx)
{
	struct platform_ctx *ctx;
	int err;

	mutex_lock(&all.template_mu);
	err = fork_for(all.template, like, 0, &ctx);
	if (!err) {
		err = systrap_flush(all.template);
		if (err)
			drop_child(ctx);
	}
	mutex_unlock(&all.template_mu);
	if (err)
		return err;
	memset(&ctx->slot->regs, 0, sizeof(ctx->slot->regs));
	ctx->slot->regs.eflags = 0x202;
	*out_ctx = ctx;
	return 0;
}

int context_init(struct platform_as *template_as)
{
	return ctx_create(template_as, &all.template);
}
