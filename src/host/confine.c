// How a process of Hull's gives the host up.
#include "host/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/log.h"

enum { NOBODY = 65534 };

// Any folder that is surely there will do: it is hidden, then gone with the old root.
#define STAGE "/proc"

static int empty_root(bool with_proc)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=0,nr_inodes=8,mode=555") < 0 || chdir(STAGE) < 0)
		return -errno;
	if (with_proc && (mkdir("proc", 0555) < 0 || mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0))
		return -errno;
	// The old root ends up mounted over the new one, and is taken off it: no folder is needed to put it in.
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ||
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	return 0;
}

int confine_namespaces(bool with_proc)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0)
		return -errno;
	return empty_root(with_proc);
}

int confine_open_proc(void)
{
	int config = syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), fd = -1, err;

	if (config >= 0 && syscall(SYS_fsconfig, config, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = syscall(SYS_fsmount, config, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	err = fd < 0 ? -errno : 0;
	if (config >= 0)
		close(config);
	return err ?: fd;
}

// A user namespace of its own counts its user's processes for itself, so that the limit is the sandbox's own. Where the host lets
// nobody make one, all sandboxes share the count.
static int limit_processes(void)
{
	const struct rlimit limit = {CONFINE_PROCESSES_MAX, CONFINE_PROCESSES_MAX};

	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		return -errno;
	if (unshare(CLONE_NEWUSER) < 0)
		log_info("the host allows no user namespace (%m): sandboxes share one limit of %d processes", CONFINE_PROCESSES_MAX);
	return 0;
}

int confine_credentials(void)
{
	cap_t none = cap_init();
	int err = 0;

	if (!none)
		return -ENOMEM;
	for (int cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0)
			err = err ?: -errno;
	cap_reset_ambient();
	if (!err && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		err = -errno;
	if (!err)
		err = limit_processes();
	if (!err && cap_set_proc(none) < 0)
		err = -errno;
	cap_free(none);
	if (!err && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		     setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) < 0 ||
		     prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)) // changing the user took it away
		err = -errno;
	return err;
}
