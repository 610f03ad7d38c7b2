// A host descriptor that kernel objects refer to: counted, so that a file, a mapping and a stub may share it.
// Kernel objects hold a struct hostfd, never a bare number: a restore gives the number anew (DESIGN 6).
#pragma once

#include "lib/ref.h"

struct hostfd {
	struct ref ref;
	int fd;
};

// Takes ownership of fd (closed with the last reference, and at once when memory runs out). NULL when memory runs out.
struct hostfd *hostfd_create(int fd);
struct hostfd *hostfd_get(struct hostfd *h);
void hostfd_put(struct hostfd *h); // NULL is allowed
// The same open object on a descriptor that can only be read from. NULL if the host has none.
struct hostfd *hostfd_readonly(const struct hostfd *h);
bool hostfd_is_shared(const struct hostfd *h); // there is another reference
