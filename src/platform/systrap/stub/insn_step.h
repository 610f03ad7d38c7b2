// For tests: an instruction run by insn.c beside the processor, which steps through the same bytes from the same state.
#pragma once

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "platform/systrap/stub/insn.h"

enum { STEP_PAGE = 4096, STEP_AROUND = 16 * STEP_PAGE, STEP_INSN = 15, STEP_FLAGS = 0x8d5, STEP_AF = 0x10, STEP_TF = 0x100 };

static struct {
	uint8_t *around; // nothing is mapped there but the middle pages: code, and data
	uint8_t *code, *data;
	uint8_t shadow[STEP_PAGE]; // the data as insn.c sees it
	bool elsewhere; // it wanted other memory, of which nothing is known
	struct stub_regs regs; // before
	greg_t home[NGREG];
	struct stub_regs got; // of the processor, after
	bool running, faulted;
} step;

static uint8_t *step_at(uint64_t addr, unsigned len)
{
	const uint64_t around = (uint64_t)step.around, data = (uint64_t)step.data;

	if (addr - data <= STEP_PAGE - len)
		return step.shadow + (addr - data);
	if (addr - around > 2 * STEP_AROUND - len || (addr + len > (uint64_t)step.code && addr < (uint64_t)step.code + STEP_PAGE))
		step.elsewhere = true;
	return NULL;
}

#define STEP_ACCESS(bytes)                                                                                                             \
	long stub_load##bytes(uint64_t addr, uint64_t *out)                                                                             \
	{                                                                                                                               \
		const uint8_t *p = step_at(addr, bytes);                                                                                \
                                                                                                                                       \
		*out = 0;                                                                                                               \
		if (p)                                                                                                                  \
			memcpy(out, p, bytes);                                                                                          \
		return p ? 0 : -1;                                                                                                      \
	}                                                                                                                               \
	long stub_store##bytes(uint64_t addr, uint64_t val)                                                                             \
	{                                                                                                                               \
		uint8_t *p = step_at(addr, bytes);                                                                                      \
                                                                                                                                       \
		if (p)                                                                                                                  \
			memcpy(p, &val, bytes);                                                                                         \
		return p ? 0 : -1;                                                                                                      \
	}
STEP_ACCESS(4)
STEP_ACCESS(8)

static const int step_gregs[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
				   REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void step_handler(int sig, siginfo_t *info, void *ctx)
{
	greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	(void)info;
	if (!step.running) {
		if (sig != SIGTRAP)
			abort();
		step.running = true;
		memcpy(step.home, g, sizeof(step.home));
		for (int i = 0; i < 16; i++)
			g[step_gregs[i]] = *insn_reg(&step.regs, i);
		g[REG_RIP] = step.regs.rip;
		g[REG_EFL] = (g[REG_EFL] & ~(greg_t)STEP_FLAGS) | (step.regs.eflags & STEP_FLAGS) | STEP_TF;
		return;
	}
	step.running = false;
	step.faulted = sig != SIGTRAP;
	for (int i = 0; i < 16; i++)
		*insn_reg(&step.got, i) = g[step_gregs[i]];
	step.got.rip = g[REG_RIP];
	step.got.eflags = g[REG_EFL] & STEP_FLAGS;
	memcpy(g, step.home, sizeof(step.home));
}

static void step_begin(void)
{
	static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL};
	static uint8_t stack[64 << 10];
	const stack_t own = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = step_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	step.around = mmap(NULL, 2 * STEP_AROUND, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	step.code = step.around + STEP_AROUND;
	step.data = step.code + 2 * STEP_PAGE;
	if (step.around == MAP_FAILED || mprotect(step.code, STEP_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0 ||
	    mprotect(step.data, STEP_PAGE, PROT_READ | PROT_WRITE) < 0 || sigaltstack(&own, NULL) < 0)
		abort();
	for (int i = 0; i < 4; i++)
		sigaction(signals[i], &sa, NULL);
}

enum step_result { STEP_UNKNOWN, STEP_SKIPPED, STEP_SAME, STEP_FAULT, STEP_DIFFERS };

// Runs the instruction at bytes from step.regs (rip and fs_base are set here) both ways. *out_len: its length.
static enum step_result step_both(const uint8_t bytes[STEP_INSN], unsigned *out_len)
{
	struct stub_regs r;
	unsigned flags;
	struct insn i;
	bool ok;

	if (!insn_decode(bytes, STEP_INSN, &i))
		return STEP_UNKNOWN;
	*out_len = i.len;
	asm("rdfsbase %0" : "=r"(step.regs.fs_base));
	step.regs.rip = (uint64_t)step.code + 100;
	step.regs.eflags &= STEP_FLAGS;
	memcpy(step.code + 100, bytes, STEP_INSN);
	memcpy(step.shadow, step.data, STEP_PAGE);
	step.elsewhere = false;
	r = step.regs;
	ok = insn_run(&i, &r);
	if (step.elsewhere)
		return STEP_SKIPPED;
	asm volatile("int3" ::: "memory");
	if (step.running)
		abort();
	if (!ok && (step.faulted || step.got.rip >> 47)) // a jump to where no application is faults there
		return step.got.rip == step.regs.rip || !step.faulted ? STEP_FAULT : STEP_DIFFERS;
	flags = i.op == INSN_AND || i.op == INSN_OR || i.op == INSN_XOR || i.op == INSN_TEST ? STEP_FLAGS & ~STEP_AF : STEP_FLAGS;
	if (ok == step.faulted || r.rip != step.got.rip || (r.eflags & flags) != (step.got.eflags & flags) ||
	    memcmp(step.shadow, step.data, STEP_PAGE) != 0)
		return STEP_DIFFERS;
	for (int n = 0; n < 16; n++)
		if (*insn_reg(&r, n) != *insn_reg(&step.got, n))
			return STEP_DIFFERS;
	return STEP_SAME;
}

// A register's content that leads somewhere, made from any 64 bits.
static uint64_t step_value(uint64_t from)
{
	const uint64_t data = (uint64_t)step.data;
	uint64_t fs;

	asm("rdfsbase %0" : "=r"(fs));
	switch (from % 8) {
	case 0:
	case 1:
	case 2:
		return data + (from >> 8) % STEP_PAGE;
	case 3:
		return data - fs + (from >> 8) % STEP_PAGE;
	case 4:
		return (from >> 8) % 64;
	case 5:
		return -((from >> 8) % 64);
	default:
		return from * 0x9e3779b97f4a7c15;
	}
}
