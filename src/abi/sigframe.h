// What the kernel lays on an application's stack for a signal handler (arch/x86's rt_sigframe), in glibc's names where it has them.
#pragma once

#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

struct abi_ucontext {
	uint64_t uc_flags, uc_link;
	stack_t uc_stack;
	mcontext_t uc_mcontext; // laid out as the kernel's struct sigcontext
	uint64_t uc_sigmask;
};

struct abi_rt_sigframe {
	uint64_t pretcode; // where the handler returns to
	struct abi_ucontext uc;
	siginfo_t info;
};

_Static_assert(sizeof(mcontext_t) == 256 && sizeof(struct abi_ucontext) == 304 && sizeof(siginfo_t) == 128, "the ABI's sizes");

#define ABI_UC_FP_XSTATE 0x1
#define ABI_UC_SIGCONTEXT_SS 0x2
#define ABI_UC_STRICT_RESTORE_SS 0x4

// The software-reserved bytes of the FXSAVE area.
#define ABI_FP_SW_AT 464
#define ABI_FP_MAGIC1 0x46505853u
#define ABI_FP_MAGIC2 0x46505845u
struct abi_fp_sw {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t padding[7];
};
