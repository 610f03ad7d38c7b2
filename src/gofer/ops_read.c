// Looking: walk, attributes, open, links, extended attributes.
//
// A step from a directory takes one component and follows no symlink, so nothing outside the tree can be named; where the host
// mounted its procfs inside the tree, its root shows as an empty directory.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/server.h"

static bool is_procfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC;
}

// Takes fd over.
static int entry_for(struct gofer_server *s, int fd, bool readonly, struct gofer_entry *out)
{
	uint64_t attributes;
	int err = attr_of(fd, "", &out->attr, &attributes);

	if (err) {
		close(fd);
		return err;
	}
	return node_add(s, fd, out->attr.mode, readonly, (attributes & STATX_ATTR_MOUNT_ROOT) && is_procfs(fd), &out->node);
}

int walk_step(struct gofer_server *s, const struct node *dir, const char *name, struct gofer_entry *out)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (!S_ISDIR(dir->mode))
		return -ENOTDIR;
	if (dir->opaque)
		return -ENOENT;
	do
		fd = (int)syscall(SYS_openat2, dir->fd, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0)
		return -errno;
	return entry_for(s, fd, dir->readonly, out);
}

int op_attach(struct op_call *c)
{
	const struct gofer_config *config = c->server->config;
	struct gofer_attach rq;
	struct gofer_entry root;
	struct gofer_attached attached = {.max_nodes = c->server->max_nodes};
	int fd, err;

	if (!msg_get_obj(c->rq, &rq))
		return -EPROTO;
	if (rq.version != GOFER_VERSION)
		return -EPROTONOSUPPORT;
	if (rq.tree >= (uint32_t)config->ntrees)
		return -ENOENT;
	fd = fcntl(config->trees[rq.tree].dir_fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = entry_for(c->server, fd, config->trees[rq.tree].readonly, &root);
	if (err)
		return err;
	if (config->trees[rq.tree].readonly)
		attached.flags |= GOFER_TREE_READONLY;
	msg_put_obj(c->out, &root);
	msg_put_obj(c->out, &attached);
	return 0;
}

static void put_target(struct msg_out *out, int fd)
{
	char target[GOFER_PATH_MAX + 1];
	ssize_t n = fd < 0 ? 0 : readlinkat(fd, "", target, sizeof(target));

	msg_put_str(out, target, n < 0 ? 0 : (size_t)n);
}

static int open_node(const struct node *n, uint32_t flags)
{
	const struct node_path path = node_path(n);
	int fd = open(path.name, (int)flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && errno == EPERM && flags & O_NOATIME)
		fd = open(path.name, (int)(flags & ~O_NOATIME) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

// The names were all looked at before the first step: a bad one leaves no nodes behind. how: to open the last one if all are found; NULL: don't.
static int walk(struct op_call *c, const struct gofer_open *how)
{
	struct gofer_walked walked = {0};
	struct node from = *c->node; // a copy: the table may move
	size_t head = c->out->len;
	struct msg_in names = *c->rq;
	char name[GOFER_NAME_MAX + 1];
	uint32_t count = 0;
	int fd = -1;

	while (msg_left(&names) > 0)
		if (!msg_get_name(&names, name) || ++count > GOFER_WALK_MAX)
			return -EPROTO;
	msg_put_obj(c->out, &walked);
	while (walked.found < count) {
		struct gofer_entry entry;
		struct node *n;

		msg_get_name(c->rq, name);
		walked.stopped = walk_step(c->server, &from, name, &entry);
		if (walked.stopped)
			break;
		msg_put_obj(c->out, &entry);
		walked.found++;
		n = node_find(c->server, entry.node);
		from = *n;
		if (!S_ISDIR(n->mode))
			break;
	}
	c->rq->p = c->rq->end;
	memcpy(c->out->buf + head, &walked, sizeof(walked));
	put_target(c->out, walked.found && S_ISLNK(from.mode) ? from.fd : -1);
	if (how && count && walked.found == count && S_ISREG(from.mode))
		fd = open_node(&from, how->flags);
	c->out_fd = fd < 0 ? -1 : fd; // who opens it by itself learns why it can't be
	return 0;
}

int op_walk(struct op_call *c)
{
	return walk(c, NULL);
}

static bool get_how(struct op_call *c, struct gofer_open *out)
{
	const uint32_t allowed = O_ACCMODE | O_NOATIME | O_SYNC | O_DSYNC;

	return msg_get_obj(c->rq, out) && !(out->flags & ~allowed);
}

int op_walk_open(struct op_call *c)
{
	struct gofer_open how;

	if (!get_how(c, &how))
		return -EPROTO;
	if (c->node->readonly && (how.flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	return walk(c, &how);
}

int op_getattr(struct op_call *c)
{
	struct gofer_attr attr;
	int err = attr_of(c->node->fd, "", &attr, NULL);

	if (!err)
		msg_put_obj(c->out, &attr);
	return err;
}

// Only regular files: a directory's descriptor would lead its holder further, and opening a device or a FIFO acts on it.
int op_open(struct op_call *c)
{
	struct gofer_open rq;
	int fd;

	if (!get_how(c, &rq))
		return -EPROTO;
	if (!S_ISREG(c->node->mode))
		return S_ISDIR(c->node->mode) ? -EISDIR : -ENXIO;
	if (c->node->readonly && (rq.flags & O_ACCMODE) != O_RDONLY)
		return -EROFS;
	fd = open_node(c->node, rq.flags);
	if (fd < 0)
		return fd;
	c->out_fd = fd;
	return 0;
}

int op_readlink(struct op_call *c)
{
	char target[GOFER_PATH_MAX + 1];
	ssize_t n = readlinkat(c->node->fd, "", target, sizeof(target));

	if (n < 0)
		return errno == ENOENT ? -EINVAL : -errno;
	msg_put_str(c->out, target, (size_t)n);
	return 0;
}

int op_statfs(struct op_call *c)
{
	struct gofer_statfs out;
	struct statfs fs;

	if (fstatfs(c->node->fd, &fs) < 0)
		return -errno;
	out = (struct gofer_statfs){
		.type = (uint64_t)fs.f_type,
		.bsize = (uint64_t)fs.f_bsize,
		.blocks = fs.f_blocks,
		.bfree = fs.f_bfree,
		.bavail = fs.f_bavail,
		.files = fs.f_files,
		.ffree = fs.f_ffree,
		.namelen = (uint64_t)fs.f_namelen,
		.frsize = (uint64_t)fs.f_frsize,
		.flags = (uint64_t)fs.f_flags,
	};
	msg_put_obj(c->out, &out);
	return 0;
}

int op_getxattr(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1], value[GOFER_XATTR_MAX];
	ssize_t n;

	if (!msg_get_name(c->rq, name))
		return -EPROTO;
	n = getxattr(node_path(c->node).name, name, value, sizeof(value));
	if (n < 0)
		return -errno;
	msg_put_str(c->out, value, (size_t)n);
	return 0;
}

int op_listxattr(struct op_call *c)
{
	char names[GOFER_XATTR_MAX];
	ssize_t n = listxattr(node_path(c->node).name, names, sizeof(names));

	if (n < 0)
		return -errno;
	msg_put_str(c->out, names, (size_t)n);
	return 0;
}
