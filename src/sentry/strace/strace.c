// The lines of --strace: built when a call begins and finished when it ends.
#include "sentry/strace/strace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "sentry/kernel/kernel.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/syscalls.h"

enum { TEXT_MAX = 256, SHOWN_BYTES = 48, OBJ_BYTES = 160, STRV_SHOWN = 8, ENV_COUNTED = 1000, LINE_MAX_BYTES = 960 };

struct strace_call {
	struct {
		const struct sys_arg *as; // the table's, or what another argument makes of it; kind ARG_NONE: not printed
		char in[TEXT_MAX], out[TEXT_MAX]; // what went in and what came out; empty: nothing
	} args[6];
	bool shown;
};

static const struct sys_arg no_arg = {ARG_NONE, 0, ""};
KMEM_TYPE(strace_call_type, strace_call);

static bool name_listed(const char *name)
{
	const char *list = kernel()->strace_filter, *at;
	size_t len = strlen(name);

	if (!list)
		return true;
	for (at = list; (at = strstr(at, name)); at += len)
		if ((at == list || at[-1] == ',') && (at[len] == 0 || at[len] == ','))
			return true;
	return false;
}

static const struct sys_entry *entry_of(uint64_t nr)
{
	return nr < SYS_TABLE_LEN && sys_table[nr].name ? &sys_table[nr] : NULL;
}

// Calls that don't come back here: their line is printed when they begin.
static bool never_returns(uint64_t nr)
{
	return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn;
}

static void print_string(struct task *t, struct text *x, uaddr_t addr)
{
	char s[TEXT_MAX];
	long len;

	if (!addr) {
		text_add(x, "NULL");
		return;
	}
	len = copy_in_str(t, s, addr, sizeof(s));
	if (len == -ENAMETOOLONG)
		text_bytes(x, s, sizeof(s), SHOWN_BYTES * 2, 1);
	else if (len < 0)
		text_add(x, "0x%lx", (unsigned long)addr);
	else
		text_bytes(x, s, len, SHOWN_BYTES * 2, 0);
}

static void print_strings(struct task *t, struct text *x, uaddr_t addr)
{
	uaddr_t p;

	text_add(x, "[");
	for (int i = 0; i < STRV_SHOWN; i++) {
		if (copy_in(t, &p, addr + i * sizeof(p), sizeof(p)) < 0 || !p)
			break;
		if (i)
			text_add(x, ", ");
		print_string(t, x, p);
		if (i == STRV_SHOWN - 1)
			text_add(x, ", …");
	}
	text_add(x, "]");
}

// envp: only how many.
static void print_strings_count(struct task *t, struct text *x, uaddr_t addr)
{
	uaddr_t p;
	int n = 0;

	while (n < ENV_COUNTED && copy_in(t, &p, addr + n * sizeof(p), sizeof(p)) >= 0 && p)
		n++;
	text_add(x, addr ? "0x%lx /* %d vars */" : "NULL", (unsigned long)addr, n);
}

static void print_bytes_in(struct task *t, struct text *x, const char *name, uaddr_t addr, uint64_t len)
{
	uint8_t b[OBJ_BYTES];
	size_t n = MIN(len, sizeof(b));

	if (!addr)
		text_add(x, "NULL");
	else if (copy_in(t, b, addr, n) < 0)
		text_add(x, "0x%lx", (unsigned long)addr);
	else if (!print_object(x, name, b, n))
		text_bytes(x, b, n, SHOWN_BYTES, len > n);
}

static void print_iov(struct task *t, struct text *x, uaddr_t addr, uint64_t count, bool data)
{
	struct {
		uaddr_t base;
		uint64_t len;
	} iov;

	text_add(x, "[");
	for (uint64_t i = 0; i < MIN(count, 3ul); i++) {
		if (copy_in(t, &iov, addr + i * sizeof(iov), sizeof(iov)) < 0)
			break;
		text_add(x, "%s{", i ? ", " : "");
		if (data)
			print_bytes_in(t, x, "", iov.base, iov.len);
		else
			text_add(x, "0x%lx", (unsigned long)iov.base);
		text_add(x, ", %lu}", (unsigned long)iov.len);
	}
	text_add(x, "%s]", count > 3 ? ", …" : "");
}

