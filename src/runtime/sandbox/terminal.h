// Terminals between the operator and the container: the sandbox has the line discipline, so the host's terminal is only a raw line.
//
// This command passes on what is typed while it is in the foreground, as any program that reads from its terminal: so that the
// shell can stop it and take the terminal back. The screen is written to by the sandbox.
#pragma once

#include <stdbool.h>

struct err;

// Lends the terminal fd to the sandbox: descriptors for its screen and its keyboard, which the caller closes when it has sent them.
// shared: others write to it, too. So its output's modes are left alone, and its input's until a program in the sandbox wants input.
// 0 or -1.
int terminal_lend(int fd, bool shared, int *out_screen, int *out_keyboard, struct err **err);
void terminal_restore(void); // its modes, unless another job is in the foreground
void terminal_resume(void); // this command was stopped, and somebody else has set the modes meanwhile

// One round of waiting: the descriptor and events to wait for (-1: none), and how long at most.
struct pollfd;
void terminal_wait(struct pollfd *in, struct pollfd *out, int *out_timeout_ms);
void terminal_pump(const struct pollfd *in, const struct pollfd *out);

// A new terminal: its master goes to the console socket at path with its size set (0: as it is), its raw slave is the answer.
int terminal_send_console(const char *path, int rows, int columns, int *out_slave, struct err **err);
