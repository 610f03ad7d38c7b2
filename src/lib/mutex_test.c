// Threads that keep each other out, and wait for each other.
#include "lib/mutex.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { THREADS = 4, ROUNDS = 200000, TURNS = 5000 };

static struct {
	struct mutex mu;
	struct mutex_cond turn;
	// Guarded by mu.
	long count, whose;
	bool inside;
} s;

static void *count(void *arg)
{
	for (long i = 0; i < ROUNDS; i++) {
		if (i % 2 == (long)arg % 2)
			while (!mutex_trylock(&s.mu))
				sched_yield();
		else
			mutex_lock(&s.mu);
		assert(!s.inside);
		s.inside = true;
		s.count++;
		if (i % 1024 == 0)
			sched_yield(); // the others come, and sleep
		s.inside = false;
		mutex_unlock(&s.mu);
	}
	return NULL;
}

static void *take_turns(void *me)
{
	for (int i = 0; i < TURNS; i++) {
		mutex_lock(&s.mu);
		while (s.whose != (long)me)
			mutex_cond_wait(&s.mu, &s.turn);
		s.whose = (s.whose + 1) % THREADS;
		mutex_cond_broadcast(&s.turn);
		mutex_unlock(&s.mu);
	}
	return NULL;
}

static void run(void *(*main)(void *))
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, main, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void one_at_a_time(void **state)
{
	mutex_init(&s.mu);
	run(count);
	assert_int_equal(s.count, THREADS * ROUNDS);
	assert_true(mutex_trylock(&s.mu));
	assert_false(mutex_trylock(&s.mu));
	mutex_unlock(&s.mu);
}

static void in_turns(void **state)
{
	mutex_init(&s.mu);
	mutex_cond_init(&s.turn);
	s.whose = 0;
	run(take_turns);
	assert_int_equal(s.whose, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(one_at_a_time), cmocka_unit_test(in_turns)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
