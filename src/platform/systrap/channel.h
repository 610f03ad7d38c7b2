// What the sentry and a stub share: the places in every address space that are the platform's, and the layout of a channel.
//
// A channel is one memfd per address space, with one slot per context. The application can write all of it, so the sentry reads
// each field once and checks the copy; a stub's own use of it needs no care, since it can only hurt itself.
// A plain call and its answer touch line 0 of the slot alone. Included by the stub (freestanding) and by assembler.
#pragma once

// Above APP_MAX, at the same places in every address space.
#define STUB_TEXT 0x7fff00000000   // the blob, read-only and executable
#define STUB_PARAM 0x7fff00100000  // struct stub_param, read-only
#define STUB_VDSO 0x7fff00200000   // the host's vvar pages and vdso, moved here
#define STUB_SITES 0x7fff01000000  // trampolines of patched call sites
#define STUB_SITES_BYTES 0x100000
#define CHAN_BASE 0x7fff40000000   // the channel
#define CHAN_SHIFT 30
#define SLOT_SHIFT 18
#define SLOT_BYTES (1 << SLOT_SHIFT)
#define SLOTS_MAX (1 << (CHAN_SHIFT - SLOT_SHIFT))
#define CHAN_BYTES (1 << CHAN_SHIFT)

// The stub's descriptors.
#define STUB_FD_SOCKET 0   // files to map come in here; its first message names its process
#define STUB_FD_DOORBELL 1 // an eventfd
#define STUB_FD_CACHE 8    // descriptors that the sentry sent, by the index it chose
#define STUB_FD_CACHE_LEN 16

#define STUB_SIGNAL_INTERRUPT 63

// state, written by the stub
#define STATE_EVENT 1 // an event is there
#define STATE_SLEEP 2 // with STATE_EVENT: wake me by futex
// state, written by the sentry
#define STATE_GO 4     // with any of:
#define STATE_RET 8    // ret goes to rax
#define STATE_OPS 16   // carry out ops first
#define STATE_FULL 32  // all registers were set: load them all
#define STATE_STAY 64  // don't run the application: come back with KIND_FLUSHED

#define KIND_SYSCALL 1
#define KIND_FAULT 2
#define KIND_INTERRUPTED 3
#define KIND_OP_FAILED 4
#define KIND_FLUSHED 5
#define KIND_MASK 0xff
#define KIND_SEGS_SHIFT 8 // above it: how many segments are there

#define OPS_PENDING 1
#define OPS_NOTIFY 2 // pending, and the sentry waits for the end
#define OPS_DONE 3

#define SLOT_STACK 0x4000 // offsets in a slot
#define SLOT_DATA 0x10000
#define SLOT_SCRATCH (SLOT_BYTES - 0x4000) // the stub's own, for extended state
#define SLOT_DATA_BYTES (SLOT_SCRATCH - SLOT_DATA)
#define SLOT_IN_MAX 0x20000 // of the data area, what a call's arguments may take
#define SLOT_OPS 96
#define SLOT_SEGS 16

// Offsets that the assembler needs; checked below.
#define SLOT_NR 8
#define SLOT_INTERRUPT 64
#define SLOT_REGS 128

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

struct stub_regs { // as struct user_regs_struct begins
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss, fs_base,
		gs_base;
};

enum slot_op_kind {
	OP_MAP = 1,  // addr, len, prot, flags, cache index or -1, offset
	OP_UNMAP,    // addr, len
	OP_PROTECT,  // addr, len, prot
	OP_REMAP,    // addr, len, new_len, flags, new_addr
	OP_ADVISE,   // addr, len, advice
	OP_COPY,     // dst, offset in the data area, len
	OP_RECV,     // cache index; carried out even when an earlier op failed
	OP_CLOSE,    // cache index; likewise
	OP_FORK,     // takes the channel and the socket from a message; likewise taken when failed
	OP_SPAWN,    // slot
	OP_XSAVE,    // dst
	OP_XLOAD,    // src, features
	OP_XRESET,
	OP_CMPXCHG,  // addr, expected, desired; the old value is left in op_result
	OP_EXIT,     // the thread ends
};

struct slot_op {
	uint32_t kind, tag;
	uint64_t a[6];
};

struct slot_seg { // bytes of the application that lie in the data area
	uint64_t addr;
	uint32_t len, offset;
};

struct slot {
	uint32_t state;
	uint32_t kind;
	uint64_t nr; // of the call; the sentry's answer
	uint64_t args[6];
	// line 1
	uint32_t interrupt; // set by the sentry: don't enter the application
	uint32_t tid;       // of a spawned thread; the host clears it when the thread is gone
	uint32_t ops_done;
	uint32_t nops;
	uint32_t spin;      // the stub's own: how long it waits for an answer before it sleeps
	uint32_t fail_err, fail_tag;
	uint32_t op_result;
	uint32_t unused[8];
	// line 2
	struct stub_regs regs; // of the application, while it is stopped
	struct {
		uint32_t signo, code;
		uint64_t addr, trapno, error_code, cr2;
	} fault;
	struct slot_seg segs[SLOT_SEGS];
	struct slot_op ops[SLOT_OPS];
};

_Static_assert(offsetof(struct slot, nr) == SLOT_NR && offsetof(struct slot, interrupt) == SLOT_INTERRUPT &&
	       offsetof(struct slot, regs) == SLOT_REGS && sizeof(struct slot) <= SLOT_STACK, "slot layout");

struct stub_param {
	uint32_t asleep;   // nobody polls: ring the doorbell
	uint32_t spin_max; // 0: don't spin
	uint64_t xfeatures;
	uint32_t xstate_bytes;
};

// At the start of the blob. The blob is linked to lie at STUB_TEXT.
struct stub_header {
	uint64_t begin;    // where the template enters, with the stack at its slot
	uint64_t handler, restorer;
	uint64_t text_end;
	uint64_t fast_entry;
};
#endif
