// Listings: a directory's entries; and for who goes down a tree those of several directories with all that is below them, as far as one
// message holds it.
//
// What is below is opened name by name from the directory above it, no symlink followed, and never over the border of a file system.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/server.h"

enum { DEPTH_MAX = 16 };

struct lister {
	struct msg_out *out;
	uint32_t flags; // GOFER_LIST_*
	uint32_t budget; // of entries below; 0: no further directories
	uint32_t ndirs; // of those that are in the message
	_Alignas(struct dirent64) char buf[16 << 10];
};

static bool has_no_xattrs(int dir_fd, const char *name)
{
	char path[GOFER_NAME_MAX + 16];

	snprintf(path, sizeof(path), "%d/%s", dir_fd, name); // as node_path
	return llistxattr(path, NULL, 0) == 0;
}

// One entry. all: with its attributes, whatever it is, and where a link leads. False: the message is full.
static bool put(struct lister *l, int dir_fd, const struct dirent64 *d, bool all)
{
	struct gofer_list_entry entry = {.ino = d->d_ino, .type = d->d_type};
	struct msg_out *out = l->out;
	const size_t before = out->len;
	char target[GOFER_PATH_MAX + 1];
	struct gofer_attr attr;
	uint64_t attributes;
	ssize_t link_len = 0;

	if ((all || d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) && attr_of(dir_fd, d->d_name, &attr, &attributes) == 0) {
		entry.known |= GOFER_ENTRY_ATTR;
		entry.ino = attr.ino;
		entry.type = IFTODT(attr.mode);
		if (attributes & (STATX_ATTR_MOUNT_ROOT | STATX_ATTR_AUTOMOUNT))
			entry.known |= GOFER_ENTRY_APART;
		if (all && (l->flags & GOFER_LIST_XATTRS) && has_no_xattrs(dir_fd, d->d_name))
			attr.flags = GOFER_ATTR_NO_XATTRS;
		if (all && S_ISLNK(attr.mode))
			link_len = readlinkat(dir_fd, d->d_name, target, sizeof(target));
		if (link_len > 0)
			entry.known |= GOFER_ENTRY_LINK;
	}
	msg_put_obj(out, &entry);
	if (entry.known & GOFER_ENTRY_ATTR)
		msg_put_obj(out, &attr);
	msg_put_str(out, d->d_name, strlen(d->d_name));
	if (entry.known & GOFER_ENTRY_LINK)
		msg_put_str(out, target, (size_t)link_len);
	if (!out->full)
		return true;
	out->len = before;
	out->full = false;
	return false;
}

static int fill(struct lister *l, int fd, bool all, struct gofer_listed *listed)
{
	for (;;) {
		ssize_t n = getdents64(fd, l->buf, sizeof(l->buf));

		if (n < 0)
			return -errno;
		if (n == 0) {
			listed->at_end = 1;
			return 0;
		}
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(l->buf + at);

			at += d->d_reclen;
			if (msg_name_ok(d->d_name, strlen(d->d_name))) {
				if (!put(l, fd, d, all))
					return 0;
				listed->count++;
			}
			listed->next = (uint64_t)d->d_off;
		}
	}
}

static void below(struct lister *l, int dir_fd, uint32_t dir, size_t begin, int depth);

// All of an open directory, or nothing. False: that was as much as there is room for.
static bool put_dir(struct lister *l, int fd, uint32_t dir, uint32_t entry, int depth)
{
	const size_t before = l->out->len, begin = before + sizeof(struct gofer_list_below);
	struct gofer_list_below head = {.dir = dir, .entry = entry};
	struct gofer_listed listed = {0};

	if (!msg_put_obj(l->out, &head))
		l->out->full = false;
	else if (fill(l, fd, !(l->flags & GOFER_LIST_THIN), &listed) < 0)
		listed.at_end = 0;
	if (!listed.at_end) {
		l->out->len = before;
		l->budget = 0;
		return false;
	}
	head.count = listed.count;
	memcpy(l->out->buf + before, &head, sizeof(head));
	l->budget -= listed.count < l->budget ? listed.count + 1 : l->budget;
	l->ndirs++;
	if (depth < DEPTH_MAX)
		below(l, fd, l->ndirs, begin, depth + 1);
	return l->budget > 0;
}

