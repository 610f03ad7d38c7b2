// What the sentry and a stub share: the places in every address space that are the platform's, and the layout of a channel.
//
// A channel is one memfd per address space, with one slot per context. The application can write all of it, so the sentry reads
// each field once and checks the copy; a stub's own use of it needs no care, since it can only hurt itself.
// What crosses between processors is lines of 64 bytes, each for about as long as a short system call takes. So a plain call and its answer
// touch line 0 of the slot alone, with a few bytes for the application to read. A look at it that comes too early costs
// as much as the message itself: it fetches the line from the processor that is about to write there, which must get it back to do so; and a line that
// was written to goes over altogether when it is read. One that comes too late costs as much as it is late. So each side begins to look for the other's
// word when that is likely to come, by how long it took the last times: the state says when it was written (due_learn). What else a message of the kind
// brings is sent for at once with it. Included by the stub (freestanding) and by assembler.
#pragma once

// Above APP_MAX, at the same places in every address space: all in its first 2 MiB, of the channel the first slots. For these the host needs one
// table of page entries, which each fork makes and each end unmakes.
#define STUB_TEXT 0x7fff00000000   // the blob, read-only and executable; up to STUB_PARAM (stub/stub.lds)
#define STUB_PARAM 0x7fff00020000  // struct stub_param, read-only
#define STUB_VDSO 0x7fff00060000   // the host's vvar pages and vdso, moved here; up to STUB_SITES (template.c)
#define STUB_SITES 0x7fff000a0000  // struct sites: the patched call sites, the stub's own
#define CHAN_BASE 0x7fff00100000   // the channel
#define CHAN_SHIFT 30
#define SLOT_SHIFT 18
#define SLOT_BYTES (1 << SLOT_SHIFT)
#define SLOTS_MAX (1 << (CHAN_SHIFT - SLOT_SHIFT))
#define CHAN_BYTES (1 << CHAN_SHIFT)

// Below what applications may use, since a patched call site reaches it by an absolute 32-bit address: where each site's trampoline lies,
// read-only. The third byte of all these addresses is 06, no instruction in 64-bit mode (stub/sites.c).
#define SITE_TABLE 0x60000
#define SITE_TABLE_BYTES 0x4000
// Likewise for sites where code may arrive at any place. In the addresses of this table's entries no byte is an instruction that an application may use.
#define SITE_FAR 0x60060000
#define SITE_FAR_BYTES 0x10000

// Call sites by what must be kept on the way in: the flags, as the number is the site's own; nothing but the number, as the next instruction
// is a comparison; both; both, for sites in the far table.
#define SITES_KEEP 1024
#define SITES_CMP 512
#define SITES_BOTH 128
#define SITES_FAR 384
#define SITES_CPUID 48 // of these, the last ones: cpuid instructions
#define SITES_MAX (SITES_KEEP + SITES_CMP + SITES_BOTH + SITES_FAR)
#define SITE_COUNTS 4096
#define SITES_STRADDLING 64 // that lie in two pages
#define SITES_HEAD (SITE_COUNTS + 192)
#define SITE_BYTES 64 // a record
#define SITE_RET 8    // offsets in it
#define SITE_AFTER 16
#define SITE_NR 24
#define SITE_IMM 28
#define SITE_KIND 32
#define SITE_MOV 1   // mov $nr,%eax; syscall
#define SITE_MOVQ 2  // mov $nr,%rax; syscall
#define SITE_LEA 3   // lea disp(%reg),%reg; syscall
#define SITE_CMPQ 4  // syscall; cmp $imm,%rax
#define SITE_CMPL 5  // syscall; cmp $imm,%eax
#define SITE_BEHIND 6 // syscall and what is behind it, up to seven bytes or a little more
#define SITE_CPUID 7  // likewise, of a cpuid instruction
#define SITE_TRAMPOLINE_BYTES 16
// How a call from a patched site goes back: with all registers as the sentry set them; with those alone that a call may change, to where the site
// says; with all, to where they say, by the short way.
#define BACK_FULL 0
#define BACK_SHORT 1
#define BACK_LONG 2

