// libFuzzer target: the gofer's messages. The first byte chooses the side: the server gets requests, on a small tree of files that is made
// anew for each run; or the sentry's client gets answers.
//
// An input is a row of messages, each a length byte and that many bytes. Sizes in their heads are put right, and numbers of nodes
// are mapped to ones that exist, so that what lies behind them is reached.
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gofer/client.h"
#include "gofer/server.h"
#include "lib/log.h"

// The filters are made by the build, and nothing is locked down here.
int gofer_lockdown(const struct gofer_config *config)
{
	(void)config;
	return 0;
}

enum { NODES = 16, MESSAGES_MAX = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p, *end;
};

static size_t take(struct input *in, uint8_t *dst, size_t cap)
{
	size_t len;

	if (in->p == in->end)
		return 0;
	len = *in->p++;
	if (len > (size_t)(in->end - in->p))
		len = in->end - in->p;
	if (len > cap)
		len = cap;
	memcpy(dst, in->p, len);
	in->p += len;
	return len;
}

// --- the server

static void make_tree(char *path)
{
	char name[128];
	int fd;

	strcpy(path, "/tmp/hull-fuzz-XXXXXX");
	if (!mkdtemp(path))
		abort();
	snprintf(name, sizeof(name), "%s/a", path);
	mkdir(name, 0755);
	snprintf(name, sizeof(name), "%s/a/f", path);
	fd = open(name, O_WRONLY | O_CREAT, 0644);
	if (fd < 0 || write(fd, "hello", 5) != 5)
		abort();
	close(fd);
	snprintf(name, sizeof(name), "%s/l", path);
	if (symlink("a", name) < 0)
		abort();
}

static void remove_tree(const char *path)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", path);
	if (system(command) < 0)
		abort();
}

static void note_nodes(uint64_t *nodes, const uint8_t *answer, size_t len)
{
	struct gofer_answer head;
	struct gofer_entry entry;

	memcpy(&head, answer, sizeof(head));
	if (len < sizeof(head) + sizeof(entry) || head.error)
		return;
	memcpy(&entry, answer + sizeof(head) + (head.op == GOFER_WALK ? sizeof(struct gofer_walked) : 0), sizeof(entry.node));
	nodes[entry.node % NODES] = entry.node;
}

static void fuzz_server(struct input *in)
{
	static uint8_t answer[GOFER_MSG_MAX];
	static char path[64];
	struct gofer_tree tree;
	struct gofer_config config = {.conn_fd = -1, .proc_self_fd = -1, .trees = &tree, .ntrees = 1};
	struct gofer_attach attach = {.version = GOFER_VERSION};
	struct gofer_server s;
	uint64_t nodes[NODES] = {0};
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); // the server works from a directory of its own
	struct {
		struct gofer_request head;
		uint8_t rest[256];
	} rq = {.head = {.size = sizeof(rq.head) + sizeof(attach), .op = GOFER_ATTACH}};

	if (!*path)
		make_tree(path);
	tree = (struct gofer_tree){.dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC)};
	if (server_init(&s, &config) < 0)
		abort();
	memcpy(rq.rest, &attach, sizeof(attach));
	for (int i = 0; i < MESSAGES_MAX; i++) {
		size_t len = rq.head.size, got;
		int fd;

		got = server_handle(&s, &rq, len, answer, &fd);
		if (got > GOFER_MSG_MAX || (got && got < sizeof(struct gofer_answer)))
			abort();
		if (fd >= 0)
			close(fd);
		if (got)
			note_nodes(nodes, answer, got);
		memset(&rq, 0, sizeof(rq));
		len = take(in, (uint8_t *)&rq.head.op, sizeof(rq) - offsetof(struct gofer_request, op));
		if (len < sizeof(rq.head) - offsetof(struct gofer_request, op))
			break;
		rq.head.size = len + offsetof(struct gofer_request, op);
		rq.head.op = rq.head.op % (GOFER_OPS + 1);
		rq.head.reserved = 0;
		rq.head.node = nodes[rq.head.node % NODES] ?: rq.head.node;
	}
	server_fini(&s);
	if (fchdir(here) < 0)
		abort();
	close(here);
	close(tree.dir_fd);
	if (access(path, F_OK) < 0) // not even everything within the tree gone may touch the tree itself
		abort();
	remove_tree(path);
	*path = 0;
}

// --- the client

struct seen {
	uint64_t sum;
	uint32_t ndirs, left; // left: entries that the directory at hand is said to have still
};

static int each(void *arg, const struct gofer_listed_entry *e)
{
	struct seen *seen = arg;

	if (memchr(e->name, '/', e->len) || e->len == 0 || e->len > GOFER_NAME_MAX || e->link_len > GOFER_PATH_MAX + 1)
		abort();
	if (seen->ndirs && seen->left-- == 0)
		abort();
	seen->sum += (e->attr ? e->attr->mode : 0) + (e->link_len ? (unsigned char)e->link[e->link_len - 1] : 0) + e->type;
	return 0;
}

