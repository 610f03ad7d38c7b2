// Where application and stub meet: the ways out to the application, process and thread births, and the accesses that may fault.
#include "platform/systrap/channel.h"

#define SYS_mmap 9
#define SYS_rt_sigreturn 15
#define SYS_madvise 28
#define SYS_clone 56
#define SYS_exit_group 231
#define CLONE_PROCESS (0x8000 | 17)	/* CLONE_PARENT | SIGCHLD */
// VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, PARENT_SETTID, CHILD_CLEARTID
#define CLONE_THREAD_ALL (0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x100000 | 0x200000)

#define FLAGS_UNUSUAL 0x44500	/* AC, NT, DF, TF: such calls take the slow way */
#define FLAGS_RESULT 0x8d5	/* OF, SF, ZF, AF, PF, CF */

#define REG(n) SLOT_REGS + 8 * n
#define R15 REG(0)
#define R14 REG(1)
#define R13 REG(2)
#define R12 REG(3)
#define RBP REG(4)
#define RBX REG(5)
#define R11 REG(6)
#define R10 REG(7)
#define R9 REG(8)
#define R8 REG(9)
#define RAX REG(10)
#define RCX REG(11)
#define RDX REG(12)
#define RSI REG(13)
#define RDI REG(14)
#define ORIG_RAX REG(15)
#define RIP REG(16)
#define EFLAGS REG(18)
#define RSP REG(19)
#define FS_BASE REG(21)
#define GS_BASE REG(22)

	.section .header, "ax"
	.quad stub_begin, stub_signal, stub_restorer, stub_text_end, stub_trampolines

	.text
	.globl stub_restorer
stub_restorer:
	mov	$SYS_rt_sigreturn, %eax
	syscall

	.globl stub_begin
stub_begin:			// rdi: the slot; the template comes here on its old stack
	lea	SLOT_DATA(%rdi), %rsp
	xor	%ebp, %ebp
	call	stub_template_born

// --- out to the application

	// The application's general registers out of the slot, but for rsp, and rdi, which still points there.
	.macro load_all_but_rdi
	mov	R15(%rdi), %r15
	mov	R14(%rdi), %r14
	mov	R13(%rdi), %r13
	mov	R12(%rdi), %r12
	mov	RBP(%rdi), %rbp
	mov	RBX(%rdi), %rbx
	mov	R11(%rdi), %r11
	mov	R10(%rdi), %r10
	mov	R9(%rdi), %r9
	mov	R8(%rdi), %r8
	mov	RAX(%rdi), %rax
	mov	RCX(%rdi), %rcx
	mov	RDX(%rdi), %rdx
	mov	RSI(%rdi), %rsi
	.endm

	.globl stub_resume_full, stub_window_start, stub_window_end
stub_resume_full:		// rdi: the slot
	lea	SLOT_DATA(%rdi), %rsp
stub_window_start:
	// From here to the iretq the application's registers are still in the slot: a signal here is taken as one in the application.
	cmpl	$0, SLOT_INTERRUPT(%rdi)
	jne	1f
	mov	FS_BASE(%rdi), %rax
	wrfsbase %rax
	mov	GS_BASE(%rdi), %rax
	test	%rax, %rax
	cmovz	%rdi, %rax
	wrgsbase %rax
	pushq	$0x2b
	pushq	RSP(%rdi)
	pushq	EFLAGS(%rdi)
	pushq	$0x33
	pushq	RIP(%rdi)
	load_all_but_rdi
	mov	RDI(%rdi), %rdi
	iretq
stub_window_end:
1:	call	stub_interrupted

// --- in by a patched call site: rcx is the site's record, r11 free; rax, too, where flags are kept and the number is the record's

	// r11: what should be the slot. Its flags are on its stack then, and rdx is in it; otherwise to slow, by way of the next 1 if they are unusual.
	.macro on_our_stack slow
	cmp	%r11, SLOT_SELF(%r11)	// faults or differs when the application has its own gs
	jne	\slow
	mov	%rsp, RSP(%r11)
	lea	SLOT_DATA(%r11), %rsp
	pushfq
	testl	$FLAGS_UNUSUAL, (%rsp)
	jnz	1f
	mov	%rdx, RDX(%r11)
	.endm

	.macro off_our_stack slow
	mov	RSP(%r11), %rsp
	jmp	\slow
	.endm

	// rdx: the pushed flags, the arithmetic ones as lahf and seto left them. Needs eax.
	.macro take_flags from_lahf, from_seto
	popq	%rdx
	andl	$~FLAGS_RESULT, %edx
	orb	\from_lahf, %dl
	movzbl	\from_seto, %eax
	shl	$11, %eax
	orl	%eax, %edx
	.endm

	// What a site's way in leaves alone, into the slot at \at. \site: the site's record. Needs rax.
	.macro save_others at, site
	mov	%rdi, RDI(\at)
	mov	%rsi, RSI(\at)
	mov	%r8, R8(\at)
	mov	%r9, R9(\at)
	mov	%r10, R10(\at)
	mov	%rbp, RBP(\at)
	mov	%r12, R12(\at)
	mov	%r13, R13(\at)
	mov	%r14, R14(\at)
	mov	%r15, R15(\at)
	mov	SITE_AFTER(\site), %rax
	mov	%rax, RIP(\at)
	.endm

	.globl stub_slow_start, stub_slow_keep, stub_slow_cmp, stub_slow_both, stub_slow_end, stub_probe_keep, stub_probe_cmp, stub_probe_both
