// Calls that do next to nothing, so that the way into the kernel and back is what is measured.
#include "micro.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int zero = -1;
static volatile sig_atomic_t caught;

static void loop_getpid(long count)
{
	while (count-- > 0)
		getpid();
}

static void loop_getppid(long count)
{
	while (count-- > 0)
		getppid();
}

static void loop_sigprocmask(long count)
{
	sigset_t none;

	sigemptyset(&none);
	while (count-- > 0)
		sigprocmask(SIG_BLOCK, &none, NULL);
}

static void setup_zero(void)
{
	zero = MUST(open("/dev/zero", O_RDONLY));
}

static void loop_zero(long count)
{
	char c;

	while (count-- > 0)
		MUST(read(zero, &c, 1));
}

static void teardown_zero(void)
{
	close(zero);
}

static void loop_clock(long count)
{
	struct timespec t;

	while (count-- > 0)
		clock_gettime(CLOCK_MONOTONIC, &t);
}

static void handler(int signo)
{
	caught++;
}

static void setup_signal(void)
{
	MUST(sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler}, NULL));
	caught = 0;
}

static void loop_signal(long count)
{
	pid_t pid = getpid();
	sig_atomic_t before = caught;

	for (long i = 0; i < count; i++)
		MUST(kill(pid, SIGUSR1));
	if (caught - before != (sig_atomic_t)count)
		fail("not every signal came");
}

const struct row call_rows[] = {
	{"getpid", "getpid()", NULL, loop_getpid},
	{"getppid", "getppid()", NULL, loop_getppid},
	{"sigprocmask", "sigprocmask()", NULL, loop_sigprocmask},
	{"read-zero", "read 1 byte of /dev/zero", setup_zero, loop_zero, teardown_zero},
	{"clock", "clock_gettime(CLOCK_MONOTONIC)", NULL, loop_clock},
	{"signal", "kill() to self, with a handler", setup_signal, loop_signal},
	{},
};
