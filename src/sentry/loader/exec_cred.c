// Credentials across execve.
#include "sentry/loader/exec_cred.h"

#include <endian.h>
#include <string.h>
#include <sys/statvfs.h>
#include <linux/capability.h>
#include <linux/securebits.h>

#include "abi/errno.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/task.h"
#include "sentry/vfs/vfs.h"

struct file_caps {
	uint64_t permitted, inheritable;
	bool effective, present;
};

static void read_file_caps(struct inode *inode, struct file_caps *out)
{
	struct vfs_ns_cap_data d;
	int64_t n = -EOPNOTSUPP;
	uint32_t magic;

	*out = (struct file_caps){0};
	if (inode->ops->getxattr) {
		mutex_lock(&inode->mu);
		n = inode->ops->getxattr(inode, "security.capability", &d, sizeof(d));
		mutex_unlock(&inode->mu);
	}
	if (n < (int64_t)XATTR_CAPS_SZ_2)
		return;
	magic = le32toh(d.magic_etc);
	if ((magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_2 && (magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
		return;
	out->present = true;
	out->effective = magic & VFS_CAP_FLAGS_EFFECTIVE;
	out->permitted = le32toh(d.data[0].permitted) | (uint64_t)le32toh(d.data[1].permitted) << 32;
	out->inheritable = le32toh(d.data[0].inheritable) | (uint64_t)le32toh(d.data[1].inheritable) << 32;
}

int exec_cred(struct task *t, struct file *exe, struct cred **out_cred, bool *out_secure)
{
	const struct cred *old = t->cred;
	struct cred *c = cred_dup(old);
	struct inode_attr attr;
	struct file_caps fc = {0};
	int err = vfs_getattr(&exe->path, &attr);
	bool honour = !old->no_new_privs && !(mount_flags(exe->path.mnt) & ST_NOSUID), changed;

	if (err || !c) {
		cred_put(c);
		return err ?: -ENOMEM;
	}
	if (honour) {
		if (attr.mode & S_ISUID)
			c->euid = attr.uid;
		if ((attr.mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
			c->egid = attr.gid;
		read_file_caps(exe->inode, &fc);
	}
	changed = c->euid != old->uid || c->egid != old->gid; // Linux compares with the real ids
	c->suid = c->fsuid = c->euid;
	c->sgid = c->fsgid = c->egid;
	// A file that has capabilities must get them all, or the program isn't started (capabilities(7), "Safety checking …").
	if (fc.present && fc.effective && fc.permitted & ~(old->cap_bounding | (old->cap_inheritable & fc.inheritable))) {
		cred_put(c);
		return -EPERM;
	}
	// Root has all, except where a file that has capabilities makes a user root.
	if (!(c->securebits & SECBIT_NOROOT) && (c->uid == 0 || c->euid == 0) && !(fc.present && c->uid != 0)) {
		fc.permitted = fc.inheritable = CAPS_ALL;
		fc.effective = c->euid == 0;
	}
	if (changed || fc.present)
		c->cap_ambient = 0;
	c->cap_permitted = (old->cap_inheritable & fc.inheritable) | (fc.permitted & old->cap_bounding) | c->cap_ambient;
	c->cap_effective = fc.effective ? c->cap_permitted : c->cap_ambient;
	c->securebits &= ~(uint32_t)SECBIT_KEEP_CAPS;
	*out_secure = changed || (c->uid != 0 && (fc.effective || c->cap_permitted & ~c->cap_ambient));
	*out_cred = c;
	return 0;
}
