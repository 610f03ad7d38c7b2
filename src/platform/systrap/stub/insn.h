// Instructions as they stand behind a system call, taken apart and carried out on the application's registers (insn.c).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "platform/systrap/channel.h"

enum insn_op {
	INSN_ADD,
	INSN_OR,
	INSN_AND = 4,
	INSN_SUB,
	INSN_XOR,
	INSN_CMP, // up to here by their numbers in opcodes
	INSN_TEST,
	INSN_NEG,
	INSN_NOT,
	INSN_MOV,
	INSN_MOVSXD,
	INSN_LEA,
	INSN_PUSH,
	INSN_POP,
	INSN_NOP,
	INSN_RET,
	INSN_CALL, // to where from says; the other branches, and it without: by imm from the instruction's end
	INSN_JMP,
	INSN_JCC, // by the condition in reg
};

enum insn_source { INSN_NONE, INSN_REG, INSN_RM, INSN_IMM };

struct insn {
	uint8_t op;	  // enum insn_op
	uint8_t len, size; // size: 4 or 8, of the operands
	uint8_t to, from; // enum insn_source
	uint8_t reg, rm;  // registers by their numbers; rm: unless mem
	bool mem, fs;	  // mem: at [fs +] base + index << shift + disp
	uint8_t base, index, shift; // base, index: INSN_NOTHING if there is none, INSN_RIP
	int32_t disp;
	int64_t imm;
};

enum { INSN_RIP = 16, INSN_NOTHING };

// The instruction that begins at the first of n bytes. False: none of those that are known here, or there aren't enough bytes.
bool insn_decode(const uint8_t *bytes, unsigned n, struct insn *out);
// True if what follows it isn't run after it.
bool insn_leads_away(const struct insn *i);
// Does what i at r->rip does, rip included. False: it would have faulted, and nothing has changed.
bool insn_run(const struct insn *i, struct stub_regs *r);
// True if it is i that a general protection fault at r->rip may be from.
bool insn_strays(const struct insn *i, struct stub_regs *r);
// The register of a number.
uint64_t *insn_reg(struct stub_regs *r, unsigned number);

// entry.S: 0, or -1 if the memory isn't there. One access of 4 or 8 bytes each.
long stub_load4(uint64_t addr, uint64_t *out);
long stub_load8(uint64_t addr, uint64_t *out);
long stub_store4(uint64_t addr, uint64_t val);
long stub_store8(uint64_t addr, uint64_t val);
