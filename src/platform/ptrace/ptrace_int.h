// The ptrace platform's own: contexts, the tracee's fixed pages, and running a call in a stopped tracee.
//
// One thread drives everything (ptrace demands it), so nothing here is locked. Operations are carried out at once; a failed one is
// remembered and comes back as an event when the context is resumed.
#pragma once

#include <bsd/sys/queue.h>
#include <sys/types.h>

#include "platform/platform.h"

// The tracee's own two pages, above all that an application may use: code, then a scratch page for descriptor messages.
#define STUB_CODE 0x7fff00100000ull
#define STUB_SCRATCH (STUB_CODE + PAGE_SIZE)
#define STUB_VDSO (STUB_CODE + 0x10000) // the host's vvar and vdso are moved to lie from here on
#define STUB_SOCKET 0 // the tracee's only descriptor: where it receives the files to map

// Offsets in the code page (template.c writes it).
#define STUB_SYSCALL STUB_CODE           // syscall; int3
#define STUB_CMPXCHG (STUB_CODE + 0x20)  // lock cmpxchg %edx,(%rdi); int3

struct platform_as {
	int nctx; // living contexts
	bool spawned; // it has, or had, more than one thread
};

struct platform_ctx {
	LIST_ENTRY(platform_ctx) hash_link;
	TAILQ_ENTRY(platform_ctx) ready_link;
	pid_t tid;
	struct platform_as *as;
	void *owner;
	struct user_regs_struct regs; // of the application, while stopped
	bool regs_dirty; // the tracee's differ from regs
	bool running, dead;
	bool interrupted; // sticky: the next resume comes back at once
	bool interrupt_sent; // a PTRACE_EVENT_STOP is on its way
	bool dying; // destroyed: its exit is to be reaped, nothing else
	bool ready; // on the list of contexts with an event that no wait reported
	struct platform_event ready_event;
	int op_err; // positive errno of the first op that failed since the last resume
	uint32_t op_tag;
};

// template.c: the process from which every address space is made. Traced from init() on.
int template_create(void); // 0 or -errno
extern pid_t template_pid;
extern int stub_socket[2]; // [0] the sentry sends to; [1] a copy of the tracees' end, to take back what one didn't receive
extern uaddr_t template_vdso;

// inject.c: makes the stopped tracee execute one system call; its registers in ctx are left alone.
// The call's result, or -ESRCH when the tracee died under it. *out_child (may be NULL): a process or thread that it made, stopped.
long inject_call(struct platform_ctx *ctx, long nr, const uint64_t args[6], pid_t *out_child);
// Runs code at rip until its int3: 0 (the registers at that point in *regs), -EFAULT if it faulted, -ESRCH.
int inject_code(struct platform_ctx *ctx, struct user_regs_struct *regs);
