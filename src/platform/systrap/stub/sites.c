// Call sites, and how one is patched: a system call that came by SIGSYS often enough becomes a jump to a trampoline.
//
// Seven bytes are replaced by `jmp *ENTRY`. Of the shapes that libcs compile to, `mov $nr,%eax; syscall`, `syscall; cmp $imm,%rax` and
// `lea disp(%reg),%reg; syscall`, ENTRY is in SITE_TABLE: byte 2 is an e5, byte 5 an 06. So whoever jumps into the middle, to the old syscall or
// the old cmp, finds an instruction that traps (06 is none, e5 is an IN), and the signal handler does what was there. Of the third it is the
// lea alone: its syscall stays. Any other `syscall` goes along with the instructions behind it, if they are ones that we can run
// (insn.c): ENTRY is in the far table then, whose addresses are of such bytes that each of 2 to 6 traps. The sentry says which pages may be patched:
// private, executable, not writable. If the application changes that later, it gets its own bytes back first.
//
// The page gets its private copy from the host, as for any write to a private mapping, so that a later MADV_DONTNEED or exec of the file
// finds the file's own bytes. A site in two pages gets its bytes back before one of them goes alone. While other threads may run there, byte 0
// is first an 06 too (the handler makes the call), and each step waits until every processor has seen the one before: the host's mprotect
// interrupts them. Where an instruction began, the byte that traps comes before all others, and goes after them.
#include "platform/systrap/stub/sites.h"

#include <sys/mman.h>
#include <sys/syscall.h>

enum { PATCH_AFTER = 4, /* calls by signal */ BLOCK_BYTES = 8 * PAGE_BYTES };

static const struct {
	uint16_t first, len;
} parts[SITE_PARTS] = {{0, SITES_KEEP},
		       {SITES_KEEP, SITES_CMP},
		       {SITES_KEEP + SITES_CMP, SITES_BOTH},
		       {SITE_FIRST_FAR, SITES_FAR - SITES_CPUID},
		       {SITES_MAX - SITES_CPUID, SITES_CPUID}};

static uint32_t entry_of(unsigned number)
{
	return number < SITE_FIRST_FAR ? SITE_TABLE + 8 * number : site_far_entry(number - SITE_FIRST_FAR);
}

static unsigned part_of(const struct site *s)
{
	return s->kind == SITE_CPUID ? 4 : s->kind == SITE_BEHIND ? 3 : s->kind >= SITE_CMPQ ? 1 : s->kind == SITE_LEA ? 2 : 0;
}

static bool same(const struct site *a, const struct site *b)
{
	if (a->addr != b->addr || a->after != b->after || a->kind != b->kind || a->len != b->len)
		return false;
	for (unsigned i = 0; i < a->len && i < SITE_CODE; i++)
		if (a->code[i] != b->code[i])
			return false;
	return true;
}

static struct site *known(const struct site *like)
{
	const unsigned part = part_of(like);
	struct site *first = SITES->site + parts[part].first;

	for (uint32_t i = 0, n = SITES->used[part]; i < n && i < parts[part].len; i++)
		if (same(&first[i], like))
			return &first[i];
	return 0;
}

// True if the call that came by signal from here should be patched now; the sentry has the last word.
bool site_wanted(uint64_t after)
{
	struct sites *t = SITES;
	uint8_t *count = &t->counts[(after ^ after >> 12) % SITE_COUNTS];
	const struct site *old;
	struct site s;

	if (!PARAM->patching || ++*count < PATCH_AFTER)
		return false;
	*count = 0;
	if (!site_classify(after, &s))
		return false;
	old = known(&s);
	return !old || old->arrivals < SITE_ARRIVALS_MAX;
}

// A record for a site like this: never one that may be in use for something else.
static struct site *record(const struct site *like)
{
	const unsigned n = part_of(like), in_page = site_in_page(like->addr, like->len);
	struct sites *t = SITES;
	struct site *s = known(like);
	uint32_t *used = &t->used[n], number;

	if (s)
		return s->arrivals < SITE_ARRIVALS_MAX ? s : 0;
	if (*used >= parts[n].len || (!in_page && t->nstraddling == SITES_STRADDLING))
		return 0;
	number = parts[n].first + *used;
	s = &t->site[number];
	*s = *like;
	if (!in_page)
		t->straddling[t->nstraddling++] = number;
	__atomic_store_n(used, *used + 1, __ATOMIC_RELEASE);
	return s;
}

static void make_jump(const struct site *s, uint8_t jump[SITE_JUMP_BYTES])
{
	uint32_t entry = entry_of(s - SITES->site);

	jump[0] = 0xff;
	jump[1] = 0x24;
	jump[2] = 0xe5; // no base, no index
	for (unsigned i = 0; i < 4; i++)
		jump[3 + i] = entry >> 8 * i;
}

