// Names for what crosses the boundary between an application and the sentry.
// Everything else of Linux's ABI comes from <linux/...> and <asm/...>; what those headers lack stands in this folder.
#pragma once

#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/user.h> // its PAGE_SIZE and PAGE_MASK give way to ours

typedef uint64_t uaddr_t; // an address in an application; an integer, so that it can't be dereferenced

#undef PAGE_SHIFT
#undef PAGE_SIZE
#undef PAGE_MASK
#define PAGE_SHIFT 12
#define PAGE_SIZE 4096ul
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) (((x) + PAGE_SIZE - 1) & PAGE_MASK)

#define NSEC_PER_SEC 1000000000ll
#define NSEC_PER_USEC 1000ll
#define NSEC_PER_MSEC 1000000ll