static void print_msghdr(struct task *t, struct text *x, uaddr_t addr)
{
	struct msghdr m;

	if (!addr || copy_in(t, &m, addr, sizeof(m)) < 0) {
		text_add(x, addr ? "0x%lx" : "NULL", (unsigned long)addr);
		return;
	}
	text_add(x, "{msg_name=");
	print_bytes_in(t, x, "addr", (uaddr_t)m.msg_name, m.msg_namelen);
	text_add(x, ", msg_namelen=%u, msg_iov=", m.msg_namelen);
	print_iov(t, x, (uaddr_t)m.msg_iov, m.msg_iovlen, t->call.nr != SYS_recvmsg); // what comes isn't there yet
	text_add(x, ", msg_iovlen=%lu, msg_controllen=%lu, msg_flags=", (unsigned long)m.msg_iovlen, (unsigned long)m.msg_controllen);
	print_flags(x, FLAGSET_MSG, (uint32_t)m.msg_flags);
	text_add(x, "}");
}

static void print_fdset(struct text *x, const uint64_t *set, unsigned bits)
{
	const char *sep = "";

	text_add(x, "[");
	for (unsigned i = 0; i < bits; i++)
		if (set[i / 64] >> i % 64 & 1) {
			text_add(x, "%s%u", sep, i);
			sep = " ";
		}
	text_add(x, "]");
}

static unsigned fdset_bits(uint64_t nfds)
{
	return MIN((uint64_t)(uint32_t)nfds, OBJ_BYTES * 8ul);
}

static void print_fdset_in(struct task *t, struct text *x, uaddr_t addr, uint64_t nfds)
{
	uint64_t set[OBJ_BYTES / 8] = {0};

	if (!addr || copy_in(t, set, addr, (fdset_bits(nfds) + 63) / 64 * 8) < 0)
		text_add(x, addr ? "0x%lx" : "NULL", (unsigned long)addr);
	else
		print_fdset(x, set, fdset_bits(nfds));
}

// What is known when the call begins; nothing for what comes out.
static void print_arg_in(struct task *t, struct text *x, const struct sys_arg *arg, uint64_t v)
{
	uint64_t other = t->call.args[arg->aux < 6 ? arg->aux : 0];

	switch (arg->kind) {
	case ARG_INT:
	case ARG_FD:
	case ARG_PID:
	case ARG_UID:
		text_add(x, "%d", (int)v);
		break;
	case ARG_UINT:
		text_add(x, "%u", (unsigned)v);
		break;
	case ARG_LONG:
	case ARG_OFF:
		text_add(x, "%ld", (long)v);
		break;
	case ARG_SIZE:
		text_add(x, "%lu", (unsigned long)v);
		break;
	case ARG_OCTAL:
		text_add(x, "0%o", (unsigned)v);
		break;
	case ARG_DIRFD:
		if ((int)v == AT_FDCWD)
			text_add(x, "AT_FDCWD");
		else
			text_add(x, "%d", (int)v);
		break;
	case ARG_SIG:
		print_signal(x, (int)v);
		break;
	case ARG_FLAGS:
		print_flags(x, arg->aux, v);
		break;
	case ARG_NAMED:
		print_named(x, arg->aux, v);
		break;
	case ARG_ENVV:
		print_strings_count(t, x, v);
		break;
	case ARG_FDSET:
		print_fdset_in(t, x, v, other);
		break;
	case ARG_PATH:
	case ARG_STR:
		print_string(t, x, v);
		break;
	case ARG_STRV:
		print_strings(t, x, v);
		break;
	case ARG_INBUF:
		print_bytes_in(t, x, arg->name, v, other);
		break;
	case ARG_INOBJ:
	case ARG_INOUT:
		if (strcmp(arg->name, "msg") == 0)
			print_msghdr(t, x, v);
		else
			print_bytes_in(t, x, arg->name, v, arg->aux);
		break;
	case ARG_INARR:
		print_bytes_in(t, x, arg->name, v, (arg->aux >> 8) * MIN(t->call.args[arg->aux & 7], 16ul));
		break;
	case ARG_IOVIN:
		print_iov(t, x, v, other, true);
		break;
	case ARG_IOVOUT:
		print_iov(t, x, v, other, false);
		break;
	case ARG_OUTBUF:
	case ARG_OUTOBJ:
	case ARG_NONE:
		break;
	default:
		text_add(x, v ? "0x%lx" : "NULL", (unsigned long)v);
	}
}

