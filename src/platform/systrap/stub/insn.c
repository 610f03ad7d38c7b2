// The few instructions that compilers put behind a system call, taken apart and carried out on the application's registers.
//
// What isn't known for sure isn't known at all: no prefixes but REX and fs, operands of 32 and 64 bits, nothing that reads and writes the
// same memory. Each access to memory is one, as the application's other threads may look on. Arithmetic is done by the very instruction
// that it stands for, so that its flags are this processor's.
#include "platform/systrap/stub/insn.h"

#include <stddef.h>

enum { REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1, FLAGS_RESULT = 0x8d5, SP = 4, BP = 5 };

// Bytes yet to be read. short_: there were too few.
struct cursor {
	const uint8_t *p;
	unsigned at, n;
	bool short_;
};

static uint8_t take(struct cursor *c)
{
	if (c->at < c->n)
		return c->p[c->at++];
	c->short_ = true;
	return 0;
}

static int32_t take_byte(struct cursor *c)
{
	return (int8_t)take(c);
}

static int32_t take_long(struct cursor *c)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32_t)take(c) << 8 * i;
	return v;
}

// The operand in memory of a ModRM byte whose mod isn't 3.
static void take_memory(struct cursor *c, struct insn *i, unsigned mod, unsigned rm, unsigned rex)
{
	i->mem = true;
	i->index = INSN_NOTHING;
	i->base = rm | (rex & REX_B ? 8 : 0);
	if (rm == SP) {
		const uint8_t sib = take(c);
		const unsigned index = (sib >> 3 & 7) | (rex & REX_X ? 8 : 0);

		i->shift = sib >> 6;
		i->index = index == SP ? INSN_NOTHING : index;
		i->base = (sib & 7) | (rex & REX_B ? 8 : 0);
		if (mod == 0 && (sib & 7) == BP)
			i->base = INSN_NOTHING;
	} else if (mod == 0 && rm == BP) {
		i->base = INSN_RIP;
	}
	if (mod == 2 || i->base >= INSN_RIP)
		i->disp = take_long(c);
	else if (mod == 1)
		i->disp = take_byte(c);
}

static void take_modrm(struct cursor *c, struct insn *i, unsigned rex)
{
	const uint8_t modrm = take(c);

	i->reg = (modrm >> 3 & 7) | (rex & REX_R ? 8 : 0);
	if (modrm >> 6 == 3)
		i->rm = (modrm & 7) | (rex & REX_B ? 8 : 0);
	else
		take_memory(c, i, modrm >> 6, modrm & 7, rex);
}

// Operations on what ModRM names by the number in its reg field. False: not known.
static bool group(struct cursor *c, struct insn *i, unsigned op)
{
	const unsigned n = i->reg & 7;

	i->to = INSN_RM;
	i->from = INSN_IMM;
	switch (op) {
	case 0x81:
	case 0x83:
		i->op = n;
		i->imm = op == 0x81 ? take_long(c) : take_byte(c);
		return n != 2 && n != 3 && (!i->mem || n == INSN_CMP); // neither adc nor sbb
	case 0xc7:
		i->op = INSN_MOV;
		i->imm = take_long(c);
		return n == 0;
	case 0xf7:
		i->op = n == 0 ? INSN_TEST : n == 2 ? INSN_NOT : INSN_NEG;
		if (n == 0)
			i->imm = take_long(c);
		else
			i->from = INSN_NONE;
		return n == 0 || ((n == 2 || n == 3) && !i->mem);
	case 0xff:
		i->op = INSN_CALL;
		i->from = INSN_RM;
		i->size = 8;
		return n == 2;
	default:
		return false;
	}
}

