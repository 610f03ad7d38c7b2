// System V shared memory. A segment is a memfd and one open file that every mapping of it refers to: so the number of attachments is
// the file's count, forks and exits keep it right by themselves, and a removed segment goes with its last mapping.
//
// The table's lock is taken when such a file is released, thus never around a call of mm.
#include "sentry/mm/shm.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/vfs.h"

enum { SEGMENTS_MAX = 4096 /* SHMMNI */, ID_STRIDE = 32768, SEQ_MAX = INT_MAX / ID_STRIDE, ACCESS_BITS = 0777 };

struct shm_seg {
	int key, id;
	struct file *file; // counted until the segment is removed, then only its mappings count
	struct hostfd *memory; // counted
	uint64_t size;
	uid_t uid, cuid;
	gid_t gid, cgid;
	uint32_t mode; // access bits, SHM_LOCKED
	bool removed; // no longer found by key, and gone with the last mapping
	int creator_pid, last_pid;
	time_t atime, dtime, ctime;
};

struct shm_table {
	struct mutex mu;
	// Guarded by mu, and the segments with it.
	struct shm_seg *segs[SEGMENTS_MAX];
	int count, seq;
	uint64_t pages;
};

KMEM_TYPE(table_type, shm_table);
KMEM_TYPE(seg_type, shm_seg);

struct shm_table *shm_table_create(void)
{
	struct shm_table *s = kmem_alloc(&table_type);

	if (s)
		mutex_init(&s->mu);
	return s;
}

static time_t now(void)
{
	return ktime_now(CLOCK_REALTIME) / NSEC_PER_SEC;
}

// The last reference to a segment's file is gone: it was removed, and nothing maps it any more.
static void release(struct file *f)
{
	struct shm_table *s = kernel()->shm;
	struct shm_seg *seg = f->priv;

	if (!seg)
		return;
	mutex_lock(&s->mu);
	s->segs[seg->id % ID_STRIDE] = NULL;
	s->count--;
	s->pages -= PAGE_ALIGN(seg->size) / PAGE_SIZE;
	mutex_unlock(&s->mu);
	hostfd_put(seg->memory);
	kmem_free(&seg_type, seg);
}

static const struct file_ops shm_ops = {
	.release = release,
};

static struct shm_seg *by_id(struct shm_table *s, int id)
{
	struct shm_seg *seg = id >= 0 && id % ID_STRIDE < SEGMENTS_MAX ? s->segs[id % ID_STRIDE] : NULL;

	return seg && seg->id == id ? seg : NULL;
}

static struct shm_seg *by_key(struct shm_table *s, int key)
{
	for (int i = 0; i < SEGMENTS_MAX; i++)
		if (s->segs[i] && s->segs[i]->key == key && !s->segs[i]->removed)
			return s->segs[i];
	return NULL;
}

// wanted: bits of one class (4 read, 2 write), as ipcperms().
static bool allowed(const struct cred *c, const struct shm_seg *seg, uint32_t wanted)
{
	uint32_t mode = seg->mode;

	if (c->euid == seg->uid || c->euid == seg->cuid)
		mode >>= 6;
	else if (cred_in_group(c, seg->gid) || cred_in_group(c, seg->cgid))
		mode >>= 3;
	return (wanted & ~mode & 7) == 0 || cred_has_cap(c, CAP_IPC_OWNER);
}

static bool may_change(const struct cred *c, const struct shm_seg *seg)
{
	return c->euid == seg->uid || c->euid == seg->cuid || cred_has_cap(c, CAP_SYS_ADMIN);
}

static struct hostfd *memory_of(uint64_t size)
{
	int fd = memfd_create("sysv", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, size) < 0) {
		close(fd);
		return NULL;
	}
	return hostfd_create(fd);
}

// What no machine like this can hold is refused at once, as Linux does by its default rule of overcommitment. man 5 proc.
static bool obviously_too_large(uint64_t size)
{
	struct sysinfo si = {0};

	return sysinfo(&si) == 0 && size / si.mem_unit > si.totalram + si.totalswap;
}

