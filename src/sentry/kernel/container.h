// Containers: what the control server asks the kernel to make and run. Strings are the caller's, copied where kept.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct thread_group;
struct container;

// How a process is started: OCI's `process`.
struct process_spec {
	char *const *argv; // NULL-terminated
	char *const *envp;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	uint32_t ngroups;
	uint64_t caps_bounding, caps_effective, caps_inheritable, caps_permitted, caps_ambient;
	bool no_new_privs;
	mode_t umask; // (mode_t)-1: 022
	int oom_score_adj;
	bool waited; // container_wait() will be called for it
	bool killable; // the first process dies of signals like any other, although it is process 1
	struct rlimit64 rlimits[RLIM_NLIMITS]; // 0/0 with rlimit_set clear: the default
	uint32_t rlimit_set; // bit per resource
	// Host descriptors, taken over: they become fds 0, 1, 2 … nstdio-1. With terminal, screen_fd is the host side of one (a host
	// tty or pty slave, raw), which becomes the controlling terminal and the fds that are -1 here.
	bool terminal;
	int screen_fd;
	int keyboard_fd; // where its input comes from; -1: screen_fd
	bool screen_lent_cooked; // see tty_host_create
	int stdio[3 + 16];
	int nstdio;
};

// One mount, in order. type: "gofer" (tree: index of the gofer's exported tree), "tmpfs", "proc", "sysfs", "devtmpfs",
// "devpts", "mqueue"…
struct mount_spec {
	const char *type;
	const char *destination; // absolute, within the container; "/" for the root
	int gofer_tree;
	bool readonly, nosuid, nodev, noexec;
	bool overlay; // an in-memory upper layer above it
	const char *data; // file-system options ("size=64k,mode=755")
};

struct container_spec {
	const char *id;
	const char *hostname; // NULL: unchanged
	const struct mount_spec *mounts;
	int nmounts;
	int gofer_fd; // connected socket to the container's gofer, taken over; -1: none
	bool gofer_shared; // --file-access=shared
	// Absolute paths, NULL-terminated lists or NULL: hidden, and made read-only. What isn't there is passed over.
	char *const *masked_paths;
	char *const *readonly_paths;
	void (*on_exit)(struct container *c, void *arg); // on a worker, when its first process is gone: see container_status
	void *arg;
};

// Builds the container's mounts and devices. 0 or -errno; *err_text (kmem_bytes, NULL if none) says what failed.
int container_create(const struct container_spec *spec, struct container **out_container, char **err_text);
// Starts a process in it: the first one becomes the container's init. 0 or -errno with err_text (e.g. no such program: the sentence
// that the operator reads). *out_pid: in the sandbox.
int container_start_process(struct container *c, const struct process_spec *spec, int *out_pid, char **err_text);
// The wait status of a process started with container_start_process: fn(arg, status) once, at once if it is gone already. -ESRCH.
int container_wait(struct container *c, int pid, void (*fn)(void *arg, int wait_status), void *arg);
// pid 0: the init process; all: every process of the container. 0, -ESRCH.
int container_signal(struct container *c, int pid, int sig, bool all);
// The terminal of the process pid: window size (rows, columns) changes; foreground: sig goes to its foreground process group.
int container_signal_foreground(struct container *c, int pid, int sig);
// Holds every process before its next step in the application, or lets them go on. 0, -ESRCH when it hasn't begun or has ended,
// -EALREADY.
int container_pause(struct container *c, bool pause);

struct container_process {
	int pid, ppid;
	uid_t uid;
	int64_t start_s; // since the epoch
	uint64_t cpu_ns;
	char comm[16];
};
int container_processes(struct container *c, struct container_process *out, int cap); // how many there are
void container_destroy(struct container *c); // kills what is left
