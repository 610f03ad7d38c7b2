// Signals as an operator writes them.
#include "runtime/cmd/signal_name.h"

#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int signal_from_text(const char *text)
{
	char *end;
	long n;

	if (isdigit((unsigned char)*text)) {
		n = strtol(text, &end, 10);
		return *end || n < 0 || n > SIGRTMAX ? -1 : (int)n;
	}
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	if (strncasecmp(text, "RTMIN", 5) == 0 || strncasecmp(text, "RTMAX", 5) == 0) {
		n = text[5] ? strtol(text + 5, &end, 10) : 0;
		if (text[5] && (*end || end == text + 5))
			return -1;
		n += toupper((unsigned char)text[3]) == 'I' ? SIGRTMIN : SIGRTMAX;
		return n < SIGRTMIN || n > SIGRTMAX ? -1 : (int)n;
	}
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		const char *name = sigabbrev_np(sig);

		if (name && strcasecmp(name, text) == 0)
			return sig;
	}
	return -1;
}
