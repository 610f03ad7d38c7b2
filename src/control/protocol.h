// The control protocol between the CLI and a sentry: messages over a Unix stream socket.
//
// A message is a header of two 32-bit words (magic, length in bytes), then that many bytes of JSON; descriptors travel with the
// message's first byte. Each request is an object with "method" and "version" (the build's: another build's CLI is refused), and gets
// one reply: {"error": TEXT} or {…} with the results. Requests on one connection may be sent ahead; `wait` is answered
// when the process ends, so that its reply may come after later ones' ("seq" names the request).
//
//   create     container: ID, hostname, shared: BOOL, mounts: [{type, destination, tree, readonly, nosuid, nodev, noexec, overlay, data}],
//              maskedPaths, readonlyPaths: [PATH]
//              descriptor: the gofer's socket
//   start      container, args, env, cwd, uid, gid, groups, caps: [bounding, effective, inheritable, permitted, ambient], noNewPrivs,
//              umask (-1: default), oomScoreAdj, rlimits: [[resource, soft, hard]] (-1: none), killable, waited, terminal, terminalFds
//              descriptors: standard input, output, error …      → pid
//              waited: `wait` will follow, for which the end of the container waits, too
//              With terminal the first is the host side of one (raw), or its screen; bit n of terminalFds: descriptor n is that
//              terminal, and isn't sent; bits 3 and 4: CONTROL_TERMINAL_*
//   prepare    as start, but the process is only kept for:
//   begin      container      → pid
//   wait       container, pid      → status (as wait4 gives it)
//   signal     container, pid (0: the first), signal, all, foreground
//   processes  container      → processes: [{pid, ppid, uid, start, cpuNs, command}]
//   pause      container
//   resume     container
//   shutdown
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_t json_t;

enum {
	CONTROL_MESSAGE_MAX = 8 << 20, // bytes
	CONTROL_FDS_MAX = 32,
	CONTROL_MAGIC = 0x6c6c7568, // "hull"
	// Of terminalFds. What is typed comes through a socket, the second descriptor. And with that: the host's terminal does the
	// output's processing itself, and nothing is passed on until a byte is sent there.
	CONTROL_TERMINAL_KEYBOARD = 8,
	CONTROL_TERMINAL_COOKED = 16,
};

struct control_header {
	uint32_t magic, len_bytes;
};

struct control_message {
	json_t *json; // an object
	int fds[CONTROL_FDS_MAX]; // owned; -1 where taken out
	int nfds;
};

// The reading side of a connection: zero but for fd.
struct control_reader {
	int fd; // borrowed
	struct control_header header;
	size_t have_bytes; // of the header, then of the body
	bool in_body;
	char *body;
	int fds[CONTROL_FDS_MAX];
	int nfds;
};

// 1: a message; 0: the other side has closed; -EAGAIN on a non-blocking descriptor; -EPROTO, -EMSGSIZE, -ENOMEM or a socket's errno.
int control_read(struct control_reader *r, struct control_message *out);
void control_reader_fini(struct control_reader *r);
void control_message_fini(struct control_message *m); // closes what wasn't taken
// Sends json (borrowed) and descriptors (borrowed). 0 or -errno. On a non-blocking descriptor: -EAGAIN if its buffer is full, and nothing was sent;
// -ETIMEDOUT if it filled up on the way and nobody read for a while: the connection is of no more use then.
int control_write(int fd, json_t *json, const int *fds, int nfds);
// The build that both sides must be of.
const char *control_version(void);
