// What traps at a patched call site, and what was there: the signal handler's questions, and the instructions that the jump replaced.
#include "platform/systrap/stub/insn.h"
#include "platform/systrap/stub/sites.h"

enum { FLAGS_RESULT = 0x8d5, STEPS_MAX = 8 };

// What can't be read (any more) was given back before that.
static bool has_old(const struct site *s)
{
	uint8_t there[SITE_JUMP_BYTES];

	if (stub_copy(there, (const void *)s->addr, SITE_JUMP_BYTES) < 0)
		return true;
	for (unsigned i = 0; i < SITE_JUMP_BYTES; i++)
		if (there[i] != s->code[i])
			return false;
	return true;
}

// The record of the site at addr, which has its jump there or had it a moment ago: somebody who found an instruction that traps while others write
// may come to look when it is what it was.
static struct site *find_changing(uint64_t addr)
{
	uint8_t first = SITE_NO_OPCODE;

	stub_copy(&first, (const void *)addr, 1);
	for (unsigned part = 0; part < SITE_PARTS; part++) {
		uint32_t n;
		struct site *s = sites_first(part, &n);

		for (uint32_t i = 0; i < n; i++)
			if (s[i].addr == addr && ((s[i].changing && first == SITE_NO_OPCODE) || site_live(&s[i]) || has_old(&s[i])))
				return &s[i];
	}
	return 0;
}

// The record whose jump is at addr.
static struct site *find(uint64_t addr)
{
	uint8_t there[SITE_JUMP_BYTES];
	struct site *s;

	if (stub_copy(there, (const void *)addr, SITE_JUMP_BYTES) < 0 || there[0] != 0xff || there[1] != 0x24 || there[2] != 0xe5)
		return 0;
	s = site_of_entry(there[3] | there[4] << 8 | there[5] << 16 | (uint32_t)there[6] << 24);
	return s && s->addr == addr ? s : 0;
}

// A SIGILL at rip: the site whose syscall instruction is meant, *out_nr its number if the site itself gives one (else rax has it).
struct site *site_of_illegal(uint64_t rip, bool *out_has_nr)
{
	struct site *s = find_changing(rip);

	*out_has_nr = s && s->kind <= SITE_MOVQ;
	if (s)
		return s;
	s = find(rip - 5) ?: find_changing(rip - 5);
	return s && s->kind == SITE_MOV ? s : 0;
}

// A general protection fault at rip: the site whose comparison is meant.
struct site *site_of_compare(uint64_t rip)
{
	struct site *s = find(rip - 2) ?: find_changing(rip - 2);

	return s && (s->kind == SITE_CMPQ || s->kind == SITE_CMPL) ? s : 0;
}

// Any of the two: the site in whose middle rip is, where every byte traps.
struct site *site_of_middle(uint64_t rip)
{
	struct site *s = 0;

	for (unsigned at = 2; at < SITE_JUMP_BYTES && !s; at++)
		s = find(rip - at);
	for (unsigned at = 2; at < SITE_JUMP_BYTES && !s; at++)
		s = find_changing(rip - at);
	return s && s->kind >= SITE_BEHIND ? s : 0;
}

// True if what is at rip now can't have trapped: it was given back meanwhile.
bool site_is_back(uint64_t rip)
{
	uint8_t c[2];

	if (stub_copy(c, (const void *)rip, 2) < 0)
		return false;
	return (c[0] == 0x0f && (c[1] == 0x05 || c[1] == 0xa2)) || c[0] == 0x3d || (c[0] == 0x48 && c[1] == 0x3d);
}

// Does what the instruction behind s's call did.
static void compare(const struct site *s, struct stub_regs *r)
{
	uint64_t flags;

	if (s->kind == SITE_CMPQ)
		asm("cmp %2, %1; pushfq; pop %0" : "=&r"(flags) : "r"(r->rax), "r"((int64_t)(int32_t)s->imm) : "cc");
	else
		asm("cmp %2, %1; pushfq; pop %0" : "=&r"(flags) : "r"((uint32_t)r->rax), "r"(s->imm) : "cc");
	r->eflags = (r->eflags & ~(uint64_t)FLAGS_RESULT) | (flags & FLAGS_RESULT);
	r->rip = s->ret;
}

// Runs what was in s's middle from r->rip on. False: up to an instruction that isn't known, or faulted.
static bool follow(const struct site *s, struct stub_regs *r)
{
	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		const uint64_t at = r->rip - s->addr;
		struct insn i;

		if (at < 2 || at >= SITE_JUMP_BYTES)
			break;
		if (at >= s->len || !insn_decode(s->code + at, s->len - at, &i) || !insn_run(&i, r))
			return false;
	}
	return true;
}

void site_finish(struct site *s, struct stub_regs *r)
{
	if (s->kind == SITE_CMPQ || s->kind == SITE_CMPL)
		compare(s, r);
	else if (s->kind >= SITE_BEHIND && !follow(s, r))
		site_give_back(s); // or they trap there, and that does it
}

// What the sentry hasn't said is this processor's to say.
void site_cpuid(struct site *s, struct stub_regs *r)
{
	const uint32_t n = PARAM->ncpuids, leaf = r->rax, sub = r->rcx;
	uint32_t a = leaf, b, c = sub, d;

	for (uint32_t i = 0; i < n && i < PARAM_CPUIDS; i++) {
		const volatile struct param_cpuid *at = &PARAM->cpuids[i];

		if (at->leaf != leaf || (at->sub != CPUID_ANY && at->sub != sub))
			continue;
		r->rax = at->eax;
		r->rbx = at->ebx;
		r->rcx = at->ecx;
		r->rdx = at->edx;
		site_finish(s, r);
		return;
	}
	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	r->rax = a;
	r->rbx = b;
	r->rcx = c;
	r->rdx = d;
	site_finish(s, r);
}

bool site_arrived(struct site *s, struct stub_regs *r, bool illegal)
{
	const uint64_t rip = r->rip;
	struct insn i;

	if (rip - s->addr > 2 && s->arrivals < SITE_ARRIVALS_MAX)
		s->arrivals++; // at 2 they come from calls that a signal came upon
	if (s->arrivals == SITE_ARRIVALS_MAX)
		site_give_back(s);
	if (follow(s, r) || r->rip != rip)
		return true;
	if (site_live(s) || s->changing) {
		site_give_back(s);
		return true;
	}
	// By now it is what it was. Might that have trapped, or was it the jump?
	return rip - s->addr < s->len && insn_decode(s->code + (rip - s->addr), s->len - (rip - s->addr), &i) && (illegal || !insn_strays(&i, r));
}

// Does what the instruction before s's call did.
void site_lea(const struct site *s, struct stub_regs *r)
{
	uint64_t from = s->from == SITE_RIP ? s->addr + SITE_JUMP_BYTES : *insn_reg(r, s->from);

	*insn_reg(r, s->to) = from + (uint64_t)(int64_t)(int32_t)s->imm;
}
