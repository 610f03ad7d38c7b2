// Threads and what they wait for each other with.
#include "micro.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t turn; // 0: the main thread's, 1: the partner's, 2: the end
static pthread_t partner;

static void futex(int op, uint32_t value)
{
	syscall(SYS_futex, &turn, op, value, NULL, NULL, 0);
}

static void set_turn(uint32_t value)
{
	__atomic_store_n(&turn, value, __ATOMIC_SEQ_CST);
	futex(FUTEX_WAKE_PRIVATE, 1);
}

// Waits until turn isn't other_turn any more; what it is then.
static uint32_t wait_turn(uint32_t other_turn)
{
	uint32_t now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) == other_turn)
		futex(FUTEX_WAIT_PRIVATE, other_turn);
	return now;
}

static void *partner_main(void *arg)
{
	while (wait_turn(0) == 1)
		set_turn(0);
	return NULL;
}

static void setup_partner(void)
{
	turn = 0;
	if (pthread_create(&partner, NULL, partner_main, NULL) != 0)
		fail("pthread_create");
}

static void loop_turns(long count)
{
	while (count-- > 0) {
		set_turn(1);
		wait_turn(1);
	}
}

static void teardown_partner(void)
{
	set_turn(2);
	pthread_join(partner, NULL);
}

static void loop_wake(long count)
{
	while (count-- > 0)
		futex(FUTEX_WAKE_PRIVATE, 1);
}

static void *no_main(void *arg)
{
	return NULL;
}

static void loop_create(long count)
{
	while (count-- > 0) {
		pthread_t t;
		if (pthread_create(&t, NULL, no_main, NULL) != 0)
			fail("pthread_create");
		pthread_join(t, NULL);
	}
}

static void loop_sleep(long count)
{
	while (count-- > 0)
		MUST(nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL));
}

const struct row thread_rows[] = {
	{"futex-wake", "futex wake of nobody", NULL, loop_wake},
	{"futex-threads", "futex there and back, two threads", setup_partner, loop_turns, teardown_partner},
	{"sleep-50us", "nanosleep of 50 us", NULL, loop_sleep},
	{"thread", "thread create + join", NULL, loop_create},
	{},
};