// Opcodes without a ModRM byte.
static bool plain(struct cursor *c, struct insn *i, unsigned op, unsigned rex, bool prefixed)
{
	const unsigned low = (op & 7) | (rex & REX_B ? 8 : 0);

	if (op >> 4 == 5) {
		i->op = op < 0x58 ? INSN_PUSH : INSN_POP;
		i->reg = low;
	} else if (op >= 0xb8 && op <= 0xbf) {
		i->op = INSN_MOV;
		i->to = INSN_REG;
		i->from = INSN_IMM;
		i->reg = low;
		i->imm = (uint32_t)take_long(c);
		if (rex & REX_W)
			i->imm |= (uint64_t)take_long(c) << 32;
	} else if (op < 0x40 && (op & 7) == 5) { // on eax or rax
		i->op = op >> 3;
		i->to = INSN_REG;
		i->from = INSN_IMM;
		i->imm = take_long(c);
		return i->op != 2 && i->op != 3;
	} else if (op == 0xa9) {
		i->op = INSN_TEST;
		i->to = INSN_REG;
		i->from = INSN_IMM;
		i->imm = take_long(c);
	} else if (op == 0x98 && rex & REX_W) { // cdqe
		i->op = INSN_MOVSXD;
	} else if (prefixed) {
		return false;
	} else if (op == 0x90) {
		i->op = INSN_NOP;
	} else if (op == 0xc3) {
		i->op = INSN_RET;
	} else if (op == 0xe8 || op == 0xe9) {
		i->op = op == 0xe8 ? INSN_CALL : INSN_JMP;
		i->imm = take_long(c);
	} else if (op == 0xeb) {
		i->op = INSN_JMP;
		i->imm = take_byte(c);
	} else if (op >> 4 == 7) {
		i->op = INSN_JCC;
		i->reg = op & 15;
		i->imm = take_byte(c);
	} else {
		return false;
	}
	return true;
}

static bool with_modrm(struct cursor *c, struct insn *i, unsigned op, unsigned rex)
{
	take_modrm(c, i, rex);
	i->to = op & 2 ? INSN_REG : INSN_RM;
	i->from = op & 2 ? INSN_RM : INSN_REG;
	if (op < 0x40) { // the arithmetic ones: 01 and 03 of their eight
		i->op = op >> 3;
		return i->op != 2 && i->op != 3 && (!i->mem || i->to == INSN_REG || i->op == INSN_CMP);
	}
	switch (op) {
	case 0x63:
		i->op = INSN_MOVSXD;
		return rex & REX_W;
	case 0x85:
		i->op = INSN_TEST;
		i->to = INSN_RM;
		i->from = INSN_REG;
		return true;
	case 0x89:
	case 0x8b:
		i->op = INSN_MOV;
		return true;
	case 0x8d:
		i->op = INSN_LEA;
		i->to = INSN_REG;
		return i->mem;
	default:
		return group(c, i, op);
	}
}

static bool has_modrm(unsigned op)
{
	return (op < 0x40 && ((op & 7) == 1 || (op & 7) == 3)) || op == 0x63 || op == 0x81 || op == 0x83 || op == 0x85 || op == 0x89 ||
	       op == 0x8b || op == 0x8d || op == 0xc7 || op == 0xf7 || op == 0xff;
}

// What compilers fill gaps with: 66 and cs prefixes before a nop, its long form, endbr64.
static bool is_nop(struct cursor *c, struct insn *i)
{
	static const uint8_t endbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
	unsigned op, n = 0, rex = 0;

	while (n < sizeof(endbr) && n < c->n && c->p[n] == endbr[n])
		n++;
	i->op = INSN_NOP;
	if (n == sizeof(endbr)) {
		c->at = n;
		return true;
	}
	op = take(c);
	while (op == 0x66 || op == 0x2e)
		op = take(c);
	if (op == 0x90)
		return true;
	if (op >> 4 == 4) {
		rex = op;
		op = take(c);
	}
	if (op != 0x0f || take(c) != 0x1f)
		return false;
	take_modrm(c, i, rex);
	return (i->reg & 7) == 0;
}