bool site_live(const struct site *s)
{
	uint8_t jump[SITE_JUMP_BYTES], there[SITE_JUMP_BYTES];

	make_jump(s, jump);
	if (stub_copy(there, (const void *)s->addr, SITE_JUMP_BYTES) < 0)
		return false;
	for (unsigned i = 0; i < SITE_JUMP_BYTES; i++)
		if (there[i] != jump[i])
			return false;
	return true;
}

// True if s's jump is in the code at its place, or was left there half written by a thread that a fork left behind.
static bool touched(const struct site *s)
{
	uint8_t jump[SITE_JUMP_BYTES], there[SITE_JUMP_BYTES];

	if (!s->changing)
		return site_live(s);
	make_jump(s, jump);
	if (stub_copy(there, (const void *)s->addr, SITE_JUMP_BYTES) < 0)
		return false;
	for (unsigned i = 0; i < SITE_JUMP_BYTES; i++)
		if (there[i] != jump[i] && there[i] != s->code[i] && (i || there[i] != SITE_NO_OPCODE))
			return false;
	return true;
}

// Writes those of the bytes that `which` has a bit for, the first of all last.
static void put(uint64_t addr, const uint8_t bytes[SITE_JUMP_BYTES], unsigned which)
{
	for (unsigned i = 1; i <= SITE_JUMP_BYTES; i++)
		if (which >> i % SITE_JUMP_BYTES & 1)
			stub_copy((void *)(addr + i % SITE_JUMP_BYTES), bytes + i % SITE_JUMP_BYTES, 1);
}

// Replaces the code at s by the jump, or the other way round. If alone, no other thread is about.
static void poke(struct site *s, bool to_jump, bool alone)
{
	static const uint8_t trap = SITE_NO_OPCODE;
	const uint64_t page = s->addr & -PAGE_BYTES, len = site_in_page(s->addr, SITE_JUMP_BYTES) ? PAGE_BYTES : 2 * PAGE_BYTES;
	const unsigned starts = site_starts(s), all = (1 << SITE_JUMP_BYTES) - 1;
	const int prot = s->prot;
	uint8_t jump[SITE_JUMP_BYTES];
	const uint8_t *bytes = to_jump ? jump : s->code;

	make_jump(s, jump);
	if (stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE) < 0)
		return;
	if (alone) {
		put(s->addr, bytes, all);
	} else {
		s->changing = 1;
		stub_copy((void *)s->addr, &trap, 1);
		if (to_jump)
			put(s->addr, jump, starts);
		stub_call3(SYS_mprotect, page, len, prot);
		stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE);
		put(s->addr, bytes, all & ~starts & ~1);
		stub_call3(SYS_mprotect, page, len, prot);
		stub_call3(SYS_mprotect, page, len, prot | PROT_READ | PROT_WRITE);
		put(s->addr, bytes, starts | 1);
	}
	stub_call3(SYS_mprotect, page, len, prot);
	s->changing = 0;
}

static void end(void)
{
	__atomic_store_n(&SITES->busy, 0, __ATOMIC_RELEASE);
}

static bool try_begin(void)
{
	if (__atomic_exchange_n(&SITES->busy, 1, __ATOMIC_SEQ_CST))
		return false;
	if (!__atomic_load_n(&SITES->held, __ATOMIC_SEQ_CST))
		return true;
	end();
	return false;
}

static void begin(void)
{
	while (__atomic_exchange_n(&SITES->busy, 1, __ATOMIC_SEQ_CST))
		stub_call1(SYS_sched_yield, 0);
	sites_await_held();
}

// A fork copies page by page what lies in a mapping of the host's of which a page was written to, and an exit undoes each: so code that is written to
// is made a mapping of its own, which the host keeps apart since it isn't for core dumps; so large that those of neighbouring sites are one.
// True if nobody else is about, and the jump is written at once.
static bool open_apart(uint64_t start, uint64_t len, const struct site *s, bool alone)
{
	const uint64_t block = s->addr & -BLOCK_BYTES, from = block > start ? block : start;
	const uint64_t to = block + BLOCK_BYTES < start + len ? block + BLOCK_BYTES : start + len;
	uint8_t jump[SITE_JUMP_BYTES];

	alone = alone && to - s->addr >= SITE_JUMP_BYTES;
	stub_call3(SYS_madvise, from, to - from, MADV_DONTDUMP);
	if (stub_call3(SYS_mprotect, from, to - from, s->prot | PROT_WRITE) < 0)
		return false;
	make_jump(s, jump);
	if (alone)
		stub_copy((void *)s->addr, jump, sizeof(jump));
	else
		stub_copy((void *)s->addr, s->code, 1);
	stub_call3(SYS_mprotect, from, to - from, s->prot);
	return alone;
}

