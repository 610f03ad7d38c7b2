// Making tasks: what clone, clone3, fork and vfork have in common.
#pragma once

#include <stdint.h>

#include "abi/types.h"

struct task;

#define CLONE_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME)

struct clone_spec { // as clone3's struct clone_args
	uint64_t flags; // CLONE_*
	uaddr_t pidfd, child_tid, parent_tid;
	int exit_signal;
	uaddr_t stack; // the initial stack pointer; 0: the caller's
	uint64_t tls;
	int set_tid; // 0: any
};

// CLONE_NEW* of clone and unshare: 0 if t may have those, else what Linux answers. Built are CLONE_NEWUTS and CLONE_NEWNS.
int clone_check_namespaces(struct task *t, uint64_t flags);
// A handler's answer: the child's tid, -errno, or a code of block.h while a vfork waits for its child.
long task_clone(struct task *t, const struct clone_spec *spec);
