// devpts: the names of pseudoterminals (/dev/pts). Each mount is an instance of its own.
#pragma once

struct cred;
struct file;
struct inode;
struct mount;
struct super_block;
struct task;
struct tty;

// Gives tty the lowest free number: tty->index, and a node of that name. 0, -ENOSPC, -ENOMEM.
int devpts_add(struct super_block *sb, const struct cred *cred, struct tty *tty);
void devpts_remove(struct super_block *sb, struct tty *tty); // the name goes; who has it open keeps the node
struct tty *devpts_tty(struct inode *inode); // borrowed, as long as the inode; NULL: no node of a terminal
// Opens the terminal by its name in mnt, whatever t could see there itself. 0 or -errno.
int devpts_open(struct task *t, struct mount *mnt, struct tty *tty, unsigned flags, struct file **out);
// The instance that an opened ptmx belongs to: its own, or the one mounted on pts beside a node in another file system. NULL: none.
struct super_block *devpts_of(struct file *ptmx);