#define PLATFORM_TAG_FILE 0x7ffffffe // as platform.h has it
#define PARAM_CPUIDS 64
#define CPUID_ANY 0xffffffff
#define PARAM_LIMITS 4               // most processes have the same limits; make and gcc have a larger stack
#define PARAM_COUNTS 256             // likewise: PLATFORM_COUNTS
#define PARAM_PATH_COUNTS 1024       // likewise: PLATFORM_PATH_COUNTS
#define PARAM_COMMON 512
#define PARAM_COMMON_WAYS 2

// The stub's descriptors.
#define STUB_FD_SOCKET 0   // files to map come in here; its first message names its process
#define STUB_FD_DOORBELL 1 // an eventfd
#define STUB_FD_CACHE 8    // descriptors that the sentry sent, by the index it chose
#define STUB_FD_CACHE_LEN 16
#define STUB_FD_FILES 24 // those that it reads and writes itself, likewise
#define STUB_FD_FILES_LEN 16

#define STUB_SIGNAL_INTERRUPT 63

// In cycles of the time-stamp counter: how long an event or an answer has been away before what follows it is looked for, while it isn't known how
// long that takes (due_learn).
#define LOOK_AFTER_EVENT 600
#define LOOK_AFTER_ANSWER 500
#define DUE_MAX 3000 // nothing is learnt from what takes longer
#define DUE_STEP 64
#define DUE_WEIGHT 8

#define CPU_UNBORN 0xffffffff

// state, written by the stub
#define STATE_EVENT 1 // an event is there
#define STATE_SLEEP 2 // with STATE_EVENT: wake me by futex
#define STATE_LATE 8  // with STATE_EVENT: there are late calls to be told (struct slot_late)
// state, written by the sentry
#define STATE_GO 4     // with any of:
#define STATE_RET 8    // ret goes to rax
#define STATE_OPS 16   // carry out ops first
#define STATE_FULL 32  // all registers were set: load them all
#define STATE_STAY 64  // don't run the application: come back with KIND_FLUSHED
#define STATE_COPY 128 // copy the bytes that line 0 says, or holds, to the application
#define STATE_MOVE 256 // after the operations, let bytes go between memory and a file, as args says
#define STATE_OP 512   // likewise STATE_OPS, of the only one, which line 0 holds
#define STATE_KEEP 1024 // never with STATE_OP: the answer holds as long as line 0's rests do (KIND_ASKS); of an open that succeeded: so do opened_stat and opened_flags; of
			// getdents64: the next one would find nothing more
// Above them: of an event, how much later the stub begins to look for the answer (8 bits); of either, when it was written, by the time-stamp counter
// (13 bits). Hints: nothing but the time of a look hangs on them.
#define STATE_DUE_SHIFT 11
#define STATE_DUE_UNIT_SHIFT 4
#define STATE_TIME_SHIFT 19
#define STATE_TIME_UNIT_SHIFT 3
#define STATE_TIME_SPAN (1 << (32 - STATE_TIME_SHIFT + STATE_TIME_UNIT_SHIFT)) // after which the times begin anew

#define KIND_SYSCALL 1
#define KIND_FAULT 2
#define KIND_INTERRUPTED 3
#define KIND_OP_FAILED 4
#define KIND_FLUSHED 5
#define KIND_COPY_FAILED 6 // STATE_COPY's
#define KIND_MASK 0xff
#define KIND_SEGS_SHIFT 8 // above it: how many segments are there
#define KIND_SEGS_MASK 0xff
#define KIND_CPU_SHIFT 24 // the low 8 bits of where the stub runs
#define KIND_SITE 0x10000 // with KIND_SYSCALL: it often comes from this site, which could be patched
#define KIND_SIGNAL 0x200000 // with KIND_SYSCALL: it came by a signal
#define KIND_SEG0 0x20000 // with KIND_SYSCALL: what an argument points to is there before the segments, at the data area's begin, seg0_len long
#define KIND_SEG0_ARG_SHIFT 18
#define KIND_SEG0_ARG_MASK 7
#define KIND_ASKS 0x400000 // with KIND_SYSCALL: the path has been asked about before; the stub would keep the answer
#define KIND_STAT 0x800000 // with KIND_SYSCALL, of an open: what is opened will be asked about; the stub would keep that

#define KIND_LEAVES 0x800000 // with SYS_exit_group: the process ends by itself, without an answer; with SYS_exit: so does the thread, and clear_tid's word is 0

#define ADVICE_ALONE 1  // no other thread is about
#define ADVICE_SHARED 2

