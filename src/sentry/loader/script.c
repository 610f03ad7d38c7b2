// #! lines by Linux's rules: the interpreter's path, then the rest of the line as one argument; a path that the buffer cuts off
// is refused, a cut argument is not.
#include "sentry/loader/script.h"

#include <stdbool.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

int script_parse(const char *head, size_t len, char *interp, char *arg)
{
	const char *p, *end, *word_end, *line_end;
	bool whole;

	if (len < 2 || head[0] != '#' || head[1] != '!')
		return -ENOEXEC;
	len = MIN(len, (size_t)SCRIPT_LINE_MAX);
	line_end = memchr(head, '\n', len);
	whole = line_end || len < SCRIPT_LINE_MAX;
	end = line_end ? line_end : head + strnlen(head, len);
	for (p = head + 2; p < end && blank(*p); p++)
		;
	for (word_end = p; word_end < end && !blank(*word_end); word_end++)
		;
	if (word_end == p || (!whole && word_end == end))
		return -ENOEXEC;
	memcpy(interp, p, word_end - p);
	interp[word_end - p] = 0;
	for (p = word_end; p < end && blank(*p); p++)
		;
	while (end > p && blank(end[-1]))
		end--;
	memcpy(arg, p, end - p);
	arg[end - p] = 0;
	return 0;
}