stub_fast_keep:
	lahf
	seto	%al
	rdgsbase %r11
stub_probe_keep:
	on_our_stack stub_slow_keep
	take_flags %ah, %al
	mov	SITE_NR(%rcx), %eax
	jmp	3f
1:	off_our_stack stub_slow_keep

stub_fast_cmp:
	rdgsbase %r11
stub_probe_cmp:
	on_our_stack stub_slow_cmp
	popq	%rdx
	jmp	3f
1:	off_our_stack stub_slow_cmp

	// Here the flags go into the low bits of rcx, below the record's address.
stub_fast_both:
	mov	%rax, %r11
	lahf
	seto	%al
	shl	$16, %rcx
	mov	%ax, %cx
	mov	%r11, %rax
	rdgsbase %r11
stub_probe_both:
	on_our_stack stub_slow_both
	mov	%rax, RAX(%r11)
	take_flags %ch, %cl
	mov	RAX(%r11), %rax
	shr	$16, %rcx
	jmp	3f
1:	off_our_stack stub_slow_both

	// In by a patched cpuid: rdx is the site's record, and rbx free. The flags go into the low bits of rdx.
	.globl stub_slow_cpuid, stub_probe_cpuid
stub_fast_cpuid:
	mov	%rax, %rbx
	lahf
	seto	%al
	shl	$16, %rdx
	mov	%ax, %dx
	mov	%rbx, %rax
	rdgsbase %rbx
stub_probe_cpuid:
	cmp	%rbx, SLOT_SELF(%rbx)	// as in on_our_stack
	jne	stub_slow_cpuid
	mov	%rsp, RSP(%rbx)
	lea	SLOT_DATA(%rbx), %rsp
	pushfq
	testl	$FLAGS_UNUSUAL, (%rsp)
	jnz	1f
	mov	%rax, RAX(%rbx)
	mov	%rcx, RCX(%rbx)
	popq	%rcx
	andl	$~FLAGS_RESULT, %ecx
	orb	%dh, %cl
	movzbl	%dl, %eax
	shl	$11, %eax
	orl	%eax, %ecx
	mov	%rcx, EFLAGS(%rbx)
	shr	$16, %rdx
	mov	%r11, R11(%rbx)
	save_others %rbx, %rdx
	rdfsbase %rax
	mov	%rax, FS_BASE(%rbx)
	movq	$0, GS_BASE(%rbx)
	mov	%rbx, %rdi
	mov	%rdx, %rsi
	call	stub_fast_cpuid_done
	mov	%rbx, %rdi
	jmp	stub_window3_start
1:	mov	RSP(%rbx), %rsp
	jmp	stub_slow_cpuid

	// Traps for the handler, which knows the state at each.
stub_slow_start:
stub_slow_keep:
	ud2
stub_slow_cmp:
	ud2
stub_slow_both:
	ud2
stub_slow_cpuid:
	ud2
stub_slow_end:

3:	mov	%rdx, EFLAGS(%r11)
	mov	%rdx, R11(%r11)
	mov	RDX(%r11), %rdx
	mov	%rax, SLOT_CALL(%r11)
	mov	%rax, RAX(%r11)
	mov	%rax, ORIG_RAX(%r11)
	mov	%rdi, SLOT_CALL + 8(%r11)
	mov	%rsi, SLOT_CALL + 16(%r11)
	mov	%rdx, SLOT_CALL + 24(%r11)
	mov	%r10, SLOT_CALL + 32(%r11)
	mov	%r8, SLOT_CALL + 40(%r11)
	mov	%r9, SLOT_CALL + 48(%r11)
	mov	%rbx, RBX(%r11)
	save_others %r11, %rcx
	mov	%rax, RCX(%r11)
	rdfsbase %rax
	mov	%rax, FS_BASE(%r11)
	movq	$0, GS_BASE(%r11)
	mov	%r11, %rbx
	mov	%rcx, %rbp
	mov	%r11, %rdi
	mov	%rcx, %rsi
	call	stub_fast_call
	mov	%rbx, %rdi
	test	%eax, %eax
	jz	stub_resume_full
	cmp	$BACK_LONG, %eax
	je	stub_window3_start

	// As stub_resume_full, but the registers that the stub kept need no loading, and no iretq.
	.globl stub_window2_start, stub_window2_end