#define SLOT_FUTEX 0x3000 // offsets in a slot; in that of the first context only: struct chan_futexes,
#define SLOT_LENT 0x4000  // and struct chan_lent[CHAN_LENT]
#define SLOT_ACTIONS 0x3880 // struct chan_actions, in that of any context
#define SLOT_LATE 0x5000    // struct slot_late, of any context
#define SLOT_STACK 0x5900
#define SLOT_DATA 0xc000 // with what precedes it, its first page lies in 64 KiB that the host maps at one fault (channel.c)
#define SLOT_SCRATCH (SLOT_BYTES - 0x4000) // the stub's own, for extended state
#define SLOT_NAMES (SLOT_SCRATCH - 0x5000) // struct slot_name[SLOT_NAMES_LEN], the stub's own; no page of it is touched before there is one
#define SLOT_DATA_BYTES (SLOT_NAMES - SLOT_DATA)
#define SLOT_IN_MAX 0x20000 // of the data area, what a call's arguments may take
#define SLOT_OPS 96
#define CHAN_FUTEXES 256
#define CHAN_LENT 128
#define SLOT_SEGS 128 // at most KIND_SEGS_MASK
#define SLOT_INLINE_BYTES 32
#define COPY_INLINE 0xffffffff
#define SLOT_OP_ARGS 5
#define SLOT_NAMES_LEN 64
#define SLOT_NAMES_SEEN 256
#define SLOT_NAME_BYTES 128
#define SLOT_RESTS 3
#define LATE_MAX 32 // likewise: PLATFORM_LATE_MAX
#define STAT_WORDS 18
#define DUE_CALLS 480
#define PLATFORM_RANDOM_BYTES 32 // as platform.h has it

// Offsets that the assembler needs; checked below.
#define SLOT_REGS 4096
#define SLOT_INTERRUPT (SLOT_REGS + 184)
#define SLOT_SELF (SLOT_REGS + 192)
#define SLOT_CALL (SLOT_REGS + 320)

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "abi/sigaction.h"

struct stub_regs { // as struct user_regs_struct begins
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, eflags, rsp, ss, fs_base,
		gs_base;
};

enum {
	USER_CS = 0x33,
	USER_SS = 0x2b,
	EFLAGS_USER = 0x240dd5, // what an application may set
	EFLAGS_FIXED = 0x202,
};

