// The vDSO's image: one memfd for the sandbox, with the parameters filled in, mapped privately into each program.
#include "sentry/loader/vdso.h"

#include <elf.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "platform/platform.h"
#include "sentry/kernel/kernel.h"
#include "sentry/loader/vdso/params.h"
#include "sentry/mm/mm.h"

extern const char vdso_blob_start[], vdso_blob_end[];

struct vdso {
	struct hostfd *image;
	uint64_t len;
};

KMEM_TYPE(vdso_type, vdso);

// The host's vDSO as it lies in this process; trusted, since it is the kernel's.
struct host_vdso {
	const char *base;
	const Elf64_Sym *symbols;
	const char *strings;
	uint32_t nsymbols;
	ptrdiff_t bias;
};

static bool host_vdso_open(struct host_vdso *v)
{
	const Elf64_Ehdr *e = (const void *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Dyn *d = NULL;
	const Elf64_Phdr *p;

	memset(v, 0, sizeof(*v));
	if (!e)
		return false;
	v->base = (const char *)e;
	p = (const void *)(v->base + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++) {
		if (p[i].p_type == PT_LOAD)
			v->bias = (ptrdiff_t)(p[i].p_offset - p[i].p_vaddr);
		if (p[i].p_type == PT_DYNAMIC)
			d = (const void *)(v->base + p[i].p_offset);
	}
	for (; d && d->d_tag != DT_NULL; d++) {
		const void *at = v->base + v->bias + d->d_un.d_ptr;

		if (d->d_tag == DT_SYMTAB)
			v->symbols = at;
		else if (d->d_tag == DT_STRTAB)
			v->strings = at;
		else if (d->d_tag == DT_HASH)
			v->nsymbols = ((const uint32_t *)at)[1];
	}
	// Newer hosts have no DT_HASH; the string table follows the symbols there, as in every vDSO so far.
	if (!v->nsymbols && v->symbols && v->strings > (const char *)v->symbols)
		v->nsymbols = (uint32_t)((v->strings - (const char *)v->symbols) / sizeof(Elf64_Sym));
	return v->symbols && v->strings;
}

// Where the host's function lies in an application's address space; 0: it isn't there.
static uint64_t host_function(const struct host_vdso *v, const char *name)
{
	for (uint32_t i = 0; i < v->nsymbols; i++)
		if (v->symbols[i].st_shndx && strcmp(v->strings + v->symbols[i].st_name, name) == 0)
			return platform->vdso() + (uint64_t)v->bias + v->symbols[i].st_value;
	return 0;
}

static void fill_params(struct vdso_params *p)
{
	struct host_vdso host;

	if (!platform->vdso() || !host_vdso_open(&host)) {
		log_info("no vDSO of the host's: clocks need a call");
		return;
	}
	p->clock_gettime = host_function(&host, "__vdso_clock_gettime");
	p->gettimeofday = host_function(&host, "__vdso_gettimeofday");
	p->time = host_function(&host, "__vdso_time");
	p->clock_getres = host_function(&host, "__vdso_clock_getres");
	p->getcpu = host_function(&host, "__vdso_getcpu");
}

static struct vdso *vdso_create(void)
{
	static const uint64_t magic[2] = {VDSO_MAGIC_0, VDSO_MAGIC_1};
	size_t len = (size_t)(vdso_blob_end - vdso_blob_start);
	struct vdso *v = kmem_alloc(&vdso_type);
	char *image = kmem_bytes(len);
	struct vdso_params *p;
	int fd = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (!v || !image || fd < 0)
		goto fail;
	memcpy(image, vdso_blob_start, len);
	p = memmem(image, len, magic, sizeof(magic));
	if (p)
		fill_params(p);
	if (!p || write(fd, image, len) != (ssize_t)len || ftruncate(fd, PAGE_ALIGN(len)) < 0)
		goto fail;
	kmem_bytes_free(image);
	v->len = PAGE_ALIGN(len);
	v->image = hostfd_create(fd);
	if (!v->image) {
		kmem_free(&vdso_type, v);
		return NULL;
	}
	return v;

fail:
	if (fd >= 0)
		close(fd);
	kmem_bytes_free(image);
	kmem_free(&vdso_type, v);
	return NULL;
}

int vdso_map(struct task *t, uaddr_t *out_addr)
{
	struct kernel *k = kernel();
	struct vm_backing backing = {0};

	*out_addr = 0;
	mutex_lock(&k->tasks_mu);
	if (!k->vdso)
		k->vdso = vdso_create();
	mutex_unlock(&k->tasks_mu);
	if (!k->vdso)
		return 0;
	backing.hostfd = hostfd_get(k->vdso->image);
	return mm_map(t, 0, k->vdso->len, PROT_READ | PROT_EXEC, MAP_PRIVATE, NULL, 0, &backing, "[vdso]", out_addr);
}
