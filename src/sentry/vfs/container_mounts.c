// Builds a container's tree of mounts: the root, what the bundle asks for, and what every container has (/proc, /sys, /dev).
//
// Mount points that are missing are made, as runc does it, in the tree beneath: in the overlay's upper layer where there is one.
// So read-only takes effect when all is in place.
#include "sentry/vfs/container_mounts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "lib/log.h"
#include "sentry/fs/overlay/overlay.h"
#include "sentry/kernel/container.h"
#include "sentry/vfs/protected_paths.h"
#include "sentry/vfs/vfs_int.h"

struct builder {
	struct mount_ns *ns;
	struct gofer_mount gofer;
	char **err_text;
};

__attribute__((format(printf, 3, 4))) static int fail(struct builder *b, int err, const char *fmt, ...)
{
	char text[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (b->err_text && !*b->err_text)
		*b->err_text = kmem_strdup(text);
	return err;
}

static unsigned flags_of(const struct mount_spec *m)
{
	return (m->nosuid ? ST_NOSUID : 0) | (m->nodev ? ST_NODEV : 0) | (m->noexec ? ST_NOEXEC : 0) | ST_RELATIME;
}

// Names of the bundle's for what is here under another name, or as a plain tmpfs.
static const char *type_of(const struct mount_spec *m)
{
	if (strcmp(m->type, "tmpfs") == 0 && strcmp(m->destination, "/dev") == 0)
		return "devtmpfs";
	if (strcmp(m->type, "mqueue") == 0)
		return "tmpfs"; // POSIX message queues aren't built: an empty directory
	return m->type;
}

// An in-memory layer over sb, whose reference is taken over.
static int put_overlay(struct super_block *lower, struct super_block **out_sb)
{
	struct super_block *upper;
	struct overlay_layers layers = {.lower = lower};
	const struct fs_mount_args args = {.internal = &layers};
	const struct fs_type *type = fs_type_find("overlay");
	int err = !type ? -ENODEV : tmpfs_type.mount(&tmpfs_type, &(struct fs_mount_args){.data = "mode=755"}, &upper);

	if (err) {
		sb_put(lower);
		return err;
	}
	layers.upper = upper;
	return type->mount(type, &args, out_sb);
}

static int make_sb(struct builder *b, const struct mount_spec *m, struct super_block **out_sb)
{
	const char *name = type_of(m);
	const struct fs_type *type = fs_type_find(name);
	struct fs_mount_args args = {.source = name, .data = m->data};
	int err;

	if (!type)
		return fail(b, -ENODEV, "mount %s: there is no file system type %s", m->destination, name);
	if (strcmp(name, "gofer") == 0) {
		b->gofer.tree = m->gofer_tree;
		args.internal = &b->gofer;
	}
	err = type->mount(type, &args, out_sb);
	if (!err && m->overlay) {
		struct super_block *lower = *out_sb;

		// A single file can't carry an upper layer: it keeps its own.
		if (S_ISDIR(dentry_inode(lower->root)->attr.mode))
			err = put_overlay(lower, out_sb);
	}
	return err ? fail(b, err, "mount %s: %s: %s", m->destination, name, strerror(-err)) : 0;
}

static int make_entry(const struct path *dir, const char *name, size_t len, uint32_t mode, struct path *out)
{
	struct inode *parent = dentry_inode(dir->dentry), *inode = NULL;
	struct dentry *d = NULL;
	int err = -EROFS;

	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	mutex_lock(&parent->mu);
	if (!S_ISDIR(parent->attr.mode))
		err = -ENOTDIR;
	else if (parent->ops->create)
		err = parent->ops->create(parent, name, len, mode, 0, NULL, &inode);
	if (!err) {
		d = dentry_instantiate(dir->dentry, name, len, inode);
		err = d ? 0 : -ENOMEM;
	}
	mutex_unlock(&parent->mu);
	if (!err)
		*out = (struct path){mount_get(dir->mnt), d};
	return err;
}

// The place to mount on: every missing component is made, the last one as a directory or an empty file.
static int find_place(const struct path *root, const char *dest, bool is_dir, struct path *out)
{
	struct path at = path_get(root), next;
	const char *p = dest;
	char prefix[PATH_MAX];
	int err = 0;

	if (strlen(dest) >= sizeof(prefix))
		return -ENAMETOOLONG;
	while (!err) {
		const char *name, *end;

		while (*p == '/')
			p++;
		if (!*p)
			break;
		name = p;
		p = end = strchrnul(p, '/');
		memcpy(prefix, dest, end - dest);
		prefix[end - dest] = 0;
		err = vfs_lookup(NULL, root, prefix, LOOKUP_FOLLOW, &next);
		if (err == -ENOENT) {
			bool last = end[strspn(end, "/")] == 0;

			err = make_entry(&at, name, end - name, last && !is_dir ? S_IFREG | 0644 : S_IFDIR | 0755, &next);
		}
		if (!err)
			path_set(&at, next.mnt, next.dentry);
	}
	if (err)
		path_put(&at);
	else
		*out = at;
	return err;
}

static int add_mount(struct builder *b, const struct mount_spec *m)
{
	struct path root = {b->ns->root, b->ns->root->root}, where;
	struct super_block *sb;
	bool is_dir;
	int err = make_sb(b, m, &sb);

	if (err)
		return err;
	is_dir = S_ISDIR(dentry_inode(sb->root)->attr.mode);
	err = find_place(&root, m->destination, is_dir, &where);
	if (err) {
		sb_put(sb);
		return fail(b, err, "mount %s: the mount point can't be made: %s", m->destination, strerror(-err));
	}
	if (is_dir != !!S_ISDIR(dentry_inode(where.dentry)->attr.mode)) {
		sb_put(sb);
		err = fail(b, -ENOTDIR, "mount %s: %s can't be mounted on %s", m->destination, is_dir ? "a directory" : "a file",
			   is_dir ? "a file" : "a directory");
	} else {
		err = vfs_mount_at(b->ns, &where, sb, flags_of(m));
		if (err)
			fail(b, err, "mount %s: %s", m->destination, strerror(-err));
	}
	path_put(&where);
	return err;
}

static bool asked_for(const struct container_spec *spec, const char *destination)
{
	for (int i = 0; i < spec->nmounts; i++)
		if (strcmp(spec->mounts[i].destination, destination) == 0)
			return true;
	return false;
}

// What every container has, after what contains it and before what lies in it.
static int add_default(struct builder *b, const struct container_spec *spec, const char *type, const char *destination,
		       const char *data)
{
	const struct mount_spec m = {.type = type, .destination = destination, .data = data, .nosuid = true, .noexec = true};

	if (asked_for(spec, destination) || !fs_type_find(type))
		return 0;
	return add_mount(b, &m);
}

static int add_defaults(struct builder *b, const struct container_spec *spec)
{
	return add_default(b, spec, "proc", "/proc", NULL) ?: add_default(b, spec, "sysfs", "/sys", NULL) ?:
	       add_default(b, spec, "devtmpfs", "/dev", NULL);
}

static bool is_root(const struct mount_spec *m)
{
	return m->destination[strspn(m->destination, "/")] == 0;
}

// Kinds that every bundle names; one that this build lacks is left out with a word, as the program may do without.
static bool not_built(const struct mount_spec *m)
{
	if (strcmp(m->type, "devpts") != 0 || fs_type_find(m->type))
		return false;
	log_warning("mount %s: %s isn't built yet: left out", m->destination, m->type);
	return true;
}

static int add_all(struct builder *b, const struct container_spec *spec)
{
	int err = add_defaults(b, spec);

	for (int i = 0; i < spec->nmounts && !err; i++)
		if (!is_root(&spec->mounts[i]) && !not_built(&spec->mounts[i]))
			err = add_mount(b, &spec->mounts[i]);
	return err ?: add_default(b, spec, "devpts", "/dev/pts", "gid=5,mode=620,ptmxmode=666");
}

// The destinations are looked up again: what is mounted there by now is the last mount on that place, the one meant.
static void make_readonly(struct builder *b, const struct container_spec *spec)
{
	struct path root = {b->ns->root, b->ns->root->root}, p;

	for (int i = 0; i < spec->nmounts; i++) {
		if (!spec->mounts[i].readonly)
			continue;
		if (is_root(&spec->mounts[i])) {
			b->ns->root->flags |= ST_RDONLY;
		} else if (vfs_lookup(NULL, &root, spec->mounts[i].destination, LOOKUP_FOLLOW, &p) == 0) {
			if (p.dentry == p.mnt->root)
				p.mnt->flags |= ST_RDONLY;
			path_put(&p);
		}
	}
}

static int build(struct builder *b, const struct container_spec *spec)
{
	const struct mount_spec *root = NULL;
	struct super_block *sb;
	int err;

	for (int i = 0; i < spec->nmounts && !root; i++)
		if (is_root(&spec->mounts[i]))
			root = &spec->mounts[i];
	if (!root)
		return fail(b, -EINVAL, "the container has no root file system");
	err = make_sb(b, root, &sb);
	if (err)
		return err;
	if (!S_ISDIR(dentry_inode(sb->root)->attr.mode)) {
		sb_put(sb);
		return fail(b, -ENOTDIR, "the root file system is not a directory");
	}
	b->ns = mount_ns_create(sb, flags_of(root));
	if (!b->ns)
		return fail(b, -ENOMEM, "no memory for the mounts");
	err = add_all(b, spec);
	if (err)
		return err;
	make_readonly(b, spec);
	err = protect_paths(b->ns, spec->masked_paths, spec->readonly_paths);
	return err ? fail(b, err, "the masked and read-only paths can't be made: %s", strerror(-err)) : 0;
}

int vfs_build_container(const struct container_spec *spec, struct mount_ns **out_ns, char **err_text)
{
	struct builder b = {.err_text = err_text, .gofer = {.fd = spec->gofer_fd, .shared = spec->gofer_shared}};
	int err;

	if (err_text)
		*err_text = NULL;
	err = build(&b, spec);
	if (b.gofer.fd >= 0)
		close(b.gofer.fd); // nobody wanted it
	if (err) {
		mount_ns_put(b.ns);
		return err;
	}
	*out_ns = b.ns;
	return 0;
}
