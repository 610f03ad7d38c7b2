// `hull gofer`: gives up the host but for the trees it was handed, then serves them.
#include "runtime/sandbox/gofer_process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gofer/gofer.h"
#include "host/confine.h"
#include "lib/log.h"
#include "runtime/sandbox/launch.h"

enum { NOFILE_MAX = 1 << 20 }; // the host's fs.nr_open, as a rule: a descriptor for each file that the sentry knows

int gofer_process_main(int argc, char **argv)
{
	static struct gofer_tree trees[GOFER_TREES_MAX];
	struct gofer_config config = {.conn_fd = GOFER_FD_CONN, .trees = trees, .ntrees = argc == 3 ? strlen(argv[2]) : 0};
	const struct rlimit files = {NOFILE_MAX, NOFILE_MAX};
	int proc, err;

	if (config.ntrees == 0 || config.ntrees > GOFER_TREES_MAX)
		return 1;
	log_init(GOFER_FD_LOG, LOG_WARNING, false, "gofer");
	for (int i = 0; i < config.ntrees; i++)
		trees[i] = (struct gofer_tree){.dir_fd = GOFER_FD_TREES + i, .readonly = argv[2][i] == 'r'};
	setrlimit(RLIMIT_NOFILE, &files); // while it still may; if not, gofer_main takes what there is
	err = confine_namespaces(false);
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
