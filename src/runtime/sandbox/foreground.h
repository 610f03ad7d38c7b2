// A command that stays until its process in the sandbox ends: passes signals and window sizes on, and ends with its status.
#pragma once

#include <stdint.h>

struct control_client;
struct err;

// Call before anything is started: from now on signals wait for foreground_wait().
void foreground_hold_signals(void);
// Waits for process pid of the container. tty_fd: the terminal whose size changes are passed on; -1: none. terminal: whether the
// process has a terminal. The exit status for the caller's own exit in *out_status: the program's, or 128 + signal. -1 with err when
// the sandbox broke.
int foreground_wait(struct control_client *c, const char *container, int pid, int tty_fd, int *out_status, struct err **err);
