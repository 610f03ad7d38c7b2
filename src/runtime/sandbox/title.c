// The words lie in one piece, where the kernel put them at exec and looks for them when somebody asks.
#include "runtime/sandbox/title.h"

#include <stdio.h>
#include <string.h>

static char *words;
static size_t words_len;

void title_init(int argc, char **argv)
{
	words = argc > 0 ? argv[0] : NULL;
	for (int i = 0; i < argc && argv[i] == words + words_len; i++)
		words_len += strlen(argv[i]) + 1;
}

void title_set(const char *part, const char *name)
{
	char title[512];
	size_t len = (size_t)snprintf(title, sizeof(title), "hull%c%s%c%s", 0, part, 0, name) + 1;

	if (len > sizeof(title))
		len = sizeof(title);
	if (len > words_len)
		len = words_len;
	if (!len)
		return;
	memset(words, 0, words_len);
	memcpy(words, title, len - 1);
}
