// ELF headers, parsed from foreign bytes into what the loader needs. Pure: no kernel state, so that it can be fuzzed.
#pragma once

#include "abi/types.h"

enum { ELF_SEGMENTS_MAX = 64, ELF_HEAD_BYTES = 64 };

struct elf_segment { // a PT_LOAD, page-aligned outward
	uaddr_t start, file_end, end; // mapped from the file up to file_end (aligned up), zero-filled to end (aligned up)
	uaddr_t data_end; // where the file's bytes end exactly: from here to the page's end is zeroed
	uint64_t offset; // in the file, of start
	int prot; // PROT_*
};

struct elf_image {
	bool pie; // ET_DYN: may lie anywhere
	uaddr_t entry, low, high; // of all segments, page-aligned
	uint64_t align; // of the whole, a power of two
	uaddr_t phdr; // address of the program headers; 0: not in a segment
	uint16_t phnum, phentsize;
	uint64_t interp_offset, interp_len; // PT_INTERP; len 0: none
	bool exec_stack;
	int nsegments;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

// How many bytes of program headers follow, and where. 0, or -ENOEXEC (not for us), -ELIBBAD is the caller's to choose.
int elf_parse_header(const void *head, size_t len, uint64_t *out_phoff, uint64_t *out_phlen);
// head as above and the program headers. 0, -ENOEXEC, -ENOMEM (addresses out of an application's range).
int elf_parse(const void *head, const void *phdrs, uint64_t phlen, struct elf_image *out);