enum slot_op_kind {
	OP_MAP = 1,  // addr, len, prot, flags, cache index or -1, offset
	OP_UNMAP,    // addr, len
	OP_CLEAR,    // unmaps all that is the application's, who has no other thread
	OP_PROTECT,  // addr, len, prot
	OP_REMAP,    // addr, len, new_len, flags, new_addr
	OP_ADVISE,   // addr, len, advice
	OP_BARRIER,  // on the process's other threads
	OP_ADVISED,  // waits until no thread is about an advice that it carries out by itself
	OP_COPY,     // dst, offset in the data area, len
	OP_RECV,     // cache index; carried out even when an earlier op failed
	OP_CLOSE,    // cache index; likewise
	OP_FORK,     // takes the channel and the socket from a message; likewise taken when failed
	OP_SPAWN,    // slot
	OP_XSAVE,    // dst
	OP_XLOAD,    // src, features
	OP_XRESET,
	OP_CMPXCHG,  // addr, expected, desired; the old value is left in op_result
	OP_PATCH,    // the call site before this address, its page's protection, whether no other thread is about, its mapping's addr and len; never fails
	OP_PATCH_ALL, // in this range, addr and len, of this protection, all sites before the places that offset says, in the data area: n offsets of 32 bits; never fails
	OP_DROP,     // closes the files of STUB_FD_FILES; a[0]: and those of STUB_FD_CACHE
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

struct slot_call { // as it came
	uint32_t nr, seg0_len;
	uint64_t args[6];
};

struct slot_rest { // an answer rests on it that this count of stub_param's path_counts stays what it is
	uint32_t index, count;
};

struct slot {
	uint32_t state;
	uint32_t kind;
	union {
		struct {
			uint32_t nr, seg0_len; // of the call
		};
		uint64_t ret; // the sentry's answer
	};
	union {
		uint64_t args[6]; // with STATE_MOVE: addr, len, index of the file, offset, whether to write
		struct { // with STATE_COPY
			uint64_t dst;
			uint32_t len, offset; // in the data area, or COPY_INLINE: here
			uint8_t bytes[SLOT_INLINE_BYTES];
		} copy;
		struct { // with STATE_OP: as struct slot_op, of which nothing further is needed
			uint32_t kind, tag;
			uint64_t a[SLOT_OP_ARGS];
		} op;
		struct { // with STATE_KEEP; behind where a copy is said, whose bytes aren't here then
			uint64_t said[2];
			struct slot_rest on[SLOT_RESTS];
		} rests;
	};
	// line 1: fetched along with line 0 at times
	uint32_t fail_err, fail_tag;
	uint32_t op_result; // of OP_CMPXCHG; of STATE_MOVE, if not all was moved: how much was
	struct {
		uint32_t signo, code;
		uint64_t addr, trapno, error_code, cr2;
	} fault;
	struct slot_sigmask {
		uint64_t mask; // the thread's; the stub's own while the thread is with the application
		uint32_t lent; // the sentry's: the stub may answer rt_sigprocmask and rt_sigreturn
	} sigmask __attribute__((aligned(128))); // a line that little is written to: the sentry looks at it with each event
	struct slot_quiet { // the sentry's: while the count at index is this one, epoll_wait finds nothing at descriptor fd_plus_1 - 1,
		uint32_t fd_plus_1, index, count;
		// or if what isn't 0, while that is what is said of the descriptor `lent`: an event with this data when there is something in it
		uint32_t lent;
		uint64_t what, data;
	} quiet;
	struct slot_seg segs[SLOT_SEGS];
	uint64_t opened_stat[STAT_WORDS] __attribute__((aligned(64))); // the sentry's: what was opened last after KIND_STAT, a struct stat
	uint32_t opened_flags; // likewise: what F_GETFL says, and O_CLOEXEC
	// From here on what the sentry seldom looks at: in another page, since a processor fetches ahead within one. What the sentry's got hold of by
	// that would have to come back.
	struct stub_regs regs __attribute__((aligned(4096))); // of the application, while it is stopped
	uint32_t interrupt; // set by the sentry: don't enter the application
	uint32_t tid;       // of a spawned thread; the host clears it when the thread is gone
	uint64_t self; // its address, by which the fast way in knows that gs is still ours
	uint32_t cpu;    // the stub's own: where it runs, as of its last event; CPU_UNBORN before it ran at all
	uint32_t parked; // the sentry's: the call waits for something
	uint32_t ops_done;  // the stub's: of how many answers the operations are done
	uint32_t ops_watch; // set by the sentry: it waits for that, and wants to be woken
	uint32_t waits_for;  // the stub's own: what its last event was, an index in due
	uint32_t spin;      // the stub's own: how it waits (stub.c)
	uint32_t yield_spin; // the stub's own: whether it gives way before it sleeps (stub/stub.c)
	uint32_t futex_spin; // the stub's own: whether a wait begins awake (stub/calls.c)
	uint32_t left_fd; // the sentry's: what is written to this descriptor of the application's, less 1, was left to the stub of late
	uint32_t writes;  // the stub's own: it may be writing to this place of STUB_FD_FILES, less 1
	uint32_t lent;    // the sentry's: the thread's descriptors are those that struct chan_lent is about
	uint32_t advice;  // the sentry's: the stub may carry out MADV_DONTNEED and MADV_FREE by itself: ADVICE_*, or 0
	uint32_t actions; // the sentry's: the slot where the thread's struct chan_actions is, and 1; 0: none
	struct slot_ids { // the sentry's, for calls that the stub answers itself; valid: 0 or 1
		uint32_t valid, tgid, tid, ppid, uid, euid, gid, egid;
		uint32_t limits_1; // which of stub_param's limits the process has, and 1; 0: others
	} ids;
	uint64_t robust_list; // where it is, as the thread says; the sentry looks when it ends
	uint64_t cpu_ns;      // with SYS_exit, SYS_execve and SYS_execveat: what the thread has used
	struct {       // of a wait for a private futex: its word, as it was when so many wakes had been
		uint32_t seen, word, wakes;
	} futex;
	// The stub's own: the call, until it is written to line 0 at once when it is posted. Written there bit by bit, while the sentry looks for
	// the next event, the line would travel more than once.
	struct slot_call call __attribute__((aligned(64)));
	uint64_t posted; // the stub's own: when its last event was
	uint64_t clear_tid; // as robust_list: what set_tid_address said
	struct slot_altstack { // the sentry's: an rt_sigreturn whose frame says just this of the alternate stack leaves that as it is; so do zeros, at first
		uint64_t sp, size, flags;
	} altstack;
	struct slot_random { // so many of the bytes may yet be given to who asks for random ones, from the end on
		uint32_t left;
		uint8_t bytes[PLATFORM_RANDOM_BYTES];
	} random;
	uint32_t alone;  // the sentry's: it is the process's only context
	uint32_t leaves; // the stub's own: KIND_LEAVES was said
	uint32_t hushed; // likewise: its event waits for news that others bring (stub/stub.c), and the sentry wasn't woken for it
	struct slot_children { // the sentry's, as struct platform_children; index_1: 0: that isn't known
		uint32_t index_1, count, pid;
	} children;
	struct { // the stub's own (stub/opened.c): the descriptor, and 1, that opened_stat is about; 0: none
		uint32_t fd_1;
		uint32_t born; // as names.born was
		uint32_t unasked; // files that were opened since one was asked about
		uint32_t flags_hold; // opened_flags say what they are; 0: they may have changed
		uint32_t at_end; // a directory: it was read to its end
		struct slot_rest on[SLOT_RESTS];
	} opened;
	// Of paths that were asked about; the stub's own (stub/names.c), but for born.
	struct {
		uint32_t born; // the sentry's: a number that no other context has
		uint32_t len;  // of the call under way: its path, with the NUL, is where the data area begins; 0: it isn't
		uint32_t asks; // KIND_ASKS, KIND_STAT
		uint64_t hash; // of it
		uint32_t what, next; // next: how many answers were kept
		uint16_t seen[SLOT_NAMES_SEEN]; // of the last ones, by a hash: another
		uint8_t place_1[SLOT_NAMES_SEEN]; // and the place of the answer, and 1; 0: there is none
	} names;
	// What the stub learnt for the hand-over; what a thread that was here before learnt does for the next.
	uint16_t due[DUE_CALLS]; // the stub's own: how soon the answer comes to a call of this number, less 1; 0: to anything else
	struct { // the stub's own: where the last answer's bytes lay that weren't in line 0, and what it answered, as waits_for
		uint32_t offset, len, to;
	} copied;
	uint32_t nops __attribute__((aligned(64))); // with the first of them in one line
	struct slot_op ops[SLOT_OPS];
};

_Static_assert(offsetof(struct slot, copy) + sizeof(((struct slot *)0)->copy) <= 64 &&
	       offsetof(struct slot, op) + sizeof(((struct slot *)0)->op) <= 64, "an answer fits in line 0");
_Static_assert(offsetof(struct slot, interrupt) == SLOT_INTERRUPT && offsetof(struct slot, regs) == SLOT_REGS &&
	       offsetof(struct slot, self) == SLOT_SELF && offsetof(struct slot, call) == SLOT_CALL &&
	       sizeof(struct slot) <= SLOT_FUTEX, "slot layout");

static inline uint32_t state_time(uint64_t clock)
{
	return (uint32_t)(clock >> STATE_TIME_UNIT_SHIFT) << STATE_TIME_SHIFT;
}

// When the state was written, which was after `start`, by less than STATE_TIME_SPAN.
static inline uint64_t state_clock(uint32_t state, uint64_t start)
{
	return start + (((uint64_t)(state >> STATE_TIME_SHIFT) - (start >> STATE_TIME_UNIT_SHIFT)) << STATE_TIME_UNIT_SHIFT) % STATE_TIME_SPAN;
}

static inline uint32_t state_due(uint32_t due)
{
	return due >> STATE_DUE_UNIT_SHIFT << STATE_DUE_SHIFT;
}

// How long after the event its stub looks for the answer.
static inline uint32_t state_due_of(uint32_t state)
{
	return state % (1u << STATE_TIME_SHIFT) >> STATE_DUE_SHIFT << STATE_DUE_UNIT_SHIFT;
}

// What is waited for took so long this time: next time it is looked for after *due, a running mean, 0: not known. What takes long now and then counts for
// little, since all others would be looked for too late.
static inline void due_learn(uint16_t *due, uint64_t took)
{
	const int old = *due;
	int more;

	if (took >= DUE_MAX)
		return;
	more = (int)took - old;
	*due = !old ? (int)took : old + (more > DUE_STEP ? DUE_STEP : more) / DUE_WEIGHT;
}

// An answer that the stub gives again: see stub/names.c.
struct slot_name {
	uint64_t hash;
	uint32_t born, what;
	int64_t ret;
	struct slot_rest on[SLOT_RESTS];
	uint64_t path[SLOT_NAME_BYTES / 8]; // zeros behind it
	uint64_t bytes[STAT_WORDS]; // for the application's memory: a struct stat, or a link's target
};

_Static_assert(SLOT_NAMES_LEN * sizeof(struct slot_name) <= SLOT_SCRATCH - SLOT_NAMES && offsetof(struct slot, rests) + sizeof(((struct slot *)0)->rests) <= 64 &&
	       offsetof(struct slot, rests.on) >= offsetof(struct slot, copy.bytes), "slot layout");

// What is known of the futexes on an address space's own memory, by a hash of their addresses. Who wakes counts that first, and looks for
// waiters then; who waits becomes a waiter first, and looks then whether wakes were counted since the word was read.
struct chan_futexes {
	struct chan_futex {
		uint32_t wakes, waiters;
	} of[CHAN_FUTEXES] __attribute__((aligned(64)));
};

static inline struct chan_futex *chan_futex(void *chan, uint64_t addr)
{
	struct chan_futexes *all = (struct chan_futexes *)((uint8_t *)chan + SLOT_FUTEX);

	return &all->of[(addr >> 2 ^ addr >> 12) % CHAN_FUTEXES];
}

// A descriptor of the application's whose transfers the stub may carry out alone (stub/lent.c). `what` never says the same twice: who finds it
// as it was before a transfer knows that the sentry had not taken it back until then.
struct chan_lent {
	uint64_t what; // LENT_*, 0: nothing; above them a number of its own
	// With LENT_POS: the file's position. With LENT_COUNT: an eventfd's count. With LENT_BYTES: what is in a pipe; the low byte says how many
	// bytes, the next ones are these. The stub changes it only together with a look at `what`.
	uint64_t pos;
	uint64_t limit; // with LENT_PWRITE: nothing is written beyond it
	uint64_t written; // the stub's: when it began to write last, by the time-stamp counter; 0 once the sentry has seen it
} __attribute__((aligned(16)));

enum {
	LENT_PLACE = 0xff, // which of the descriptors from STUB_FD_CACHE on it is
	LENT_PREAD = 0x100, // pread from there
	LENT_POS = 0x200, // lseek, and with LENT_PREAD read
	LENT_ZEROS = 0x400, // reading gives zeros
	LENT_AWAY = 0x800, // what is written there is gone
	LENT_PWRITE = 0x1000, // pwrite to there
	LENT_COUNT = 0x2000, // it is an eventfd; place 1: a semaphore
	LENT_BYTES = 0x4000, // the end of a pipe that is read from
	LENT_FEEDS = 0x8000, // the other one; the place is the number of the descriptor with LENT_BYTES
	LENT_MAP = 0x10000, // late calls may map it privately
	LENT_CLOSE = 0x20000, // a late call may close it
	LENT_END = 0x40000, // with LENT_PREAD: what isn't there when it is read is beyond the file's end
	LENT_NO_TTY = 0x80000, // it is no terminal
	LENT_SHIFT = 20,
	LENT_BYTES_MAX = 7,
};

// A signal's action, packed so that one instruction exchanges it: threads need no lock, which one could leave locked, and nobody reads half of one.
// What can't be packed isn't lent.
struct chan_action {
	uint64_t what; // ACTION_*, 0: it isn't lent; below them the flags, and the handler
	uint64_t mask;
} __attribute__((aligned(16)));

#define ACTION_FLAGS_SHIFT 47
#define ACTION_RESTORER (1ull << 62) // it has the table's restorer, else none
#define ACTION_LENT (1ull << 63)

struct chan_actions {
	uint64_t restorer; // of all that have one; 0: none has yet. From then on it stays
	uint64_t changed; // the stub's: a bit for each that it may have changed
	struct chan_action of[NSIG_MAX] __attribute__((aligned(64)));
};

// The first word of a struct chan_action for it, lent; false: it doesn't fit.
static inline bool action_pack(const struct ksigaction *ka, uint64_t *out_what)
{
	const uint64_t flags = ka->flags & KSA_KNOWN;

	*out_what = ACTION_LENT | (ka->restorer ? ACTION_RESTORER : 0) | ka->handler |
		    ((flags & 7) | (flags >> 11 & 1) << 3 | (flags >> 26) << 4) << ACTION_FLAGS_SHIFT;
	return ka->handler >> ACTION_FLAGS_SHIFT == 0;
}

static inline void action_unpack(const struct chan_action *a, uint64_t restorer, struct ksigaction *out)
{
	const uint64_t flags = a->what >> ACTION_FLAGS_SHIFT;

	out->handler = a->what & ((1ull << ACTION_FLAGS_SHIFT) - 1);
	out->flags = ((flags & 7) | (flags >> 3 & 1) << 11 | (flags >> 4 & 0x3f) << 26) & KSA_KNOWN;
	out->restorer = a->what & ACTION_RESTORER ? restorer : 0;
	out->mask = a->mask;
}

// If the action is *inout_old it becomes new; else *inout_old is what it is, and false.
static inline bool action_exchange(struct chan_action *at, struct chan_action *inout_old, struct chan_action new)
{
	bool done;

	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz"(done), "+m"(*at), "+a"(inout_old->what), "+d"(inout_old->mask)
		     : "b"(new.what), "c"(new.mask)
		     : "memory");
	return done;
}

