// What a system call's site looks like: whether the code around a syscall instruction is of a shape that can be patched.
#include "platform/systrap/stub/insn.h"
#include "platform/systrap/stub/stub.h"

enum { NR_LIMIT = 1024, BEFORE = 9, BEHIND = SITE_CODE - 2, PADDING = 0xcc };

// The bytes around a syscall instruction: 9 that end with it, as many of those that follow as can be read, then zeros.
struct code {
	uint8_t before[BEFORE], behind[BEHIND];
	unsigned nbehind;
};

static bool read_code(uint64_t after, struct code *c)
{
	const unsigned here = 4096 - (after & 4095);

	if (stub_copy(c->before, (const void *)(after - BEFORE), BEFORE) < 0)
		return false;
	for (unsigned i = 0; i < BEHIND; i++)
		c->behind[i] = 0;
	c->nbehind = BEHIND;
	if (stub_copy(c->behind, (const void *)after, BEHIND) < 0)
		c->nbehind = here < BEHIND && stub_copy(c->behind, (const void *)after, here) == 0 ? here : 0;
	return true;
}

static uint32_t imm_at(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_rex(uint8_t byte)
{
	return (byte & 0xf0) == 0x40;
}

static void place(struct site *s, uint8_t kind, uint64_t addr, uint8_t len)
{
	s->kind = kind;
	s->addr = addr;
	s->len = len;
}

// lea disp32(%reg),%reg of 64 bits that makes an argument from a register which the way in leaves alone.
static bool is_lea(const uint8_t *b, struct site *out)
{
	enum { REX_W = 0x48, REX_R = 4, REX_B = 1, SP = 4, CX = 1, R11 = 11 };
	static const uint16_t arguments = 1 << 7 | 1 << 6 | 1 << 2 | 1 << 10 | 1 << 8 | 1 << 9;
	const unsigned mod = b[2] >> 6, rm = b[2] & 7;

	if ((b[0] & ~(REX_R | REX_B)) != REX_W || b[1] != 0x8d || rm == SP)
		return false;
	out->to = (b[2] >> 3 & 7) | (b[0] & REX_R ? 8 : 0);
	out->from = mod == 0 ? SITE_RIP : rm | (b[0] & REX_B ? 8 : 0);
	if (!(mod == 2 || (mod == 0 && rm == 5)) || !(arguments >> out->to & 1) || out->from == CX || out->from == R11)
		return false;
	place(out, SITE_LEA, out->after - 9, 9);
	out->imm = imm_at(b + 3);
	return true;
}

// The kinds that have a way of their own.
static bool common(const struct code *c, bool two_pages, struct site *out)
{
	const uint8_t *b = c->before, *n = c->behind;
	const uint64_t after = out->after;

	if (b[2] == 0xb8 && !is_rex(b[1]) && imm_at(b + 3) < NR_LIMIT && (two_pages || site_in_page(after - 7, 7))) {
		place(out, SITE_MOV, after - 7, 7);
		out->nr = imm_at(b + 3);
	} else if (b[0] == 0x48 && b[1] == 0xc7 && b[2] == 0xc0 && imm_at(b + 3) < NR_LIMIT &&
		   (two_pages || site_in_page(after - 9, 9))) {
		place(out, SITE_MOVQ, after - 9, 9);
		out->nr = imm_at(b + 3);
	} else if (c->nbehind >= 6 && n[0] == 0x48 && n[1] == 0x3d && (two_pages || site_in_page(after - 2, 8))) {
		place(out, SITE_CMPQ, after - 2, 8);
		out->imm = imm_at(n + 2);
		out->ret = after + 6;
	} else if (c->nbehind >= 5 && n[0] == 0x3d && (two_pages || site_in_page(after - 2, 7))) {
		place(out, SITE_CMPL, after - 2, 7);
		out->imm = imm_at(n + 1);
		out->ret = after + 5;
	} else {
		return is_lea(b, out) && (two_pages || site_in_page(after - 9, 9));
	}
	return true;
}

// Whole instructions, all of them known, up to where the jump ends. What can't be run from there must be known, too, or nobody's: there
// may be data behind a ret.
static bool behind(const uint8_t *code, unsigned n, bool two_pages, struct site *out)
{
	const bool cpuid = code[1] == 0xa2;
	unsigned at = 2;
	bool away = false;

	while (at < SITE_JUMP_BYTES) {
		struct insn i;

		if (away && code[at] == PADDING && at < n) {
			at++;
			continue;
		}
		if (!insn_decode(code + at, n - at, &i))
			return false;
		at += i.len;
		away |= insn_leads_away(&i);
	}
	place(out, cpuid ? SITE_CPUID : SITE_BEHIND, out->after - 2, at);
	return two_pages || site_in_page(out->addr, at);
}

static bool shape(const struct code *c, const uint8_t *all, bool two_pages, struct site *out)
{
	return (c->before[8] == 0x05 && common(c, two_pages, out)) || behind(all + BEFORE - 2, c->nbehind + 2, two_pages, out);
}

bool site_classify(uint64_t after, struct site *out)
{
	uint8_t all[BEFORE + BEHIND];
	unsigned from;
	struct code c;

	*out = (struct site){.after = after, .ret = after};
	if (!read_code(after, &c) || c.before[7] != 0x0f || (c.before[8] != 0x05 && (c.before[8] != 0xa2 || !PARAM->ncpuids)))
		return false;
	for (unsigned i = 0; i < BEFORE + BEHIND; i++)
		all[i] = i < BEFORE ? c.before[i] : c.behind[i - BEFORE];
	if (!shape(&c, all, false, out) && !shape(&c, all, true, out))
		return false;
	from = out->addr - (after - BEFORE);
	for (unsigned i = 0; i < out->len; i++)
		out->code[i] = all[from + i];
	return true;
}

unsigned site_starts(const struct site *s)
{
	unsigned starts = 0;
	struct insn i;

	if (s->kind == SITE_MOV)
		return 1 << 5;
	if (s->kind == SITE_CMPQ || s->kind == SITE_CMPL)
		return 1 << 2;
	for (unsigned at = 2; s->kind >= SITE_BEHIND && at < SITE_JUMP_BYTES; at += i.len) {
		starts |= 1 << at;
		if (s->code[at] == PADDING || !insn_decode(s->code + at, s->len - at, &i))
			i.len = 1;
	}
	return starts;
}
