// What is to be done with a signal, as rt_sigaction has it.
#pragma once

#include <stdint.h>

#define NSIG_MAX 64

struct ksigaction {
	uint64_t handler; // SIG_DFL 0, SIG_IGN 1, or the handler's address
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

// SA_*: NOCLDSTOP, NOCLDWAIT, SIGINFO, EXPOSE_TAGBITS, RESTORER, ONSTACK, RESTART, NODEFER, RESETHAND. Linux forgets the others.
#define KSA_KNOWN 0xdc000807ull