// The table's restorer is this one, or now becomes it.
static inline bool action_restorer(struct chan_actions *all, uint64_t restorer)
{
	uint64_t old = 0;

	return !restorer || __atomic_compare_exchange_n(&all->restorer, &old, restorer, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) || old == restorer;
}

// Calls that the stub carries out by itself and tells of with the next event (stub/late.c), of a process with a single thread, whose memory and
// descriptors are nobody else's. Where mappings may go the sentry says, whenever it has changed them, and the stub keeps that up to date.
struct slot_late {
	uint32_t memory; // the sentry's: mmap, munmap, mprotect and brk may be late
	uint32_t close;  // likewise: close, of what is lent with LENT_CLOSE
	uint32_t n;      // the stub's, until the sentry has been told: so many of calls
	uint64_t brk_start, brk, brk_limit; // brk may grow up to the limit
	uint64_t bottom, top; // a hole; what is mapped anywhere ends at its top,
	uint64_t hole;        // if it is longer than all the holes above, of which the largest is no longer than this
	struct late_call {
		uint64_t nr, args[6], ret;
	} calls[LATE_MAX] __attribute__((aligned(64)));
};

static inline struct slot_late *slot_late(struct slot *s)
{
	return (struct slot_late *)((uint8_t *)s + SLOT_LATE);
}