stub_window2_start:
	cmpl	$0, SLOT_INTERRUPT(%rdi)
	jne	stub_resume_full
	mov	%rbp, %rcx
	cmpb	$SITE_CMPQ, SITE_KIND(%rcx)
	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	RSI(%rdi), %rsi
	mov	RDX(%rdi), %rdx
	mov	R10(%rdi), %r10
	mov	R8(%rdi), %r8
	mov	R9(%rdi), %r9
	mov	RSP(%rdi), %rsp
	jb	5f
	mov	RAX(%rdi), %rax
	mov	SITE_IMM(%rcx), %r11d
	jne	4f
	movslq	%r11d, %r11
	cmp	%r11, %rax
	jmp	6f
4:	cmp	%r11d, %eax
	jmp	6f
5:	mov	EFLAGS(%rdi), %eax
	bt	$11, %eax
	setc	%r11b
	mov	%al, %ah
	add	$0x7f, %r11b		// overflows, if it did before
	sahf
	mov	RAX(%rdi), %rax
6:	mov	EFLAGS(%rdi), %r11
	mov	SITE_RET(%rcx), %rcx
	mov	RDI(%rdi), %rdi
	jmp	*%rcx
stub_window2_end:

	// As stub_resume_full, but no iretq: gs is ours, as the way in found.
	.globl stub_window3_start, stub_window3_end
stub_window3_start:
	cmpl	$0, SLOT_INTERRUPT(%rdi)
	jne	stub_resume_full
	mov	EFLAGS(%rdi), %eax
	bt	$11, %eax
	setc	%cl
	mov	%al, %ah
	add	$0x7f, %cl		// overflows, if it did before
	sahf
	load_all_but_rdi
	mov	RSP(%rdi), %rsp
	mov	RDI(%rdi), %rdi
	jmp	*%gs:RIP
stub_window3_end:

	// Where the table leads, one for each site.
	.globl stub_trampolines, stub_trampolines_end
	.balign	SITE_TRAMPOLINE_BYTES
stub_trampolines:
	.set	i, 0
	.rept	SITES_KEEP
	movabs	$(STUB_SITES + SITES_HEAD + i * SITE_BYTES), %rcx
	jmp	stub_fast_keep
	.balign	SITE_TRAMPOLINE_BYTES
	.set	i, i + 1
	.endr
	.rept	SITES_CMP
	movabs	$(STUB_SITES + SITES_HEAD + i * SITE_BYTES), %rcx
	jmp	stub_fast_cmp
	.balign	SITE_TRAMPOLINE_BYTES
	.set	i, i + 1
	.endr
	.rept	SITES_BOTH
	movabs	$(STUB_SITES + SITES_HEAD + i * SITE_BYTES), %rcx
	jmp	stub_fast_both
	.balign	SITE_TRAMPOLINE_BYTES
	.set	i, i + 1
	.endr
	.rept	SITES_FAR - SITES_CPUID
	movabs	$(STUB_SITES + SITES_HEAD + i * SITE_BYTES), %rcx
	jmp	stub_fast_both
	.balign	SITE_TRAMPOLINE_BYTES
	.set	i, i + 1
	.endr
	.rept	SITES_CPUID
	movabs	$(STUB_SITES + SITES_HEAD + i * SITE_BYTES), %rdx
	jmp	stub_fast_cpuid
	.balign	SITE_TRAMPOLINE_BYTES
	.set	i, i + 1
	.endr
stub_trampolines_end:

// --- births

	.globl stub_clone_process
stub_clone_process:		// rdi: channel, rsi: socket
	push	%r12
	push	%r13
	mov	%rdi, %r12
	mov	%rsi, %r13
	mov	$SYS_clone, %eax
	mov	$CLONE_PROCESS, %edi
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	syscall
	test	%rax, %rax
	jz	1f
	cmp	$-4096, %rax
	ja	2f
	xor	%eax, %eax
2:	pop	%r13
	pop	%r12
	ret
