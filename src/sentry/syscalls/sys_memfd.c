// memfd_create. man 2 memfd_create.
#include <fcntl.h>
#include <sys/mman.h>

#include "abi/errno.h"
#include "sentry/fs/tmpfs/tmpfs.h"
#include "sentry/kernel/task.h"
#include "sentry/syscalls/syscalls.h"
#include "sentry/vfs/vfs.h"

enum { NAME_LIMIT = 255 - 6 /* "memfd:" stands before it */, SEAL_EXEC = 0x20 };

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 0x10U
#endif

long sys_memfd_create(struct task *t, const struct sysargs *args)
{
	uint32_t flags = (uint32_t)args->a[1], mode = 0777, seals = F_SEAL_SEAL;
	char name[NAME_LIMIT + 1];
	struct file *f;
	long ret;

	if (flags & MFD_HUGETLB)
		return -ENOSYS; // there are no huge pages
	if ((flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)) ||
	    (flags & (MFD_NOEXEC_SEAL | MFD_EXEC)) == (MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL;
	ret = copy_in_str(t, name, args->a[0], sizeof(name));
	if (ret < 0)
		return ret == -ENAMETOOLONG ? -EINVAL : ret;
	if (flags & MFD_ALLOW_SEALING)
		seals = 0;
	if (flags & MFD_NOEXEC_SEAL) {
		mode = 0666;
		seals = SEAL_EXEC;
	}
	ret = memfd_create_file(t, name, mode, seals, &f);
	return ret ? ret : fd_install(t, f, flags & MFD_CLOEXEC, 0);
}
