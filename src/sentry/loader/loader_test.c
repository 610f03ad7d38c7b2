// The parsers of foreign executables: ELF headers and #! lines.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/errno.h"
#include "platform/platform.h"
#include "sentry/loader/code_calls.h"
#include "sentry/loader/elf.h"
#include "sentry/loader/script.h"

struct file {
	Elf64_Ehdr e;
	Elf64_Phdr p[3];
};

static struct file good(void)
{
	struct file f = {
		.e = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		      .e_type = ET_EXEC,
		      .e_machine = EM_X86_64,
		      .e_entry = 0x401000,
		      .e_phoff = sizeof(Elf64_Ehdr),
		      .e_phentsize = sizeof(Elf64_Phdr),
		      .e_phnum = 3},
		.p = {{.p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = 0x400000, .p_filesz = 0x800, .p_memsz = 0x800},
		      {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000, .p_vaddr = 0x401000, .p_filesz = 0x10, .p_memsz = 0x10},
		      {.p_type = PT_LOAD,
		       .p_flags = PF_R | PF_W,
		       .p_offset = 0x2010,
		       .p_vaddr = 0x402010,
		       .p_filesz = 0x20,
		       .p_memsz = 0x3000}}};

	return f;
}

static int parse(const struct file *f, struct elf_image *img)
{
	return elf_parse(&f->e, f->p, sizeof(f->p), img);
}

static void test_segments_are_page_aligned_outward(void **state)
{
	struct file f = good();
	struct elf_image img;

	assert_int_equal(parse(&f, &img), 0);
	assert_int_equal(img.nsegments, 3);
	assert_false(img.pie);
	assert_int_equal(img.low, 0x400000);
	assert_int_equal(img.high, 0x406000);
	assert_int_equal(img.phdr, 0x400000 + sizeof(Elf64_Ehdr));
	assert_int_equal(img.segments[2].start, 0x402000);
	assert_int_equal(img.segments[2].offset, 0x2000);
	assert_int_equal(img.segments[2].data_end, 0x402030);
	assert_int_equal(img.segments[2].file_end, 0x403000);
	assert_int_equal(img.segments[2].end, 0x406000);
	assert_int_equal(img.segments[1].prot, PROT_READ | PROT_EXEC);
}

static void test_hostile_headers_are_refused(void **state)
{
	struct elf_image img;
	struct file f;

	f = good();
	f.e.e_machine = EM_386;
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.e.e_phentsize = 32;
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.e.e_phnum = 0;
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.e.e_phnum = 4; // more than there are
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.p[1].p_filesz = 0x11; // more in the file than in memory
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.p[1].p_offset = 0x1001; // not congruent
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.p[2].p_memsz = UINT64_MAX; // wraps
	assert_int_equal(parse(&f, &img), -ENOMEM);
	f = good();
	f.p[2].p_vaddr = APP_MAX + 0x10; // the stub's
	assert_int_equal(parse(&f, &img), -ENOMEM);
	f = good();
	f.p[0].p_vaddr = 0x500000; // not ascending
	assert_int_equal(parse(&f, &img), -ENOEXEC);
	f = good();
	f.p[1] = (Elf64_Phdr){.p_type = PT_INTERP, .p_filesz = 5000};
	assert_int_equal(parse(&f, &img), -ENOEXEC);
}

static int script(const char *line, char *interp, char *arg)
{
	return script_parse(line, strlen(line), interp, arg);
}

static void test_script_lines(void **state)
{
	char interp[SCRIPT_LINE_MAX], arg[SCRIPT_LINE_MAX], line[600];

	assert_int_equal(script("#!/bin/sh\necho", interp, arg), 0);
	assert_string_equal(interp, "/bin/sh");
	assert_string_equal(arg, "");
	assert_int_equal(script("#! /usr/bin/env  python3 -u \nx", interp, arg), 0);
	assert_string_equal(interp, "/usr/bin/env");
	assert_string_equal(arg, "python3 -u");
	assert_int_equal(script("#!/bin/sh", interp, arg), 0); // no newline, but the file ends
	assert_int_equal(script("#!\n", interp, arg), -ENOEXEC);
	assert_int_equal(script("#!   \t \n", interp, arg), -ENOEXEC);
	assert_int_equal(script("echo", interp, arg), -ENOEXEC);
	memset(line, 'a', sizeof(line));
	memcpy(line, "#!/", 3);
	assert_int_equal(script_parse(line, sizeof(line), interp, arg), -ENOEXEC); // the path is cut off
	line[20] = ' ';
	assert_int_equal(script_parse(line, sizeof(line), interp, arg), 0); // the argument may be
	assert_int_equal(strlen(interp), 18);
}

