// execve from the point of no return on: a new address space, its stack, its registers.
//
// All of it is queued, and nobody waits for the stub to have carried it out: the old memory's end alone takes that as long as many calls. If
// something fails there, the process is killed like one that fails here (task_event). Who looks into its memory meanwhile finds nothing there, as
// on Linux, where the caller of vfork goes on as early.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/task_exec.h"
#include "sentry/loader/code_calls.h"
#include "sentry/loader/exec_cred.h"
#include "sentry/loader/image.h"
#include "sentry/loader/loader.h"
#include "sentry/loader/vdso.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs.h"

enum {
	STACK_MAX = 64 << 20, // of what RLIMIT_STACK allows, this much is set aside
	STACK_MIN = 256 << 10,
	STACK_RANDOM_PAGES = 1 << 22, // 16 GiB
	MMAP_RANDOM_PAGES = 1 << 20,
	EXE_RANDOM_PAGES = 1 << 20,
};
#define STACK_TO_MMAP_GAP (136ull << 20) // between the stack's top and where mappings start, at least
#define PIE_BASE 0x555555554000ull

// What one execve needs of random numbers, in one host call.
struct randoms {
	uint32_t stack, mmap, exe, brk;
	uint8_t at_random[16];
	uint8_t platforms[PLATFORM_RANDOM_BYTES];
};

// Where the parts of the new program lie.
struct layout {
	uaddr_t exe_bias, interp_bias, entry, stack_top, stack_bottom, vdso;
	bool secure;
	struct randoms random;
};

static uint64_t random_pages(uint32_t r, uint64_t below)
{
	return (r % below) * PAGE_SIZE;
}

static int map_segment(struct task *t, struct file *f, const struct elf_segment *s, uaddr_t bias)
{
	struct vm_backing backing = {0};
	uaddr_t where;
	int err = 0;

	if (s->file_end > s->start) {
		err = f->ops->mmap ? f->ops->mmap(f, s->offset, s->file_end - s->start, s->prot, false, &backing) : -ENOEXEC;
		if (!err)
			err = mm_map(t, bias + s->start, s->file_end - s->start, s->prot, MAP_PRIVATE | MAP_FIXED, f, s->offset, &backing,
				     NULL, &where);
	}
	if (!err && s->end > s->file_end)
		err = mm_map(t, bias + s->file_end, s->end - s->file_end, s->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0,
			     NULL, NULL, &where);
	return err;
}

static int map_image(struct task *t, struct file *f, const struct elf_image *elf, uaddr_t bias)
{
	int err = 0;

	for (int i = 0; i < elf->nsegments && !err; i++)
		err = map_segment(t, f, &elf->segments[i], bias);
	return err;
}