1:	// The child: its parent's channel, and with it this stack, isn't there.
	movabs	$CHAN_BASE, %rdi
	mov	$CHAN_BYTES, %esi
	mov	$3, %edx
	mov	$0x11, %r10d	// MAP_SHARED | MAP_FIXED
	mov	%r12, %r8
	xor	%r9d, %r9d
	mov	$SYS_mmap, %eax
	syscall
	cmp	%rdi, %rax
	jne	3f
	mov	$10, %edx	// MADV_DONTFORK
	mov	$SYS_madvise, %eax
	syscall
	test	%rax, %rax
	jnz	3f
	cmpb	$0, (%rdi)	// read first: so the host maps what else is there, too
	lea	SLOT_DATA(%rdi), %rsp
	mov	%r12, %rdi
	mov	%r13, %rsi
	call	stub_process_born
3:	mov	$SYS_exit_group, %eax
	syscall
	ud2

	.globl stub_clone_thread
stub_clone_thread:		// rdi: the new slot
	push	%r12
	mov	%rdi, %r12
	lea	SLOT_DATA(%rdi), %rsi
	lea	SLOT_INTERRUPT + 4(%rdi), %rdx
	mov	%rdx, %r10
	xor	%r8d, %r8d
	mov	$CLONE_THREAD_ALL, %edi
	mov	$SYS_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	cmp	$-4096, %rax
	ja	2f
	xor	%eax, %eax
2:	pop	%r12
	ret
1:	mov	%r12, %rdi
	call	stub_thread_born

// --- accesses that may fault. They use no stack, so that the handler can let them return -1.

	.globl stub_guard_start, stub_guard_end, stub_guard_fault
	.globl stub_copy, stub_copy8, stub_zero, stub_copy_str, stub_cmpxchg, stub_load4, stub_load8, stub_store4, stub_store8, stub_xsave, stub_xrstor
stub_guard_start:
stub_copy:
	mov	%rdx, %rcx
	rep movsb
	xor	%eax, %eax
	ret
stub_copy8:			// all or nothing
	mov	(%rsi), %rcx
	mov	%rcx, (%rdi)
	xor	%eax, %eax
	ret
stub_zero:
	mov	%rsi, %rcx
	xor	%eax, %eax
	rep stosb
	ret
stub_copy_str:			// by eight bytes, which never reach into another page than one that the string has a byte in; in front of its end by one
	xor	%eax, %eax
	movabs	$0x0101010101010101, %r8
	movabs	$0x8080808080808080, %r9
1:	lea	8(%rax), %r10
	cmp	%rdx, %r10
	ja	2f
	lea	(%rsi,%rax), %ecx
	and	$4095, %ecx
	cmp	$4088, %ecx
	ja	2f
	mov	(%rsi,%rax), %rcx
	mov	%rcx, (%rdi,%rax)
	mov	%rcx, %r11
	sub	%r8, %r11
	not	%rcx
	and	%rcx, %r11
	and	%r9, %r11		// the lowest bit that is set: the first byte that is zero
	jnz	3f
	mov	%r10, %rax
	jmp	1b
2:	cmp	%rdx, %rax
	jae	stub_guard_fault
	mov	(%rsi,%rax), %cl
	mov	%cl, (%rdi,%rax)
	inc	%rax
	test	%cl, %cl
	jnz	1b
	ret
3:	bsf	%r11, %r11
	shr	$3, %r11
	lea	1(%rax,%r11), %rax
	ret
stub_cmpxchg:
	mov	(%rsi), %eax
	lock cmpxchg %edx, (%rdi)
	mov	%eax, (%rsi)
	xor	%eax, %eax
	ret
stub_load4:
	mov	(%rdi), %eax
	mov	%rax, (%rsi)
	xor	%eax, %eax
	ret
stub_load8:
	mov	(%rdi), %rax
	mov	%rax, (%rsi)
	xor	%eax, %eax
	ret
stub_store4:
	mov	%esi, (%rdi)
	xor	%eax, %eax
	ret
stub_store8:
	mov	%rsi, (%rdi)
	xor	%eax, %eax
	ret
stub_xsave:
	movq	$0, 512(%rdi)	// the header's parts that XSAVE leaves alone
	movq	$0, 520(%rdi)
	movq	$0, 528(%rdi)
	movq	$0, 536(%rdi)
	movq	$0, 544(%rdi)
	movq	$0, 552(%rdi)
	movq	$0, 560(%rdi)
	movq	$0, 568(%rdi)
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	xsave64	(%rdi)
	orq	$3, 512(%rdi)	// as Linux does: who writes to x87 or SSE registers there means it, whether or not they were all zero (AMD says so)
	xor	%eax, %eax
	ret
stub_xrstor:
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	xrstor64 (%rdi)
	xor	%eax, %eax
	ret
stub_guard_end:
stub_guard_fault:
	mov	$-1, %rax
	ret

	.section .note.GNU-stack, "", @progbits
