// Call sites, and how one is patched: a system call that came by SIGSYS often enough becomes a jump to a trampoline.
//
// Three shapes are what libcs compile to: `mov $nr,%eax; syscall`, `syscall; cmp $imm,%rax`, and `lea disp(%reg),%reg; syscall`. Seven
// bytes of them are replaced by `jmp *SITE_TABLE+8n`, with byte 2 an e5 and byte 5 an 06. So whoever jumps into the middle, to the old
// syscall or the old cmp, finds an instruction that traps (06 is none, e5 is an IN), and the signal handler does what was there. Of the
// third it is the lea alone: its syscall stays. The sentry says which pages may be patched: private, executable, not writable. If the
// application makes one writable later, it gets its own bytes back first.
//
// The page gets its private copy from the host, as for any write to a private mapping, so that a later MADV_DONTNEED or exec of the file
// finds the file's own bytes. A site in two pages gets its bytes back before one of them goes alone. While other threads may run there, byte 0
// is first an 06 too (the handler makes the call), and each step waits until every processor has seen the one before: the host's mprotect
// interrupts them.
#include "platform/systrap/stub/stub.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum {
	NO_OPCODE = 0x06,
	JUMP_BYTES = 7,
	PATCH_AFTER = 4, // calls by signal
	NR_LIMIT = 1024,
	FLAGS_RESULT = 0x8d5,
};

// The bytes around a syscall instruction: 9 that end with it, 6 that follow (zero if they can't be read).
struct code {
	uint8_t before[9], behind[6];
};

static bool read_code(uint64_t after, struct code *c)
{
	if (stub_copy(c->before, (const void *)(after - sizeof(c->before)), sizeof(c->before)) < 0)
		return false;
	if (stub_copy(c->behind, (const void *)after, sizeof(c->behind)) < 0)
		for (unsigned i = 0; i < sizeof(c->behind); i++)
			c->behind[i] = 0;
	return true;
}

