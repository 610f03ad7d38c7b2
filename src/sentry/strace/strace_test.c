// Unit tests of strace's printers: names, flags, structs, hostile lengths.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/futex.h>

#include "sentry/kernel/signal.h"
#include "sentry/strace/print.h"
#include "sentry/syscalls/syscalls.h"

static char buf[256];

static struct text fresh(void)
{
	buf[0] = 0;
	return (struct text){buf, sizeof(buf), 0};
}

static const char *flags_of(uint32_t set, uint64_t v)
{
	struct text x = fresh();

	print_flags(&x, set, v);
	return buf;
}

static const char *name_of(uint32_t set, int64_t v)
{
	struct text x = fresh();

	print_named(&x, set, (uint64_t)v);
	return buf;
}

static const char *object(const char *name, const void *p, size_t len)
{
	struct text x = fresh();

	return print_object(&x, name, p, len) ? buf : "(unknown)";
}

static void test_flags(void **state)
{
	(void)state;
	assert_string_equal(flags_of(FLAGSET_OPEN, O_RDONLY), "O_RDONLY");
	assert_string_equal(flags_of(FLAGSET_OPEN, O_WRONLY | O_CREAT | O_CLOEXEC), "O_WRONLY|O_CREAT|O_CLOEXEC");
	assert_string_equal(flags_of(FLAGSET_SOCK, SOCK_STREAM | SOCK_CLOEXEC), "SOCK_STREAM|SOCK_CLOEXEC");
	assert_string_equal(flags_of(FLAGSET_ACCESS, 0), "F_OK");
	assert_string_equal(flags_of(FLAGSET_ACCESS, 6), "R_OK|W_OK");
	assert_string_equal(flags_of(FLAGSET_WAIT, 0), "0");
	assert_string_equal(flags_of(FLAGSET_WAIT, 1 | 0x100), "WNOHANG|0x100");
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(name_of(FLAGSET_SEEK, SEEK_END), "SEEK_END");
	assert_string_equal(name_of(FLAGSET_SEEK, -7), "-7");
	assert_string_equal(name_of(FLAGSET_IOCTL, TIOCGWINSZ), "TIOCGWINSZ");
	assert_string_equal(name_of(FLAGSET_IOCTL, 0x40049409), "FICLONE");
	assert_string_equal(name_of(FLAGSET_IOCTL, 0xdeadbeef), "0xdeadbeef");
	assert_string_equal(name_of(FLAGSET_FCNTL, F_DUPFD_CLOEXEC), "F_DUPFD_CLOEXEC");
}

static void test_decided(void **state)
{
	(void)state;
	assert_int_equal(arg_decided(FLAGSET_FCNTL, F_SETFL, 0)->kind, ARG_FLAGS);
	assert_int_equal(arg_decided(FLAGSET_FCNTL, F_GETFL, 0)->kind, ARG_NONE);
	assert_int_equal(arg_decided(FLAGSET_FUTEX, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1)->kind, ARG_INOBJ);
	assert_null(arg_decided(FLAGSET_IOCTL, 12345, 0));
	assert_null(arg_decided(FLAGSET_FCNTL, F_SETFL, 4));
}

static void test_objects(void **state)
{
	const struct pollfd fds[2] = {{3, POLLIN, 0}, {4, POLLOUT | POLLPRI, POLLHUP}};
	const struct ksigaction act = {.handler = 1, .flags = SA_RESTART, .mask = SIGBIT(SIGINT) | SIGBIT(SIGCHLD)};
	struct sockaddr_un un = {AF_UNIX, "/run/x"}, abstract = {AF_UNIX, "\0name"};
	const uint64_t all = ~SIGBIT(SIGKILL), none = 0;
	const int exited = 3 << 8, killed = SIGTERM;

	(void)state;
	assert_string_equal(object("fds", fds, sizeof(fds)), "[{fd=3, events=POLLIN}, {fd=4, events=POLLPRI|POLLOUT, revents=POLLHUP}]");
	assert_string_equal(object("act", &act, sizeof(act)), "{sa_handler=SIG_IGN, sa_mask=[SIGINT SIGCHLD], sa_flags=SA_RESTART}");
	assert_string_equal(object("addr", &un, sizeof(un)), "{sa_family=AF_UNIX, sun_path=\"/run/x\"}");
	assert_string_equal(object("addr", &abstract, 2 + 5), "{sa_family=AF_UNIX, sun_path=@\"name\"}");
	assert_string_equal(object("set", &all, 8), "~[SIGKILL]");
	assert_string_equal(object("set", &none, 8), "[]");
	assert_string_equal(object("wstatus", &exited, 4), "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]");
	assert_string_equal(object("wstatus", &killed, 4), "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}]");
	assert_string_equal(object("statbuf", &un, 8), "(unknown)"); // too short
	assert_string_equal(object("nothing", &un, 8), "(unknown)");
}

static void test_hostile(void **state)
{
	uint8_t junk[1024];
	char tiny[4] = "";
	struct text x = {tiny, sizeof(tiny), 0};

	(void)state;
	memset(junk, 0xff, sizeof(junk));
	assert_string_equal(object("dirp", junk, 17), "/* 0 entries */");
	assert_string_equal(object("dirp", (uint8_t[24]){0}, 24), "/* 0 entries */"); // an entry of length 0
	for (size_t len = 0; len < sizeof(junk); len += 7) {
		object("fds", junk, len);
		object("addr", junk, len);
		object("events", junk, len);
		object("how", junk, len);
		object("utsname", junk, len);
		object("info", junk, len);
	}
	print_object(&x, "fds", junk, sizeof(junk));
	assert_int_equal(strlen(tiny), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_flags), cmocka_unit_test(test_names), cmocka_unit_test(test_decided),
					   cmocka_unit_test(test_objects), cmocka_unit_test(test_hostile)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
