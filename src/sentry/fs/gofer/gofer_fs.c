// Connections to gofers (one a container, shared by its mounts) and mounted trees.
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/kmem.h"
#include "sentry/fs/gofer/gofer_int.h"
#include "sentry/vfs/container_mounts.h"

KMEM_TYPE(conn_type, gofer_conn);
KMEM_TYPE(sb_type, gofer_sb);

static struct gofer_conn *conn_create(int sock)
{
	struct gofer_conn *conn = kmem_alloc(&conn_type);

	if (!conn) {
		close(sock);
		return NULL;
	}
	ref_init(&conn->ref);
	if (gofer_client_init(&conn->client, sock) < 0) {
		kmem_free(&conn_type, conn);
		return NULL;
	}
	return conn;
}

static struct gofer_conn *conn_get(struct gofer_conn *conn)
{
	ref_get(&conn->ref);
	return conn;
}

static void conn_put(struct gofer_conn *conn)
{
	if (!conn || !ref_put(&conn->ref))
		return;
	gofer_client_fini(&conn->client);
	kmem_free(&conn_type, conn);
}

static void fs_umount(struct super_block *sb)
{
	struct gofer_sb *gsb = sb->priv;

	if (!gsb)
		return;
	conn_put(gsb->conn);
	kmem_bytes_free(gsb->buckets);
	kmem_free(&sb_type, gsb);
}

// The container's first mount makes the connection, and holds it for the others to find.
static int get_conn(struct gofer_mount *how, struct gofer_conn **out_conn)
{
	if (how->conn) {
		*out_conn = conn_get(how->conn);
		return 0;
	}
	if (how->fd < 0)
		return -ENOTCONN;
	how->conn = *out_conn = conn_create(how->fd);
	how->fd = -1;
	return how->conn ? 0 : -ENOMEM;
}

static int fs_mount(const struct fs_type *type, const struct fs_mount_args *args, struct super_block **out_sb)
{
	struct gofer_mount *how = args->internal;
	struct gofer_entry root;
	struct super_block *sb;
	struct gofer_sb *gsb;
	struct inode *inode;
	struct gofer_attached attached = {0};
	int err;

	if (!how) // an application can't name a gofer
		return -EPERM;
	sb = sb_create(type);
	gsb = sb ? kmem_alloc(&sb_type) : NULL;
	if (!gsb)
		return -ENOMEM;
	sb->priv = gsb;
	err = get_conn(how, &gsb->conn);
	if (err)
		goto put_sb;
	gsb->shared = how->shared;
	gsb->ahead_credit = GOFER_AHEAD_FIRST;
	mutex_init(&gsb->table_mu);
	TAILQ_INIT(&gsb->with_files);
	gsb->nbuckets = GOFER_BUCKETS_FIRST;
	gsb->buckets = kmem_bytes(GOFER_BUCKETS_FIRST * sizeof(*gsb->buckets));
	if (!gsb->buckets) {
		err = -ENOMEM;
		goto put_sb;
	}
	err = AWAY(gofer_attach(&gsb->conn->client, (uint32_t)how->tree, &root, &attached));
	if (err)
		goto put_sb;
	gsb->conn->nodes_limit = attached.max_nodes / 4 * 3;
	if (attached.flags & GOFER_TREE_READONLY)
		sb->flags |= ST_RDONLY;
	gsb->root_node = root.node;
	gsb->root_dev = root.attr.dev;
	err = gofer_inode_of(sb, &root, &inode);
	if (err)
		goto put_sb;
	err = sb_set_root(sb, inode);
	if (err)
		goto put_sb;
	if (how->tree == 0) // the container's root
		gofer_dir_list_root(inode);
	*out_sb = sb;
	return 0;
put_sb:
	sb_put(sb);
	return err;
}

static int fs_statfs(struct super_block *sb, struct statfs *out)
{
	struct gofer_sb *gsb = sb->priv;
	struct gofer_statfs fs;
	int err = AWAY(gofer_statfs(&gsb->conn->client, gsb->root_node, &fs));

	if (err)
		return err;
	*out = (struct statfs){
		.f_type = (__fsword_t)fs.type,
		.f_bsize = (__fsword_t)fs.bsize,
		.f_blocks = fs.blocks,
		.f_bfree = fs.bfree,
		.f_bavail = fs.bavail,
		.f_files = fs.files,
		.f_ffree = fs.ffree,
		.f_namelen = (__fsword_t)fs.namelen,
		.f_frsize = (__fsword_t)fs.frsize,
	};
	return 0;
}

const struct fs_type gofer_type = {
	.name = "gofer",
	.magic = 0x01021997, // V9FS_MAGIC: a file system of messages, too
	.nodev = true,
	.mount = fs_mount,
	.umount = fs_umount,
	.statfs = fs_statfs,
};
