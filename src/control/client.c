// The CLI's side of the control protocol.
#include "control/client.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void control_client_init(struct control_client *c, int fd)
{
	*c = (struct control_client){.reader.fd = fd};
}

void control_client_fini(struct control_client *c)
{
	control_reader_fini(&c->reader);
	if (c->reader.fd >= 0)
		close(c->reader.fd);
	c->reader.fd = -1;
}

static void say_gone(struct control_client *c, int err)
{
	if (err == 0 || err == -ECONNRESET || err == -EPIPE)
		snprintf(c->error, sizeof(c->error), "the sandbox ended unexpectedly");
	else
		snprintf(c->error, sizeof(c->error), "the connection to the sandbox failed: %s", strerror(-err));
}

int64_t control_send(struct control_client *c, const char *method, json_t *args, const int *fds, int nfds)
{
	int err;

	if (!args || json_object_set_new(args, "method", json_string(method)) < 0 ||
	    json_object_set_new(args, "version", json_string(control_version())) < 0 ||
	    json_object_set_new(args, "seq", json_integer(++c->seq)) < 0) {
		json_decref(args);
		snprintf(c->error, sizeof(c->error), "out of memory");
		return -1;
	}
	err = control_write(c->reader.fd, args, fds, nfds);
	json_decref(args);
	if (err) {
		say_gone(c, err);
		return -1;
	}
	return c->seq;
}

json_t *control_reply(struct control_client *c, int64_t seq)
{
	for (;;) {
		struct control_message m;
		const char *error;
		json_t *reply;
		int ret = control_read(&c->reader, &m);

		if (ret <= 0) {
			say_gone(c, ret);
			return NULL;
		}
		reply = json_incref(m.json);
		control_message_fini(&m);
		if (json_integer_value(json_object_get(reply, "seq")) != seq) {
			json_decref(reply);
			continue;
		}
		error = json_string_value(json_object_get(reply, "error"));
		if (!error)
			return reply;
		snprintf(c->error, sizeof(c->error), "%s", error);
		json_decref(reply);
		return NULL;
	}
}

int control_call(struct control_client *c, const char *method, json_t *args, const int *fds, int nfds, json_t **out)
{
	int64_t seq = control_send(c, method, args, fds, nfds);
	json_t *reply = seq < 0 ? NULL : control_reply(c, seq);

	if (out)
		*out = reply;
	else
		json_decref(reply);
	return reply ? 0 : -1;
}
