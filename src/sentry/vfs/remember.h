// Answers about paths that the application's process keeps and gives again by itself (stub/names.c): which may be kept, and what ends them.
//
// An answer may be kept if the path's walk stayed in the cache of names (walk_cached.c), and if the file's attributes, where it tells of them,
// change only in ways that are told here. It rests on three counts, which the process sees:
// - one for what is rare: names of directories and of links that such a walk has crossed, directories' modes and owners, mounts, credentials, roots
//   and working directories;
// - one for the names in the directory that the last name was looked up in, and one for the attributes of what was found, both by a hash.
// Whoever changes something counts up while he holds the lock under which it is looked at. The counts are read before the look, so an answer from
// before the change is stale at once. To keep changes cheap, a directory or inode is marked while somebody may rest on it.
// What an fstat would answer goes along with the answer to an open, if the file tells of its changes; that rests on the first and the last of these counts, as a
// descriptor needs no name. So do flags, which rest on the first alone.
// Locks: remember_all_anew() and the marks need none of their own.
#pragma once

#include "sentry/vfs/vfs_int.h"

// Around a call that asks about one path, in this order; each does nothing but where the answer is to be kept.
void remember_begin(struct task *t, const char *path);
void remember_walk_locked(struct task *t, struct dentry *in, bool whole, int err); // by walk_cached(); in: see above, or NULL
void remember_crossed_locked(struct task *t, struct dentry *link); // likewise, before: a link that it followed
void remember_attr(struct task *t, struct inode *inode); // before inode's attributes are looked at
void remember_link(struct task *t, const struct inode *inode); // instead, where only its kind is looked at, and a link's target
// Answers ret, kept if >= 0 and what was found, -ENOENT and nothing was, -EINVAL and no link was. answer: len bytes that were copied out.
long remember_end(struct task *t, long ret, const void *answer, size_t len);
void remember_none(struct task *t); // instead

// t's open gave it f, of which only the table has a reference now: if an fstat is likely to follow and nobody else uses the table, its answer goes along, and
// what fcntl says of flags. cloexec: O_CLOEXEC or 0.
void remember_opened(struct task *t, const struct file *f, uint32_t cloexec);

// What one process was told others are told, too, as long as all are the same user's with the same rights, of one root and one view of the mounts.
void remember_apart(void); // before that ends
void remember_rights(struct cred *c); // before a process runs with c: if it does by that

void remember_all_anew(void); // what is rare happened
void remember_name_changed_locked(struct dentry *d); // d, of this name, comes, goes, or becomes another; dcache_mu is held
