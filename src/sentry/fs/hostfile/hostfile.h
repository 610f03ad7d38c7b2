// Host descriptors as files: what the CLI passes through as standard input, output and error.
#pragma once

struct file;

// A file for the host descriptor fd, which is taken over in any case: a regular file, pipe, FIFO, socket, character device or terminal (one that
// is only passed through: a container's own terminal is a tty's business). Access mode, O_APPEND and O_NONBLOCK are as on the host; the
// host's flags are never changed. 0 or -errno.
int hostfile_create(int fd, struct file **out_file);