_Static_assert(SLOT_LATE + sizeof(struct slot_late) <= SLOT_STACK, "slot layout");
_Static_assert(SLOT_FUTEX + sizeof(struct chan_futexes) <= SLOT_ACTIONS && SLOT_ACTIONS + sizeof(struct chan_actions) <= SLOT_LENT &&
	       SLOT_LENT + CHAN_LENT * sizeof(struct chan_lent) <= SLOT_STACK, "slot layout");

struct stub_param {
	uint32_t asleep;   // nobody polls: ring the doorbell
	uint32_t spinning;   // 0: don't spin, another processor is needed for that
	uint32_t leader_cpu; // where the sentry polls, while it isn't asleep
	uint32_t spin_limit; // for so many cycles of the time-stamp counter at most an answer is waited for awake
	uint32_t patching; // call sites may be patched
	uint32_t watched;  // somebody wants to be told of transfers: the sentry must see each
	uint32_t limited;  // somebody's files may not become long: it must see each write
	uint32_t answers;  // the stub answers set_robust_list and arch_prctl, and private futex calls that need no waiter
	uint32_t no_rseq;  // and rseq, with ENOSYS
	uint32_t has_rdpid;
	struct rlimit64 limits[PARAM_LIMITS][RLIM_NLIMITS]; // those that processes had first: see slot_ids. Once a set is there it stays
	uint64_t xfeatures;
	uint32_t xstate_bytes;
	uint32_t ncpuids; // what the processor says of itself, whichever of them it is; sub CPUID_ANY: ecx doesn't count
	struct param_cpuid {
		uint32_t leaf, sub, eax, ebx, ecx, edx;
	} cpuids[PARAM_CPUIDS];
	uint32_t counts[PARAM_COUNTS] __attribute__((aligned(64))); // of what happened, each of many things: see slot_quiet
	uint32_t path_counts[PARAM_PATH_COUNTS] __attribute__((aligned(4096))); // likewise, to what answers about paths rest on: see slot_rest
	uint32_t common_on; // there may be answers in common, in which every process finds what the sentry said to another (systrap/common_names.c)
	struct common_name {
		uint32_t seq; // odd: being written
		struct slot_name name; // without born
	} common[PARAM_COMMON] __attribute__((aligned(64))); // by their hashes
};

