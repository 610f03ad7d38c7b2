// The sentry's filter, call by call: each number of the table, and some beyond, is made under it with arguments that can do nothing. What no
// row names must end the process; what a row names must not; what a row refuses must answer so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/filter.h"

enum { CALL_URETPROBE = 335, CALL_UPROBE = 336, CALLS = 480, NOT_INSTALLED = 99, REFUSED_OTHERWISE = 98 };

static const struct filter_rule *rule_of(int call, const char *platform)
{
	const struct filter_rule *found = NULL;

	for (size_t i = 0; i < filter_rules_count; i++) {
		const struct filter_rule *r = &filter_rules[i];

		if (r->call == call && (!r->platform || strcmp(r->platform, platform) == 0) && (!found || r->action == FILTER_ALLOW))
			found = r;
	}
	return found;
}

// The wait status of a child that makes the call under the filter. Its arguments are bad descriptors, addresses and numbers, but for the one
// that the rule looks at.
static int try_call(int call, const struct filter_rule *r, uint64_t value, const char *platform)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		uint64_t a[6] = {-1, -1, -1, -1, -1, -1};
		long ret;

		alarm(30);
		if (r && r->mask)
			a[r->arg] = value;
		if (filter_install(platform, false) < 0)
			_exit(NOT_INSTALLED);
		ret = syscall(call, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r && r->action == FILTER_REFUSE && (ret != -1 || errno != (int)r->value))
			_exit(REFUSED_OTHERWISE);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && (WEXITSTATUS(status) == NOT_INSTALLED || WEXITSTATUS(status) == REFUSED_OTHERWISE));
	return status;
}

static bool forbidden(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

static void try_all(const char *platform)
{
	for (int call = 0; call < CALLS; call++) {
		const struct filter_rule *r = rule_of(call, platform);
		bool allowed;

		// These end the child in a way of their own, under any filter; the last two are the host's own traps, which no filter sees.
		if (call == SYS_exit || call == SYS_exit_group || call == SYS_rt_sigreturn || call == CALL_URETPROBE || call == CALL_UPROBE)
			continue;
		allowed = !forbidden(try_call(call, r, r && r->mask ? r->value : 0, platform));
		if (allowed != (r != NULL))
			fail_msg("%s: call %d is %s", platform, call, allowed ? "allowed, and no row says so" : "forbidden, and a row allows it");
	}
}

static void calls_on_systrap(void **state)
{
	try_all("systrap");
}

static void calls_on_ptrace(void **state)
{
	try_all("ptrace");
}

// An argument that a row looks at, with what it doesn't allow.
static void arguments(void **state)
{
	static const struct {
		int call;
		unsigned arg;
		uint64_t bad;
	} tries[] = {
		{SYS_mmap, 2, PROT_EXEC | PROT_READ}, {SYS_mprotect, 2, PROT_EXEC}, {SYS_clone, 0, SIGCHLD}, {SYS_clone, 0, 0x10000000 /* CLONE_NEWUSER */},
		{SYS_ioctl, 1, 0x5412 /* TIOCSTI */}, {SYS_ioctl, 1, 0x540e /* TIOCSCTTY */}, {SYS_fcntl, 1, 8 /* F_SETOWN */},
		{SYS_socketpair, 0, 2 /* AF_INET */}, {SYS_newfstatat, 3, 0}, {SYS_setsockopt, 1, 0 /* IPPROTO_IP */},
	};

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		struct filter_rule r = {.call = tries[i].call, .arg = tries[i].arg, .mask = 1};

		if (!forbidden(try_call(tries[i].call, &r, tries[i].bad, "systrap")))
			fail_msg("call %d is allowed with argument %u = %#lx", tries[i].call, tries[i].arg, (unsigned long)tries[i].bad);
	}
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return 77; // skipped: such builds have no filter
#endif
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_on_systrap),
		cmocka_unit_test(calls_on_ptrace),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
