// A request as the sentry understands it: the JSON of protocol.h, checked and in the kernel's structs.
#pragma once

#include "control/protocol.h"
#include "sentry/kernel/container.h"

enum control_method {
	CONTROL_CREATE,
	CONTROL_START,
	CONTROL_PREPARE,
	CONTROL_BEGIN,
	CONTROL_WAIT,
	CONTROL_SIGNAL,
	CONTROL_PROCESSES,
	CONTROL_PAUSE,
	CONTROL_RESUME,
	CONTROL_SHUTDOWN,
};

struct control_request {
	enum control_method method;
	int64_t seq;
	const char *container; // NULL for shutdown
	union {
		struct container_spec create;
		struct process_spec start; // prepare's too
		struct {
			int pid;
		} wait;
		struct {
			int pid, signal;
			bool all, foreground;
		} signal;
	};
	void *owned[4]; // arrays
	int nowned;
	struct control_message *message; // strings are its JSON's
};

// Takes descriptors out of message as far as the request hands them over; the rest stays the message's, which must outlive the request.
// 0, or -1 with error text (constant).
int control_request_parse(struct control_message *message, struct control_request *out, const char **out_error);
void control_request_forget_fds(struct control_request *r); // of `start`: somebody has taken them over
void control_request_fini(struct control_request *r); // closes the descriptors that nobody took (-1 marks taken)
