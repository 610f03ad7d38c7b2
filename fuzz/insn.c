// libFuzzer target: the instructions that the stub runs itself. What it takes for one must be one to the processor, too, as long, and do the same.
//
// An input is an instruction's 15 bytes, and what the registers are made from.
#include "platform/systrap/stub/insn_step.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t bytes[STEP_INSN] = {0};
	uint64_t from[17] = {0};
	unsigned len;

	if (!step.around)
		step_begin();
	memcpy(bytes, data, size < STEP_INSN ? size : STEP_INSN);
	if (size > STEP_INSN)
		memcpy(from, data + STEP_INSN, size - STEP_INSN < sizeof(from) ? size - STEP_INSN : sizeof(from));
	for (int n = 0; n < 16; n++)
		*insn_reg(&step.regs, n) = step_value(from[n]);
	step.regs.eflags = from[16];
	memset(step.data, from[16] >> 16, STEP_PAGE);
	if (step_both(bytes, &len) == STEP_DIFFERS)
		abort();
	return 0;
}
