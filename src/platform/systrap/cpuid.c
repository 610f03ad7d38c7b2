// What the processor says of itself, said once for all stubs: in a virtual machine each cpuid instruction is its host's to answer.
//
// Only what is the same on all of the machine's processors, and always: neither their numbers, nor anything where they are of several kinds.
#include "platform/systrap/systrap_int.h"

#include <cpuid.h>

#include "lib/container_of.h"

static struct mutex mu = MUTEX_INIT;

static const struct param_cpuid *add(uint32_t leaf, uint32_t sub, uint32_t *n)
{
	struct param_cpuid *c = &stub_param->cpuids[*n];

	if (*n == PARAM_CPUIDS)
		return c - 1;
	c->leaf = leaf;
	c->sub = sub;
	__cpuid_count(leaf, sub == CPUID_ANY ? 0 : sub, c->eax, c->ebx, c->ecx, c->edx);
	++*n;
	return c;
}

// subs: a bit for each.
static void add_subs(uint32_t leaf, uint32_t subs, uint32_t *n)
{
	for (uint32_t sub = 0; subs >> sub; sub++)
		if (subs >> sub & 1)
			add(leaf, sub, n);
}

static uint32_t ask_all(void)
{
	enum { HYBRID = 1 << 15, TYPE = 0x1f, CACHES_MAX = 8, SUBS_MAX = 2, XSTATES = 0xe00ef /* that ld.so asks about, there or not */ };
	uint32_t n = 0, max = add(0, CPUID_ANY, &n)->eax;

	if (max >= 7) {
		const struct param_cpuid *c = add(7, 0, &n);

		if (c->edx & HYBRID)
			return 0;
		for (uint32_t sub = 1, subs = MIN(c->eax, (uint32_t)SUBS_MAX); sub <= subs; sub++)
			add(7, sub, &n);
	}
	if (max >= 2 && (add(2, CPUID_ANY, &n)->eax & 0xff) != 1)
		n--; // it is to be asked several times
	for (uint32_t sub = 0; max >= 4 && sub < CACHES_MAX; sub++)
		if (!(add(4, sub, &n)->eax & TYPE))
			break;
	if (max >= 0xd)
		add_subs(0xd, XSTATES, &n);
	if (max >= 0x14)
		add_subs(0x14, 3, &n);
	if (max >= 0x19)
		add(0x19, CPUID_ANY, &n);
	max = add(0x80000000, CPUID_ANY, &n)->eax;
	for (uint32_t leaf = 0x80000001; leaf <= MIN(max, 0x80000008u); leaf++)
		add(leaf, CPUID_ANY, &n);
	return n;
}

void cpuid_tell(void)
{
	static bool told;

	mutex_lock(&mu);
	if (!told)
		__atomic_store_n(&stub_param->ncpuids, ask_all(), __ATOMIC_RELEASE);
	told = true;
	mutex_unlock(&mu);
}