void site_patch(uint64_t after, int prot, bool alone, uint64_t start, uint64_t len)
{
	struct site like, *s;

	if (!try_begin())
		return; // the next calls ask again
	s = site_classify(after, &like) ? record(&like) : 0;
	if (s) {
		s->prot = prot;
		if (!open_apart(start, len, s, alone))
			poke(s, true, alone);
	}
	end();
}

void sites_patch(uint64_t start, uint64_t len, int prot, const uint32_t *offsets, uint64_t n)
{
	if (!PARAM->patching || !try_begin())
		return;
	if (stub_call3(SYS_mprotect, start, len, prot | PROT_WRITE) == 0) {
		for (uint64_t i = 0; i < n; i++) {
			uint8_t jump[SITE_JUMP_BYTES];
			struct site like, *s;

			if (offsets[i] > len || !site_classify(start + offsets[i], &like) || !site_in_page(like.addr, like.len))
				continue;
			s = record(&like);
			if (!s)
				continue;
			s->prot = prot;
			make_jump(s, jump);
			stub_copy((void *)s->addr, jump, SITE_JUMP_BYTES);
		}
		stub_call3(SYS_mprotect, start, len, prot);
	}
	end();
}

bool site_give_back(struct site *s)
{
	if (!try_begin())
		return false;
	if (touched(s))
		poke(s, false, false);
	end();
	return true;
}

static bool overlaps(const struct site *s, uint64_t start, uint64_t end)
{
	return s->addr < end && s->addr + s->len > start;
}

// Gives the application's own bytes in [start, end) back, because it is going to move them (prot: -1), or to change what may be done there.
void sites_restore(uint64_t start, uint64_t end_, int prot)
{
	begin();
	for (unsigned part = 0; part < SITE_PARTS; part++) {
		struct site *first = SITES->site + parts[part].first;

		for (uint32_t i = 0, n = SITES->used[part]; i < n && i < parts[part].len; i++)
			if (overlaps(&first[i], start, end_) && first[i].prot != prot && touched(&first[i]))
				poke(&first[i], false, false);
	}
	end();
}

static void part(uint64_t start, uint64_t end_)
{
	const struct sites *t = SITES;

	for (uint32_t i = 0; i < t->nstraddling && i < SITES_STRADDLING; i++) {
		struct site *s = &SITES->site[t->straddling[i] % SITES_MAX];

		if (overlaps(s, start, end_) && touched(s))
			poke(s, false, false);
	}
}

// Likewise for those that lie in two pages, of which one is going to have other contents.
void sites_part(uint64_t start, uint64_t end_)
{
	if (!SITES->nstraddling)
		return;
	begin();
	part(start, end_);
	end();
}

long sites_advise(uint64_t start, uint64_t len, int advice)
{
	long ret;

	begin();
	part(start, start + len);
	ret = stub_call3(SYS_madvise, start, len, advice);
	end();
	return ret;
}

bool sites_straddle(uint64_t start, uint64_t end_)
{
	const struct sites *t = SITES;

	for (uint32_t i = 0; i < t->nstraddling && i < SITES_STRADDLING; i++)
		if (overlaps(&t->site[t->straddling[i] % SITES_MAX], start, end_))
			return true;
	return false;
}

bool sites_hold(void)
{
	__atomic_fetch_add(&SITES->held, 1, __ATOMIC_SEQ_CST);
	return !__atomic_load_n(&SITES->busy, __ATOMIC_SEQ_CST);
}

void sites_let_go(void)
{
	__atomic_fetch_sub(&SITES->held, 1, __ATOMIC_RELEASE);
}

void sites_await_held(void)
{
	while (__atomic_load_n(&SITES->held, __ATOMIC_SEQ_CST))
		stub_call1(SYS_sched_yield, 0);
}

struct site *site_of_entry(uint32_t entry)
{
	if (entry - SITE_TABLE < SITE_FIRST_FAR * 8)
		return entry % 8 ? 0 : &SITES->site[(entry - SITE_TABLE) / 8];
	for (unsigned n = SITE_FIRST_FAR; n < SITES_MAX; n++)
		if (entry_of(n) == entry)
			return &SITES->site[n];
	return 0;
}

struct site *sites_first(unsigned part, uint32_t *out_n)
{
	const uint32_t n = __atomic_load_n(&SITES->used[part], __ATOMIC_ACQUIRE);

	*out_n = n < parts[part].len ? n : parts[part].len;
	return SITES->site + parts[part].first;
}
