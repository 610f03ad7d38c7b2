// execve and execveat: copies the argument vectors in, within Linux's limits, and hands over to the loader.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "platform/platform.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/loader.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/fdtable.h"
#include "sentry/vfs/remember.h"
#include "sentry/vfs/vfs.h"

enum { STRING_MAX = 32 * 4096, TOTAL_MAX = 6 << 20, TOTAL_MIN = 128 << 10 };

// Strings lie close together: a page at a time is read, and the strings are taken from it.
struct page_reader {
	struct task *t;
	uaddr_t page; // 0: none yet
	char data[PAGE_SIZE];
};

// Argument strings in one growing block; offsets until it is complete, then pointers.
struct strings {
	char *bytes;
	size_t len, cap;
	size_t *offsets;
	char **v;
	int count, offsets_cap;
	uint64_t *budget; // bytes left for both vectors, pointers counted
};

static int load_page(struct page_reader *r, uaddr_t addr)
{
	if (r->page == (addr & PAGE_MASK) && r->page)
		return 0;
	r->page = 0;
	if (copy_in(r->t, r->data, addr & PAGE_MASK, PAGE_SIZE) < 0)
		return -EFAULT;
	r->page = addr & PAGE_MASK;
	return 0;
}

static int append(struct strings *s, const char *src, size_t len)
{
	if (len > *s->budget)
		return -E2BIG;
	*s->budget -= len;
	if (s->len + len > s->cap) {
		size_t cap = MAX(s->cap * 2, s->len + len + PAGE_SIZE);
		char *bytes = kmem_bytes_resize(s->bytes, cap);

		if (!bytes)
			return -ENOMEM;
		s->bytes = bytes;
		s->cap = cap;
	}
	memcpy(s->bytes + s->len, src, len);
	s->len += len;
	return 0;
}

// A string that came along with the call: 0, 1 when it didn't (all of it), or -errno.
static int take_string(struct page_reader *r, struct strings *s, uaddr_t addr)
{
	long len;

	if (!platform->peek_in || !platform->peek_in(r->t->ctx, addr, 1))
		return 1;
	r->page = 0; // its room is used
	len = copy_in_str(r->t, r->data, addr, sizeof(r->data));
	return len < 0 ? 1 : append(s, r->data, len + 1);
}

static int read_string(struct page_reader *r, struct strings *s, uaddr_t addr)
{
	size_t start = s->len;
	int taken = take_string(r, s, addr);

	if (taken <= 0)
		return taken;
	for (;;) {
		size_t at = addr & ~PAGE_MASK, n = PAGE_SIZE - at;
		const char *nul;
		int err = load_page(r, addr);

		if (err)
			return err;
		nul = memchr(r->data + at, 0, n);
		if (nul)
			n = nul + 1 - (r->data + at);
		err = append(s, r->data + at, n);
		if (err)
			return err;
		if (s->len - start > STRING_MAX)
			return -E2BIG;
		if (nul)
			return 0;
		addr += n;
	}
}

static int add_offset(struct strings *s)
{
	if (s->count == s->offsets_cap) {
		int cap = MAX(64, s->offsets_cap * 2);
		size_t *offsets = kmem_bytes_resize(s->offsets, cap * sizeof(*offsets));

		if (!offsets)
			return -ENOMEM;
		s->offsets = offsets;
		s->offsets_cap = cap;
	}
	s->offsets[s->count++] = s->len;
	return 0;
}

static int read_vector(struct page_reader *r, struct strings *s, uaddr_t vector)
{
	int err = 0;

	for (int i = 0; vector && !err; i++) { // a NULL vector is an empty one, as on Linux
		uaddr_t p;

		if (*s->budget < sizeof(p))
			return -E2BIG;
		*s->budget -= sizeof(p);
		if (copy_in(r->t, &p, vector + i * sizeof(p), sizeof(p)) < 0)
			return -EFAULT;
		if (!p)
			break;
		err = add_offset(s) ?: read_string(r, s, p);
	}
	if (err)
		return err;
	s->v = kmem_bytes((s->count + 1) * sizeof(*s->v));
	if (!s->v)
		return -ENOMEM;
	for (int i = 0; i < s->count; i++)
		s->v[i] = s->bytes + s->offsets[i];
	return 0;
}

static void strings_fini(struct strings *s)
{
	kmem_bytes_free(s->bytes);
	kmem_bytes_free(s->offsets);
	kmem_bytes_free(s->v);
}

static long exec_file(struct task *t, struct file *f, const char *filename, uaddr_t uargv, uaddr_t uenvp)
{
	uint64_t stack = task_rlimit(t, RLIMIT_STACK), budget = MAX(MIN(stack / 4, (uint64_t)TOTAL_MAX), (uint64_t)TOTAL_MIN);
	struct strings argv = {.budget = &budget}, envp = {.budget = &budget};
	struct page_reader *r = kmem_bytes(sizeof(*r));
	long ret = -ENOMEM;

	if (r) {
		r->t = t;
		ret = read_vector(r, &argv, uargv) ?: read_vector(r, &envp, uenvp);
		if (ret == 0)
			ret = loader_exec(t, f, filename, argv.v, envp.v);
	}
	strings_fini(&argv);
	strings_fini(&envp);
	kmem_bytes_free(r);
	return ret;
}

long sys_execve(struct task *t, const struct sysargs *args)
{
	char path[PATH_MAX];
	struct file *f;
	long ret = copy_in_path(t, path, args->a[0]);

	if (ret < 0)
		return ret;
	remember_begin(t, path);
	ret = vfs_open(t, NULL, path, O_RDONLY | VFS_O_EXEC, 0, 0, &f);
	if (ret == -ENOENT) // not an interpreter's
		remember_end(t, ret, NULL, 0);
	remember_none(t);
	if (ret < 0)
		return ret;
	ret = exec_file(t, f, path, args->a[1], args->a[2]);
	file_put(f);
	return ret;
}

static bool is_script(struct file *f)
{
	char head[2];

	return file_read_kernel(f, head, sizeof(head), 0) == sizeof(head) && head[0] == '#' && head[1] == '!';
}

long sys_execveat(struct task *t, const struct sysargs *args)
{
	int dirfd = (int)args->a[0], flags = (int)args->a[4];
	char path[PATH_MAX], name[PATH_MAX + 32];
	unsigned how = flags & AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct path p;
	struct file *f;
	bool by_fd;
	long ret;

	if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	ret = copy_in_path(t, path, args->a[1]);
	if (ret < 0)
		return ret;
	ret = vfs_lookup_at(t, dirfd, args->a[1], how | (flags & AT_EMPTY_PATH ? LOOKUP_EMPTY : 0), &p);
	if (ret < 0)
		return ret;
	if (S_ISLNK(dentry_inode(p.dentry)->attr.mode))
		ret = -ELOOP;
	else
		ret = vfs_open_path(t, &p, O_RDONLY | VFS_O_EXEC, &f);
	path_put(&p);
	if (ret < 0)
		return ret;
	by_fd = dirfd != AT_FDCWD && path[0] != '/';
	if (!by_fd)
		snprintf(name, sizeof(name), "%s", path);
	else if (!path[0])
		snprintf(name, sizeof(name), "/dev/fd/%d", dirfd);
	else
		snprintf(name, sizeof(name), "/dev/fd/%d/%s", dirfd, path);
	if (by_fd && fd_cloexec(t, dirfd, -1) > 0 && is_script(f))
		ret = -ENOENT; // its interpreter could not open it (man 2 execveat, "BUGS")
	else
		ret = exec_file(t, f, name, args->a[2], args->a[3]);
	file_put(f);
	return ret;
}
