// libFuzzer target: the control protocol's messages, from a socket's bytes to the kernel's structs.
//
// The first byte chooses: the rest is raw bytes of a connection, or the JSON of one message that comes with some descriptors.
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The struct is as whoever acts on it needs it.
static void check(const struct control_request *r)
{
	if (r->method == CONTROL_CREATE) {
		for (int i = 0; i < r->create.nmounts; i++)
			if (r->create.mounts[i].destination[0] != '/')
				abort();
	} else if (r->method == CONTROL_START || r->method == CONTROL_PREPARE) {
		if (!r->start.argv[0] || r->start.cwd[0] != '/' || r->start.nstdio > (int)(sizeof(r->start.stdio) / sizeof(int)))
			abort();
	}
}

static void parse(struct control_message *m)
{
	struct control_request r;
	const char *error;

	if (control_request_parse(m, &r, &error) == 0)
		check(&r);
	else if (!error)
		abort();
	control_request_fini(&r);
	control_message_fini(m);
}

static void read_stream(const uint8_t *data, size_t size)
{
	struct control_message m;
	struct control_reader reader = {0};
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) < 0)
		abort();
	reader.fd = s[0];
	if (send(s[1], data, size, MSG_NOSIGNAL) >= 0) {
		shutdown(s[1], SHUT_WR);
		while (control_read(&reader, &m) == 1)
			parse(&m);
	}
	control_reader_fini(&reader);
	close(s[0]);
	close(s[1]);
}

static void read_message(const uint8_t *data, size_t size, int nfds)
{
	struct control_message m = {.json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL)};

	if (!json_is_object(m.json)) {
		json_decref(m.json);
		return;
	}
	// Without the right version nothing else would be looked at.
	json_object_set_new(m.json, "version", json_string(control_version()));
	while (m.nfds < nfds)
		m.fds[m.nfds++] = dup(0);
	parse(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		read_stream(data + 1, size - 1);
	else
		read_message(data + 1, size - 1, (data[0] >> 1) % (CONTROL_FDS_MAX + 1));
	return 0;
}
