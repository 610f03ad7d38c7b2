// How a process of Hull's gives the host up.
#include "host/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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

// --- a user namespace
//
// It counts its user's processes for itself, so that their limit is the sandbox's own. Who is who stays as on the host, for the owners
// that fstat shows: such a map can be written only from outside, by a helper that is forked before. Where the host lets nobody
// make a user namespace, all sandboxes share the count.

static bool put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

// Starts the helper, which waits for a byte on *out_go, then writes the maps of its parent. Its pid or -errno.
static pid_t start_mapper(int *out_go)
{
	int go[2];
	pid_t pid;
	char byte;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		char uids[64], gids[64];

		close(go[1]);
		snprintf(uids, sizeof(uids), "/proc/%d/uid_map", getppid());
		snprintf(gids, sizeof(gids), "/proc/%d/gid_map", getppid());
		if (read(go[0], &byte, 1) != 1)
			_exit(0);
		_exit(put_text(uids, "0 0 4294967295") && put_text(gids, "0 0 4294967295") ? 0 : 1);
	}
	close(go[0]);
	*out_go = go[1];
	return pid < 0 ? -errno : pid;
}

static void own_user_namespace(pid_t mapper, int go)
{
	int status = 0;

	if (unshare(CLONE_NEWUSER) < 0)
		log_info("the host allows no user namespace (%m): sandboxes share one limit of %d processes", CONFINE_PROCESSES_MAX);
	else if (write(go, "", 1) != 1)
		log_warning("the sentry's user namespace has no map: owners of host files show as nobody");
	close(go);
	while (waitpid(mapper, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		log_warning("the sentry's user namespace has no map: owners of host files show as nobody");
}

int confine_credentials(void)
{
	const struct rlimit processes = {CONFINE_PROCESSES_MAX, CONFINE_PROCESSES_MAX};
	cap_t none = cap_init();
	int err = 0, go = -1;
	pid_t mapper;

	if (!none)
		return -ENOMEM;
	mapper = start_mapper(&go);
	if (mapper < 0) {
		cap_free(none);
		return mapper;
	}
	for (int cap = 0; CAP_IS_SUPPORTED(cap); cap++)
		if (cap_drop_bound(cap) < 0)
			err = err ?: -errno;
	cap_reset_ambient();
	if (!err && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		err = -errno;
	own_user_namespace(mapper, go);
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