static long create(struct task *t, struct shm_table *s, int key, uint64_t size, int flags)
{
	char name[32];
	struct shm_seg *seg;
	int slot = 0;

	if (size == 0 || size > INT64_MAX - PAGE_SIZE)
		return -EINVAL;
	while (slot < SEGMENTS_MAX && s->segs[slot])
		slot++;
	if (slot == SEGMENTS_MAX)
		return -ENOSPC;
	if (!(flags & SHM_NORESERVE) && obviously_too_large(size))
		return -ENOMEM;
	seg = kmem_alloc(&seg_type);
	if (!seg)
		return -ENOMEM;
	snprintf(name, sizeof(name), "SYSV%08x", (unsigned)key);
	seg->memory = memory_of(PAGE_ALIGN(size));
	seg->file = seg->memory ? file_create_anon(&shm_ops, seg, O_RDWR, 0, name) : NULL;
	if (!seg->file) {
		hostfd_put(seg->memory);
		kmem_free(&seg_type, seg);
		return -ENOMEM;
	}
	s->seq = (s->seq + 1) % SEQ_MAX;
	seg->key = key;
	seg->id = s->seq * ID_STRIDE + slot;
	seg->size = size;
	seg->uid = seg->cuid = t->cred->euid;
	seg->gid = seg->cgid = t->cred->egid;
	seg->mode = flags & ACCESS_BITS;
	seg->creator_pid = t->tg->tgid;
	seg->ctime = now();
	s->segs[slot] = seg;
	s->count++;
	s->pages += PAGE_ALIGN(size) / PAGE_SIZE;
	return seg->id;
}

long shm_get(struct task *t, int key, uint64_t size, int flags)
{
	struct shm_table *s = kernel()->shm;
	struct shm_seg *seg;
	long ret;

	if (flags & SHM_HUGETLB)
		return -ENOMEM; // as with an empty pool
	mutex_lock(&s->mu);
	seg = key == IPC_PRIVATE ? NULL : by_key(s, key);
	if (!seg)
		ret = key == IPC_PRIVATE || (flags & IPC_CREAT) ? create(t, s, key, size, flags) : -ENOENT;
	else if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		ret = -EEXIST;
	else if (!allowed(t->cred, seg, (flags >> 6 | flags >> 3 | flags) & 7))
		ret = -EACCES;
	else
		ret = size > seg->size ? -EINVAL : seg->id;
	mutex_unlock(&s->mu);
	return ret;
}

long shm_attach(struct task *t, int id, uaddr_t addr, int flags)
{
	struct shm_table *s = kernel()->shm;
	struct vm_backing backing = {.deny_shared_write = flags & SHM_RDONLY};
	int prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) | (flags & SHM_EXEC ? PROT_EXEC : 0), how = MAP_SHARED, err = 0;
	struct shm_seg *seg;
	struct file *f = NULL;
	uint64_t size = 0;
	uaddr_t where;

	if (id < 0 || (!addr && (flags & SHM_REMAP)))
		return -EINVAL;
	if (addr & ~PAGE_MASK) {
		if (!(flags & SHM_RND))
			return -EINVAL;
		addr &= PAGE_MASK;
		if (!addr && (flags & SHM_REMAP))
			return -EINVAL;
	}
	if (addr)
		how |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	mutex_lock(&s->mu);
	seg = by_id(s, id);
	if (!seg)
		err = -EINVAL;
	else if (!allowed(t->cred, seg, flags & SHM_RDONLY ? 4 : 6))
		err = -EACCES;
	else if (!ref_get_unless_zero(&seg->file->ref))
		err = -EIDRM;
	if (!err) {
		f = seg->file;
		size = seg->size;
		backing.hostfd = hostfd_get(seg->memory);
	}
	mutex_unlock(&s->mu);
	if (err)
		return err;
	err = mm_map(t, addr, size, prot, how, f, 0, &backing, NULL, &where);
	if (!err) {
		mutex_lock(&s->mu);
		seg->atime = now();
		seg->last_pid = t->tg->tgid;
		mutex_unlock(&s->mu);
	}
	file_put(f);
	if (err == -EEXIST)
		err = -EINVAL;
	return err ? err : (long)where;
}

// A mapping that belongs to the attachment at addr.
struct piece {
	uaddr_t addr, start, end;
	struct file *file; // counted; NULL until the first one is found
	bool found;
};

static bool find_piece(void *arg, const struct vma *v)
{
	struct piece *p = arg;

	if (v->start < p->addr || !v->file || v->file->ops != &shm_ops || (p->file && v->file != p->file) ||
	    v->start - p->addr != v->file_offset)
		return true;
	if (!p->file)
		p->file = file_get(v->file);
	p->start = v->start;
	p->end = v->end;
	p->found = true;
	return false;
}