bool insn_decode(const uint8_t *bytes, unsigned n, struct insn *out)
{
	struct cursor c = {.p = bytes, .n = n};
	unsigned op, rex = 0;
	bool known;

	*out = (struct insn){.op = INSN_NOP};
	op = take(&c);
	if (op == 0x64) {
		out->fs = true;
		op = take(&c);
	}
	if (op >> 4 == 4) {
		rex = op;
		op = take(&c);
	}
	out->size = rex & REX_W ? 8 : 4;
	if (op == 0x0f && !rex && !out->fs && c.at < n && c.p[c.at] >> 4 == 8) {
		out->op = INSN_JCC;
		out->reg = take(&c) & 15;
		out->imm = take_long(&c);
		known = true;
	} else if (has_modrm(op)) {
		known = with_modrm(&c, out, op, rex);
	} else {
		known = plain(&c, out, op, rex, rex || out->fs);
	}
	if (!known) {
		*out = (struct insn){.op = INSN_NOP};
		c = (struct cursor){.p = bytes, .n = n};
		known = is_nop(&c, out);
	}
	out->len = c.at;
	return known && !c.short_;
}

bool insn_leads_away(const struct insn *i)
{
	return i->op == INSN_RET || i->op == INSN_JMP;
}

uint64_t *insn_reg(struct stub_regs *r, unsigned number)
{
#define REG(name) offsetof(struct stub_regs, name) / 8
	static const uint8_t at[16] = {REG(rax), REG(rcx), REG(rdx), REG(rbx), REG(rsp), REG(rbp), REG(rsi), REG(rdi),
				       REG(r8), REG(r9), REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15)};

	return (uint64_t *)r + at[number % 16];
}

static bool canonical(uint64_t addr)
{
	return addr >> 47 == 0;
}

static uint64_t address(const struct insn *i, struct stub_regs *r)
{
	uint64_t addr = (int64_t)i->disp;

	if (i->base == INSN_RIP)
		addr += r->rip + i->len;
	else if (i->base != INSN_NOTHING)
		addr += *insn_reg(r, i->base);
	if (i->index != INSN_NOTHING)
		addr += *insn_reg(r, i->index) << i->shift;
	return i->fs && i->op != INSN_LEA ? addr + r->fs_base : addr;
}

static bool get(const struct insn *i, unsigned source, struct stub_regs *r, uint64_t *out)
{
	if (source == INSN_IMM)
		*out = i->imm;
	else if (source == INSN_REG || !i->mem)
		*out = *insn_reg(r, source == INSN_REG ? i->reg : i->rm);
	else if ((i->size == 8 ? stub_load8(address(i, r), out) : stub_load4(address(i, r), out)) < 0)
		return false;
	if (i->size == 4)
		*out = (uint32_t)*out;
	return true;
}

static bool put(const struct insn *i, struct stub_regs *r, uint64_t val)
{
	if (i->to == INSN_RM && i->mem)
		return (i->size == 8 ? stub_store8(address(i, r), val) : stub_store4(address(i, r), val)) == 0;
	*insn_reg(r, i->to == INSN_REG ? i->reg : i->rm) = i->size == 4 ? (uint32_t)val : val;
	return true;
}

#define ARITH(name)                                                                                                                    \
	if (size == 8)                                                                                                                 \
		asm(name "q %2, %0; lahf; seto %%al" : "+&r"(a), "=&a"(flags) : "r"(b) : "cc");                                         \
	else                                                                                                                           \
		asm(name "l %k2, %k0; lahf; seto %%al" : "+&r"(a), "=&a"(flags) : "r"(b) : "cc");                                       \
	break

