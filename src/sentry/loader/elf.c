// The ELF parser: x86-64 executables and interpreters.
#include "sentry/loader/elf.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/errno.h"
#include "platform/platform.h"

int elf_parse_header(const void *head, size_t len, uint64_t *out_phoff, uint64_t *out_phlen)
{
	Elf64_Ehdr e;

	if (len < sizeof(e))
		return -ENOEXEC;
	memcpy(&e, head, sizeof(e));
	if (memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 || e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.e_machine != EM_X86_64 || (e.e_type != ET_EXEC && e.e_type != ET_DYN))
		return -ENOEXEC;
	if (e.e_phentsize != sizeof(Elf64_Phdr) || e.e_phnum == 0 || e.e_phnum > 65536 / sizeof(Elf64_Phdr) ||
	    e.e_phoff > INT64_MAX - 65536)
		return -ENOEXEC;
	*out_phoff = e.e_phoff;
	*out_phlen = (uint64_t)e.e_phnum * sizeof(Elf64_Phdr);
	return 0;
}

static int add_segment(struct elf_image *img, const Elf64_Phdr *p)
{
	struct elf_segment *s = &img->segments[img->nsegments];
	uaddr_t mem_end, file_end;

	if (p->p_memsz == 0)
		return 0;
	if (img->nsegments == ELF_SEGMENTS_MAX)
		return -ENOEXEC;
	if (p->p_filesz > p->p_memsz || (p->p_vaddr & ~PAGE_MASK) != (p->p_offset & ~PAGE_MASK) || p->p_offset > INT64_MAX / 2)
		return -ENOEXEC;
	if (__builtin_add_overflow(p->p_vaddr, p->p_memsz, &mem_end) || mem_end > APP_MAX)
		return -ENOMEM;
	file_end = p->p_vaddr + p->p_filesz;
	s->start = p->p_vaddr & PAGE_MASK;
	s->data_end = file_end;
	s->file_end = p->p_filesz ? PAGE_ALIGN(file_end) : s->start;
	s->end = PAGE_ALIGN(mem_end);
	s->offset = p->p_offset & PAGE_MASK;
	s->prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) | (p->p_flags & PF_X ? PROT_EXEC : 0);
	if (img->nsegments && s->start < s[-1].start)
		return -ENOEXEC; // Linux's loader demands ascending order, too
	img->nsegments++;
	return 0;
}

int elf_parse(const void *head, const void *phdrs, uint64_t phlen, struct elf_image *out)
{
	Elf64_Ehdr e;
	Elf64_Phdr p;
	uint64_t phoff, want;
	int err = elf_parse_header(head, ELF_HEAD_BYTES, &phoff, &want);

	if (err)
		return err;
	if (phlen < want)
		return -ENOEXEC;
	memcpy(&e, head, sizeof(e));
	memset(out, 0, sizeof(*out));
	out->pie = e.e_type == ET_DYN;
	out->entry = e.e_entry;
	out->phnum = e.e_phnum;
	out->phentsize = e.e_phentsize;
	out->align = PAGE_SIZE;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		memcpy(&p, (const char *)phdrs + i * sizeof(p), sizeof(p));
		switch (p.p_type) {
		case PT_LOAD:
			err = add_segment(out, &p);
			if (err)
				return err;
			if (p.p_align > out->align && (p.p_align & (p.p_align - 1)) == 0 && p.p_align <= 1ul << 30)
				out->align = p.p_align;
			if (p.p_offset <= phoff && phoff - p.p_offset < p.p_filesz)
				out->phdr = p.p_vaddr + (phoff - p.p_offset);
			break;
		case PT_INTERP:
			if (p.p_filesz < 2 || p.p_filesz > 4096)
				return -ENOEXEC;
			out->interp_offset = p.p_offset;
			out->interp_len = p.p_filesz;
			break;
		case PT_GNU_STACK:
			out->exec_stack = p.p_flags & PF_X;
			break;
		}
	}
	if (out->nsegments == 0)
		return -ENOEXEC;
	out->low = out->segments[0].start;
	for (int i = 0; i < out->nsegments; i++)
		if (out->segments[i].end > out->high)
			out->high = out->segments[i].end;
	if (!out->pie && out->low < APP_MIN)
		return -EPERM;
	return 0;
}
