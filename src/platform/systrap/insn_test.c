// The stub's instructions against the processor: each of many is run both ways from the same state, and all of it must come out alike.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "lib/container_of.h"
#include "platform/systrap/stub/insn_step.h"

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

// Bytes that are likely to be an instruction which is known.
static void make(uint8_t bytes[STEP_INSN])
{
	static const uint8_t ops[] = {0x89, 0x8b, 0x8d, 0x63, 0x85, 0x81, 0x83, 0xc7, 0xf7, 0xe8, 0xe9, 0xeb, 0xc3, 0x90,
				      0xa9, 0x98, 0x0f, 0x01, 0x03, 0x09, 0x0b, 0x21, 0x23, 0x29, 0x2b, 0x31, 0x33, 0x39,
				      0x3b, 0x05, 0x0d, 0x25, 0x2d, 0x35, 0x3d, 0x66, 0xff, 0x50, 0x58, 0x70, 0xb8};
	unsigned n = 0;

	for (unsigned i = 0; i < STEP_INSN; i++)
		bytes[i] = next_random() >> 20;
	if (next_random() % 16 == 0)
		return;
	if (next_random() % 16 == 0)
		bytes[n++] = 0x64;
	if (next_random() % 2)
		bytes[n++] = 0x40 | (next_random() >> 9 & 15);
	bytes[n] = ops[(next_random() >> 9) % ARRAY_LEN(ops)];
	if (bytes[n] == 0x50 || bytes[n] == 0x58 || bytes[n] == 0xb8)
		bytes[n] |= next_random() >> 9 & 7;
	if (bytes[n] == 0x70)
		bytes[n] |= next_random() >> 9 & 15;
	if (bytes[n] == 0x0f)
		bytes[++n] = next_random() % 2 ? 0x1f : 0x80 | (next_random() >> 9 & 15);
	n++;
	if (next_random() % 4 == 0) // relative to the next instruction, into the data
		bytes[n] = (bytes[n] & 0x38) | 5, bytes[n + 1] = next_random() >> 9, bytes[n + 2] = 0x20, bytes[n + 3] = bytes[n + 4] = 0;
	else if (bytes[n] >> 6 == 2) // a distance that isn't far
		bytes[n + 2] = bytes[n + 3] = bytes[n + 4] = bytes[n + 5] = 0;
}

static void insns_do_what_the_processor_does(void **state)
{
	unsigned counts[STEP_DIFFERS + 1] = {0};

	step_begin();
	for (int i = 0; i < 30000; i++) {
		uint8_t bytes[STEP_INSN];
		enum step_result is;
		unsigned len;

		make(bytes);
		for (int n = 0; n < 16; n++)
			*insn_reg(&step.regs, n) = step_value(next_random() >> 3);
		step.regs.eflags = next_random();
		is = step_both(bytes, &len);
		counts[is]++;
		if (is == STEP_DIFFERS) {
			for (unsigned n = 0; n < len; n++)
				fprintf(stderr, "%02x ", bytes[n]);
			fail_msg("case %d", i);
		}
	}
	assert_true(counts[STEP_SAME] > 8000 && counts[STEP_FAULT] > 50);
}

static void lengths_that_are_cut_are_not_known(void **state)
{
	for (int i = 0; i < 100000; i++) {
		uint8_t bytes[STEP_INSN];
		struct insn whole, cut;

		make(bytes);
		if (!insn_decode(bytes, STEP_INSN, &whole))
			continue;
		assert_true(whole.len > 0 && whole.len <= STEP_INSN);
		assert_true(insn_decode(bytes, whole.len, &cut) && cut.len == whole.len);
		for (unsigned n = 0; n < whole.len; n++)
			assert_false(insn_decode(bytes, n, &cut) && cut.len > n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(insns_do_what_the_processor_does),
		cmocka_unit_test(lengths_that_are_cut_are_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