static void test_instructions_have_their_lengths(void **state)
{
	static const struct {
		uint8_t len;
		const char *bytes; // with more behind them than any instruction has
	} known[] = {
		{1, "\x90"}, {2, "\x0f\x05"}, {2, "\x0f\xa2"}, {1, "\xc3"}, {1, "\x55"}, {5, "\xb8\x0c\0\0\0"}, {10, "\x48\xb8"}, {4, "\x66\xb8"},
		{3, "\x48\x89\xe5"}, {7, "\x48\x8b\x05"}, {4, "\x48\x8b\x44\x24"}, {5, "\x48\x8b\x44\x24"}, {8, "\x48\x8b\x04\x25"},
		{3, "\x8b\x04\x24"}, {6, "\x81\xe1"}, {3, "\x83\xe2\x1f"}, {3, "\xf6\xc2\x01"}, {6, "\xf7\xc2"}, {2, "\xf7\xd8"}, {5, "\x66\xf7\xc2"},
		{6, "\x0f\x84"}, {2, "\x74\x10"}, {5, "\xe8"}, {3, "\xc2\x08"}, {4, "\xc8\x08"}, {9, "\xa1"}, {4, "\x0f\x38\x00\xc0"}, {6, "\x66\x0f\x3a\x0f\xc1"},
		{3, "\xc5\xf8\x77"}, {4, "\xc5\xfe\x6f\x06"}, {5, "\xc4\xe2\x7d\x78\xc0"}, {6, "\xc4\xe3\x75\x46\xc1"}, {7, "\x62\xf1\xfe\x48\x6f\x46"},
		{6, "\x62\xf1\xfe\x48\x6f\x06"}, {4, "\xf3\x0f\x1e\xfa"}, {9, "\x66\x0f\x1f\x84"}, {8, "\x64\x8b\x04\x25"}, {0, "\x06"}, {0, "\x0f\x0f"}, {0, "\x9a"},
		{0, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"},
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint8_t bytes[32] = {0};

		memcpy(bytes, known[i].bytes, strlen(known[i].bytes));
		if (known[i].len == 5 && bytes[1] == 0x8b)
			bytes[2] = 0x44, bytes[3] = 0x24;
		if (known[i].len == 4 && bytes[1] == 0x8b)
			bytes[2] = 0x40, bytes[3] = 8;
		assert_int_equal(code_insn_len(bytes, sizeof(bytes)), known[i].len);
	}
	assert_int_equal(code_insn_len((const uint8_t *)"\xb8\0\0\0\0\0\0", 3), 0);
}

static void test_calls_in_code_are_found(void **state)
{
	uint8_t code[3 * 4096 + 64];
	uint32_t at[CODE_CALLS_MAX];

	memset(code, 0x90, sizeof(code));
	for (unsigned i = 0; i < 5; i++)
		memcpy(code + 100 + 10 * i, i % 2 ? "\x0f\x05" : "\x0f\xa2", 2);
	memcpy(code + 200, "\xb8\x0f\xa2\x0f\x05", 5); // within another
	for (unsigned i = 0; i < 3; i++) // not enough in this page
		memcpy(code + 5000 + 10 * i, "\x0f\x05", 2);
	for (unsigned i = 0; i < 4; i++)
		memcpy(code + 9000 + 10 * i, "\x0f\x05", 2);
	assert_int_equal(code_calls_find(code, sizeof(code), at, CODE_CALLS_MAX), 9);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(at[i], i < 5 ? 102 + 10 * i : 9002 + 10 * (i - 5));
	assert_int_equal(code_calls_find(code, sizeof(code), at, 5), -1);
	code[7000] = 0x06; // data?
	assert_int_equal(code_calls_find(code, sizeof(code), at, CODE_CALLS_MAX), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_page_aligned_outward),
		cmocka_unit_test(test_hostile_headers_are_refused),
		cmocka_unit_test(test_script_lines),
		cmocka_unit_test(test_instructions_have_their_lengths),
		cmocka_unit_test(test_calls_in_code_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