static uint32_t imm_at(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool one_page(uint64_t addr)
{
	return (addr & 4095) <= 4096 - JUMP_BYTES;
}

static bool is_rex(uint8_t byte)
{
	return (byte & 0xf0) == 0x40;
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
	out->kind = SITE_LEA;
	out->addr = out->after - 9;
	out->imm = imm_at(b + 3);
	return true;
}

// What a site of one of the shapes is, in *out, if it lies in one page or in two as it may. False: it isn't one.
static bool shape(uint64_t after, const struct code *c, bool two_pages, struct site *out)
{
	const uint8_t *b = c->before, *n = c->behind;

	if (b[2] == 0xb8 && !is_rex(b[1]) && imm_at(b + 3) < NR_LIMIT && (two_pages || one_page(after - 7))) {
		out->kind = SITE_MOV;
		out->addr = after - 7;
		out->nr = imm_at(b + 3);
	} else if (b[0] == 0x48 && b[1] == 0xc7 && b[2] == 0xc0 && imm_at(b + 3) < NR_LIMIT && (two_pages || one_page(after - 9))) {
		out->kind = SITE_MOVQ;
		out->addr = after - 9;
		out->nr = imm_at(b + 3);
	} else if (n[0] == 0x48 && n[1] == 0x3d && (two_pages || one_page(after - 2))) {
		out->kind = SITE_CMPQ;
		out->addr = after - 2;
		out->imm = imm_at(n + 2);
		out->ret = after + 6;
	} else if (n[0] == 0x3d && (two_pages || one_page(after - 2))) {
		out->kind = SITE_CMPL;
		out->addr = after - 2;
		out->imm = imm_at(n + 1);
		out->ret = after + 5;
	} else if (!is_lea(b, out) || !(two_pages || one_page(after - 9))) {
		return false;
	}
	return true;
}

// What the site with its syscall instruction before `after` is, in *out. False: none that fits.
static bool classify(uint64_t after, const struct code *c, struct site *out)
{
	*out = (struct site){.after = after, .ret = after};
	if (c->before[7] != 0x0f || c->before[8] != 0x05 || (!shape(after, c, false, out) && !shape(after, c, true, out)))
		return false;
	for (unsigned i = 0; i < JUMP_BYTES; i++) {
		unsigned at = out->addr + i - (after - sizeof(c->before));

		out->old[i] = at < sizeof(c->before) ? c->before[at] : c->behind[at - sizeof(c->before)];
	}
	return true;
}

// True if the call that came by signal from here should be patched now; the sentry has the last word.
bool site_wanted(uint64_t after)
{
	struct sites *t = SITES;
	uint8_t *count = &t->counts[(after ^ after >> 12) % SITE_COUNTS];
	struct code c;
	struct site s;

	if (!PARAM->patching || ++*count < PATCH_AFTER)
		return false;
	*count = 0;
	return read_code(after, &c) && classify(after, &c, &s);
}

static const struct {
	uint16_t first, len;
} parts[SITE_PARTS] = {{0, SITES_KEEP}, {SITES_KEEP, SITES_CMP}, {SITES_KEEP + SITES_CMP, SITES_BOTH}};

static bool same(const struct site *a, const struct site *b)
{
	return a->addr == b->addr && a->after == b->after && a->ret == b->ret && a->nr == b->nr && a->imm == b->imm && a->kind == b->kind &&
	       a->to == b->to && a->from == b->from;
}

// A record for a site like this: never one that may be in use for something else.
static struct site *record(const struct site *like)
{
	const unsigned n = like->kind <= SITE_MOVQ ? 0 : like->kind >= SITE_CMPQ ? 1 : 2;
	struct sites *t = SITES;
	struct site *first = t->site + parts[n].first;
	uint32_t *used = &t->used[n];

	for (uint32_t i = 0; i < *used; i++)
		if (same(&first[i], like))
			return &first[i];
	if (*used >= parts[n].len || (!one_page(like->addr) && t->nstraddling == SITES_STRADDLING))
		return 0;
	first[*used] = *like;
	if (!one_page(like->addr))
		t->straddling[t->nstraddling++] = &first[*used] - t->site;
	__atomic_store_n(used, *used + 1, __ATOMIC_RELEASE);
	return &first[*used - 1];
}

static void make_jump(const struct site *s, uint8_t jump[JUMP_BYTES])
{
	uint32_t entry = SITE_TABLE + 8 * (s - SITES->site);

	jump[0] = 0xff;
	jump[1] = 0x24;
	jump[2] = 0xe5; // no base, no index
	for (unsigned i = 0; i < 4; i++)
		jump[3 + i] = entry >> 8 * i;
}

// True if s's jump is in the code at its place.
static bool live(const struct site *s)
{
	uint8_t jump[JUMP_BYTES], there[JUMP_BYTES];

	make_jump(s, jump);
	if (stub_copy(there, (const void *)s->addr, JUMP_BYTES) < 0)
		return false;
	for (unsigned i = 0; i < JUMP_BYTES; i++)
		if (there[i] != jump[i])
			return false;
	return true;
}

// Replaces the code at addr. If alone, no other thread is about.
static void poke(uint64_t addr, const uint8_t bytes[JUMP_BYTES], int prot, bool alone)
{
	static const uint8_t trap = NO_OPCODE;
	const uint64_t page = addr & ~4095ull, len = one_page(addr) ? 4096 : 8192;

	if (stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE) < 0)
		return;
	if (alone) {
		stub_copy((void *)addr, bytes, JUMP_BYTES);
	} else {
		stub_copy((void *)addr, &trap, 1);
		stub_call3(SYS_mprotect, page, len, prot);
		stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE);
		stub_copy((void *)(addr + 1), bytes + 1, JUMP_BYTES - 1);
		stub_call3(SYS_mprotect, page, len, prot);
		stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE);
		stub_copy((void *)addr, bytes, 1);
	}
	stub_call3(SYS_mprotect, page, len, prot);
}

void site_patch(uint64_t after, int prot, bool alone)
{
	struct sites *t = SITES;
	uint8_t jump[JUMP_BYTES];
	struct site like, *s;
	struct code c;

	if (__atomic_exchange_n(&t->busy, 1, __ATOMIC_ACQUIRE))
		return; // the next calls ask again
	if (read_code(after, &c) && classify(after, &c, &like)) {
		s = record(&like);
		if (s) {
			s->prot = prot;
			make_jump(s, jump);
			poke(s->addr, jump, prot, alone);
		}
	}
	__atomic_store_n(&t->busy, 0, __ATOMIC_RELEASE);
}

static bool overlaps(const struct site *s, uint64_t start, uint64_t end)
{
	return s->addr < end && s->addr + JUMP_BYTES > start;
}

// Gives the application's own bytes in [start, end) back, because it is going to move them or write there.
void sites_restore(uint64_t start, uint64_t end)
{
	for (unsigned part = 0; part < SITE_PARTS; part++) {
		const struct site *first = SITES->site + parts[part].first;

		for (uint32_t i = 0, n = SITES->used[part]; i < n && i < parts[part].len; i++)
			if (overlaps(&first[i], start, end) && live(&first[i]))
				poke(first[i].addr, first[i].old, first[i].prot, false);
	}
}

