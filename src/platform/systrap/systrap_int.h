// The systrap platform's own: address spaces, contexts, and what its files ask of each other.
//
// A stopped context belongs to its worker, so its plain fields need no lock. Contexts are found by number in two tables of events.c: their
// modes, dense, so that the poller scans many at a glance, and their addresses. Only the poller frees. Lock order: registry_mu, as->mu,
// ids_mu.
#pragma once

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "lib/mutex.h"
#include "platform/platform.h"
#include "platform/systrap/channel.h"

// By the time-stamp counter and the monotonic clock.
struct moment {
	uint64_t tsc;
	int64_t ns;
};

struct platform_as {
	struct mutex mu;
	uint8_t *chan;  // the channel, CHAN_BYTES long
	int sock;       // files go to the stub here; its first message names its process
	int stub_sock;  // the stub's end, until it is passed; -1
	int chan_fd;    // likewise; or for as long as the channel's memory may go to a relative
	_Atomic pid_t pid; // 0: not known (yet). Stays reserved, as a zombie if need be, until the as is freed.
	_Atomic bool leaves; // its process ends by itself
	_Atomic bool spawned; // it has, or had, more than one thread
	_Atomic bool dead; // its process ended, or could not be made
	_Atomic uint64_t site_late; // a site that a thread asked to patch with its last call
	uint64_t ncalls, nsignalled; // the poller's: calls that came to the sentry, and how many of them by signal
	// Guarded by mu; the poller looks at the first three without it:
	_Atomic bool kill_wanted; // once its process is known
	_Atomic int nalive; // contexts that aren't destroyed
	_Atomic int nctx; // contexts that aren't freed
	uint8_t slots[SLOTS_MAX]; // enum slot_use
	uint32_t nslots;  // that were ever used
	struct {
		struct hostfd *file; // with a reference; NULL: free
		uint32_t used_at;
		bool code; // it was mapped as such
	} cache[STUB_FD_CACHE_LEN];
	struct {
		struct hostfd *file; // with a reference; NULL: none, or one that is on its way out
		struct platform_ctx *bringer; // who was sent for it, until it has come back
		uint32_t used_at;
		uint32_t pins; // contexts that may be about to use the descriptor
	} files[STUB_FD_FILES_LEN];
	struct { // descriptors that are lent to the process (lend.c)
		const void *table; // whose they are
		uint32_t n;
		uint64_t number; // of the last change
		uint32_t kinds[CHAN_LENT]; // LENT_* of those on loan
		bool on_loan[CHAN_LENT];
		struct moment since[CHAN_LENT]; // of those that may be written to: when they were lent
	} lent;
	bool advice_lent; // to some context; the caller orders what is about it
	uint32_t cache_clock;
	bool has_files; // or may have had since the last OP_DROP
	struct kin *kin; // with a reference, once it has forked or was forked; NULL: none
	uint32_t kin_known; // of what they learnt
	bool forked;
	bool watched; // the poller's: its first message is watched for (events_watch)
	struct family *family; // with a reference; NULL: none
	LIST_ENTRY(platform_as) registry_link; // Guarded by registry_mu.
	struct platform_as *next_dying; // the poller's: nothing is left but to reap it
};

enum { CPU_UNKNOWN = 0x100 };

enum slot_use { SLOT_FREE, SLOT_TAKEN, SLOT_LEAVING };

// Where a context is.
enum ctx_mode {
	MODE_STOPPED, // in the sentry's hands; resume and destroy move it on
	MODE_APP,     // with the application; its slot tells when that ends
	MODE_READY,   // ready_event is to be reported
	MODE_GONE,    // destroyed: the poller frees it
};

enum { OUT_AHEAD_MAX = 256, IN_AHEAD_MAX = 128 };

