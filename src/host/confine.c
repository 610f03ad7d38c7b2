// How a process of Hull's gives the host up.
#include "host/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
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

enum { EMPTY_NAMESPACES = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };

int confine_namespaces(bool with_proc)
{
	if (unshare(CLONE_NEWNS | EMPTY_NAMESPACES) < 0)
		return -errno;
	return empty_root(with_proc);
}

int confine_mounts(void)
{
	return unshare(CLONE_NEWNS) < 0 ? -errno : empty_root(false);
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

// --- a user namespace
//
// It counts its user's processes for itself, so that their limit is the sandbox's own. Who is who stays as on the host, for the owners
// that fstat shows: such a map can be written only from outside, by the gofer, and is there before it hands out the first file. Where the
// host lets nobody make a user namespace, all sandboxes share the count.

enum { READY_WITH_USERS = 'u', READY = 'r' }; // what the sentry says

static int write_at(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -errno;
	close(fd);
	return err;
}

static void own_user_namespace(int ready_fd)
{
	char said = READY_WITH_USERS;

	if (unshare(CLONE_NEWUSER) < 0) {
		log_info("the host allows no user namespace (%m): sandboxes share one limit of %d processes", CONFINE_PROCESSES_MAX);
		said = READY;
	}
	// Who doesn't hear it has ended, and the sentry will notice.
	if (write(ready_fd, &said, 1) != 1)
		log_info("the gofer isn't there: %m");
	close(ready_fd);
}

int confine_join(int ready_fd, int sentry_fd, int sentry_proc_fd)
{
	const char *map = "0 0 4294967295";
	char said;
	int err;

	if (read(ready_fd, &said, 1) != 1)
		return -EPIPE;
	// A host that keeps the sentry's namespaces from us lets us have our own.
	if (setns(sentry_fd, EMPTY_NAMESPACES) < 0 && unshare(EMPTY_NAMESPACES) < 0)
		return -errno;
	if (said != READY_WITH_USERS)
		return 0;
	err = write_at(sentry_proc_fd, "uid_map", map) ?: write_at(sentry_proc_fd, "gid_map", map);
	if (err)
		log_warning("the sentry's user namespace has no map (%s): owners of host files show as nobody", strerror(-err));
	return 0;
}

// Out of what execve could give back. The kernel says by EINVAL which capability is the first that it doesn't know.
static int empty_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	return errno == EINVAL ? 0 : -errno;
}

int confine_credentials(int ready_fd)
{
	const struct rlimit processes = {CONFINE_PROCESSES_MAX, CONFINE_PROCESSES_MAX};
	cap_t none = cap_init();
	int err;

	if (!none)
		return -ENOMEM;
	err = empty_bounding_set();
	if (!err && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		err = -errno;
	if (!err && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		err = -errno;
	own_user_namespace(ready_fd);
	if (!err && setrlimit(RLIMIT_NPROC, &processes) < 0)
		err = -errno;
	if (!err && cap_set_proc(none) < 0)
		err = -errno;
	cap_free(none);
	if (!err && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		     setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) < 0 ||
		     prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)) // changing the user took it away
		err = -errno;
	return err;
}