static void print_arg_out(struct text *x, const struct sys_arg *arg, const uint64_t args[6], const void *bytes, size_t len)
{
	uint64_t set[OBJ_BYTES / 8] = {0};

	if (arg->kind == ARG_FDSET) {
		memcpy(set, bytes, MIN(len, sizeof(set)));
		print_fdset(x, set, fdset_bits(args[arg->aux]));
	} else if (!print_object(x, arg->name, bytes, len)) {
		text_bytes(x, bytes, len, SHOWN_BYTES, 0);
	}
}

static void print_line(struct task *t, long ret, bool returned)
{
	const struct sys_entry *e = entry_of(t->call.nr);
	struct strace_call *c = t->strace;
	char line[LINE_MAX_BYTES];
	struct text x = {line, sizeof(line), 0};
	const char *sep = "";

	text_add(&x, "[%d:%s] %s(", t->tid, t->comm, e ? e->name : "?");
	if (!e)
		text_add(&x, "%ld", (long)t->call.nr);
	for (int i = 0; e && i < e->nargs; i++) {
		const char *in = c->args[i].in, *out = ret >= 0 ? c->args[i].out : "";

		if (c->args[i].as->kind == ARG_NONE)
			continue;
		text_add(&x, "%s%s", sep, in);
		if (*out && strcmp(in, out) != 0)
			text_add(&x, "%s%s", *in ? " => " : "", out);
		else if (!*in)
			text_add(&x, t->call.args[i] ? "0x%lx" : "NULL", (unsigned long)t->call.args[i]);
		sep = ", ";
	}
	text_add(&x, ") = ");
	if (returned)
		print_result(&x, e ? e->name : "", ret);
	else
		text_add(&x, "?");
	log_write(LOG_INFO, "strace: %s", line);
}

// What argument i is, which another one may say.
static const struct sys_arg *arg_of(const struct task *t, const struct sys_entry *e, unsigned i)
{
	const struct sys_arg *a = &e->args[i], *decider = &e->args[a->aux < 6 ? a->aux : 0];

	if (a->kind != ARG_BY || a->aux >= i)
		return a;
	return arg_decided(decider->aux, t->call.args[a->aux], i - a->aux - 1) ?: a;
}

void strace_enter(struct task *t)
{
	const struct sys_entry *e = entry_of(t->call.nr);
	struct strace_call *c = t->strace;

	if (!c)
		c = t->strace = kmem_alloc(&strace_call_type);
	if (!c)
		return;
	c->shown = name_listed(e ? e->name : "?");
	if (!c->shown)
		return;
	for (unsigned i = 0; i < 6; i++) {
		struct text x = {c->args[i].in, TEXT_MAX, 0};

		c->args[i].in[0] = c->args[i].out[0] = 0;
		c->args[i].as = e && i < e->nargs ? arg_of(t, e, i) : &no_arg;
		print_arg_in(t, &x, c->args[i].as, t->call.args[i]);
	}
	if (never_returns(t->call.nr))
		print_line(t, 0, false);
}

static bool comes_out(const struct sys_arg *arg)
{
	switch (arg->kind) {
	case ARG_OUTBUF:
	case ARG_OUTOBJ:
	case ARG_INOUT:
	case ARG_INARR:
	case ARG_FDSET:
		return true;
	default:
		return false;
	}
}

void strace_note_out(struct task *t, uaddr_t dst, const void *src, size_t len)
{
	struct strace_call *c = t->strace;

	for (int i = 0; c && c->shown && i < 6; i++) {
		struct text x = {c->args[i].out, TEXT_MAX, 0};

		if (t->call.args[i] != dst || !dst || c->args[i].out[0] || !comes_out(c->args[i].as))
			continue;
		print_arg_out(&x, c->args[i].as, t->call.args, src, len);
		return;
	}
}

void strace_exit(struct task *t, long ret)
{
	if (t->strace && t->strace->shown && !never_returns(t->call.nr))
		print_line(t, ret == -ENOREPLY ? 0 : ret, true);
}

void strace_signal(struct task *t, int sig)
{
	char name[32];
	struct text x = {name, sizeof(name), 0};

	print_signal(&x, sig);
	log_write(LOG_INFO, "strace: [%d:%s] --- %s ---", t->tid, t->comm, name);
}

void strace_task_gone(struct task *t)
{
	kmem_free(&strace_call_type, t->strace);
	t->strace = NULL;
}