struct platform_ctx {
	struct platform_as *as;
	struct slot *slot;
	uint32_t index; // of the slot
	uint32_t id;    // in the tables
	void *_Atomic owner;
	_Atomic bool dying;       // destroyed while with the application
	_Atomic bool interrupted; // slot->interrupt was set
	_Atomic bool watch_ops;   // kernel_ops_done() is owed
	_Atomic bool ops_begun;   // ops may be queued, or will be; from here on
	_Atomic bool ops_out;     // it was resumed with them, and nobody knows that they are done
	_Atomic uint32_t ops_sent; // of how many answers; see slot->ops_done
	struct platform_event ready_event;
	bool death_told;          // the poller's: kernel_ctx_died() was called
	// The worker's:
	uint16_t cpu;           // low 8 bits of where the stub ran, or CPU_UNKNOWN
	bool leaves;            // its thread ends by itself
	bool unborn;            // resumed, and not seen to run since it was made
	int64_t made_ns;        // when; by the monotonic clock
	_Atomic uint64_t used_ns; // CPU time, while it is stopped at the call that ends the thread, or may; else 0. Anybody asks.
	bool ret_set, regs_set;
	uint32_t born;          // a number that no other has, nor it once it forgot its names
	bool asks_rests, asks_stat; // its call did
	bool rests_set;         // the answer may be kept, see rests
	bool at_end;            // its getdents64 found all that there is
	bool site_wanted;       // the call came from a site that could be patched
	uint64_t site_after;    // what follows it
	// By the time-stamp counter:
	uint64_t answered_at;   // when it got its last answer
	uint64_t stub_looks_at; // when the stub began to look for that, as it said
	uint64_t seen_at;       // the later of the two: its next event's time is counted from then
	uint64_t look_at;       // the poller need not look any sooner
	uint16_t due;           // how soon that comes (due_learn)
	uint64_t ret;
	uint32_t nops;
	struct slot_op op;      // the first of them: alone it may go in line 0
	struct {                // the answer's only op, as long as it is one: a copy, which line 0 has room for. len 0: none
		uaddr_t dst;
		uint32_t len, offset; // in the data area, or COPY_INLINE: bytes
		uint8_t bytes[SLOT_INLINE_BYTES] __attribute__((aligned(8)));
	} copy;
	uint32_t data_used;     // of the data area
	uint32_t in_ahead;      // bytes at the data area's begin that the next call may bring, as the last one did
	uint32_t out_ahead;     // bytes of it that the next answer may take, as the last one did
	uaddr_t reserved_dst;   // of the reservation at data_used,
	bool reserved_inline;   // or of copy.bytes
	int op_err;             // of an op that failed in a flush: reported at the next resume
	uint32_t op_tag;
	struct {
		uaddr_t addr;
		uint64_t len, offset; // len 0: nothing is to be moved
		uint32_t index;
		bool write;
	} move;
	uint32_t pinned;        // of as->files, a bit each: until the next event
	uint32_t file_hint;     // which it used last
	uint32_t nsegs;         // of the call's arguments, checked
	uint32_t seg_found[2];  // the one that was used last, and before that
	struct slot_seg segs[1 + SLOT_SEGS]; // the first argument's is not among the slot's
	struct platform_rests rests; // with rests_set: what the answer rests on
};

// channel.c
struct channel {
	int sock, stub_sock, fd;
	uint8_t *at;
};

int channel_take(struct channel *inout); // with memory or without it (at NULL). 0, or -errno: then that is gone, too
void channel_drop(const struct channel *c); // with -1 for what isn't there any more
void channel_work_ahead(bool quiet); // poller only: a piece of what is to be done when nothing happens, or hasn't for a while

// template.c
int systrap_template_create(struct platform_as **out_as); // starts the process that all others are made from
int systrap_template_wait(struct platform_as *as);        // until it is there: the sentry has more to do meanwhile
extern struct stub_param *stub_param; // the sentry's writable view
extern int stub_doorbell;             // what a stub writes to
extern int stub_processors;           // that we may run on, all of us
extern uaddr_t stub_vdso;
extern pid_t stub_group;              // the process group of all stubs
extern uint64_t stub_xfeatures;

// filter.c: what a stub may ask of the host. 0 or -errno.
int stub_filter_install(uint64_t text_start, uint64_t text_end);

// context.c
int as_create_empty(const struct channel *memory, struct platform_as **out_as); // with its channel (in that memory, or NULL) and socket, no process
void as_free(struct platform_as *as);
pid_t as_pid(struct platform_as *as); // 0 if it isn't known (yet)
void as_kill_process(struct platform_as *as);
struct platform_as *as_find(pid_t pid);
void systrap_ctx_free(struct platform_ctx *ctx); // poller only
void ctx_let_exit(struct platform_ctx *ctx); // a stopped thread ends
bool reap(void); // poller only; true if processes of living contexts were found dead
bool reap_dying(void); // frees those whose contexts are gone and that have ended; true: no others are left
void know_unsure(void); // poller only: looks whether processes came to be whose makers ended meanwhile
int context_init(struct platform_as *template_as);
int systrap_as_create(struct platform_ctx *like, struct platform_ctx **out_ctx);
int systrap_fork(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child);
int systrap_spawn(struct platform_ctx *ctx, uint32_t op_tag, struct platform_ctx **out_child);
void ctx_forget_names(struct platform_ctx *ctx); // what its slot keeps of names is another's
void systrap_ctx_destroy(struct platform_ctx *ctx);
void systrap_as_kill(struct platform_ctx *ctx);

