// libFuzzer target: ELF headers, #! lines, and code of hostile files.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sentry/loader/code_calls.h"
#include "sentry/loader/elf.h"
#include "sentry/loader/script.h"

// One instruction after the other, as code_calls_find goes along.
static void read_code(const uint8_t *data, size_t size)
{
	for (size_t at = 0, len; at < size; at += len) {
		len = code_insn_len(data + at, size - at);
		if (len > 15 || len > size - at)
			abort();
		if (!len)
			break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char interp[SCRIPT_LINE_MAX], arg[SCRIPT_LINE_MAX];
	struct elf_image img;
	uint64_t phoff, phlen;

	read_code(data, size);
	script_parse((const char *)data, size, interp, arg);
	if (elf_parse_header(data, size, &phoff, &phlen) < 0)
		return 0;
	if (phoff > size || phlen > size - phoff)
		phoff = size, phlen = 0;
	if (elf_parse(data, data + phoff, phlen, &img) == 0)
		for (int i = 0; i < img.nsegments; i++)
			if (img.segments[i].start > img.segments[i].end || img.segments[i].file_end > img.segments[i].end ||
			    img.segments[i].data_end > img.segments[i].end)
				abort();
	return 0;
}
