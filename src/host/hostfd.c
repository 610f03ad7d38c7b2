// Counted host descriptors.
#include "host/hostfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/kmem.h"

KMEM_TYPE(hostfd_type, hostfd);

struct hostfd *hostfd_create(int fd)
{
	struct hostfd *h = kmem_alloc(&hostfd_type);

	if (!h) {
		close(fd);
		return NULL;
	}
	ref_init(&h->ref);
	h->fd = fd;
	return h;
}

struct hostfd *hostfd_get(struct hostfd *h)
{
	ref_get(&h->ref);
	return h;
}

void hostfd_put(struct hostfd *h)
{
	if (!h || !ref_put(&h->ref))
		return;
	close(h->fd);
	kmem_free(&hostfd_type, h);
}

struct hostfd *hostfd_readonly(const struct hostfd *h)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", h->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? NULL : hostfd_create(fd);
}

bool hostfd_is_shared(const struct hostfd *h)
{
	return atomic_load_explicit(&h->ref.count, memory_order_acquire) > 1;
}
