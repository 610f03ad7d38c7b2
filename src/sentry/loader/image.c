// Preparation of execve: from a file to the ELF images that will be mapped.
#include "sentry/loader/image.h"

#include <fcntl.h>
#include <string.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/task.h"
#include "sentry/loader/script.h"
#include "sentry/vfs/vfs.h"

static int parse_file(struct file *f, struct elf_image *out)
{
	char head[ELF_HEAD_BYTES];
	uint64_t phoff, phlen;
	void *phdrs;
	int64_t n = file_read_kernel(f, head, sizeof(head), 0);
	int err;

	if (n < 0)
		return (int)n;
	err = elf_parse_header(head, n, &phoff, &phlen);
	if (err)
		return err;
	phdrs = kmem_bytes(phlen);
	if (!phdrs)
		return -ENOMEM;
	n = file_read_kernel(f, phdrs, phlen, phoff);
	err = n < 0 ? (int)n : elf_parse(head, phdrs, n, out);
	kmem_bytes_free(phdrs);
	return err;
}

static int open_interp(struct task *t, struct image *img)
{
	char path[4097];
	int64_t n = file_read_kernel(img->exe, path, img->elf.interp_len, img->elf.interp_offset);
	int err;

	if (n < 0)
		return (int)n;
	if ((uint64_t)n != img->elf.interp_len || path[n - 1] != 0)
		return -ENOEXEC;
	err = vfs_open(t, NULL, path, O_RDONLY | VFS_O_EXEC, 0, 0, &img->interp) ?: file_deny_write(img->interp);
	if (err)
		return err;
	err = parse_file(img->interp, &img->interp_elf);
	return err == -ENOEXEC ? -ELIBBAD : err;
}

static char *keep(struct image *img, const char *s)
{
	char *copy = kmem_strdup(s);

	if (copy)
		img->kept[img->nkept++] = copy;
	return copy;
}

// argv of a script: interpreter, its argument if there is one, the script's name, and what followed argv[0].
static int script_argv(struct image *img, const char *interp, const char *arg, const char *name)
{
	int n = 0, extra = arg[0] ? 2 : 1;
	char **argv;

	while (img->argv[n])
		n++;
	argv = kmem_bytes((n + extra + 2) * sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[0] = keep(img, interp);
	if (arg[0])
		argv[1] = keep(img, arg);
	argv[extra] = keep(img, name);
	for (int i = 1; i < n; i++)
		argv[extra + i] = img->argv[i];
	kmem_bytes_free(img->argv);
	img->argv = argv;
	return argv[0] && argv[extra] && (!arg[0] || argv[1]) ? 0 : -ENOMEM;
}

int image_prepare(struct task *t, struct file *file, const char *filename, char *const *argv, struct image *img)
{
	char head[SCRIPT_LINE_MAX], interp[SCRIPT_LINE_MAX], arg[SCRIPT_LINE_MAX];
	const char *name = filename;
	int argc = 0, err;

	memset(img, 0, sizeof(*img));
	while (argv[argc])
		argc++;
	img->argv = kmem_bytes((argc + 1) * sizeof(*img->argv));
	if (!img->argv)
		return -ENOMEM;
	memcpy(img->argv, argv, argc * sizeof(*argv));
	img->exe = file_get(file);
	err = file_deny_write(file);
	if (err) {
		file_put(file);
		img->exe = NULL;
		return err;
	}
	for (int depth = 0;; depth++) {
		struct file *next;
		int64_t n = file_read_kernel(img->exe, head, sizeof(head), 0);

		if (n < 0)
			return (int)n;
		if (n < 2 || head[0] != '#' || head[1] != '!')
			break;
		if (depth == SCRIPT_DEPTH_MAX)
			return -ELOOP;
		err = script_parse(head, n, interp, arg) ?: script_argv(img, interp, arg, name);
		if (err)
			return err;
		name = img->argv[0];
		err = vfs_open(t, NULL, name, O_RDONLY | VFS_O_EXEC, 0, 0, &next);
		if (err)
			return err;
		file_allow_write(img->exe);
		file_put(img->exe);
		img->exe = NULL;
		err = file_deny_write(next);
		if (err) {
			file_put(next);
			return err;
		}
		img->exe = next;
	}
	err = parse_file(img->exe, &img->elf);
	if (!err && img->elf.interp_len)
		err = open_interp(t, img);
	return err;
}

void image_fini(struct image *img)
{
	if (img->exe) {
		file_allow_write(img->exe);
		file_put(img->exe);
	}
	if (img->interp) {
		file_allow_write(img->interp);
		file_put(img->interp);
	}
	for (int i = 0; i < img->nkept; i++)
		kmem_bytes_free(img->kept[i]);
	kmem_bytes_free(img->argv);
}
