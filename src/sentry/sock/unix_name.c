// The names of Unix sockets: in the file system, in the abstract space, or chosen by the kernel.
//
// A name in the file system is a socket inode whose `bound` is the socket (guarded by the inode's mu); the socket's path keeps the
// inode. Abstract names are a hash table. Neither holds a reference: closing the socket removes it from there.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "abi/errno.h"
#include "lib/container_of.h"
#include "lib/kmem.h"
#include "sentry/kernel/cred.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/sock/unix.h"
#include "sentry/vfs/names.h"

KMEM_TYPE(unix_addr_type, unix_addr);

struct unix_addr *unix_addr_get(struct unix_addr *a)
{
	if (a)
		ref_get(&a->ref);
	return a;
}

void unix_addr_put(struct unix_addr *a)
{
	if (a && ref_put(&a->ref))
		kmem_free(&unix_addr_type, a);
}

// Checks a name as given and makes it whole: a path gets its NUL. Sets *out_abstract.
static int addr_create(const struct sockaddr_storage *addr, socklen_t len, struct unix_addr **out, bool *out_abstract)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)addr;
	struct unix_addr *a;

	if (len <= UNIX_NAME_AT || len > sizeof(*un) || un->sun_family != AF_UNIX)
		return -EINVAL;
	a = kmem_alloc(&unix_addr_type);
	if (!a)
		return -ENOMEM;
	ref_init(&a->ref);
	memcpy(&a->name, un, len);
	a->len = len;
	*out_abstract = un->sun_path[0] == 0;
	if (!*out_abstract) // sun_path may fill all its bytes without a NUL; Linux answers the length with one all the same
		a->len = UNIX_NAME_AT + strnlen(un->sun_path, len - UNIX_NAME_AT) + 1;
	*out = a;
	return 0;
}