// events.c
int systrap_events_init(void);
int systrap_events_start(void);
int systrap_events_add(struct platform_ctx *ctx); // gives it its number. 0 or -EAGAIN
void systrap_events_remove(struct platform_ctx *ctx);
enum ctx_mode ctx_mode(struct platform_ctx *ctx);
void ctx_gone(struct platform_ctx *ctx); // a stopped context: to be freed
void events_watch(int sock, bool on); // from now on the leader looks at the children when something happens to it
void events_death(void); // an as turned out to be dead, of which the host tells nobody: it never had a process
void ctx_unborn(struct platform_ctx *ctx); // a new one, whose thread will be made by an op
struct platform_ctx *systrap_poll(struct platform_event *out_event);
bool systrap_prepare_sleep(void);
void systrap_after_sleep(void);
int systrap_wait_fd(void);
int systrap_sleep_ms(void);
void systrap_leaves_for_long(void);
bool systrap_all_stopped(void);
void systrap_resume(struct platform_ctx *ctx);
void systrap_parks(struct platform_ctx *ctx);
bool systrap_in_the_way(void);
bool systrap_asks_stat(struct platform_ctx *ctx);
void systrap_keep_end(struct platform_ctx *ctx);
void systrap_keep_stat(struct platform_ctx *ctx, const struct platform_rests *rests, const struct stat *st, uint32_t flags);
bool systrap_expects(void);
int64_t systrap_wake_ns(void);
struct moment moment_now(void);
int64_t moment_ns(const struct moment *since, uint64_t cycles); // how long so many cycles take, by what has gone by since then
int systrap_last_cpu(void);
void systrap_interrupt(struct platform_ctx *ctx);
void systrap_ops_begin(struct platform_ctx *ctx);
bool systrap_ops_pending(struct platform_ctx *ctx);
int systrap_flush(struct platform_ctx *ctx);
void systrap_settle(struct platform_ctx *ctx);

// ops.c: the queue
struct slot_op *op_queue(struct platform_ctx *ctx, enum slot_op_kind kind, uint32_t tag); // NULL: no room, even after a flush
uint32_t ops_put(struct platform_ctx *ctx); // into the slot: STATE_OP, STATE_OPS, or 0 if there are none
int as_send(struct platform_as *as, const int *fds, int n); // descriptors for an op. 0 or -errno
void op_cache_inherit(struct platform_as *from, struct platform_as *to);
void op_cache_drop(struct platform_as *as);
void op_cache_forget(struct platform_as *as); // what is there is about to be closed
int cache_place_locked(struct platform_as *as, struct hostfd *file); // where the stub has it, or will at the next op; -ENOENT
int systrap_map_anon(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool noreserve);
int systrap_map_file(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot, bool shared, struct hostfd *file,
		     uint64_t offset);
int systrap_file_foresee(struct platform_ctx *ctx, struct hostfd *file);
int systrap_unmap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len);
int systrap_protect(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int prot);
int systrap_remap(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, uaddr_t new_addr, uint64_t new_len, int flags);
int systrap_advise(struct platform_ctx *ctx, uint32_t op_tag, uaddr_t addr, uint64_t len, int advice);
void systrap_calls_at(struct platform_ctx *ctx, uaddr_t addr, uint64_t len, int prot, const uint32_t *offsets, unsigned n);
int systrap_lend_advice(struct platform_ctx *ctx, uint32_t op_tag, bool lent);
int systrap_barrier(struct platform_ctx *ctx, uint32_t op_tag);
int systrap_unmap_all(struct platform_ctx *ctx, uint32_t op_tag);
int systrap_save_xstate(struct platform_ctx *ctx, uaddr_t dst);
int systrap_load_xstate(struct platform_ctx *ctx, uaddr_t src, uint64_t features);
int systrap_reset_xstate(struct platform_ctx *ctx);

// Lets the stub patch the call site before `after`, if the kernel says that the code there is private and not writable.
void op_patch(struct platform_ctx *ctx, uint64_t after);

// common_names.c: answers about paths
bool systrap_asks_rests(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], const char *path, size_t len);
void systrap_keep_answer(struct platform_ctx *ctx, const struct platform_rests *rests, long ret, const void *answer, size_t len);
void systrap_names_apart(void);

// cpuid.c: what the processor says of itself, for the stubs
void cpuid_tell(void);

