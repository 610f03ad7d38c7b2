// Listings: a directory's entries. What is below several directories is list_below.c's.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "gofer/lister.h"

static bool has_no_xattrs(int dir_fd, const char *name)
{
	char path[GOFER_NAME_MAX + 16];

	snprintf(path, sizeof(path), "%d/%s", dir_fd, name); // as node_path
	return llistxattr(path, NULL, 0) == 0;
}

// One entry. all: with its attributes, whatever it is, and where a link leads. False: the message is full.
static bool put(struct lister *l, int dir_fd, const struct dirent64 *d, size_t len, uint32_t index, bool all)
{
	struct gofer_list_entry entry = {.ino = d->d_ino, .type = d->d_type};
	struct msg_out *out = l->out;
	const size_t before = out->len;
	size_t name_at;
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
	name_at = out->len + sizeof(uint32_t);
	msg_put_str(out, d->d_name, len);
	if (entry.known & GOFER_ENTRY_LINK)
		msg_put_str(out, target, (size_t)link_len);
	if (out->full) {
		out->len = before;
		out->full = false;
		return false;
	}
	if (entry.type == DT_DIR && (entry.known & (GOFER_ENTRY_ATTR | GOFER_ENTRY_APART)) == GOFER_ENTRY_ATTR)
		l->dirs[l->ndirs++] = (struct lister_dir){.entry = index, .name_at = (uint32_t)name_at, .len = (uint32_t)len};
	return true;
}

int lister_fill(struct lister *l, int fd, bool all, struct gofer_listed *listed)
{
	l->ndirs = 0;
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
			const size_t len = strlen(d->d_name);

			at += d->d_reclen;
			if (msg_name_ok(d->d_name, len)) {
				if (!put(l, fd, d, len, listed->count, all))
					return 0;
				listed->count++;
			}
			listed->next = (uint64_t)d->d_off;
		}
	}
}

int open_dir(const struct node *n)
{
	int fd = open(node_path(n).name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

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
		fd = open_dir(c->node);
		if (fd < 0)
			return fd;
		if (rq.position && lseek(fd, (off_t)rq.position, SEEK_SET) < 0)
			err = -errno;
		err = err ?: lister_fill(&l, fd, true, &listed);
		close(fd);
	}
	memcpy(c->out->buf + head, &listed, sizeof(listed));
	return err;
}
