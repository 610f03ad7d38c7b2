// The gofer's dispatcher: one request in, one answer out, until the sentry is gone.
#include "gofer/server.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/profile.h"

static const struct op {
	op_fn fn;
	bool no_node; // the request's node means nothing
	bool changes; // needs a writable tree
} ops[GOFER_OPS] = {
	[GOFER_ATTACH] = {.fn = op_attach, .no_node = true},
	[GOFER_WALK] = {.fn = op_walk},
	[GOFER_GETATTR] = {.fn = op_getattr},
	[GOFER_OPEN] = {.fn = op_open},
	[GOFER_READLINK] = {.fn = op_readlink},
	[GOFER_LIST] = {.fn = op_list},
	[GOFER_WALK_OPEN] = {.fn = op_walk_open},
	[GOFER_LIST_BELOW] = {.fn = op_list_below},
	[GOFER_STATFS] = {.fn = op_statfs},
	[GOFER_GETXATTR] = {.fn = op_getxattr},
	[GOFER_LISTXATTR] = {.fn = op_listxattr},
	[GOFER_CREATE] = {.fn = op_create, .changes = true},
	[GOFER_TMPFILE] = {.fn = op_tmpfile, .changes = true},
	[GOFER_SYMLINK] = {.fn = op_symlink, .changes = true},
	[GOFER_LINK] = {.fn = op_link, .changes = true},
	[GOFER_UNLINK] = {.fn = op_unlink, .changes = true},
	[GOFER_RENAME] = {.fn = op_rename, .changes = true},
	[GOFER_SETATTR] = {.fn = op_setattr, .changes = true},
	[GOFER_SETXATTR] = {.fn = op_setxattr, .changes = true},
	[GOFER_REMOVEXATTR] = {.fn = op_removexattr, .changes = true},
	[GOFER_FSYNC] = {.fn = op_fsync, .changes = true},
};

enum { SPARE_FILES = 64 };

int server_init(struct gofer_server *s, const struct gofer_config *config)
{
	struct rlimit files;
	cpu_set_t cpus;

	*s = (struct gofer_server){.config = config, .proc_self_fd = config->proc_self_fd};
	s->one_cpu = sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) == 1;
	if (s->proc_self_fd < 0)
		s->proc_self_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->proc_self_fd < 0 || fchdir(s->proc_self_fd) < 0)
		return -errno;
	s->max_nodes = SPARE_FILES;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > 2 * SPARE_FILES)
		s->max_nodes = files.rlim_cur < UINT32_MAX ? (uint32_t)files.rlim_cur - SPARE_FILES : UINT32_MAX;
	return 0;
}

void server_fini(struct gofer_server *s)
{
	for (uint32_t i = 0; i < s->nnodes; i++)
		if (s->nodes[i].fd >= 0)
			close(s->nodes[i].fd);
	free(s->nodes);
	below_fini(s);
	if (s->config->proc_self_fd < 0)
		close(s->proc_self_fd);
}

static void forget(struct gofer_server *s, struct msg_in *rq)
{
	uint64_t node;

	while (msg_left(rq) >= sizeof(node) && msg_get_obj(rq, &node))
		node_forget(s, node);
}

static int run(struct op_call *c, const struct gofer_request *head)
{
	const struct op *op = head->op < GOFER_OPS ? &ops[head->op] : NULL;
	int err;

	if (!op || !op->fn)
		return -ENOSYS;
	if (!op->no_node) {
		c->node = node_find(c->server, head->node);
		if (!c->node)
			return -ESTALE;
		if (op->changes && c->node->readonly)
			return -EROFS;
	}
	err = op->fn(c);
	if (!err && msg_left(c->rq) > 0)
		err = -EPROTO;
	if (!err && c->out->full)
		err = -EOVERFLOW;
	return err;
}

size_t server_handle(struct gofer_server *s, const void *request, size_t len, uint8_t *answer, int *out_fd)
{
	struct msg_in rq = {.p = request, .end = (const uint8_t *)request + len};
	struct msg_out out = {.buf = answer, .cap = GOFER_MSG_MAX};
	struct op_call call = {.server = s, .rq = &rq, .out = &out, .out_fd = -1};
	struct gofer_answer head = {0};
	struct gofer_request rq_head;
	int err;

	*out_fd = -1;
	msg_put_obj(&out, &head);
	if (!msg_get_obj(&rq, &rq_head) || rq_head.size != len || rq_head.reserved) {
		err = -EPROTO;
	} else if (rq_head.op == GOFER_FORGET) {
		forget(s, &rq);
		return 0;
	} else {
		err = run(&call, &rq_head);
	}
	if (err) {
		out.len = sizeof(head);
		if (call.out_fd >= 0)
			close(call.out_fd);
		call.out_fd = -1;
	}
	head = (struct gofer_answer){.size = (uint32_t)out.len, .op = rq_head.op, .has_fd = call.out_fd >= 0, .error = err};
	memcpy(answer, &head, sizeof(head));
	*out_fd = call.out_fd;
	return out.len;
}

static int serve(struct gofer_server *s)
{
	static _Alignas(8) uint8_t request[GOFER_MSG_MAX], answer[GOFER_MSG_MAX];

	for (;;) {
		int fd;
		long n = msg_receive(s->config->conn_fd, request, sizeof(request), &fd);
		size_t len;

		if (fd >= 0)
			close(fd); // no request carries one
		if (n == 0 || n == -ECONNRESET)
			return 0;
		if (n < 0 && n != -EMSGSIZE && n != -EPROTO) {
			log_error("cannot receive from the sentry: %s", strerrorname_np((int)-n));
			return 1;
		}
		len = server_handle(s, request, n < 0 ? 0 : (size_t)n, answer, &fd);
		n = len ? msg_send(s->config->conn_fd, answer, len, fd) : 0;
		if (fd >= 0)
			close(fd);
		if (n == -EPIPE || n == -ECONNRESET)
			return 0;
		if (n < 0) {
			log_error("cannot answer the sentry: %s", strerrorname_np((int)-n));
			return 1;
		}
	}
}

int gofer_main(const struct gofer_config *config)
{
	struct rlimit files;
	struct gofer_server s;
	int status, err;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	umask(0);
	err = server_init(&s, config);
	if (err) {
		log_error("cannot open /proc/self/fd: %s", strerrorname_np(-err));
		return 1;
	}
	if (!config->no_lockdown) {
		err = gofer_lockdown(config);
		if (err) {
			log_error("cannot lock the gofer down: %s", strerrorname_np(-err));
			return 1;
		}
	}
	profile_mark(PROFILE_GOFER_SERVES);
	status = serve(&s);
	server_fini(&s);
	return status;
}