// kin.c: what the processes that came from each other by fork learn of their code
void kin_saw(struct platform_as *as, uint64_t after); // a call came by a signal; what follows its site
void kin_teach(struct platform_ctx *ctx);             // before it forks
void kin_join(struct platform_as *parent, struct platform_as *child);
void kin_leave(struct platform_as *as);

// family.c: channels that go from one process to the next
bool family_take(struct platform_ctx *relative, struct channel *out); // memory for the channel of one who joins; false: there is none
void family_found(struct platform_as *as); // it is going to have a second context: from then on it is too late
void family_join(struct platform_ctx *relative, struct platform_as *child); // NULL: nobody's. child's chan_fd stays open, or is closed
void family_leave(struct platform_as *as);
void family_give(struct platform_as *as); // its process is gone: takes the channel's memory, if it is of use

// files.c: what a stub reads by itself
void files_settle(struct platform_ctx *ctx, bool failed); // ctx has come back, or is gone
void files_inherit(struct platform_as *from, struct platform_as *to);
void files_free(struct platform_as *as);
bool systrap_file_move(struct platform_ctx *ctx, struct hostfd *file, uaddr_t addr, size_t len, uint64_t offset, bool write);
int systrap_file_keep(struct platform_ctx *ctx, struct hostfd *file);
void systrap_files_drop(struct platform_ctx *ctx, bool cred_changed);

int file_place_locked(struct platform_as *as, struct hostfd *file); // that any context can use. -ENOENT, -EBUSY: just being brought

// lend.c
// A place is one of the stub's descriptors from STUB_FD_CACHE on.
void lent_forget_place_locked(struct platform_as *as, uint32_t place); // as->mu is held: another file comes there
int systrap_lend(struct platform_ctx *ctx, const void *table, int fd, const struct platform_loan *loan, struct platform_as **out_as);
void systrap_lent_no_tty(struct platform_as *as, int fd);
int systrap_lent_give_pos(struct platform_ctx *ctx, struct platform_as *as, int fd, int64_t pos);
int64_t systrap_lent_take_pos(struct platform_as *as, int fd);
int64_t systrap_lent_take_back(struct platform_as *as, int fd);
int64_t systrap_lent_peek(struct platform_as *as, int fd);
uint64_t lent_what(struct platform_as *as, int fd); // as its process says
bool lent_writes_locked(struct platform_as *as, uint32_t place); // a thread may be writing there, whatever is lent now
bool systrap_lent_stop(struct platform_as *as, int fd);
int64_t systrap_lent_written(struct platform_as *as, int fd);
void systrap_lent_limit(void);
void systrap_lent_leave(struct platform_ctx *ctx);
void systrap_lent_watch(bool on);

// late.c
void systrap_set_late(struct platform_ctx *ctx, bool may, const struct platform_room *room);
unsigned systrap_late_calls(struct platform_ctx *ctx, struct platform_late out[PLATFORM_LATE_MAX]);
bool systrap_late_untold(struct platform_ctx *ctx);

// actions.c
uint64_t systrap_lend_actions(struct platform_ctx *home, const struct ksigaction actions[NSIG_MAX], uint64_t which, bool first);
void systrap_use_actions(struct platform_ctx *ctx, struct platform_ctx *home);
uint64_t systrap_actions_changed(struct platform_ctx *home);
void systrap_get_action(struct platform_ctx *home, int sig, struct ksigaction *out);
void systrap_take_action(struct platform_ctx *home, int sig, struct ksigaction *out);

// memory.c: copies
bool data_put(struct platform_ctx *ctx, const void *src, size_t len, uint32_t *out_offset); // into the data area. False: no room
void copy_put(struct platform_ctx *ctx);   // into line 0
void copy_to_op(struct platform_ctx *ctx); // it won't be the only one
int systrap_copy_in(struct platform_ctx *ctx, void *dst, uaddr_t src, size_t len);
long systrap_copy_in_str(struct platform_ctx *ctx, char *dst, uaddr_t src, size_t cap);
int systrap_copy_out(struct platform_ctx *ctx, uaddr_t dst, const void *src, size_t len);
void *systrap_copy_out_reserve(struct platform_ctx *ctx, uaddr_t dst, size_t len);
void systrap_copy_out_commit(struct platform_ctx *ctx, size_t len);
const void *systrap_peek_in(struct platform_ctx *ctx, uaddr_t src, size_t len);
int systrap_cmpxchg32(struct platform_ctx *ctx, uaddr_t addr, uint32_t expected, uint32_t desired, uint32_t *actual);
