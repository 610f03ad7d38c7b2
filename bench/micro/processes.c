// Processes: made, run, waited for.
#include "micro.h"

#include <sys/wait.h>
#include <unistd.h>

static void wait_for(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	if (status != 0)
		fail("a child failed");
}

static void loop_fork(long count)
{
	while (count-- > 0) {
		pid_t pid = MUST(fork());
		if (pid == 0)
			_exit(0);
		wait_for(pid);
	}
}

static void loop_exec(long count)
{
	while (count-- > 0) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		wait_for(pid);
	}
}

const struct row process_rows[] = {
	{"fork", "fork + exit + wait", NULL, loop_fork},
	{"fork-exec", "fork + exec of /bin/true + wait", NULL, loop_exec},
	{},
};
