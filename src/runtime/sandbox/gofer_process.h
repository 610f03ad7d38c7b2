// The gofer's process, which launch.c forks to hold a container's host files.
#pragma once

#include <stdbool.h>

#include "gofer/gofer.h"

enum { // its descriptors; 0 to 2 are /dev/null or the log
	GOFER_FD_CONN = 3,
	GOFER_FD_LOG = 4,
	GOFER_FD_READY = 5, // tells that the sentry's namespaces are there (host/confine.h)
	GOFER_FD_SENTRY = 6, // its pidfd,
	GOFER_FD_SENTRY_PROC = 7, // and its folder in the host's /proc
	GOFER_FD_TREES = 8, // and on
};

struct gofer_start {
	int ntrees;
	bool readonly[GOFER_TREES_MAX];
};

int gofer_process_main(const void *gofer_start); // answers the exit status
