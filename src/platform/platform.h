// A platform runs application code and traps its system calls.
//
// The contract: an address space (`as`) holds one application's memory as the host's own; a context (`ctx`) is one thread of
// execution in it. A context is either with the application, or stopped and in the sentry's hands with an event. While it is
// stopped the sentry reads and sets its registers, copies to and from its memory, and queues operations on its
// memory; platform_resume() sends it back.
//
// Operations are queued and carried out by the context itself, in order, before it next runs application code: so they cost
// no extra hand-over. If one fails, the rest are dropped and the context comes back with PLATFORM_OP_FAILED.
// platform_flush() carries them out at once, for the few callers (execve) that need the memory before going on.
//
// One process may be hostile with its own stub, so an op may fail, never end, or lie: the sentry's safety rests on none of them.
//
// Locking: a stopped ctx belongs to the worker that handles its task; no call on one ctx is made from two threads at once, except
// platform_interrupt() and platform_ops_pending(). as and ctx handles of different contexts are independent.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>

#include "abi/sigaction.h"
#include "abi/types.h"

struct hostfd;
struct platform_as;  // an application address space
struct platform_ctx; // a thread of execution in one

// The range that applications may use; the platform's own parts lie outside it, or in ranges that platform_reserved() lists.
#define APP_MIN 0x10000ull
#define APP_MAX 0x7fff00000000ull // exclusive; the stub lives above

// The op_tag with which a queued copy or transfer of extended state fails (the bytes' place is gone): no mapping was changed.
#define PLATFORM_TAG_COPY 0x7fffffffu
// That with which file_move fails. No mm_op_tag() is as large as these two.
#define PLATFORM_TAG_FILE 0x7ffffffe

#define PLATFORM_COUNTS 256
#define PLATFORM_PATH_COUNTS 1024
#define PLATFORM_RESTS 3

enum platform_event_kind {
	PLATFORM_NONE,
	PLATFORM_SYSCALL,     // the application made a call: nr, args
	PLATFORM_FAULT,       // its code faulted or trapped: the signal Linux would raise
	PLATFORM_INTERRUPTED, // platform_interrupt() took effect
	PLATFORM_OP_FAILED,   // a queued op failed on the host: err (positive), op_tag
	PLATFORM_DEAD,        // its host thread or process is gone: nothing can be done with ctx but ctx_destroy
};

struct platform_event {
	enum platform_event_kind kind;
	bool late; // before it the platform answered calls that late_calls() tells of; with none but SYSCALL, FAULT and INTERRUPTED
	bool tid_cleared; // with exit: the word that PLATFORM_CLEAR_TID is about is 0 already
	union {
		struct {
			uint64_t nr;
			uint64_t args[6];
		} call;
		struct {
			int signo, code;
			uaddr_t addr;
			uint64_t trapno, error_code, cr2; // for the signal frame
		} fault;
		struct {
			int err;
			uint32_t op_tag;
			uint64_t moved; // with PLATFORM_TAG_FILE: how much came or went, as the application's process says
		} failed;
	};
};

// What a task's calls for its own numbers answer.
struct platform_ids {
	uint32_t tgid, tid, ppid, uid, euid, gid, egid;
	const struct rlimit64 *rlimits; // RLIM_NLIMITS of them, read during the call
};