static int each_below(void *arg, uint32_t dir, uint32_t entry, uint32_t count)
{
	struct seen *seen = arg;

	(void)entry;
	if (dir > seen->ndirs || count > GOFER_MSG_MAX)
		abort();
	seen->ndirs++;
	seen->left = count;
	return 0;
}

static void call(struct gofer_client *c, unsigned op)
{
	const struct gofer_name names[] = {{"a", 1}, {"f", 1}};
	const struct gofer_create how = {.mode = S_IFREG | 0644};
	const struct gofer_setattr set = {.valid = GOFER_SET_MODE};
	struct gofer_entry entries[2];
	struct gofer_attached attached;
	struct gofer_statfs sfs;
	struct gofer_attr attr;
	char buf[64];
	uint32_t n = 0;
	uint64_t position = 0;
	bool at_end;
	struct seen seen = {0};
	const struct gofer_list_call list = {.flags = GOFER_LIST_XATTRS, .on_entry = each, .on_below = each_below, .arg = &seen};
	int fd = -1;

	switch (op) {
	case GOFER_ATTACH: gofer_attach(c, 0, entries, &attached); break;
	case GOFER_WALK:
		gofer_walk(c, 1, names, 2, entries, &n, NULL, NULL);
		if (n > 2)
			abort();
		break;
	case GOFER_WALK_OPEN:
		gofer_walk(c, 1, names, 2, entries, &n, NULL, &fd);
		if (n > 2)
			abort();
		break;
	case GOFER_GETATTR: gofer_getattr(c, 1, &attr); break;
	case GOFER_OPEN: gofer_open(c, 1, O_RDONLY, &fd); break;
	case GOFER_READLINK:
		if (gofer_readlink(c, 1, buf, sizeof(buf)) > (int64_t)sizeof(buf))
			abort();
		break;
	case GOFER_LIST: gofer_list(c, 1, &list, &position, &at_end); break;
	case GOFER_LIST_BELOW: gofer_list_below(c, 1, &list, names, 2, 16); break;
	case GOFER_STATFS: gofer_statfs(c, 1, &sfs); break;
	case GOFER_GETXATTR:
		if (gofer_getxattr(c, 1, "user.x", buf, sizeof(buf)) > (int64_t)sizeof(buf))
			abort();
		break;
	case GOFER_LISTXATTR:
		if (gofer_listxattr(c, 1, buf, sizeof(buf)) > (int64_t)sizeof(buf))
			abort();
		break;
	case GOFER_CREATE: gofer_create(c, 1, names[0], &how, entries, &fd); break;
	case GOFER_TMPFILE: gofer_tmpfile(c, 1, &how, entries, &fd); break;
	case GOFER_SYMLINK: gofer_symlink(c, 1, names[0], names[1], &how, entries); break;
	case GOFER_LINK: gofer_link(c, 1, names[0], 2, &attr); break;
	case GOFER_UNLINK: gofer_unlink(c, 1, names[0], 0); break;
	case GOFER_RENAME: gofer_rename(c, 1, names[0], 1, names[1], 0); break;
	case GOFER_SETATTR: gofer_setattr(c, 1, &set, &attr); break;
	case GOFER_SETXATTR: gofer_setxattr(c, 1, "user.x", "v", 1, 0); break;
	case GOFER_REMOVEXATTR: gofer_removexattr(c, 1, "user.x"); break;
	case GOFER_FSYNC: gofer_fsync(c, 1); break;
	default: gofer_forget(c, 1); break;
	}
	if (fd >= 0)
		close(fd);
}

static void fuzz_client(struct input *in)
{
	struct gofer_client c;
	char drained[512];
	int s[2], devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct {
		struct gofer_answer head;
		uint8_t rest[256];
	} rp;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, s) < 0 || gofer_client_init(&c, s[0]) < 0)
		abort();
	for (int i = 0; i < MESSAGES_MAX; i++) {
		size_t len;

		memset(&rp, 0, sizeof(rp));
		len = take(in, (uint8_t *)&rp.head.op, sizeof(rp) - offsetof(struct gofer_answer, op));
		if (len < 4)
			break;
		len += offsetof(struct gofer_answer, op);
		rp.head.size = len;
		rp.head.op %= GOFER_OPS + 1;
		if (rp.head.error > -4096 && rp.head.error % 4) // errors are answered, but not most of the time
			rp.head.error = 0;
		msg_send(s[1], &rp, len, rp.head.has_fd & 1 ? devnull : -1);
		call(&c, rp.head.op);
		while (recv(s[1], drained, sizeof(drained), MSG_DONTWAIT) > 0)
			;
		c.dead = false;
	}
	gofer_client_fini(&c);
	close(s[1]);
	close(devnull);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int quiet = -1;
	struct input in = {data + 1, data + size};

	if (quiet < 0) {
		quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_init(quiet, LOG_ERROR, false, "fuzz");
		umask(0);
	}
	if (size > 1 && data[0] & 1)
		fuzz_server(&in);
	else if (size > 1)
		fuzz_client(&in);
	return 0;
}
