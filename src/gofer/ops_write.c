// Changing: making, linking, renaming, removing files and their attributes. The server let only nodes of writable trees through.
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/server.h"

static bool is_dir(const struct node *n)
{
	return S_ISDIR(n->mode) && !n->opaque;
}

// Gives a new file its owner, then its mode, which chown may have stripped of its set-id bits.
static int own(int dir_fd, const char *name, const struct gofer_create *rq)
{
	if (fchownat(dir_fd, name, rq->uid, rq->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISLNK(rq->mode) && rq->mode & (S_ISUID | S_ISGID) && fchmodat(dir_fd, name, rq->mode & 07777, 0) < 0)
		return -errno;
	return 0;
}

static int create_regular(struct op_call *c, const char *name, const struct gofer_create *rq)
{
	int fd = openat(c->node->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, rq->mode & 07777);

	if (fd < 0)
		return -errno;
	if (fchown(fd, rq->uid, rq->gid) < 0 || fchmod(fd, rq->mode & 07777) < 0) {
		int err = -errno;

		close(fd);
		unlinkat(c->node->fd, name, 0);
		return err;
	}
	c->out_fd = fd;
	return 0;
}

int op_create(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];
	struct gofer_create rq;
	struct gofer_entry entry;
	int err = 0;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, name))
		return -EPROTO;
	if (!is_dir(c->node))
		return -ENOTDIR;
	switch (rq.mode & S_IFMT) {
	case S_IFREG:
		err = create_regular(c, name, &rq);
		break;
	case S_IFDIR:
		err = mkdirat(c->node->fd, name, rq.mode & 07777) < 0 ? -errno : own(c->node->fd, name, &rq);
		break;
	case S_IFIFO:
	case S_IFSOCK:
		err = mknodat(c->node->fd, name, rq.mode, 0) < 0 ? -errno : own(c->node->fd, name, &rq);
		break;
	default: // a device of the host's is nothing that a container makes
		return -EPERM;
	}
	err = err ?: walk_step(c->server, c->node, name, &entry);
	if (!err)
		msg_put_obj(c->out, &entry);
	return err;
}

int op_tmpfile(struct op_call *c)
{
	struct gofer_create rq;
	struct gofer_entry entry;
	bool readonly = c->node->readonly;
	char link[16];
	int fd, path_fd, err;

	if (!msg_get_obj(c->rq, &rq) || !S_ISREG(rq.mode))
		return -EPROTO;
	if (!is_dir(c->node))
		return -ENOTDIR;
	fd = open(node_path(c->node).name, O_TMPFILE | O_RDWR | O_CLOEXEC, rq.mode & 07777);
	if (fd < 0)
		return -errno;
	c->out_fd = fd; // closed by the caller, whatever happens
	if (fchown(fd, rq.uid, rq.gid) < 0 || fchmod(fd, rq.mode & 07777) < 0)
		return -errno;
	snprintf(link, sizeof(link), "%d", fd);
	path_fd = open(link, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	err = attr_of(path_fd, "", &entry.attr, NULL);
	if (err) {
		close(path_fd);
		return err;
	}
	err = node_add(c->server, path_fd, entry.attr.mode, readonly, false, &entry.node);
	if (!err)
		msg_put_obj(c->out, &entry);
	return err;
}

int op_symlink(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1], target[GOFER_PATH_MAX + 1];
	struct gofer_create rq;
	struct gofer_entry entry;
	const char *s;
	size_t len;
	int err;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, name))
		return -EPROTO;
	s = msg_get_str(c->rq, GOFER_PATH_MAX, &len);
	if (!s || len == 0 || memchr(s, 0, len))
		return -EPROTO;
	memcpy(target, s, len);
	target[len] = 0;
	if (!is_dir(c->node))
		return -ENOTDIR;
	rq.mode = S_IFLNK | 0777;
	err = symlinkat(target, c->node->fd, name) < 0 ? -errno : own(c->node->fd, name, &rq);
	err = err ?: walk_step(c->server, c->node, name, &entry);
	if (!err)
		msg_put_obj(c->out, &entry);
	return err;
}