// What a process may do with a descriptor without an event.
struct platform_loan {
	struct hostfd *file; // borrowed; what PREAD, PWRITE and MAP are about. It must be kept
	enum {
		PLATFORM_LEND_PREAD = 1, // pread64
		PLATFORM_LEND_POS = 2, // lseek, from pos on, and with PREAD read
		PLATFORM_LEND_ZEROS = 4, // reading gives zeros
		PLATFORM_LEND_AWAY = 8, // writing does nothing
		PLATFORM_LEND_PWRITE = 16, // pwrite64 up to limit; file must be writable
		// What lies in a file goes to the process, which reads and writes it there; pos says it, in and out:
		PLATFORM_LEND_COUNT = 32, // an eventfd's count
		PLATFORM_LEND_SEMAPHORE = 64, // with COUNT: reading takes 1
		PLATFORM_LEND_BYTES = 128, // a pipe's end that is read; pos: how many bytes, at most PLATFORM_BYTES_MAX, and above 8 bits these
		PLATFORM_LEND_FEEDS = 256, // a pipe's end that is written; the other one is the descriptor feeds, which is lent first and taken back first
		PLATFORM_LEND_MAP = 512, // a late call may map file privately, to be read, executed, or written to
		PLATFORM_LEND_CLOSE = 1024, // a late call may close it; it is a regular file or a directory
		PLATFORM_LEND_END = 2048, // with PREAD or POS: the host's file ends where the file does
		PLATFORM_LEND_NO_TTY = 4096, // TCGETS, TIOCGPGRP and TIOCGWINSZ are answered with ENOTTY
	} kinds;
	int64_t pos;
	uint64_t limit;
	int feeds;
};

#define PLATFORM_BYTES_MAX 7

// A call that the platform carried out by itself, and what it answered, as the application's process says.
struct platform_late {
	uint64_t nr, args[6], ret;
};

#define PLATFORM_LATE_MAX 32
#define PLATFORM_RANDOM_BYTES 32

// Where a process may change its mappings by late calls. All addresses are multiples of the page size but brk's.
struct platform_room {
	uaddr_t brk_start, brk, brk_limit; // it may grow up to there, with a free page behind it
	uaddr_t bottom, top; // a hole: what is mapped without an address ends at its top, if it is longer than hole; top 0: nothing is
	uint64_t hole;
};

// As long as the count at index (below PLATFORM_COUNTS) is what it was, a process has no child (pid 0), or some, pid among them, all to be waited for by
// SIGCHLD, of which there is no news.
struct platform_children {
	uint32_t index, count;
	int pid;
};

// What an answer about a path rests on: none of these counts has changed.
struct platform_rests {
	struct {
		uint32_t index, count;
	} on[PLATFORM_RESTS];
};

// An epoll item (EPOLLIN, level by level) whose file's content is lent, as long as it is: descriptor fd with COUNT or BYTES. data is the event's.
struct platform_item {
	struct platform_as *as;
	int fd;
	uint64_t data;
};

// Where the sentry is to look when a thread ends: what set_robust_list and set_tid_address say.
enum platform_at_end { PLATFORM_ROBUST_LIST, PLATFORM_CLEAR_TID, PLATFORM_AT_ENDS };

enum platform_futex_note { PLATFORM_FUTEX_WAITS, PLATFORM_FUTEX_LEFT, PLATFORM_FUTEX_WAKES };

struct platform_ops {
	const char *name;
	bool single_worker; // every call below must come from the one thread that called start()

	// Called once in the sentry before it is locked down, while it has one thread: makes the stub template. 0 or -errno.
	int (*init)(void);
	// Called on the worker thread(s) before the loop; ptrace attaches to its template here. 0 or -errno.
	int (*start)(void);
	void (*fini)(void);

	// --- events
	// A stopped context with its event, or NULL if none is waiting. Never sleeps. Called by one thread at a time (the leader).
	struct platform_ctx *(*poll)(struct platform_event *out_event);
	// Before a worker sleeps: from now on an event makes wait_fd readable. False: one is there already, don't sleep.
	bool (*prepare_sleep)(void);
	void (*after_sleep)(void); // undoes prepare_sleep and empties wait_fd; events are found by poll again
	int (*wait_fd)(void);
	// May be NULL. After prepare_sleep, by the same thread: for so many milliseconds a worker may sleep, then one is to come by here again; -1: for ever.
	int (*sleep_ms)(void);
	// With it: who lays the lead down without coming by again in time says so first (the leader).
	void (*leaves_for_long)(void);
	// May be NULL. Nothing will come of poll until a context is resumed. The leader asks.
	bool (*all_stopped)(void);

