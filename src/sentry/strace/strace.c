// The lines of --strace: built when a call begins and finished when it ends.
#include "sentry/strace/strace.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "sentry/kernel/kernel.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/syscalls.h"

enum { TEXT_MAX = 128, SHOWN_BYTES = 48, OUTS_MAX = 6, OUT_BYTES = 160, STRV_SHOWN = 8, LINE_MAX_BYTES = 960 };

struct strace_call {
	char in[6][TEXT_MAX]; // what went in; empty: shown when the call ends
	struct {
		uaddr_t addr;
		size_t len; // in all; data holds at most OUT_BYTES of it
		uint8_t data[OUT_BYTES];
	} outs[OUTS_MAX];
	int nouts;
	bool shown;
};

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

static void print_bytes_in(struct task *t, struct text *x, const char *name, uaddr_t addr, uint64_t len)
{
	uint8_t b[OUT_BYTES];
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
		break;
	default:
		text_add(x, v ? "0x%lx" : "NULL", (unsigned long)v);
	}
}

static void print_arg_out(const struct strace_call *c, struct text *x, const struct sys_arg *arg, uint64_t v, long ret)
{
	if (!v) {
		text_add(x, "NULL");
		return;
	}
	for (int i = 0; ret >= 0 && i < c->nouts; i++) {
		size_t have = MIN(c->outs[i].len, (size_t)OUT_BYTES);

		if (c->outs[i].addr != v)
			continue;
		if (!print_object(x, arg->name, c->outs[i].data, have))
			text_bytes(x, c->outs[i].data, have, SHOWN_BYTES, c->outs[i].len > have);
		return;
	}
	text_add(x, "0x%lx", (unsigned long)v);
}

static void print_line(struct task *t, long ret, bool returned)
{
	const struct sys_entry *e = entry_of(t->call.nr);
	struct strace_call *c = t->strace;
	char line[LINE_MAX_BYTES];
	struct text x = {line, sizeof(line), 0};

	text_add(&x, "[%d:%s] %s(", t->tid, t->comm, e ? e->name : "?");
	if (!e)
		text_add(&x, "%ld", (long)t->call.nr);
	for (int i = 0; e && i < e->nargs; i++) {
		if (i)
			text_add(&x, ", ");
		if (c->in[i][0])
			text_add(&x, "%s", c->in[i]);
		else
			print_arg_out(c, &x, &e->args[i], t->call.args[i], ret);
	}
	text_add(&x, ") = ");
	if (returned)
		print_result(&x, e ? e->name : "", ret);
	else
		text_add(&x, "?");
	log_write(LOG_INFO, "strace: %s", line);
}

void strace_enter(struct task *t)
{
	const struct sys_entry *e = entry_of(t->call.nr);
	struct strace_call *c = t->strace;

	if (!c)
		c = t->strace = kmem_alloc(&strace_call_type);
	if (!c)
		return;
	c->nouts = 0;
	c->shown = name_listed(e ? e->name : "?");
	if (!c->shown)
		return;
	for (int i = 0; i < 6; i++) {
		struct text x = {c->in[i], TEXT_MAX, 0};

		c->in[i][0] = 0;
		if (e && i < e->nargs)
			print_arg_in(t, &x, &e->args[i], t->call.args[i]);
	}
	if (never_returns(t->call.nr))
		print_line(t, 0, false);
}

void strace_note_out(struct task *t, uaddr_t dst, const void *src, size_t len)
{
	struct strace_call *c = t->strace;

	if (!c || c->nouts == OUTS_MAX)
		return;
	c->outs[c->nouts].addr = dst;
	c->outs[c->nouts].len = len;
	memcpy(c->outs[c->nouts].data, src, MIN(len, (size_t)OUT_BYTES));
	c->nouts++;
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