int op_link(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];
	struct gofer_attr attr;
	struct gofer_link rq;
	struct node *target;
	int err;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, name))
		return -EPROTO;
	target = node_find(c->server, rq.target);
	if (!target)
		return -ESTALE;
	if (!is_dir(c->node))
		return -ENOTDIR;
	if (target->readonly)
		return -EROFS;
	// An O_PATH descriptor of a symlink leads to the link itself, so nothing is followed beyond the node.
	if (linkat(AT_FDCWD, node_path(target).name, c->node->fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	err = attr_of(target->fd, "", &attr, NULL);
	if (!err)
		msg_put_obj(c->out, &attr);
	return err;
}

int op_unlink(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];
	struct gofer_unlink rq;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, name) || rq.flags & ~(uint32_t)AT_REMOVEDIR)
		return -EPROTO;
	if (!is_dir(c->node))
		return -ENOTDIR;
	return unlinkat(c->node->fd, name, (int)rq.flags) < 0 ? -errno : 0;
}

int op_rename(struct op_call *c)
{
	char old_name[GOFER_NAME_MAX + 1], new_name[GOFER_NAME_MAX + 1];
	struct gofer_rename rq;
	struct node *to;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, old_name) || !msg_get_name(c->rq, new_name))
		return -EPROTO;
	if (rq.flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	to = node_find(c->server, rq.new_dir);
	if (!to)
		return -ESTALE;
	if (!is_dir(c->node) || !is_dir(to))
		return -ENOTDIR;
	if (to->readonly)
		return -EROFS;
	return renameat2(c->node->fd, old_name, to->fd, new_name, rq.flags) < 0 ? -errno : 0;
}

static struct timespec time_set(const struct gofer_time *t, bool set)
{
	return (struct timespec){.tv_sec = t->sec, .tv_nsec = set ? (long)t->nsec : UTIME_OMIT};
}

int op_setattr(struct op_call *c)
{
	struct node_path path = node_path(c->node);
	struct gofer_setattr rq;
	struct gofer_attr attr;
	int err;

	if (!msg_get_obj(c->rq, &rq))
		return -EPROTO;
	if (rq.valid & GOFER_SET_SIZE) {
		if (!S_ISREG(c->node->mode) || rq.size > INT64_MAX)
			return -EINVAL;
		if (truncate(path.name, (off_t)rq.size) < 0)
			return -errno;
	}
	if (rq.valid & (GOFER_SET_UID | GOFER_SET_GID) &&
	    fchownat(c->node->fd, "", rq.valid & GOFER_SET_UID ? rq.uid : (uid_t)-1,
		     rq.valid & GOFER_SET_GID ? rq.gid : (gid_t)-1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (rq.valid & GOFER_SET_MODE) {
		if (S_ISLNK(c->node->mode))
			return -EOPNOTSUPP;
		if (chmod(path.name, rq.mode & 07777) < 0)
			return -errno;
	}
	if (rq.valid & (GOFER_SET_ATIME | GOFER_SET_MTIME)) {
		struct timespec times[2] = {time_set(&rq.atime, rq.valid & GOFER_SET_ATIME),
					    time_set(&rq.mtime, rq.valid & GOFER_SET_MTIME)};

		if (utimensat(AT_FDCWD, path.name, times, 0) < 0)
			return -errno;
	}
	err = attr_of(c->node->fd, "", &attr, NULL);
	if (!err)
		msg_put_obj(c->out, &attr);
	return err;
}

int op_setxattr(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];
	struct gofer_setxattr rq;
	const char *value;
	size_t len;

	if (!msg_get_obj(c->rq, &rq) || !msg_get_name(c->rq, name))
		return -EPROTO;
	value = msg_get_str(c->rq, GOFER_XATTR_MAX, &len);
	if (!value)
		return -EPROTO;
	return setxattr(node_path(c->node).name, name, value, len, (int)rq.flags) < 0 ? -errno : 0;
}

int op_removexattr(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];

	if (!msg_get_name(c->rq, name))
		return -EPROTO;
	return removexattr(node_path(c->node).name, name) < 0 ? -errno : 0;
}

int op_fsync(struct op_call *c)
{
	int fd, err;

	if (!is_dir(c->node))
		return -EINVAL;
	fd = open(node_path(c->node).name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}
