// The table of files that the client knows, and what they look like.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "gofer/server.h"

enum { NODES_FIRST = 256, NODES_MAX = 1 << 22, NO_NODE = UINT32_MAX };

struct node *node_find(struct gofer_server *s, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	struct node *n;

	if (index >= s->nnodes)
		return NULL;
	n = &s->nodes[index];
	return n->fd >= 0 && n->generation == id >> 32 ? n : NULL;
}

static bool grow(struct gofer_server *s)
{
	uint32_t count = s->nnodes ? s->nnodes * 2 : NODES_FIRST;
	struct node *nodes = count <= NODES_MAX ? reallocarray(s->nodes, count, sizeof(*nodes)) : NULL;

	if (!nodes)
		return false;
	for (uint32_t i = s->nnodes; i < count; i++)
		nodes[i] = (struct node){.fd = -1, .generation = 1, .next_free = i + 1 < count ? i + 1 : NO_NODE};
	s->first_free = s->nnodes;
	s->nodes = nodes;
	s->nnodes = count;
	return true;
}

int node_add(struct gofer_server *s, int fd, uint32_t mode, bool readonly, bool opaque, uint64_t *out_id)
{
	uint32_t index;
	struct node *n;

	if (s->used >= s->max_nodes || ((s->nnodes == 0 || s->first_free == NO_NODE) && !grow(s))) {
		close(fd);
		return -ENFILE;
	}
	index = s->first_free;
	n = &s->nodes[index];
	s->first_free = n->next_free;
	n->fd = fd;
	s->used++;
	n->mode = mode;
	n->readonly = readonly;
	n->opaque = opaque;
	*out_id = (uint64_t)n->generation << 32 | index;
	return 0;
}

void node_forget(struct gofer_server *s, uint64_t id)
{
	struct node *n = node_find(s, id);

	if (!n)
		return;
	close(n->fd);
	s->used--;
	n->fd = -1;
	n->generation++;
	n->next_free = s->first_free;
	s->first_free = (uint32_t)id;
}

struct node_path node_path(const struct node *n)
{
	struct node_path p;

	snprintf(p.name, sizeof(p.name), "%d", n->fd);
	return p;
}

static struct gofer_time time_of(const struct statx_timestamp *t)
{
	return (struct gofer_time){.sec = t->tv_sec, .nsec = t->tv_nsec};
}

int attr_of(int dir_fd, const char *name, struct gofer_attr *out, uint64_t *out_attributes)
{
	struct statx st;

	if (statx(dir_fd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return -errno;
	*out = (struct gofer_attr){
		.ino = st.stx_ino,
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor),
		.size = st.stx_size,
		.blocks = st.stx_blocks,
		.mode = st.stx_mode,
		.nlink = st.stx_nlink,
		.uid = st.stx_uid,
		.gid = st.stx_gid,
		.blksize = st.stx_blksize,
		.atime = time_of(&st.stx_atime),
		.mtime = time_of(&st.stx_mtime),
		.ctime = time_of(&st.stx_ctime),
		.btime = time_of(&st.stx_btime),
	};
	if (out_attributes)
		*out_attributes = st.stx_attributes;
	return 0;
}
