// The system calls' names and how far Hull has them, for `hull help syscalls`: syscalls.def without the handlers.
#pragma once

struct syscall_name {
	const char *name; // NULL ends the list
	int nr, support;  // 0 none, 1 partly, 2 in full
};

extern const struct syscall_name syscall_names[];
