// A container's life as the commands drive it: made, begun, ended, removed.
#pragma once

#include "runtime/oci/bundle.h"
#include "runtime/oci/spec.h"
#include "runtime/oci/state.h"
#include "runtime/sandbox/launch.h"

struct err;
struct settings;

struct life_options {
	const char *id, *bundle, *pid_file, *console_socket;
	bool foreground; // the sandbox ends with this command
	bool begin; // life_begin() follows
	int preserve_fds;
};

struct life {
	struct bundle bundle;
	struct oci_spec spec;
	struct state state; // locked
	struct sandbox sandbox;
	int log_fd; // of the sandbox; -1: none
	int tty_fd; // this command's terminal when the process has it; else -1
	int64_t create_seq, prepare_seq, begin_seq; // requests that were sent; 0: not yet
};

// `create`: on failure nothing is left behind. out is to be given to life_fini() in any case.
int life_create(const struct settings *s, const struct life_options *o, struct life *out, struct err **err);
// `start` of what life_create() made in this command.
int life_begin(struct life *l, struct err **err);
void life_fini(struct life *l);

// The same for a container that another command made.
int life_start(struct state *s, struct err **err);
// Ends what still runs, runs the poststop hooks, removes the state.
int life_remove(struct state *s, struct err **err);
// A sandbox whose process has just ended takes a moment to end, too: waits for it, not for long. False: it runs.
bool life_is_ending(struct state *s);

// A connection to the sandbox's control server.
int life_connect(const struct state *s, struct control_client *out, struct err **err);
int life_write_pid_file(const char *path, pid_t pid, struct err **err);

enum { PRESERVE_FDS_MAX = 16 };

// The descriptors that a process started by this command gets: its own 0, 1 and 2, or a terminal; then those of --preserve-fds.
struct stdio_plan {
	int fds[4 + PRESERVE_FDS_MAX];
	int nfds;
	int terminal_fds; // see protocol.h
	int tty_fd;	  // as in struct life
	int screen_fd, keyboard_fd; // owned; -1: none
};
#define STDIO_PLAN_NONE ((struct stdio_plan){.tty_fd = -1, .screen_fd = -1, .keyboard_fd = -1})
// terminal: the process wants one: the console socket's if that is given, else this command's own.
int stdio_plan(bool terminal, const struct oci_process *p, const char *console_socket, bool detached,
	       int preserve_fds, struct stdio_plan *out, struct err **err);
// The other way, for `do`: each of 0, 1 and 2 is what it is, a terminal among them becomes the process's.
int stdio_plan_as_found(struct stdio_plan *out, struct err **err);
bool stdio_has_terminal(void);
void stdio_plan_fini(struct stdio_plan *p);