static void tell_calls(struct task *t, struct file *f, const struct elf_image *elf, uaddr_t bias)
{
	for (int i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if ((s->prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC && s->data_end > s->start)
			code_calls_tell(t, f, s, bias);
	}
}

// The bytes behind a segment's data, up to the end of its last page, are zero.
static int zero_tails(struct task *t, const struct elf_image *elf, uaddr_t bias)
{
	static const char zeros[PAGE_SIZE];
	int err = 0;

	for (int i = 0; i < elf->nsegments && !err; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if ((s->prot & PROT_WRITE) && s->data_end < s->file_end)
			err = copy_out(t, bias + s->data_end, zeros, s->file_end - s->data_end);
	}
	return err;
}

// A range for a position-independent image. Nobody else maps anything there before it is.
static int find_range(struct task *t, const struct elf_image *elf, uaddr_t hint, uaddr_t *out_bias)
{
	uaddr_t at;
	int err = mm_find_place(t->mm, hint, elf->high - elf->low + elf->align - PAGE_SIZE, &at);

	if (!err)
		*out_bias = ((at + elf->align - 1) & ~(elf->align - 1)) - elf->low;
	return err;
}

static int map_program(struct task *t, struct image *img, struct layout *l)
{
	struct mm *mm = t->mm;
	uaddr_t where, brk;
	uint64_t stack_limit = task_rlimit(t, RLIMIT_STACK), stack_len = MIN(MAX(stack_limit, (uint64_t)STACK_MIN), (uint64_t)STACK_MAX);
	int err;

	if (getrandom(&l->random, sizeof(l->random), 0) != sizeof(l->random))
		log_warning("no random numbers for a new program");
	else if (platform->give_random && !kernel()->strace)
		platform->give_random(t->ctx, l->random.platforms);
	l->stack_top = APP_MAX - PAGE_SIZE - random_pages(l->random.stack, STACK_RANDOM_PAGES);
	l->stack_bottom = l->stack_top - (stack_len & PAGE_MASK);
	mm->mmap_top = l->stack_top - MAX(STACK_TO_MMAP_GAP, stack_len + (1 << 20)) - random_pages(l->random.mmap, MMAP_RANDOM_PAGES);
	if (img->elf.pie) {
		err = find_range(t, &img->elf, PIE_BASE + random_pages(l->random.exe, EXE_RANDOM_PAGES), &l->exe_bias);
		if (err)
			return err;
	}
	err = map_image(t, img->exe, &img->elf, l->exe_bias);
	l->entry = l->exe_bias + img->elf.entry;
	if (!err && img->interp) {
		if (img->interp_elf.pie)
			err = find_range(t, &img->interp_elf, 0, &l->interp_bias);
		err = err ?: map_image(t, img->interp, &img->interp_elf, l->interp_bias);
		if (!err)
			tell_calls(t, img->interp, &img->interp_elf, l->interp_bias);
		l->entry = l->interp_bias + img->interp_elf.entry;
	}
	if (!err)
		err = mm_map(t, l->stack_bottom, l->stack_top - l->stack_bottom,
			     PROT_READ | PROT_WRITE | (img->elf.exec_stack ? PROT_EXEC : 0),
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE | MAP_GROWSDOWN, NULL, 0, NULL, "[stack]", &where);
	err = err ?: vdso_map(t, &l->vdso);
	if (err)
		return err;
	brk = l->exe_bias + img->elf.high + random_pages(l->random.brk, 1 << 13);
	mutex_lock(&mm->mu);
	mm->brk_start = mm->brk = brk;
	mm->code_start = l->exe_bias + img->elf.low;
	mm->code_end = l->exe_bias + img->elf.segments[0].data_end;
	for (int i = 0; i < img->elf.nsegments; i++) {
		const struct elf_segment *s = &img->elf.segments[i];

		if (s->prot & PROT_EXEC)
			mm->code_end = l->exe_bias + s->data_end;
		if (s->prot & PROT_WRITE) {
			mm->data_start = l->exe_bias + s->start;
			mm->data_end = l->exe_bias + s->data_end;
		}
	}
	mutex_unlock(&mm->mu);
	err = zero_tails(t, &img->elf, l->exe_bias);
	if (!err && img->interp)
		err = zero_tails(t, &img->interp_elf, l->interp_bias);
	return err;
}

static uint64_t strings_bytes(char *const *v, int *out_count)
{
	uint64_t sum = 0;
	int n;

	for (n = 0; v[n]; n++)
		sum += strlen(v[n]) + 1;
	*out_count = n;
	return sum;
}

// Puts strings at *at (address of image[0] is base), their addresses into ptrs, and ends the list.
static uint64_t *put_strings(char *image, uaddr_t base, uaddr_t *at, char *const *v, uint64_t *ptrs)
{
	for (; *v; v++) {
		size_t len = strlen(*v) + 1;

		memcpy(image + (*at - base), *v, len);
		*ptrs++ = *at;
		*at += len;
	}
	*ptrs++ = 0;
	return ptrs;
}

static uint64_t *aux(uint64_t *p, uint64_t type, uint64_t value)
{
	p[0] = type;
	p[1] = value;
	return p + 2;
}

// The initial stack (psABI 3.4.1). Answers its pointer in *out_sp.
static int build_stack(struct task *t, struct image *img, const struct layout *l, const char *filename, char *const *envp,
		       uaddr_t *out_sp)
{
	static const char platform_name[] = "x86_64";
	const struct cred *c = t->cred;
	struct mm *mm = t->mm;
	int argc, envc;
	uint64_t strings = strings_bytes(img->argv, &argc) + strings_bytes(envp, &envc), name_len = strlen(filename) + 1;
	uint64_t tail = strings + name_len + sizeof(platform_name) + 16;
	uint64_t words = 1 + argc + 1 + envc + 1 + ARRAY_LEN(mm->auxv);
	uaddr_t strings_at = (l->stack_top - sizeof(uint64_t) - tail) & ~15ull, at = strings_at, sp, random_at, platform_at, name_at;
	uint64_t *p, *auxv;
	char *image;
	int err;

	sp = (strings_at - words * sizeof(uint64_t)) & ~15ull;
	if (sp < l->stack_bottom + PAGE_SIZE || sp > l->stack_top)
		return -E2BIG;
	image = kmem_bytes(l->stack_top - sp);
	if (!image)
		return -ENOMEM;
	p = (uint64_t *)image;
	*p++ = argc;
	mm->arg_start = at;
	p = put_strings(image, sp, &at, img->argv, p);
	mm->arg_end = mm->env_start = at;
	p = put_strings(image, sp, &at, envp, p);
	mm->env_end = at;
	name_at = at;
	memcpy(image + (at - sp), filename, name_len);
	at += name_len;
	platform_at = at;
	memcpy(image + (at - sp), platform_name, sizeof(platform_name));
	at += sizeof(platform_name);
	random_at = at;
	memcpy(image + (at - sp), l->random.at_random, sizeof(l->random.at_random));
	auxv = p;
	if (l->vdso)
		p = aux(p, AT_SYSINFO_EHDR, l->vdso);
	p = aux(p, AT_HWCAP, getauxval(AT_HWCAP));
	p = aux(p, AT_PAGESZ, PAGE_SIZE);
	p = aux(p, AT_CLKTCK, 100);
	if (img->elf.phdr)
		p = aux(p, AT_PHDR, l->exe_bias + img->elf.phdr);
	p = aux(p, AT_PHENT, img->elf.phentsize);
	p = aux(p, AT_PHNUM, img->elf.phnum);
	p = aux(p, AT_BASE, img->interp ? l->interp_bias : 0);
	p = aux(p, AT_FLAGS, 0);
	p = aux(p, AT_ENTRY, l->exe_bias + img->elf.entry);
	p = aux(p, AT_UID, c->uid);
	p = aux(p, AT_EUID, c->euid);
	p = aux(p, AT_GID, c->gid);
	p = aux(p, AT_EGID, c->egid);
	p = aux(p, AT_SECURE, l->secure);
	p = aux(p, AT_RANDOM, random_at);
	p = aux(p, AT_HWCAP2, getauxval(AT_HWCAP2));
	p = aux(p, AT_EXECFN, name_at);
	p = aux(p, AT_PLATFORM, platform_at);
	p = aux(p, AT_MINSIGSTKSZ, getauxval(AT_MINSIGSTKSZ) ?: 2048);
	p = aux(p, AT_NULL, 0);
	memcpy(mm->auxv, auxv, (char *)p - (char *)auxv);
	mm->stack_start = sp;
	err = copy_out(t, sp, image, l->stack_top - sp);
	kmem_bytes_free(image);
	*out_sp = sp;
	return err;
}

// True if t with c may do or see what it couldn't before, or less. Who has run no program yet was nobody.
static bool becomes_another(struct task *t, const struct cred *c, struct file *exe)
{
	const struct cred *old = t->cred;

	if (!t->tg->exe)
		return false;
	return c->euid != old->euid || c->egid != old->egid || c->suid != old->suid || c->sgid != old->sgid || c->cap_permitted != old->cap_permitted ||
	       c->cap_inheritable != old->cap_inheritable || inode_permission(exe->inode, c, MAY_READ) < 0;
}

// t's address space becomes an empty one: its own emptied if nobody else uses it, else a new one. If t becomes another, too, so that nothing of the
// platform's goes along that others may have got hold of.
static int fresh_memory(struct task *t, bool another)
{
	struct platform_ctx *ctx;
	struct mm *mm;
	int err;

	if (t->mm)
		futex_task_exec(t);
	if (t->mm && t->mm->users == 1 && !another) {
		err = mm_ops_begin(t);
		if (err)
			return err;
		mm_clear(t->mm);
		if (platform->files_drop)
			platform->files_drop(t->ctx, false);
		return platform->unmap_all(t->ctx, 0);
	}
	mm = mm_create();
	if (!mm)
		return -ENOMEM;
	err = platform->as_create(t->mm && !another ? t->ctx : NULL, &ctx);
	if (err) {
		mm_put(mm);
		return err;
	}
	task_switch_mm(t, mm, ctx);
	return 0;
}

// A program that its user can't read isn't to be looked into, either (prctl(2), PR_SET_DUMPABLE).
static void install_cred(struct task *t, struct cred *c, bool secure, struct file *exe)
{
	struct cred *old = t->cred;
	bool readable = inode_permission(exe->inode, c, MAY_READ) == 0;

	remember_rights(c);
	mutex_lock(&kernel()->tasks_mu);
	t->cred = c;
	t->tg->dumpable = c->euid == c->uid && c->egid == c->gid && readable;
	if (secure)
		t->pdeath_signal = 0;
	mutex_unlock(&kernel()->tasks_mu);
	if (t->asks_ids)
		task_ids_publish(t);
	cred_put(old);
}

long loader_exec(struct task *t, struct file *file, const char *filename, char *const *argv, char *const *envp)
{
	static char *const no_args[] = {(char *)"", NULL};
	struct layout l = {0};
	struct image img;
	struct user_regs_struct regs = {.eflags = 0x202};
	const char *comm;
	struct cred *cred = NULL;
	uaddr_t sp;
	int err = image_prepare(t, file, filename, argv[0] ? argv : no_args, &img);

	if (!err)
		err = exec_cred(t, img.exe, &cred, &l.secure);
	if (!err)
		err = task_dethread(t);
	if (err) {
		cred_put(cred);
		image_fini(&img);
		return err;
	}
	err = fresh_memory(t, becomes_another(t, cred, img.exe));
	if (!err) { // no way back
		install_cred(t, cred, l.secure, img.exe);
		err = map_program(t, &img, &l) ?: build_stack(t, &img, &l, filename, envp, &sp);
		if (!err) {
			comm = strrchr(filename, '/');
			platform->reset_xstate(t->ctx);
			regs.rip = l.entry;
			regs.rsp = sp;
			platform->set_regs(t->ctx, &regs);
			task_exec_commit(t, img.exe, comm ? comm + 1 : filename);
			image_fini(&img);
			t->call.execed = true;
			return -ENOREPLY;
		}
	} else {
		cred_put(cred);
	}
	log_info("%s: execve of %s failed beyond the point of no return: %s", t->comm, filename, strerrordesc_np(-err));
	image_fini(&img);
	task_exit_group(t, SIGKILL);
	return -EGONE;
}
