// Values of system calls as text.
#include "sentry/strace/print.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "sentry/kernel/signal.h"

void text_add(struct text *x, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (x->len + 1 >= x->cap)
		return;
	va_start(ap, fmt);
	n = vsnprintf(x->buf + x->len, x->cap - x->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		x->len = MIN(x->len + (size_t)n, x->cap - 1);
}

void text_bytes(struct text *x, const void *bytes, size_t len, size_t max, int more)
{
	const unsigned char *b = bytes;

	text_add(x, "\"");
	for (size_t i = 0; i < len && i < max; i++) {
		switch (b[i]) {
		case '\n': text_add(x, "\\n"); break;
		case '\t': text_add(x, "\\t"); break;
		case '\r': text_add(x, "\\r"); break;
		case '"': text_add(x, "\\\""); break;
		case '\\': text_add(x, "\\\\"); break;
		default:
			if (b[i] >= 0x20 && b[i] < 0x7f)
				text_add(x, "%c", b[i]);
			else
				text_add(x, "\\%o", b[i]);
		}
	}
	text_add(x, len > max || more ? "\"…" : "\"");
}

void print_signal(struct text *x, int64_t sig)
{
	const char *name = sig > 0 && sig < NSIG_MAX ? sigabbrev_np((int)sig) : NULL;

	if (name)
		text_add(x, "SIG%s", name);
	else if (sig >= 32 && sig <= NSIG_MAX)
		text_add(x, "SIGRT_%d", (int)sig - 32);
	else
		text_add(x, "%d", (int)sig);
}

void print_result(struct text *x, const char *call, long ret)
{
	static const struct {
		long err;
		const char *name;
	} internal[] = {{ERESTARTSYS, "ERESTARTSYS"},
			{ERESTARTNOINTR, "ERESTARTNOINTR"},
			{ERESTARTNOHAND, "ERESTARTNOHAND"},
			{ERESTART_RESTARTBLOCK, "ERESTART_RESTARTBLOCK"}};

	for (size_t i = 0; i < ARRAY_LEN(internal); i++)
		if (ret == -internal[i].err) {
			text_add(x, "? %s (a signal waits)", internal[i].name);
			return;
		}
	if (ret < 0 && ret > -4096)
		text_add(x, "-1 %s (%s)", strerrorname_np((int)-ret) ?: "?", strerrordesc_np((int)-ret) ?: "?");
	else if (strcmp(call, "mmap") == 0 || strcmp(call, "brk") == 0 || strcmp(call, "mremap") == 0 || strcmp(call, "shmat") == 0)
		text_add(x, "0x%lx", ret);
	else
		text_add(x, "%ld", ret);
}
