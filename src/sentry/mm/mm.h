// An application's address space as the sentry sees it: the tree of its mappings. The pages are the host's business
// (DESIGN 5): each change is decided here under mm->mu, queued on the calling task's context, and carried out by it.
#pragma once

#include <bsd/sys/tree.h>
#include <sys/mman.h>

#include "abi/types.h"
#include "lib/mutex.h"
#include "lib/ref.h"
#include "sentry/kernel/waitq.h"

struct file;
struct hostfd;
struct platform_ctx;
struct platform_room;
struct task;

// What a file's mmap answers: the host object behind it. hostfd NULL: anonymous private memory (MAP_PRIVATE of /dev/zero).
struct vm_backing {
	struct hostfd *hostfd; // counted; the caller takes it over
	uint64_t offset; // in hostfd
	bool deny_shared_write; // MAP_SHARED of a file opened read-only: mprotect can't add PROT_WRITE
	bool host_denies; // nor could the host, by this descriptor
	bool deny_exec; // of a mount with noexec: mprotect can't add PROT_EXEC
};

struct vma {
	RB_ENTRY(vma) node;
	uaddr_t start, end; // page-aligned, end exclusive
	int prot; // PROT_*
	int max_prot;
	int flags; // MAP_SHARED or MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MAP_GROWSDOWN, MAP_LOCKED
	struct file *file; // counted; for /proc/PID/maps and msync; NULL: anonymous
	uint64_t file_offset; // of start, bytes
	struct hostfd *hostfd; // counted; what the stub maps; NULL: anonymous private
	uint64_t host_offset;
	const char *name; // "[heap]", "[stack]", "[vdso]"; constant strings
	int advice; // VMA_*
	bool ours; // the host doesn't know all there is to know of it: shared memory
	// Of the subtree that it heads (vma.c): its extent, and the largest hole inside.
	uaddr_t sub_start, sub_end;
	uint64_t sub_hole;
	struct vma *next_dead; // mm->dead
};

enum { VMA_DONTFORK = 1, VMA_WIPEONFORK = 2 };

enum { MAPPINGS_PLENTY = 32768 }; // who has more must ask for each, since there is an end to them

struct mm {
	struct ref ref; // tasks, and readers (procfs)
	_Atomic int users; // tasks only
	struct mutex mu;
	// Guarded by mu.
	RB_HEAD(vma_tree, vma) vmas;
	struct vma *dead; // out of the tree, freed by mm_unlock
	uint64_t total_bytes, locked_bytes, data_bytes, our_bytes;
	uint32_t nvmas;
	bool lock_future; // mlockall(MCL_FUTURE)
	_Atomic bool barriers; // registered for mm_barrier
	uaddr_t brk_start, brk, mmap_top; // mmap searches downwards from mmap_top
	uaddr_t code_start, code_end, data_start, data_end, stack_start, arg_start, arg_end, env_start, env_end;
	uint64_t auxv[64]; // as on the stack, for /proc/PID/auxv
	struct platform_ctx *last_ops; // the context that was last given operations; see platform ops_pending
	struct platform_ctx *ctx_hint; // some living context, for mm_read_remote
	struct mm_op { // the latest operations by tag, to undo one that the host refused
		uint32_t tag;
		uaddr_t start, end; // what it mapped; empty: nothing to undo
	} recent[16];
	uint32_t next_tag;
	struct waitq ops_done; // kernel_ops_done wakes it
	// Its only task's, see kernel/late.c:
	bool told; // what is changed here has been done by the platform
	_Atomic bool late_stale; // set_late has yet to be told of a change
};

struct mm *mm_create(void);
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);

// All below: t is the task being handled, and its mm. 0 or -errno; -EAGAINNOW/-EBLOCKED pass through when another thread's
// operations are still under way (a handler returns them).
// Where len bytes that are mapped next would be placed. 0 or the errno that mmap answers.
int mm_find_place(struct mm *mm, uaddr_t hint, uint64_t len, uaddr_t *out_addr);
// addr: a hint, or the place with MAP_FIXED. The mapping's address through out_addr. backing NULL: anonymous (MAP_SHARED anonymous
// gets a memfd here). Takes backing->hostfd over in any case. file: borrowed.
int mm_map(struct task *t, uaddr_t addr, uint64_t len, int prot, int flags, struct file *file, uint64_t file_offset,
	   struct vm_backing *backing, const char *name, uaddr_t *out_addr);
int mm_unmap(struct task *t, uaddr_t addr, uint64_t len);
// Where the platform may change mappings by itself. False: nowhere.
bool mm_room(struct mm *mm, struct platform_room *out);
// prot: with PROT_GROWSDOWN if so asked. As on Linux, what lies before a hole or a forbidden mapping is changed nevertheless.
int mm_protect(struct task *t, uaddr_t addr, uint64_t len, int prot);
int mm_remap(struct task *t, uaddr_t addr, uint64_t len, uint64_t new_len, int flags, uaddr_t new_addr, uaddr_t *out_addr);
int mm_advise(struct task *t, uaddr_t addr, uint64_t len, int advice);
int mm_barrier(struct task *t); // on the other threads that run in mm (membarrier)
int mm_brk(struct task *t, uaddr_t brk, uaddr_t *out_brk);
// mlock and munlock: counted against RLIMIT_MEMLOCK and shown, not carried out (whether the host pages is its own business).
int mm_lock(struct task *t, uaddr_t addr, uint64_t len, bool lock);
int mm_lock_all(struct task *t, bool current, bool future); // false, false: munlockall
// Must precede platform fork/spawn, too: waits for other threads' operations. 0, or codes to return.
int mm_ops_begin(struct task *t);
bool mm_ops_try(struct task *t); // the same without waiting: false if others' are under way
// A context of mm is about to be destroyed, or (attach) has come.
void mm_ctx_gone(struct mm *mm, struct platform_ctx *ctx);
void mm_ctx_attach(struct mm *mm, struct platform_ctx *ctx);
void mm_op_failed(struct task *t, uint32_t op_tag, int err); // PLATFORM_OP_FAILED: takes the mapping out of the tree again
// Forgets every mapping (execve in place); the caller has queued platform unmap_all.
void mm_clear(struct mm *mm);
// A copy of the tree for a forked child (the host copies the pages). NULL: no memory.
struct mm *mm_fork(struct task *t);
// True if [addr, addr+len) is mapped and allows prot everywhere: the early EFAULT check of copy_out.
bool mm_range_ok(struct mm *mm, uaddr_t addr, uint64_t len, int prot);
uint64_t mm_range_len(struct mm *mm, uaddr_t addr, uint64_t len, int prot); // how many bytes from addr on do so
// What is behind addr, for those who must tell one word of memory from another: a shared mapping's object and the offset in it, or mm
// and addr. *out_object is an address that names it, never followed. 1: shared, 0: not, or -EFAULT.
int mm_identify(struct mm *mm, uaddr_t addr, uintptr_t *out_object, uint64_t *out_offset);
// Calls fn for each mapping in order, with mm->mu held.
void mm_each_vma(struct mm *mm, bool (*fn)(void *arg, const struct vma *v), void *arg);
// From any task (procfs, process_vm_readv): copies from or to another process's memory. Bytes or -EFAULT.
int64_t mm_read_remote(struct mm *mm, void *dst, uaddr_t src, size_t len);
// What the host has of it in memory, in pages: all, and what is of files or shared. Zeros if there is no telling.
void mm_resident(struct mm *mm, uint64_t *out_pages, uint64_t *out_shared_pages);
int64_t mm_write_remote(struct mm *mm, uaddr_t dst, const void *src, size_t len);