long shm_detach(struct task *t, uaddr_t addr)
{
	struct shm_table *s = kernel()->shm;
	struct piece p = {.addr = addr};
	struct shm_seg *seg;
	long err = addr & ~PAGE_MASK ? -EINVAL : 0;

	if (err)
		return err;
	do {
		p.found = false;
		mm_each_vma(t->mm, find_piece, &p);
		if (p.found)
			err = mm_unmap(t, p.start, p.end - p.start);
	} while (p.found && !err);
	if (!p.file)
		return -EINVAL;
	if (!err) {
		seg = p.file->priv;
		mutex_lock(&s->mu);
		seg->dtime = now();
		seg->last_pid = t->tg->tgid;
		mutex_unlock(&s->mu);
	}
	file_put(p.file);
	return err;
}

static void fill(const struct shm_seg *seg, struct shmid_ds *out)
{
	unsigned attached = atomic_load(&seg->file->ref.count);

	memset(out, 0, sizeof(*out));
	out->shm_perm.__key = seg->removed ? IPC_PRIVATE : seg->key;
	out->shm_perm.uid = seg->uid;
	out->shm_perm.gid = seg->gid;
	out->shm_perm.cuid = seg->cuid;
	out->shm_perm.cgid = seg->cgid;
	out->shm_perm.mode = seg->mode | (seg->removed ? SHM_DEST : 0);
	out->shm_perm.__seq = seg->id / ID_STRIDE;
	out->shm_segsz = seg->size;
	out->shm_atime = seg->atime;
	out->shm_dtime = seg->dtime;
	out->shm_ctime = seg->ctime;
	out->shm_cpid = seg->creator_pid;
	out->shm_lpid = seg->last_pid;
	out->shm_nattch = seg->removed ? attached : attached - 1;
}

long shm_stat(struct task *t, int cmd, int id, struct shmid_ds *out)
{
	struct shm_table *s = kernel()->shm;
	struct shm_seg *seg;
	long ret = 0;

	mutex_lock(&s->mu);
	if (cmd == IPC_STAT)
		seg = by_id(s, id);
	else
		seg = id >= 0 && id < SEGMENTS_MAX ? s->segs[id] : NULL;
	if (!seg) {
		ret = -EINVAL;
	} else if (cmd != SHM_STAT_ANY && !allowed(t->cred, seg, 4)) {
		ret = -EACCES;
	} else {
		fill(seg, out);
		ret = cmd == IPC_STAT ? 0 : seg->id;
	}
	mutex_unlock(&s->mu);
	return ret;
}

long shm_set(struct task *t, int id, const struct shmid_ds *ds)
{
	struct shm_table *s = kernel()->shm;
	struct shm_seg *seg;
	long ret = 0;

	mutex_lock(&s->mu);
	seg = by_id(s, id);
	if (!seg) {
		ret = -EINVAL;
	} else if (!may_change(t->cred, seg)) {
		ret = -EPERM;
	} else {
		seg->uid = ds->shm_perm.uid;
		seg->gid = ds->shm_perm.gid;
		seg->mode = (seg->mode & ~ACCESS_BITS) | (ds->shm_perm.mode & ACCESS_BITS);
		seg->ctime = now();
	}
	mutex_unlock(&s->mu);
	return ret;
}

long shm_remove(struct task *t, int id)
{
	struct shm_table *s = kernel()->shm;
	struct file *drop = NULL;
	struct shm_seg *seg;
	long ret = 0;

	mutex_lock(&s->mu);
	seg = by_id(s, id);
	if (!seg) {
		ret = -EINVAL;
	} else if (!may_change(t->cred, seg)) {
		ret = -EPERM;
	} else if (!seg->removed) {
		seg->removed = true;
		drop = seg->file;
	}
	mutex_unlock(&s->mu);
	if (drop)
		file_put(drop);
	return ret;
}

long shm_lock(struct task *t, int id, bool lock)
{
	struct shm_table *s = kernel()->shm;
	struct shm_seg *seg;
	long ret = 0;

	mutex_lock(&s->mu);
	seg = by_id(s, id);
	if (!seg)
		ret = -EINVAL;
	else if (!cred_has_cap(t->cred, CAP_IPC_LOCK) && t->cred->euid != seg->uid && t->cred->euid != seg->cuid)
		ret = -EPERM;
	else
		seg->mode = lock ? seg->mode | SHM_LOCKED : seg->mode & ~SHM_LOCKED;
	mutex_unlock(&s->mu);
	return ret;
}

long shm_usage(int *out_ids, uint64_t *out_pages)
{
	struct shm_table *s = kernel()->shm;
	long highest = 0;

	mutex_lock(&s->mu);
	for (int i = 0; i < SEGMENTS_MAX; i++)
		if (s->segs[i])
			highest = i;
	*out_ids = s->count;
	*out_pages = s->pages;
	mutex_unlock(&s->mu);
	return highest;
}
