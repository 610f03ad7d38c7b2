// Hull's vDSO in the address spaces of programs.
#pragma once

#include "abi/types.h"

struct task;

// Maps the vDSO into t's new address space: its address through out_addr, 0 if there can't be one. 0 or -errno.
int vdso_map(struct task *t, uaddr_t *out_addr);