	// --- address spaces and contexts
	// A new empty address space with one stopped context, registers zero. like: a context whose owner will go on there with the same credentials and
	// is as open to others as before; else NULL. 0 or -errno (EAGAIN, ENOMEM).
	int (*as_create)(struct platform_ctx *like, struct platform_ctx **out_ctx);
	// Queued on ctx: a copy-on-write copy of its address space with one context. The child is stopped at once, with a copy
	// of ctx's registers; it may be given ops and resumed before the host has made it. If the host fails to make it, ctx gets
	// PLATFORM_OP_FAILED with the given tag and the child must be destroyed.
	int (*fork)(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child);
	// Queued on ctx: another context in the same address space, else as fork.
	int (*spawn)(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child);
	// Ends the context, wherever it is now; the address space ends with its last one. Never waits.
	void (*ctx_destroy)(struct platform_ctx *ctx);
	// Ends the whole address space's host process at once (group exit with no sharer). Each ctx is still to be destroyed.
	void (*as_kill)(struct platform_ctx *ctx);
	void (*set_owner)(struct platform_ctx *ctx, void *owner);
	void *(*owner)(struct platform_ctx *ctx);

	// --- running
	// Carries out the queued ops, then runs the application. Asynchronous; the outcome is the next event.
	void (*resume)(struct platform_ctx *ctx);
	// Makes a context that is with the application stop soon with PLATFORM_INTERRUPTED. Sticky: if it is stopped, or just being
	// resumed, its next resume comes back at once so (a spurious interruption is harmless). Any thread.
	void (*interrupt)(struct platform_ctx *ctx);

	// May be NULL. From now on the platform may answer getpid, gettid, getppid, getuid, geteuid, getgid, getegid, sched_yield and set_tid_address itself, and
	// getrlimit and prlimit64 of the task itself; ids NULL: no longer (they are about to change, or the calls must be seen). Any thread; the caller orders
	// the calls.
	void (*set_ids)(struct platform_ctx *ctx, const struct platform_ids *ids);

	// May be NULL, all three. While a task is with the application its signal mask lies with the platform: set_sigmask says it before resume,
	// get_sigmask asks for it (any thread; as the application says). While the mask is lent (any thread; the caller orders the calls on one ctx),
	// the platform may answer rt_sigprocmask itself. After a change it looks, with a full barrier, whether the mask still is lent, and if
	// not comes with PLATFORM_INTERRUPTED before the application goes on. lend_sigmask(false) is a full barrier if the mask was lent.
	void (*set_sigmask)(struct platform_ctx *ctx, uint64_t mask);
	uint64_t (*get_sigmask)(struct platform_ctx *ctx);
	void (*lend_sigmask)(struct platform_ctx *ctx, bool lent);
	// May be NULL. With it the platform may carry out rt_sigreturn itself while the mask is lent, as signal_frame_pop() would, from a frame that says just this
	// of the alternate stack, and that is good in all else. Of a stopped context.
	void (*set_altstack)(struct platform_ctx *ctx, const stack_t *ss);

	// May be NULL, all five. Signal actions that are lent: the platform may answer rt_sigaction itself where that succeeds. They lie with home, a context
	// of their process that there is as long as they are lent. The caller orders the calls on one home.
	// Lends those of actions that are in which (a signal set); first: nothing is lent yet. What it can't keep it doesn't take: those that it did.
	uint64_t (*lend_actions)(struct platform_ctx *home, const struct ksigaction actions[NSIG_MAX], uint64_t which, bool first);
	// ctx's calls are about those that lie with home, if the platform can do that; NULL: none.
	void (*use_actions)(struct platform_ctx *ctx, struct platform_ctx *home);
	uint64_t (*actions_changed)(struct platform_ctx *home); // no others are different from what they were when they were lent
	// As it is now, as the application says; never more than rt_sigaction takes (KSA_KNOWN), but mask may be any.
	void (*get_action)(struct platform_ctx *home, int sig, struct ksigaction *out);
	void (*take_action)(struct platform_ctx *home, int sig, struct ksigaction *out); // and from now on it isn't lent