// known: that nothing of its own begins there.
static bool list_below(struct lister *l, int dir_fd, const char *name, bool known, uint32_t dir, uint32_t entry, int depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct gofer_attr attr;
	uint64_t attributes;
	bool more = true;

	if (fd < 0)
		return true; // who asks for it alone learns why
	if (known || (attr_of(fd, "", &attr, &attributes) == 0 && !(attributes & STATX_ATTR_MOUNT_ROOT)))
		more = put_dir(l, fd, dir, entry, depth);
	close(fd);
	return more;
}

// What is below those directories whose entries stand in the message from begin on.
static void below(struct lister *l, int dir_fd, uint32_t dir, size_t begin, int depth)
{
	struct msg_in in = {.p = l->out->buf + begin, .end = l->out->buf + l->out->len};
	struct gofer_list_entry entry;
	struct gofer_attr attr;
	char name[GOFER_NAME_MAX + 1];
	size_t len;

	for (uint32_t i = 0; l->budget && msg_left(&in) > 0; i++) {
		msg_get_obj(&in, &entry);
		if (entry.known & GOFER_ENTRY_ATTR)
			msg_get_obj(&in, &attr);
		if (!msg_get_name(&in, name) || (entry.known & GOFER_ENTRY_LINK && !msg_get_str(&in, GOFER_PATH_MAX + 1, &len)))
			return;
		if (entry.type == DT_DIR && (entry.known & (GOFER_ENTRY_ATTR | GOFER_ENTRY_APART)) == GOFER_ENTRY_ATTR &&
		    !list_below(l, dir_fd, name, true, dir, i, depth))
			return;
	}
}

static int open_dir(const struct op_call *c)
{
	int fd = open(node_path(c->node).name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int op_list(struct op_call *c)
{
	const size_t head = c->out->len;
	struct gofer_listed listed = {0};
	struct lister l;
	struct gofer_list rq;
	int fd, err = 0;

	if (!msg_get_obj(c->rq, &rq))
		return -EPROTO;
	if (!S_ISDIR(c->node->mode))
		return -ENOTDIR;
	l.out = c->out;
	l.flags = rq.flags;
	listed.next = rq.position;
	msg_put_obj(c->out, &listed);
	if (c->node->opaque) {
		listed.at_end = 1;
	} else {
		fd = open_dir(c);
		if (fd < 0)
			return fd;
		if (rq.position && lseek(fd, (off_t)rq.position, SEEK_SET) < 0)
			err = -errno;
		err = err ?: fill(&l, fd, true, &listed);
		close(fd);
	}
	memcpy(c->out->buf + head, &listed, sizeof(listed));
	return err;
}

int op_list_below(struct op_call *c)
{
	char name[GOFER_NAME_MAX + 1];
	struct gofer_list_many rq;
	struct msg_in names;
	struct lister l;
	uint32_t count = 0;
	int fd;

	if (!msg_get_obj(c->rq, &rq))
		return -EPROTO;
	for (names = *c->rq; msg_left(&names) > 0;)
		if (!msg_get_name(&names, name) || ++count > GOFER_BELOW_MAX)
			return -EPROTO;
	names = *c->rq;
	c->rq->p = c->rq->end;
	if (!S_ISDIR(c->node->mode))
		return -ENOTDIR;
	if (c->node->opaque)
		return 0;
	fd = open_dir(c);
	if (fd < 0)
		return fd;
	l.out = c->out;
	l.flags = rq.flags;
	l.budget = rq.entries;
	l.ndirs = 0;
	for (uint32_t i = 0; i < count; i++) {
		msg_get_name(&names, name);
		if (!list_below(&l, fd, name, false, 0, i, 1))
			break;
	}
	close(fd);
	return 0;
}
