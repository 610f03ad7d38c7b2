// Terminals between the operator and the container: the sandbox has the line discipline, so the host's terminal is only a raw line.
#pragma once

#include <stdbool.h>

struct err;

// Puts the terminal fd into raw mode until terminal_restore() or exit. 0 or -1.
int terminal_make_raw(int fd, struct err **err);
void terminal_restore(void);
// A new terminal: its master goes to the console socket at path with its size set (0: as it is), its raw slave is the answer.
int terminal_send_console(const char *path, int rows, int columns, int *out_slave, struct err **err);
