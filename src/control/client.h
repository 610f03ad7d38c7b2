// The CLI's side of the control protocol: each function sends one request and waits for its answer.
#pragma once

#include "control/protocol.h"

struct control_client {
	struct control_reader reader;
	int64_t seq; // of the last request
	char error[512]; // what the last failed function has to say: a sentence's end
};

void control_client_init(struct control_client *c, int fd); // takes fd over
void control_client_fini(struct control_client *c);

// Sends a request (takes args over; "method", "version" and "seq" are added): its seq, or -1 with c->error.
int64_t control_send(struct control_client *c, const char *method, json_t *args, const int *fds, int nfds);
// The reply to that request (the caller frees it), or NULL with c->error. Replies to others that come first are dropped.
json_t *control_reply(struct control_client *c, int64_t seq);
// Both in one: 0 or -1; *out (if not NULL) is the reply.
int control_call(struct control_client *c, const char *method, json_t *args, const int *fds, int nfds, json_t **out);