// The first of those places where answers with this hash belong.
static inline uint32_t common_set(uint64_t hash)
{
	return hash % (PARAM_COMMON / PARAM_COMMON_WAYS) * PARAM_COMMON_WAYS;
}

// At the start of the blob. The blob is linked to lie at STUB_TEXT.
struct stub_header {
	uint64_t begin;    // where the template enters, with the stack at its slot
	uint64_t handler, restorer;
	uint64_t text_end;
	uint64_t trampolines;
};

enum { SITE_PARTS = 5, SITE_RIP = 16, SITE_CODE = 18 };

struct site { // a patched call site
	uint64_t addr;  // where the jump is
	uint64_t ret;   // where a fast call goes on
	uint64_t after; // just behind its syscall instruction: what signal handlers see
	uint32_t nr, imm;
	uint8_t kind, prot;
	uint8_t len;	  // of the instructions that the jump has its place of
	uint8_t to, from; // SITE_LEA's registers, by their numbers in instructions; from: SITE_RIP, too. imm is the distance.
	uint8_t changing; // somebody writes there
	uint8_t arrivals; // in the middle
	uint8_t code[SITE_CODE]; // what was there before
	uint8_t pad[SITE_BYTES - 57];
};

struct sites {
	uint32_t busy; // somebody is patching
	uint32_t held; // so many see to it that nobody is
	uint32_t used[SITE_PARTS]; // records in use of each part
	uint32_t nstraddling;
	uint16_t straddling[SITES_STRADDLING]; // their numbers
	uint8_t counts[SITE_COUNTS]; // calls that came by signal, by a hash of their place
	struct site site[SITES_MAX] __attribute__((aligned(SITE_BYTES)));
};
#define SITES_BYTES ((sizeof(struct sites) + 4095) & ~4095ul)

