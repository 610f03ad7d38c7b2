// What is kept of a container between commands: ROOT/ID/state.json, under the lock ROOT/ID/lock.
//
// Every command that changes a container holds its lock from reading the state to writing it. Writes are atomic (a new file renamed over
// the old one). The status in the file is what was last asked for; whether the sandbox lives is looked up each time.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct err;
struct oci_pairs;
typedef struct json_t json_t;

enum state_status { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPED };

struct state_process { // a process of the host, told from a later one with the same pid by its start time
	pid_t pid; // 0: none
	uint64_t start_ticks;
};

struct state {
	char *id, *bundle, *rootfs, *owner;
	enum state_status status;
	struct state_process sentry, gofer;
	int init_pid; // in the sandbox; 0: not begun
	time_t created;
	int64_t created_ns;
	json_t *annotations; // object or NULL
	json_t *poststop;    // list of hooks, or NULL
	json_t *cgroups;     // list of folders that were made, or NULL
	// Not kept:
	char *dir; // ROOT/ID
	int dir_fd, lock_fd;
};

int state_check_id(const char *id, struct err **err);
// A new container: makes its folder, which fails if there is one, and locks it.
int state_create(const char *root, const char *id, struct state *out, struct err **err);
// An existing one: locks it, reads its state, and corrects the status by what lives.
int state_open(const char *root, const char *id, struct state *out, struct err **err);
int state_save(struct state *s, struct err **err);
void state_close(struct state *s); // unlocks
// Removes the folder. The lock is still held.
int state_remove(struct state *s, struct err **err);
// Removes a folder that holds no readable state: what a killed `create` left behind. 0, or -1 when there is none.
int state_remove_debris(const char *root, const char *id, struct err **err);

bool state_exists(const char *root, const char *id);

// The IDs under root, for each of which fn is called; returns the first answer that isn't 0.
int state_each(const char *root, int (*fn)(const char *id, void *arg), void *arg, struct err **err);

const char *state_status_name(enum state_status status);
json_t *state_to_oci(const struct state *s); // the object of the OCI specification's "state"

bool state_process_lives(const struct state_process *p);
// Fills in the start time of a process of this one's own, which may have ended already: a program can be faster than who records it.
int state_process_find(pid_t pid, struct state_process *out, struct err **err);
