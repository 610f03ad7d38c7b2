// Sockets and their addresses as system calls name them.
#pragma once

#include <sys/socket.h>

#include "abi/types.h"

struct file;
struct sock;
struct task;

// The socket behind fd, and its file counted. 0, -EBADF, -ENOTSOCK.
int fd_sock(struct task *t, int fd, struct file **out_file, struct sock **out);
int sockaddr_copy_in(struct task *t, uaddr_t addr, int len, struct sockaddr_storage *out);
// As much of it as *ulen says; *ulen becomes the whole length. No effect when addr is NULL.
int sockaddr_copy_out(struct task *t, uaddr_t addr, uaddr_t ulen, const struct sockaddr_storage *from, socklen_t len);
