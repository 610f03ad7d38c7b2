// The sentry's side of the control protocol: connections are watched descriptors, requests run on the kernel's workers.
#pragma once

#include <stdbool.h>

struct control_server;

struct control_server_config {
	int listen_fd;	 // taken over; -1: none
	int first_fd;	 // the connection of whoever started the sandbox; taken over
	bool foreground; // the sandbox ends when the first connection does, or else when its last container has ended
};

// After kernel_create(). 0 or -errno.
int control_server_create(const struct control_server_config *config, struct control_server **out);
// The wait status of the container's first process, once it has ended; 0 before.
int control_server_status(struct control_server *s);
