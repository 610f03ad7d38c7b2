// The gofer's process: gives up the host but for the trees it was handed, then serves them.
#include "runtime/sandbox/gofer_process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "host/confine.h"
#include "lib/log.h"
#include "lib/profile.h"

enum { NOFILE_MAX = 1 << 20 }; // the host's fs.nr_open, as a rule: a descriptor for each file that the sentry knows

// Into namespaces of its own or the sentry's.
static int enter_namespaces(void)
{
	int err = confine_mounts();

	profile_mark(PROFILE_GOFER_MOUNTS);
	err = err ?: confine_join(GOFER_FD_READY, GOFER_FD_SENTRY, GOFER_FD_SENTRY_PROC);
	profile_mark(PROFILE_GOFER_JOINED);
	close(GOFER_FD_READY);
	close(GOFER_FD_SENTRY);
	close(GOFER_FD_SENTRY_PROC);
	return err;
}

int gofer_process_main(const void *gofer_start)
{
	const struct gofer_start *start = gofer_start;
	static struct gofer_tree trees[GOFER_TREES_MAX];
	struct gofer_config config = {.conn_fd = GOFER_FD_CONN, .trees = trees, .ntrees = start->ntrees};
	const struct rlimit files = {NOFILE_MAX, NOFILE_MAX};
	int proc, err;

	profile_mark(PROFILE_GOFER);
	log_init(GOFER_FD_LOG, LOG_WARNING, false, "gofer");
	for (int i = 0; i < config.ntrees; i++)
		trees[i] = (struct gofer_tree){.dir_fd = GOFER_FD_TREES + i, .readonly = start->readonly[i]};
	setrlimit(RLIMIT_NOFILE, &files); // while it still may; if not, gofer_main takes what there is
	err = enter_namespaces();
	if (err == -EPIPE)
		return 0; // there is nobody to serve
	if (err) {
		log_error("cannot make the gofer's namespaces: %s", strerror(-err));
		return 1;
	}
	// Of its own PID namespace, so that nothing but its own descriptors is in there.
	proc = confine_open_proc();
	config.proc_self_fd = proc < 0 ? -1 : openat(proc, "self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config.proc_self_fd < 0) {
		log_error("cannot open the gofer's own descriptors: %s", strerror(proc < 0 ? -proc : 0));
		return 1;
	}
	close(proc);
	return gofer_main(&config);
}