_Static_assert(sizeof(struct site) == SITE_BYTES && offsetof(struct site, ret) == SITE_RET && offsetof(struct site, after) == SITE_AFTER &&
	       offsetof(struct site, nr) == SITE_NR && offsetof(struct site, imm) == SITE_IMM && offsetof(struct site, kind) == SITE_KIND &&
	       offsetof(struct sites, site) == SITES_HEAD && SITES_MAX * 8 <= SITE_TABLE_BYTES, "site layout");
// The address of the far table's entry n, of SITES_FAR: bytes of which none is the beginning of an instruction that an application may use; the low
// ones leave room for an entry each.
static inline uint32_t site_far_entry(unsigned n)
{
	enum { LOW = 16 };
	static const uint8_t high[SITES_FAR / LOW] = {0x16, 0x17, 0x1e, 0x1f, 0x60, 0x61, 0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5,
						      0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0x06, 0x07, 0x0e, 0xf4, 0xfa, 0xfb};
	static const uint8_t low[LOW] = {0x06, 0x0e, 0x16, 0x1e, 0x27, 0x2f, 0x37, 0x60, 0x6c, 0x82, 0x9a, 0xce, 0xd6, 0xe4, 0xec, 0xf4};

	return SITE_FAR | high[n / LOW] << 8 | low[n % LOW];
}

_Static_assert(STUB_PARAM + sizeof(struct stub_param) <= STUB_VDSO && STUB_SITES + SITES_BYTES <= CHAN_BASE && CHAN_BASE % SLOT_BYTES == 0,
	       "the stub's places"); // a signal handler finds its slot by its stack
#endif
