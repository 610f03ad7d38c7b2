// memfd_create's files: tmpfs files without a name on a mount of the kernel's own; and seals. man 2 memfd_create.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/errno.h"
#include "host/hostfd.h"
#include "sentry/fs/tmpfs/tmpfs_int.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/open.h"
#include "sentry/vfs/vfs_int.h"

#define SEALS_KNOWN (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | 0x20 /* F_SEAL_EXEC */)

static struct tmpfs_node *sealable(struct file *f)
{
	return f->ops == &tmpfs_file_ops ? tmpfs_node(f->inode) : NULL;
}

int tmpfs_get_seals(struct file *f)
{
	struct tmpfs_node *n = sealable(f);

	return n ? (int)n->file.seals : -EINVAL;
}

int tmpfs_add_seals(struct file *f, uint32_t seals)
{
	struct tmpfs_node *n = sealable(f);
	uint32_t of_host = seals & TMPFS_HOST_SEALS;
	int err = 0;

	if (!n || (seals & ~(uint32_t)SEALS_KNOWN))
		return -EINVAL;
	mutex_lock(&n->inode.mu);
	tmpfs_loans_stop(&n->inode);
	tmpfs_settle_locked(n);
	if (n->file.seals & F_SEAL_SEAL)
		err = -EPERM;
	// The host knows the mappings: it refuses while one may be written through, and keeps others from coming.
	else if (of_host && n->file.host && fcntl(n->file.host->fd, F_ADD_SEALS, (int)of_host) < 0)
		err = -errno;
	if (!err)
		n->file.seals |= seals;
	mutex_unlock(&n->inode.mu);
	return err;
}

static int memfd_mount(struct vfs *vfs)
{
	struct super_block *sb;
	struct mount *m;
	int err = tmpfs_mount(&tmpfs_type, &(struct fs_mount_args){0}, &sb);

	if (err)
		return err;
	m = mount_create(sb, sb->root, 0);
	sb_put(sb);
	if (!m)
		return -ENOMEM;
	mutex_lock(&vfs->mount_mu);
	if (!vfs->memfd_mnt) {
		vfs->memfd_mnt = m;
		m = NULL;
	}
	mutex_unlock(&vfs->mount_mu);
	mount_put(m);
	return 0;
}

int memfd_create_file(struct task *t, const char *name, uint32_t mode, uint32_t seals, struct file **out_file)
{
	struct vfs *vfs = kernel()->vfs;
	struct tmpfs_node *n;
	struct dentry *d;
	char shown[NAME_MAX + 1];
	int err = vfs->memfd_mnt ? 0 : memfd_mount(vfs);

	if (err)
		return err;
	err = tmpfs_node_create(vfs->memfd_mnt->sb, S_IFREG | mode, 0, t->cred->fsuid, t->cred->fsgid, &n);
	if (err)
		return err;
	n->inode.attr.nlink = 0;
	n->file.seals = seals;
	snprintf(shown, sizeof(shown), "memfd:%s", name);
	d = dentry_create_unhashed(vfs->memfd_mnt->root, shown, strlen(shown), &n->inode);
	if (!d)
		return -ENOMEM;
	*out_file = file_alloc((struct path){mount_get(vfs->memfd_mnt), d}, O_RDWR, t->cred);
	if (!*out_file)
		return -ENFILE;
	(*out_file)->opened = true; // not counted as a writer: what is in a memfd may be executed at once
	return 0;
}
