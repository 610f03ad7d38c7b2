// Going to another processor and back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "host/processors.h"

// One of the allowed processors that the caller isn't on; -1: there is none.
static int another(const cpu_set_t *allowed)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, allowed) && cpu != sched_getcpu())
			return cpu;
	return -1;
}

static void stays(int cpu)
{
	cpu_set_t before, after;
	struct host_visit v;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	host_visit_begin(&v, cpu);
	assert_int_equal(v.from, -1);
	host_visit_end(&v);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void goes_and_comes_back(void **state)
{
	cpu_set_t before, during, after;
	struct host_visit v;
	int cpu;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	cpu = another(&before);
	if (cpu < 0)
		skip();
	host_visit_begin(&v, cpu);
	if (v.from < 0) // the host had moved us there in between
		skip();
	assert_int_equal(sched_getcpu(), cpu);
	assert_int_equal(sched_getaffinity(0, sizeof(during), &during), 0);
	assert_int_equal(CPU_COUNT(&during), 1);
	host_visit_end(&v);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void stays_where_it_is(void **state)
{
	cpu_set_t before, one;
	int cpu;

	(void)state;
	stays(-1);
	stays(CPU_SETSIZE);
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	cpu = another(&before);
	if (cpu < 0)
		skip();
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0); // so we are there
	stays(cpu);
	stays(another(&before)); // not allowed any more
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(goes_and_comes_back), cmocka_unit_test(stays_where_it_is)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