static unsigned name_hash(const struct unix_addr *a)
{
	const unsigned char *p = (const unsigned char *)&a->name;
	unsigned h = 2166136261u;

	for (socklen_t i = 0; i < a->len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h % UNIX_NAME_BUCKETS;
}

static struct unix_sock *abstract_find_locked(struct unix_net *net, const struct unix_addr *a)
{
	struct unix_sock *u;

	LIST_FOREACH(u, &net->names[name_hash(a)], name_link)
		if (u->addr->len == a->len && !memcmp(&u->addr->name, &a->name, a->len))
			return u;
	return NULL;
}

// Gives u the address (taking it) unless it has one. net->mu is held when it is abstract.
static int addr_set(struct unix_sock *u, struct unix_addr *a, struct unix_net *net)
{
	int err = 0;

	mutex_lock(&u->sk.mu);
	if (u->addr || u->state == UNIX_CLOSED) {
		err = -EINVAL;
	} else {
		__atomic_store_n(&u->addr, a, __ATOMIC_RELEASE);
		if (net) {
			LIST_INSERT_HEAD(&net->names[name_hash(a)], u, name_link);
			u->named = true;
		}
	}
	mutex_unlock(&u->sk.mu);
	return err;
}

static int bind_abstract(struct unix_sock *u, struct unix_addr *a)
{
	struct unix_net *net = unix_net();
	int err;

	if (!net)
		return -ENOMEM;
	mutex_lock(&net->mu);
	err = abstract_find_locked(net, a) ? -EADDRINUSE : addr_set(u, a, net);
	mutex_unlock(&net->mu);
	return err;
}

// A NUL and five hexadecimal digits, the next free ones. man 7 unix.
int unix_autobind(struct unix_sock *u)
{
	struct unix_net *net = unix_net();
	struct unix_addr *a;
	char digits[6];
	int err = -ENOSPC;

	if (u->addr)
		return 0;
	a = kmem_alloc(&unix_addr_type);
	if (!net || !a) {
		kmem_free(&unix_addr_type, a);
		return -ENOMEM;
	}
	ref_init(&a->ref);
	a->name.sun_family = AF_UNIX;
	a->len = UNIX_NAME_AT + 6;
	mutex_lock(&net->mu);
	for (uint32_t tries = 0; tries <= 0xfffff && err == -ENOSPC; tries++) {
		snprintf(digits, sizeof(digits), "%05x", net->next_auto++ & 0xfffff);
		memcpy(a->name.sun_path + 1, digits, 5);
		if (!abstract_find_locked(net, a))
			err = addr_set(u, a, net);
	}
	mutex_unlock(&net->mu);
	if (err)
		unix_addr_put(a);
	return err == -EINVAL ? 0 : err; // somebody else named it meanwhile
}

// Makes the socket's node and looks it up.
static int make_node(struct task *t, const char *path, struct path *out)
{
	int err = vfs_mknod(t, NULL, path, S_IFSOCK | 0777, 0);

	if (err)
		return err == -EEXIST ? -EADDRINUSE : err;
	err = vfs_lookup(t, NULL, path, 0, out);
	if (!err && !(dentry_inode(out->dentry) && S_ISSOCK(dentry_inode(out->dentry)->attr.mode))) {
		path_put(out); // somebody has replaced it meanwhile
		err = -EADDRINUSE;
	}
	return err;
}

static int bind_path(struct task *t, struct unix_sock *u, struct unix_addr *a)
{
	char path[sizeof(a->name.sun_path) + 1] = "";
	struct inode *inode;
	struct path p;
	int err;

	memcpy(path, a->name.sun_path, MIN(a->len - UNIX_NAME_AT, sizeof(a->name.sun_path)));
	if (u->addr)
		return -EINVAL; // before the node is made; addr_set decides
	err = make_node(t, path, &p);
	if (err)
		return err;
	inode = dentry_inode(p.dentry);
	mutex_lock(&inode->mu);
	err = addr_set(u, a, NULL);
	if (!err) {
		u->path = p;
		inode->bound = u;
	}
	mutex_unlock(&inode->mu);
	if (err)
		path_put(&p);
	return err;
}

int unix_bind(struct task *t, struct sock *s, const struct sockaddr_storage *addr, socklen_t len)
{
	struct unix_sock *u = unix_of(s);
	struct unix_addr *a;
	bool abstract;
	int err;

	if (len == sizeof(sa_family_t) && addr->ss_family == AF_UNIX)
		return unix_autobind(u);
	err = addr_create(addr, len, &a, &abstract);
	if (err)
		return err;
	err = abstract ? (u->addr ? -EINVAL : bind_abstract(u, a)) : bind_path(t, u, a);
	if (err)
		unix_addr_put(a);
	return err;
}

void unix_unbind(struct unix_sock *u)
{
	struct unix_net *net = unix_net();
	struct inode *inode = u->path.dentry ? dentry_inode(u->path.dentry) : NULL;

	if (u->named) {
		mutex_lock(&net->mu);
		LIST_REMOVE(u, name_link);
		u->named = false;
		mutex_unlock(&net->mu);
	}
	if (inode) {
		mutex_lock(&inode->mu);
		if (inode->bound == u)
			inode->bound = NULL;
		mutex_unlock(&inode->mu);
	}
	path_put(&u->path);
}

static int find_path(struct task *t, const struct unix_addr *a, struct unix_sock **out)
{
	char path[sizeof(a->name.sun_path) + 1] = "";
	struct inode *inode;
	struct path p;
	int err;

	memcpy(path, a->name.sun_path, MIN(a->len - UNIX_NAME_AT, sizeof(a->name.sun_path)));
	err = vfs_lookup(t, NULL, path, LOOKUP_FOLLOW, &p);
	if (err)
		return err;
	inode = dentry_inode(p.dentry);
	err = inode ? inode_permission(inode, t->cred, MAY_WRITE) : -ENOENT;
	if (!err) {
		err = -ECONNREFUSED;
		mutex_lock(&inode->mu);
		if (S_ISSOCK(inode->attr.mode) && inode->bound && ref_get_unless_zero(&inode->bound->sk.ref)) {
			*out = inode->bound;
			err = 0;
		}
		mutex_unlock(&inode->mu);
	}
	path_put(&p);
	return err;
}

static int find_abstract(const struct unix_addr *a, struct unix_sock **out)
{
	struct unix_net *net = unix_net();
	struct unix_sock *u;

	if (!net)
		return -ENOMEM;
	mutex_lock(&net->mu);
	u = abstract_find_locked(net, a);
	if (u && !ref_get_unless_zero(&u->sk.ref))
		u = NULL;
	mutex_unlock(&net->mu);
	*out = u;
	return u ? 0 : -ECONNREFUSED;
}

int unix_find(struct task *t, const struct sockaddr_storage *addr, socklen_t len, int type, struct unix_sock **out)
{
	struct unix_addr *a;
	bool abstract;
	int err = addr_create(addr, len, &a, &abstract);

	if (err)
		return err;
	err = abstract ? find_abstract(a, out) : find_path(t, a, out);
	unix_addr_put(a);
	if (!err && (*out)->sk.type != type) {
		sock_put(&(*out)->sk);
		err = -EPROTOTYPE;
	}
	return err;
}
