// The control protocol's messages over a socket pair: those that don't fit into its buffer at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/protocol.h"

enum { TEXT_BYTES = 2 << 20 };

static void make_pair(int *writer, int *reader)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK), 0);
	*writer = pair[0];
	*reader = pair[1];
}

static json_t *long_message(void)
{
	char *text = malloc(TEXT_BYTES);
	json_t *json;

	memset(text, 'x', TEXT_BYTES);
	json = json_pack("{ss%}", "text", text, (size_t)TEXT_BYTES);
	free(text);
	return json;
}

static void *read_one(void *arg)
{
	struct control_reader r = {.fd = *(int *)arg};
	struct control_message m;
	size_t len = 0;

	if (control_read(&r, &m) == 1)
		len = json_string_length(json_object_get(m.json, "text"));
	control_message_fini(&m);
	control_reader_fini(&r);
	return (void *)len;
}

// The writer's side doesn't block, and goes on as its reader does.
static void test_long_message(void **state)
{
	json_t *json = long_message();
	int writer, reader;
	pthread_t thread;
	void *len;

	(void)state;
	make_pair(&writer, &reader);
	assert_int_equal(pthread_create(&thread, NULL, read_one, &reader), 0);
	assert_int_equal(control_write(writer, json, NULL, 0), 0);
	pthread_join(thread, &len);
	assert_int_equal((size_t)len, TEXT_BYTES);
	json_decref(json);
	close(writer);
	close(reader);
}

static void test_nobody_reads(void **state)
{
	json_t *json = long_message();
	char bytes[4096] = {0};
	int writer, reader;

	(void)state;
	make_pair(&writer, &reader);
	assert_int_equal(control_write(writer, json, NULL, 0), -ETIMEDOUT); // a part is on its way
	while (send(writer, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
		;
	while (send(writer, bytes, 1, MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(control_write(writer, json, NULL, 0), -EAGAIN); // nothing is
	json_decref(json);
	close(writer);
	close(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_nobody_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