// Likewise for those that lie in two pages, whose protections are to be alike for as long as they are patched, or of which one is going
// to have other contents. prot: what the range is going to have; -1: something else than now, the code.
void sites_part(uint64_t start, uint64_t end, int prot)
{
	const struct sites *t = SITES;

	for (uint32_t i = 0; i < t->nstraddling && i < SITES_STRADDLING; i++) {
		const struct site *s = &t->site[t->straddling[i] % SITES_MAX];

		if (overlaps(s, start, end) && s->prot != prot && live(s))
			poke(s->addr, s->old, s->prot, false);
	}
}

static bool has_old(const struct site *s)
{
	uint8_t there[JUMP_BYTES];

	if (stub_copy(there, (const void *)s->addr, JUMP_BYTES) < 0)
		return false;
	for (unsigned i = 0; i < JUMP_BYTES; i++)
		if (there[i] != s->old[i])
			return false;
	return true;
}

// The record of the site at addr where somebody found an instruction that traps, while others write there: by now it may be what it was,
// or the jump.
static const struct site *find_being_written(uint64_t addr)
{
	uint8_t first;

	if (stub_copy(&first, (const void *)addr, 1) < 0)
		return 0;
	for (unsigned part = 0; part < SITE_PARTS; part++) {
		const struct site *s = SITES->site + parts[part].first;

		for (uint32_t i = 0, n = SITES->used[part]; i < n && i < parts[part].len; i++)
			if (s[i].addr == addr && (first == NO_OPCODE || live(&s[i]) || has_old(&s[i])))
				return &s[i];
	}
	return 0;
}

// The record whose jump is at addr.
static const struct site *find(uint64_t addr)
{
	struct sites *t = SITES;
	uint8_t there[JUMP_BYTES];
	uint32_t entry;

	if (stub_copy(there, (const void *)addr, JUMP_BYTES) < 0)
		return 0;
	entry = imm_at(there + 3) - SITE_TABLE;
	if (there[0] != 0xff || there[1] != 0x24 || there[2] != 0xe5 || entry % 8 || entry / 8 >= SITES_MAX)
		return 0;
	return t->site[entry / 8].addr == addr ? &t->site[entry / 8] : 0;
}

// A SIGILL at rip: the site whose syscall instruction is meant, *out_nr its number if the site itself gives one (else rax has it).
const struct site *site_of_illegal(uint64_t rip, bool *out_has_nr)
{
	const struct site *s = find_being_written(rip);

	*out_has_nr = s && s->kind <= SITE_MOVQ;
	if (s)
		return s;
	s = find(rip - 5) ?: find_being_written(rip - 5);
	return s && s->kind == SITE_MOV ? s : 0;
}

// A general protection fault at rip: the site whose comparison is meant.
const struct site *site_of_compare(uint64_t rip)
{
	const struct site *s = find(rip - 2) ?: find_being_written(rip - 2);

	return s && s->kind >= SITE_CMPQ ? s : 0;
}

// True if what is at rip now can't have trapped: it was given back meanwhile.
bool site_is_back(uint64_t rip)
{
	uint8_t c[2];

	if (stub_copy(c, (const void *)rip, 2) < 0)
		return false;
	return (c[0] == 0x0f && c[1] == 0x05) || c[0] == 0x3d || (c[0] == 0x48 && c[1] == 0x3d);
}

// Does what the instruction behind s's call did.
void site_compare(const struct site *s, struct stub_regs *r)
{
	uint64_t flags;

	if (s->kind == SITE_CMPQ)
		asm("cmp %2, %1; pushfq; pop %0" : "=&r"(flags) : "r"(r->rax), "r"((int64_t)(int32_t)s->imm) : "cc");
	else
		asm("cmp %2, %1; pushfq; pop %0" : "=&r"(flags) : "r"((uint32_t)r->rax), "r"(s->imm) : "cc");
	r->eflags = (r->eflags & ~(uint64_t)FLAGS_RESULT) | (flags & FLAGS_RESULT);
	r->rip = s->ret;
}

// Does what the instruction before s's call did.
void site_lea(const struct site *s, struct stub_regs *r)
{
#define REG(name) offsetof(struct stub_regs, name) / 8
	static const uint8_t at[16] = {REG(rax), REG(rcx), REG(rdx), REG(rbx), REG(rsp), REG(rbp), REG(rsi), REG(rdi),
				       REG(r8), REG(r9), REG(r10), REG(r11), REG(r12), REG(r13), REG(r14), REG(r15)};
	uint64_t *regs = (uint64_t *)r;
	uint64_t from = s->from == SITE_RIP ? s->addr + JUMP_BYTES : regs[at[s->from % 16]];

	regs[at[s->to % 16]] = from + (uint64_t)(int64_t)(int32_t)s->imm;
}