	// May be NULL, all three. A wait on this epoll descriptor finds nothing, as long as the count at index (below PLATFORM_COUNTS) is what it was: one
	// without a timeout the platform may answer itself to the stopped context. except, if not NULL, is found when it is true. The counts are
	// everybody's; any thread.
	void (*epoll_quiet)(struct platform_ctx *ctx, int fd, uint32_t index, uint32_t count, const struct platform_item *except);
	uint32_t (*count)(uint32_t index);
	void (*count_up)(uint32_t index);

	// May be NULL, with count. What a wait4 of the stopped context finds; NULL: that isn't known. The platform may answer one itself, and one that
	// waits need only come as an event when something else does.
	void (*set_children)(struct platform_ctx *ctx, const struct platform_children *children);

	// May be NULL, all five. asks_rests: the process asks about this path again, or another one did, and the platform would keep the answer to the call of this
	// stopped context, if keep_answer says on what it rests: path_counts (below PLATFORM_PATH_COUNTS), everybody's; any thread. Until one of them has
	// changed the platform may answer the same call itself. What the sentry says of the call must be 0, with a struct stat copied out or nothing,
	// or an error, or how long a link's target is that was copied out, and the same to all of the process's calls of that kind, flags (but for descriptors) and
	// path, which is len bytes with its NUL, as it was copied in. An absolute one's must be the same to all processes, until names_apart.
	bool (*asks_rests)(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], const char *path, size_t len);
	void (*keep_answer)(struct platform_ctx *ctx, const struct platform_rests *rests, long ret, const void *answer, size_t len);
	void (*names_apart)(void);
	uint32_t (*path_count)(uint32_t index);
	void (*path_count_up)(uint32_t index);

	// May be NULL, all three; path_counts as above. asks_stat: the open of this stopped context is likely to be followed by an fstat. keep_stat, once its
	// result is known to be a descriptor of a table that ctx shares with nobody: the platform may answer the fstat itself, with *st, until one of the counts that it
	// rests on has changed or ctx makes a call that may change the descriptor or share the table. Likewise, while ctx changes no flags and the first of the counts is what
	// it was, fcntls that ask for them or set them to what they are: flags is what F_GETFL says, and O_CLOEXEC. keep_end: the getdents64 of this stopped context has come to
	// the directory's end. If keep_stat was about its descriptor the platform may answer the next one with 0 while that holds and ctx makes no lseek.
	bool (*asks_stat)(struct platform_ctx *ctx);
	void (*keep_stat)(struct platform_ctx *ctx, const struct platform_rests *rests, const struct stat *st, uint32_t flags);
	void (*keep_end)(struct platform_ctx *ctx);

	// May be NULL. The platform may answer a wake of a private futex itself while nobody waits. Who waits says so (before it looks at the
	// word), who wakes says so (before it looks for waiters), who stops waiting says so. A task's own context, stopped, or one that its
	// own call keeps from ending. Any thread.
	void (*futex_note)(struct platform_ctx *ctx, uaddr_t addr, enum platform_futex_note note);
	// With it: the word that the call of this context waits for, after PLATFORM_FUTEX_WAITS. False: it must be read.
	bool (*futex_word)(struct platform_ctx *ctx, uaddr_t addr, uint32_t *out_word);

	// May be NULL, all three. Late calls: a process's only thread, whose memory and descriptors are nobody else's, may close what is lent for that, and, with
	// room, call mmap, munmap, mprotect and brk where that takes no more than a look at room and the host's doing so, and nothing becomes
	// executable but a file's private mapping that can't be written to. The platform carries them out and tells of them with the next event.
	// set_late, of a stopped context: so it may from now on, or no longer (also at spawn).
	void (*set_late)(struct platform_ctx *ctx, bool may, const struct platform_room *room);
	// Those that came before the event, in their order; each is told once. The application may say anything.
	unsigned (*late_calls)(struct platform_ctx *ctx, struct platform_late out[PLATFORM_LATE_MAX]);
	bool (*late_untold)(struct platform_ctx *ctx); // there are some by now; any thread

	// May be NULL. From now on the platform may answer set_robust_list itself, arch_prctl where it is about fs_base, and with futex_note what that says.
	void (*may_answer)(void);
	// May be NULL. Random bytes, which a stopped context's getrandom may give, each once; none that are left of others.
	void (*give_random)(struct platform_ctx *ctx, const uint8_t bytes[PLATFORM_RANDOM_BYTES]);
	// May be NULL. This call isn't built: from now on the platform may answer it with ENOSYS itself.
	void (*not_built)(uint64_t nr);
	// May be NULL, both. What is to be looked at when a context ends, 0: nothing, lies with the platform in any case: the application may say anything.
	uaddr_t (*at_end)(struct platform_ctx *ctx, enum platform_at_end what);
	void (*set_at_end)(struct platform_ctx *ctx, enum platform_at_end what, uaddr_t addr);

	// May be NULL. The call of this stopped context will take a while.
	void (*parks)(struct platform_ctx *ctx);
	// May be NULL. The leader asks, when poll has nothing: true if what comes next may need the very processor that it waits awake on, so
	// that it had better sleep.
	bool (*in_the_way)(void);
	// May be NULL. A hint: the next event is likely to come soon, from a context that a transfer of bytes (file_move) is left to.
	bool (*expects)(void);
	// May be NULL. A hint: how long it took of late from an event to its being found by a leader who was woken for it, in ns; 0: not known.
	int64_t (*wake_ns)(void);

	// May be NULL. A hint: the host's processor where the context whose event came last ran then (its number's low 8 bits); -1: there was none.
	int (*last_cpu)(void);

	// --- registers of a stopped context
	void (*get_regs)(struct platform_ctx *ctx, struct user_regs_struct *out_regs); // orig_rax is the call's number, or -1
	void (*set_regs)(struct platform_ctx *ctx, const struct user_regs_struct *regs); // all, fs_base and gs_base too
	void (*set_ret)(struct platform_ctx *ctx, uint64_t rax); // the cheap way: only the call's result
	// Extended state (XSAVE format, as in a signal frame, but without the software-reserved bytes). Queued, in order.
	uint32_t (*xstate_size)(void);     // bytes that save_xstate writes; 64-byte aligned address required
	uint64_t (*xstate_features)(void); // XCR0 as the application sees it
	int (*save_xstate)(struct platform_ctx *ctx, uaddr_t dst);
	int (*load_xstate)(struct platform_ctx *ctx, uaddr_t src, uint64_t features); // a bad image fails the op
	int (*reset_xstate)(struct platform_ctx *ctx); // to the state after execve

	// --- application memory of a stopped context. 0, or -EFAULT with nothing promised about a partial copy.
	int (*copy_in)(struct platform_ctx *ctx, void *dst, uaddr_t src, size_t len);
	// A NUL-terminated string into dst[cap]: its length without the NUL, -EFAULT, or -ENAMETOOLONG if there is no NUL in cap bytes.
	long (*copy_in_str)(struct platform_ctx *ctx, char *dst, uaddr_t src, size_t cap);
	// May be carried out with the queued ops, in order with them (visible to copy_in only after that).
	int (*copy_out)(struct platform_ctx *ctx, uaddr_t dst, const void *src, size_t len);
	// A place of len bytes that will be copied to dst when ctx resumes, for filling by a host read; NULL if len is too long for it
	// (then use copy_out). commit gives the bytes really written there (0 drops it); one reservation at a time, and nothing is
	// queued in between.
	void *(*copy_out_reserve)(struct platform_ctx *ctx, uaddr_t dst, size_t len);
	void (*copy_out_commit)(struct platform_ctx *ctx, size_t len);
	// The application's bytes [src, src+len) if they already lie in memory shared with the sentry: for passing straight to a host
	// write, never for looking at twice. NULL if they don't (then use copy_in).
	const void *(*peek_in)(struct platform_ctx *ctx, uaddr_t src, size_t len);
	// Atomic compare and exchange of a 32-bit word in application memory, now. 0 or -EFAULT; *actual is the old value.
	int (*cmpxchg32)(struct platform_ctx *ctx, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual);

	// --- files that the application's process reads and writes by itself, so that the bytes don't travel; file_move NULL: it can't.
	// Queued: all of [addr, addr+len) is read from file at offset (or written), by the host's rules and on descriptors that the process keeps:
	// false if it doesn't keep this one (yet), and nothing is queued. Fails (PLATFORM_TAG_FILE) if not all of it was moved, whatever the
	// reason. One a call.
	bool (*file_move)(struct platform_ctx *ctx, struct hostfd *file, uaddr_t addr, size_t len, uint64_t offset, bool write);
	// Queued: from now on the process keeps file, until others take its place or files_drop(). As with operations on the address space
	// none may be pending for another context. What it keeps the application can use for all that the descriptor allows, whatever the
	// sentry thinks. 0 or -errno.
	int (*file_keep)(struct platform_ctx *ctx, struct hostfd *file);
	// May be NULL. Queued: the process has file, as if it had mapped it lately, so that it can be lent with MAP, PREAD or POS at once. 0 or -errno.
	int (*file_foresee)(struct platform_ctx *ctx, struct hostfd *file);
	// Queued: it keeps none. Who calls it does so where a process becomes another one: with other credentials, or else with another program.
	void (*files_drop)(struct platform_ctx *ctx, bool cred_changed);

	// --- descriptors that are lent to the application's process: it answers what loan says by itself, as long as all of it can be done; what
	// can't comes as an event. lend NULL: it can't. The caller orders the calls for one descriptor. Taking back is complete when the call
	// returns: what the process then still answers is what it did before. What it says of a position is its own business.
	// Lends descriptor fd of table (whatever that is to the caller; all that is lent to one address space is of one table) to ctx's address
	// space, for those of its contexts that were lent something of that table. What was lent of it before is replaced.
	// 0; -ENOENT: the file isn't kept; -EBUSY: not now.
	int (*lend)(struct platform_ctx *ctx, const void *table, int fd, const struct platform_loan *loan, struct platform_as **out_as);
	void (*lent_no_tty)(struct platform_as *as, int fd); // NO_TTY, too, if anything still is
	// POS, too, from pos on: what else it still is stays. It is on loan to ctx's address space, by the same table, as one that has no other use for pos.
	// 0; -EBUSY: it is to another one.
	int (*lent_give_pos)(struct platform_ctx *ctx, struct platform_as *as, int fd, int64_t pos);
	int64_t (*lent_take_pos)(struct platform_as *as, int fd); // takes POS back, but nothing else; its position. as has a context
	int64_t (*lent_take_back)(struct platform_as *as, int fd); // all of it
	int64_t (*lent_peek)(struct platform_as *as, int fd); // pos, while it is lent
	// The process does nothing with it any more, but where the position is stays there. True: a write that it has begun may still be under way.
	bool (*lent_stop)(struct platform_as *as, int fd);
	// How long ago it began to write last, as it says, in ns; -1: not since it was asked last, or since it was lent. Also just after it was taken back.
	int64_t (*lent_written)(struct platform_as *as, int fd);
	void (*lent_leave)(struct platform_ctx *ctx); // the context has another table now
	void (*lent_watch)(bool on); // all transfers are to be events, of all processes
	void (*lent_limit)(void); // all writes are, from now on

	// --- operations on the address space, queued on ctx. The sentry has checked that the ranges are page-aligned and inside
	// [APP_MIN, APP_MAX). 0, or -ENOMEM when the queue is full after a flush was tried. Maps replace what was there (MAP_FIXED).
	int (*map_anon)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool noreserve);
	// Borrows file until the op is done (takes its own reference). shared: MAP_SHARED, else MAP_PRIVATE.
	int (*map_file)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool shared,
			struct hostfd *file, uint64_t offset);
	int (*unmap)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len);
	int (*protect)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot);
	// flags: 0 or MREMAP_DONTUNMAP; moves to new_addr if that differs, replacing what is there.
	int (*remap)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len,
		     int flags);
	int (*advise)(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int advice);
	// May be NULL. While it is lent, the platform may carry out MADV_DONTNEED and MADV_FREE in ctx's address space by itself, where the host just does
	// it. Taking it back is queued on ctx: with that done, those that were begun are, too. The caller orders the calls for one address space.
	int (*lend_advice)(struct platform_ctx *ctx, uint32_t op_tag, bool lent);
	// May be NULL. A hint, queued: in this range, which a file was just mapped in privately and nobody has run yet, there is a system call or a cpuid
	// instruction before each of these n offsets (of 32 bits). The platform may change the code so that they take less.
	void (*calls_at)(struct platform_ctx *ctx, uaddr_t addr, uint64_t len, int prot, const uint32_t *offsets, unsigned n);
	// A memory barrier on the address space's threads that run (membarrier's private expedited command).
	int (*barrier)(struct platform_ctx *ctx, uint32_t op_tag);
	// Unmaps every application mapping (execve in place); forgets patched call sites.
	int (*unmap_all)(struct platform_ctx *ctx, uint32_t op_tag);
	// Carries out what is queued now and waits for it: 0 or the -errno of the op that failed, -ESRCH if the stub died.
	int (*flush)(struct platform_ctx *ctx);
	// May be NULL. As flush, but a failure is reported after the next resume: before ctx stays here for long, while other contexts of its address
	// space change that. It has had an event.
	void (*settle)(struct platform_ctx *ctx);
	// May be NULL. ctx, stopped, is about to be given operations: what they are rests on its address space as it is now.
	void (*ops_begin)(struct platform_ctx *ctx);
	// True from ops_begin until ctx parks, settles, or has done the ops that it was resumed with: then no other context of this address
	// space may be given operations (they could be carried out in the wrong order). The platform calls kernel_ops_done(owner) once, later,
	// if it answered true.
	bool (*ops_pending)(struct platform_ctx *ctx);

	// --- for procfs and the loader
	pid_t (*host_pid)(struct platform_ctx *ctx); // of the address space's host process; 0 if there is none yet
	// Host CPU time that the context has used since it was made, user and kernel mode; 0 if it is gone. A host call or more, so
	// only when somebody asks, and before ctx_destroy.
	uint64_t (*cpu_ns)(struct platform_ctx *ctx);
	uaddr_t (*vdso)(void); // where the host's vDSO lies in every address space (its image is in the sentry's own, too); 0: none
};

// The platform in use, chosen at start; const after that.
extern const struct platform_ops *platform;
extern const struct platform_ops systrap_ops, ptrace_ops;

// What the platform calls in the kernel (implemented in sentry/kernel; in the platform's own tests by a small double).
void kernel_ops_done(void *owner);
// The host's thread or process of a stopped context is gone: its owner may wait for long before it would resume it and hear PLATFORM_DEAD.
// Only from poll(); ctx is there until poll() returns.
void kernel_ctx_died(struct platform_ctx *ctx);
// Around a wait of the platform's own that may take long: another worker takes over (sentry/kernel/kernel.h).
void kernel_away_begin(void);
void kernel_away_end(void);
// A private mapping that is executable and not writable.
struct platform_code {
	int prot; // PROT_*
	uaddr_t start;
	uint64_t len; // bytes
};
// The one that [addr, addr+len) lies in, in the address space of owner. False: in none.
bool kernel_code(void *owner, uaddr_t addr, size_t len, struct platform_code *out);
// True if a process with the same credentials may change its owner's memory (ptrace's rule).
bool kernel_open_to_kin(void *owner);