static uint64_t arith(unsigned op, unsigned size, uint64_t a, uint64_t b, struct stub_regs *r)
{
	uint64_t flags = 0;

	switch (op) {
	case INSN_ADD:
		ARITH("add");
	case INSN_OR:
		ARITH("or");
	case INSN_AND:
		ARITH("and");
	case INSN_SUB:
		ARITH("sub");
	case INSN_XOR:
		ARITH("xor");
	case INSN_CMP:
		ARITH("cmp");
	case INSN_TEST:
		ARITH("test");
	default:
		if (size == 8)
			asm("negq %0; lahf; seto %%al" : "+&r"(a), "=&a"(flags) : : "cc");
		else
			asm("negl %k0; lahf; seto %%al" : "+&r"(a), "=&a"(flags) : : "cc");
	}
	flags = (flags >> 8 & 0xff) | (flags & 1) << 11;
	r->eflags = (r->eflags & ~(uint64_t)FLAGS_RESULT) | (flags & FLAGS_RESULT);
	return a;
}

static bool condition(unsigned cc, uint64_t flags)
{
	const bool cf = flags & 1, pf = flags & 4, zf = flags & 0x40, sf = flags & 0x80, of = flags & 0x800;
	const bool is[8] = {of, cf, zf, cf || zf, sf, pf, sf != of, zf || sf != of};

	return is[cc >> 1] != (cc & 1);
}

// Where i, a branch, leads. False: it isn't there to be read.
static bool target(const struct insn *i, struct stub_regs *r, uint64_t *out)
{
	*out = r->rip + i->len + i->imm;
	if (i->op == INSN_JCC && !condition(i->reg, r->eflags))
		*out = r->rip + i->len;
	if (i->op == INSN_RET)
		return stub_load8(r->rsp, out) == 0;
	return i->from == INSN_NONE || get(i, i->from, r, out);
}

static bool flow(const struct insn *i, struct stub_regs *r)
{
	const uint64_t next = r->rip + i->len;
	uint64_t to;

	if (!target(i, r, &to) || !canonical(to))
		return false;
	if (i->op == INSN_CALL && stub_store8(r->rsp - 8, next) < 0)
		return false;
	if (i->op == INSN_CALL)
		r->rsp -= 8;
	if (i->op == INSN_RET)
		r->rsp += 8;
	r->rip = to;
	return true;
}

static bool stack(const struct insn *i, struct stub_regs *r)
{
	uint64_t val;

	if (i->op == INSN_PUSH) {
		if (stub_store8(r->rsp - 8, *insn_reg(r, i->reg)) < 0)
			return false;
		r->rsp -= 8;
		return true;
	}
	if (stub_load8(r->rsp, &val) < 0)
		return false;
	r->rsp += 8;
	*insn_reg(r, i->reg) = val;
	return true;
}

static bool operate(const struct insn *i, struct stub_regs *r)
{
	uint64_t a = 0, b = 0;

	switch (i->op) {
	case INSN_NOP:
		return true;
	case INSN_PUSH:
	case INSN_POP:
		return stack(i, r);
	case INSN_LEA:
		return put(i, r, address(i, r));
	case INSN_MOV:
		return get(i, i->from, r, &b) && put(i, r, b);
	case INSN_MOVSXD: {
		struct insn four = *i;

		four.size = 4;
		if (!get(&four, INSN_RM, r, &b))
			return false;
		*insn_reg(r, i->reg) = (int64_t)(int32_t)b;
		return true;
	}
	case INSN_NOT:
		return get(i, i->to, r, &a) && put(i, r, ~a);
	}
	if (!get(i, i->to, r, &a) || (i->from != INSN_NONE && !get(i, i->from, r, &b)))
		return false;
	a = arith(i->op, i->size, a, b, r);
	return i->op == INSN_CMP || i->op == INSN_TEST || put(i, r, a);
}

bool insn_strays(const struct insn *i, struct stub_regs *r)
{
	uint64_t to;

	if (i->op >= INSN_RET && target(i, r, &to) && !canonical(to))
		return true;
	return i->mem && i->op != INSN_LEA && i->op != INSN_NOP && !canonical(address(i, r));
}

bool insn_run(const struct insn *i, struct stub_regs *r)
{
	if (i->op >= INSN_RET)
		return flow(i, r);
	if (!operate(i, r))
		return false;
	r->rip += i->len;
	return true;
}
